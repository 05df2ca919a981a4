"""Answers calls of kolla-ansible's own module, one line of JSON for each that standard input has.

Runs in a venv with ansible-core and the engines' libraries. systemd is replaced, as kolla-ansible's own tests do: by an
object that says what a machine without units would, and has the engine do what a unit does. Arguments: the module's source
tree (ansible/), `docker` or `podman`, and the engine's socket.
"""

import importlib.util
import json
import os
import pathlib
import sys
import types

TREE, ENGINE, SOCKET = sys.argv[1:4]
# Docker's library and Podman's find their engine in different ways.
os.environ["DOCKER_HOST"] = f"unix://{SOCKET}"
sys.modules["dbus"] = types.ModuleType("dbus")

import ansible.module_utils  # noqa: E402
from ansible.module_utils import basic  # noqa: E402

ansible.module_utils.__path__.append(str(pathlib.Path(TREE, "module_utils")))

import ansible.module_utils.kolla_container_worker as worker  # noqa: E402

if ENGINE == "docker":
    import docker

    client = docker.APIClient(base_url=f"unix://{SOCKET}", version="auto")
    import ansible.module_utils.kolla_docker_worker as docker_worker

    docker_worker.get_docker_client = lambda: lambda **_: client
else:
    import ansible.module_utils.kolla_podman_worker as podman_worker
    import podman

    podman_worker.uri = f"http+unix:{SOCKET}"
    client = podman.PodmanClient(base_url=podman_worker.uri)


class NoSystemd:
    """Units that are never there; the engine starts and stops."""

    def __init__(self, params):
        self.name = params.get("name")
        self.grace = params.get("graceful_timeout") or 10

    def start(self):
        client.start(self.name) if ENGINE == "docker" else client.containers.get(self.name).start()
        return True

    def stop(self):
        if ENGINE == "docker":
            client.stop(self.name, timeout=self.grace)
        else:
            client.containers.get(self.name).stop(timeout=self.grace)
        return True

    def restart(self):
        return self.stop() and self.start()

    def check_unit_file(self):
        return False

    check_unit_change = create_unit_file = remove_unit_file = check_unit_file


worker.SystemdWorker = NoSystemd
path = pathlib.Path(TREE, "library/kolla_container.py")
spec = importlib.util.spec_from_file_location("kolla_container", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)


class Answered(BaseException):
    pass


def plain(value):
    """As JSON has it: bytes are text, sets are lists."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (set, tuple)):
        return sorted(value)
    raise TypeError(type(value))


def answer(self, **keys):
    raise Answered(json.dumps(keys, default=plain))


def failure(self, msg, **keys):
    answer(self, failed=True, msg=msg, **{key: value for key, value in keys.items() if key != "failed"})


basic.AnsibleModule.exit_json, basic.AnsibleModule.fail_json = answer, failure
basic.AnsibleModule._log_invocation = lambda self: None
for line in sys.stdin:
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": json.loads(line)}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    try:
        module.main()
    except Answered as given:
        print(given, flush=True)
