"""Compares what real builds leave behind, on the Docker engine of this host: see outcome.py.

Python Kolla builds every case with the classic builder, our program with both. A difference that the case does not name fails,
and so does one that it names and that is no more.
"""

import concurrent.futures
import dataclasses
import os
import pathlib
import subprocess
import uuid

import generate
from cases import Case
from outcome import Outcome, docker
from programs import environment

# What names the images of this run, and nobody else's.
TAG = f"parity-{uuid.uuid4().hex[:12]}"
NAMESPACE = "kolla-parity"
PYTHON_KOLLA = pathlib.Path(generate.__file__).with_name("python_kolla.py")
BUILDERS = {"classic": "--nobuildkit", "buildkit": "--buildkit"}
# Kolla sleeps for most of a small build's time.
AT_ONCE = 6
BUILD_SECONDS = 300
# Nothing listens on the discard port.
CLOSED_REGISTRY = "127.0.0.1:9"

# By name: the parent, and what the image's Dockerfile does beside the usual of a stand-in.
IMAGES = {
    "base": (None, 'ENV LANG=C.UTF-8 BASE=1\nLABEL name=base\nENTRYPOINT ["/bin/true"]'),
    "sound": ("base", 'RUN echo sound speaks\nARG GIVEN\nENV GIVEN=$GIVEN\nWORKDIR /stand-ins\nCMD ["-x"]\nEXPOSE 80'),
    "sound-child": ("sound", "RUN chmod 0750 sound && chown 5:6 sound && echo more >>sound\nUSER 1000:1000"),
    "broken": ("base", "RUN echo broken speaks; exit 7"),
    "broken-child": ("broken", ""),
    "broken-grandchild": ("broken-child", ""),
    # Kolla can't build one of this name on Rocky.
    "tgtd": ("base", ""),
    "tgtd-child": ("tgtd", ""),
}


@dataclasses.dataclass
class Build(Case):
    base: str = "debian"
    unbuildable: bool = False
    registry: str = ""
    # Images that the engine has beforehand.
    existing: tuple = ()
    # Whether configuration and files of the built images are compared too.
    inspected: bool = False
    # What Kolla has and what we have instead, by fact.
    differences: dict = dataclasses.field(default_factory=dict)

    def namespace(self, who):
        return f"{NAMESPACE}/{self.name}-{who}"

    def reference(self, who, image):
        return "/".join([*filter(None, [self.registry]), self.namespace(who), f"{image}:{TAG}"])


def lost_to_their_parent(status, **more):
    """Kolla leaves what a failed parent costs as if it had never been tried, and writes no log of it."""
    lost = ["broken-child", "broken-grandchild"]
    differences = {f"stdout: {image}": ("matched", "parent_error") for image in lost}
    differences |= {f"console: {image}": ("matched", status) for image in lost}
    differences |= {f"logs: {image}.log": (None, "ERROR:kolla.common.utils.%s:Not built because broken failed\n" % image) for image in lost}
    return differences | more


def cases():
    json = ["--format", "json"]
    configured = {"kolla-build.conf": "[DEFAULT]\nallowed_to_fail = broken\nbuild_args = GIVEN:7\n"}
    yield Build("builds-sound", [*json, "sound"], configured, inspected=True)
    yield Build("builds-text", ["^base$"])
    yield Build("builds-quiet", ["--quiet", "^sound$"])
    to_file = ["--summary-json-file", "{dir}/summary.json", "^base$"]
    yield Build("builds-to-file", [*json, *to_file])
    yield Build("builds-to-file-as-text", to_file)
    # What can't be written is told before anything is built.
    yield Build("builds-to-file-unwritable", [*json, "--summary-json-file", "{dir}/none/summary.json", "^base$"],
                differences={"console: Successfully built images": (["base"], None), "images": (["base"], []),
                             "logs: base.log": ("is there", None)})  # fmt: skip
    yield Build("builds-failure", [*json, "sound", "broken"], {"logs/000_FAILED_broken.log": "left by an older run"},
                differences=lost_to_their_parent("parent_error"))  # fmt: skip
    # In the end we tell why images failed, in their last lines, which nobody would find otherwise.
    yield Build("builds-failure-quiet", ["--quiet", "^broken$"], differences={"console: broken speaks": (False, True)})
    # Without a summary Kolla makes no link.
    yield Build("builds-failure-nosummary", [*json, "--nosummary", "^broken$"],
                differences={"logs: 000_FAILED_broken.log": (None, "-> broken.log")})  # fmt: skip
    yield Build("builds-failure-allowed", [*json, "^base$", "^broken$"], configured)
    # What an image that may fail takes with it may fail too.
    yield Build("builds-failure-allowed-with-children", [*json, "broken"], configured,
                differences=lost_to_their_parent("parent_error (allowed to fail)", **{"exit code": (1, 0)}))  # fmt: skip
    yield Build("builds-skip-existing", [*json, "--skip-existing", "sound", "^broken$"], existing=("base", "sound-child", "broken"))
    yield Build("builds-skip-parents", [*json, "--skip-parents", "sound"], existing=("base", "sound"))
    everything = ", ".join(f'{{"name": "{image}"}}' for image in sorted(IMAGES))
    nothing = f'{{"built": [], "failed": [], "not_matched": [{everything}], "skipped": [], "unbuildable": []}}'
    # A word that no image has in its name is a mistake.
    yield Build("builds-nothing", [*json, "nothing-like-it"], differences={"exit code": (0, 1), "stdout": (nothing, "")})
    yield Build("builds-unbuildable", [*json, "base", "tgtd"], base="rocky")
    yield Build("builds-enable-unbuildable", [*json, "^tgtd$"], base="rocky", unbuildable=True)
    yield Build("builds-push-error", [*json, "--push", "^base$"], registry=CLOSED_REGISTRY)


