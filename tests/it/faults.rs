//! What becomes of a run when builds, connections and daemons fail.

use crate::support::docker::{FakeDocker, Fault};
use crate::support::project::{Project, Run};

fn fails(message: &str, log: &str) -> Fault {
    Fault::Fails { message: message.to_string(), log: log.to_string() }
}

fn mistake() -> Fault {
    fails("exit code: 100", "E: Unable to locate package nosuch")
}

/// A step's failure whose log tells of the network.
fn network_symptom() -> Fault {
    fails(
        "exit code: 100",
        "E: Failed to fetch http://deb.example/x.deb  Temporary failure resolving 'deb.example'",
    )
}

/// The failed images of the summary with their statuses.
fn failed(run: &Run) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_string();
    let failed = run.summary()["failed"].as_array().cloned().unwrap_or_default();
    failed.iter().map(|image| (text(&image["name"]), text(&image["status"]))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, status)| (name.to_string(), status.to_string())).collect()
}

#[test]
fn a_failure_takes_its_descendants_and_nothing_else() {
    let daemon = FakeDocker::with_base_image().fail("keystone-base", mistake()).fail("nova-base", mistake());
    let project = Project::new().with_engine(&daemon);
    let run = project.run(["-T", "1"]).exits(1);
    let expected = [
        ("keystone", "parent_error"),
        ("keystone-base", "error"),
        ("nova-api", "parent_error"),
        ("nova-base", "error"),
        ("nova-compute", "parent_error"),
    ];
    assert_eq!(failed(&run), pairs(&expected));
    // No image was tried twice, and none below a failed one.
    assert_eq!(daemon.order(), ["base", "openstack-base", "keystone-base", "nova-base", "memcached"]);
    insta::assert_snapshot!(project.redacted(&run.stderr));
}

#[test]
fn the_classic_builder_fails_with_the_same_words() {
    let daemon = FakeDocker::with_base_image().fail("openstack-base", mistake());
    let run = Project::new().with_engine(&daemon).run(["-T", "1", "--nobuildkit"]).exits(1);
    for line in [
        "ERROR:kolla.common.utils.openstack-base:E: Unable to locate package nosuch",
        "ERROR:kolla.common.utils:keystone, keystone-base, nova-api, nova-base, nova-compute: not built because openstack-base failed",
    ] {
        assert!(run.tells(line), "{line}: {run}");
    }
}

#[test]
fn an_image_that_may_fail_does_not_fail_the_run() {
    let daemon = FakeDocker::with_base_image().fail("nova-base", mistake());
    let project = Project::new()
        .with_engine(&daemon)
        .file("k.conf", "[DEFAULT]\nallowed_to_fail = nova-base, memcached\n");
    let run = project.run(["--config-file", "k.conf"]).exits(0);
    assert!(
        run.tells("ERROR:kolla.common.utils:nova-base Failed with status: error (allowed to fail)"),
        "{run}"
    );
    // Another image's failure still counts.
    let daemon = daemon.fail("keystone", mistake());
    daemon.remove("kolla/keystone:2026.2-debian-trixie");
    project.run(["--config-file", "k.conf"]).exits(1);
}

#[test]
fn the_first_failure_can_end_the_run() {
    let daemon = FakeDocker::with_base_image().fail("keystone-base", mistake());
    let project = Project::new().with_engine(&daemon);
    let arguments = ["-T", "1", "--fail-fast", "--push", "--noverify-push", "--report", "report.json"];
    let run = project.run(arguments).exits(1);
    assert_eq!(daemon.order(), ["base", "openstack-base", "keystone-base"]);
    let expected = [
        ("keystone", "parent_error"),
        ("keystone-base", "error"),
        ("memcached", "error"),
        ("nova-api", "error"),
        ("nova-base", "error"),
        ("nova-compute", "error"),
    ];
    assert_eq!(failed(&run), pairs(&expected));
    assert_eq!(daemon.pushes().len(), 2);
    for line in [
        "WARNING:kolla.common.utils:keystone-base failed: no more builds are started, running ones are finished",
        "ERROR:kolla.common.utils:memcached, nova-api, nova-base, nova-compute: not started (--fail-fast) because keystone-base failed",
    ] {
        assert!(run.tells(line), "{line}: {run}");
    }
    let report: serde_json::Value = serde_json::from_str(&project.read("report.json")).expect("JSON");
    let images = report["images"].as_array().expect("a list");
    let memcached = images.iter().find(|image| image["name"] == "memcached").expect("reported");
    assert_eq!(memcached["outcome"], "cancelled");
    assert_eq!(memcached["root_cause"], "keystone-base");
    assert_eq!(report["counts"]["cancelled"], 4);
    // Nothing of it is lost: the next run goes on where this one stopped.
    let run = project.run(["--fail-fast"]).exits(1);
    assert!(run.tells("INFO:kolla.common.utils.openstack-base:Unchanged"), "{run}");
}

