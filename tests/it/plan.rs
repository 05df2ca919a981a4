//! What `--plan` tells: what would come of every image, and why.

use kolla_build::model::platform::Arch;
use serde_json::Value;

use crate::support::docker::{BASE_IMAGE, FakeDocker};
use crate::support::project::{Project, Run};
use crate::support::pushed::{Pushed, TAG};
use crate::support::registry::Fault;

fn project() -> Project {
    Project::empty()
        .image("base", None, "RUN true\n")
        .image("keystone", Some("base"), "COPY start.sh /\nRUN one\nRUN two\n")
        .file("images/keystone/start.sh", "#!/bin/sh\n")
        .image("memcached", Some("base"), "RUN true\n")
}

/// A daemon that has built the whole project once.
fn built() -> (FakeDocker, Project) {
    let daemon = FakeDocker::with_base_image();
    let project = project().with_engine(&daemon);
    project.run([""; 0]).exits(0);
    (daemon, project)
}

/// Every image's forecast: `built: file start.sh differs`.
fn forecasts(run: &Run) -> Vec<(String, String)> {
    let plan: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let told = |unit: &Value| {
        let forecast = &unit["forecast"];
        let told = format!("{}: {}", text(&forecast["expected"]), text(&forecast["reason"]));
        (text(&unit["image"]), told)
    };
    plan["units"].as_array().expect("a list").iter().map(told).collect()
}

#[track_caller]
fn foretells(project: &Project, more: &[&str], expected: [(&str, &str); 3]) {
    let run = project.run(["--plan", "--plan-format=json"].iter().chain(more)).exits(0);
    let expected = expected.map(|(image, told)| (image.to_string(), told.to_string()));
    assert_eq!(forecasts(&run), expected, "{run}");
}

#[test]
fn a_fresh_build_is_foretold() {
    let daemon = FakeDocker::with_base_image();
    let project = project().with_engine(&daemon);
    let run = project.run(["--plan", "keystone"]).exits(0);
    let last = run.stdout.lines().last().unwrap_or_default();
    assert_eq!(last, "2 to build, 0 unchanged, 1 not asked for, 0 skipped, 0 unbuildable");
    for line in
        ["on debian:trixie: keystone is built on it; the engine does not have it", "its parent base is built"]
    {
        assert!(run.stdout.contains(line), "{line}: {run}");
    }
    assert_eq!(daemon.order(), [""; 0]);
    assert_eq!(daemon.pulls(), [""; 0]);
}

#[test]
fn what_is_up_to_date_is_told_and_so_is_the_first_input_that_differs() {
    let (daemon, project) = built();
    let unchanged = "unchanged: nothing differs";
    foretells(&project, &[], [("base", unchanged), ("keystone", unchanged), ("memcached", unchanged)]);

    let project = project.file("images/keystone/start.sh", "#!/bin/bash\n");
    let file = "built: file start.sh differs";
    foretells(&project, &[], [("base", unchanged), ("keystone", file), ("memcached", unchanged)]);

    let project = project.image("keystone", Some("base"), "COPY start.sh /\nRUN one\nRUN more\nRUN two\n");
    let both = "built: Dockerfile line 5 differs, and 1 more";
    foretells(&project, &[], [("base", unchanged), ("keystone", both), ("memcached", unchanged)]);

    // What was foretold is what happens.
    daemon.forget();
    project.run([""; 0]).exits(0);
    assert_eq!(daemon.order(), ["keystone"]);
    foretells(&project, &[], [("base", unchanged), ("keystone", unchanged), ("memcached", unchanged)]);
}

