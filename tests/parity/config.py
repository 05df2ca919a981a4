"""Compares what configuration means to Python Kolla and to our program: every value of every option."""

import dataclasses
import json
import pathlib
import random
import re
import subprocess
import sys

from programs import environment

HERE = pathlib.Path(__file__).resolve().parent

# Options whose values are no concern of the templates or differ on purpose.
NOT_COMPARED = {
    "DEFAULT.base_image",  # Kolla sets it too late for its own interpolation
    "DEFAULT.config_file", "DEFAULT.config_dir", "DEFAULT.config_source", "DEFAULT.shell_completion",
}
# Values that Kolla takes and that make no image's name, or no build argument: ours are printed, and then refused.
REFUSED_HERE = {
    "tag", "namespace", "registry", "image-name-prefix", "image_name_prefix", "base-image", "base_image", "base-tag",
    "base_tag", "build-args", "build_args", "openstack_release",
}
GENERATED = 200


@dataclasses.dataclass
class Case:
    """Files, by name, and arguments in which {dir} is their directory; without arguments every *.conf is named."""

    name: str
    files: dict
    args: list = None
    sections: tuple = ()
    variables: dict = dataclasses.field(default_factory=dict)

    def command_line(self, directory):
        for name, text in self.files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        if self.args is None:
            return [f"--config-file={directory / name}" for name in self.files]
        return [arg.replace("{dir}", str(directory)) for arg in self.args]


def default(*lines, section="DEFAULT"):
    return {"a.conf": "\n".join([f"[{section}]", *lines, ""])}


