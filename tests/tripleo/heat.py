"""Reads the outputs of Heat's templates: their intrinsic functions are evaluated here, with parameters that are given.

Of Heat there is as much as templates of services need: no stacks, and no resources but nested templates and values.
"""

import itertools
import json
import pathlib
import re
import urllib.parse

import yaml
import yaql

# What takes no part: an `if` without a third argument whose condition is false, with the item that it is the value of.
NOTHING = object()
YAQL = yaql.YaqlFactory().create(options={"yaql.convertInputData": True})


class TemplateError(Exception):
    """A template can't be evaluated."""


def at(value, path):
    """What is at a path of a value; nothing leads on from null."""
    for key in path:
        if value is None:
            return None
        try:
            value = value[int(key) if isinstance(value, list) else key]
        except (KeyError, IndexError, ValueError) as missing:
            raise TemplateError(f"{path}: there is no {key!r}") from missing
    return value


def as_text(value):
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value)


def replace(template, replacements):
    """Replaces all at once, of names that begin alike the longest."""
    names = sorted(replacements, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, names)), lambda found: as_text(replacements[found[0]]), template) if names else template


def replace_within(value, replacements):
    """The same in a structure, with its keys; what is a name as a whole keeps the type of what replaces it."""
    if isinstance(value, dict):
        return {replace(key, replacements): replace_within(it, replacements) for key, it in value.items()}
    if isinstance(value, list):
        return [replace_within(it, replacements) for it in value]
    if isinstance(value, str):
        return replacements[value] if value in replacements else replace(value, replacements)
    return value


def typed(name, kind, value):
    """A parameter's value as Heat understands it for the type."""
    if kind == "comma_delimited_list" and isinstance(value, str):
        return [it.strip() for it in value.split(",")] if value else []
    if kind == "json" and isinstance(value, str):
        return json.loads(value) if value else {}
    if kind == "string" and isinstance(value, (bool, int, float)):
        return as_text(value)
    expected = {"boolean": bool, "number": (int, float), "string": str, "json": (dict, list), "comma_delimited_list": list}
    if not isinstance(value, expected[kind]):
        raise TemplateError(f"parameter {name}: {value!r} is no {kind}")
    return value


class Templates:
    """Templates below a directory, whose resources' types have names in a registry."""

    def __init__(self, root, registry, parameters):
        self.root = pathlib.Path(root)
        self.registry = self._aliases(registry)
        self.parameters = parameters
        self.used = set()
        self.read = {}

    def _aliases(self, registry):
        """Types by name, of a resource registry whose lines for services have no directives of Jinja in them."""
        line = re.compile(r"^  (OS::[\w:]+): ([\w./-]+\.yaml|OS::Heat::None)$", re.M)
        return dict(line.findall((self.root / registry).read_text(encoding="utf-8")))

    def template(self, path, properties=None):
        path = (self.root / path).resolve()
        if path not in self.read:
            self.read[path] = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Template(self, path, self.read[path], properties or {})

    def unused(self):
        """Parameters given that no template has asked for."""
        return set(self.parameters) - self.used


