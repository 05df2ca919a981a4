//! What is built again, and what is not.

use kolla_build::model::platform::Arch;

use crate::support::docker::{BASE_IMAGE, FakeDocker, Fault};
use crate::support::project::{Project, Run};

/// A tree whose images share a macro, with a file in the context of one and an override of a block of another.
fn project() -> Project {
    Project::empty()
        .file("images/macros.j2", "{% macro install(what) %}RUN install {{ what }}{% endmacro %}\n")
        .image("base", None, "RUN true\n")
        .image("openstack-base", Some("base"), "RUN true\n")
        .image("keystone-base", Some("openstack-base"), "{% block keystone_footer %}{% endblock %}\n")
        .image("keystone", Some("keystone-base"), "COPY start.sh /\n")
        .file("images/keystone/start.sh", "#!/bin/sh\n")
        .image(
            "nova-base",
            Some("openstack-base"),
            "{% import 'macros.j2' as macros %}{{ macros.install('nova') }}\n",
        )
        .image("nova-api", Some("nova-base"), "RUN true\n")
        .image("memcached", Some("base"), "RUN true\n")
}

const OVERRIDE: &str = "{% extends parent_template %}\n{% block keystone_footer %}RUN more{% endblock %}\n";

/// A daemon that has built the whole project once.
fn built(project: Project) -> (FakeDocker, Project) {
    let daemon = FakeDocker::with_base_image();
    let project = project.with_engine(&daemon);
    project.run([""; 0]).exits(0);
    daemon.forget();
    (daemon, project)
}

/// The images that this run builds, sorted.
fn rebuilt(daemon: &FakeDocker, run: Run) -> Vec<String> {
    run.exits(0);
    let mut images = daemon.order();
    images.sort();
    images
}

#[test]
fn a_second_run_builds_nothing_and_says_so() {
    let (daemon, project) = built(project());
    let run = project.run([""; 0]).exits(0);
    assert_eq!(daemon.order(), [""; 0]);
    for image in ["base", "keystone", "memcached"] {
        let line = format!("INFO:kolla.common.utils.{image}:Unchanged, nothing to build");
        assert!(run.tells(&line), "{run}");
    }
    let last = run.stderr.lines().last().unwrap_or_default();
    assert!(last.ends_with(": 0 images built, 7 unchanged"), "{run}");
    assert_eq!(run.summary()["built"].as_array().map(Vec::len), Some(7));
}

#[test]
fn an_image_of_another_architecture_is_built_again_and_nothing_is_built_on_it() {
    let other = if Arch::host() == Arch::X86_64 { "arm64" } else { "amd64" };
    let (daemon, project) = built(project());
    daemon.make_for("kolla/keystone-base:2026.2-debian-trixie", other);
    let run = project.run(["--skip-parents", "^keystone$"]).exits(1);
    assert!(run.stderr.contains("which this run does not build, is for linux/"), "{run}");
    // What is built on it is built again only if this gave another image, which it does not within the same second.
    assert!(rebuilt(&daemon, project.run(["^keystone$"])).contains(&"keystone-base".to_string()));
}

#[test]
fn a_changed_file_rebuilds_the_image_that_it_belongs_to() {
    let (daemon, project) = built(project());
    let project = project.file("images/keystone/start.sh", "#!/bin/bash\n");
    assert_eq!(rebuilt(&daemon, project.run([""; 0])), ["keystone"]);
}

#[test]
fn a_changed_file_of_a_parent_rebuilds_all_that_is_built_on_it_and_nothing_else() {
    let (daemon, project) = built(project());
    let project = project.file("images/openstack-base/pip.conf", "[global]\n");
    assert_eq!(
        rebuilt(&daemon, project.run([""; 0])),
        ["keystone", "keystone-base", "nova-api", "nova-base", "openstack-base"]
    );
    daemon.forget();
    let project = project.file("images/base/apt.conf", "Acquire::Retries 3;\n");
    assert_eq!(rebuilt(&daemon, project.run([""; 0])).len(), 7);
}

#[test]
fn a_file_s_mode_counts_and_its_time_does_not() {
    use std::os::unix::fs::PermissionsExt;
    let (daemon, project) = built(project());
    let script = project.path("images/keystone/start.sh");
    let file = std::fs::File::options().append(true).open(&script).expect("a file");
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("a time");
    assert_eq!(rebuilt(&daemon, project.run([""; 0])), [""; 0]);
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    assert_eq!(rebuilt(&daemon, project.run([""; 0])), ["keystone"]);
}

