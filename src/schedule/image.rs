//! Bringing one image up to date: its sources, its content key, and the build when the key is new.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;

use super::ahead::Ahead;
use super::bases::BaseImages;
use super::contexts::add_sources;
use super::lists::Lists;
use super::memory::{Held, Memory};
use super::records::Records;
use super::remote::Remote;
use super::worker::{Progress, Pushed, Success, Tell, Worker};
use crate::config::buildkit::CacheSource;
use crate::config::source::Source;
use crate::context::assemble::{ADDITIONS_ARCHIVE, PLUGINS_ARCHIVE, source_archive};
use crate::context::digest;
use crate::context::sources::{SourceCache, SourceError};
use crate::dockerfile::mounts::with_run_flags;
use crate::engine::{BuildOutput, BuildRequest, BuiltOn, Engine, EngineError, ImageFacts, OutputSink};
use crate::event::{Failure, FailureKind, Image, UnitId};
use crate::plan::{KeyInputs, Parent, PlannedUnit};
use crate::platform::Platform;
use crate::record::InputRecord;
use crate::registry::said::Kind;
use crate::secret::Secrets;
use crate::transient::{
    has_network_symptoms, tells_of_foreign_programs, tells_of_full_disk, without_quoted_steps,
};
use crate::util::input;

/// The label that carries an image's content key.
pub const KEY_LABEL: &str = "kolla-build.key";
/// The label that carries the engine's id of the image it was built on. The key alone would not tell that a parent was
/// built anew from the same inputs, with newer packages in it.
pub const PARENT_LABEL: &str = "kolla-build.parent";

/// What an image without a base is built on: engines know the word, and no image of this name.
const SCRATCH: &str = "scratch";

/// How many of a build's last lines are searched for signs of a network at fault.
const SYMPTOM_LINES: usize = 60;

/// What is built, of one unit.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The build context's directory.
    pub context: PathBuf,
    /// When what is in it counts as made, in seconds since 1970.
    pub mtime: u64,
    /// Full name of what it is built on.
    pub parent_reference: String,
    /// The image's own source.
    pub source: Option<Source>,
    /// Sources that go into `plugins-archive`.
    pub plugins: Vec<Source>,
    /// Sources that go into `additions-archive`.
    pub additions: Vec<Source>,
    /// Labels put on the image beside those of its Dockerfile.
    pub labels: BTreeMap<String, String>,
    /// Flags that its RUN steps get, those of secrets.
    pub run_flags: Arc<[String]>,
}

impl Recipe {
    /// All of its sources.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.source.iter().chain(&self.plugins).chain(&self.additions)
    }

    /// All of its sources, to be changed.
    pub fn sources_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        self.source.iter_mut().chain(&mut self.plugins).chain(&mut self.additions)
    }
}

/// How every unit of a run is built.
#[derive(Debug, Clone)]
pub struct BuildSettings {
    /// BuildKit instead of the classic builder.
    pub buildkit: bool,
    /// Network of RUN steps.
    pub network_mode: String,
    /// Build arguments that decide what is built.
    pub build_args: BTreeMap<String, String>,
    /// Build arguments that only say how to reach the network.
    pub proxy_args: BTreeMap<String, String>,
    /// What RUN steps can read, and logs must not show.
    pub secrets: Secrets,
    /// Make one layer of what a build adds.
    pub squash: bool,
    /// Where layers may be taken from.
    pub cache_from: Vec<CacheSource>,
    /// Write into images what others need to take their layers.
    pub inline_cache: bool,
    /// Reuse what is already built.
    pub cache: bool,
    /// Keep containers of failed builds.
    pub keep: bool,
}

/// The worker that builds images with an engine.
pub struct ImageWorker {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// What images without a parent are built on.
    pub bases: BaseImages,
    /// Where sources come from.
    pub sources: Arc<SourceCache>,
    /// Who fetches them before they are needed.
    pub ahead: Ahead,
    /// How to build.
    pub settings: BuildSettings,
    /// What to build, for every unit of the plan that is to be built.
    pub recipes: HashMap<UnitId, Recipe>,
    /// The registry.
    pub remote: Remote,
    /// The manifest lists that pushes complete.
    pub lists: Lists,
    /// What images were made from.
    pub records: Records,
    /// What this run has learnt.
    pub memory: Memory,
}

