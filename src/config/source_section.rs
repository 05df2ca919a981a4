//! The section of a source, read and checked as far as that goes without a network: what can't be right is told with the
//! place of the value before anything is built.

use std::path::PathBuf;
use std::sync::LazyLock;

use regex::Regex;
use reqwest::Url;

use super::layer::{Entry, Layers, SetAt, ValueError, value_error};
use super::source::{Source, SourceOrigin};
use crate::util::hex::is_hex;
use crate::util::nearest;
use crate::util::secrets::masked;

/// Every type of source.
const TYPES: [&str; 4] = ["url", "git", "local", "pypi"];

/// Schemes of URLs by which git reaches repositories.
const GIT_SCHEMES: [&str; 7] = ["https", "http", "ssh", "git", "file", "git+ssh", "ssh+git"];

/// A name of a Python distribution.
static PYPI_NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$"));

/// A version as <https://packaging.python.org/en/latest/specifications/version-specifiers/> has it, also as people write it.
static PYPI_VERSION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?i)^v?([0-9]+!)?[0-9]+(\.[0-9]+)*",
        r"([-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?[0-9]*)?",
        r"(-[0-9]+|[-_.]?(post|rev|r)[-_.]?[0-9]*)?",
        r"([-_.]?dev[-_.]?[0-9]*)?(\+[a-z0-9]+([-_.][a-z0-9]+)*)?$",
    ))
});

/// The name of a helper that git would run: `ext::sh -c ...`.
static GIT_HELPER: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[A-Za-z0-9]+::"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is valid")
}

/// The source that a section describes; none when it has none or is not enabled.
pub(super) fn read(layers: &Layers, section: &str) -> Result<Option<Source>, ValueError> {
    let Some(entry) = layers.entry(section, "type") else { return Ok(None) };
    if !layers.flag_in(section, "enabled")?.unwrap_or(true) {
        return Ok(None);
    }
    let kind = layers.text(section, "type")?.unwrap_or_default();
    let values = Values { layers, section, kind: entry };
    let origin = match kind.as_str() {
        "url" => SourceOrigin::Url(values.required("location", url)?),
        "git" => SourceOrigin::Git {
            url: values.required("location", repository)?,
            reference: values.required("reference", reference)?,
            commit: None,
        },
        "local" => SourceOrigin::Local(values.local()?),
        "pypi" => values.pypi()?,
        other => {
            let hint = nearest::hint(other, TYPES);
            let reason = format!("unknown source type '{other}'{hint} (known: {})", TYPES.join(", "));
            return Err(value_error(entry, reason));
        }
    };
    Ok(Some(Source { section: section.to_string(), origin, sha256: values.sha256()? }))
}

/// The values of one section.
struct Values<'a> {
    layers: &'a Layers,
    section: &'a str,
    /// The entry of its type.
    kind: &'a Entry,
}

impl Values<'_> {
    /// A value that must be there and pass.
    fn required(&self, key: &str, check: fn(&str) -> Result<(), String>) -> Result<String, ValueError> {
        let text = self.layers.text(self.section, key)?.filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| {
            value_error(self.kind, format_args!("a source of type '{}' needs '{key}'", self.kind.text))
        })?;
        let entry = self.layers.entry(self.section, key).unwrap_or(self.kind);
        check(&text).map(|()| text).map_err(|reason| value_error(entry, reason))
    }

    fn local(&self) -> Result<PathBuf, ValueError> {
        let base = self.layers.option("locals_base")?.unwrap_or_default();
        // Kolla leaves it to the location to name $locals_base; joining keeps absolute paths as they are.
        let location = PathBuf::from(self.required("location", |_| Ok(()))?);
        let relative = location.is_relative() && !location.exists();
        Ok(if relative { PathBuf::from(base).join(location) } else { location })
    }

    fn pypi(&self) -> Result<SourceOrigin, ValueError> {
        let location = self.layers.entry(self.section, "location");
        if let Some(location) =
            location.filter(|location| self.is_users(location) && !self.is_users(self.kind))
        {
            // Whose type is Kolla's own default there.
            let reason =
                "a source of type 'pypi' has no location: give the section a type too, as type = url";
            return Err(value_error(location, reason));
        }
        Ok(SourceOrigin::Pypi {
            package: self.required("name", package)?,
            version: self.required("version", version)?,
        })
    }

    /// The checksum for the architecture: one for all, or one of `amd64:...,arm64:...`. One that came with the program
    /// or the tree is not of the version that a user sets.
    fn sha256(&self) -> Result<Option<String>, ValueError> {
        let (layers, section) = (self.layers, self.section);
        let Some(entry) = layers.entry(section, "sha256") else { return Ok(None) };
        let Some(text) = layers.text(section, "sha256")?.filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let is_of_another = |key| layers.entry(section, key).is_some_and(|other| self.is_users(other));
        if !self.is_users(entry) && ["name", "version"].into_iter().any(is_of_another) {
            return Ok(None);
        }
        let checked = |sum: &str| {
            let is_right = sum.len() == 64 && is_hex(sum);
            let reason = || format!("'{sum}' is no sha256, which has 64 hexadecimal digits");
            if is_right { Ok(sum.to_ascii_lowercase()) } else { Err(value_error(entry, reason())) }
        };
        if !text.contains(':') {
            return checked(&text).map(Some);
        }
        let arch = layers.option("debian_arch")?.unwrap_or_default();
        let mut own = None;
        for (name, sum) in layers.dict(section, "sha256")? {
            let sum = checked(&sum)?;
            if name == arch {
                own = Some(sum);
            }
        }
        Ok(own)
    }

    fn is_users(&self, entry: &Entry) -> bool {
        matches!(entry.place, SetAt::File(..) | SetAt::CommandLine)
    }
}

