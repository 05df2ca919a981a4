//! Selection: what a run does with each image of a graph.

use std::collections::BTreeSet;

use fancy_regex::Regex;

use super::{GraphImage, ImageGraph};
use crate::config::resolved::Selection;
use crate::model::plan::Disposition;
use crate::model::platform::Arch;
use crate::util::nearest::near_pattern;

/// Disposition of an image, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectionDecision {
    /// Disposition of the image.
    pub disposition: Disposition,
    /// Reason of the disposition, for people.
    pub reason: String,
}

/// A selection that can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// Text that is no regex.
    #[error("'{pattern}' is not a regular expression: {reason}")]
    InvalidRegex {
        /// Text of the pattern.
        pattern: String,
        /// Error of the pattern.
        reason: String,
    },
    /// No image is left to build.
    #[error("no image matches {}{}", quoted(.patterns), suggestion(.nearest))]
    NothingMatched {
        /// Patterns that were asked for.
        patterns: Vec<String>,
        /// Images with similar names.
        nearest: Vec<String>,
    },
}

fn quoted(patterns: &[String]) -> String {
    patterns.iter().map(|pattern| format!("'{pattern}'")).collect::<Vec<_>>().join(", ")
}

fn suggestion(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!("; the nearest names are {}", nearest.join(", ")) }
}

