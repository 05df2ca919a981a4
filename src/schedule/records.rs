//! The records of what images were made from, kept between runs: one file for each image's full name and platform.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::plan::PlannedUnit;
use crate::record::InputRecord;

/// A record that was not written for so long is of a tag that nobody builds any more.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// A directory of records. Runs may share it: a record appears whole or not at all.
#[derive(Debug)]
pub struct Records {
    dir: PathBuf,
    forgotten: Once,
}

impl Records {
    /// Those in this directory, which need not be there yet.
    pub fn in_dir(dir: PathBuf) -> Records {
        Records { dir, forgotten: Once::new() }
    }

    /// What the unit was made from the last time; none when that is not known. Like a history, it only helps.
    pub fn get(&self, unit: &PlannedUnit) -> Option<InputRecord> {
        serde_json::from_slice(&std::fs::read(self.path(unit)).ok()?).ok()
    }

    /// Takes note of what the unit is made from now.
    pub fn keep(&self, unit: &PlannedUnit, record: &InputRecord) -> io::Result<()> {
        let path = self.path(unit);
        let text = serde_json::to_vec(record)?;
        if std::fs::read(&path).is_ok_and(|known| known == text) {
            return Ok(());
        }
        std::fs::create_dir_all(&self.dir)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(&text)?;
        file.persist(path).map_err(|error| error.error)?;
        self.forgotten.call_once(|| forget(&self.dir, SystemTime::now()));
        Ok(())
    }

    fn path(&self, unit: &PlannedUnit) -> PathBuf {
        let name = Sha256::digest(format!("{} {}", unit.reference, unit.platform));
        let name: String = name.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        self.dir.join(name + ".json")
    }
}

/// Removes what was written long before `now`, a killed run's temporary files too. What can't be removed only takes
/// space.
fn forget(dir: &Path, now: SystemTime) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        let age = written.ok().and_then(|written| now.duration_since(written).ok());
        if age.is_some_and(|age| age > KEPT) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Disposition, KeyInputs, Parent};
    use crate::platform::{Arch, Platform};

    fn unit(reference: &str, arch: Arch) -> PlannedUnit {
        PlannedUnit {
            image: "base".to_string(),
            platform: Platform::new(arch),
            reference: reference.to_string(),
            list: None,
            parent: Parent::Base("debian".to_string()),
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
        std::fs::write(records.path(&one), "{").expect("written");
        assert_eq!(records.get(&one), None);
    }

    #[test]
    fn what_nobody_builds_any_more_is_forgotten() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("old.json"), "").expect("written");
        forget(dir.path(), SystemTime::now() + KEPT - Duration::from_secs(60));
        assert!(dir.path().join("old.json").exists());
        forget(dir.path(), SystemTime::now() + KEPT + Duration::from_secs(60));
        assert!(!dir.path().join("old.json").exists());
    }
}
