//! `--verify-registry`: whether the registry has every image as it would be built now.

use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::release;
use crate::engine::Engine;
use crate::error::{EXIT_FAILED, Fatal};
use crate::freshness::answer::Freshness;
use crate::freshness::bases::BaseImages;
use crate::freshness::evaluator::{Evaluator, Fetching, ReuseFrom};
use crate::freshness::evidence::Reuse;
use crate::freshness::forecast::Forecast;
use crate::freshness::images::RegistryAnswer;
use crate::model::plan::PlannedUnit;
use crate::model::reference::{InvalidReference, Reference};
use crate::report::release::{ReleaseManifest, ReleasedImage};
use crate::session::Session;
use crate::session::contexts::Contexts;
use crate::session::engines::tell_engine;
use crate::session::registries::{RegistryFinding, RegistryStatus, report};
use crate::session::stdio::tell;
use crate::session::threads::block_on;
use crate::util::at_once;

/// Compares what the registry has with what a build would make; gives the exit code. Base images count as the engine
/// has them.
pub fn verify(session: &mut Session) -> Result<u8, Fatal> {
    if let Some(path) = session.config().release.from_release.clone() {
        return verify_release(session, &release::read(&path)?);
    }
    let findings = block_on(async {
        let engine = session.engine().await?;
        tell_engine(engine.as_ref(), "Verifying");
        let evaluator = evaluator(session, engine).await?;
        let recipes = session.take_pinned_recipes()?;
        let plan = &session.prepared.plan;
        let in_registry = evaluator.ask_registry(plan.to_build()).await;
        let units: Vec<_> = plan.to_build().map(|unit| (unit, None)).collect();
        let mut contexts = Contexts::of(&session.prepared);
        let mut context = |dir: &Path| contexts.get(dir);
        let forecasts = evaluator.forecast(&units, &recipes, &in_registry, &mut context);
        let forecasts = forecasts.await.map_err(|failure| Fatal::message(failure.message, EXIT_FAILED))?;
        let finding = |unit: &PlannedUnit| finding(unit, &forecasts[&unit.id()], &in_registry[&unit.id()]);
        let mut findings: Vec<RegistryFinding> = plan.to_build().map(finding).collect();
        if session.config().release.verify_signatures.is_some() {
            check_signatures(session, &mut findings).await?;
        }
        Ok(findings)
    })?;
    report(&findings, session.config().output.json)?;
    let good = findings.iter().filter(|finding| finding.status == RegistryStatus::Ok).count();
    tell(format_args!("{good} of {} images are in the registry as they would be built", findings.len()));
    Ok(if good == findings.len() { 0 } else { EXIT_FAILED })
}

/// Checks signatures of images that are as they should be.
async fn check_signatures(session: &Session<'_>, findings: &mut [RegistryFinding]) -> Result<(), Fatal> {
    let checker = release::checker(session).await?;
    for finding in findings.iter_mut().filter(|finding| finding.status == RegistryStatus::Ok) {
        let reference: Reference = finding
            .reference
            .parse()
            .map_err(|error: InvalidReference| Fatal::message(error.to_string(), EXIT_FAILED))?;
        if let Err(reason) = checker.signed(&reference).await {
            (finding.status, finding.reason) = (RegistryStatus::Unsigned, Some(reason));
        }
    }
    Ok(())
}

/// Compares what the registry has with a release; gives the exit code.
fn verify_release(session: &Session, release: &ReleaseManifest) -> Result<u8, Fatal> {
    let images = release::chosen(session, release)?;
    let findings = block_on(async {
        let checker = release::checker(session).await?;
        let finding = async |image: &&ReleasedImage| {
            let (status, reason) = match (checker.check(image).await, checker.tagged(&image.reference).await)
            {
                (Err(reason), _) => (RegistryStatus::Different, Some(reason)),
                (_, Err(reason)) => (RegistryStatus::Unknown, Some(reason)),
                (Ok(_), Ok(None)) => (RegistryStatus::Missing, Some("its tag is not there".to_string())),
                (Ok(_), Ok(Some(digest))) if digest != image.digest => {
                    (RegistryStatus::Different, Some(format!("its tag names {digest}")))
                }
                (Ok(_), Ok(Some(_))) => (RegistryStatus::Ok, None),
            };
            RegistryFinding {
                image: image.name.clone(),
                platform: None,
                reference: image.reference.to_string(),
                status,
                digest: Some(image.digest.clone()),
                reason,
            }
        };
        let found = stream::iter(&images).map(finding).buffered(at_once::QUESTIONS);
        Ok(found.collect::<Vec<_>>().await)
    })?;
    report(&findings, session.config().output.json)?;
    let good = findings.iter().filter(|finding| finding.status == RegistryStatus::Ok).count();
    tell(format_args!("{good} of {} images are in the registry as the release has them", findings.len()));
    if good < findings.len() {
        return Ok(EXIT_FAILED);
    }
    release::write_digests(session.config(), release)?;
    Ok(0)
}

/// Who is asked: the registry alone for images, the engine for base images.
async fn evaluator(session: &Session<'_>, engine: Arc<dyn Engine>) -> Result<Evaluator, Fatal> {
    let registry = session.registry_lookup(engine.as_ref()).await?;
    Ok(Evaluator {
        bases: Some(BaseImages::new(engine, false, session.wants_several_platforms()?)),
        reuse: Reuse::SameInputs,
        sources: session.sources()?,
        fetching: Fetching::Allowed { retries: registry.retries, tell_wait: registry.tell_wait },
        build_args: session.config().build_args(),
        reuse_from: ReuseFrom::Registry(registry),
    })
}

fn finding(unit: &PlannedUnit, forecast: &Forecast, in_registry: &RegistryAnswer) -> RegistryFinding {
    let digest = in_registry.as_ref().ok().and_then(|image| Some(image.as_ref()?.digest.clone()));
    let (status, reason) = match in_registry {
        Err(why) => (RegistryStatus::Unknown, Some(why.clone())),
        Ok(image) => status(&forecast.freshness, image.is_some()),
    };
    RegistryFinding {
        image: unit.image.clone(),
        platform: Some(unit.platform.to_string()),
        reference: unit.public_reference().to_string(),
        status,
        digest,
        reason,
    }
}

/// Status of an image that the registry could be asked for, and the reason for it.
fn status(freshness: &Freshness, is_there: bool) -> (RegistryStatus, Option<String>) {
    match freshness {
        Freshness::Fresh(_) => (RegistryStatus::Ok, None),
        Freshness::Unknown(why) => (RegistryStatus::Unknown, Some(why.clone())),
        Freshness::Stale(reason) if is_there => (RegistryStatus::Different, Some(reason.to_string())),
        Freshness::Stale(_) => (RegistryStatus::Missing, None),
    }
}
