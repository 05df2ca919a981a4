#!/usr/bin/env python3
"""Runs the tools that images are made with against a server that fails in every way, and keeps what they print.

Writes `said/transient/TOOL.txt` and `said/permanent/TOOL.txt`, a section for each fault, which tests read. A tool that is
not installed is named, and what is kept of it stays. Everything stays on the loopback interface.
"""

import argparse
import http.server
import os
import pathlib
import re
import shutil
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time

SAID = pathlib.Path(__file__).resolve().parent / "said"
# What goes wrong, and whether it may pass.
TRANSIENT = ["500", "502", "503", "504", "429", "reset", "cut", "stall", "refused", "no-name", "tls"]
PERMANENT = ["404", "403", "401", "mistake"]
EVERY = [fault for fault in [*TRANSIENT, *PERMANENT] if fault != "mistake"]
# Those that a server can have after it has answered well.
BEHIND_GOOD = [fault for fault in EVERY if fault not in ("refused", "no-name", "tls")]
# Longer than tools wait here for an answer.
STALL = 30
PATIENCE = 60
# As many as are looked at.
KEPT_LINES = 60
# The address that stands in what is kept.
SHOWN_HOST = "mirror.example"
# Any name below it has no address.
NO_NAME = "nosuch.invalid"


# What every server has, so that tools come as far as the fault.
PACKAGES = """Package: keystone
Version: 1
Architecture: all
Maintainer: Nobody <nobody@example.com>
Filename: pool/keystone_1_all.deb
Size: 100000
SHA256: 0000000000000000000000000000000000000000000000000000000000000000
Description: x
"""
GOOD = {
    "/./Packages": PACKAGES,
    "/digest.tar.gz": "x",
    "/good/simple/keystone/": '<a href="../../../files/keystone-1.tar.gz">keystone-1.tar.gz</a>',
}


class Faulty(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        fault = self.server.fault
        if self.path in GOOD:
            self.answer(GOOD[self.path].encode())
        elif self.path.startswith(("/good/", "/./")):
            self.send_error(404)
        elif fault == "reset":
            # With nothing to linger for, closing sends a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif fault == "stall":
            time.sleep(STALL)
        elif fault == "cut":
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"x" * 1000)
        else:
            self.send_error(int(fault))
        self.close_connection = True

    do_POST = do_HEAD = do_GET

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self):
        try:
            super().handle()
        except OSError:
            pass

    def finish(self):
        try:
            super().finish()
        except (OSError, ValueError):
            pass

    def log_message(self, *_):
        pass


class Hangup(socketserver.BaseRequestHandler):
    """Ends the connection in the middle of TLS's handshake."""

    def handle(self):
        self.request.recv(4096)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def __init__(self, fault):
        super().__init__(("127.0.0.1", 0), Hangup if fault == "tls" else Faulty)
        self.fault = fault
        threading.Thread(target=self.serve_forever, daemon=True).start()


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def origin(fault):
    """Where the fault is to be met: host and port."""
    if fault == "no-name":
        return NO_NAME, 80
    if fault == "mistake":
        return "127.0.0.1", Server("404").server_port
    if fault == "refused":
        return "127.0.0.1", unused_port()
    return "127.0.0.1", Server(fault).server_port


class Tool:
    """A command line for a URL, in a directory of its own."""

    def __init__(self, name, script, program=None, faults=None):
        self.name, self.script, self.program = name, script, program or name
        self.faults = faults or EVERY


APT = """
mkdir -p state/lists/partial cache/archives/partial etc/apt.conf.d etc/preferences.d etc/trusted.gpg.d
touch state/status
echo "deb [trusted=yes] $URL/debian trixie main" > sources.list
apt="-o Dir::State=$PWD/state -o Dir::State::status=$PWD/state/status -o Dir::Cache=$PWD/cache -o Dir::Etc=$PWD/etc
 -o Dir::Etc::sourcelist=$PWD/sources.list -o Dir::Etc::sourceparts=/dev/null -o Acquire::http::Timeout=3
 -o Acquire::Retries=0 -o Acquire::http::Proxy=false -o APT::Sandbox::User=root"
"""

DNF_DIRS = """
mkdir -p repos root log
dnf() {
    command dnf --setopt=reposdir=$PWD/repos --setopt=cachedir=$PWD/cache --setopt=logdir=$PWD/log --setopt=persistdir=$PWD/persist \
        --setopt=timeout=3 --setopt=retries=1 --setopt=minrate=1 --installroot=$PWD/root --releasever=10 -y "$@"
}
"""
DNF = DNF_DIRS + """cat > repos/r.repo <<END
[baseos]
name=baseos
%s
gpgcheck=0
END
dnf install keystone
"""


