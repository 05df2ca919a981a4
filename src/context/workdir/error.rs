//! Why a working directory can't be used.

use std::io;
use std::path::{Path, PathBuf};

/// Why a working directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum WorkDirError {
    /// The system refused to read or write something.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// Path of what was written.
        path: PathBuf,
        /// Error that the system gave.
        source: io::Error,
    },
    /// A file of the image tree can't be read.
    #[error("cannot copy {} into the working directory: {source}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Error that the system gave.
        source: io::Error,
    },
    /// Another run uses the directory.
    #[error(
        "the working directory {} is used by another run (process {owner}, lock file {lock_file}): \
         wait for it or give another --work-dir",
        path.display()
    )]
    Locked {
        /// Path of the directory.
        path: PathBuf,
        /// Name of the file in it that the other run holds.
        lock_file: &'static str,
        /// The other run's process id, as it wrote it down.
        owner: String,
    },
    /// Something there is not ours to write over.
    #[error("{} {what}: remove it if nobody needs it, or name another directory", path.display())]
    InTheWay {
        /// Path of what is there.
        path: PathBuf,
        /// Reason, as the end of a sentence about the path.
        what: &'static str,
    },
    /// A name in the tree leads out of it.
    #[error("refusing to write {}: the name leads out of the working directory", .0.display())]
    Outside(PathBuf),
}

impl WorkDirError {
    /// Kind of the system's error, when writing failed.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            WorkDirError::Io { source, .. } => Some(source.kind()),
            WorkDirError::Read { .. }
            | WorkDirError::Locked { .. }
            | WorkDirError::InTheWay { .. }
            | WorkDirError::Outside(_) => None,
        }
    }

    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> WorkDirError {
        move |source| WorkDirError::Io { path: path.to_path_buf(), source }
    }

    pub(super) fn in_the_way(path: &Path, what: &'static str) -> WorkDirError {
        WorkDirError::InTheWay { path: path.to_path_buf(), what }
    }
}
