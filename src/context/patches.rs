//! Patches that an operator wants applied inside images: `<patches_path>/<image>/series` and the files it names.

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::util::input;
use crate::util::nearest::unknown_name;

/// Patches that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// A series that can't be read.
    #[error("failed to read the patches {path}: {source}")]
    Unreadable {
        /// The series, or the directory.
        path: PathBuf,
        /// Error that the system gave.
        source: io::Error,
    },
    /// A series names a file outside of its directory.
    #[error("{series}:{line}: {name} is not the name of a file beside the series")]
    Outside {
        /// Path of the series.
        series: PathBuf,
        /// The line in it, from 1.
        line: usize,
        /// Name that the series has in it.
        name: String,
    },
    /// A patch that a series names is not there.
    #[error("{series}:{line}: there is no patch {name}, which {image} needs")]
    Missing {
        /// Path of the series.
        series: PathBuf,
        /// The line in it, from 1.
        line: usize,
        /// Name of the patch.
        name: String,
        /// Name of the image.
        image: String,
    },
}

/// Files for an image's `patches/`: names, and where their content is; none when it has no series.
pub fn patch_files(patches_path: Option<&Path>, image: &str) -> Result<Vec<(String, PathBuf)>, PatchError> {
    let Some(dir) = patches_path.map(|path| path.join(image)).filter(|dir| dir.is_dir()) else {
        return Ok(Vec::new());
    };
    let series = dir.join("series");
    let text = match input::read_to_string(&series) {
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

/// One line for every directory of patches that no image is patched with.
pub fn idle(patches_path: &Path, images: &[&str]) -> Result<Vec<String>, PatchError> {
    let unreadable = |source| PatchError::Unreadable { path: patches_path.to_path_buf(), source };
    let mut told = Vec::new();
    for entry in std::fs::read_dir(patches_path).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !path.is_dir() || name.starts_with('.') {
            continue;
        }
        if !images.contains(&name.as_str()) {
            let unknown = unknown_name("image", &name, images.iter().copied());
            told.push(format!("{}: {unknown}; its patches are used nowhere", path.display()));
        } else if !path.join("series").is_file() {
            told.push(format!(
                "{}: without a file series that names them, no patch is applied",
                path.display()
            ));
        }
    }
    told.sort();
    Ok(told)
}

/// True for a Dockerfile that takes up the directory of patches in its context.
pub fn applies(dockerfile: &str) -> bool {
    let lines = dockerfile.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let takes_all = |line: &str| {
        let mut words = line.split_whitespace();
        let copies = words.next().is_some_and(|word| ["COPY", "ADD"].contains(&word.to_uppercase().as_str()));
        copies && words.any(|word| [".", "./", "*", "./*"].contains(&word))
    };
    lines.into_iter().any(|line| line.contains("patches") || takes_all(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_patches_no_image_is_told() {
        let dir = tempfile::tempdir().expect("tmp");
        for name in [".git", "nova-base", "nova-bsae", "keystone"] {
            std::fs::create_dir(dir.path().join(name)).expect("mkdir");
        }
        for file in ["README", "nova-base/a.patch", "keystone/series"] {
            std::fs::write(dir.path().join(file), "").expect("write");
        }
        let root = dir.path().display();
        assert_eq!(
            idle(dir.path(), &["nova-base", "keystone"]).expect("readable"),
            [
                format!("{root}/nova-base: without a file series that names them, no patch is applied"),
                format!(
                    "{root}/nova-bsae: unknown image 'nova-bsae': did you mean 'nova-base'?; its patches are used nowhere"
                ),
            ]
        );
    }

    #[test]
    fn a_dockerfile_takes_up_patches_or_all_there_is() {
        for text in
            ["FROM a\nCOPY patches /patches", "  copy . /x", "ADD ./* /x/", "RUN --mount=source=patches true"]
        {
            assert!(applies(text), "{text}");
        }
        for text in ["FROM a\nRUN x", "# COPY patches /x", "COPY a.b /x", "RUN cp . /x"] {
            assert!(!applies(text), "{text}");
        }
    }

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