def without(faults, *left_out):
    return [fault for fault in faults if fault not in left_out]


TOOLS = [
    Tool("apt-update", APT + "apt-get $apt --error-on=any update", "apt-get"),
    Tool("apt-install", APT + """
echo "deb [trusted=yes] $URL ./" > sources.list
apt-get $apt update > /dev/null && apt-get $apt -y -d --no-install-recommends install keystone
""", "apt-get", BEHIND_GOOD),
    Tool("pip", "pip download --no-cache-dir --retries 1 --timeout 3 --trusted-host $HOST --index-url $URL/simple keystone",
         # Of an index it says the same whatever is wrong with it.
         faults=TRANSIENT),
    Tool("pip-file", "pip download --no-cache-dir --retries 1 --timeout 3 --trusted-host $HOST --index-url $URL/good/simple keystone",
         "pip", BEHIND_GOOD),
    Tool("pip-url", "pip download --no-cache-dir --retries 1 --timeout 3 --trusted-host $HOST $URL/keystone-1.tar.gz", "pip"),
    Tool("uv", "uv pip install --no-cache --target x --index-url $URL/simple keystone"),
    # It says the same of mirrors that fail and of those that lack a file, as they do while they are synchronised.
    Tool("dnf", DNF % "baseurl=$URL/baseos", faults=TRANSIENT),
    Tool("dnf-mirrorlist", DNF % "mirrorlist=$URL/mirrorlist", "dnf"),
    Tool("dnf-metalink", DNF % "metalink=$URL/metalink", "dnf"),
    Tool("dnf-url", DNF_DIRS + "dnf install $URL/x.rpm", "dnf"),
    Tool("rpm", "rpm --dbpath $PWD/db --import $URL/RPM-GPG-KEY"),
    Tool("npm", "npm install --registry $URL --fetch-retries 0 --fetch-timeout 3000 --no-audit --no-update-notifier left-pad"),
    Tool("git", "git -c http.lowSpeedLimit=1 -c http.lowSpeedTime=3 clone $URL/kolla"),
    Tool("curl", "curl --max-time 5 -fL -o x $URL/etcd.tar.gz"),
    Tool("curl-silent", "curl --max-time 5 -fsSL -o x $URL/etcd.tar.gz", "curl"),
    Tool("wget", "wget --tries 1 --timeout 3 $URL/etcd.tar.gz"),
    Tool("gpg", "gpg --homedir $PWD --keyserver hkp://$HOST_PORT --keyserver-options timeout=3 --recv-keys 0123456789ABCDEF"
         " ; code=$?; gpgconf --homedir $PWD --kill dirmngr; exit $code",
         # Of an answer that is no key it says the same whatever it is.
         faults=without(TRANSIENT, "cut", "tls")),
    Tool("gem", "gem install --no-document --clear-sources --source $URL --install-dir $PWD/gems fluent-plugin-grok-parser",
         faults=without(EVERY, "cut", "stall")),
    Tool("bundle", """
printf "source '$URL'\\ngem 'fluentd'\\n" > Gemfile
BUNDLE_TIMEOUT=3 BUNDLE_RETRY=0 BUNDLE_PATH=$PWD/gems bundle install
""", faults=without(EVERY, "cut", "stall", "tls")),
    Tool("ansible-galaxy", "ansible-galaxy collection install -p $PWD/c --timeout 5 -s $URL openstack.cloud",
         # It goes on after these, to what our server does not have.
         faults=without(EVERY, "502", "429", "stall")),
    Tool("go", "GOPROXY=$URL GOFLAGS=-mod=mod GONOSUMDB=* GOPATH=$PWD/go go install example.com/x@v1.0.0"),
    Tool("cargo", """
mkdir src; touch src/lib.rs; printf '[package]\\nname = "x"\\nversion = "1.0.0"\\n[dependencies]\\ntar = "0.4"\\n' > Cargo.toml
mkdir .cargo; printf '[source.crates-io]\\nreplace-with = "m"\\n[source.m]\\nregistry = "sparse+%s/index/"\\n[net]\\nretry = 0\\n[http]\\ntimeout = 3\\n' $URL > .cargo/config.toml
CARGO_HOME=$PWD/home cargo fetch
"""),
    Tool("apt-unknown", APT + """
echo "deb [trusted=yes] $URL ./" > sources.list
apt-get $apt update > /dev/null && apt-get $apt -y install nosuch
""", "apt-get", ["mistake"]),
    Tool("pip-hash", """
printf 'keystone @ %s/digest.tar.gz --hash=sha256:%064d\\n' $URL 0 > requirements.txt
pip download --no-cache-dir --no-deps --trusted-host $HOST -r requirements.txt
""", "pip", ["mistake"]),
    Tool("pip-requirement", "mkdir keystone; pip download --no-cache-dir ./keystone", "pip", ["mistake"]),
    Tool("sha256sum", "echo x > etcd.tar.gz; printf '%064d  etcd.tar.gz\\n' 0 | sha256sum -c", faults=["mistake"]),
    Tool("git-branch", "git init -q r; git -C r -c user.name=a -c user.email=a@b commit -q --allow-empty -m one"
         "; git clone --branch nosuch file://$PWD/r kolla", "git", ["mistake"]),
    Tool("dnf-unknown", DNF_DIRS + "dnf install nosuch", "dnf", ["mistake"]),
    Tool("sh", "nosuch --option", faults=["mistake"]),
    Tool("python", "python3 -c 'import nosuch'", "python3", ["mistake"]),
    Tool("gcc", "echo '#include <nosuch.h>' > x.c; gcc -c x.c", faults=["mistake"]),
]


