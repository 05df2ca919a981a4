#!/usr/bin/env python3
"""Tests of the shell programs of the base image, each in a root of its own.

As root without Docker, or with --image in containers of that image, which then
test the programs that the image carries.
"""

import argparse
import concurrent.futures
import os
import sys
import unittest

sys.dont_write_bytecode = True
import throwaway_root

PROGRAMS = {
    "kolla_start": "start.sh",
    "kolla_set_configs": "set_configs.py",
    "kolla_copy_cacerts": "copy_cacerts.sh",
    "kolla_install_projects": "install_projects.sh",
    "kolla_patch": "kolla_patch.sh",
    **{f"healthcheck_{what}": f"healthcheck_{what}"
       for what in ("curl", "filemod", "listen", "port", "socket")},
}

FAKE = """
fake() { # NAME SCRIPT: a command that comes before any other of that name
    mkdir -p /fakes
    printf '#!/bin/bash\\n%s\\n' "$2" >"/fakes/$1"
    chmod 755 "/fakes/$1"
}
export PATH=/fakes:$PATH
"""


class RootTest(unittest.TestCase):
    image = None
    setup = ""

    def run_script(self, script):
        programs = {name: throwaway_root.BASE / file for name, file in PROGRAMS.items()}
        return throwaway_root.run(f"{FAKE}\n{self.setup}\n{script}", programs, self.image)

    def check(self, script, code=0, stdout=None, stderr=None):
        """Runs the script; stdout is compared whole, stderr must hold the text."""
        done = self.run_script(script)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        if stdout is not None:
            self.assertEqual(done.stdout, stdout, done.stderr)
        if stderr is not None:
            self.assertIn(stderr, done.stderr)


class Start(RootTest):
    setup = """
    fake sudo 'echo "sudo $*"; while [ "${1#-}" != "$1" ]; do shift; done; "$@"'
    fake kolla_set_configs 'echo "strategy $KOLLA_CONFIG_STRATEGY"; exit ${CONFIGS_FAIL:-0}'
    fake kolla_copy_cacerts 'exit ${CACERTS_FAIL:-0}'
    fake kolla_install_projects 'exit ${PROJECTS_FAIL:-0}'
    fake kolla_extend_start 'echo extended'
    chmod 644 /fakes/kolla_extend_start
    fake service 'printf "<%s>" "$@"; echo; exit 7'
    export KOLLA_CONFIG_STRATEGY=COPY_ALWAYS
    """
    steps = ("sudo -E kolla_set_configs\nstrategy COPY_ALWAYS\n"
             "sudo kolla_copy_cacerts\nsudo kolla_install_projects\n")

    def test_steps_in_order_then_the_exit_code_of_the_service(self):
        self.check(
            "echo 'service a b' >/run_command; exec kolla_start", 7,
            self.steps + "extended\nRunning command: 'service a b'\n<a><b>\n",
        )

    def test_extend_start_is_skipped_when_the_variable_is_set_but_empty(self):
        self.check(
            "echo 'service a' >/run_command; KOLLA_SKIP_EXTEND_START= exec kolla_start", 7,
            self.steps + "Running command: 'service a'\n<a>\n",
        )

    def test_extend_start_adds_arguments(self):
        self.check(
            """fake kolla_extend_start 'ARGS="--more words"'
            echo 'service a' >/run_command; exec kolla_start""", 7,
            self.steps + "Running command: 'service a --more words'\n<a><--more><words>\n",
        )

    def test_extend_start_may_end_a_bootstrap(self):
        self.check(
            """fake kolla_extend_start 'if [ -n "${KOLLA_BOOTSTRAP+x}" ]; then exit 3; fi'
            echo service >/run_command; KOLLA_BOOTSTRAP= exec kolla_start""", 3, self.steps,
        )

    def test_command_is_split_and_globbed_and_its_quotes_are_literal(self):
        self.check(
            """mkdir /g; touch /g/1 /g/2
            echo "service 'a b' \\"c\\"   /g/* \\$HOME" >/run_command; exec kolla_start""", 7,
            self.steps + "extended\nRunning command: 'service 'a b' \"c\"   /g/* $HOME'\n"
            "<'a><b'><\"c\"></g/1></g/2><$HOME>\n",
        )

    def test_service_replaces_the_shell(self):
        self.check(
            """fake service 'echo $PPID $$'
            echo service >/run_command
            kolla_start >/tmp/out 2>/dev/null & started=$!; wait $started
            test "$(tail -n 1 /tmp/out)" = "$$ $started" """,
        )

    def test_a_failing_step_ends_the_start_with_its_exit_code(self):
        for step, number in (("CONFIGS", 2), ("CACERTS", 4), ("PROJECTS", 5)):
            with self.subTest(step):
                done = self.run_script(
                    f"echo service >/run_command; {step}_FAIL={number} exec kolla_start"
                )
                self.assertEqual(done.returncode, number, done.stderr)
                self.assertNotIn("Running command", done.stdout)

    def test_no_run_command(self):
        self.check("rm -f /run_command; exec kolla_start", 1, stderr="/run_command")

    def test_with_the_real_steps(self):
        self.check(
            """rm /fakes/kolla_set_configs /fakes/kolla_copy_cacerts /fakes/kolla_install_projects
            test -e /etc/redhat-release || touch /etc/debian_version
            mkdir -p /var/lib/kolla/config_files
            echo '{"command": "service real"}' >/var/lib/kolla/config_files/config.json
            kolla_start 2>/dev/null | tail -n 1; test $(stat -c %a /run_command) = 644""",
            0, "<real>\n",
        )


