//! A real Docker daemon and runs that are killed, interrupted, in each other's way, or lose the daemon itself.
//!
//! Steps that are to be found running sleep for a time that nothing else on this machine sleeps for.

use std::path::PathBuf;

use crate::support::project::{Project, Running};
use crate::support::real::{self, Images, docker, runs_with_argument, wait_until};
use crate::support::spare_engine::SpareEngine;

const NAMESPACE: &str = "kolla-build-test";

/// A base image, one on it whose step takes a while, and one on that. What they do no cache knows.
fn project(endpoint: &str, seconds: &str) -> Project {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    let nonce = format!("{}-{}", std::process::id(), now.as_nanos());
    Project::empty()
        .with_docker_host(endpoint)
        .image("base", None, &format!("RUN echo {nonce} >/nonce\n"))
        .image("slow", Some("base"), "COPY seconds /\nRUN sleep \"$(cat /seconds)\"\n")
        .file("images/slow/seconds", seconds)
        .image("above", Some("slow"), "RUN true\n")
}

/// The options of every run here, and the images that go with the second value.
fn arguments<'a>(tag: &'a str, builder: &'a str, more: &[&'a str]) -> (Vec<&'a str>, Images) {
    let mut arguments = vec!["--nopull", "--namespace", NAMESPACE, "--tag", tag, builder];
    arguments.extend(more);
    let images = ["above", "slow", "base"].map(|image| format!("{NAMESPACE}/{image}:{tag}"));
    (arguments, Images(images.to_vec()))
}

/// Containers of the slow image's step, as the daemon sees it.
fn steps_that_run() -> String {
    let all = docker(&["container", "ls", "--no-trunc", "--format", "{{.Command}}"]);
    all.lines().filter(|command| command.contains("cat /seconds")).collect()
}

#[test]
#[ignore = "needs a real Docker engine"]
fn a_killed_run_leaves_no_build_behind_and_is_taken_up_where_it_stopped() {
    let endpoint = real::endpoint();
    for (builder, tag, seconds) in
        [("--buildkit", "killed", "517.25"), ("--nobuildkit", "killed-classic", "518.25")]
    {
        let project = project(&endpoint, seconds);
        let (arguments, _images) = arguments(tag, builder, &[]);
        let running = Running::start(&project, &arguments);
        wait_until("the step to start", || runs_with_argument(seconds));
        running.signal("KILL");
        assert_eq!(running.end().status, None);
        wait_until("the step to stop", || !runs_with_argument(seconds));
        wait_until("the container to go", || steps_that_run().is_empty());

        let project = project.file("images/slow/seconds", "0");
        let run = project.run(&arguments).exits(0);
        assert!(run.stderr.ends_with(": 2 images built, 1 unchanged\n"), "{run}");
        assert!(run.tells("INFO:kolla.common.utils.base:Unchanged"), "{run}");
        assert_eq!(project.temporary_files(), Vec::<PathBuf>::new());
    }
}

#[test]
#[ignore = "needs a real Docker engine"]
fn a_working_directory_is_refused_to_a_second_run_and_the_first_goes_on() {
    let endpoint = real::endpoint();
    let project = project(&endpoint, "4.219");
    let (arguments, _images) = arguments("shared", "--buildkit", &["--work-dir", "work"]);
    let first = Running::start(&project, &arguments);
    wait_until("the step to start", || runs_with_argument("4.219"));
    let second = project.run(&arguments).exits(1);
    let owner = format!("is used by another run (process {}, lock file .kolla-build.lock)", first.id());
    assert!(second.stderr.contains(&owner), "{second}");
    let run = first.end().exits(0);
    assert!(run.stderr.ends_with(": 3 images built\n"), "{run}");
}

#[test]
#[ignore = "needs a real Docker engine"]
fn interrupts_stop_the_step_whether_one_or_two_come() {
    let endpoint = real::endpoint();
    for (times, seconds) in [(1, "421.25"), (2, "422.25")] {
        let project = project(&endpoint, seconds);
        let (arguments, _images) = arguments("interrupted-here", "--buildkit", &[]);
        let mut running = Running::start(&project, &arguments);
        wait_until("the step to start", || runs_with_argument(seconds));
        for _ in 0..times {
            if !running.has_ended() {
                running.signal("INT");
            }
        }
        running.end().exits(130);
        wait_until("the step to stop", || !runs_with_argument(seconds));
        assert_eq!(project.temporary_files(), Vec::<PathBuf>::new());
        // What was built before is there for the next run.
        let base = project.run(arguments.iter().chain(&["^base$"])).exits(0);
        assert!(base.stderr.ends_with(": 0 images built, 1 unchanged\n"), "{base}");
    }
}

#[test]
#[ignore = "needs a real Docker engine"]
fn a_daemon_that_comes_back_is_gone_on_with() {
    let mut engine = SpareEngine::with_images(&["debian:trixie"]);
    for (builder, tag, seconds) in
        [("--buildkit", "back", "6.223"), ("--nobuildkit", "back-classic", "6.224")]
    {
        let project = project(&engine.endpoint(), seconds);
        // The namespaces' images go with the daemon.
        let (arguments, _) = arguments(tag, builder, &["--retries", "10", "--report", "report.json"]);
        let running = Running::start(&project, &arguments);
        wait_until("the step to start", || runs_with_argument(seconds));
        engine.stop();
        wait_until("the step to stop", || !runs_with_argument(seconds));
        engine.restart();
        let run = running.end().exits(0);
        // A daemon that is ended may let the step end too; what it has built then is found and kept.
        let ends = [": 3 images built\n", ": 2 images built, 1 unchanged\n"];
        assert!(ends.iter().any(|end| run.stderr.ends_with(end)), "{run}");
        let report: serde_json::Value = serde_json::from_str(&project.read("report.json")).expect("JSON");
        let images = report["images"].as_array().expect("a list");
        let attempts = |name: &str| {
            let image = images.iter().find(|image| image["name"] == name).expect("reported");
            image["attempts"].as_u64().expect("a number")
        };
        assert_eq!(attempts("base"), 1, "{run}");
        // A daemon that is ended gives steps of its classic builder time, in which this one may well come to its end.
        let was_cut = builder == "--buildkit";
        assert!(!was_cut || attempts("slow") > 1, "{run}");
        assert!(!runs_with_argument(seconds));
        assert_eq!(project.temporary_files(), Vec::<PathBuf>::new());
    }
}
