#!/usr/bin/env python3
"""What overrides can change in our own image tree, beside Kolla's: every block and list of each image that we have.

An override marks every block, and appends a mark to every list. A name counts for an image when its mark comes out in the
image's Dockerfile, so it has to be read, not only to be there. Whatever Kolla's image has and ours lacks must be excused
in missing.toml, with a reason; what is excused and not missing is told too. With --write docker/README.md gets the reasons.
"""

import argparse
import pathlib
import re
import sys
import tempfile
import tomllib

sys.dont_write_bytecode = True

from programs import HERE, ROOT, SCRATCH, OurKolla, PythonKolla
from tree import block_names, customizable_lists, templates
from two_trees import TREE, rendered

EXCUSES = HERE / "missing.toml"
README = TREE / "README.md"
BEGIN, END = "<!-- missing: written by tests/parity/interface.py --write -->\n", "<!-- end -->"
MARK = re.compile(r"mark-(\w+)-kram")


def mark(name):
    return f"mark-{name}-kram"


def item(name):
    """Of a list of keys, whose items have attributes, or of names."""
    if name.endswith("apt_keys"):
        return dict.fromkeys(("name", "keyid", "url", "type"), mark(name))
    return mark(name)


def override(trees):
    blocks = sorted({name for tree in trees for name in block_names(tree)})
    lists = sorted({name for tree in trees for name in customizable_lists(tree)})
    lines = ["{% extends parent_template %}\n"]
    lines += [f"{{% set {name}_append = [{item(name)!r}] %}}\n" for name in lists]
    lines += [f"{{% block {name} %}}\n# {mark(name)}\n{{{{ super() }}}}\n{{% endblock %}}\n" for name in blocks]
    return "".join(lines)


def found(rendered):
    """{image: names whose mark came out}, of a rendered tree."""
    return {path.parent.name: set(MARK.findall(path.read_text())) for path in rendered.rglob("Dockerfile")}


class Excuses:
    def __init__(self, file):
        self.entries = tomllib.loads(file.read_text())["missing"]
        self.used = set()

    def covers(self, image, base, arch, name):
        for number, entry in enumerate(self.entries):
            places = entry.get("only", [])
            here = not places or {base, arch, f"{base}+{arch}"} & set(places)
            if entry["image"] == image and name in entry["names"] and here:
                self.used.add((number, name))
                return True
        return False

    def unused(self):
        wanted = {(number, name) for number, entry in enumerate(self.entries) for name in entry["names"]}
        return [f"{self.entries[number]['image']}: {name}" for number, name in sorted(wanted - self.used)]

    def table(self):
        rows = "".join(
            f"| {entry['image']} | {', '.join(f'`{name}`' for name in entry['names'])} "
            f"| {', '.join(entry.get('only', ['everywhere']))} | {entry['reason']} |\n"
            for entry in self.entries
        )
        return f"| image | not there | on | why |\n|---|---|---|---|\n{rows}"


def compare(python, ours, scratch):
    """(names that are the same, all of Kolla's, what differs as lines)."""
    excuses, same, total, lacking = Excuses(EXCUSES), 0, 0, {}
    marks = scratch / "marks.j2"
    marks.write_text(override([TREE, python.tree]))
    for case, theirs, own in rendered(python, ours, scratch, ["--template-override", str(marks)]):
        theirs, own = found(theirs), found(own)
        for image in sorted(theirs.keys() & own.keys()):
            total += len(theirs[image])
            missing = theirs[image] - own[image]
            same += len(theirs[image]) - len(missing)
            for name in sorted(missing):
                if not excuses.covers(image, case.base, case.arch, name):
                    lacking.setdefault((image, name), []).append(f"{case.base}+{case.arch}")
    images = {name for name, _ in templates(TREE)}
    lines = [f"  {image} lacks {name} ({', '.join(places)})\n" for (image, name), places in sorted(lacking.items())]
    # An excuse may be there before its image is.
    lines += [f"  {line} is excused and not missing\n" for line in excuses.unused() if line.split(":")[0] in images]
    if excuses.table() not in README.read_text():
        lines.append(f"  {README.relative_to(ROOT)} has not what {EXCUSES.name} says: interface.py --write\n")
    return same, total, lines


def check(parity):
    """Part of the parity suite."""
    name = "interface-of-our-tree"
    if parity.args.only not in name:
        return
    same, total, lines = compare(parity.python, parity.ours, parity.scratch)
    parity.report(f"{name}, {total - same} excused", total - len(lines), total, "".join(lines))


def write_readme():
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(before + BEGIN + Excuses(EXCUSES).table() + END + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/kolla-build")
    parser.add_argument("--write", action="store_true", help="write the reasons into docker/README.md, and no more")
    args = parser.parse_args()
    if args.write:
        write_readme()
        return
    python = PythonKolla("23.0.0")
    python.install()
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        same, total, lines = compare(python, OurKolla(args.binary.resolve()), pathlib.Path(scratch))
    print("".join(lines), end="")
    print(f"{same} of {total} names of Kolla's images are in ours, {len(lines)} complaints")
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
