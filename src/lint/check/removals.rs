//! Variables of lists that came to nothing as the tree was rendered: what `_remove` names and no list holds, texts where
//! lists are meant, and variables that an `_override` makes useless [pure].

use std::collections::{BTreeMap, BTreeSet};

use super::lists::InImages;
use super::warnings::Warnings;
use crate::lint::outline::Outline;
use crate::template::lookups::{Effect, ListLookup};
use crate::template::render::RenderedDockerfile;
use crate::util::nearest::hint;

/// Warns of what an override has asked of lists in vain.
pub fn check(overrides: &Outline, rendered: &[&[RenderedDockerfile]], warnings: &mut Warnings) {
    let mut outcome = ListOutcome::default();
    for file in rendered.iter().copied().flatten() {
        for lookup in &file.lookups {
            outcome.note(&file.image, lookup);
        }
    }
    for (list, RemovedItems { images, removed, missing, held }) in outcome.removals {
        let images = InImages(&images);
        for item in missing.difference(&removed) {
            let hint = hint(item, held.iter().copied());
            let message =
                format_args!("'{item}' is not in the list that {list}_remove is for ({images}){hint}");
            warnings.add(line_of(overrides, &format!("{list}_remove"), Some(item)), message);
        }
    }
    for name in outcome.by_letter {
        let message =
            format!("'{name}' is a text, whose letters would be taken for items: write a list, ['...']");
        warnings.add(line_of(overrides, &name, None), message);
    }
    for (name, list) in outcome.ignored {
        let message = format_args!("'{name}' has no effect, because {list}_override is set");
        warnings.add(line_of(overrides, name, None), message);
    }
}

/// Effects of list variables in every image.
#[derive(Default)]
struct ListOutcome<'a> {
    removals: BTreeMap<&'a str, RemovedItems<'a>>,
    /// Variables that an override of their list makes useless, each with the list.
    ignored: BTreeMap<&'a str, &'a str>,
    /// Variables that are texts, whose letters were taken for items.
    by_letter: BTreeSet<String>,
}

/// Effects of one `_remove` variable in all the lists that it applies to.
#[derive(Default)]
struct RemovedItems<'a> {
    images: BTreeSet<&'a str>,
    removed: BTreeSet<&'a str>,
    missing: BTreeSet<&'a str>,
    held: BTreeSet<&'a str>,
}

impl<'a> ListOutcome<'a> {
    fn note(&mut self, image: &'a str, lookup: &'a ListLookup) {
        match &lookup.effect {
            Effect::Replaced { ignored, by_text } => {
                self.ignored.extend(ignored.iter().map(|name| (name.as_str(), lookup.list.as_str())));
                self.by_letter.extend(by_text.then(|| format!("{}_override", lookup.list)));
            }
            Effect::Edited { removed, missing, held, letters, .. } => {
                self.by_letter.extend(letters.iter().cloned());
                if letters.iter().any(|name| name.ends_with("_remove")) {
                    return;
                }
                let removal = self.removals.entry(&lookup.list).or_default();
                removal.images.insert(image);
                removal.removed.extend(removed.iter().map(String::as_str));
                removal.missing.extend(missing.iter().map(String::as_str));
                removal.held.extend(held.iter().map(String::as_str));
            }
            Effect::Undefined | Effect::Unchanged => {}
        }
    }
}

/// The line of the `set`, or of the item in it.
fn line_of(overrides: &Outline, name: &str, item: Option<&str>) -> usize {
    let mut sets = overrides.sets.iter().filter(|set| set.name == name && set.scope.is_none()).rev();
    let of_item = item.and_then(|item| sets.clone().find_map(|set| set.line_of(item)));
    of_item.or_else(|| sets.next().map(|set| set.line)).unwrap_or(1)
}
