//! What every image offers to overrides, one line for each block and list.

use std::collections::BTreeSet;

use super::tree::TreeOutline;
use crate::template::catalog::TemplateCatalog;

/// The blocks and customisable lists of the images that are wanted, in columns: image, `block` or `list`, name, place.
pub fn blocks(tree: &TreeOutline, catalog: &TemplateCatalog, wanted: &dyn Fn(&str) -> bool) -> String {
    let mut rows: Vec<[String; 4]> = Vec::new();
    for image in tree.images().filter(|image| wanted(image)) {
        let place = |path: &str, line: usize| format!("{}:{line}", catalog.short_path(path));
        for (path, block) in tree.blocks(image) {
            rows.push([image.to_string(), "block".to_string(), block.name.clone(), place(path, block.line)]);
        }
        let mut told = BTreeSet::new();
        for (path, found) in tree.customized(image) {
            let name = format!("{}_{}", image.replace('-', "_"), found.kind);
            if told.insert(name.clone()) {
                rows.push([image.to_string(), "list".to_string(), name, place(path, found.line)]);
            }
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (images, names) = (width(0), width(2));
    let line = |[image, what, name, place]: &[String; 4]| {
        format!("{image:images$}  {what:5}  {name:names$}  {place}\n")
    };
    rows.iter().map(line).collect()
}
