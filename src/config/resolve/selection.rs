//! Which images are asked for [pure].

use std::collections::BTreeMap;

use crate::config::keys::{PROFILES, UNBUILDABLE};
use crate::config::layer::{Layers, SetAt, ValueError, value_error};
use crate::config::meaning;
use crate::config::resolved::Selection;
use crate::util::nearest;

/// The selection, on all platforms; `distro_words` are the words that stand for the distribution in lists of unbuildable
/// images.
pub(super) fn selection(layers: &Layers, distro_words: Vec<String>) -> Result<Selection, ValueError> {
    let mut profile_regexes = Vec::new();
    for name in layers.many("profile")? {
        profile_regexes.extend(profile(layers, &name)?);
    }
    let mut unbuildable = BTreeMap::new();
    if !layers.flag("enable_unbuildable")? {
        for entry in layers.entries().iter().filter(|entry| entry.section == UNBUILDABLE) {
            unbuildable.insert(entry.key.clone(), layers.list(UNBUILDABLE, &entry.key)?);
        }
    }
    Ok(Selection {
        distro_words,
        regexes: layers.many("regex")?,
        profile_regexes,
        unbuildable,
        skip_parents: layers.flag("skip_parents")?,
        skip_existing: layers.flag("skip_existing")?,
        affected_since: layers.option("affected_since")?,
        only_platform: None,
    })
}

/// The regexes of a profile.
fn profile(layers: &Layers, name: &str) -> Result<Vec<String>, ValueError> {
    let images = layers.list(PROFILES, name)?;
    if let Some(reason) = images.iter().find_map(|pattern| meaning::regex(pattern).err())
        && let Some(entry) = layers.entry(PROFILES, name)
    {
        return Err(value_error(entry, reason));
    }
    if !images.is_empty() {
        return Ok(images);
    }
    let profiles = layers.entries().iter().filter(|entry| entry.section == PROFILES);
    let known: Vec<&str> = profiles.map(|entry| entry.key.as_str()).collect();
    let hint = nearest::hint(name, known.iter().copied());
    let entry = layers.entries().iter().find(|entry| entry.key == "profile" && entry.text == name);
    let place = entry.map_or(SetAt::CommandLine, |entry| entry.place.clone());
    let reason = format!("there is no profile '{name}'{hint} (known: {})", known.join(", "));
    Err(ValueError::at(place, "profile", reason))
}
