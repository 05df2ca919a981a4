"""Comparing two rendered trees, and finding what a tree lets overrides change."""

import difflib
import os
import re
import stat

DIFF_LINES = 12
DIFFERENCES_SHOWN = 5

BLOCK = re.compile(r"\{%-?\s*block\s+(\w+)")
CUSTOMIZABLE = re.compile(r"(\w+)\s*\|\s*customizable\(\s*['\"](\w+)['\"]\s*\)")


def entries(root):
    """Every file and directory below root: {relative path: (mode, bytes or None)}."""
    found = {}
    for directory, names, files in os.walk(root):
        for name in names + files:
            path = os.path.join(directory, name)
            info = os.lstat(path)
            content = None
            if stat.S_ISREG(info.st_mode):
                with open(path, "rb") as file:
                    content = file.read()
            found[os.path.relpath(path, root)] = (info.st_mode, content)
    return found


def compare(theirs, ours):
    """How many entries are the same, how many there are, and a text about the first that differ."""
    theirs, ours = entries(theirs), entries(ours)
    names = sorted(theirs.keys() | ours.keys())
    different = [name for name in names if theirs.get(name) != ours.get(name)]
    text = "".join(
        describe(name, theirs.get(name), ours.get(name)) for name in different[:DIFFERENCES_SHOWN]
    )
    return len(names) - len(different), len(names), text


def describe(name, theirs, ours):
    if theirs is None or ours is None:
        return f"  {name}: only {'ours' if theirs is None else 'theirs'}\n"
    if theirs[0] != ours[0]:
        return f"  {name}: mode {theirs[0]:o} became {ours[0]:o}\n"
    lines = [(content or b"").decode(errors="replace").splitlines() for content in (theirs[1], ours[1])]
    diff = list(difflib.unified_diff(*lines, f"theirs/{name}", f"ours/{name}", lineterm="", n=1))
    return "".join(f"  {line}\n" for line in diff[:DIFF_LINES])


def templates(tree):
    """Every image's name and template text."""
    for path in sorted(tree.rglob("Dockerfile.j2")):
        yield path.parent.name, path.read_text()


def block_names(tree):
    """The name of every block in the tree."""
    return sorted({name for _, text in templates(tree) for name in BLOCK.findall(text)})


def customizable_lists(tree):
    """{variable prefix: items that its list may hold} for every customisable list in the tree."""
    lists = {}
    for image, text in templates(tree):
        if not image.replace("-", "_").isidentifier():
            # No variable can be called so.
            continue
        for variable, kind in CUSTOMIZABLE.findall(text):
            values = re.findall(rf"\bset\s+{variable}\s*=.*?%\}}", text, re.DOTALL)
            items = [item for value in values for item in re.findall(r"'([^']+)'", value)]
            lists[f"{image.replace('-', '_')}_{kind}"] = list(dict.fromkeys(items))
    return lists
