//! Writing what `docker buildx bake` builds the matched images from.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt, stream};

use crate::build::contexts::add_sources;
use crate::context::workdir::{ContextFile, FileContent, WorkDir};
use crate::dockerfile::mounts::with_run_flags;
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::export::bake::BAKE_FILE;
use crate::export::bake::{BakeImage, BakeOptions, bake_file, is_bake_file};
use crate::freshness::recipe::Recipes;
use crate::model::event::Failure;
use crate::model::plan::PlannedUnit;
use crate::model::secret::SecretSpec;
use crate::session::Session;
use crate::session::contexts::{Scope, tree_files};
use crate::session::stdio::tell_pause;
use crate::session::threads::block_on;
use crate::sources::cache::SourceCache;
use crate::util::at_once;
use crate::util::input;
use crate::util::retry::{Again, retry};
use crate::util::write::Destination;

/// Writes the bake file and the contexts beside it; gives what to tell the user. The file is written last, when
/// everything that it names is there.
pub fn write(session: &Session, dir: &Path) -> Result<String, Fatal> {
    if let Some(lock) = &session.config().build.locked {
        let message = format!("--export bake can't hold what it writes to the lock file {}", lock.display());
        return Err(
            Fatal::message(message, EXIT_USAGE).hinted("leave out --locked, or build with kolla-build")
        );
    }
    let recipes = session.recipes()?;
    let prepared = &session.prepared;
    let secrets = &prepared.config.build.secrets;
    let files = as_sent(tree_files(prepared, Scope::Contexts)?, recipes, secrets);
    let path = dir.join(BAKE_FILE);
    refuse_foreign(&path)?;
    let work_dir = WorkDir::keep(dir)?;
    let destination = Destination::open(&path).map_err(|error| failed_to_write(&path, &error))?;
    remove(&path)?;
    work_dir.fill(&files)?;
    complete(recipes, work_dir.tree(), &*session.sources()?, prepared.config.build.retries)?;

    let below = |context: &Path| context.strip_prefix(dir).unwrap_or(context).to_path_buf();
    let image = |unit| {
        let recipe = recipes.get(&PlannedUnit::id(unit))?;
        Some(BakeImage {
            unit,
            context: below(&work_dir.tree().join(&recipe.context)),
            parents: &recipe.parents,
            labels: &recipe.labels,
        })
    };
    let images: Vec<BakeImage> = prepared.plan.to_build().filter_map(image).collect();
    let build = &prepared.config.build;
    let caches = |option| prepared.config.layers().many(option);
    let options = BakeOptions {
        // Proxies are those of this machine.
        build_args: prepared.config.build_args(),
        network_mode: &build.network_mode,
        cache: build.cache,
        pull: build.pull,
        push: build.push,
        cache_from: caches("cache_from")?,
        cache_to: caches("cache_to")?,
        secrets: secrets.iter().map(|secret| secret.id.as_str()).collect(),
    };
    let file = bake_file(&images, &options);
    destination.write(file.text.as_bytes()).map_err(|error| failed_to_write(&path, &error))?;
    let mut told = format!(
        "Wrote {} targets to {}; build them with: cd {} && docker buildx bake",
        images.len(),
        path.display(),
        dir.display()
    );
    if prepared.config.has_several_platforms() {
        told.push_str("\nand then list their platforms: the same command with --manifest-lists for --export");
    }
    if !file.withheld.is_empty() {
        told.push_str(&format!(
            "\nwarning: secrets are not written: bake takes these build arguments from its environment: {}",
            file.withheld.join(", ")
        ));
    }
    if !options.secrets.is_empty() {
        told.push_str(&format!(
            "\nwarning: secrets are not written: bake takes each from a variable or a file of its id: {}",
            options.secrets.join(", ")
        ));
    }
    Ok(told)
}

/// The files of the contexts as they are in the archives that our own builds send.
fn as_sent(mut files: Vec<ContextFile>, recipes: &Recipes, secrets: &[SecretSpec]) -> Vec<ContextFile> {
    let mounts: Vec<String> = secrets.iter().map(SecretSpec::mount).collect();
    let dockerfiles: HashSet<PathBuf> =
        recipes.values().map(|recipe| recipe.context.join("Dockerfile")).collect();
    for file in &mut files {
        file.mode |= 0o200;
        if let FileContent::Bytes(bytes) = &mut file.content
            && dockerfiles.contains(&file.name)
        {
            *bytes = with_run_flags(&String::from_utf8_lossy(bytes), &mounts).into_bytes().into();
        }
    }
    files
}

/// Puts the sources into the contexts; tells everything that is unavailable.
fn complete(recipes: &Recipes, contexts: &Path, sources: &SourceCache, retries: u32) -> Result<(), Fatal> {
    let may_pass = |failure: &Failure| Again::if_transient(failure.transient);
    let mut failures: Vec<String> = block_on(async {
        let failures = stream::iter(recipes)
            .map(async |(unit, recipe)| {
                let context = contexts.join(&recipe.context);
                let add = || add_sources(recipe, &context, sources);
                (unit, retry(retries, may_pass, tell_pause, add).await)
            })
            .buffer_unordered(at_once::FETCHES)
            .filter_map(async |(unit, added)| Some(format!("{}: {}", unit.image, added.err()?)))
            .collect()
            .await;
        Ok(failures)
    })?;
    if failures.is_empty() {
        return Ok(());
    }
    failures.sort();
    let fatal = Fatal::message("cannot export: some sources are unavailable", EXIT_FAILED);
    Err(failures.into_iter().fold(fatal, Fatal::caused_by))
}

/// Fails when there is a bake file that no export has written.
fn refuse_foreign(path: &Path) -> Result<(), Fatal> {
    match input::read(path) {
        Ok(bytes) if !is_bake_file(&bytes) => {
            let message = format!("{} was not written by an earlier export", path.display());
            Err(Fatal::message(message, EXIT_USAGE)
                .hinted("remove it if nobody needs it, or name another directory: --export-dir DIR"))
        }
        _ => Ok(()),
    }
}

/// Takes away what an earlier export has left: without its contexts it is of no use. A link stays, and is followed.
fn remove(path: &Path) -> Result<(), Fatal> {
    if path.is_symlink() {
        return Ok(());
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed_to_write(path, &error)),
        _ => Ok(()),
    }
}

fn failed_to_write(path: &Path, error: &io::Error) -> Fatal {
    Fatal::message(format!("failed to write {}: {error}", path.display()), EXIT_FAILED)
}
