//! Asking what is to be pinned, and making sure that what is pinned is here [I/O].

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::drift::{Drift, base_item, source_item};
use super::format::{BasePin, Lock, SourcePin};
use crate::config::source::{Source, SourceOrigin};
use crate::dockerfile::named::Download;
use crate::engine::{Engine, ImageFacts, OutputSink};
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::freshness::bases::BaseImages;
use crate::freshness::images::TellWait;
use crate::freshness::recipe::Recipes;
use crate::model::event::UnitId;
use crate::model::failure::Failure;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::registry::Registries;
use crate::registry::error::RegistryError;
use crate::sources::cache::{SourceCache, SourceError, SourceProblem, without_secrets};
use crate::util::at_once;
use crate::util::input;
use crate::util::retry::{Again, Pause, retry};

/// Asks what sources and base images are, to pin them or to compare them with a lock file.
pub struct LockChecker<'a> {
    /// The engine that base images are pulled to.
    pub engine: Arc<dyn Engine>,
    /// Where sources come from.
    pub sources: &'a SourceCache,
    /// Further tries after a failure that may pass.
    pub retries: u32,
    /// Who hears of waits.
    pub tell_wait: TellWait,
    /// Who hears how base images are pulled.
    pub output: OutputSink<'a>,
    /// The run is for several platforms.
    pub several_platforms: bool,
}

/// Makes the recipes those of the lock file, and the engine's base images too; fails when anything has drifted.
pub async fn apply_lock(path: &Path, recipes: &mut Recipes, checker: &LockChecker<'_>) -> Result<(), Fatal> {
    let lock = read_lock(path)?;
    let (wanted, mut drifts) = pin_sources(&lock, recipes);
    drifts.extend(unpinned_downloads(recipes).map(|(unit, download)| Drift {
        item: format!(
            "ADD {} in line {} of {}'s Dockerfile",
            without_secrets(&download.url),
            download.line,
            unit.image
        ),
        was: None,
        is: "downloaded without --checksum, which alone would pin it".to_string(),
    }));
    let mut failures = Vec::new();
    let sources = stream::iter(wanted)
        .map(async |(platform, source)| checker.check_source(&source, platform).await)
        .buffer_unordered(at_once::FETCHES);
    let bases = stream::iter(checker.base_images(recipes))
        .map(async |(reference, platform)| {
            let pin = lock.base_image(&reference, platform).map_err(PinError::Drift)?;
            checker.provide_base(&reference, platform, pin).await
        })
        // The same name may be asked for on several platforms, and stands for one at a time.
        .buffer_unordered(if checker.several_platforms { 1 } else { at_once::FETCHES });
    let checked: Vec<Result<(), PinError>> = sources.chain(bases).collect().await;
    for error in checked.into_iter().filter_map(Result::err) {
        match error {
            PinError::Drift(drift) => drifts.push(drift),
            PinError::Unavailable(message) => failures.push(message),
        }
    }
    verdict(path, drifts, failures)
}

/// Downloads of ADD without a checksum: a lock file can't, for the engine downloads it.
pub fn unpinned_downloads(recipes: &Recipes) -> impl Iterator<Item = (&UnitId, &Download)> {
    let all = recipes.iter().flat_map(|(unit, recipe)| recipe.downloads.iter().map(move |one| (unit, one)));
    all.filter(|(_, download)| !download.is_pinned)
}

/// Pins the recipes' sources; gives those that the lock file has, and what has drifted.
pub fn pin_sources(lock: &Lock, recipes: &mut Recipes) -> (Vec<(Platform, Source)>, Vec<Drift>) {
    let (mut wanted, mut drifts) = (Vec::new(), Vec::new());
    for (unit, recipe) in recipes {
        for source in recipe.sources_mut() {
            match lock.source(source, unit.platform) {
                Ok(pinned) => {
                    *source = pinned;
                    wanted.push((unit.platform, source.clone()));
                }
                Err(drift) => drifts.push(drift),
            }
        }
    }
    (wanted, drifts)
}

/// Why a pin can't be kept.
pub enum PinError {
    /// Another thing by now.
    Drift(Drift),
    /// A pinned thing that can't be had, and why.
    Unavailable(String),
}