#[test]
fn what_lies_outside_of_the_tree_is_foretold_too() {
    let (daemon, project) = built();
    let child = "built: its parent base is built";
    let argument = "built: build argument flavour differs";
    foretells(
        &project,
        &["--build-args", "flavour:plain"],
        // Of a child it is its own input.
        [
            ("base", argument),
            ("keystone", "built: build argument flavour differs, and 1 more"),
            ("memcached", "built: build argument flavour differs, and 1 more"),
        ],
    );
    let anew = "built: --nocache builds everything anew";
    foretells(&project, &["--nocache"], [("base", anew), ("keystone", anew), ("memcached", anew)]);

    daemon.replace("kolla/base:2026.2-debian-trixie");
    let parent = "built: its parent base was built anew since";
    foretells(
        &project,
        &[],
        [("base", "unchanged: nothing differs"), ("keystone", parent), ("memcached", parent)],
    );

    daemon.remove("kolla/base:2026.2-debian-trixie");
    foretells(
        &project,
        &[],
        [("base", "built: the engine does not have it"), ("keystone", child), ("memcached", child)],
    );

    let (daemon, project) = built();
    daemon.replace(BASE_IMAGE);
    foretells(
        &project,
        &[],
        [("base", "built: base image debian:trixie differs"), ("keystone", child), ("memcached", child)],
    );
}

#[test]
fn without_a_record_and_without_an_engine_it_says_so() {
    let (daemon, project) = built();
    std::fs::remove_dir_all(project.path("home/.cache")).expect("a cache");
    let unchanged = "unchanged: nothing differs";
    foretells(&project, &[], [("base", unchanged), ("keystone", unchanged), ("memcached", unchanged)]);
    let project = project.image("memcached", Some("base"), "RUN false\n");
    let unknown = "built: its inputs differ, and there is no record of what the engine's image was made from";
    foretells(&project, &[], [("base", unchanged), ("keystone", unchanged), ("memcached", unknown)]);
    // A run in which nothing is built records what it finds.
    project.run(["^keystone$"]).exits(0);

    daemon.die();
    let run = project.run(["--plan", "--plan-format=json"]).exits(0);
    assert!(run.tells("note: the plan goes by what was built last, for the engine can't be asked"), "{run}");
    let none = "unknown: there is no record of an earlier build";
    let expected = [("base", unchanged), ("keystone", unchanged), ("memcached", none)];
    assert_eq!(forecasts(&run), expected.map(|(image, told)| (image.to_string(), told.to_string())));
    let run = project.run(["--plan"]).exits(0);
    let last = run.stdout.lines().last().unwrap_or_default();
    let counts =
        "0 to build, 2 unchanged, 1 of which only a run can tell, 0 not asked for, 0 skipped, 0 unbuildable";
    assert_eq!(last, counts);
}

#[test]
fn sources_that_only_a_download_would_tell_are_not_downloaded() {
    let (_daemon, project) = built();
    let project =
        project.file("source/file", "1\n").file("k.conf", "[keystone]\ntype = local\nlocation = source\n");
    let config = ["--config-file", "k.conf"];
    project.run(config).exits(0);
    let project = project.file("source/file", "2\n");
    let unchanged = "unchanged: nothing differs";
    foretells(
        &project,
        &config,
        [("base", unchanged), ("keystone", "built: source keystone differs"), ("memcached", unchanged)],
    );
    let project = project.file("k.conf", "[keystone]\ntype = url\nlocation = http://127.0.0.1:9/x.tar.gz\n");
    let unpinned = "unknown: source keystone is not pinned: only fetching it tells what it is";
    foretells(&project, &config, [("base", unchanged), ("keystone", unpinned), ("memcached", unchanged)]);
}

/// What is foretold of a tree in a registry.
#[track_caller]
fn foretells_of_registry(pushed: &Pushed, more: &[&str], expected: [&str; 4]) {
    let options = ["--plan", "--plan-format=json", "--reuse", "registry"];
    let run = pushed.run(&[&options, more].concat()).exits(0);
    let (images, told): (Vec<String>, Vec<String>) = forecasts(&run).into_iter().unzip();
    assert_eq!(images, ["base", "openstack-base", "keystone", "nova"]);
    assert_eq!(told, expected, "{run}");
    assert_eq!((pushed.daemon.order(), pushed.daemon.pulls()), (vec![], vec![]), "a plan does nothing");
}

const REUSED: &str = "unchanged: nothing differs from what the registry has";
const CHILD: &str = "built: its parent openstack-base is built";

