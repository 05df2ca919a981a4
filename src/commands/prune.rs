//! Removing what of ours the engine holds and nothing needs.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use fancy_regex::Regex;
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::DecimalBytes;
use jiff::Timestamp;
use serde::Serialize;

use crate::config::resolved::PlanFormat;
use crate::engine::container::ContainerEngine;
use crate::engine::docker::Docker;
use crate::engine::unneeded::{
    ImagePrune, PackageCache, Removal, Rules, cache, images, is_step, package_caches,
};
use crate::engine::{Engine, EngineError};
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::model::ids::ImageId;
use crate::report::counted;
use crate::session::prepare::Prepared;
use crate::session::stdio::{output, tell};
use crate::session::threads::block_on;
use crate::session::{Session, engines};
use crate::util::at_once;

/// Images and build cache that go from one engine.
struct Found {
    engine: Docker,
    images: ImagePrune,
    /// The commands that have made the images that go.
    histories: Vec<String>,
    cache: Cache,
    package_caches: Vec<PackageCache>,
    /// Days after whose last use one goes.
    package_cache_days: Option<u64>,
}

/// The same, as it is shown.
#[derive(Serialize)]
struct Shown<'a> {
    engine: &'a str,
    #[serde(flatten)]
    images: &'a ImagePrune,
    cache: &'a Cache,
    package_caches: &'a [PackageCache],
    /// Bytes in all, at most.
    size: u64,
}

/// Records of the build cache that go whatever becomes of the images. Those that are layers of images count there.
#[derive(Serialize)]
struct Cache {
    records: usize,
    size: u64,
}

/// Shows what goes, and then removes it; gives the exit code.
pub fn prune(
    session: &Session,
    tags: Option<&str>,
    package_cache_days: Option<u64>,
    dry_run: bool,
) -> Result<u8, Fatal> {
    let config = session.config();
    let rules = rules(&session.prepared, tags)?;
    block_on(async {
        let mut found = Vec::new();
        for engine in engines::every(config, session.environment, "Cleaning up").await? {
            let all = find(engine, &rules, package_cache_days).await;
            found.push(all.map_err(|error| Fatal::new(&error, EXIT_FAILED))?);
        }
        let shown: Vec<Shown> = found.iter().map(Found::shown).collect();
        output(&if config.output.plan_format == PlanFormat::Json {
            json(&shown)
        } else {
            ShownPrune(&shown).to_string()
        })?;
        if dry_run {
            tell("Nothing was removed (--dry-run)");
            return Ok(0);
        }
        let mut code = 0;
        for found in &found {
            code = code.max(found.remove().await);
        }
        Ok(code)
    })
}

fn rules(prepared: &Prepared, tags: Option<&str>) -> Result<Rules, Fatal> {
    let config = &prepared.config;
    let regex = tags.map(Regex::new).transpose();
    Ok(Rules {
        // Of every image, whatever was asked for now.
        needed: prepared.plan.units.iter().map(|unit| unit.reference.to_string()).collect(),
        names: format!("{}/{}", config.names.space(), config.names.prefix),
        tags: regex.map_err(|error| Fatal::new(&error, EXIT_USAGE))?,
    })
}

async fn find(engine: Docker, rules: &Rules, package_cache_days: Option<u64>) -> Result<Found, EngineError> {
    // An image that was built on may be but a step to others by now.
    let all = engine.images(true).await?;
    let sizes = all.into_iter().map(|image| (image.id, image.size)).collect();
    let mut images = images(&engine.images(false).await?, &sizes, &engine.images_in_use().await?, rules);
    let mut histories = histories(&engine, &images).await?;
    // Podman writes its history alike, and keeps its steps itself.
    let is_step = |history: &[String]| !engine.is_podman() && is_step(history);
    let (steps, whole): (Vec<_>, Vec<_>) = histories.drain(..).partition(|(_, history)| is_step(history));
    images.leave_steps(&steps.into_iter().map(|(id, _)| id).collect());
    let histories: BTreeSet<String> = whole.into_iter().flat_map(|(_, history)| history).collect();
    let histories = Vec::from_iter(histories);
    let records = engine.build_cache().await?;
    let ours = cache(&records, &histories);
    let cache = Cache { records: ours.len(), size: ours.iter().map(|record| record.size).sum() };
    let package_caches = package_caches(&records, package_cache_days, Timestamp::now());
    Ok(Found { engine, images, histories, cache, package_caches, package_cache_days })
}

/// The commands that have made each of the images that go, the newest first.
async fn histories(engine: &Docker, found: &ImagePrune) -> Result<Vec<(ImageId, Vec<String>)>, EngineError> {
    let going = found.remove.iter().filter(|removal| !removal.stays);
    let history = |id: &ImageId| {
        let id = id.clone();
        async move { Ok((id.clone(), engine.history(&id).await?)) }
    };
    stream::iter(going.map(|removal| history(&removal.id)))
        .buffer_unordered(at_once::QUESTIONS)
        .try_collect()
        .await
}