def write_tree(directory, content):
    generate.generate(directory, content, [(image, parent) for image, (parent, _) in IMAGES.items()])
    for image, (_, more) in IMAGES.items():
        with open(directory / "docker" / image / "Dockerfile.j2", "a") as dockerfile:
            # By this label the steps of a failed build are found and removed, too.
            dockerfile.write(f"LABEL parity={TAG}\n{more}\n")


def remove_images():
    patterns = [f"reference={prefix}{NAMESPACE}/*/*:{TAG}" for prefix in ("", f"{CLOSED_REGISTRY}/")]
    filters = [word for pattern in patterns for word in ("--filter", pattern)]
    names = docker("image", "ls", *filters, "--format", "{{.Repository}}:{{.Tag}}").decode().split()
    if names:
        docker("image", "rm", "--force", *names)
    docker("image", "prune", "--force", "--filter", f"label=parity={TAG}")


def command(parity, who, tree):
    if who == "theirs":
        return [parity.python.venv / "bin/python", PYTHON_KOLLA, tree, "--nobuildkit"]
    return [parity.ours.binary, *parity.our_args([BUILDERS[who]], tree / "docker")]


def build(parity, case, who):
    """Runs one program on one case; what that has left, by fact."""
    directory = parity.scratch / f"{case.name}-{who}"
    # Every case has content of its own: of equal steps that run at once, BuildKit runs one.
    write_tree(directory, f"{TAG} {case.name}")
    # Kolla wants the logs' directory to be there.
    (directory / "logs").mkdir(parents=True)
    case.prepare(directory)
    for image in case.existing:
        docker("tag", "debian:trixie", case.reference(who, image))
    # Without the cache no program profits from another, and without retries Kolla does not repeat what must fail.
    args = [
        *case.command_line(directory), "--namespace", case.namespace(who), "--tag", TAG, "--nopull", "--nocache", "--retries", "0",
        "--base-image", "debian", "--base-tag", "trixie", "--logs-dir", directory / "logs",
        *(["--registry", case.registry] if case.registry else []),
    ]  # fmt: skip
    engine = {name: os.environ[name] for name in ("DOCKER_HOST",) if name in os.environ}
    done = subprocess.run(
        [*command(parity, who, directory), *args], env=environment(directory) | engine, cwd=directory,
        capture_output=True, text=True, timeout=BUILD_SECONDS,
    )  # fmt: skip
    references = {image: case.reference(who, image) for image in IMAGES}
    outcome = Outcome(done, directory, references)
    return outcome.facts(inspected=case.inspected)


def compare(parity, case, builder, theirs, ours):
    expected, wrong = dict(theirs), {}
    for fact, (kolla, instead) in case.differences.items():
        if theirs.get(fact) != kolla:
            wrong[fact] = f"Kolla no longer has {kolla!r} but {theirs.get(fact)!r}"
        expected[fact] = instead
    facts = expected.keys() | ours.keys()
    for fact in sorted(facts - wrong.keys()):
        if expected.get(fact) != ours.get(fact):
            wrong[fact] = f"theirs {theirs.get(fact)!r}, expected {expected.get(fact)!r}, ours {ours.get(fact)!r}"
    lines = "".join(f"  {fact}: {what}\n" for fact, what in wrong.items())
    parity.report(f"{case.name} ({builder})", len(facts) - len(wrong), len(facts), lines)


def check(parity):
    found = parity.selected(cases())
    if not found:
        return
    if subprocess.run(["docker", "version"], capture_output=True).returncode != 0:
        print("left out, as no Docker engine answers: builds", flush=True)
        return
    try:
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            # All of Kolla's first: they take longest.
            done = {
                (case.name, who): pool.submit(build, parity, case, who)
                for who in ("theirs", *BUILDERS) for case in found
            }  # fmt: skip
            for case in found:
                for builder in BUILDERS:
                    compare(parity, case, builder, done[case.name, "theirs"].result(), done[case.name, builder].result())
    finally:
        remove_images()
