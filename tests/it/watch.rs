//! Building again after every change.

use std::time::Instant;

use crate::support::docker::{FakeDocker, PATIENCE};
use crate::support::project::{Project, Running};

const LOG: &str = "watch.log";

/// Waits until the run has told so much.
#[track_caller]
fn wait_for(project: &Project, text: &str, times: usize) {
    let end = Instant::now() + PATIENCE;
    while project.read(LOG).matches(text).count() < times {
        assert!(Instant::now() < end, "waited in vain for {times} times '{text}': {}", project.read(LOG));
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn built(daemon: &FakeDocker, image: &str) -> usize {
    daemon.order().iter().filter(|built| *built == image).count()
}

#[test]
fn only_what_a_change_affects_is_built_again_until_an_interrupt() {
    let daemon = FakeDocker::with_base_image();
    let project = Project::new()
        .file("mine.j2", "{% extends parent_template %}\n")
        .file("images/nova-api/start.sh", "one\n")
        .with_engine(&daemon);
    let arguments =
        ["--watch", "--template-override", "mine.j2", "--logs-dir", "images/logs", "^nova", "memcached"];
    let running = Running::start_with_log(&project, arguments, LOG);
    wait_for(&project, "Watching for changes", 1);
    assert_eq!(daemon.order().len(), 6);

    // An editor's own file is no change; the file that it then puts in place is one.
    let project =
        project.file("images/nova-api/.start.sh.swp", "").file("images/nova-api/start.sh~", "one\n");
    std::fs::write(project.path("new"), "two\n").expect("a file");
    std::fs::rename(project.path("new"), project.path("images/nova-api/start.sh")).expect("renamed");
    wait_for(&project, "Watching for changes", 2);
    assert_eq!((daemon.order().len(), built(&daemon, "nova-api")), (7, 2));
    let changed = format!("Changed: {}\n", project.path("images/nova-api/start.sh").display());
    assert!(project.read(LOG).contains(&changed), "{}", project.read(LOG));

    // A new image, in a directory that was not there.
    let project = project.image("nova-extra", Some("nova-base"), "RUN extra\n");
    wait_for(&project, "Watching for changes", 3);
    assert_eq!(built(&daemon, "nova-extra"), 1);

    running.signal("INT");
    running.end().exits(130);
    assert_eq!(daemon.order().len(), 8);
}

#[test]
fn a_template_error_and_wrong_configuration_are_told_and_waited_out() {
    let daemon = FakeDocker::with_base_image();
    let conf = |text: &str| format!("[DEFAULT]\n{text}");
    let project = Project::empty()
        .image("base", None, "RUN true\n")
        .file("k.conf", &conf("threads = 2\n"))
        .with_engine(&daemon);
    let running = Running::start_with_log(&project, ["--watch", "--config-file", "k.conf"], LOG);
    wait_for(&project, "Watching for changes", 1);

    let project = project.image("base", None, "{% if %}\n");
    wait_for(&project, "error: ", 1);
    let project = project.image("base", None, "RUN false\n");
    wait_for(&project, "Watching for changes", 3);
    assert_eq!(built(&daemon, "base"), 2);

    let project = project.file("k.conf", &conf("threads = many\n"));
    wait_for(&project, "k.conf:2", 1);
    let project = project.file("k.conf", &conf("tag = other\n"));
    wait_for(&project, "Watching for changes", 5);
    assert!(daemon.image("kolla/base:other").is_some());

    running.signal("TERM");
    running.end().exits(130);
}

#[test]
fn a_change_during_a_build_is_built_after_it() {
    let daemon = FakeDocker::with_base_image().gather(2);
    let project = Project::empty()
        .image("first", None, "RUN true\n")
        .image("second", None, "RUN true\n")
        .with_engine(&daemon);
    let running = Running::start_with_log(&project, ["--watch", "--threads", "2"], LOG);
    daemon.wait_until("the builds", |state| !state.builds.is_empty());
    let project = project.image("second", None, "RUN false\n");
    daemon.wait_until("another build", |state| {
        state.builds.iter().filter(|build| build.image == "second").count() == 2
    });
    assert_eq!(built(&daemon, "first"), 1);
    running.signal("INT");
    running.end().exits(130);
    drop(project);
}

#[test]
fn a_local_source_of_an_image_that_is_asked_for_is_watched() {
    let daemon = FakeDocker::with_base_image();
    let source = |name: &str| format!("[{name}]\ntype = local\nlocation = sources/{name}\n");
    let project = Project::empty()
        .image("base", None, "RUN true\n")
        .image("mine", Some("base"), "ADD mine-archive /mine\n")
        .image("other", Some("base"), "ADD other-archive /other\n")
        .file("k.conf", &format!("{}{}", source("mine"), source("other")))
        .file("sources/mine/deep/inside.py", "one\n")
        .file("sources/other/file.py", "one\n")
        .with_engine(&daemon);
    let running = Running::start_with_log(&project, ["--watch", "--config-file", "k.conf", "^mine$"], LOG);
    wait_for(&project, "Watching for changes", 1);
    let project = project.file("sources/other/file.py", "two\n").file("sources/mine/deep/inside.py", "two\n");
    wait_for(&project, "Watching for changes", 2);
    assert_eq!(daemon.order(), ["base", "mine", "mine"]);
    let changed = format!("Changed: {}\n", project.path("sources/mine/deep/inside.py").display());
    assert!(project.read(LOG).contains(&changed), "{}", project.read(LOG));

    // A file in a directory that was not there, and another place for it all.
    let project = project.file("sources/mine/new/more.py", "");
    wait_for(&project, "Watching for changes", 3);
    let project = project
        .file("elsewhere/file.py", "three\n")
        .file("k.conf", "[mine]\ntype = local\nlocation = elsewhere\n");
    wait_for(&project, "Watching for changes", 4);
    let project = project.file("elsewhere/file.py", "four\n");
    wait_for(&project, "Watching for changes", 5);
    assert_eq!(built(&daemon, "mine"), 5);
    running.signal("INT");
    running.end().exits(130);
}

#[test]
fn what_comes_into_being_after_the_start_is_watched() {
    let daemon = FakeDocker::with_base_image();
    let project = Project::empty().image("base", None, "RUN true\n").with_engine(&daemon);
    let arguments = ["--watch", "--docker-dir", "overlays/mine", "--template-override", "mine.j2"];
    let running = Running::start_with_log(&project, arguments, LOG);
    wait_for(&project, "Watching for changes", 1);
    assert_eq!(daemon.order(), [""; 0], "what is named is not there");

    let project = project.file("mine.j2", "{% extends parent_template %}\n");
    wait_for(&project, "Changed: ", 1);
    let project = project.file("overlays/mine/extra/Dockerfile.j2", "FROM debian:trixie\nLABEL name=extra\n");
    daemon.wait_until("the overlay's image", |state| state.builds.iter().any(|build| build.image == "extra"));

    // Configuration, in a directory that is not there either.
    let project = project.file("home/.kolla/kolla-build.conf", "[DEFAULT]\ntag = other\n");
    daemon.wait_until("the other tag", |state| state.images.contains_key("kolla/extra:other"));
    let project = project.file("home/.kolla/kolla-build.conf.d/more.conf", "[DEFAULT]\ntag = third\n");
    daemon.wait_until("the third tag", |state| state.images.contains_key("kolla/extra:third"));
    // What is gone is awaited again.
    let errors = project.read(LOG).matches("error: ").count();
    std::fs::remove_dir_all(project.path("overlays")).expect("removed");
    wait_for(&project, "error: ", errors + 1);
    let _project =
        project.file("overlays/mine/again/Dockerfile.j2", "FROM debian:trixie\nLABEL name=again\n");
    daemon.wait_until("the overlay's image", |state| state.builds.iter().any(|build| build.image == "again"));
    running.signal("INT");
    running.end().exits(130);
}

#[test]
fn what_a_run_writes_into_what_is_watched_is_no_change() {
    let daemon = FakeDocker::with_base_image();
    let project =
        Project::empty().image("base", None, "RUN true\n").file("images/all/x", "").with_engine(&daemon);
    for (link, target) in [("logs", "images/all"), ("page", "images/all/page.html")] {
        std::os::unix::fs::symlink(target, project.path(link)).expect("a link");
    }
    let arguments = [
        "--watch",
        "--report=images/report.json",
        "--junit=images/all/junit.xml",
        "--html=page",
        "--summary-json-file=images/summary.json",
        "--logs-dir=logs",
    ];
    let running = Running::start_with_log(&project, arguments, LOG);
    wait_for(&project, "Watching for changes", 1);
    // A change that is one comes after all that the run has written.
    let project = project.image("base", None, "RUN false\n");
    wait_for(&project, "Watching for changes", 2);
    let told = project.read(LOG);
    let changed = format!("Changed: {}\n", project.path("images/base/Dockerfile.j2").display());
    assert!(told.matches("Changed: ").count() == 1 && told.contains(&changed), "{told}");
    assert_eq!(built(&daemon, "base"), 2);
    for written in
        ["images/report.json", "images/all/page.html", "images/all/base.log", "images/summary.json"]
    {
        assert!(project.path(written).is_file(), "{written}");
    }
    running.signal("INT");
    running.end().exits(130);
    drop(project);
}

#[test]
fn a_change_beside_what_a_run_writes_counts() {
    let daemon = FakeDocker::with_base_image();
    let project = Project::empty().image("base", None, "RUN true\n").with_engine(&daemon);
    let arguments = ["--watch", "--work-dir=.", "--logs-dir=."];
    let running = Running::start_with_log(&project, arguments, LOG);
    wait_for(&project, "Watching for changes", 1);
    let project = project.image("base", None, "RUN false\n");
    wait_for(&project, "Watching for changes", 2);
    assert_eq!(built(&daemon, "base"), 2);
    running.signal("INT");
    running.end().exits(130);
    drop(project);
}

#[test]
fn what_can_t_be_watched_is_refused() {
    let run = Project::new().run(["--watch", "--list-images"]).exits(2);
    assert!(run.tells("error: --watch goes with building"), "{run}");
    let run = Project::shipped().run(["--watch"]).exits(2);
    assert!(run.tells("error: there is nothing to watch"), "{run}");
}
