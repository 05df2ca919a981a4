//! The state of a stack between runs: its passwords, the files that its containers mount, and the lock that keeps two
//! runs apart [I/O].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::stack::StackFile;
use crate::util::input;
use crate::util::random::{self, NoRandom};
use crate::util::write::write_private;

/// Why the state of a stack can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The operating system refused an operation.
    #[error("{path}: {source}")]
    Io {
        /// File or directory that was used.
        path: PathBuf,
        /// Error that the system gave.
        source: io::Error,
    },
    /// Another run is at it.
    #[error("another kolla-run is at work on '{config_id}' (it holds the lock {path})")]
    Locked {
        /// Identifier of the stack.
        config_id: String,
        /// Lock file that another run holds.
        path: PathBuf,
    },
    /// The passwords are no JSON.
    #[error("{path} does not hold passwords: {reason}")]
    Passwords {
        /// File that can't be used.
        path: PathBuf,
        /// Why the file can't be used.
        reason: String,
    },
    /// No password could be made.
    #[error(transparent)]
    Random(#[from] NoRandom),
}

fn at(path: &Path) -> impl Fn(io::Error) -> StateError + '_ {
    move |source| StateError::Io { path: path.to_path_buf(), source }
}

/// Directory of a stack's state.
#[derive(Debug, Clone)]
pub struct StateDir {
    config_id: String,
    dir: PathBuf,
}

/// The right to change what a stack has, until it is dropped.
#[derive(Debug)]
pub struct StateLock(#[expect(dead_code, reason = "it is the lock")] File);

impl StateDir {
    /// The directory of a stack below the one of all.
    pub fn new(root: &Path, config_id: &str) -> StateDir {
        StateDir { config_id: config_id.to_string(), dir: root.join(config_id) }
    }

    /// Directory of the files that containers mount.
    pub fn files_dir(&self) -> PathBuf {
        self.dir.join("files")
    }

    /// Takes the lock, or says that another run has it.
    pub fn lock(&self) -> Result<StateLock, StateError> {
        let path = self.dir.join("lock");
        loop {
            private_dir(&self.dir)?;
            let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
            let file = opened.map_err(at(&path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(StateError::Locked { config_id: self.config_id.clone(), path });
                }
                Err(TryLockError::Error(source)) => return Err(StateError::Io { path, source }),
            }
            // A run that has deleted the stack meanwhile has taken the file along.
            let ours = file.metadata().map_err(at(&path))?;
            if fs::metadata(&path).is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
                return Ok(StateLock(file));
            }
        }
    }

    /// Values of these passwords: those that were kept, and new ones, which are not kept yet.
    pub fn passwords(&self, names: &BTreeSet<String>) -> Result<BTreeMap<String, String>, StateError> {
        let mut kept = self.kept_passwords()?;
        let value = |name: &String| Ok((name.clone(), kept.remove(name).map_or_else(password, Ok)?));
        names.iter().map(value).collect()
    }

    /// Every password that was kept.
    pub fn kept_passwords(&self) -> Result<BTreeMap<String, String>, StateError> {
        let path = self.passwords_file();
        match input::read(&path) {
            Ok(json) => serde_json::from_slice(&json)
                .map_err(|error| StateError::Passwords { path, reason: error.to_string() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(source) => Err(StateError::Io { path, source }),
        }
    }

    /// Keeps passwords beside those that are kept already.
    pub fn keep_passwords(&self, passwords: &BTreeMap<String, String>) -> Result<(), StateError> {
        let kept = self.kept_passwords()?;
        let mut all = kept.clone();
        all.extend(passwords.clone());
        if all == kept {
            return Ok(());
        }
        let path = self.passwords_file();
        let json = serde_json::to_string_pretty(&all).unwrap_or_default() + "\n";
        write_private(&path, json.as_bytes()).map_err(at(&path))
    }

    fn passwords_file(&self) -> PathBuf {
        self.dir.join("passwords.json")
    }

    /// Writes the files of the stack, and removes those in its own directory that it does not name any more.
    pub fn write_files(&self, files: &[StackFile]) -> Result<(), StateError> {
        for StackFile { path, content } in files {
            let path = Path::new(path);
            if input::read(path).is_ok_and(|there| there == content.as_bytes()) {
                continue;
            }
            private_dir(path.parent().unwrap_or(Path::new("/")))?;
            write_private(path, content.as_bytes()).map_err(at(path))?;
        }
        let named: BTreeSet<&Path> = files.iter().map(|file| Path::new(&file.path)).collect();
        for entry in walkdir::WalkDir::new(self.files_dir()).into_iter().flatten() {
            if !entry.file_type().is_dir() && !named.contains(entry.path()) {
                fs::remove_file(entry.path()).map_err(at(entry.path()))?;
            }
        }
        Ok(())
    }

    /// True when nothing is kept but the lock.
    pub fn is_empty(&self) -> bool {
        !self.passwords_file().exists() && !self.files_dir().exists()
    }

    /// Removes all of it.
    pub fn remove(&self) -> Result<(), StateError> {
        match fs::remove_dir_all(&self.dir) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(StateError::Io { path: self.dir.clone(), source })
            }
            _ => Ok(()),
        }
    }
}

