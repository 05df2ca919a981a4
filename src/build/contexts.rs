//! Completing an image's build context with its sources.

use std::path::Path;

use super::assemble::assemble;
use crate::config::source::Source;
use crate::freshness::recipe::Recipe;
use crate::model::failure::Failure;
use crate::sources::cache::{Fetched, SourceCache};

/// Fetches the sources of an image and puts their archives into its context, a directory.
pub async fn add_sources(recipe: &Recipe, context: &Path, sources: &SourceCache) -> Result<(), Failure> {
    let source = match &recipe.source {
        Some(source) => Some(sources.fetch(source).await?),
        None => None,
    };
    let plugins = fetch_all(&recipe.plugins, sources).await?;
    let additions = fetch_all(&recipe.additions, sources).await?;
    let context = context.to_path_buf();
    tokio::task::spawn_blocking(move || assemble(&context, source.as_ref(), &plugins, &additions))
        .await
        .map_err(Failure::bug)?
        .map_err(Failure::from)
}

async fn fetch_all(wanted: &[Source], sources: &SourceCache) -> Result<Vec<Fetched>, Failure> {
    let mut fetched = Vec::with_capacity(wanted.len());
    for source in wanted {
        fetched.push(sources.fetch(source).await?);
    }
    Ok(fetched)
}
