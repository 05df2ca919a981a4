//! Kolla's own checkouts, tarballs and packages, in small: which release they are of, and which version.

use crate::support::git::git;
use crate::support::project::{Project, Run};

/// What differs from release to release.
struct Shape {
    /// Where the images are in a checkout.
    images: &'static str,
    openstack: &'static str,
    prefix: &'static str,
    options: &'static str,
    repositories: &'static str,
    /// What every Dockerfile has.
    body: &'static str,
}

const DATED: &str = "LABEL build-date=\"{{ build_date }}\"\n";
const DESCRIBED: &str = "debian:\n  one: {url: u, suite: s, component: c, gpg_key: k}\n";

/// Between its releases it calls itself after the last one, and one image has a line of before.
const MASTER: Shape = Shape {
    images: "kolla/docker",
    openstack: "master",
    prefix: "stable-",
    options: "cfg.StrOpt('patches-path', default=None), cfg.StrOpt('tag', help='')",
    repositories: "debian:\n  one: {distro: True}\n",
    body: "",
};
const STABLE: Shape = Shape {
    images: "docker",
    openstack: "2026.1",
    prefix: "stable-",
    options: "cfg.StrOpt('patches-path', default=None), cfg.StrOpt('tag', default=version.cached())",
    repositories: DESCRIBED,
    body: DATED,
};
const UNMAINTAINED: Shape = Shape {
    images: "docker",
    openstack: "2024.1",
    prefix: "unmaintained-",
    options: "cfg.StrOpt('tag', default=version.cached())",
    repositories: "debian:\n  one: {url: u, suite: s, component: c, gpg_key: k}\nrocky:\n  one: one\n",
    body: "LABEL build-date=\"{{ build_date }}\" python=\"{{ distro_python_version }}\"\n",
};

/// A checkout in `src`, without its history.
fn tree(shape: &Shape) -> Project {
    let images = |name: &str| format!("src/{}/{name}/Dockerfile.j2", shape.images);
    let config = format!(
        "OPENSTACK_RELEASE = '{}'\nDEFAULT_BASE_TAGS = {{'debian': {{'name': 'own/debian', 'tag': 'sid'}}}}\n\
         _CLI_OPTS = [{}, cfg.StrOpt('openstack-release', default=OPENSTACK_RELEASE)]\n\
         def parse(conf):\n    prefix = '' if conf.openstack_release == 'master' else '{}'\n",
        shape.openstack, shape.options, shape.prefix
    );
    let base = format!(
        "FROM {{{{ base_image }}}}:{{{{ base_distro_tag }}}}\n{}LABEL kolla_version=\"{{{{ kolla_version }}}}\"\n\
         {{{{ handle_repos(['one'], 'enable') }}}}\n",
        shape.body
    );
    let child = |body: &str| format!("FROM {{{{ namespace }}}}/base:{{{{ tag }}}}\n{body}");
    Project::shipped()
        .file("src/kolla/common/config.py", &config)
        .file("src/kolla/template/repos.yaml", shape.repositories)
        .file("src/kolla/tests/docker/base/Dockerfile.j2", "FROM scratch\n")
        .file("src/kolla/tests/docker/only-in-tests/Dockerfile.j2", "FROM scratch\n")
        .file("src/setup.cfg", "[metadata]\nname = kolla\n")
        .file(&images("base"), &base)
        .file(&images("cron"), &child(shape.body))
        .file(&images("leftover"), &child(DATED))
}

/// Its history: a tag, and commits after it with these messages.
fn tagged(project: Project, tag: &str, messages: &[&str]) -> Project {
    let src = project.path("src");
    git(
        &src,
        &format!(
            "git init -q -b main . && git add . && git commit -qm one && git tag -m '' {tag} && git tag note"
        ),
    );
    for message in messages {
        git(&src, &format!("git commit -q --allow-empty -m '{message}'"));
    }
    project
}

/// The settings of these names.
fn settings(run: &Run, names: &[&str]) -> Vec<String> {
    let value = |name: &&str| {
        let line = run.stdout.lines().find_map(|line| line.strip_prefix(&format!("{name} = ")));
        line.and_then(|line| line.split("    # ").next()).unwrap_or("").to_string()
    };
    names.iter().map(value).collect()
}

