//! The records of what images were made from, kept between runs: one file for each image's full name and platform.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::record::InputRecord;
use crate::model::plan::PlannedUnit;
use crate::util::hex::{hex, is_hex};
use crate::util::input;
use crate::util::write::{UNFINISHED_PREFIX, write_whole};

/// A record that was not written for so long is of a tag that nobody builds any more.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// A directory of records. Runs may share it: a record appears whole or not at all.
#[derive(Debug)]
pub struct Records {
    /// Directory of the records; without one nothing is kept.
    dir: Option<PathBuf>,
    forgotten: Once,
    /// That nothing can be kept is told once: the next would fail too.
    failed: AtomicBool,
}

impl Records {
    /// Those in this directory, which need not be there yet.
    pub fn in_dir(dir: PathBuf) -> Records {
        Records { dir: Some(dir), forgotten: Once::new(), failed: AtomicBool::new(false) }
    }

    /// None, and none are kept.
    pub fn nowhere() -> Records {
        Records { dir: None, forgotten: Once::new(), failed: AtomicBool::new(false) }
    }

    /// Inputs of the unit the last time; none when they are not known. Like a history, it only helps.
    pub fn get(&self, unit: &PlannedUnit) -> Option<InputRecord> {
        serde_json::from_slice(&input::read(&path(self.dir.as_ref()?, unit)).ok()?).ok()
    }

    /// Takes note of what the unit is made from now.
    ///
    /// # Errors
    /// It can't be kept, nor can those that follow, of which it is not told again.
    pub fn keep(&self, unit: &PlannedUnit, record: &InputRecord) -> io::Result<()> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let kept = self.write(dir, unit, record);
        if kept.is_err() && self.failed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        kept
    }

    fn write(&self, dir: &Path, unit: &PlannedUnit, record: &InputRecord) -> io::Result<()> {
        let path = path(dir, unit);
        let text = serde_json::to_vec(record)?;
        if input::read(&path).is_ok_and(|known| known == text) {
            return Ok(());
        }
        std::fs::create_dir_all(dir)?;
        write_whole(&path, text)?;
        self.forgotten.call_once(|| forget(dir, SystemTime::now()));
        Ok(())
    }
}

/// Bytes of a unit's digest that its record is named by.
const NAME_BYTES: usize = 16;

fn path(dir: &Path, unit: &PlannedUnit) -> PathBuf {
    let name = Sha256::digest(format!("{} {}", unit.reference, unit.platform));
    let name = hex(&name[..NAME_BYTES]);
    dir.join(name + ".json")
}

/// True for a file that can only be one that [`Records`] has made.
fn is_ours(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let is_record = |stem: &str| stem.len() == 2 * NAME_BYTES && is_hex(stem);
    name.strip_suffix(".json").is_some_and(is_record) || name.starts_with(UNFINISHED_PREFIX)
}

/// Removes what was written long before `now`, a killed run's temporary files too. What can't be removed only takes
/// space.
fn forget(dir: &Path, now: SystemTime) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        let age = written.ok().and_then(|written| now.duration_since(written).ok());
        if is_ours(&entry.file_name()) && age.is_some_and(|age| age > KEPT) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
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
        std::fs::write(path(&dir.path().join("new/inputs"), &one), "{").expect("written");
        assert_eq!(records.get(&one), None);
    }

    #[test]
    fn what_nobody_builds_any_more_is_forgotten_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let record = path(dir.path(), &unit("kolla/base:1", Arch::X86_64));
        let (unfinished, other) = (dir.path().join(".kolla-build-x"), dir.path().join("old.json"));
        for file in [&record, &unfinished, &other] {
            std::fs::write(file, "").expect("written");
        }
        forget(dir.path(), SystemTime::now() + KEPT - Duration::from_secs(60));
        assert!(record.exists() && unfinished.exists());
        forget(dir.path(), SystemTime::now() + KEPT + Duration::from_secs(60));
        assert!(!record.exists() && !unfinished.exists() && other.exists());
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