class CopyCacerts(RootTest):
    setup = """
    rm -f /etc/debian_version /etc/redhat-release
    fake update-ca-certificates 'echo updated deb'
    fake update-ca-trust 'echo updated rpm'
    mounted=/var/lib/kolla/config_files/ca-certificates
    copied=/var/lib/kolla/share/ca-certificates
    deb=/usr/local/share/ca-certificates
    rpm=/etc/pki/ca-trust/source/anchors
    mkdir -p $mounted $copied /etc/kolla/defaults $rpm /etc/ssl/certs
    """
    # The host's /usr is read-only in a root without an image.
    setup += "test -w /usr || mount -t tmpfs tmpfs /usr/local/share\n"
    setup += "mkdir -p $deb; rm -f $deb/* $rpm/*\n"

    def test_debian(self):
        self.check(
            """touch /etc/debian_version; echo one >$mounted/root.crt; mkdir $mounted/dir
            echo two >"$mounted/with space.crt"
            kolla_copy_cacerts; ls $deb; cat $deb/*""",
            0, "updated deb\nkolla-customca-root.crt\nkolla-customca-with space.crt\none\ntwo\n",
        )

    def test_rocky(self):
        self.check(
            """touch /etc/redhat-release; echo one >$mounted/root.crt
            kolla_copy_cacerts; ls $rpm""",
            0, "updated rpm\nkolla-customca-root.crt\n",
        )

    def test_what_set_configs_copied_counts_when_its_state_says_so(self):
        self.check(
            """touch /etc/debian_version; echo one >$copied/root.crt
            kolla_copy_cacerts; ls $deb
            echo '{ "'$copied'": {"source": "'$copied'"} }' >/etc/kolla/defaults/state
            kolla_copy_cacerts; ls $deb""",
            0, "updated deb\nkolla-customca-root.crt\n",
        )

    def test_certificates_no_longer_given_go_and_others_stay(self):
        self.check(
            """touch /etc/debian_version $deb/kolla-customca-old.crt $deb/other.crt
            ln -s /nowhere /etc/ssl/certs/kolla-customca-old.pem
            kolla_copy_cacerts; ls $deb; ls /etc/ssl/certs | grep kolla""",
            1, "updated deb\nother.crt\n",
        )

    def test_nothing_given_nothing_done(self):
        self.check("touch /etc/debian_version; kolla_copy_cacerts", 0, "")

    def test_a_failing_update_fails(self):
        self.check(
            """touch /etc/debian_version $mounted/a.crt
            fake update-ca-certificates 'exit 9'; kolla_copy_cacerts""", 9,
        )

    def test_unknown_distribution(self):
        self.check("kolla_copy_cacerts", 1, stderr="distribution")


