#!/usr/bin/env python3
"""pip install --upgrade, done by uv where it can be, into the environment of the Python that runs this.

    kolla_pip_install [-c CONSTRAINTS] [-r FILE] [-e PATH] [--no-deps] [--pre] REQUIREMENT...

uv comes from the index that pip is configured for, in the version that uv.txt pins, and goes with this process. pip
itself installs what uv can't: see reasons below, or set KOLLA_PIP=pip. Caches (PIP_CACHE_DIR and UV_CACHE_DIR, or root's
own) are used where they are mounted, and never made. What is installed is compiled once, but for pip and setuptools, and
without large test suites, programs of Windows, and what only compilers, checkers, translators and debuggers read; what
building it has left in directories of sources goes.
"""

import argparse
import ast
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

UV = "/usr/local/share/kolla/uv.txt"
SITE = Path(sysconfig.get_path("purelib"))
LARGE_TESTS = 64 << 10
# Sources of translations, what extensions are compiled from and with, types for checkers, launchers of Windows.
UNREAD = {".exe", ".h", ".po", ".pxd", ".pxi", ".pyi", ".pyx"}
# Services never load them, and byte code is half of their size.
UNCOMPILED = rf"^{re.escape(str(SITE))}/(pip|setuptools)/"

# Keys of pip's configuration without meaning for what is installed.
NO_MATTER = {
    "break-system-packages", "cache-dir", "config-file", "disable-pip-version-check", "log", "no-cache-dir", "no-color",
    "no-compile", "no-input", "no-warn-script-location", "prefer-binary", "progress-bar", "quiet", "require-virtualenv",
    "root-user-action", "use-feature", "use-pep517", "verbose",
}  # fmt: skip
# Keys whose one value is that of a variable of uv's.
VARIABLES = {
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "index-url": "UV_DEFAULT_INDEX",
    "retries": "UV_HTTP_RETRIES",
    "timeout": "UV_HTTP_TIMEOUT",
}


class OnlyPip(Exception):
    """Reason why pip has to do it."""


def say(text):
    print(f"kolla_pip_install: {text}", flush=True)


def bundled_pip():
    """Where the distribution keeps the pip that it makes environments with, for one that has none yet."""
    if importlib.util.find_spec("pip"):
        return []
    return [str(wheel) for wheel in Path(sysconfig.get_config_var("WHEEL_PKG_DIR") or "/none").glob("pip-*.whl")]


def pip(*arguments, **options):
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | {"PYTHONPATH": wheel for wheel in bundled_pip()}
    return subprocess.run([sys.executable, "-m", "pip", *arguments], env=environment, **options)


def mounted_cache(program):
    """The cache of pip or uv, if the image is built with one: nothing of it becomes part of the image."""
    cache = Path(os.environ.get(f"{program.upper()}_CACHE_DIR") or f"/root/.cache/{program}")
    return cache if cache.is_mount() else None


def pip_options():
    cache = mounted_cache("pip")
    return ["--no-compile", *([f"--cache-dir={cache}"] if cache else ["--no-cache-dir"])]


def parse(arguments):
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip(), allow_abbrev=False, add_help=False)
    parser.add_argument("-c", "--constraint", action="append", default=[])
    parser.add_argument("-r", "--requirement", action="append", default=[])
    parser.add_argument("-e", "--editable", action="append", default=[])
    parser.add_argument("--no-deps", action="store_true")
    parser.add_argument("--pre", action="store_true")
    parser.add_argument("-U", "--upgrade", "--no-cache-dir", action="store_true")
    parser.add_argument("requirements", nargs="*")
    parsed, unknown = parser.parse_known_intermixed_args(arguments)
    if unknown:
        raise OnlyPip(f"only pip is known to have {unknown[0]}")
    return parsed


def pip_configuration(listed):
    """What `pip config list` has in force for pip install, by key: variables over [install] over [global]."""
    layers = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.splitlines():
        place, value = line.split("=", 1)
        layer, _, key = place.partition(".")
        if layer in layers:
            layers[layer][key] = ast.literal_eval(value)
    return layers["global"] | layers["install"] | layers[":env:"]


