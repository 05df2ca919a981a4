//! What of a repository goes, and what stays [pure].
//!
//! A manifest goes with all its tags, so it goes only when each of them may. What a manifest that stays names stays, and
//! what is attached to one that goes, goes with it.

use std::collections::{BTreeMap, BTreeSet};

use fancy_regex::Regex;
use jiff::Timestamp;
use serde::Serialize;

use super::cleanup::subject;
use crate::model::ids::Digest;

/// Which images may go.
#[derive(Debug)]
pub struct RetentionRules {
    /// Tags that may go.
    pub tags: Regex,
    /// Tags that stay all the same: those that images have as they are configured now.
    pub needed: BTreeSet<String>,
    /// Only what was made before this goes; none leaves that out.
    pub before: Option<Timestamp>,
    /// So many of those that may go stay, the newest ones.
    pub newest: usize,
    /// Digests that releases name.
    pub released: BTreeSet<Digest>,
}

impl RetentionRules {
    /// True when it matters how old an image is.
    pub fn ask_age(&self) -> bool {
        self.before.is_some() || self.newest > 0
    }

    /// True when an image may lose this tag.
    fn may_go(&self, tag: &str) -> bool {
        !self.needed.contains(tag) && self.tags.is_match(tag).unwrap_or(false)
    }
}

/// A manifest that a repository holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldManifest {
    /// Its tags, those of attachments included.
    pub tags: BTreeSet<String>,
    /// Manifests that it names, of a list.
    pub parts: Vec<Digest>,
    /// Manifests that are attached to it without a tag of their own.
    pub attached: Vec<Digest>,
    /// When its image was made, if it says so and somebody has asked.
    pub made: Option<Timestamp>,
}

/// All manifests of a repository that have a tag, and those that these name.
pub type HeldManifests = BTreeMap<Digest, HeldManifest>;

/// A manifest that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GoingManifest {
    /// Its digest.
    pub digest: Digest,
    /// Tags that go with it.
    pub tags: BTreeSet<String>,
    /// When its image was made, if that is known.
    pub made: Option<String>,
    /// The manifest that it is attached to, or a part of; none of an image that goes by itself.
    pub with: Option<Digest>,
}

/// A manifest whose tags might all go, and that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StayingManifest {
    /// Its digest.
    pub digest: Digest,
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// Why it stays, for people.
    pub reason: String,
}

/// What goes of a repository, and what stays of what might have gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RepositoryPrune {
    /// Manifests to delete, in this order: what is attached to one before it, a list before its parts.
    pub remove: Vec<GoingManifest>,
    /// Manifests that stay though all their tags may go.
    pub keep: Vec<StayingManifest>,
    /// How many tags of images may not go.
    pub other_tags: usize,
}

/// Images with tags that may all go, and the parts of those that are lists.
pub fn in_question(held: &HeldManifests, rules: &RetentionRules) -> BTreeSet<Digest> {
    let with_parts = |(digest, manifest): (&Digest, &HeldManifest)| {
        manifest.parts.iter().chain([digest]).cloned().collect::<Vec<_>>()
    };
    candidates(held, rules).flat_map(with_parts).collect()
}

/// Decides about every manifest.
pub fn decide(held: &HeldManifests, rules: &RetentionRules) -> RepositoryPrune {
    let mut prune = RepositoryPrune {
        other_tags: held.values().flat_map(image_tags).filter(|tag| !rules.may_go(tag)).count(),
        ..RepositoryPrune::default()
    };
    let by_age = by_age(held, rules);
    let mut staying: BTreeMap<&Digest, String> = BTreeMap::new();
    for (digest, manifest) in held {
        if rules.released.contains(digest) {
            staying.insert(digest, "a release names it".to_string());
        } else if image_tags(manifest).any(|tag| !rules.may_go(tag)) {
            staying.insert(digest, "another tag of it stays".to_string());
        } else if let Some(reason) = by_age.get(digest) {
            staying.insert(digest, reason.clone());
        }
    }
    let going = loop {
        keep_parts(held, &mut staying);
        let going = Going::of(held, rules, &staying);
        // What is attached to something that stays, stays, and what it names too.
        let left = held.iter().filter(|(digest, manifest)| {
            !manifest.tags.is_empty() && !going.has(digest) && !staying.contains_key(digest)
        });
        let left: Vec<&Digest> = left.map(|(digest, _)| digest).collect();
        if left.is_empty() {
            break going;
        }
        staying.extend(left.into_iter().map(|digest| (digest, "it is attached to what stays".to_string())));
    };
    prune.remove = going.order;
    for (digest, manifest) in candidates(held, rules) {
        if let Some(reason) = staying.get(digest) {
            let tags = manifest.tags.clone();
            prune.keep.push(StayingManifest { digest: digest.clone(), tags, reason: reason.clone() });
        }
    }
    prune
}

