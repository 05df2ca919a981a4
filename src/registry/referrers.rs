//! What is attached to an image in its registry: manifests of their own that name it as their subject
//! (<https://github.com/opencontainers/distribution-spec>, "Listing Referrers"). Where a registry does not know referrers,
//! their list is kept under a tag that is made of the subject's digest, as the specification says.

use std::collections::BTreeMap;

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Registries;
use super::error::{Problem, RegistryError};
use super::host::{Host, RegistryRequest, request};
use super::manifest::{Manifest, OCI_IMAGE, OCI_INDEX};
use crate::model::ids::Digest;
use crate::model::reference::Reference;

/// Media type of a configuration that says nothing, and its content.
const EMPTY: (&str, &str) = ("application/vnd.oci.empty.v1+json", "{}");

/// The largest document that is read back; the SBOM of an image with thousands of packages has some megabytes.
const LARGEST_DOCUMENT: usize = 64 << 20;

/// The most pages of a list of referrers that are read.
const MOST_PAGES: usize = 100;

/// A document to be attached to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Media type of the document, and kind of the attachment.
    pub media_type: String,
    /// The document.
    pub bytes: Bytes,
    /// Further facts about it, by OCI's keys.
    pub annotations: BTreeMap<String, String>,
}

impl Attachment {
    /// The manifest that has it as its content and an image's manifest as its subject.
    pub fn manifest(&self, subject: &Manifest) -> Manifest {
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE,
            "artifactType": self.media_type,
            "config": descriptor(EMPTY.0, EMPTY.1.as_bytes()),
            "layers": [descriptor(&self.media_type, &self.bytes)],
            "subject": descriptor(&subject.media_type, &subject.bytes),
        });
        if !self.annotations.is_empty() {
            manifest["annotations"] = json!(self.annotations);
        }
        Manifest::new(OCI_IMAGE.to_string(), manifest.to_string().into())
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()})
}

/// Something that is attached to an image, as the registry lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrer {
    /// Digest of its manifest.
    pub digest: Digest,
    /// Kind of the attachment; empty when the registry does not tell.
    #[serde(default)]
    pub artifact_type: String,
}

/// A list of referrers, each as the registry has it.
#[derive(Deserialize)]
struct ReferrersList {
    #[serde(default)]
    manifests: Vec<Map<String, Value>>,
}

impl ReferrersList {
    fn read(bytes: &[u8]) -> Result<Vec<Map<String, Value>>, String> {
        let list: ReferrersList = serde_json::from_slice(bytes)
            .map_err(|error| format!("the list of referrers can't be read: {error}"))?;
        Ok(list.manifests)
    }
}

/// Content of an attachment's manifest.
#[derive(Deserialize)]
struct AttachmentManifest {
    subject: Option<DescribedBlob>,
    #[serde(default)]
    layers: Vec<DescribedBlob>,
}

#[derive(Deserialize)]
struct DescribedBlob {
    digest: Digest,
}

/// The tag that the list of an image's referrers has, where the registry knows none.
pub fn fallback_tag(subject: &Digest) -> String {
    subject.as_str().replacen(':', "-", 1)
}

impl Registries {
    /// Attaches a document to the image whose manifest this is, in the repository of a reference; gives the digest of the
    /// attachment's own manifest. What is attached already stays as it is.
    pub async fn attach(
        &self,
        image: &Reference,
        subject: &Manifest,
        attachment: &Attachment,
    ) -> Result<Digest, RegistryError> {
        let (host, repository) = self.reach(image).await?;
        host.put_blob(&repository, &Bytes::from_static(EMPTY.1.as_bytes())).await?;
        host.put_blob(&repository, &attachment.bytes).await?;
        let manifest = attachment.manifest(subject);
        let answer = host.put(&repository, &image.at(&manifest.digest), &manifest).await?;
        if answer.header("oci-subject").is_none() {
            host.list_by_tag(&repository, image, &subject.digest, &manifest, attachment).await?;
        }
        Ok(manifest.digest)
    }

