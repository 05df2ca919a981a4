//! State that runs keep for the next ones in the user's cache directory: sources, records and durations. None of it is needed
//! for a build, so a run goes on where it can't be kept.

use std::path::PathBuf;
use std::time::Duration;

use super::environment::Environment;
use super::stdio::warn;
use crate::config::resolved::Config;
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::freshness::recipe::Recipe;
use crate::freshness::records::Records;
use crate::sources::cache::{SourceCache, SourceProblem};

/// Where records of what images were made from are.
pub fn records_dir(environment: &Environment) -> Option<PathBuf> {
    Some(environment.cache_dir.as_ref()?.join("inputs"))
}

/// Records of what images were made from.
pub fn records(environment: &Environment) -> Records {
    records_dir(environment).map_or_else(Records::nowhere, Records::in_dir)
}

/// Where durations of builds are.
pub fn durations_file(environment: &Environment) -> Option<PathBuf> {
    Some(environment.cache_dir.as_ref()?.join("durations.json"))
}

/// Where inventories of images are.
pub fn inventories_dir(environment: &Environment) -> Option<PathBuf> {
    Some(environment.cache_dir.as_ref()?.join("inventories"))
}

/// Where fetched sources are; none when no place is named.
pub fn sources_dir(config: &Config, environment: &Environment) -> Option<PathBuf> {
    let named = config.build.source_cache.clone();
    named.or_else(|| Some(environment.cache_dir.as_ref()?.join("sources")))
}

/// The cache for the sources of these recipes: without any there need be none. Where the user's own can't be used they
/// are kept for this run alone; one that was named must be usable.
pub fn source_cache<'a>(
    config: &Config,
    environment: &Environment,
    recipes: impl IntoIterator<Item = &'a Recipe>,
) -> Result<SourceCache, Fatal> {
    let options = &config.build;
    let patience = Duration::from_secs(options.timeout);
    if recipes.into_iter().all(|recipe| recipe.sources().next().is_none()) {
        return Ok(SourceCache::none(patience));
    }
    let days = options.source_cache_days;
    let kept = (days > 0).then(|| Duration::from_secs(days.saturating_mul(24 * 3600)));
    let reason = match sources_dir(config, environment) {
        Some(dir) => match SourceCache::open(&dir, patience, kept) {
            Err(error)
                if options.source_cache.is_none() && matches!(error.problem, SourceProblem::Local { .. }) =>
            {
                error.problem.to_string()
            }
            Err(error) => {
                let is_usage = matches!(error.problem, SourceProblem::Configuration(_));
                return Err(Fatal::new(&error, if is_usage { EXIT_USAGE } else { EXIT_FAILED }));
            }
            Ok(cache) => return Ok(cache.strict(options.locked.is_some())),
        },
        None => "neither HOME nor XDG_CACHE_HOME names a directory".to_string(),
    };
    warn(format_args!(
        "sources are fetched for this run alone: {reason}; --source-cache DIR keeps them there"
    ));
    SourceCache::temporary(patience).map_err(|error| Fatal::new(&error, EXIT_FAILED))
}