/// Tags that are images' own.
fn image_tags(manifest: &HeldManifest) -> impl Iterator<Item = &String> {
    manifest.tags.iter().filter(|tag| subject(tag).is_none())
}

/// Images whose tags may all go.
fn candidates<'a>(
    held: &'a HeldManifests,
    rules: &'a RetentionRules,
) -> impl Iterator<Item = (&'a Digest, &'a HeldManifest)> {
    held.iter().filter(|(digest, manifest)| {
        let mut tags = image_tags(manifest).peekable();
        tags.peek().is_some() && tags.all(|tag| rules.may_go(tag)) && !rules.released.contains(*digest)
    })
}

/// Candidates that stay for their age, with the reasons.
fn by_age<'a>(held: &'a HeldManifests, rules: &'a RetentionRules) -> BTreeMap<&'a Digest, String> {
    let mut reasons = BTreeMap::new();
    if !rules.ask_age() {
        return reasons;
    }
    let parts: BTreeSet<&Digest> = held.values().flat_map(|manifest| &manifest.parts).collect();
    let mut ages = Vec::new();
    for (digest, manifest) in candidates(held, rules) {
        match made(held, manifest) {
            None => {
                reasons.insert(digest, "it does not say when it was made".to_string());
            }
            Some(made) if rules.before.is_some_and(|before| made >= before) => {
                reasons.insert(digest, format!("it was made on {}", made.strftime("%Y-%m-%d")));
                ages.push((made, digest));
            }
            Some(made) => ages.push((made, digest)),
        }
    }
    // A part counts with its list.
    ages.retain(|(_, digest)| !parts.contains(digest));
    ages.sort_by(|one, other| other.cmp(one));
    for (_, digest) in ages.into_iter().take(rules.newest) {
        reasons.entry(digest).or_insert_with(|| format!("it is one of the {} newest", rules.newest));
    }
    reasons
}

/// When an image was made; of a list its newest part.
fn made(held: &HeldManifests, manifest: &HeldManifest) -> Option<Timestamp> {
    let parts = manifest.parts.iter().filter_map(|part| held.get(part)?.made);
    manifest.made.into_iter().chain(parts).max()
}

/// Adds what those that stay name.
fn keep_parts<'a>(held: &'a HeldManifests, staying: &mut BTreeMap<&'a Digest, String>) {
    let mut waiting: Vec<&Digest> = staying.keys().copied().collect();
    while let Some(digest) = waiting.pop() {
        let Some(manifest) = held.get(digest) else { continue };
        for part in manifest.parts.iter().chain(&manifest.attached) {
            let reason =
                format!("{} names it", manifest.tags.first().map_or(digest.as_str(), String::as_str));
            if !staying.contains_key(part) {
                staying.insert(part, reason);
                waiting.push(part);
            }
        }
    }
}

/// What goes, in the order in which it is to go.
struct Going<'a> {
    held: &'a HeldManifests,
    rules: &'a RetentionRules,
    staying: &'a BTreeMap<&'a Digest, String>,
    /// Manifests by what they are attached to by a tag.
    attachments: BTreeMap<Digest, BTreeSet<&'a Digest>>,
    seen: BTreeSet<&'a Digest>,
    order: Vec<GoingManifest>,
}