def environment(home, url, host, port):
    kept = {name: os.environ[name] for name in ("PATH",)}
    return kept | {
        "HOME": str(home), "LC_ALL": "C.UTF-8", "URL": url, "HOST": host, "HOST_PORT": f"{host}:{port}",
        "PIP_CONFIG_FILE": "/dev/null", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "NO_COLOR": "1",
        "ANSIBLE_HOME": str(home), "ANSIBLE_NOCOLOR": "1", "UV_HTTP_TIMEOUT": "3", "UV_NO_CONFIG": "1", "GIT_TERMINAL_PROMPT": "0",
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(pathlib.Path.home() / ".rustup")),
    }


def run(tool, fault):
    """What the tool prints when it meets the fault; none when it succeeds, or goes on for ever."""
    host, port = origin(fault)
    scheme = "https" if fault == "tls" else "http"
    url = f"{scheme}://{host}:{port}" if port != 80 else f"{scheme}://{host}"
    with tempfile.TemporaryDirectory(prefix="collect-") as home:
        try:
            done = subprocess.run(
                ["sh", "-c", tool.script], cwd=home, env=environment(home, url, host, port), timeout=PATIENCE,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
        except subprocess.TimeoutExpired:
            return None
        if done.returncode == 0:
            return None
        return neutral(done.stdout.decode(errors="replace"), home, host, port)


def neutral(text, home, host, port):
    """Without what is of this machine and this run."""
    text = text.replace(home, "/build").replace(os.path.realpath(home), "/build")
    if host == "127.0.0.1":
        text = text.replace(str(port), "8080").replace(host, SHOWN_HOST).replace("127__0__0__1", "MIRROR__EXAMPLE")
    text = text.replace(os.path.expanduser("~"), "/root").replace(socket.gethostname(), "builder")
    for pattern, replacement in [
        (r"/[^\s'\"]*/lib/python3(\.\d+)?/", "/usr/lib/python3/"),
        (r"interpreter at: \S+", "interpreter at: /usr/bin/python3"),
        (r"0x[0-9a-f]{6,}", "0x7f0000000000"),
        (r"\d{4}-\d\d-\d\d[T_ ]\d\d[:_]\d\d[:_]\d\d([._]\d+)?(Z|[+-]\d{4})?", "2026-01-01 00:00:00"),
        (r"\d+(\.\d+)?(ms|s)\b", "1s"),
        (r"[ \t]+\n", "\n"),
    ]:
        text = re.sub(pattern, replacement, text)
    lines = []
    for line in text.splitlines():
        # Of a line that overwrites itself only its last state is kept, as in logs.
        line = next((part for part in reversed(line.split("\r")) if part.strip()), "")
        if line.strip() and (not lines or lines[-1] != line):
            lines.append(line)
    return "\n".join(lines[-KEPT_LINES:]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="only tools whose name contains this")
    arguments = parser.parse_args()
    for tool in TOOLS:
        if arguments.only not in tool.name:
            continue
        if not shutil.which(tool.program):
            print(f"{tool.program} is not installed", file=sys.stderr)
            continue
        said = {fault: run(tool, fault) for fault in tool.faults}
        for fault in (fault for fault, text in said.items() if text is None):
            print(f"{tool.name} does not fail with {fault}", file=sys.stderr)
        for kind, faults in (("transient", TRANSIENT), ("permanent", PERMANENT)):
            path = SAID / kind / f"{tool.name}.txt"
            text = "".join(f"## {fault}\n{said[fault]}" for fault in faults if said.get(fault))
            if text:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            else:
                path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
