"""Removes what neither the agent nor its plugins need from this Python's environment, and checks the hardware managers.

    kept_packages.py REQUIREMENT...        what was installed: names, and paths, of which those in /plugins are plugins

A plugin has hardware managers (entry points of `ironic_python_agent.hardware_managers`), and all of them can be loaded.
"""

import importlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import traceback

from pip._vendor.packaging.requirements import Requirement

GROUP = "ironic_python_agent.hardware_managers"
PLUGINS = "/plugins/"
TOOLS = ("pip", "setuptools")


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def installed():
    """{name: distribution} of the environment alone, not of the system's packages that it sees."""
    found = importlib.metadata.distributions(path=[path for path in sys.path if path.startswith(sys.prefix)])
    return {normal(distribution.name): distribution for distribution in found}


def of_paths(distributions):
    """{directory or file that was installed: name of its distribution}."""
    found = {}
    for name, distribution in distributions.items():
        origin = json.loads(distribution.read_text("direct_url.json") or "{}").get("url", "")
        if origin.startswith("file://"):
            found[os.path.realpath(origin.removeprefix("file://"))] = name
    return found


def needed(roots, distributions):
    """Names of the roots, given as requirements, and of all that these come to."""
    kept, todo = set(), [(normal(root.name), frozenset(root.extras)) for root in roots]
    while todo:
        name, extras = todo.pop()
        if (name, extras) in kept or name not in distributions:
            continue
        kept.add((name, extras))
        for text in distributions[name].requires or []:
            requirement = Requirement(text)
            marker = requirement.marker
            if not marker or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                todo.append((normal(requirement.name), frozenset(requirement.extras)))
    return {name for name, _ in kept}


def faults(plugin, distribution):
    """What is wrong with a plugin, as lines."""
    points = distribution.entry_points.select(group=GROUP)
    if not points:
        yield f"{plugin} ({distribution.name}) has no hardware manager: no entry point of {GROUP}"
    for point in points:
        try:
            point.load()
        except Exception:
            why = traceback.format_exc().strip().splitlines()[-1]
            yield f"{plugin} ({distribution.name}): its hardware manager {point.name} = {point.value} can't be loaded: {why}"
        else:
            print(f"hardware manager {point.name} = {point.value} of {plugin} ({distribution.name})", flush=True)


def main(arguments):
    distributions = installed()
    paths = of_paths(distributions)
    roots, plugins = [Requirement(name) for name in TOOLS], []
    for argument in arguments:
        path, _, extras = argument.partition("[")
        if not path.startswith("/"):
            roots.append(Requirement(argument))
        elif os.path.exists(path):
            name = paths.get(os.path.realpath(path))
            if not name:
                sys.exit(f"ironic-python-agent: {path} was not installed")
            roots.append(Requirement(f"{name}[{extras}" if extras else name))
            if path.startswith(PLUGINS):
                plugins.append((os.path.basename(path), distributions[name]))
    unneeded = sorted(distributions.keys() - needed(roots, distributions))
    if unneeded:
        subprocess.run([sys.executable, "-m", "pip", "uninstall", "--quiet", "--yes", *unneeded], check=True)
    subprocess.run([sys.executable, "-m", "pip", "check"], check=True)
    # As the agent loads them: it has read its options before. What is gone by now can't be what makes one work.
    importlib.invalidate_caches()
    importlib.import_module("ironic_python_agent.cmd.agent")
    wrong = [line for plugin in plugins for line in faults(*plugin)]
    if wrong:
        sys.exit("\n".join(f"ironic-python-agent: the plugin {line}" for line in wrong))


main(sys.argv[1:])
