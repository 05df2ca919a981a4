//! `--verify-registry`: whether the registry has every image as it would be built now.

use std::collections::{BTreeMap, HashMap};

use super::build::build_settings;
use super::engines::{engine, greet};
use super::kept::source_cache;
use super::prepare::Prepared;
use super::registry::{Finding, Found, Lookup, registries, report};
use super::threads::runtime;
use super::write::{Scope, tree_files};
use super::{lock, tell, tell_pause};
use crate::context::sources::{SourceCache, SourceError};
use crate::context::workdir::write_tree;
use crate::error::{EXIT_FAILED, Fatal};
use crate::event::UnitId;
use crate::plan::{Parent, PlannedUnit};
use crate::platform::Platform;
use crate::registry::RemoteImage;
use crate::retry::{Again, persist};
use crate::schedule::bases::BaseImages;
use crate::schedule::image::{BuildSettings, KEY_LABEL, PARENT_LABEL, Recipe, key_inputs};
use crate::util::scratch::Scratch;

/// Compares what the registry has with what a build would make; gives the exit code. Base images count as the engine
/// has them.
pub fn verify(prepared: &Prepared, env: &BTreeMap<String, String>) -> Result<u8, Fatal> {
    let mut recipes = lock::pinned_recipes(prepared, env)?;
    let contexts = Scratch::new("contexts").map_err(|error| {
        Fatal::message(format!("failed to make a temporary directory: {error}"), EXIT_FAILED)
    })?;
    write_tree(contexts.path(), &tree_files(prepared, Scope::Contexts)?)?;
    for recipe in recipes.values_mut() {
        recipe.context = contexts.path().join(&recipe.context);
    }
    let runtime = runtime()?;
    let options = &prepared.config.build;
    let findings = runtime.block_on(async {
        let engine = engine(&prepared.config, env).await?;
        greet(&prepared.config, engine.as_ref(), "Verifying").await?;
        let insecure = engine.insecure_registries().await.map_err(|error| Fatal::new(&error, EXIT_FAILED))?;
        let verification = Verification {
            bases: BaseImages::new(engine, false, prepared.config.has_several_platforms()),
            sources: source_cache(prepared, env, recipes.values())?,
            remote: Lookup { registries: registries(prepared, env, insecure)?, retries: options.retries },
            settings: build_settings(prepared, env),
            recipes,
        };
        let units: Vec<&PlannedUnit> = prepared.plan.to_build().collect();
        Ok::<_, Fatal>(verification.all(&units, options.threads).await)
    });
    runtime.shutdown_background();
    let findings = findings?;
    report(&findings, prepared.config.output.json)?;
    let good = findings.iter().filter(|finding| finding.status == "ok").count();
    tell(&format!("{good} of {} images are in the registry as they would be built", findings.len()));
    Ok(if good == findings.len() { 0 } else { EXIT_FAILED })
}

/// What keys and images are asked of.
struct Verification {
    bases: BaseImages,
    sources: SourceCache,
    remote: Lookup,
    settings: BuildSettings,
    recipes: HashMap<UnitId, Recipe>,
}

impl Verification {
    async fn all(&self, units: &[&PlannedUnit], at_once: usize) -> Vec<Finding> {
        let found = self.remote.images(units, public_name, at_once).await;
        let mut keys: HashMap<UnitId, Result<String, String>> = HashMap::new();
        let mut findings = Vec::new();
        for unit in units {
            let key = self.key(unit, &keys).await;
            let find = |reference: &str| found.get(&(reference.to_string(), unit.platform));
            let parent = self.recipes.get(&unit.id()).and_then(|recipe| find(&recipe.parent_reference));
            let parent = parent.and_then(|found| found.as_ref().ok()?.as_ref());
            let own = find(&unit.reference).unwrap_or(&Ok(None));
            let (status, reason) = verdict(&key, own, parent);
            let digest = own.as_ref().ok().and_then(|image| Some(image.as_ref()?.digest.clone()));
            findings.push(Finding {
                image: unit.image.clone(),
                platform: Some(unit.platform.to_string()),
                reference: public_name(unit).to_string(),
                status,
                digest,
                reason,
            });
            keys.insert(unit.id(), key);
        }
        findings
    }

