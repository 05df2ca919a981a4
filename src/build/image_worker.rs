//! Bringing one image up to date: its sources, its content key, and the build when the key is new.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;

use super::contexts::add_sources;
use super::failures::engine_failure;
use super::manifest_lists::Lists;
use super::prefetch::Ahead;
use super::publish::Remote;
use super::up_to_date::{Held, Memory};
use crate::config::buildkit::CacheSource;
use crate::dockerfile::named::{Given, with_images};
use crate::engine::{BuildOutput, BuildRequest, BuiltOn, Engine, EngineError, ImageFacts, OutputSink};
use crate::freshness::bases::BaseImages;
use crate::freshness::decide::{self, Facts, Holder, Standing, decide};
use crate::freshness::inquiry::{self, Inputs, Inquiry};
use crate::freshness::recipe::{BuiltFrom, Recipe, Recipes};
use crate::freshness::record::InputRecord;
use crate::freshness::records::Records;
use crate::model::event::{Failure, FailureKind, Image, UnitId};
use crate::model::ids::ContentKey;
use crate::model::labels::{KEY_LABEL, NAMED_LABEL, PARENT_LABEL};
use crate::model::plan::{Parent, PlannedUnit};
use crate::model::secret::Secrets;
use crate::schedule::worker::{Pushed, Success, Tell, UnitProgress, Worker};
use crate::sources::cache::SourceCache;
use crate::util::input;
use crate::util::transient::{
    has_network_symptoms, tells_of_foreign_programs, tells_of_full_disk, tells_of_lost_content,
    without_quoted_steps,
};

