"""What paunch and our program are both given: descriptions of containers, and changes of them.

`{p}` is the prefix of everything that one side makes, and its config's and manager's name; `{dir}` is its directory.
"""

import dataclasses

IMAGE = "kolla-paunch-compare:1"
OTHER_IMAGE = "kolla-paunch-compare:2"


@dataclasses.dataclass
class Write:
    """Puts a file into the side's directory."""
    path: str
    text: str


@dataclasses.dataclass
class Docker:
    """Does something by hand."""
    args: list


@dataclasses.dataclass
class Run:
    """Calls the program; then everything is compared. `containers` replace those of the directory `config`."""
    args: list
    containers: dict | None = None
    compares_output: bool = False
    # Of the same place in start_order, paunch takes what the file system has first.
    compares_order: bool = False


@dataclasses.dataclass
class Case:
    name: str
    steps: list


def apply(containers, *args, config_id="{p}", managed_by="{p}"):
    return Run([
        "apply", "--file", "{dir}/config", "--config-id", config_id, "--managed-by", managed_by,
        "--default-runtime", "docker", *args,
    ], containers)


def task(name, *args, managed_by="{p}", output=False):
    return Run([name, "--managed-by", managed_by, "--default-runtime", "docker", *args], compares_output=output)


def debug(*args):
    return Run(["debug", "--file", "{dir}/config", "--default-runtime", "docker", *args], compares_output=True)


def c(**settings):
    return {"image": IMAGE, **settings}


def once(script, **settings):
    return c(detach=False, command=["sh", "-c", script], **settings)


def one(name, **settings):
    """A single container with these settings."""
    return Case(name, [apply({"{p}c": c(**settings)})])


