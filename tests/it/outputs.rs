//! What a run writes, and where.

use std::path::{Path, PathBuf};

use crate::support::docker::{FakeDocker, Fault};
use crate::support::project::Project;

fn mistake() -> Fault {
    Fault::Fails {
        message: "exit code: 100".to_string(),
        log: "E: Unable to locate package nosuch".to_string(),
    }
}

/// A tree of three images, the last of which fails.
fn failing() -> (FakeDocker, Project) {
    let daemon = FakeDocker::with_base_image().fail("keystone", mistake());
    let project = Project::empty()
        .image("base", None, "RUN install base\n")
        .image("keystone", Some("base"), "RUN install keystone\n")
        .image("memcached", Some("base"), "RUN install memcached\n")
        .with_engine(&daemon);
    (daemon, project)
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry"));
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn each_image_has_a_log_and_a_failed_one_a_link_to_it() {
    let (daemon, project) = failing();
    project.run(["--logs-dir", "new/logs"]).exits(1);
    let logs = project.path("new/logs");
    assert_eq!(names_in(&logs), ["000_FAILED_keystone.log", "base.log", "keystone.log", "memcached.log"]);
    assert_eq!(
        std::fs::read_link(logs.join("000_FAILED_keystone.log")).expect("a link"),
        Path::new("keystone.log")
    );
    let log = project.read("new/logs/000_FAILED_keystone.log");
    assert!(
        log.contains("keystone:E: Unable to locate package nosuch\n") && !log.contains("memcached"),
        "{log}"
    );

    daemon.forget();
    project.run(["--logs-dir", "new/logs"]).exits(0);
    assert_eq!(names_in(&logs), ["base.log", "keystone.log", "memcached.log"]);
}

#[test]
fn the_json_summary_is_all_there_is_on_standard_output() {
    let (_daemon, project) = failing();
    let run = project.run(["-T", "1", "^base$", "keystone"]).exits(1);
    insta::assert_snapshot!(run.stdout, @r#"{"built": [{"name": "base"}], "failed": [{"name": "keystone", "status": "error"}], "not_matched": [{"name": "memcached"}], "skipped": [], "unbuildable": []}"#);
    assert!(run.tells("INFO:kolla.common.utils:Successfully built images"), "{run}");
}

#[test]
fn a_file_takes_the_summary_and_leaves_standard_output_empty() {
    let (_daemon, project) = failing();
    let run = project.run(["-T", "1", "--summary-json-file", "summary.json", "memcached"]).exits(0);
    assert_eq!(run.stdout, "");
    insta::assert_snapshot!(project.read("summary.json"), @r#"
    {
        "built": [
            {
                "name": "base"
            },
            {
                "name": "memcached"
            }
        ],
        "failed": [],
        "not_matched": [
            {
                "name": "keystone"
            }
        ],
        "skipped": [],
        "unbuildable": []
    }
    "#);
}

#[test]
fn a_summary_that_cannot_be_written_is_an_error_before_anything_is_built() {
    let (daemon, project) = failing();
    let run = project.run(["--summary-json-file", "no/such/dir/summary.json", "memcached"]).exits(1);
    assert_eq!(daemon.order(), Vec::<String>::new());
    let error = "error: --summary-json-file: cannot write no/such/dir/summary.json: No such file";
    assert!(run.tells(error), "{run}");
}

#[test]
fn without_a_format_there_is_no_json_and_without_a_summary_none_at_all() {
    let (daemon, project) = failing();
    let run = project.run(["--format", "none", "memcached"]).exits(0);
    assert_eq!(run.stdout, "");
    assert!(run.tells("INFO:kolla.common.utils:Successfully built images"), "{run}");

    daemon.forget();
    let run = project.run(["--nosummary", "--summary-json-file", "summary.json", "memcached"]).exits(0);
    assert_eq!(run.stdout, "");
    assert!(!run.stderr.contains("Successfully built images"), "{run}");
    assert!(!project.path("summary.json").exists());
}

#[test]
fn quiet_leaves_out_the_builds_own_lines_and_nothing_else() {
    let (_daemon, project) = failing();
    let run = project.run(["-T", "1", "--quiet", "--logs-dir", "logs"]).exits(1);
    insta::assert_snapshot!(project.redacted(&run.stderr));
    assert!(project.read("logs/memcached.log").contains("output of RUN install memcached"));
}

#[test]
fn a_build_tells_what_goes_on() {
    let (_daemon, project) = failing();
    let run = project.run(["-T", "1", "memcached"]).exits(0);
    insta::assert_snapshot!(project.redacted(&run.stderr));
}

#[test]
fn a_working_directory_that_was_named_stays_and_another_does_not() {
    let (_daemon, project) = failing();
    project.run(["--work-dir", "work"]).exits(1);
    assert_eq!(names_in(&project.path("work/docker")), ["base", "keystone", "memcached"]);
    assert!(project.read("work/docker/keystone/Dockerfile").ends_with("RUN install keystone"));
    assert_eq!(project.temporary_files(), Vec::<PathBuf>::new());

    project.run([""; 0]).exits(1);
    assert_eq!(project.temporary_files(), Vec::<PathBuf>::new());
}

#[test]
fn a_temporary_directory_does_not_outlive_an_error_either() {
    let (_daemon, project) = failing();
    let project = project.file("images/keystone/.dockerignore", "[\n");
    project.run([""; 0]).exits(1);
    assert_eq!(project.temporary_files(), Vec::<PathBuf>::new());
}
