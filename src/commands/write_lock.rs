//! Writing a lock file, and holding a build to one.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;

use crate::build::failures::engine_failure;
use crate::config::source::{Source, SourceOrigin};
use crate::dockerfile::named::Download;
use crate::engine::{BuildOutput, Engine};
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::freshness::bases::BaseImages;
use crate::freshness::lock::{BasePin, Drift, Lock, SourcePin, base_item, source_item};
use crate::freshness::recipe::Recipes;
use crate::model::event::{Failure, UnitId};
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::session::Session;
use crate::session::engines::check_engine;
use crate::session::stdio::{tell, tell_pause};
use crate::session::threads::block_on;
use crate::sources::cache::{SourceCache, SourceError, SourceProblem, without_secrets};
use crate::util::at_once;
use crate::util::input;
use crate::util::retry::{Again, retry};
use crate::util::write::Destination;

/// What sources and base images are asked of.
pub struct Supply<'a> {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// Where sources come from.
    pub sources: &'a SourceCache,
    /// Further tries after a failure that may pass.
    pub retries: u32,
    /// The run is for several platforms.
    pub several_platforms: bool,
}

/// Pins everything that the images to build are made from; gives what to tell the user.
pub fn write(session: &Session, path: &Path) -> Result<String, Fatal> {
    let failed = |error| {
        Fatal::message(format!("failed to write the lock file {}: {error}", path.display()), EXIT_FAILED)
    };
    let destination = Destination::open(path).map_err(failed)?;
    let recipes = session.recipes()?;
    let sources = session.sources()?;
    let retries = session.config().build.retries;
    let (sources, bases) = block_on(async {
        let engine = session.engine().await?;
        check_engine(session.config(), engine.as_ref(), "Locking").await?;
        let several_platforms = session.wants_several_platforms()?;
        let supply = Supply { engine, sources: &sources, retries, several_platforms };
        let bases = supply.base_images(recipes).await?;
        let wanted: Vec<(Platform, &Source)> = recipes
            .iter()
            .flat_map(|(unit, recipe)| recipe.sources().map(|source| (unit.platform, source)))
            .collect();
        supply.pin(wanted, bases, session.config().build.pull).await
    })?;
    for (unit, download) in unpinned_downloads(recipes) {
        let (url, line) = (without_secrets(&download.url), download.line);
        tell(&format!(
            "warning: --locked will refuse {}: line {line} of its Dockerfile downloads {url} without --checksum",
            unit.image
        ));
    }
    let counted = format!("{} and {}", count(sources.len(), "source"), count(bases.len(), "base image"));
    destination.write(Lock::new(sources, bases).text().as_bytes()).map_err(failed)?;
    Ok(format!("Locked {counted} in {}", path.display()))
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Makes the recipes those of the lock file, and the engine's base images too; fails when anything has drifted.
pub async fn hold(path: &Path, recipes: &mut Recipes, supply: &Supply<'_>) -> Result<(), Fatal> {
    let lock = read(path)?;
    let (wanted, mut drifts) = pin(&lock, recipes);
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
    let mut troubles = Vec::new();
    let sources = stream::iter(wanted)
        .map(async |(platform, source)| supply.check_source(&source, platform).await)
        .buffer_unordered(at_once::FETCHES);
    let bases = stream::iter(supply.base_images(recipes).await?)
        .map(async |(reference, platform)| {
            let pin = lock.base_image(&reference, platform).map_err(Trouble::Drift)?;
            supply.provide_base(&reference, platform, pin).await
        })
        // The same name may be asked for on several platforms, and stands for one at a time.
        .buffer_unordered(if supply.several_platforms { 1 } else { at_once::FETCHES });
    let checked: Vec<Result<(), Trouble>> = sources.chain(bases).collect().await;
    for trouble in checked.into_iter().filter_map(Result::err) {
        match trouble {
            Trouble::Drift(drift) => drifts.push(drift),
            Trouble::Failed(message) => troubles.push(message),
        }
    }
    verdict(path, drifts, troubles)
}

/// What ADD downloads without saying what it is: a lock file can't, for the engine downloads it.
fn unpinned_downloads(recipes: &Recipes) -> impl Iterator<Item = (&UnitId, &Download)> {
    let all = recipes.iter().flat_map(|(unit, recipe)| recipe.downloads.iter().map(move |one| (unit, one)));
    all.filter(|(_, download)| !download.is_pinned)
}

/// The plan's recipes, with the sources of the lock file as far as it has them when the run is held to one.
pub fn pinned_recipes(session: &mut Session) -> Result<Recipes, Fatal> {
    let mut recipes = session.take_recipes()?;
    if let Some(path) = &session.config().build.locked {
        pin(&read(path)?, &mut recipes);
    }
    Ok(recipes)
}

/// Pins the recipes' sources; gives those that the lock file has, and what has drifted.
fn pin(lock: &Lock, recipes: &mut Recipes) -> (Vec<(Platform, Source)>, Vec<Drift>) {
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

/// Why something pinned is not to be had.
enum Trouble {
    /// It is another thing now.
    Drift(Drift),
    /// It can't be had at all.
    Failed(String),
}

impl Supply<'_> {
    /// What images to build are made from that no image of the tree is.
    async fn base_images(&self, recipes: &Recipes) -> Result<BTreeSet<(String, Platform)>, Fatal> {
        let bases = BaseImages::new(self.engine.clone(), false, self.several_platforms);
        let mut found = BTreeSet::new();
        for (unit, recipe) in recipes {
            for from in
                recipe.parents.iter().filter(|from| from.image.image().is_none() && !from.is_scratch())
            {
                let platform = bases.platform(from.platform, unit.platform).await;
                let platform = platform.map_err(|failure| Fatal::message(failure.message, EXIT_FAILED))?;
                found.insert((from.reference.clone(), platform));
            }
        }
        Ok(found)
    }

    /// Asks what every source and base image is.
    async fn pin(
        &self,
        sources: Vec<(Platform, &Source)>,
        base_images: BTreeSet<(String, Platform)>,
        pull: bool,
    ) -> Result<(Vec<(String, Platform, SourcePin)>, Vec<(String, Platform, BasePin)>), Fatal> {
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
            let ask = async || bases.get(&reference, platform, &say).await.map_err(engine_failure);
            match retry(self.retries, may_pass, tell_pause, ask).await {
                Ok(image) => {
                    let pin = BasePin::new(&reference, &image);
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
        let fatal = Fatal::message("cannot lock what is not to be had", EXIT_FAILED);
        Err(failures.into_iter().fold(fatal, Fatal::caused_by))
    }

    async fn identify(&self, source: &Source) -> Result<String, SourceError> {
        retry(self.retries, source_may_pass, tell_pause, async || self.sources.identify(source).await).await
    }

    /// Makes sure that a pinned source is here, and is what it was.
    async fn check_source(&self, source: &Source, platform: Platform) -> Result<(), Trouble> {
        let pin = SourcePin::new(source, source.sha256.as_deref().unwrap_or_default());
        let drift = |is: &str| {
            let is = SourcePin::new(source, is).to_string();
            Trouble::Drift(Drift { item: source_item(source, platform), was: Some(pin.to_string()), is })
        };
        let found = match source.origin {
            SourceOrigin::Local(_) => self.identify(source).await,
            _ => {
                let fetch = async || self.sources.fetch(source).await;
                retry(self.retries, source_may_pass, tell_pause, fetch).await.map(|fetched| fetched.identity)
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
            Err(error) => Err(Trouble::Failed(error.to_string())),
        }
    }

    /// Makes sure that the engine holds the pinned base image under its name, and under that for the platform.
    async fn provide_base(&self, reference: &str, platform: Platform, pin: &BasePin) -> Result<(), Trouble> {
        let failed =
            |message: String| Trouble::Failed(format!("{}: {message}", base_item(reference, platform)));
        let bases = BaseImages::new(self.engine.clone(), false, self.several_platforms);
        let held = bases.held(reference, platform).await.map_err(|error| failed(error.to_string()))?;
        if held.as_ref().is_some_and(|image| pin.holds(reference, image)) {
            return Ok(());
        }
        let drift = |is: String| {
            let item = base_item(reference, platform);
            Trouble::Drift(Drift { item, was: Some(pin.to_string()), is })
        };
        let BasePin::Digest(digest) = pin else {
            let is = held.map(|image| BasePin::new(reference, &image).to_string());
            return Err(drift(is.unwrap_or_else(|| "not in the engine".to_string())));
        };
        let named: Reference = reference.parse().map_err(|error| failed(format!("{error}")))?;
        let exact = Reference { tag: None, digest: Some(digest.clone()), ..named.clone() }.to_string();
        let pull = async || self.engine.pull(&exact, platform, &say).await.map_err(engine_failure);
        let image = retry(self.retries, may_pass, tell_pause, pull)
            .await
            .map_err(|failure| failed(failure.to_string()))?;
        let own_name = named.digest.is_none().then(|| reference.to_string());
        for name in own_name.into_iter().chain(bases.alias(reference, platform)) {
            self.engine.tag(image.id.as_str(), &name).await.map_err(|error| failed(error.to_string()))?;
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

fn verdict(path: &Path, drifts: Vec<Drift>, troubles: Vec<String>) -> Result<(), Fatal> {
    let path = path.display();
    let mut causes: Vec<String> = drifts.iter().map(Drift::to_string).collect();
    causes.sort();
    causes.extend(troubles.into_iter().collect::<BTreeSet<_>>());
    let fatal = match drifts.len() {
        0 if causes.is_empty() => return Ok(()),
        0 => Fatal::message(format!("cannot get everything that {path} pins"), EXIT_FAILED),
        _ => Fatal::message(
            format!("nothing is built, for {path} no longer tells what is built from"),
            EXIT_FAILED,
        )
        .hinted("kolla-build --lock, with the same options, writes it anew"),
    };
    Err(causes.into_iter().fold(fatal, Fatal::caused_by))
}

/// Reads a lock file.
pub fn read(path: &Path) -> Result<Lock, Fatal> {
    let failed = |code, error: &dyn std::fmt::Display| {
        Fatal::message(format!("failed to read the lock file {}: {error}", path.display()), code)
    };
    let text = input::read_to_string(path).map_err(|error| {
        failed(EXIT_FAILED, &error).hinted("kolla-build --lock, with the same options, writes it")
    })?;
    Lock::parse(&text).and_then(Lock::checked).map_err(|error| failed(EXIT_USAGE, &error))
}

/// What an identity, `sha256:...` or `git:... as ...`, says of the content.
fn content(identity: &str) -> &str {
    let content = identity.split_once(':').map_or(identity, |(_, content)| content);
    content.split_once(' ').map_or(content, |(content, _)| content)
}

fn say(said: BuildOutput) {
    if let BuildOutput::Line(line) = said {
        tell(&line);
    }
}
