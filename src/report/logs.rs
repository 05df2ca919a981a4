//! A log file for each image, and links that bring the failed ones to the top of the directory's listing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::summary::{Summary, UnitSummary};
use super::text::{self, LogLine};
use super::{ReportError, Reporter};
use crate::model::event::{Event, UnitId};
use crate::model::outcome::FailedStatus;
use crate::model::plan::Disposition;
use crate::util::write::{append_to, writable_directory};

/// Writes every unit's lines to its own file. Files are made when there is something to write and appended to.
pub struct Logs {
    directory: PathBuf,
    open: HashMap<UnitId, File>,
    written: HashSet<UnitId>,
    /// The first error of each file: a full disk gives one for every line.
    errors: BTreeMap<PathBuf, ReportError>,
}

impl Logs {
    /// Logs in this directory, which is made when it is missing. Whether it can be written to is known at once.
    pub fn create(directory: &Path) -> Result<Logs, ReportError> {
        writable_directory(directory).map_err(|source| ReportError {
            what: "the images' logs".to_string(),
            path: directory.display().to_string(),
            source,
        })?;
        Ok(Logs {
            directory: directory.to_path_buf(),
            open: HashMap::new(),
            written: HashSet::new(),
            errors: BTreeMap::new(),
        })
    }

    fn write(&mut self, unit: &UnitId, line: &LogLine, label: &str) {
        let path = self.directory.join(log_name(label));
        let line = line.kolla_line(Some(label)) + "\n";
        match self.file(unit, &path).and_then(|file| file.write_all(line.as_bytes())) {
            Ok(()) => _ = self.written.insert(unit.clone()),
            Err(source) => self.note(format!("the log of {label}"), path, source),
        }
    }

    fn file(&mut self, unit: &UnitId, path: &Path) -> io::Result<&mut File> {
        if !self.open.contains_key(unit) {
            self.open.insert(unit.clone(), append_to(path)?);
        }
        self.open.get_mut(unit).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Points the failed link of a unit to its log, or takes an old one away when it did not fail this time.
    fn mark(&mut self, unit: &UnitSummary, label: &str) {
        let link = self.directory.join(format!("000_FAILED_{label}.log"));
        let failed = unit.failed_status() == Some(FailedStatus::Error) && self.written.contains(&unit.unit);
        // The name is ours: where logs were copied, a file stands in the link's place.
        let removed = match fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        let marked = removed.and_then(|()| if failed { symlink(log_name(label), &link) } else { Ok(()) });
        if let Err(source) = marked {
            self.note(format!("the link to the log of {label}"), link, source);
        }
    }

    fn note(&mut self, what: String, path: PathBuf, source: io::Error) {
        let shown = path.display().to_string();
        self.errors.entry(path).or_insert(ReportError { what, path: shown, source });
    }
}

fn log_name(label: &str) -> String {
    format!("{label}.log")
}

impl Reporter for Logs {
    fn event(&mut self, event: &Event, so_far: &Summary) {
        for line in text::log_lines(event) {
            if let Some(unit) = &line.unit {
                self.write(unit, &line, &so_far.label(unit));
            }
        }
        if let Event::Finished { unit, .. } | Event::Pushed { unit, .. } = event {
            self.open.remove(unit);
        }
    }

    fn finish(&mut self, summary: &Summary) -> Vec<ReportError> {
        self.open.clear();
        for unit in summary.units().iter().filter(|unit| unit.disposition == Disposition::Build) {
            self.mark(unit, &summary.label(&unit.unit));
        }
        std::mem::take(&mut self.errors).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::Outcome;
    use crate::report::testing::*;

    fn temporary() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary directory")
    }

