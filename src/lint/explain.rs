//! Where the blocks and lists of one image come from, and what overrides make of its Dockerfile.

use std::fmt::Write;

use similar::TextDiff;

use super::outline::Outline;
use super::tree::TreeOutline;
use crate::template::catalog::TemplateCatalog;
use crate::template::lookups::{Effect, ListLookup};
use crate::template::overrides::MergedOverride;
use crate::template::render::RenderedDockerfile;

/// An image of a tree and what it is explained with.
pub struct Explained<'a> {
    /// Name of the image.
    pub image: &'a str,
    /// Files of the tree.
    pub catalog: &'a TemplateCatalog,
    /// Blocks and lists that the tree offers to overrides.
    pub tree: &'a TreeOutline,
    /// The merged overrides and their outline, when there are any.
    pub overrides: Option<(&'a MergedOverride, &'a Outline)>,
}

impl Explained<'_> {
    /// The blocks of the image, with the override that replaces each.
    pub fn blocks(&self) -> String {
        let blocks: Vec<_> = self.tree.blocks(self.image).collect();
        let width = blocks.iter().map(|(_, block)| block.name.len()).max().unwrap_or(0);
        let mut out = String::from("blocks\n");
        for (path, block) in blocks {
            _ = write!(out, "  {:width$}  {}", block.name, self.place(path, block.line));
            if let Some((merged, outline)) = self.overrides {
                let own = outline.blocks.iter().find(|own| own.name == block.name);
                if let Some(own) = own.filter(|_| outline.extends) {
                    let verb = if own.keeps { "extended" } else { "replaced" };
                    _ = write!(out, ", {verb} at {}", override_place(merged, own.line));
                }
            }
            out.push('\n');
        }
        out
    }

    /// The lists of the image, and what became of each in one rendering.
    pub fn lists(&self, lookups: &[ListLookup]) -> String {
        let mut out = String::from("lists\n");
        for (path, found) in self.tree.customized(self.image) {
            let list = found.list_of(self.image);
            _ = write!(out, "  {list}  {}", self.place(path, found.line));
            if let Some(receiver) = found.receiver.as_deref()
                && let Some((path, line)) = self.tree.find_macro(self.image, receiver)
            {
                _ = write!(out, ", for {receiver} ({})", self.place(path, line));
            }
            out.push('\n');
            let sets = self.tree.sets(self.image, &found.list);
            let places: Vec<String> = sets.map(|(path, set)| self.place(path, set.line)).collect();
            if !places.is_empty() {
                _ = writeln!(out, "    {} is set at {}", found.list, places.join(", "));
            }
            let lookup = lookups.iter().find(|lookup| lookup.list == list);
            self.effect(&list, lookup.map(|lookup| &lookup.effect), &mut out);
        }
        out
    }

    /// The effect on a list; none when no rendering came by it.
    fn effect(&self, list: &str, effect: Option<&Effect>, out: &mut String) {
        match effect {
            None => out.push_str("    not used on this distro and architecture\n"),
            Some(Effect::Undefined) => out.push_str("    has no value on this distro and architecture\n"),
            Some(Effect::Unchanged) => {}
            Some(Effect::Replaced { .. }) => self.variable(list, "override", "replaced", &[], out),
            Some(Effect::Edited { appended, removed, missing, .. }) => {
                self.variable(list, "append", "gains", appended, out);
                self.variable(list, "remove", "loses", removed, out);
                self.variable(list, "remove", "does not hold", missing, out);
            }
        }
    }

    fn variable(&self, list: &str, action: &str, verb: &str, items: &[String], out: &mut String) {
        let name = format!("{list}_{action}");
        let set = self.overrides.and_then(|(merged, outline)| {
            let set = outline.sets.iter().rev().find(|set| set.name == name && set.scope.is_none())?;
            Some(override_place(merged, set.line))
        });
        _ = match set {
            Some(place) if action == "override" => writeln!(out, "    {verb} at {place}"),
            Some(place) if !items.is_empty() => writeln!(out, "    {verb} {} at {place}", items.join(", ")),
            _ => Ok(()),
        };
    }

    fn place(&self, path: &str, line: usize) -> String {
        format!("{}:{line}", self.catalog.short_path(path))
    }
}

fn override_place(merged: &MergedOverride, line: usize) -> String {
    merged.locate(line).map_or(String::new(), |(file, line)| format!("{}:{line}", file.display()))
}

/// A unified diff of an image's Dockerfile without and with overrides; empty when they change nothing.
pub fn diff(without: &RenderedDockerfile, with: &RenderedDockerfile) -> String {
    let name = format!("{}/Dockerfile", with.dir);
    TextDiff::from_lines(&without.text, &with.text)
        .unified_diff()
        .header(&format!("{name} (without overrides)"), &format!("{name} (with overrides)"))
        .to_string()
}
