"""Reads configuration as Python Kolla does, for many command lines in one process.

Reads a JSON list of jobs, {"args": [...], "sections": [...], "variables": {...}}, on standard input and writes a JSON list to the file
named as first argument: for each job {"values": {"section.key": value}}, or {"error": text} when Kolla refuses it.
Runs inside the venv that Kolla is installed in.
"""

import contextlib
import io
import json
import os
import sys

from kolla.common import config
from oslo_config import cfg

BEFORE = dict(os.environ)


def read(job):
    conf = cfg.ConfigOpts()
    os.environ.clear()
    os.environ.update({**BEFORE, **job["variables"]})
    with contextlib.redirect_stderr(io.StringIO()):
        config.parse(conf, job["args"], prog="kolla-build")
    values = {f"DEFAULT.{name}": conf[name] for name in conf if not isinstance(conf[name], cfg.ConfigOpts.GroupAttr)}
    for section in job["sections"]:
        values.update({f"{section}.{key}": conf[section][key] for key in conf[section]})
    return {name: value for name, value in values.items() if isinstance(value, (str, int, list, dict))}


def run(job):
    try:
        return {"values": read(job)}
    except (Exception, SystemExit) as raised:
        return {"error": f"{type(raised).__name__}: {raised}"}


def main():
    results = [run(job) for job in json.load(sys.stdin)]
    with open(sys.argv[1], "w") as out:
        json.dump(results, out)


if __name__ == "__main__":
    main()
