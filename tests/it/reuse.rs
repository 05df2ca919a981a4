//! Images that the registry has already are not built again.

use serde_json::Value;

use crate::support::docker::FakeDocker;
use crate::support::project::{Project, Run};
use crate::support::registry::{Demand, FakeRegistry, Fault};

/// `base -> openstack-base -> (keystone, nova)`, all pushed to a registry.
struct Setting {
    registry: FakeRegistry,
    project: Project,
}

const TAG: &str = "1";

impl Setting {
    fn new() -> Setting {
        let registry = FakeRegistry::start();
        let project = Project::empty()
            .image("base", None, "RUN true\n")
            .image("openstack-base", Some("base"), "RUN true\n")
            .image("keystone", Some("openstack-base"), "RUN true\n")
            .image("nova", Some("openstack-base"), "RUN true\n");
        let setting = Setting { registry, project };
        let (setting, daemon) = setting.with_fresh_engine();
        setting.run(&["--push"]).exits(0);
        assert_eq!(daemon.builds().len(), 4);
        setting.registry.take_requests();
        setting
    }

    /// With an engine that has nothing but the base image.
    fn with_fresh_engine(self) -> (Setting, FakeDocker) {
        let daemon = FakeDocker::with_base_image().with_registry(&self.registry);
        (Setting { project: self.project.with_engine(&daemon), ..self }, daemon)
    }

    fn change(self, image: &str, parent: &str) -> Setting {
        Setting { project: self.project.image(image, Some(parent), "RUN something else\n"), ..self }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let common =
            ["--registry", self.registry.address(), "--tag", TAG, "-r", "1", "--report", "report.json"];
        self.project.run(common.iter().chain(arguments))
    }

    /// Images and their outcomes in the last run.
    fn outcomes(&self) -> Vec<(String, String)> {
        let report: Value = serde_json::from_str(&self.project.read("report.json")).expect("JSON");
        let text = |image: &Value, key: &str| image[key].as_str().unwrap_or("none").to_string();
        let images = report["images"].as_array().expect("a list").iter();
        let mut outcomes: Vec<_> =
            images.map(|image| (text(image, "name"), text(image, "outcome"))).collect();
        outcomes.sort();
        outcomes
    }

    /// The pulls of images of ours.
    fn pulls(&self, daemon: &FakeDocker) -> Vec<String> {
        let prefix = format!("{}/kolla/", self.registry.address());
        daemon.pulls().iter().filter_map(|pull| Some(pull.strip_prefix(&prefix)?.to_string())).collect()
    }
}

#[track_caller]
fn assert_outcomes(setting: &Setting, expected: [&str; 4]) {
    let outcomes = setting.outcomes();
    let words: Vec<&str> = outcomes.iter().map(|(_, outcome)| outcome.as_str()).collect();
    assert_eq!(words, expected, "{outcomes:?}");
}

#[test]
fn what_the_registry_has_is_neither_built_nor_pulled_nor_pushed() {
    let (setting, daemon) = Setting::new().with_fresh_engine();
    let digest = setting.registry.tagged("kolla/nova", TAG).expect("pushed");
    let run = setting.run(&["--reuse", "registry", "--push", "--digests", "digests.json"]).exits(0);
    assert_outcomes(&setting, ["unchanged"; 4]);
    assert_eq!(daemon.order(), [""; 0], "{run}");
    assert_eq!((setting.pulls(&daemon), daemon.pushes()), (vec![], vec![]));
    assert!(run.tells(&format!("INFO:kolla.common.utils.nova:The registry has it as {digest}")), "{run}");
    // Its digest is told all the same.
    let digests: Value = serde_json::from_str(&setting.project.read("digests.json")).expect("JSON");
    assert_eq!(digests["nova"]["digest"], digest);
}

#[test]
fn nobody_asks_the_registry_unless_told_to() {
    let (setting, daemon) = Setting::new().with_fresh_engine();
    setting.run(&[]).exits(0);
    assert_eq!(daemon.builds().len(), 4);
    assert_eq!(setting.registry.take_requests(), [""; 0]);
    let (setting, daemon) = setting.with_fresh_engine();
    setting.run(&["--reuse", "registry", "--nocache"]).exits(0);
    assert_eq!(daemon.builds().len(), 4);
}

#[test]
fn a_changed_image_is_built_on_its_parent_from_the_registry() {
    let (setting, daemon) = Setting::new()
        .change("keystone", "openstack-base")
        .change("nova", "openstack-base")
        .with_fresh_engine();
    setting.run(&["--reuse", "registry", "--push"]).exits(0);
    assert_outcomes(&setting, ["unchanged", "built", "built", "unchanged"]);
    // Both need the parent, which is pulled once; nobody needs its own parent.
    assert_eq!(setting.pulls(&daemon), ["openstack-base:1"]);
    let mut built = daemon.order();
    built.sort();
    assert_eq!(built, ["keystone", "nova"]);
    assert_eq!(daemon.pushes().len(), 2);
    // What was built so is what an engine that has everything would have built.
    let (setting, daemon) = setting.with_fresh_engine();
    setting.run(&["--reuse", "registry"]).exits(0);
    assert_outcomes(&setting, ["unchanged"; 4]);
    assert_eq!(daemon.order(), [""; 0]);
}

#[test]
fn a_parent_that_was_built_anew_has_its_children_built_anew() {
    let (setting, daemon) = Setting::new().with_fresh_engine();
    let mut config: Value =
        serde_json::from_slice(&setting.registry.config("kolla/openstack-base", TAG).expect("pushed"))
            .expect("JSON");
    config["content"] = "the same inputs, with newer packages in it".into();
    setting.registry.hold("kolla/openstack-base", TAG, config.to_string().as_bytes());
    setting.run(&["--reuse", "registry"]).exits(0);
    assert_outcomes(&setting, ["unchanged", "built", "built", "unchanged"]);
    assert_eq!(setting.pulls(&daemon), ["openstack-base:1"]);
}

#[test]
fn parents_that_the_run_leaves_out_may_be_in_the_registry_alone() {
    let (setting, daemon) = Setting::new().change("nova", "openstack-base").with_fresh_engine();
    setting.run(&["--reuse", "registry", "--skip-parents"]).exits(0);
    assert_outcomes(&setting, ["none", "unchanged", "built", "none"]);
    assert_eq!(
        (daemon.order(), setting.pulls(&daemon)),
        (vec!["nova".to_string()], vec!["openstack-base:1".to_string()])
    );
}

#[test]
fn a_registry_that_fails_or_refuses_is_no_reason_to_build_everything() {
    let (setting, daemon) = Setting::new().with_fresh_engine();
    for _ in 0..2 {
        setting.registry.fail_next("GET /v2/kolla/nova/manifests/", Fault::Status(500, Some("0")));
    }
    let run = setting.run(&["--reuse", "registry"]).exits(1);
    assert!(run.stderr.contains("the registry failed (500): FAULT status 500"), "{run}");
    assert_outcomes(&setting, ["unchanged", "unchanged", "failed", "unchanged"]);

    setting.registry.demand(Demand::Basic("me", "hunter2"));
    let run = setting.run(&["--reuse", "registry"]).exits(1);
    assert!(run.stderr.contains("there are no credentials for 127.0.0.1"), "{run}");
    assert_eq!(daemon.order(), [""; 0]);
}
