"""Jobs of a workflow of GitHub Actions, as far as we write such
(https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax)."""

import fnmatch
import hashlib
import json
import re

import yaml
from runner import Job, StepFailed, Unknown, copy, inside, known, machine_for, one_of

MOST_JOBS_OF_A_MATRIX = 256
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


def jobs(text, machines, store, variables=None):
    """The jobs of a file. `store` keeps artifacts of this run, and caches of all, on disk; `variables` are the repository's."""
    file = yaml.safe_load(text)
    # YAML 1.1 takes the word for a truth value.
    known("the workflow", file, ("name", True, "permissions", "jobs"))
    made = {}
    artifacts = store.run()
    for name, job in file["jobs"].items():
        known(name, job, ("name", "runs-on", "needs", "if", "strategy", "steps"))
        made[name] = [Maker(name, job, matrix, machines, artifacts, store, variables or {}) for matrix in matrices(name, job)]
    for name, makers in made.items():
        for need in makers[0].needs:
            if need not in made:
                raise Unknown(f"{name} needs {need}, which is not there")
    return [maker.job(made) for makers in made.values() for maker in makers]


def matrices(name, job):
    strategy = job.get("strategy")
    if strategy is None:
        return [None]
    known(f"the strategy of {name}", strategy, ("fail-fast", "matrix"))
    one_of(f"fail-fast of {name}", strategy.get("fail-fast", True), (False,))
    known(f"the matrix of {name}", strategy["matrix"], ("include",))
    include = strategy["matrix"]["include"]
    if not 0 < len(include) <= MOST_JOBS_OF_A_MATRIX:
        raise Unknown(f"{name} has a matrix of {len(include)} jobs")
    return include


class Maker:
    """Makes one job: one of a matrix, or the only one."""

    def __init__(self, group, definition, matrix, machines, artifacts, store, variables):
        self.group, self.definition, self.matrix = group, definition, matrix
        self.machines, self.artifacts, self.store, self.variables = machines, artifacts, store, variables
        self.needs = definition.get("needs", [])
        self.name = self.filled(definition.get("name", group))

    def job(self, made):
        after = [maker.name for need in self.needs for maker in made[need]]

        def condition(results):
            def result(need):
                ends = {results[maker.name] for maker in made[need]}
                return next((end for end in ("failure", "skipped") if end in ends), "success")

            if "if" not in self.definition:
                return all(end == "success" for end in results.values())
            return self.holds(self.definition["if"], result)

        runs_on = self.definition["runs-on"]
        labels = self.value(runs_on) if EXPRESSION.fullmatch(runs_on) else runs_on
        machine = machine_for(self.machines, [labels] if isinstance(labels, str) else labels, self.name)
        return Job(self.name, after, machine, self.run, condition)

    def holds(self, condition, result):
        """A condition of the two forms that we write."""
        match = re.fullmatch(r"\$\{\{ !cancelled\(\)(?: && needs\.([\w-]+)\.result == '(\w+)')? \}\}", condition)
        if match is None:
            raise Unknown(f"{self.name} has the condition {condition}, which this runner does not know")
        if match[1] is None:
            return True
        if match[1] not in self.needs:
            raise Unknown(f"{self.name} asks for the result of {match[1]}, which it does not need")
        return result(match[1]) == match[2]

    def value(self, text, workspace=None):
        """What stands for one expression."""
        inner = EXPRESSION.fullmatch(text)[1]
        if match := re.fullmatch(r"matrix\.(\w+)", inner):
            if match[1] not in (self.matrix or {}):
                raise Unknown(f"{self.group}: the matrix has no {match[1]}")
            return self.matrix[match[1]]
        if match := re.fullmatch(r"vars\.(\w+) \|\| '([^']*)'", inner):
            return self.variables.get(match[1]) or match[2]
        if match := re.fullmatch(r"vars\.(\w+) \|\| fromJSON\('([^']*)'\)", inner):
            return self.variables.get(match[1]) or json.loads(match[2])
        if (match := re.fullmatch(r"hashFiles\('([^']*)'\)", inner)) and workspace:
            file = workspace.directory / match[1]
            return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""
        raise Unknown(f"{self.group}: this runner does not know the expression {text}")

    def filled(self, text, workspace=None):
        """A text with what stands for the expressions in it."""
        return EXPRESSION.sub(lambda match: str(self.value(match[0], workspace)), text)

    def run(self, workspace):
        failed = None
        save = []
        for step in self.definition["steps"]:
            known(f"a step of {self.name}", step, ("uses", "with", "run", "if"))
            if failed and not ("if" in step and self.holds(step["if"], None)):
                continue
            try:
                self.step(workspace, step, save)
            except StepFailed as error:
                failed = failed or error
        if failed:
            raise failed
        for path, cache in save:
            if (workspace.directory / path).exists() and not cache.exists():
                copy(workspace.directory / path, cache)

    def step(self, workspace, step, save):
        if "run" in step:
            workspace.script(self.filled(step["run"], workspace), {}, ["-e"])
            return
        given = {key: self.filled(value, workspace) if isinstance(value, str) else value
                 for key, value in step.get("with", {}).items()}  # fmt: skip
        actions = {
            "actions/checkout@v4": self.checkout,
            "actions/upload-artifact@v4": self.upload,
            "actions/download-artifact@v4": self.download,
            "actions/cache@v4": lambda workspace, given: save.append(self.restore(workspace, given)),
        }
        one_of(f"an action of {self.name}", step.get("uses"), tuple(actions))
        actions[step["uses"]](workspace, given)

    def checkout(self, workspace, given):
        known("checkout", given, ("fetch-depth",))

    def upload(self, workspace, given):
        known("upload-artifact", given, ("name", "path"))
        target = self.artifacts / given["name"]
        if target.exists():
            raise StepFailed(f"an artifact with the name {given['name']} already exists")
        paths = given["path"].split("\n")
        for path in paths:
            found = inside(workspace.directory, path)
            if not found.exists():
                workspace.log.append(f"No files were found with the provided path: {path}")
            elif found.is_dir() and len(paths) == 1:
                # The artifact has what is in it.
                copy(found, target)
            elif "/" not in path:
                copy(found, target / path)
            else:
                raise Unknown(f"{path}: this runner does not know where it would be in the artifact")

    def download(self, workspace, given):
        known("download-artifact", given, ("name", "pattern", "path", "merge-multiple"))
        target = inside(workspace.directory, given["path"]) if "path" in given else workspace.directory
        if "name" in given:
            if not (self.artifacts / given["name"]).exists():
                raise StepFailed(f"there is no artifact {given['name']}")
            copy(self.artifacts / given["name"], target)
            return
        one_of("merge-multiple", given.get("merge-multiple"), (True,))
        for artifact in sorted(self.artifacts.iterdir()):
            if fnmatch.fnmatchcase(artifact.name, given["pattern"]):
                copy(artifact, target)

    def restore(self, workspace, given):
        known("cache", given, ("path", "key", "restore-keys"))
        exact = self.store.cache(given["key"])
        place = exact.parent
        others = sorted(place.glob(f"{given['restore-keys']}*"), key=lambda found: found.stat().st_mtime) if place.exists() else []
        found = exact if exact.exists() else next(reversed(others), None)
        if found:
            copy(found, inside(workspace.directory, given["path"]))
        return given["path"], exact
