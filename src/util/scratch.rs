//! Temporary directories, and those of runs that were killed: these could not remove them, so the next run does.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::input;
use super::interrupt::Doomed;

/// The file whose lock says that a temporary directory is in use, and that tells which one it was made for: a directory
/// that a user has made, or copied, is never taken for ours. Working directories that stay have no such file.
const CLAIM: &str = ".kolla-build.temporary";

/// Beginning of the names of temporary directories.
const PREFIX: &str = "kolla-";

/// A directory that only this user can read and that goes with this value, or with the next run when this one is killed.
#[derive(Debug)]
pub struct Scratch {
    dir: TempDir,
    _claim: File,
    /// For a process that leaves without dropping anything.
    _doomed: Doomed,
}

impl Scratch {
    /// Makes one, and removes those that killed runs have left. `name` tells people what it is for.
    pub fn new(name: &str) -> io::Result<Scratch> {
        let dir = private(name)?;
        let doomed = Doomed::new(dir.path());
        let claim = claim(dir.path())?;
        sweep(dir.path(), PREFIX);
        Ok(Scratch { dir, _claim: claim, _doomed: doomed })
    }

    /// Path of the directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// The directory that temporary ones are made in, as `TMPDIR` has it.
#[allow(clippy::disallowed_methods, reason = "the one place that asks for it")]
pub fn parent() -> PathBuf {
    std::env::temp_dir()
}

/// A new directory that only this user can read. Without a claim nobody takes it for a killed run's.
pub fn private(name: &str) -> io::Result<TempDir> {
    let mut made = tempfile::Builder::new();
    made.prefix(&format!("{PREFIX}{name}_")).permissions(Permissions::from_mode(0o700)).tempdir()
}

/// Says that a new directory is in use, as long as the file that this gives is open.
fn claim(dir: &Path) -> io::Result<File> {
    // Locked before it has its name, so that nobody finds it unlocked.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(identity(&dir.metadata()?).as_bytes())?;
    file.as_file().try_lock()?;
    Ok(file.persist(dir.join(CLAIM))?)
}

/// Device and inode, which tell a directory from all others.
fn identity(found: &Metadata) -> String {
    format!("{}:{}", found.dev(), found.ino())
}

/// Removes the directories beside `ours` that runs of the same user have left: those with such a prefix, claimed, and
/// used by nobody. What can't be removed stays: it harms nothing but the space it takes.
fn sweep(ours: &Path, prefix: &str) {
    let (Some(parent), Ok(user)) = (ours.parent(), ours.metadata().map(|metadata| metadata.uid())) else {
        return;
    };
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_candidate = path != ours && entry.file_name().to_string_lossy().starts_with(prefix);
        // Of the entry itself: a link leads to what is not ours to remove.
        if is_candidate
            && let Ok(found) = entry.metadata()
            && found.is_dir()
            && found.uid() == user
            && let Ok(mut lock) = input::open(&path.join(CLAIM))
            && io::read_to_string(&mut lock).is_ok_and(|claimed| claimed == identity(&found))
            && lock.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_what_nobody_uses_any_more_is_removed() {
        let parent = tempfile::tempdir().expect("a directory");
        let make = |name: &str| {
            let dir = parent.path().join(name);
            fs::create_dir(&dir).expect("a directory");
            dir
        };
        let (ours, living, killed) = (make("kolla-ours"), make("kolla-living"), make("kolla-killed"));
        let (other, unclaimed) = (make("other"), make("kolla-unclaimed"));
        let _held = [claim(&ours).expect("claimed"), claim(&living).expect("claimed")];
        for dir in [&killed, &other] {
            drop(claim(dir).expect("claimed"));
        }
        symlink(&other, parent.path().join("kolla-link")).expect("a link");
        let copied = make("kolla-copied");
        fs::copy(killed.join(CLAIM), copied.join(CLAIM)).expect("copied");

        sweep(&ours, "kolla-");
        assert!(!killed.exists());
        for dir in [&ours, &living, &unclaimed, &other, &copied] {
            assert!(dir.exists(), "{}", dir.display());
        }
    }
}
