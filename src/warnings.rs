//! Warnings about configuration that Kolla ignores in silence: options and sections that mean nothing.

use std::collections::BTreeSet;

use crate::config::build_toml::{PROFILES, UNBUILDABLE, distro_section};
use crate::config::layer::{DEFAULT, Layers, Place};
use crate::config::options::{OPTIONS, SOURCE_KEYS, USER_KEYS};
use crate::error::unknown_name;

/// One line for every option or section of a user's files that no part of the program reads.
pub fn unknown_settings(layers: &Layers, images: &[&str]) -> Vec<String> {
    let options: Vec<&str> = OPTIONS.iter().map(|option| option.name).collect();
    let mut warnings = Vec::new();
    let mut told_sections = BTreeSet::new();
    for entry in layers.entries() {
        let Place::File(..) = entry.place else { continue };
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

/// `image`, `image-plugin-x` or `image-additions-x` of an image that exists.
fn is_source(section: &str, images: &[&str]) -> bool {
    images.iter().any(|image| {
        section.strip_prefix(image).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with("-plugin-") || rest.starts_with("-additions-")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layer::Entry;

    #[test]
    fn what_nothing_reads_is_told_with_the_nearest_name() {
        let entry = |section: &str, key: &str| Entry {
            section: section.to_string(),
            key: key.to_string(),
            text: String::new(),
            place: Place::File("k.conf".into(), Some(7)),
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
