//! Warnings about names and regexes of images that are those of no image [pure].

use std::fmt::Display;

use fancy_regex::Regex;

use crate::config::keys::DEFAULT;
use crate::config::keys::{PROFILES, UNBUILDABLE};
use crate::config::layer::{Entry, Layers, SetAt};
use crate::model::plan::{BuildPlan, Disposition};
use crate::model::platform::Arch;
use crate::util::nearest::{self, near_pattern};

/// Regexes that choose images and match none, or none that can be built, where others do.
pub fn idle_patterns(layers: &Layers, plan: &BuildPlan) -> Vec<String> {
    let images: Vec<&str> = plan.units.iter().map(|unit| unit.image.as_str()).collect();
    let told = patterns(layers).into_iter().filter_map(|(entry, pattern)| {
        let regex = Regex::new(&pattern).ok()?;
        let matched = plan.units.iter().filter(|unit| regex.is_match(unit.image.as_str()).unwrap_or(false));
        let matched: Vec<_> = matched.collect();
        let what = if matched.is_empty() {
            let near = match near_pattern(&pattern, images.iter().copied()).as_slice() {
                [] => String::new(),
                near => format!("; the nearest names are {}", near.join(", ")),
            };
            format!("'{pattern}' matches no image{near}")
        } else if matched.iter().all(|unit| unit.disposition == Disposition::Unbuildable) {
            let mut names: Vec<&str> = matched.iter().map(|unit| unit.image.as_str()).collect();
            names.dedup();
            format!("'{pattern}' matches only images known not to build here: {}", names.join(", "))
        } else {
            return None;
        };
        Some(placed(entry, what))
    });
    told.collect()
}

/// The regexes that count, with the entries they stand in. Those of the profiles that trees bring along may be for
/// more images than a tree has.
fn patterns(layers: &Layers) -> Vec<(&Entry, String)> {
    let regexes = in_section(layers, DEFAULT).filter(|entry| entry.key == "regex");
    let regexes: Vec<_> = regexes.zip(layers.many("regex").unwrap_or_default()).collect();
    if !regexes.is_empty() {
        return regexes;
    }
    let profiles = layers.many("profile").unwrap_or_default();
    let chosen = profiles.iter().filter_map(|name| layers.entry(PROFILES, name));
    let own = chosen.filter(|entry| entry.place.is_users());
    own.flat_map(|entry| {
        let patterns = layers.list(PROFILES, &entry.key).unwrap_or_default();
        patterns.into_iter().map(move |pattern| (entry, pattern))
    })
    .collect()
}

/// Images that the user's files call allowed to fail or not buildable, and that there are not.
pub fn unknown_images(layers: &Layers, images: &[&str]) -> Vec<String> {
    let allowed = layers.entry(DEFAULT, "allowed_to_fail");
    let unbuildable = in_section(layers, UNBUILDABLE);
    let lists = allowed.into_iter().chain(unbuildable).filter(|entry| entry.place.is_users());
    let mut told = Vec::new();
    for entry in lists {
        for name in layers.list(&entry.section, &entry.key).unwrap_or_default() {
            if !name.is_empty() && !images.contains(&name.as_str()) {
                let hint = nearest::hint(&name, images.iter().copied());
                told.push(placed(entry, format_args!("there is no image '{name}'{hint}")));
            }
        }
    }
    told
}

/// Sets of images that do not build for a distro or an architecture that there is not.
pub fn unknown_sets(layers: &Layers, distros: &[&str]) -> Vec<String> {
    let known: Vec<&str> = distros.iter().copied().chain(Arch::ALL.map(Arch::kolla)).collect();
    let own = in_section(layers, UNBUILDABLE).filter(|entry| entry.place.is_users());
    let unknown = own.flat_map(|entry| entry.key.split('+').map(move |word| (entry, word)));
    let unknown = unknown.filter(|(_, word)| !known.contains(word));
    unknown
        .map(|(entry, word)| {
            let hint = nearest::hint(word, known.iter().copied());
            placed(entry, format_args!("'{word}' is neither a distro nor an architecture{hint}"))
        })
        .collect()
}

