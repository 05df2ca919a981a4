//! What engines and registries say is shown, and never obeyed by the terminal.

use crate::support::docker::{FakeDocker, Fault};
use crate::support::project::{Project, Run};
use crate::support::pushed::Pushed;
use crate::support::registry;

/// Clears a screen, names a window, colours, C1's way to do it, and letters from the other side.
const SCRAWL: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\u{1b}[31m\u{9b}31m\u{202e}\rSHOWN\u{8}";

#[track_caller]
fn is_plain(text: &str, shown: bool) {
    let controls =
        |c: &char| (c.is_control() && !"\n\t".contains(*c)) || ('\u{202a}'..='\u{202e}').contains(c);
    assert_eq!(text.chars().find(controls), None, "{text:?}");
    assert!(!shown || text.contains("SHOWN"), "{text:?}");
}

/// Everything that a run has told, in its logs too.
#[track_caller]
fn all_plain(project: &Project, run: &Run) {
    is_plain(&run.stderr, true);
    is_plain(&run.stdout, false);
    for entry in std::fs::read_dir(project.path("logs")).into_iter().flatten().flatten() {
        is_plain(&std::fs::read_to_string(entry.path()).expect("text"), false);
    }
}

#[test]
fn an_engine_s_words_are_plain_wherever_they_are_shown() {
    let failing = |message: &str| Fault::Fails { message: message.to_string(), log: SCRAWL.to_string() };
    let refused = Fault::Refused(400, SCRAWL.to_string());
    for (daemon, arguments, code) in [
        (FakeDocker::with_base_image().scrawl(SCRAWL), &["--debug"][..], 0),
        (FakeDocker::with_base_image().scrawl(SCRAWL), &["--push"], 0),
        (FakeDocker::with_base_image().fail("base", refused.clone()), &[], 1),
        (FakeDocker::with_base_image().fail("base", failing(SCRAWL)), &["--nobuildkit"], 1),
        (FakeDocker::with_base_image().fail("base", failing(SCRAWL)), &[], 1),
        (FakeDocker::with_base_image().fail_push("base", refused), &["--push"], 1),
        (FakeDocker::with_base_image().fail_push("base", failing(SCRAWL)), &["--push", "--retries", "0"], 1),
    ] {
        let project = Project::empty().image("base", None, "").with_engine(&daemon);
        let common =
            ["--noverify-push", "--logs-dir", "logs", "--junit", "junit.xml", "--html", "times.html"];
        let run = project.run(common.iter().chain(arguments)).exits(code);
        all_plain(&project, &run);
        is_plain(&project.read("junit.xml"), false);
    }
}

#[test]
fn a_registry_s_words_are_plain_too() {
    let pushed = Pushed::new();
    pushed.registry.scrawl(SCRAWL);
    for _ in 0..2 {
        pushed.registry.fail_next("GET /v2/kolla/base/", registry::Fault::Status(403, None));
    }
    for task in [&["--retag", "1:stable"][..], &["--verify-registry"]] {
        let run = pushed.run(&[task, &["^base$"]].concat()).exits(1);
        all_plain(&pushed.project, &run);
    }
}