/// Makes a directory that only this user can read, with those above it.
fn private_dir(path: &Path) -> Result<(), StateError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))
}

fn password() -> Result<String, StateError> {
    Ok(random::hex_digits()?)
}

/// Eight random digits, for names that are to be nobody else's.
pub fn suffix() -> Result<String, StateError> {
    Ok(password()?.chars().take(8).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn passwords_are_made_once_and_kept_private() {
        let root = tempfile::tempdir().expect("a directory");
        let state = StateDir::new(root.path(), "s");
        let first = state.passwords(&names(&["a", "b"])).expect("passwords");
        assert!(first["a"].len() == 32 && first["a"] != first["b"], "{first:?}");
        assert!(!root.path().join("s").exists());
        let _lock = state.lock().expect("free");
        state.keep_passwords(&first).expect("kept");
        let second = state.passwords(&names(&["b", "c"])).expect("passwords");
        assert_eq!(second["b"], first["b"]);
        state.keep_passwords(&second).expect("kept");
        assert_eq!(state.kept_passwords().expect("kept").len(), 3);
        let mode =
            |path: &str| root.path().join(path).metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!((mode("s"), mode("s/passwords.json"), mode("s/lock")), (0o700, 0o600, 0o600));
        fs::write(root.path().join("s/passwords.json"), "[]").expect("a file");
        assert!(matches!(state.kept_passwords(), Err(StateError::Passwords { .. })));
    }

    #[test]
    fn files_are_those_of_the_stack_and_change_only_when_it_does() {
        let root = tempfile::tempdir().expect("a directory");
        let state = StateDir::new(root.path(), "s");
        let file = |path: &Path, content: &str| StackFile {
            path: path.display().to_string(),
            content: content.to_string(),
        };
        let (one, two) = (state.files_dir().join("x/one"), root.path().join("elsewhere/two"));
        state.write_files(&[file(&one, "1"), file(&two, "2")]).expect("written");
        let inode = || one.metadata().expect("there").ino();
        let before = inode();
        state.write_files(&[file(&one, "1"), file(&two, "2")]).expect("written");
        assert_eq!(inode(), before);
        assert_eq!(one.metadata().expect("there").mode() & 0o777, 0o600);
        state.write_files(&[file(&two, "3")]).expect("written");
        assert!(!one.exists());
        assert_eq!(fs::read_to_string(&two).expect("there"), "3");
        state.remove().expect("removed");
        state.remove().expect("nothing to remove");
        assert!(two.exists());
    }

    #[test]
    fn two_runs_exclude_each_other() {
        let root = tempfile::tempdir().expect("a directory");
        let state = StateDir::new(root.path(), "s");
        let lock = state.lock().expect("free");
        let told = state.lock().expect_err("taken").to_string();
        assert!(told.starts_with("another kolla-run is at work on 's' (it holds the lock /"), "{told}");
        StateDir::new(root.path(), "t").lock().expect("another stack");
        drop(lock);
        state.lock().expect("free again");
    }
}
