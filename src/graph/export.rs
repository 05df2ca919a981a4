//! The graph as text: lists and trees that scripts read.

use std::io::{self, Write};

use serde_json::ser::{Formatter, PrettyFormatter};

use super::{GraphImage, ImageGraph};

/// `N : name`, one line an image, counted from 1.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().enumerate().map(|(index, name)| format!("{} : {name}\n", index + 1)).collect()
}

/// Writes `{root: [leaf, {inner: [...]}]}` of the images that `matched` says yes to, as JSON.
///
/// The roots are the images with a base image; Kolla knows only one, and more are more keys here. A root is there even
/// when it is skipped itself.
pub fn dependencies(
    graph: &ImageGraph,
    matched: &dyn Fn(&str) -> bool,
    out: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    let leads_to_match = leads_to_match(graph, matched);
    let roots = graph.nodes().iter().zip(leads_to_match);
    let roots = roots.filter(|(node, leads)| *leads && graph.parent(node).is_none());
    let mut json = PrettyFormatter::new();
    json.begin_object(out)?;
    for (number, (root, _)) in roots.enumerate() {
        open(&mut json, out, root, number == 0)?;
        // A list that is not finished yet for every level: graphs may be deeper than the program's stack.
        let mut levels = vec![OpenList { children: root.children.iter(), is_empty: true }];
        while let Some(level) = levels.last_mut() {
            let mut unwritten = level.children.by_ref().map(|child| &graph.nodes()[*child]);
            let Some(node) = unwritten.find(|node| matched(&node.name)) else {
                levels.pop();
                close(&mut json, out)?;
                if !levels.is_empty() {
                    json.end_object(out)?;
                    json.end_array_value(out)?;
                }
                continue;
            };
            json.begin_array_value(out, std::mem::replace(&mut level.is_empty, false))?;
            if node.children.is_empty() {
                serde_json::to_writer(&mut *out, &node.name)?;
                json.end_array_value(out)?;
            } else {
                json.begin_object(out)?;
                open(&mut json, out, node, true)?;
                levels.push(OpenList { children: node.children.iter(), is_empty: true });
            }
        }
    }
    json.end_object(out)
}

/// The images built on one image, as far as they are not written yet.
struct OpenList<'a> {
    children: std::slice::Iter<'a, usize>,
    /// None is written yet.
    is_empty: bool,
}

/// Begins an image's list.
fn open(
    json: &mut PrettyFormatter,
    out: &mut (impl Write + ?Sized),
    node: &GraphImage,
    is_first: bool,
) -> io::Result<()> {
    json.begin_object_key(out, is_first)?;
    serde_json::to_writer(&mut *out, &node.name)?;
    json.end_object_key(out)?;
    json.begin_object_value(out)?;
    json.begin_array(out)
}

/// Ends an image's list.
fn close(json: &mut PrettyFormatter, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    json.end_array(out)?;
    json.end_object_value(out)
}

/// For every image, whether it or anything built on it is matched.
fn leads_to_match(graph: &ImageGraph, matched: &dyn Fn(&str) -> bool) -> Vec<bool> {
    let mut leads: Vec<bool> = graph.nodes().iter().map(|node| matched(&node.name)).collect();
    for (index, node) in graph.nodes().iter().enumerate().rev() {
        if let Some(parent) = graph.parent_index(node) {
            leads[parent] |= leads[index];
        }
    }
    leads
}

/// The graph in Graphviz's language.
pub fn dot(graph: &ImageGraph, matched: &dyn Fn(&str) -> bool) -> String {
    let mut out = String::from("// Container Images Dependency\ndigraph {\nrankdir=LR");
    for node in graph.nodes().iter().filter(|node| matched(&node.name)) {
        out.push_str(&format!("\t{}\n", quoted(&node.name)));
        if let Some(parent) = graph.parent(node) {
            out.push_str(&format!("\t{} -> {}\n", quoted(&parent.name), quoted(&node.name)));
        }
        // Kolla knows no others.
        for named in node.needs.iter().filter(|needed| Some(**needed) != graph.parent_index(node)) {
            let (named, name) = (quoted(&graph.nodes()[*named].name), quoted(&node.name));
            out.push_str(&format!("\t{named} -> {name} [style=dashed]\n"));
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
    use serde_json::json;

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
        let written = |matched: &dyn Fn(&str) -> bool| {
            let mut out = Vec::new();
            dependencies(&tree(), matched, &mut out).expect("written to memory");
            String::from_utf8(out).expect("text")
        };
        // Laid out as serde_json does it, and Python's json with an indent of 2.
        let pretty = |value| serde_json::to_string_pretty(&value).expect("JSON");
        let all = json!({"base": ["cron", {"nova-base": ["nova-api"]}]});
        assert_eq!(written(&|name| name != "tgtd"), pretty(all));
        assert_eq!(written(&|name| name == "cron"), pretty(json!({"base": ["cron"]})));
        // A list that nothing is in: of a root that is not matched itself, and of an image whose children are not.
        assert_eq!(written(&|name| name == "nova-api"), pretty(json!({"base": []})));
        assert_eq!(written(&|name| name == "nova-base"), pretty(json!({"base": [{"nova-base": []}]})));
        assert_eq!(written(&|_| false), pretty(json!({})));
    }

    #[test]
    fn a_graph_may_be_deeper_than_the_stack() {
        let names: Vec<String> = (0..1000).map(|number| format!("i{number}")).collect();
        // The first one's parent is the base image `other`.
        let parents = names.iter().map(|name| format!("kolla/p-{name}:t"));
        let parents: Vec<String> = std::iter::once("other".to_string()).chain(parents).collect();
        let images: Vec<(&str, &str)> =
            names.iter().zip(&parents).map(|(name, parent)| (name.as_str(), parent.as_str())).collect();
        let write = move || {
            let graph = graph(&images).expect("a chain");
            dependencies(&graph, &|_| true, &mut std::io::sink()).expect("nothing can fail");
        };
        std::thread::scope(|scope| {
            let small = std::thread::Builder::new().stack_size(64 * 1024);
            small.spawn_scoped(scope, write).expect("a thread").join().expect("no overflow");
        });
    }

    #[test]
    fn dot_quotes_names_with_dashes() {
        assert_eq!(
            dot(&tree(), &|name| ["base", "nova-base"].contains(&name)),
            "// Container Images Dependency\ndigraph {\nrankdir=LR\tbase\n\t\"nova-base\"\n\tbase -> \"nova-base\"\n}\n"
        );
    }
}
