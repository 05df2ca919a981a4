//! Patches that an operator wants applied inside images: `<patches_path>/<image>/series` and the files it names.

use std::io;
use std::path::{Component, Path, PathBuf};

/// Patches that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// A series that can't be read.
    #[error("failed to read the series of patches {path}: {source}")]
    Unreadable {
        /// The series.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A series names a file outside of its directory.
    #[error("{series}:{line}: {name} is not the name of a file beside the series")]
    Outside {
        /// The series.
        series: PathBuf,
        /// The line in it, from 1.
        line: usize,
        /// What it names.
        name: String,
    },
    /// A patch that a series names is not there.
    #[error("{series}:{line}: there is no patch {name}, which {image} needs")]
    Missing {
        /// The series.
        series: PathBuf,
        /// The line in it, from 1.
        line: usize,
        /// The patch.
        name: String,
        /// The image.
        image: String,
    },
}

/// What goes into an image's `patches/`: names and where the files are; nothing when it has no series.
pub fn patch_files(patches_path: Option<&Path>, image: &str) -> Result<Vec<(String, PathBuf)>, PatchError> {
    let Some(dir) = patches_path.map(|path| path.join(image)).filter(|dir| dir.is_dir()) else {
        return Ok(Vec::new());
    };
    let series = dir.join("series");
    let text = match std::fs::read_to_string(&series) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(PatchError::Unreadable { path: series, source }),
    };
    let mut files = vec![("series".to_string(), series.clone())];
    for (index, line) in text.lines().enumerate() {
        let name = line.trim();
        if name.is_empty() || line.starts_with('#') {
            continue;
        }
        let path = dir.join(name);
        if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(PatchError::Outside { series, line: index + 1, name: name.to_string() });
        }
        if !path.is_file() {
            let (name, image) = (name.to_string(), image.to_string());
            return Err(PatchError::Missing { series, line: index + 1, name, image });
        }
        files.push((name.to_string(), path));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_names_its_patches_and_a_missing_one_is_an_error() {
        let dir = tempfile::tempdir().expect("tmp");
        let image = dir.path().join("nova-base");
        std::fs::create_dir(&image).expect("mkdir");
        std::fs::write(image.join("series"), "# first\n\na.patch\nb.patch\n").expect("write");
        std::fs::write(image.join("a.patch"), "").expect("write");
        let error = patch_files(Some(dir.path()), "nova-base").expect_err("b.patch is missing").to_string();
        assert!(error.ends_with("series:4: there is no patch b.patch, which nova-base needs"), "{error}");
        std::fs::write(image.join("b.patch"), "").expect("write");
        let names: Vec<String> = patch_files(Some(dir.path()), "nova-base")
            .expect("complete")
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["series", "a.patch", "b.patch"]);
        std::fs::write(image.join("series"), "../other/c.patch\n").expect("write");
        let error = patch_files(Some(dir.path()), "nova-base").expect_err("leads out").to_string();
        assert!(
            error.ends_with("series:1: ../other/c.patch is not the name of a file beside the series"),
            "{error}"
        );
        assert!(patch_files(Some(dir.path()), "other").expect("none").is_empty());
        assert!(patch_files(None, "nova-base").expect("none").is_empty());
    }
}
