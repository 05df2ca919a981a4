"""Trees of older releases, each rendered with its own Python Kolla and with our program."""

import cases
from cases import Case, with_overrides
from generated import GENERATED
from programs import Checkout, PythonKolla

# Of each release the distros that it knows, the default first.
RELEASES = {
    "22.2.0": ["rocky", "debian", "ubuntu", "centos"],
    "21.3.0": ["rocky", "debian", "ubuntu", "centos"],
    "20.6.0": ["rocky", "debian", "ubuntu", "centos"],
    "19.8.0": ["rocky", "debian", "ubuntu", "centos"],
    "18.8.0": ["rocky", "debian", "ubuntu", "centos"],
    "9.4.0": ["centos", "debian", "ubuntu"],
}
# Those that `make test` compares, on one distro each.
QUICK = {"22.2.0": "debian", "18.8.0": "rocky", "9.4.0": "centos"}

# Distros whose next version is chosen by the tag, and has repositories of its own.
NEXT_TAGS = {"20.6.0": [("rocky", "10"), ("centos", "stream10")], "18.8.0": [("ubuntu", "24.04")]}

USERS = """
[DEFAULT]
maintainer = Someone
clean_package_cache = false
rpm_setup_config = http://host/a.repo,/etc/b.repo,http://host/c.rpm
[nova-user]
uid = 1234
gid = 2345
"""
# Before 20, Kolla fails on a user that it does not know.
ADDED_USER = """
[added-user]
uid = 77
gid = 78
"""

IDS = """
rocky: {crb: own-crb, epel: own-epel, extras: 7}
centos-x86_64: {epel: own-epel}
debian: {debian: {url: "http://d", suite: s, component: main, gpg_key: d.gpg, arch: amd64}, grafana: {url: "http://g"}}
ubuntu: {grafana: {url: "http://g", suite: s, component: "a b", gpg_key: g.asc, arch: ""}}
"""


def major(version):
    return int(version.split(".")[0])


def combinations(version, bases, arches):
    for base in bases:
        for arch in arches:
            kinds = ["binary", "source"] if major(version) == 9 else [None]
            for kind in kinds:
                name = "-".join(filter(None, [version, base, arch, kind]))
                yield Case(name, ["--type", kind] if kind else [], base=base, arch=arch)


def overrides(version, tree, bases):
    """Every override, on the release's distros in turn."""
    made = [
        *(with_overrides(name, ["{dir}/override.j2"], files={"override.j2": make(tree)}) for name, make in GENERATED.items()),
        *cases.written_overrides(),
    ]
    for number, case in enumerate(made):
        # What one override asks for is not there on Debian, and what another calls came with 20.
        base = "ubuntu" if case.name == "no-extends" else bases[number % len(bases)]
        fails = case.name == "dynamic-imports" and major(version) < 20
        yield cases.dataclasses.replace(case, name=f"{version}-{case.name}", base=base, fails=fails)


def options(version, bases):
    users = USERS + ADDED_USER if major(version) >= 20 else USERS
    yield Case(f"{version}-configuration-file", files={"kolla-build.conf": users}, base=bases[0])
    yield Case(f"{version}-names", ["--registry", "r:5000", "--namespace", "a/b", "--base-image", "own/base"], base=bases[-1])
    yield Case(f"{version}-release", ["--openstack-release", "master", "--tag", "1.0", "--nouse-dumb-init"], base=bases[1])
    yield Case(f"{version}-unbuildable-left-out", ["nova", "base", "redis", "telegraf"], base=bases[0], unbuildable=False)
    for base, tag in NEXT_TAGS.get(version, []):
        yield Case(f"{version}-{base}-{tag}", ["--base-tag", tag], base=base)
        yield Case(f"{version}-{base}-{tag}-unbuildable-left-out", ["--base-tag", tag], base=base, unbuildable=False)
    if major(version) == 9:
        yield Case(f"{version}-centos8", ["--base-tag", "8"], base="centos")
        yield Case(f"{version}-rhel", ["--type", "rhos", "--base-tag", "7.7"], base="rhel")
        yield Case(f"{version}-rhos-on-debian", ["--type", "rhos"], base="debian", fails=True)
        yield Case(f"{version}-rocky", base="rocky", fails=True)
    elif major(version) < 21:
        for base in bases:
            yield Case(f"{version}-repos-{base}", ["--repos-yaml", "{dir}/repos.yaml"], base=base, files={"repos.yaml": IDS})
        yield Case(f"{version}-repos-of-others", ["--repos-yaml", "{dir}/repos.yaml"], base=bases[0], fails=True,
                   files={"repos.yaml": "other: {}\n"})
    else:
        yield Case(f"{version}-repos-alone", ["--repos-yaml", "{dir}/repos.yaml"], base="rocky", fails=True,
                   files={"repos.yaml": cases.RPM_REPOSITORIES})
        yield from (
            Case(f"{version}-repos-changed-{base}", ["--repos-yaml", "{dir}/repos.yaml"], base=base)
            for base in bases
        )


def changed_repositories(case, package):
    """The release's own repositories, with a later section that replaces one."""
    own = (package / "template/repos.yaml").read_text()
    added = f"\n{case.base}-x86_64:\n" + CHANGED[case.base]
    return own + added


CHANGED = {
    "rocky": "  crb: {name: own-crb, distro: true, baseurl: 'http://a\\nhttp://b'}\n  epel: {name: e, metalink: m, gpgkey: k}\n",
    "centos": "  epel: {name: e, mirrorlist: m, gpgkey: k, gpgcheck: 1}\n",
    "debian": "  debian: {url: u, suite: s, component: c, gpg_key: /abs.asc, trusted: yes, build_only: yes, arch: amd64}\n",
    "ubuntu": "  grafana: {url: u, suite: '{openstack_release_codename}', component: c, gpg_key: k}\n",
}


def check(parity):
    for version, bases in RELEASES.items():
        if not parity.args.all and version not in QUICK:
            continue
        python = PythonKolla(version)
        found = list(chosen(parity, python, bases))
        checkouts = parity.selected(as_checkout(version, bases))
        if not found and not checkouts:
            continue
        before = parity.same, parity.total
        parity.render(found, older=python)
        if checkouts:
            parity.render(checkouts, older=checkout(version))
        print(f"Kolla {version}: identical {parity.same - before[0]}/{parity.total - before[1]}", flush=True)


def as_checkout(version, bases):
    """The release's default, and what it says of OpenStack's branches."""
    names = ["--type", "source"] if major(version) == 9 else []
    yield Case(f"{version}-as-checkout", names, base=bases[0], unbuildable=major(version) != 9)


def checkout(version):
    made = Checkout(version)
    made.lay_out()
    return made


def chosen(parity, python, bases):
    python.install()
    version = python.version
    if parity.args.all:
        found = [
            *combinations(version, bases, cases.ARCHES),
            *overrides(version, python.tree, bases),
            *options(version, bases),
        ]
    else:
        one = list(combinations(version, [QUICK[version]], ["x86_64"]))[:1]
        quick = [case for case in overrides(version, python.tree, [QUICK[version]]) if "tripleo" in case.name]
        found = [*one, *quick]
    for case in parity.selected(found):
        if "repos-changed" in case.name:
            case.files = {"repos.yaml": changed_repositories(case, python.package)}
        if major(version) == 9:
            # It has no such option, and --template-only leaves every image.
            case.unbuildable = False
        yield case
