//! The graph of images: who is built on whom.

pub mod export;
pub mod select;

use std::collections::HashMap;

use crate::dockerfile;
use crate::plan::Parent;
use crate::template::render::RenderedDockerfile;

/// One image of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The image's name.
    pub name: String,
    /// What it is built on.
    pub parent: Parent,
    /// Indices of the images built on it, by name.
    pub children: Vec<usize>,
}

/// The images of one platform, parents before children, else by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageGraph {
    nodes: Vec<Node>,
    index: HashMap<String, usize>,
}

/// Images that can't be put in order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Images that are each built on the next.
    #[error("these images are built on each other in a circle: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
    /// Images whose parent has a name of ours, and does not exist.
    #[error("{}", missing_parents(.0))]
    MissingParents(Vec<(String, String)>),
}

fn missing_parents(missing: &[(String, String)]) -> String {
    let one = |(image, parent): &(String, String)| {
        format!("{image} is built FROM {parent}, but the image tree has no such image")
    };
    missing.iter().map(one).collect::<Vec<_>>().join("\n")
}

impl ImageGraph {
    /// Reads every FROM. `reference` gives the full name that an image of the tree gets: a FROM with such a name is a
    /// parent, any other a base image.
    pub fn new(
        dockerfiles: &[RenderedDockerfile],
        reference: impl Fn(&str) -> String,
    ) -> Result<ImageGraph, GraphError> {
        let by_reference: HashMap<String, &str> =
            dockerfiles.iter().map(|file| (reference(&file.image), file.image.as_str())).collect();
        // A name of ours begins and ends like the full name of every image.
        let pattern = reference("\0");
        let (head, tail) = pattern.split_once('\0').unwrap_or((&pattern, ""));
        let is_ours = |from: &str| {
            from.strip_prefix(head)
                .and_then(|rest| rest.strip_suffix(tail))
                .is_some_and(|name| !name.is_empty() && !name.contains(['/', ':']))
        };
        let mut missing = Vec::new();
        let mut parents: HashMap<&str, Parent> = HashMap::new();
        for file in dockerfiles {
            let from = dockerfile::parent(&file.text).unwrap_or_default();
            let parent = match by_reference.get(from) {
                Some(parent) => Parent::Image((*parent).to_string()),
                None => {
                    if is_ours(from) {
                        missing.push((file.image.clone(), from.to_string()));
                    }
                    Parent::Base(from.to_string())
                }
            };
            parents.insert(&file.image, parent);
        }
        if !missing.is_empty() {
            return Err(GraphError::MissingParents(missing));
        }
        sorted(parents)
    }

    /// Every image, parents first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// An image by its name.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.index.get(name).map(|index| &self.nodes[*index])
    }

    /// An image's parent, when it is an image of the graph.
    pub fn parent(&self, node: &Node) -> Option<&Node> {
        self.parent_index(node).map(|parent| &self.nodes[parent])
    }

    /// The place of an image's parent among the nodes: before that of the image.
    pub fn parent_index(&self, node: &Node) -> Option<usize> {
        match &node.parent {
            Parent::Image(name) => self.index.get(name).copied(),
            Parent::Base(_) => None,
        }
    }
}

/// Puts parents before children, by levels and within a level by name.
fn sorted(parents: HashMap<&str, Parent>) -> Result<ImageGraph, GraphError> {
    let mut children: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut level: Vec<&str> = Vec::new();
    for (name, parent) in &parents {
        match parent {
            Parent::Image(parent) => children.entry(parent).or_default().push(name),
            Parent::Base(_) => level.push(name),
        }
    }
    let mut graph = ImageGraph::default();
    while !level.is_empty() {
        level.sort_unstable();
        let next: Vec<&str> = level.iter().flat_map(|name| children.get(name)).flatten().copied().collect();
        for name in level {
            graph.index.insert(name.to_string(), graph.nodes.len());
            let parent = parents[name].clone();
            graph.nodes.push(Node { name: name.to_string(), parent, children: Vec::new() });
        }
        level = next;
    }
    if graph.nodes.len() < parents.len() {
        return Err(GraphError::Cycle(find_cycle(&parents, &graph)));
    }
    for child in 0..graph.nodes.len() {
        if let Parent::Image(parent) = &graph.nodes[child].parent {
            let parent = graph.index[parent.as_str()];
            graph.nodes[parent].children.push(child);
        }
    }
    Ok(graph)
}

/// One circle among the images that could not be placed, beginning and ending with the same name.
fn find_cycle(parents: &HashMap<&str, Parent>, placed: &ImageGraph) -> Vec<String> {
    let left = parents.keys().filter(|name| placed.get(name).is_none());
    let Some(mut name) = left.min().copied() else { return Vec::new() };
    let mut path: Vec<&str> = Vec::new();
    // Going from parent to parent ends in the circle, since none of these images has a base image below it.
    while !path.contains(&name) {
        path.push(name);
        match &parents[name] {
            Parent::Image(parent) => name = parent,
            Parent::Base(_) => break,
        }
    }
    let start = path.iter().position(|step| *step == name).unwrap_or(0);
    let mut circle: Vec<String> = path[start..].iter().map(|step| step.to_string()).collect();
    let least = (0..circle.len()).min_by_key(|at| circle[*at].clone()).unwrap_or(0);
    circle.rotate_left(least);
    circle.extend(circle.first().cloned());
    circle
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A graph from pairs of image and FROM.
    pub(crate) fn graph(images: &[(&str, &str)]) -> Result<ImageGraph, GraphError> {
        let files: Vec<RenderedDockerfile> = images
            .iter()
            .map(|(image, from)| RenderedDockerfile {
                image: image.to_string(),
                dir: image.to_string(),
                text: format!("FROM {from}\n"),
                lookups: Vec::new(),
                set_again: Default::default(),
            })
            .collect();
        ImageGraph::new(&files, |image| format!("kolla/p-{image}:t"))
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
    fn a_circle_is_named() {
        let error =
            graph(&[("x", "kolla/p-c:t"), ("c", "kolla/p-b:t"), ("b", "kolla/p-a:t"), ("a", "kolla/p-c:t")])
                .expect_err("circle");
        assert_eq!(error.to_string(), "these images are built on each other in a circle: a -> c -> b -> a");
        assert!(
            matches!(graph(&[("a", "kolla/p-a:t")]), Err(GraphError::Cycle(names)) if names == ["a", "a"])
        );
    }

    #[test]
    fn missing_parents_are_all_named() {
        let error =
            graph(&[("a", "kolla/p-nope:t"), ("b", "kolla/p-no:t"), ("c", "debian")]).expect_err("missing");
        assert_eq!(
            error.to_string(),
            "a is built FROM kolla/p-nope:t, but the image tree has no such image\n\
             b is built FROM kolla/p-no:t, but the image tree has no such image"
        );
    }
}
