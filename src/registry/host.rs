//! A registry that was reached: requests to it, with what it wants to see, and its answers within limits.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Deserialize;

use super::auth::{self, Challenge, TokenRequest};
use super::credentials::Credential;
use super::error::{Problem, RegistryError};
use super::manifest::{Content, MEDIA_TYPES, Manifest};
use super::trust::Reached;
use crate::model::ids::Digest;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::util::http::{chain, refused_certificate};
use crate::util::plain;

/// The largest manifest that registries must take, <https://github.com/opencontainers/distribution-spec>.
const LARGEST_MANIFEST: usize = 4 << 20;
/// The largest answer of any other kind that is read.
const LARGEST_ANSWER: usize = 1 << 20;
/// The largest configuration of an image that is read; real ones have some ten kilobytes.
const LARGEST_CONFIG: usize = 8 << 20;
/// So much of what a registry says about an error is told.
const LONGEST_WORDS: usize = 300;
/// A registry that asks to wait for longer is asked again after this.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// A registry that was reached.
pub(super) struct Host {
    pub name: String,
    pub reached: Reached,
    pub patience: Duration,
    pub may_be_plain: bool,
    pub credential: Option<Credential>,
    /// Words for people about what it is shown.
    pub shown: String,
    /// Authorization that it has accepted, by repository and whether that is to be changed.
    pub accepted: Mutex<HashMap<(String, bool), HeaderValue>>,
}

/// An answer that was read whole.
pub(super) struct Answer {
    pub status: StatusCode,
    headers: HeaderMap,
    pub body: Bytes,
}

/// One request, which may be sent twice: the second time with what the registry wants to see.
pub(super) struct RegistryRequest<'a> {
    pub method: Method,
    pub repository: &'a str,
    /// Path below the repository's own.
    pub path: String,
    pub accept: &'a str,
    pub content: Option<&'a Manifest>,
    pub limit: usize,
}

/// The request for a manifest by the digest or tag of a reference, or to put one there.
pub(super) fn manifest_request<'a>(
    method: Method,
    repository: &'a str,
    reference: &Reference,
) -> RegistryRequest<'a> {
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
    pub async fn manifest(
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

    /// The configuration of an image.
    pub async fn config(&self, repository: &str, digest: &Digest) -> Result<Bytes, RegistryError> {
        let request = RegistryRequest {
            method: Method::GET,
            repository,
            path: format!("blobs/{digest}"),
            accept: "*/*",
            content: None,
            limit: LARGEST_CONFIG,
        };
        let answer = self.accept(self.send(&request).await?)?;
        if Digest::of(&answer.body) != *digest {
            let reason = format!("the image's configuration is not {digest}");
            return Err(self.error(Problem::Garbage(reason)));
        }
        Ok(answer.body)
    }

    /// Out of a list of manifests the one for a platform; a manifest of an image is that itself.
    pub async fn of_platform(
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
    pub async fn send(&self, request: &RegistryRequest<'_>) -> Result<Answer, RegistryError> {
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
    pub fn accept(&self, answer: Answer) -> Result<Answer, RegistryError> {
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

    pub fn error(&self, problem: Problem) -> RegistryError {
        RegistryError { registry: self.name.clone(), problem }
    }
}

impl Answer {
    /// The digest that it says its content has; none of another algorithm.
    pub fn digest(&self) -> Option<Digest> {
        self.headers.get("docker-content-digest")?.to_str().ok()?.parse().ok()
    }

    /// A header of it.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The registry's words about an error, on one line.
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
