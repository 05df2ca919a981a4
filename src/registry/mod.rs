//! Image registries: what they hold is read, and named anew, through the OCI distribution API
//! (<https://github.com/opencontainers/distribution-spec>). Layers go through the engine, never through here.
//!
//! A registry's answers are not trusted: they are limited in size, and content must have the digest it goes by.

mod auth;
pub mod credentials;
pub mod error;
mod hosts;
pub mod manifest;
pub mod transfer_failure;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Deserialize;

use crate::model::ids::{Digest, ImageId};
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::util::http::{chain, refused_certificate};
use crate::util::once_map::OnceMap;
use crate::util::plain;
use auth::{Challenge, TokenRequest};
use credentials::{Credential, Credentials};
use error::{Problem, RegistryError};
use manifest::{Content, MEDIA_TYPES, Manifest, image_config};

use hosts::Reached;
pub use hosts::Trust;

/// Where Docker's own registry really is.
const DOCKER_HUB: &str = "registry-1.docker.io";

/// The largest manifest that registries must take, <https://github.com/opencontainers/distribution-spec>.
const LARGEST_MANIFEST: usize = 4 << 20;
/// The largest configuration of an image that is read; real ones have some ten kilobytes.
const LARGEST_CONFIG: usize = 8 << 20;
/// The largest answer of any other kind that is read.
const LARGEST_ANSWER: usize = 1 << 20;
/// So much of what a registry says about an error is told.
const LONGEST_WORDS: usize = 300;
/// A registry that asks to wait for longer is asked again after this.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Registries, each reached when it is first needed. A request is tried once; [`RegistryError::again`] tells whether
/// another try may help.
pub struct Registries {
    credentials: Credentials,
    trust: Trust,
    patience: Duration,
    hosts: OnceMap<String, Arc<Host>>,
}

/// A registry that was reached.
struct Host {
    name: String,
    reached: Reached,
    patience: Duration,
    may_be_plain: bool,
    credential: Option<Credential>,
    /// What it is shown, for people.
    shown: String,
    /// What it has accepted, by repository and whether it is to be changed.
    accepted: Mutex<HashMap<(String, bool), HeaderValue>>,
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
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Bytes of its compressed layers.
    pub size: u64,
}

impl RemoteImage {
    /// What engines may have as its id.
    pub fn ids(&self) -> Vec<ImageId> {
        vec![self.id.clone(), (&self.manifest).into(), (&self.digest).into()]
    }

    /// Whether this may be an engine's id of it.
    pub fn may_be(&self, id: &ImageId) -> bool {
        self.ids().contains(id)
    }
}

/// An answer that was read whole.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// One request, which may be sent twice: the second time with what the registry wants to see.
struct RegistryRequest<'a> {
    method: Method,
    repository: &'a str,
    /// Below the repository.
    path: String,
    accept: &'a str,
    content: Option<&'a Manifest>,
    limit: usize,
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
        let request = RegistryRequest {
            method: Method::GET,
            repository: &repository,
            path: format!("blobs/{config}"),
            accept: "*/*",
            content: None,
            limit: LARGEST_CONFIG,
        };
        let answer = host.accept(host.send(&request).await?)?;
        if Digest::of(&answer.body) != config {
            return Err(garbage(format!("the image's configuration is not {config}")));
        }
        let its = image_config(&answer.body).map_err(garbage)?;
        if !platform.takes(&its.architecture, &its.variant) {
            return Ok(None);
        }
        let (id, manifest) = ((&config).into(), manifest.digest);
        Ok(Some(RemoteImage { digest, id, manifest, labels: its.labels, size }))
    }

    /// Puts a manifest under a reference's tag. What it names must be in the same repository.
    pub async fn put(&self, reference: &Reference, manifest: &Manifest) -> Result<(), RegistryError> {
        let (host, repository) = self.reach(reference).await?;
        let request = RegistryRequest {
            content: Some(manifest),
            ..manifest_request(Method::PUT, &repository, reference)
        };
        let answer = host.accept(host.send(&request).await?)?;
        match answer.digest() {
            Some(digest) if digest != manifest.digest => {
                let reason = format!("it took {} as {digest}", manifest.digest);
                Err(host.error(Problem::Garbage(reason)))
            }
            _ => Ok(()),
        }
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
        let (patience, may_be_plain) = (self.patience, self.trust.is_insecure(name));
        let (name, accepted) = (name.to_string(), Mutex::default());
        Ok(Arc::new(Host { name, reached, patience, may_be_plain, credential, shown, accepted }))
    }
}