#[test]
fn an_image_that_may_fail_does_not_end_the_run() {
    let daemon = FakeDocker::with_base_image().fail("keystone-base", mistake());
    let project =
        Project::new().with_engine(&daemon).file("k.conf", "[DEFAULT]\nallowed_to_fail = keystone-base\n");
    let run = project.run(["-T", "1", "--fail-fast", "--config-file", "k.conf"]).exits(0);
    assert_eq!(failed(&run), pairs(&[("keystone", "parent_error"), ("keystone-base", "error")]));
    assert_eq!(daemon.order().len(), 7);
}

/// Images without a parent, each with a fault that strikes its first build only, which are tried again once.
fn tried_again(faults: &[(&str, Fault)]) -> (FakeDocker, Run) {
    let mut daemon = FakeDocker::with_base_image();
    let mut project = Project::empty();
    for (image, fault) in faults {
        daemon = daemon.fail_times(image, 1, fault.clone());
        project = project.image(image, None, "RUN one\nRUN two\n");
        // More than is sent at once.
        project = project.file(&format!("images/{image}/large"), &"x".repeat(1 << 20));
    }
    let run = project.with_engine(&daemon).run(["--retries", "1"]);
    (daemon, run)
}

#[test]
fn what_may_pass_is_tried_again() {
    let faults = [
        ("network", network_symptom()),
        // What apt prints: two blanks after the status, and a line that says nothing.
        (
            "mirror",
            fails(
                "returned a non-zero code: 100",
                "E: Failed to fetch http://m/x.deb  503  Service Unavailable [IP: 192.0.2.1 80]\nE: Some files failed to download",
            ),
        ),
        // What stands in no log.
        (
            "builder",
            fails("failed to solve: debian:13: failed to do request: net/http: TLS handshake timeout", ""),
        ),
        ("refused", Fault::Refused(500, "layer does not exist".to_string())),
        ("busy", Fault::Refused(429, "toomanyrequests: slow down".to_string())),
        ("cut-in-upload", Fault::CutInUpload),
        ("cut-before", Fault::CutBefore),
        ("cut-at-once", Fault::CutAfterMessages(0)),
        ("cut-later", Fault::CutAfterMessages(2)),
        ("cut-at-end", Fault::CutAtEnd),
        ("ends-early", Fault::EndsAfterMessages(1)),
        ("half-chunk", Fault::HalfChunk),
        ("garbage", Fault::NoJson),
    ];
    let (daemon, run) = tried_again(&faults);
    let run = run.exits(0);
    for (image, _) in &faults {
        let again = format!("WARNING:kolla.common.utils.{image}:Attempt 1 failed, the next starts in");
        assert!(run.tells(&again), "{image}: {run}");
        let second = format!("INFO:kolla.common.utils.{image}:Building started, attempt 2");
        assert!(run.tells(&second), "{image}: {run}");
        assert!(daemon.image(&format!("kolla/{image}:2026.2-debian-trixie")).is_some(), "{image}: {run}");
    }
}

#[test]
fn what_will_not_pass_is_not_tried_again() {
    let faults = [
        ("mistake", mistake()),
        (
            "quoted",
            fails(
                "The command '/bin/sh -c echo connection refused; false' returned a non-zero code: 1",
                "no",
            ),
        ),
        (
            "missing",
            fails(
                "returned a non-zero code: 100",
                "E: Failed to fetch http://m/x.deb  404  Not Found [IP: 192.0.2.1 80]",
            ),
        ),
        ("refused", Fault::Refused(400, "invalid platform".to_string())),
        ("architecture", Fault::BuiltFor("s390x".to_string())),
    ];
    let (_, run) = tried_again(&faults);
    let run = run.exits(1);
    let images = ["architecture", "missing", "mistake", "quoted", "refused"];
    assert_eq!(failed(&run), pairs(&images.map(|image| (image, "error"))));
    assert!(!run.stderr.contains("attempt 2"), "{run}");
    let reason = "ERROR:kolla.common.utils.architecture:kolla/architecture:2026.2-debian-trixie is for linux/s390x, and linux/";
    assert!(run.tells(reason), "{run}");
    assert!(run.tells("ERROR:kolla.common.utils.refused:the container engine refused the request (400): invalid platform"), "{run}");
}