fn url(text: &str) -> Result<(), String> {
    let shown = masked("location", text);
    let url = Url::parse(text).map_err(|error| format!("'{shown}' is no URL: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(()),
        "file" => Err(format!("'{shown}' is on this machine: type = local, with its path, takes it")),
        scheme => Err(format!("'{shown}' can't be fetched: only http and https are, not {scheme}")),
    }
}

fn repository(text: &str) -> Result<(), String> {
    let shown = masked("location", text);
    word(text, &shown)?;
    if GIT_HELPER.is_match(text) {
        return Err(format!("'{shown}' would run a helper of git's"));
    }
    match text.split_once("://") {
        Some((scheme, rest))
            if !GIT_SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) || rest.is_empty() =>
        {
            Err(format!(
                "'{shown}' is no repository: git takes {}://..., HOST:PATH or a path",
                GIT_SCHEMES.join("://, ")
            ))
        }
        _ => Ok(()),
    }
}

fn reference(text: &str) -> Result<(), String> {
    word(text, text)
}

/// Refuses what a program would take for something else than one word.
fn word(text: &str, shown: &str) -> Result<(), String> {
    if text.starts_with('-') || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("'{shown}' begins with '-' or has blanks in it"));
    }
    Ok(())
}

fn package(text: &str) -> Result<(), String> {
    match PYPI_NAME.is_match(text) {
        true => Ok(()),
        false => Err(format!("'{text}' is no name of a Python package")),
    }
}

