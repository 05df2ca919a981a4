//! The parts that image references are put together from, each given by an option of its own [pure].
//!
//! A part is what it is when it makes a [`Reference`] together with others that are in order. An error tells what to
//! write instead, where that can be guessed: people add schemes, slashes and comments.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use regex::Regex;

use super::Reference;
use crate::util::secrets::masked;

/// Text that is not the part of a reference that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {what}: {mend}")]
pub struct InvalidPart {
    text: String,
    what: &'static str,
    mend: Mend,
}

/// Advice on what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mend {
    /// Text that was probably meant, and how it comes from what was written.
    Write(String, Vec<Cow<'static, str>>),
    /// Form of such a part.
    Expected(&'static str),
}

impl fmt::Display for Mend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mend::Write(meant, how) => write!(f, "write {meant}, {}", how.join(", ")),
            Mend::Expected(expected) => write!(f, "expected {expected}"),
        }
    }
}

/// A kind of part: its name, what it consists of, and how to know one.
struct Part {
    what: &'static str,
    expected: &'static str,
    fits: fn(&str) -> bool,
}

impl Part {
    fn read(&self, text: &str) -> Result<String, InvalidPart> {
        if (self.fits)(text) {
            return Ok(text.into());
        }
        let mend = mended(text, self.fits).unwrap_or(Mend::Expected(self.expected));
        Err(InvalidPart { text: masked("", text), what: self.what, mend })
    }
}

/// A removal of something that people add to a text by mistake; gives the rest and what is said of it.
type Step = fn(&str) -> (Cow<'_, str>, Cow<'static, str>);

/// Text that was probably meant, and how it comes from what was written.
fn mended(text: &str, fits: impl Fn(&str) -> bool) -> Option<Mend> {
    const STEPS: [Step; 6] =
        [without_comment, without_quotes, without_scheme, without_user, without_slashes, in_lower_case];
    let (mut meant, mut how) = (text.to_owned(), Vec::new());
    for step in STEPS {
        let (next, said) = step(&meant);
        if next != meant {
            meant = next.into_owned();
            how.push(said);
            if fits(&meant) {
                return Some(Mend::Write(meant, how));
            }
        }
    }
    None
}

fn without_comment(text: &str) -> (Cow<'_, str>, Cow<'static, str>) {
    static COMMENT: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?s)\s+[#;].*$").expect("the pattern is valid"));
    (COMMENT.replace(text, ""), "with the comment on a line of its own".into())
}

fn without_quotes(text: &str) -> (Cow<'_, str>, Cow<'static, str>) {
    let around = |c: char| c.is_whitespace() || c == '\'' || c == '"';
    (text.trim_matches(around).into(), "without quotes and spaces".into())
}

fn without_scheme(text: &str) -> (Cow<'_, str>, Cow<'static, str>) {
    static SCHEME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^[A-Za-z][A-Za-z0-9+.-]*://").expect("the pattern is valid"));
    let scheme = SCHEME.find(text).map_or("", |found| found.as_str());
    (text[scheme.len()..].into(), format!("without {scheme}").into())
}

fn without_user(text: &str) -> (Cow<'_, str>, Cow<'static, str>) {
    let host = text.split_once('/').map_or(text, |(host, _)| host);
    let after = host.rfind('@').map_or(0, |at| at + 1);
    (text[after..].into(), "without the user, whom docker login knows".into())
}

fn without_slashes(text: &str) -> (Cow<'_, str>, Cow<'static, str>) {
    let said = if text.starts_with('/') { "without the / at its start" } else { "without the / at its end" };
    (text.trim_matches('/').into(), said.into())
}

fn in_lower_case(text: &str) -> (Cow<'_, str>, Cow<'static, str>) {
    (text.to_lowercase().into(), "in lower case".into())
}

/// True when text in front of an image's name makes a name, of a host that there can be.
fn leads(text: &str) -> bool {
    format!("{text}/a").parse().is_ok_and(|name: Reference| {
        let port = name.registry.as_deref().and_then(|host| host.rsplit_once(':'));
        // What ends in a bracket is an address, all of it.
        let port = port.map(|(_, port)| port).filter(|port| !port.ends_with(']'));
        name.is_bare() && port.is_none_or(|port| port.parse::<u16>().is_ok())
    })
}

