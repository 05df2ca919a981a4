//! Images of an engine: looked up, pulled, named, pushed.

use bollard::auth::DockerCredentials;
use bollard::errors::Error as BollardError;
use bollard::models::ImageInspect;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, PushImageOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use form_urlencoded::Serializer;
use futures_util::StreamExt;
use serde_json::json;

use super::super::{BuildOutput, EngineError, ImageFacts, OutputSink};
use super::{Docker, fault, log};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::credentials::Credential;

impl Docker {
    /// What the engine holds under a reference or as an id; none when that is nothing.
    pub(super) async fn look_up(&self, reference: &str) -> Result<Option<ImageFacts>, EngineError> {
        match self.client.inspect_image(reference).await {
            Ok(image) => Ok(Some(facts_of(image))),
            Err(BollardError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(self.sort(error)),
        }
    }

    /// The same for a platform. Where images are kept as containerd does, a name may stand for several platforms, and an
    /// engine that can't be asked for one of them shows its own.
    pub(super) async fn look_up_for(
        &self,
        reference: &str,
        platform: Platform,
    ) -> Result<Option<ImageFacts>, EngineError> {
        if !(self.is_asked_by_platform.get() == Some(&true) && self.has_containerd_store().await?) {
            return Ok(self.look_up(reference).await?.filter(|image| image.is_for(platform)));
        }
        let wanted = json!({"os": "linux", "architecture": platform.arch.debian()}).to_string();
        let query = Serializer::new(String::new()).append_pair("platform", &wanted).finish();
        // bollard leaves the platform out.
        match self.get_json::<ImageInspect>(&format!("/images/{reference}/json?{query}")).await {
            Ok(image) => Ok(Some(facts_of(image)).filter(|image| image.is_for(platform))),
            Err(EngineError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes an image's name away, and the image with it when that was its only one.
    pub(super) async fn untag(&self, reference: &str) -> Result<(), EngineError> {
        let options = RemoveImageOptionsBuilder::new().force(true).build();
        let removed = self.client.remove_image(reference, Some(options), None).await;
        removed.map(drop).map_err(|error| self.sort(error))
    }

    pub(super) async fn pull_image(
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
                Err(error) => return Err(fault::of_transfer(&self.endpoint, error, EngineError::Pull)),
            }
        }
        if let Some(image) = self.look_up_for(reference, platform).await? {
            return Ok(image);
        }
        let missing = || EngineError::Pull(format!("the engine pulled {reference}, and does not hold it"));
        self.look_up(reference).await?.ok_or_else(missing)
    }

    pub(super) async fn tag_image(&self, reference: &str, name: &str) -> Result<(), EngineError> {
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (name, "latest"),
        };
        let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
        self.client.tag_image(reference, Some(options)).await.map_err(|error| self.sort(error))
    }

    pub(super) async fn push_image(
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
                Err(error) => return Err(fault::of_transfer(&self.endpoint, error, EngineError::Push)),
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

pub(super) fn wrong_platform(
    reference: &str,
    image: &ImageFacts,
    asked: Platform,
    reason: &'static str,
) -> EngineError {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_read_from_the_last_status_of_a_push() {
        let status = "2026.2: digest: sha256:0f9a size: 527";
        assert_eq!(digest_in(status, "2026.2").as_deref(), Some("sha256:0f9a"));
        assert_eq!(digest_in("Pushed", "2026.2"), None);
    }
}
