"""Jobs of a GitLab pipeline (https://docs.gitlab.com/ci/yaml/), as far as we write such."""

import re

import yaml
from runner import Job, StepFailed, Unknown, copy, inside, known, machine_for, one_of

JOB_KEYS = ("stage", "needs", "script", "allow_failure", "artifacts", "when", "tags", "cache")
MOST_NEEDS = 50


def jobs(text, machines, store, variables=None):
    """The jobs of a file. `store` keeps artifacts of this run, and caches of all, on disk; `variables` are the project's."""
    file = yaml.safe_load(text)
    defined = {name: value for name, value in file.items() if name not in ("stages", "variables")}
    stages = file["stages"]
    # Those of the project count more than those of the file.
    values = {**file.get("variables", {}), **(variables or {})}
    for name, job in defined.items():
        known(name, job, JOB_KEYS)
        one_of(f"the stage of {name}", job.get("stage"), stages)
    artifacts = store.run()
    made = [Maker(name, defined, stages, values, machines, artifacts, store).job() for name in defined]
    return made


class Maker:
    """Makes one job."""

    def __init__(self, name, defined, stages, variables, machines, artifacts, store):
        self.name, self.definition, self.defined = name, defined[name], defined
        self.stages, self.variables, self.machines = stages, variables, machines
        self.artifacts, self.store = artifacts, store

    def job(self):
        job = self.definition
        when = one_of(f"when of {self.name}", job.get("when", "on_success"), ("on_success", "always"))
        one_of(f"allow_failure of {self.name}", job.get("allow_failure", False), (True, False))
        after, sources = self.needs()
        may_fail = {name for name, other in self.defined.items() if other.get("allow_failure")}

        def condition(results):
            fine = (results[name] == "success" or results[name] == "failure" and name in may_fail for name in after)
            return when == "always" or all(fine)

        tags = [self.expanded(tag) for tag in job.get("tags", [])]
        machine = machine_for(self.machines, tags, self.name)
        return Job(self.name, after, machine, lambda workspace: self.run(workspace, sources), condition,
                   job.get("allow_failure", False))  # fmt: skip

    def needs(self):
        """The jobs to wait for, and those whose artifacts are had."""
        place = self.stages.index(self.definition["stage"])
        stage_of = {name: self.stages.index(job["stage"]) for name, job in self.defined.items()}
        needs = self.definition.get("needs")
        if needs is None:
            before = [name for name, stage in stage_of.items() if stage < place]
            return before, before
        if len(needs) > MOST_NEEDS:
            raise Unknown(f"{self.name} needs {len(needs)} jobs, and GitLab takes {MOST_NEEDS}")
        after, sources = [], []
        for need in needs:
            known(f"a need of {self.name}", need, ("job", "artifacts"))
            if stage_of.get(need["job"], -1) > place:
                raise Unknown(f"{self.name} needs {need['job']} of a later stage")
            after.append(need["job"])
            sources.extend([need["job"]] if need.get("artifacts", True) else [])
        return after, sources

    def expanded(self, text):
        def value(match):
            if match[1] not in self.variables:
                raise Unknown(f"{self.name}: the variable {match[1]} is not set")
            return self.variables[match[1]]

        return re.sub(r"\$(\w+)", value, text)

    def run(self, workspace, sources):
        for name in sources:
            for kept in (self.artifacts / name).glob("*"):
                copy(kept, workspace.directory / kept.name)
        cache = self.cache()
        if cache and cache[0].exists():
            copy(cache[0], workspace.directory)
        failed = None
        try:
            script = "\n".join(self.definition["script"])
            workspace.script(script, self.variables, ["-e", "-o", "pipefail"])
            for path in cache[1] if cache else []:
                if (workspace.directory / path).exists():
                    copy(workspace.directory / path, cache[0] / path)
        except StepFailed as error:
            failed = error
        self.keep(workspace, failed is not None)
        if failed:
            raise failed

    def cache(self):
        cache = self.definition.get("cache")
        if cache is None:
            return None
        known(f"the cache of {self.name}", cache, ("key", "paths"))
        if not isinstance(cache["key"], str) or "$" in cache["key"]:
            raise Unknown(f"the cache of {self.name} has a key that is no plain name")
        return self.store.cache(cache["key"]), cache["paths"]

    def keep(self, workspace, has_failed):
        artifacts = self.definition.get("artifacts", {})
        what = f"artifacts of {self.name}"
        known(what, artifacts, ("paths", "when", "reports"))
        known(f"reports in {what}", artifacts.get("reports", {}), ("junit",))
        when = one_of(f"when of {what}", artifacts.get("when", "on_success"), ("on_success", "always"))
        if has_failed and when == "on_success":
            return
        for path in artifacts.get("paths", []):
            found = inside(workspace.directory, path)
            if found.exists():
                copy(found, self.artifacts / self.name / path)
            else:
                workspace.log.append(f"WARNING: {path}: no matching files")
