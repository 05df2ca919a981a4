//! The image tree: every file of it, from the embedded tree or a directory, with overlays on top.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use crate::model::ids::ImageName;
use crate::util::{input, names};

/// The image tree that ships inside the binary.
static EMBEDDED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/docker");

/// The name of an image's template in its directory.
pub const TEMPLATE_NAME: &str = "Dockerfile.j2";

/// Where the bytes of a tree's file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeContent {
    /// Bytes inside the binary.
    Embedded(&'static [u8]),
    /// Path of a file on disk.
    File(PathBuf),
}

/// One file of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Permission bits of the file.
    pub mode: u32,
    /// The bytes, or where they are.
    pub content: TreeContent,
}

impl TreeFile {
    /// Reads the file's bytes.
    pub fn read(&self) -> io::Result<Cow<'static, [u8]>> {
        match &self.content {
            TreeContent::Embedded(bytes) => Ok(Cow::Borrowed(bytes)),
            TreeContent::File(path) => input::read(path).map(Cow::Owned),
        }
    }
}

/// A directory of the tree that holds a `Dockerfile.j2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageTemplate {
    /// The image's name: the directory's own.
    pub name: ImageName,
    /// The directory, relative to the tree.
    pub dir: String,
}

/// A tree that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file or directory of it is unreadable.
    #[error("failed to read the image tree at {path}: {source}")]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Error that the system gave.
        source: io::Error,
    },
    /// Something in it is neither a file nor a directory.
    #[error("the image tree holds {0}, which is neither a file nor a directory")]
    NoFile(PathBuf),
    /// An image whose directory has a name that is no text.
    #[error("the directory of {0:?} is to be an image, and its name is not UTF-8: rename it")]
    Unnamed(PathBuf),
    /// The directory holds no templates at all.
    #[error("no Dockerfile.j2 below {0}: it is no image tree")]
    Empty(PathBuf),
    /// Two directories give an image of the same name.
    #[error("image '{name}' is defined twice: in {first} and in {second}")]
    Duplicate {
        /// Name of the image.
        name: String,
        /// Path of one directory.
        first: String,
        /// Path of the other.
        second: String,
    },
}

/// Every file and directory of the tree by its path relative to it, in order of path.
#[derive(Debug, Clone, Default)]
pub struct TemplateCatalog {
    files: BTreeMap<String, TreeFile>,
    /// Permission bits of the directories.
    directories: BTreeMap<String, u32>,
    /// The names of those whose path here is another, for theirs is not UTF-8.
    odd_names: BTreeMap<String, PathBuf>,
    /// Files that were found by a link.
    links: Vec<PathBuf>,
    /// Where the tree came from, for messages.
    origin: String,
}

impl TemplateCatalog {
    /// The tree inside the binary.
    pub fn embedded() -> TemplateCatalog {
        let mut files = BTreeMap::new();
        let mut directories = BTreeMap::new();
        let mut pending = vec![&EMBEDDED];
        while let Some(dir) = pending.pop() {
            pending.extend(dir.dirs());
            directories.extend(dir.dirs().map(|dir| (dir.path().to_string_lossy().into_owned(), 0o755)));
            for file in dir.files() {
                let bytes = file.contents();
                // The binary keeps no modes: a script is known by its first two bytes.
                let mode = if bytes.starts_with(b"#!") { 0o755 } else { 0o644 };
                files.insert(
                    file.path().to_string_lossy().into_owned(),
                    TreeFile { mode, content: TreeContent::Embedded(bytes) },
                );
            }
        }
        TemplateCatalog { files, directories, origin: "docker".to_string(), ..TemplateCatalog::default() }
    }

    /// The tree in a directory.
    pub fn from_dir(dir: &Path) -> Result<TemplateCatalog, CatalogError> {
        let mut catalog = TemplateCatalog { origin: dir.display().to_string(), ..TemplateCatalog::default() };
        catalog.overlay(dir)?;
        if !catalog.files.keys().any(|path| is_template(path)) {
            return Err(CatalogError::Empty(dir.to_path_buf()));
        }
        Ok(catalog)
    }

