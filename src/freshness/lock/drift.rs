//! How what is configured, and what an engine holds, differ from a lock file [pure].

use std::collections::BTreeSet;
use std::fmt;

use super::format::{BasePin, Lock, Pins, SourcePin, arch};
use crate::config::source::{Source, SourceOrigin};
use crate::engine::ImageFacts;
use crate::model::ids::Digest;
use crate::model::platform::Platform;
use crate::model::reference::Reference;

/// Something that is not as the lock file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// A section or a base image, on a platform.
    pub item: String,
    /// Pin of it; none when it is not in the lock file.
    pub was: Option<String>,
    /// Content or configuration of today.
    pub is: String,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.was {
            Some(was) => write!(f, "{}: was {was}, is {}", self.item, self.is),
            None => write!(f, "{}: is not in the lock file, is {}", self.item, self.is),
        }
    }
}

impl Lock {
    /// The source as it is pinned, or how its configuration differs from that.
    pub fn source(&self, source: &Source, platform: Platform) -> Result<Source, Drift> {
        let drift = |was, is| Drift { item: source_item(source, platform), was, is };
        let pin = match self.sources.get(&source.section) {
            Some(Pins::Same(pin)) => pin,
            Some(Pins::Each(pins)) if pins.contains_key(&arch(platform)) => &pins[&arch(platform)],
            _ => return Err(drift(None, SourcePin::new(source, "").to_string())),
        };
        // What the configuration leaves open is as it is pinned.
        let configured = SourcePin::new(source, source.sha256.as_deref().unwrap_or(pin.content()));
        let same = match (pin, &configured) {
            // Its content is compared when it is read; where it lies may differ between machines.
            (SourcePin::Local { .. }, SourcePin::Local { .. }) => true,
            _ => *pin == configured,
        };
        if !same {
            let told = SourcePin::new(source, source.sha256.as_deref().unwrap_or_default());
            return Err(drift(Some(pin.to_string()), told.to_string()));
        }
        let mut pinned = source.clone();
        match &mut pinned.origin {
            SourceOrigin::Git { commit, .. } => *commit = Some(pin.content().to_string()),
            _ => pinned.sha256 = Some(pin.content().to_string()),
        }
        Ok(pinned)
    }

    /// Pin of a base image.
    pub fn base_image(&self, reference: &Reference, platform: Platform) -> Result<&BasePin, Drift> {
        self.base_images.get(&reference.to_string()).and_then(|pins| pins.get(&arch(platform))).ok_or_else(
            || Drift {
                item: base_item(reference, platform),
                was: None,
                is: "the base image of an image to build".to_string(),
            },
        )
    }
}

impl BasePin {
    /// Pins what an engine holds under a reference.
    pub fn new(reference: &Reference, image: &ImageFacts) -> BasePin {
        match digests(reference, image).first() {
            Some(digest) => BasePin::Digest(digest.clone()),
            None => BasePin::LocalId(image.id.clone()),
        }
    }

    /// True when an image that an engine holds under a reference is the pinned one.
    pub fn holds(&self, reference: &Reference, image: &ImageFacts) -> bool {
        match self {
            BasePin::Digest(digest) => digests(reference, image).contains(digest),
            BasePin::LocalId(id) => image.id == *id,
        }
    }
}

/// The digests that the registry of a reference knows an image by.
fn digests(reference: &Reference, image: &ImageFacts) -> BTreeSet<Digest> {
    let repository = repository(reference);
    let known = image.repo_digests.iter().filter(|known| self::repository(known) == repository);
    known.filter_map(|known| known.digest.as_deref()?.parse().ok()).collect()
}

/// A reference's repository; Docker and Podman write those of Docker's own registry differently.
fn repository(reference: &Reference) -> (Option<&str>, &str) {
    match reference.registry.as_deref().filter(|name| *name != "docker.io") {
        None => (None, reference.path.strip_prefix("library/").unwrap_or(&reference.path)),
        registry => (registry, &reference.path),
    }
}

