//! The graph of images: who is built on whom.

pub mod export;
pub mod select;

use std::collections::{BTreeMap, HashMap, HashSet};

use rayon::prelude::*;

use crate::dockerfile::named::{self, Given, Named};
use crate::model::ids::ImageName;
use crate::model::plan::Parent;
use crate::model::platform::Platform;
use crate::template::render::RenderedDockerfile;

/// One image of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphImage {
    /// Name of the image.
    pub name: ImageName,
    /// Parent in lists and trees, which the first FROM names.
    pub parent: Parent,
    /// Other images that the Dockerfile names.
    pub named: Vec<Parent>,
    /// Indices of the images whose parent it is, by name.
    pub children: Vec<usize>,
    /// Indices of the images that its Dockerfile names, the parent's first.
    pub needs: Vec<usize>,
    /// True when any Dockerfile names it.
    pub is_needed: bool,
}

/// The images of one platform, parents before children, else by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageGraph {
    nodes: Vec<GraphImage>,
    index: HashMap<ImageName, usize>,
}

/// Images that can't be put in order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Images that are each built on the next.
    #[error("these images are built on each other in a circle: {}", .0.join(" -> "))]
    Cycle(Vec<ImageName>),
    /// Images whose Dockerfile names one that has a name of ours, and does not exist.
    #[error("{}", .0.join("\n"))]
    MissingParents(Vec<String>),
}

/// Images that a Dockerfile names.
struct Parents {
    parent: Parent,
    named: Vec<Parent>,
}

impl Parents {
    fn images(&self) -> impl Iterator<Item = &ImageName> {
        std::iter::once(&self.parent).chain(&self.named).filter_map(Parent::image)
    }
}

impl ImageGraph {
    /// Reads what every Dockerfile names, with these build arguments. `reference` gives the full name that an image of the
    /// tree gets: what has such a name is a parent, anything else a base image.
    pub fn new(
        dockerfiles: &[RenderedDockerfile],
        args: &BTreeMap<String, String>,
        platform: Platform,
        reference: impl Fn(&ImageName) -> String,
    ) -> Result<ImageGraph, GraphError> {
        let by_reference: HashMap<String, &ImageName> =
            dockerfiles.iter().map(|file| (reference(&file.image), &file.image)).collect();
        // A name of ours begins and ends like the full name of every image.
        let pattern = reference(&ImageName::from("\0"));
        let (head, tail) = pattern.split_once('\0').unwrap_or((&pattern, ""));
        let is_ours = |name: &str| {
            name.strip_prefix(head)
                .and_then(|rest| rest.strip_suffix(tail))
                .is_some_and(|name| !name.is_empty() && !name.contains(['/', ':']))
        };
        let given = Given { args, target: platform };
        let named: Vec<Named> = dockerfiles.par_iter().map(|file| named::read(&file.text, given)).collect();
        let mut missing = Vec::new();
        let mut parents: BTreeMap<&ImageName, Parents> = BTreeMap::new();
        for (file, named) in dockerfiles.iter().zip(named) {
            let mut all: Vec<Parent> = Vec::new();
            for image in named.images {
                let known = by_reference.get(&image.reference).map(|name| Parent::Image((*name).clone()));
                if known.is_none() && is_ours(&image.reference) {
                    let how = match all.is_empty() {
                        true => format!("is built FROM {}", image.reference),
                        false => {
                            format!("names {} in line {} of its Dockerfile", image.reference, image.line)
                        }
                    };
                    missing.push(format!("{} {how}, but the image tree has no such image", file.image));
                }
                let parent = known.unwrap_or(Parent::Base(image.reference));
                if !all.contains(&parent) {
                    all.push(parent);
                }
            }
            let mut all = all.into_iter();
            let parent = all.next().unwrap_or(Parent::Base(String::new()));
            parents.insert(&file.image, Parents { parent, named: all.collect() });
        }
        if missing.is_empty() { sorted(parents) } else { Err(GraphError::MissingParents(missing)) }
    }

    /// Puts an image behind all that it needs.
    fn place(&mut self, name: &ImageName, parents: &Parents) {
        let needs = parents.images().map(|needed| self.index[needed]).collect();
        self.index.insert(name.clone(), self.nodes.len());
        self.nodes.push(GraphImage {
            name: name.clone(),
            parent: parents.parent.clone(),
            named: parents.named.clone(),
            children: Vec::new(),
            needs,
            is_needed: false,
        });
    }

    /// Every image, parents first.
    pub fn nodes(&self) -> &[GraphImage] {
        &self.nodes
    }

    /// An image by its name.
    pub fn get(&self, name: &str) -> Option<&GraphImage> {
        self.index.get(name).map(|index| &self.nodes[*index])
    }

    /// An image's parent, when it is an image of the graph.
    pub fn parent(&self, node: &GraphImage) -> Option<&GraphImage> {
        self.parent_index(node).map(|parent| &self.nodes[parent])
    }

    /// The place of an image's parent among the nodes: before that of the image.
    pub fn parent_index(&self, node: &GraphImage) -> Option<usize> {
        node.parent.image().and_then(|name| self.index.get(name).copied())
    }
}