    /// Lays a directory over the tree, file by file.
    pub fn overlay(&mut self, dir: &Path) -> Result<(), CatalogError> {
        for entry in walkdir::WalkDir::new(dir).follow_links(true).min_depth(1) {
            let entry = entry.map_err(|error| CatalogError::Unreadable {
                path: error.path().unwrap_or(dir).to_path_buf(),
                source: error.into_io_error().unwrap_or_else(|| io::Error::other("its links go in a circle")),
            })?;
            let kind = entry.file_type();
            // Programs leave sockets where they run; builds leave them out.
            if kind.is_socket() {
                continue;
            }
            if !kind.is_file() && !kind.is_dir() {
                return Err(CatalogError::NoFile(entry.into_path()));
            }
            let metadata = entry.metadata().map_err(|error| CatalogError::Unreadable {
                path: entry.path().to_path_buf(),
                source: error.into(),
            })?;
            if entry.path_is_symlink() {
                self.links.push(entry.path().to_path_buf());
            }
            let name = entry.path().strip_prefix(dir).unwrap_or(entry.path());
            let relative = names::text(name);
            if name.to_str() != Some(&relative) {
                if entry.file_name() == TEMPLATE_NAME {
                    return Err(CatalogError::Unnamed(entry.into_path()));
                }
                self.odd_names.insert(relative.clone(), name.to_path_buf());
            }
            let mode = metadata.permissions().mode() & 0o7777;
            if kind.is_dir() {
                self.directories.insert(relative, mode);
            } else {
                self.files.insert(relative, TreeFile { mode, content: TreeContent::File(entry.into_path()) });
            }
        }
        Ok(())
    }

    /// Adds or replaces one file.
    pub fn insert(&mut self, path: impl Into<String>, file: TreeFile) {
        self.files.insert(path.into(), file);
    }

    /// A file by its path relative to the tree.
    pub fn get(&self, path: &str) -> Option<&TreeFile> {
        self.files.get(path)
    }

    /// Every file with its path, in order of path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &TreeFile)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// Every directory with its permission bits, in order of path.
    pub fn directories(&self) -> impl Iterator<Item = (&str, u32)> {
        self.directories.iter().map(|(path, mode)| (path.as_str(), *mode))
    }

    /// The name that a file or directory of the tree has on disk, by its path here.
    pub fn name_on_disk<'a>(&'a self, path: &'a str) -> &'a Path {
        self.odd_names.get(path).map_or(Path::new(path), PathBuf::as_path)
    }

    /// The templates that lie in this directory, by the paths that they have on disk.
    pub fn templates_in(&self, dir: &Path) -> impl Iterator<Item = &Path> {
        let on_disk = self.files.values().filter_map(|file| match &file.content {
            TreeContent::File(path) => Some(path),
            TreeContent::Embedded(_) => None,
        });
        let templates = on_disk.filter(|path| path.extension().is_some_and(|extension| extension == "j2"));
        templates.map(PathBuf::as_path).filter(move |path| path.starts_with(dir))
    }

    /// The links that lie in this directory.
    pub fn links_in(&self, dir: &Path) -> impl Iterator<Item = &Path> {
        self.links.iter().map(PathBuf::as_path).filter(move |path| path.starts_with(dir))
    }

    /// How a file of the tree is called in messages.
    pub fn display_path(&self, path: &str) -> String {
        match self.files.get(path) {
            Some(TreeFile { content: TreeContent::File(file), .. }) => file.display().to_string(),
            _ => format!("{}/{path}", self.origin),
        }
    }

    /// A file's path within the tree; the whole path for a file that lies elsewhere.
    pub fn short_path(&self, path: &str) -> String {
        match self.files.get(path) {
            Some(TreeFile { content: TreeContent::File(file), .. }) if !file.starts_with(&self.origin) => {
                file.display().to_string()
            }
            _ => path.to_string(),
        }
    }

    /// Every image, in order of its directory.
    pub fn images(&self) -> Result<Vec<ImageTemplate>, CatalogError> {
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        let mut images = Vec::new();
        for path in self.files.keys().filter(|path| is_template(path)) {
            let Some((dir, _)) = path.rsplit_once('/') else { continue };
            let name = dir.rsplit_once('/').map_or(dir, |(_, name)| name);
            if let Some(first) = seen.insert(name, dir) {
                return Err(CatalogError::Duplicate {
                    name: name.to_string(),
                    first: first.to_string(),
                    second: dir.to_string(),
                });
            }
            images.push(ImageTemplate { name: name.into(), dir: dir.to_string() });
        }
        Ok(images)
    }
}

