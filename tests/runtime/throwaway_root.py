"""Runs a shell script as root in a root directory that is gone afterwards.

Without an image the root is a tmpfs with the host's /usr bound read-only, in
namespaces of its own: no mount, process, socket or file outlives the script.
With an image it is a container, and the programs are those of the image.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile

BASE = pathlib.Path(__file__).resolve().parent.parent.parent / "docker/base"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

USERS = "root:x:0:0 daemon:x:1:1 games:x:5:60 nobody:x:65534:65534"
GROUPS = "root:x:0: daemon:x:1: games:x:60: nogroup:x:65534:"

MAKE_ROOT = """
set -e
root=$1 script=$2
shift 2
mount -t tmpfs -o mode=755 tmpfs "$root"
cd "$root"
mkdir usr etc dev proc var programs
mkdir -m 1777 tmp
for directory in bin sbin lib lib32 lib64 libx32; do
    if [ -L /$directory ]; then
        cp -P /$directory $directory
    elif [ -d /$directory ]; then
        mkdir $directory
        mount --bind /$directory $directory
        mount -o remount,bind,ro $directory
    fi
done
mount --bind /usr usr
mount -o remount,bind,ro usr
mount -t proc proc proc
touch dev/null
mount --bind /dev/null dev/null
ln -s /proc/self/fd dev/fd
ip link set lo up
cp /etc/ld.so.cache etc/
echo host >etc/hostname
printf '%s\\n' $USERS | sed 's,$,::/:/bin/sh,' >etc/passwd
printf '%s\\n' $GROUPS >etc/group
while [ $# -gt 0 ]; do
    cp "$2" "programs/$1"
    chmod 755 "programs/$1"
    shift 2
done
exec env -i PATH="/programs:$PATH" chroot . /bin/sh -c "$script"
"""

# Tests speak of Debian's names.
PREPARE_IMAGE = "grep -q ^nogroup: /etc/group || echo nogroup:x:65533: >>/etc/group\n"


def why_not():
    """Why roots cannot be made here without an image, or None."""
    if os.geteuid() != 0:
        return "a root of its own needs root; else give --image"
    missing = [tool for tool in ("unshare", "mount", "chroot", "ip") if not shutil.which(tool)]
    return f"missing: {', '.join(missing)}" if missing else None


def run(script, programs, image=None):
    """Runs the script with the programs (name -> file) on PATH."""
    if image:
        return finish(
            ["docker", "run", "--rm", "--network", "none", "--user", "0",
             "--entrypoint", "/bin/sh", image, "-c", PREPARE_IMAGE + script]
        )
    root = tempfile.mkdtemp(prefix="kolla-runtime-")
    try:
        files = [str(word) for program in programs.items() for word in program]
        return finish(
            ["unshare", "--mount", "--propagation", "private", "--net", "--pid", "--fork",
             "--kill-child", "sh", "-c", MAKE_ROOT, "sh", root, script, *files],
            env={"PATH": PATH, "USERS": USERS, "GROUPS": GROUPS},
        )
    finally:
        os.rmdir(root)


def finish(command, env=None):
    return subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, timeout=120,
        capture_output=True, encoding="utf-8", errors="surrogateescape",
    )
