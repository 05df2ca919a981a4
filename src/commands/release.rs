//! What a build does for a release, made ready before anything is built.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::config::keys::DEFAULT;
use crate::config::options::{OptionGroup, OptionRole, ReportFormat};
use crate::config::resolved::Config;
use crate::config::settings;
use crate::engine::Engine;
use crate::engine::container::ContainerEngine;
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::model::failure::Failure;
use crate::model::ids::{Digest, ImageName};
use crate::model::signing::CosignOptions;
use crate::registry::Registries;
use crate::release::attaching::Attaching;
use crate::release::check::ReleaseChecker;
use crate::release::documents::{DocumentDir, ProvenanceMaker};
use crate::release::gates::Gates;
use crate::release::known::KnownBuilds;
use crate::release::provenance::Material;
use crate::release::sboms::{Looks, SbomMaker};
use crate::release::signer::Cosign;
use crate::release::work::ReleaseWork;
use crate::report::digests;
use crate::report::release::{ReleaseManifest, ReleasedImage};
use crate::sbom::cache::InventoryCache;
use crate::session::stdio::tell_pause;
use crate::session::{Session, engines, kept};
use crate::util::input;
use crate::util::scratch::Scratch;
use crate::util::write::write_whole;

/// Options beside those of names, templates and sources that decide what is built.
const OF_BUILDS: [&str; 4] = ["build_args", "network_mode", "secret", "squash"];
/// Options among those that decide nothing.
const NOT_OF_IMAGES: [&str; 2] = ["locals_base", "source_cache_days"];

/// What was asked for. Whatever is missing for it is known before anything is built.
pub async fn work(
    session: &Session<'_>,
    engine: &Arc<dyn Engine>,
    registries: &Arc<Registries>,
) -> Result<ReleaseWork, Fatal> {
    let config = session.config();
    let options = &config.release;
    let signer = match (&options.sign, config.build.push) {
        (Some(cosign), true) => Some(signer("sign", config, cosign).await?),
        (Some(_), false) => {
            return Err(Fatal::message(
                "--sign signs what is in the registry, and nothing is pushed",
                EXIT_USAGE,
            )
            .hinted("add --push"));
        }
        (None, _) => None,
    };
    let provenance = match &options.provenance {
        Some(dir) => Some(ProvenanceMaker {
            dir: directory("provenance", dir)?,
            engine: engine.clone(),
            parameters: parameters(config)?,
            overrides: overrides(config)?,
        }),
        None => None,
    };
    Ok(ReleaseWork {
        sboms: sboms(session, engine).await?,
        provenance,
        gates: gates(config)?,
        attaching: Attaching { registries: registries.clone(), retries: config.build.retries, signer },
        known: KnownBuilds::default(),
        pushed: Mutex::default(),
    })
}

/// cosign, which is there.
pub async fn signer(option: &str, config: &Config, options: &CosignOptions) -> Result<Cosign, Fatal> {
    if let Some(file) = options.key_file()
        && !Path::new(file).is_file()
    {
        return Err(Fatal::message(format!("--{option}: there is no key {file}"), EXIT_USAGE)
            .hinted("cosign generate-key-pair makes one"));
    }
    let signer = Cosign {
        options: options.clone(),
        registry_ca: config.build.registry_ca.clone(),
        patience: engines::patience(config),
    };
    signer.check().await.map_err(|Failure { message, hints, .. }| {
        hints.into_iter().fold(Fatal::message(message, EXIT_USAGE), Fatal::hinted)
    })?;
    Ok(signer)
}

/// SBOMs, when they are asked for; for gates they are made where nobody keeps them.
async fn sboms(session: &Session<'_>, engine: &Arc<dyn Engine>) -> Result<Option<SbomMaker>, Fatal> {
    let config = session.config();
    let options = &config.release;
    let dir = match &options.sbom {
        Some(dir) => directory("sbom", dir)?,
        None if !options.gates.is_empty() => temporary()?,
        None => return Ok(None),
    };
    let holders = engines::each(config, session.environment).await?;
    Ok(Some(SbomMaker {
        dir,
        is_asked_for: options.sbom.is_some(),
        engine: engine.clone(),
        holders: holders.into_iter().map(|docker| Arc::new(docker) as Arc<dyn ContainerEngine>).collect(),
        cache: InventoryCache::new(kept::inventories_dir(session.environment)),
        patience: engines::patience(config),
        looks: Looks::default(),
    }))
}

/// The release manifest of a file.
pub fn read(path: &Path) -> Result<ReleaseManifest, Fatal> {
    let text =
        input::read_to_string(path).map_err(|error| Fatal::of_file("read", path, error, EXIT_USAGE))?;
    ReleaseManifest::read(&text)
        .map_err(|error| Fatal::message(format!("{}: {error}", path.display()), EXIT_USAGE))
}

