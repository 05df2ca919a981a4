"""A host of its own in a container: systemd is its first process, and it has an engine of its own, kolla-ansible and the
client of OpenStack. Nothing of this machine is changed by what runs on it, and nothing listens outside of it."""

import pathlib
import subprocess
import sys
import time

CONTEXT = pathlib.Path(__file__).resolve().parent / "kolla-ansible"
IMAGE = "kolla-build-kolla-ansible"
KOLLA_ANSIBLE = "23.0.0"
# Not --privileged, which an engine that lacks a capability itself refuses.
CAPABILITIES = (
    "--cap-add=ALL --cap-drop=SYS_RESOURCE --security-opt=seccomp=unconfined --security-opt=apparmor=unconfined"
    " --security-opt=systempaths=unconfined"
).split()


def engine(*words, **options):
    """What a command of this machine's engine prints."""
    options = {"check": True, "text": True, "stdout": subprocess.PIPE, **options}
    return subprocess.run(["docker", *words], **options).stdout


class Host:
    """A host; its name is that of its container and of the volume of its engine."""

    def __init__(self, name):
        self.name = name

    def run(self, *words, **options):
        """What a command prints on the host."""
        given = ["--interactive"] if "input" in options else []
        return engine("exec", *given, self.name, *words, **options)

    def remove(self):
        engine("rm", "--force", "--volumes", self.name, stderr=subprocess.DEVNULL)
        engine("volume", "rm", "--force", self.name)
        # On a machine with control groups of the first version beside them, those of the second outlive the container.
        mounts = (line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines())
        for group in (pathlib.Path(at, self.name) for _, at, kind, *_ in mounts if kind == "cgroup2"):
            for directory in sorted([group, *group.rglob("*/")], reverse=True) if group.exists() else ():
                directory.rmdir()

    def start(self, *mounts):
        """Makes it anew."""
        build = ["docker", "build", "--quiet", f"--tag={IMAGE}", f"--build-arg=kolla_ansible={KOLLA_ANSIBLE}", CONTEXT]
        subprocess.run(build, check=True, stdout=sys.stderr)
        self.remove()
        mounts = [f"--volume={self.name}:/var/lib/docker", *mounts, "--tmpfs=/run", "--tmpfs=/tmp:exec"]
        names = [f"--name={self.name}", f"--hostname={self.name}", "--env=container=docker", "--cgroupns=private"]
        engine("run", "--detach", *names, *CAPABILITIES, *mounts, IMAGE)
        end = time.monotonic() + 120
        while subprocess.run(["docker", "exec", self.name, "docker", "version"], capture_output=True).returncode != 0:
            if time.monotonic() > end:
                sys.exit(f"the host has no engine: see  docker exec {self.name} systemctl status docker")
            time.sleep(1)

    def copy(self, source, target):
        """Copies a file or directory of this machine onto it."""
        engine("cp", str(source), f"{self.name}:{target}")

    def load(self, images):
        """Gives it images of this machine."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as save:
            engine("exec", "--interactive", self.name, "docker", "load", "--quiet", stdin=save.stdout)
        if save.returncode != 0:
            sys.exit("images are missing: build them with  make images")
