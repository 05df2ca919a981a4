#!/usr/bin/env python3
"""Tests of kolla_pip_install: what pip is configured to do in uv's words, and, with --image, that uv and pip install the same.

The image named is base; packages are installed in the openstack-base beside it, from the index that its pip uses.
"""

import argparse
import ctypes
import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import throwaway_root

LOADER = importlib.machinery.SourceFileLoader("pip_install", str(throwaway_root.BASE / "pip_install.py"))
pip_install = importlib.util.module_from_spec(importlib.util.spec_from_loader("pip_install", LOADER))
LOADER.exec_module(pip_install)


class Leftovers(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def test_only_what_building_sources_makes_anew_goes(self):
        for source, kept in (("nova", "setup.py"), ("novnc", "build/mine.js")):
            file = self.scratch / source / kept
            file.parent.mkdir(parents=True)
            file.touch()
        nova, novnc = self.scratch / "nova", self.scratch / "novnc"
        self.assertEqual(pip_install.builds(["-c", "constraints.txt", f"{nova}[osprofiler]", str(novnc), "six"]), [nova / "build"])

    def test_large_test_suites_go_wherever_they_are(self):
        for name, size in (("numpy/tests", 10), ("numpy/core/tests", pip_install.LARGE_TESTS + 1)):
            (self.scratch / name).mkdir(parents=True)
            (self.scratch / name / "test_it.py").write_bytes(bytes(size))
        pip_install.leave_out_what_nothing_reads(self.scratch)
        self.assertTrue((self.scratch / "numpy/tests/test_it.py").exists())
        self.assertFalse((self.scratch / "numpy/core/tests").exists())

    def test_of_translations_and_extensions_only_what_is_read_stays(self):
        messages = self.scratch / "horizon/locale/de/LC_MESSAGES"
        messages.mkdir(parents=True)
        for name in ("django.po", "django.mo", "etree.h", "etree.pxd", "etree.py", "gui.exe"):
            (messages / name).touch()
        pip_install.leave_out_what_nothing_reads(self.scratch)
        self.assertEqual(sorted(file.name for file in messages.iterdir()), ["django.mo", "etree.py"])

    def test_libraries_go_on_working_without_symbols(self):
        source, library = self.scratch / "answer.c", self.scratch / "answer.so"
        source.write_text("static int secret(void) { return 42; } int answer(void) { return secret(); }")
        subprocess.run(["cc", "-g", "-O0", "-shared", "-fPIC", f"-o{library}", source], check=True)
        (self.scratch / "script.so").write_text("INPUT(answer.so)")
        whole = library.stat().st_size
        pip_install.leave_out_what_nothing_reads(self.scratch)
        stripped = library.stat()
        self.assertLess(stripped.st_size, whole)
        self.assertNotIn(b"secret", library.read_bytes())
        self.assertEqual(ctypes.CDLL(str(library)).answer(), 42)
        self.assertEqual((self.scratch / "script.so").read_text(), "INPUT(answer.so)")
        pip_install.leave_out_what_nothing_reads(self.scratch)
        self.assertEqual(library.stat().st_mtime_ns, stripped.st_mtime_ns)


class Configuration(unittest.TestCase):
    def settings(self, listed, **environment):
        return pip_install.uv_settings(pip_install.pip_configuration(listed), environment)

    def test_variables_win_over_the_section_of_install_and_that_over_global(self):
        listed = "global.index-url='https://a'\ninstall.index-url='https://b'\nglobal.timeout='9'\ndownload.pre='1'"
        found = {"index-url": "https://b", "timeout": "9"}
        self.assertEqual(pip_install.pip_configuration(listed), found)
        listed += "\n:env:.index-url='https://c'"
        self.assertEqual(pip_install.pip_configuration(listed), found | {"index-url": "https://c"})

    def test_indexes_certificates_and_proxies(self):
        listed = (
            "global.index-url='https://u:p@a/simple'\nglobal.extra-index-url='\\nhttps://b\\nhttps://c'\n"
            "global.trusted-host='b c:8080'\nglobal.cert='/ca.crt'\nglobal.proxy='http://p:3128'\n"
            "global.disable-pip-version-check='1'"
        )
        variables, options = self.settings(listed, REQUESTS_CA_BUNDLE="/other.crt")
        self.assertEqual(variables, {
            "UV_DEFAULT_INDEX": "https://u:p@a/simple",
            "UV_INDEX": "https://b https://c",
            "UV_INDEX_STRATEGY": "unsafe-best-match",
            "UV_INSECURE_HOST": "b c:8080",
            "SSL_CERT_FILE": "/ca.crt",
            "HTTP_PROXY": "http://p:3128",
            "HTTPS_PROXY": "http://p:3128",
        })
        self.assertEqual(options, [])

    def test_authorities_of_the_system_unless_others_are_named(self):
        self.assertEqual(self.settings("")[0], {"UV_SYSTEM_CERTS": "true"})
        self.assertEqual(self.settings("", CURL_CA_BUNDLE="/c.crt")[0], {"SSL_CERT_FILE": "/c.crt"})

    def test_places_of_files(self):
        _, options = self.settings("global.find-links='/ /not-there https://w'\nglobal.no-index='true'\nglobal.pre='0'")
        self.assertEqual(options, ["--find-links=/", "--find-links=https://w", "--no-index"])

    def test_what_uv_has_no_word_for_is_left_to_pip(self):
        with self.assertRaisesRegex(pip_install.OnlyPip, "keyring-provider"):
            self.settings("global.keyring-provider='subprocess'")


class Arguments(unittest.TestCase):
    def test_names_of_what_is_asked_for(self):
        asked = ["oslo.config", "A_b[x,y]>=1,<2", "/keystone[ldap]", "git+https://h/r@main", "c @ file:///c", "./d", "e;python_version<'4'"]
        self.assertEqual(pip_install.names(asked), {"oslo-config", "a-b", "c", "e"})
        self.assertEqual(pip_install.extras(asked), {"", "x", "y", "ldap"})

    def test_options_of_pip_alone_are_left_to_it(self):
        parsed = pip_install.parse(["-c", "C", "a", "--no-deps", "b", "-e", "/p"])
        self.assertEqual((parsed.constraint, parsed.requirements, parsed.editable), (["C"], ["a", "b"], ["/p"]))
        with self.assertRaisesRegex(pip_install.OnlyPip, "--global-option"):
            pip_install.parse(["--global-option=x", "a"])


PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "{name}"
version = "1.0"
dependencies = {needs}
[project.optional-dependencies]
more = ["iniparse"]
"""

# A package of the distribution (python3-yaml, of base) satisfies what constraints don't name; an older one does not. The
# environment begins without pip, which comes from where the distribution keeps it.
INSTALL = """
set -e
cp -r /projects /tmp/projects && cd /tmp && ln -s projects/one-1.0 one
mkdir plugins && mv projects/two-1.0 projects/three-1.0 plugins
python3 -m venv --without-pip --system-site-packages venv && . venv/bin/activate
printf 'iniparse===0.5\\nsix===1.16.0\\n' >constraints.txt
python3 /usr/local/bin/kolla_pip_install -c constraints.txt '/tmp/one[more]' >&2
python3 /usr/local/bin/kolla_pip_install -c constraints.txt /tmp/plugins/* >&2
python3 /usr/local/bin/kolla_pip_install 'iso8601<2.1' >&2
PYTHONPATH=$(echo /usr/share/python-wheels/pip-*.whl) python3 -m pip freeze --local | sort
ls venv/lib/python3*/site-packages/one/__pycache__ >&2
python3 /usr/local/bin/kolla_pip_install pip >&2
test -z "$(find venv/lib/python3*/site-packages/pip -name '*.pyc')"
test -z "$(ls -d /root/.cache venv/lib/python3*/site-packages/uv* 2>/dev/null)"
test -z "$(find / -xdev -type f -perm -2)"
"""


class Installing(unittest.TestCase):
    image = None

    def setUp(self):
        if not self.image:
            self.skipTest("needs --image")

    def installed(self, *options):
        with tempfile.TemporaryDirectory() as scratch:
            for name, needs in ("one", ["six", "PyYAML"]), ("two", ["one"]), ("three", ["iso8601"]):
                project = pathlib.Path(scratch, f"{name}-1.0")
                (project / name).mkdir(parents=True)
                (project / name / "__init__.py").touch()
                (project / "pyproject.toml").write_text(PROJECT.format(name=name, needs=needs))
            command = ["docker", "run", "--rm", "--network=host", f"--volume={scratch}:/projects:ro", *options,
                       "--entrypoint=bash", self.image, "-c", INSTALL]
            done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def test_uv_and_pip_install_the_same(self):
        by_uv, by_pip = self.installed(), self.installed("--env=KOLLA_PIP=pip")
        self.assertNotIn("pip installs", by_uv.stdout + by_uv.stderr)
        self.assertIn("pip installs: KOLLA_PIP says so", by_pip.stderr)
        self.assertEqual(by_uv.stdout, by_pip.stdout)
        for line in "six==1.16.0", "iniparse==0.5":
            self.assertIn(line, by_uv.stdout)
        self.assertNotIn("PyYAML", by_uv.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", help="a base image, as kolla/base:TAG")
    parser.add_argument("names", nargs="*", metavar="TEST", help="run only tests with this in their name")
    chosen = parser.parse_args()
    if chosen.image:
        Installing.image = chosen.image.replace("/base:", "/openstack-base:")
    select = [option for name in chosen.names for option in ("-k", name)]
    unittest.main(argv=[sys.argv[0], *select])


if __name__ == "__main__":
    main()