def uv_settings(configuration, environment):
    """uv's variables and options for what pip is configured to do."""
    variables, options = {}, []
    for key, value in configuration.items():
        if key in VARIABLES:
            variables[VARIABLES[key]] = value
        elif key == "extra-index-url":
            # The best version of all indexes, as pip takes it.
            variables |= {"UV_INDEX": " ".join(value.split()), "UV_INDEX_STRATEGY": "unsafe-best-match"}
        elif key == "trusted-host":
            variables["UV_INSECURE_HOST"] = " ".join(value.split())
        elif key == "proxy":
            variables |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), value)
        elif key == "constraint":
            options += [f"--constraints={file}" for file in value.split()]
        elif key == "find-links":
            # pip takes a directory that is not there for an empty one.
            places = [place for place in value.split() if "://" in place or Path(place).exists()]
            options += [f"--find-links={place}" for place in places]
        elif key in ("no-index", "pre"):
            truth = value.lower() in ("1", "true", "yes", "on", "y", "t")
            options += [{"no-index": "--no-index", "pre": "--prerelease=allow"}[key]] if truth else []
        elif key not in NO_MATTER:
            raise OnlyPip(f"pip is configured with {key}")
    bundle = environment.get("REQUESTS_CA_BUNDLE") or environment.get("CURL_CA_BUNDLE")
    if bundle:
        variables.setdefault("SSL_CERT_FILE", bundle)
    if "SSL_CERT_FILE" not in variables:
        variables["UV_SYSTEM_CERTS"] = "true"
    return variables, options


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements):
    """Distributions that requirements name; a path or an address names none."""
    found = (re.match(r"([A-Za-z0-9][\w.-]*)\s*(\[[^]]*\])?\s*($|[<>=!~;@])", text.strip()) for text in requirements)
    return {normal(match[1]) for match in found if match}


def lines(files):
    return [line for file in files for line in Path(file).read_text().splitlines()]


def extras(requirements):
    """Extras that requirements ask for, beside none."""
    asked = re.findall(r"\[([\w.,\s-]*)\]\s*(?:$|[<>=!~;@])", "\n".join(requirements), re.MULTILINE)
    return {"", *(extra.strip() for group in asked for extra in group.split(","))}


def of_the_distribution():
    """Packages outside of the virtual environment that it sees. pip counts them as installed, uv does not."""
    if sys.prefix == sys.base_prefix:
        return set()
    paths = [path for path in sys.path if path.endswith("-packages") and not Path(path).is_relative_to(sys.prefix)]
    return {normal(package.metadata["Name"]) for package in importlib.metadata.distributions(path=paths)}


def first_unmet(excluded, extras):
    """What something in the environment needs of these packages, and they are not."""
    # pip has what reads requirements, and Python has not.
    sys.path += bundled_pip()
    from pip._vendor.packaging.requirements import Requirement

    for package in importlib.metadata.distributions(path=[str(SITE)]):
        for requirement in map(Requirement, package.requires or []):
            marker = requirement.marker
            if normal(requirement.name) not in excluded:
                continue
            if marker and not any(marker.evaluate({"extra": extra}) for extra in extras):
                continue
            if not requirement.specifier.contains(importlib.metadata.version(requirement.name), prereleases=True):
                return f"{requirement.name}{requirement.specifier}, which {package.metadata['Name']} needs"
    return None


def uv_program(work, cache):
    """The pinned uv: as an earlier step has left it in uv's cache, if there is one, else from the index."""
    kept = cache and cache / f"kolla-uv-{hashlib.sha256(Path(UV).read_bytes()).hexdigest()}"
    if kept and kept.exists():
        return kept
    fetch = ["--quiet", "--require-hashes", "--only-binary=:all:", "--no-deps", f"--target={work}", f"--requirement={UV}"]
    if pip("install", *pip_options(), *fetch).returncode:
        raise OnlyPip("there is no uv to be had")
    program = work / "bin/uv"
    if kept:
        # Other steps may be at it too, and none may see half a program.
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            os.replace(shutil.copy2(program, scratch), kept)
    return program


def uv_arguments(parsed, wanted, excluded, work):
    exclusions = work / "excluded.txt"
    exclusions.write_text("\n".join(sorted(excluded)))
    command = ["pip", "install", "--no-progress", f"--python={sys.executable}", f"--excludes={exclusions}"]
    command += [f"--constraints={file}" for file in parsed.constraint]
    command += [f"--requirements={file}" for file in parsed.requirement]
    command += [f"--editable={path}" for path in parsed.editable]
    command += ["--no-deps"] * parsed.no_deps + ["--prerelease=allow"] * parsed.pre
    # As pip upgrades: what was asked for, not what that needs.
    command += [f"--upgrade-package={name}" for name in sorted(wanted)]
    return command + parsed.requirements


