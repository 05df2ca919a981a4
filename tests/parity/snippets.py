"""Small templates, each an image of its own in a generated tree.

Both programs must print the same. Those in refused.j2 both must refuse, and those
in known-differences.j2 must still differ, so that DIFFERENCES.md stays true.
Those in limits.j2 only our program gets: it must refuse each in little time and
memory, where Python would use up the machine.
"""

import pathlib
import shutil
import subprocess

from cases import Case
from programs import Crash
from tree import describe

HERE = pathlib.Path(__file__).resolve().parent / "snippets"
REFUSED = "refused-"
KNOWN_DIFFERENCES = "known-differences-"
LIMITS = "limits-"

LIMIT_SECONDS = 20
LIMIT_BYTES = 2 << 30


def read_all():
    """{image name: template}; a snippet is called after its file and its heading."""
    found = {}
    for path in sorted(HERE.glob("*.j2")):
        for part in ("\n" + path.read_text()).split("\n## ")[1:]:
            name, _, text = part.partition("\n")
            found[f"{path.stem}-{name}"] = text
    return found


def make_tree(directory, snippets):
    tree = directory / "docker"
    shutil.copytree(HERE / "lib", tree / "lib")
    for name, text in {"base": "FROM scratch\n", **snippets}.items():
        (tree / name).mkdir()
        (tree / name / "Dockerfile.j2").write_text(text)
    return tree


def check(parity):
    kinds = {
        REFUSED: lambda parity, found: check_one_by_one(parity, "snippets that are refused", found),
        KNOWN_DIFFERENCES: check_known_differences,
        LIMITS: check_limits,
        "": check_printed,
    }
    found = {name: text for name, text in read_all().items() if parity.args.only in name}
    for prefix, check_kind in kinds.items():
        of_kind = {name: found.pop(name) for name in list(found) if name.startswith(prefix)}
        if of_kind:
            check_kind(parity, of_kind)


def jobs_of(parity, name, snippets):
    directory = parity.scratch / name
    tree = make_tree(directory, snippets)
    args = [*Case(name).command_line(directory), "--template-only", "--work-dir"]
    theirs = {"args": [*args, str(directory / "theirs")], "tree": str(directory)}
    ours = parity.our_args([*args, str(directory / "ours")], tree)
    return theirs, ours


def check_printed(parity, snippets):
    """All snippets in one tree, for it is quick; one that is refused takes the others with it."""
    theirs, ours = jobs_of(parity, "snippets", snippets)
    failed = parity.python.run_many([theirs], parity.scratch)[0]["failed"]
    if failed or parity.ours.run(ours, parity.scratch)["failed"]:
        check_one_by_one(parity, "snippets that print", snippets)
        return
    differences = {name: difference(parity, "snippets", name) for name in snippets}
    report(parity, "snippets that print", differences)


def check_one_by_one(parity, title, snippets):
    differences = {}
    for name, theirs, ours in run_one_by_one(parity, snippets):
        must_fail = name.startswith(REFUSED)
        if theirs["failed"] or ours["failed"] or must_fail:
            as_wanted = theirs["failed"] and ours["failed"] and must_fail
            differences[name] = "" if as_wanted else f"  {name}\n{parity.errors(theirs, ours)}"
        else:
            differences[name] = difference(parity, name, name)
    report(parity, title, differences)


def check_known_differences(parity, snippets):
    gone = {}
    for name, theirs, ours in run_one_by_one(parity, snippets):
        failed = theirs["failed"], ours["failed"]
        same = all(failed) or not any(failed) and not difference(parity, name, name)
        gone[name] = f"  {name}: now both do the same; DIFFERENCES.md need not tell of it\n" if same else ""
    report(parity, "known differences that are told of", gone)


def run_one_by_one(parity, snippets):
    jobs = {name: jobs_of(parity, name, {name: text}) for name, text in snippets.items()}
    their_results = parity.python.run_many([theirs for theirs, _ in jobs.values()], parity.scratch)
    for (name, (_, ours)), theirs in zip(jobs.items(), their_results):
        yield name, theirs, parity.ours.run(ours, parity.scratch)


def check_limits(parity, snippets):
    trouble = {}
    for name, text in snippets.items():
        _, ours = jobs_of(parity, name, {name: text})
        try:
            result = parity.ours.run(ours, parity.scratch, LIMIT_SECONDS, LIMIT_BYTES)
            trouble[name] = "" if result["failed"] else f"  {name}: rendered, should be refused\n"
        except (subprocess.TimeoutExpired, Crash) as error:
            trouble[name] = f"  {name}: {error}\n"
    report(parity, "limits that hold", trouble)


def difference(parity, run, name):
    """What differs between the outputs of one snippet; nothing when they are the same."""
    theirs, ours = (
        (0, (parity.scratch / run / who / "docker" / name / "Dockerfile").read_bytes()) for who in ("theirs", "ours")
    )
    return "" if theirs == ours else describe(name, theirs, ours)


def report(parity, title, differences):
    same = sum(not text for text in differences.values())
    parity.report(title, same, len(differences), "".join(differences.values()))
