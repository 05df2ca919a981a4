//! The lock file: what every source and base image of a run is pinned to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::source::{Source, SourceOrigin};
use crate::engine::ImageFacts;
use crate::model::ids::ImageId;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::sources::cache::without_secrets;

/// Version of the file's format.
const FORMAT: u32 = 1;

const HEADER: &str = "# Made by kolla-build --lock. kolla-build --locked builds from what stands here.\n\n";

/// A lock file that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// It is no lock file.
    #[error("{0}")]
    Syntax(String),
    /// A pin that is none.
    #[error("[sources.{section}]: '{content}' is no {what}")]
    Pin {
        /// The section.
        section: String,
        /// What it is pinned to.
        content: String,
        /// What that should be.
        what: &'static str,
    },
    /// It was made by a program that we don't know.
    #[error("its version is {0}, and this program reads version {FORMAT}")]
    Version(u32),
}

/// Everything that is pinned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// By section.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sources: BTreeMap<String, Pins>,
    /// By reference and architecture.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    base_images: BTreeMap<String, BTreeMap<String, BasePin>>,
}

/// The pins of one section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Pins {
    /// The same for every architecture.
    Same(SourcePin),
    /// One for each.
    Each(BTreeMap<String, SourcePin>),
}

/// What a source is pinned to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SourcePin {
    /// An archive at a URL.
    Url {
        /// The URL, without secrets.
        location: String,
        /// Of the archive.
        sha256: String,
    },
    /// A commit of a git repository.
    Git {
        /// The repository, without secrets.
        location: String,
        /// What it was found by.
        reference: String,
        /// The commit.
        commit: String,
    },
    /// A directory or an archive.
    Local {
        /// Where it is.
        location: String,
        /// Of the archive, or of the one that is made of the directory.
        sha256: String,
    },
    /// A file from the Python package index.
    Pypi {
        /// Name of the distribution.
        name: String,
        /// Its version.
        version: String,
        /// Of the file.
        sha256: String,
    },
}

/// What a base image is pinned to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BasePin {
    /// The digest that a registry knows it by.
    Digest(String),
    /// The engine's id of one that no registry gave.
    LocalId(ImageId),
}

/// Something that is not as the lock file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// A section or a base image, on a platform.
    pub item: String,
    /// What it was; none when it is not in the lock file.
    pub was: Option<String>,
    /// What it is.
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
    /// Reads a lock file's text.
    pub fn parse(text: &str) -> Result<Lock, LockError> {
        let syntax = |error: toml::de::Error| LockError::Syntax(error.to_string().trim_end().to_string());
        /// What every version of the file has.
        #[derive(Deserialize)]
        struct Any {
            version: u32,
        }
        let Any { version } = toml::from_str(text).map_err(syntax)?;
        if version != FORMAT {
            return Err(LockError::Version(version));
        }
        toml::from_str(text).map_err(syntax)
    }

    /// The same lock, when every source is pinned to what a digest or a commit looks like: names are made of them.
    pub fn checked(self) -> Result<Lock, LockError> {
        for (section, pins) in &self.sources {
            let pins: Vec<&SourcePin> = match pins {
                Pins::Same(pin) => vec![pin],
                Pins::Each(pins) => pins.values().collect(),
            };
            for pin in pins {
                let content = pin.content();
                let (lengths, what) = match pin {
                    SourcePin::Git { .. } => (&[40, 64][..], "commit"),
                    _ => (&[64][..], "sha256"),
                };
                let is_hex = content.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                if !lengths.contains(&content.len()) || !is_hex {
                    return Err(LockError::Pin {
                        section: section.clone(),
                        content: content.to_string(),
                        what,
                    });
                }
            }
        }
        Ok(self)
    }

    /// A lock file's text: sorted, so that a change of one thing changes its lines only.
    pub fn text(&self) -> String {
        let body = toml::to_string(self).expect("tables of text are TOML");
        format!("{HEADER}{body}")
    }

    /// Makes one of pins for sections and base images on platforms.
    pub fn new(
        sources: impl IntoIterator<Item = (String, Platform, SourcePin)>,
        base_images: impl IntoIterator<Item = (String, Platform, BasePin)>,
    ) -> Lock {
        let mut by_section: BTreeMap<String, BTreeMap<String, SourcePin>> = BTreeMap::new();
        for (section, platform, pin) in sources {
            by_section.entry(section).or_default().insert(arch(platform), pin);
        }
        let mut lock = Lock { version: FORMAT, ..Lock::default() };
        for (section, pins) in by_section {
            lock.sources.insert(section, Pins::new(pins));
        }
        for (reference, platform, pin) in base_images {
            lock.base_images.entry(reference).or_default().insert(arch(platform), pin);
        }
        lock
    }

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

    /// What a base image is pinned to.
    pub fn base_image(&self, reference: &str, platform: Platform) -> Result<&BasePin, Drift> {
        self.base_images.get(reference).and_then(|pins| pins.get(&arch(platform))).ok_or_else(|| Drift {
            item: base_item(reference, platform),
            was: None,
            is: "the base image of an image to build".to_string(),
        })
    }
}