impl Worker for ImageWorker {
    fn work<'a>(&'a self, unit: &'a PlannedUnit, tell: Tell<'a>) -> BoxFuture<'a, Result<Success, Failure>> {
        Box::pin(async move { self.bring_up_to_date(unit, tell).await.map_err(about_full_disk) })
    }

    fn push<'a>(&'a self, unit: &'a PlannedUnit, tell: Tell<'a>) -> BoxFuture<'a, Result<Pushed, Failure>> {
        Box::pin(async move {
            let output = |said| tell(Progress::Said(said));
            let digest = match self.memory.get(&unit.id()).and_then(|held| held.digest) {
                Some(digest) => Some(digest),
                None => self.remote.push(&unit.reference, &output).await?,
            };
            let list = match self.lists.complete(unit, digest.as_deref()) {
                Some((name, members)) => Some(self.remote.list(&name, &members, &output).await?),
                None => None,
            };
            Ok(Pushed { digest, list })
        })
    }
}

impl ImageWorker {
    async fn bring_up_to_date(&self, unit: &PlannedUnit, tell: Tell<'_>) -> Result<Success, Failure> {
        let output = |said| tell(Progress::Said(said));
        let id = unit.id();
        let recipe = self.recipe(unit)?;
        let parent = self.parent(unit, &output).await?;
        let record = InputRecord::new(&self.key_inputs(unit, recipe, &parent).await?);
        let key = record.key.clone();
        let is_same = |labels: &BTreeMap<String, String>| {
            labels.get(KEY_LABEL) == Some(&key) && labels.get(PARENT_LABEL).is_some_and(|id| parent.is(id))
        };
        if self.settings.cache {
            let held = self.engine.inspect_all(&unit.reference).await.map_err(engine_failure)?;
            if let Some(image) =
                held.into_iter().find(|image| image.is_for(unit.platform) && is_same(&image.labels))
            {
                self.keep_record(unit, &record, &output);
                return Ok(Success::Unchanged(self.remember(id, key, image)));
            }
            let found = self.remote.find(&unit.reference, unit.platform).await?;
            if let Some(image) = found.filter(|image| is_same(&image.labels)) {
                output(BuildOutput::Line(format!("The registry has it as {}", image.digest)));
                let unchanged = Image { id: image.id.clone(), key: key.clone(), size: image.size, layers: 0 };
                self.keep_record(unit, &record, &output);
                self.memory.keep(id, Held::by_registry(key, image));
                return Ok(Success::Unchanged(unchanged));
            }
        }
        tell(Progress::Started { key: key.clone() });
        self.ahead.changed(&id);
        add_sources(recipe, &self.sources).await?;
        let parent = self.in_engine(unit, recipe, &parent, &output).await?;
        let request = self.request(unit, recipe, key.clone(), parent);
        let tail = Mutex::new(VecDeque::with_capacity(SYMPTOM_LINES));
        let keep_tail = |said: BuildOutput| {
            if let BuildOutput::Line(line) = &said {
                let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
                if tail.len() == SYMPTOM_LINES {
                    tail.pop_front();
                }
                tail.push_back(line.clone());
            }
            output(said);
        };
        let built = match self.engine.build(&request, &keep_tail).await {
            Ok(built) => built,
            Err(error) => {
                let tail = tail.into_inner().unwrap_or_else(PoisonError::into_inner);
                return Err(self.build_failure(unit, error, &tail).await);
            }
        };
        self.keep_record(unit, &record, &output);
        Ok(Success::Built(self.remember(id, key, built)))
    }

    /// What a failed build is to its unit, by what was said and the last lines of its log.
    async fn build_failure(
        &self,
        unit: &PlannedUnit,
        error: EngineError,
        tail: &VecDeque<String>,
    ) -> Failure {
        let mut failure = engine_failure(error);
        if failure.kind != FailureKind::Build {
            return failure;
        }
        let lines = || tail.iter().map(String::as_str);
        failure.transient |=
            has_network_symptoms(lines()) || has_network_symptoms(without_quoted_steps(&failure.message));
        if tells_of_full_disk(lines()) {
            failure.kind = FailureKind::Disk;
        } else if !failure.transient && self.engine.facts().await.is_err() {
            // An engine that is being ended tears down what builds need, and tells of that as if they had failed.
            failure.kind = FailureKind::Connection;
            failure.transient = true;
            failure.message.push_str("\nthe engine has gone meanwhile, which may be the reason");
        } else if tells_of_foreign_programs(lines()) {
            let (platform, arch) = (unit.platform, unit.platform.arch.kolla());
            failure.message.push_str(&format!(
                "\nhint: the engine can't run programs for {platform}: give its host an emulator (qemu, with binfmt_misc), or \
                 name an engine that can, as --engine-host {arch}=ssh://..."
            ));
        }
        failure
    }

