"""Python Kolla in a venv of its own, and our program, run under the same conditions."""

import concurrent.futures
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.append(str(HERE.parent))
import environments  # noqa: E402

SCRATCH = ROOT / "target/parity"

# What each version needs beside itself on the Pythons of today.
REQUIREMENTS = {
    "23.0.0": ["docker", "graphviz"],
    "22.2.0": ["docker", "setuptools<81"],
    "21.3.0": ["docker", "setuptools<81"],
    "20.6.0": ["docker", "setuptools<81"],
    "19.8.0": ["docker", "setuptools<81"],
    "18.8.0": ["docker", "setuptools<81"],
    "9.4.0": ["docker", "setuptools<81", "jinja2<3.1", "markupsafe<2.1"],
}


def environment(scratch):
    """Templates can read the whole environment, so both programs get the same small one."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
    }


class PythonKolla:
    def __init__(self, version):
        self.version = version
        self.venv = SCRATCH / f"kolla-{version}"

    def install(self):
        environments.install(self.venv, [f"kolla=={self.version}", *REQUIREMENTS[self.version]])

    @property
    def package(self):
        return next(self.venv.glob("lib/python3*/site-packages/kolla"))

    @property
    def tree(self):
        """Older releases have it outside of the package."""
        trees = [self.package / "docker", self.venv / "share/kolla/docker"]
        return next(tree for tree in trees if tree.is_dir())

    def run_plain(self, args, scratch):
        """The installed command, as a user runs it."""
        done = subprocess.run(
            [self.venv / "bin/kolla-build", *args],
            env=environment(scratch), cwd=scratch, capture_output=True, text=True,
        )
        return {"failed": done.returncode != 0, "stdout": done.stdout, "error": done.stderr}

    def run_many(self, jobs, scratch):
        """Many command lines in few processes; each job is {"args", "tree"}."""
        count = min(os.cpu_count() or 1, len(jobs))
        parts = [jobs[start::count] for start in range(count)]
        with concurrent.futures.ThreadPoolExecutor(max(count, 1)) as pool:
            done = list(pool.map(lambda part: self._run_part(part, scratch), enumerate(parts)))
        results = [None] * len(jobs)
        for start, part in enumerate(done):
            results[start::count] = part
        return results

    def _run_part(self, numbered_part, scratch):
        number, part = numbered_part
        results_file = scratch / f"oracle-{number}.json"
        command = [self.venv / "bin/python", HERE / "oracle.py", results_file]
        done = subprocess.run(
            command, input=json.dumps(part), env=environment(scratch), cwd=scratch,
            capture_output=True, text=True,
        )
        if done.returncode != 0:
            sys.exit(f"the oracle itself failed:\n{done.stderr}")
        return json.loads(results_file.read_text())


class Checkout(PythonKolla):
    """The same release as a git checkout of its own, tagged, for our program to find everything in."""

    @property
    def tree(self):
        return SCRATCH / f"checkout-{self.version}"

    def lay_out(self):
        installed = super().tree
        shutil.rmtree(self.tree, ignore_errors=True)
        shutil.copytree(self.package, self.tree / "kolla")
        if not installed.is_relative_to(self.package):
            shutil.copytree(installed, self.tree / "docker")
        author = ["-c", "user.name=a", "-c", "user.email=a@b"]
        for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", self.version], ["tag", self.version]):
            subprocess.run(["git", *author, *arguments], cwd=self.tree, check=True)


class Crash(Exception):
    """Our program ended in a way that is none of its own."""


class OurKolla:
    def __init__(self, binary):
        self.binary = binary

    def run(self, args, scratch, timeout=120, memory=resource.RLIM_INFINITY, variables=()):
        done = subprocess.run(
            [self.binary, *args], env={**environment(scratch), **dict(variables)}, cwd=scratch,
            capture_output=True, text=True, timeout=timeout,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)),
        )
        if done.returncode not in (0, 1, 2):
            raise Crash(f"{self.binary} ended with {done.returncode}: {done.stderr[-500:]}")
        return {"failed": done.returncode != 0, "stdout": done.stdout, "error": done.stderr}