impl Pins {
    fn new(pins: BTreeMap<String, SourcePin>) -> Pins {
        let mut values = pins.values();
        match values.next() {
            Some(first) if values.all(|pin| pin == first) => Pins::Same(first.clone()),
            _ => Pins::Each(pins),
        }
    }
}

impl SourcePin {
    /// Pins a source to its content: a sha256 or a commit.
    pub fn new(source: &Source, content: &str) -> SourcePin {
        let content = content.to_string();
        match &source.origin {
            SourceOrigin::Url(url) => SourcePin::Url { location: without_secrets(url), sha256: content },
            SourceOrigin::Git { url, reference, .. } => SourcePin::Git {
                location: without_secrets(url),
                reference: reference.clone(),
                commit: content,
            },
            SourceOrigin::Local(path) => {
                SourcePin::Local { location: path.display().to_string(), sha256: content }
            }
            SourceOrigin::Pypi { package, version } => {
                SourcePin::Pypi { name: package.clone(), version: version.clone(), sha256: content }
            }
        }
    }

    /// The sha256 or the commit.
    pub fn content(&self) -> &str {
        match self {
            SourcePin::Url { sha256, .. }
            | SourcePin::Local { sha256, .. }
            | SourcePin::Pypi { sha256, .. } => sha256,
            SourcePin::Git { commit, .. } => commit,
        }
    }
}

impl fmt::Display for SourcePin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourcePin::Url { location, .. } => write!(f, "url {location}")?,
            SourcePin::Git { location, reference, .. } => write!(f, "git {location} at {reference}")?,
            SourcePin::Local { location, .. } => write!(f, "local {location}")?,
            SourcePin::Pypi { name, version, .. } => write!(f, "pypi {name} {version}")?,
        }
        match (self, self.content()) {
            (_, "") => Ok(()),
            (SourcePin::Git { .. }, commit) => write!(f, ", commit {commit}"),
            (_, sha256) => write!(f, ", sha256 {sha256}"),
        }
    }
}

impl BasePin {
    /// Pins what an engine holds under a reference.
    pub fn new(reference: &str, image: &ImageFacts) -> BasePin {
        match digests(reference, image).first() {
            Some(digest) => BasePin::Digest((*digest).to_string()),
            None => BasePin::LocalId(image.id.clone()),
        }
    }

    /// True when an image that an engine holds under a reference is the pinned one.
    pub fn holds(&self, reference: &str, image: &ImageFacts) -> bool {
        match self {
            BasePin::Digest(digest) => digests(reference, image).contains(digest.as_str()),
            BasePin::LocalId(id) => image.id == *id,
        }
    }
}

impl fmt::Display for BasePin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BasePin::Digest(digest) => f.write_str(digest),
            BasePin::LocalId(id) => write!(f, "the local image {id}"),
        }
    }
}

/// The digests that the registry of a reference knows an image by.
fn digests<'a>(reference: &str, image: &'a ImageFacts) -> BTreeSet<&'a str> {
    let repository = repository(reference);
    let known = image.repo_digests.iter().filter_map(|known| known.split_once('@'));
    known.filter(|(name, _)| self::repository(name) == repository).map(|(_, digest)| digest).collect()
}

/// A reference's repository; Docker and Podman write those of Docker's own registry differently.
fn repository(reference: &str) -> String {
    let Ok(parsed) = reference.parse::<Reference>() else { return reference.to_string() };
    let registry = parsed.registry.as_deref().filter(|name| *name != "docker.io");
    let path = match registry {
        None => parsed.path.strip_prefix("library/").unwrap_or(&parsed.path),
        Some(_) => &parsed.path,
    };
    registry.map(|name| format!("{name}/")).unwrap_or_default() + path
}

/// How a source is called where its drift is told.
pub fn source_item(source: &Source, platform: Platform) -> String {
    format!("source [{}] ({platform})", source.section)
}

/// How a base image is called where its drift is told.
pub fn base_item(reference: &str, platform: Platform) -> String {
    format!("base image {reference} ({platform})")
}