SETTINGS = [
    one("nothing but an image"),
    one("a list as command", command=["sleep", "1000"]),
    one("a text as command, with quotes", detach=False, command="echo 'a  b' \"c\""),
    one("no command", command=[]),
    one("environment", environment={"A": "b c", "T": True, "F": False, "N": 0, "E": "", "X": 1.5, "NULL": None}),
    one("environment as a list", environment=["A=b=c", "E=", "", "HOME"]),
    Case("env_file", [
        Write("env", "# comment\nA=file\nB=file\n\nHOME\n"),
        apply({"{p}c": c(env_file="{dir}/env", environment={"A": "own"}), "{p}d": c(env_file=["{dir}/env", ""])}),
    ]),
    one("env_file that is not there", env_file="/nowhere/env"),
    one("user and groups", user="daemon", group_add=["tty", "1234"]),
    one("user as a number", user=0),
    one("network of the host", net="host"),
    one("no network", net="none"),
    one("a network that is not there", net="{p}none"),
    Case("network of another container", [apply({
        "{p}a": c(), "{p}b": c(start_order=1, net="container:{p}a", ipc="container:{p}a", pid="container:{p}a"),
    })]),
    one("namespaces of the host", ipc="host", pid="host", uts="host"),
    one("privileged", privileged=True),
    one("not privileged", privileged=False),
    one("privileged as a text", privileged="True"),
    Case("volumes", [
        Docker(["volume", "create", "{p}data"]),
        Write("mounted/file", "x"),
        apply({"{p}c": c(volumes=["{dir}/mounted:/a", "{dir}/mounted:/b:ro", "{p}data:/c", "", "/tmp", "{dir}/mounted:/d:ro,rprivate"])}),
        Docker(["rm", "--force", "--volumes", "{p}c"]),
        Docker(["volume", "rm", "{p}data"]),
    ]),
    one("a path that is not there", volumes=["/nowhere/x:/x"]),
    one("a volume that is not there", volumes=["{p}none:/x"]),
    one("an anonymous volume whose path is not on the host", volumes=["/nowhere/x"]),
    Case("one of three mounts what is not there", [apply({
        "{p}a": once("exit 4"), "{p}b": c(start_order=1, volumes=["/nowhere:/x"]), "{p}c": c(start_order=2),
    })]),
    Case("volumes of another", [apply({"{p}a": c(volumes=["/tmp:/a"]), "{p}b": c(start_order=1, volumes_from=["{p}a"])})]),
    one("capabilities", cap_add=["NET_ADMIN", "SYS_TIME"], cap_drop=["MKNOD"]),
    one("a capability that is none", cap_add=["NONE_SUCH"]),
    one("security_opt", security_opt=["label=disable", "no-new-privileges"]),
    one("security_opt as a text", security_opt="systempaths=unconfined"),
    one("ulimit", ulimit=["nofile=1024:2048", "nproc=100", ""]),
    one("limits", cpu_shares=512, mem_limit="64m", memswap_limit="128m", mem_swappiness=10),
    one("limits as numbers", cpu_shares="512", mem_limit=67108864, memswap_limit=-1, mem_swappiness="10"),
    one("a limit that is none", mem_limit="2q"),
    one("processors", cpuset_cpus="0"),
    one("all processors", cpuset_cpus="all"),
    one("restart always", restart="always"),
    one("restart unless stopped", restart="unless-stopped"),
    one("restart on failure", restart="on-failure:3"),
    one("restart no", restart="no"),
    one("restart that is none", restart="never"),
    one("healthcheck", healthcheck={"test": "true", "interval": "30s", "timeout": "5s", "retries": 2}, check_interval=5),
    one("healthcheck of a test alone", healthcheck={"test": "/openstack/healthcheck x"}),
    one("healthcheck of numbers", healthcheck={"test": "true", "interval": 30}),
    one("hostname and hosts", hostname="h", extra_hosts=["a:1.2.3.4", "b:::1", ""]),
    one("log tag", log_tag="{{{{.Name}}}}"),
    one("grace in seconds", stop_grace_period=5, stop_signal="SIGINT"),
    one("grace with units", stop_grace_period="1m5s"),
    one("terminal", tty=True, interactive=True),
    one("switches as texts", tty="false", interactive="", detach="false"),
    one("keys that mean nothing", depends_on=["x.service"], systemd_exec_flags={"A": "b"}, pids_limit=5, unknown={"a": [1]}),
    one("letters of all kinds", environment={"A": "é \u20ac \" \\ \n\t"}, log_tag="é"),
    Case("labels", [apply({"{p}c": c()}, "--label", "one=1", "--label", "two=a=b", "--label", "config_id=other")]),
]

ENDINGS = [
    Case("ends well", [apply({"{p}c": once("exit 0")})]),
    Case("ends badly", [apply({"{p}c": once("echo out; echo err >&2; exit 3")})]),
    Case("ends with a code that is allowed", [apply({"{p}c": once("exit 3", exit_codes=[0, 3])})]),
    Case("ends well and should not", [apply({"{p}c": once("exit 0", exit_codes=[3])})]),
    Case("the last failure counts, and the others run", [apply({
        "{p}z": once("exit 4"), "{p}a": once("exit 5", start_order=1), "{p}b": c(start_order=2),
    })]),
    Case("removed at its end", [apply({"{p}c": once("exit 0", remove=True), "{p}d": once("exit 6", remove=True)})]),
    Case("runs in the background and is removed at its end", [apply({"{p}c": c(remove=True)})]),
    one("a program that is not there", command=["/nowhere/program"]),
    one("a program that can't be run", command=["/etc/passwd"]),
    Case("waited for, a program that is not there", [apply({"{p}c": c(detach=False, remove=True, command=["none"])})]),
    one("no image", image=""),
    one("an image's name that is none", image="A:B:C"),
    one("an image that can't be had", image="127.0.0.1:1/none:1"),
    Case("order", [dataclasses.replace(apply({
        "{p}a": c(start_order=2), "{p}b": c(start_order=1), "{p}c": c(), "{p}d": c(start_order=-1),
    }), compares_order=True)]),
]

SERVER = {"{p}c": c(environment={"A": "1"})}

