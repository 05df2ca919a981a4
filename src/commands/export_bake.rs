//! Writing what `docker buildx bake` builds the matched images from.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt, stream};

use crate::build::contexts::add_sources;
use crate::config::resolved::Config;
use crate::context::workdir::{ContextFile, FileContent, WorkDir};
use crate::dockerfile::mounts::with_run_flags;
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::export::bake::{BAKE_FILE, BakeImage, BakeOptions, bake_file, is_bake_file};
use crate::freshness::recipe::{Recipe, Recipes};
use crate::model::failure::Failure;
use crate::model::plan::PlannedUnit;
use crate::session::Session;
use crate::session::contexts::{TreeScope, tree_files};
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
    let files = as_sent(tree_files(prepared, TreeScope::Contexts)?, recipes);
    let path = dir.join(BAKE_FILE);
    refuse_foreign(&path)?;
    let work_dir = WorkDir::keep(dir)?;
    let destination = Destination::open(&path).map_err(|error| failed_to_write(&path, &error))?;
    remove(&path)?;
    work_dir.fill(&files)?;
    let sources = session.sources()?;
    complete(recipes, work_dir.tree(), &sources, prepared.config.build.retries)?;

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
    let options = options(&prepared.config)?;
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
    told.push_str(&warnings(&file.withheld, &options.secrets));
    Ok(told)
}

fn options(config: &Config) -> Result<BakeOptions<'_>, Fatal> {
    let build = &config.build;
    let caches = |option| config.layers().many(option);
    Ok(BakeOptions {
        // Proxies are those of this machine.
        build_args: config.build_args(),
        network_mode: &build.network_mode,
        cache: build.cache,
        pull: build.pull,
        push: build.push,
        cache_from: caches("cache_from")?,
        cache_to: caches("cache_to")?,
        secrets: build.builder.secrets().iter().map(|secret| secret.id.as_str()).collect(),
    })
}

/// Lines about the build arguments and secrets whose values the file does not have.
fn warnings(build_args: &[String], secrets: &[&str]) -> String {
    let mut lines = String::new();
    if !build_args.is_empty() {
        lines +=
            "\nwarning: secrets are not written: bake takes these build arguments from its environment: ";
        lines += &build_args.join(", ");
    }
    if !secrets.is_empty() {
        lines += "\nwarning: secrets are not written: bake takes each from a variable or a file of its id: ";
        lines += &secrets.join(", ");
    }
    lines
}

/// The files of the contexts as they are in the archives that our own builds send.
fn as_sent(mut files: Vec<ContextFile>, recipes: &Recipes) -> Vec<ContextFile> {
    let dockerfiles: HashMap<PathBuf, &Recipe> =
        recipes.values().map(|recipe| (recipe.context.join("Dockerfile"), recipe)).collect();
    for file in &mut files {
        file.mode |= 0o200;
        if let FileContent::Bytes(bytes) = &mut file.content
            && let Some(recipe) = dockerfiles.get(&file.name)
        {
            let text = String::from_utf8_lossy(bytes);
            let text = recipe.package_caches.as_ref().map_or(text.to_string(), |it| it.mounted_in(&text));
            *bytes = with_run_flags(&text, &recipe.run_flags).into_bytes().into();
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
    Fatal::of_file("write", path, error, EXIT_FAILED)
}
