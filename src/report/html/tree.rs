//! The graph, shown as a tree [pure].

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::view::View;
use crate::model::plan::Parent;
use crate::report::text::{clean, human};

/// A line of the tree.
#[derive(Serialize)]
pub struct Twig {
    depth: usize,
    unit: Option<usize>,
    name: String,
    class: String,
    took: String,
}

impl View<'_> {
    /// The graph, depth first. Images that are pulled, and parents that this run leaves alone, are its roots.
    pub(super) fn tree(&self) -> Vec<Twig> {
        let indices: HashMap<_, usize> =
            self.shown().map(|(at, image)| ((image.name.as_str(), image.platform), at)).collect();
        let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut roots: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, image) in self.shown() {
            let name = image.parent.as_str();
            match (&image.parent, indices.get(&(name, image.platform))) {
                (Parent::Image(_), Some(parent)) => children.entry(*parent).or_default().push(at),
                _ => roots.entry(name).or_default().push(at),
            }
        }
        let mut tree = Vec::new();
        for (name, below) in roots {
            let class = "base".to_owned();
            tree.push(Twig { depth: 0, unit: None, name: clean(name), class, took: String::new() });
            let mut left: Vec<(usize, usize)> = below.into_iter().rev().map(|unit| (1, unit)).collect();
            while let Some((depth, at)) = left.pop() {
                tree.push(self.twig(depth, at));
                left.extend(children.remove(&at).into_iter().flatten().rev().map(|unit| (depth + 1, unit)));
            }
        }
        tree
    }

    fn twig(&self, depth: usize, at: usize) -> Twig {
        let image = &self.report.images[at];
        let took = self.build(image).map_or(String::new(), |build| human(build.length()));
        Twig { depth, unit: Some(at), name: self.name(image), class: self.class(at), took }
    }
}