class InstallProjects(RootTest):
    setup = """
    rm -rf /var/lib/kolla/venv /dev-mode
    venv=/var/lib/kolla/venv/bin
    make_venv() {
        mkdir -p $venv
        printf '#!/bin/sh\\necho "venv pip $*"; case $* in *bad*) exit 6;; esac\\n' >$venv/pip
        chmod 755 $venv/pip
    }
    fake pip 'echo other pip; exit 1'
    """

    def test_each_project_goes_into_the_venv(self):
        self.check(
            "make_venv; mkdir -p /dev-mode/nova '/dev-mode/my lib'; kolla_install_projects",
            0, "venv pip install --upgrade /dev-mode/my lib\n"
               "venv pip install --upgrade /dev-mode/nova\n",
        )

    def test_no_projects_or_no_venv_is_fine(self):
        self.check("make_venv; kolla_install_projects; mkdir /dev-mode; kolla_install_projects",
                   0, "")
        self.check("mkdir -p /dev-mode/nova; kolla_install_projects", 0, "")

    def test_a_project_that_cannot_be_installed_fails(self):
        self.check("make_venv; mkdir -p /dev-mode/bad /dev-mode/nova; kolla_install_projects",
                   6, "venv pip install --upgrade /dev-mode/bad\n")


class Patch(RootTest):
    setup = """
    mkdir -p /patches /srv
    printf 'one\\ntwo\\n' >/srv/file
    diff_of() { # OLD NEW, as a patch of /srv/file
        printf -- '--- srv/file\\n+++ srv/file\\n@@ -1,2 +1,2 @@\\n one\\n-%s\\n+%s\\n' "$1" "$2"
    }
    diff_of two 2 >/patches/good.patch
    diff_of 2 zwei >/patches/more.patch
    diff_of nine 9 >/patches/bad.patch
    cd /tmp
    """

    def test_applies_and_records(self):
        self.check(
            """printf '# a comment\\n\\ngood.patch\\nmore.patch' >/patches/series
            kolla_patch >/dev/null || exit
            cat /srv/file /etc/kolla/patched /patches/series.applied; ls /patches/series""",
            2, "one\nzwei\n[i] Applied /patches/good.patch\n[i] Applied /patches/more.patch\n"
               "good.patch\nmore.patch\n",
        )

    def test_a_child_image_adds_to_its_parent(self):
        self.check(
            """echo good.patch >/patches/series; kolla_patch >/dev/null || exit
            diff_of zwei deux >/patches/d.patch
            printf 'good.patch\\nmore.patch\\nd.patch\\n' >/patches/series; kolla_patch || exit
            cat /srv/file /patches/series.applied""",
            0, "[i] /patches/good.patch is applied already.\n"
               "[i] Applying /patches/more.patch\npatching file srv/file\n"
               "[i] Applying /patches/d.patch\npatching file srv/file\n"
               "one\ndeux\ngood.patch\nmore.patch\nd.patch\n",
        )

    def test_a_failing_patch_fails(self):
        self.check("echo bad.patch >/patches/series; kolla_patch", 1,
                   stderr="/patches/bad.patch does not apply")

    def test_a_patch_already_in_the_source_fails(self):
        self.check("echo good.patch >/patches/series; echo one >/srv/file; echo 2 >>/srv/file\n"
                   "kolla_patch", 1, stderr="/patches/good.patch does not apply")

    def test_a_missing_patch_fails(self):
        self.check("printf 'good.patch\\nno.patch\\n' >/patches/series; kolla_patch", 1,
                   stderr="there is no /patches/no.patch")

    def test_no_series(self):
        self.check("kolla_patch && ls /etc/kolla/patched", 2,
                   "[i] No /patches/series, nothing to patch.\n")


# A process of a name of its own that listens, has a connection, and holds a unix socket.
SERVICE = """
import http.server, os, socket, threading
tcp = socket.create_server(("127.0.0.1", 3567))
client = socket.create_connection(("127.0.0.1", 3567))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 5353))
unix = socket.socket(socket.AF_UNIX)
unix.bind("/tmp/service.sock")
unix.listen()
open("/proc/self/comm", "w").write("long-named-serv")
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/good" else 500)
        self.end_headers()
        self.wfile.write(self.headers["User-Agent"].encode())
    def log_message(self, *_):
        pass
web = http.server.HTTPServer(("127.0.0.1", 8000), Page)
open("/tmp/ready", "w").close()
web.serve_forever()
"""


