//! The session of a command: everything that was decided before it begins.

pub mod changes;
pub mod contexts;
pub mod disk;
pub mod engines;
pub mod environment;
pub mod kept;
pub mod outputs;
pub mod patches;
pub mod places;
pub mod prepare;
pub mod recipes;
pub mod registries;
pub mod reporters;
pub mod secrets;
pub mod stdio;
pub mod threads;
pub mod tree;

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use tokio::sync::OnceCell;

use crate::config::command_line::CommandLine;
use crate::config::resolved::Config;
use crate::dockerfile::named::WantedFor;
use crate::engine::Engine;
use crate::error::{EXIT_FAILED, Fatal};
use crate::freshness::answer::Freshness;
use crate::freshness::evaluate::evaluate_by_name;
use crate::freshness::images::{RegistryLookup, TellWait};
use crate::freshness::lock::{LockChecker, pin_sources, read_lock};
use crate::freshness::recipe::Recipes;
use crate::model::plan::{BuildPlan, Disposition};
use crate::registry::Registries;
use crate::sources::cache::SourceCache;
use environment::Environment;
use prepare::Prepared;

/// Tells people of waits.
const TELL_WAIT: TellWait = |error, pause| stdio::tell_pause(&error, pause);

/// One run of a command: its configuration and plan, and what it reaches, each made when it is first asked for.
pub struct Session<'a> {
    /// The command line, as it was read.
    pub line: &'a CommandLine,
    /// The environment of the process, as it was read.
    pub environment: &'a Environment,
    /// The rendered tree and its plan.
    pub prepared: Prepared,
    recipes: OnceLock<Recipes>,
    sources: OnceLock<Arc<SourceCache>>,
    engine: OnceCell<Arc<dyn Engine>>,
}

impl<'a> Session<'a> {
    /// Reads and renders the tree, and decides about every image.
    pub fn new(
        line: &'a CommandLine,
        environment: &'a Environment,
        config: Config,
    ) -> Result<Session<'a>, Fatal> {
        let prepared = prepare::prepare(config, environment)?;
        let (recipes, sources, engine) = Default::default();
        Ok(Session { line, environment, prepared, recipes, sources, engine })
    }

    /// The configuration, with the tree's own facts in it.
    pub fn config(&self) -> &Config {
        &self.prepared.config
    }

    /// Changes the plan, to leave images out of it.
    pub fn change_plan<T>(&mut self, change: impl FnOnce(&mut BuildPlan) -> T) -> T {
        let result = change(&mut self.prepared.plan);
        if let Some(recipes) = self.recipes.get_mut() {
            let units = self.prepared.plan.to_build();
            *recipes = units.filter_map(|unit| recipes.remove_entry(&unit.id())).collect();
        }
        result
    }

    /// Recipe of every image to build. Dockerfiles are read once for it.
    pub fn recipes(&self) -> Result<&Recipes, Fatal> {
        if let Some(recipes) = self.recipes.get() {
            return Ok(recipes);
        }
        let recipes = recipes::recipes(&self.prepared, self.environment)?;
        Ok(self.recipes.get_or_init(|| recipes))
    }

    /// The recipes, to be changed: a lock file pins their sources.
    pub fn take_recipes(&mut self) -> Result<Recipes, Fatal> {
        self.recipes()?;
        Ok(self.recipes.take().unwrap_or_default())
    }

    /// The recipes, with the sources of the lock file as far as it has them when the run is held to one.
    pub fn take_pinned_recipes(&mut self) -> Result<Recipes, Fatal> {
        let mut recipes = self.take_recipes()?;
        if let Some(path) = &self.config().build.locked {
            pin_sources(&read_lock(path)?, &mut recipes);
        }
        Ok(recipes)
    }

    /// Leaves out what the engine has under the name it would get, whatever is in it (`--skip-existing`).
    pub async fn skip_existing(&mut self, engine: &dyn Engine) -> Result<(), Fatal> {
        let mut existing = HashSet::new();
        for unit in self.prepared.plan.to_build() {
            let freshness = evaluate_by_name(engine, unit).await;
            if let Freshness::Fresh(_) = freshness.map_err(|error| Fatal::new(&error, EXIT_FAILED))? {
                existing.insert(unit.id());
            }
        }
        self.change_plan(|plan| {
            for unit in plan.units.iter_mut().filter(|unit| existing.contains(&unit.id())) {
                unit.disposition = Disposition::Skipped;
                unit.reason = "skip_existing, and the engine has it".to_string();
            }
        });
        Ok(())
    }

    /// True when base images are wanted for several platforms, so that a name of one does not stand for one image.
    pub fn wants_several_platforms(&self) -> Result<bool, Fatal> {
        let mut parents = self.recipes()?.values().flat_map(|recipe| &recipe.parents);
        let is_for_other = parents.any(|from| from.platform != WantedFor::Target);
        Ok(is_for_other || self.config().has_several_platforms())
    }

    /// The cache for the sources of the recipes.
    pub fn sources(&self) -> Result<Arc<SourceCache>, Fatal> {
        if let Some(sources) = self.sources.get() {
            return Ok(sources.clone());
        }
        let sources =
            Arc::new(kept::source_cache(self.config(), self.environment, self.recipes()?.values())?);
        Ok(self.sources.get_or_init(|| sources).clone())
    }

    /// The engine that was asked for, once it was reached: one, or several that work as one.
    pub async fn engine(&self) -> Result<Arc<dyn Engine>, Fatal> {
        let engine = self.engine.get_or_try_init(|| engines::engine(self.config(), self.environment));
        engine.await.cloned()
    }

    /// The registries, with those that the engine reaches without TLS.
    pub async fn registries(&self, engine: &dyn Engine) -> Result<Arc<Registries>, Fatal> {
        let insecure = engine.insecure_registries().await.map_err(|error| Fatal::new(&error, EXIT_FAILED))?;
        Ok(Arc::new(registries::registries(self.config(), self.environment, insecure)))
    }

    /// The registries, asked as often as the configuration says; waits are told.
    pub async fn registry_lookup(&self, engine: &dyn Engine) -> Result<RegistryLookup, Fatal> {
        Ok(self.lookup_in(self.registries(engine).await?))
    }

    /// The same with registries that are there already.
    pub fn lookup_in(&self, registries: Arc<Registries>) -> RegistryLookup {
        RegistryLookup { registries, retries: self.config().build.retries, tell_wait: TELL_WAIT }
    }

    /// Who pins sources and base images, or compares them with a lock file.
    pub fn lock_checker<'s>(
        &self,
        engine: Arc<dyn Engine>,
        sources: &'s SourceCache,
    ) -> Result<LockChecker<'s>, Fatal> {
        Ok(LockChecker {
            engine,
            sources,
            retries: self.config().build.retries,
            tell_wait: TELL_WAIT,
            output: &stdio::tell_line,
            several_platforms: self.wants_several_platforms()?,
        })
    }

    /// The registries, as the configuration says alone.
    pub fn registries_alone(&self) -> Registries {
        registries::registries(self.config(), self.environment, Vec::new())
    }
}
