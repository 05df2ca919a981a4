//! Registries, as the configuration, this machine and the engine say they are to be reached, and what is told of images
//! in them.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::engines;
use super::prepare::Prepared;
use super::{output, tell, tell_pause};
use crate::error::{EXIT_FAILED, Fatal};
use crate::plan::PlannedUnit;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::error::RegistryError;
use crate::registry::{Registries, RemoteImage, Trust};
use crate::retry::persist;

/// Where Docker and Podman keep certificates for registries.
const CERTIFICATE_DIRS: [&str; 2] = ["/etc/docker/certs.d", "/etc/containers/certs.d"];

/// The registries of a run. `known_insecure` are those that the engine reaches without TLS.
pub fn registries(
    prepared: &Prepared,
    env: &BTreeMap<String, String>,
    known_insecure: Vec<String>,
) -> Result<Registries, Fatal> {
    let options = &prepared.config.build;
    let trust = Trust {
        certificate_dirs: CERTIFICATE_DIRS.map(PathBuf::from).to_vec(),
        authorities: options.registry_ca.clone(),
        insecure: options.insecure_registries.iter().cloned().chain(known_insecure).collect(),
    };
    Ok(Registries::new(
        engines::credentials(&prepared.config, env),
        trust,
        engines::patience(&prepared.config),
    ))
}

/// What the registry has, or why that is not known.
pub type Found = Result<Option<RemoteImage>, String>;

/// Who asks registries for images, and again after a failure that may pass.
pub struct Lookup {
    /// The registries.
    pub registries: Registries,
    /// Further tries.
    pub retries: u32,
}

impl Lookup {
    /// What the registry has under a reference for a platform.
    pub async fn image(&self, reference: &str, platform: Platform) -> Found {
        let named: Reference = reference.parse().map_err(|error| format!("{error}"))?;
        persist(self.retries, RegistryError::again, tell_pause, || self.registries.image(&named, platform))
            .await
            .map_err(|error| error.to_string())
    }

    /// What the registry has of each unit under the name that `name` gives, by the unit's reference and platform; asked
    /// for `at_once` at a time.
    pub async fn images(
        &self,
        units: &[&PlannedUnit],
        name: fn(&PlannedUnit) -> &str,
        at_once: usize,
    ) -> HashMap<(String, Platform), Found> {
        stream::iter(units)
            .map(async |unit| {
                let found = self.image(name(unit), unit.platform).await;
                ((unit.reference.clone(), unit.platform), found)
            })
            .buffer_unordered(at_once)
            .collect()
            .await
    }
}

/// What is told of an image in a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The image's name.
    pub image: String,
    /// What it is for; none when that makes no difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Its full name.
    pub reference: String,
    /// In one word.
    pub status: &'static str,
    /// The digest that its tag names.
    pub digest: Option<String>,
    /// Why it is so, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Tells findings: as lines for people and, when that is wanted, as JSON for programs.
pub fn report(findings: &[Finding], json: bool) -> Result<(), Fatal> {
    let width = |text: fn(&Finding) -> &str| findings.iter().map(|it| text(it).len()).max().unwrap_or(0);
    let (image, status) = (width(|it| &it.image), width(|it| it.status));
    for finding in findings {
        let told = finding.reason.as_ref().or(finding.digest.as_ref()).map_or("", String::as_str);
        let platform = finding.platform.as_ref().map(|platform| format!("  {platform}")).unwrap_or_default();
        tell(format!("{:image$}{platform}  {:status$}  {told}", finding.image, finding.status).trim_end());
    }
    if json {
        let text = serde_json::to_string_pretty(findings)
            .map_err(|error| Fatal::message(format!("failed to write JSON: {error}"), EXIT_FAILED))?;
        output(&format!("{text}\n"))?;
    }
    Ok(())
}
