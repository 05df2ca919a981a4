//! Bringing one image up to date: its sources, its content key, and the build when the key is new.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::contexts::add_sources;
use super::manifest_lists::ManifestLists;
use super::prefetch::Prefetcher;
use super::publish::Remote;
use super::up_to_date::{UpToDateImage, UpToDateImages};
use crate::dockerfile::named::{Given, with_images};
use crate::engine::{BuildOutput, BuildRequest, BuiltOn, Engine, EngineError, ImageFacts, OutputSink};
use crate::freshness::answer::Freshness;
use crate::freshness::bases::BaseImages;
use crate::freshness::evaluate::{Evaluation, UnitContext};
use crate::freshness::evaluator::{Evaluator, Subject};
use crate::freshness::images::{ExistingImage, ParentImage};
use crate::freshness::recipe::{BuiltFrom, Recipe, Recipes};
use crate::freshness::record::InputRecord;
use crate::freshness::records::Records;
use crate::model::builder::Builder;
use crate::model::event::UnitId;
use crate::model::failure::{Failure, FailureKind};
use crate::model::gate::GateResult;
use crate::model::ids::{ContentKey, Digest, ImageId, ImageName};
use crate::model::labels::{KEY_LABEL, NAMED_LABEL, PARENT_LABEL};
use crate::model::outcome::UnitImage;
use crate::model::plan::{Parent, PlannedUnit};
use crate::model::reference::Reference;
use crate::model::secret::Secrets;
use crate::release::known::{self, KnownBuild};
use crate::release::work::ReleaseWork;
use crate::schedule::worker::{Pushed, Success, Tell, UnitProgress, Worker};
use crate::sources::cache::SourceCache;
use crate::util::input;
use crate::util::transient::{
    FULL_DISK_HINT, has_network_symptoms, tells_of_foreign_programs, tells_of_full_disk,
    tells_of_lost_content, without_quoted_steps,
};

/// How many of a build's last lines are searched for signs of a network at fault.
const SYMPTOM_LINES: usize = 60;

/// How every unit of a run is built.
#[derive(Debug, Clone)]
pub struct BuildSettings {
    /// Builder of the engine.
    pub builder: Builder,
    /// Network of RUN steps.
    pub network_mode: String,
    /// Build arguments that decide what is built.
    pub build_args: BTreeMap<String, String>,
    /// Build arguments that only say how to reach the network.
    pub proxy_args: BTreeMap<String, String>,
    /// Values of the builder's secrets, and what else logs must not show.
    pub secrets: Secrets,
    /// Reuse the engine's layers.
    pub cache: bool,
}

/// The worker that builds images with an engine.
pub struct ImageWorker {
    /// The engine that builds and holds images.
    pub engine: Arc<dyn Engine>,
    /// Who tells whether an image is up to date.
    pub evaluator: Evaluator,
    /// Where sources come from.
    pub sources: Arc<SourceCache>,
    /// Who fetches them before they are needed.
    pub prefetcher: Prefetcher,
    /// Settings of every build of the run.
    pub settings: BuildSettings,
    /// Recipe of every unit of the plan that is to be built.
    pub recipes: Recipes,
    /// The directory of all build contexts.
    pub contexts: PathBuf,
    /// The registry's side: pushes, pulls and lists.
    pub remote: Remote,
    /// The manifest lists that pushes complete.
    pub lists: ManifestLists,
    /// Records of what images were made from.
    pub records: Records,
    /// The images that this run has brought up to date, or found so.
    pub up_to_date: UpToDateImages,
    /// What is done with images for a release.
    pub release: ReleaseWork,
}

