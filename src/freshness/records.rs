//! The records of what images were made from, kept between runs: one file for each image's full name and platform.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::record::InputRecord;
use crate::model::plan::PlannedUnit;
use crate::util::kept_files::KeptFiles;

/// The records of a user.
#[derive(Debug)]
pub struct Records {
    files: KeptFiles,
    /// That nothing can be kept is told once: the next would fail too.
    failed: AtomicBool,
}

impl Records {
    /// Those in this directory, which need not be there yet.
    pub fn in_dir(dir: PathBuf) -> Records {
        Records { files: KeptFiles::new(Some(dir)), failed: AtomicBool::new(false) }
    }

    /// None, and none are kept.
    pub fn nowhere() -> Records {
        Records { files: KeptFiles::new(None), failed: AtomicBool::new(false) }
    }

    /// Inputs of the unit the last time; none when they are not known. Like a history, it only helps.
    pub fn get(&self, unit: &PlannedUnit) -> Option<InputRecord> {
        serde_json::from_slice(&self.files.read(&about(unit))?).ok()
    }

    /// Takes note of what the unit is made from now.
    ///
    /// # Errors
    /// It can't be kept, nor can those that follow, of which it is not told again.
    pub fn keep(&self, unit: &PlannedUnit, record: &InputRecord) -> io::Result<()> {
        let kept = self.files.write(&about(unit), &serde_json::to_vec(record)?);
        if kept.is_err() && self.failed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        kept
    }
}

fn about(unit: &PlannedUnit) -> String {
    format!("{} {}", unit.reference, unit.platform)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::freshness::key::KeyInputs;
    use crate::model::plan::{Disposition, Parent};
    use crate::model::platform::{Arch, Platform};
    use crate::testing::named;

    fn unit(reference: &str, arch: Arch) -> PlannedUnit {
        PlannedUnit {
            image: "base".into(),
            platform: Platform::new(arch),
            reference: named(reference),
            list: None,
            parent: Parent::Base("debian".to_string()),
            named: Vec::new(),
            disposition: Disposition::Build,
            reason: String::new(),
        }
    }

    fn record(dockerfile: &str) -> InputRecord {
        InputRecord::new(&KeyInputs { dockerfile: dockerfile.to_string(), ..KeyInputs::default() })
    }

    #[test]
    fn the_last_record_of_each_name_and_platform_is_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let records = Records::in_dir(dir.path().join("new/inputs"));
        let (one, other) = (unit("kolla/base:1", Arch::X86_64), unit("kolla/base:1", Arch::Aarch64));
        assert_eq!(records.get(&one), None);
        for text in ["FROM a", "FROM b"] {
            records.keep(&one, &record(text)).expect("written");
        }
        records.keep(&other, &record("FROM c")).expect("written");
        assert_eq!(records.get(&one), Some(record("FROM b")));
        assert_eq!(records.get(&other), Some(record("FROM c")));
        assert_eq!(records.get(&unit("kolla/base:2", Arch::X86_64)), None);
        records.files.write(&about(&one), b"{").expect("written");
        assert_eq!(records.get(&one), None);
    }

    #[test]
    fn what_cannot_be_kept_is_told_once() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("file"), "").expect("written");
        let records = Records::in_dir(dir.path().join("file/inputs"));
        let one = unit("kolla/base:1", Arch::X86_64);
        assert!(records.keep(&one, &record("FROM a")).is_err());
        assert!(records.keep(&one, &record("FROM a")).is_ok());
        assert_eq!(records.get(&one), None);
        let nowhere = Records::nowhere();
        assert!(nowhere.keep(&one, &record("FROM a")).is_ok() && nowhere.get(&one).is_none());
    }
}