/// True for a digest that an image can have.
fn is_digest(text: &str) -> bool {
    let is_long_enough = |(algorithm, hex): (&str, &str)| match algorithm {
        "sha256" => hex.len() == 64,
        _ => hex.len() >= 32,
    };
    text.split_once(':').is_some_and(is_long_enough) && format!("a@{text}").parse::<Reference>().is_ok()
}

/// True when text behind an image's name is its tag.
fn tags(text: &str) -> bool {
    let tagged: Result<Reference, _> = format!("a:{text}").parse();
    tagged.is_ok_and(|it| it.registry.is_none() && it.tag.as_deref() == Some(text))
}

macro_rules! part {
    ($(#[$doc:meta])* $name:ident, $what:literal, $expected:literal, $fits:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text as it was read.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidPart;

            fn from_str(text: &str) -> Result<$name, InvalidPart> {
                Part { what: $what, expected: $expected, fits: $fits }.read(text).map($name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

part! {
    /// The part in front of the namespace: `host[:port]`, or more than that (`host/team`), as Kolla takes it.
    Registry, "a registry", "HOST or HOST:PORT", leads
}

part! {
    /// The part in front of an image's name, behind the registry when there is one: `a`, `a/b`. It may name a registry
    /// itself, but none that only a capital letter makes one.
    Namespace, "a namespace", "lower-case letters and digits with '.', '_', '-' or '/' between them",
    |text| leads(text) && (!leads_by_capital(text))
}

part! {
    /// The beginning that every image's name gets, with nothing between them.
    NamePrefix, "the start of image names", "lower-case letters and digits with '.', '_', '-' or '/' between them",
    |text| text.is_empty() || format!("a/{text}a").parse().is_ok_and(|name: Reference| name.is_bare())
}

part! {
    /// A tag, without the colon in front of it.
    Tag, "a tag", "at most 128 letters, digits, '_', '.' and '-', with neither '.' nor '-' first", tags
}

part! {
    /// The tag of a base image, with a digest when it is pinned.
    BaseTag, "the tag of a base image", "TAG or TAG@DIGEST",
    |text| match text.split_once('@') {
        Some((tag, digest)) => tags(tag) && is_digest(digest),
        None => tags(text),
    }
}

part! {
    /// The name of a base image, whose tag is given apart.
    BaseImage, "the name of an image", "[REGISTRY/]NAME in lower case, without a tag",
    |text| text.parse().is_ok_and(|name: Reference| name.is_bare())
}

fn leads_by_capital(text: &str) -> bool {
    let first = text.split('/').next().unwrap_or_default();
    !first.contains(['.', ':']) && first != first.to_lowercase()
}

impl Registry {
    /// True when engines take it for a host; without a dot, a port or a capital letter it is a namespace to them, of
    /// the registry that they use by default.
    pub fn is_host(&self) -> bool {
        format!("{}/a", self.0).parse().is_ok_and(|name: Reference| name.registry.is_some())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{cases, text_of};

    fn refused<T: FromStr<Err = InvalidPart> + fmt::Debug>(text: &str) -> String {
        text.parse::<T>().expect_err(text).to_string()
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn what_is_taken_makes_a_reference_and_what_is_advised_is_taken(
            text in text_of(&["a", "B", "/", ":", "@", ".", "_", "-", "localhost", "r.example", "50", "https://", " #", "'", "é"])
        ) {
            let around = |before: &str, after: &str| format!("{before}{text}{after}").parse::<Reference>();
            if text.parse::<Registry>().is_ok() {
                prop_assert!(around("", "/a").is_ok_and(|it| it.is_bare()));
            }
            if text.parse::<Namespace>().is_ok() {
                prop_assert_eq!(around("", "/a:t").map(|it| it.to_string()), Ok(format!("{text}/a:t")));
            }
            if text.parse::<NamePrefix>().is_ok() {
                prop_assert!(around("a/", "a:t").is_ok());
            }
            if text.parse::<BaseImage>().is_ok() {
                prop_assert!(around("", ":t").is_ok_and(|it| it.tag.as_deref() == Some("t")));
            }
            if text.parse::<BaseTag>().is_ok() {
                prop_assert!(around("r/a:", "").is_ok());
            }
            match text.parse::<Tag>() {
                Ok(tag) => prop_assert_eq!(around("r/a:", "").map(|it| it.tag), Ok(Some(tag.to_string()))),
                Err(error) => if let Mend::Write(advised, _) = &error.mend {
                    prop_assert!(advised.parse::<Tag>().is_ok(), "{}", error);
                }
            }
        }

        #[test]
        fn any_text_is_taken_or_refused(text in any::<String>()) {
            if let Ok(tag) = text.parse::<Tag>() {
                prop_assert_eq!(tag.as_str(), text.as_str());
            }
            let _ = (text.parse::<Registry>(), text.parse::<Namespace>(), text.parse::<BaseTag>());
        }
    }

    #[test]
    fn what_kolla_takes_and_builds_is_taken() {
        for text in [
            "r.example.com",
            "r:5000",
            "localhost",
            "[::1]:5000",
            "[fe80::1]",
            "10.0.0.1:80",
            "r.x/team",
            "me",
        ] {
            assert!(text.parse::<Registry>().is_ok(), "{text}");
        }
        for text in ["kolla", "a/b/c", "a__b", "r.example.com", "localhost:5000/kolla"] {
            assert!(text.parse::<Namespace>().is_ok(), "{text}");
        }
        for text in ["", "a", "a-", "a_", "team/", "x.y-"] {
            assert!(text.parse::<NamePrefix>().is_ok(), "{text}");
        }
        for text in ["2026.2-debian-trixie", "_x", &"t".repeat(128)] {
            assert!(text.parse::<Tag>().is_ok(), "{text}");
        }
        let digest = "0123456789abcdef".repeat(4);
        assert!(format!("trixie@sha256:{digest}").parse::<BaseTag>().is_ok());
        assert!("quay.io:443/rockylinux/rockylinux".parse::<BaseImage>().is_ok());
    }

    #[test]
    fn what_is_refused_comes_with_what_to_write() {
        for (found, told) in [
            (refused::<Registry>("https://r.example.com"), "write r.example.com, without https://"),
            (refused::<Registry>("r.example.com/"), "write r.example.com, without the / at its end"),
            (
                refused::<Registry>("http://me:word@r.example.com:5000/"),
                "write r.example.com:5000, without http://, without the user, whom docker login knows, without the \
                 / at its end",
            ),
            (refused::<Namespace>("kolla/"), "write kolla, without the / at its end"),
            (refused::<Namespace>("Kolla"), "write kolla, in lower case"),
            (refused::<Tag>("2025.1  # my tag"), "write 2025.1, with the comment on a line of its own"),
            (refused::<Tag>("\"x\""), "write x, without quotes and spaces"),
            (refused::<BaseImage>("Debian"), "write debian, in lower case"),
        ] {
            assert!(found.ends_with(&format!(": {told}")), "{found}");
        }
        for found in [
            refused::<Namespace>(""),
            refused::<Registry>("r.example:65536"),
            refused::<BaseTag>("trixie@sha256:abc"),
            refused::<Tag>(""),
            refused::<Tag>("a/b"),
            refused::<Tag>("5000/b"),
            refused::<Tag>("a:b"),
            refused::<Tag>(&"t".repeat(129)),
            refused::<BaseImage>("debian:trixie"),
            refused::<NamePrefix>("-x"),
        ] {
            assert!(found.contains(": expected "), "{found}");
        }
        assert!(!refused::<Registry>("https://me:word@r/ /").contains("word"));
    }

    #[test]
    fn a_word_is_no_host() {
        let is_host = |text: &str| text.parse::<Registry>().is_ok_and(|registry| registry.is_host());
        assert!(is_host("localhost") && is_host("r:80") && is_host("r.example") && is_host("Host"));
        assert!(!is_host("quay"));
    }
}
