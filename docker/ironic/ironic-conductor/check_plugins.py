"""Loads what plugins add to ironic: the conductor would not start without a hardware type that it is to enable.

    check_plugins.py DIRECTORY...          of plugins, as they were installed from

Entry points that are commands are left out: what runs them is told what they lack.
"""

import importlib.metadata
import json
import os
import sys
import traceback

COMMANDS = ("console_scripts", "gui_scripts", "wsgi_scripts")


def by_origin():
    """{directory or file that was installed: its distribution}."""
    found = {}
    for distribution in importlib.metadata.distributions():
        origin = json.loads(distribution.read_text("direct_url.json") or "{}").get("url", "")
        if origin.startswith("file://"):
            found[os.path.realpath(origin.removeprefix("file://"))] = distribution
    return found


def faults(plugin, distribution):
    """What can't be loaded, as lines."""
    for point in distribution.entry_points:
        if point.group in COMMANDS:
            continue
        try:
            point.load()
        except Exception:
            why = traceback.format_exc().strip().splitlines()[-1]
            yield f"{plugin} ({distribution.name}): {point.name} = {point.value} of {point.group} can't be loaded: {why}"
        else:
            print(f"{point.group} {point.name} = {point.value} of {plugin} ({distribution.name})", flush=True)


def main(plugins):
    distributions, wrong = by_origin(), []
    for path in plugins:
        distribution = distributions.get(os.path.realpath(path))
        if distribution:
            wrong += faults(os.path.basename(path), distribution)
        else:
            wrong.append(f"{os.path.basename(path)} was not installed")
    if wrong:
        sys.exit("\n".join(f"ironic-conductor: the plugin {line}" for line in wrong))


main(sys.argv[1:])
