"""Runs Python Kolla's own kolla-build for many command lines in one process.

Reads a JSON list of jobs, {"args": [...], "tree": DIR or null}, on standard
input and writes a JSON list of results, {"failed", "stdout", "error"}, to the
file named as first argument. Runs inside the venv that Kolla is installed in.

Kolla's code is what renders. To be quick, two libraries under it are told to
remember what they parsed: Jinja2 keeps compiled templates by the hash of their
source, and YAML files are parsed once.
"""

import contextlib
import functools
import io
import json
import logging
import pickle
import sys

import jinja2
import jinja2.sandbox
import yaml
from kolla.image import build


class CompiledTemplates(jinja2.BytecodeCache):
    def __init__(self):
        self.bytecode = {}

    def get_cache_key(self, name, filename=None):
        # Without the file's place, which is another in every run; the
        # checksum of its source tells templates of one name apart.
        return name

    def load_bytecode(self, bucket):
        found = self.bytecode.get((bucket.key, bucket.checksum))
        if found:
            bucket.bytecode_from_string(found)

    def dump_bytecode(self, bucket):
        self.bytecode[bucket.key, bucket.checksum] = bucket.bytecode_to_string()


def remember_compiled_templates():
    cache = CompiledTemplates()
    # Older releases have no sandbox.
    for module, name in (jinja2.sandbox, "SandboxedEnvironment"), (jinja2, "Environment"):
        setattr(module, name, functools.partial(getattr(module, name), bytecode_cache=cache))


def remember_yaml():
    load, parsed = yaml.safe_load, {}

    def safe_load(stream):
        text = stream.read() if hasattr(stream, "read") else stream
        if text not in parsed:
            parsed[text] = pickle.dumps(load(text))
        return pickle.loads(parsed[text])

    yaml.safe_load = safe_load


@contextlib.contextmanager
def tree_in(directory):
    """Lets Kolla find its tree in a directory; its own when none is given."""
    if not directory:
        yield
        return
    from kolla.image import kolla_worker

    own_dir, kolla_worker.KOLLA_PACKAGE_DIR = kolla_worker.KOLLA_PACKAGE_DIR, directory
    try:
        yield
    finally:
        kolla_worker.KOLLA_PACKAGE_DIR = own_dir


def run(job):
    sys.argv = ["kolla-build", *job["args"]]
    stdout, error = io.StringIO(), None
    try:
        with tree_in(job["tree"]), contextlib.redirect_stdout(stdout):
            build.run_build()
    except (Exception, SystemExit) as raised:
        error = f"{type(raised).__name__}: {raised}"
    return {"failed": error is not None, "stdout": stdout.getvalue(), "error": error}


def main():
    results_file = sys.argv[1]
    logging.disable(logging.CRITICAL)
    remember_compiled_templates()
    remember_yaml()
    results = [run(job) for job in json.load(sys.stdin)]
    with open(results_file, "w") as out:
        json.dump(results, out)


if __name__ == "__main__":
    main()