/// How a source is called where its drift is told.
pub fn source_item(source: &Source, platform: Platform) -> String {
    format!("source [{}] ({platform})", source.section)
}

/// How a base image is called where its drift is told.
pub fn base_item(reference: &Reference, platform: Platform) -> String {
    format!("base image {reference} ({platform})")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{AMD64, ARM64, git, image, lock, pypi, source, url};
    use super::*;
    use crate::testing::named;

    #[test]
    fn sources_are_pinned_where_their_configuration_is_what_it_was() {
        let lock = lock();
        let sha256 = |source: &Source, platform| lock.source(source, platform).map(|pinned| pinned.sha256);
        assert_eq!(sha256(&url("http://h/etcd"), AMD64), Ok(Some("aa".to_string())));
        assert_eq!(sha256(&url("http://h/etcd"), ARM64), Ok(Some("bb".to_string())));
        assert_eq!(sha256(&pypi("30.0.0"), ARM64), Ok(Some("dd".to_string())));
        let moved = source("extra", SourceOrigin::Local("/elsewhere/extra".into()));
        assert_eq!(sha256(&moved, AMD64), Ok(Some("ee".to_string())));
        let pinned = lock.source(&git("master"), AMD64).expect("unchanged");
        assert!(matches!(pinned.origin, SourceOrigin::Git { commit: Some(commit), .. } if commit == "cc"));
    }

    #[test]
    fn drift_tells_what_was_and_what_is() {
        let lock = lock();
        let told = |source: Source| lock.source(&source, AMD64).expect_err("drift").to_string();
        let pinned = Source { sha256: Some("00".to_string()), ..url("http://h/etcd") };
        for (source, expected) in [
            (
                pinned,
                "source [etcd] (linux/amd64): was url http://h/etcd, sha256 aa, is url http://h/etcd, sha256 00",
            ),
            (
                git("stable"),
                "source [nova-base] (linux/amd64): was git https://***@host/nova?*** at master, commit cc, \
                 is git https://***@host/nova?*** at stable",
            ),
            (
                source("keystone", SourceOrigin::Url("http://h/k".to_string())),
                "source [keystone] (linux/amd64): was pypi keystone 30.0.0, sha256 dd, is url http://h/k",
            ),
            (
                source("new", SourceOrigin::Url("http://u:hush@h/n".to_string())),
                "source [new] (linux/amd64): is not in the lock file, is url http://***@h/n",
            ),
        ] {
            assert_eq!(told(source), expected);
        }
        assert!(lock.base_image(&named("debian:trixie"), ARM64).is_ok());
        assert!(lock.base_image(&named("debian:sid"), AMD64).is_err());
    }

    #[test]
    fn a_base_image_is_known_by_a_digest_of_its_own_repository() {
        let digest = |letter: &str| format!("sha256:{}", letter.repeat(64));
        let held = |names: &[(&str, &str)]| {
            let digests: Vec<String> =
                names.iter().map(|(name, letter)| format!("{name}@{}", digest(letter))).collect();
            image(&digests.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let pin = |reference: &str, names| BasePin::new(&named(reference), &held(names));
        let pinned = |letter: &str| BasePin::Digest(digest(letter).parse().expect("a digest"));
        assert_eq!(pin("debian:trixie", &[("mirror/debian", "a")]), BasePin::LocalId("sha256:id".into()));
        assert_eq!(pin("debian:trixie", &[("docker.io/library/debian", "a")]), pinned("a"));
        assert_eq!(pin("quay.io/rocky:10", &[("b", "a"), ("quay.io/rocky", "b")]), pinned("b"));
        let several = held(&[("debian", "b"), ("debian", "a")]);
        assert_eq!(BasePin::new(&named("debian"), &several), pinned("a"));
        assert!(pinned("b").holds(&named("debian"), &several));
        assert!(!pinned("c").holds(&named("debian"), &several));
        assert!(!BasePin::LocalId("sha256:other".into()).holds(&named("debian"), &several));
    }
}
