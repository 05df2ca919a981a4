//! Another tag for images in the registry.

use serde_json::Value;

use crate::support::project::Run;
use crate::support::pushed::{Pushed, TAG};
use crate::support::registry::Fault;

const IMAGES: [&str; 4] = ["base", "keystone", "nova", "openstack-base"];

fn tagged(pushed: &Pushed, tag: &str) -> Vec<Option<String>> {
    IMAGES.iter().map(|image| pushed.registry.tagged(&format!("kolla/{image}"), tag)).collect()
}

fn statuses(run: &Run) -> Vec<String> {
    let findings = run.summary();
    let mut findings: Vec<&Value> = findings.as_array().expect("a list").iter().collect();
    findings.sort_by_key(|finding| finding["image"].as_str());
    findings.iter().map(|finding| finding["status"].as_str().expect("a word").to_string()).collect()
}

#[test]
fn images_get_another_tag_without_an_engine() {
    let pushed = Pushed::new();
    let pushed = Pushed { project: pushed.project.with_docker_host("unix:///nowhere/docker.sock"), ..pushed };
    let run = pushed.run(&["--retag", "1:stable", "--push-threads", "4"]).exits(0);
    assert_eq!(tagged(&pushed, "stable"), tagged(&pushed, TAG));
    assert_eq!(statuses(&run), ["retagged"; 4]);
    assert!(run.tells("Retagged 4 of 4 images"), "{run}");
    // No layer and no configuration was asked for.
    assert!(pushed.registry.take_requests().iter().all(|request| !request.contains("/blobs/")));
    let run = pushed.run(&["--retag", "1:stable"]).exits(0);
    assert_eq!(statuses(&run), ["unchanged"; 4]);
}

#[test]
fn a_list_of_manifests_stays_one() {
    let pushed = Pushed::new();
    let image = pushed.registry.tagged("kolla/base", TAG).expect("pushed");
    let list = pushed.registry.hold_list("kolla/base", TAG, &[(&image, "amd64"), (&image, "arm64")]);
    pushed.run(&["--retag", "1:stable", "^base$", "--platform", "linux/amd64,linux/arm64"]).exits(0);
    assert_eq!(pushed.registry.tagged("kolla/base", "stable"), Some(list));
    assert_eq!(pushed.registry.tagged("kolla/nova", "stable"), None);
}

#[test]
fn when_one_is_missing_none_is_retagged() {
    let pushed = Pushed::new();
    pushed.registry.remove("kolla/nova", TAG);
    let run = pushed.run(&["--retag", "1:stable"]).exits(1);
    assert_eq!(tagged(&pushed, "stable"), [None, None, None, None]);
    assert_eq!(statuses(&run), ["left", "left", "missing", "left"]);
    assert!(run.tells("error: nothing is retagged, for 1 of 4 images can't be had under the tag 1"), "{run}");
    assert!(!pushed.registry.take_requests().iter().any(|request| request.starts_with("PUT")));
}

#[test]
fn one_that_the_registry_does_not_take_is_told_and_costs_no_other() {
    let pushed = Pushed::new();
    pushed.registry.fail_next("PUT /v2/kolla/keystone/", Fault::Status(403, None));
    pushed.registry.fail_next("PUT /v2/kolla/nova/", Fault::Status(500, Some("0")));
    let run = pushed.run(&["--retag", "1:stable"]).exits(1);
    assert_eq!(statuses(&run), ["retagged", "failed", "retagged", "retagged"]);
    assert!(run.stderr.contains("does not allow this (403)"), "{run}");
    assert!(run.tells("Retagged 3 of 4 images, 1 failed: the same command goes on with these"), "{run}");
    let run = pushed.run(&["--retag", "1:stable"]).exits(0);
    assert_eq!(statuses(&run), ["unchanged", "retagged", "unchanged", "unchanged"]);
}

#[test]
fn what_is_no_pair_of_tags_is_refused() {
    let pushed = Pushed::new();
    for wrong in ["1", "1:", ":1", "1:2:3", "1:a/b"] {
        let run = pushed.run(&["--retag", wrong]).exits(2);
        assert!(run.stderr.contains("is not two tags with a colon between them"), "{run}");
    }
}