fn manifest_request<'a>(method: Method, repository: &'a str, reference: &Reference) -> RegistryRequest<'a> {
    let named = reference.digest.as_deref().or(reference.tag.as_deref()).unwrap_or("latest");
    RegistryRequest {
        method,
        repository,
        path: format!("manifests/{named}"),
        accept: "manifest",
        content: None,
        limit: LARGEST_MANIFEST,
    }
}

impl Host {
    async fn manifest(
        &self,
        repository: &str,
        reference: &Reference,
    ) -> Result<Option<Manifest>, RegistryError> {
        let answer = self.send(&manifest_request(Method::GET, repository, reference)).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = self.accept(answer)?;
        let media_type = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !MEDIA_TYPES.contains(&media_type) {
            let reason = format!("a manifest of type '{media_type}' is none that is known");
            return Err(self.error(Problem::Garbage(reason)));
        }
        let manifest = Manifest::new(media_type.to_string(), answer.body.clone());
        let answered = answer.digest();
        let told = reference.digest.as_deref().or(answered.as_ref().map(Digest::as_str));
        match told {
            Some(told) if told != manifest.digest.as_str() => {
                let reason = format!("the manifest {told} has the digest {}", manifest.digest);
                Err(self.error(Problem::Garbage(reason)))
            }
            _ => Ok(Some(manifest)),
        }
    }

    /// Out of a list of manifests the one for a platform; a manifest of an image is that itself.
    async fn of_platform(
        &self,
        manifest: Manifest,
        repository: &str,
        reference: &Reference,
        platform: Platform,
    ) -> Result<Option<Manifest>, RegistryError> {
        let content = manifest.content().map_err(|reason| self.error(Problem::Garbage(reason)))?;
        let Content::Index(entries) = content else { return Ok(Some(manifest)) };
        let Some(entry) = entries.into_iter().find(|entry| entry.is_for(platform)) else { return Ok(None) };
        let exact = reference.at(&entry.digest);
        self.manifest(repository, &exact).await
    }

