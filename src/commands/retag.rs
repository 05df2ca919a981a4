//! `--retag FROM:TO`: gives images in the registry another tag. Nothing is built, pulled or uploaded but manifests.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};

use crate::config::resolved::Retag;
use crate::error::{EXIT_FAILED, Fatal};
use crate::model::ids::{Digest, ImageName};
use crate::model::plan::BuildPlan;
use crate::model::reference::Reference;
use crate::model::reference::parts::Tag;
use crate::registry::Registries;
use crate::registry::error::RegistryError;
use crate::registry::manifest::Manifest;
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
}

/// The registry, and how often it is asked.
struct RetagRegistry {
    registries: Registries,
    retries: u32,
    at_once: usize,
}

/// Retags the images asked for; gives the exit code. When one of them is missing, none is retagged.
pub fn retag(session: &Session, tags: &Retag) -> Result<u8, Fatal> {
    let wanted = wanted(&session.prepared.plan, tags)?;
    let options = &session.config().build;
    let registry = RetagRegistry {
        registries: session.registries_alone(),
        retries: options.retries,
        at_once: options.push_threads,
    };
    let (findings, verdict) = block_on(async {
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
    Ok(if done { 0 } else { EXIT_FAILED })
}

fn wanted(plan: &BuildPlan, tags: &Retag) -> Result<Vec<Wanted>, Fatal> {
    let mut seen = BTreeSet::new();
    let mut wanted = Vec::new();
    // Of several platforms one tag names them all.
    for unit in plan.to_build().filter(|unit| seen.insert(&unit.image)) {
        let tagged = |tag: &Tag| unit.reference.with_tag(tag.as_str());
        wanted.push(Wanted { image: unit.image.clone(), from: tagged(&tags.from), to: tagged(&tags.to) });
    }
    Ok(wanted)
}

impl RetagRegistry {
    /// The manifest of each image under its present tag, or why there is none.
    async fn manifests(&self, wanted: &[Wanted]) -> Vec<Result<Manifest, String>> {
        let found = stream::iter(wanted).map(async |it| {
            let asked =
                retry(self.retries, RegistryError::again, tell_pause, || self.registries.manifest(&it.from))
                    .await;
            match asked {
                Ok(Some(manifest)) => Ok(manifest),
                Ok(None) => Err(format!("the registry has no {}", it.from)),
                Err(error) => Err(error.to_string()),
            }
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
        let ask = || self.registries.digest(&it.to);
        if retry(self.retries, RegistryError::again, tell_pause, ask).await?.as_ref()
            == Some(&manifest.digest)
        {
            return Ok(RegistryStatus::Unchanged);
        }
        let put = || self.registries.put(&it.to, manifest);
        retry(self.retries, RegistryError::again, tell_pause, put).await?;
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