    /// Keeps what the unit is made from, for `--plan` to say what has changed since.
    fn keep_record(&self, unit: &PlannedUnit, record: &InputRecord, output: OutputSink<'_>) {
        if let Err(error) = self.records.keep(unit, record) {
            output(BuildOutput::Line(format!("failed to record what it is made from: {error}")));
        }
    }

    fn recipe(&self, unit: &PlannedUnit) -> Result<&Recipe, Failure> {
        self.recipes.get(&unit.id()).ok_or_else(|| Failure::bug("a unit without a recipe"))
    }

    /// Keeps what a unit's children must know of it.
    fn remember(&self, unit: UnitId, key: String, facts: ImageFacts) -> Image {
        self.memory.keep(unit, Held::by_engine(key.clone(), facts.id.clone()));
        Image { id: facts.id, key, size: facts.size, layers: facts.layers }
    }

    /// What the unit is built on.
    async fn parent(&self, unit: &PlannedUnit, output: OutputSink<'_>) -> Result<Held, Failure> {
        let parent = match &unit.parent {
            Parent::Base(reference) => {
                let id = self.base_image(reference, unit.platform, output).await?;
                return Ok(Held::by_engine(id.clone(), id));
            }
            Parent::Image(parent) => parent,
        };
        let id = UnitId { image: parent.as_str().into(), platform: unit.platform };
        if let Some(image) = self.memory.get(&id) {
            return Ok(image);
        }
        let reference = &self.recipe(unit)?.parent_reference;
        let Some(image) = self.engine.inspect(reference).await.map_err(engine_failure)? else {
            let found = self.remote.find(reference, unit.platform).await?.ok_or_else(|| {
                let message =
                    format!("its parent {reference} is not in the engine and this run does not build it");
                Failure::permanent(FailureKind::Build, message)
            })?;
            let key = found.labels.get(KEY_LABEL).unwrap_or(&found.id).clone();
            let held = Held::by_registry(key, found);
            self.memory.keep(id, held.clone());
            return Ok(held);
        };
        if !image.is_for(unit.platform) {
            let message = format!(
                "its parent {reference}, which this run does not build, is for {}, not for {}",
                image.built_for(),
                unit.platform
            );
            return Err(Failure::permanent(FailureKind::Build, message));
        }
        let key = image.labels.get(KEY_LABEL).unwrap_or(&image.id).clone();
        Ok(Held::by_engine(key, image.id))
    }

    /// The engine's id of what a unit is built on, which it pulls when only the registry has it.
    async fn in_engine(
        &self,
        unit: &PlannedUnit,
        recipe: &Recipe,
        parent: &Held,
        output: OutputSink<'_>,
    ) -> Result<String, Failure> {
        let reference = &recipe.parent_reference;
        let pull = || async {
            let image = self.engine.pull(reference, unit.platform, output).await.map_err(engine_failure)?;
            if !parent.is(&image.id) && image.labels.get(KEY_LABEL) != Some(&parent.key) {
                let message =
                    format!("its parent {reference} was another one when the registry was asked before");
                return Err(Failure::permanent(FailureKind::Registry, message));
            }
            Ok(image.id)
        };
        parent.in_engine.get_or_try_init(pull).await.cloned()
    }

    /// The engine's id of a base image.
    async fn base_image(
        &self,
        reference: &str,
        platform: Platform,
        output: OutputSink<'_>,
    ) -> Result<String, Failure> {
        if reference.is_empty() {
            return Err(Failure::permanent(FailureKind::Build, "its Dockerfile has no FROM"));
        }
        if reference == SCRATCH {
            return Ok(reference.to_string());
        }
        self.bases.get(reference, platform, output).await.map(|image| image.id).map_err(engine_failure)
    }

    async fn key_inputs(
        &self,
        unit: &PlannedUnit,
        recipe: &Recipe,
        parent: &Held,
    ) -> Result<KeyInputs, Failure> {
        let mut sources = Vec::new();
        for source in recipe.sources() {
            let identity = self.sources.identify(source).await.map_err(source_failure)?;
            sources.push((source.section.clone(), identity));
        }
        key_inputs(unit.platform, &parent.key, recipe, sources, &self.settings.build_args).await
    }

