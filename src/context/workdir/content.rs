//! The content wanted in a file, and a comparison with the content that is there [I/O].

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::WorkDirError;
use crate::util::input;

/// Where a file's content comes from.
#[derive(Debug, Clone)]
pub enum FileContent {
    /// Content that is in memory already.
    Bytes(Cow<'static, [u8]>),
    /// A copy of this file.
    File(PathBuf),
    /// None: it is a directory, which may stay empty.
    Directory,
}

/// A file's content, to be read from its start.
pub(super) enum OpenContent<'a> {
    Bytes(&'a [u8]),
    File(File),
}

impl OpenContent<'_> {
    pub(super) fn of(content: &FileContent) -> Result<OpenContent<'_>, WorkDirError> {
        match content {
            FileContent::Bytes(bytes) => Ok(OpenContent::Bytes(bytes)),
            FileContent::File(path) => {
                let file =
                    input::open(path).map_err(|source| WorkDirError::Read { path: path.clone(), source })?;
                Ok(OpenContent::File(file))
            }
            FileContent::Directory => Ok(OpenContent::Bytes(&[])),
        }
    }

    /// The file at `path`, open, when it is one of this name alone and holds just this.
    pub(super) fn held_by(&mut self, path: &Path) -> Option<File> {
        let found = path.symlink_metadata().ok()?;
        // One of several names may be somebody's precious original.
        if !found.is_file() || found.nlink() != 1 {
            return None;
        }
        let mut held = File::open(path).ok()?;
        let same = match self {
            OpenContent::Bytes(bytes) => same_bytes(&mut held, *bytes),
            OpenContent::File(file) => {
                let same = same_bytes(&mut held, &mut *file);
                file.rewind().and(same)
            }
        };
        same.is_ok_and(|same| same).then_some(held)
    }

    pub(super) fn copy_to(&mut self, mut out: &File, path: &Path) -> Result<(), WorkDirError> {
        match self {
            OpenContent::Bytes(bytes) => out.write_all(bytes).map_err(WorkDirError::at(path)),
            // Copies inside the kernel where it can.
            OpenContent::File(file) => io::copy(file, &mut out).map(drop).map_err(WorkDirError::at(path)),
        }
    }
}

fn same_bytes(one: impl Read, other: impl Read) -> io::Result<bool> {
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    loop {
        let (a, b) = (one.fill_buf()?, other.fill_buf()?);
        let common = a.len().min(b.len());
        if common == 0 {
            return Ok(a.len() == b.len());
        }
        if a[..common] != b[..common] {
            return Ok(false);
        }
        one.consume(common);
        other.consume(common);
    }
}
