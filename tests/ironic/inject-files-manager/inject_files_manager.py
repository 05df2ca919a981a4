"""A hardware manager whose deploy step writes files into a directory of the ramdisk."""

import base64
import pathlib

from ironic_python_agent import hardware


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
        for path, content in files.items():
            file = pathlib.Path(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(base64.b64decode(content))
        return {"written": sorted(files)}