#[test]
fn what_the_registry_has_is_foretold_when_it_is_reused_from_there() {
    let pushed = Pushed::new().with_fresh_engine();
    foretells_of_registry(&pushed, &[], [REUSED; 4]);
    let run = pushed.run(&["--plan", "--reuse", "registry"]).exits(0);
    assert!(run.stdout.contains("0 to build, 4 unchanged, "), "{run}");
    let run = pushed.run(&["--plan", "--plan-format=json", "--reuse", "registry"]).exits(0);
    let plan: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(plan["units"][0]["forecast"]["reused_from"], "registry", "{run}");
    // What was foretold is what happens.
    pushed.run(&["--reuse", "registry"]).exits(0);
    assert_eq!(pushed.daemon.order(), [""; 0]);

    // Without it nobody asks, and nothing of the registry counts.
    pushed.registry.take_requests();
    let run = pushed.run(&["--plan", "--plan-format=json"]).exits(0);
    assert_eq!(pushed.registry.take_requests(), [""; 0]);
    assert_eq!(forecasts(&run)[0].1, "built: the engine does not have it");
}

#[test]
fn what_the_registry_lacks_or_has_otherwise_is_foretold() {
    let pushed = Pushed::new().change("keystone", "openstack-base").with_fresh_engine();
    pushed.registry.remove("kolla/nova", TAG);
    foretells_of_registry(
        &pushed,
        &[],
        [
            REUSED,
            REUSED,
            "built: Dockerfile line 3 differs",
            "built: neither the engine nor the registry has it",
        ],
    );
    pushed.build_anew("base");
    let anew = "built: its parent base was built anew since";
    foretells_of_registry(&pushed, &[], [REUSED, anew, "built: Dockerfile line 3 differs", CHILD]);
    pushed.run(&["--reuse", "registry"]).exits(0);
    assert_eq!(pushed.daemon.order()[0], "openstack-base");
    assert_eq!(pushed.daemon.order().len(), 3);
}

#[test]
fn a_parent_that_is_left_out_counts_as_the_registry_has_it() {
    let pushed = Pushed::new().change("nova", "openstack-base").with_fresh_engine();
    foretells_of_registry(
        &pushed,
        &["--skip-parents"],
        [": ", ": ", REUSED, "built: Dockerfile line 3 differs"],
    );
}

#[test]
fn a_registry_that_can_not_be_asked_leaves_it_to_the_run() {
    let pushed = Pushed::new().with_fresh_engine();
    for _ in 0..2 {
        pushed.registry.fail_next("GET /v2/kolla/nova/manifests/", Fault::Status(500, Some("0")));
    }
    let run = pushed.run(&["--plan", "--plan-format=json", "--reuse", "registry"]).exits(0);
    let (_, nova) = forecasts(&run).swap_remove(3);
    assert!(nova.starts_with("unknown: the registry can't be asked: "), "{nova}");
    assert!(nova.contains("500"), "{nova}");
}

#[test]
fn a_base_image_that_the_engine_lacks_is_asked_of_its_registry() {
    let pushed = Pushed::new();
    let config = format!(r#"{{"architecture": "{}", "config": {{"Labels": {{}}}}}}"#, Arch::host().debian());
    pushed.registry.hold("debian", "trixie", config.as_bytes());
    let base = format!("{}/debian", pushed.registry.address());
    pushed.run(&["--base-image", &base, "--push"]).exits(0);
    let pushed = pushed.with_fresh_engine();
    foretells_of_registry(&pushed, &["--base-image", &base], [REUSED; 4]);
    pushed.run(&["--base-image", &base, "--reuse", "registry"]).exits(0);
    assert_eq!(pushed.daemon.order(), [""; 0]);

    pushed.registry.hold("debian", "trixie", config.replace("{}", r#"{"new": "yes"}"#).as_bytes());
    let pushed = pushed.with_fresh_engine();
    let base_image = format!("built: base image {base}:trixie differs");
    let base_is_built = "built: its parent base is built";
    foretells_of_registry(&pushed, &["--base-image", &base], [&base_image, base_is_built, CHILD, CHILD]);
}
