//! Reading the files that paunch's `--file` stands for [I/O].

use std::fs;
use std::path::Path;

use super::config::{ConfigPlace, RawSettings, container_of, containers_in, file_of, parse, settings_of};
use crate::error::{EXIT_FAILED, Fatal};
use crate::util::input;

/// Containers with their settings: those of a directory in the order of their names, those of a file as they are written.
pub type PaunchConfig = Vec<(String, RawSettings)>;

/// Reads all containers, or the one of this name.
pub fn load(file: &str, name: Option<&str>) -> Result<PaunchConfig, Fatal> {
    match (ConfigPlace::of(file, Path::new(file).is_dir()), name) {
        (ConfigPlace::File { path, name }, None) => Ok(containers_in(read(&path)?, &name)),
        (ConfigPlace::File { path, .. }, Some(name)) => Ok(vec![one(&path, name)?]),
        (ConfigPlace::Directory(path), Some(name)) => Ok(vec![one(&path.join(file_of(name)), name)?]),
        (ConfigPlace::Directory(path), None) => {
            let mut names = names_in(&path).map_err(|error| cannot_read(&path, error))?;
            names.sort_unstable();
            names.into_iter().map(|name| one(&path.join(file_of(&name)), &name)).collect()
        }
    }
}

fn names_in(directory: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.extend(container_of(&entry?.file_name().to_string_lossy()));
    }
    Ok(names)
}

fn one(path: &Path, name: &str) -> Result<(String, RawSettings), Fatal> {
    let settings = settings_of(read(path)?, name);
    settings
        .map(|settings| (name.to_string(), settings))
        .ok_or_else(|| cannot_read(path, format!("it has no container {name}")))
}

fn read(path: &Path) -> Result<RawSettings, Fatal> {
    let text = input::read_to_string(path).map_err(|error| cannot_read(path, error))?;
    parse(&text).map_err(|reason| cannot_read(path, reason))
}

fn cannot_read(path: &Path, error: impl std::fmt::Display) -> Fatal {
    Fatal::of_file("read", path, error, EXIT_FAILED)
}
