//! The reports of a run as files: JSON, JUnit and the timing page.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::docker::{FakeDocker, Fault};
use crate::support::project::{Project, Running};

const ALL: [&str; 6] = ["--report", "report.json", "--junit", "junit.xml", "--html", "page.html"];

/// What no image name has, and logs may.
const HOSTILE: &str = "<script>alert('x')</script> & \"]]>\" \u{1}\u{b}";

fn report(project: &Project) -> Value {
    serde_json::from_str(&project.read("report.json")).expect("JSON")
}

fn image<'a>(report: &'a Value, name: &str) -> &'a Value {
    let images = report["images"].as_array().expect("a list");
    images.iter().find(|image| image["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

/// A text without what differs from run to run.
fn redacted(text: &str) -> String {
    [
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z?", "[TIME]"),
        (r#"("\w*seconds": )[\d.]+"#, "${1}0.0"),
        (r#"time="[\d.]+""#, "time=\"0\""),
        (r#"("key": )"[0-9a-f]{64}""#, "$1\"[KEY]\""),
        (r"sha256:[0-9a-f]{64}", "[ID]"),
        (r"linux(/|&#x2f;)(amd64|arm64)", "[PLATFORM]"),
        (r"unix:[^ ]*docker.sock", "[ENGINE]"),
        // A connection may break while either side writes.
        (r#"(lost the connection to the container engine at \[ENGINE\]): [^"]*"#, "$1: [HOW]"),
    ]
    .into_iter()
    .fold(text.to_string(), |text, (pattern, with)| {
        regex::Regex::new(pattern).expect("a regex").replace_all(&text, with).into_owned()
    })
}

/// `base` is built at its second try; of the images on it one fails, which costs another, and one may fail.
fn eventful() -> (FakeDocker, Project) {
    let mistake = Fault::Fails { message: "exit code: 100".to_string(), log: HOSTILE.to_string() };
    let daemon = FakeDocker::with_base_image()
        .fail_times("base", 1, Fault::CutAfterMessages(1))
        .fail("keystone-base", mistake.clone())
        .fail("memcached", mistake);
    let project = Project::new()
        .file("kolla-build.conf", "[DEFAULT]\nallowed_to_fail = memcached\nbase_tag = trixie\n")
        .with_engine(&daemon);
    (daemon, project)
}

const EVENTFUL: [&str; 6] = ["--config-file", "kolla-build.conf", "--nobuildkit", "-T", "1", "--retries=1"];

#[test]
fn the_report_tells_all_that_is_known() {
    let (_daemon, project) = eventful();
    let run =
        project.run(EVENTFUL.iter().chain(&ALL).chain(&["keystone$", "nova-api", "memcached"])).exits(1);
    let mut report = report(&project);
    let configuration = report.as_object_mut().expect("an object").remove("configuration").expect("there");
    insta::assert_snapshot!(redacted(&serde_json::to_string_pretty(&report).expect("JSON")));

    let setting = |name: &str| {
        let all = configuration.as_array().expect("a list");
        all.iter().find(|setting| setting["name"] == name).expect("every option is told").clone()
    };
    assert_eq!(
        setting("retries"),
        serde_json::json!({"section": "DEFAULT", "name": "retries", "value": "1", "place": "command line"})
    );
    assert_eq!(setting("allowed_to_fail")["place"], "kolla-build.conf:2");
    assert_eq!(setting("registry")["value"], Value::Null);
    // What was written beside it says the same.
    assert_eq!(run.summary()["failed"].as_array().map(Vec::len), Some(3));
}

#[test]
fn junit_has_a_case_for_each_image_that_was_asked_for() {
    let (_daemon, project) = eventful();
    project.run(EVENTFUL.iter().chain(&ALL).chain(&["keystone$", "nova-api", "memcached"])).exits(1);
    let report = project.read("junit.xml");
    assert!(!report.contains(|char: char| char.is_control() && char != '\n'), "{report:?}");
    insta::assert_snapshot!(redacted(&report));
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_runs_nothing_of_what_it_shows() {
    let (_daemon, project) = eventful();
    project.run(EVENTFUL.iter().chain(&ALL)).exits(1);
    let page = project.read("page.html");
    for elsewhere in ["src=", "<link", "<img", "<iframe", "@import", "url(", "fetch(", "import("] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    assert_eq!(page.matches("href=").count(), page.matches("href=\"#unit-").count());
    assert_eq!(page.matches("<script>").count(), 1);
    assert!(page.contains("&lt;script&gt;alert(&#x27;x&#x27;)"), "{page}");
    assert!(!page.contains(['\u{1}', '\u{b}']));
    for name in ["base", "keystone", "keystone-base", "memcached", "nova-api", "nova-base", "nova-compute"] {
        assert!(page.contains(&format!(">{name}</th>")), "{name}: {page}");
    }
    // Everything but keystone, whose parent failed.
    assert_eq!(page.matches("class=\"bar ").count(), 7);
    assert_eq!(page.matches("class=\"bar failed").count(), 2);
    assert!(page.contains("attempt 1 failed at"), "{page}");
}

#[test]
fn no_report_holds_a_secret() {
    let daemon = FakeDocker::with_base_image();
    let project = Project::empty()
        .image("base", None, "RUN true\n")
        .file("k.conf", "[DEFAULT]\npip_index_url = https://me:hunter2@index.example/simple\n[etcd]\nlocation = https://u:hunter2@h/\n")
        .with_engine(&daemon);
    let secret = ["--config-file", "k.conf", "--build-args", "DB_PASSWORD:hunter2"];
    project.run(ALL.iter().chain(&secret)).exits(0);
    for file in ["report.json", "junit.xml", "page.html"] {
        assert!(!project.read(file).contains("hunter2"), "{file}");
    }
    assert!(project.read("report.json").contains("https://***@index.example/simple"));
}

#[test]
fn a_worker_does_one_thing_at_a_time_and_children_wait_for_parents() {
    let daemon = FakeDocker::with_base_image().delay(std::time::Duration::from_millis(30));
    let project = Project::new().with_engine(&daemon);
    project.run(ALL.iter().chain(&["-T", "3", "--push", "--noverify-push", "--push-threads", "2"])).exits(0);
    let report = report(&project);
    let text = |image: &Value, key: &str| image[key].as_str().expect("a time").to_string();
    let mut spans: BTreeMap<(&str, u64), Vec<(String, String)>> = BTreeMap::new();
    for image in report["images"].as_array().expect("a list") {
        for (what, span) in [("build", image), ("push", &image["push"])] {
            let worker = span["worker"].as_u64().expect("a number");
            spans.entry((what, worker)).or_default().push((text(span, "start"), text(span, "end")));
        }
        assert_eq!(image["push"]["digest"], image["image_id"], "{image}");
        assert_eq!((&image["size"], &image["attempts"]), (&1000.into(), &1.into()), "{image}");
        if let Some(parent) = image["parent"]["image"].as_str() {
            let parent = self::image(&report, parent);
            assert!(text(parent, "end") <= text(image, "start"), "{image}");
            assert_eq!(parent["end"], image["ready"], "{image}");
        }
    }
    for (worker, mut spans) in spans {
        spans.sort();
        for pair in spans.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "{worker:?}: {pair:?}");
        }
    }
    let path = report["critical_path"]["images"].as_array().expect("a list");
    assert_eq!(path[0], "base");
    assert_eq!(path.len(), 4, "{path:?}");
    assert_eq!(report["counts"]["built"], 8);

    let again = project.run(ALL.iter().chain(&["-T", "3"])).exits(0);
    let report = self::report(&project);
    assert_eq!(report["counts"]["unchanged"], 8, "{again}");
    let keystone = image(&report, "keystone");
    assert_eq!((&keystone["outcome"], &keystone["attempts"]), (&"unchanged".into(), &0.into()));
    assert!(keystone["image_id"].is_string() && keystone["key"].is_string());
}

#[test]
fn an_interrupted_run_has_its_reports() {
    let daemon = FakeDocker::with_base_image().fail("memcached", Fault::Hangs);
    let project = Project::empty()
        .image("base", None, "RUN true\n")
        .image("memcached", Some("base"), "RUN sleep\n")
        .with_engine(&daemon);
    let running = Running::start(&project, ALL);
    daemon.wait_until("the build", |state| state.builds.iter().any(|build| build.image == "memcached"));
    running.signal("INT");
    running.end().exits(130);
    let report = report(&project);
    assert_eq!(report["run"]["exit_code"], 130);
    assert_eq!(report["run"]["interrupted"], true);
    assert_eq!(image(&report, "memcached")["outcome"], "cancelled");
    assert!(project.read("junit.xml").contains("<error type=\"cancelled\""));
    assert!(project.read("page.html").contains("class=\"bar cancelled"));
}

#[test]
fn a_report_that_cannot_be_written_is_an_error_and_costs_no_other() {
    let daemon = FakeDocker::with_base_image();
    let project = Project::empty().image("base", None, "RUN true\n").with_engine(&daemon).file("old", "old");
    std::os::unix::fs::symlink("/dev/full", project.path("full")).expect("a link");
    let run = project.run(["--report", "full", "--junit", "new", "--html", "old"]).exits(1);
    assert_eq!(daemon.order(), ["base"]);
    assert!(run.tells("error: failed to write the report to full: No space left"), "{run}");
    assert!(project.read("new").contains("<testsuite"));
    assert!(project.read("old").starts_with("<!DOCTYPE html>"));
    let entries = std::fs::read_dir(project.path(".")).expect("a directory");
    let left = entries.filter(|entry| {
        let name = entry.as_ref().expect("an entry").file_name();
        name.to_string_lossy().starts_with(".kolla-build")
    });
    assert_eq!(left.count(), 0);
}
