//! Everything ends: what an engine, a registry or a program never finishes, and what a signal interrupts.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::docker::{FakeDocker, Fault, PATIENCE, Stall};
use crate::support::project::{Project, Running};
use crate::support::pushed::Pushed;
use crate::support::registry::{self, Demand, FakeRegistry};

/// With a short patience, and one try.
const BRIEF: [&str; 4] = ["--timeout", "1", "--retries", "0"];

const NO_PROGRESS: &str = "for 1 s (option timeout)";

fn one_image(daemon: &FakeDocker) -> Project {
    Project::empty().image("base", None, "RUN true\n").with_engine(daemon)
}

#[test]
fn an_engine_s_answer_that_does_not_come_to_an_end_ends_the_run() {
    let mut runs = Vec::new();
    for stall in [Stall::BeforeHead, Stall::AfterHead, Stall::Endless] {
        for (request, arguments) in [
            ("GET /version", &[][..]),
            ("GET /info", &["--push"]),
            ("GET /images/", &[]),
            ("POST /images/create", &[]),
            ("POST /images/kolla/base/push", &["--push"]),
        ] {
            let daemon = match request {
                "POST /images/create" => FakeDocker::start(),
                _ => FakeDocker::with_base_image(),
            };
            let daemon = daemon.stall(request, stall);
            let project = one_image(&daemon);
            let running = Running::start(&project, BRIEF.iter().chain(arguments));
            runs.push((running, stall, request, project, daemon));
        }
    }
    for (running, stall, request, project, daemon) in runs {
        let run = running.end().exits(1);
        let told = match stall {
            Stall::Endless => "gave an answer that can't be read",
            _ => NO_PROGRESS,
        };
        assert!(run.stderr.contains(told), "{stall:?} {request}: {run}");
        assert!(daemon.requests().iter().any(|asked| asked.contains(request.split(' ').nth(1).unwrap())));
        assert_eq!(project.temporary_files(), Vec::<PathBuf>::new(), "{stall:?} {request}");
    }
}

#[test]
fn a_push_whose_registry_takes_nothing_more_is_tried_again_and_given_up() {
    let daemon = FakeDocker::with_base_image().fail_push("base", Fault::Hangs);
    let run = one_image(&daemon).run(["--push", "--timeout", "1", "--retries", "1"]).exits(1);
    assert_eq!(daemon.pushes().len(), 2);
    assert!(run.stderr.contains(NO_PROGRESS), "{run}");
    assert_eq!(run.summary()["failed"][0]["status"], "push_error");
}

#[test]
fn a_registry_that_stalls_is_given_up() {
    let mut runs = Vec::new();
    for fault in [registry::Fault::Delay(Duration::from_secs(3600)), registry::Fault::StallInTheMiddle] {
        for (task, request) in [
            (&["--retag", "1:stable"][..], "GET /v2/kolla/base/manifests/"),
            (&["--verify-registry"], "GET /v2/kolla/base/blobs/"),
            (&["--retag", "1:stable"], "GET /token"),
        ] {
            let mut pushed = Pushed::new();
            if request == "GET /token" {
                pushed.registry.demand(Demand::Token("user", "password"));
                pushed.project = pushed.project.log_in(pushed.registry.address(), "user", "password");
            }
            pushed.registry.fail_next(request, fault.clone());
            let registry = ["--registry", pushed.registry.address(), "--tag", "1", "^base$"];
            let arguments = BRIEF.iter().chain(&registry).chain(task);
            runs.push((Running::start(&pushed.project, arguments), pushed, request));
        }
    }
    for (running, pushed, request) in runs {
        let run = running.end().exits(1);
        assert!(run.stderr.contains(NO_PROGRESS), "{request}: {run}");
        assert_eq!(pushed.project.temporary_files(), Vec::<PathBuf>::new());
    }
}

#[test]
fn waits_that_a_registry_asks_for_are_told_before_they_begin() {
    let pushed = Pushed::new();
    pushed.registry.fail_next("GET /v2/kolla/base/", registry::Fault::Status(429, Some("1")));
    let run = pushed.run(&["--retag", "1:stable", "^base$"]).exits(0);
    let told = "the registry has too many requests (429): FAULT status 429: trying again in 1.0 s, as it asks (Retry-After)";
    assert!(run.stderr.contains(told), "{run}");

    pushed.registry.fail_next("HEAD /v2/kolla/base/", registry::Fault::Status(503, Some("1")));
    let pushed = pushed.change("base", "base").with_fresh_engine();
    let pushed = Pushed { project: pushed.project.image("base", None, "RUN other\n"), ..pushed };
    let run = pushed.run(&["--push", "^base$"]).exits(0);
    assert!(run.stderr.contains("kolla.common.utils.base:") && run.stderr.contains("(Retry-After)"), "{run}");
}

