//! Pushes, and what the registry has of them.

use crate::support::docker::{FakeDocker, Fault as DockerFault};
use crate::support::project::{Project, Run};
use crate::support::registry::{Demand, FakeRegistry, Fault, digest_of};

/// `base -> keystone`, built and pushed to a registry.
struct Setting {
    registry: FakeRegistry,
    daemon: FakeDocker,
    project: Project,
}

const TAG: &str = "1";
const BASE: &str = "HEAD /v2/kolla/base/manifests/";

impl Setting {
    fn new() -> Setting {
        let registry = FakeRegistry::start();
        let daemon = FakeDocker::with_base_image().with_registry(&registry).open_sessions();
        let project = Project::empty()
            .image("base", None, "RUN true\n")
            .image("keystone", Some("base"), "RUN true\n")
            .with_engine(&daemon);
        Setting { registry, daemon, project }
    }

    fn log_in(self, auth: &str) -> Setting {
        let config = format!(r#"{{"auths": {{"{}": {auth}}}}}"#, self.registry.address());
        Setting { project: self.project.file("home/.docker/config.json", &config), ..self }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let common = ["--registry", self.registry.address(), "--tag", TAG, "--push", "-r", "1"];
        self.project.run(common.iter().chain(arguments))
    }
}

fn failure<'a>(summary: &'a serde_json::Value, image: &str) -> &'a str {
    let failed = summary["failed"].as_array().expect("a list");
    let entry = failed.iter().find(|entry| entry["name"] == image);
    entry.unwrap_or_else(|| panic!("{image} has not failed: {summary}"))["status"].as_str().expect("a word")
}

#[test]
fn a_pushed_image_s_digest_is_read_back() {
    let setting = Setting::new();
    let run = setting.run(&["--report", "report.json"]).exits(0);
    let digest = setting.registry.tagged("kolla/keystone", TAG).expect("pushed");
    assert!(run.stderr.contains(&format!("Pushed as {digest}")), "{run}");
    let requests = setting.registry.take_requests();
    assert!(requests.contains(&format!("{BASE}{TAG}")), "{requests:?}");
}

#[test]
fn digests_of_what_was_pushed_are_written_as_json_and_for_kolla_ansible() {
    let setting = Setting::new();
    setting.registry.fail_next(BASE, Fault::Status(400, None));
    let files = ["--digests", "digests.json", "--digests-ansible", "digests.yml"];
    setting.run(&files).exits(1);
    let digest = setting.registry.tagged("kolla/keystone", TAG).expect("pushed");
    let told: serde_json::Value = serde_json::from_str(&setting.project.read("digests.json")).expect("JSON");
    let address = setting.registry.address();
    assert_eq!(told["keystone"]["digest"], digest);
    assert_eq!(told["keystone"]["reference"], format!("{address}/kolla/keystone:{TAG}"));
    // What did not arrive as it should is not there.
    assert_eq!(told.as_object().expect("a map").len(), 1);
    let variables = setting.project.read("digests.yml");
    assert_eq!(variables, format!("---\nkeystone_image_full: \"{address}/kolla/keystone@{digest}\"\n"));
}

#[test]
fn digests_without_a_push_are_refused_with_a_word() {
    let setting = Setting::new();
    let run = setting.project.run(["--digests", "digests.json"]).exits(0);
    assert!(run.tells("warning: digests.json is not written, for nothing is pushed"), "{run}");
    assert!(!setting.project.path("digests.json").exists());
}

#[test]
fn another_digest_in_the_registry_fails_the_push_and_names_both() {
    let setting = Setting::new();
    setting.registry.fail_next(BASE, Fault::WrongDigest);
    let run = setting.run(&[]).exits(1);
    assert_eq!(failure(&run.summary(), "base"), "push_error");
    let pushed = setting.registry.tagged("kolla/base", TAG).expect("pushed");
    let told = format!("the engine pushed {pushed}, and the registry has {}", digest_of(b"another"));
    assert!(run.stderr.contains(&told), "{run}");
    // The other one is not the worse for it.
    assert!(setting.registry.tagged("kolla/keystone", TAG).is_some());
    assert_eq!(setting.daemon.pushes().len(), 2);
}

