//! Files that runs keep for the next ones, each named by a digest of what it is about. Like a history, they only help: one that
//! is gone or damaged is as if it had never been.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::hex::{hex, is_hex};
use super::input;
use super::write::{UNFINISHED_PREFIX, write_whole};

/// A file that was not written for so long is about something that nobody builds any more.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// Bytes of a digest that a file is named by.
const NAME_BYTES: usize = 16;

/// A directory of kept files. Runs may share it: a file appears whole or not at all.
#[derive(Debug)]
pub struct KeptFiles {
    /// The directory, which need not be there yet; without one nothing is kept.
    dir: Option<PathBuf>,
    forgotten: Once,
}

impl KeptFiles {
    /// Those in a directory; without one none are kept.
    pub fn new(dir: Option<PathBuf>) -> KeptFiles {
        KeptFiles { dir, forgotten: Once::new() }
    }

    /// The file about something.
    pub fn read(&self, about: &str) -> Option<Vec<u8>> {
        input::read(&path(self.dir.as_ref()?, about)).ok()
    }

    /// Keeps a file about something, in place of the one there is.
    pub fn write(&self, about: &str, content: &[u8]) -> io::Result<()> {
        let Some(dir) = &self.dir else { return Ok(()) };
        if self.read(about).is_some_and(|known| known == content) {
            return Ok(());
        }
        std::fs::create_dir_all(dir)?;
        write_whole(&path(dir, about), content)?;
        self.forgotten.call_once(|| forget(dir, SystemTime::now()));
        Ok(())
    }
}

/// Where the file about something is.
fn path(dir: &Path, about: &str) -> PathBuf {
    dir.join(hex(&Sha256::digest(about)[..NAME_BYTES]) + ".json")
}

/// True for a file that can only be one that [`KeptFiles`] has made.
fn is_ours(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let is_kept = |stem: &str| stem.len() == 2 * NAME_BYTES && is_hex(stem);
    name.strip_suffix(".json").is_some_and(is_kept) || name.starts_with(UNFINISHED_PREFIX)
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

    #[test]
    fn the_last_file_about_each_thing_is_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let kept = KeptFiles::new(Some(dir.path().join("new/kept")));
        assert_eq!(kept.read("a"), None);
        for content in ["1", "2"] {
            kept.write("a", content.as_bytes()).expect("written");
        }
        kept.write("b", b"3").expect("written");
        assert_eq!([kept.read("a"), kept.read("b")], [Some(b"2".to_vec()), Some(b"3".to_vec())]);
        let nowhere = KeptFiles::new(None);
        assert!(nowhere.write("a", b"1").is_ok() && nowhere.read("a").is_none());
    }

    #[test]
    fn what_is_old_is_forgotten_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let kept = path(dir.path(), "a");
        let (unfinished, other) = (dir.path().join(".kolla-build-x"), dir.path().join("old.json"));
        for file in [&kept, &unfinished, &other] {
            std::fs::write(file, "").expect("written");
        }
        forget(dir.path(), SystemTime::now() + KEPT - Duration::from_secs(60));
        assert!(kept.exists() && unfinished.exists());
        forget(dir.path(), SystemTime::now() + KEPT + Duration::from_secs(60));
        assert!(!kept.exists() && !unfinished.exists() && other.exists());
    }
}
