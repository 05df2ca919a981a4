//! `--lock`: pins what the images asked for are made from.

use std::path::Path;

use crate::config::source::Source;
use crate::error::{EXIT_FAILED, Fatal};
use crate::freshness::lock::{Lock, unpinned_downloads};
use crate::model::platform::Platform;
use crate::report::counted;
use crate::session::Session;
use crate::session::engines::tell_engine;
use crate::session::stdio::warn;
use crate::session::threads::block_on;
use crate::sources::cache::without_secrets;
use crate::util::write::Destination;

/// Pins everything that the images to build are made from; gives what to tell the user.
pub fn write(session: &Session, path: &Path) -> Result<String, Fatal> {
    let failed = |error| Fatal::of_file("write the lock file", path, error, EXIT_FAILED);
    let destination = Destination::open(path).map_err(failed)?;
    let recipes = session.recipes()?;
    let sources = session.sources()?;
    let (sources, bases) = block_on(async {
        let engine = session.engine().await?;
        tell_engine(engine.as_ref(), "Locking");
        let checker = session.lock_checker(engine, &sources)?;
        let bases = checker.base_images(recipes);
        let wanted: Vec<(Platform, &Source)> = recipes
            .iter()
            .flat_map(|(unit, recipe)| recipe.sources().map(|source| (unit.platform, source)))
            .collect();
        let registries = match checker.several_platforms {
            true => Some(session.registries(checker.engine.as_ref()).await?),
            false => None,
        };
        checker.pin(wanted, bases, session.config().build.pull, registries.as_deref()).await
    })?;
    for (unit, download) in unpinned_downloads(recipes) {
        let (url, line) = (without_secrets(&download.url), download.line);
        warn(format_args!(
            "--locked will refuse {}: line {line} of its Dockerfile downloads {url} without --checksum",
            unit.image
        ));
    }
    let counted = format!("{} and {}", counted(sources.len(), "source"), counted(bases.len(), "base image"));
    destination.write(Lock::new(sources, bases).text().as_bytes()).map_err(failed)?;
    Ok(format!("Locked {counted} in {}", path.display()))
}