    /// Sends a request, and once more with what the registry wants to see.
    async fn send(&self, request: &RegistryRequest<'_>) -> Result<Answer, RegistryError> {
        let key = (request.repository.to_string(), request.method == Method::PUT);
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let answer = self.exchange(self.request(request, accepted), request.limit).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let Some(challenge) = Challenge::read(&answer.headers) else { return Ok(answer) };
        let Some(header) = self.authorize(challenge).await? else { return Ok(answer) };
        let answer = self.exchange(self.request(request, Some(header.clone())), request.limit).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            self.accepted.lock().unwrap_or_else(PoisonError::into_inner).insert(key, header);
        }
        Ok(answer)
    }

    fn request(&self, request: &RegistryRequest<'_>, authorization: Option<HeaderValue>) -> RequestBuilder {
        let url = format!("{}/v2/{}/{}", self.reached.url, request.repository, request.path);
        let mut builder = self.reached.registry.request(request.method.clone(), url);
        for media_type in MEDIA_TYPES.iter().filter(|_| request.accept == "manifest") {
            builder = builder.header(ACCEPT, *media_type);
        }
        if let Some(manifest) = request.content {
            builder = builder.header(CONTENT_TYPE, &manifest.media_type).body(manifest.bytes.clone());
        }
        match authorization {
            Some(header) => builder.header(AUTHORIZATION, header),
            None => builder,
        }
    }

    /// The header that answers a challenge; none when there is nothing to show.
    async fn authorize(&self, challenge: Challenge) -> Result<Option<HeaderValue>, RegistryError> {
        let credential = self.credential.as_ref();
        let Challenge::Bearer { realm, service, scope } = challenge else {
            let basic = credential.and_then(Credential::basic);
            return Ok(basic.and_then(|(user, password)| auth::basic(&user, &password)));
        };
        if let Some(token) = credential.and_then(|credential| credential.registry_token.as_deref()) {
            return Ok(auth::bearer(token));
        }
        if !realm.starts_with("https://") && !self.may_be_plain {
            let reason = format!("it sends for a token to {realm}, where credentials would not be safe");
            return Err(self.error(Problem::Garbage(reason)));
        }
        let request = match TokenRequest::new(&realm, service.as_deref(), scope.as_deref(), credential) {
            TokenRequest::Get { url, basic } => {
                match basic.and_then(|(user, word)| auth::basic(&user, &word)) {
                    Some(header) => self.reached.tokens.get(url).header(AUTHORIZATION, header),
                    None => self.reached.tokens.get(url),
                }
            }
            TokenRequest::Post { url, form } => self
                .reached
                .tokens
                .post(url)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form),
        };
        let answer = self.accept(self.exchange(request, LARGEST_ANSWER).await?)?;
        match auth::token(&answer.body) {
            Some(header) => Ok(Some(header)),
            None => {
                Err(self
                    .error(Problem::Garbage("there is no token in the token server's answer".to_string())))
            }
        }
    }

    /// Sends a request and reads the answer whole.
    async fn exchange(&self, request: RequestBuilder, limit: usize) -> Result<Answer, RegistryError> {
        let mut response = request.send().await.map_err(|error| self.broken(error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(error))? {
            if body.len() + chunk.len() > limit {
                let reason = format!("it is longer than {limit} bytes");
                return Err(self.error(Problem::Garbage(reason)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body: body.freeze() })
    }

    /// The answer, if it is a success.
    fn accept(&self, answer: Answer) -> Result<Answer, RegistryError> {
        let (status, said) = (answer.status.as_u16(), answer.said());
        let problem = match status {
            200..=299 => return Ok(answer),
            401 | 403 => Problem::Denied { status, said, credentials: self.shown.clone() },
            429 => Problem::Busy { said, wait: answer.wait() },
            500.. => Problem::Server { status, said, wait: answer.wait() },
            _ => Problem::Refused { status, said },
        };
        Err(self.error(problem))
    }

    fn broken(&self, error: reqwest::Error) -> RegistryError {
        if let Some(reason) = refused_certificate(&error) {
            return self.error(Problem::Untrusted(reason));
        }
        if error.is_timeout() {
            return self.error(Problem::Stalled(self.patience));
        }
        let is_ours = error.is_builder() || error.is_redirect();
        let mut reason = chain(&error.without_url());
        if reason.contains("InvalidContentType") {
            reason.push_str("; one that speaks plain HTTP must be named in --insecure-registries");
        }
        self.error(if is_ours { Problem::Garbage(reason) } else { Problem::Connection(reason) })
    }

    fn error(&self, problem: Problem) -> RegistryError {
        RegistryError { registry: self.name.clone(), problem }
    }
}

impl Answer {
    /// The digest that it says its content has; none of another algorithm.
    fn digest(&self) -> Option<Digest> {
        self.headers.get("docker-content-digest")?.to_str().ok()?.parse().ok()
    }

    /// What the registry says about an error, on one line.
    fn said(&self) -> String {
        #[derive(Deserialize)]
        struct Document {
            errors: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            #[serde(default)]
            code: String,
            #[serde(default)]
            message: String,
        }
        let Ok(document) = serde_json::from_slice::<Document>(&self.body) else { return String::new() };
        let words: Vec<String> =
            document.errors.iter().map(|entry| format!("{} {}", entry.code, entry.message)).collect();
        let said: String = words.join(", ").chars().take(LONGEST_WORDS).collect();
        plain::line(&said).trim().to_string()
    }

    /// How long it asks to wait, in seconds or until a date.
    fn wait(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = match text.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let until = rfc2822::parse(text).ok()?.timestamp();
                until.duration_since(Timestamp::now()).try_into().unwrap_or_default()
            }
        };
        Some(wait.min(LONGEST_WAIT))
    }
}
