//! What every image is built from, as the configuration and the rendered Dockerfiles say.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::contexts::platform_dir;
use super::prepare::Prepared;
use crate::build::image_worker::BuildSettings;
use crate::config::source::Source;
use crate::dockerfile::named::{self, Given, Named, NamedImage, WantedFor};
use crate::engine::Engine;
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::freshness::recipe::{BuiltFrom, Recipe};
use crate::model::event::UnitId;
use crate::model::labels;
use crate::model::plan::{BuildPlan, Disposition, Parent, PlannedUnit};
use crate::model::platform::Platform;
use crate::model::secret::{SecretSpec, Secrets};
use crate::template::catalog::TEMPLATE_NAME;
use crate::template::render::RenderedDockerfile;

/// Proxy variables of the environment that builds get as arguments.
const PROXY_VARIABLES: [&str; 8] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// How images are built, but for the secrets, which only a build reads.
pub fn build_settings(prepared: &Prepared, env: &BTreeMap<String, String>) -> BuildSettings {
    let build = &prepared.config.build;
    let proxies = PROXY_VARIABLES.iter().filter_map(|name| Some((name.to_string(), env.get(*name)?.clone())));
    BuildSettings {
        buildkit: build.buildkit,
        network_mode: build.network_mode.clone(),
        build_args: prepared.config.build_args(),
        proxy_args: proxies.collect(),
        secrets: Secrets::default(),
        squash: build.squash,
        cache_from: build.cache_from.clone(),
        inline_cache: build.inline_cache,
        cache: build.cache,
        keep: build.keep,
    }
}

/// Whether base images are wanted for several platforms, so that a name of one does not stand for one image.
pub fn wants_several_platforms(prepared: &Prepared, recipes: &HashMap<UnitId, Recipe>) -> bool {
    let mut from = recipes.values().flat_map(|recipe| &recipe.parents);
    prepared.config.has_several_platforms() || from.any(|from| from.platform != WantedFor::Target)
}

/// Leaves out what the engine has under the name it would get, whatever is in it.
pub async fn skip_existing(plan: &mut BuildPlan, engine: &dyn Engine) -> Result<(), Fatal> {
    for unit in plan.units.iter_mut().filter(|unit| unit.disposition == Disposition::Build) {
        let held = engine.inspect(&unit.reference).await.map_err(|error| Fatal::new(&error, EXIT_FAILED))?;
        if held.is_some() {
            unit.disposition = Disposition::Skipped;
            unit.reason = "skip_existing, and the engine has it".to_string();
        }
    }
    Ok(())
}

/// What to build, with contexts relative to the tree that they will be in.
pub fn recipes(
    prepared: &Prepared,
    env: &BTreeMap<String, String>,
) -> Result<HashMap<UnitId, Recipe>, Fatal> {
    let config = &prepared.config;
    let epoch = labels::source_date_epoch(env.get("SOURCE_DATE_EPOCH").map(String::as_str))
        .map_err(|error| Fatal::message(error, EXIT_USAGE))?;
    let mtime = epoch.map_or(0, |epoch| epoch.as_second().unsigned_abs());
    let created = epoch.unwrap_or_else(Timestamp::now);
    let run_flags: Arc<[String]> = config.build.secrets.iter().map(SecretSpec::mount).collect();
    let args = config.build_args();
    let mut recipes = HashMap::new();
    for (platform, rendered) in &prepared.rendered {
        let files: HashMap<&str, &RenderedDockerfile> =
            rendered.iter().map(|file| (file.image.as_str(), file)).collect();
        let below = platform_dir(prepared, *platform);
        for unit in prepared.plan.to_build().filter(|unit| unit.platform == *platform) {
            let Some(file) = files.get(unit.image.as_str()) else { continue };
            let named = named::read(&file.text, Given { args: &args, target: *platform });
            if unit.parent == Parent::Base(String::new()) {
                return Err(without_from(file));
            }
            let recipe = Recipe {
                context: below.join(&file.dir),
                mtime,
                parents: built_from(prepared, unit, &named),
                downloads: named.downloads,
                source: source(prepared, &unit.image, *platform)?,
                plugins: extras(prepared, &unit.image, "plugin", *platform)?,
                additions: extras(prepared, &unit.image, "additions", *platform)?,
                labels: labels::image_labels(
                    &unit.image,
                    config.names.tag.as_str(),
                    &config.maintainer,
                    created,
                ),
                run_flags: run_flags.clone(),
            };
            recipes.insert(unit.id(), recipe);
        }
    }
    Ok(recipes)
}

/// The source of a section, which is there when it is on this machine.
fn source(prepared: &Prepared, section: &str, platform: Platform) -> Result<Option<Source>, Fatal> {
    let source = prepared.config.source(section, platform)?;
    if let Some(source) = &source {
        prepared.config.require_local(source)?;
    }
    Ok(source)
}

/// The images that a unit's Dockerfile names, each once for a platform.
fn built_from(prepared: &Prepared, unit: &PlannedUnit, named: &Named) -> Vec<BuiltFrom> {
    let ours: HashMap<String, &Parent> = unit
        .parents()
        .filter_map(|parent| Some((prepared.config.image_reference(parent.image()?, unit.platform), parent)))
        .collect();
    let mut all: Vec<BuiltFrom> = Vec::new();
    for NamedImage { reference, platform, .. } in &named.images {
        let from = match ours.get(reference) {
            // Of those there is one for each platform that is built for.
            Some(image) => {
                let platform = WantedFor::Target;
                BuiltFrom { image: (*image).clone(), reference: reference.clone(), platform }
            }
            None => BuiltFrom {
                image: Parent::Base(reference.clone()),
                reference: reference.clone(),
                platform: *platform,
            },
        };
        if !all.contains(&from) {
            all.push(from);
        }
    }
    all
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

fn extras(prepared: &Prepared, image: &str, kind: &str, platform: Platform) -> Result<Vec<Source>, Fatal> {
    let mut sources = Vec::new();
    for section in prepared.config.extra_sections(image, kind) {
        sources.extend(source(prepared, &section, platform)?);
    }
    Ok(sources)
}