#[track_caller]
fn release(project: &Project, more: &[&str]) -> Vec<String> {
    let arguments = ["--images-dir=src", "--print-config"].iter().chain(more);
    settings(
        &project.run(arguments).exits(0),
        &["template_api", "kolla_version", "tag", "openstack_branch", "openstack_branch_slashed"],
    )
}

#[track_caller]
fn refused(run: Run, lines: &[&str]) {
    let run = run.exits(2);
    for line in lines {
        assert!(run.stderr.contains(line), "{line} is not in {run}");
    }
}

#[test]
fn a_clone_of_master_is_what_it_holds_and_not_what_it_calls_itself() {
    let project = tagged(tree(&MASTER), "22.0.0.0rc1", &["Add it\n\nSem-Ver: feature", "Mend it"]);
    assert_eq!(release(&project, &[]), ["23", "22.1.0", "master-debian-sid", "master", "master"]);
    project.run(["--images-dir=src", "--template-only", "--work-dir=w"]).exits(0);
    let base = project.read("w/docker/base/Dockerfile");
    assert_eq!(base.trim_end(), "FROM own/debian:sid\nLABEL kolla_version=\"22.1.0\"");
    assert!(project.read("w/docker/leftover/Dockerfile").contains("build-date=\"\""));
    assert!(!project.path("w/docker/only-in-tests").exists());
}

#[test]
fn a_clone_of_a_stable_branch_has_the_version_that_its_tags_give() {
    let project = tagged(tree(&STABLE), "22.0.0", &["Mend it"]);
    assert_eq!(release(&project, &[]), ["22", "22.0.1", "22.0.1", "stable-2026.1", "stable/2026.1"]);
    project.run(["--images-dir=src/docker", "--template-only", "--work-dir=w"]).exits(0);
    assert!(project.read("w/docker/base/Dockerfile").contains("LABEL kolla_version=\"22.0.1\"\nRUN "));
    assert!(project.read("w/docker/cron/Dockerfile").starts_with("FROM kolla/base:22.0.1\n"));
    git(&project.path("src"), "git checkout -q 22.0.0");
    assert_eq!(release(&project, &[])[1], "22.0.0");
    assert_eq!(release(&project, &["--kolla-version=own", "--template-api=23"])[..2], ["23", "own"]);
}

#[test]
fn branches_are_called_as_the_package_calls_them() {
    let project = tagged(tree(&UNMAINTAINED), "18.8.0", &["Mend it"]);
    let expected = ["18", "18.8.1", "18.8.1", "unmaintained-2024.1", "unmaintained/2024.1"];
    assert_eq!(release(&project, &[]), expected);
    assert_eq!(release(&project, &["--openstack-release=master"])[3..], ["master", "master"]);
    assert_eq!(release(&project, &["--openstack-release=2023.2"])[3], "unmaintained-2023.2");
    assert_eq!(release(&project, &["--openstack-branch=own"])[3], "own");
}

#[test]
fn metadata_tells_the_version_of_what_has_no_history() {
    let metadata =
        |version: &str| format!("Metadata-Version: 2.1\nName: kolla\nVersion: {version}\n\nVersion: 1\n");
    let project = tree(&STABLE).file("src/PKG-INFO", &metadata("22.0.1.dev17"));
    assert_eq!(release(&project, &[])[1], "22.0.1");
    let project = tree(&STABLE).file("src/kolla.egg-info/PKG-INFO", &metadata("22.2.0.0rc1"));
    assert_eq!(release(&project, &[])[1], "22.2.0");
    // A build has left it there, and the checkout has gone on.
    assert_eq!(release(&tagged(project, "22.3.0", &["Mend it"]), &[])[1], "22.3.1");
    // What pbr says where it knows nothing.
    let project = tree(&STABLE).file("src/kolla-0.0.1.dist-info/METADATA", &metadata("0.0.1.dev5"));
    refused(
        project.run(["--images-dir=src", "--list-images"]),
        &["METADATA says 0.0.1.dev5, which is no version"],
    );
    let project = tagged(project, "22.0.0", &[]);
    assert_eq!(release(&project, &[])[1], "22.0.0");
}