    /// Everything that is attached to the image of this digest, in the repository of a reference.
    pub async fn referrers(
        &self,
        image: &Reference,
        subject: &Digest,
    ) -> Result<Vec<Referrer>, RegistryError> {
        let (host, repository) = self.reach(image).await?;
        let listed = match host.referrers(&repository, subject).await? {
            Some(listed) => listed,
            None => host.listed_by_tag(&repository, image, subject).await?,
        };
        let read = |entry| serde_json::from_value::<Referrer>(Value::Object(entry));
        let garbage = |error| host.error(Problem::Garbage(format!("a referrer can't be read: {error}")));
        listed.into_iter().map(|entry| read(entry).map_err(garbage)).collect()
    }

    /// The document of an attachment; none when it is gone. One that belongs to another image is refused.
    pub async fn attached(
        &self,
        image: &Reference,
        subject: &Digest,
        attachment: &Digest,
    ) -> Result<Option<Bytes>, RegistryError> {
        let (host, repository) = self.reach(image).await?;
        let Some(manifest) = host.manifest(&repository, &image.at(attachment)).await? else {
            return Ok(None);
        };
        let garbage = |reason: String| host.error(Problem::Garbage(format!("{attachment} {reason}")));
        let AttachmentManifest { subject: its, layers } = serde_json::from_slice(&manifest.bytes)
            .map_err(|error| garbage(format!("can't be read: {error}")))?;
        if its.map(|its| its.digest).as_ref() != Some(subject) {
            return Err(garbage(format!("is not attached to {subject}")));
        }
        let [document] = layers.as_slice() else { return Err(garbage("is not one document".to_string())) };
        host.blob(&repository, &document.digest, LARGEST_DOCUMENT).await.map(Some)
    }
}

impl Host {
    /// The referrers that the registry lists; none when it knows no referrers.
    async fn referrers(
        &self,
        repository: &str,
        subject: &Digest,
    ) -> Result<Option<Vec<Map<String, Value>>>, RegistryError> {
        let first = request(Method::GET, repository, format!("referrers/{subject}"));
        let mut page = RegistryRequest { accept: "manifest", ..first };
        let mut listed = Vec::new();
        for _ in 0..MOST_PAGES {
            let answer = self.send(&page).await?;
            if [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&answer.status) {
                return Ok(None);
            }
            let answer = self.accept(answer)?;
            // Registries before OCI 1.1 may answer with something else.
            let Ok(entries) = ReferrersList::read(&answer.body) else { return Ok(None) };
            listed.extend(entries);
            match self.next_page(&answer)? {
                Some(next) => page.location = Some(next),
                None => return Ok(Some(listed)),
            }
        }
        Err(self.error(Problem::Garbage(format!("it has more than {MOST_PAGES} pages of referrers"))))
    }

    async fn listed_by_tag(
        &self,
        repository: &str,
        image: &Reference,
        subject: &Digest,
    ) -> Result<Vec<Map<String, Value>>, RegistryError> {
        let list = image.with_tag(&fallback_tag(subject));
        match self.manifest(repository, &list).await? {
            Some(list) => {
                ReferrersList::read(&list.bytes).map_err(|reason| self.error(Problem::Garbage(reason)))
            }
            None => Ok(Vec::new()),
        }
    }

    /// Puts an attachment into the list of its subject's referrers, which is kept under a tag.
    async fn list_by_tag(
        &self,
        repository: &str,
        image: &Reference,
        subject: &Digest,
        manifest: &Manifest,
        attachment: &Attachment,
    ) -> Result<(), RegistryError> {
        let mut listed = self.listed_by_tag(repository, image, subject).await?;
        let digest = manifest.digest.as_str();
        if listed.iter().any(|entry| entry.get("digest").and_then(Value::as_str) == Some(digest)) {
            return Ok(());
        }
        let mut entry = descriptor(&manifest.media_type, &manifest.bytes);
        entry["artifactType"] = json!(attachment.media_type);
        entry["annotations"] = json!(attachment.annotations);
        if let Value::Object(entry) = entry {
            listed.push(entry);
        }
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed});
        let index = Manifest::new(OCI_INDEX.to_string(), index.to_string().into());
        let list = image.with_tag(&fallback_tag(subject));
        self.put(repository, &list, &index).await.map(drop)
    }
}
