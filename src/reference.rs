//! Image references: `[registry/]path[:tag][@digest]`.
//!
//! The grammar is the distribution project's (`reference.go`): a first component counts as a registry only when it
//! holds a dot or a colon, or is `localhost`.

use std::fmt;
use std::str::FromStr;

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

/// Text that is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an image reference ([registry/]name[:tag][@digest], name in lower case)")]
pub struct InvalidReference(pub String);

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Reference, InvalidReference> {
        let invalid = || InvalidReference(text.to_string());
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_string())),
            None => (text, None),
        };
        let (registry, rest) = match rest.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                (Some(first.to_string()), rest)
            }
            _ => (None, rest),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) => (path, Some(tag.to_string())),
            None => (rest, None),
        };
        let path_ok = path.split('/').all(|part| {
            !part.is_empty()
                && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
        });
        let tag_ok = tag.as_ref().is_none_or(|tag| {
            !tag.is_empty()
                && tag.len() <= 128
                && !tag.starts_with(['.', '-'])
                && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        });
        let digest_ok = digest.as_ref().is_none_or(|digest| digest.contains(':'));
        if path_ok && tag_ok && digest_ok {
            Ok(Reference { registry, path: path.to_string(), tag, digest })
        } else {
            Err(invalid())
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
        for text in ["", "Base", "a//b", "a:", "a:-x", "a b", "a@sha256"] {
            assert!(text.parse::<Reference>().is_err(), "{text} was accepted");
        }
    }
}
