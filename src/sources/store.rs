//! The source cache on disk: finished objects under their keys, shared by tasks and runs.
//!
//! An object appears under its name whole or not at all. Whoever makes one holds the lock of its key and works on a
//! partial file of that key; what a killed run has left there is removed when the cache is opened again. Only downloads
//! that can be taken up stay, under `unfinished`, for as long as objects that are not used.
//!
//! Beside each object stands its seal. One that is not as its seal tells is another file, and is made anew.

use std::fs::{self, File, FileTimes, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::seal::{Seal, Stamp, is_sha256, sha256_of};
use crate::context::workdir::epoch;
use crate::util::input;
use crate::util::write::write_whole;

/// A directory of objects.
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    /// Locked by every run together, and by one that prunes alone; none for a store that holds nothing.
    in_use: Option<File>,
}

impl Store {
    /// Opens the store in `root`; what was not used for as long as `kept` is removed, when no other run is using it.
    pub(super) fn open(root: &Path, kept: Option<Duration>) -> io::Result<Store> {
        for part in ["objects", "seals", "partial", "locks", "unfinished"] {
            fs::create_dir_all(root.join(part))?;
        }
        let in_use = File::options().create(true).truncate(false).write(true).open(root.join("in-use"))?;
        if let Some(oldest) = kept.and_then(|kept| SystemTime::now().checked_sub(kept))
            && in_use.try_lock().is_ok()
        {
            prune(root, oldest)?;
        }
        // Whoever prunes is done soon.
        in_use.lock_shared()?;
        let store = Store { root: root.to_path_buf(), in_use: Some(in_use) };
        for left in fs::read_dir(root.join("partial"))? {
            let left = left?;
            let lock = store.lock_file(&left.file_name().to_string_lossy())?;
            if lock.try_lock().is_ok() {
                remove(&left.path())?;
            }
        }
        Ok(store)
    }

    /// A store that no object can be made in.
    pub(super) fn none() -> Store {
        Store { root: PathBuf::new(), in_use: None }
    }

    /// Where the object of this key is or will be.
    pub(super) fn object(&self, key: &str) -> PathBuf {
        self.root.join("objects").join(key)
    }

    /// The object of a key, when it is there and still is what was made; what isn't is removed. Its content is read when
    /// it looks changed, or when `strictly`.
    pub(super) fn held(&self, key: &str, strictly: bool) -> io::Result<Option<Object>> {
        let path = self.object(key);
        let found = match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        let note = self.root.join("seals").join(key);
        let seal = input::read_to_string(&note).ok().and_then(|text| text.parse::<Seal>().ok());
        let stamp = Stamp::of(&found);
        if let Some(seal) = seal.as_ref().filter(|seal| found.is_file() && !strictly && seal.stamp == stamp) {
            return Ok(Some(Object { path, seal: seal.clone() }));
        }
        let in_name = key.strip_prefix("sha256-").filter(|sha256| is_sha256(sha256));
        let expected = in_name.map(str::to_string).or(seal.map(|seal| seal.sha256));
        if let Some(sha256) = expected.filter(|_| found.is_file())
            && sha256_of(&path)? == sha256
        {
            let seal = Seal { sha256, stamp };
            // Another user's may not let us: then it is read again the next time.
            let _ = write_whole(&note, seal.text());
            return Ok(Some(Object { path, seal }));
        }
        remove(&path)?;
        remove(&note)?;
        Ok(None)
    }

    /// Notes that an object is used now. Another user's may not let us: then it counts as used when that one did.
    pub(super) fn touch(&self, object: &Path) {
        let now = FileTimes::new().set_accessed(SystemTime::now());
        let _ = File::open(object).and_then(|file| file.set_times(now));
    }

    /// Waits for the key's lock; nobody else then makes its object, in this process or another.
    pub(super) async fn claim(&self, key: &str) -> io::Result<Claim> {
        if self.in_use.is_none() {
            return Err(io::Error::other("this run has no source cache"));
        }
        let lock = self.lock_file(key)?;
        let mut pause = Duration::from_millis(5);
        // Asked again and again rather than waited for in the kernel, so that a run can be stopped meanwhile.
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => tokio::time::sleep(pause).await,
                Err(TryLockError::Error(error)) => return Err(error),
            }
            pause = (pause * 2).min(Duration::from_millis(200));
        }
        let partial = self.root.join("partial").join(key);
        remove(&partial)?;
        Ok(Claim { root: self.root.clone(), partial, _lock: lock })
    }

    fn lock_file(&self, key: &str) -> io::Result<File> {
        File::options().create(true).truncate(false).write(true).open(self.root.join("locks").join(key))
    }
}

/// Removes the objects that nobody has used since `oldest`. Nobody else may use the store meanwhile.
fn prune(root: &Path, oldest: SystemTime) -> io::Result<()> {
    for object in fs::read_dir(root.join("objects"))? {
        let object = object?;
        if object.metadata()?.accessed()? < oldest {
            remove(&object.path())?;
            for beside in ["locks", "seals"] {
                remove(&root.join(beside).join(object.file_name()))?;
            }
        }
    }
    for left in fs::read_dir(root.join("unfinished"))? {
        let left = left?;
        if left.metadata()?.modified()? < oldest {
            remove(&left.path())?;
        }
    }
    Ok(())
}

