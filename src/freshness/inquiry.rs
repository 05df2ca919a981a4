//! Asks the engine, the registry and where sources come from what decides whether an image is up to date.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::bases::BaseImages;
use super::decide::{Holder, Labels};
use super::key::KeyInputs;
use super::lookup::{Lookup, Waits};
use super::recipe::Recipe;
use crate::build::assemble::{ADDITIONS_ARCHIVE, PLUGINS_ARCHIVE, source_archive};
use crate::build::failures::{engine_failure, source_failure};
use crate::config::source::{Source, SourceOrigin};
use crate::context::digest;
use crate::dockerfile::mounts::with_run_flags;
use crate::engine::{Engine, ImageFacts};
use crate::model::event::{Failure, FailureKind};
use crate::model::ids::{ContentKey, ImageId};
use crate::model::labels::{KEY_LABEL, NAMED_LABEL, PARENT_LABEL};
use crate::model::plan::PlannedUnit;
use crate::model::platform::Platform;
use crate::registry::RemoteImage;
use crate::sources::cache::{SourceCache, SourceError, without_secrets};
use crate::util::at_once;
use crate::util::input;
use crate::util::retry::{Again, retry};

/// Who is asked.
pub struct Inquiry {
    /// The engine; none when it can't be asked.
    pub engine: Option<Arc<dyn Engine>>,
    /// What is pulled.
    pub bases: Option<BaseImages>,
    /// Where sources come from.
    pub sources: Arc<SourceCache>,
    /// The registry, when images are reused from there.
    pub registry: Option<Lookup>,
    /// Build arguments that decide what is built.
    pub build_args: BTreeMap<String, String>,
    /// Whether to get what tells no other way what it is: pull base images, fetch sources.
    pub gets: bool,
    /// Further tries of getting a source.
    pub retries: u32,
    /// Who hears of waits.
    pub waits: Waits,
}

/// An image that somebody holds.
#[derive(Debug, Clone)]
pub enum Image {
    /// The engine.
    InEngine(ImageFacts),
    /// The registry.
    InRegistry(RemoteImage),
}

impl Image {
    fn labels(&self) -> &BTreeMap<String, String> {
        match self {
            Image::InEngine(image) => &image.labels,
            Image::InRegistry(image) => &image.labels,
        }
    }

    /// What engines may have as its id.
    pub fn ids(&self) -> Vec<ImageId> {
        match self {
            Image::InEngine(image) => vec![image.id.clone()],
            Image::InRegistry(image) => image.ids(),
        }
    }

    /// Its content key; of an image that is not ours, its id.
    pub fn key(&self) -> ContentKey {
        let id = match self {
            Image::InEngine(image) => &image.id,
            Image::InRegistry(image) => &image.id,
        };
        self.labels().get(KEY_LABEL).map_or_else(|| id.into(), |key| key.as_str().into())
    }

    /// What its labels say.
    pub fn said(&self) -> Labels {
        let label = |name: &str| self.labels().get(name);
        let holder = match self {
            Image::InEngine(_) => Holder::Engine,
            Image::InRegistry(_) => Holder::Registry,
        };
        let named = label(NAMED_LABEL).map_or("", String::as_str).split_whitespace().map(ImageId::from);
        // Without the first the others say nothing.
        let parents =
            label(PARENT_LABEL).map(|parent| std::iter::once(parent.as_str().into()).chain(named).collect());
        Labels {
            holder,
            key: label(KEY_LABEL).map(|key| key.as_str().into()),
            parents: parents.unwrap_or_default(),
        }
    }
}

/// What a recipe is made from today.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// What the content key covers.
    pub key: KeyInputs,
    /// Why what its Dockerfile downloads can't be told, as far as it can't.
    pub untold: Vec<String>,
}

impl Inquiry {
    /// What an image is made from on images with these keys, its context being in a directory.
    pub async fn inputs(
        &self,
        platform: Platform,
        recipe: &Recipe,
        context: &Path,
        keys: &[ContentKey],
    ) -> Result<Inputs, Failure> {
        let mut sources = Vec::new();
        for source in recipe.sources() {
            sources.push((source.section.clone(), self.source(source).await?));
        }
        let (downloads, untold) = self.downloads(recipe).await;
        let archives = archive_names(recipe);
        let context = context.to_path_buf();
        let (dockerfile, context) = blocking(move || {
            let dockerfile = input::read_to_string(&context.join("Dockerfile"))?;
            let mut excluded: Vec<&Path> = archives.iter().map(Path::new).collect();
            excluded.push(Path::new("Dockerfile"));
            Ok((dockerfile, digest::digest_entries(&context, &excluded)?))
        })
        .await?;
        let mut keys = recipe.parents.iter().map(|parent| parent.reference.clone()).zip(keys.iter().cloned());
        let key = KeyInputs {
            platform: platform.to_string(),
            parent: keys.next().map(|(_, key)| key).unwrap_or_default(),
            named: keys.collect(),
            downloads,
            // As it is sent: of secrets, it knows the names.
            dockerfile: with_run_flags(&dockerfile, &recipe.run_flags),
            context: context.entries.into_iter().collect(),
            sources,
            build_args: self.build_args.clone().into_iter().collect(),
        };
        Ok(Inputs { key, untold })
    }

