//! Manifests and image configurations, as the OCI image specification and Docker's schema 2 have them
//! (<https://github.com/opencontainers/image-spec>) [pure].

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::model::platform::Platform;
use crate::util::hex::hex;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Media types that a registry is asked for, and that are understood.
pub const MEDIA_TYPES: [&str; 4] = [OCI_INDEX, DOCKER_LIST, OCI_IMAGE, DOCKER_IMAGE];

/// A manifest as a registry holds it, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its media type, one of [`MEDIA_TYPES`].
    pub media_type: String,
    /// Its bytes, which its digest is made of.
    pub bytes: Bytes,
    /// Its digest, `sha256:...`.
    pub digest: String,
}

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// It is one image.
    Image {
        /// The image's configuration.
        config: Descriptor,
        /// Bytes of its compressed layers.
        size: u64,
    },
    /// It lists an image for each of several platforms.
    Index(Vec<Descriptor>),
}

/// What points to a blob or a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Descriptor {
    /// `sha256:...`
    pub digest: String,
    /// In bytes.
    #[serde(default)]
    pub size: u64,
    #[serde(default)]
    platform: Option<DescribedPlatform>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct DescribedPlatform {
    architecture: String,
    os: String,
    #[serde(default)]
    variant: String,
}

impl Descriptor {
    /// True when it is for this platform.
    pub fn is_for(&self, platform: Platform) -> bool {
        self.platform
            .as_ref()
            .is_some_and(|its| its.os == "linux" && platform.takes(&its.architecture, &its.variant))
    }
}

#[derive(Deserialize)]
struct Document {
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    manifests: Option<Vec<Descriptor>>,
}

/// What the configuration of an image tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// OCI's name of its architecture.
    pub architecture: String,
    /// OCI's name of the architecture's variant; mostly empty.
    pub variant: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl Manifest {
    /// A manifest of these bytes; they need not be what they are said to be.
    pub fn new(media_type: String, bytes: Bytes) -> Manifest {
        let digest = digest_of(&bytes);
        Manifest { media_type, bytes, digest }
    }

    /// A list of the images for several platforms: of Docker's kind when all of them are, else OCI's.
    pub fn list(images: &[(Platform, Manifest)]) -> Manifest {
        let is_docker_s = |image: &&(Platform, Manifest)| image.1.media_type == DOCKER_IMAGE;
        let media_type = if images.iter().all(|image| is_docker_s(&image)) { DOCKER_LIST } else { OCI_INDEX };
        let entries: Vec<_> = images
            .iter()
            .map(|(platform, image)| {
                json!({
                    "mediaType": image.media_type,
                    "digest": image.digest,
                    "size": image.bytes.len(),
                    "platform": {"architecture": platform.arch.debian(), "os": "linux"},
                })
            })
            .collect();
        let list = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries});
        Manifest::new(media_type.to_string(), list.to_string().into())
    }

    /// What it says; the reason when it can't be understood.
    pub fn content(&self) -> Result<Content, String> {
        let document: Document = serde_json::from_slice(&self.bytes)
            .map_err(|error| format!("the manifest can't be read: {error}"))?;
        let content = match (document.config, document.manifests) {
            (Some(config), None) => {
                let size = document.layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.size));
                Content::Image { config, size }
            }
            (None, Some(manifests)) => Content::Index(manifests),
            _ => return Err(format!("a manifest of type '{}' is not of an image", self.media_type)),
        };
        let digests: Vec<&str> = match &content {
            Content::Image { config, .. } => vec![&config.digest],
            Content::Index(manifests) => manifests.iter().map(|entry| entry.digest.as_str()).collect(),
        };
        match digests.into_iter().find(|digest| !is_digest(digest)) {
            Some(digest) => Err(format!("the manifest names '{digest}', which is no sha256 digest")),
            None => Ok(content),
        }
    }
}

