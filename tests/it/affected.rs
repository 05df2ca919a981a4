//! What changed since a git revision, and what is built on it.

use std::os::unix::fs::PermissionsExt;

use crate::support::docker::FakeDocker;
use crate::support::git::git;
use crate::support::project::{Project, Run};

/// A tree with a macro, a context file, an override and sources beside it, all committed.
fn project() -> Project {
    let project = Project::new()
        .file("images/macros.j2", "{% macro install(what) %}RUN install {{ what }}{% endmacro %}\n")
        .image(
            "nova-base",
            Some("openstack-base"),
            "{% import 'macros.j2' as macros %}{{ macros.install('nova') }}\n",
        )
        .image("keystone", Some("keystone-base"), "COPY start.sh /\n{% block footer %}{% endblock %}\n")
        .file("images/keystone/start.sh", "#!/bin/sh\n")
        .file("mine.j2", "{% extends parent_template %}\n{% block footer %}RUN one{% endblock %}\n")
        .file("common/sources.yaml", "memcached:\n  type: url\n  location: http://h/1\n");
    git(&project.path(""), "git init -q -b main . && git add images common mine.j2 && git commit -qm first");
    project
}

fn list(project: &Project, more: &[&str]) -> Vec<String> {
    let arguments = ["--list-images", "--affected-since=HEAD"].iter().chain(more);
    let run = project.run(arguments).exits(0);
    run.stdout.lines().filter_map(|line| Some(line.split_once(" : ")?.1.to_string())).collect()
}

/// The plan's reasons by image.
fn reason(run: &Run, image: &str) -> String {
    let plan: serde_json::Value = serde_json::from_str(&run.stdout).expect("a plan");
    let unit = plan["units"].as_array().and_then(|units| units.iter().find(|unit| unit["image"] == image));
    let unit = unit.unwrap_or_else(|| panic!("{image} is not in {run}"));
    format!("{}: {}", unit["disposition"].as_str().unwrap_or(""), unit["reason"].as_str().unwrap_or(""))
}

#[test]
fn nothing_is_affected_when_nothing_changed() {
    assert_eq!(list(&project(), &[]), [""; 0]);
}

#[test]
fn a_changed_file_or_mode_affects_its_image() {
    let project = project().file("images/keystone/start.sh", "#!/bin/bash\n");
    assert_eq!(list(&project, &[]), ["keystone"]);
    git(&project.path(""), "git commit -qam second");
    assert_eq!(list(&project, &[]), [""; 0]);
    let chmod = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(project.path("images/keystone/start.sh"), permissions).expect("a mode");
    };
    // Of which git knows nothing.
    chmod(0o664);
    assert_eq!(list(&project, &[]), [""; 0]);
    chmod(0o755);
    assert_eq!(list(&project, &[]), ["keystone"]);
}

#[test]
fn what_is_built_on_a_changed_image_is_affected_and_told_why() {
    let project = project()
        .file("images/macros.j2", "{% macro install(what) %}RUN get {{ what }}{% endmacro %}\n")
        .file("images/keystone/new.conf", "")
        .image("glance", Some("base"), "RUN true\n");
    let run = project.run(["--plan", "--plan-format=json", "--affected-since=HEAD"]).exits(0);
    for (image, expected) in [
        ("nova-base", "build: Dockerfile line 3 differs since HEAD"),
        ("nova-api", "build: its parent nova-base changed since HEAD"),
        ("keystone", "build: file new.conf differs since HEAD"),
        ("glance", "build: it is new since HEAD"),
        ("base", "skipped: nothing that it is made from changed since HEAD"),
    ] {
        assert_eq!(reason(&run, image), expected);
    }
    // Of those that are asked for.
    assert_eq!(list(&project, &["nova-api", "memcached"]), ["nova-api", "nova-base"]);
    assert_eq!(list(&project, &["--skip-parents", "nova-api"]), ["nova-api"]);
}