    async fn source(&self, source: &Source) -> Result<String, Failure> {
        let failed = |message: String| Failure::permanent(FailureKind::Source, message);
        let sources = &self.sources;
        if self.gets {
            let again = |error: &SourceError| Again::if_transient(error.is_transient());
            let waits = |error: &SourceError, pause| (self.waits)(error, pause);
            let identity = retry(self.retries, again, waits, || sources.identify(source)).await;
            return identity.map_err(source_failure);
        }
        sources.known(source).await.map_err(source_failure)?.ok_or_else(|| {
            failed(format!("source {} is not pinned: only fetching it tells what it is", source.section))
        })
    }

    /// Asks for the commits of recipes' sources and for their downloads, several at once: the answers are remembered. Who
    /// can't be asked is told of by the unit that needs it.
    pub async fn ask_ahead(&self, recipes: impl Iterator<Item = &Recipe>) {
        let sources = &self.sources;
        let ask = async |recipe: &Recipe| {
            for source in recipe.sources().filter(|source| matches!(source.origin, SourceOrigin::Git { .. }))
            {
                let _ = sources.known(source).await;
            }
            self.downloads(recipe).await;
        };
        stream::iter(recipes).for_each_concurrent(at_once::QUESTIONS, ask).await;
    }

    /// What identifies each download of a recipe, and why what does not is not told.
    pub async fn downloads(&self, recipe: &Recipe) -> (Vec<(String, String)>, Vec<String>) {
        let (mut known, mut untold) = (Vec::new(), Vec::new());
        let sources = &self.sources;
        for download in recipe.downloads.iter().filter(|download| !download.is_pinned) {
            match sources.told_of(download).await {
                Ok(identity) => known.push((without_secrets(&download.url), identity)),
                Err(why) => untold.push(why),
            }
        }
        (known, untold)
    }

    /// The images that the engine holds under the unit's name, for its platform.
    pub async fn in_engine(&self, unit: &PlannedUnit) -> Result<Vec<Image>, Failure> {
        let Some(engine) = &self.engine else { return Ok(Vec::new()) };
        let held = engine.inspect_all(&unit.reference).await.map_err(engine_failure)?;
        Ok(held.into_iter().filter(|image| image.is_for(unit.platform)).map(Image::InEngine).collect())
    }

    /// The image that the registry has under a reference, when images are reused from there.
    pub async fn in_registry(&self, reference: &str, platform: Platform) -> Result<Option<Image>, Failure> {
        let Some(registry) = &self.registry else { return Ok(None) };
        let found = registry.image(reference, platform).await;
        let failed = |message| Failure::permanent(FailureKind::Registry, message);
        Ok(found.map_err(failed)?.map(Image::InRegistry))
    }

    /// A base image as the engine has it, or gets it.
    pub async fn base(
        &self,
        bases: &BaseImages,
        reference: &str,
        platform: Platform,
    ) -> Result<Option<ImageFacts>, Failure> {
        match self.gets {
            true => bases.get(reference, platform, &|_| {}).await.map(Some).map_err(engine_failure),
            false => bases.held(reference, platform).await.map_err(engine_failure),
        }
    }

    /// A parent that this run does not build: in the engine, else in the registry.
    pub async fn outside(&self, reference: &str, platform: Platform) -> Result<Image, Failure> {
        let failed = |message: String| Failure::permanent(FailureKind::Build, message);
        let mut held = None;
        if let Some(engine) = &self.engine {
            if let Some(image) = engine.inspect_for(reference, platform).await.map_err(engine_failure)? {
                return Ok(Image::InEngine(image));
            }
            held = engine.inspect(reference).await.map_err(engine_failure)?;
        }
        if let Some(image) = self.in_registry(reference, platform).await? {
            return Ok(image);
        }
        Err(failed(match held {
            Some(image) => format!(
                "its parent {reference}, which this run does not build, is for {}, not for {platform}",
                image.built_for()
            ),
            None => format!("its parent {reference} is not in the engine and this run does not build it"),
        }))
    }
}

/// Names of the files that sources are put into a context as: what they hold is known by their sources.
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