fn version(text: &str) -> Result<(), String> {
    match PYPI_VERSION.is_match(text) {
        true => Ok(()),
        false => Err(format!("'{text}' is no exact version, as 30.0.0 is one")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layers(entries: &[(&str, &str)], place: &SetAt) -> Layers {
        let mut layers = Layers::default();
        layers.push(entries.iter().map(|(key, text)| Entry {
            section: "nova-base".to_string(),
            key: key.to_string(),
            text: text.to_string(),
            place: place.clone(),
        }));
        layers
    }

    fn told(entries: &[(&str, &str)]) -> String {
        let file = SetAt::File("k.conf".into(), Some(7));
        read(&layers(entries, &file), "nova-base").map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn what_can_not_be_right_is_told_with_its_place() {
        let good = "a".repeat(64);
        for (entries, expected) in [
            (
                &[("type", "source")][..],
                "[nova-base] type: unknown source type 'source' (known: url, git, local, pypi)",
            ),
            (&[("type", "gti")], "unknown source type 'gti' (known: url, git, local, pypi)"),
            (&[("type", "url")], "[nova-base] type: a source of type 'url' needs 'location'"),
            (
                &[("type", "url"), ("location", "tarballs/nova.tar.gz")],
                "location: 'tarballs/nova.tar.gz' is no URL",
            ),
            (&[("type", "url"), ("location", "https:///nova.tar.gz")], ""),
            (&[("type", "url"), ("location", "https://")], "is no URL: empty host"),
            (&[("type", "url"), ("location", "ftp://u:hush@h/x")], "'ftp://***@h/x' can't be fetched"),
            (&[("type", "url"), ("location", "file:///srv/x")], "type = local"),
            (&[("type", "git"), ("location", "https://h/x")], "needs 'reference'"),
            (
                &[("type", "git"), ("location", "https://h/x"), ("reference", "--upload-pack=x")],
                "begins with '-'",
            ),
            (&[("type", "git"), ("location", "https://h/x"), ("reference", "a b")], "has blanks"),
            (&[("type", "git"), ("location", "ext::sh -c x"), ("reference", "a")], "has blanks"),
            (&[("type", "git"), ("location", "ext::x"), ("reference", "a")], "would run a helper"),
            (&[("type", "git"), ("location", "htps://h/x"), ("reference", "a")], "is no repository"),
            (&[("type", "local")], "needs 'location'"),
            (
                &[("type", "pypi"), ("name", "nova"), ("version", ">=30")],
                "version: '>=30' is no exact version",
            ),
            (&[("type", "pypi"), ("name", "nova"), ("version", "30.*")], "is no exact version"),
            (&[("type", "pypi"), ("name", "no va"), ("version", "30")], "is no name of a Python package"),
            (&[("type", "pypi"), ("version", "30")], "needs 'name'"),
            (&[("type", "url"), ("location", "http://h/x"), ("sha256", "abc")], "sha256: 'abc' is no sha256"),
            (&[("type", "url"), ("location", "http://h/x"), ("sha256", "amd64:abc")], "'abc' is no sha256"),
            (&[("type", "url"), ("location", "http://h/x"), ("sha256", &good)], ""),
            (&[("type", "git"), ("location", "git@h:nova.git"), ("reference", "refs/changes/1/2")], ""),
            (&[("type", "git"), ("location", "../nova"), ("reference", "HEAD~1")], ""),
            (&[("type", "url"), ("enabled", "false")], ""),
        ] {
            let told = told(entries);
            match expected {
                "" => assert_eq!(told, ""),
                _ => assert!(
                    told.starts_with("k.conf:7: [nova-base] ") && told.contains(expected),
                    "{expected}: {told}"
                ),
            }
        }
    }

    #[test]
    fn versions_are_those_of_python() {
        for good in
            ["30.0.0", "v1", "1!2.0", "1.0rc1", "1.0.0-rc.1", "1.0.post1", "1.0-1", "1.0.dev5", "1.0+local.1"]
        {
            assert_eq!(version(good), Ok(()), "{good}");
        }
        for bad in ["", "latest", "==1.0", "1.0,<2", "1 .0", "1.0;x", "1..0", "1.0+"] {
            assert!(version(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_user_sets_goes_with_what_came_with_the_program() {
        let built_in =
            [("type", "pypi"), ("name", "nova"), ("version", "1"), ("sha256", &"a".repeat(64) as &str)];
        let with = |entries: &[(&str, &str)]| {
            let mut both = layers(&built_in, &SetAt::BuiltIn);
            both.push(layers(entries, &SetAt::File("k.conf".into(), Some(7))).entries().to_vec());
            read(&both, "nova-base")
        };
        assert_eq!(with(&[]).unwrap().unwrap().sha256, Some("a".repeat(64)));
        // Of another version it is another checksum.
        assert_eq!(with(&[("version", "2")]).unwrap().unwrap().sha256, None);
        let own = with(&[("version", "2"), ("sha256", &"B".repeat(64))]);
        assert_eq!(own.unwrap().unwrap().sha256, Some("b".repeat(64)));
        assert_eq!(with(&[("sha256", "")]).unwrap().unwrap().sha256, None);
        // Kolla's default would be a URL.
        let error = with(&[("location", "https://h/nova.tar.gz")]).unwrap_err().to_string();
        assert!(
            error.starts_with("k.conf:7: [nova-base] location: ") && error.contains("type = url"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn any_section_is_read_or_refused(
            kind in "url|git|local|pypi|.{0,5}",
            values in proptest::collection::vec(("location|reference|name|version|sha256|enabled", "[^$]{0,30}"), 0..6),
        ) {
            let mut entries = vec![("type", kind.as_str())];
            entries.extend(values.iter().map(|(key, value)| (key.as_str(), value.as_str())));
            let Ok(Some(source)) = read(&layers(&entries, &SetAt::CommandLine), "nova-base") else { return Ok(()) };
            prop_assert!(source.sha256.is_none_or(|sum| sum.len() == 64));
            if let SourceOrigin::Git { url, reference, .. } = source.origin {
                prop_assert!(!url.starts_with('-') && !reference.starts_with('-') && !reference.contains(' '));
            }
        }
    }
}
