//! The graph as text: lists and trees that scripts read.

use serde_json::{Map, Value};

use super::{ImageGraph, Node};

/// `N : name`, one line an image, counted from 1.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().enumerate().map(|(index, name)| format!("{} : {name}\n", index + 1)).collect()
}

/// `{root: [leaf, {inner: [...]}]}` of the images that `matched` says yes to.
///
/// The roots are the images with a base image; Kolla knows only one, and more are more keys here. A root is there even
/// when it is skipped itself.
pub fn dependencies(graph: &ImageGraph, matched: &dyn Fn(&str) -> bool) -> Value {
    let roots =
        graph.nodes().iter().filter(|node| graph.parent(node).is_none() && leads_to(graph, node, matched));
    Value::Object(roots.map(|root| (root.name.clone(), children(graph, root, matched))).collect())
}

/// Whether an image or anything built on it is matched.
fn leads_to(graph: &ImageGraph, node: &Node, matched: &dyn Fn(&str) -> bool) -> bool {
    matched(&node.name) || node.children.iter().any(|child| leads_to(graph, &graph.nodes()[*child], matched))
}

fn children(graph: &ImageGraph, node: &Node, matched: &dyn Fn(&str) -> bool) -> Value {
    node.children
        .iter()
        .map(|child| &graph.nodes()[*child])
        .filter(|child| matched(&child.name))
        .map(|child| {
            if child.children.is_empty() {
                Value::String(child.name.clone())
            } else {
                Value::Object(Map::from_iter([(child.name.clone(), children(graph, child, matched))]))
            }
        })
        .collect()
}

/// The graph in Graphviz's language.
pub fn dot(graph: &ImageGraph, matched: &dyn Fn(&str) -> bool) -> String {
    let mut out = String::from("// Container Images Dependency\ndigraph {\nrankdir=LR");
    for node in graph.nodes().iter().filter(|node| matched(&node.name)) {
        out.push_str(&format!("\t{}\n", quoted(&node.name)));
        if let Some(parent) = graph.parent(node) {
            out.push_str(&format!("\t{} -> {}\n", quoted(&parent.name), quoted(&node.name)));
        }
    }
    out.push_str("}\n");
    out
}

/// Graphviz takes words of letters, digits and underscores as they are.
fn quoted(name: &str) -> String {
    let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if is_word { name.to_string() } else { format!("\"{name}\"") }
}

#[cfg(test)]
mod tests {
    use super::super::tests::graph;
    use super::*;

    fn tree() -> ImageGraph {
        graph(&[
            ("base", "debian"),
            ("nova-base", "kolla/p-base:t"),
            ("nova-api", "kolla/p-nova-base:t"),
            ("cron", "kolla/p-base:t"),
            ("tgtd", "kolla/p-base:t"),
        ])
        .expect("a tree")
    }

    #[test]
    fn lists_count_from_one() {
        assert_eq!(list(["a", "b"]), "1 : a\n2 : b\n");
    }

    #[test]
    fn dependencies_nest() {
        let value = dependencies(&tree(), &|name| name != "tgtd");
        assert_eq!(value, serde_json::json!({"base": ["cron", {"nova-base": ["nova-api"]}]}));
        assert_eq!(dependencies(&tree(), &|name| name == "cron"), serde_json::json!({"base": ["cron"]}));
        assert_eq!(dependencies(&tree(), &|_| false), serde_json::json!({}));
    }

    #[test]
    fn dot_quotes_names_with_dashes() {
        assert_eq!(
            dot(&tree(), &|name| ["base", "nova-base"].contains(&name)),
            "// Container Images Dependency\ndigraph {\nrankdir=LR\tbase\n\t\"nova-base\"\n\tbase -> \"nova-base\"\n}\n"
        );
    }
}
