//! Reports that are written as files at the end of a run: JSON, JUnit, the timing page and digests.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::summary::Summary;
use super::timeline::Timeline;
use super::{ReportError, Reporter, digests, junit, report_html, report_json};
use crate::config::settings::Setting;
use crate::error::EXIT_INTERRUPTED;
use crate::event::Event;
use crate::plan::BuildPlan;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Everything, for programs.
    Json,
    /// Test cases, for what shows tests.
    Junit,
    /// A page, for people.
    Html,
    /// What was pushed, by digest.
    Digests,
    /// The same as variables of kolla-ansible.
    AnsibleDigests,
}

/// What reports tell of a run beside its events.
#[derive(Debug, Clone, Default)]
pub struct RunFacts {
    /// What it was built with.
    pub engine: String,
    /// The configuration, without secrets.
    pub configuration: Vec<Setting>,
}

/// A run that has ended, as reports see it.
pub struct Run<'a> {
    /// Its images and their ends.
    pub summary: &'a Summary,
    /// Their times.
    pub timeline: &'a Timeline,
    /// All else.
    pub facts: &'a RunFacts,
    /// When it started.
    pub started: Timestamp,
}

impl Run<'_> {
    /// A time of the timeline, by the world's clock. One that no clock can show is shown as the start.
    pub fn clock(&self, since_start: Duration) -> Timestamp {
        self.started.checked_add(since_start).unwrap_or(self.started)
    }

    /// What the process exits with, unless something goes wrong after the run.
    pub fn exit_code(&self) -> u8 {
        if self.timeline.interrupted { EXIT_INTERRUPTED } else { self.summary.exit_code() }
    }
}

/// A time as RFC 3339 has it.
pub fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Seconds, to the millisecond.
pub fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

/// Notes the times of a run and writes its reports.
pub struct ReportFiles {
    timeline: Timeline,
    facts: RunFacts,
    targets: Vec<(Format, PathBuf)>,
    started: Timestamp,
    clock: Instant,
}

impl ReportFiles {
    /// Reports of a run that starts now.
    pub fn new(plan: &BuildPlan, facts: RunFacts, targets: Vec<(Format, PathBuf)>) -> ReportFiles {
        let timeline = Timeline::new(plan);
        ReportFiles { timeline, facts, targets, started: Timestamp::now(), clock: Instant::now() }
    }
}

impl Reporter for ReportFiles {
    fn event(&mut self, event: &Event, _: &Summary) {
        self.timeline.event(event, self.clock.elapsed());
    }

    fn finish(&mut self, summary: &Summary) -> Vec<ReportError> {
        let run = Run { summary, timeline: &self.timeline, facts: &self.facts, started: self.started };
        write_reports(&run, &self.targets)
    }
}

/// Writes reports of a run that has ended; gives all that could not be written.
pub fn write_reports(run: &Run, targets: &[(Format, PathBuf)]) -> Vec<ReportError> {
    let write = |(format, path): &(Format, PathBuf)| {
        let (what, text) = match format {
            Format::Json => ("the report", Ok(report_json::report(run))),
            Format::Junit => ("the JUnit report", junit::report(run)),
            Format::Html => ("the timing page", report_html::page(run)),
            Format::Digests => ("the digests", Ok(digests::json(run.timeline))),
            Format::AnsibleDigests => ("the digests for kolla-ansible", Ok(digests::ansible(run.timeline))),
        };
        let source = text.and_then(|text| write_whole(path, &text)).err()?;
        Some(ReportError { what: what.to_string(), path: path.display().to_string(), source })
    };
    targets.iter().filter_map(write).collect()
}

/// Writes a file whole or not at all: whoever reads it meanwhile sees the old one.
pub fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let path = match fs::metadata(path) {
        // The file behind a link is replaced, not the link.
        Ok(file) if file.is_file() => fs::canonicalize(path)?,
        // What is no file, like /dev/stdout, can't be replaced by one.
        Ok(_) => return fs::write(path, text),
        Err(_) => path.to_path_buf(),
    };
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .prefix(".kolla-build-")
        // The umask takes from this what it takes from every new file.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.persist(&path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_a_link_to_it_kept() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "old").expect("written");
        std::os::unix::fs::symlink("file", &link).expect("a link");
        write_whole(&link, "new").expect("written");
        assert_eq!(fs::read_to_string(&file).expect("a file"), "new");
        assert_eq!(fs::read_link(&link).expect("a link"), Path::new("file"));
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 2);
    }

    #[test]
    fn what_is_no_file_is_written_to() {
        write_whole(Path::new("/dev/null"), "text").expect("written");
        assert!(!fs::metadata("/dev/null").expect("still there").is_file());
        let directory = tempfile::tempdir().expect("a temporary directory");
        assert!(write_whole(directory.path(), "text").is_err());
        assert!(write_whole(&directory.path().join("missing/file"), "text").is_err());
    }
}
