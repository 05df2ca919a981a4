#!/usr/bin/env -S python3 -IS
"""Puts a service's configuration in place before the service starts.

Reads /var/lib/kolla/config_files/config.yaml (or config.json), copies what it
lists, writes the service's command to /run_command and sets owners and modes.
With --check nothing is changed: the exit code says whether a start would.

Service users may run this as root through sudo with an environment of their
own, at every start. Hence -I: no variable of theirs picks the code that root
runs. Hence -S and the standard library alone: nothing else to load.
"""

import filecmp
import glob
import grp
import json
import os
import pwd
import re
import shutil
import stat
import sys
import time
from functools import cached_property

CONFIG = "/var/lib/kolla/config_files/config"
RUN_COMMAND = "/run_command"
CONFIGURED = "/configured"
DEFAULTS = "/etc/kolla/defaults"
STATE = DEFAULTS + "/state"


class Refusal(Exception):
    """Ends the run with one line of log."""


def log(level, message):
    now = time.time()
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    print(f"{clock}.{int(now % 1 * 1000):03d} {level} {message}", file=sys.stderr)


class GivenProperties:
    """Owner and mode as the config states them, looked up when first needed."""

    def __init__(self, owner, perm):
        self.owner = owner
        self.perm = perm

    @cached_property
    def ids(self):
        user, group = self.owner.split(":", 1) if ":" in self.owner else (self.owner, "")
        return pwd.getpwnam(user).pw_uid, grp.getgrnam(group or user).gr_gid

    @cached_property
    def file_mode(self):
        if self.perm in (None, ""):
            return None
        if not re.fullmatch("(0o)?[0-7]{3,4}", self.perm):
            raise ValueError(
                f"Invalid permission '{self.perm}'. Expected a valid UNIX permission (e.g. 644,"
                " 0600, 2755) or a Python octal literal (e.g. 0o644, 0o0600, 0o2755)."
            )
        return int(self.perm.removeprefix("0o"), 8)

    def wanted(self, like):
        """Mode (None: as it is), user and group for a path of the same kind as `like`."""
        mode = self.file_mode
        if mode is not None and os.path.isdir(like):
            mode |= (mode & 0o444) >> 2  # a directory one may read, one may enter
        return mode, *self.ids

    def apply(self, path, _source=None, follow=True):
        uid, gid = self.ids
        log("INFO", f"Setting permission for {path}")
        # A read-only mount refuses both; the service may well do without.
        try:
            os.chown(path, uid, gid, follow_symlinks=follow)
        except OSError as error:
            log("ERROR", f"Failed to change ownership of {path} to {uid}:{gid}: {error}")
        mode, *_ = self.wanted(path)
        try:
            if mode is not None and (follow or not os.path.islink(path)):
                os.chmod(path, mode)
        except OSError as error:
            log("ERROR", f"Failed to set permission of {path} to {mode:#o}: {error}")


class PreservedProperties:
    """Owner, mode and times as the source has them."""

    def wanted(self, source):
        status = os.stat(source)
        mode = stat.S_IMODE(status.st_mode)
        if not stat.S_ISDIR(status.st_mode):
            mode &= 0o1777  # the change of owner below clears setuid and setgid
        return mode, status.st_uid, status.st_gid

    def apply(self, dest, source):
        log("INFO", f"Copying permissions from {source} onto {dest}")
        shutil.copystat(source, dest)
        _, *ids = self.wanted(source)
        os.chown(dest, *ids)