#[test]
fn what_may_pass_when_reading_back_is_tried_again_without_another_push() {
    for fault in [Fault::Status(503, None), Fault::Status(429, Some("0")), Fault::Cut] {
        let setting = Setting::new();
        setting.registry.fail_next(BASE, fault.clone());
        let run = setting.run(&[]).exits(0);
        assert_eq!(setting.daemon.pushes().len(), 2, "{fault:?}: {run}");
        let heads =
            setting.registry.take_requests().iter().filter(|request| request.starts_with(BASE)).count();
        assert_eq!(heads, 2, "{fault:?}");
    }
}

#[test]
fn a_registry_that_goes_on_failing_is_told() {
    let setting = Setting::new();
    for _ in 0..2 {
        setting.registry.fail_next(BASE, Fault::Status(500, Some("0")));
    }
    let run = setting.run(&[]).exits(1);
    assert_eq!(failure(&run.summary(), "base"), "push_error");
    assert!(run.stderr.contains("its digest can't be read back"), "{run}");
    assert!(run.stderr.contains("the registry failed (500)"), "{run}");
    assert!(run.stderr.contains("--noverify-push"), "{run}");
}

#[test]
fn credentials_are_shown_and_never_told() {
    let password = r#"{"auth": "bWU6aHVudGVyMg=="}"#;
    let cases = [
        (Demand::Basic("me", "hunter2"), password),
        (Demand::Token("me", "hunter2"), password),
        (Demand::Token("me", "other"), r#"{"identitytoken": "an-identity-token"}"#),
    ];
    for (demand, auth) in cases {
        let setting = Setting::new().log_in(auth);
        setting.registry.demand(demand.clone());
        let run = setting.run(&["--debug"]).exits(0);
        assert!(!run.stderr.contains("hunter2") && !run.stderr.contains("an-identity-token"), "{run}");
    }
}

#[test]
fn a_registry_that_does_not_allow_it_is_asked_once_and_the_source_of_the_credentials_named() {
    for (auth, source) in [
        (None, "nothing, for there are no credentials for 127.0.0.1:"),
        (Some(r#"{"auth": "bWU6d3Jvbmc="}"#), ".docker/config.json holds for 127.0.0.1:"),
    ] {
        let setting = match auth {
            Some(auth) => Setting::new().log_in(auth),
            None => Setting::new(),
        };
        setting.registry.demand(Demand::Basic("me", "hunter2"));
        let run = setting.run(&["^base$"]).exits(1);
        assert!(run.stderr.contains("does not allow this (401)"), "{run}");
        assert!(run.stderr.contains(source), "{run}");
        assert!(!run.stderr.contains("wrong\n") && !run.stderr.contains("bWU6d3Jvbmc="), "{run}");
        assert_eq!(setting.daemon.pushes().len(), 1);
    }
}

#[test]
fn what_the_engine_says_of_a_registry_decides_what_is_tried_again() {
    let fails = |message: &str| DockerFault::Fails { message: message.to_string(), log: String::new() };
    for (said, pushes) in [
        ("denied: requested access to the resource is denied", 1),
        ("x509: certificate signed by unknown authority", 1),
        ("received unexpected HTTP status: 500 Internal Server Error", 2),
        ("toomanyrequests: slow down", 2),
        ("dial tcp: lookup registry.example on 192.0.2.1:53: server misbehaving", 2),
        ("http2: server sent GOAWAY and closed the connection; LastStreamID=199, ErrCode=NO_ERROR", 2),
    ] {
        let setting = Setting::new();
        let daemon =
            FakeDocker::with_base_image().with_registry(&setting.registry).fail_push("base", fails(said));
        let project = setting.project.with_engine(&daemon);
        let run =
            Setting { registry: setting.registry.clone(), daemon: setting.daemon, project }.run(&["^base$"]);
        assert_eq!(failure(&run.summary(), "base"), "push_error");
        assert_eq!(daemon.pushes().len(), pushes, "{said}: {run}");
        assert!(run.stderr.contains(said), "{run}");
        let is_hinted = run.stderr.contains("/etc/docker/certs.d/");
        assert_eq!(is_hinted, said.starts_with("x509"), "{run}");
    }
}