def written():
    """Cases of one purpose each."""
    yield Case("defaults", {}, ["--config-file=/dev/null"])
    for base in "debian", "rocky", "ubuntu":
        yield Case(f"defaults-{base}", default(f"base = {base}"))
    yield Case("release", default("openstack_release = 2025.1"))
    yield Case("release-master", default("openstack_release = master"))
    yield Case("branch", default("openstack_release = 2025.1", "openstack_branch = x-y"))
    yield Case("arch", default("base_arch = aarch64"))

    values = {
        "quotes": ["tag = 'a'", 'tag = " a "', "tag = 'a\"", "tag = '", "tag = ''", "tag = \"a\" # b", "tag = a # b"],
        "signs": ["tag: a=b", "tag = a:b", "tag==a", "tag :", "tag =", "tag"],
        "continued": ["tag = a\n  b\n\tc", "tag =\n  a", "tag = 'a\n  b'", "tag = a\n\n  b", "tag = a\n#\n  b", "  tag = a"],
        "line-ends": ["tag = a\r\nnamespace = b\r\n", "tag = a\rnamespace = b", "tag = a  \t"],
        "names": ["Tag = a", "base-tag = a", "image-name-prefix = a", "network-mode = a\nnetwork_mode = b", "nonsense = 1"],
        "references": [
            "tag = $base", "tag = ${base}", "tag = ${base}_$base_tag", "tag = $base.x", "tag = ${base}.x", "tag = $nope",
            "tag = ${nope.x}", "tag = $tag", "tag = $namespace\nnamespace = $tag", "tag = $$base \\$base $ $1 ${1} $-",
            "tag = ${ base} ${base ${", "tag = $BASE", "tag = $registry|$profile|$docker_dir", "tag = $push $threads",
            "tag = $docker_dir\ndocker_dir = a\ndocker_dir = b", "tag = $allowed_to_fail\nallowed_to_fail = a,it's",
            "tag = $build_args\nbuild_args = A:1,B:2", "threads = $retries", "push = $pull",
            "template_override = $base/x", "allowed_to_fail = $base,$namespace", "build_args = A:$base,$base:x:y",
        ],
        "lists": [f"allowed_to_fail ={text}" for text in (" a,,b,,", "\n  a,\n  b", " ,a", "", " ,", ' a b, "c"')],
        "dicts": [
            f"build_args = {text}"
            for text in ("A:1,B:2", "A:1,B,C:2", "A:1,B", "A:1,A:2", ":1", "A:", "A:1,", "{A:1}", 'A: "x y" , B:', "A:1\n  ,B:2")
        ],
        "switches": [f"push = {text}" for text in ("Yes", "oN", "1", "TRUE", "no", "2", '" true"', "")],
        "numbers": [f"threads = {text}" for text in ("4", "+4", "04", "0", "-1", "x", "4.0", "4 5")],
        "words": ["base = centos", "base =", "engine = lxc", "format = xml", "base_arch = arm64", "debian_arch = x"],
        "repeated": ["tag = a\ntag = b", "docker_dir = a\ndocker_dir = b", "profile = main\nprofile = infra", "regex = a\nregex = b"],
    }
    for kind, lines in values.items():
        for number, line in enumerate(lines):
            yield Case(f"{kind}-{number}", default(line))

    broken = ["tag = a", "[DEFAULT", "[]\n", "[DEFAULT]\n= a", "[DEFAULT] x", "\n\n[x]\ny"]
    sections = ["[default]\ntag = a", "[ DEFAULT ]\ntag = a", "[DEFAULT]\ntag = a\n[x]\n[DEFAULT]\ntag = b", ""]
    for number, text in enumerate([*broken, *sections]):
        yield Case(f"sections-{number}", {"a.conf": text})

    sources = [
        "version = 9\nlocation = $version/$tag/${etcd.version}\nsha256 = amd64:$version,arm64:b",
        "location = $reference|$tarballs_base", "location = ${nova-base.version}", "enabled = $push", "version = $nope",
        "enabled = maybe", "type = git\nlocation = a\nreference = b",
    ]
    for number, text in enumerate(sources):
        yield Case(f"sources-{number}", default(text, section="etcd"), sections=("etcd",))
    yield Case("sources-case", default("version = 1", section="Etcd"), sections=("etcd",))
    yield Case("users", default("uid = 5", "group = $base", section="nova-user"), sections=("nova-user",))

    two = {"a.conf": "[DEFAULT]\ntag = a\nnamespace = a\ndocker_dir = a\n", "b.conf": "[DEFAULT]\ntag = b\ndocker_dir = b\n"}
    yield Case("two-files", two)
    yield Case("two-files-turned", two, ["--config-file={dir}/b.conf", "--config-file={dir}/a.conf"])
    directory = {"d/2.conf": two["a.conf"], "d/10.conf": two["b.conf"], "d/0.txt": "nonsense", "f.conf": "[DEFAULT]\ntag = f\ndocker_dir = f"}
    yield Case("directory", directory, ["--config-file={dir}/f.conf", "--config-dir={dir}/d"])
    yield Case("directory-first", directory, ["--config-dir={dir}/d", "--config-file={dir}/f.conf"])

    file = default("tag = a", "docker_dir = a", "regex = a", "push = true", "build_args = A:1", "threads = 2")
    lines = [
        ["--tag=b", "--docker-dir=b", "-D", "c", "--nopush", "--build-args=B:2", "-T", "3"], ["b", "c"], ["--tag", "$base"],
        ["--tag="], ["--build-args=A:1", "--build-args=B:2"], ["--push", "--nopush"], ["--threads=0"], ["--base=x"],
        ["--nonsense"], ["--tag"], ["-qd", "-b", "debian", "^x$"],
        ["--namesp=x", "--thread", "3", "--nopus", "--podman=x"], ["--base-", "x"], ["--no"], ["--verb"],
    ]
    for number, args in enumerate(lines):
        yield Case(f"command-line-{number}", file, ["--config-file={dir}/a.conf", *args])

    variables = {
        "OS_DEFAULT__TAG": "v", "OS_DEFAULT__PUSH": "no", "OS_DEFAULT__THREADS": "5", "OS_DEFAULT__BUILD_ARGS": "B:$tag",
        "OS_DEFAULT__ALLOWED_TO_FAIL": "a,b", "OS_DEFAULT__BASE-TAG": "x", "os_default__namespace": "x",
        "OS_ETCD__VERSION": "9", "OS_DEFAULT__NONSENSE": "x",
    }
    sections = ("etcd",)
    yield Case("variables", {}, ["--config-file=/dev/null"], sections, variables)
    yield Case("variables-and-file", file, sections=sections, variables=variables)
    yield Case("variables-and-line", {}, ["--config-file=/dev/null", "--tag=l", "-T", "7"], sections, variables)
    for name, text in ("THREADS", "x"), ("PUSH", "maybe"), ("TAG", "$nope"), ("BASE", "suse"):
        yield Case(f"variables-wrong-{name}", {}, ["--config-file=/dev/null"], variables={f"OS_DEFAULT__{name}": text})


