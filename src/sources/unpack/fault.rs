//! Faults for which an archive is refused.

use std::io;
use std::path::Path;

/// Bytes of a header, and what members are filled up to.
pub(super) const BLOCK: usize = 512;

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveFault {
    #[error("it is not a tar archive (compressed with gzip, bzip2, xz, zstd or not at all)")]
    NotTar,
    #[error("refusing the archive: its entry '{entry}' {why}")]
    Hostile { entry: String, why: String },
    #[error("refusing the archive: it unpacks to more than {0} bytes")]
    TooLarge(u64),
    #[error("refusing the archive: its entry {0} has more than {1} bytes of names and other records")]
    LongHeader(u64, u64),
    #[error("refusing the archive: it has more than {0} entries")]
    TooMany(u64),
    #[error("refusing the archive: its names have more than {0} bytes")]
    LongNames(u64),
    #[error("the archive is damaged: {0}")]
    Damaged(io::Error),
    #[error("the archive is damaged after its entry '{0}': {1}")]
    DamagedAfter(String, io::Error),
    #[error("{0}")]
    Output(io::Error),
}

impl ArchiveFault {
    /// Fault behind an error of reading, which may only have carried one of ours.
    pub(super) fn of_reading(error: io::Error) -> ArchiveFault {
        error.downcast().unwrap_or_else(ArchiveFault::Damaged)
    }

    /// The same, for who knows what was read last.
    pub(super) fn after(self, entry: Option<&Path>) -> ArchiveFault {
        match (self, entry) {
            (ArchiveFault::Damaged(error), Some(entry)) => {
                ArchiveFault::DamagedAfter(entry.display().to_string(), error)
            }
            (fault, _) => fault,
        }
    }

    /// Goes through readers that know nothing of it.
    pub(super) fn carried(self, kind: io::ErrorKind) -> io::Error {
        io::Error::new(kind, self)
    }
}