    fn files(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("the logs");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn logs(directory: &Path) -> Logs {
        Logs::create(directory).expect("a writable directory")
    }

    #[test]
    fn each_image_has_its_log_and_a_failed_one_its_link() {
        let directory = temporary();
        let path = directory.path().join("new/logs");
        let (plan, events) = failing_parent();
        run_through(&plan, &events, &mut logs(&path));
        assert_eq!(
            files(&path),
            [
                "000_FAILED_openstack-base.log",
                "base.log",
                "horizon.log",
                "keystone.log",
                "mariadb-server.log",
                "memcached.log",
                "openstack-base.log"
            ]
        );
        let link = path.join("000_FAILED_openstack-base.log");
        assert_eq!(fs::read_link(&link).expect("a link"), Path::new("openstack-base.log"));
        insta::assert_snapshot!(fs::read_to_string(link).expect("the log"), @"
        INFO:kolla.common.utils.openstack-base:Building started
        INFO:kolla.common.utils.openstack-base:Reading package lists...
        INFO:kolla.common.utils.openstack-base:E: Unable to locate package python3-venvv
        ERROR:kolla.common.utils.openstack-base:The command '/bin/sh -c apt-get install' returned a non-zero code: 100
        ");
    }

    #[test]
    fn logs_are_appended_to_and_links_of_images_that_are_well_again_go() {
        let directory = temporary();
        let plan = plan(&["base", "-cron"]);
        for name in ["000_FAILED_base.log", "000_FAILED_cron.log"] {
            symlink("elsewhere.log", directory.path().join(name)).expect("a link");
        }
        run_through(&plan, &[finished("base", failed("one"))], &mut logs(directory.path()));
        let link = directory.path().join("000_FAILED_base.log");
        assert_eq!(fs::read_link(&link).expect("a link"), Path::new("base.log"));

        run_through(&plan, &[finished("base", unchanged())], &mut logs(directory.path()));
        assert_eq!(files(directory.path()), ["000_FAILED_cron.log", "base.log"]);
        assert_eq!(
            fs::read_to_string(directory.path().join("base.log")).expect("the log"),
            "ERROR:kolla.common.utils.base:one\nINFO:kolla.common.utils.base:Unchanged, nothing to build\n"
        );
    }

    #[test]
    fn several_platforms_have_a_log_each() {
        let directory = temporary();
        let events =
            [finished("base", built()), line("base@arm64", "text"), finished("base@arm64", failed("x"))];
        run_through(&plan(&["base", "base@arm64"]), &events, &mut logs(directory.path()));
        assert_eq!(
            files(directory.path()),
            ["000_FAILED_base-aarch64.log", "base-aarch64.log", "base-x86_64.log"]
        );
    }

    #[test]
    fn a_cancelled_run_links_only_what_was_being_built() {
        let directory = temporary();
        let never = Event::Finished {
            unit: unit("cron"),
            outcome: Outcome::Cancelled { root_cause: None },
            duration: std::time::Duration::ZERO,
        };
        let events = [started("base"), Event::Interrupted, never];
        run_through(&plan(&["base", "cron", "keystone"]), &events, &mut logs(directory.path()));
        assert_eq!(files(directory.path()), ["000_FAILED_base.log", "base.log"]);
    }

    #[test]
    fn what_cannot_be_written_is_told_once_at_the_end_and_stops_no_other_log() {
        let directory = temporary();
        symlink("/dev/full", directory.path().join("base.log")).expect("a link");
        fs::create_dir(directory.path().join("000_FAILED_cron.log")).expect("a directory");
        let plan = plan(&["base", "cron"]);
        let mut summary = summary_of(&plan, &[], &[]);
        let mut logs = logs(directory.path());
        for event in [line("base", "a"), line("base", "b"), line("cron", "c"), finished("cron", failed("d"))]
        {
            summary.event(&event);
            logs.event(&event, &summary);
        }
        let told: Vec<_> = logs.finish(&summary).iter().map(|error| error.what.clone()).collect();
        assert_eq!(told, ["the link to the log of cron", "the log of base"]);
        assert!(directory.path().join("cron.log").exists());
    }

    #[test]
    fn what_a_copy_of_logs_left_in_a_links_place_is_out_of_date() {
        let directory = temporary();
        let path = directory.path().join("000_FAILED_base.log");
        for (end, link) in [(failed("one"), true), (built(), false)] {
            _ = fs::remove_file(&path);
            fs::write(&path, "left by an older run").expect("a file");
            let end = finished("base", end);
            let (plan, mut logs) = (plan(&["base"]), logs(directory.path()));
            let summary = summary_of(&plan, &[], std::slice::from_ref(&end));
            logs.event(&end, &summary);
            assert!(logs.finish(&summary).is_empty());
            assert_eq!((path.is_symlink(), path.exists()), (link, link));
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_told_at_once() {
        let directory = temporary();
        fs::write(directory.path().join("file"), "").expect("a file");
        let error = Logs::create(&directory.path().join("file/logs")).err().expect("an error");
        assert!(error.to_string().starts_with("failed to write the images' logs to "), "{error}");
    }
}
