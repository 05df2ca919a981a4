//! What has changed between the packages of two SBOMs [pure].

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::purl;

/// Versions of packages, by kind (of package URLs) and name.
pub type Versions = BTreeMap<(String, String), BTreeSet<String>>;

/// A package that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PackageChange {
    /// Kind, as in package URLs: `deb`, `rpm`, `pypi`, `npm`, `golang`, `generic`.
    pub kind: String,
    /// Name, with its namespace.
    pub name: String,
    /// What has come of it.
    pub change: ChangeKind,
    /// Versions that there were, none when it is new.
    pub from: Vec<String>,
    /// Versions that there are, none when it is gone.
    pub to: Vec<String>,
}

/// What has come of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// A later version.
    Upgraded,
    /// An earlier version.
    Downgraded,
}

/// The packages of an SPDX document, by the package URLs in it. The image itself is none.
pub fn versions(spdx: &[u8]) -> Result<Versions, serde_json::Error> {
    #[derive(Deserialize)]
    struct Document {
        packages: Vec<Described>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Described {
        #[serde(default)]
        external_refs: Vec<ExternalRef>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ExternalRef {
        reference_type: String,
        reference_locator: String,
    }
    let document: Document = serde_json::from_slice(spdx)?;
    let references = document.packages.iter().flat_map(|package| &package.external_refs);
    let purls = references.filter(|reference| reference.reference_type == "purl");
    let mut versions = Versions::new();
    for (kind, name, version) in purls.filter_map(|reference| purl::parts(&reference.reference_locator)) {
        if kind != "oci" {
            versions.entry((kind, name)).or_default().insert(version);
        }
    }
    Ok(versions)
}

/// Packages whose versions are not the same, in order.
pub fn changes(before: &Versions, after: &Versions) -> Vec<PackageChange> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let empty = BTreeSet::new();
    let changed = names.into_iter().filter_map(|key| {
        let (from, to) = (before.get(key).unwrap_or(&empty), after.get(key).unwrap_or(&empty));
        // What several places have in the same version is no news.
        let (gone, new): (Vec<_>, Vec<_>) = (from.difference(to).collect(), to.difference(from).collect());
        let change = match (from.is_empty(), to.is_empty()) {
            (true, _) => ChangeKind::Added,
            (_, true) => ChangeKind::Removed,
            _ => match (newest(gone.iter().copied()), newest(new.iter().copied())) {
                (None, None) => return None,
                (None, Some(_)) => ChangeKind::Added,
                (Some(_), None) => ChangeKind::Removed,
                (Some(old), Some(new)) if compare(old, new) == Ordering::Greater => ChangeKind::Downgraded,
                (Some(_), Some(_)) => ChangeKind::Upgraded,
            },
        };
        let (kind, name) = key.clone();
        let owned = |versions: Vec<&String>| versions.into_iter().cloned().collect();
        Some(PackageChange { kind, name, change, from: owned(gone), to: owned(new) })
    });
    changed.collect()
}

fn newest<'a>(versions: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    versions.max_by(|a, b| compare(a, b))
}

/// Order of two versions, as Debian, RPM and Python agree on most: numbers as numbers, `~` before the end, and the rest as
/// text.
fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (digits_a, rest_a) = split(a, |c| c.is_ascii_digit());
        let (digits_b, rest_b) = split(b, |c| c.is_ascii_digit());
        let (number_a, number_b) = (digits_a.trim_start_matches('0'), digits_b.trim_start_matches('0'));
        let by_number = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
        if by_number != Ordering::Equal {
            return by_number;
        }
        let (text_a, after_a) = split(rest_a, |c| !c.is_ascii_digit());
        let (text_b, after_b) = split(rest_b, |c| !c.is_ascii_digit());
        let rank = |text: &str| text.chars().map(rank).chain([1]).collect::<Vec<u32>>();
        let by_text = rank(text_a).cmp(&rank(text_b));
        if by_text != Ordering::Equal {
            return by_text;
        }
        if after_a.is_empty() && after_b.is_empty() {
            return Ordering::Equal;
        }
        (a, b) = (after_a, after_b);
    }
}

/// Place of a sign in the order: `~` comes before the end of a text, which is 1.
fn rank(sign: char) -> u32 {
    if sign == '~' { 0 } else { 2 + u32::from(sign) }
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(packages: &[(&str, &str)]) -> Versions {
        let mut versions = Versions::new();
        for (name, version) in packages {
            let key = ("deb".to_string(), (*name).to_string());
            versions.entry(key).or_default().insert((*version).to_string());
        }
        versions
    }

    #[test]
    fn changes_are_told_by_their_kind() {
        let before =
            of(&[("gone", "1"), ("same", "1"), ("up", "1.9"), ("down", "2"), ("twice", "1"), ("twice", "2")]);
        let after = of(&[
            ("new", "1"),
            ("same", "1"),
            ("up", "1.10"),
            ("down", "2~rc1"),
            ("twice", "1"),
            ("twice", "3"),
        ]);
        let told: Vec<_> = changes(&before, &after)
            .into_iter()
            .map(|it| (it.name, it.change, it.from.join(" "), it.to.join(" ")))
            .collect();
        let change = |name: &str, kind, from: &str, to: &str| {
            (name.to_string(), kind, from.to_string(), to.to_string())
        };
        assert_eq!(
            told,
            [
                change("down", ChangeKind::Downgraded, "2", "2~rc1"),
                change("gone", ChangeKind::Removed, "1", ""),
                change("new", ChangeKind::Added, "", "1"),
                change("twice", ChangeKind::Upgraded, "2", "3"),
                change("up", ChangeKind::Upgraded, "1.9", "1.10"),
            ]
        );
        assert_eq!(changes(&after, &after), []);
    }

    #[test]
    fn versions_have_an_order() {
        for (older, newer) in [
            ("1.2.3", "1.2.10"),
            ("2.41-12", "2.41-12+deb13u1"),
            ("1.0~rc1", "1.0"),
            ("9", "10"),
            ("1.0a", "1.0b"),
        ] {
            assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(compare(newer, older), Ordering::Greater, "{older} {newer}");
        }
        assert_eq!(compare("1.01", "1.1"), Ordering::Equal);
    }
}
