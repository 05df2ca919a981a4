//! The lists that overrides can customise, and the images that have them [pure].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::lint::tree::TreeOutline;
use crate::template::render::RenderedDockerfile;

/// Images named when many have the same block or list.
const NAMED_IMAGES: usize = 3;

/// The lists that can be customised: the names that their variables start with, and the images they are of.
pub struct CustomizableLists<'a> {
    /// Those of every template.
    pub known: BTreeMap<String, BTreeSet<&'a str>>,
    /// Those that some rendering came by.
    pub reached: BTreeSet<&'a str>,
}

impl<'a> CustomizableLists<'a> {
    /// The lists of a tree, which has been rendered for these platforms.
    pub fn new(tree: &'a TreeOutline, rendered: &[&'a [RenderedDockerfile]]) -> CustomizableLists<'a> {
        let mut lists = CustomizableLists { known: BTreeMap::new(), reached: BTreeSet::new() };
        for file in rendered.iter().copied().flatten() {
            for lookup in &file.lookups {
                lists.known.entry(lookup.list.clone()).or_default().insert(&file.image);
                lists.reached.insert(&lookup.list);
            }
        }
        for image in tree.images() {
            for (_, found) in tree.customized(image) {
                let list = found.list_of(image);
                lists.known.entry(list).or_default().insert(image);
            }
        }
        lists
    }
}

/// Images as they are named in a message: all of them when they are few.
pub struct InImages<'a>(pub &'a BTreeSet<&'a str>);

impl fmt::Display for InImages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<&str> = self.0.iter().copied().take(NAMED_IMAGES).collect();
        match self.0.len() {
            1 => write!(f, "image {}", named[0]),
            count if count == named.len() => write!(f, "images {}", named.join(", ")),
            count => write!(f, "{count} images, such as {}", named.join(", ")),
        }
    }
}
