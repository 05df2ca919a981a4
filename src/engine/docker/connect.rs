//! Reaching an engine: what it is, and the version of its API that both sides know.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bollard::models::SystemVersion;

use super::super::{EngineError, EngineFacts};
use super::client::Docker;
use super::endpoint::Endpoint;
use super::fault;
use super::transport::Transport;
use crate::model::platform::Arch;
use crate::registry::credentials::Credentials;
use crate::util::plain;

/// The oldest API that is spoken, that of Docker 20.10.
const OLDEST_API: ApiVersion = ApiVersion { major: 1, minor: 41 };

/// The first API that looks images up by platform, that of Docker 28.1.
const INSPECTS_PLATFORMS: ApiVersion = ApiVersion { major: 1, minor: 49 };

/// How long nothing may move when nobody says otherwise.
const PATIENCE: Duration = Duration::from_secs(120);

/// A Docker engine, or Podman's service, that is not contacted yet.
#[derive(Debug, Clone)]
pub struct DockerHost {
    /// The engine's address or socket.
    pub endpoint: Endpoint,
    /// Credentials that it may show registries.
    pub credentials: Credentials,
    /// Build arguments of every build that has none of these names.
    pub proxies: BTreeMap<String, String>,
    /// Nothing but a build may be silent for longer.
    pub patience: Duration,
}

impl DockerHost {
    /// The engine at an endpoint, without proxies and with the usual patience.
    pub fn new(endpoint: Endpoint, credentials: Credentials) -> DockerHost {
        DockerHost { endpoint, credentials, proxies: BTreeMap::new(), patience: PATIENCE }
    }

    /// Reaches the engine and asks what it is.
    pub async fn connect(self) -> Result<Docker, EngineError> {
        let endpoint = self.endpoint.to_string();
        let transport = Transport::new(self.endpoint, self.patience);
        let answer = transport.client().version().await;
        let version = answer.map_err(|error| fault::of_bollard(&endpoint, error))?;
        let api = agreed(&endpoint, version.api_version.as_deref().unwrap_or_default())?;
        let transport = transport.speaking(&api.to_string());
        let is_podman = is_podman(&version);
        Ok(Docker {
            client: transport.client(),
            facts: EngineFacts {
                squashes: is_podman || version.experimental == Some(true),
                name: name_of(&version),
                api_version: api.to_string(),
                architecture: version.arch.as_deref().and_then(Arch::parse),
            },
            endpoint,
            transport,
            credentials: self.credentials,
            proxies: self.proxies,
            is_podman,
            is_asked_by_platform: api >= INSPECTS_PLATFORMS,
            has_containerd_store: Default::default(),
        })
    }
}

/// A version of Docker's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ApiVersion {
    major: usize,
    minor: usize,
}

impl ApiVersion {
    fn parse(text: &str) -> Option<ApiVersion> {
        let (major, minor) = text.split_once('.')?;
        Some(ApiVersion { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The newest version of the API that both sides know.
fn agreed(endpoint: &str, theirs: &str) -> Result<ApiVersion, EngineError> {
    let bollard = bollard::API_DEFAULT_VERSION;
    let ours = ApiVersion { major: bollard.major_version, minor: bollard.minor_version };
    match ApiVersion::parse(theirs) {
        None => Err(fault::garbage(endpoint, format!("'{theirs}' is no API version"))),
        Some(version) if version < OLDEST_API => {
            let reason =
                format!("it speaks API {theirs}, and {OLDEST_API} (Docker 20.10) or newer is needed");
            Err(EngineError::Unusable { endpoint: endpoint.to_string(), reason })
        }
        Some(version) => Ok(version.min(ours)),
    }
}

fn is_podman(version: &SystemVersion) -> bool {
    version.components.iter().flatten().any(|component| component.name.contains("Podman"))
}

/// `Docker 20.10.24` or `Podman 4.3.1`.
fn name_of(version: &SystemVersion) -> String {
    let name = if is_podman(version) { "Podman" } else { "Docker" };
    plain::line(&format!("{name} {}", version.version.as_deref().unwrap_or("of unknown version")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_version_is_the_newest_that_both_know() {
        let agreed = |theirs: &str| agreed("unix:///docker.sock", theirs);
        assert_eq!(agreed("1.41").ok(), Some(OLDEST_API));
        let newest = agreed("1.999").ok().map(|version| version.to_string());
        assert_eq!(newest, Some(bollard::API_DEFAULT_VERSION.to_string()));
        assert!(matches!(agreed("1.40"), Err(EngineError::Unusable { .. })));
        assert!(matches!(agreed("new"), Err(EngineError::Garbage { .. })));
    }
}
