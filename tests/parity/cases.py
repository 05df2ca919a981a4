"""What is rendered with both programs: combinations, overrides and options."""

import dataclasses
import os
import pathlib

from generated import GENERATED

HERE = pathlib.Path(__file__).resolve().parent
BASES = ["debian", "rocky", "ubuntu"]
ARCHES = ["x86_64", "aarch64"]


@dataclasses.dataclass
class Case:
    """One command line; "{dir}" in it and in files stands for the case's own directory."""

    name: str
    args: list = dataclasses.field(default_factory=list)
    # The case's files by name; a value is the text, or (text, mode), or None for a directory.
    files: dict = dataclasses.field(default_factory=dict)
    base: str = "ubuntu"
    arch: str = "x86_64"
    unbuildable: bool = True
    # Set when both must refuse.
    fails: bool = False

    def prepare(self, directory):
        for name, content in self.files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir()
                continue
            text, mode = content if isinstance(content, tuple) else (content, 0o644)
            path.write_text(text.replace("{dir}", str(directory)))
            path.chmod(mode)

    def command_line(self, directory):
        args = ["--base", self.base, "--base-arch", self.arch]
        if "kolla-build.conf" in self.files:
            args += ["--config-file", "{dir}/kolla-build.conf"]
        else:
            args += ["--config-file", os.devnull]
        if self.unbuildable:
            args += ["--enable-unbuildable"]
        return [arg.replace("{dir}", str(directory)) for arg in [*args, *self.args]]


def combinations():
    return [Case(f"{base}-{arch}", base=base, arch=arch) for base in BASES for arch in ARCHES]


def with_overrides(name, paths, **fields):
    args = [arg for path in paths for arg in ("--template-override", str(path))]
    return Case(name, args=args, **fields)


def generated_overrides(tree):
    for name, make in GENERATED.items():
        yield with_overrides(name, ["{dir}/override.j2"], files={"override.j2": make(tree)})


def written_overrides():
    directory = HERE / "overrides"
    for path in sorted(directory.glob("*.j2")):
        if not path.name.startswith("merged-"):
            yield with_overrides(path.name.removesuffix(".j2"), [path])
    merged = [directory / f"merged-{number}.j2" for number in (1, 2, 3)]
    yield with_overrides("two-files-merged", merged[:2])
    yield with_overrides("three-files-merged", merged)
    yield with_overrides("files-of-many-kinds-merged", [directory / "list-methods.j2", *merged[::-2]])


def options():
    yield Case(
        "prefix-registry-namespace-tag",
        ["--image-name-prefix", "pre-", "--registry", "reg.example:5000", "--namespace", "a/b", "--tag", "1.0"],
    )
    yield Case(
        "release-and-switches",
        ["--openstack-release", "master", "--openstack-release-codename", "Gazpacho", "--nouse-dumb-init",
         "--nodocker-healthchecks", "--base-tag", "42", "--base-image", "own/base", "--openstack-branch", "x"],
    )
    yield Case(
        "configuration-file",
        files={"kolla-build.conf": CONFIGURATION, "sources.list": "deb http://mirror x main\n",
               "preferences": "Package: *\n"},
    )
    yield Case("empty-values", files={"kolla-build.conf": EMPTY_VALUES})
    yield Case("abbreviated", ["--namesp=x", "--image-name", "p-", "--debian=arm64", "--nouse", "^nova-api$"])
    yield Case("rpm-setup", base="rocky", files={"kolla-build.conf": RPM_SETUP})
    yield Case("repos-rpm", ["--repos-yaml", "{dir}/repos.yaml"], base="rocky",
               files={"repos.yaml": RPM_REPOSITORIES})
    yield Case("repos-deb", ["--repos-yaml", "{dir}/repos.yaml"], base="debian",
               files={"repos.yaml": DEB_REPOSITORIES})
    yield Case("repos-deb-for-arm", ["--repos-yaml", "{dir}/repos.yaml"], base="ubuntu", arch="aarch64",
               files={"repos.yaml": DEB_REPOSITORIES})
    for name, text in REFUSED_REPOSITORIES.items():
        yield Case(f"repos-{name}", ["--repos-yaml", "{dir}/repos.yaml"], base="rocky", fails=True,
                   files={"repos.yaml": text})
    yield Case("repos-half-overridden", ["--repos-yaml", "{dir}/repos.yaml"], base="rocky", fails=True,
               files={"repos.yaml": "rocky:\n  crb:\n    name: own\n    baseurl: http://x\n    gpgkey: k\n"})
    yield Case("patches", ["--patches-path", "{dir}/patches"], files=PATCHES)
    yield Case("overlays", ["--docker-dir", "{dir}/first", "-D", "{dir}/second"], files=OVERLAYS)
    yield Case("matched-images-only", ["nova", "^keystone$", "base|cinder"])
    yield Case("unbuildable-images-left-out", unbuildable=False, base="rocky", arch="aarch64")
    yield Case("profile-without-parents", ["--profile", "main", "-p", "infra", "--skip-parents"], base="debian")
    for name, text in REFUSED.items():
        yield with_overrides(name, ["{dir}/1.j2", "{dir}/2.j2"], fails=True,
                             files={"1.j2": "{% extends parent_template %}\n" + text, "2.j2": text})


