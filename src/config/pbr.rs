//! Versions as pbr has them, which gives OpenStack's packages theirs: from tags, and after a tag from what commits say of
//! themselves [pure].

use std::fmt;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A version, later ones greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    release: [u64; 3],
    stage: Stage,
}

/// How far a version is from its release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Development,
    Alpha(u64),
    Beta(u64),
    Candidate(u64),
    Final,
}

static VERSION: LazyLock<Regex> = LazyLock::new(|| {
    let pattern =
        r"^[vV]*(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:\.?0*(a|b|rc)(\d+))?(?:\.(dev|post|)\d+)?(?:\+.*)?$";
    Regex::new(pattern).expect("the pattern is valid")
});

impl Version {
    /// Reads what a tag or a package's metadata has; none of what is no version, as `2024.1-eom`.
    pub fn parse(text: &str) -> Option<Version> {
        let found = VERSION.captures(text)?;
        let number = |at: usize| found.get(at).map_or(Some(0), |digits| digits.as_str().parse().ok());
        let release = [number(1)?, number(2)?, number(3)?];
        let version = Version { release, stage: Version::stage(&found, number(5)?) };
        let is_after = found.get(6).is_some_and(|kind| kind.as_str() == "post");
        Some(if is_after { version.next("") } else { version })
    }

    fn stage(found: &Captures<'_>, number: u64) -> Stage {
        match found.get(4).map(|kind| kind.as_str()) {
            Some("a") => Stage::Alpha(number),
            Some("b") => Stage::Beta(number),
            Some(_) => Stage::Candidate(number),
            None if found.get(6).is_some() => Stage::Development,
            None => Stage::Final,
        }
    }

    /// The major version; none when it is what pbr says where nothing tells the version, as in a shallow clone.
    pub fn major(self) -> Option<u32> {
        u32::try_from(self.release[0]).ok().filter(|major| *major > 0)
    }

    /// The version that commits after this one lead to, by the `Sem-Ver` lines of their messages.
    pub fn next(self, messages: &str) -> Version {
        let mut impact = Impact::Fix;
        for line in messages.lines().map(|line| line.trim().to_lowercase()) {
            let Some(symbols) = line.strip_prefix("sem-ver:") else { continue };
            impact = symbols.split(',').map(Impact::of).fold(impact, Ord::max);
        }
        let [major, minor, patch] = self.release;
        let is_ahead = matches!(self.stage, Stage::Alpha(_) | Stage::Beta(_) | Stage::Candidate(_));
        let release = match impact {
            Impact::Break => [major.saturating_add(1), 0, 0],
            Impact::Feature => [major, minor.saturating_add(1), 0],
            Impact::Fix if is_ahead => self.release,
            Impact::Fix => [major, minor, patch.saturating_add(1)],
        };
        Version { release, stage: Stage::Development }
    }
}

/// The release that it is, or leads to.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.release;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// Change that a commit asks of the next version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Impact {
    Fix,
    Feature,
    Break,
}

impl Impact {
    fn of(symbol: &str) -> Impact {
        match symbol.trim() {
            "api-break" => Impact::Break,
            "feature" | "deprecation" => Impact::Feature,
            _ => Impact::Fix,
        }
    }
}