class ConfigFile:
    """An entry of config_files: what to copy, where to, and as whose."""

    def __init__(self, source, dest, owner=None, perm=None, optional=False,
                 preserve_properties=False, merge=False):
        self.source = source
        self.dest = dest
        self.optional = optional
        self.merge = merge
        self.keep_links = merge and preserve_properties
        given = GivenProperties(owner, perm)
        self.properties = PreservedProperties() if preserve_properties else given

    def dest_of(self, source):
        if self.dest.endswith("/"):
            return os.path.join(self.dest, os.path.basename(source))
        return self.dest

    def matches(self):
        """(source, dest) for each path that the source's pattern stands for now."""
        sources = glob.glob(self.source)
        if not sources and not self.optional:
            raise Refusal(f"MissingRequiredSource: {self.source} file is not found")
        return [(source, self.dest_of(source)) for source in sources]

    def is_kept_link(self, source):
        return self.keep_links and os.path.islink(source) and not os.path.isdir(source)

    def copy(self):
        for source, dest in self.matches():
            if not self.merge:
                delete(dest)
            os.makedirs(os.path.dirname(dest) or ".", exist_ok=True)
            try:
                for pair in tree(source, dest):
                    self.put(*pair)
            except OSError:
                log("ERROR", f"Unable to merge {source} with {dest}")
                raise

    def put(self, source, dest):
        if os.path.isdir(source):
            if not os.path.isdir(dest):
                delete(dest)
                log("INFO", f"Creating directory {dest}")
                os.makedirs(dest)
        else:
            delete(dest)
            log("INFO", f"Copying {source} to {dest}")
            if self.is_kept_link(source):
                os.symlink(os.readlink(source), dest)
                return
            # Private before it has content: configuration holds passwords.
            os.close(os.open(dest, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            shutil.copy(source, dest)
        self.properties.apply(dest, source)


def exact_copy(source, dest):
    return ConfigFile(glob.escape(source), dest, preserve_properties=True)


def tree(source, dest):
    """(source, dest) for a path and all below it, a directory before its content."""
    yield source, dest
    if os.path.isdir(source):
        for name in os.listdir(source):
            yield from tree(os.path.join(source, name), os.path.join(dest, name))


def delete(path, tell=True):
    if not os.path.lexists(path):
        return
    if tell:
        log("INFO", f"Deleting {path}")
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.remove(path)


class RequiredPath:
    """An entry of directories or files: a path to make if it is missing."""

    def __init__(self, path, owner, perm):
        self.path = path
        self.properties = GivenProperties(owner, perm)

    def make_directory(self):
        try:
            os.makedirs(self.path, exist_ok=True)
        except OSError as error:
            raise OSError(f"Can't create destination directory ({self.path})") from error
        self.properties.apply(self.path)

    def make_file(self):
        parent = os.path.dirname(self.path)
        if os.path.islink(self.path):
            raise OSError(f"Path is a symbolic link, expected regular file ({self.path})")
        if os.path.isdir(self.path):
            raise OSError(f"Path is a directory, expected file ({self.path})")
        if parent and not os.path.isdir(parent):
            raise OSError(f"Parent directory does not exist ({parent})")
        open(self.path, "a").close()
        self.properties.apply(self.path)


class Permission:
    """An entry of permissions: who owns paths that are there already."""

    def __init__(self, entry):
        self.path = entry.get("path")
        self.recurse = entry.get("recurse", False)
        self.exclude = [re.compile(pattern) for pattern in entry.get("exclude") or ()]
        self.properties = GivenProperties(entry.get("owner"), entry.get("perm"))

    def is_excluded(self, path):
        return any(pattern.search(path) for pattern in self.exclude)

    def apply(self):
        self.properties.ids  # an unknown owner is an error even when nothing matches
        for top in glob.glob(self.path):
            self.properties.apply(top)
            if self.recurse and os.path.isdir(top):
                for directory, subdirectories, files in os.walk(top):
                    for name in subdirectories + files:
                        path = os.path.join(directory, name)
                        if not self.is_excluded(path):
                            # The owner of a directory may have put a link to anywhere in it.
                            self.properties.apply(path, follow=False)

    def covers(self, path):
        """Whether apply reaches the path, told without a walk through data directories."""
        tops = [os.path.normpath(top) for top in glob.glob(self.path)]
        below = self.recurse and any(path.startswith(top + "/") for top in tops)
        return path in tops or (below and not self.is_excluded(path))


class Config:
    """The whole config: every section is read before anything is changed."""

    def __init__(self, raw):
        if not isinstance(raw, dict) or "command" not in raw:
            raise Refusal('InvalidConfig: Config is missing required "command" key')
        self.command = raw["command"]
        self.config_files = [read_config_file(entry) for entry in entries(raw, "config_files")]
        self.directories, self.files = (
            [read_required_path(section, entry) for entry in entries(raw, section)]
            for section in ("directories", "files")
        )
        self.permissions = [Permission(entry) for entry in entries(raw, "permissions")]


def entries(raw, section):
    for index, entry in enumerate(raw.get(section, ())):
        if not isinstance(entry, dict):
            raise Refusal(f"InvalidConfig: {section}[{index}] must be a mapping: {entry!r}")
        yield entry


def read_config_file(entry):
    if "source" not in entry or "dest" not in entry:
        raise Refusal("InvalidConfig: Config is missing required keys: {'source', 'dest'}")
    if not entry.get("preserve_properties") and not ("owner" in entry and "perm" in entry):
        raise Refusal("InvalidConfig: Config needs preserve_properties or owner and perm")
    return ConfigFile(**entry)


def read_required_path(section, entry):
    keys = ("path", "owner", "perm")
    if missing := ", ".join(repr(key) for key in keys if key not in entry):
        raise Refusal(f"InvalidConfig: {section} config is missing required keys: {{{missing}}}")
    for key in keys:
        if entry[key] is None:
            raise Refusal(f'InvalidConfig: {section} config key "{key}" must not be null')
    path = entry["path"]
    if glob.has_magic(path):
        raise Refusal(f"InvalidConfig: {section} config does not support glob paths: {path}")
    return RequiredPath(path, entry["owner"], entry["perm"])


def read_config():
    kind = "yaml" if os.path.exists(CONFIG + ".yaml") else "json"
    path = f"{CONFIG}.{kind}"
    log("INFO", f"Loading config file at {path}")
    try:
        with open(path, encoding="utf-8") as file:
            raw = parse_yaml(file) if kind == "yaml" else json.load(file)
    except OSError as error:
        raise Refusal(f"InvalidConfig: Could not read file {path}: {error!r}") from error
    except ValueError as error:
        raise Refusal(f"InvalidConfig: Invalid {kind} file found at {path}") from error
    if raw is None:
        raise Refusal(f"InvalidConfig: Invalid {kind} file found at {path}: file is empty")
    log("INFO", "Validating config file")
    return Config(raw)


def parse_yaml(file):
    if sys.flags.no_site:
        import site
        site.main()
    import yaml
    try:
        return yaml.safe_load(file)
    except yaml.YAMLError as error:
        raise ValueError from error


class Defaults:
    """What was at each destination before the first start.

    `state` maps a destination to its record, whose "dest" is where the original
    is saved, or None when there was none. kolla_copy_cacerts reads the file too.
    """

    def __init__(self):
        self.state = {}
        if os.path.exists(STATE):
            with open(STATE, encoding="utf-8") as file:
                self.state = json.load(file)

    def restore(self):
        for dest, record in self.state.items():
            if record["dest"] is None:
                delete(dest, tell=False)
            else:
                exact_copy(record["dest"], dest).copy()

    def remember(self, config_files):
        for entry in config_files:
            dest = entry.dest_of(entry.source)
            if dest in self.state or not os.path.exists(entry.source):
                continue
            saved = DEFAULTS + dest if os.path.exists(dest) else None
            if saved:
                exact_copy(dest, saved).copy()
            self.state[dest] = {"source": dest, "preserve_properties": True, "dest": saved}

    def save(self):
        os.makedirs(DEFAULTS, exist_ok=True)
        unfinished = STATE + ".new"
        with open(unfinished, "w", encoding="utf-8") as file:
            json.dump(self.state, file, indent=4)
        os.replace(unfinished, STATE)

    def unrestored(self, config_files):
        """Destinations no longer configured that still differ from the original."""
        configured = {entry.dest_of(entry.source) for entry in config_files}
        removed = self.state.keys() - configured
        return sorted(dest for dest in removed if not self.is_original(dest))

    def is_original(self, dest):
        if (saved := self.state[dest]["dest"]) is None:
            return not os.path.lexists(dest)
        return not list(Expectations([exact_copy(saved, dest)]).differences())


class Expectations:
    """What copies amount to: per path (match, source, mode and owner or None for a link)."""

    def __init__(self, config_files):
        self.paths = {}  # the last entry to reach a path wins
        for entry in config_files:
            for match, top in entry.matches():
                for source, dest in tree(match, top):
                    wanted = None if entry.is_kept_link(source) else entry.properties.wanted(source)
                    self.paths[os.path.normpath(dest)] = (match, source, wanted)

    def override(self, permission):
        for path, (match, source, wanted) in self.paths.items():
            if wanted and permission.covers(path):
                mode, *ids = permission.properties.wanted(source)
                self.paths[path] = (match, source, (wanted[0] if mode is None else mode, *ids))

    def differences(self):
        """(match, messages) for each path that is not as it should be."""
        for dest, (match, source, wanted) in self.paths.items():
            if wanted is None:
                if not os.path.islink(dest) or os.readlink(dest) != os.readlink(source):
                    yield match, [f"Dest file({dest}) is not a link like {source}."]
            elif not os.path.exists(dest) or os.path.isdir(dest) != os.path.isdir(source):
                yield match, []
            elif messages := list(compare(source, dest, *wanted)):
                yield match, messages


def compare(source, dest, mode, uid, gid):
    """What is wrong with dest, a path of the same kind as the source, as messages."""
    kind = "dir" if os.path.isdir(source) else "file"
    if kind == "file" and not filecmp.cmp(source, dest, shallow=False):
        yield f"The content of source file({source}) and dest file({dest}) are not equal."
    status = os.stat(dest)
    actual = stat.S_IMODE(status.st_mode)
    if mode not in (None, actual):
        yield f"Dest {kind} does not have expected perm: {mode:04o}, actual: {actual:04o}"
    if status.st_uid != uid:
        names = f"{name_of(pwd.getpwuid, uid)}, actual: {name_of(pwd.getpwuid, status.st_uid)}"
        yield f"Dest {kind} does not have expected user: {names} "
    if status.st_gid != gid:
        names = f"{name_of(grp.getgrgid, gid)}, actual: {name_of(grp.getgrgid, status.st_gid)}"
        yield f"Dest {kind} does not have expected group: {names} "


def name_of(lookup, number):
    try:
        return lookup(number)[0]
    except KeyError:
        return str(number)


def set_configs(config):
    strategy = os.environ.get("KOLLA_CONFIG_STRATEGY")
    log("INFO", f"Kolla config strategy set to: {strategy}")
    if strategy not in ("COPY_ALWAYS", "COPY_ONCE"):
        raise Refusal("InvalidConfig: KOLLA_CONFIG_STRATEGY is not set properly")
    if strategy == "COPY_ONCE" and os.path.exists(CONFIGURED):
        log("ERROR", "ImmutableConfig: The config strategy prevents copying new configs")
        return

    if config.directories:
        log("INFO", "Creating directories")
    for entry in config.directories:
        entry.make_directory()
    if config.files:
        log("INFO", "Creating files")
    for entry in config.files:
        entry.make_file()

    defaults = Defaults()
    defaults.restore()
    defaults.remember(config.config_files)
    defaults.save()

    if config.config_files:
        log("INFO", "Copying service configuration files")
    for entry in config.config_files:
        entry.copy()
    log("INFO", "Writing out command to execute")
    with open(RUN_COMMAND, "w", encoding="utf-8", newline="") as file:
        file.write(config.command)
    os.chmod(RUN_COMMAND, 0o644)
    for entry in config.permissions:
        entry.apply()
    if strategy == "COPY_ONCE":
        os.mknod(CONFIGURED)


def check(config):
    with open(RUN_COMMAND, encoding="utf-8", newline="") as file:
        running = file.read()
    if running != config.command:
        differs = f"{config.command} != {running}"
        raise Refusal(f"ConfigFileCommandDiffers: Running command differs. {differs}")

    if unrestored := Defaults().unrestored(config.config_files):
        raise Refusal(
            "StateMismatch: The following config files are tracked in state but missing from"
            f" the config file. They would be restored or removed: {unrestored}"
        )

    expected = Expectations(config.config_files)
    for permission in config.permissions:
        expected.override(permission)
    bad = {}  # a dict for its order
    for match, messages in expected.differences():
        bad[match] = True
        for message in messages:
            log("ERROR", message)
    if bad:
        raise Refusal(f"ConfigFileBadState: Following files are in bad state: {list(bad)}")


def main(arguments):
    if arguments not in ([], ["--check"]):
        print("usage: kolla_set_configs [--check]", file=sys.stderr)
        return 2
    try:
        config = read_config()
        check(config) if arguments else set_configs(config)
    except Refusal as refusal:
        log("ERROR", refusal)
        return 1
    except Exception:
        import traceback
        log("ERROR", "Unexpected error:")
        traceback.print_exc()
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