#[test]
fn a_version_that_nothing_tells_is_asked_for() {
    let hints = [
        "error: which version of Kolla src/docker is of can't be told",
        "hint: --kolla-version X.Y.Z gives it: images are tagged and labelled with it",
        "hint: its templates are taken as those of Kolla 22; --template-api names another release",
    ];
    let list = ["--images-dir=src", "--list-images"];
    let refused_with = |project: &Project, reason: &str| {
        refused(project.run(list), &hints);
        refused(project.run(list), &[reason]);
        assert_eq!(release(project, &["--kolla-version=22.0.7"])[..3], ["22", "22.0.7", "22.0.7"]);
    };
    refused_with(&tree(&STABLE), "caused by: it is no git checkout");
    let project = tree(&STABLE);
    git(&project.path(""), "git init -q . && git add src && git commit -qm vendored && git tag 9.9.9");
    refused_with(&project, "caused by: it is in a git checkout of something else");
    let project = tagged(tree(&STABLE), "22.0.0", &["Mend it"]);
    git(&project.path(""), "git clone -q --depth=1 file://$PWD/src shallow && rm -r src && mv shallow src");
    refused_with(&project, "caused by: its git history has no version's tag: it is a shallow clone");
    let project = tagged(tree(&STABLE), "22.0.0", &[]);
    let output = project.command(list).env("PATH", "/nonexistent").output().unwrap();
    refused(output.into(), &["git is not installed"]);
}

#[test]
fn images_of_an_older_release_alone_lack_the_rest_of_it() {
    let project = tagged(tree(&STABLE), "22.0.0", &[]);
    std::fs::create_dir(project.path("bare")).unwrap();
    std::fs::rename(project.path("src/docker"), project.path("bare/docker")).unwrap();
    let list = ["--images-dir=bare", "--list-images"];
    let lacking = [
        "error: bare/docker holds images as Kolla 22 or a release before it has them, and what else belongs to them is missing",
        "hint: --images-dir DIR takes the root of a checkout",
        "hint: --kolla-package DIR names the package",
        "hint: --template-api 22 with --kolla-version X.Y.Z takes the images alone",
    ];
    refused(project.run(list), &lacking);
    refused(project.run([&list[..], &["--kolla-version=22.0.0"]].concat()), &lacking);
    let with = |more: &[&str]| {
        let run = project.run([&["--images-dir=bare", "--print-config"], more].concat()).exits(0);
        settings(&run, &["template_api", "kolla_version", "base_image"])
    };
    for package in ["--kolla-package=src", "--kolla-package=src/kolla"] {
        assert_eq!(with(&[package]), ["22", "22.0.0", "own/debian"], "{package}");
    }
    refused(project.run(["--images-dir=bare", "--template-api=22"]), &["--kolla-version X.Y.Z gives it"]);
    let alone = ["--template-api=22", "--kolla-version=22.0.0"];
    assert_eq!(with(&alone), ["22", "22.0.0", "debian"]);
    let repositories = project.path("src/kolla/template/repos.yaml");
    std::fs::copy(repositories, project.path("bare/docker/repos.yaml")).unwrap();
    let run = project.run([&list[..], &alone].concat()).exits(0);
    assert!(run.tells("warning: bare/docker is taken as a tree of Kolla 22, with the users"), "{run}");
    let nothing = [&list[..], &["--kolla-package=bare"]].concat();
    refused(project.run(nothing), &["error: --kolla-package: bare is no Python package of Kolla's"]);
}

#[test]
fn releases_that_nobody_has_compared_are_refused() {
    let unknown = |project: &Project, named: &str| {
        let list = ["--images-dir=src", "--list-images"];
        refused(project.run(list), &[&format!("error: src/docker: the templates of {named} are not known")]);
        refused(
            project.run(list),
            &["hint: --template-api treats them as those of another Kolla release: 9, 18"],
        );
        project.run([&list[..], &["--template-api=18"]].concat()).exits(0);
    };
    let zed = Shape { openstack: "zed", ..UNMAINTAINED };
    unknown(&tagged(tree(&zed), "18.0.0", &[]), "OpenStack zed");
    unknown(&tagged(tree(&UNMAINTAINED), "17.0.0", &["Mend it"]), "Kolla 17.0.1");
}

#[test]
fn what_changed_in_a_checkout_is_told_whatever_its_version_was() {
    let project = tagged(tree(&STABLE), "22.0.0", &["Mend it"]).file(
        "src/docker/cron/Dockerfile.j2",
        "FROM {{ namespace }}/base:{{ tag }}\nLABEL build-date=\"{{ build_date }}\"\nRUN mended\n",
    );
    let run = project.run(["--images-dir=src", "--list-images", "--affected-since=22.0.0"]).exits(0);
    assert_eq!(run.stdout, "1 : cron\n", "{run}");
}
