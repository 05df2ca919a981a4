"""Runs in an image, from standard input: prints a line for each thing that is wrong. `root` looks at files, `user` tries programs."""

import glob
import os
import re
import shutil
import stat
import subprocess
import sys

# Directories that belong to the running container.
RUNNING = ("/proc", "/sys", "/dev", "/run")
CACHES = (
    "/root/.cache", "/root/.npm", "/root/.cargo", "/var/cache/apt/archives/*.deb", "/var/cache/apt/*.bin", "/var/cache/dnf/*",
    "/var/lib/apt/lists/*_*", "/tmp/*", "/var/tmp/*", "/var/lib/kolla/venv/bin/uv",
)
# What tells one machine from all others. Empty, they say that it has no name yet.
IDENTITIES = (
    "/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/iscsi/initiatorname.iscsi", "/etc/nvme/hostid", "/etc/nvme/hostnqn",
    "/var/lib/glusterd/glusterd.info",
)
# Their packages' own, which services need: sudo, and what checks a user's password for it.
SETUID = {"sudo", "unix_chkpwd", "sudoedit"}
COMPILERS = ("cc", "gcc", "g++", "clang", "rustc", "go")
VENV = "/var/lib/kolla/venv/bin/python3"
# Healthchecks that ask what can't answer: they say no.
NO = {
    "healthcheck_curl": ["http://127.0.0.1:1/"],
    "healthcheck_filemod": ["/nowhere", "1"],
    "healthcheck_listen": ["nothing", "1"],
    "healthcheck_port": ["nothing", "1"],
    "healthcheck_socket": ["nothing", "/nowhere"],
}


def files():
    for path, directories, names in os.walk("/"):
        directories[:] = [name for name in directories if os.path.join(path, name) not in RUNNING]
        for name in [*directories, *names]:
            file = os.path.join(path, name)
            yield file, os.lstat(file)


def look():
    for pattern in CACHES:
        found = glob.glob(pattern)
        if found:
            yield f"{found[0]} is left"
    for pattern in IDENTITIES:
        yield from (f"{file} is of one machine" for file in glob.glob(pattern) if os.path.getsize(file))
    for file, info in files():
        mode = info.st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID) and os.path.basename(file) not in SETUID:
            yield f"{file} runs as another user for everybody ({mode & 0o7777:o})"
        sticky = stat.S_ISDIR(mode) and mode & stat.S_ISVTX
        if mode & stat.S_IWOTH and not stat.S_ISLNK(mode) and not sticky:
            yield f"{file} may be written by everybody ({mode & 0o7777:o})"
    for program in COMPILERS:
        if shutil.which(program):
            yield f"there is a compiler: {program}"


def try_programs():
    for program in sorted(glob.glob("/usr/local/bin/healthcheck_*")):
        arguments = NO.get(os.path.basename(program))
        if arguments:
            done = subprocess.run([program, *arguments], capture_output=True, text=True)
            if done.returncode != 1:
                yield f"{program} ended with {done.returncode}: {done.stderr[-200:]}"
    if os.path.exists(VENV):
        # The distribution's packages, which the environment sees, have what they want in the distribution's own Python.
        local = {canonical(line.partition("==")[0]) for line in pip("list", "--local", "--format=freeze").splitlines()}
        yield from (line for line in pip("check").splitlines() if canonical(line.split()[0]) in local)


def canonical(package):
    return re.sub("[-_.]+", "-", package).lower()


def pip(*arguments):
    return subprocess.run([VENV, "-m", "pip", "--disable-pip-version-check", *arguments], capture_output=True, text=True).stdout


for problem in {"root": look, "user": try_programs}[sys.argv[1]]():
    print(problem)