/// The images of a release that were asked for: all, where nothing chooses among them.
pub fn chosen<'a>(session: &Session, release: &'a ReleaseManifest) -> Result<Vec<&'a ReleasedImage>, Fatal> {
    let selection = &session.config().selection;
    if selection.regexes.is_empty() && selection.profile_regexes.is_empty() {
        return Ok(release.images.iter().collect());
    }
    let asked: BTreeSet<&ImageName> = session.prepared.plan.to_build().map(|unit| &unit.image).collect();
    let missing: Vec<&str> =
        asked.iter().filter(|image| release.image(image).is_none()).map(|image| image.as_str()).collect();
    if !missing.is_empty() {
        let message = format!("the release manifest has no {}", missing.join(", "));
        return Err(Fatal::message(message, EXIT_USAGE)
            .hinted("leave out regexes and profiles to take all that it has"));
    }
    Ok(release.images.iter().filter(|image| asked.contains(&image.name)).collect())
}

/// Who looks whether the registry has a release.
pub async fn checker(session: &Session<'_>) -> Result<ReleaseChecker, Fatal> {
    let config = session.config();
    let signer = match &config.release.verify_signatures {
        Some(options) => Some(signer("verify-signatures", config, options).await?),
        None => None,
    };
    let (registries, retries) = (session.registries_alone(), config.build.retries);
    Ok(ReleaseChecker { registries, retries, tell_wait: |error, pause| tell_pause(error, pause), signer })
}

/// Writes the digests of a release, where they are asked for.
pub fn write_digests(config: &Config, release: &ReleaseManifest) -> Result<(), Fatal> {
    for file in &config.output.reports {
        let text = match file.format {
            ReportFormat::Digests => digests::json_of(release),
            ReportFormat::AnsibleDigests => digests::ansible_of(release),
            ReportFormat::Json | ReportFormat::Junit | ReportFormat::Html | ReportFormat::Release => continue,
        };
        write_whole(&file.path, text)
            .map_err(|error| Fatal::of_file("write", &file.path, error, EXIT_FAILED))?;
    }
    Ok(())
}

/// The gates, and where their reports go: beside SBOMs, or nowhere that stays.
fn gates(config: &Config) -> Result<Option<(Gates, DocumentDir)>, Fatal> {
    let options = &config.release;
    if options.gates.is_empty() {
        return Ok(None);
    }
    let dir = match &options.sbom {
        Some(dir) => directory("sbom", dir)?,
        None => temporary()?,
    };
    let (commands, only_warn) = (options.gates.clone(), options.gate_warn);
    Ok(Some((Gates { commands, only_warn, timeout: options.gate_timeout }, dir)))
}

fn directory(option: &str, path: &Path) -> Result<DocumentDir, Fatal> {
    let made = std::fs::create_dir_all(path);
    made.map_err(|error| {
        Fatal::message(format!("--{option}: cannot write to {}: {error}", path.display()), EXIT_FAILED)
    })?;
    Ok(DocumentDir::Named(path.to_path_buf()))
}

fn temporary() -> Result<DocumentDir, Fatal> {
    let scratch = Scratch::new("documents").map_err(|error| {
        Fatal::message(format!("cannot make a temporary directory: {error}"), EXIT_FAILED)
    })?;
    Ok(DocumentDir::Temporary(scratch))
}

/// Options that decide what is built, as they may be shown.
fn parameters(config: &Config) -> Result<BTreeMap<String, String>, Fatal> {
    let table = config.layers().options();
    let decides = |name: &str| {
        table.find(name).is_some_and(|option| {
            let is_path = option.input().is_some() || option.output().is_some();
            let groups =
                [OptionGroup::Base, OptionGroup::Names, OptionGroup::Templates, OptionGroup::Sources];
            let is_of_images = groups.contains(&option.group) && !NOT_OF_IMAGES.contains(&name);
            (is_of_images || OF_BUILDS.contains(&name)) && option.role == OptionRole::Setting && !is_path
        })
    };
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for setting in settings::settings(config.layers())? {
        if setting.section != DEFAULT || !decides(setting.name) {
            continue;
        }
        let Some((value, _)) = setting.value.filter(|(value, _)| !value.is_empty()) else { continue };
        let known = parameters.entry(setting.name.to_string()).or_default();
        if !known.is_empty() {
            known.push('\n');
        }
        known.push_str(&value);
    }
    Ok(parameters)
}

/// Template overrides with their digests.
fn overrides(config: &Config) -> Result<Vec<Material>, Fatal> {
    let material = |path: &PathBuf| {
        let bytes = input::read(path).map_err(|error| Fatal::of_file("read", path, error, EXIT_USAGE))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = format!("template override {name}");
        Ok(Material::identified(&name, "file:override".to_string(), Digest::of(&bytes).as_str()))
    };
    config.templates.overrides.iter().map(material).collect()
}