/// Reads the configuration of an image.
pub fn image_config(bytes: &[u8]) -> Result<ImageConfig, String> {
    #[derive(Deserialize)]
    struct Document {
        #[serde(default)]
        architecture: String,
        #[serde(default)]
        variant: String,
        config: Option<Config>,
    }
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "Labels")]
        labels: Option<BTreeMap<String, String>>,
    }
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| format!("the image's configuration can't be read: {error}"))?;
    let labels = document.config.and_then(|config| config.labels).unwrap_or_default();
    Ok(ImageConfig { architecture: document.architecture, variant: document.variant, labels })
}

/// The digest of a blob or a manifest, as registries name it.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// True for `sha256:` and 64 lower-case hexadecimal digits.
pub fn is_digest(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(is_hex))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::platform::Arch;

    fn manifest(json: String) -> Manifest {
        Manifest::new(MEDIA_TYPES[2].to_string(), json.into())
    }

    #[test]
    fn an_image_has_a_configuration_and_a_size() {
        let config = digest_of(b"{}");
        let read = manifest(format!(
            r#"{{"config": {{"digest": "{config}", "size": 2}}, "layers": [{{"digest": "x", "size": 3}}, {{"digest": "y", "size": 4}}]}}"#
        ))
        .content()
        .unwrap();
        let Content::Image { config: found, size: 7 } = &read else { panic!("{read:?}") };
        assert_eq!(found.digest, config);
    }

    #[test]
    fn a_list_names_platforms() {
        let digest = digest_of(b"");
        let entry = |arch: &str| {
            format!(r#"{{"digest": "{digest}", "platform": {{"os": "linux", "architecture": "{arch}"}}}}"#)
        };
        let list = manifest(format!(r#"{{"manifests": [{}, {}]}}"#, entry("amd64"), entry("arm64")));
        let Content::Index(entries) = list.content().unwrap() else { panic!("no list") };
        let for_arm: Vec<bool> =
            entries.iter().map(|entry| entry.is_for(Platform::new(Arch::Aarch64))).collect();
        assert_eq!(for_arm, [false, true]);
    }

    #[test]
    fn a_list_of_our_own_is_read_back_and_is_of_its_images_kind() {
        let image =
            |media_type: &str, bytes: &'static str| Manifest::new(media_type.to_string(), bytes.into());
        let listed = |a: &str, b: &str| {
            let platforms = Arch::ALL.map(Platform::new);
            Manifest::list(&[(platforms[0], image(a, "{}")), (platforms[1], image(b, "{ }"))])
        };
        let list = listed(DOCKER_IMAGE, OCI_IMAGE);
        let Content::Index(entries) = list.content().unwrap() else { panic!("no list") };
        let read: Vec<_> = entries.iter().map(|entry| (entry.digest.clone(), entry.size)).collect();
        assert_eq!(read, [(digest_of(b"{}"), 2), (digest_of(b"{ }"), 3)]);
        assert!(
            entries[1].is_for(Platform::new(Arch::Aarch64))
                && !entries[1].is_for(Platform::new(Arch::X86_64))
        );
        let kinds = [(DOCKER_IMAGE, DOCKER_LIST), (OCI_IMAGE, OCI_INDEX)];
        assert_eq!(list.media_type, OCI_INDEX);
        assert!(kinds.iter().all(|(images, list)| listed(images, images).media_type == *list));
    }

    #[test]
    fn what_is_no_manifest_is_told() {
        for (json, reason) in [
            ("[", "can't be read"),
            ("{}", "is not of an image"),
            (r#"{"config": {"digest": "../../x"}}"#, "'../../x', which is no sha256 digest"),
        ] {
            let error = manifest(json.to_string()).content().unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn labels_may_be_absent() {
        assert!(image_config(br#"{"config": {"Labels": null}}"#).unwrap().labels.is_empty());
        let config = image_config(br#"{"architecture": "arm64", "config": {"Labels": {"a": "b"}}}"#).unwrap();
        assert_eq!((config.architecture.as_str(), config.labels["a"].as_str()), ("arm64", "b"));
        assert!(image_config(b"no").is_err());
    }
}