impl Worker for ImageWorker {
    fn work<'a>(&'a self, unit: &'a PlannedUnit, tell: Tell<'a>) -> BoxFuture<'a, Result<Success, Failure>> {
        Box::pin(async move { self.bring_up_to_date(unit, tell).await.map_err(about_full_disk) })
    }

    fn push<'a>(&'a self, unit: &'a PlannedUnit, tell: Tell<'a>) -> BoxFuture<'a, Result<Pushed, Failure>> {
        Box::pin(async move {
            let output = |said| tell(UnitProgress::Said(said));
            let digest = match self.up_to_date.get(&unit.id()).and_then(|image| image.digest) {
                Some(digest) => Some(digest),
                None => self.remote.push(&unit.reference, &output).await?,
            };
            let attached = self.release.attach(unit, digest.as_ref(), &output).await?;
            let Some((name, members)) = self.lists.complete(unit, digest.as_ref()) else {
                return Ok(Pushed { digest, attached, ..Pushed::default() });
            };
            let list = self.remote.compose_list(&name, &members, &output).await?;
            let of_image = (&unit.image, self.release.created(unit));
            let lists = self.release.lists();
            let list_attached = lists.attach(of_image, (&name, &list), &members, &output).await?;
            self.remote.name_list(&name, &list, &members, &output).await?;
            Ok(Pushed { digest, list: Some(list.digest), attached, list_attached })
        })
    }

    fn ask_gates<'a>(
        &'a self,
        unit: &'a PlannedUnit,
        tell: Tell<'a>,
    ) -> BoxFuture<'a, Result<GateResult, Failure>> {
        Box::pin(async move { self.release.ask_gates(unit, &|said| tell(UnitProgress::Said(said))).await })
    }
}

impl ImageWorker {
    async fn bring_up_to_date(&self, unit: &PlannedUnit, tell: Tell<'_>) -> Result<Success, Failure> {
        let output = |said| tell(UnitProgress::Said(said));
        let id = unit.id();
        let recipe = self.recipe(unit)?;
        let Evaluation { freshness, inputs, parents, image, .. } =
            self.evaluate(unit, recipe, &output).await?;
        let record = inputs?;
        let key = record.key.clone();
        match (freshness, image) {
            (Freshness::Fresh(_), Some(image)) => {
                self.keep_record(unit, &record, &output);
                self.note(unit, &record, parents, Noted::of(&image), None)?;
                return Ok(Success::Unchanged(self.reuse(id, key, image, &output)));
            }
            (Freshness::Fresh(_), None) => return Err(Failure::bug("an image that nobody holds is reused")),
            (Freshness::Unknown(why), _) => return Err(Failure::permanent(FailureKind::Registry, why)),
            (Freshness::Stale(_), _) => {}
        }
        tell(UnitProgress::Started { key: key.clone() });
        let started = Timestamp::now();
        self.prefetcher.changed(&id);
        add_sources(recipe, &self.context(recipe), &self.sources).await?;
        let mut built_on = Vec::new();
        for (from, parent) in recipe.parents.iter().zip(parents.clone()) {
            built_on.push(self.built_on(unit, from, parent, &output).await?);
        }
        let request = self.request(unit, recipe, key.clone(), built_on)?;
        let built = self.run_build(unit, &request, &output).await?;
        self.keep_record(unit, &record, &output);
        let noted = Noted::of(&ExistingImage::InEngine(built.clone()));
        self.note(unit, &record, parents, noted, Some((started, Timestamp::now())))?;
        self.up_to_date.insert(id, UpToDateImage::built(key.clone(), built.id.clone()));
        Ok(Success::Built(told(key, built)))
    }

    /// Takes note of what documents about an image tell, where there are to be any.
    fn note(
        &self,
        unit: &PlannedUnit,
        record: &InputRecord,
        made_from: Vec<ParentImage>,
        Noted { image, labels, in_registry }: Noted,
        times: Option<(Timestamp, Timestamp)>,
    ) -> Result<(), Failure> {
        if !self.release.comes_before_pushes() {
            return Ok(());
        }
        let recipe = self.recipe(unit)?;
        // Of a Dockerfile that can't be read no image is up to date.
        let dockerfile = input::read(&self.context(recipe).join("Dockerfile")).ok();
        let dockerfile = dockerfile.map(|text| Digest::of(&text));
        let build = KnownBuild {
            image,
            key: record.key.clone(),
            labels,
            times,
            parents: known::parents(recipe, &made_from),
            sources: known::sources(recipe, record),
            files: known::files(record, dockerfile.as_ref()),
            in_registry,
        };
        self.release.known.note(unit.id(), build);
        Ok(())
    }