    /// The content key that a unit would have, or why that is not known.
    async fn key(
        &self,
        unit: &PlannedUnit,
        keys: &HashMap<UnitId, Result<String, String>>,
    ) -> Result<String, String> {
        let recipe = self.recipes.get(&unit.id()).ok_or("kolla-build has a bug: a unit without a recipe")?;
        let parent = match &unit.parent {
            Parent::Base(reference) if reference == "scratch" => reference.clone(),
            Parent::Base(reference) => {
                let image = self.bases.get(reference, unit.platform, &|_| {}).await;
                image.map_err(|error| error.to_string())?.id
            }
            Parent::Image(name) => match keys.get(&named(name, unit.platform)) {
                Some(key) => key.clone().map_err(|_| format!("the key of its parent {name} is not known"))?,
                // It was not asked for: what the registry has of it counts.
                None => {
                    let image = self.remote.image(&recipe.parent_reference, unit.platform).await?;
                    let missing = || format!("the registry has no {}", recipe.parent_reference);
                    let image = image.ok_or_else(missing)?;
                    image.labels.get(KEY_LABEL).cloned().unwrap_or(image.id)
                }
            },
        };
        let mut sources = Vec::new();
        for source in recipe.sources() {
            let again = |error: &SourceError| Again::if_transient(error.is_transient());
            let identity =
                persist(self.remote.retries, again, tell_pause, || self.sources.identify(source)).await;
            sources.push((source.section.clone(), identity.map_err(|error| error.to_string())?));
        }
        let inputs = key_inputs(unit.platform, &parent, recipe, sources, &self.settings.build_args).await;
        inputs.map(|inputs| inputs.key()).map_err(|failure| failure.message)
    }
}

/// The name that others have an image by: with several platforms, that of their list.
fn public_name(unit: &PlannedUnit) -> &str {
    unit.list.as_ref().unwrap_or(&unit.reference)
}

fn named(image: &str, platform: Platform) -> UnitId {
    UnitId { image: image.into(), platform }
}

/// What an image is, and why: `ok`, `missing`, `different`, or `unknown`. `parent` is what the registry has of the image
/// it is built on, if that is ours.
fn verdict(
    key: &Result<String, String>,
    found: &Found,
    parent: Option<&RemoteImage>,
) -> (&'static str, Option<String>) {
    let image = match found {
        Err(error) => return ("unknown", Some(error.clone())),
        Ok(None) => return ("missing", None),
        Ok(Some(image)) => image,
    };
    let key = match key {
        Err(error) => return ("unknown", Some(error.clone())),
        Ok(key) => key,
    };
    match (image.labels.get(KEY_LABEL), image.labels.get(PARENT_LABEL)) {
        (None, _) => ("different", Some("it was not built by kolla-build".to_string())),
        (Some(found), _) if found != key => {
            ("different", Some(format!("its key is {found}, and {key} was expected")))
        }
        (_, Some(id)) if parent.is_some_and(|parent| !parent.may_be(id)) => {
            ("different", Some("its parent was built anew since".to_string()))
        }
        _ => ("ok", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(labels: &[(&str, &str)]) -> RemoteImage {
        RemoteImage {
            digest: "sha256:d".to_string(),
            id: "sha256:c".to_string(),
            manifest: "sha256:m".to_string(),
            labels: labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            size: 1,
        }
    }

    #[test]
    fn an_image_is_as_it_would_be_built_or_it_is_told_why_not() {
        let key = Ok("k".to_string());
        let found = |labels: &[(&str, &str)]| Ok(Some(image(labels)));
        let parent = image(&[]);
        let (ours, on) = ((KEY_LABEL, "k"), |id| (PARENT_LABEL, id));
        for (key, found, status, reason) in [
            (&key, found(&[ours, on("sha256:c")]), "ok", ""),
            (&key, found(&[ours, on("sha256:m")]), "ok", ""),
            (&key, found(&[ours, on("sha256:x")]), "different", "its parent was built anew since"),
            (&key, found(&[(KEY_LABEL, "other")]), "different", "its key is other, and k was expected"),
            (&key, found(&[]), "different", "it was not built by kolla-build"),
            (&key, Ok(None), "missing", ""),
            (&key, Err("gone".to_string()), "unknown", "gone"),
            (&Err("no source".to_string()), found(&[ours]), "unknown", "no source"),
        ] {
            let (its, why) = verdict(key, &found, Some(&parent));
            assert_eq!((its, why.unwrap_or_default().as_str()), (status, reason), "{found:?}");
        }
        assert_eq!(verdict(&key, &found(&[ours, on("sha256:base")]), None).0, "ok");
    }
}
