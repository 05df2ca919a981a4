//! Disks that are full, or become so, or can't be written to.

use std::path::Path;
use std::time::Duration;

use crate::support::docker::{FakeDocker, Fault};
use crate::support::mount::Mount;
use crate::support::project::Project;

fn project(daemon: &FakeDocker) -> Project {
    Project::empty().image("base", None, "RUN true\n").image("child", Some("base"), "").with_engine(daemon)
}

#[test]
fn what_runs_short_is_warned_of() {
    let images = tempfile::tempdir().expect("a directory");
    let daemon = FakeDocker::with_base_image()
        .keep_in(&images.path().display().to_string())
        // A run that is over at once does not wait for the engine to say where it keeps them.
        .delay(Duration::from_millis(300));
    let project = project(&daemon);
    // A million TiB.
    let run = project.run(["--work-dir", "work", "--min-free-disk", "1000000000"]).exits(0);
    let work = "for the working directory in work/docker, less than".to_string();
    let engine = format!("for the engine's images in {}, less than", images.path().display());
    for place in [work, engine] {
        let is_it =
            |line: &&str| line.starts_with("WARNING:kolla.common.utils:only ") && line.contains(&place);
        assert_eq!(run.stderr.lines().filter(is_it).count(), 1, "{place}: {run}");
    }
    let run = project.run(["--min-free-disk", "0"]).exits(0);
    assert!(!run.stderr.contains("WARNING"), "{run}");
}

#[test]
fn an_engine_whose_disk_is_full_is_told_so_and_not_asked_again() {
    let in_a_step = Fault::Fails {
        message: "exit code: 100".to_string(),
        log: "cp: error writing '/x': No space left on device".to_string(),
    };
    let refused = Fault::Refused(500, "write /var/lib/docker/tmp/x: no space left on device".to_string());
    for fault in [in_a_step, refused] {
        let daemon = FakeDocker::with_base_image().fail("base", fault);
        let project = project(&daemon);
        let reports = ["--report", "report.json", "--junit", "junit.xml", "--html", "page.html"];
        let run = project.run(reports.iter().chain(&["--retries", "3"])).exits(1);
        assert_eq!(daemon.order().len().max(1), 1, "{run}");
        assert!(run.tells("ERROR:kolla.common.utils.base:hint: a disk is full"), "{run}");
        let report: serde_json::Value = serde_json::from_str(&project.read("report.json")).expect("JSON");
        let failure = &report["images"][0]["failure"];
        assert_eq!(failure["kind"], "disk");
        let hint = failure["hints"][0].as_str().expect("a hint");
        assert!(hint.starts_with("a disk is full: "), "{failure}");
        assert!(!failure["message"].as_str().expect("a message").contains(hint), "{failure}");
        project.run(["--merge-summaries", "report.json", "--junit", "merged.xml"]).exits(1);
        for file in ["junit.xml", "page.html", "merged.xml"] {
            assert!(project.read(file).contains("hint: a disk is full"), "{file}");
        }
        assert_eq!(report["images"][0]["key"].as_str().map(str::len), Some(64));
        assert_eq!(report["images"][1]["root_cause"], "base");

        daemon.forget();
        project.run(["--report", "report.json"]).exits(0);
        let report: serde_json::Value = serde_json::from_str(&project.read("report.json")).expect("JSON");
        assert_eq!(report["images"][0]["layers"], 2);
    }
}

fn files(directory: &Path) -> usize {
    std::fs::read_dir(directory).expect("a directory").count()
}

#[test]
#[ignore = "needs a user that may mount"]
fn a_working_directory_that_is_full_ends_the_run_before_anything_is_built() {
    let daemon = FakeDocker::with_base_image();
    let project = project(&daemon).file("images/base/large", &"x".repeat(2 << 20));
    let mount = Mount::new(project.path("small"), "size=1m");
    for (arguments, temporary) in [(&["--work-dir", "small/work"][..], false), (&[], true)] {
        let mut command = project.command(arguments);
        if temporary {
            command.env("TMPDIR", mount.path());
        }
        let run = crate::support::project::Run::from(command.output().expect("the binary")).exits(1);
        assert!(run.tells("error: cannot write ") && run.stderr.contains("No space left on device"), "{run}");
        assert!(run.tells("  hint: free some space there, or name another place"), "{run}");
        assert_eq!(daemon.order(), [""; 0]);
        assert_eq!(run.stdout, "");
        if temporary {
            // Nothing but what the run before it has written.
            assert_eq!(files(mount.path()), 1);
        }
    }
    // With more space the same directory will do.
    mount.remount("size=10m");
    project.run(["--work-dir", "small/work"]).exits(0);
}

#[test]
#[ignore = "needs a user that may mount"]
fn a_disk_that_fills_up_in_the_middle_fails_the_image_and_costs_no_other() {
    let daemon = FakeDocker::with_base_image();
    let project = project(&daemon)
        .file("source/large", &"x".repeat(2 << 20))
        .file("k.conf", "[child]\ntype = local\nlocation = source\n");
    let mount = Mount::new(project.path("small"), "size=1m");
    let arguments = ["--work-dir", "small/work", "--config-file", "k.conf", "--retries", "3"];
    let run = project.run(arguments).exits(1);
    assert_eq!(daemon.order(), ["base"]);
    assert_eq!(run.summary()["built"][0]["name"], "base");
    assert_eq!(run.summary()["failed"][0]["name"], "child");
    assert!(run.tells("ERROR:kolla.common.utils.child:hint: a disk is full"), "{run}");
    mount.remount("size=10m");
    let run = project.run(arguments).exits(0);
    assert!(run.stderr.ends_with(": 1 image built, 1 unchanged\n"), "{run}");
}

#[test]
#[ignore = "needs a user that may mount"]
fn a_working_directory_that_cannot_be_written_to_is_told() {
    let daemon = FakeDocker::with_base_image();
    let project = project(&daemon);
    let mount = Mount::new(project.path("small"), "size=1m");
    mount.remount("ro");
    let run = project.run(["--work-dir", "small/work"]).exits(1);
    assert!(run.tells("error: cannot write small/work: Read-only file system"), "{run}");
    assert!(run.tells("  hint: name a place that can be written to"), "{run}");
    assert_eq!(daemon.order(), [""; 0]);
}
