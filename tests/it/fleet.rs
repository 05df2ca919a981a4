//! Builds by several engines at once.

use crate::support::docker::FakeDocker;
use crate::support::project::{Project, Running};
use crate::support::real;
use crate::support::spare_engine::SpareEngine;

/// Kolla's images, each with the one it is built on.
const GRAPH: &str = include_str!("../stand_ins/graph.txt");

/// Small images in the shape of Kolla's graph, 188 in all.
fn stand_ins() -> Project {
    let rows = GRAPH.lines().filter(|line| !line.starts_with('#'));
    rows.fold(Project::empty(), |project, row| {
        let mut names = row.split_whitespace();
        let name = names.next().expect("a name");
        project
            .image(name, names.next(), &format!("COPY content /stand-ins/{name}\n"))
            .file(&format!("images/{name}/content"), &format!("{name} {}\n", std::process::id()))
    })
}

#[test]
fn several_engines_need_a_registry_between_them() {
    let (one, other) = (FakeDocker::with_base_image(), FakeDocker::with_base_image());
    let run =
        Project::new().run(["--engine-host", one.endpoint(), "--engine-host", other.endpoint()]).exits(2);
    assert!(run.tells("error: several engines move images through a registry, and none is named"), "{run}");
    assert!(run.stderr.contains("hint: name one with --registry"), "{run}");
}

#[test]
fn an_engine_for_another_architecture_is_left_alone() {
    let (one, other) = (FakeDocker::with_base_image(), FakeDocker::with_base_image());
    let ours = kolla_build::model::platform::Arch::host();
    let theirs =
        kolla_build::model::platform::Arch::ALL.into_iter().find(|arch| *arch != ours).expect("another one");
    let [ours, theirs] = [(ours, &one), (theirs, &other)]
        .map(|(arch, engine)| format!("{}={}", arch.kolla(), engine.endpoint()));
    let run = Project::new().run(["--engine-host", &ours, "--engine-host", &theirs]).exits(0);
    assert!(run.stderr.ends_with(": 8 images built\n"), "{run}");
    assert!(other.requests().is_empty(), "{:?}", other.requests());

    let run = Project::new().run(["--engine-host", &theirs]).exits(2);
    assert!(run.tells("error: no engine is named for linux/"), "{run}");
}

#[test]
fn an_engine_host_that_can_t_be_read_is_named() {
    for (host, reason) in [
        ("riscv=unix:///x.sock", "unknown architecture 'riscv'"),
        ("arm64=", "expected [ARCH=]ADDRESS"),
        ("arm64=nowhere", "cannot use the engine endpoint 'nowhere'"),
    ] {
        let run = Project::new().run(["--engine-host", host]).exits(2);
        assert!(run.stderr.contains(reason), "{run}");
    }
}

#[test]
fn an_engine_that_does_not_answer_is_told_and_done_without() {
    let (one, other) = (FakeDocker::with_base_image(), FakeDocker::with_base_image());
    other.die();
    let run = Project::new()
        .run(["--engine-host", one.endpoint(), "--engine-host", other.endpoint(), "--registry", "r.example"])
        .exits(0);
    assert!(run.stderr.ends_with(": 8 images built\n"), "{run}");
    assert!(run.tells("warning: going on without an engine: cannot reach the container engine"), "{run}");
}

/// Two real engines share a build of 188 images through a real registry; one of them is killed in the middle.
#[test]
#[ignore = "needs a real Docker engine and a registry"]
fn a_killed_engine_s_work_is_done_by_the_other() {
    let registry = real::named("REAL_REGISTRY");
    let (stays, mut goes) =
        (SpareEngine::with_images(&["debian:trixie"]), SpareEngine::with_images(&["debian:trixie"]));
    let project = stand_ins();
    let hosts = [stays.endpoint(), goes.endpoint()];
    let tag = std::process::id().to_string();
    let arguments = [
        "--engine-host",
        &hosts[0],
        "--engine-host",
        &hosts[1],
        "--registry",
        &registry,
        "--namespace",
        "fleet",
        "--tag",
        &tag,
        "--nopull",
        "--threads",
        "4",
    ];
    let run = Running::start(&project, arguments);
    let built_by = |engine: &SpareEngine| {
        let listed =
            engine.docker().args(["image", "ls", "--quiet", "--filter", "label=kolla-build.key"]).output();
        listed.expect("docker").stdout.split(|&byte| byte == b'\n').count()
    };
    real::wait_until("both engines to have built", || built_by(&goes) > 5 && built_by(&stays) > 5);
    goes.kill();
    let run = run.end().exits(0);
    assert!(run.stderr.ends_with(": 188 images built\n"), "{run}");
    assert!(run.stderr.contains("is lost, going on elsewhere"), "{run}");

    // Everything is in the registry: an engine that has nothing but the base image finds all of it there.
    goes.restart();
    let again = project.run(arguments).exits(0);
    assert!(again.stderr.ends_with(": 0 images built, 188 unchanged\n"), "{again}");
}
