#!/usr/bin/env python3
"""measure.py [--json] [CHECKOUT]: counts what can be counted of a checkout's sources (of this one's), tests left out.

With --json it prints what tests/it/architecture.rs holds to the architecture: each file's code without comments and with
empty strings, and the files that it names something of; circles between files; and names of several types.
"""

import collections
import json
import pathlib
import re
import sys

ITEM_WITHOUT_BODY = re.compile(r"[;}]\s*$")
# Comments, strings and characters that are a quotation mark.
NO_CODE = re.compile(r"""//[^\n]*|b?r(#*)".*?"\1|b?"(?:[^"\\]|\\.)*"|b?'\\?"'""", re.DOTALL)
VAGUE = re.compile(r"(What|Whether|Its|It)\b")


def without_tests(lines):
    """The lines of a file without its items under cfg(test), and the modules among these that are files."""
    kept, modules, at = [], set(), 0
    while at < len(lines):
        indent = re.match(r"( *)#\[cfg\(test\)\]", lines[at])
        if not indent:
            kept.append(lines[at])
            at += 1
            continue
        at += 1
        while re.match(r" *(#\[|//)", lines[at]):
            at += 1
        if module := re.match(r" *(?:pub(?:\([^)]*\))? )?mod (\w+);", lines[at]):
            modules.add(module[1])
        if not ITEM_WITHOUT_BODY.search(lines[at]):
            while not re.match(indent[1] + r"[}\])]+[;,]?$", lines[at]):
                at += 1
        at += 1
    return kept, modules


def children_of(path):
    """The directory of a file's child modules."""
    return path.parent if path.name in ("mod.rs", "lib.rs", "main.rs") else path.with_suffix("")


def read(source):
    """Every file's lines, without tests."""
    files, left_out = {}, []
    for path in sorted(source.rglob("*.rs")):
        files[path], modules = without_tests(path.read_text().splitlines())
        left_out += [children_of(path) / module for module in modules]
    return {
        path: lines
        for path, lines in files.items()
        if not any(path.with_suffix("") == test or test in path.parents for test in left_out)
    }


def code_of(lines):
    """The code without comments, and with empty strings."""
    return NO_CODE.sub(lambda it: "" if it[0].startswith("//") else '""', "\n".join(lines))


def paths_in(tree, prefix=()):
    """The paths that a use declaration (or a path in code) names: `a::{b, c::d}` is a::b and a::c::d."""
    head, brace, rest = tree.partition("{")
    prefix += tuple(part for part in head.replace(" ", "").split("::") if part)
    if not brace:
        yield prefix
        return
    depth, start = 0, 0
    rest = rest.rstrip().removesuffix("}") + ","
    for at, letter in enumerate(rest):
        depth += (letter == "{") - (letter == "}")
        if letter == "," and depth == 0:
            if rest[start:at].strip():
                yield from paths_in(re.sub(r"\bas \w+", "", rest[start:at]).strip(), prefix)
            start = at + 1


def uses(source, files):
    """The files that each file names something of."""
    modules = {}
    for path in files:
        parts = path.relative_to(source).with_suffix("").parts
        modules[parts[:-1] if parts[-1] in ("mod", "lib", "main") else parts] = path
    names = {path: parts for parts, path in modules.items() if path.name != "main.rs"}

    def file_of(parts):
        while parts and parts not in modules:
            parts = parts[:-1]
        return modules.get(parts)

    found = {}
    for path, lines in files.items():
        code = code_of(lines)
        own = names.get(path, ())
        named = []
        for tree in re.findall(r"\buse\s+([^;]+);", code):
            named += paths_in(re.sub(r"\s+", " ", tree))
        named += [tuple(it.split("::")) for it in re.findall(r"(?<![\w:])(?:crate|super|self)(?:::\w+)+", code)]
        for child in re.findall(r"^\s*(?:pub(?:\([^)]*\))? )?mod (\w+);", code, re.MULTILINE):
            if re.search(rf"(?<![\w:]){child}::", code):
                named.append(("self", child))
        found[path] = set()
        for parts in named:
            if parts[0] in ("crate", "kolla_build"):
                target = parts[1:]
            elif parts[0] in ("super", "self"):
                above = len(list(filter(lambda part: part == "super", parts)))
                target = own[: len(own) - above] + tuple(part for part in parts if part not in ("super", "self"))
            elif own + parts[:1] in modules:
                target = own + parts
            else:
                continue
            if (file := file_of(target)) and file != path:
                found[path].add(file)
    return found


def circles(edges):
    """Files that need each other: the strongly connected components of more than one (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in edges[node]:
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            group = [stack.pop()]
            while group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    sys.setrecursionlimit(10_000)
    for node in edges:
        if node not in index:
            visit(node)
    return found


def doc_comments(lines):
    """Each doc comment of an item, on one line."""
    comment = []
    for line in [*lines, ""]:
        if said := re.match(r"\s*/// ?(.*)", line):
            comment.append(said[1])
        elif comment:
            yield " ".join(comment)
            comment = []


def twins(source, code):
    """Names of several types, and the files of these."""
    types = collections.defaultdict(list)
    for path, text in code.items():
        for name in re.findall(r"^(?:pub(?:\([^)]*\))? )?(?:struct|enum|trait|type|union) (\w+)", text, re.MULTILINE):
            types[name].append(str(path.relative_to(source)))
    return {name: where for name, where in sorted(types.items()) if len(where) > 1}


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--json"]
    source = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).parents[1]) / "src"
    files = read(source)
    code = {path: code_of(lines) for path, lines in files.items()}
    edges = uses(source, files)

    def shown(paths):
        return sorted(str(path.relative_to(source)) for path in paths)

    found = [shown(circle) for circle in circles(edges)]
    if "--json" in sys.argv:
        per_file = {
            str(path.relative_to(source)): {"code": code[path], "uses": shown(edges[path])} for path in files
        }
        print(json.dumps({"files": per_file, "circles": found, "twins": twins(source, code)}))
        return

    lengths = sorted(len(lines) for lines in files.values())
    thousands = sum(lengths) / 1000
    print(f"{len(files)} files, {sum(lengths)} lines; lines a file: "
          f"p50 {lengths[len(lengths) // 2]}, p90 {lengths[len(lengths) * 9 // 10]}, max {lengths[-1]}")
    every = "\n".join(code.values())
    for name, pattern in (("format!", r"\bformat!"), ("to_string", r"\bto_string\b")):
        count = len(re.findall(pattern, every))
        print(f"{name}: {count}, {count / thousands:.1f} per 1,000 lines")
    comments = [comment for lines in files.values() for comment in doc_comments(lines)]
    print(f"doc comments: {len(comments)}; {sum(1 for it in comments if VAGUE.match(it))} begin with What, Whether, Its or It, "
          f"{sum(1 for it in comments if len(it.split()) <= 3)} have three words or fewer")
    print(f"circles between files: {len(found)}")
    for circle in found:
        print("    " + ", ".join(circle))
    several = twins(source, code)
    print(f"names of several types: {len(several)}")
    for name, where in several.items():
        print(f"    {name}: {', '.join(where)}")


main()
