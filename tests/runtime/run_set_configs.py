#!/usr/bin/env python3
"""Runs kolla_set_configs through the cases beside this file, each in a root of its own.

As root, a case's root is a tmpfs in a private mount namespace with the host's /usr
bound read-only: nothing of it outlives the case. With --image a case is a container
of that image, and the program under test is the image's own.
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
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = HERE.parent.parent / "docker/base/set_configs.py"
CASES = [HERE / "set_configs-cases.json", HERE / "set_configs-own-cases.json"]
CONFIG_FILES = "/var/lib/kolla/config_files"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (?=[A-Z]+ )")

# Measured cases hold the last lines of a log, and only the last of a traceback.
TAIL = 6
UNEXPECTED = 2

USERS = "root:x:0:0 daemon:x:1:1 games:x:5:60 nobody:x:65534:65534".split()
GROUPS = "root:x:0: daemon:x:1: games:x:60: nogroup:x:65534:".split()

MAKE_ROOT = """
set -e
mount -t tmpfs -o mode=755 tmpfs "$1"
cd "$1"
mkdir -p usr etc dev var program
mkdir -m 1777 tmp
for directory in bin sbin lib lib32 lib64 libx32; do
    if [ -L /$directory ]; then
        cp -P /$directory $directory
    elif [ -d /$directory ]; then
        mkdir $directory
        mount --bind -o ro /$directory $directory
    fi
done
mount --bind /usr usr
mount -o remount,bind,ro usr
touch dev/null
mount --bind /dev/null dev/null
cp /etc/ld.so.cache etc/
echo host >etc/hostname
printf '%s\\n' $USERS | sed "s,$,::/:/bin/sh," >etc/passwd
printf '%s\\n' $GROUPS >etc/group
cp "$2" program/kolla_set_configs
chmod 755 program/kolla_set_configs
exec chroot . /bin/sh -c "$3"
"""

# The cases speak of Debian's names, and of an executable /etc/hostname.
PREPARE_IMAGE = "grep -q ^nogroup: /etc/group || echo nogroup:x:65533: >>/etc/group"


def case_script(case, program):
    """A shell script that acts out the case; its output is parsed by Outcome."""
    config = case["config"]
    text = config if isinstance(config, str) else json.dumps(config)
    encoded = base64.b64encode(text.encode()).decode()
    lines = [
        "umask 022",
        "chmod 755 /etc/hostname",
        f"mkdir -p {CONFIG_FILES}",
        f"echo {encoded} | base64 -d >{CONFIG_FILES}/{case['config_name']}",
        case["setup"],
    ]
    for step in case["steps"]:
        env = " ".join(f"{key}={shlex.quote(value)}" for key, value in step["env"].items())
        lines += [
            step["pre"],
            f"env -i PATH={PATH} {env} {program} {step['args']} >/tmp/log 2>&1",
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


def run_in_root(case, program):
    root = tempfile.mkdtemp(prefix="set_configs-")
    try:
        return run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", MAKE_ROOT, "sh",
             root, str(program), case_script(case, "/program/kolla_set_configs")],
            env={"PATH": PATH, "USERS": " ".join(USERS), "GROUPS": " ".join(GROUPS)},
        )
    finally:
        os.rmdir(root)


def run_in_image(case, image):
    script = PREPARE_IMAGE + "\n" + case_script(case, "/usr/local/bin/kolla_set_configs")
    return run(["docker", "run", "--rm", "--network", "none", "--user", "0",
                "--entrypoint", "/bin/sh", image, "-c", script])


def run(command, env=None):
    done = subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=120
    )
    output = done.stdout.decode(errors="surrogateescape")
    if output.count("\036") == 0:
        raise RuntimeError(f"the case did not run: {done.stderr.decode().strip()}")
    return Outcome(output)


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
    if not chosen.image and (os.geteuid() != 0 or not shutil.which("unshare")):
        parser.error("making roots needs root and unshare; else give --image")
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
            if chosen.image:
                outcome = run_in_image(case, chosen.image)
            else:
                outcome = run_in_root(case, chosen.program)
            return list(problems(case, outcome))
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