#[test]
fn what_renders_the_same_is_not_affected() {
    let project = project().image("memcached", Some("base"), "RUN install memcached{# a comment #}\n");
    assert_eq!(list(&project, &[]), [""; 0]);
}

#[test]
fn a_changed_source_of_the_tree_affects_its_image() {
    let project = project().file("common/sources.yaml", "memcached:\n  type: url\n  location: http://h/2\n");
    assert_eq!(list(&project, &[]), ["memcached"]);
    let run = project.run(["--plan", "--plan-format=json", "--affected-since=HEAD"]).exits(0);
    assert_eq!(reason(&run, "memcached"), "build: source memcached differs since HEAD");
}

#[test]
fn overrides_and_overlays_are_those_of_their_revision() {
    let project = project();
    let with = ["--template-override=mine.j2", "--docker-dir=overlay"];
    let project = project.file("overlay/memcached/extra", "1\n");
    git(&project.path(""), "git add overlay && git commit -qm overlay");
    assert_eq!(list(&project, &with), [""; 0]);
    let project = project
        .file("mine.j2", "{% extends parent_template %}\n{% block footer %}RUN two{% endblock %}\n")
        .file("overlay/memcached/extra", "2\n");
    assert_eq!(list(&project, &with), ["keystone", "memcached"]);
    // One that is new in the checkout.
    git(&project.path(""), "git commit -qam second");
    let project = project.file(
        "more.j2",
        "{% extends parent_template %}\n{% block footer %}{{ super() }}\nRUN more{% endblock %}\n",
    );
    assert_eq!(list(&project, &["--template-override=more.j2"]), ["keystone"]);
}

#[test]
fn a_file_that_archives_leave_out_is_compared_too() {
    let project = project().file("images/keystone/.gitattributes", "start.sh export-ignore\n");
    git(&project.path(""), "git add images && git commit -qm attributes");
    assert_eq!(list(&project, &[]), [""; 0]);
}

#[test]
fn only_affected_images_are_built() {
    let daemon = FakeDocker::with_base_image();
    let project = project().with_engine(&daemon);
    project.run(["keystone"]).exits(0);
    daemon.forget();
    let project = project.file("images/keystone/start.sh", "#!/bin/bash\n");
    project.run(["--affected-since", "main", "keystone"]).exits(0);
    assert_eq!(daemon.order(), ["keystone"]);
    git(&project.path(""), "git commit -qam second");
    daemon.forget();
    let run = project.run(["--affected-since", "main", "keystone"]).exits(0);
    assert_eq!(daemon.order(), [""; 0], "{run}");
    assert_eq!(project.temporary_files(), [""; 0].map(std::path::PathBuf::from));
}

#[test]
fn what_can_not_be_compared_is_told() {
    let told = |run: Run, line: &str| {
        let run = run.exits(2);
        assert!(run.stderr.contains(line), "{line} is not in {run}");
    };
    let arguments = ["--list-images", "--affected-since=no-such"];
    told(project().run(arguments), "has no revision 'no-such' (a shallow clone has only its last commits)");
    let plain = Project::new();
    let images = plain.path("images").display().to_string();
    told(
        plain.run(arguments),
        &format!("error: {images} is not in a git checkout, so what it was at no-such"),
    );
    let run = Project::shipped().run(arguments);
    told(run, "hint: --images-dir DIR names a tree in a checkout");
    let outside = tempfile::NamedTempFile::new().expect("a file");
    let over = format!("--template-override={}", outside.path().display());
    told(project().run(["--list-images", "--affected-since=HEAD", &over]), "is not in a git checkout");
}

#[test]
fn a_revision_that_does_not_render_is_told() {
    let project = project().image("broken", Some("base"), "{% if %}\n");
    git(&project.path(""), "git add images && git commit -qm broken");
    let project = project.image("broken", Some("base"), "RUN true\n");
    let run = project.run(["--list-images", "--affected-since=HEAD"]).exits(1);
    assert!(run.tells("error: failed to render the image tree of HEAD"), "{run}");
    assert!(run.stderr.contains("broken"), "{run}");
}