class Template:
    """A template with its parameters."""

    def __init__(self, templates, path, content, properties):
        self.templates = templates
        self.path = path
        self.content = content
        self.properties = properties

    def output(self, *path):
        """What an output has at a path; nothing beside that is evaluated."""
        try:
            value = self.content["outputs"][path[0]]["value"]
            rest = list(path[1:])
            while rest and isinstance(value, dict) and not self._function(value):
                value = at(value, [rest.pop(0)])
            return at(self._shown(self.value(value)), rest)
        except TemplateError as error:
            raise TemplateError(f"{self.path.name}: {error}") from error

    def parameter(self, name):
        description = self.content.get("parameters", {}).get(name)
        if description is None:
            raise TemplateError(f"it has no parameter {name}")
        self.templates.used.add(name)
        given = self.templates.parameters
        if name not in self.properties and name not in given and "default" not in description:
            raise TemplateError(f"parameter {name} has to be given: {description.get('description', '').strip()}")
        value = self.properties.get(name, given.get(name, description.get("default")))
        value = typed(name, description["type"], value)
        for constraint in description.get("constraints", []):
            if value not in constraint.get("allowed_values", [value]):
                raise TemplateError(f"parameter {name} can't be {value!r}")
        return value

    def condition(self, it):
        """Whether a condition holds: a name, true or false, or a function."""
        if isinstance(it, str):
            return self.condition(self.content["conditions"][it])
        return bool(self.value(it))

    def value(self, it):
        """What is written in a template, with its functions evaluated."""
        if isinstance(it, list):
            return [value for value in map(self.value, it) if value is not NOTHING]
        if not isinstance(it, dict):
            return it
        if function := self._function(it):
            return function(next(iter(it.values())))
        values = ((key, self.value(value)) for key, value in it.items())
        return {key: value for key, value in values if value is not NOTHING}

    def _shown(self, value):
        return None if value is NOTHING else value

    def _function(self, it):
        name = next(iter(it)) if len(it) == 1 else None
        return getattr(self, f"_do_{name}", None) if isinstance(name, str) else None

    def _attribute(self, resource, path):
        described = self.content["resources"][resource]
        kind = self.templates.registry.get(described["type"], described["type"])
        properties = described.get("properties", {})
        if kind == "OS::Heat::None":
            return None
        if kind == "OS::Heat::Value":
            return at({"value": self.value(properties["value"])}, path)
        below = self.templates.root if described["type"] in self.templates.registry else self.path.parent
        return self.templates.template(below / kind, self.value(properties)).output(*path)

    def _do_get_param(self, of):
        name, *path = [self.value(it) for it in of] if isinstance(of, list) else [of]
        return at(self.parameter(name), path)

    def _do_get_attr(self, of):
        resource, *path = map(self.value, of)
        return self._attribute(resource, path)

    def _do_get_file(self, of):
        return (self.path.parent / of).read_text(encoding="utf-8")

    def _do_if(self, of):
        if self.condition(of[0]):
            return self.value(of[1])
        return self.value(of[2]) if len(of) > 2 else NOTHING

    def _do_and(self, of):
        return all(map(self.condition, of))

    def _do_or(self, of):
        return any(map(self.condition, of))

    def _do_not(self, of):
        return not self.condition(of)

    def _do_equals(self, of):
        one, other = map(self.value, of)
        return one == other

    def _do_contains(self, of):
        one, many = map(self.value, of)
        return one in many

    def _do_str_replace(self, of):
        return replace(self.value(of["template"]), self.value(of["params"]))

    def _do_list_join(self, of):
        between, *lists = self.value(of)
        return between.join(as_text(it) for it in itertools.chain(*lists))

    def _do_list_concat(self, of):
        return list(itertools.chain.from_iterable(it or [] for it in self.value(of)))

    def _do_list_concat_unique(self, of):
        together = self._do_list_concat(of)
        return [it for place, it in enumerate(together) if it not in together[:place]]

    def _do_map_merge(self, of):
        return {key: value for it in self.value(of) for key, value in (it or {}).items()}

    def _do_map_replace(self, of):
        original, by = self.value(of)
        keys, values = by.get("keys", {}), by.get("values", {})
        of_value = lambda it: values.get(it, it) if isinstance(it, (str, int)) else it  # noqa: E731
        return {keys.get(key, key): of_value(value) for key, value in original.items()}

    def _do_repeat(self, of):
        names, lists = zip(*self.value(of["for_each"]).items())
        template = self.value(of["template"])
        return [replace_within(template, dict(zip(names, values))) for values in itertools.product(*lists)]

    def _do_make_url(self, of):
        it = self.value(of)
        quoted = [urllib.parse.quote(it[key], safe="") for key in ("username", "password") if key in it]
        host = f"[{it['host']}]" if ":" in it["host"] else it["host"]
        user, port = ":".join(quoted) + "@" if quoted else "", f":{it['port']}" if "port" in it else ""
        query = urllib.parse.urlencode(it.get("query", {}))
        return urllib.parse.urlunsplit((it["scheme"], f"{user}{host}{port}", it.get("path", ""), query, it.get("fragment", "")))

    def _do_yaql(self, of):
        return YAQL(of["expression"]).evaluate(data={"data": self.value(of["data"])}, context=yaql.create_context())