def install_by_uv(arguments, work):
    if os.environ.get("KOLLA_PIP") == "pip":
        raise OnlyPip("KOLLA_PIP says so")
    parsed = parse(arguments)
    listed = pip("config", "list", check=True, capture_output=True, text=True).stdout
    variables, options = uv_settings(pip_configuration(listed), os.environ)
    cache = mounted_cache("uv")
    uv = uv_program(work, cache)
    variables |= {"UV_CACHE_DIR": str(cache), "UV_LINK_MODE": "copy"} if cache else {"UV_NO_CACHE": "true"}
    wanted = names([*parsed.requirements, *lines(parsed.requirement)])
    # What constraints name is installed in that version, whatever the distribution has.
    excluded = of_the_distribution() - wanted - names(lines(parsed.constraint))
    command = [str(uv), *uv_arguments(parsed, wanted, excluded, work), *options]
    # uv leaves locks behind, those of builds in the directory for temporary files.
    variables |= {"UV_PYTHON_DOWNLOADS": "never", "TMPDIR": str(work)}
    status = subprocess.run(command, env=os.environ | variables).returncode
    Path(sys.prefix, ".lock").unlink(missing_ok=True)
    unmet = None if status or parsed.no_deps else first_unmet(excluded, extras(parsed.requirements))
    if unmet:
        raise OnlyPip(f"the distribution does not have {unmet}")
    return status


def size(directory):
    return sum(file.lstat().st_size for file in directory.rglob("*") if not file.is_dir())


def end_of_what_is_loaded(library):
    """How many bytes of a 64-bit little-endian ELF file its program headers account for; none of any other file.

    Sections behind them, and the table that names all sections, are for linkers and debuggers. Format: elf(5)."""
    header = library.read(64)
    if header[:6] != b"\x7fELF\x02\x01":
        return None
    table, size, count = struct.unpack_from("<Q14xHH", header, 32)
    library.seek(table)
    segments = (struct.unpack_from("<8xQ16xQ", library.read(size)) for _ in range(count))
    return max([table + size * count, *(offset + length for offset, length in segments)])


def leave_out_symbols(path):
    if path.is_symlink() or not path.is_file():
        return
    with path.open("rb") as library:
        end = end_of_what_is_loaded(library)
    # A file that is as it should be may be another layer's, which writing to it would copy.
    if end is None or end >= path.stat().st_size:
        return
    with path.open("r+b") as library:
        library.truncate(end)
        # There is no table of sections any more: e_shoff; e_shnum and e_shstrndx.
        library.seek(40)
        library.write(bytes(8))
        library.seek(60)
        library.write(bytes(4))


def leave_out_what_nothing_reads(site=SITE):
    """Large test suites, files that are for no service, and symbols of libraries."""
    for directory, directories, files in os.walk(site):
        if "tests" in directories and size(Path(directory, "tests")) > LARGE_TESTS:
            shutil.rmtree(Path(directory, "tests"))
            directories.remove("tests")
        for name in files:
            if Path(name).suffix in UNREAD:
                Path(directory, name).unlink()
            elif ".so" in name:
                leave_out_symbols(Path(directory, name))


def builds(arguments):
    """Where setuptools builds what is installed from directories of sources, as far as nothing is there yet."""
    sources = (Path(argument.partition("[")[0]) for argument in arguments)
    return [source / "build" for source in sources if source.is_dir() and not (source / "build").exists()]


def main(arguments):
    left_by_builds = builds(arguments)
    with tempfile.TemporaryDirectory() as work:
        try:
            status = install_by_uv(arguments, Path(work))
        except OnlyPip as reason:
            say(f"pip installs: {reason}")
            status = pip("install", "--upgrade", *pip_options(), *arguments).returncode
    if status:
        return status
    leave_out_what_nothing_reads()
    for directory in left_by_builds:
        shutil.rmtree(directory, ignore_errors=True)
    # Services can't write byte code. What has been compiled before is left as it is; what is no Python stays so.
    compiling = [sys.executable, "-m", "compileall", "-qq", "-j0", "-x", UNCOMPILED, SITE]
    subprocess.run(compiling, stdout=subprocess.DEVNULL)
    return 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main(sys.argv[1:]))
