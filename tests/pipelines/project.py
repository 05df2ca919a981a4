"""A project whose images a pipeline builds: its tree, its exported pipelines, and machines to run them on."""

import argparse
import os
import pathlib
import subprocess
import sys

import environments

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ARCHS = ("x86_64", "aarch64")
PLATFORMS = "linux/amd64,linux/arm64"
FROM = "FROM {{{{ namespace }}}}/{{{{ image_prefix }}}}{parent}:{{{{ tag }}}}\n"
FILES = {"gitlab": "kolla-build.gitlab-ci.yml", "github": ".github/workflows/kolla-build.yml"}
# What GitHub and GitLab call runners of each.
LABELS = {"x86_64": {"x86_64", "self-hosted", "X64"}, "aarch64": {"aarch64", "self-hosted", "ARM64"}}
SYSTEMS = {}


def in_environment():
    """Goes on in an environment that has what the runner needs."""
    venv = ROOT / "target/pipelines/venv"
    if pathlib.Path(sys.prefix) != venv:
        venv.parent.mkdir(parents=True, exist_ok=True)
        environments.install(venv, ["PyYAML==6.0.2"])
        os.execv(venv / "bin/python", [venv / "bin/python", *sys.argv])
    import github
    import gitlab

    SYSTEMS.update(gitlab=gitlab, github=github)


def arguments(about):
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "target/release/kolla-build")
    return parser.parse_args()


def write(directory, images):
    """Writes a tree of images, by their Dockerfiles; each has a file `content`."""
    for name, dockerfile in images.items():
        context = directory / "docker" / name
        context.mkdir(parents=True, exist_ok=True)
        (context / "Dockerfile.j2").write_text(dockerfile)
        (context / "content").write_text(f"{name}\n")


def commit(directory):
    """What is there, as a commit that jobs check out."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "test", f"GIT_{role}_EMAIL": "test@example.org"}
    commands = [["add", "--all"], ["commit", "--quiet", "--message=state"]]
    if not (directory / ".git").exists():
        commands.insert(0, ["init", "--quiet", "--initial-branch=main"])
    for command in commands:
        subprocess.run(["git", *command], cwd=directory, env=environment, check=True)


def export(system, directory, binary, more):
    """The text of the pipeline that the program writes for a project."""
    subprocess.run([binary, "--base=debian", "--images-dir=docker", f"--platform={PLATFORMS}", "--tag=1", *more,
                    f"--export=matrix={system}", "--export-dir=ci"], cwd=directory, check=True, capture_output=True)  # fmt: skip
    return (directory / "ci" / FILES[system]).read_text()


def programs(binary, scratch):
    """A directory that has the program by its name, to be found first."""
    directory = pathlib.Path(scratch) / "programs"
    directory.mkdir(exist_ok=True)
    (directory / "kolla-build").symlink_to(pathlib.Path(binary).resolve())
    return directory


def machines(environment_of):
    """A runner of each architecture, by the environment of its jobs."""
    from runner import Machine

    return [Machine(arch, LABELS[arch], environment_of[arch]) for arch in ARCHS]
