//! The entries of a directory, in the one order that archives and digests share.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::ignore::IgnoreRules;
use crate::util::input::with_path;

/// One member of a directory tree, as a builder will see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TreeEntry {
    /// Path below the tree's root.
    pub name: PathBuf,
    /// Where it is on disk.
    pub path: PathBuf,
    /// Kind of member, with what only that kind has.
    pub kind: EntryKind,
    /// Permission bits, with the owner's right to write.
    pub mode: u32,
}

/// Kind of a [`TreeEntry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// A directory, whose content stands beside it.
    Directory,
    /// A regular file of so many bytes.
    File(u64),
    /// A symbolic link and its target, as it is written.
    Link(PathBuf),
}

/// Everything below `root`: parents before children, siblings by name. Sockets are left out, other special files
/// are an error.
pub(crate) fn walk(root: &Path) -> impl Iterator<Item = io::Result<TreeEntry>> {
    walk_with(root, IgnoreRules::default())
}

/// The same for a build context, without what its `.dockerignore` leaves out.
pub(crate) fn walk_context(root: &Path) -> io::Result<impl Iterator<Item = io::Result<TreeEntry>>> {
    Ok(walk_with(root, IgnoreRules::of(root)?))
}

fn walk_with(root: &Path, ignored: IgnoreRules) -> impl Iterator<Item = io::Result<TreeEntry>> {
    let mut found = WalkDir::new(root).min_depth(1).sort_by_file_name().into_iter();
    std::iter::from_fn(move || {
        loop {
            let next = match found.next()? {
                Ok(next) => next,
                Err(error) => return Some(Err(walk_error(error))),
            };
            let name = next.path().strip_prefix(root).expect("a walk stays below its root").to_path_buf();
            if ignored.leaves_out(&name) {
                if next.file_type().is_dir() && !ignored.may_keep_below() {
                    found.skip_current_dir();
                }
            } else if !next.file_type().is_socket() {
                return Some(entry(name, next.into_path()));
            }
        }
    })
}

/// Describes what is at `path`, links not followed.
fn entry(name: PathBuf, path: PathBuf) -> io::Result<TreeEntry> {
    let metadata = path.symlink_metadata().map_err(|error| with_path(&path, error))?;
    let file_type = metadata.file_type();
    let kind = if file_type.is_dir() {
        EntryKind::Directory
    } else if file_type.is_file() {
        EntryKind::File(metadata.len())
    } else if file_type.is_symlink() {
        EntryKind::Link(path.read_link().map_err(|error| with_path(&path, error))?)
    } else {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "neither a file, a directory nor a link");
        return Err(with_path(&path, error));
    };
    Ok(TreeEntry { name, path, kind, mode: archive_mode(metadata.mode()) })
}

/// The permission bits that an archive records. Owner-writable, because what a builder unpacks must be removable
/// again by the user it runs as, and git keeps read-only directories.
pub(crate) fn archive_mode(mode: u32) -> u32 {
    (mode & 0o7777) | 0o200
}

fn walk_error(error: walkdir::Error) -> io::Error {
    // walkdir's own message already names the path.
    let kind = error.io_error().map_or(io::ErrorKind::Other, io::Error::kind);
    io::Error::new(kind, error.to_string())
}