#[test]
fn a_changed_macro_rebuilds_who_uses_it_and_what_is_built_on_that() {
    let (daemon, project) = built(project());
    let project =
        project.file("images/macros.j2", "{% macro install(what) %}RUN get {{ what }}{% endmacro %}\n");
    assert_eq!(rebuilt(&daemon, project.run([""; 0])), ["nova-api", "nova-base"]);
}

#[test]
fn a_template_that_renders_the_same_rebuilds_nothing() {
    let (daemon, project) = built(project());
    let project = project.image("memcached", Some("base"), "RUN true{# a comment #}\n");
    assert_eq!(rebuilt(&daemon, project.run([""; 0])), [""; 0]);
}

#[test]
fn an_override_rebuilds_what_it_changes_until_it_is_gone_again() {
    let (daemon, project) = built(project().file("mine.j2", OVERRIDE));
    let with_override = ["--template-override", "mine.j2"];
    assert_eq!(rebuilt(&daemon, project.run(with_override)), ["keystone", "keystone-base"]);
    daemon.forget();
    assert_eq!(rebuilt(&daemon, project.run(with_override)), [""; 0]);
    assert_eq!(rebuilt(&daemon, project.run([""; 0])), ["keystone", "keystone-base"]);
}

#[test]
fn a_build_argument_rebuilds_everything_and_a_proxy_nothing() {
    let (daemon, project) = built(project());
    let output = project.command([""; 0]).env("http_proxy", "http://proxy.example:1").output();
    assert_eq!(rebuilt(&daemon, output.expect("the binary starts").into()), [""; 0]);
    assert_eq!(rebuilt(&daemon, project.run(["--build-args", "flavour:plain"])).len(), 7);
}

#[test]
fn a_newer_base_image_rebuilds_everything() {
    let (daemon, project) = built(project());
    daemon.replace(BASE_IMAGE);
    assert_eq!(rebuilt(&daemon, project.run([""; 0])).len(), 7);
}

#[test]
fn a_parent_that_was_built_anew_takes_its_children_with_it() {
    let (daemon, project) = built(project());
    // Same inputs, other content: newer packages, say.
    daemon.replace("kolla/openstack-base:2026.2-debian-trixie");
    assert_eq!(
        rebuilt(&daemon, project.run([""; 0])),
        ["keystone", "keystone-base", "nova-api", "nova-base"]
    );
}

#[test]
fn an_image_that_is_gone_is_built_again() {
    let (daemon, project) = built(project());
    daemon.remove("kolla/memcached:2026.2-debian-trixie");
    assert_eq!(rebuilt(&daemon, project.run([""; 0])), ["memcached"]);
}

#[test]
fn without_cache_everything_is_built_anew() {
    let (daemon, project) = built(project());
    assert_eq!(rebuilt(&daemon, project.run(["--nocache"])).len(), 7);
    assert!(daemon.builds().iter().all(|build| build.query["nocache"] == "1"));
}

#[test]
fn a_run_goes_on_where_a_failed_one_stopped() {
    let fails = Fault::Fails { message: "exit code: 1".to_string(), log: "no".to_string() };
    let daemon = FakeDocker::with_base_image().fail("nova-base", fails);
    let project = project().with_engine(&daemon);
    project.run([""; 0]).exits(1);
    daemon.forget();
    assert_eq!(rebuilt(&daemon, project.run([""; 0])), ["nova-api", "nova-base"]);
}

#[test]
fn a_kept_working_directory_brings_nothing_of_an_earlier_run_into_a_context() {
    let daemon = FakeDocker::with_base_image();
    let project = project().with_engine(&daemon).file("images/keystone/old.conf", "old\n");
    project.run(["--work-dir", "work"]).exits(0);
    daemon.forget();
    std::fs::remove_file(project.path("images/keystone/old.conf")).expect("removed");
    assert_eq!(rebuilt(&daemon, project.run(["--work-dir", "work"])), ["keystone"]);
    let names: Vec<_> = daemon.builds()[0].files.keys().cloned().collect();
    assert_eq!(names, ["Dockerfile", "additions-archive", "plugins-archive", "start.sh"]);
}
