"""An Ansible callback that appends a line of JSON for each result of a task: what was run, how long, and what came of it."""

import json
import os
import time

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "task_times"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.began = {}

    def v2_playbook_on_task_start(self, task, is_conditional):
        self.began[task._uuid] = time.monotonic()

    def v2_playbook_on_handler_task_start(self, task):
        self.began[task._uuid] = time.monotonic()

    def note(self, result, outcome):
        task = result._task
        line = {
            "task": task.get_name(),
            "action": task.action.rsplit(".", 1)[-1],
            "seconds": time.monotonic() - self.began[task._uuid],
            "outcome": "changed" if outcome == "ok" and result._result.get("changed") else outcome,
        }
        with open(os.environ["TASK_TIMES"], "a", encoding="utf-8") as times:
            times.write(json.dumps(line) + "\n")

    def v2_runner_on_ok(self, result):
        self.note(result, "ok")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.note(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_skipped(self, result):
        self.note(result, "skipped")