impl<'a> Going<'a> {
    fn of(
        held: &'a HeldManifests,
        rules: &'a RetentionRules,
        staying: &'a BTreeMap<&'a Digest, String>,
    ) -> Going<'a> {
        let mut attachments: BTreeMap<Digest, BTreeSet<&Digest>> = BTreeMap::new();
        for (digest, manifest) in held {
            for subject in manifest.tags.iter().filter_map(|tag| subject(tag)) {
                attachments.entry(subject).or_default().insert(digest);
            }
        }
        let mut going = Going { held, rules, staying, attachments, seen: BTreeSet::new(), order: Vec::new() };
        let parts: BTreeSet<&Digest> = held.values().flat_map(|manifest| &manifest.parts).collect();
        // Lists first: their parts go with them.
        let (of_lists, alone): (Vec<_>, Vec<_>) =
            candidates(held, rules).map(|(digest, _)| digest).partition(|digest| parts.contains(digest));
        for digest in alone.into_iter().chain(of_lists) {
            going.add(digest, None);
        }
        going
    }

    fn has(&self, digest: &Digest) -> bool {
        self.seen.contains(digest)
    }

    fn add(&mut self, digest: &'a Digest, with: Option<&'a Digest>) {
        let held = self.held;
        let Some(manifest) = held.get(digest) else { return };
        if self.staying.contains_key(digest)
            || !self.may_go(manifest, digest, with)
            || !self.seen.insert(digest)
        {
            return;
        }
        let tagged: Vec<&Digest> = self.attachments.get(digest).into_iter().flatten().copied().collect();
        for attachment in tagged.into_iter().chain(&manifest.attached) {
            self.add(attachment, Some(digest));
        }
        self.order.push(GoingManifest {
            digest: digest.clone(),
            tags: manifest.tags.clone(),
            made: made(held, manifest).map(|made| made.to_string()),
            with: with.cloned(),
        });
        for part in &manifest.parts {
            self.add(part, Some(digest));
        }
    }

    /// True when no tag keeps it: an image's own may go, and an attachment's is that of what goes.
    fn may_go(&self, manifest: &HeldManifest, digest: &Digest, with: Option<&Digest>) -> bool {
        manifest.tags.iter().all(|tag| match subject(tag) {
            Some(subject) => subject == *digest || with == Some(&subject) || self.seen.contains(&subject),
            None => self.rules.may_go(tag),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn names(digests: &[&str]) -> Vec<Digest> {
        digests.iter().map(|name| digest(name)).collect()
    }

    fn attached_to(name: &str, suffix: &str) -> String {
        format!("{}{suffix}", super::super::referrers::fallback_tag(&digest(name)))
    }

    /// Manifests by name, with tags, parts, and the days after 1970 when they were made.
    fn held(manifests: &[(&str, &[&str], &[&str], i64)]) -> HeldManifests {
        let manifest = |(name, tags, parts, days): &(&str, &[&str], &[&str], i64)| {
            let made = (*days > 0).then(|| Timestamp::from_second(days * 86400).expect("a time"));
            let tags = tags.iter().map(|tag| tag.to_string()).collect();
            (digest(name), HeldManifest { tags, parts: names(parts), attached: Vec::new(), made })
        };
        manifests.iter().map(manifest).collect()
    }

    fn rules(tags: &str) -> RetentionRules {
        RetentionRules {
            tags: Regex::new(tags).expect("a regex"),
            needed: ["now".to_string()].into(),
            before: None,
            newest: 0,
            released: BTreeSet::new(),
        }
    }

    fn removed(prune: &RepositoryPrune) -> Vec<Digest> {
        prune.remove.iter().map(|going| going.digest.clone()).collect()
    }

    fn reasons(prune: &RepositoryPrune) -> Vec<&str> {
        let mut reasons: Vec<&str> = prune.keep.iter().map(|kept| kept.reason.as_str()).collect();
        reasons.sort_unstable();
        reasons
    }

    #[test]
    fn a_manifest_goes_when_all_its_tags_may() {
        let held = held(&[
            ("a", &["1", "2"], &[], 0),
            ("b", &["1.1", "stable"], &[], 0),
            ("c", &["now", "1.2"], &[], 0),
            ("d", &["other"], &[], 0),
        ]);
        let prune = decide(&held, &rules("^[0-9]|now"));
        assert_eq!(removed(&prune), names(&["a"]));
        assert_eq!((prune.other_tags, prune.keep.len()), (3, 0));
        assert_eq!(decide(&held, &rules("^nothing$")).remove, []);
    }

    #[test]
    fn what_a_list_or_a_release_that_stays_names_stays() {
        let held = held(&[
            ("list", &["stable"], &["amd", "arm"], 0),
            ("amd", &["1-amd"], &[], 0),
            ("arm", &[], &[], 0),
            ("old", &["1"], &["old-amd", "arm"], 0),
            ("old-amd", &[], &[], 0),
            ("released", &["2"], &["of-release"], 0),
            ("of-release", &["2-amd"], &[], 0),
        ]);
        let mut rules = rules("^[12]");
        rules.released = [digest("released")].into();
        let prune = decide(&held, &rules);
        assert_eq!(removed(&prune), names(&["old", "old-amd"]), "{prune:#?}");
        assert_eq!(reasons(&prune), ["2 names it", "stable names it"]);
        assert_eq!(prune.remove[1].with, Some(digest("old")));
    }

    #[test]
    fn the_young_and_the_newest_stay() {
        let held = held(&[
            ("a", &["1"], &[], 10),
            ("b", &["2"], &["b-amd"], 0),
            ("b-amd", &["2-amd"], &[], 20),
            ("c", &["3"], &[], 30),
            ("d", &["4"], &[], 0),
        ]);
        let mut rules = rules("^[0-9]");
        rules.before = Some(Timestamp::from_second(25 * 86400).expect("a time"));
        assert_eq!(in_question(&held, &rules).len(), 5);
        let prune = decide(&held, &rules);
        let mut expected = names(&["a", "b", "b-amd"]);
        expected.sort();
        let mut found = removed(&prune);
        found.sort();
        assert_eq!(found, expected);
        assert_eq!(reasons(&prune), ["it does not say when it was made", "it was made on 1970-01-31"]);

        rules.before = None;
        rules.newest = 2;
        let prune = decide(&held, &rules);
        assert_eq!(removed(&prune), names(&["a"]));
        let newest = "it is one of the 2 newest";
        assert_eq!(reasons(&prune), ["2 names it", "it does not say when it was made", newest, newest]);
    }

    #[test]
    fn what_is_attached_goes_with_its_subject() {
        let (signature, list, of_list, of_other) = (
            attached_to("a", ".sig"),
            attached_to("a", ""),
            attached_to("sbom", ".sig"),
            attached_to("stays", ".sig"),
        );
        let mut held = held(&[
            ("a", &["1"], &[], 0),
            ("stays", &["stable"], &[], 0),
            ("signature", &[&signature], &[], 0),
            ("list", &[&list], &["sbom"], 0),
            ("sbom", &[], &[], 0),
            ("signed-sbom", &[&of_list], &[], 0),
            ("other", &[&of_other], &[], 0),
            ("untagged", &[], &[], 0),
        ]);
        held.get_mut(&digest("a")).expect("held").attached = names(&["untagged"]);
        let prune = decide(&held, &rules("."));
        assert_eq!(prune.keep, []);
        let mut rules = rules("^1$");
        let order = removed(&decide(&held, &rules));
        let at = |name: &str| order.iter().position(|it| *it == digest(name)).expect(name);
        assert_eq!(order.len(), 6, "{order:#?}");
        assert!(at("signature") < at("a") && at("untagged") < at("a") && at("list") < at("a"));
        assert!(at("list") < at("sbom") && at("signed-sbom") < at("sbom"));
        assert_eq!(decide(&held, &rules).other_tags, 1);
        rules.released = [digest("a")].into();
        assert_eq!(decide(&held, &rules).remove, []);
    }

    #[test]
    fn an_attachment_of_two_stays_with_the_one_that_stays() {
        let (one, other) = (attached_to("a", ""), attached_to("stays", ""));
        let held = held(&[
            ("a", &["1"], &[], 0),
            ("stays", &["stable"], &[], 0),
            // Two equal lists are one manifest.
            ("list", &[&one, &other], &["sbom"], 0),
            ("sbom", &[], &[], 0),
        ]);
        assert_eq!(removed(&decide(&held, &rules("^1$"))), names(&["a"]));
    }
}
