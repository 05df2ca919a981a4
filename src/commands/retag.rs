//! `--retag FROM:TO`: gives images in the registry another tag. Nothing is built, pulled or uploaded but manifests.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};

use super::release;
use crate::config::resolved::Retag;
use crate::error::{EXIT_FAILED, Fatal};
use crate::model::ids::{Digest, ImageName};
use crate::model::plan::BuildPlan;
use crate::model::reference::Reference;
use crate::model::reference::parts::Tag;
use crate::registry::error::RegistryError;
use crate::registry::manifest::Manifest;
use crate::release::check::ReleaseChecker;
use crate::report::release::ReleasedImage;
use crate::session::Session;
use crate::session::registries::{RegistryFinding, RegistryStatus, report};
use crate::session::stdio::{tell, tell_pause};
use crate::session::threads::block_on;
use crate::util::retry::retry;

/// An image to get another tag.
struct Wanted {
    image: ImageName,
    from: Reference,
    to: Reference,
    /// The image in the release that it is taken from.
    released: Option<ReleasedImage>,
}

/// The registry, and how many images are asked for at once.
struct RetagRegistry {
    checker: ReleaseChecker,
    at_once: usize,
}

/// Retags the images asked for; gives the exit code. When one of them is missing, none is retagged.
pub fn retag(session: &Session, tags: &Retag) -> Result<u8, Fatal> {
    let release = session.config().release.from_release.as_deref().map(release::read).transpose()?;
    let wanted = match &release {
        Some(release) => of_release(&release::chosen(session, release)?, tags),
        None => wanted(&session.prepared.plan, tags),
    };
    let (findings, verdict) = block_on(async {
        let registry = RetagRegistry {
            checker: release::checker(session).await?,
            at_once: session.config().build.push_threads,
        };
        let found = registry.manifests(&wanted).await;
        let complete: Option<Vec<&Manifest>> = found.iter().map(|it| it.as_ref().ok()).collect();
        Ok(match complete {
            Some(manifests) => registry.put(&wanted, &manifests).await,
            None => incomplete(&wanted, &found, tags),
        })
    })?;
    report(&findings, session.config().output.json)?;
    tell(&verdict);
    let done = findings
        .iter()
        .all(|finding| [RegistryStatus::Retagged, RegistryStatus::Unchanged].contains(&finding.status));
    if let (true, Some(release)) = (done, &release) {
        release::write_digests(session.config(), release)?;
    }
    Ok(if done { 0 } else { EXIT_FAILED })
}

fn wanted(plan: &BuildPlan, tags: &Retag) -> Vec<Wanted> {
    let mut seen = BTreeSet::new();
    // Of several platforms one tag names them all.
    let images = plan.to_build().filter(|unit| seen.insert(&unit.image));
    let wanted = images.map(|unit| {
        let tagged = |tag: &Tag| unit.reference.with_tag(tag.as_str());
        Wanted { image: unit.image.clone(), from: tagged(&tags.from), to: tagged(&tags.to), released: None }
    });
    wanted.collect()
}

/// Images of a release, by their digests.
fn of_release(images: &[&ReleasedImage], tags: &Retag) -> Vec<Wanted> {
    let wanted = images.iter().map(|image| Wanted {
        image: image.name.clone(),
        from: image.pinned(),
        to: image.reference.with_tag(tags.to.as_str()),
        released: Some((*image).clone()),
    });
    wanted.collect()
}

impl RetagRegistry {
    /// The manifest of each image under its present tag, or why there is none.
    async fn manifests(&self, wanted: &[Wanted]) -> Vec<Result<Manifest, String>> {
        let found = stream::iter(wanted).map(async |it| match &it.released {
            Some(released) => self.checker.check(released).await,
            None => self.checker.signed(&it.from).await,
        });
        found.buffered(self.at_once).collect().await
    }

    /// Puts every manifest under the new tag.
    async fn put(&self, wanted: &[Wanted], manifests: &[&Manifest]) -> (Vec<RegistryFinding>, String) {
        let put = stream::iter(wanted.iter().zip(manifests)).map(async |(it, manifest)| {
            let (status, reason) = match self.put_one(it, manifest).await {
                Ok(status) => (status, None),
                Err(error) => (RegistryStatus::Failed, Some(error.to_string())),
            };
            let digest = reason.is_none().then(|| manifest.digest.clone());
            finding(it, status, digest, reason)
        });
        let findings: Vec<RegistryFinding> = put.buffered(self.at_once).collect().await;
        let count = |status| findings.iter().filter(|finding| finding.status == status).count();
        let (failed, unchanged) = (count(RegistryStatus::Failed), count(RegistryStatus::Unchanged));
        let mut verdict =
            format!("Retagged {} of {} images", count(RegistryStatus::Retagged), findings.len());
        if unchanged > 0 {
            verdict += &format!(", {unchanged} had the tag");
        }
        if failed > 0 {
            verdict += &format!(", {failed} failed: the same command goes on with these");
        }
        (findings, verdict)
    }

    async fn put_one(&self, it: &Wanted, manifest: &Manifest) -> Result<RegistryStatus, RegistryError> {
        let ReleaseChecker { registries, retries, .. } = &self.checker;
        let ask = || registries.digest(&it.to);
        if retry(*retries, RegistryError::again, tell_pause, ask).await?.as_ref() == Some(&manifest.digest) {
            return Ok(RegistryStatus::Unchanged);
        }
        let put = || registries.put(&it.to, manifest);
        retry(*retries, RegistryError::again, tell_pause, put).await?;
        Ok(RegistryStatus::Retagged)
    }
}

/// Findings and last line when not every image is there.
fn incomplete(
    wanted: &[Wanted],
    found: &[Result<Manifest, String>],
    tags: &Retag,
) -> (Vec<RegistryFinding>, String) {
    let tell = |(it, found): (&Wanted, &Result<Manifest, String>)| match found {
        Ok(manifest) => finding(it, RegistryStatus::Left, Some(manifest.digest.clone()), None),
        Err(reason) => finding(it, RegistryStatus::Missing, None, Some(reason.clone())),
    };
    let findings: Vec<RegistryFinding> = wanted.iter().zip(found).map(tell).collect();
    let missing = findings.iter().filter(|finding| finding.status == RegistryStatus::Missing).count();
    let verdict = format!(
        "error: nothing is retagged, for {missing} of {} images can't be had under the tag {}",
        findings.len(),
        tags.from
    );
    (findings, verdict)
}

fn finding(
    it: &Wanted,
    status: RegistryStatus,
    digest: Option<Digest>,
    reason: Option<String>,
) -> RegistryFinding {
    RegistryFinding {
        image: it.image.clone(),
        platform: None,
        reference: it.to.to_string(),
        status,
        digest,
        reason,
    }
}