EMPTY_VALUES = """
[DEFAULT]
base_image =
registry =
image_name_prefix =
repos_yaml =
patches_path =
pip_index_url =
apt_sources_list =
rpm_setup_config = , ,
"""

CONFIGURATION = """
[DEFAULT]
maintainer = Someone "else" <x@example.com>
clean_package_cache = false
distro_package_manager = apt-own
apt_sources_list = {dir}/sources.list
apt_preferences = {dir}/preferences
pip_index_url = http://pip.example/simple
pip_extra_index_url = http://more.example
[nova-user]
uid = 1234
gid = 2345
[added-user]
uid = 77
gid = 78
group = other
[partly-user]
uid = 79
"""

RPM_SETUP = """
[DEFAULT]
base_package_type = rpm
rpm_setup_config = http://host/a.repo,/etc/b.repo,http://host/c.rpm,
pip_trusted_host = pip.example
"""

REFUSED_REPOSITORIES = {
    "empty": "",
    "of-a-list": "- rocky\n",
    "with-a-list-of-keys": "rocky:\n  grafana:\n    name: own\n    baseurl: http://x\n    gpgkey: [a, b]\n",
    "with-a-list-of-places": "rocky:\n  grafana:\n    name: own\n    baseurl: [http://x, http://y]\n    gpgkey: k\n",
    "without-a-place": "rocky:\n  grafana:\n    name: own\n    baseurl:\n    gpgkey: k\n",
    "without-a-key": "rocky:\n  grafana:\n    name: own\n    baseurl: http://x\n    gpgkey:\n",
}
RPM_REPOSITORIES = """
rpm:
  grafana: {name: own-grafana, baseurl: "http://a/1\\nhttp://a/2", gpgkey: "k1\\nk2\\nk3", gpgcheck: 1}
  influxdb: {name: i, metalink: "http://m", gpgkey: k, gpgcheck: 0, repo_gpgcheck: true}
rocky:
  epel: {name: epel, mirrorlist: "http://l", gpgkey: k, build_only: true, file_group: epel-own.repo}
  baseos: {name: baseos, baseurl: "http://b", gpgkey: k, build_only: yes}
  appstream: {name: appstream, baseurl: "http://b", gpgkey: k, build_only: yes}
  crb: {name: crb, baseurl: "http://b", gpgkey: k}
  extras: {name: extras, baseurl: "http://b", gpgkey: k}
  highavailability: {name: ha, baseurl: "http://b", gpgkey: k}
rocky-x86_64:
  mariadb: {name: only, distro: true}
"""

