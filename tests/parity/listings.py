"""Lists, trees and graphs of images as both programs print them. Kolla's order is that of its file system: any is right."""

import json

from cases import Case

# Options that say which images are matched.
SELECTIONS = {
    "everything": ([], True),
    "buildable": ([], False),
    "regexes": (["nova", "^keystone", "(horizon|x)$"], False),
    "regex-of-unbuildable": (["mariadb", "hacluster"], False),
    "profile": (["--profile", "infra", "-p", "aux"], False),
    "default-profile": (["--profile", "default"], False),
    "skip-parents": (["--skip-parents"], True),
    "skip-parents-of-match": (["--skip-parents", "nova-api", "neutron"], True),
    "prefix": (["--image-name-prefix", "pre-", "--registry", "r:5000", "cinder"], True),
}


def image_names(text):
    """The names in lines like `7 : name`, whose numbers must count from 1."""
    rows = [line.split(" : ") for line in text.splitlines()]
    assert [number for number, _ in rows] == [str(index + 1) for index in range(len(rows))], text
    return sorted(name for _, name in rows)


def dependencies(text):
    def in_order(node):
        if isinstance(node, str):
            return node
        return {name: sorted(map(in_order, children), key=str) for name, children in node.items()}

    return in_order(json.loads(text))


def layout(text):
    """What stands around the names: scripts may read the text line by line."""
    return sorted(line.strip(" ,") for line in text.splitlines())


LISTINGS = {
    "list-images": (["--list-images"], image_names),
    "first-of-two": (["--list-dependencies", "--list-images"], image_names),
    "list-dependencies": (["--list-dependencies"], lambda text: (dependencies(text), layout(text))),
    "save-dependency": (["--save-dependency", "{file}"], lambda text: sorted(text.replace("LR\t", "LR\n\t").splitlines())),
}


def check(parity):
    jobs = []
    for number, (selection, (args, unbuildable)) in enumerate(SELECTIONS.items()):
        for listing, (listing_args, meaning) in LISTINGS.items():
            case = Case(f"{listing}-{selection}", [*listing_args, *args], base="rocky" if number % 2 else "debian",
                        arch="aarch64" if number % 3 else "x86_64", unbuildable=unbuildable)
            if parity.args.only in case.name:
                jobs.append((case, meaning))
    if not jobs:
        return

    def command_line(case, who):
        args = case.command_line(parity.scratch)
        return [arg.replace("{file}", str(parity.scratch / f"{case.name}-{who}.dot")) for arg in args]

    theirs = parity.python.run_many(
        [{"args": command_line(case, "theirs"), "tree": None} for case, _ in jobs], parity.scratch
    )
    for (case, meaning), their_result in zip(jobs, theirs):
        our_result = parity.ours.run(parity.our_args(command_line(case, "ours")), parity.scratch)
        texts = []
        for who, result in (("theirs", their_result), ("ours", our_result)):
            file = parity.scratch / f"{case.name}-{who}.dot"
            texts.append(file.read_text() if file.exists() else result["stdout"])
        compare(parity, case.name, meaning, their_result, our_result, texts)


def compare(parity, name, meaning, theirs, ours, texts):
    if theirs["failed"] or ours["failed"]:
        parity.report(name, 0, 1, parity.errors(theirs, ours))
        return
    meanings = [meaning(text) for text in texts]
    parity.report(name, int(meanings[0] == meanings[1]), 1, f"  theirs: {texts[0][:600]}\n  ours: {texts[1][:600]}\n")
