"""A small CI system on this machine: jobs in the order of what they wait for, each in a checkout of its own.

Nothing passes from one job to another but what the pipeline declares: artifacts and caches. What a pipeline says and this
does not know is an error (Unknown), never left out.
"""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import tempfile
import typing


class Unknown(Exception):
    """Something in a pipeline that the runner does not know, or that can't be."""


class StepFailed(Exception):
    """A step of a job that has failed."""


@dataclasses.dataclass
class Machine:
    """A runner: what it is called by, and the environment of its jobs."""

    arch: str
    labels: set
    environment: dict


@dataclasses.dataclass
class Job:
    """A job, whatever the system. `condition` is asked with the results of all jobs that have ended."""

    name: str
    after: list
    machine: Machine
    run: typing.Callable
    condition: typing.Callable
    may_fail: bool = False


@dataclasses.dataclass
class Ended:
    """A job that has ended: `success`, `failure` or `skipped`, and the directory that it has left."""

    result: str
    machine: Machine
    workspace: pathlib.Path
    log: str = ""


def known(what, mapping, keys):
    """Makes sure that a mapping has no other keys than these."""
    if not isinstance(mapping, dict):
        raise Unknown(f"{what} is no mapping: {mapping!r}")
    other = set(mapping) - set(keys)
    if other:
        raise Unknown(f"{what} has {', '.join(sorted(map(str, other)))}, which this runner does not know")


def one_of(what, value, values):
    """Makes sure that a value is one of these."""
    if value not in values:
        raise Unknown(f"{what} is {value!r}, and this runner knows {values}")
    return value


def machine_for(machines, labels, what):
    """The first machine that has all labels."""
    for machine in machines:
        if set(labels) <= machine.labels:
            return machine
    raise Unknown(f"{what} asks for a runner with {sorted(labels)}, and there is none")


def copy(source, target):
    """Copies a file or a directory into what is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def inside(workspace, path):
    """A path of a pipeline, which must not lead out of the job's directory."""
    found = (workspace / path).resolve()
    if not found.is_relative_to(workspace.resolve()) or found == workspace.resolve():
        raise Unknown(f"{path} is not in the project's directory")
    return workspace / path


class Workspace:
    """The checkout of a job, its home, and what it says."""

    def __init__(self, directory, machine, programs):
        self.directory = directory
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(directory.parent / "home"),
            "LANG": "C.UTF-8",
            **machine.environment,
        }
        pathlib.Path(self.environment["HOME"]).mkdir()
        self.log = []

    def script(self, text, variables, options):
        """Runs a script as the system's own shell would."""
        done = subprocess.run(["bash", *options, "-c", text], cwd=self.directory, env={**self.environment, **variables},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
        self.log.append(done.stdout)
        if done.returncode != 0:
            raise StepFailed(f"exit code {done.returncode}: {text}\n{done.stdout}")


class Runner:
    """Runs jobs of a project. `before` is called with each machine before a job begins there."""

    def __init__(self, project, programs, scratch, before=lambda machine: None):
        self.project = project
        self.programs = programs
        self.scratch = pathlib.Path(scratch)
        self.before = before

    def run(self, jobs):
        """Runs the jobs; gives what came of each, in the order in which they ran."""
        names = [job.name for job in jobs]
        if len(names) != len(set(names)):
            raise Unknown("two jobs have one name")
        for job in jobs:
            missing = set(job.after) - set(names)
            if missing:
                raise Unknown(f"{job.name} waits for {', '.join(sorted(missing))}, which is not there")
        ended, pending = {}, list(jobs)
        while pending:
            ready = [job for job in pending if all(other in ended for other in job.after)]
            if not ready:
                raise Unknown(f"jobs wait for each other: {', '.join(job.name for job in pending)}")
            # The last that could: the order in the file must not matter.
            job = ready[-1]
            pending.remove(job)
            ended[job.name] = self.run_job(job, ended)
        return ended

    def run_job(self, job, ended):
        if not job.condition({name: end.result for name, end in ended.items()}):
            return Ended("skipped", job.machine, None)
        directory = pathlib.Path(tempfile.mkdtemp(dir=self.scratch)) / "checkout"
        directory.parent.mkdir(exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", self.project, directory], check=True)
        self.before(job.machine)
        workspace = Workspace(directory, job.machine, self.programs)
        try:
            job.run(workspace)
            result = "success"
        except StepFailed as error:
            workspace.log.append(str(error))
            result = "failure"
        return Ended(result, job.machine, directory, "\n".join(workspace.log))


class Store:
    """Where artifacts and caches are kept."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.runs = 0

    def run(self):
        """A place for the artifacts of another run."""
        self.runs += 1
        place = self.directory / f"run-{self.runs}"
        place.mkdir(parents=True)
        return place

    def cache(self, key):
        return self.directory / "caches" / key
