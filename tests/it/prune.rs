//! Removing what is ours and not needed.

use crate::support::docker::{CacheRecord, FakeDocker};
use crate::support::project::{Project, Run};
use crate::support::real;

const NOW: &str = "kolla/keystone:2026.2-debian-trixie";

/// `base -> keystone` and `base -> memcached`, built twice: keystone is another image now, and has a tag of its own
/// from before.
fn project(daemon: &FakeDocker) -> Project {
    let project = Project::empty()
        .image("base", None, "RUN true\n")
        .image("keystone", Some("base"), "RUN first\n")
        .image("memcached", Some("base"), "RUN memcached\n")
        .with_engine(daemon);
    project.run([""; 0]).exits(0);
    project.run(["--tag", "older"]).exits(0);
    let project = project.image("keystone", Some("base"), "RUN second\n");
    project.run([""; 0]).exits(0);
    project
}

fn removals(run: &Run) -> Vec<&str> {
    let lines = run.stdout.lines().filter_map(|line| line.strip_prefix("remove  "));
    lines.filter_map(|line| line.split_once("  ")).map(|(_, rest)| rest).collect()
}

#[test]
fn a_dry_run_shows_what_the_real_one_then_removes() {
    let daemon = FakeDocker::with_base_image().hold("other/thing:1", "amd64");
    let project = project(&daemon);
    let old = daemon.state().untagged[0].id.clone();
    let record = |id: &str, description: &str, layer_of: Option<&str>| CacheRecord {
        id: id.to_string(),
        description: description.to_string(),
        last_used: None,
        layer_of: layer_of.map(str::to_string),
    };
    let now = daemon.image(NOW).expect("built").id;
    daemon.state().cache = vec![
        record("context", "http url http://build-context-1", None),
        record("oldstep", "mount / from exec /bin/sh -c first", Some(&old)),
        record("newstep", "mount / from exec /bin/sh -c second", Some(&now)),
        record("foreign", "mount / from exec /bin/sh -c theirs", None),
    ];
    let before = daemon.state().images.clone();

    let dry = project.run(["--prune", "--dry-run"]).exits(0);
    assert_eq!(removals(&dry).len(), 1, "{dry}");
    assert!(removals(&dry)[0].starts_with("keystone  no tag  "), "{dry}");
    assert!(
        dry.stdout.contains("leave   3 images with tag older, which --prune-tags does not name\n"),
        "{dry}"
    );
    assert!(dry.stdout.contains("\n1 image and 1 record of the build cache to remove, at most 1"), "{dry}");
    assert_eq!(daemon.state().untagged.len(), 1);
    assert_eq!(daemon.state().cache.len(), 4);

    let run = project.run(["--prune"]).exits(0);
    assert_eq!(run.stdout, dry.stdout);
    assert!(run.tells("Removed 1 image and 2 records of the build cache"), "{run}");
    assert_eq!(daemon.state().untagged, []);
    assert_eq!(daemon.state().images, before);
    let left: Vec<String> = daemon.state().cache.iter().map(|record| record.id.clone()).collect();
    assert_eq!(left, ["newstep", "foreign"]);

    let again = project.run(["--prune"]).exits(0);
    assert!(again.tells("Removed 0 images and 0 records"), "{again}");
    assert!(!daemon.requests().iter().any(|request| request.contains("DELETE") && request.contains("older")));
}

#[test]
fn an_engine_that_others_ask_just_now_is_asked_again() {
    let daemon = FakeDocker::with_base_image()
        .refuse_once("GET /images/json", 404, "no such image")
        .refuse_once("GET /system/df", 500, "a disk usage operation is already running")
        .refuse_once("POST /build/prune", 409, "a prune operation is already running");
    let record = CacheRecord {
        id: "pip".to_string(),
        description: "cached mount /dev/kolla-build/pip from exec /bin/sh -c pip".to_string(),
        last_used: None,
        layer_of: None,
    };
    daemon.state().cache.push(record);
    let project = Project::empty().image("base", None, "RUN true\n").with_engine(&daemon);
    project.run(["--prune", "--prune-package-cache=0"]).exits(0);
    assert!(daemon.state().cache.is_empty());
    assert_eq!(daemon.state().refusals, []);

    let locked = ("GET /system/df".to_string(), 500, "the database is locked".to_string());
    daemon.state().refusals.push(locked);
    let run = project.run(["--prune"]).exits(1);
    assert!(run.stderr.contains("the database is locked"), "{run}");
}

#[test]
fn an_image_that_comes_into_use_meanwhile_stays() {
    let daemon = FakeDocker::with_base_image().refuse_once(
        "DELETE /images/",
        409,
        "conflict: image is being used by stopped container 1",
    );
    let project = project(&daemon);
    let old = daemon.state().untagged[0].id.clone();
    let run = project.run(["--prune"]).exits(0);
    assert!(run.stderr.contains(&format!("kept keystone ({old}), as it came into use: conflict: ")), "{run}");
    assert!(run.tells("Removed 0 images and 0 records of the build cache"), "{run}");
    assert_eq!(daemon.state().untagged.len(), 1);
}

#[test]
fn what_a_running_build_has_come_to_stays() {
    let daemon = FakeDocker::with_base_image();
    let project = project(&daemon);
    let step = "/bin/sh -c #(nop)  LABEL org.opencontainers.image.url=https://opendev.org/openstack/kolla";
    daemon.state().untagged[0].history = vec![step.to_string()];
    let run = project.run(["--prune"]).exits(0);
    assert!(run.stdout.contains("  keystone  it is a step of a build, which may be going on\n"), "{run}");
    assert_eq!(daemon.state().untagged.len(), 1);
    daemon.state().untagged[0].history[0] = step.replace(".url=", ".version=");
    project.run(["--prune"]).exits(0);
    assert_eq!(daemon.state().untagged, []);
}

