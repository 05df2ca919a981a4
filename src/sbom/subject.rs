//! What an SBOM is about, and what beside packages it lists [pure].

use std::collections::BTreeMap;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::purl::purl;
use crate::model::ids::Digest;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::util::hex::hex;

/// Name of this program in documents.
pub(super) const TOOL: &str = "kolla-build";

/// Version of this program in documents.
pub(super) const TOOL_VERSION: &str = env!("CARGO_PKG_VERSION");

/// An image that an SBOM is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentedImage {
    /// Name in the tree.
    pub name: String,
    /// Full name, tag included.
    pub reference: Reference,
    /// Platform that it is for.
    pub platform: Platform,
    /// The engine's id of it: a digest.
    pub image_id: String,
    /// Content key.
    pub key: String,
    /// When it was made.
    pub created: Timestamp,
}

/// A source that was installed into an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstalledSource {
    /// Section that names it.
    pub section: String,
    /// Where it comes from, without credentials.
    pub uri: String,
    /// Digests by their algorithms: `sha256`, `gitCommit`.
    pub digests: BTreeMap<&'static str, String>,
}

impl InstalledSource {
    /// Version of the source: of a distribution, or the commit.
    pub(super) fn version(&self) -> String {
        let of_pypi = self.uri.strip_prefix("pkg:pypi/").and_then(|rest| rest.split_once('@'));
        match (of_pypi, self.digests.get("gitCommit"), self.digests.get("sha256")) {
            (Some((_, version)), _, _) => version.to_string(),
            (None, Some(commit), _) => commit.clone(),
            (None, None, Some(sha256)) => format!("sha256:{sha256}"),
            (None, None, None) => String::new(),
        }
    }

    /// Its package URL.
    pub(super) fn purl(&self) -> String {
        if self.uri.starts_with("pkg:") {
            return self.uri.clone();
        }
        let checksum =
            self.digests.get("sha256").map(|sha256| format!("sha256:{sha256}")).unwrap_or_default();
        let (vcs, download) = match self.uri.starts_with("git+") {
            true => (self.uri.as_str(), ""),
            false => ("", self.uri.as_str()),
        };
        let qualifiers = [("checksum", checksum.as_str()), ("download_url", download), ("vcs_url", vcs)];
        purl("generic", &[], &self.section, &self.version(), &qualifiers)
    }
}

/// A manifest list that an SBOM is about.
#[derive(Debug, Clone, Copy)]
pub struct DocumentedList<'a> {
    /// Name of the image in the tree.
    pub name: &'a str,
    /// Full name of the list, tag included.
    pub reference: &'a Reference,
    /// Digest of the list.
    pub digest: &'a Digest,
    /// When the last of its images was made.
    pub created: Timestamp,
    /// The images, by their digests.
    pub members: &'a BTreeMap<Platform, Reference>,
}

/// Package URL of an image in a registry.
pub(super) fn image_purl(reference: &Reference, digest: &str, platform: Option<Platform>) -> String {
    let name = reference.path.rsplit('/').next().unwrap_or_default().to_lowercase();
    let registry = reference.registry.as_deref().map(|registry| format!("{registry}/")).unwrap_or_default();
    let url = format!("{registry}{}", reference.path);
    let arch = platform.map(|platform| platform.arch.debian()).unwrap_or_default();
    let tag = reference.tag.as_deref().unwrap_or_default();
    purl("oci", &[], &name, digest, &[("arch", arch), ("repository_url", &url), ("tag", tag)])
}

/// A UUID that is the same for the same text, of version 8: one's own kind.
pub(super) fn uuid(text: &str) -> String {
    let hash = hex(&Sha256::digest(text));
    // The variant takes two bits.
    let variant = char::from_digit(8 + u32::from(hash.as_bytes()[16] % 4), 16).unwrap_or('8');
    format!("{}-{}-8{}-{variant}{}-{}", &hash[..8], &hash[8..12], &hash[13..16], &hash[17..20], &hash[20..32])
}

/// Text of a time, as documents have it.
pub(super) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The digest in an id, without its algorithm.
pub(super) fn sha256(digest: &str) -> Option<&str> {
    let hex = digest.strip_prefix("sha256:")?;
    digest.parse::<Digest>().ok().map(|_| hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_by_version_or_commit() {
        let source = |uri: &str, digests: &[(&'static str, &str)]| InstalledSource {
            section: "keystone-base".to_string(),
            uri: uri.to_string(),
            digests: digests.iter().map(|(name, value)| (*name, value.to_string())).collect(),
        };
        assert_eq!(source("pkg:pypi/keystone@28.0.0", &[]).version(), "28.0.0");
        let git = source("git+https://h/k@master", &[("gitCommit", "0a1b")]);
        assert_eq!(git.purl(), "pkg:generic/keystone-base@0a1b?vcs_url=git%2Bhttps:%2F%2Fh%2Fk%40master");
        let url = source("https://h/k.tar.gz", &[("sha256", "ab")]);
        assert_eq!(
            url.purl(),
            "pkg:generic/keystone-base@sha256:ab?checksum=sha256:ab&download_url=https:%2F%2Fh%2Fk.tar.gz"
        );
    }

    #[test]
    fn a_uuid_is_one() {
        let uuid = uuid("a");
        let shape =
            regex::Regex::new("^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$");
        assert!(shape.expect("a regex").is_match(&uuid), "{uuid}");
    }
}

/// What the tests of both formats are about.
#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use crate::model::platform::Arch;
    use crate::sbom::collected::Collected;
    use crate::sbom::inventory::Inventory;
    use crate::testing::named;

    pub fn image() -> DocumentedImage {
        DocumentedImage {
            name: "keystone".to_string(),
            reference: named("r:5000/kolla/keystone:1"),
            platform: Platform::new(Arch::X86_64),
            image_id: Digest::of(b"image").to_string(),
            key: "0123".to_string(),
            created: "2026-05-04T03:02:01Z".parse().expect("a time"),
        }
    }

    pub fn inventory() -> Inventory {
        let status =
            "Package: libc6\nStatus: install ok installed\nSource: glibc (2.41-1)\nVersion: 2.41-12\n";
        let headers = "Name: oslo.config\nVersion: 9\nLicense-Expression: Apache-2.0\n";
        Inventory::of(&[
            Collected::OsRelease("ID=debian\nVERSION_ID=13\n".to_string()),
            Collected::Dpkg(status.to_string()),
            Collected::Python { path: "/p/o.dist-info/METADATA".to_string(), headers: headers.to_string() },
            Collected::Failed("rpm".to_string()),
        ])
    }

    pub fn sources() -> Vec<InstalledSource> {
        let digests = [("sha256", "ab".repeat(32))].into();
        let uri = "pkg:pypi/keystone@28.0.0".to_string();
        vec![InstalledSource { section: "keystone-base".to_string(), uri, digests }]
    }

    pub fn list_members() -> BTreeMap<Platform, Reference> {
        let member = |arch, content: &[u8]| {
            (Platform::new(arch), named("r:5000/kolla/keystone:1-x").at(&Digest::of(content)))
        };
        [member(Arch::X86_64, b"1"), member(Arch::Aarch64, b"2")].into()
    }
}
