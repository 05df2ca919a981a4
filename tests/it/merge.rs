//! `--merge-summaries`: several runs told of as one.

use serde_json::{Value, json};

use crate::support::docker::{FakeDocker, Fault};
use crate::support::project::{Project, Run};

const REPORTS: [&str; 6] = ["--report", "whole.json", "--junit", "whole.xml", "--html", "whole.html"];

fn mistake() -> Fault {
    Fault::Fails { message: "exit code: 100".to_string(), log: "no such package\n".to_string() }
}

/// Two runs as CI would do them: one builds nova's images, one keystone's, whose own build fails; `memcached` may.
fn runs(daemon: &FakeDocker) -> Project {
    let project = Project::new()
        .file("kolla-build.conf", "[DEFAULT]\nallowed_to_fail = memcached\n")
        .with_engine(daemon);
    let build = |number: &str, images: &[&str]| {
        let report = format!("--report=reports/{number}.json");
        let summary = format!("--summary-json-file=summaries/{number}.json");
        let arguments =
            ["--config-file=kolla-build.conf", "--nobuildkit", "-T1", "--retries=0", &report, &summary];
        project.run(arguments.iter().copied().chain(images.iter().copied()))
    };
    for directory in ["reports", "summaries"] {
        std::fs::create_dir(project.path(directory)).expect("a directory");
    }
    build("1", &["^nova-api$", "^nova-compute$"]).exits(0);
    build("2", &["^keystone$", "^memcached$"]).exits(1);
    project
}

fn daemon() -> FakeDocker {
    FakeDocker::with_base_image().fail("keystone-base", mistake()).fail("memcached", mistake())
}

fn merge(project: &Project, arguments: &[&str]) -> Run {
    project.run(["--config-file=kolla-build.conf"].iter().chain(arguments))
}

fn names(summary: &Value, list: &str) -> Vec<String> {
    let images = summary[list].as_array().expect("a list");
    images.iter().map(|image| image["name"].as_str().expect("a name").to_string()).collect()
}

#[test]
fn reports_become_one_summary_and_one_of_each_report() {
    let daemon = daemon();
    let project = runs(&daemon);
    let merged =
        merge(&project, &[&REPORTS[..], &["--merge-summaries", "reports/1.json", "reports/2.json"]].concat());
    let summary = merged.exits(1).summary();
    assert_eq!(names(&summary, "built"), ["base", "nova-api", "nova-base", "nova-compute", "openstack-base"]);
    assert_eq!(
        summary["failed"],
        json!([
            {"name": "keystone", "status": "parent_error"},
            {"name": "keystone-base", "status": "error"},
            {"name": "memcached", "status": "error"},
        ])
    );
    let whole: Value = serde_json::from_str(&project.read("whole.json")).expect("JSON");
    // Of what both runs tell of, the one that built it counts.
    assert_eq!(whole["counts"]["built"], 5);
    assert_eq!(whole["counts"]["unchanged"], 0);
    let one: Value = serde_json::from_str(&project.read("reports/1.json")).expect("JSON");
    let two: Value = serde_json::from_str(&project.read("reports/2.json")).expect("JSON");
    let image = |report: &Value, name: &str| {
        let images = report["images"].as_array().expect("a list");
        images.iter().find(|image| image["name"] == name).expect("it is there").clone()
    };
    for (from, name) in [(&one, "nova-api"), (&two, "keystone-base"), (&two, "keystone"), (&two, "memcached")]
    {
        let (told, before) = (image(&whole, name), image(from, name));
        // `seconds` may differ by one of the milliseconds that times are rounded to.
        let same = [
            "platform",
            "reference",
            "parent",
            "outcome",
            "fails_run",
            "failure",
            "root_cause",
            "log_tail",
            "start",
            "end",
            "attempts",
            "steps",
            "key",
            "image_id",
            "size",
            "layers",
        ];
        for key in same {
            assert_eq!(told[key], before[key], "{name}: {key}");
        }
    }
    assert_eq!((&whole["run"]["start"], &whole["run"]["end"]), (&one["run"]["start"], &two["run"]["end"]));
    // Their places for building are not the same.
    assert_ne!(image(&whole, "nova-api")["worker"], image(&whole, "keystone-base")["worker"]);
    let junit = project.read("whole.xml");
    assert!(junit.contains(r#"tests="8" failures="2" errors="0" skipped="1""#), "{junit}");
    assert!(project.read("whole.html").contains("no such package"));
    // What was merged can be merged.
    let again = merge(&project, &["--merge-summaries", "whole.json"]).exits(1);
    assert_eq!(again.summary(), summary);
}

#[test]
fn a_failure_is_never_hidden() {
    let daemon = daemon();
    let project = runs(&daemon);
    let healthy = FakeDocker::with_base_image();
    let project = project.with_engine(&healthy);
    let arguments = ["--nobuildkit", "--report=reports/3.json", "--summary-json-file=summaries/3.json"];
    project.run(arguments.iter().copied().chain(["^keystone$"])).exits(0);
    for place in ["reports", "summaries"] {
        let summary = merge(&project, &["--merge-summaries", place]).exits(1).summary();
        assert_eq!(names(&summary, "failed"), ["keystone", "keystone-base", "memcached"], "{place}");
    }
    // Without the run that failed there is none.
    let summary =
        merge(&project, &["--merge-summaries", "reports/3.json", "reports/1.json"]).exits(0).summary();
    assert_eq!(names(&summary, "failed"), [""; 0]);
    // An image that may fail is told, and fails nothing.
    let daemon = FakeDocker::with_base_image().fail("memcached", mistake());
    let project = project.with_engine(&daemon);
    project
        .run(["--config-file=kolla-build.conf", "--nobuildkit", "--report=4.json", "^memcached$"])
        .exits(0);
    let allowed = project.run(["--merge-summaries", "4.json"]).exits(0);
    assert_eq!(names(&allowed.summary(), "failed"), ["memcached"]);
}

#[test]
fn a_selected_image_that_no_file_tells_of_is_a_failure() {
    let daemon = FakeDocker::with_base_image();
    let project = Project::new().with_engine(&daemon);
    project.run(["--nobuildkit", "--report=nova.json", "^nova-api$"]).exits(0);
    project.run(["^nova-api$", "--merge-summaries", "nova.json"]).exits(0);
    let run = project.run(["^nova-api$", "^memcached$", "--merge-summaries", "nova.json"]).exits(1);
    assert_eq!(run.summary()["failed"], json!([{"name": "memcached", "status": "error"}]));
}

#[test]
fn what_is_no_report_is_named() {
    let project = Project::new()
        .file("other.json", "{\"built\": 1}")
        .file("broken.json", "{")
        .file("newer.json", "{\"report_version\": 99}")
        .file("short.json", "{\"report_version\": 1, \"run\": {}}")
        .file("empty/readme", "");
    for (name, code, message) in [
        ("other.json", 2, "cannot merge other.json: neither a report (--report) nor a summary"),
        ("broken.json", 2, "cannot merge broken.json: EOF"),
        ("newer.json", 2, "cannot merge newer.json: its report_version is 99, and this kolla-build reads 1"),
        ("short.json", 2, "cannot merge short.json: missing field `version`"),
        ("missing.json", 1, "cannot merge missing.json: No such file"),
        ("empty", 1, "cannot merge empty: the directory holds no *.json"),
    ] {
        let run = project.run(["--merge-summaries", name]).exits(code);
        assert!(run.tells(&format!("error: {message}")), "{name}: {run}");
    }
}
