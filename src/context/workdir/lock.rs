//! The lock file of a working directory that stays, and what it says of the tree [I/O].

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::error::WorkDirError;

/// Name of the lock file in a working directory that stays; its lock says that a run uses the directory.
const LOCK_FILE: &str = ".kolla-build.lock";

/// The lock file of a working directory.
pub fn lock_in(dir: &Path) -> PathBuf {
    dir.join(LOCK_FILE)
}

/// A lock file's word for a tree that no run has made and some run has written to.
pub(super) const AMONG_OTHERS: &str = "among others";

/// Takes the directory's lock, or says who has it.
pub(super) fn lock(dir: &Path) -> Result<File, WorkDirError> {
    let path = lock_in(dir);
    let unusual = "is not the file that we would have made";
    // A FIFO is not waited for, a link not followed.
    let careful = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(careful)
        .open(&path);
    let mut file = opened.map_err(|source| match path.symlink_metadata() {
        Ok(found) if !found.is_file() => WorkDirError::in_the_way(&path, unusual),
        _ => WorkDirError::at(&path)(source),
    })?;
    let found = file.metadata().map_err(WorkDirError::at(&path))?;
    if !found.is_file() || found.nlink() != 1 {
        return Err(WorkDirError::in_the_way(&path, unusual));
    }
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::Error(source)) => Err(WorkDirError::Io { path, source }),
        Err(fs::TryLockError::WouldBlock) => {
            let mut record = String::new();
            let owner = match file.read_to_string(&mut record) {
                Ok(_) => record.lines().next().unwrap_or("unknown").to_string(),
                Err(_) => "unknown".to_string(),
            };
            Err(WorkDirError::Locked { path: dir.to_path_buf(), lock_file: LOCK_FILE, owner })
        }
    }
}

/// Notes which process has the lock, and what is known of the tree.
pub(super) fn write_record(mut lock: &File, known: &str) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(format!("{}\n{known}\n", std::process::id()).as_bytes())
}

/// True for what a run writes into its lock file: its process id, and what its tree is.
pub(super) fn is_record(text: &str) -> bool {
    let mut lines = text.lines();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_identity = |text: &str| {
        ["", AMONG_OTHERS].contains(&text)
            || text.split_once(':').is_some_and(|(dev, ino)| is_number(dev) && is_number(ino))
    };
    lines.next().is_none_or(is_number) && lines.next().is_none_or(is_identity) && lines.next().is_none()
}

/// Device and inode, which tell a directory from one that was made later under the same name.
pub(super) fn identity(metadata: &fs::Metadata) -> String {
    format!("{}:{}", metadata.dev(), metadata.ino())
}