/// The last version that was tagged, its tag, and how many commits came after it. `refs` has the full names of what
/// points to each commit, the latest commit first: a line of `git log --decorate=full --format=%D`.
pub fn last_tagged<'a>(refs: impl IntoIterator<Item = &'a str>) -> Option<(Version, &'a str, usize)> {
    refs.into_iter().enumerate().find_map(|(distance, refs)| {
        let tags = refs.split(", ").filter_map(|name| Some(name.split_once("refs/tags/")?.1));
        let versions = tags.filter_map(|tag| Some((Version::parse(&tag.replace('-', "."))?, tag)));
        versions.max().map(|(version, tag)| (version, tag, distance))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap_or_else(|| panic!("{text} is a version"))
    }

    #[test]
    fn versions_are_read_as_pbr_reads_them() {
        for (text, release) in [
            ("22.0.1.dev17", "22.0.1"),
            ("23.0.0", "23.0.0"),
            ("8.0.0.0rc1", "8.0.0"),
            ("8.0rc1", "8.0.0"),
            ("22.0.0.0rc1.dev3", "22.0.0"),
            ("v1.2", "1.2.0"),
            ("1.2.3.4", "1.2.3"),
            ("1.2.3.post4", "1.2.4"),
            ("18.8.0+local.1", "18.8.0"),
        ] {
            assert_eq!(version(text).to_string(), release, "{text}");
        }
        for text in ["", "2024.1.eom", "yoga.eom", "k3", "liberty.1", "1.2.3.4.5", "99999999999999999999.0"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn later_versions_are_greater() {
        let ascending =
            ["21.9.9", "22.0.0.dev5", "22.0.0.0a1", "22.0.0.0b1", "22.0.0.0rc1", "22.0.0.0rc2", "22.0.0"];
        let versions = ascending.map(version);
        assert!(versions.is_sorted(), "{versions:?}");
    }

    #[test]
    fn only_a_told_version_has_a_major() {
        assert_eq!(version("22.0.1.dev17").major(), Some(22));
        assert_eq!(version("0.0.1.dev5000").major(), None);
    }

    #[test]
    fn what_follows_a_tag_is_told_by_its_commits() {
        for (tag, messages, release) in [
            ("22.0.0", "Fix a thing\n\nCloses-Bug: 1\n", "22.0.1"),
            ("22.0.0.0rc1", "Fix a thing\n", "22.0.0"),
            ("22.0.0.0rc1", "Add a thing\n\n    Sem-Ver: feature\n", "22.1.0"),
            ("22.0.1", "x\n\nsem-ver: bugfix, deprecation\n", "22.1.0"),
            ("22.1.1", "x\nSem-Ver: api-break\n\ny\nSem-Ver: feature\n", "23.0.0"),
            ("22.1.1", "Say what Sem-Ver: feature means\n", "22.1.2"),
        ] {
            assert_eq!(version(tag).next(messages).to_string(), release, "{tag} {messages}");
        }
    }

    #[test]
    fn the_last_tag_is_the_greatest_of_the_first_commit_that_has_one() {
        let refs = [
            "HEAD -> refs/heads/stable/2026.1, refs/remotes/origin/stable/2026.1",
            "",
            "tag: refs/tags/2026.1-eom, tag: refs/tags/note",
            "tag: refs/tags/22.0.0.0rc2, tag: refs/tags/22.0.0",
            "tag: refs/tags/23.0.0",
        ];
        assert_eq!(last_tagged(refs), Some((version("22.0.0"), "22.0.0", 3)));
        assert_eq!(last_tagged(["tag: refs/tags/7.0.0-rc1"]), Some((version("7.0.0.0rc1"), "7.0.0-rc1", 0)));
        assert_eq!(last_tagged(refs.into_iter().take(3)), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_version_or_none(text in "[vV]?[0-9]{1,25}([.]?([0-9]{1,25}|rc|a|b|dev|post|[+-]|é)){0,8}", messages in ".{0,40}") {
            if let Some(version) = Version::parse(&text) {
                let next = version.next(&messages);
                proptest::prop_assert!(next.release >= version.release, "{} {}", version, next);
                proptest::prop_assert_eq!(Version::parse(&version.to_string()).map(|it| it.release), Some(version.release));
            }
        }

        #[test]
        fn any_refs_are_read(refs in proptest::collection::vec("(tag: refs/tags/|refs/heads/)?[0-9a-z.-]{0,8}(, tag: refs/tags/[0-9a-z.-]{0,8})?", 0..6)) {
            if let Some((_, tag, distance)) = last_tagged(refs.iter().map(String::as_str)) {
                proptest::prop_assert!(refs[distance].contains(tag));
            }
        }
    }
}
