#!/usr/bin/env python3
"""Gives override files of others, in a directory, to Kolla's tree and to ours: what has an effect there must have one here.

They are not part of this repository: collect them with git, one file each. A file that Kolla's tree can't be rendered with
is told and not counted. The exit code is 1 when an override of Kolla's tree is dead or refused on ours.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import sys
import tempfile

sys.dont_write_bytecode = True

from cases import BASES
from programs import ROOT, SCRATCH, OurKolla, PythonKolla

# A warning of the program: its file, line, and the name or text that it is about.
WARNING = re.compile(r"^warning: .+?:(?P<line>\d+): (?P<text>.*)", re.MULTILINE)
NAME = re.compile(r"'[^']*'")


def without_effect(output):
    """(line of the override file, the name that is dead, or all that is said) of each warning."""
    for found in WARNING.finditer(output):
        name = NAME.search(found["text"])
        yield int(found["line"]), name[0] if name else found["text"]


def render(ours, file, base, tree):
    """(whether it was refused, what has no effect, all that was said)."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        args = ["--images-dir", str(tree), "--base", base, "--config-file", os.devnull, "--template-override", str(file),
                "--enable-unbuildable", "--template-only", "--work-dir", f"{scratch}/out"]
        done = ours.run(args, pathlib.Path(scratch))
    return done["failed"], set(without_effect(done["error"])), done["error"]


def compare(ours, file, theirs_tree, our_tree, bases=BASES):
    """(words on the file, what is worse on our tree as lines)."""
    lines, refused, dead = [], 0, set()
    for base in bases:
        failed, there, _ = render(ours, file, base, theirs_tree)
        if failed:
            refused += 1
            continue
        failed, here, said = render(ours, file, base, our_tree)
        if failed:
            lines.append(f"  {file.name}: refused on {base}: {said.strip()[-300:]}\n")
        lines += [f"  {file.name}:{line}: {about} is dead on {base}\n" for line, about in sorted(here - there)]
        dead |= there
    words = f"Kolla's tree refuses it on {refused} distros" if refused else f"{len(dead)} dead on Kolla's tree"
    return words, refused == len(bases), lines


def check(parity):
    """Part of the parity suite: what the comparison says of an override of ours, on our tree and on one without blocks."""
    name = "comparison-of-overrides"
    if parity.args.only not in name:
        return
    directory = parity.scratch / name
    (directory / "bare/base").mkdir(parents=True)
    (directory / "bare/base/Dockerfile.j2").write_text("FROM {{ base_image }}:{{ base_distro_tag }}\n")
    override = directory / "override.j2"
    override.write_text(
        "{% extends parent_template %}\n{% set no_image_packages_append = ['x'] %}\n"
        "{% block keystone_footer %}\nLABEL x=y\n{% endblock %}\n"
    )
    _, dead, _ = render(parity.ours, override, "debian", parity.python.tree)
    _, refused, same = compare(parity.ours, override, parity.python.tree, ROOT / "docker", ["debian"])
    _, _, worse = compare(parity.ours, override, parity.python.tree, directory / "bare", ["debian"])
    told = [sorted(dead), refused, same, worse]
    wanted = [[(2, "'no_image_packages_append'")], False, [], ["  override.j2:3: 'keystone_footer' is dead on debian\n"]]
    parity.report(name, int(told == wanted), 1, f"  {told} instead of {wanted}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path, help="override files (*.j2)")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/kolla-build")
    parser.add_argument("--tree", type=pathlib.Path, default=ROOT / "docker", help="tree to compare with Kolla's")
    args = parser.parse_args()
    files = sorted(args.directory.resolve().glob("*.j2"))
    if not files:
        sys.exit(f"{args.directory} has no *.j2")
    python = PythonKolla("23.0.0")
    python.install()
    ours = OurKolla(args.binary.resolve())
    counted, worse = 0, 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda file: compare(ours, file, python.tree, args.tree.resolve()), files)
        for file, (words, refused, lines) in zip(files, results):
            counted += not refused
            worse += bool(lines)
            print(f"{'WORSE' if lines else 'as there'}  {file.name} ({words})\n{''.join(lines)}", end="", flush=True)
    print(f"{counted} of {len(files)} files work on Kolla's tree, {counted - worse} of these as well on ours")
    sys.exit(1 if worse else 0)


if __name__ == "__main__":
    main()
