"""What a build has left behind: exit code, summary, console lines, logs and images, as facts that can be compared."""

import io
import json
import os
import re
import subprocess
import tarfile

CONFIGURATION = ("Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "OnBuild", "StopSignal", "User", "Volumes", "WorkingDir")
# The time, where the program comes from, and what only ours sets.
LABELS_LEFT_OUT = r"build-date|org\.opencontainers\.image\.(created|source|revision)|kolla-build\..*"
# Where the stand-ins have their files.
FILES = "/stand-ins"


def docker(*args):
    return subprocess.run(["docker", *args], check=True, capture_output=True).stdout


class Outcome:
    """Of a process that has ended, whose directory holds logs/ and perhaps *.json; `references` are images by name."""

    def __init__(self, process, directory, references):
        self.process, self.directory, self.references = process, directory, references

    def facts(self, inspected):
        facts = {"exit code": self.process.returncode, **self._console(), **self._logs()}
        facts |= self._summary("stdout", self.process.stdout)
        for file in self.directory.glob("*.json"):
            facts |= self._summary(file.name, file.read_text())
        images = self._images()
        facts["images"] = sorted(images)
        if inspected:
            for name, config in images.items():
                facts |= {f"image {name}: {what}": value for what, value in self._image(self.references[name], config)}
        return facts

    def _images(self):
        """The configuration of each image that the engine has."""
        names = {reference: name for name, reference in self.references.items()}
        # It fails when one of them is missing, and prints the others.
        found = subprocess.run(["docker", "image", "inspect", *names], capture_output=True, text=True)
        return {
            names[reference]: image["Config"]
            for image in json.loads(found.stdout) for reference in image["RepoTags"] if reference in names
        }  # fmt: skip

    def _summary(self, where, text):
        """The exact text but for the statuses, and those by image."""
        facts = {where: re.sub(r'("status": )"\w+"', r"\1...", text)}
        if text.startswith("{"):
            facts |= {f"{where}: {entry['name']}": entry["status"] for entry in json.loads(text)["failed"]}
        return facts

    def _console(self):
        """The summary's sections and statuses as pipelines read them, and whether images are heard."""
        text = self.process.stderr
        facts = {f"console: {name} speaks": self._speaks(name, text) for name in self.references}
        lines = re.findall(r"^\w+:kolla\.common\.utils:(.*)$", text, re.MULTILINE)
        heading = None
        for before, line, after in zip(["", *lines], lines, [*lines[1:], ""]):
            if before and before == after and set(before) == {"="}:
                heading = f"console: {line}"
                facts[heading] = []
            elif heading and (entry := re.fullmatch(r"([\w-]+)(?: Failed with status: (.*))?", line)):
                facts[heading].append(entry[1])
                if entry[2]:
                    facts[f"console: {entry[1]}"] = entry[2]
        return facts

    def _logs(self):
        """Which there are, where links lead, and whether the image is heard; of what never began to build, the text."""
        facts = {}
        for file in (self.directory / "logs").iterdir():
            name = file.name.removesuffix(".log")
            if file.is_symlink():
                facts[f"logs: {file.name}"] = f"-> {os.readlink(file)}"
            elif "FROM " in (text := file.read_text()):
                facts[f"logs: {file.name}"] = "speaks" if self._speaks(name, text) else "is there"
            else:
                facts[f"logs: {file.name}"] = text
        return facts

    @staticmethod
    def _speaks(name, text):
        """Whether the image's command is heard; the command itself is printed with an echo before it."""
        return re.search(rf"(?<!echo ){name} speaks", text) is not None

    @staticmethod
    def _image(reference, config):
        """Configuration, labels and files."""
        for key in CONFIGURATION:
            yield key, config.get(key)
        for label, text in config["Labels"].items():
            if not re.fullmatch(LABELS_LEFT_OUT, label):
                yield f"label {label}", text
        container = docker("container", "create", reference).decode().strip()
        try:
            with tarfile.open(fileobj=io.BytesIO(docker("cp", f"{container}:{FILES}", "-"))) as archive:
                for entry in archive:
                    content = archive.extractfile(entry).read() if entry.isfile() else None
                    yield entry.name, (oct(entry.mode), entry.uid, entry.gid, content)
        finally:
            docker("container", "rm", container)