CHANGES = [
    Case("nothing changed", [apply(SERVER), apply(SERVER)]),
    Case("another value", [apply(SERVER), apply({"{p}c": c(environment={"A": "2"})})]),
    Case("another order of keys", [apply(SERVER), apply({"{p}c": {"environment": {"A": "1"}, "image": IMAGE}})]),
    Case("equal for Python", [apply({"{p}c": c(tty=True, cpu_shares=512)}), apply({"{p}c": c(tty=1, cpu_shares=512.0)})]),
    Case("other labels", [apply(SERVER), apply(SERVER, "--label", "a=b")]),
    Case("another env_file's content", [
        Write("env", "A=1\n"), apply({"{p}c": c(env_file="{dir}/env")}), Write("env", "A=2\n"), apply({"{p}c": c(env_file="{dir}/env")}),
    ]),
    Case("another image behind the name", [
        Docker(["tag", IMAGE, "{p}img:1"]), apply({"{p}c": {"image": "{p}img:1"}}),
        Docker(["tag", OTHER_IMAGE, "{p}img:1"]), apply({"{p}c": {"image": "{p}img:1"}}), apply({"{p}c": {"image": "{p}img:1"}}),
        Docker(["image", "rm", "--force", "{p}img:1"]),
    ]),
    Case("one that was stopped", [apply(SERVER), Docker(["stop", "{p}c"]), apply(SERVER)]),
    Case("one that has ended", [apply({"{p}c": once("exit 7")}), apply({"{p}c": once("exit 7")})]),
    Case("one that was removed", [apply(SERVER), Docker(["rm", "--force", "{p}c"]), apply(SERVER)]),
    Case("one that is paused", [apply(SERVER), Docker(["pause", "{p}c"]), apply({"{p}c": c()})]),
    Case("one more and one less", [apply({"{p}a": c(), "{p}b": c()}), apply({"{p}b": c(), "{p}d": c()})]),
    Case("one less without cleanup", [apply({"{p}a": c(), "{p}b": c()}), apply({"{p}b": c()}, "--no-cleanup")]),
    Case("a change without cleanup", [apply(SERVER), apply({"{p}c": c()}, "--no-cleanup")]),
    Case("another config", [apply(SERVER), apply({"{p}d": c()}, config_id="{p}2"), apply({}, config_id="{p}2"), apply({})]),
    Case("another config's name", [apply(SERVER), apply({"{p}c": c()}, config_id="{p}2"), apply(SERVER)]),
    Case("a stranger's name", [Docker(["run", "--detach", "--name", "{p}c", IMAGE]), apply({"{p}c": c(), "{p}d": c()})]),
    Case("another manager's container", [
        apply(SERVER, managed_by="{p}2"), apply({"{p}d": c()}), task("cleanup"), task("delete", "{p}"),
        task("list", "-f", "value", managed_by="{p}2", output=True),
    ]),
    Case("paunch's own container counts for every manager", [
        apply({"{p}c": c(), "{p}d": c()}, managed_by="paunch"), apply({"{p}c": c()}), task("delete", "{p}"),
    ]),
    Case("without config_data", [
        Docker(["run", "--detach", "--name", "{p}c", "--label", "config_id={p}", "--label", "container_name={p}c",
                "--label", "managed_by={p}", IMAGE]),
        apply(SERVER),
    ]),
    Case("with config_data that is none", [
        Docker(["run", "--detach", "--name", "{p}c", "--label", "config_id={p}", "--label", "container_name={p}c",
                "--label", "managed_by={p}", "--label", "config_data={{a", IMAGE]),
        apply(SERVER),
    ]),
    Case("one with another name", [apply(SERVER), Docker(["rename", "{p}c", "{p}c-abcdefgh"]), apply(SERVER)]),
    Case("one with another name that a stranger's holds", [
        apply(SERVER), Docker(["rename", "{p}c", "{p}x"]), Docker(["run", "--detach", "--name", "{p}c", IMAGE]), apply(SERVER),
    ]),
    Case("renamed by cleanup", [
        apply(SERVER), Docker(["rename", "{p}c", "{p}x"]), task("cleanup", "{p}"),
    ]),
    Case("two that swap names are left", [
        apply({"{p}a": c(), "{p}b": c()}), Docker(["rename", "{p}a", "{p}t"]), Docker(["rename", "{p}b", "{p}a"]),
        Docker(["rename", "{p}t", "{p}b"]), task("cleanup", "{p}"),
    ]),
    Case("cleanup", [
        apply(SERVER), apply({"{p}d": c()}, config_id="{p}2"), apply({"{p}e": c()}, config_id="{p}3"),
        task("cleanup", "{p}", "{p}3"), task("cleanup", "{p}nothing"),
    ]),
    Case("cleanup of everything", [apply(SERVER), apply({"{p}d": c()}, config_id="{p}2"), task("cleanup")]),
    Case("delete", [
        apply(SERVER), apply({"{p}d": c()}, config_id="{p}2"), task("delete", "{p}2", "{p}nothing"), task("delete"),
    ]),
]