impl LockChecker<'_> {
    /// Base images of the images to build.
    pub fn base_images(&self, recipes: &Recipes) -> BTreeSet<(Reference, Platform)> {
        let bases = BaseImages::new(self.engine.clone(), false, self.several_platforms);
        let mut found = BTreeSet::new();
        for (unit, recipe) in recipes {
            for from in
                recipe.parents.iter().filter(|from| from.image.image().is_none() && !from.is_scratch())
            {
                let platform = bases.platform(from.platform, unit.platform);
                found.insert((from.reference.clone(), platform));
            }
        }
        found
    }

    /// Asks what every source and base image is; of base images that the engine has no digest of, the registries, if there are
    /// any to be asked.
    pub async fn pin(
        &self,
        sources: Vec<(Platform, &Source)>,
        base_images: BTreeSet<(Reference, Platform)>,
        pull: bool,
        registries: Option<&Registries>,
    ) -> Result<(Vec<(String, Platform, SourcePin)>, Vec<(Reference, Platform, BasePin)>), Fatal> {
        let bases = BaseImages::new(self.engine.clone(), pull, self.several_platforms);
        let (mut source_pins, mut base_pins, mut failures) = (Vec::new(), Vec::new(), Vec::new());
        let mut asked = stream::iter(sources)
            .map(async |(platform, source)| (platform, source, self.identify(source).await))
            .buffer_unordered(at_once::FETCHES);
        while let Some((platform, source, identity)) = asked.next().await {
            match identity {
                Ok(identity) => {
                    let pin = SourcePin::new(source, content(&identity));
                    source_pins.push((source.section.clone(), platform, pin));
                }
                Err(error) => failures.push(error.to_string()),
            }
        }
        for (reference, platform) in base_images {
            let ask = async || bases.get(&reference, platform, self.output).await.map_err(Failure::from);
            match retry(self.retries, may_pass, self.waits(), ask).await {
                Ok(image) => {
                    let pin = match (BasePin::new(&reference, &image), registries) {
                        (pin @ BasePin::LocalId(_), Some(registries)) => {
                            self.own_digest(&reference, platform, &image, registries).await.unwrap_or(pin)
                        }
                        (pin, _) => pin,
                    };
                    base_pins.push((reference, platform, pin));
                }
                Err(failure) => {
                    failures.push(format!("{}: {failure}", base_item(&reference, platform)));
                }
            }
        }
        if failures.is_empty() {
            return Ok((source_pins, base_pins));
        }
        failures.sort();
        let fatal = Fatal::message("cannot lock: some sources or base images are unavailable", EXIT_FAILED);
        Err(failures.into_iter().fold(fatal, Fatal::caused_by))
    }

    /// The digest of an image's own manifest. Docker's older image store knows that of a list by the image alone that was
    /// pulled first, and other platforms' images by none, unless they are pulled by their own.
    async fn own_digest(
        &self,
        reference: &Reference,
        platform: Platform,
        image: &ImageFacts,
        registries: &Registries,
    ) -> Option<BasePin> {
        let ask = || registries.platform_manifest(reference, platform);
        let manifest = retry(self.retries, RegistryError::again, self.waits(), ask).await.ok()??;
        let exact = reference.at(&manifest.digest);
        let pulled = self.engine.pull(&exact, platform, self.output).await.ok()?;
        // The registry may have another one by now.
        (pulled.id == image.id).then_some(BasePin::Digest(manifest.digest))
    }

    fn waits<E: Display>(&self) -> impl Fn(&E, Pause) {
        let tell_wait = self.tell_wait;
        move |error, pause| tell_wait(error, pause)
    }

    async fn identify(&self, source: &Source) -> Result<String, SourceError> {
        retry(self.retries, source_may_pass, self.waits(), async || self.sources.identify(source).await).await
    }

    /// Makes sure that a pinned source is here, and is what it was.
    async fn check_source(&self, source: &Source, platform: Platform) -> Result<(), PinError> {
        let pin = SourcePin::new(source, source.sha256.as_deref().unwrap_or_default());
        let drift = |is: &str| {
            let is = SourcePin::new(source, is).to_string();
            PinError::Drift(Drift { item: source_item(source, platform), was: Some(pin.to_string()), is })
        };
        let found = match source.origin {
            SourceOrigin::Local(_) => self.identify(source).await,
            _ => {
                let fetch = async || self.sources.fetch(source).await;
                retry(self.retries, source_may_pass, self.waits(), fetch)
                    .await
                    .map(|fetched| fetched.identity)
            }
        };
        match found {
            Ok(found)
                if matches!(source.origin, SourceOrigin::Local(_)) && content(&found) != pin.content() =>
            {
                Err(drift(content(&found)))
            }
            Ok(_) => Ok(()),
            Err(SourceError { problem: SourceProblem::Checksum { found, .. }, .. }) => Err(drift(&found)),
            Err(error) => Err(PinError::Unavailable(error.to_string())),
        }
    }

    /// Makes sure that the engine holds the pinned base image under its name, and under that for the platform.
    async fn provide_base(
        &self,
        reference: &Reference,
        platform: Platform,
        pin: &BasePin,
    ) -> Result<(), PinError> {
        let failed =
            |message: String| PinError::Unavailable(format!("{}: {message}", base_item(reference, platform)));
        let bases = BaseImages::new(self.engine.clone(), false, self.several_platforms);
        let held = bases.held(reference, platform).await.map_err(|error| failed(error.to_string()))?;
        if held.as_ref().is_some_and(|image| pin.holds(reference, image)) {
            return Ok(());
        }
        let drift = |is: String| {
            let item = base_item(reference, platform);
            PinError::Drift(Drift { item, was: Some(pin.to_string()), is })
        };
        let BasePin::Digest(digest) = pin else {
            let is = held.map(|image| BasePin::new(reference, &image).to_string());
            return Err(drift(is.unwrap_or_else(|| "not in the engine".to_string())));
        };
        let exact = reference.at(digest);
        let pull = async || self.engine.pull(&exact, platform, self.output).await.map_err(Failure::from);
        let image = retry(self.retries, may_pass, self.waits(), pull)
            .await
            .map_err(|failure| failed(failure.to_string()))?;
        let own_name = reference.digest.is_none().then(|| reference.clone());
        for name in own_name.into_iter().chain(bases.alias(reference, platform)) {
            self.engine.tag((&image.id).into(), &name).await.map_err(|error| failed(error.to_string()))?;
        }
        Ok(())
    }
}