    async fn evaluate(
        &self,
        unit: &PlannedUnit,
        recipe: &Recipe,
        output: OutputSink<'_>,
    ) -> Result<Evaluation, Failure> {
        let known = |id: &UnitId| self.up_to_date.get(id).map(|image| image.as_parent());
        let subject = Subject { unit, recipe, before: None, in_registry: None, known: &known, output };
        self.evaluator.evaluate(&subject, UnitContext::Written(&self.context(recipe))).await
    }

    /// Has the engine build, with an eye on the last lines of its log.
    async fn run_build(
        &self,
        unit: &PlannedUnit,
        request: &BuildRequest,
        output: OutputSink<'_>,
    ) -> Result<ImageFacts, Failure> {
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
        match self.engine.build(request, &keep_tail).await {
            Ok(built) => Ok(built),
            Err(error) => {
                let tail = tail.into_inner().unwrap_or_else(PoisonError::into_inner);
                Err(self.build_failure(unit, error, &tail).await)
            }
        }
    }

    /// Takes note of an image that is up to date.
    fn reuse(
        &self,
        unit: UnitId,
        key: ContentKey,
        image: ExistingImage,
        output: OutputSink<'_>,
    ) -> UnitImage {
        self.up_to_date.insert(unit, UpToDateImage::existing(key.clone(), &image));
        match image {
            ExistingImage::InEngine(image) => told(key, image),
            ExistingImage::InRegistry(image) => {
                output(BuildOutput::Line(format!("The registry has it as {}", image.digest)));
                UnitImage { id: image.id, key, size: image.size, layers: 0 }
            }
        }
    }