fn in_section<'a>(layers: &'a Layers, section: &'a str) -> impl Iterator<Item = &'a Entry> {
    layers.entries().iter().filter(move |entry| entry.section == section)
}

/// A warning at the place of an entry.
fn placed(entry: &Entry, what: impl Display) -> String {
    match &entry.place {
        SetAt::CommandLine => what.to_string(),
        place => format!("{place}: [{}] {}: {what}", entry.section, entry.key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::plan::{Parent, PlannedUnit};
    use crate::model::platform::Platform;
    use crate::testing::named;

    fn layers(entries: &[(&str, &str, &str, SetAt)]) -> Layers {
        let mut layers = Layers::default();
        layers.push(entries.iter().map(|(section, key, text, place)| Entry {
            section: section.to_string(),
            key: key.to_string(),
            text: text.to_string(),
            place: place.clone(),
        }));
        layers
    }

    fn plan(images: &[(&str, Disposition)]) -> BuildPlan {
        let unit = |(image, disposition): &(&str, Disposition)| PlannedUnit {
            image: (*image).into(),
            platform: Platform::new(Arch::X86_64),
            reference: named(&format!("kolla/{image}:t")),
            list: None,
            parent: Parent::Base("debian".to_string()),
            named: Vec::new(),
            disposition: *disposition,
            reason: String::new(),
        };
        BuildPlan { units: images.iter().map(unit).collect() }
    }

    fn file() -> SetAt {
        SetAt::File("k.conf".into(), Some(2))
    }

    #[test]
    fn regexes_that_match_nothing_are_told_with_the_nearest_names() {
        let plan = plan(&[
            ("keystone", Disposition::Build),
            ("mariadb-server", Disposition::Unmatched),
            ("tgtd", Disposition::Unbuildable),
        ]);
        let asked =
            ["keystone", "^mariabd", "tgt", "zzz"].map(|it| (DEFAULT, "regex", it, SetAt::CommandLine));
        assert_eq!(
            idle_patterns(&layers(&asked), &plan),
            [
                "'^mariabd' matches no image; the nearest names are mariadb-server",
                "'tgt' matches only images known not to build here: tgtd",
                "'zzz' matches no image",
            ]
        );
        let profiles = [
            (PROFILES, "shipped", "nosuch", SetAt::BuiltIn),
            (PROFILES, "mine", "keystone,keystoen", file()),
            (PROFILES, "unused", "nosuch", file()),
            (DEFAULT, "profile", "mine", SetAt::CommandLine),
            (DEFAULT, "profile", "shipped", SetAt::CommandLine),
        ];
        assert_eq!(
            idle_patterns(&layers(&profiles), &plan),
            ["k.conf:2: [profiles] mine: 'keystoen' matches no image; the nearest names are keystone"]
        );
    }

    #[test]
    fn names_of_no_image_and_sets_for_no_distro() {
        let layers = layers(&[
            (UNBUILDABLE, "rocky", "of-other-trees", SetAt::BuiltIn),
            (UNBUILDABLE, "debain+aarch64", "keystone,nova", file()),
            (DEFAULT, "allowed_to_fail", "keystoen,", file()),
        ]);
        assert_eq!(
            unknown_images(&layers, &["keystone"]),
            [
                "k.conf:2: [DEFAULT] allowed_to_fail: there is no image 'keystoen': did you mean 'keystone'?",
                "k.conf:2: [unbuildable] debain+aarch64: there is no image 'nova'",
            ]
        );
        assert_eq!(
            unknown_sets(&layers, &["debian", "rocky"]),
            [
                "k.conf:2: [unbuildable] debain+aarch64: 'debain' is neither a distro nor an architecture: did you mean \
              'debian'?"
            ]
        );
    }
}
