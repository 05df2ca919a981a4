//! Gathering what a forecast is made from: records of earlier builds, the engine's images, and today's inputs.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::build::{build_settings, cache_dir, recipes, runtime, source_cache};
use super::engines::engine;
use super::lock;
use super::prepare::Prepared;
use super::tell;
use super::write::contexts_by_dir;
use crate::config::source::{Origin, Source};
use crate::context::sources::SourceCache;
use crate::context::workdir::{TreeFile, write_tree};
use crate::engine::{Engine, ImageFacts};
use crate::error::{EXIT_FAILED, Fatal};
use crate::event::UnitId;
use crate::forecast::{Expected, Facts, Forecast, Held, forecast};
use crate::plan::{Parent, PlannedUnit};
use crate::platform::Platform;
use crate::record::InputRecord;
use crate::schedule::image::{BuildSettings, KEY_LABEL, PARENT_LABEL, Recipe, key_inputs};
use crate::schedule::records::Records;

/// References of git that are asked for at once.
const AT_ONCE: usize = 8;

/// Where records of what images were made from are kept.
pub(super) fn records(env: &BTreeMap<String, String>) -> Records {
    Records::in_dir(cache_dir(env).join("inputs"))
}

/// What would come of every image that is to be brought up to date. Nothing is built, pulled or downloaded.
pub fn forecasts(
    prepared: &Prepared,
    env: &BTreeMap<String, String>,
) -> Result<HashMap<UnitId, Forecast>, Fatal> {
    let mut recipes = recipes(prepared, env)?;
    if let Some(path) = &prepared.config.build.locked {
        lock::pin_sources(path, &mut recipes)?;
    }
    let runtime = runtime()?;
    let forecasts = runtime.block_on(async {
        let mut gathering = Gathering {
            engine: reachable_engine(prepared, env).await,
            // Without one, what sources are is not known.
            sources: source_cache(prepared, env).ok(),
            records: records(env),
            settings: build_settings(prepared, env),
            recipes,
            contexts: Contexts { prepared, written: None },
            known: HashMap::new(),
        };
        gathering.all(prepared).await
    });
    runtime.shutdown_background();
    forecasts
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

/// What is known of a unit that others may be built on.
#[derive(Clone)]
struct Known {
    expected: Expected,
    /// The key that it would have; none when it can't be known.
    key: Option<String>,
    /// The engine's id of it.
    id: Option<String>,
}

struct Gathering<'a> {
    engine: Option<Arc<dyn Engine>>,
    sources: Option<SourceCache>,
    records: Records,
    settings: BuildSettings,
    recipes: HashMap<UnitId, Recipe>,
    contexts: Contexts<'a>,
    known: HashMap<UnitId, Known>,
}