fn arch(platform: Platform) -> String {
    platform.arch.debian().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::platform::Arch;

    const AMD64: Platform = Platform { arch: Arch::X86_64 };
    const ARM64: Platform = Platform { arch: Arch::Aarch64 };

    fn source(section: &str, origin: SourceOrigin) -> Source {
        Source { section: section.to_string(), origin, sha256: None }
    }

    fn url(location: &str) -> Source {
        source("etcd", SourceOrigin::Url(location.to_string()))
    }

    fn git(reference: &str) -> Source {
        let (url, reference) = ("https://me:hush@host/nova?token=hush".to_string(), reference.to_string());
        source("nova-base", SourceOrigin::Git { url, reference, commit: None })
    }

    fn pypi(version: &str) -> Source {
        source(
            "keystone",
            SourceOrigin::Pypi { package: "keystone".to_string(), version: version.to_string() },
        )
    }

    fn image(digests: &[&str]) -> ImageFacts {
        ImageFacts {
            id: "sha256:id".into(),
            architecture: "amd64".to_string(),
            variant: String::new(),
            labels: BTreeMap::new(),
            size: 0,
            layers: 1,
            repo_digests: digests.iter().map(|digest| digest.to_string()).collect(),
        }
    }

    fn lock() -> Lock {
        let pins = |source: Source, content: [&str; 2]| {
            [(AMD64, content[0]), (ARM64, content[1])].map(|(platform, content)| {
                (source.section.clone(), platform, SourcePin::new(&source, content))
            })
        };
        let sources = [
            pins(url("http://h/etcd"), ["aa", "bb"]),
            pins(git("master"), ["cc", "cc"]),
            pins(pypi("30.0.0"), ["dd", "dd"]),
            pins(source("extra", SourceOrigin::Local("./extra".into())), ["ee", "ee"]),
        ];
        let bases = [
            ("debian:trixie", AMD64, BasePin::new("debian:trixie", &image(&["debian@sha256:ff"]))),
            ("debian:trixie", ARM64, BasePin::new("debian:trixie", &image(&[]))),
        ];
        Lock::new(
            sources.into_iter().flatten(),
            bases.map(|(reference, platform, pin)| (reference.to_string(), platform, pin)),
        )
    }

    #[test]
    fn the_file_is_sorted_and_has_an_entry_per_architecture_only_where_they_differ() {
        let expected = format!(
            "{HEADER}{}",
            r#"version = 1

[sources.etcd.amd64]
type = "url"
location = "http://h/etcd"
sha256 = "aa"

[sources.etcd.arm64]
type = "url"
location = "http://h/etcd"
sha256 = "bb"

[sources.extra]
type = "local"
location = "./extra"
sha256 = "ee"

[sources.keystone]
type = "pypi"
name = "keystone"
version = "30.0.0"
sha256 = "dd"

[sources.nova-base]
type = "git"
location = "https://***@host/nova?***"
reference = "master"
commit = "cc"

[base_images."debian:trixie".amd64]
digest = "sha256:ff"

[base_images."debian:trixie".arm64]
local_id = "sha256:id"
"#
        );
        assert_eq!(lock().text(), expected);
        assert_eq!(Lock::parse(&expected), Ok(lock()));
    }

    #[test]
    fn what_is_no_pin_is_refused() {
        let pinned = |content: &str| {
            let lock =
                Lock::new([("nova".to_string(), AMD64, SourcePin::new(&url("http://h"), content))], []);
            lock.checked().map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(pinned(&"a".repeat(64)), Ok(()));
        assert_eq!(pinned("../x"), Err("[sources.nova]: '../x' is no sha256".to_string()));
        let commit = SourcePin::new(&git("main"), "--upload-pack=x");
        let error = Lock::new([("nova".to_string(), AMD64, commit)], []).checked().expect_err("no commit");
        assert_eq!(error.to_string(), "[sources.nova]: '--upload-pack=x' is no commit");
    }

    #[test]
    fn what_is_no_lock_file_is_refused() {
        let error = |text: &str| Lock::parse(text).expect_err("no lock file").to_string();
        assert!(error("version = 1\n<<<<<<< HEAD\n").contains("line 2"));
        assert!(error("[sources]\n").contains("version"));
        assert_eq!(error("version = 2\nnew = {}\n"), "its version is 2, and this program reads version 1");
        assert!(error("version = 1\n[source.x]\n").contains("unknown field `source`"));
    }

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
        assert!(lock.base_image("debian:trixie", ARM64).is_ok());
        assert!(lock.base_image("debian:sid", AMD64).is_err());
    }

    #[test]
    fn a_base_image_is_known_by_a_digest_of_its_own_repository() {
        let pin = |reference: &str, digests: &[&str]| BasePin::new(reference, &image(digests));
        let digest = |text: &str| BasePin::Digest(text.to_string());
        assert_eq!(pin("debian:trixie", &["mirror/debian@sha256:a"]), BasePin::LocalId("sha256:id".into()));
        assert_eq!(pin("debian:trixie", &["docker.io/library/debian@sha256:a"]), digest("sha256:a"));
        assert_eq!(pin("quay.io/rocky:10", &["b@sha256:a", "quay.io/rocky@sha256:b"]), digest("sha256:b"));
        let several = image(&["debian@sha256:b", "debian@sha256:a"]);
        assert_eq!(BasePin::new("debian", &several), digest("sha256:a"));
        assert!(digest("sha256:b").holds("debian", &several));
        assert!(!digest("sha256:c").holds("debian", &several));
        assert!(!BasePin::LocalId("sha256:other".into()).holds("debian", &several));
    }
}
