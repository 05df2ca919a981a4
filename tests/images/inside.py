"""Runs in an image, from standard input: prints a line for each thing that is wrong. `root` looks at files, `user` tries programs."""

import glob
import os
import re
import shutil
import stat
import struct
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
# Plugins that are loaded where they are configured, by packages that do not depend on what they are linked with.
PLUGINS = re.compile("/usr/lib(64|/[^/]*-linux-gnu)?/(collectd|ceph/compressor)/")
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


def needed(file):
    """Names of the libraries that an ELF file is linked with, if it is one, of 64 bits and little-endian. Format: elf(5)."""
    with open(file, "rb") as opened:
        header = opened.read(64)
        if header[:6] != b"\x7fELF\x02\x01":
            return []
        table, size, count = struct.unpack_from("<Q14xHH", header, 32)
        opened.seek(table)
        segments = [struct.unpack_from("<I4xQQ8xQ", opened.read(size)) for _ in range(count)]
        entries = []
        for kind, offset, _, length in segments:
            if kind == 2:  # PT_DYNAMIC
                opened.seek(offset)
                entries = list(struct.iter_unpack("<qQ", opened.read(length // 16 * 16)))
        strings = next((value for tag, value in entries if tag == 5), None)  # DT_STRTAB
        # Addresses of what is loaded, as places in the file.
        places = [offset + strings - address for kind, offset, address, length in segments
                  if kind == 1 and strings is not None and address <= strings < address + length]
        if not places:
            return []
        opened.seek(places[0])
        text = opened.read(next(value for tag, value in entries if tag == 10))  # DT_STRSZ
    return [text[value:text.index(b"\0", value)].decode() for tag, value in entries if tag == 1]  # DT_NEEDED


def unlinked(programs, names):
    """What is linked with a library of none of these names."""
    for file in programs:
        if not PLUGINS.match(file):
            lacking = sorted({os.path.basename(library) for library in needed(file)} - names)
            if lacking:
                yield f"{file} is linked with {', '.join(lacking)}, which is not there"


def look():
    for pattern in CACHES:
        found = glob.glob(pattern)
        if found:
            yield f"{found[0]} is left"
    for pattern in IDENTITIES:
        yield from (f"{file} is of one machine" for file in glob.glob(pattern) if os.path.getsize(file))
    # What may be linked with others, and the names of all files that are there, by links too.
    programs, names = [], set()
    for file, info in files():
        mode = info.st_mode
        if stat.S_ISREG(mode) and (".so" in file or mode & 0o111):
            programs.append(file)
        if os.path.isfile(file):
            names.add(os.path.basename(file))
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID) and os.path.basename(file) not in SETUID:
            yield f"{file} runs as another user for everybody ({mode & 0o7777:o})"
        sticky = stat.S_ISDIR(mode) and mode & stat.S_ISVTX
        if mode & stat.S_IWOTH and not stat.S_ISLNK(mode) and not sticky:
            yield f"{file} may be written by everybody ({mode & 0o7777:o})"
    yield from unlinked(programs, names)
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
