//! Documents attached to what is in a registry, and signatures of all that [I/O].

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;

use super::signer::Cosign;
use crate::engine::{BuildOutput, OutputSink};
use crate::model::attached::{Attached, DocumentKind};
use crate::model::failure::{Failure, FailureKind};
use crate::model::ids::Digest;
use crate::model::reference::Reference;
use crate::registry::Registries;
use crate::registry::error::RegistryError;
use crate::registry::manifest::Manifest;
use crate::registry::referrers::{Attachment, fallback_tag};
use crate::util::retry::{Pause, retry};

/// Media types of signatures that are attached as referrers.
const SIGNATURES: [&str; 2] =
    ["application/vnd.dev.sigstore.bundle.v0.3+json", "application/vnd.dev.cosign.artifact.sig.v1+json"];

/// The registry's side of documents and signatures.
pub struct Attaching {
    /// The registries.
    pub registries: Arc<Registries>,
    /// Further tries of what may pass.
    pub retries: u32,
    /// Who signs, when anybody does.
    pub signer: Option<Cosign>,
}

impl Attaching {
    /// The manifest of an image that was pushed; it names its content by digest.
    pub async fn manifest(&self, image: &Reference, output: OutputSink<'_>) -> Result<Manifest, Failure> {
        let ask = || self.registries.manifest(image);
        let found = retry(self.retries, RegistryError::again, waits(output), ask).await;
        let found = found.map_err(|error| failed("read its manifest", error))?;
        found.ok_or_else(|| failed("read its manifest", format_args!("the registry has no {image}")))
    }

    /// Puts a manifest under its digest.
    pub async fn put(
        &self,
        reference: &Reference,
        manifest: &Manifest,
        output: OutputSink<'_>,
    ) -> Result<(), Failure> {
        let put = || self.registries.put(reference, manifest);
        let done = retry(self.retries, RegistryError::again, waits(output), put).await;
        done.map_err(|error| failed("put its manifest list", error))
    }

    /// Attaches documents to an image in the repository of a reference; what of their kinds is attached already stays. Then
    /// all that is not signed is.
    pub async fn attach(
        &self,
        repository: &Reference,
        subject: &Manifest,
        documents: BTreeMap<DocumentKind, Bytes>,
        output: OutputSink<'_>,
    ) -> Result<Attached, Failure> {
        let mut attached = match documents.is_empty() && self.signer.is_none() {
            true => return Ok(Attached::default()),
            false => self.attached(repository, &subject.digest, output).await?,
        };
        for (kind, bytes) in documents {
            if attached.of_mut(kind).is_some() {
                continue;
            }
            let attachment = Attachment {
                media_type: kind.media_type().to_string(),
                bytes,
                annotations: BTreeMap::from([(
                    "org.opencontainers.image.title".to_string(),
                    format!("{} of {}", kind.name(), repository.bare()),
                )]),
            };
            let put = || self.registries.attach(repository, subject, &attachment);
            let digest = retry(self.retries, RegistryError::again, waits(output), put).await;
            let digest = digest.map_err(|error| failed(&format!("attach its {}", kind.name()), error))?;
            output(BuildOutput::Line(format!("Attached its {} as {digest}", kind.name())));
            *attached.of_mut(kind) = Some(digest);
        }
        if let Some(signer) = &self.signer {
            self.sign(signer, repository, &subject.digest, &attached, output).await?;
            attached.signed = true;
        }
        Ok(attached)
    }

    /// What is attached to an image.
    pub async fn attached(
        &self,
        repository: &Reference,
        subject: &Digest,
        output: OutputSink<'_>,
    ) -> Result<Attached, Failure> {
        let ask = || self.registries.referrers(repository, subject);
        let listed = retry(self.retries, RegistryError::again, waits(output), ask).await;
        let listed = listed.map_err(|error| failed("list what is attached to it", error))?;
        let mut attached = Attached::default();
        for kind in DocumentKind::ALL {
            let of_kind = listed.iter().find(|referrer| referrer.artifact_type == kind.media_type());
            *attached.of_mut(kind) = of_kind.map(|referrer| referrer.digest.clone());
        }
        Ok(attached)
    }

    /// A document that is attached to an image; none when it is gone.
    pub async fn document(
        &self,
        repository: &Reference,
        subject: &Digest,
        attachment: &Digest,
        output: OutputSink<'_>,
    ) -> Result<Option<Bytes>, Failure> {
        let ask = || self.registries.attached(repository, subject, attachment);
        let found = retry(self.retries, RegistryError::again, waits(output), ask).await;
        found.map_err(|error| failed("read what is attached to it", error))
    }

    async fn sign(
        &self,
        signer: &Cosign,
        repository: &Reference,
        subject: &Digest,
        attached: &Attached,
        output: OutputSink<'_>,
    ) -> Result<(), Failure> {
        let mut unsigned = Vec::new();
        for digest in std::iter::once(subject).chain(attached.documents().map(|(_, digest)| digest)) {
            if !self.is_signed(repository, digest, output).await? {
                unsigned.push(repository.at(digest));
            }
        }
        signer.sign(&unsigned).await?;
        if !unsigned.is_empty() {
            output(BuildOutput::Line(format!("Signed {}", repository.at(subject))));
        }
        Ok(())
    }

    /// True when there is a signature, whosever it is.
    async fn is_signed(
        &self,
        repository: &Reference,
        digest: &Digest,
        output: OutputSink<'_>,
    ) -> Result<bool, Failure> {
        let tag = repository.with_tag(&format!("{}.sig", fallback_tag(digest)));
        let ask = || self.registries.digest(&tag);
        let by_tag = retry(self.retries, RegistryError::again, waits(output), ask).await;
        if by_tag.map_err(|error| failed("look for its signature", error))?.is_some() {
            return Ok(true);
        }
        let ask = || self.registries.referrers(repository, digest);
        let listed = retry(self.retries, RegistryError::again, waits(output), ask).await;
        let listed = listed.map_err(|error| failed("look for its signature", error))?;
        Ok(listed.iter().any(|referrer| SIGNATURES.contains(&referrer.artifact_type.as_str())))
    }
}

/// Tells in an image's log that the registry is asked again, and when.
fn waits(output: OutputSink<'_>) -> impl Fn(&RegistryError, Pause) {
    move |error, pause| output(BuildOutput::Line(format!("{error}: {pause}")))
}

/// A failure that has had its tries.
fn failed(what: &str, error: impl Display) -> Failure {
    Failure::permanent(FailureKind::Registry, format!("failed to {what}: {error}"))
}
