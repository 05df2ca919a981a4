//! Manifests and image configurations, as the OCI image specification and Docker's schema 2 have them
//! (<https://github.com/opencontainers/image-spec>) [pure].

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use crate::model::ids::Digest;
use crate::model::platform::Platform;

pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(super) const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Media types that a registry is asked for, and that are understood.
pub const MEDIA_TYPES: [&str; 4] = [OCI_INDEX, DOCKER_LIST, OCI_IMAGE, DOCKER_IMAGE];

/// A manifest as a registry holds it, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Media type, one of [`MEDIA_TYPES`].
    pub media_type: String,
    /// Bytes that the digest is made of.
    pub bytes: Bytes,
    /// Digest of these bytes.
    pub digest: Digest,
}

/// Content of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A manifest of one image.
    Image {
        /// Digest of the image's configuration.
        config: Digest,
        /// Bytes of its compressed layers.
        size: u64,
    },
    /// A list of an image for each of several platforms.
    Index(Vec<IndexEntry>),
}

/// An image of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// Digest of the image's manifest.
    pub digest: Digest,
    /// Bytes of the image's manifest.
    pub size: u64,
    platform: Option<DescribedPlatform>,
}

/// Pointer to a blob or a manifest, before its digest is known to be one.
#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    size: u64,
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
    fn digest(&self) -> Result<Digest, String> {
        self.digest
            .parse()
            .map_err(|_| format!("the manifest names '{}', which is no sha256 digest", self.digest))
    }
}

impl IndexEntry {
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

/// Facts from the configuration of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// OCI's name of its architecture.
    pub architecture: String,
    /// OCI's name of the architecture's variant; mostly empty.
    pub variant: String,
    /// Labels of the image, by name.
    pub labels: BTreeMap<String, String>,
    /// When it was made, as it is written there.
    pub created: Option<String>,
}

impl Manifest {
    /// A manifest of these bytes; they need not be what they are said to be.
    pub fn new(media_type: String, bytes: Bytes) -> Manifest {
        let digest = Digest::of(&bytes);
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

    /// Content of the manifest; the reason when it can't be understood.
    pub fn content(&self) -> Result<Content, String> {
        let document: Document = serde_json::from_slice(&self.bytes)
            .map_err(|error| format!("the manifest can't be read: {error}"))?;
        match (document.config, document.manifests) {
            (Some(config), None) => {
                let size = document.layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.size));
                Ok(Content::Image { config: config.digest()?, size })
            }
            (None, Some(manifests)) => {
                let entry = |described: Descriptor| {
                    let digest = described.digest()?;
                    Ok(IndexEntry { digest, size: described.size, platform: described.platform })
                };
                manifests.into_iter().map(entry).collect::<Result<_, String>>().map(Content::Index)
            }
            _ => Err(format!("a manifest of type '{}' is not of an image", self.media_type)),
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
        #[serde(default)]
        created: Option<String>,
        config: Option<Config>,
    }
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "Labels")]
        labels: Option<BTreeMap<String, String>>,
    }
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| format!("the image's configuration can't be read: {error}"))?;
    let labels = document.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
    let Document { architecture, variant, created, .. } = document;
    Ok(ImageConfig { architecture, variant, labels, created })
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
        let config = Digest::of(b"{}");
        let read = manifest(format!(
            r#"{{"config": {{"digest": "{config}", "size": 2}}, "layers": [{{"digest": "x", "size": 3}}, {{"digest": "y", "size": 4}}]}}"#
        ))
        .content()
        .unwrap();
        let Content::Image { config: found, size: 7 } = &read else { panic!("{read:?}") };
        assert_eq!(*found, config);
    }

    #[test]
    fn a_list_names_platforms() {
        let digest = Digest::of(b"");
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
        assert_eq!(read, [(Digest::of(b"{}"), 2), (Digest::of(b"{ }"), 3)]);
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
