#!/usr/bin/env python3
"""Runs kolla_set_configs through the cases beside this file, each in a root of its own.

As root without Docker, or with --image in containers of that image, which then
test the kolla_set_configs that the image carries.
"""

import argparse
import base64
import concurrent.futures
import difflib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

sys.dont_write_bytecode = True
import throwaway_root

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = throwaway_root.BASE / "set_configs.py"
CASES = [HERE / "set_configs-cases.json", HERE / "set_configs-own-cases.json"]
CONFIG_FILES = "/var/lib/kolla/config_files"
STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (?=[A-Z]+ )")

# Measured cases hold the last lines of a log, and only the last of a traceback.
TAIL = 6
UNEXPECTED = 2


def case_script(case):
    """A shell script that acts out the case; its output is parsed by Outcome."""
    config = case["config"]
    text = config if isinstance(config, str) else json.dumps(config)
    encoded = base64.b64encode(text.encode()).decode()
    lines = [
        "umask 022",
        "program=$(command -v kolla_set_configs)",
        "chmod 755 /etc/hostname",
        f"mkdir -p {CONFIG_FILES}",
        f"echo {encoded} | base64 -d >{CONFIG_FILES}/{case['config_name']}",
        case["setup"],
    ]
    for step in case["steps"]:
        env = " ".join(f"{key}={shlex.quote(value)}" for key, value in step["env"].items())
        lines += [
            step["pre"],
            f"env -i PATH={throwaway_root.PATH} {env} $program {step['args']} >/tmp/log 2>&1",
            r"printf '\036%s\n' $?; cat /tmp/log",
        ]
    lines += [r"printf '\036\n'", case["show"]]
    return "\n".join(line for line in lines if line)


class Outcome:
    """What a case's script printed: per step an exit code and log lines, then the show."""

    def __init__(self, output):
        before, *steps, shown = output.split("\036")
        self.before = before
        self.steps = []
        for step in steps:
            code, *lines = step.splitlines()
            self.steps.append((int(code), lines))
        self.shown = shown.removeprefix("\n").rstrip("\n")


def problems(case, outcome):
    if outcome.before:
        yield f"setup printed: {outcome.before}"
    for number, (step, (code, lines)) in enumerate(zip(case["steps"], outcome.steps), 1):
        if code != step["rc"]:
            yield f"step {number}: exit code {code}, expected {step['rc']}"
        if code != UNEXPECTED:
            for line in lines:
                if not STAMP.match(line):
                    yield f"step {number}: log line without time and level: {line}"
        actual = [STAMP.sub("", line) for line in lines]
        expected = step["log"]
        if case.get("any_order"):
            actual, expected = sorted(actual), sorted(expected)
        elif code == UNEXPECTED or len(expected) == TAIL:
            actual = actual[-len(expected):]
        if actual != expected:
            yield f"step {number}: log differs\n" + difference(expected, actual)
    if outcome.shown != case["shown"].rstrip("\n"):
        yield f"`{case['show']}` differs\n" + difference(
            case["shown"].splitlines(), outcome.shown.splitlines()
        )


def difference(expected, actual):
    diff = difflib.unified_diff(expected, actual, "expected", "actual", lineterm="")
    return "\n".join("    " + line for line in diff)


def run(case, program, image):
    done = throwaway_root.run(case_script(case), {"kolla_set_configs": program}, image)
    if "\036" not in done.stdout:
        raise RuntimeError(f"the case did not run: {done.stderr.strip()}")
    return Outcome(done.stdout)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", help="run inside containers of this image")
    parser.add_argument("--program", type=pathlib.Path, default=PROGRAM,
                        help="the kolla_set_configs to test (default: docker/base/set_configs.py)")
    parser.add_argument("--cases", type=pathlib.Path, action="append",
                        help="a file of cases, repeatable (default: those beside this script)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("names", nargs="*", metavar="CASE", help="run only these cases")
    chosen = parser.parse_args()
    obstacle = throwaway_root.why_not()
    if obstacle and not chosen.image:
        parser.error(obstacle)
    return chosen


def main():
    chosen = arguments()
    cases = [case for path in chosen.cases or CASES for case in json.loads(path.read_text())]
    unknown = set(chosen.names) - {case["name"] for case in cases}
    if unknown:
        sys.exit(f"no such case: {', '.join(sorted(unknown))}")
    cases = [case for case in cases if not chosen.names or case["name"] in chosen.names]

    def found(case):
        try:
            return list(problems(case, run(case, chosen.program, chosen.image)))
        except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
            return [str(error)]

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(chosen.jobs) as pool:
        for case, faults in zip(cases, pool.map(found, cases)):
            if faults:
                failed += 1
                print(f"FAIL {case['name']}")
                for fault in faults:
                    print("  " + fault)
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
