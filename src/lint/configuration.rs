//! Warnings about configuration that Kolla ignores in silence: what means nothing, or not what it seems to [pure].

use std::collections::BTreeSet;

use super::selection;
use crate::config::keys::{DEFAULT, PROFILES, SOURCE_KEYS, UNBUILDABLE, USER_KEYS, distro_section};
use crate::config::layer::{Entry, Layers, SetAt, ValueError, has_comment, value_error};
use crate::config::options::Meaning;
use crate::config::resolved::Config;
use crate::config::sections::is_source;
use crate::config::tasks;
use crate::model::plan::BuildPlan;
use crate::util::nearest::unknown_name;
use crate::util::secrets::masked;

/// One line for everything in a configuration that does not do what it seems to.
pub fn about(config: &Config, images: &[&str], plan: &BuildPlan) -> Result<Vec<String>, ValueError> {
    let layers = config.layers();
    let prefix = distro_section("");
    let distros = layers.sections().iter().filter_map(|section| section.strip_prefix(&prefix));
    let distros: Vec<&str> =
        distros.chain(config.selection.distro_words.iter().map(String::as_str)).collect();
    let mut warnings = unknown_settings(layers, images);
    warnings.extend(comments(layers));
    warnings.extend(tasks::without_effect(layers)?);
    warnings.extend(names(config));
    warnings.extend(selection::idle_patterns(layers, plan));
    warnings.extend(selection::unknown_images(layers, images));
    warnings.extend(selection::unknown_sets(layers, &distros));
    Ok(warnings)
}

/// Values that seem to end in a comment, and have it in them.
fn comments(layers: &Layers) -> impl Iterator<Item = String> {
    // A comment in prose is prose.
    let is_prose = |entry: &Entry| {
        layers.options().find(&entry.key).is_some_and(|option| option.meaning == Meaning::Prose)
    };
    let with = layers.entries().iter().filter(move |entry| has_comment(entry) && !is_prose(entry));
    with.map(|entry| {
        let reason = format!(
            "the comment in '{}' is part of the value: give it a line of its own",
            masked(&entry.key, &entry.text)
        );
        value_error(entry, reason).to_string()
    })
}

/// Warnings about values that engines take otherwise than was probably meant, and that this tree has no use for.
fn names(config: &Config) -> Vec<String> {
    let layers = config.layers();
    let mut warnings = Vec::new();
    if let Some(registry) = config.names.registry.as_ref().filter(|registry| !registry.is_host()) {
        let reason = format!(
            "engines take '{registry}' for a namespace of their default registry, not for a host: a host has a dot or a \
             port"
        );
        warnings.push(ValueError::of(layers, "registry", reason).to_string());
    }
    // On the command line it is refused.
    let unused = layers.entry(DEFAULT, "install_type").filter(|_| config.install_type.is_none());
    if unused.is_some_and(|entry| entry.place.is_users()) {
        let reason = "this tree has no install types: everything comes from source".to_owned();
        warnings.push(ValueError::of(layers, "install_type", reason).to_string());
    }
    warnings
}

/// One line for every option or section of a user's files that no part of the program reads.
pub(crate) fn unknown_settings(layers: &Layers, images: &[&str]) -> Vec<String> {
    let options: Vec<&str> = layers.options().names();
    let mut warnings = Vec::new();
    let mut told_sections = BTreeSet::new();
    for entry in layers.entries() {
        let SetAt::File(..) = entry.place else { continue };
        let section = entry.section.as_str();
        let known_keys: &[&str] = match section {
            DEFAULT => &options,
            PROFILES | UNBUILDABLE => continue,
            _ if section.starts_with(&distro_section("")) => continue,
            _ if section.ends_with("-user") => USER_KEYS,
            _ if is_source(section, images) => SOURCE_KEYS,
            _ => {
                if told_sections.insert(section) {
                    let known = images.iter().copied().chain([DEFAULT, PROFILES]);
                    warnings.push(format!("{}: {}", entry.place, unknown_name("section", section, known)));
                }
                continue;
            }
        };
        if !known_keys.contains(&entry.key.as_str()) {
            let unknown = unknown_name("option", &entry.key, known_keys.iter().copied());
            warnings.push(format!("{}: [{section}] {unknown}", entry.place));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_reads_is_told_with_the_nearest_name() {
        let entry = |section: &str, key: &str| Entry {
            section: section.to_string(),
            key: key.to_string(),
            text: String::new(),
            place: SetAt::File("k.conf".into(), Some(7)),
        };
        let mut layers = Layers::default();
        layers.push([
            entry(DEFAULT, "thread"),
            entry(DEFAULT, "threads"),
            entry("keyston-base", "type"),
            entry("keyston-base", "location"),
            entry("keystone-base", "locaton"),
            entry("keystone-base-plugin-x", "location"),
            entry("nova-user", "uid"),
        ]);
        assert_eq!(
            unknown_settings(&layers, &["keystone-base"]),
            [
                "k.conf:7: [DEFAULT] unknown option 'thread': did you mean 'threads'?",
                "k.conf:7: unknown section 'keyston-base': did you mean 'keystone-base'?",
                "k.conf:7: [keystone-base] unknown option 'locaton': did you mean 'location'?",
            ]
        );
    }
}
