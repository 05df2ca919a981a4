//! Threads that can't be had, and variables that say how many there are to be.

use crate::support::docker::FakeDocker;
use crate::support::project::{Project, Running};

#[test]
fn without_threads_a_run_says_so_and_does_not_panic() {
    let project = Project::new().with_engine(&FakeDocker::with_base_image());
    for arguments in [&["--template-only"][..], &["^base$"]] {
        let mut command = project.command(arguments);
        // Half of what can be addressed: no stack of this size is to be had.
        command.env("RUST_MIN_STACK", (1u64 << 47).to_string());
        let run = Running::spawn(command).end().exits(1);
        assert!(run.tells("error: failed to start the threads that render: "), "{run}");
        assert!(run.stderr.contains("hint: the limits of processes (ulimit -u"), "{run}");
        assert!(!run.stderr.contains("panicked"), "{run}");
    }
}

#[test]
fn how_many_threads_there_are_is_no_other_program_s_to_say() {
    let daemon = FakeDocker::with_base_image();
    let project = Project::new().with_engine(&daemon);
    for count in ["0", "many"] {
        let mut command = project.command(["^base$"]);
        command.env("TOKIO_WORKER_THREADS", count);
        let run = Running::spawn(command).end().exits(0);
        assert!(!run.stderr.contains("panicked"), "{run}");
    }
}
