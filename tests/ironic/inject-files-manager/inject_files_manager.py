"""A hardware manager whose deploy step writes files into the file system that is on the machine's disk."""

import base64
import pathlib

from ironic_python_agent import hardware
from ironic_python_agent.inject_files import find_partition_with_path
from oslo_log import log

LOG = log.getLogger(__name__)


class InjectFilesHardwareManager(hardware.HardwareManager):
    HARDWARE_MANAGER_NAME = "InjectFilesHardwareManager"
    HARDWARE_MANAGER_VERSION = "1.0"

    def evaluate_hardware_support(self):
        # Before the generic manager, which has a step of this name as well.
        return hardware.HardwareSupport.SERVICE_PROVIDER

    def get_deploy_steps(self, node, ports):
        return [
            {
                "step": "inject_files",
                "interface": "deploy",
                "priority": 0,
                "reboot_requested": False,
                "argsinfo": {"files": {"description": "Content in base64, by absolute path.", "required": True}},
            }
        ]

    def inject_files(self, node, ports, files):
        # The partition that has this directory is the root of what was deployed.
        with find_partition_with_path("etc") as etc:
            root = pathlib.Path(etc).parent
            for path, content in files.items():
                file = root / path.lstrip("/")
                file.parent.mkdir(parents=True, exist_ok=True)
                written = file.write_bytes(base64.b64decode(content))
                LOG.info("inject_files: wrote %d bytes to %s of the disk's root", written, path)
        return {"written": sorted(files)}
