//! Whether the registry has what would be built.

use serde_json::Value;

use crate::support::project::Run;
use crate::support::pushed::{Pushed, TAG};
use crate::support::registry::Fault;

/// Images and their statuses, by name.
fn statuses(run: &Run) -> Vec<(String, String)> {
    let findings = run.summary();
    let text = |finding: &Value, key: &str| finding[key].as_str().expect("text").to_string();
    let findings = findings.as_array().expect("a list").iter();
    let mut statuses: Vec<_> =
        findings.map(|finding| (text(finding, "image"), text(finding, "status"))).collect();
    statuses.sort();
    statuses
}

#[track_caller]
fn assert_statuses(run: &Run, expected: [&str; 4]) {
    let statuses = statuses(run);
    let words: Vec<&str> = statuses.iter().map(|(_, status)| status.as_str()).collect();
    assert_eq!(words, expected, "{run}");
}

#[test]
fn what_was_pushed_is_as_it_would_be_built() {
    let pushed = Pushed::new().with_fresh_engine();
    let run = pushed.run(&["--verify-registry"]).exits(0);
    assert_statuses(&run, ["ok"; 4]);
    let digest = pushed.registry.tagged("kolla/nova", TAG).expect("pushed");
    let findings = run.summary();
    let nova = findings.as_array().expect("a list").iter().find(|finding| finding["image"] == "nova");
    assert_eq!(nova.expect("found")["digest"], digest);
    assert!(run.tells("4 of 4 images are in the registry as they would be built"), "{run}");
    assert!(run.stderr.lines().any(|line| line.starts_with("nova ") && line.ends_with(&digest)), "{run}");
    assert_eq!(pushed.daemon.order(), [""; 0]);
    assert_eq!(pushed.project.temporary_files(), [""; 0].map(std::path::PathBuf::from));
    // Only what was asked for is told, with what it is built on.
    let run = pushed.run(&["--verify-registry", "^openstack-base$"]).exits(0);
    assert_eq!(statuses(&run).len(), 2);
}

#[test]
fn what_is_missing_or_another_is_told() {
    let pushed = Pushed::new().change("keystone", "openstack-base");
    pushed.registry.remove("kolla/nova", TAG);
    let run = pushed.run(&["--verify-registry"]).exits(1);
    assert_statuses(&run, ["ok", "different", "missing", "ok"]);
    assert!(run.stderr.contains("its inputs differ"), "{run}");
    assert!(run.tells("2 of 4 images are in the registry as they would be built"), "{run}");
}

#[test]
fn children_of_a_parent_that_was_built_anew_are_another() {
    let pushed = Pushed::new();
    pushed.build_anew("openstack-base");
    let run = pushed.run(&["--verify-registry"]).exits(1);
    assert_statuses(&run, ["ok", "different", "different", "ok"]);
    assert!(run.stderr.contains("its parent openstack-base was built anew since"), "{run}");
}

#[test]
fn a_changed_parent_changes_the_keys_of_its_children() {
    let pushed = Pushed::new().change("openstack-base", "base");
    let run = pushed.run(&["--verify-registry"]).exits(1);
    assert_statuses(&run, ["ok", "different", "different", "different"]);
}

#[test]
fn a_parent_that_was_not_asked_for_counts_as_the_registry_has_it() {
    let pushed = Pushed::new();
    let run = pushed.run(&["--verify-registry", "--skip-parents"]).exits(0);
    assert_eq!(statuses(&run).len(), 2);
}

#[test]
fn one_image_that_can_not_be_asked_for_hides_no_other() {
    let pushed = Pushed::new();
    pushed.registry.fail_next("GET /v2/kolla/nova/manifests/", Fault::Status(403, None));
    let run = pushed.run(&["--verify-registry", "--format", "none"]).exits(1);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("unknown  127.0.0.1:"), "{run}");
    assert!(run.stderr.contains("does not allow this (403): FAULT status 403"), "{run}");
    assert!(run.tells("3 of 4"), "{run}");
}
