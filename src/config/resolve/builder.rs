//! The builder, and the options that only one of Docker's knows [pure].

use std::collections::BTreeMap;

use crate::config::keys::DEFAULT;
use crate::config::layer::{Entry, Layers, ValueError, value_error};
use crate::config::resolved::{EngineChoice, Export, Task};
use crate::model::builder::{Builder, CacheSource, InvalidCacheSource};
use crate::model::secret::SecretSpec;

const NEEDS_BUILDKIT: &str = "only Docker's BuildKit can do this: use --buildkit, with --engine docker";
const SQUASHES_NOT: &str = "BuildKit does not squash: add --nobuildkit";
const MOUNTS_NO_CACHES: &str = "Docker's classic builder has no mounts for caches: leave out --nobuildkit";
const INLINE_ONLY: &str = "an engine's own BuildKit, asked over Docker's API, writes its cache into the images alone: use \
                           type=inline and push them, or --export bake for type=registry and others";

/// The builder, with what it was asked to do.
///
/// # Errors
/// An option that this builder does not know.
pub(super) fn builder(layers: &Layers, engine: &EngineChoice, task: &Task) -> Result<Builder, ValueError> {
    let buildkit = layers.flag("buildkit")? && *engine == EngineChoice::Docker;
    // buildx is BuildKit too, and its builders know more kinds of cache.
    let buildx = matches!(task, Task::Export(Export::Bake(_)));
    let secrets = secrets(layers, buildkit || buildx)?;
    let squash = squash(layers, buildkit || buildx)?;
    if buildx {
        return Ok(Builder::BuildKit { secrets, cache_from: Vec::new(), inline_cache: false });
    }
    let (cache_from, inline_cache) = (cache_from(layers, buildkit)?, inline_cache(layers, buildkit)?);
    Ok(match buildkit {
        true => Builder::BuildKit { secrets, cache_from, inline_cache },
        false => Builder::Classic { squash, keep: layers.flag("keep")? },
    })
}

/// The secrets, in the order given; refused when `buildkit` is not what builds.
fn secrets(layers: &Layers, buildkit: bool) -> Result<Vec<SecretSpec>, ValueError> {
    let mut specs: Vec<SecretSpec> = Vec::new();
    for (entry, text) in given(layers, "secret", buildkit)? {
        let spec: SecretSpec = text.parse().map_err(|error| value_error(entry, error))?;
        if specs.iter().any(|known| known.id == spec.id) {
            return Err(value_error(entry, format_args!("there is a secret '{}' already", spec.id)));
        }
        specs.push(spec);
    }
    Ok(specs)
}

/// `--squash`; refused with BuildKit.
fn squash(layers: &Layers, buildkit: bool) -> Result<bool, ValueError> {
    let squash = layers.flag("squash")?;
    match layers.entry(DEFAULT, "squash") {
        Some(entry) if squash && buildkit => Err(value_error(entry, SQUASHES_NOT)),
        _ => Ok(squash),
    }
}

/// `--package-cache`; refused with Docker's classic builder.
pub(super) fn package_cache(layers: &Layers, engine: &EngineChoice, task: &Task) -> Result<bool, ValueError> {
    let package_cache = layers.flag("package_cache")?;
    let is_classic = *engine == EngineChoice::Docker
        && !layers.flag("buildkit")?
        && !matches!(task, Task::Export(Export::Bake(_)));
    match layers.entry(DEFAULT, "package_cache") {
        Some(entry) if package_cache && is_classic => Err(value_error(entry, MOUNTS_NO_CACHES.to_string())),
        _ => Ok(package_cache),
    }
}

/// `--cache-from`: `REFERENCE`, or `type=registry,ref=REFERENCE`.
fn cache_from(layers: &Layers, buildkit: bool) -> Result<Vec<CacheSource>, ValueError> {
    let read = |(entry, text): (&Entry, String)| {
        let reference = match fields(&text) {
            None => text,
            Some(mut fields) => {
                let kind = fields.remove("type").unwrap_or("registry");
                let reference = fields.remove("ref").unwrap_or_default().to_string();
                if kind != "registry" || reference.is_empty() || !fields.is_empty() {
                    let reason = format!(
                        "'{text}': an engine's own BuildKit takes REFERENCE or type=registry,ref=REFERENCE"
                    );
                    return Err(value_error(entry, reason));
                }
                reference
            }
        };
        reference.parse().map_err(|error: InvalidCacheSource| value_error(entry, error))
    };
    given(layers, "cache_from", buildkit)?.into_iter().map(read).collect()
}

/// `--cache-to`, of which an engine's own BuildKit knows `type=inline`.
fn inline_cache(layers: &Layers, buildkit: bool) -> Result<bool, ValueError> {
    let given = given(layers, "cache_to", buildkit)?;
    for (entry, text) in &given {
        let is_inline = |mut fields: BTreeMap<&str, &str>| {
            fields.remove("mode");
            fields == BTreeMap::from([("type", "inline")])
        };
        if !fields(text).is_some_and(is_inline) {
            return Err(value_error(entry, format_args!("'{text}': {INLINE_ONLY}")));
        }
    }
    Ok(!given.is_empty())
}

/// Every value of an option that BuildKit alone knows.
fn given<'a>(
    layers: &'a Layers,
    key: &'static str,
    buildkit: bool,
) -> Result<Vec<(&'a Entry, String)>, ValueError> {
    let entries = layers.entries().iter().filter(|entry| entry.section == DEFAULT && entry.key == key);
    let given: Vec<_> = entries.zip(layers.many(key)?).collect();
    match given.first() {
        Some((entry, _)) if !buildkit => Err(value_error(entry, NEEDS_BUILDKIT)),
        _ => Ok(given),
    }
}

/// `name=value,name=value`, each name once; none for a plain reference.
fn fields(text: &str) -> Option<BTreeMap<&str, &str>> {
    let mut fields = BTreeMap::new();
    for field in text.split(',') {
        let (name, value) = field.split_once('=')?;
        if fields.insert(name, value).is_some() {
            return None;
        }
    }
    Some(fields)
}
