//! The outlines of every image of a tree.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use rayon::prelude::*;

use super::names::{FirstUse, first_use, names};
use super::outline::{Block, Customized, Outline, Set, outline};
use crate::model::ids::ImageName;
use crate::template::catalog::{ImageTemplate, TEMPLATE_NAME, TemplateCatalog};
use crate::template::normalize_newlines;

/// Blocks, lists and variables that the images of a tree offer to overrides.
#[derive(Debug, Default)]
pub struct TreeOutline {
    /// For each image, by name, the files that its Dockerfile is made of, its own template first.
    images: BTreeMap<ImageName, Vec<String>>,
    /// Each of these files, and those that they import.
    files: BTreeMap<String, Template>,
}

/// A file of the tree.
#[derive(Debug)]
struct Template {
    text: String,
    outline: Outline,
}

/// A file of the tree that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {path}: {source}")]
pub struct TreeError {
    /// Path of the file.
    path: String,
    /// Error of the system.
    source: io::Error,
}

impl TreeOutline {
    /// Reads the templates of the images, and whatever these extend, include or import.
    pub fn read(catalog: &TemplateCatalog, images: &[ImageTemplate]) -> Result<TreeOutline, TreeError> {
        let own = |image: &ImageTemplate| format!("{}/{TEMPLATE_NAME}", image.dir);
        let mut files = BTreeMap::new();
        let mut wanted: BTreeSet<String> = images.iter().map(own).collect();
        while !wanted.is_empty() {
            let read: Vec<(String, Template)> = wanted
                .into_par_iter()
                .filter_map(|path| {
                    let bytes = match catalog.get(&path)?.read() {
                        Ok(bytes) => bytes,
                        Err(source) => {
                            return Some(Err(TreeError { path: catalog.display_path(&path), source }));
                        }
                    };
                    let text = normalize_newlines(&String::from_utf8_lossy(&bytes)).into_owned();
                    Some(Ok((path, Template { outline: outline(&text), text })))
                })
                .collect::<Result<_, TreeError>>()?;
            let named = |(_, template): &(String, Template)| {
                let imported = template.outline.imports.iter().map(|(_, path)| path.clone());
                template.outline.parts.iter().cloned().chain(imported).collect::<Vec<_>>()
            };
            wanted = read.iter().flat_map(named).collect();
            files.extend(read);
            wanted.retain(|path| !files.contains_key(path) && catalog.get(path).is_some());
        }
        let images =
            images.iter().map(|image| (image.name.clone(), with_parts(own(image), &files))).collect();
        Ok(TreeOutline { images, files })
    }

    /// The names of the images, in order.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        self.images.keys().map(ImageName::as_str)
    }

    /// The image's own template.
    pub fn template(&self, image: &str) -> Option<&str> {
        self.images.get(image)?.first().map(String::as_str)
    }

    /// An image's blocks, each with its file.
    pub fn blocks<'a>(&'a self, image: &str) -> impl Iterator<Item = (&'a str, &'a Block)> {
        self.parts(image).flat_map(|(path, outline)| outline.blocks.iter().map(move |block| (path, block)))
    }

    /// Where an image lets lists be customised, each with its file.
    pub fn customized<'a>(&'a self, image: &str) -> impl Iterator<Item = (&'a str, &'a Customized)> {
        self.parts(image)
            .flat_map(|(path, outline)| outline.customized.iter().map(move |found| (path, found)))
    }

    /// Where an image's templates set a variable, each with its file.
    pub fn sets<'a>(&'a self, image: &str, name: &str) -> impl Iterator<Item = (&'a str, &'a Set)> {
        self.parts(image).flat_map(move |(path, outline)| {
            outline.sets.iter().filter(move |set| set.name == name).map(move |set| (path, set))
        })
    }

    /// The file and line of a macro, given as a template of the image calls it: `macros.install_packages`.
    pub fn find_macro(&self, image: &str, called: &str) -> Option<(&str, usize)> {
        let line_in = |outline: &Outline, name: &str| {
            outline.macros.iter().find(|(known, _)| known == name).map(|(_, line)| *line)
        };
        self.parts(image).find_map(|(path, outline)| match called.split_once('.') {
            Some((alias, name)) => {
                let (_, imported) = outline.imports.iter().find(|(known, _)| known == alias)?;
                let (imported, template) = self.files.get_key_value(imported)?;
                Some((imported.as_str(), line_in(&template.outline, name)?))
            }
            None => Some((path, line_in(outline, called)?)),
        })
    }

    /// True when any template uses a name.
    pub fn uses(&self, name: &str) -> bool {
        let mut texts = self.files.values().map(|template| template.text.as_str());
        texts.any(|text| text.contains(name) && names(text).contains(name))
    }

    /// First use of a name in an image's templates, and the template; what they import counts as reading it.
    pub fn first_use(&self, image: &str, name: &str) -> Option<(&str, FirstUse)> {
        let paths = self.images.get(image)?;
        let imports =
            paths.iter().filter_map(|path| self.files.get(path)).flat_map(|file| &file.outline.imports);
        let imported = imports.filter_map(|(_, path)| Some((self.used_in(path, name)?.0, FirstUse::Reads)));
        imported.chain(paths.iter().filter_map(|path| self.used_in(path, name))).next()
    }

    fn used_in(&self, path: &str, name: &str) -> Option<(&str, FirstUse)> {
        let (path, template) = self.files.get_key_value(path)?;
        Some((path, first_use(&template.text, name)?))
    }

    fn parts<'a>(&'a self, image: &str) -> impl Iterator<Item = (&'a str, &'a Outline)> {
        let paths = self.images.get(image).into_iter().flatten();
        paths.filter_map(|path| Some((path.as_str(), &self.files.get(path)?.outline)))
    }
}

/// A file and everything that it extends or includes, each once.
fn with_parts(path: String, files: &BTreeMap<String, Template>) -> Vec<String> {
    let mut paths = vec![path];
    let mut next = 0;
    while let Some(template) = paths.get(next).map(|path| files.get(path)) {
        for part in template.iter().flat_map(|template| &template.outline.parts) {
            if !paths.contains(part) {
                paths.push(part.clone());
            }
        }
        next += 1;
    }
    paths
}
