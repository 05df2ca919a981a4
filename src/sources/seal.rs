//! The seal of an object of the source cache, written when the object is made, so that each use can be sure that it still is
//! what it was.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::context::digest::HashWriter;
use crate::util::hex::hex;
use crate::util::input;

/// Size, time and place on the disk: they change with a file's content unless somebody takes pains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    size: u64,
    modified: (i64, i64),
    inode: u64,
}

impl Stamp {
    pub(crate) fn of(file: &Metadata) -> Stamp {
        Stamp { size: file.size(), modified: (file.mtime(), file.mtime_nsec()), inode: file.ino() }
    }
}

/// An object's content, and how its file looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seal {
    /// Of the content, in lower-case hex.
    pub sha256: String,
    /// Stamp of the file.
    pub stamp: Stamp,
}

impl Seal {
    /// As it is written down.
    pub(crate) fn text(&self) -> String {
        let Stamp { size, modified: (seconds, nanoseconds), inode } = self.stamp;
        format!("{} {size} {seconds} {nanoseconds} {inode}\n", self.sha256)
    }
}

/// A text that is no seal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoSeal;

impl FromStr for Seal {
    type Err = NoSeal;

    fn from_str(text: &str) -> Result<Seal, NoSeal> {
        let fields: Vec<&str> = text.strip_suffix('\n').unwrap_or_default().split(' ').collect();
        let [sha256, size, seconds, nanoseconds, inode] = fields[..] else { return Err(NoSeal) };
        let sha256 = sha256.to_string();
        let stamp = Stamp {
            size: size.parse().map_err(|_| NoSeal)?,
            modified: (seconds.parse().map_err(|_| NoSeal)?, nanoseconds.parse().map_err(|_| NoSeal)?),
            inode: inode.parse().map_err(|_| NoSeal)?,
        };
        if is_sha256(&sha256) { Ok(Seal { sha256, stamp }) } else { Err(NoSeal) }
    }
}

/// True for a sha256 as we write it.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// How to be sure that an archive is what it was when it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    sha256: String,
    /// Enough by itself; none when only the content will do.
    stamp: Option<Stamp>,
}

impl Proof {
    /// By the content alone.
    pub(crate) fn content(sha256: &str) -> Proof {
        Proof { sha256: sha256.to_string(), stamp: None }
    }

    /// By the stamp, or by the content where that has changed.
    pub(crate) fn of(seal: Seal) -> Proof {
        Proof { sha256: seal.sha256, stamp: Some(seal.stamp) }
    }

    /// Makes sure of the archive at `path`. `copy` is one that was made of it, or that itself.
    pub(crate) fn check(&self, path: &Path, copy: &Path) -> io::Result<()> {
        if let Some(stamp) = self.stamp
            && fs::metadata(path).is_ok_and(|file| Stamp::of(&file) == stamp)
        {
            return Ok(());
        }
        match sha256_of(copy)? == self.sha256 {
            true => Ok(()),
            false => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "it is not what it was when it was fetched"))
            }
        }
    }
}

/// The sha256 of a file, in lower-case hex.
pub(crate) fn sha256_of(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut input::open(path)?, &mut HashWriter(&mut hasher))?;
    Ok(hex(&hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_seal_is_read_as_it_was_written(
            sha256 in "[0-9a-f]{64}", size in any::<u64>(), modified in any::<(i64, i64)>(), inode in any::<u64>(),
            cut in 0..120_usize,
        ) {
            let seal = Seal { sha256, stamp: Stamp { size, modified, inode } };
            let text = seal.text();
            prop_assert_eq!(text.parse(), Ok(seal));
            // One that a full disk has cut short is none.
            prop_assert!(cut >= text.len() || text[..cut].parse::<Seal>().is_err());
        }

        #[test]
        fn any_text_is_a_seal_or_none(text in "[0-9a-f]{64}( [-+0-9]{0,21}){4}\n|.*") {
            let _ = text.parse::<Seal>();
        }
    }
}