def generated():
    """Values of odd signs put together at random, the same in every run."""
    signs = ["$", "${", "}", "$$", "\\$", "'", '"', ",", ":", "=", "#", " ", "\n  ", "a", "b", "base", "tag", ".", "_", "1", "$base", "${tag}", ";"]
    draw = random.Random(23)
    keys = ["maintainer"] * 3 + ["allowed_to_fail", "build_args", "docker_dir", "image_name_prefix"]
    for number in range(GENERATED):
        text = "".join(draw.choice(signs) for _ in range(draw.randint(1, 7)))
        yield Case(f"generated-{number}", default(f"{draw.choice(keys)} = {text}"))


def text_of(value):
    """A value as --print-config writes it, as a list of one or, for options that may be repeated, more."""
    if isinstance(value, bool):
        return [str(value).lower()]
    if isinstance(value, dict):
        return [",".join(f"{key}:{text}" for key, text in value.items())]
    return [str(value)]


def their_values(values):
    many = ("docker_dir", "profile", "regex", "template_override")
    texts = {}
    for name, value in values.items():
        if name.removeprefix("DEFAULT.") in many:
            texts[name] = list(value)
        else:
            texts[name] = [",".join(value)] if isinstance(value, list) else text_of(value)
    return texts


def our_values(printed):
    """What --print-config printed, by section and key."""
    texts, section = {}, None
    for line in printed.splitlines():
        if line.startswith("["):
            section = line[1:-1]
        elif line and not line.startswith("#"):
            key, _, rest = line.partition(" = ")
            value = rest.rpartition("    # ")[0]
            if value.startswith('"') and value.endswith('"') and len(value) > 1:
                value = json.loads(value)
            texts.setdefault(f"{section}.{key}", []).append(value)
    return texts


def refused_here(error):
    """Whether nothing but values is refused that only Kolla lets pass."""
    lines = [line for line in error.splitlines() if line.startswith(("error: ", "  caused by: "))]
    told = [line for line in lines if not line.endswith("values of the configuration can't be used")]
    option = re.compile(r"(?:--|\[DEFAULT\] )([a-z_-]+): ")
    return bool(told) and all((found := option.search(line)) and found[1] in REFUSED_HERE for line in told)


def different(theirs, ours):
    """The values that are not the same; an empty one counts as none."""
    lines = []
    for name, expected in sorted(theirs.items()):
        found = ours.get(name, ["true"] if name.endswith(".enabled") else [])
        if name not in NOT_COMPARED and [text for text in expected if text] != [text for text in found if text]:
            lines.append(f"  {name}: theirs {expected}, ours {found}\n")
    return "".join(lines)


def ask_python(parity, jobs):
    results = parity.scratch / "config.json"
    done = subprocess.run(
        [parity.python.venv / "bin/python", HERE / "config_oracle.py", results], input=json.dumps(jobs),
        env=environment(parity.scratch), cwd=parity.scratch, capture_output=True, text=True,
    )
    if done.returncode != 0:
        sys.exit(f"the oracle itself failed:\n{done.stderr}")
    return json.loads(results.read_text())


def check(parity):
    """Reads every case with both and reports each difference, and all that is the same in one line."""
    named = [dataclasses.replace(case, name=f"config-{case.name}") for case in (*written(), *generated())]
    found = parity.selected(named)
    if not found:
        return
    jobs = []
    for case in found:
        directory = parity.scratch / case.name
        directory.mkdir()
        jobs.append({"args": case.command_line(directory), "sections": case.sections, "variables": case.variables})
    same = 0
    for case, job, theirs in zip(found, jobs, ask_python(parity, jobs)):
        ours = parity.ours.run(
            parity.our_args([*job["args"], "--print-config"]), parity.scratch, variables=case.variables
        )
        is_printed = not ours["failed"] or (ours["stdout"] and refused_here(ours["error"]))
        if "error" in theirs or not is_printed:
            difference = "" if "error" in theirs and ours["failed"] else parity.errors({"error": theirs.get("error")}, ours)
        else:
            difference = different(their_values(theirs["values"]), our_values(ours["stdout"]))
        if difference:
            files = "".join(f"  {name}: {text!r}\n" for name, text in case.files.items())
            parity.report(case.name, 0, 1, files + difference)
        same += not difference
    parity.report("configuration values", same, same)
