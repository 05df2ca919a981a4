//! `--plan`: what would come of every image, by records of earlier builds, the engine's and the registry's images, and
//! today's inputs.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config::resolved::ReuseChoice;
use crate::engine::Engine;
use crate::error::{EXIT_FAILED, Fatal};
use crate::freshness::bases::BaseImages;
use crate::freshness::evaluator::{Evaluator, Fetching, ReuseFrom};
use crate::freshness::evidence::Reuse;
use crate::freshness::forecast::Forecast;
use crate::model::event::UnitId;
use crate::session::contexts::Contexts;
use crate::session::stdio::tell;
use crate::session::threads::block_on;
use crate::session::{Session, kept};
use crate::sources::cache::SourceCache;

/// Forecast for every image that is to be brought up to date. Nothing is built, pulled or downloaded.
pub fn forecasts(session: &mut Session) -> Result<HashMap<UnitId, Forecast>, Fatal> {
    block_on(async {
        let engine = reachable_engine(session).await;
        if let Some(engine) = engine.as_deref().filter(|_| session.config().selection.skip_existing) {
            session.skip_existing(engine).await?;
        }
        let evaluator = evaluator(session, engine).await?;
        let recipes = session.take_pinned_recipes()?;
        let prepared = &session.prepared;
        let records = kept::records(session.environment);
        let units: Vec<_> = prepared.plan.to_build().map(|unit| (unit, records.get(unit))).collect();
        let recorded = units.iter().filter(|(_, record)| record.is_some());
        evaluator.ask_ahead(recorded.filter_map(|(unit, _)| recipes.get(&unit.id()))).await;
        let in_registry = evaluator.ask_registry(prepared.plan.to_build()).await;
        let mut contexts = Contexts::of(prepared);
        let mut context = |dir: &Path| contexts.get(dir);
        let forecasts = evaluator.forecast(&units, &recipes, &in_registry, &mut context);
        forecasts.await.map_err(|failure| Fatal::message(failure.message, EXIT_FAILED))
    })
}

/// The engine, if it answers.
async fn reachable_engine(session: &Session<'_>) -> Option<Arc<dyn Engine>> {
    match session.engine().await {
        Ok(engine) => Some(engine),
        Err(fatal) => {
            tell(format_args!(
                "note: the plan goes by what was built last, for the engine can't be asked: {}",
                fatal.headline()
            ));
            None
        }
    }
}

/// Who is asked: the engine if it answers, and the registry where images are reused from there.
async fn evaluator(session: &Session<'_>, engine: Option<Arc<dyn Engine>>) -> Result<Evaluator, Fatal> {
    let options = &session.config().build;
    let reuse_from = match &engine {
        Some(engine) if options.reuse == ReuseChoice::EngineOrRegistry && options.cache => {
            ReuseFrom::EngineOrRegistry(session.registry_lookup(engine.as_ref()).await?)
        }
        _ => ReuseFrom::Engine,
    };
    let several_platforms = session.wants_several_platforms()?;
    Ok(Evaluator {
        bases: engine.map(|engine| BaseImages::new(engine, false, several_platforms)),
        reuse_from,
        reuse: Reuse::by_cache(options.cache),
        sources: Arc::new(SourceCache::none(Duration::from_secs(options.timeout))),
        fetching: Fetching::Never,
        build_args: session.config().build_args(),
    })
}