    /// Failure of a unit whose build failed, by what was said and the last lines of its log.
    async fn build_failure(
        &self,
        unit: &PlannedUnit,
        error: EngineError,
        tail: &VecDeque<String>,
    ) -> Failure {
        let mut failure = Failure::from(error);
        if failure.kind != FailureKind::Build {
            return failure;
        }
        let lines = || tail.iter().map(String::as_str);
        failure.transient |= has_network_symptoms(lines())
            || has_network_symptoms(without_quoted_steps(&failure.message))
            || tells_of_lost_content(&failure.message);
        if tells_of_full_disk(lines()) {
            failure.kind = FailureKind::Disk;
        } else if !failure.transient && self.engine.ping().await.is_err() {
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
        self.evaluator.bases.as_ref().ok_or_else(|| Failure::bug("a build without an engine"))
    }

    /// An image that the unit is made from, as the engine has it. It is pulled when only the registry has it.
    async fn built_on(
        &self,
        unit: &PlannedUnit,
        from: &BuiltFrom,
        parent: ParentImage,
        output: OutputSink<'_>,
    ) -> Result<BuiltOn, Failure> {
        let reference = &from.reference;
        let (image, platform, alias) = match &from.image {
            Parent::Image(name) => (self.parent_image(unit, name, parent)?, unit.platform, None),
            Parent::Base(_) => {
                let id = parent.ids.first().ok_or_else(|| Failure::bug("a base image without an id"))?;
                let image = UpToDateImage::in_engine(parent.key?, id.clone());
                if from.is_scratch() {
                    (image, unit.platform, None)
                } else {
                    let platform = self.bases()?.platform(from.platform, unit.platform);
                    (image, platform, self.bases()?.alias(reference, platform))
                }
            }
        };
        let pull = || async {
            let pulled = self.engine.pull(reference, unit.platform, output).await?;
            if !image.may_be(&pulled.id)
                && pulled.labels.get(KEY_LABEL).is_none_or(|key| key != image.key.as_str())
            {
                let message =
                    format!("its parent {reference} was another one when the registry was asked before");
                return Err(Failure::permanent(FailureKind::Registry, message));
            }
            Ok(pulled.id)
        };
        let id = image.in_engine.get_or_try_init(pull).await.cloned()?;
        let ours = from.image.image().is_some();
        Ok(BuiltOn { reference: reference.clone(), platform, id, ours, alias })
    }

    /// A parent of the tree, which all that are built on it share, so that one of them pulls it.
    fn parent_image(
        &self,
        unit: &PlannedUnit,
        name: &ImageName,
        parent: ParentImage,
    ) -> Result<UpToDateImage, Failure> {
        let id = UnitId { image: name.clone(), platform: unit.platform };
        match parent.outside {
            Some(image) => {
                Ok(self.up_to_date.get_or_insert(id, UpToDateImage::existing(parent.key?, &image)))
            }
            None => self.up_to_date.get(&id).ok_or_else(|| Failure::bug("a parent that is not up to date")),
        }
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
        let dockerfile = self.dockerfile(unit, recipe, &parents)?;
        let is_buildkit = matches!(settings.builder, Builder::BuildKit { .. });
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
            run_mark: (!settings.cache && recipe.package_caches.is_some() && is_buildkit)
                .then(Timestamp::now),
            builder: settings.builder.of(&unit.image, unit.platform),
            network_mode: settings.network_mode.clone(),
            build_args,
            labels,
            secrets: settings.secrets.clone(),
        })
    }

    /// The Dockerfile with aliases for base images and with caches for packages; none when it is to have neither.
    fn dockerfile(
        &self,
        unit: &PlannedUnit,
        recipe: &Recipe,
        parents: &[BuiltOn],
    ) -> Result<Option<String>, Failure> {
        let has_aliases = parents.iter().any(|parent| parent.alias.is_some());
        if !has_aliases && recipe.package_caches.is_none() {
            return Ok(None);
        }
        let path = self.context(recipe).join("Dockerfile");
        let text = input::read_to_string(&path).map_err(|error| {
            Failure::permanent(FailureKind::Local, format!("failed to read {}: {error}", path.display()))
        })?;
        // By the names that images have before they get others.
        let text = match &recipe.package_caches {
            Some(caches) => caches.mounted_in(&text),
            None => text,
        };
        let given = Given { args: &self.settings.build_args, target: unit.platform };
        Ok(Some(with_images(&text, given, &|image| {
            let is_it = |from: &BuiltFrom| {
                from.reference.to_string() == image.reference && from.platform == image.platform
            };
            let at = recipe.parents.iter().position(is_it)?;
            parents[at].alias.as_ref().map(Reference::to_string)
        })))
    }
}

/// An image, as documents about it tell of it.
struct Noted {
    image: ImageId,
    labels: BTreeMap<String, String>,
    in_registry: Option<Digest>,
}

impl Noted {
    fn of(image: &ExistingImage) -> Noted {
        Noted {
            image: image.ids().into_iter().next().unwrap_or_default(),
            labels: image.labels().clone(),
            in_registry: match image {
                ExistingImage::InEngine(_) => None,
                ExistingImage::InRegistry(image) => Some(image.digest.clone()),
            },
        }
    }
}

/// An image that is up to date, as it is told of.
fn told(key: ContentKey, image: ImageFacts) -> UnitImage {
    UnitImage { id: image.id, key, size: image.size, layers: image.layers }
}

/// A full disk is one, whoever tells of it: trying again does not empty it.
fn about_full_disk(failure: Failure) -> Failure {
    if failure.kind != FailureKind::Disk && !tells_of_full_disk(failure.message.lines()) {
        return failure;
    }
    Failure { kind: FailureKind::Disk, transient: false, ..failure }.hinted(FULL_DISK_HINT)
}
