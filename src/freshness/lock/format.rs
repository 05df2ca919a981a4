//! The lock file: every source and base image of a run, and what each is pinned to [pure].

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::source::{Source, SourceOrigin};
use crate::model::ids::{Digest, ImageId};
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::sources::cache::without_secrets;
use crate::util::hex::is_lower_hex;

/// Version of the file's format.
const FORMAT: u32 = 1;

const HEADER: &str = "# Made by kolla-build --lock. kolla-build --locked builds from what stands here.\n\n";

/// A lock file that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Text that is no lock file.
    #[error("{0}")]
    Syntax(String),
    /// A pin that is none.
    #[error("[sources.{section}]: '{content}' is no {what}")]
    Pin {
        /// Name of the source's section.
        section: String,
        /// Text that it is pinned to.
        content: String,
        /// Kind of pin that it should be.
        what: &'static str,
    },
    /// Version that this program does not know.
    #[error("its version is {0}, and this program reads version {FORMAT}")]
    Version(u32),
}

/// Everything that is pinned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// Pins of sources, by their section.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) sources: BTreeMap<String, Pins>,
    /// By reference and architecture.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) base_images: BTreeMap<String, BTreeMap<String, BasePin>>,
}

/// The pins of one section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Pins {
    /// The same for every architecture.
    Same(SourcePin),
    /// A pin for each architecture, by OCI's name.
    Each(BTreeMap<String, SourcePin>),
}

/// Pin of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SourcePin {
    /// An archive at a URL.
    Url {
        /// The URL, without secrets.
        location: String,
        /// SHA-256 of the archive.
        sha256: String,
    },
    /// A commit of a git repository.
    Git {
        /// The repository, without secrets.
        location: String,
        /// Branch or tag that it was found by.
        reference: String,
        /// The commit's full id.
        commit: String,
    },
    /// A directory or an archive.
    Local {
        /// Path of the file or directory.
        location: String,
        /// Of the archive, or of the one that is made of the directory.
        sha256: String,
    },
    /// A file from the Python package index.
    Pypi {
        /// Name of the distribution.
        name: String,
        /// Exact version of the package.
        version: String,
        /// SHA-256 of the downloaded file.
        sha256: String,
    },
}

/// Pin of a base image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BasePin {
    /// The digest that a registry knows it by.
    Digest(Digest),
    /// The engine's id of one that no registry gave.
    LocalId(ImageId),
}

impl Lock {
    /// Reads a lock file's text.
    pub fn parse(text: &str) -> Result<Lock, LockError> {
        let syntax = |error: toml::de::Error| LockError::Syntax(error.to_string().trim_end().to_string());
        /// Part that every version of the file has.
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
                if !lengths.contains(&content.len()) || !is_lower_hex(content) {
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
        base_images: impl IntoIterator<Item = (Reference, Platform, BasePin)>,
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
            lock.base_images.entry(reference.to_string()).or_default().insert(arch(platform), pin);
        }
        lock
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

impl fmt::Display for BasePin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BasePin::Digest(digest) => digest.fmt(f),
            BasePin::LocalId(id) => write!(f, "the local image {id}"),
        }
    }
}

/// Name of an architecture in the file.
pub(super) fn arch(platform: Platform) -> String {
    platform.arch.debian().to_string()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{AMD64, DIGEST, git, lock, url};
    use super::*;

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
digest = "DIGEST"

[base_images."debian:trixie".arm64]
local_id = "sha256:id"
"#
            .replace("DIGEST", DIGEST)
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
        let pinned = "version = 1\n[base_images.\"debian:trixie\".amd64]\ndigest = \"sha256:ff\"\n";
        assert!(error(pinned).contains("'sha256:ff' is no sha256 digest"));
    }
}
