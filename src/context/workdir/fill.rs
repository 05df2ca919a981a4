//! Writing the files of a tree, fast [I/O].

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use rayon::prelude::*;

use super::content::{FileContent, OpenContent};
use super::error::WorkDirError;
use crate::util::write::UNFINISHED_PREFIX;

/// Permission bits of directories that nothing else is said about.
const DIRECTORY_MODE: u32 = 0o755;

/// One file to write.
#[derive(Debug, Clone)]
pub struct ContextFile {
    /// Path below the tree's root.
    pub name: PathBuf,
    /// Permission bits, exactly as they will be.
    pub mode: u32,
    /// Source of the content.
    pub content: FileContent,
}

impl ContextFile {
    pub(super) fn is_directory(&self) -> bool {
        matches!(self.content, FileContent::Directory)
    }
}

/// Writes files below `root`, in parallel, and their directories; all of them get the time 0, so that nothing in a
/// context tells when it was made. What is there already under a file's name is replaced by a complete file, and left
/// alone when it holds the same; no link is written through.
pub fn write_tree(root: &Path, files: &[ContextFile]) -> Result<(), WorkDirError> {
    let mut directories: BTreeMap<PathBuf, u32> = BTreeMap::new();
    for file in files {
        if !file.name.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(WorkDirError::Outside(file.name.clone()));
        }
        for above in file.name.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
            directories.entry(root.join(above)).or_insert(DIRECTORY_MODE);
        }
        if file.is_directory() {
            directories.insert(root.join(&file.name), file.mode);
        }
    }
    create_directory(root)?;
    // Sorted, so a parent comes before what is in it.
    for directory in directories.keys() {
        create_directory(directory)?;
    }
    let contents = files.par_iter().filter(|file| !file.is_directory());
    contents.try_for_each(|file| write_file(root, file))?;
    // Now that nothing is to be written into them any more. One that may not be entered comes after what is in it.
    let finish =
        |(path, mode): (&PathBuf, &u32)| finish_directory(path, *mode).map_err(WorkDirError::at(path));
    directories.par_iter().filter(|(_, mode)| **mode == DIRECTORY_MODE).try_for_each(finish)?;
    directories.iter().rev().filter(|(_, mode)| **mode != DIRECTORY_MODE).try_for_each(finish)?;
    File::open(root).and_then(|open| open.set_times(epoch())).map_err(WorkDirError::at(root))
}

/// Gives a directory its mode, whatever the umask was or an earlier run had, and no time.
fn finish_directory(path: &Path, mode: u32) -> io::Result<()> {
    let open = File::open(path)?;
    open.set_permissions(fs::Permissions::from_mode(mode))?;
    open.set_times(epoch())
}

fn create_directory(path: &Path) -> Result<(), WorkDirError> {
    match fs::DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match path.symlink_metadata() {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(found) if found.is_symlink() => {
                Err(WorkDirError::in_the_way(path, "is a link where a directory is to be written"))
            }
            _ => Err(WorkDirError::at(path)(error)),
        },
        result => result.map_err(WorkDirError::at(path)),
    }
}

fn write_file(root: &Path, file: &ContextFile) -> Result<(), WorkDirError> {
    let path = root.join(&file.name);
    let mut content = OpenContent::of(&file.content)?;
    let out = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(new) => {
            content.copy_to(&new, &path)?;
            new
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match content.held_by(&path) {
            Some(same) => same,
            None => replace(root, &path, &mut content)?,
        },
        Err(error) => return Err(WorkDirError::at(&path)(error)),
    };
    // Set on the open file, for the mode given at creation is subject to the umask.
    out.set_permissions(fs::Permissions::from_mode(file.mode))
        .and_then(|()| out.set_times(epoch()))
        .map_err(WorkDirError::at(&path))
}

/// Puts a complete file in place of what is there. A killed run leaves an incomplete one at the root, where it is in no
/// image's directory.
fn replace(root: &Path, path: &Path, content: &mut OpenContent) -> Result<File, WorkDirError> {
    let new = tempfile::Builder::new()
        .prefix(UNFINISHED_PREFIX)
        .tempfile_in(root)
        .map_err(WorkDirError::at(root))?;
    content.copy_to(new.as_file(), path)?;
    new.persist(path).map_err(|error| WorkDirError::at(path)(error.error))
}

/// Access and modification time 0.
pub(crate) fn epoch() -> FileTimes {
    FileTimes::new().set_accessed(SystemTime::UNIX_EPOCH).set_modified(SystemTime::UNIX_EPOCH)
}