DEB_REPOSITORIES = """
deb:
  grafana: {url: "http://g", suite: "{openstack_release_codename}", component: c, gpg_key: /abs/key.asc, trusted: yes}
debian:
  debian: {url: "http://d", suite: s, component: main, gpg_key: d.gpg, build_only: true, arch: amd64}
  docker-ce: {url: "http://e", suite: "s", component: 'main other', gpg_key: d.gpg, build_only: true}
ubuntu:
  ubuntu-cloud-archive: {url: "http://u", suite: "x-{openstack_release_codename}", component: m, gpg_key: u.gpg}
ubuntu-aarch64:
  grafana: {arch: arm64, build_only: true}
added-section:
  x: {distro: true}
"""

PATCHES = {
    "patches/nova-base/series": "# comment\none.patch\n  two.patch  \n\n",
    "patches/nova-base/one.patch": "1\n",
    "patches/nova-base/two.patch": "2",
    "patches/nova-base/not-in-series.patch": "3",
    "patches/keystone/no-series.patch": "4",
    "patches/no-such-image/series": "x\n",
    "patches/base/series": "",
}

OVERLAYS = {
    "first/base/Dockerfile.j2": "FROM {{ base_image }}\n{% import 'macros.j2' as macros with context %}\n"
    "{% block footer %}{% endblock %}\nRUN {{ macros.install_packages(['x']) }}\n\n",
    "first/base/added": ("bytes\n", 0o600),
    "first/base/curlrc": "replaced\n",
    "first/keystone/keystone/extend_start.sh": ("#!/bin/sh\n", 0o755),
    "first/own/own-service/Dockerfile.j2": "FROM {{ namespace }}/base:{{ tag }}\n{% include 'own/part.j2' %}\n",
    "first/own/part.j2": "# {{ image_name }} includes\n",
    "first/own/empty/below": None,
    "second/own/own-service/Dockerfile.j2": "from {{ namespace }}/keystone-base:{{ tag }} AS x\n"
    "{% include 'own/part.j2' %}",
    "second/macros.j2": "{% macro install_packages(list, chain=False, clean=True) %}own {{ list }}{% endmacro %}"
    "{% macro kolla_cleanup_repos() %}{% endmacro %}"
    "{% macro kolla_enable_base_repos() %}{% endmacro %}{% macro enable_extra_repos(r) %}{{ r }}{% endmacro %}"
    "{% macro configure_user(name, groups=None, shell=None, homedir=None) %}{% endmacro %}{% macro install_pip(l, constraints=1, python_version=3) %}{{ l }}{% endmacro %}"
    "{% macro sed(file, expressions) %}{{ file }}{% endmacro %}{% macro kolla_patch_sources() %}{% endmacro %}"
    "{% macro install_fluent_plugins(p, chain=0) %}{% endmacro %}{% macro rpm_security_update(c) %}{% endmacro %}"
    "{% macro upper_constraints_remove(p) %}{% endmacro %}"
    "{% macro upper_constraints_version_change(p, from, to) %}{% endmacro %}",
}

REFUSED = {
    "refused-duplicate-block": "{% block footer %}{% endblock %}",
    "refused-import": "{% import 'macros.j2' as own %}",
    "refused-syntax": "{% if %}",
    "refused-unknown-repository": "{% set x = handle_repos(['no-such'], 'enable') %}",
    "refused-no-list-of-repositories": "{% set x = handle_repos('grafana', 'enable') %}",
    "refused-attribute-of-undefined": "{% set x = not_there.attribute %}",
    "refused-raise-error": "{% set x = raise_error('stop') %}",
    "refused-unknown-filter": "{% set x = 1 | no_such_filter %}",
    "refused-append-to-text": "{% set base_x_append = ['a'] %}{% set y = 'text' | customizable('x') %}"
    "{% set keystone_x_append = ['a'] %}{% set nova_x_append = ['a'] %}",
}