class Healthcheck(RootTest):
    setup = f"""
    cat >/tmp/long-named-service.py <<'END'
{SERVICE}
END
    python3 /tmp/long-named-service.py &
    while [ ! -e /tmp/ready ]; do sleep 0.05; kill -0 $! || exit 99; done
    """

    def check_codes(self, expected):
        """Runs each command line of expected and compares exit codes."""
        script = "\n".join(f"{line} >/dev/null 2>&1; echo $?" for line in expected)
        done = self.run_script(script)
        codes = dict(zip(expected, done.stdout.split()))
        self.assertEqual(codes, {line: str(code) for line, code in expected.items()}, done.stderr)

    def test_listen(self):
        self.check_codes({
            "healthcheck_listen long-named-service 3567": 0,
            "healthcheck_listen long-named-service 1 3567": 0,
            "healthcheck_listen long-named-service 5353": 0,
            "healthcheck_listen long-named-service 356": 1,
            "healthcheck_listen long-named-service 3567x": 1,
            "healthcheck_listen no-such-service 3567": 1,
            "healthcheck_listen long-named-service": 1,
        })

    def test_port(self):
        self.check_codes({
            "healthcheck_port long-named-service 3567": 0,
            "healthcheck_port long-named-service 1 3567": 0,
            "healthcheck_port long-named-service 8000": 1,
            "healthcheck_port long-named-service 356": 1,
            "healthcheck_port no-such-service 3567": 1,
            "healthcheck_port long-named-service": 1,
        })

    def test_socket(self):
        self.check_codes({
            "healthcheck_socket long-named-service /tmp/service.sock": 0,
            "healthcheck_socket long-named-serv /tmp/service.sock": 0,
            "healthcheck_socket long-named-service /tmp/other.sock": 1,
            "healthcheck_socket other /tmp/service.sock": 1,
            "healthcheck_socket long-named-service": 1,
        })

    def test_curl(self):
        url = "http://127.0.0.1:8000"
        self.check_codes({
            f"healthcheck_curl {url}/good": 0,
            f"healthcheck_curl {url}/good {url}/good": 0,
            f"healthcheck_curl {url}/bad": 1,
            f"healthcheck_curl {url}/bad {url}/good": 1,
            "healthcheck_curl http://127.0.0.1:1/": 1,
            "healthcheck_curl": 1,
        })

    def test_curl_settings(self):
        self.check(
            """export HEALTHCHECK_CURL_USER_AGENT=me HEALTHCHECK_CURL_OUTPUT=/tmp/page
            HEALTHCHECK_CURL_WRITE_OUT='code %{http_code}\\n' healthcheck_curl http://127.0.0.1:8000/good
            cat /tmp/page; kill $!""",
            0, "code 200\nme",
        )
        done = self.run_script("healthcheck_curl http://127.0.0.1:8000/good")
        self.assertRegex(done.stdout, r"^\n200 127\.0\.0\.1:8000 [0-9.]+ seconds\n$")

    def test_filemod(self):
        self.check_codes({
            "healthcheck_filemod /tmp/ready 60": 0,
            "{ touch -d '2 minutes ago' '/tmp/old file'; healthcheck_filemod '/tmp/old file' 60; }": 1,
            "healthcheck_filemod '/tmp/old file' 180": 0,
            "healthcheck_filemod /tmp/missing 60": 1,
            "healthcheck_filemod /tmp/ready soon": 1,
        })


class Sudoers(RootTest):
    def test_syntax_and_what_a_service_user_may_run(self):
        sudoers = (throwaway_root.BASE / "sudoers").read_text()
        rules = [line for line in sudoers.splitlines() if line.startswith("%kolla")]
        self.assertEqual(rules, [
            f"%kolla ALL=(root) NOPASSWD: /usr/local/bin/kolla_{name}"
            for name in ("set_configs", "copy_cacerts", "install_projects")
        ])
        done = self.run_script(
            f"command -v visudo >/dev/null || exit 77\nvisudo -cf - <<'END'\n{sudoers}END\n"
        )
        if done.returncode == 77:
            self.skipTest("no visudo here")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", help="run inside containers of this image")
    parser.add_argument("names", nargs="*", metavar="TEST", help="run only tests with this in their name")
    chosen = parser.parse_args()
    obstacle = throwaway_root.why_not()
    if obstacle and not chosen.image:
        parser.error(obstacle)
    RootTest.image = chosen.image

    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    tests = [test for group in suite for test in group
             if not chosen.names or any(name in test.id() for name in chosen.names)]
    failed = skipped = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for test, result in zip(tests, pool.map(lambda test: test.run(), tests)):
            failed += not result.wasSuccessful()
            for _, reason in result.skipped:
                skipped += 1
                print(f"SKIP {test.id().removeprefix('__main__.')}: {reason}")
            for _, trace in result.failures + result.errors:
                print(f"FAIL {test.id().removeprefix('__main__.')}\n{trace}")
    print(f"{len(tests) - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