fn may_pass(failure: &Failure) -> Again {
    Again::if_transient(failure.transient)
}

fn source_may_pass(error: &SourceError) -> Again {
    Again::if_transient(error.is_transient())
}

fn verdict(path: &Path, drifts: Vec<Drift>, failures: Vec<String>) -> Result<(), Fatal> {
    let path = path.display();
    let mut causes: Vec<String> = drifts.iter().map(Drift::to_string).collect();
    causes.sort();
    causes.extend(failures.into_iter().collect::<BTreeSet<_>>());
    let fatal = match drifts.len() {
        0 if causes.is_empty() => return Ok(()),
        0 => {
            Fatal::message(format!("some of what {path} pins is unavailable; nothing was built"), EXIT_FAILED)
        }
        _ => Fatal::message(format!("{path} is out of date; nothing was built"), EXIT_FAILED)
            .hinted("kolla-build --lock, with the same options, writes it anew"),
    };
    Err(causes.into_iter().fold(fatal, Fatal::caused_by))
}

/// Reads a lock file.
pub fn read_lock(path: &Path) -> Result<Lock, Fatal> {
    let failed =
        |code, error: &dyn std::fmt::Display| Fatal::of_file("read the lock file", path, error, code);
    let text = input::read_to_string(path).map_err(|error| {
        failed(EXIT_FAILED, &error).hinted("kolla-build --lock, with the same options, writes it")
    })?;
    Lock::parse(&text).and_then(Lock::checked).map_err(|error| failed(EXIT_USAGE, &error))
}

/// The checksum or commit in an identity, `sha256:...` or `git:... as ...`.
fn content(identity: &str) -> &str {
    let content = identity.split_once(':').map_or(identity, |(_, content)| content);
    content.split_once(' ').map_or(content, |(content, _)| content)
}
