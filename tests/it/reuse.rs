//! Images that the registry has already are not built again.

use serde_json::Value;

use crate::support::pushed::{Pushed, TAG};
use crate::support::registry::{Demand, Fault};

/// Images and their outcomes in the last run.
fn outcomes(pushed: &Pushed) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(&pushed.project.read("report.json")).expect("JSON");
    let text = |image: &Value, key: &str| image[key].as_str().unwrap_or("none").to_string();
    let images = report["images"].as_array().expect("a list").iter();
    let mut outcomes: Vec<_> = images.map(|image| (text(image, "name"), text(image, "outcome"))).collect();
    outcomes.sort();
    outcomes
}

/// The pulls of images of ours.
fn pulls(pushed: &Pushed) -> Vec<String> {
    let prefix = format!("{}/kolla/", pushed.registry.address());
    pushed.daemon.pulls().iter().filter_map(|pull| Some(pull.strip_prefix(&prefix)?.to_string())).collect()
}

#[track_caller]
fn assert_outcomes(pushed: &Pushed, expected: [&str; 4]) {
    let outcomes = outcomes(pushed);
    let words: Vec<&str> = outcomes.iter().map(|(_, outcome)| outcome.as_str()).collect();
    assert_eq!(words, expected, "{outcomes:?}");
}

#[test]
fn what_the_registry_has_is_neither_built_nor_pulled_nor_pushed() {
    let pushed = Pushed::new().with_fresh_engine();
    let digest = pushed.registry.tagged("kolla/nova", TAG).expect("pushed");
    let run = pushed.run(&["--reuse", "registry", "--push", "--digests", "digests.json"]).exits(0);
    assert_outcomes(&pushed, ["unchanged"; 4]);
    assert_eq!(pushed.daemon.order(), [""; 0], "{run}");
    assert_eq!((pulls(&pushed), pushed.daemon.pushes()), (vec![], vec![]));
    assert!(run.tells(&format!("INFO:kolla.common.utils.nova:The registry has it as {digest}")), "{run}");
    // Its digest is told all the same.
    let digests: Value = serde_json::from_str(&pushed.project.read("digests.json")).expect("JSON");
    assert_eq!(digests["nova"]["digest"], digest);
}

#[test]
fn nobody_asks_the_registry_unless_told_to() {
    let pushed = Pushed::new().with_fresh_engine();
    pushed.run(&[]).exits(0);
    assert_eq!(pushed.daemon.builds().len(), 4);
    assert_eq!(pushed.registry.take_requests(), [""; 0]);
    let pushed = pushed.with_fresh_engine();
    pushed.run(&["--reuse", "registry", "--nocache"]).exits(0);
    assert_eq!(pushed.daemon.builds().len(), 4);
}

#[test]
fn a_changed_image_is_built_on_its_parent_from_the_registry() {
    let pushed = Pushed::new()
        .change("keystone", "openstack-base")
        .change("nova", "openstack-base")
        .with_fresh_engine();
    pushed.run(&["--reuse", "registry", "--push"]).exits(0);
    assert_outcomes(&pushed, ["unchanged", "built", "built", "unchanged"]);
    // Both need the parent, which is pulled once; nobody needs its own parent.
    assert_eq!(pulls(&pushed), ["openstack-base:1"]);
    let mut built = pushed.daemon.order();
    built.sort();
    assert_eq!(built, ["keystone", "nova"]);
    assert_eq!(pushed.daemon.pushes().len(), 2);
    // What was built so is what an engine that has everything would have built.
    let pushed = pushed.with_fresh_engine();
    pushed.run(&["--reuse", "registry"]).exits(0);
    assert_outcomes(&pushed, ["unchanged"; 4]);
    assert_eq!(pushed.daemon.order(), [""; 0]);
}

#[test]
fn a_parent_that_was_built_anew_has_its_children_built_anew() {
    let pushed = Pushed::new().with_fresh_engine();
    pushed.build_anew("openstack-base");
    pushed.run(&["--reuse", "registry"]).exits(0);
    assert_outcomes(&pushed, ["unchanged", "built", "built", "unchanged"]);
    assert_eq!(pulls(&pushed), ["openstack-base:1"]);
}

#[test]
fn parents_that_the_run_leaves_out_may_be_in_the_registry_alone() {
    let pushed = Pushed::new().change("nova", "openstack-base").with_fresh_engine();
    pushed.run(&["--reuse", "registry", "--skip-parents"]).exits(0);
    assert_outcomes(&pushed, ["none", "unchanged", "built", "none"]);
    assert_eq!(
        (pushed.daemon.order(), pulls(&pushed)),
        (vec!["nova".to_string()], vec!["openstack-base:1".to_string()])
    );
}

#[test]
fn a_registry_that_fails_or_refuses_is_no_reason_to_build_everything() {
    let pushed = Pushed::new().with_fresh_engine();
    for _ in 0..2 {
        pushed.registry.fail_next("GET /v2/kolla/nova/manifests/", Fault::Status(500, Some("0")));
    }
    let run = pushed.run(&["--reuse", "registry"]).exits(1);
    assert!(run.stderr.contains("the registry failed (500): FAULT status 500"), "{run}");
    assert_outcomes(&pushed, ["unchanged", "unchanged", "failed", "unchanged"]);

    pushed.registry.demand(Demand::Basic("me", "hunter2"));
    let run = pushed.run(&["--reuse", "registry"]).exits(1);
    assert!(run.stderr.contains("there are no credentials for 127.0.0.1"), "{run}");
    assert_eq!(pushed.daemon.order(), [""; 0]);
}
