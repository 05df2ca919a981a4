//! Ctrl-C, SIGTERM, and what they leave behind.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::docker::{FakeDocker, Fault, PATIENCE};
use crate::support::project::{Project, Running};

/// A tree in which memcached hangs when all the rest is built.
fn hanging() -> (FakeDocker, Project) {
    let daemon = FakeDocker::with_base_image().fail("memcached", Fault::Hangs);
    let project = Project::empty()
        .image("base", None, "RUN true\n")
        .image("memcached", Some("base"), "RUN sleep\n")
        .image("above", Some("memcached"), "RUN true\n")
        .with_engine(&daemon);
    (daemon, project)
}

#[test]
fn the_first_interrupt_cancels_what_runs_and_still_tells_the_summary() {
    for signal in ["INT", "TERM"] {
        let (daemon, project) = hanging();
        let running = Running::start(&project, ["--logs-dir", "logs"]);
        daemon.wait_until("the build", |state| state.builds.iter().any(|build| build.image == "memcached"));
        running.signal(signal);
        let run = running.end().exits(130);

        daemon.wait_until("the cancelling", |state| state.cancelled == ["memcached"]);
        assert_eq!(daemon.order(), ["base", "memcached"]);
        let summary = run.summary();
        assert_eq!(summary["built"][0]["name"], "base");
        let cancelled = serde_json::json!([
            {"name": "above", "status": "error"},
            {"name": "memcached", "status": "error"},
        ]);
        assert_eq!(summary["failed"], cancelled);
        assert!(run.tells("WARNING:kolla.common.utils:Interrupted:"), "{run}");
        assert!(run.tells("WARNING:kolla.common.utils.memcached:Cancelled"), "{run}");
        let last = run.stderr.lines().last().unwrap_or_default();
        assert!(last.ends_with(": 1 image built, 2 cancelled"), "{run}");
        assert!(project.read("logs/memcached.log").ends_with("memcached:Cancelled\n"));
        assert_eq!(project.temporary_files(), Vec::<PathBuf>::new());
    }
}

#[test]
fn an_interrupt_ends_the_wait_before_another_try() {
    let daemon = FakeDocker::with_base_image().fail("base", Fault::CutBefore);
    let project = Project::empty().image("base", None, "").with_engine(&daemon);
    // Waits grow up to a minute; all of them would take more than a day.
    let running = Running::start(&project, ["--retries", "2000"]);
    daemon.wait_until("the second try", |state| state.builds.len() == 2);
    running.signal("INT");
    running.end().exits(130);
}

#[test]
fn the_second_interrupt_leaves_at_once() {
    let daemon = FakeDocker::with_base_image();
    // Nobody reads the run's output, so it can't tell its end: the first interrupt alone never ends it.
    let much = format!("RUN {}\n", "x".repeat(15_000)).repeat(20);
    let project = Project::empty().image("base", None, &much).with_engine(&daemon);
    let mut running = Running::start(&project, [""; 0]);
    daemon.wait_until("the build", |state| state.images.len() == 2);
    assert!(!project.temporary_files().is_empty());
    running.signal("INT");
    let end = Instant::now() + PATIENCE;
    while !running.has_ended() {
        assert!(Instant::now() < end, "it did not leave");
        // Signals that come together are one; so it is asked until it has heard two.
        running.signal("INT");
        std::thread::sleep(Duration::from_millis(20));
    }
    let run = running.end().exits(130);
    assert!(!run.stderr.contains("Finished in"), "{run}");
    assert_eq!(project.temporary_files(), Vec::<PathBuf>::new());
}

#[test]
fn a_killed_run_is_taken_up_where_it_stopped() {
    for more in [&[][..], &["--work-dir", "work"]] {
        let (daemon, project) = hanging();
        let running = Running::start(&project, more);
        daemon.wait_until("the build", |state| state.builds.iter().any(|build| build.image == "memcached"));
        running.signal("KILL");
        let killed = running.end();
        assert_eq!(killed.status, None, "{killed}");
        daemon.wait_until("the cancelling", |state| state.cancelled == ["memcached"]);
        daemon.forget();

        let run = project.run(more).exits(0);
        assert_eq!(daemon.order(), ["memcached", "above"]);
        assert!(run.tells("INFO:kolla.common.utils.base:Unchanged"), "{run}");
        assert!(run.stderr.ends_with(": 2 images built, 1 unchanged\n"), "{run}");
        // Neither its own nor that of the killed one.
        assert_eq!(project.temporary_files(), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_working_directory_belongs_to_one_run_at_a_time() {
    let (daemon, project) = hanging();
    let first = Running::start(&project, ["--work-dir", "work"]);
    daemon.wait_until("the build", |state| state.builds.iter().any(|build| build.image == "memcached"));

    let second = project.run(["--work-dir", "work", "^base$"]).exits(1);
    let owner = format!("is used by another run (process {}, lock file .kolla-build.lock)", first.id());
    assert!(second.tells("error: the working directory") && second.stderr.contains(&owner), "{second}");
    assert_eq!(daemon.order(), ["base", "memcached"]);

    first.signal("INT");
    first.end().exits(130);
    project.run(["--work-dir", "work", "^base$"]).exits(0);
}
