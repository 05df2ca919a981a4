//! Images on their way from and to registries: the engine's request, and its answer followed to the end.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE;
use bollard::auth::DockerCredentials;
use form_urlencoded::Serializer;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;

use super::super::{BuildOutput, EngineError, OutputSink};
use super::client::Docker;
use super::messages::{Message, Messages};
use super::transport::Exchange;
use super::{build, fault};
use crate::model::ids::Digest;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::registry::credentials::Credential;
use crate::registry::transfer_failure::TransferFailure;
use crate::util::plain;

/// Where an engine looks for what a registry is to be shown.
const AUTHORIZATION: &str = "X-Registry-Auth";

impl Docker {
    /// Has the engine pull what a reference names, for a platform.
    pub(super) async fn pull_reference(
        &self,
        reference: &Reference,
        platform: Platform,
        output: OutputSink<'_>,
    ) -> Result<(), EngineError> {
        // Without a tag, an engine takes it that every tag is to be pulled.
        let query = Serializer::new(String::new())
            .append_pair("fromImage", &reference.tagged().to_string())
            .append_pair("platform", &platform.to_string())
            .finish();
        let path = format!("/images/create?{query}");
        let follow = |message: Message| {
            // Progress of single layers is for nobody.
            if message.id.is_none() {
                output(BuildOutput::Line(plain::line(&message.status.unwrap_or_default())));
            }
        };
        self.transfer(&path, reference, EngineError::Pull, follow).await
    }

    /// Has the engine push an image; gives the manifest's digest when it tells it.
    pub(super) async fn push_image(
        &self,
        reference: &Reference,
        output: OutputSink<'_>,
    ) -> Result<Option<Digest>, EngineError> {
        // Without a tag in the query, an engine takes it that every tag is to be pushed.
        let (name, tag) = (reference.bare(), reference.tag_or_latest());
        let query = Serializer::new(String::new()).append_pair("tag", tag).finish();
        let mut digest = None;
        let mut told = Told::default();
        let follow = |message: Message| {
            let status = plain::line(&message.status.unwrap_or_default());
            digest = digest.take().or_else(|| digest_in(&status, tag));
            if told.is_news(&status) {
                output(BuildOutput::Line(status));
            }
        };
        let path = format!("/images/{name}/push?{query}");
        self.transfer(&path, reference, EngineError::Push, follow).await?;
        Ok(digest)
    }

    /// Asks for a transfer and follows it to its end; `failed` makes an error of what the engine says of it.
    async fn transfer(
        &self,
        path: &str,
        reference: &Reference,
        failed: fn(String) -> EngineError,
        follow: impl FnMut(Message),
    ) -> Result<(), EngineError> {
        self.ask_for_transfer(path, reference, failed, follow).await.map_err(|error| match error {
            EngineError::Stalled { endpoint, patience, .. } => {
                EngineError::Stalled { endpoint, patience, doing: " with the image or its registry" }
            }
            other => other,
        })
    }

    async fn ask_for_transfer(
        &self,
        path: &str,
        reference: &Reference,
        failed: fn(String) -> EngineError,
        mut follow: impl FnMut(Message),
    ) -> Result<(), EngineError> {
        let credential = self.credentials.find(reference.registry.as_deref()).await?;
        // One that was denied for want of credentials is to know why there are none.
        let explained = |said: String| {
            let said = plain::lines(&said);
            let broken =
                self.credentials.broken().filter(|_| TransferFailure::of(&said) == TransferFailure::Denied);
            failed(
                broken
                    .map_or(said.clone(), |error| format!("{said}\nthe registry was shown nothing: {error}")),
            )
        };
        let post = Request::post(path)
            .header(CONTENT_TYPE, "application/json")
            // Pushes need some, be they empty.
            .header(AUTHORIZATION, in_docker_s_words(credential))
            .body(bollard::body_full(Bytes::new()))
            .map_err(|error| failed(format!("'{reference}' can't be asked for: {error}")))?;
        let sent = self.transport.send(Exchange::Transfer, post).await;
        let response = sent.map_err(|error| fault::of_transport(&self.endpoint, error))?;
        let status = response.status();
        if !status.is_success() {
            let said = build::refusal(response.into_body()).await;
            return Err(fault::of_transfer(status.as_u16(), &said, explained));
        }
        let mut messages = Messages::new(&self.endpoint, response.into_body());
        while let Some(message) = messages.next().await? {
            match message.failure() {
                Some(said) => return Err(explained(said)),
                None => follow(message),
            }
        }
        Ok(())
    }
}

/// News of a push, which sends a message for each layer and moment.
#[derive(Default)]
struct Told {
    last: String,
}

impl Told {
    /// True when a status tells anything: one about work in progress, or the same again, does not.
    fn is_news(&mut self, status: &str) -> bool {
        let in_progress = ["Preparing", "Waiting", "Pushing"].contains(&status);
        let counts_down = seconds_to_retry(status)
            .is_some_and(|now| seconds_to_retry(&self.last).is_some_and(|before| now < before));
        let is_news = !counts_down && !status.is_empty() && !in_progress && status != self.last;
        if is_news || counts_down {
            self.last = status.to_string();
        }
        is_news
    }
}

/// The seconds in `Retrying in 5 seconds`, which an engine counts down.
fn seconds_to_retry(status: &str) -> Option<u32> {
    status.strip_prefix("Retrying in ")?.split(' ').next()?.parse().ok()
}

/// The digest in `TAG: digest: sha256:... size: N`, the only place where every engine tells it.
fn digest_in(status: &str, tag: &str) -> Option<Digest> {
    let rest = status.strip_prefix(tag)?.strip_prefix(": digest: ")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// A credential as engines want to have it.
fn in_docker_s_words(credential: Option<Credential>) -> String {
    let words = match credential {
        Some(credential) => DockerCredentials {
            username: credential.username,
            password: credential.password,
            identitytoken: credential.identity_token,
            registrytoken: credential.registry_token,
            serveraddress: Some(credential.server),
            ..DockerCredentials::default()
        },
        None => DockerCredentials::default(),
    };
    BASE64_URL_SAFE.encode(serde_json::to_vec(&words).expect("texts are JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_read_from_the_last_status_of_a_push() {
        let digest = Digest::of(b"manifest");
        let status = format!("2026.2: digest: {digest} size: 527");
        assert_eq!(digest_in(&status, "2026.2"), Some(digest));
        assert_eq!(digest_in("Pushed", "2026.2"), None);
    }

    #[test]
    fn of_a_push_only_news_is_told() {
        let mut told = Told::default();
        let statuses = [
            "Preparing",
            "Pushing",
            "Retrying in 5 seconds",
            "Retrying in 4 seconds",
            "Retrying in 5 seconds",
            "Pushed",
            "Pushed",
            "",
        ];
        let news: Vec<&str> = statuses.into_iter().filter(|status| told.is_news(status)).collect();
        assert_eq!(news, ["Retrying in 5 seconds", "Retrying in 5 seconds", "Pushed"]);
    }
}
