//! Equal inputs give equal bytes, wherever and whenever they lie.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::docker::FakeDocker;
use crate::support::project::{Project, Run};

/// Files of a context and of a local source, in the order they are written in.
const FILES: [&str; 5] =
    ["images/base/a", "images/base/etc/b.conf", "images/base/z", "source/setup.py", "source/lib/code.py"];

/// A tree whose files are written in this order and are so old.
fn project<'a>(files: impl Iterator<Item = &'a &'a str>, age: Duration) -> Project {
    let mut project = Project::empty();
    for file in files {
        project = project.file(file, file);
        let open = std::fs::File::options().append(true).open(project.path(file)).expect("a file");
        open.set_modified(SystemTime::now() - age).expect("a time");
    }
    symlink("etc/b.conf", project.path("images/base/link")).expect("a link");
    project.image("base", None, "COPY . /\nADD base-archive /source\n").file(
        "k.conf",
        "[base]\ntype = local\nlocation = source\n[base-plugin-one]\ntype = local\nlocation = source\n",
    )
}

/// What a run sends to build `base`: the context's archive, and the request without what tells of the time.
fn sent(project: Project, umask: &str, epoch: Option<&str>) -> (Vec<u8>, BTreeMap<String, String>) {
    let daemon = FakeDocker::with_base_image();
    let project = project.with_engine(&daemon);
    let run = project.command(["--work-dir", "work", "--config-file", "k.conf"]);
    // The mask is the shell's, which the run inherits.
    let mut masked = Command::new("sh");
    masked.args(["-c", "umask \"$0\"; exec \"$@\"", umask]).arg(run.get_program()).args(run.get_args());
    masked.env_clear().envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    masked.current_dir(project.path(Path::new("")));
    if let Some(epoch) = epoch {
        masked.env("SOURCE_DATE_EPOCH", epoch);
    }
    Run::from(masked.output().expect("a shell")).exits(0);
    let build = daemon.builds().remove(0);
    (build.archive, build.query)
}

/// An archive's entries: name, mode and size.
fn entries(archive: &[u8]) -> Vec<(String, u32, u64)> {
    let mut archive = tar::Archive::new(archive);
    let entry = |entry: std::io::Result<tar::Entry<&[u8]>>| {
        let entry = entry.expect("an entry");
        let header = entry.header();
        let name = entry.path().expect("a name").display().to_string();
        (name, header.mode().expect("a mode"), entry.size())
    };
    archive.entries().expect("an archive").map(entry).collect()
}

/// The times of an archive's entries.
fn times(archive: &[u8]) -> Vec<u64> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().expect("an archive");
    entries.map(|entry| entry.expect("an entry").header().mtime().expect("a time")).collect()
}

#[test]
fn two_builds_of_the_same_inputs_send_the_same_bytes() {
    let epoch = Some("1700000000");
    let first = sent(project(FILES.iter(), Duration::from_secs(1)), "022", epoch);
    let second = sent(project(FILES.iter().rev(), Duration::from_secs(1_000_000)), "077", epoch);
    // Told apart by their entries, for the bytes say little.
    assert_eq!(entries(&first.0), entries(&second.0));
    assert!(first.0 == second.0, "the contexts differ");
    // Labels with times, keys and names among it.
    assert_eq!(first.1, second.1);
    let times = times(&first.0);
    assert!(times.len() > 8 && times.iter().all(|time| *time == 1_700_000_000), "{times:?}");
}

#[test]
fn the_time_of_a_build_is_no_part_of_what_is_built() {
    let project = || project(FILES.iter(), Duration::ZERO);
    let (dated, undated) = (sent(project(), "022", Some("1700000000")), sent(project(), "022", None));
    let key = |query: &BTreeMap<String, String>| {
        let labels: BTreeMap<String, String> = serde_json::from_str(&query["labels"]).expect("labels");
        labels["kolla-build.key"].clone()
    };
    assert_eq!(key(&dated.1), key(&undated.1));
    assert!(times(&undated.0).iter().all(|time| *time == 0));
    assert_eq!(entries(&dated.0), entries(&undated.0));
}
