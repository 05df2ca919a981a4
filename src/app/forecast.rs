//! `--plan`: what would come of every image, by records of earlier builds, the engine's and the registry's images, and
//! today's inputs.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::build::{self, build_settings};
use super::engines::engine;
use super::kept;
use super::prepare::Prepared;
use super::registry::registries;
use super::threads::runtime;
use super::write::contexts_by_dir;
use super::{lock, tell, tell_pause};
use crate::context::sources::SourceCache;
use crate::context::workdir::{TreeFile, write_tree};
use crate::engine::Engine;
use crate::error::{EXIT_FAILED, Fatal};
use crate::event::{Failure, FailureKind, UnitId};
use crate::freshness::bases::BaseImages;
use crate::freshness::decide::Decision;
use crate::freshness::inquiry::Inquiry;
use crate::freshness::lookup::Lookup;
use crate::freshness::survey::Survey;
use crate::util::scratch::Scratch;

/// What would come of every image that is to be brought up to date. Nothing is built, pulled or downloaded.
pub fn forecasts(
    prepared: &mut Prepared,
    env: &BTreeMap<String, String>,
) -> Result<HashMap<UnitId, Decision>, Fatal> {
    let runtime = runtime()?;
    let decisions = runtime.block_on(async {
        let engine = reachable_engine(prepared, env).await;
        if let Some(engine) = engine.as_deref().filter(|_| prepared.config.selection.skip_existing) {
            build::skip_existing(&mut prepared.plan, engine).await?;
        }
        let recipes = lock::pinned_recipes(prepared, env)?;
        let several_platforms = build::wants_several_platforms(prepared, &recipes);
        let inquiry = Inquiry {
            registry: lookup(prepared, env, engine.as_deref()).await?,
            bases: engine.clone().map(|engine| BaseImages::new(engine, false, several_platforms)),
            engine,
            // Nothing is fetched.
            sources: Arc::new(SourceCache::none(Duration::from_secs(prepared.config.build.timeout))),
            build_args: build_settings(prepared, env).build_args,
            gets: false,
            retries: 0,
            waits: |_, _| {},
        };
        let records = kept::records(env);
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
    });
    runtime.shutdown_background();
    decisions
}

/// The engine, if it answers.
async fn reachable_engine(prepared: &Prepared, env: &BTreeMap<String, String>) -> Option<Arc<dyn Engine>> {
    let asked = match engine(&prepared.config, env).await {
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
async fn lookup(
    prepared: &Prepared,
    env: &BTreeMap<String, String>,
    engine: Option<&dyn Engine>,
) -> Result<Option<Lookup>, Fatal> {
    let options = &prepared.config.build;
    let Some(engine) = engine.filter(|_| options.reuse_registry && options.cache) else { return Ok(None) };
    let insecure = engine.insecure_registries().await.map_err(|error| Fatal::new(&error, EXIT_FAILED))?;
    let registries = Arc::new(registries(prepared, env, insecure)?);
    Ok(Some(Lookup { registries, retries: options.retries, waits: |error, pause| tell_pause(&error, pause) }))
}

/// Build contexts as a run would have them, written when they are asked for.
pub(super) struct Contexts<'a> {
    prepared: &'a Prepared,
    written: Option<(Scratch, HashMap<PathBuf, Vec<TreeFile>>)>,
}

impl Contexts<'_> {
    /// Those of a run; none is written yet.
    pub(super) fn of(prepared: &Prepared) -> Contexts<'_> {
        Contexts { prepared, written: None }
    }

    /// Writes the context of an image's directory, unless it is written, and says where it is.
    pub(super) fn write(&mut self, dir: &Path) -> Result<PathBuf, Failure> {
        self.get(dir).map_err(|fatal| Failure::permanent(FailureKind::Local, fatal.to_string()))
    }

    /// The context of an image's directory.
    fn get(&mut self, dir: &Path) -> Result<PathBuf, Fatal> {
        let (root, files) = match &mut self.written {
            Some(written) => written,
            written => {
                let root = Scratch::new("contexts").map_err(|error| {
                    Fatal::message(format!("failed to make a temporary directory: {error}"), EXIT_FAILED)
                })?;
                written.insert((root, contexts_by_dir(self.prepared)?))
            }
        };
        if let Some(files) = files.remove(dir) {
            write_tree(root.path(), &files)?;
        }
        Ok(root.path().join(dir))
    }
}
