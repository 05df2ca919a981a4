//! Whether a registry has a release, with all that belongs to it [I/O].

use std::collections::BTreeSet;

use super::signer::Cosign;
use crate::model::attached::DocumentKind;
use crate::model::ids::Digest;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::registry::Registries;
use crate::registry::error::RegistryError;
use crate::registry::manifest::{Content, Manifest};
use crate::registry::referrers::Referrer;
use crate::report::release::ReleasedImage;
use crate::util::retry::{Pause, retry};

/// Who looks whether a registry has what a release names.
pub struct ReleaseChecker {
    /// The registries.
    pub registries: Registries,
    /// Further tries of what may pass.
    pub retries: u32,
    /// Who hears of waits.
    pub tell_wait: fn(&RegistryError, Pause),
    /// Who checks signatures, when they are to be checked.
    pub signer: Option<Cosign>,
}

impl ReleaseChecker {
    /// The manifest of a released image, or of its list, when all of it is there: every platform, everything that is attached,
    /// and signatures if they are asked for; else the reason.
    pub async fn check(&self, image: &ReleasedImage) -> Result<Manifest, String> {
        let manifest = self.manifest(&image.pinned()).await?;
        if image.only_platform().is_none() {
            self.check_list(image, &manifest).await?;
        }
        for (subject, attached) in image.parts() {
            for (kind, digest) in attached.documents() {
                let ask = || self.registries.attached(&image.reference, subject, digest);
                let found = retry(self.retries, RegistryError::again, self.tell_wait, ask).await;
                let missing = || format!("its {} {digest} is not attached to {subject}", kind.name());
                found.map_err(|error| error.to_string())?.ok_or_else(missing)?;
            }
        }
        if let Some(signer) = &self.signer {
            let mut signed = Vec::new();
            for (subject, attached) in image.parts() {
                let documents = attached.documents().map(|(_, digest)| digest);
                signed.extend(
                    std::iter::once(subject).chain(documents).map(|digest| image.reference.at(digest)),
                );
            }
            signer.verify(&signed).await.map_err(|failure| failure.to_string())?;
        }
        Ok(manifest)
    }

    /// The manifest that a reference names, with signatures of it and of what is attached to it, if these are asked for.
    pub async fn signed(&self, reference: &Reference) -> Result<Manifest, String> {
        let manifest = self.manifest(reference).await?;
        if let Some(signer) = &self.signer {
            let ask = || self.registries.referrers(reference, &manifest.digest);
            let attached = retry(self.retries, RegistryError::again, self.tell_wait, ask).await;
            let attached = attached.map_err(|error| error.to_string())?;
            let is_document = |referrer: &&Referrer| {
                DocumentKind::ALL.iter().any(|kind| kind.media_type() == referrer.artifact_type)
            };
            let documents = attached.iter().filter(is_document).map(|referrer| &referrer.digest);
            let signed: Vec<Reference> = std::iter::once(&manifest.digest)
                .chain(documents)
                .map(|digest| reference.at(digest))
                .collect();
            signer.verify(&signed).await.map_err(|failure| failure.to_string())?;
        }
        Ok(manifest)
    }

    /// Makes sure that a list names the images of the release and no others, and that they are there.
    async fn check_list(&self, image: &ReleasedImage, manifest: &Manifest) -> Result<(), String> {
        let Content::Index(entries) = manifest.content()? else {
            return Err(format!("{} is no list of platforms", manifest.digest));
        };
        let listed: BTreeSet<&Digest> = entries.iter().map(|entry| &entry.digest).collect();
        for (platform, its) in &image.platforms {
            let is_it = |platform: Platform| {
                entries.iter().any(|entry| entry.is_for(platform) && entry.digest == its.digest)
            };
            if !is_it(*platform) {
                return Err(format!("its list {} has not {} for {platform}", manifest.digest, its.digest));
            }
            self.manifest(&image.reference.at(&its.digest)).await?;
        }
        match listed.len() == image.platforms.len() {
            true => Ok(()),
            false => Err(format!("its list {} has {} images", manifest.digest, listed.len())),
        }
    }

    async fn manifest(&self, pinned: &Reference) -> Result<Manifest, String> {
        let ask = || self.registries.manifest(pinned);
        let found = retry(self.retries, RegistryError::again, self.tell_wait, ask).await;
        let found = found.map_err(|error| error.to_string())?;
        found.ok_or_else(|| format!("the registry has no {pinned}"))
    }

    /// The digest that a tag names today.
    pub async fn tagged(&self, reference: &Reference) -> Result<Option<Digest>, String> {
        let ask = || self.registries.digest(reference);
        let found = retry(self.retries, RegistryError::again, self.tell_wait, ask).await;
        found.map_err(|error| error.to_string())
    }
}