/// Decides about every image, in the order of the graph's nodes.
///
/// Regexes are searched for anywhere in a name; those of profiles count only when there are no others. What a matched
/// image is built on is matched too. An image is unbuildable when it, or anything it is built on, is known to be.
pub fn select(
    graph: &ImageGraph,
    selection: &Selection,
    base: &str,
    arch: Arch,
) -> Result<Vec<SelectionDecision>, SelectError> {
    let patterns = if selection.regexes.is_empty() { &selection.profile_regexes } else { &selection.regexes };
    let regexes = patterns
        .iter()
        .map(|pattern| {
            Regex::new(pattern).map_err(|error| SelectError::InvalidRegex {
                pattern: pattern.clone(),
                reason: error.to_string(),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let unbuildable = unbuildable(selection, arch);
    let blocking = blocking(graph, &unbuildable);
    let why_matched = |(node, blocking): (&GraphImage, &Option<&str>)| {
        let hit = patterns
            .iter()
            .zip(&regexes)
            .find(|(_, regex)| regex.is_match(node.name.as_str()).unwrap_or(false));
        match hit {
            _ if blocking.is_some() => None,
            Some((pattern, _)) => Some(format!("matches '{pattern}'")),
            None => patterns.is_empty().then(|| "every image is asked for".to_string()),
        }
    };
    let matched: Vec<Option<String>> = graph.nodes().iter().zip(&blocking).map(why_matched).collect();
    if matched.iter().all(Option::is_none) {
        let names: Vec<&str> = graph.nodes().iter().map(|node| node.name.as_str()).collect();
        let mut near: Vec<String> = Vec::new();
        for name in patterns.iter().flat_map(|pattern| near_pattern(pattern, names.iter().copied())) {
            if !near.iter().any(|known| known == name) {
                near.push(name.to_string());
            }
        }
        return Err(SelectError::NothingMatched { patterns: patterns.clone(), nearest: near });
    }
    let needed_by = needed_by(graph, &matched);
    let decide = |(index, node): (usize, &GraphImage)| {
        let decision = |disposition, reason: String| SelectionDecision { disposition, reason };
        if let Some(cause) = blocking[index] {
            let reason = if node.name == cause {
                format!("does not build on {base} {}", arch.kolla())
            } else {
                format!("{cause}, which it is built on, does not build on {base} {}", arch.kolla())
            };
            return decision(Disposition::Unbuildable, reason);
        }
        let why = match (&matched[index], needed_by[index]) {
            (Some(why), _) => why.clone(),
            (None, Some(child)) => format!("{} is built on it", graph.nodes()[child].name),
            (None, None) => return decision(Disposition::Unmatched, "nothing asks for it".to_string()),
        };
        if selection.skip_parents && node.is_needed {
            return decision(Disposition::Skipped, "skip_parents, and images are built on it".to_string());
        }
        decision(Disposition::Build, why)
    };
    Ok(graph.nodes().iter().enumerate().map(decide).collect())
}

/// Names from every set whose tag consists of nothing but this distro's words and this architecture.
fn unbuildable(selection: &Selection, arch: Arch) -> BTreeSet<&str> {
    let is_ours = |word: &str| word == arch.kolla() || selection.distro_words.iter().any(|own| own == word);
    let applies = |tag: &str| tag.split('+').all(is_ours);
    selection
        .unbuildable
        .iter()
        .filter(|(tag, _)| applies(tag))
        .flat_map(|(_, names)| names.iter().map(String::as_str))
        .collect()
}

/// For every image, itself or the nearest thing it is built on that is known not to build.
fn blocking<'a>(graph: &'a ImageGraph, unbuildable: &BTreeSet<&str>) -> Vec<Option<&'a str>> {
    let mut blocking: Vec<Option<&str>> = Vec::with_capacity(graph.nodes().len());
    // Parents come first, so theirs are known.
    for node in graph.nodes() {
        let is_blocked = unbuildable.contains(node.name.as_str());
        let inherited = || node.needs.iter().find_map(|needed| blocking[*needed]);
        blocking.push(if is_blocked { Some(&node.name) } else { inherited() });
    }
    blocking
}

/// For every image, the last matched one that is built on it.
fn needed_by(graph: &ImageGraph, matched: &[Option<String>]) -> Vec<Option<usize>> {
    let mut needed_by = vec![None; matched.len()];
    for (index, node) in graph.nodes().iter().enumerate().rev() {
        for parent in &node.needs {
            let own = matched[index].is_some().then_some(index);
            needed_by[*parent] = needed_by[*parent].max(needed_by[index]).max(own);
        }
    }
    needed_by
}

#[cfg(test)]
mod tests {
    use super::super::tests::graph;
    use std::collections::BTreeMap;

    use super::*;

    fn tree() -> ImageGraph {
        graph(&[
            ("base", "debian"),
            ("openstack-base", "kolla/p-base:t"),
            ("nova-base", "kolla/p-openstack-base:t"),
            ("nova-api", "kolla/p-nova-base:t"),
            ("tgtd", "kolla/p-base:t"),
        ])
        .expect("a tree")
    }

    fn decide(selection: &Selection) -> Vec<(String, Disposition)> {
        let tree = tree();
        let decisions = select(&tree, selection, "rocky", Arch::Aarch64).expect("something matches");
        tree.nodes()
            .iter()
            .map(|n| n.name.to_string())
            .zip(decisions.into_iter().map(|d| d.disposition))
            .collect()
    }

    fn with(disposition: Disposition, decisions: &[(String, Disposition)]) -> Vec<&str> {
        decisions.iter().filter(|(_, d)| *d == disposition).map(|(name, _)| name.as_str()).collect()
    }

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| word.to_string()).collect()
    }

    #[test]
    fn a_match_brings_what_it_is_built_on() {
        let decisions = decide(&Selection { regexes: strings(&["nova-a"]), ..Selection::default() });
        assert_eq!(with(Disposition::Build, &decisions), ["base", "openstack-base", "nova-base", "nova-api"]);
        assert_eq!(with(Disposition::Unmatched, &decisions), ["tgtd"]);
    }

    #[test]
    fn profiles_count_only_without_regexes() {
        let both = Selection {
            regexes: strings(&["^tgtd$"]),
            profile_regexes: strings(&["nova"]),
            ..Selection::default()
        };
        assert_eq!(with(Disposition::Build, &decide(&both)), ["base", "tgtd"]);
        let profile = Selection { regexes: Vec::new(), ..both };
        assert_eq!(with(Disposition::Unmatched, &decide(&profile)), ["tgtd"]);
    }

    #[test]
    fn unbuildable_is_inherited_and_its_sets_must_apply_as_a_whole() {
        let sets = BTreeMap::from([
            ("rocky+aarch64".to_string(), strings(&["nova-base"])),
            ("ubuntu+aarch64".to_string(), strings(&["base"])),
            ("x86_64".to_string(), strings(&["tgtd"])),
        ]);
        let distro_words = strings(&["rocky"]);
        let decisions = decide(&Selection { unbuildable: sets, distro_words, ..Selection::default() });
        assert_eq!(with(Disposition::Unbuildable, &decisions), ["nova-base", "nova-api"]);
    }

    #[test]
    fn skip_parents_leaves_out_what_has_children() {
        let decisions = decide(&Selection { skip_parents: true, ..Selection::default() });
        assert_eq!(with(Disposition::Build, &decisions), ["tgtd", "nova-api"]);
        assert_eq!(with(Disposition::Skipped, &decisions), ["base", "openstack-base", "nova-base"]);
    }

    #[test]
    fn what_is_copied_from_counts_like_what_is_built_on() {
        let tree =
            graph(&[("base", "debian"), ("tools", "debian"), ("a", "kolla/p-base:t + kolla/p-tools:t")])
                .expect("a tree");
        let decided = |selection: &Selection| -> Vec<Disposition> {
            let decisions = select(&tree, selection, "rocky", Arch::Aarch64).expect("something matches");
            decisions.into_iter().map(|decision| decision.disposition).collect()
        };
        use Disposition::{Build, Skipped, Unbuildable};
        let only_a = Selection { regexes: strings(&["^a$"]), ..Selection::default() };
        assert_eq!(decided(&only_a), [Build, Build, Build]);
        assert_eq!(decided(&Selection { skip_parents: true, ..only_a }), [Skipped, Skipped, Build]);
        let unbuildable = BTreeMap::from([("aarch64".to_string(), strings(&["tools"]))]);
        assert_eq!(
            decided(&Selection { unbuildable, ..Selection::default() }),
            [Build, Unbuildable, Unbuildable]
        );
    }

    #[test]
    fn pythons_lookarounds_work() {
        let decisions = decide(&Selection { regexes: strings(&["^(?!nova).*d$"]), ..Selection::default() });
        assert_eq!(with(Disposition::Build, &decisions), ["base", "tgtd"]);
    }

    #[test]
    fn nothing_matched_names_the_nearest() {
        let select = |pattern: &str| {
            let selection = Selection { regexes: strings(&[pattern]), ..Selection::default() };
            select(&tree(), &selection, "rocky", Arch::Aarch64).expect_err("no match").to_string()
        };
        assert_eq!(
            select("^nova-apo$"),
            "no image matches '^nova-apo$'; the nearest names are nova-api, nova-base"
        );
        assert_eq!(select("zzz"), "no image matches 'zzz'");
        assert!(select("(").starts_with("'(' is not a regular expression"));
    }
}
