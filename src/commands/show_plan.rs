//! `--plan`: what would come of every image, by records of earlier builds, the engine's and the registry's images, and
//! today's inputs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::build::skip_existing;
use super::write_lock;
use crate::engine::Engine;
use crate::error::{EXIT_FAILED, Fatal};
use crate::freshness::bases::BaseImages;
use crate::freshness::decide::Decision;
use crate::freshness::inquiry::Inquiry;
use crate::freshness::lookup::Lookup;
use crate::freshness::survey::Survey;
use crate::model::event::UnitId;
use crate::session::contexts::Contexts;
use crate::session::stdio::{tell, tell_pause};
use crate::session::threads::block_on;
use crate::session::{Session, kept};
use crate::sources::cache::SourceCache;

/// What would come of every image that is to be brought up to date. Nothing is built, pulled or downloaded.
pub fn forecasts(session: &mut Session) -> Result<HashMap<UnitId, Decision>, Fatal> {
    block_on(async {
        let engine = reachable_engine(session).await;
        if let Some(engine) = engine.as_deref().filter(|_| session.config().selection.skip_existing) {
            skip_existing(session, engine).await?;
        }
        let several_platforms = session.wants_several_platforms()?;
        let recipes = write_lock::pinned_recipes(session)?;
        let prepared = &session.prepared;
        let inquiry = Inquiry {
            registry: lookup(session, engine.as_deref()).await?,
            bases: engine.clone().map(|engine| BaseImages::new(engine, false, several_platforms)),
            engine,
            // Nothing is fetched.
            sources: Arc::new(SourceCache::none(Duration::from_secs(prepared.config.build.timeout))),
            build_args: prepared.config.build_args(),
            gets: false,
            retries: 0,
            waits: |_, _| {},
        };
        let records = kept::records(session.environment);
        let units: Vec<_> = prepared.plan.to_build().map(|unit| (unit, records.get(unit))).collect();
        let asked = units
            .iter()
            .filter(|(_, record)| record.is_some())
            .filter_map(|(unit, _)| recipes.get(&unit.id()));
        inquiry.ask_ahead(asked).await;
        let cache = prepared.config.build.cache;
        let survey = Survey { inquiry: &inquiry, recipes: &recipes, cache, in_registry_alone: None };
        let mut contexts = Contexts::of(prepared);
        let findings = survey.of(&units, &mut |dir| contexts.write(dir)).await;
        let findings = findings.map_err(|failure| Fatal::message(failure.message, EXIT_FAILED))?;
        Ok::<_, Fatal>(findings.into_iter().map(|(unit, finding)| (unit, finding.decision)).collect())
    })
}

/// The engine, if it answers.
async fn reachable_engine(session: &Session<'_>) -> Option<Arc<dyn Engine>> {
    let asked = match session.engine().await {
        Ok(engine) => engine.facts().await.map(|_| engine).map_err(|error| error.to_string()),
        Err(fatal) => Err(fatal.to_string()),
    };
    match asked {
        Ok(engine) => Some(engine),
        Err(error) => {
            tell(&format!(
                "note: the plan goes by what was built last, for the engine can't be asked: {error}"
            ));
            None
        }
    }
}

/// Who asks the registry, when images are reused from there: of an engine, for what it says of registries.
async fn lookup(session: &Session<'_>, engine: Option<&dyn Engine>) -> Result<Option<Lookup>, Fatal> {
    let options = &session.config().build;
    let Some(engine) = engine.filter(|_| options.reuse_registry && options.cache) else { return Ok(None) };
    let registries = session.registries(engine).await?;
    Ok(Some(Lookup { registries, retries: options.retries, waits: |error, pause| tell_pause(&error, pause) }))
}
