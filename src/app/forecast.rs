//! Gathering what a forecast is made from: records of earlier builds, the engine's and the registry's images, and today's
//! inputs.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::build::build_settings;
use super::engines::engine;
use super::kept::{self, source_cache};
use super::prepare::Prepared;
use super::registry::{Found, Lookup, registries};
use super::threads::runtime;
use super::write::contexts_by_dir;
use super::{lock, tell};
use crate::config::source::{Origin, Source};
use crate::context::sources::SourceCache;
use crate::context::workdir::{TreeFile, write_tree};
use crate::engine::{Engine, ImageFacts};
use crate::error::{EXIT_FAILED, Fatal};
use crate::event::UnitId;
use crate::forecast::{Expected, Facts, Forecast, Held, Holder, forecast};
use crate::plan::{Parent, PlannedUnit};
use crate::platform::Platform;
use crate::record::InputRecord;
use crate::registry::RemoteImage;
use crate::schedule::bases::BaseImages;
use crate::schedule::image::{BuildSettings, KEY_LABEL, PARENT_LABEL, Recipe, key_inputs};
use crate::schedule::records::Records;
use crate::util::scratch::Scratch;

/// References of git, and images in the registry, that are asked for at once.
const AT_ONCE: usize = 8;

/// What would come of every image that is to be brought up to date. Nothing is built, pulled or downloaded.
pub fn forecasts(
    prepared: &Prepared,
    env: &BTreeMap<String, String>,
) -> Result<HashMap<UnitId, Forecast>, Fatal> {
    let recipes = lock::pinned_recipes(prepared, env)?;
    let runtime = runtime()?;
    let forecasts = runtime.block_on(async {
        let engine = reachable_engine(prepared, env).await;
        let mut gathering = Gathering {
            remote: remote(prepared, env, engine.as_deref()).await?,
            engine,
            // Without one, what sources are is not known.
            sources: source_cache(prepared, env, recipes.values()).ok(),
            records: kept::records(env),
            settings: build_settings(prepared, env),
            recipes,
            contexts: Contexts { prepared, written: None },
            known: HashMap::new(),
            in_registry: HashMap::new(),
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

/// Who asks the registry, when images are reused from there: of an engine, for what it says of registries.
async fn remote(
    prepared: &Prepared,
    env: &BTreeMap<String, String>,
    engine: Option<&dyn Engine>,
) -> Result<Option<Lookup>, Fatal> {
    let options = &prepared.config.build;
    let Some(engine) = engine.filter(|_| options.reuse_registry && options.cache) else { return Ok(None) };
    let insecure = engine.insecure_registries().await.map_err(|error| Fatal::new(&error, EXIT_FAILED))?;
    let registries = registries(prepared, env, insecure)?;
    Ok(Some(Lookup { registries, retries: options.retries }))
}

/// What is known of a unit that others may be built on.
#[derive(Clone)]
struct Known {
    expected: Expected,
    /// The key that it would have; none when it can't be known.
    key: Option<String>,
    /// What the engine may have as its id; empty when it can't be known.
    ids: Vec<String>,
}

struct Gathering<'a> {
    engine: Option<Arc<dyn Engine>>,
    sources: Option<SourceCache>,
    records: Records,
    settings: BuildSettings,
    recipes: HashMap<UnitId, Recipe>,
    contexts: Contexts<'a>,
    known: HashMap<UnitId, Known>,
    /// None when images are not reused from the registry.
    remote: Option<Lookup>,
    /// What the registry has, by reference and platform.
    in_registry: HashMap<(String, Platform), Found>,
}

/// An image that could be reused.
struct Candidate {
    holder: Holder,
    ids: Vec<String>,
    labels: BTreeMap<String, String>,
}

impl Candidate {
    fn of_engine(image: ImageFacts) -> Candidate {
        Candidate { holder: Holder::Engine, ids: vec![image.id], labels: image.labels }
    }

    fn of_registry(image: RemoteImage) -> Candidate {
        Candidate { holder: Holder::Registry, ids: image.ids(), labels: image.labels }
    }

    fn label(&self, name: &str) -> Option<String> {
        self.labels.get(name).cloned()
    }
}

impl Gathering<'_> {
    async fn all(&mut self, prepared: &Prepared) -> Result<HashMap<UnitId, Forecast>, Fatal> {
        let units: Vec<(&PlannedUnit, Option<InputRecord>)> =
            prepared.plan.to_build().map(|unit| (unit, self.records.get(unit))).collect();
        self.ask_git(units.iter().filter(|(_, record)| record.is_some()).map(|(unit, _)| unit.id())).await;
        if let Some(remote) = &self.remote {
            let asked: Vec<&PlannedUnit> = units.iter().map(|(unit, _)| *unit).collect();
            self.in_registry = remote.images(&asked, |unit| &unit.reference, AT_ONCE).await;
        }
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
        // What is built on an image that is built is built too, whatever there is of it.
        let (images, missing) = match parent_is_built {
            true => (Vec::new(), Held::NotAsked),
            false => self.candidates(unit).await?,
        };
        let now = match &parent.key {
            None => Err(format!("its {parent_name} is not in the engine")),
            // Nobody asks.
            Some(_) if before.is_none() && images.is_empty() => Err(String::new()),
            Some(key) => self.inputs(unit, key).await?,
        };
        let is_same = |image: &&Candidate| {
            let on_same_parent = |id: &String| parent.ids.is_empty() || parent.ids.contains(id);
            now.as_ref().is_ok_and(|now| image.labels.get(KEY_LABEL) == Some(&now.key))
                && image.labels.get(PARENT_LABEL).is_none_or(on_same_parent)
        };
        let image = images.iter().find(is_same).or(images.first());
        let held = image.map_or(missing, |image| Held::Image {
            holder: image.holder,
            key: image.label(KEY_LABEL),
            parent: image.label(PARENT_LABEL),
        });
        let forecast = forecast(&Facts {
            cache: self.settings.cache,
            parent: &parent_name,
            parent_expected: parent.expected,
            parent_ids: &parent.ids,
            held: &held,
            before,
            now: now.as_ref().map_err(String::as_str),
        });
        let known = Known {
            expected: forecast.expected,
            key: now.ok().map(|record| record.key),
            ids: image.map(|image| image.ids.clone()).unwrap_or_default(),
        };
        self.known.insert(unit.id(), known);
        Ok(forecast)
    }

    /// The images that could be reused, the engine's first, and what it means if there are none.
    async fn candidates(&self, unit: &PlannedUnit) -> Result<(Vec<Candidate>, Held), Fatal> {
        let held = self.held(&unit.reference, unit.platform).await?;
        let mut images: Vec<Candidate> = held.into_iter().map(Candidate::of_engine).collect();
        let missing = match self.in_registry.get(&(unit.reference.clone(), unit.platform)) {
            Some(Err(error)) => Held::NotTold(format!("the registry can't be asked: {error}")),
            Some(Ok(found)) => {
                images.extend(found.clone().map(Candidate::of_registry));
                Held::Nothing(Holder::Registry)
            }
            None if self.engine.is_none() => Held::NotAsked,
            None => Held::Nothing(Holder::Engine),
        };
        Ok((images, missing))
    }

    /// What people call the unit's parent, and what is known of it.
    async fn parent(
        &mut self,
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
        let reference = self.recipes[&unit.id()].parent_reference.clone();
        let key_and_ids = match (&unit.parent, &self.engine) {
            (Parent::Base(_), _) if reference == "scratch" => Some((reference.clone(), vec![reference])),
            (_, None) => None,
            (Parent::Base(_), Some(engine)) => {
                let bases = BaseImages::new(engine.clone(), false, unit.list.is_some());
                let held = bases.held(&reference, unit.platform).await;
                match held.map_err(|error| Fatal::new(&error, EXIT_FAILED))? {
                    Some(image) => Some((image.id.clone(), vec![image.id])),
                    None => self.parent_in_registry(unit, reference).await,
                }
            }
            (Parent::Image(_), Some(_)) => match self.held(&reference, unit.platform).await?.pop() {
                Some(image) => {
                    Some((image.labels.get(KEY_LABEL).unwrap_or(&image.id).clone(), vec![image.id]))
                }
                None => self.parent_in_registry(unit, reference).await,
            },
        };
        // Of an engine that can't be asked it is taken that nothing has changed there.
        let assumed = || before.filter(|_| self.engine.is_none()).map(|record| record.parent.clone());
        let (key, ids) = match key_and_ids {
            Some((key, ids)) => (Some(key), ids),
            None => (assumed(), Vec::new()),
        };
        Ok((name, Known { expected: Expected::Unchanged, key, ids }))
    }

    /// Key and ids of a parent that the registry has and this run does not build.
    async fn parent_in_registry(
        &mut self,
        unit: &PlannedUnit,
        reference: String,
    ) -> Option<(String, Vec<String>)> {
        let remote = self.remote.as_ref()?;
        let named = (reference, unit.platform);
        if !self.in_registry.contains_key(&named) {
            let found = remote.image(&named.0, unit.platform).await;
            self.in_registry.insert(named.clone(), found);
        }
        let found = |named| self.in_registry.get(named)?.as_ref().ok()?.as_ref();
        let image = found(&named)?;
        let key = match &unit.parent {
            Parent::Image(_) => image.labels.get(KEY_LABEL),
            // A base image's key is its id, which depends on how an engine keeps images: what the unit's image in the
            // registry was built on tells which of them the engines here have.
            Parent::Base(_) => found(&(unit.reference.clone(), unit.platform))
                .and_then(|built| built.labels.get(PARENT_LABEL))
                .filter(|id| image.may_be(id)),
        };
        Some((key.unwrap_or(&image.id).clone(), image.ids()))
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
    written: Option<(Scratch, HashMap<PathBuf, Vec<TreeFile>>)>,
}

impl Contexts<'_> {
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
