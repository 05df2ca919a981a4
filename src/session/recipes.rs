//! The recipe of every image, as the configuration and the rendered Dockerfiles say.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::contexts::platform_dir;
use super::environment::Environment;
use super::prepare::Prepared;
use crate::config::source::Source;
use crate::dockerfile::named::{self, Given, Named, NamedImage, WantedFor};
use crate::dockerfile::package_caches::PackageCaches;
use crate::dockerfile::users::ends_as_root;
use crate::error::{EXIT_USAGE, Fatal};
use crate::freshness::recipe::{
    ADDITIONS_ARCHIVE, BuiltFrom, PLUGINS_ARCHIVE, Recipe, Recipes, source_archive,
};
use crate::model::labels;
use crate::model::plan::{Parent, PlannedUnit};
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::template::catalog::TEMPLATE_NAME;
use crate::template::render::RenderedDockerfile;

/// Recipes of the images to build, with contexts relative to the tree that they will be in.
pub fn recipes(prepared: &Prepared, environment: &Environment) -> Result<Recipes, Fatal> {
    let config = &prepared.config;
    let mtime = environment.source_date_epoch.map_or(0, |epoch| epoch.as_second().unsigned_abs());
    let created = environment.clock();
    let run_flags: Arc<[String]> = config.build.builder.run_flags().into();
    let args = config.build_args();
    let mut recipes = Recipes::new();
    for (platform, rendered) in &prepared.rendered {
        let files: HashMap<&str, &RenderedDockerfile> =
            rendered.iter().map(|file| (file.image.as_str(), file)).collect();
        let package_caches = package_caches(prepared, *platform, rendered).map(Arc::new);
        let below = platform_dir(prepared, *platform);
        for unit in prepared.plan.to_build().filter(|unit| unit.platform == *platform) {
            let Some(file) = files.get(unit.image.as_str()) else { continue };
            let named = named::read(&file.text, Given { args: &args, target: *platform });
            if unit.parent == Parent::Base(String::new()) {
                return Err(without_from(file));
            }
            let mut sources = config.sources(&unit.image, *platform)?;
            // The Dockerfile may take what the distribution has instead of what came with the program.
            let is_wanted = |source: &Source, archive: &str| {
                file.text.contains(archive) || !config.is_shipped_source(&source.section)
            };
            sources.own = sources.own.filter(|source| is_wanted(source, &source_archive(&source.section)));
            sources.plugins.retain(|source| is_wanted(source, PLUGINS_ARCHIVE));
            sources.additions.retain(|source| is_wanted(source, ADDITIONS_ARCHIVE));
            sources.iter().try_for_each(|source| config.require_local(source))?;
            let recipe = Recipe {
                context: below.join(&file.dir),
                mtime,
                parents: built_from(prepared, unit, &named, file)?,
                downloads: named.downloads,
                source: sources.own,
                plugins: sources.plugins,
                additions: sources.additions,
                labels: labels::image_labels(
                    &unit.image,
                    config.names.tag.as_str(),
                    &config.maintainer,
                    created,
                ),
                run_flags: run_flags.clone(),
                package_caches: package_caches.clone(),
            };
            recipes.insert(unit.id(), recipe);
        }
    }
    Ok(recipes)
}

/// The caches of a platform's package managers, if there are to be any.
fn package_caches(
    prepared: &Prepared,
    platform: Platform,
    rendered: &[RenderedDockerfile],
) -> Option<PackageCaches> {
    let config = &prepared.config;
    if !config.build.package_cache {
        return None;
    }
    let mut without_root = BTreeSet::new();
    // An image hands its user on to those that are built on it, which may come before it.
    loop {
        let known = without_root.len();
        for file in rendered {
            if !ends_as_root(&file.text, &|image| !without_root.contains(image)) {
                without_root.insert(config.image_reference(&file.image, platform).to_string());
            }
        }
        if without_root.len() == known {
            break;
        }
    }
    Some(PackageCaches::new(&config.base, &config.base_tag, platform, without_root))
}

/// The images that a unit's Dockerfile names, each once for a platform.
///
/// # Errors
/// A name that no image can have.
fn built_from(
    prepared: &Prepared,
    unit: &PlannedUnit,
    named: &Named,
    file: &RenderedDockerfile,
) -> Result<Vec<BuiltFrom>, Fatal> {
    let ours: HashMap<Reference, &Parent> = unit
        .parents()
        .filter_map(|parent| Some((prepared.config.image_reference(parent.image()?, unit.platform), parent)))
        .collect();
    let mut all: Vec<BuiltFrom> = Vec::new();
    for NamedImage { reference: name, platform, line, .. } in &named.images {
        let reference: Reference = name.parse().map_err(|error| {
            let template = format!("{}/{TEMPLATE_NAME}", file.dir);
            let message =
                format!("{template} renders a Dockerfile that names no image in line {line}: {error}");
            Fatal::message(message, EXIT_USAGE)
        })?;
        let from = match ours.get(&reference) {
            // Of those there is one for each platform that is built for.
            Some(image) => BuiltFrom { image: (*image).clone(), reference, platform: WantedFor::Target },
            None => BuiltFrom { image: Parent::Base(name.clone()), reference, platform: *platform },
        };
        if !all.contains(&from) {
            all.push(from);
        }
    }
    Ok(all)
}

fn without_from(file: &RenderedDockerfile) -> Fatal {
    let message = format!(
        "{}/{TEMPLATE_NAME} renders a Dockerfile without FROM, so {} is built on nothing",
        file.dir, file.image
    );
    Fatal::message(message, EXIT_USAGE).hinted(format!(
        "begin it with FROM {{{{ namespace }}}}/{{{{ image_prefix }}}}base:{{{{ tag }}}}; --template-only shows what {} renders to",
        file.image
    ))
}