fn json(shown: &[Shown]) -> String {
    serde_json::to_string_pretty(shown).unwrap_or_default() + "\n"
}

/// Images that go and that stay, for people; each engine's under its name when there are several.
struct ShownPrune<'a>(&'a [Shown<'a>]);

impl fmt::Display for ShownPrune<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |id: &str| id.trim_start_matches("sha256:").chars().take(12).collect::<String>();
        for Shown { engine, images, cache, package_caches, size } in self.0 {
            if self.0.len() > 1 {
                writeln!(f, "{engine}:")?;
            }
            for Removal { id, image, references, size, stays, .. } in &images.remove {
                let verb = if *stays { "untag" } else { "remove" };
                let names = if references.is_empty() { "no tag" } else { &references.join(" ") };
                let (id, size) = (short(id.as_str()), DecimalBytes(*size));
                writeln!(f, "{verb:6}  {id}  {image}  {names}  {size}")?;
            }
            for kept in &images.keep {
                writeln!(f, "keep    {}  {}  {}", short(kept.id.as_str()), kept.image, kept.reason)?;
            }
            for (tag, count) in &images.other_tags {
                let count = counted(*count, "image");
                writeln!(f, "leave   {count} with tag {tag}, which --prune-tags does not name")?;
            }
            for PackageCache { name, size, unused_days, goes, .. } in *package_caches {
                let verb = if *goes { "remove" } else { "keep" };
                let (size, days) = (DecimalBytes(*size), counted(*unused_days as usize, "day"));
                writeln!(f, "{verb:6}  package cache {name}  {size}  unused for {days}")?;
            }
            let going = images.remove.iter().filter(|removal| !removal.stays).count();
            let records = cache.records + package_caches.iter().filter(|cache| cache.goes).count();
            let (going, records) = (counted(going, "image"), counted(records, "record"));
            let size = DecimalBytes(*size);
            writeln!(f, "{going} and {records} of the build cache to remove, at most {size}")?;
        }
        Ok(())
    }
}

impl Found {
    fn shown(&self) -> Shown<'_> {
        let Found { engine, images, cache, package_caches, .. } = self;
        let of_images: u64 = images.remove.iter().map(|removal| removal.size).sum();
        let of_packages: u64 = package_caches.iter().filter(|cache| cache.goes).map(|cache| cache.size).sum();
        let size = of_images + cache.size + of_packages;
        Shown { engine: engine.endpoint(), images, cache, package_caches, size }
    }

    /// The images with a name: a build that ended when they were first listed has named its own since, which would go by its
    /// id all the same.
    async fn named(&self) -> Result<HashSet<ImageId>, EngineError> {
        let held = self.engine.images(false).await?.into_iter();
        Ok(held.filter(|image| !image.tags.is_empty()).map(|image| image.id).collect())
    }

    /// Removes images, and then the cache that has become free; one that can't be removed keeps no other. Gives the exit
    /// code.
    async fn remove(&self) -> u8 {
        let Found { engine, histories, package_cache_days, .. } = self;
        let (mut gone, mut errors) = (0, 0);
        let named = match self.named().await {
            Ok(named) => named,
            Err(error) => {
                tell(format_args!("error: failed to list images again: {error}"));
                return EXIT_FAILED;
            }
        };
        for removal in &self.images.remove {
            if removal.references.is_empty() && named.contains(&removal.id) {
                tell(format_args!("kept {} ({}), as it has a name now", removal.image, removal.id));
                continue;
            }
            let id = removal.references.is_empty().then_some(removal.id.as_str());
            let names = removal.references.iter().map(String::as_str).chain(id);
            let mut removed = !removal.stays;
            for name in names {
                match engine.remove_image(name).await {
                    // Gone with another name of it, or by somebody else's hand.
                    Ok(()) | Err(EngineError::Refused { status: 404, .. }) => {}
                    Err(EngineError::Refused { status: 409, message }) => {
                        tell(format_args!("kept {} ({name}), as it came into use: {message}", removal.image));
                        removed = false;
                    }
                    Err(error) => {
                        tell(format_args!("error: failed to remove {} ({name}): {error}", removal.image));
                        (removed, errors) = (false, errors + 1);
                    }
                }
            }
            gone += usize::from(removed);
        }
        let pruned = async {
            let records = engine.build_cache().await?;
            let packages = package_caches(&records, *package_cache_days, Timestamp::now());
            let packages = packages.iter().filter(|cache| cache.goes).map(|cache| cache.id.as_str());
            let ours = cache(&records, histories).into_iter().map(|record| record.id.as_str());
            engine.prune_cache(&ours.chain(packages).collect::<Vec<_>>()).await
        };
        let (records, freed) = pruned.await.unwrap_or_else(|error| {
            tell(format_args!("error: failed to remove build cache: {error}"));
            errors += 1;
            (0, 0)
        });
        tell(format_args!(
            "Removed {} and {} of the build cache, the latter {}",
            counted(gone, "image"),
            counted(records, "record"),
            DecimalBytes(freed)
        ));
        if errors > 0 { EXIT_FAILED } else { 0 }
    }
}
