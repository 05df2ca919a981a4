//! Image references: `[registry/]path[:tag][@digest]` [pure].
//!
//! The grammar is the distribution project's (`reference.go`), in words:
//!
//! - registry: a host name, an IPv4 address or an IPv6 one in brackets, with an optional port. A first component counts
//!   as one only when it holds a dot, a colon or a capital letter, or is `localhost`; else it is part of the path.
//! - path: components with `/` between them, 255 characters at most. A component is lower-case letters and digits, with
//!   one `.`, one or two `_` or any number of `-` between them.
//! - tag: a letter, a digit or `_`, then up to 127 of these, `.` and `-`.
//! - digest: an algorithm, `:` and hexadecimal digits.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ids::Digest;

pub mod parts;

/// The longest path that registries take.
const PATH_MAX: usize = 255;

/// A parsed image reference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Registry host with optional port; none means the engine's default.
    pub registry: Option<String>,
    /// Everything between registry and tag: namespaces and the image's name.
    pub path: String,
    /// The tag, when one is written.
    pub tag: Option<String>,
    /// The digest (`sha256:...`), when one is written.
    pub digest: Option<String>,
}

impl Reference {
    /// True for a name alone, without tag and digest.
    pub fn is_bare(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    /// True unless it was made of parts that make no reference.
    pub fn is_valid(&self) -> bool {
        self.to_string().parse::<Reference>().is_ok()
    }

    /// The name alone, without tag and digest.
    pub fn bare(&self) -> Reference {
        Reference { tag: None, digest: None, ..self.clone() }
    }

    /// The tag; the one that it stands for where none is written.
    pub fn tag_or_latest(&self) -> &str {
        self.tag.as_deref().unwrap_or("latest")
    }

    /// The reference with the tag that it stands for, where neither a tag nor a digest is written.
    pub fn tagged(&self) -> Reference {
        match self.is_bare() {
            true => self.with_tag(self.tag_or_latest()),
            false => self.clone(),
        }
    }

    /// The reference of the same repository with another tag.
    pub fn with_tag(&self, tag: &str) -> Reference {
        Reference { tag: Some(tag.to_string()), ..self.bare() }
    }

    /// The reference of this content in the same repository.
    pub fn at(&self, digest: &Digest) -> Reference {
        Reference { tag: None, digest: Some(digest.to_string()), ..self.clone() }
    }
}

/// Text that is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an image reference ([registry/]name[:tag][@digest], name in lower case)")]
pub struct InvalidReference(pub String);

static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"(?x)^
        (?: (?<registry> (?: localhost | LABEL (?: \. LABEL )+ | \[[0-9A-Fa-f:]+\] ) PORT?
                       | LABEL PORT
                       | [A-Za-z0-9-]* [A-Z] [A-Za-z0-9-]* ) / )?
        (?<path> COMPONENT (?: / COMPONENT )* )
        (?: : (?<tag> [A-Za-z0-9_] [A-Za-z0-9_.-]{0,127} ) )?
        (?: @ (?<digest> [A-Za-z] [A-Za-z0-9]* (?: [-_+.] [A-Za-z] [A-Za-z0-9]* )* : [0-9A-Fa-f]+ ) )?
        $";
    let label = "(?: [A-Za-z0-9] (?: [A-Za-z0-9-]* [A-Za-z0-9] )? )";
    let component = "[a-z0-9]+ (?: (?: [.] | __? | -+ ) [a-z0-9]+ )*";
    let pattern =
        pattern.replace("COMPONENT", component).replace("LABEL", label).replace("PORT", "(?: :[0-9]+ )");
    Regex::new(&pattern).expect("the pattern is valid")
});

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Reference, InvalidReference> {
        let parts = REFERENCE.captures(text).ok_or_else(|| InvalidReference(text.to_string()))?;
        let part = |name| parts.name(name).map(|part| part.as_str().to_string());
        let (registry, path) = (part("registry"), part("path").unwrap_or_default());
        let is_host = registry.as_ref().is_none_or(|host| !host.starts_with('-') && !host.ends_with('-'));
        if path.len() > PATH_MAX || !is_host {
            return Err(InvalidReference(text.to_string()));
        }
        Ok(Reference { registry, path, tag: part("tag"), digest: part("digest") })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        f.write_str(&self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Reference, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{cases, text_of};

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn any_text_is_read_as_it_stands_or_refused(text in any::<String>()) {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }

        #[test]
        fn what_is_read_prints_the_same(
            text in text_of(&["a", "b1", "/", ":", "@", ".", "_", "-", "localhost", "r.example", "5000", "sha256:0a", "A"])
        ) {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }

        #[test]
        fn every_part_is_found(
            registry in prop::option::of("(localhost|[a-z]{1,3}\\.[A-Za-z0-9]{1,3}|\\[::1\\]:1)|[a-z]{1,3}:[0-9]{1,4}"),
            path in "[a-z0-9]{1,3}(__|-{1,3})[a-z0-9](/[a-z0-9]{1,4}[._][a-z]){0,2}",
            tag in prop::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}"),
            digest in prop::option::of("sha(256|512):[0-9a-f]{32,64}"),
        ) {
            let reference = Reference { registry, path, tag, digest };
            prop_assert_eq!(reference.to_string().parse(), Ok(reference));
        }
    }

    #[test]
    fn round_trips() {
        for text in [
            "debian",
            "debian:trixie",
            "kolla/base:2026.2-debian-trixie",
            "quay.io/rockylinux/rockylinux:10",
            "localhost:5000/kolla/base",
            "localhost/base:x",
            "base@sha256:abc",
            "r.example:443/a/b:t@sha256:abc",
            "[2001:db8::1]/a",
            "[::1]:5000/a:t",
            "Host/a",
            "R.Example.com/a__b/c---d",
        ] {
            assert_eq!(text.parse::<Reference>().map(|r| r.to_string()), Ok(text.to_string()));
        }
    }

    #[test]
    fn a_port_is_not_a_tag() {
        let reference: Reference = "localhost:5000/base".parse().expect("valid");
        assert_eq!((reference.registry.as_deref(), reference.tag), (Some("localhost:5000"), None));
    }

    #[test]
    fn refuses_what_no_registry_would_take() {
        for text in [
            "",
            "Base",
            "a//b",
            "a:",
            "a:-x",
            "a b",
            "a@sha256",
            "a@:",
            ".a",
            "a_",
            "a..b",
            ":/a",
            "./a",
            "r.example:/a",
            "-r.example/a",
            "R-/a",
            "a/B/c",
            "a b/c",
            "a:t\n",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text} was accepted");
        }
        assert!("a/".repeat(127).parse::<Reference>().is_err());
        assert!(format!("{}a", "a/".repeat(127)).parse::<Reference>().is_ok());
        assert!(format!("{}a", "a/".repeat(128)).parse::<Reference>().is_err());
    }
}