EXEC = {"action": "exec", "start_order": 1}

EXECS = [
    Case("exec", [apply({"{p}c": c(), "{p}e": {**EXEC, "command": ["{p}c", "touch", "/done"]}}), Docker(["exec", "{p}c", "test", "-e", "/done"])]),
    Case("exec as a text, twice", [
        apply({"{p}c": c(), "{p}e": {**EXEC, "command": "{p}c mkdir /done"}}),
        apply({"{p}c": c(), "{p}e": {**EXEC, "command": "{p}c mkdir /done"}}),
    ]),
    Case("exec that fails, and one after it", [apply({
        "{p}c": c(), "{p}e": {**EXEC, "command": ["{p}c", "sh", "-c", "exit 9"]}, "{p}f": c(start_order=2),
    })]),
    Case("exec with a code that is allowed", [apply({
        "{p}c": c(), "{p}e": {**EXEC, "command": ["{p}c", "sh", "-c", "exit 9"], "exit_codes": [9]},
    })]),
    Case("exec as a user with variables", [apply({
        "{p}c": c(user="nobody"),
        "{p}e": {**EXEC, "user": "root", "privileged": True, "environment": {"A": "1", "B": True},
                 "command": ["{p}c", "sh", "-c", "test \"$(id -un) $A $B\" = 'root 1 True' && mount -t tmpfs none /mnt"]},
    })]),
    Case("exec where there is none", [apply({"{p}a": c(), "{p}e": {**EXEC, "command": "{p}none ls"}, "{p}f": c(start_order=2)})]),
    Case("exec in one that has ended", [apply({"{p}c": once("exit 0"), "{p}e": {**EXEC, "command": "{p}c ls"}, "{p}f": c(start_order=2)})]),
    Case("exec of a program that is not there", [apply({"{p}c": c(), "{p}e": {**EXEC, "command": "{p}c /nowhere/x"}})]),
    Case("exec of a program that can't be run", [apply({"{p}c": c(), "{p}e": {**EXEC, "command": "{p}c /etc/passwd"}})]),
    Case("exec without a program", [apply({"{p}c": c(), "{p}e": {**EXEC, "command": "{p}c"}})]),
    Case("exec in another config's container", [
        apply({"{p}c": c()}, config_id="{p}2"), apply({"{p}e": {**EXEC, "command": "{p}c touch /done"}}),
        Docker(["exec", "{p}c", "test", "-e", "/done"]),
    ]),
    Case("exec in one with another name", [
        Docker(["run", "--detach", "--name", "{p}x", "--label", "container_name={p}c", IMAGE]),
        apply({"{p}e": {**EXEC, "command": "{p}c touch /done"}}), Docker(["exec", "{p}x", "test", "-e", "/done"]),
    ]),
]

