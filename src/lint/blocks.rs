//! Blocks and lists that every image offers to overrides, one line for each [pure].

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write;

use super::tree::TreeOutline;
use crate::template::catalog::TemplateCatalog;

/// The blocks and customisable lists of the images that are wanted, in columns: image, `block` or `list`, name, place.
pub fn blocks(tree: &TreeOutline, catalog: &TemplateCatalog, wanted: &dyn Fn(&str) -> bool) -> String {
    let mut rows: Vec<(&str, &str, Cow<str>, String)> = Vec::new();
    for image in tree.images().filter(|image| wanted(image)) {
        let place = |path: &str, line: usize| format!("{}:{line}", catalog.short_path(path));
        for (path, block) in tree.blocks(image) {
            rows.push((image, "block", block.name.as_str().into(), place(path, block.line)));
        }
        let mut told = BTreeSet::new();
        for (path, found) in tree.customized(image) {
            let name = found.list_of(image);
            if told.insert(name.clone()) {
                rows.push((image, "list", name.into(), place(path, found.line)));
            }
        }
    }
    let images = rows.iter().map(|(image, ..)| image.len()).max().unwrap_or(0);
    let names = rows.iter().map(|(_, _, name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (image, what, name, place) in rows {
        _ = writeln!(text, "{image:images$}  {what:5}  {name:names$}  {place}");
    }
    text
}
