"""Overrides that touch everything a tree has, made by looking at the tree."""

from tree import block_names, customizable_lists

EXTENDS = "{% extends parent_template %}\n"


def override_for_each_list(tree, value_of):
    lines = []
    for number, (prefix, items) in enumerate(customizable_lists(tree).items()):
        lines.extend(f"{{% set {prefix}_{name} = {value} %}}\n" for name, value in value_of(number, items))
    return EXTENDS + "".join(lines)


def append_to_every_list(tree):
    return override_for_each_list(
        tree, lambda number, _: [("append", [f"added-{number}", "http://host/added.deb", "curl"])]
    )


def remove_from_every_list(tree):
    return override_for_each_list(
        tree, lambda _, items: [("remove", [*items[:1], "never-there", *items[-1:], *items[:1]])]
    )


def override_every_list(tree):
    values = [["only-this"], [], ["two", "of them"], "text", ("a", "tuple")]
    return override_for_each_list(tree, lambda number, _: [("override", repr(values[number % len(values)]))])


def append_and_remove_everywhere(tree):
    """Appends what it also removes: only the first occurrence goes."""
    return override_for_each_list(
        tree, lambda _, items: [("append", ["twice", "twice", *items[:1]]), ("remove", ["twice", *items[:1]])]
    )


def replace_every_block(tree):
    return EXTENDS + "".join(
        f"{{% block {name} %}}\nLABEL block={name} image={{{{ image_name }}}}\n{{% endblock %}}\n"
        for name in block_names(tree)
    )


def wrap_every_block(tree):
    return EXTENDS + "".join(
        f"{{% block {name} -%}}\n# before\n{{{{ super() }}}}\n# after {name}\n{{%- endblock {name} %}}\n"
        for name in block_names(tree)
    )


def wrap_every_block_twice(tree):
    """super() renders the block again, with the lists that the first time has changed."""
    return append_to_every_list(tree) + "".join(
        f"{{% block {name} %}}{{{{ super() }}}}{{{{ super() }}}}{{% endblock %}}\n" for name in block_names(tree)
    )


GENERATED = {
    "append-to-every-list": append_to_every_list,
    "remove-from-every-list": remove_from_every_list,
    "override-every-list": override_every_list,
    "append-and-remove-everywhere": append_and_remove_everywhere,
    "replace-every-block": replace_every_block,
    "wrap-every-block": wrap_every_block,
    "wrap-every-block-twice": wrap_every_block_twice,
}