/// Waits until a process has handlers for the signals that it is to get.
fn catches_signals(running: &Running) {
    let status = format!("/proc/{}/status", running.id());
    // Whoever starts tests in the background has them ignore some: `env --default-signal=HUP,INT` undoes that.
    wait_until("the run to catch HUP, INT and TERM", || {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let mask =
            status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim().to_string();
        // SIGHUP, SIGINT and SIGTERM.
        u64::from_str_radix(&mask, 16).unwrap_or(0) & 0x4003 == 0x4003
    });
}

#[test]
fn a_signal_ends_every_task_at_once_wherever_it_waits() {
    let mut runs = Vec::new();
    for (index, task) in [
        &["--push"][..],
        &["--plan"],
        &["--verify-registry"],
        &["--lock=lock.toml"],
        &["--prune"],
        &["--skip-existing"],
    ]
    .into_iter()
    .enumerate()
    {
        let request = match task {
            ["--push"] => "/info",
            ["--skip-existing"] => "/images/",
            _ => "/version",
        };
        let daemon = FakeDocker::with_base_image().stall(&format!("GET {request}"), Stall::BeforeHead);
        let project = one_image(&daemon);
        let running = Running::start(&project, task);
        daemon.wait_until("the request", |state| state.requests.iter().any(|asked| asked.contains(request)));
        running.signal(["INT", "TERM", "HUP"][index % 3]);
        runs.push((running, project, daemon));
    }
    for (running, project, _daemon) in runs {
        let run = running.end().exits(130);
        assert!(run.tells("Interrupted"), "{run}");
        assert_eq!(project.temporary_files(), Vec::<PathBuf>::new(), "{run}");
    }
}

#[test]
fn a_signal_ends_tasks_of_the_registry_alone() {
    for (task, signal) in [
        (&["--retag", "1:stable"][..], "INT"),
        (&["--manifest-lists", "--platform", "linux/amd64,linux/arm64"], "TERM"),
    ] {
        let pushed = Pushed::new();
        for _ in 0..8 {
            pushed.registry.fail_next("GET /v2/kolla/", registry::Fault::Delay(Duration::from_secs(3600)));
        }
        let registry = ["--registry", pushed.registry.address(), "--tag", "1"];
        let running = Running::start(&pushed.project, registry.iter().chain(task));
        wait_until("the request", || {
            pushed.registry.take_requests().iter().any(|request| request.starts_with("GET /v2/kolla/"))
        });
        running.signal(signal);
        let run = running.end().exits(130);
        assert!(run.tells("Interrupted"), "{run}");
    }
}

#[test]
fn a_signal_ends_what_does_not_wait_for_anybody_too() {
    // Nobody reads, and it is more than a pipe holds.
    let project = Project::new()
        .file("kolla-build.conf", &format!("[DEFAULT]\nmaintainer = {}\n", "x".repeat(200_000)));
    for signal in ["INT", "TERM", "HUP"] {
        let running = Running::start(&project, ["--config-file", "kolla-build.conf", "--print-config"]);
        catches_signals(&running);
        running.signal(signal);
        // Whoever reads lets it come to its end by itself.
        running.end_unread().exits(130);
    }
}