#[test]
fn other_tags_go_when_they_are_named_and_other_namespaces_never() {
    let daemon = FakeDocker::with_base_image();
    let project = project(&daemon);
    project.run(["--tag", "older", "--namespace", "theirs"]).exits(0);
    let run =
        project.run(["--prune", "--prune-tags", "^old", "--plan-format", "json", "^memcached$"]).exits(0);
    let shown: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    let of = |name: &str| {
        let removals = shown[0]["remove"].as_array().expect("a list").iter();
        removals.filter(|removal| removal["image"] == name).count()
    };
    assert_eq!((of("keystone"), of("memcached"), of("base")), (2, 1, 1), "{shown:#}");
    let mut left: Vec<String> = daemon.state().images.keys().cloned().collect();
    left.retain(|name| !name.starts_with("kolla/") || name.ends_with(":older"));
    assert_eq!(
        left,
        ["debian:trixie", "theirs/base:older", "theirs/keystone:older", "theirs/memcached:older"]
    );
    assert!(daemon.image(NOW).is_some());
}

#[test]
fn what_a_container_uses_stays() {
    let daemon = FakeDocker::with_base_image();
    let project = project(&daemon);
    let old = daemon.state().untagged[0].id.clone();
    daemon.state().containers.insert("web".to_string(), old.clone());
    let run = project.run(["--prune"]).exits(0);
    assert!(run.stdout.contains("  keystone  the container web is made from it\n"), "{run}");
    assert_eq!(daemon.state().untagged.len(), 1);
}

#[test]
fn package_caches_are_shown_and_go_when_they_are_asked_for() {
    let daemon = FakeDocker::with_base_image();
    let project = project(&daemon);
    let record = |id: &str, description: &str, last_used: Option<&str>| CacheRecord {
        id: id.to_string(),
        description: description.to_string(),
        last_used: last_used.map(str::to_string),
        layer_of: None,
    };
    let today = jiff::Timestamp::now().to_string();
    let lists =
        "cached mount /var/lib/apt/lists from exec /bin/sh -c apt-get -o X=/dev/kolla-build/apt update";
    daemon.state().cache = vec![
        record("pip", "cached mount /dev/kolla-build/pip from exec /bin/sh -c pip", Some(&today)),
        record("lists", lists, None),
        record("theirs", "cached mount /root/.cache/pip from exec /bin/sh -c pip", None),
    ];
    let ids = || daemon.state().cache.iter().map(|record| record.id.clone()).collect::<Vec<_>>();

    let run = project.run(["--prune"]).exits(0);
    for line in [
        "keep    package cache pip  1.00 MB  unused for 0 days",
        "keep    package cache /var/lib/apt/lists  ",
    ] {
        assert!(run.stdout.lines().any(|shown| shown.starts_with(line)), "{run}");
    }
    assert_eq!(ids(), ["pip", "lists", "theirs"]);

    let run = project.run(["--prune", "--prune-package-cache=7", "--plan-format=json"]).exits(0);
    let shown: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    let goes = |at: usize| shown[0]["package_caches"][at]["goes"].clone();
    assert_eq!([goes(0), goes(1)], [true, false], "{shown:#}");
    assert_eq!(shown[0]["size"], 1_000_000, "{shown:#}");
    assert!(run.tells("Removed 0 images and 1 record of the build cache, the latter 1.00 MB"), "{run}");
    assert_eq!(ids(), ["pip", "theirs"]);

    project.run(["--prune", "--prune-package-cache=0"]).exits(0);
    assert_eq!(ids(), ["theirs"]);
}

#[test]
fn a_dry_run_of_anything_else_is_refused() {
    let run = Project::new().run(["--dry-run"]).exits(2);
    assert!(run.stderr.contains("--plan tells what would be built"), "{run}");
    let run = Project::new().run(["--prune", "--prune-tags", "("]).exits(2);
    assert!(run.tells("error: --prune-tags: '(' is not a regular expression"), "{run}");
}

/// Shows only: the engine may hold untagged images that its owner wants to keep.
#[test]
#[ignore = "needs a real Docker engine"]
fn a_real_engine_is_read_right() {
    let endpoint = real::endpoint();
    for builder in ["--buildkit", "--nobuildkit"] {
        let arguments = ["--nopull", "--namespace", "kolla-build-test/prune", "--tag", "new", builder];
        let name = "kolla-build-test/prune/base:new";
        let _image = real::Images(vec![name.to_string(), name.replace(":new", ":old")]);
        let project = Project::empty().with_docker_host(&endpoint).image(
            "base",
            None,
            &format!("RUN echo {} >/nonce\n", std::process::id()),
        );
        project.run(arguments).exits(0);
        let old = real::inspect(name)["Id"].clone();
        real::docker(&["tag", name, &name.replace(":new", ":old")]);
        let project = project.image("base", None, "RUN echo other >/nonce\n");
        project.run(arguments).exits(0);

        let prune = ["--prune", "--dry-run", "--prune-tags", "^old$", "--plan-format", "json"];
        let run = project.run(arguments.into_iter().chain(prune)).exits(0);
        let shown: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
        let removals = shown[0]["remove"].as_array().expect("a list").iter();
        let mine: Vec<_> = removals.filter(|removal| removal["id"] == old).collect();
        assert_eq!(mine.len(), 1, "{builder}: {shown:#}");
        assert_eq!(mine[0]["references"], serde_json::json!([name.replace(":new", ":old")]));
        let size = mine[0]["size"].as_u64().expect("a number");
        assert!((1..10_000).contains(&size), "{builder}: {shown:#}");
    }
}