/// How many of a build's last lines are searched for signs of a network at fault.
const SYMPTOM_LINES: usize = 60;

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
    /// Who is asked whether an image is up to date.
    pub inquiry: Inquiry,
    /// Where sources come from.
    pub sources: Arc<SourceCache>,
    /// Who fetches them before they are needed.
    pub ahead: Ahead,
    /// How to build.
    pub settings: BuildSettings,
    /// What to build, for every unit of the plan that is to be built.
    pub recipes: Recipes,
    /// The directory of all build contexts.
    pub contexts: PathBuf,
    /// Who pushes.
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
            let output = |said| tell(UnitProgress::Said(said));
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
        let output = |said| tell(UnitProgress::Said(said));
        let id = unit.id();
        let recipe = self.recipe(unit)?;
        let mut parents = Vec::new();
        for from in &recipe.parents {
            parents.push(self.parent(unit, from, &output).await?);
        }
        let keys: Vec<ContentKey> = parents.iter().map(|parent| parent.key.clone()).collect();
        let Inputs { key: inputs, untold } =
            self.inquiry.inputs(unit.platform, recipe, &self.context(recipe), &keys).await?;
        let record = InputRecord::new(&inputs);
        let key = record.key.clone();
        let names = recipe.parents.iter().map(BuiltFrom::name);
        let standings: Vec<(String, Standing)> = names.zip(parents.iter().map(Held::standing)).collect();
        if let Some(image) = self.reusable(unit, &standings, &record, &untold).await? {
            self.keep_record(unit, &record, &output);
            return Ok(Success::Unchanged(self.reuse(id, key, image, &output)));
        }
        tell(UnitProgress::Started { key: key.clone() });
        self.ahead.changed(&id);
        add_sources(recipe, &self.context(recipe), &self.sources).await?;
        let mut built_on = Vec::new();
        for (from, parent) in recipe.parents.iter().zip(&parents) {
            built_on.push(self.built_on(unit, from, parent, &output).await?);
        }
        let request = self.request(unit, recipe, key.clone(), built_on)?;
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
        self.memory.keep(id, Held::built(key.clone(), built.id.clone()));
        Ok(Success::Built(told(key, built)))
    }

    /// The image that is up to date already. The registry is asked only when the engine has none.
    async fn reusable(
        &self,
        unit: &PlannedUnit,
        parents: &[(String, Standing)],
        now: &InputRecord,
        untold: &[String],
    ) -> Result<Option<inquiry::Image>, Failure> {
        let find = |mut images: Vec<inquiry::Image>, last_asked| {
            let held = decide::Held::Images(images.iter().map(inquiry::Image::said).collect());
            let cache = self.settings.cache;
            let facts = Facts { cache, last_asked, parents, held: &held, before: None, now: Ok(now), untold };
            decide(&facts).reused.map(|at| images.swap_remove(at))
        };
        if !self.settings.cache {
            return Ok(None);
        }
        if let Some(image) = find(self.inquiry.in_engine(unit).await?, Holder::Engine) {
            return Ok(Some(image));
        }
        let found = self.inquiry.in_registry(&unit.reference, unit.platform).await?;
        Ok(find(found.into_iter().collect(), Holder::Registry))
    }

    /// Takes note of an image that is up to date.
    fn reuse(&self, unit: UnitId, key: ContentKey, image: inquiry::Image, output: OutputSink<'_>) -> Image {
        let (held, image) = match image {
            inquiry::Image::InEngine(image) => {
                (Held::by_engine(key.clone(), image.id.clone()), told(key, image))
            }
            inquiry::Image::InRegistry(image) => {
                output(BuildOutput::Line(format!("The registry has it as {}", image.digest)));
                let told = Image { id: image.id.clone(), key: key.clone(), size: image.size, layers: 0 };
                (Held::by_registry(key, image), told)
            }
        };
        self.memory.keep(unit, held);
        image
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
        failure.transient |= has_network_symptoms(lines())
            || has_network_symptoms(without_quoted_steps(&failure.message))
            || tells_of_lost_content(&failure.message);
        if tells_of_full_disk(lines()) {
            failure.kind = FailureKind::Disk;
        } else if !failure.transient && self.engine.facts().await.is_err() {
            // An engine that is being ended tears down what builds need, and tells of that as if they had failed.
            failure.kind = FailureKind::Connection;
            failure.transient = true;
            failure.message.push_str("\nthe engine has gone meanwhile, which may be the reason");
        } else if tells_of_foreign_programs(lines()) {
            let (platform, arch) = (unit.platform, unit.platform.arch.kolla());
            failure = failure.hinted(format!(
                "the engine can't run programs for {platform}: give its host an emulator (qemu, with binfmt_misc), or \
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

    /// The directory of a build context.
    fn context(&self, recipe: &Recipe) -> PathBuf {
        self.contexts.join(&recipe.context)
    }

    fn bases(&self) -> Result<&BaseImages, Failure> {
        self.inquiry.bases.as_ref().ok_or_else(|| Failure::bug("a build without an engine"))
    }

    /// One of the images that the unit is made from.
    async fn parent(
        &self,
        unit: &PlannedUnit,
        from: &BuiltFrom,
        output: OutputSink<'_>,
    ) -> Result<Held, Failure> {
        if from.is_scratch() {
            return Ok(Held::by_engine(from.reference.as_str().into(), from.reference.as_str().into()));
        }
        let name = match &from.image {
            Parent::Base(reference) => {
                let bases = self.bases()?;
                let platform = bases.platform(from.platform, unit.platform).await?;
                let id = bases.get(reference, platform, output).await.map_err(engine_failure)?.id;
                return Ok(Held::by_engine((&id).into(), id));
            }
            Parent::Image(name) => name,
        };
        let id = UnitId { image: name.as_str().into(), platform: unit.platform };
        if let Some(image) = self.memory.get(&id) {
            return Ok(image);
        }
        let image = self.inquiry.outside(&from.reference, unit.platform).await?;
        let key = image.key();
        Ok(match image {
            inquiry::Image::InEngine(image) => Held::by_engine(key, image.id),
            inquiry::Image::InRegistry(image) => {
                let held = Held::by_registry(key, image);
                self.memory.keep(id, held.clone());
                held
            }
        })
    }

    /// An image that the unit is made from, as the engine has it. It is pulled when only the registry has it.
    async fn built_on(
        &self,
        unit: &PlannedUnit,
        from: &BuiltFrom,
        parent: &Held,
        output: OutputSink<'_>,
    ) -> Result<BuiltOn, Failure> {
        let reference = &from.reference;
        let pull = || async {
            let image = self.engine.pull(reference, unit.platform, output).await.map_err(engine_failure)?;
            if !parent.is(&image.id)
                && image.labels.get(KEY_LABEL).is_none_or(|key| key != parent.key.as_str())
            {
                let message =
                    format!("its parent {reference} was another one when the registry was asked before");
                return Err(Failure::permanent(FailureKind::Registry, message));
            }
            Ok(image.id)
        };
        let id = parent.in_engine.get_or_try_init(pull).await.cloned()?;
        let (platform, alias) = match &from.image {
            Parent::Image(_) => (unit.platform, None),
            Parent::Base(_) if from.is_scratch() => (unit.platform, None),
            Parent::Base(reference) => {
                let platform = self.bases()?.platform(from.platform, unit.platform).await?;
                (platform, self.bases()?.alias(reference, platform))
            }
        };
        let ours = from.image.image().is_some();
        Ok(BuiltOn { reference: reference.clone(), platform, id, ours, alias })
    }

    fn request(
        &self,
        unit: &PlannedUnit,
        recipe: &Recipe,
        key: ContentKey,
        mut parents: Vec<BuiltOn>,
    ) -> Result<BuildRequest, Failure> {
        let settings = &self.settings;
        let mut build_args = settings.proxy_args.clone();
        build_args.extend(settings.build_args.clone());
        let mut labels = recipe.labels.clone();
        labels.insert(KEY_LABEL.to_string(), key.to_string());
        let mut ids = parents.iter().map(|parent| parent.id.as_str());
        labels.extend(ids.next().map(|id| (PARENT_LABEL.to_string(), id.to_string())));
        let named: Vec<&str> = ids.collect();
        if !named.is_empty() {
            labels.insert(NAMED_LABEL.to_string(), named.join(" "));
        }
        let dockerfile = self.renamed(unit, recipe, &parents)?;
        let is_something: Vec<bool> = recipe.parents.iter().map(|from| !from.is_scratch()).collect();
        let mut kept = is_something.into_iter();
        parents.retain(|_| kept.next().unwrap_or(true));
        Ok(BuildRequest {
            context: self.context(recipe),
            mtime: recipe.mtime,
            tag: unit.reference.clone(),
            dockerfile,
            parents,
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
        })
    }

    /// The Dockerfile with aliases for base images; none when it has none.
    fn renamed(
        &self,
        unit: &PlannedUnit,
        recipe: &Recipe,
        parents: &[BuiltOn],
    ) -> Result<Option<String>, Failure> {
        if parents.iter().all(|parent| parent.alias.is_none()) {
            return Ok(None);
        }
        let path = self.context(recipe).join("Dockerfile");
        let text = input::read_to_string(&path).map_err(|error| {
            Failure::permanent(FailureKind::Local, format!("failed to read {}: {error}", path.display()))
        })?;
        let given = Given { args: &self.settings.build_args, target: unit.platform };
        Ok(Some(with_images(&text, given, &|image| {
            let is_it =
                |from: &BuiltFrom| from.reference == image.reference && from.platform == image.platform;
            let at = recipe.parents.iter().position(is_it)?;
            parents[at].alias.clone()
        })))
    }
}

/// What is told of an image that is up to date.
fn told(key: ContentKey, image: ImageFacts) -> Image {
    Image { id: image.id, key, size: image.size, layers: image.layers }
}

/// A full disk is one, whoever tells of it: trying again does not empty it.
fn about_full_disk(failure: Failure) -> Failure {
    if failure.kind != FailureKind::Disk && !tells_of_full_disk(failure.message.lines()) {
        return failure;
    }
    Failure { kind: FailureKind::Disk, transient: false, ..failure }.hinted(
        "a disk is full: df -h shows which, docker system df what the engine keeps; when there is space again, the next \
         run goes on where this one stopped",
    )
}
