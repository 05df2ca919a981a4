#!/usr/bin/env python3
"""Installs Ansible collections out of a release of the Python package "ansible", which holds a hundred of them.

kolla_install_collections ansible==VERSION COLLECTION...
"""

import glob
import subprocess
import sys
import tempfile
import zipfile

COLLECTIONS = "/usr/share/ansible/collections"
# What no play needs
LEFT_OUT = ("changelogs", "docs", "tests")


def is_wanted(member, collection):
    top = "ansible_collections/" + collection.replace(".", "/") + "/"
    return member.startswith(top) and member[len(top) :].split("/")[0] not in LEFT_OUT


def main(release, *collections):
    with tempfile.TemporaryDirectory() as directory:
        pip = [sys.executable, "-m", "pip", "--no-cache-dir", "download", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*pip, "--dest", directory, release], check=True)
        [wheel] = glob.glob(f"{directory}/*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for collection in collections:
                members = [member for member in archive.namelist() if is_wanted(member, collection)]
                if not members:
                    sys.exit(f"{release} holds no collection {collection}")
                archive.extractall(COLLECTIONS, members)


main(*sys.argv[1:])
