//! Image registries: what they hold is read, and named anew, through the OCI distribution API
//! (<https://github.com/opencontainers/distribution-spec>). Layers go through the engine, never through here.
//!
//! A registry's answers are not trusted: they are limited in size, and content must have the digest it goes by.

mod auth;
mod blobs;
pub mod cleanup;
pub mod credentials;
pub mod error;
mod host;
pub mod manifest;
pub mod referrers;
pub mod retention;
pub mod transfer_failure;
mod trust;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};

use crate::model::ids::{Digest, ImageId};
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::util::once_map::OnceMap;
use credentials::Credentials;
use error::{Problem, RegistryError};
use host::{Host, manifest_request};
use manifest::{Content, Manifest, image_config};

pub use trust::Trust;

/// Where Docker's own registry really is.
const DOCKER_HUB: &str = "registry-1.docker.io";

/// Registries, each reached when it is first needed. A request is tried once; [`RegistryError::again`] tells whether
/// another try may help.
pub struct Registries {
    credentials: Credentials,
    trust: Trust,
    patience: Duration,
    hosts: OnceMap<String, Arc<Host>>,
}

/// An image that a registry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteImage {
    /// Digest of what its tag names: of its manifest, or of a list with one for each platform.
    pub digest: Digest,
    /// Digest of its configuration, which is its id in most engines.
    pub id: ImageId,
    /// Digest of its manifest, which is its id in engines that keep images as containerd does; `digest` may be it too.
    pub manifest: Digest,
    /// Labels of the image, by name.
    pub labels: BTreeMap<String, String>,
    /// Bytes of its compressed layers.
    pub size: u64,
}

impl RemoteImage {
    /// Ids that engines may have for it.
    pub fn ids(&self) -> Vec<ImageId> {
        vec![self.id.clone(), (&self.manifest).into(), (&self.digest).into()]
    }

    /// True when this may be an engine's id of it.
    pub fn may_be(&self, id: &ImageId) -> bool {
        self.ids().contains(id)
    }
}

impl Registries {
    /// Registries that are shown these credentials and give up after `patience` without progress.
    pub fn new(credentials: Credentials, trust: Trust, patience: Duration) -> Registries {
        Registries { credentials, trust, patience, hosts: OnceMap::default() }
    }

    /// The digest that a reference's tag names; none when the registry has no such tag.
    pub async fn digest(&self, reference: &Reference) -> Result<Option<Digest>, RegistryError> {
        let (host, repository) = self.reach(reference).await?;
        let answer = host.send(&manifest_request(Method::HEAD, &repository, reference)).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = host.accept(answer)?;
        match answer.digest() {
            Some(digest) => Ok(Some(digest)),
            // The header is optional, and other digests can't be compared with what engines tell.
            None => Ok(self.manifest(reference).await?.map(|manifest| manifest.digest)),
        }
    }

    /// The manifest that a reference names; none when the registry has none.
    pub async fn manifest(&self, reference: &Reference) -> Result<Option<Manifest>, RegistryError> {
        let (host, repository) = self.reach(reference).await?;
        host.manifest(&repository, reference).await
    }

    /// The manifest of the image that a reference names, out of a list that for a platform; none when the registry has none.
    pub async fn platform_manifest(
        &self,
        reference: &Reference,
        platform: Platform,
    ) -> Result<Option<Manifest>, RegistryError> {
        let (host, repository) = self.reach(reference).await?;
        match host.manifest(&repository, reference).await? {
            Some(named) => host.of_platform(named, &repository, reference, platform).await,
            None => Ok(None),
        }
    }

    /// The image that a reference names, for a platform; none when the registry has none.
    pub async fn image(
        &self,
        reference: &Reference,
        platform: Platform,
    ) -> Result<Option<RemoteImage>, RegistryError> {
        let (host, repository) = self.reach(reference).await?;
        let garbage = |reason: String| host.error(Problem::Garbage(reason));
        let Some(named) = host.manifest(&repository, reference).await? else { return Ok(None) };
        let digest = named.digest.clone();
        let Some(manifest) = host.of_platform(named, &repository, reference, platform).await? else {
            return Ok(None);
        };
        let Content::Image { config, size } = manifest.content().map_err(garbage)? else {
            return Err(garbage("a list of manifests names another list".to_string()));
        };
        let its = image_config(&host.config(&repository, &config).await?).map_err(garbage)?;
        if !platform.takes(&its.architecture, &its.variant) {
            return Ok(None);
        }
        let (id, manifest) = ((&config).into(), manifest.digest);
        Ok(Some(RemoteImage { digest, id, manifest, labels: its.labels, size }))
    }

    /// Puts a manifest under a reference's tag. What it names must be in the same repository.
    pub async fn put(&self, reference: &Reference, manifest: &Manifest) -> Result<(), RegistryError> {
        let (host, repository) = self.reach(reference).await?;
        host.put(&repository, reference, manifest).await.map(drop)
    }

    /// Where what the registry of a reference is shown comes from, for people; never a secret.
    pub async fn shown_to(&self, reference: &Reference) -> String {
        let registry = reference.registry.as_deref();
        match self.credentials.find(registry).await {
            Ok(credential) => self.credentials.shown(credential.as_ref(), registry.unwrap_or(DOCKER_HUB)),
            Err(error) => error.to_string(),
        }
    }

    /// The registry of a reference, and the repository's name in it.
    async fn reach(&self, reference: &Reference) -> Result<(Arc<Host>, String), RegistryError> {
        let (name, repository) = match reference.registry.as_deref() {
            None | Some("docker.io" | "index.docker.io") if !reference.path.contains('/') => {
                (DOCKER_HUB, format!("library/{}", reference.path))
            }
            None | Some("docker.io" | "index.docker.io") => (DOCKER_HUB, reference.path.clone()),
            Some(host) => (host, reference.path.clone()),
        };
        let connected = self.hosts.get(name.to_string(), self.connect(name, reference.registry.as_deref()));
        let host =
            connected.await.map_err(|problem| RegistryError { registry: name.to_string(), problem })?;
        Ok((host, repository))
    }

    async fn connect(&self, name: &str, registry: Option<&str>) -> Result<Arc<Host>, Problem> {
        let credential = self.credentials.find(registry).await?;
        let shown = self.credentials.shown(credential.as_ref(), name);
        let reached = self.trust.connect(name, self.patience).await?;
        Ok(Arc::new(Host {
            name: name.to_string(),
            reached,
            patience: self.patience,
            may_be_plain: self.trust.is_insecure(name),
            credential,
            shown,
            accepted: Default::default(),
        }))
    }
}
