//! Docker's engine API, which Podman speaks too, through bollard.

mod build;
mod endpoint;
mod fault;
mod grpc;
mod housekeeping;
mod locate;
mod log;
mod messages;
mod progress;
mod session;
mod ssh;
mod tls;
mod trace;
mod transport;
mod upload;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::errors::Error as BollardError;
use bollard::models::{ImageInspect, SystemVersion};
use bollard::query_parameters::{
    CreateImageOptionsBuilder, PushImageOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::OnceCell;

use super::{BuildOutput, BuildRequest, BuiltOn, Engine, EngineError, EngineFacts, ImageFacts, OutputSink};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::credentials::Credential;
use transport::Transport;

pub use crate::registry::credentials::{Credentials, CredentialsError};
pub use endpoint::{Authority, Endpoint, InvalidEndpoint, SshHost, Tcp};
pub use housekeeping::{CacheRecord, HeldImage};
pub use locate::{LocateError, configuration_directory, locate, tcp_of};

/// The oldest API that is spoken, that of Docker 20.10: versions as (major, minor).
const OLDEST_API: (usize, usize) = (1, 41);

/// How long an engine may take to say what it is. Long enough for a busy one, short enough for a user.
const GREETING_TIMEOUT: Duration = Duration::from_secs(15);

/// How long an engine may take to begin an answer to any other question than a build.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// How an engine names the driver of its images that are kept as containerd does.
const CONTAINERD_STORE: &str = "io.containerd.snapshotter.v1";

/// A Docker engine.
#[derive(Debug, Clone)]
pub struct Docker {
    endpoint: String,
    transport: Transport,
    client: bollard::Docker,
    credentials: Credentials,
    is_podman: OnceLock<bool>,
    /// Whether it keeps images as containerd does, once that was asked.
    has_containerd_store: OnceCell<bool>,
}

impl Docker {
    /// The engine at an endpoint, and what it is to show registries. Nothing is contacted yet.
    pub fn new(endpoint: Endpoint, credentials: Credentials) -> Docker {
        let name = endpoint.to_string();
        let transport = Transport::new(endpoint);
        let client = transport.client(ANSWER_TIMEOUT);
        let (is_podman, has_containerd_store) = Default::default();
        Docker { endpoint: name, transport, client, credentials, is_podman, has_containerd_store }
    }

    async fn ask_facts(&self) -> Result<EngineFacts, EngineError> {
        let version = match tokio::time::timeout(GREETING_TIMEOUT, self.client.version()).await {
            Ok(answer) => answer.map_err(|error| self.sort(error))?,
            Err(_) => {
                let reason = format!("it gives no answer within {} seconds", GREETING_TIMEOUT.as_secs());
                return Err(EngineError::Unreachable { endpoint: self.endpoint.clone(), reason });
            }
        };
        let api_version = self.agree_on(version.api_version.as_deref().unwrap_or_default())?;
        let is_podman = is_podman(&version);
        // Known before the first build, for an engine is asked what it is before it is asked to build.
        let _ = self.is_podman.set(is_podman);
        Ok(EngineFacts {
            squashes: is_podman || version.experimental == Some(true),
            name: name_of(&version),
            api_version,
            architecture: version.arch.unwrap_or_default(),
        })
    }

    /// The newest version of the API that both sides know.
    fn agree_on(&self, theirs: &str) -> Result<String, EngineError> {
        let ours = bollard::API_DEFAULT_VERSION;
        let parsed = theirs.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        let Some(parsed) = parsed else {
            return Err(fault::garbage(&self.endpoint, format!("'{theirs}' is no API version")));
        };
        if parsed < OLDEST_API {
            let (major, minor) = OLDEST_API;
            let reason =
                format!("it speaks API {theirs}, and {major}.{minor} (Docker 20.10) or newer is needed");
            return Err(EngineError::Unusable { endpoint: self.endpoint.clone(), reason });
        }
        let (major, minor) = parsed.min((ours.major_version, ours.minor_version));
        let agreed = format!("{major}.{minor}");
        self.transport.agree_on(&agreed);
        Ok(agreed)
    }

    async fn ask_insecure_registries(&self) -> Result<Vec<String>, EngineError> {
        let info = self.client.info().await.map_err(|error| self.sort(error))?;
        let registries = info.registry_config.unwrap_or_default();
        let named = registries.index_configs.into_iter().flatten();
        let insecure = named.filter(|(_, index)| index.secure == Some(false)).map(|(name, _)| name);
        Ok(insecure.chain(registries.insecure_registry_cidrs.into_iter().flatten()).collect())
    }

    async fn has_containerd_store(&self) -> Result<bool, EngineError> {
        let ask = || async {
            let info = self.client.info().await.map_err(|error| self.sort(error))?;
            let mut status = info.driver_status.into_iter().flatten();
            Ok(status.any(|fact| fact == ["driver-type", CONTAINERD_STORE]))
        };
        self.has_containerd_store.get_or_try_init(ask).await.copied()
    }

    async fn look_up(&self, reference: &str) -> Result<Option<ImageFacts>, EngineError> {
        match self.client.inspect_image(reference).await {
            Ok(image) => Ok(Some(facts_of(image))),
            Err(BollardError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(self.sort(error)),
        }
    }

    async fn build_and_check(
        &self,
        request: &BuildRequest,
        output: OutputSink<'_>,
    ) -> Result<ImageFacts, EngineError> {
        let tag = &request.tag;
        if let Some(BuiltOn { alias: Some(alias), id, .. }) = &request.parent {
            self.tag_image(id, alias).await?;
        }
        let image = self.build_with_labels(request, output).await?;
        // The classic builder takes a local base image of another platform than asked for without a word.
        if !image.is_for(request.platform) {
            let reason = match self.untag(tag).await {
                Ok(()) => "what it is built on is of that platform; the engine was made to forget the image",
                Err(_) => {
                    "what it is built on is of that platform; THE ENGINE STILL HOLDS IT UNDER THAT NAME"
                }
            };
            return Err(wrong_platform(tag, &image, request.platform, reason));
        }
        Ok(image)
    }

    /// Builds, and makes sure that the image has all labels.
    async fn build_with_labels(
        &self,
        request: &BuildRequest,
        output: OutputSink<'_>,
    ) -> Result<ImageFacts, EngineError> {
        let Some(lighter) = self.without_inherited_labels(request).await? else {
            return self.build_and_look_up(request, output).await;
        };
        let image = self.build_and_look_up(&lighter, output).await?;
        if request.labels.iter().all(|(name, value)| image.labels.get(name) == Some(value)) {
            return Ok(image);
        }
        // The Dockerfile sets some itself, or ends on another image. Its steps are in the cache by now.
        self.build_and_look_up(&BuildRequest { no_cache: false, ..request.clone() }, output).await
    }

    /// The request without the labels that the image has from its parent; none when there are no such labels. The classic
    /// builder starts a container for every label, so that ten of them take longer than a small image does.
    async fn without_inherited_labels(
        &self,
        request: &BuildRequest,
    ) -> Result<Option<BuildRequest>, EngineError> {
        let Some(parent) = request.parent.as_ref().filter(|parent| parent.ours && !request.buildkit) else {
            return Ok(None);
        };
        let Some(parent) = self.look_up(&parent.reference).await? else { return Ok(None) };
        let mut labels = request.labels.clone();
        labels.retain(|name, value| parent.labels.get(name) != Some(value));
        let is_lighter = labels.len() < request.labels.len();
        Ok(is_lighter.then(|| BuildRequest { labels, ..request.clone() }))
    }

    async fn build_and_look_up(
        &self,
        request: &BuildRequest,
        output: OutputSink<'_>,
    ) -> Result<ImageFacts, EngineError> {
        let site = build::Site {
            transport: &self.transport,
            endpoint: &self.endpoint,
            is_podman: self.is_podman.get() == Some(&true),
            credentials: &self.credentials,
            // Up to Docker 27 (moby/moby#47717); newer ones take either way.
            gets_context: request.buildkit && self.has_containerd_store().await?,
        };
        build::run(&site, request, output).await?;
        let tag = &request.tag;
        let missing = || fault::garbage(&self.endpoint, format!("it built {tag}, and does not hold it"));
        self.look_up(tag).await?.ok_or_else(missing)
    }

    /// Takes an image's name away, and the image with it when that was its only one.
    async fn untag(&self, reference: &str) -> Result<(), EngineError> {
        let options = RemoveImageOptionsBuilder::new().force(true).build();
        let removed = self.client.remove_image(reference, Some(options), None).await;
        removed.map(drop).map_err(|error| self.sort(error))
    }

    async fn pull_image(
        &self,
        reference: &str,
        platform: Platform,
        output: OutputSink<'_>,
    ) -> Result<ImageFacts, EngineError> {
        let mut image = self.pull_and_look_up(reference, platform, output).await?;
        if image.is_for(platform) {
            return Ok(image);
        }
        if !self.has_containerd_store().await? {
            return Err(wrong_platform(reference, &image, platform, "the registry has it for no other"));
        }
        // Such an engine keeps every platform that was pulled under a name and shows its own before others; with the name
        // it forgets them.
        if self.remove_image(reference).await.is_ok() {
            image = self.pull_and_look_up(reference, platform, output).await?;
        }
        if !image.is_for(platform) {
            let reason =
                "the registry has it for no other, or the engine holds it for several and shows its own";
            return Err(wrong_platform(reference, &image, platform, reason));
        }
        Ok(image)
    }

    async fn pull_and_look_up(
        &self,
        reference: &str,
        platform: Platform,
        output: OutputSink<'_>,
    ) -> Result<ImageFacts, EngineError> {
        // Without a tag, an engine takes it that every tag is to be pulled.
        let named =
            reference.parse::<Reference>().is_ok_and(|name| name.tag.is_some() || name.digest.is_some());
        let full = if named { reference.to_string() } else { format!("{reference}:latest") };
        let options =
            CreateImageOptionsBuilder::new().from_image(&full).platform(&platform.to_string()).build();
        let credentials = self.credentials_for(reference).await?;
        let mut answer = self.client.create_image(Some(options), None, credentials);
        while let Some(message) = answer.next().await {
            match message {
                // Progress of single layers is for nobody.
                Ok(message) if message.id.is_some() => {}
                Ok(message) => {
                    let status = message.status.unwrap_or_default();
                    output(BuildOutput::Line(log::plain(&status)));
                }
                Err(BollardError::DockerStreamError { error }) => return Err(EngineError::Pull(error)),
                Err(error) => return Err(self.sort(error)),
            }
        }
        let missing = || EngineError::Pull(format!("the engine pulled {reference}, and does not hold it"));
        self.look_up(reference).await?.ok_or_else(missing)
    }

    async fn tag_image(&self, reference: &str, name: &str) -> Result<(), EngineError> {
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (name, "latest"),
        };
        let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
        self.client.tag_image(reference, Some(options)).await.map_err(|error| self.sort(error))
    }

    async fn push_image(
        &self,
        reference: &str,
        output: OutputSink<'_>,
    ) -> Result<Option<String>, EngineError> {
        let parsed: Reference =
            reference.parse().map_err(|error| EngineError::Push(format!("cannot push: {error}")))?;
        // Without a tag in the query, an engine takes it that every tag is to be pushed.
        let tag = parsed.tag.clone().unwrap_or_else(|| "latest".to_string());
        let name = Reference { tag: None, digest: None, ..parsed }.to_string();
        let options = PushImageOptionsBuilder::new().tag(&tag).build();
        // Without any, bollard sends the empty ones that anonymous pushes need.
        let credentials = self.credentials_for(reference).await?;
        let mut answer = self.client.push_image(&name, Some(options), credentials);
        let mut digest = None;
        let mut last = String::new();
        while let Some(message) = answer.next().await {
            let status = match message {
                Ok(message) => message.status.unwrap_or_default(),
                Err(BollardError::DockerStreamError { error }) => return Err(EngineError::Push(error)),
                Err(error) => return Err(self.sort(error)),
            };
            digest = digest.or_else(|| digest_in(&status, &tag));
            // One message per layer and moment: words about work in progress, or the same again, tell nothing.
            let in_progress = ["Preparing", "Waiting", "Pushing"].contains(&status.as_str());
            let counts_down = seconds_to_retry(&status)
                .is_some_and(|now| seconds_to_retry(&last).is_some_and(|before| now < before));
            if counts_down {
                last = status;
            } else if !status.is_empty() && !in_progress && status != last {
                output(BuildOutput::Line(log::plain(&status)));
                last = status;
            }
        }
        Ok(digest)
    }

    async fn credentials_for(&self, reference: &str) -> Result<Option<DockerCredentials>, EngineError> {
        let registry = reference.parse::<Reference>().ok().and_then(|reference| reference.registry);
        Ok(self.credentials.find(registry.as_deref()).await?.map(in_docker_s_words))
    }

    fn sort(&self, error: BollardError) -> EngineError {
        fault::of_bollard(&self.endpoint, error)
    }
}

/// The seconds in `Retrying in 5 seconds`, which an engine counts down.
fn seconds_to_retry(status: &str) -> Option<u32> {
    status.strip_prefix("Retrying in ")?.split(' ').next()?.parse().ok()
}

/// The digest in `TAG: digest: sha256:... size: N`, the only place where bollard leaves it.
fn digest_in(status: &str, tag: &str) -> Option<String> {
    let rest = status.strip_prefix(tag)?.strip_prefix(": digest: ")?;
    rest.split_whitespace().next().map(str::to_string)
}

fn is_podman(version: &SystemVersion) -> bool {
    version.components.iter().flatten().any(|component| component.name.contains("Podman"))
}

/// `Docker 20.10.24` or `Podman 4.3.1`.
fn name_of(version: &SystemVersion) -> String {
    let name = if is_podman(version) { "Podman" } else { "Docker" };
    format!("{name} {}", version.version.as_deref().unwrap_or("of unknown version"))
}

fn wrong_platform(reference: &str, image: &ImageFacts, asked: Platform, reason: &'static str) -> EngineError {
    EngineError::WrongPlatform { reference: reference.to_string(), found: image.built_for(), asked, reason }
}

fn in_docker_s_words(credential: Credential) -> DockerCredentials {
    DockerCredentials {
        username: credential.username,
        password: credential.password,
        identitytoken: credential.identity_token,
        registrytoken: credential.registry_token,
        serveraddress: Some(credential.server),
        ..DockerCredentials::default()
    }
}

fn facts_of(image: ImageInspect) -> ImageFacts {
    ImageFacts {
        id: image.id.unwrap_or_default(),
        architecture: image.architecture.unwrap_or_default(),
        variant: image.variant.unwrap_or_default(),
        labels: image.config.and_then(|config| config.labels).into_iter().flatten().collect(),
        layers: image.root_fs.and_then(|root| root.layers).map_or(0, |layers| layers.len()),
        size: image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
        repo_digests: image.repo_digests.unwrap_or_default(),
    }
}

impl Engine for Docker {
    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn facts(&self) -> BoxFuture<'_, Result<EngineFacts, EngineError>> {
        self.ask_facts().boxed()
    }

    fn processors(&self) -> BoxFuture<'_, Result<usize, EngineError>> {
        async {
            let info = self.client.info().await.map_err(|error| self.sort(error))?;
            Ok(info.ncpu.and_then(|count| usize::try_from(count).ok()).unwrap_or(1))
        }
        .boxed()
    }

    fn insecure_registries(&self) -> BoxFuture<'_, Result<Vec<String>, EngineError>> {
        self.ask_insecure_registries().boxed()
    }

    fn data_roots(&self) -> BoxFuture<'_, Result<Vec<PathBuf>, EngineError>> {
        async {
            // Behind any other kind of endpoint may be another machine.
            if !self.endpoint.starts_with("unix://") {
                return Ok(Vec::new());
            }
            let info = self.client.info().await.map_err(|error| self.sort(error))?;
            Ok(info.docker_root_dir.filter(|root| !root.is_empty()).map(PathBuf::from).into_iter().collect())
        }
        .boxed()
    }

    fn inspect<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Option<ImageFacts>, EngineError>> {
        self.look_up(reference).boxed()
    }

    fn pull<'a>(
        &'a self,
        reference: &'a str,
        platform: Platform,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<ImageFacts, EngineError>> {
        self.pull_image(reference, platform, output).boxed()
    }

    fn tag<'a>(&'a self, reference: &'a str, name: &'a str) -> BoxFuture<'a, Result<(), EngineError>> {
        self.tag_image(reference, name).boxed()
    }

    fn build<'a>(
        &'a self,
        request: &'a BuildRequest,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<ImageFacts, EngineError>> {
        self.build_and_check(request, output).boxed()
    }

    fn push<'a>(
        &'a self,
        reference: &'a str,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, EngineError>> {
        self.push_image(reference, output).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_read_from_the_last_status_of_a_push() {
        let status = "2026.2: digest: sha256:0f9a size: 527";
        assert_eq!(digest_in(status, "2026.2").as_deref(), Some("sha256:0f9a"));
        assert_eq!(digest_in("Pushed", "2026.2"), None);
    }

    #[test]
    fn the_api_version_is_the_newest_that_both_know() {
        let docker = || Docker::new(Endpoint::default(), Credentials::default());
        assert_eq!(docker().agree_on("1.41").ok().as_deref(), Some("1.41"));
        assert_eq!(docker().agree_on("1.999").ok(), Some(bollard::API_DEFAULT_VERSION.to_string()));
        assert!(matches!(docker().agree_on("1.40"), Err(EngineError::Unusable { .. })));
        assert!(matches!(docker().agree_on("new"), Err(EngineError::Garbage { .. })));
    }
}
