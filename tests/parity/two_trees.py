"""Kolla's image tree and this project's, rendered for every distro and architecture."""

import shutil
import sys

from cases import combinations
from programs import ROOT

TREE = ROOT / "docker"


def rendered(python, ours, scratch, options=()):
    """(case, directory of Kolla's Dockerfiles, directory of ours), of each. The directories go before the next ones come."""
    cases, jobs = combinations(), []
    for case in cases:
        directory = scratch / case.name
        directory.mkdir()
        args = [*case.command_line(directory), *options, "--template-only", "--work-dir"]
        jobs.append({"args": [*args, str(directory / "theirs")], "tree": None})
        done = ours.run([*args, str(directory / "ours"), "--images-dir", str(TREE)], scratch)
        if done["failed"]:
            sys.exit(f"our tree can't be rendered for {case.name}: {done['error']}")
    for case, done in zip(cases, python.run_many(jobs, scratch)):
        if done["failed"]:
            sys.exit(f"Kolla's tree can't be rendered for {case.name}: {done['error']}")
        directory = scratch / case.name
        yield case, directory / "theirs/docker", directory / "ours/docker"
        shutil.rmtree(directory)
