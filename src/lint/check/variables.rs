//! Variables that no image reads, or not before something else sets them [pure].

use std::collections::BTreeSet;

use super::lists::{CustomizableLists, InImages};
use super::warnings::Warnings;
use crate::lint::names::FirstUse;
use crate::lint::outline::{Outline, Set};
use crate::lint::tree::TreeOutline;
use crate::template::overrides::MergedOverride;
use crate::template::render::RenderedDockerfile;
use crate::util::nearest::nearest;

/// Endings that `customizable` adds to a list's name to find its variables.
const ACTIONS: [&str; 3] = ["_append", "_remove", "_override"];

/// Facts that decide whether the variables of an override have an effect.
pub struct Variables<'a> {
    /// The override files, merged into one.
    pub merged: &'a MergedOverride,
    /// Outline of the merged files.
    pub overrides: &'a Outline,
    /// Names that the override itself reads.
    pub names: &'a BTreeSet<&'a str>,
    /// Outline of the image tree.
    pub tree: &'a TreeOutline,
    /// Lists that the tree lets overrides customise.
    pub lists: &'a CustomizableLists<'a>,
    /// The tree as rendered with the override for each platform.
    pub rendered: &'a [&'a [RenderedDockerfile]],
}

impl Variables<'_> {
    /// Warns of variables without effect.
    pub fn check(&self, warnings: &mut Warnings) {
        for set in &self.overrides.sets {
            match ACTIONS.into_iter().find(|action| set.name.ends_with(action)) {
                Some(action) => self.of_list(set, action, warnings),
                None => self.of_image(set, warnings),
            }
        }
    }

    /// A variable that adds to a list, removes from it or replaces it.
    fn of_list(&self, set: &Set, action: &str, warnings: &mut Warnings) {
        let name = &set.name;
        let list = &name[..name.len() - action.len()];
        // The override may well read it itself, and so may the tree.
        if self.names.contains(name.as_str()) || self.tree.uses(name) {
            return;
        }
        let Some(images) = self.lists.known.get(list) else {
            return warnings
                .add(set.line, format_args!("no image reads '{name}': {}", self.advice(list, action)));
        };
        if let Some(scope) = &set.scope {
            let message = format_args!(
                "'{name}' is set inside {scope}, where customizable does not see it: set it at the top level"
            );
            warnings.add(set.line, message);
        } else if !self.lists.reached.contains(list) {
            let images = InImages(images);
            let message = format_args!("'{name}' has no effect on this distro and architecture ({images})");
            warnings.add_elsewhere(set.line, message);
        } else if let Some(again) = self.set_again(set) {
            let place = self.merged.locate(again);
            let place = place.map_or(String::new(), |(file, line)| format!(" at {}:{line}", file.display()));
            warnings
                .add(set.line, format_args!("'{name}' is set again{place}, and only the last one counts"));
        }
    }

    /// The line at which a later `set` makes this one useless.
    fn set_again(&self, set: &Set) -> Option<usize> {
        let later = self.overrides.sets.iter().filter(|other| {
            other.name == set.name && other.line > set.line && other.scope.is_none() && !other.conditional
        });
        let builds_on = |other: &Set| other.value.contains(&set.name);
        later.filter(|other| !builds_on(other)).map(|other| other.line).next()
    }

    /// Where to look for the list that was meant.
    fn advice(&self, list: &str, action: &str) -> String {
        // What this distro and architecture use is more likely meant than what others do.
        let best = nearest(list, self.lists.reached.iter().copied(), 1);
        let best =
            best.into_iter().chain(nearest(list, self.lists.known.keys().map(String::as_str), 1)).next();
        if let Some(best) = best {
            return format!("did you mean '{best}{action}' ({})?", InImages(&self.lists.known[best]));
        }
        let image = self.tree.images().filter(|image| {
            list.strip_prefix(&image.replace('-', "_")).is_some_and(|rest| rest.starts_with('_'))
        });
        match image.max_by_key(|image| image.len()) {
            Some(image) => format!("{image} has no such list that can be customised"),
            None => "kolla-build --list-blocks lists what can be customised".to_owned(),
        }
    }

    /// Any other variable: of no use where each image sets it itself before it reads it.
    fn of_image(&self, set: &Set, warnings: &mut Warnings) {
        let name = &set.name;
        if name.starts_with('_') || set.scope.is_some() || self.names.contains(name.as_str()) {
            return;
        }
        let mut lost: Option<(&str, &str, usize)> = None;
        for file in self.rendered.iter().copied().flatten() {
            match self.tree.first_use(&file.image, name) {
                None => {}
                Some((path, FirstUse::Sets(line))) if file.set_again.contains(name) => {
                    lost = lost.or(Some((&file.image, path, line)));
                }
                // It is of use to this one.
                Some(_) => return,
            }
        }
        let Some((image, path, line)) = lost else { return };
        let instead = self.instead(image, name);
        let message = format_args!(
            "'{name}' has no effect: image {image} sets it itself at {path}:{line}, before it reads it: {instead}"
        );
        warnings.add(set.line, message);
    }

    /// Advice on how to change a variable that an image sets itself.
    fn instead(&self, image: &str, name: &str) -> String {
        if let Some((_, found)) = self.tree.customized(image).find(|(_, found)| found.list == name) {
            let list = found.list_of(image);
            return format!("set '{list}_append', '{list}_remove' or '{list}_override'");
        }
        match self.tree.sets(image, name).find_map(|(_, set)| set.scope.as_deref()) {
            Some(scope) if scope.starts_with("block ") => format!("override {scope}, in which it is set"),
            _ => "override a block that uses it, or give the variable another name".to_owned(),
        }
    }
}