#[test]
fn a_build_that_hangs_is_given_up_once_the_daemon_says_nothing_either() {
    let daemon = FakeDocker::with_base_image().fail("base", Fault::Hangs).fall_silent();
    let project = Project::new().with_engine(&daemon);
    let options = ["--timeout", "1", "--retries", "0", "--report", "report.json"];
    let run = project.run(options.iter().chain(&["memcached"])).exits(1);
    let failures = pairs(&[("base", "connection_error"), ("memcached", "parent_error")]);
    let report: serde_json::Value = serde_json::from_str(&project.read("report.json")).expect("JSON");
    assert_eq!(report["images"][0]["failure"]["kind"], "timeout");
    assert_eq!(failed(&run), failures);
    assert!(run.stderr.contains("has made no progress for 1 s (option timeout)"), "{run}");
    daemon.wait_until("the build to be cancelled", |state| state.cancelled.contains(&"base".to_string()));
    assert!(project.temporary_files().is_empty());
}

#[test]
fn an_image_that_is_made_counts_though_its_build_never_ends() {
    let daemon = FakeDocker::with_base_image().fail("base", Fault::NeverEnds);
    let run = Project::new().with_engine(&daemon).run(["--timeout", "1", "memcached"]).exits(0);
    assert!(run.stderr.contains("The engine has the image, but does not end its answer"), "{run}");
    assert_eq!(daemon.order(), ["base", "memcached"]);
}

#[test]
fn programs_for_another_processor_are_told_with_what_to_do() {
    let log = "exec /bin/sh: exec format error".to_string();
    let fault = Fault::Fails { message: "the command returned 1".to_string(), log };
    let daemon = FakeDocker::with_base_image().fail("base", fault);
    let run = Project::new().with_engine(&daemon).run(["memcached"]).exits(1);
    assert_eq!(daemon.order(), ["base"]);
    assert!(run.stderr.contains("hint: the engine can't run programs for linux/"), "{run}");
}

#[test]
fn tries_run_out() {
    let daemon = FakeDocker::with_base_image().fail("base", network_symptom());
    let run = Project::new().with_engine(&daemon).run(["--retries", "1", "memcached"]).exits(1);
    assert_eq!(daemon.order(), ["base", "base"]);
    assert_eq!(failed(&run), pairs(&[("base", "error"), ("memcached", "parent_error")]));
    assert!(run.tells("ERROR:kolla.common.utils.base:E: Failed to fetch"), "{run}");
}

#[test]
fn a_daemon_that_dies_takes_only_what_was_not_built_yet() {
    let daemon = FakeDocker::with_base_image().die_after(3);
    let project = Project::new().with_engine(&daemon);
    let run = project.run(["-T", "1", "--retries", "0", "--summary-json-file", "summary.json"]).exits(1);
    let summary: serde_json::Value = serde_json::from_str(&project.read("summary.json")).expect("JSON");
    let names = |list: &str| {
        let images = summary[list].as_array().expect("a list").iter();
        images.map(|image| image["name"].as_str().unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(names("built"), ["base", "keystone-base", "openstack-base"]);
    assert_eq!(names("failed"), ["keystone", "memcached", "nova-api", "nova-base", "nova-compute"]);
    assert_eq!(run.stdout, "");
    insta::assert_snapshot!(project.redacted(&run.stderr));
    assert_eq!(project.temporary_files(), [""; 0].map(std::path::PathBuf::from));
}

#[test]
fn without_a_daemon_nothing_is_written() {
    let project = Project::new();
    let arguments = ["--work-dir", "work", "--logs-dir", "logs", "--summary-json-file", "summary.json"];
    let run = project.run(arguments).exits(1);
    assert_eq!(run.stdout, "");
    for name in ["work", "logs", "summary.json", "home/.cache"] {
        assert!(!project.path(name).exists(), "{name}: {run}");
    }
    insta::assert_snapshot!(project.redacted(&run.stderr));
}
