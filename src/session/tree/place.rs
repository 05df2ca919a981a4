//! Where the parts of a Kolla tree are: its images, its Python package, and the files that go with them [I/O].

use std::borrow::Cow;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::config::kolla_package::CONFIG_MODULE;
use crate::error::{EXIT_USAGE, Fatal};
use crate::template::catalog::TEMPLATE_NAME;
use crate::util::input;

/// Files by any of which the package is known.
const PACKAGE_FILES: [&str; 3] = [CONFIG_MODULE, "common/sources.yaml", "template/repos.yaml"];
/// Where a checkout or a package has its images: releases from 23 on have them in the package.
const IMAGE_DIRS: [&str; 2] = ["docker", "kolla/docker"];

/// The image tree of what a user names: that itself, or the one in a checkout.
pub fn image_tree(named: &Path) -> PathBuf {
    let holds_images = |dir: &Path| directories(dir).any(|image| image.join(TEMPLATE_NAME).is_file());
    if holds_images(named) {
        return named.to_path_buf();
    }
    let below = IMAGE_DIRS.map(|dir| named.join(dir));
    below.into_iter().find(|dir| holds_images(dir)).unwrap_or_else(|| named.to_path_buf())
}

/// The package that a user names: that itself, or the one in a checkout.
pub fn package_at(named: &Path) -> Result<PathBuf, Fatal> {
    let candidates = [named.to_path_buf(), named.join("kolla")];
    candidates.into_iter().find(|dir| is_package(dir)).ok_or_else(|| {
        let message = format!("--kolla-package: {} is no Python package of Kolla's", named.display());
        Fatal::message(message, EXIT_USAGE).hinted(format!(
            "it is the directory that has {CONFIG_MODULE}: `kolla` in a checkout, or where pip has installed it"
        ))
    })
}

/// The package that an image tree belongs to: around it, beside it in a checkout, or where pip puts the two.
pub fn package_beside(tree: &Path) -> Option<PathBuf> {
    let tree = fs::canonicalize(tree).ok()?;
    let above = tree.parent()?;
    let mut candidates = vec![above.to_path_buf(), above.join("kolla")];
    if above.ends_with("share/kolla") {
        let libraries = above.ancestors().nth(2)?.join("lib");
        for python in directories(&libraries).filter(|path| name_of(path).starts_with("python")) {
            candidates.extend(["site-packages/kolla", "dist-packages/kolla"].map(|below| python.join(below)));
        }
    }
    candidates.into_iter().find(|package| is_package(package))
}

fn is_package(dir: &Path) -> bool {
    PACKAGE_FILES.iter().any(|file| dir.join(file).is_file())
}

/// Entries of a directory, in order of names; nothing when it can't be read.
pub fn directories(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths.into_iter()
}

/// The last part of a path.
pub fn name_of(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// A file that Kolla keeps beside its tree: in the tree itself, or in the package.
pub fn beside(tree: &Path, package: Option<&Path>, dir: &str, name: &str) -> Option<PathBuf> {
    let in_package = package.map(|package| package.join(dir).join(name));
    [Some(tree.join(name)), in_package].into_iter().flatten().find(|path| path.is_file())
}

/// The largest file of a tree that is read for what it says of a release; real ones have some hundred kilobytes.
const LARGEST_FILE: u64 = 8 << 20;

/// Reads a text file of a tree.
pub fn read(path: &Path) -> Result<String, Fatal> {
    let failed = |reason: &dyn std::fmt::Display| Fatal::of_file("read", path, reason, EXIT_USAGE);
    let mut text = String::new();
    let read = input::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_string(&mut text));
    match read {
        Ok(size) if size as u64 > LARGEST_FILE => {
            Err(failed(&"it is larger than 8 MiB, which no such file is"))
        }
        Ok(_) => Ok(text),
        Err(error) => Err(failed(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_larger_than_any_of_kolla_s_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.py");
        let file = fs::File::create(&path).unwrap();
        file.set_len(LARGEST_FILE).unwrap();
        assert!(read(&path).is_ok());
        file.set_len(LARGEST_FILE + 1).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("config.py: it is larger than 8 MiB"), "{error}");
    }
}