#[test]
fn what_nohup_started_goes_on_without_a_terminal() {
    let daemon = FakeDocker::with_base_image().fail("base", Fault::Hangs);
    let project = one_image(&daemon);
    let binary = project.command([""; 0]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(binary.get_program()).args(binary.get_args());
    command.env_clear().envs(binary.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(project.path(""));
    let running = Running::spawn(command);
    daemon.wait_until("the build", |state| !state.builds.is_empty());
    running.signal("HUP");
    running.signal("TERM");
    let run = running.end().exits(130);
    // The second would have ended it without a word, had the first one counted.
    assert!(run.stderr.contains("Finished in"), "{run}");
}

/// With a program of the project's own before those of the system.
fn with_program(project: Project, name: &str, script: &str) -> Project {
    let project = project.file(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
    let program = project.path("bin").join(name);
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).expect("ours");
    project
}

fn start_with_programs(project: &Project, arguments: &[&str]) -> Running {
    let mut command = project.command(arguments);
    let path = std::env::var("PATH").expect("a path");
    command.env("PATH", format!("{}:{path}", project.path("bin").display()));
    Running::spawn(command)
}

/// Writes the id of a process that it has started, and waits for that.
const LASTING: &str = "sleep 600 & echo $! > child.new; mv child.new child; wait";

/// Waits until the process that such a script has started is gone.
fn child_goes(project: &Project) {
    let stat = format!("/proc/{}/stat", project.read("child").trim());
    // Gone, or a zombie that whoever adopted it has not waited for.
    let lives = || {
        let stat = std::fs::read_to_string(&stat).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    };
    wait_until("the program's child to go", || !lives());
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A project whose registry's credentials come from a helper with this script.
fn helped(script: &str) -> Pushed {
    let pushed = Pushed::new();
    pushed.registry.demand(Demand::Basic("user", "password"));
    let config = format!(r#"{{"credHelpers": {{"{}": "test"}}}}"#, pushed.registry.address());
    let project = pushed.project.file("home/.docker/config.json", &config);
    Pushed { project: with_program(project, "docker-credential-test", script), ..pushed }
}

fn retag(pushed: &Pushed, more: &[&str]) -> Running {
    let arguments = ["--registry", pushed.registry.address(), "--tag", "1", "--retag", "1:stable", "^base$"];
    start_with_programs(&pushed.project, &[&arguments, more].concat())
}

const ANSWER: &str = r#"echo '{"ServerURL": "x", "Username": "user", "Secret": "password"}'"#;

#[test]
fn a_credential_helper_that_does_not_end_ends_no_run_in_vain() {
    for (script, told) in [
        ("sleep 600", "docker-credential-test has made no progress for 1 s (option timeout)"),
        ("exec >&- 2>&-; sleep 600", "docker-credential-test has made no progress for 1 s (option timeout)"),
        ("yes", "docker-credential-test writes without end"),
        ("yes >&2", "docker-credential-test writes without end"),
    ] {
        let run = retag(&helped(script), &BRIEF).end().exits(1);
        assert!(run.stderr.contains(told), "{script}: {run}");
    }
    // What it leaves behind may hold its output open.
    let left = helped(&format!("cat > asked; {ANSWER}; sleep 5 & exit 0"));
    retag(&left, &[]).end().exits(0);
    assert_eq!(left.project.read("asked"), left.registry.address());
}

#[test]
fn a_signal_takes_a_helper_along_with_what_it_has_started() {
    let pushed = helped(LASTING);
    let running = retag(&pushed, &[]);
    wait_until("the helper to be asked", || pushed.project.path("child").exists());
    running.signal("INT");
    running.end().exits(130);
    child_goes(&pushed.project);
}

#[test]
fn git_goes_with_what_it_has_started_by_silence_and_by_signals() {
    for (arguments, signal, code) in [(&BRIEF[..], None, 1), (&[], Some("TERM"), 130)] {
        let daemon = FakeDocker::with_base_image();
        let source =
            "[sources.base]\ntype = \"git\"\nlocation = \"https://git.example/base\"\nreference = \"main\"\n";
        // Of what is on this machine it knows nothing.
        let script = format!("case \"$*\" in *ls-remote*) {LASTING};; *) exit 128;; esac");
        let project = with_program(one_image(&daemon).file("build.toml", source), "git", &script);
        let running = start_with_programs(&project, &[&["--build-toml", "build.toml"], arguments].concat());
        wait_until("git to be asked", || project.path("child").exists());
        if let Some(signal) = signal {
            running.signal(signal);
        }
        let run = running.end().exits(code);
        assert!(signal.is_some() || run.stderr.contains(NO_PROGRESS), "{run}");
        child_goes(&project);
    }
}

#[test]
fn credentials_do_not_follow_a_token_server_to_another() {
    let (home, elsewhere) = (Pushed::new(), FakeRegistry::start());
    home.registry.demand(Demand::Token("user", "password"));
    let config =
        serde_json::json!({"auths": {home.registry.address(): {"identitytoken": registry::IDENTITY_TOKEN}}});
    let project = home.project.file("home/.docker/config.json", &config.to_string());
    let pushed = Pushed { project, ..home };
    let away = format!("http://{}/token", elsewhere.address());
    pushed.registry.fail_next("POST /token", registry::Fault::Elsewhere(away));
    let run = retag(&pushed, &BRIEF).end().exits(1);
    assert!(run.stderr.contains("the token server sends credentials on to another server"), "{run}");
    assert_eq!(elsewhere.take_requests(), [""; 0]);

    // Its own other places are its own.
    let near = format!("http://{}/token", pushed.registry.address());
    pushed.registry.fail_next("POST /token", registry::Fault::Elsewhere(near));
    retag(&pushed, &BRIEF).end().exits(0);
}

#[test]
fn who_can_t_reach_podman_is_told_of_podman() {
    let project = Project::new();
    let run =
        project.run(["--engine", "podman", "--podman_base_url", "unix:///nowhere/podman.sock"]).exits(1);
    assert!(run.stderr.contains("hint: start its service: systemctl start podman.socket"), "{run}");
    assert!(run.stderr.contains("podman_base_url") && !run.stderr.contains("DOCKER_HOST"), "{run}");
}

#[test]
fn an_engine_that_refuses_without_a_word_is_told_with_what_to_do() {
    let daemon = FakeDocker::with_base_image().fail("base", Fault::Refused(400, String::new()));
    let run = one_image(&daemon).run([""; 0]).exits(1);
    assert!(run.stderr.contains("refused the request (400) without a word: its log may say more"), "{run}");
}