/// Puts parents before children, by levels and within a level by name.
fn sorted(parents: BTreeMap<&ImageName, Parents>) -> Result<ImageGraph, GraphError> {
    let mut needed_by: HashMap<&ImageName, Vec<&ImageName>> = HashMap::new();
    let mut waits_for: HashMap<&ImageName, usize> = HashMap::new();
    for (name, own) in &parents {
        own.images().for_each(|needed| needed_by.entry(needed).or_default().push(name));
        waits_for.insert(name, own.images().count());
    }
    let mut graph = ImageGraph::default();
    let mut level: Vec<&ImageName> =
        waits_for.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
    while !level.is_empty() {
        level.sort_unstable();
        let mut next = Vec::new();
        for name in level {
            for child in needed_by.get(name).into_iter().flatten() {
                let count = waits_for.entry(child).or_default();
                *count -= 1;
                next.extend((*count == 0).then_some(*child));
            }
            graph.place(name, &parents[name]);
        }
        level = next;
    }
    if graph.nodes.len() < parents.len() {
        return Err(GraphError::Cycle(find_cycle(&parents, &graph)));
    }
    for child in 0..graph.nodes.len() {
        if let Some(parent) = graph.parent_index(&graph.nodes[child]) {
            graph.nodes[parent].children.push(child);
        }
        for needed in graph.nodes[child].needs.clone() {
            graph.nodes[needed].is_needed = true;
        }
    }
    Ok(graph)
}

/// One circle among the images that could not be placed, beginning and ending with the same name.
fn find_cycle(parents: &BTreeMap<&ImageName, Parents>, placed: &ImageGraph) -> Vec<ImageName> {
    let is_left = |name: &&ImageName| placed.get(name).is_none();
    let Some(mut name) = parents.keys().copied().find(is_left) else { return Vec::new() };
    let (mut path, mut seen): (Vec<&ImageName>, HashSet<&ImageName>) = Default::default();
    // Going from an image to one that it needs ends in the circle, since each that is left needs one that is left.
    while seen.insert(name) {
        path.push(name);
        let Some(needed) = parents[name].images().find(is_left) else { break };
        name = needed;
    }
    let start = path.iter().position(|step| *step == name).unwrap_or(0);
    let mut circle: Vec<ImageName> = path[start..].iter().map(|step| (*step).clone()).collect();
    let least = (0..circle.len()).min_by_key(|at| circle[*at].clone()).unwrap_or(0);
    circle.rotate_left(least);
    circle.extend(circle.first().cloned());
    circle
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::platform::Arch;

    /// A graph from pairs of image and FROM, with what else it names after plus signs.
    pub(crate) fn graph(images: &[(&str, &str)]) -> Result<ImageGraph, GraphError> {
        let files: Vec<RenderedDockerfile> = images
            .iter()
            .map(|(image, from)| RenderedDockerfile {
                image: (*image).into(),
                dir: image.to_string(),
                text: format!("FROM {}\n", from.replace(" + ", "\nCOPY --from=")),
                lookups: Vec::new(),
                set_again: Default::default(),
            })
            .collect();
        ImageGraph::new(&files, &BTreeMap::new(), Platform::new(Arch::host()), |image| {
            format!("kolla/p-{image}:t")
        })
    }

    #[test]
    fn parents_come_first_and_children_are_known() {
        let graph = graph(&[
            ("b", "kolla/p-base:t"),
            ("a", "kolla/p-b:t"),
            ("base", "debian:trixie"),
            ("c", "kolla/other:t2"),
        ])
        .expect("no circle");
        let names: Vec<&str> = graph.nodes().iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["base", "c", "b", "a"]);
        assert_eq!(graph.get("base").map(|node| node.children.clone()), Some(vec![2]));
        let a = graph.get("a").expect("there");
        assert_eq!(graph.parent(a).map(|node| node.name.as_str()), Some("b"));
        assert_eq!(
            graph.get("c").map(|node| node.parent.clone()),
            Some(Parent::Base("kolla/other:t2".to_string()))
        );
    }

    #[test]
    fn everything_that_is_named_comes_first() {
        let graph = graph(&[
            ("a", "debian + kolla/p-z:t + tools:1 + kolla/p-base:t"),
            ("base", "debian"),
            ("z", "kolla/p-base:t"),
        ])
        .expect("no circle");
        let names: Vec<&str> = graph.nodes().iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["base", "z", "a"]);
        let a = graph.get("a").expect("there");
        assert_eq!((graph.parent(a), &a.needs), (None, &vec![1, 0]));
        assert_eq!(a.named.len(), 3);
        let needed: Vec<bool> = graph.nodes().iter().map(|node| node.is_needed).collect();
        assert_eq!(needed, [true, true, false]);
        // Lists and trees go by FROM.
        assert_eq!(graph.nodes()[1].children, [0; 0]);
    }

    #[test]
    fn a_circle_is_named() {
        let error =
            graph(&[("x", "kolla/p-c:t"), ("c", "kolla/p-b:t"), ("b", "kolla/p-a:t"), ("a", "kolla/p-c:t")])
                .expect_err("circle");
        assert_eq!(error.to_string(), "these images are built on each other in a circle: a -> c -> b -> a");
        let error =
            graph(&[("a", "debian + kolla/p-b:t"), ("b", "x + y + kolla/p-a:t"), ("c", "kolla/p-a:t")]);
        assert!(matches!(error, Err(GraphError::Cycle(names)) if names == ["a", "b", "a"]));
        assert!(
            matches!(graph(&[("a", "kolla/p-a:t")]), Err(GraphError::Cycle(names)) if names == ["a", "a"])
        );
    }

    #[test]
    fn missing_parents_are_all_named() {
        let error = graph(&[("a", "kolla/p-nope:t"), ("b", "kolla/p-no:t"), ("c", "debian + kolla/p-not:t")])
            .expect_err("missing");
        assert_eq!(
            error.to_string(),
            "a is built FROM kolla/p-nope:t, but the image tree has no such image\n\
             b is built FROM kolla/p-no:t, but the image tree has no such image\n\
             c names kolla/p-not:t in line 2 of its Dockerfile, but the image tree has no such image"
        );
    }
}