    fn request(&self, unit: &PlannedUnit, recipe: &Recipe, key: String, parent: String) -> BuildRequest {
        let settings = &self.settings;
        let mut build_args = settings.proxy_args.clone();
        build_args.extend(settings.build_args.clone());
        let mut labels = recipe.labels.clone();
        labels.insert(KEY_LABEL.to_string(), key);
        labels.insert(PARENT_LABEL.to_string(), parent.clone());
        let parent = BuiltOn {
            reference: recipe.parent_reference.clone(),
            id: parent,
            ours: matches!(unit.parent, Parent::Image(_)),
            alias: match &unit.parent {
                Parent::Image(_) => None,
                Parent::Base(reference) => self.bases.alias(reference, unit.platform),
            },
        };
        BuildRequest {
            context: recipe.context.clone(),
            mtime: recipe.mtime,
            tag: unit.reference.clone(),
            parent: (parent.reference != SCRATCH).then_some(parent),
            platform: unit.platform,
            // Base images are pulled by name beforehand, parents never.
            pull: false,
            no_cache: !settings.cache,
            keep: settings.keep,
            buildkit: settings.buildkit,
            network_mode: settings.network_mode.clone(),
            build_args,
            labels,
            secrets: settings.secrets.clone(),
            squash: settings.squash,
            cache_from: settings
                .cache_from
                .iter()
                .map(|source| source.reference(&unit.image, unit.platform))
                .collect(),
            inline_cache: settings.inline_cache,
        }
    }
}

/// What a unit's key is computed from. `parent` is its parent's key, or the engine's id of its base image; `sources` are
/// its sections, each with what identifies the content.
pub async fn key_inputs(
    platform: Platform,
    parent: &str,
    recipe: &Recipe,
    sources: Vec<(String, String)>,
    build_args: &BTreeMap<String, String>,
) -> Result<KeyInputs, Failure> {
    let archives = archive_names(recipe);
    let context = recipe.context.clone();
    let (dockerfile, context) = blocking(move || {
        let dockerfile = input::read_to_string(&context.join("Dockerfile"))?;
        let mut excluded: Vec<&Path> = archives.iter().map(Path::new).collect();
        excluded.push(Path::new("Dockerfile"));
        Ok((dockerfile, digest::digest_entries(&context, &excluded)?))
    })
    .await?;
    Ok(KeyInputs {
        platform: platform.to_string(),
        parent: parent.to_string(),
        // As it is sent: of secrets, it knows the names.
        dockerfile: with_run_flags(&dockerfile, &recipe.run_flags),
        context: context.entries.into_iter().collect(),
        sources,
        build_args: build_args.clone().into_iter().collect(),
    })
}

/// Names of the files that [`add_sources`] puts into a context: what they hold is known by their sources.
fn archive_names(recipe: &Recipe) -> Vec<String> {
    let own = recipe.source.iter().map(|source| source_archive(&source.section));
    own.chain([PLUGINS_ARCHIVE.to_string(), ADDITIONS_ARCHIVE.to_string()]).collect()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            Err(Failure::permanent(FailureKind::Local, format!("failed to read the build context: {error}")))
        }
        Err(error) => Err(Failure::bug(&error.to_string())),
    }
}

/// A full disk is one, whoever tells of it: trying again does not empty it.
fn about_full_disk(failure: Failure) -> Failure {
    if failure.kind != FailureKind::Disk && !tells_of_full_disk(failure.message.lines()) {
        return failure;
    }
    let hint = "hint: a disk is full: df -h shows which, docker system df what the engine keeps; when there is space \
                again, the next run goes on where this one stopped";
    Failure::permanent(FailureKind::Disk, format!("{}\n{hint}", failure.message))
}

/// What a source's error is to a unit.
pub fn source_failure(error: SourceError) -> Failure {
    Failure { kind: FailureKind::Source, transient: error.is_transient(), message: error.to_string() }
}

/// What an engine's error is to a unit.
pub fn engine_failure(error: EngineError) -> Failure {
    let (kind, transient) = match &error {
        EngineError::Unreachable { .. }
        | EngineError::ConnectionLost { .. }
        | EngineError::Stalled { .. }
        | EngineError::Garbage { .. } => (FailureKind::Connection, true),
        EngineError::Refused { status, .. } => (FailureKind::Build, *status >= 500 || *status == 429),
        EngineError::Context { .. } => (FailureKind::Local, false),
        EngineError::Push(said) | EngineError::Pull(said) => {
            (FailureKind::Registry, Kind::of(said).is_transient() || has_network_symptoms(said.lines()))
        }
        EngineError::Credentials(_) => (FailureKind::Registry, false),
        _ => (FailureKind::Build, false),
    };
    Failure { kind, transient, message: error.to_string() }
}