impl Gathering<'_> {
    async fn all(&mut self, prepared: &Prepared) -> Result<HashMap<UnitId, Forecast>, Fatal> {
        let units: Vec<(&PlannedUnit, Option<InputRecord>)> =
            prepared.plan.to_build().map(|unit| (unit, self.records.get(unit))).collect();
        self.ask_git(units.iter().filter(|(_, record)| record.is_some()).map(|(unit, _)| unit.id())).await;
        let mut forecasts = HashMap::new();
        for (unit, before) in units {
            let forecast = self.one(unit, before.as_ref()).await?;
            forecasts.insert(unit.id(), forecast);
        }
        Ok(forecasts)
    }

    /// Asks for the commits of the units' sources, all at once: the answers are remembered.
    async fn ask_git(&self, units: impl Iterator<Item = UnitId>) {
        let Some(sources) = &self.sources else { return };
        let of_git = units
            .filter_map(|unit| self.recipes.get(&unit))
            .flat_map(Recipe::sources)
            .filter(|source| matches!(source.origin, Origin::Git { .. }));
        // Who can't be asked is told of by the unit that needs it.
        stream::iter(of_git)
            .for_each_concurrent(AT_ONCE, async |source| drop(sources.known(source).await))
            .await;
    }

    async fn one(&mut self, unit: &PlannedUnit, before: Option<&InputRecord>) -> Result<Forecast, Fatal> {
        let (parent_name, parent) = self.parent(unit, before).await?;
        let parent_is_built = parent.expected == Expected::Built;
        // What is built on an image that is built is built too, whatever the engine has.
        let images =
            if parent_is_built { Vec::new() } else { self.held(&unit.reference, unit.platform).await? };
        let now = match &parent.key {
            None => Err(format!("its {parent_name} is not in the engine")),
            // Nobody asks.
            Some(_) if before.is_none() && images.is_empty() => Err(String::new()),
            Some(key) => self.inputs(unit, key).await?,
        };
        let label = |image: &ImageFacts, name: &str| image.labels.get(name).cloned();
        let is_same = |image: &&ImageFacts| {
            now.as_ref().is_ok_and(|now| label(image, KEY_LABEL).as_ref() == Some(&now.key))
        };
        let image = images.iter().find(is_same).or(images.first());
        let held = match image {
            Some(image) => Held::Image { key: label(image, KEY_LABEL), parent: label(image, PARENT_LABEL) },
            None if parent_is_built || self.engine.is_none() => Held::NotAsked,
            None => Held::Nothing,
        };
        let forecast = forecast(&Facts {
            cache: self.settings.cache,
            parent: &parent_name,
            parent_expected: parent.expected,
            parent_id: parent.id.as_deref(),
            held: &held,
            before,
            now: now.as_ref().map_err(String::as_str),
        });
        let known = Known {
            expected: forecast.expected,
            key: now.ok().map(|record| record.key),
            id: image.map(|image| image.id.clone()),
        };
        self.known.insert(unit.id(), known);
        Ok(forecast)
    }

    /// What people call the unit's parent, and what is known of it.
    async fn parent(
        &self,
        unit: &PlannedUnit,
        before: Option<&InputRecord>,
    ) -> Result<(String, Known), Fatal> {
        let name = match &unit.parent {
            Parent::Base(reference) => format!("base image {reference}"),
            Parent::Image(name) => {
                let id = UnitId { image: name.as_str().into(), platform: unit.platform };
                if let Some(known) = self.known.get(&id) {
                    // A parent that is built whatever it is made from may have no key yet: what differs is told of
                    // the other inputs then.
                    let key = known.key.clone().or(before.map(|record| record.parent.clone()));
                    return Ok((format!("parent {name}"), Known { key, ..known.clone() }));
                }
                format!("parent {name}")
            }
        };
        let reference = &self.recipes[&unit.id()].parent_reference;
        let key_and_id = match (&unit.parent, &self.engine) {
            (Parent::Base(_), _) if reference == "scratch" => Some((reference.clone(), reference.clone())),
            (_, None) => None,
            (parent, Some(_)) => self.held(reference, unit.platform).await?.pop().map(|image| match parent {
                Parent::Base(_) => (image.id.clone(), image.id),
                Parent::Image(_) => (image.labels.get(KEY_LABEL).unwrap_or(&image.id).clone(), image.id),
            }),
        };
        // Of an engine that can't be asked it is taken that nothing has changed there.
        let assumed = || before.filter(|_| self.engine.is_none()).map(|record| record.parent.clone());
        let (key, id) = match key_and_id {
            Some((key, id)) => (Some(key), Some(id)),
            None => (assumed(), None),
        };
        Ok((name, Known { expected: Expected::Unchanged, key, id }))
    }

    /// What the engine has under this name for the platform; several engines may have several.
    async fn held(&self, reference: &str, platform: Platform) -> Result<Vec<ImageFacts>, Fatal> {
        let Some(engine) = &self.engine else { return Ok(Vec::new()) };
        let mut images =
            engine.inspect_all(reference).await.map_err(|error| Fatal::new(&error, EXIT_FAILED))?;
        images.retain(|image| image.is_for(platform));
        Ok(images)
    }

    /// What the unit would be made from on a parent with this key, or why that is not known.
    async fn inputs(
        &mut self,
        unit: &PlannedUnit,
        parent: &str,
    ) -> Result<Result<InputRecord, String>, Fatal> {
        let mut recipe = self.recipes[&unit.id()].clone();
        let mut sources = Vec::new();
        for source in recipe.sources() {
            match self.identify(source).await {
                Ok(identity) => sources.push((source.section.clone(), identity)),
                Err(why) => return Ok(Err(why)),
            }
        }
        recipe.context = self.contexts.get(&recipe.context)?;
        let inputs = key_inputs(unit.platform, parent, &recipe, sources, &self.settings.build_args).await;
        Ok(inputs.map(|inputs| InputRecord::new(&inputs)).map_err(|failure| failure.message))
    }

    async fn identify(&self, source: &Source) -> Result<String, String> {
        let unpinned =
            || format!("source {} is not pinned: only fetching it tells what it is", source.section);
        match &self.sources {
            Some(sources) => {
                sources.known(source).await.map_err(|error| error.to_string())?.ok_or_else(unpinned)
            }
            None => Err("the source cache can't be used".to_string()),
        }
    }
}

/// Build contexts as a run would have them, written when they are asked for.
struct Contexts<'a> {
    prepared: &'a Prepared,
    written: Option<(tempfile::TempDir, HashMap<PathBuf, Vec<TreeFile>>)>,
}

impl Contexts<'_> {
    /// The context of an image's directory.
    fn get(&mut self, dir: &Path) -> Result<PathBuf, Fatal> {
        let (root, files) = match &mut self.written {
            Some(written) => written,
            written => {
                let root = tempfile::tempdir().map_err(|error| {
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