/// A finished object that is what its seal tells.
#[derive(Debug)]
pub(super) struct Object {
    pub path: PathBuf,
    pub seal: Seal,
}

/// The right to make one object. What is unfinished goes when it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    root: PathBuf,
    partial: PathBuf,
    _lock: File,
}

impl Claim {
    /// A file or directory to work in; it does not exist yet.
    pub(super) fn partial(&self) -> &Path {
        &self.partial
    }

    /// A file that may be there already and that stays when it is not finished, for who claims the key next; one for
    /// each place `from` that the object can come from.
    pub(super) fn unfinished(&self, from: &str) -> PathBuf {
        let key = self.partial.file_name().unwrap_or_default().to_string_lossy();
        self.root.join("unfinished").join(format!("{key}-{from}"))
    }

    /// Makes a finished file of this content the object of a key: read-only, without time, on the disk before it has its
    /// name.
    pub(super) fn commit(&self, finished: &Path, key: &str, sha256: &str) -> io::Result<Object> {
        let file = File::open(finished)?;
        file.set_permissions(fs::Permissions::from_mode(0o444))?;
        file.set_times(epoch().set_accessed(SystemTime::now()))?;
        file.sync_all()?;
        let seal = Seal { sha256: sha256.to_string(), stamp: Stamp::of(&file.metadata()?) };
        // First, for an object without one has to be read to be known.
        write_whole(&self.root.join("seals").join(key), seal.text())?;
        let path = self.root.join("objects").join(key);
        #[expect(clippy::disallowed_methods, reason = "what has the object's name already is the same")]
        fs::rename(finished, &path)?;
        Ok(Object { path, seal })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // What can't be removed now is removed by the next who claims the key or opens the cache.
        let _ = remove(&self.partial);
    }
}

/// Removes a file or a directory with everything in it, if there is one.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn an_object_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), None).unwrap();
        let object = store.object("key");
        block_on(async {
            let claim = store.claim("key").await.unwrap();
            fs::write(claim.partial(), "half").unwrap();
            drop(claim);
            assert!(!object.exists());

            let claim = store.claim("key").await.unwrap();
            assert!(!claim.partial().exists());
            fs::write(claim.partial(), "whole").unwrap();
            let made = claim.commit(claim.partial(), "key", &"0".repeat(64)).unwrap();
            assert_eq!(made.path, object);
        });
        assert_eq!(fs::read_to_string(&object).unwrap(), "whole");
        assert!(object.metadata().unwrap().permissions().readonly());
        assert_eq!(fs::read_dir(dir.path().join("partial")).unwrap().count(), 0);
    }

    #[test]
    fn a_key_is_claimed_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        // Two of them stand for two processes.
        let (one, two) = (Store::open(dir.path(), None).unwrap(), Store::open(dir.path(), None).unwrap());
        block_on(async {
            let claim = one.claim("key").await.unwrap();
            let brief = Duration::from_millis(50);
            assert!(tokio::time::timeout(brief, two.claim("key")).await.is_err());
            two.claim("other").await.unwrap();
            drop(claim);
            tokio::time::timeout(Duration::from_secs(5), two.claim("key")).await.unwrap().unwrap();
        });
    }

    #[test]
    fn what_a_killed_run_left_is_removed_and_what_a_living_one_works_on_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let living = Store::open(dir.path(), None).unwrap();
        block_on(async {
            let claim = living.claim("living").await.unwrap();
            fs::write(claim.partial(), "").unwrap();
            fs::create_dir_all(dir.path().join("partial/killed/deep")).unwrap();
            Store::open(dir.path(), None).unwrap();
            assert!(claim.partial().exists());
            assert!(!dir.path().join("partial/killed").exists());
        });
    }
    #[test]
    fn what_nobody_has_used_for_long_is_removed_unless_a_run_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Some(Duration::from_secs(3600));
        let long_ago = FileTimes::new().set_accessed(SystemTime::now() - Duration::from_secs(7200));
        let age = |object: &Path| File::open(object).unwrap().set_times(long_ago).unwrap();
        let store = Store::open(dir.path(), kept).unwrap();
        let (old, used) = (store.object("old"), store.object("used"));
        for object in [&old, &used] {
            fs::write(object, "").unwrap();
            age(object);
        }
        let [begun, given_up] = ["begun", "given-up"].map(|name| dir.path().join("unfinished").join(name));
        fs::write(&begun, "").unwrap();
        fs::write(&given_up, "").unwrap();
        File::open(&given_up).unwrap().set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();
        store.touch(&used);
        // The first run goes on.
        let second = Store::open(dir.path(), kept).unwrap();
        assert!(old.exists());
        drop((store, second));
        Store::open(dir.path(), None).unwrap();
        assert!(old.exists());
        Store::open(dir.path(), kept).unwrap();
        assert!(!old.exists() && used.exists());
        assert!(!given_up.exists() && begun.exists());
    }
}
