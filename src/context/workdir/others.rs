//! Files in a working directory's tree that this run does not write: an earlier run's, or somebody else's [I/O].

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::error::WorkDirError;
use super::fill::ContextFile;
use crate::util::write::UNFINISHED_PREFIX;

/// Removes what is in `tree` but for `files` and the directories they are in.
pub(super) fn remove_others(tree: &Path, files: &[ContextFile]) -> Result<(), WorkDirError> {
    let (directories, others): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.is_directory());
    let kept_files: HashSet<&Path> = others.iter().map(|file| file.name.as_path()).collect();
    let mut kept_directories: HashSet<&Path> =
        files.iter().flat_map(|file| file.name.ancestors().skip(1)).collect();
    kept_directories.extend(directories.iter().map(|directory| directory.name.as_path()));
    let mut found = WalkDir::new(tree).min_depth(1).into_iter();
    while let Some(entry) = found.next() {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(tree).to_path_buf();
            WorkDirError::Io { path, source: error.into() }
        })?;
        let path = entry.path();
        let name = path.strip_prefix(tree).expect("a walk stays below its root");
        let removed = match entry.file_type().is_dir() {
            true if kept_directories.contains(name) => Ok(()),
            true => {
                found.skip_current_dir();
                fs::remove_dir_all(path)
            }
            false if kept_files.contains(name) => Ok(()),
            false => fs::remove_file(path),
        };
        removed.map_err(WorkDirError::at(path))?;
    }
    Ok(())
}

/// Fails when a file in the way is none that a run can have written. Runs, Kolla's too, leave a Dockerfile in every
/// image's directory, Kolla's its template beside it.
pub(super) fn refuse_foreign(
    tree: &Path,
    files: &[ContextFile],
    once_ours: bool,
) -> Result<(), WorkDirError> {
    let dockerfiles =
        files.iter().filter(|file| file.name.file_name().is_some_and(|name| name == "Dockerfile"));
    let image_dirs: Vec<PathBuf> =
        dockerfiles.filter_map(|file| Some(tree.join(file.name.parent()?))).collect();
    let is_rendered = |dir: &Path| dir.join("Dockerfile").is_file();
    let is_kollas = |dir: &PathBuf| is_rendered(dir) && dir.join("Dockerfile.j2").is_file();
    let is_known = once_ours || image_dirs.iter().any(is_kollas);
    let holds_something = |dir: &Path| fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    let strange_dir = image_dirs.into_iter().find(|dir| holds_something(dir) && !is_rendered(dir));
    let strange_file = || {
        let paths = files.iter().filter(|file| !file.is_directory()).map(|file| tree.join(&file.name));
        paths.into_iter().find(|path| !is_known && path.symlink_metadata().is_ok())
    };
    match strange_dir.or_else(strange_file) {
        Some(path) => Err(WorkDirError::in_the_way(&path, "was not written by an earlier run")),
        None => Ok(()),
    }
}

/// Removes the incomplete files of runs that were killed.
pub(super) fn remove_unfinished(tree: &Path) -> Result<(), WorkDirError> {
    for entry in fs::read_dir(tree).map_err(WorkDirError::at(tree))? {
        let entry = entry.map_err(WorkDirError::at(tree))?;
        let is_unfinished = entry.file_name().as_encoded_bytes().starts_with(UNFINISHED_PREFIX.as_bytes());
        if is_unfinished && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            fs::remove_file(entry.path()).map_err(WorkDirError::at(&entry.path()))?;
        }
    }
    Ok(())
}
