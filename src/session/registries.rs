//! Registries, as the configuration, this machine and the engine say they are to be reached, and what is told of images
//! in them.

use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::engines;
use super::environment::Environment;
use super::stdio::{output, tell};
use crate::config::resolved::Config;
use crate::error::{EXIT_FAILED, Fatal};
use crate::model::ids::{Digest, ImageName};
use crate::registry::{Registries, Trust};

/// Where Docker and Podman keep certificates for registries.
const CERTIFICATE_DIRS: [&str; 2] = ["/etc/docker/certs.d", "/etc/containers/certs.d"];

/// The registries of a run. `known_insecure` are those that the engine reaches without TLS.
pub fn registries(config: &Config, environment: &Environment, known_insecure: Vec<String>) -> Registries {
    let options = &config.build;
    let trust = Trust {
        certificate_dirs: CERTIFICATE_DIRS.map(PathBuf::from).to_vec(),
        authorities: options.registry_ca.clone(),
        insecure: options.insecure_registries.iter().cloned().chain(known_insecure).collect(),
    };
    Registries::new(engines::credentials(config, environment), trust, engines::patience(config))
}

/// Status of an image in a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryStatus {
    /// As it would be built.
    Ok,
    /// Nothing under this name.
    Missing,
    /// There, and not as it would be built.
    Different,
    /// As it would be built, and without a signature that counts.
    Unsigned,
    /// The registry or something else could not be asked.
    Unknown,
    /// Got the new tag.
    Retagged,
    /// Had the new tag before.
    Unchanged,
    /// Left without the new tag, for another image is missing.
    Left,
    /// Listed with all platforms that it was pushed for.
    Listed,
    /// Could not be retagged or listed.
    Failed,
}

impl RegistryStatus {
    /// The word for it, for people and programs.
    pub fn word(self) -> &'static str {
        match self {
            RegistryStatus::Ok => "ok",
            RegistryStatus::Missing => "missing",
            RegistryStatus::Different => "different",
            RegistryStatus::Unsigned => "unsigned",
            RegistryStatus::Unknown => "unknown",
            RegistryStatus::Retagged => "retagged",
            RegistryStatus::Unchanged => "unchanged",
            RegistryStatus::Left => "left",
            RegistryStatus::Listed => "listed",
            RegistryStatus::Failed => "failed",
        }
    }
}

impl Serialize for RegistryStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// An image in a registry, as it is told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistryFinding {
    /// Name of the image.
    pub image: ImageName,
    /// Platform that it is for; none when that makes no difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Full name, tag included.
    pub reference: String,
    /// The registry's state, or what was done.
    pub status: RegistryStatus,
    /// Digest that the tag names.
    pub digest: Option<Digest>,
    /// Reason for the status, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Tells findings: as lines for people and, when that is wanted, as JSON for programs.
pub fn report(findings: &[RegistryFinding], json: bool) -> Result<(), Fatal> {
    let width =
        |text: fn(&RegistryFinding) -> &str| findings.iter().map(|it| text(it).len()).max().unwrap_or(0);
    let (image, status) = (width(|it| &it.image), width(|it| it.status.word()));
    for finding in findings {
        let digest = finding.digest.as_ref().map(Digest::as_str);
        let told = finding.reason.as_deref().or(digest).unwrap_or_default();
        let platform = finding.platform.as_ref().map(|platform| format!("  {platform}")).unwrap_or_default();
        tell(
            format!("{:image$}{platform}  {:status$}  {told}", finding.image, finding.status.word())
                .trim_end(),
        );
    }
    if json {
        let text = serde_json::to_string_pretty(findings)
            .map_err(|error| Fatal::message(format!("failed to write JSON: {error}"), EXIT_FAILED))?;
        output(&format!("{text}\n"))?;
    }
    Ok(())
}
