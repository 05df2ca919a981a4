//! Sources that are fetched before the builds that need them.

use std::fmt::Write;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::support::docker::{FakeDocker, Fault, PATIENCE};
use crate::support::files::{self, FileServer};
use crate::support::project::{Project, Running};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const OPTIONS: [&str; 2] = ["--build-toml=build.toml", "--source-cache=cache"];

/// A tree of a base and six images on it, each with a source from the server.
fn project(daemon: &FakeDocker, server: &FileServer) -> Project {
    let mut project = Project::empty().with_engine(daemon).image("base", None, "RUN true\n");
    let mut sources = String::new();
    for name in NAMES {
        let content = format!("source of {name}");
        let url = server.put(&format!("/{name}"), content.as_bytes());
        let sha256: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(sources, "[sources.{name}]\ntype = \"url\"\nlocation = \"{url}\"\nsha256 = \"{sha256}\"")
            .unwrap();
        project = project.image(name, Some("base"), &format!("ADD {name}-archive /\n"));
    }
    project.file("build.toml", &sources)
}

/// Waits until so many requests have come, and gives their paths.
fn requests(server: &FileServer, count: usize) -> Vec<String> {
    let end = Instant::now() + PATIENCE;
    let mut paths = Vec::new();
    while paths.len() < count {
        assert!(Instant::now() < end, "waited in vain for {count} requests: {paths:?}");
        paths.extend(server.take_requests().into_iter().map(|request| request.path));
        std::thread::sleep(Duration::from_millis(5));
    }
    paths.sort();
    paths
}

#[test]
fn sources_are_fetched_while_the_parent_is_built() {
    let (daemon, server) = (FakeDocker::with_base_image().fail("base", Fault::Hangs), FileServer::start());
    let project = project(&daemon, &server);
    let run = Running::start(&project, OPTIONS);
    assert_eq!(requests(&server, 6), NAMES.map(|name| format!("/{name}")));
    assert_eq!(daemon.order(), ["base"]);
    run.signal("INT");
    run.end().exits(130);
}

#[test]
fn few_are_fetched_at_once_and_an_interrupt_stops_them() {
    let (daemon, server) = (FakeDocker::with_base_image().fail("base", Fault::Hangs), FileServer::start());
    let project = project(&daemon, &server);
    for _ in NAMES {
        server.fail_next(files::Fault::Hang(1));
    }
    let run = Running::start(&project, OPTIONS);
    requests(&server, 4);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(server.take_requests().len(), 0);
    run.signal("INT");
    run.end().exits(130);
    let unfinished = std::fs::read_dir(project.path("cache/partial")).unwrap();
    assert_eq!(unfinished.count(), 0);
}

#[test]
fn what_can_not_be_fetched_ahead_is_told_by_the_image_that_needs_it() {
    let (daemon, server) = (FakeDocker::with_base_image(), FileServer::start());
    let project = project(&daemon, &server);
    let text = project.read("build.toml").replace("/c\"", "/absent\"");
    let run = project.file("build.toml", &text).run(OPTIONS).exits(1);
    let failed = run.summary()["failed"].as_array().unwrap().clone();
    assert_eq!(failed.len(), 1, "{run}");
    assert_eq!(failed[0]["name"], "c");
    assert_eq!(server.take_requests().iter().filter(|request| request.path == "/absent").count(), 1);
}

#[test]
fn nothing_is_fetched_for_images_that_did_not_change() {
    let (daemon, server) = (FakeDocker::with_base_image(), FileServer::start());
    let project = project(&daemon, &server);
    project.run(OPTIONS).exits(0);
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    server.take_requests();
    project.run(OPTIONS).exits(0);
    assert_eq!(server.take_requests(), []);

    // Nor for others than those that did.
    project.image("b", Some("base"), "ADD b-archive /\nRUN more\n").run(OPTIONS).exits(0);
    assert_eq!(requests(&server, 1), ["/b"]);
}

#[test]
fn a_killed_run_s_download_is_taken_up_by_the_next() {
    let (daemon, server) = (FakeDocker::with_base_image(), FileServer::start());
    let content = "a source of some length\n".repeat(10_000);
    let sha256: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    let url = server.put("/a", content.as_bytes());
    let section = format!("[sources.a]\ntype = \"url\"\nlocation = \"{url}\"\nsha256 = \"{sha256}\"\n");
    let project = Project::empty()
        .with_engine(&daemon)
        .image("base", None, "RUN true\n")
        .image("a", Some("base"), "ADD a-archive /\n")
        .file("build.toml", &section);
    server.fail_next(files::Fault::Hang(100_000));
    let run = Running::start(&project, OPTIONS);
    let has_come = || {
        let unfinished = std::fs::read_dir(project.path("cache/unfinished")).into_iter().flatten().flatten();
        unfinished.filter_map(|file| file.metadata().ok()).any(|file| file.len() == 100_000)
    };
    let end = Instant::now() + PATIENCE;
    while !has_come() {
        assert!(Instant::now() < end, "waited in vain for the download");
        std::thread::sleep(Duration::from_millis(5));
    }
    run.signal("KILL");
    run.end();
    server.take_requests();
    project.run(OPTIONS).exits(0);
    let ranges: Vec<_> = server.take_requests().into_iter().map(|request| request.range).collect();
    assert_eq!(ranges, [Some("bytes=100000-".to_string())]);
}