FILES = [
    Case("a file is of one container", [
        Write("hashed-{p}c.json", '{{"image": "%s", "command": ["sleep", "5000"]}}' % IMAGE),
        Run(["apply", "--file", "{dir}/hashed-{p}c.json", "--config-id", "{p}", "--managed-by", "{p}", "--default-runtime", "docker"]),
    ]),
    Case("a file in YAML", [
        Write("{p}c.yaml", f"image: {IMAGE}\nenvironment:\n  A: b\n  T: true\nstop_grace_period: 3\n"),
        Run(["apply", "--file", "{dir}/{p}c.yaml", "--config-id", "{p}", "--managed-by", "{p}", "--default-runtime", "docker"]),
    ]),
    Case("a file that is not there", [
        Run(["apply", "--file", "{dir}/none.json", "--config-id", "{p}", "--managed-by", "{p}", "--default-runtime", "docker"]),
    ]),
    Case("a file that is none", [
        Write("x.json", "{{"),
        Run(["apply", "--file", "{dir}/x.json", "--config-id", "{p}", "--managed-by", "{p}", "--default-runtime", "docker"]),
    ]),
    Case("an action that is none", [apply({"{p}a": c(action="go")})]),
    Case("other files in the directory", [
        Write("config/other.json", "{{"), Write("config/hashed-x.yaml", "["), apply({"{p}c": c()}),
    ]),
    Case("a file of several containers, as before 7.0", [
        Write("{p}f.json", '{{"{p}a": {{"image": "%s"}}, "{p}b": {{"image": "%s"}}}}' % (IMAGE, IMAGE)),
        Run(["apply", "--file", "{dir}/{p}f.json", "--config-id", "{p}", "--managed-by", "{p}", "--default-runtime", "docker"]),
    ]),
]

SHOWN = {"{p}a": c(command=["sleep", "1000"], environment={"B": 1, "A": "é"}, volumes=["/tmp:/tmp:ro"]), "{p}b": once("exit 1", start_order=1)}

LISTS = [
    Case("lists", [
        apply(SHOWN),
        *(task("list", *args, "--sort-column", "container", output=True) for args in (
            [], ["-f", "json"], ["-f", "json", "--noindent"], ["-f", "csv"], ["-f", "value"], ["-f", "yaml"],
            ["-f", "value", "-c", "status", "-c", "container"], ["--sort-descending"], ["--column", "image"],
        )),
        task("list", "-c", "nothing"),
    ]),
    Case("wrong usage", [
        Run(["apply", "--file", "x"]), Run(["aply"]), Run(["list", "--default-runtime", "crio"]), Run(["debug", "--file", "x"]),
    ]),
    Case("settings shown", [
        apply(SHOWN), debug("--container", "{p}a", "--action", "dump-json"), debug("--container", "{p}a", "--action", "dump-yaml"),
        debug("--container", "{p}a", "--action", "dump-json", "--shell", "--user", "x", "--overrides", '{{"net": "host", "user": "y"}}'),
        debug("--container", "{p}a", "--action", "dump-json", "--interactive"),
        debug("--container", "{p}none", "--action", "dump-json"),
    ]),
    Case("a command shown", [apply(SHOWN), debug("--container", "{p}new", "--action", "print-cmd"), debug("--container", "{p}a")]),
    Case("run by hand", [
        apply(SHOWN),
        debug("--container", "{p}a", "--action", "run", "--config-id", "{p}", "--managed-by", "{p}", "--overrides",
              '{{"detach": false, "remove": true, "command": "echo hand"}}'),
    ]),
    Case("run by hand, in the background and under a name that is free", [
        apply(SHOWN), debug("--container", "{p}a", "--action", "run", "--config-id", "{p}9", "--managed-by", "{p}"),
        apply(SHOWN), task("cleanup", "{p}"),
    ]),
    Case("run by hand, with a code", [
        apply(SHOWN), debug("--container", "{p}b", "--action", "run", "--overrides", '{{"remove": true}}'),
    ]),
]

CASES = SETTINGS + ENDINGS + CHANGES + EXECS + FILES + LISTS
