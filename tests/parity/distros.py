#!/usr/bin/env python3
"""What our image tree puts into images beside what Kolla's does: packages, their repositories and signing keys, users,
and the commands that images run, of every image on every distro and architecture.

An image counts with all that its parents have; a difference is told of the first image that has it. Each needs a reason in
distros.toml, grouped by patterns; a pattern that no difference matches is told too. --list prints the differences alone.
"""

import argparse
import collections
import fnmatch
import json
import os
import pathlib
import re
import shlex
import sys
import tempfile
import tomllib

sys.dont_write_bytecode = True

from programs import HERE, ROOT, SCRATCH, OurKolla, PythonKolla
from two_trees import rendered

REASONS = HERE / "distros.toml"
COMMANDS = ("CMD", "ENTRYPOINT", "EXPOSE", "HEALTHCHECK", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")
INSTALLERS = ("apt", "apt-get", "dnf")
# Options of installers that take the next word.
VALUES = ("-o", "-t", "--target-release")
KEY_PLACES = ("/apt-keys/", "/keyrings/", "/trusted.gpg.d/", "/rpm-gpg/")
COMMANDS_OF_A_STEP = re.compile(r"&&|\|\||[;|\n]")

Fact = collections.namedtuple("Fact", "kind value")


def instructions(dockerfile):
    """(word, rest) of each, lines taken together."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\[ \t]*\n", " ", "\n".join(lines)).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word:
            yield word.upper(), rest.strip()


def commands(step):
    """The words of each command of a RUN step; operators in quotes part them too, which no step of either tree has."""
    for command in COMMANDS_OF_A_STEP.split(step):
        try:
            yield shlex.split(command)
        except ValueError:
            yield command.split()


def operands(words):
    """Words of a command that are neither options nor their values."""
    words = iter(words)
    for word in words:
        if word in VALUES:
            next(words, None)
        elif not word.startswith("-"):
            yield word


def installed(words):
    action, *names = [*operands(words[1:]), ""]
    names = names[:-1]
    if action == "install":
        return [Fact("package", name) for name in names]
    if action in ("remove", "purge", "autoremove"):
        return [Fact("removed", name) for name in names]
    if action == "config-manager":
        return [Fact("repository", " ".join(words[2:]))]
    return []


def user(words):
    program, *rest = words
    name = rest[-1]
    if program == "groupadd":
        return [Fact("user", f"group {name} {rest[rest.index('--gid') + 1]}")]
    facts = []
    for option, what in (("--uid", "id"), ("--gid", "group"), ("--home", "home"), ("--shell", "shell")):
        if option in rest:
            facts.append(Fact("user", f"{name} {what} {rest[rest.index(option) + 1]}"))
    if "--groups" in rest:
        facts += [Fact("user", f"{name} in {group}") for group in rest[rest.index("--groups") + 1].split(",")]
    return facts


def echoed(words):
    """A line of a repository's file; the first one makes the file, so the redirection tells nothing."""
    line, target = words[1], words[-1].lstrip(">")
    if not re.search(r"\.(repo|sources|list)$", target):
        return []
    if line.startswith("gpgkey=") or re.match(r"\s+http", line):
        return [Fact("key", line.strip().removeprefix("gpgkey="))]
    return [Fact("repository", f"{pathlib.Path(target).name}: {line.strip()}")]


def of_command(words):
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    if not words:
        return []
    program = words[0]
    if program in INSTALLERS:
        return installed(words)
    if program in ("chsh", "groupadd", "useradd", "usermod"):
        return user(words)
    if program == "echo" and len(words) > 2:
        return echoed(words)
    if program == "extrepo":
        return [Fact("repository", " ".join(words))]
    if program == "gpg" and "--recv-keys" in words:
        return [Fact("key", words[-1])]
    if program in ("curl", "rpm"):
        to_keys = any(place in word for word in words for place in KEY_PLACES) or "--import" in words
        return [Fact("key", word) for word in words if to_keys and word.startswith("http")]
    return []


def listed(text):
    """A command as a list is the same however it is spaced."""
    try:
        return json.dumps(json.loads(text))
    except ValueError:
        return text


def facts(dockerfile):
    """(name of the parent, facts that add up over parents, {command: its value here})."""
    parent, found, last = None, set(), {}
    for word, rest in instructions(dockerfile):
        if word == "FROM":
            parent = rest.partition(" ")[0]
            found.add(Fact("parent", parent))
        elif word == "RUN":
            for words in commands(rest):
                told = of_command(words)
                # What a step installs and removes is not in the image.
                found -= {Fact("package", fact.value) for fact in told if fact.kind == "removed"}
                found.update(fact for fact in told if fact.kind != "removed")
        elif word in COMMANDS:
            last[word] = listed(rest)
        elif word in ("ADD", "COPY"):
            source, target = rest.split()[-2:]
            if any(place in f"{target}/" for place in KEY_PLACES):
                found.add(Fact("key", source))
            elif "/sources.list.d" in target or "/yum.repos.d" in target:
                found.add(Fact("repository", source))
    return parent, found, last


def images(rendered):
    """{image: (parent or None, all that it has with its parents)}."""
    own = {path.parent.name: facts(path.read_text()) for path in rendered.rglob("Dockerfile")}
    parents = {name: base.rpartition("/")[2].partition(":")[0] for name, (base, _, _) in own.items()}
    whole = {}

    def complete(name):
        if name not in own:
            return set(), {}
        if name not in whole:
            inherited, last = complete(parents[name])
            _, found, here = own[name]
            from_parent = {fact for fact in inherited if fact.kind != "parent"}
            whole[name] = from_parent | found, {**last, **here}
        return whole[name]

    result = {}
    for name in own:
        found, last = complete(name)
        told = found | {Fact("command", f"{word} {value}") for word, value in last.items()}
        result[name] = (parents[name] if parents[name] in own else None, told)
    return result


def differences(theirs, ours):
    """(image, "lacks" or "has", fact), of the first image that has it."""
    changed = {
        name: {("lacks", fact) for fact in theirs[name][1] - ours[name][1]}
        | {("has", fact) for fact in ours[name][1] - theirs[name][1]}
        for name in theirs.keys() & ours.keys()
    }
    for name in theirs.keys() ^ ours.keys():
        yield name, "lacks" if name in theirs else "has", Fact("image", name)
    for name, here in changed.items():
        for side, fact in here - changed.get(theirs[name][0], set()):
            yield name, side, fact


class Reasons:
    def __init__(self, file):
        self.entries = tomllib.loads(file.read_text())["difference"]
        self.used = set()

    def explain(self, image, side, fact, base, arch):
        explained = False
        for number, entry in enumerate(self.entries):
            if entry["kind"] != fact.kind or not self.is_here(entry, image, base, arch):
                continue
            for pattern in entry.get(side, []):
                if fnmatch.fnmatchcase(fact.value, pattern):
                    self.used.add((number, side, pattern))
                    explained = True
        return explained

    @staticmethod
    def is_here(entry, image, base, arch):
        only = entry.get("only", [])
        patterns = entry.get("images", ["*"])
        return (not only or bool({base, arch} & set(only))) and any(fnmatch.fnmatchcase(image, it) for it in patterns)

    def unused(self):
        for number, entry in enumerate(self.entries):
            for side in ("lacks", "has"):
                for pattern in entry.get(side, []):
                    if (number, side, pattern) not in self.used:
                        yield f"  explains nothing: {side} {entry['kind']} {pattern} ({entry['reason']})\n"


def compare(python, ours, scratch):
    """({(image, side, fact): where}, explained ones, all of Kolla's facts, what is wrong as lines)."""
    reasons, found, total = Reasons(REASONS), {}, 0
    unexplained = {}
    for case, theirs, own in rendered(python, ours, scratch):
        theirs, own = images(theirs), images(own)
        total += sum(len(told) for _, told in theirs.values())
        for image, side, fact in differences(theirs, own):
            found.setdefault((image, side, fact), []).append(case.name)
            if not reasons.explain(image, side, fact, case.base, case.arch):
                unexplained.setdefault((image, side, fact), []).append(case.name)
    lines = [
        f"  {image} {side} {fact.kind} {fact.value} ({', '.join(places)})\n"
        for (image, side, fact), places in sorted(unexplained.items())
    ]
    return found, total, [*lines, *reasons.unused()]


def check(parity):
    """Part of the parity suite."""
    name = "contents-of-our-tree"
    if parity.args.only not in name:
        return
    found, total, lines = compare(parity.python, parity.ours, parity.scratch)
    parity.report(f"{name}, {len(found)} differences with reasons", total - len(lines), total, "".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/kolla-build")
    parser.add_argument("--list", action="store_true", help="print every difference, with reason or without")
    args = parser.parse_args()
    os.umask(0o022)
    python = PythonKolla("23.0.0")
    python.install()
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        found, total, lines = compare(python, OurKolla(args.binary.resolve()), pathlib.Path(scratch))
    if args.list:
        for (image, side, fact), places in sorted(found.items()):
            print(f"{image} {side} {fact.kind} {fact.value} ({', '.join(places)})")
        return
    print("".join(lines), end="")
    print(f"{total} facts of Kolla's images, {len(found)} differences, {len(lines)} complaints")
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
