"""Images of a benchmark's run in the engine of DOCKER_HOST or the default socket: what builds them sees, and their removal."""

import os
import subprocess

from programs import environment


def variables(scratch):
    """The small environment that every program gets, and the engine's address."""
    return environment(scratch) | {name: os.environ[name] for name in ("DOCKER_HOST",) if name in os.environ}


def remove_images(tag):
    """Takes away the images of this tag."""
    names = subprocess.run(
        ["docker", "image", "ls", "--filter", f"reference=kolla-bench/*/*:{tag}", "--format", "{{.Repository}}:{{.Tag}}"],
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    if names:
        subprocess.run(["docker", "image", "rm", "--force", *names], check=True, capture_output=True)