fn is_template(path: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(_, name)| name == TEMPLATE_NAME)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn write(dir: &Path, path: &str, text: &str) {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("has a parent")).expect("mkdir");
        std::fs::write(path, text).expect("write");
    }

    #[test]
    fn the_tree_inside_is_that_of_the_repository_with_its_modes() {
        let (inside, checkout) =
            (TemplateCatalog::embedded(), TemplateCatalog::from_dir(Path::new("docker")));
        let checkout = checkout.expect("the repository's tree");
        assert!(inside.files.keys().eq(checkout.files.keys()));
        for (path, file) in &inside.files {
            // Of the modes in a checkout git tells no more.
            assert_eq!(file.mode & 0o100, checkout.files[path].mode & 0o100, "{path}");
        }
    }

    #[test]
    fn an_overlay_replaces_and_adds_file_by_file() {
        let (tree, over) = (tempfile::tempdir().expect("tmp"), tempfile::tempdir().expect("tmp"));
        write(tree.path(), "base/Dockerfile.j2", "old");
        write(tree.path(), "base/keep", "kept");
        write(over.path(), "base/Dockerfile.j2", "new");
        write(over.path(), "group/extra/Dockerfile.j2", "extra");
        std::fs::create_dir(over.path().join("empty")).expect("mkdir");
        let mut catalog = TemplateCatalog::from_dir(tree.path()).expect("tree");
        catalog.overlay(over.path()).expect("overlay");
        let read = |path: &str| catalog.get(path).map(|file| file.read().expect("read").into_owned());
        assert_eq!(read("base/Dockerfile.j2"), Some(b"new".to_vec()));
        assert_eq!(read("base/keep"), Some(b"kept".to_vec()));
        let names: Vec<_> = catalog.images().expect("images").into_iter().map(|image| image.name).collect();
        assert_eq!(names, ["base", "extra"]);
        let directories: Vec<_> = catalog.directories().map(|(path, _)| path).collect();
        assert_eq!(directories, ["base", "empty", "group", "group/extra"]);
    }

    #[test]
    fn names_that_are_no_text_stay_apart_and_name_no_image() {
        let tree = tempfile::tempdir().expect("tmp");
        write(tree.path(), "base/Dockerfile.j2", "");
        let odd = |name: &[u8]| Path::new("base").join(OsStr::from_bytes(name));
        for name in [odd(b"caf\xe9"), odd(b"caf\xea")] {
            std::fs::write(tree.path().join(name), "").expect("write");
        }
        let catalog = TemplateCatalog::from_dir(tree.path()).expect("tree");
        let names: Vec<_> =
            catalog.files().map(|(path, _)| catalog.name_on_disk(path).to_path_buf()).collect();
        assert_eq!(names, ["base/Dockerfile.j2".into(), odd(b"caf\xe9"), odd(b"caf\xea")]);
        let image = tree.path().join(OsStr::from_bytes(b"im\xe9"));
        std::fs::create_dir(&image).expect("mkdir");
        std::fs::write(image.join(TEMPLATE_NAME), "").expect("write");
        assert!(matches!(TemplateCatalog::from_dir(tree.path()), Err(CatalogError::Unnamed(_))));
    }

    #[test]
    fn two_images_of_one_name_are_refused() {
        let tree = tempfile::tempdir().expect("tmp");
        write(tree.path(), "a/x/Dockerfile.j2", "");
        write(tree.path(), "b/x/Dockerfile.j2", "");
        let error = TemplateCatalog::from_dir(tree.path()).expect("tree").images().expect_err("twice");
        assert_eq!(error.to_string(), "image 'x' is defined twice: in a/x and in b/x");
    }

    #[test]
    fn a_directory_without_templates_is_no_tree() {
        let tree = tempfile::tempdir().expect("tmp");
        write(tree.path(), "notes.txt", "");
        assert!(matches!(TemplateCatalog::from_dir(tree.path()), Err(CatalogError::Empty(_))));
        assert!(matches!(
            TemplateCatalog::from_dir(&tree.path().join("absent")),
            Err(CatalogError::Unreadable { .. })
        ));
    }
}
