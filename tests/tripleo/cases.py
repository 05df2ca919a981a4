"""What functions of Heat give, by its documentation: a check of heat.py."""

import pathlib
import tempfile

import heat

TEMPLATE = """
parameters:
  list: {type: comma_delimited_list, default: "a, b"}
  none: {type: comma_delimited_list, default: ""}
  map: {type: json, default: {deep: {er: [1, 2]}}}
  on: {type: boolean, default: true}
  number: {type: number, default: 5}
  name: {type: string}
conditions:
  is_on: {get_param: on}
  is_off: {not: is_on}
  both: {and: [is_on, {equals: [{get_param: number}, 5]}]}
resources:
  Value: {type: OS::Heat::Value, properties: {type: json, value: {a: {get_param: name}}}}
  Nothing: {type: OS::None}
  Nested: {type: ./nested.yaml, properties: {given: {get_param: number}}}
outputs:
"""
NESTED = """
parameters: {given: {type: number}, name: {type: string}}
outputs: {data: {value: {sum: [{get_param: given}, {get_param: name}], not_asked_for: {get_param: missing}}}}
"""
REGISTRY = """
  OS::None: OS::Heat::None
"""

# A value as a template has it, and what comes of it.
CASES = [
    ("{get_param: list}", ["a", "b"]),
    ("{get_param: none}", []),
    ("{get_param: [map, deep, er, 1]}", 2),
    ("{get_attr: [Value, value, a]}", "x"),
    ("{get_attr: [Nothing, role_data, config]}", None),
    ("{get_attr: [Nested, data, sum]}", [5, "x"]),
    ("[{if: [is_on, 1, 2]}, {if: [is_off, 1, 2]}, {if: [is_off, 3]}]", [1, 2]),
    ("{a: {if: [is_off, 1]}, b: {if: [both, 1]}}", {"b": 1}),
    ("{if: [{or: [is_off, {contains: [a, {get_param: list}]}]}, 1, 2]}", 1),
    ("{str_replace: {template: $AB $A, params: {$A: 1, $AB: $A}}}", "$A 1"),
    ("{list_join: [-, [a], {get_param: list}]}", "a-a-b"),
    ("{list_concat: [[1], null, [2, 1], {if: [is_off, [3]]}]}", [1, 2, 1]),
    ("{list_concat_unique: [[1], [2, 1]]}", [1, 2]),
    ("{map_merge: [{a: 1}, null, {a: 2, b: 3}]}", {"a": 2, "b": 3}),
    ("{map_replace: [{a: b, c: [d]}, {keys: {a: A}, values: {b: [1]}}]}", {"A": [1], "c": ["d"]}),
    ("{repeat: {for_each: {<%a%>: [1, 2]}, template: {<%a%>: [x<%a%>, <%a%>]}}}", [{"1": ["x1", 1]}, {"2": ["x2", 2]}]),
    ("{make_url: {scheme: s, username: u, password: p/w, host: 'f::1', port: 1, path: /d, query: {a: /b}}}", "s://u:p%2Fw@[f::1]:1/d?a=%2Fb"),
    ("{yaql: {expression: $.data.a.where($ > 1), data: {a: [1, 2]}}}", [2]),
    ("{not_a_function: {get_param: number}}", {"not_a_function": 5}),
]
# Outputs that there are none of, and what is told.
FAULTS = [
    ("{get_param: missing}", "no parameter missing"),
    ("{get_param: [map, deep, missing]}", "there is no 'missing'"),
]


def check():
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        outputs = "".join(f"  case_{place}: {{value: {text}}}\n" for place, (text, _) in enumerate(CASES + FAULTS))
        for file, text in {"main.yaml": TEMPLATE + outputs, "nested.yaml": NESTED, "registry.yaml": REGISTRY}.items():
            (root / file).write_text(text, encoding="utf-8")
        templates = heat.Templates(root, "registry.yaml", {"name": "x", "misspelt": 1})
        main = templates.template("main.yaml")
        for place, (text, wanted) in enumerate(CASES):
            result = main.output(f"case_{place}")
            assert result == wanted, f"{text}: {result!r}, and not {wanted!r}"
        for place, (text, wanted) in enumerate(FAULTS, len(CASES)):
            try:
                raise AssertionError(f"{text}: {main.output(f'case_{place}')!r}, and no error")
            except heat.TemplateError as error:
                assert wanted in str(error), f"{text}: {error}"
        assert templates.unused() == {"misspelt"}, templates.unused()
