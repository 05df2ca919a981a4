//! `--verify-registry`: whether the registry has every image as it would be built now.

use super::write_lock;
use crate::error::{EXIT_FAILED, Fatal};
use crate::freshness::bases::BaseImages;
use crate::freshness::decide::{Decision, Verdict};
use crate::freshness::inquiry::{Image, Inquiry};
use crate::freshness::lookup::{Lookup, Waits};
use crate::freshness::survey::{self, Survey};
use crate::model::plan::PlannedUnit;
use crate::session::Session;
use crate::session::contexts::Contexts;
use crate::session::engines::check_engine;
use crate::session::registries::{Finding, report};
use crate::session::stdio::{tell, tell_pause};
use crate::session::threads::block_on;

/// Compares what the registry has with what a build would make; gives the exit code. Base images count as the engine
/// has them.
pub fn verify(session: &mut Session) -> Result<u8, Fatal> {
    let sources = session.sources()?;
    let several_platforms = session.wants_several_platforms()?;
    let recipes = write_lock::pinned_recipes(session)?;
    let prepared = &session.prepared;
    let options = &prepared.config.build;
    let findings = block_on(async {
        let engine = session.engine().await?;
        check_engine(&prepared.config, engine.as_ref(), "Verifying").await?;
        let registries = session.registries(engine.as_ref()).await?;
        let (retries, waits): (_, Waits) = (options.retries, |error, pause| tell_pause(&error, pause));
        let inquiry = Inquiry {
            bases: Some(BaseImages::new(engine.clone(), false, several_platforms)),
            engine: Some(engine),
            sources,
            registry: Some(Lookup { registries, retries, waits }),
            build_args: prepared.config.build_args(),
            gets: true,
            retries,
            waits,
        };
        let units: Vec<_> = prepared.plan.to_build().map(|unit| (unit, None)).collect();
        let in_registry_alone = Some(public_name as _);
        let survey = Survey { inquiry: &inquiry, recipes: &recipes, cache: true, in_registry_alone };
        let mut contexts = Contexts::of(prepared);
        let found = survey.of(&units, &mut |dir| contexts.write(dir)).await;
        let found = found.map_err(|failure| Fatal::message(failure.message, EXIT_FAILED))?;
        Ok::<_, Fatal>(units.iter().map(|(unit, _)| finding(unit, &found[&unit.id()])).collect::<Vec<_>>())
    })?;
    report(&findings, prepared.config.output.json)?;
    let good = findings.iter().filter(|finding| finding.status == "ok").count();
    tell(&format!("{good} of {} images are in the registry as they would be built", findings.len()));
    Ok(if good == findings.len() { 0 } else { EXIT_FAILED })
}

/// The name that others have an image by: with several platforms, that of their list.
fn public_name(unit: &PlannedUnit) -> &str {
    unit.list.as_ref().unwrap_or(&unit.reference)
}

fn finding(unit: &PlannedUnit, found: &survey::Finding) -> Finding {
    let digest = match &found.in_registry {
        Ok(Some(Image::InRegistry(image))) => Some(image.digest.clone()),
        _ => None,
    };
    let (status, reason) = match &found.in_registry {
        Err(why) => ("unknown", Some(why.clone())),
        Ok(image) => status(&found.decision, image.is_some()),
    };
    Finding {
        image: unit.image.clone(),
        platform: Some(unit.platform.to_string()),
        reference: public_name(unit).to_string(),
        status,
        digest,
        reason,
    }
}

/// What an image is, and why: `ok`, `missing`, `different`, or `unknown`.
fn status(decision: &Decision, is_there: bool) -> (&'static str, Option<String>) {
    let reason = Some(decision.reason.clone());
    match decision.verdict {
        Verdict::Fresh => ("ok", None),
        Verdict::Unknown => ("unknown", reason),
        Verdict::Stale if is_there => ("different", reason),
        Verdict::Stale => ("missing", None),
    }
}
