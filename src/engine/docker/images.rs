//! Images of an engine: looked up, pulled, named.

use bollard::errors::Error as BollardError;
use bollard::models::ImageInspect;
use bollard::query_parameters::{RemoveImageOptionsBuilder, TagImageOptionsBuilder};
use form_urlencoded::Serializer;
use serde_json::json;

use super::super::{EngineError, ImageFacts, NameOrId, OutputSink};
use super::client::Docker;
use super::fault::wrong_platform;
use crate::model::platform::Platform;
use crate::model::reference::Reference;

impl Docker {
    /// The image that the engine holds under a reference or as an id, if any.
    pub(super) async fn look_up(&self, image: NameOrId<'_>) -> Result<Option<ImageFacts>, EngineError> {
        match self.client.inspect_image(&image.to_string()).await {
            Ok(image) => Ok(Some(facts_of(image))),
            Err(BollardError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(self.to_engine_error(error)),
        }
    }

    /// The same for a platform. Where images are kept as containerd does, a name may stand for several platforms, and an
    /// engine that can't be asked for one of them shows its own.
    pub(super) async fn look_up_for(
        &self,
        reference: &Reference,
        platform: Platform,
    ) -> Result<Option<ImageFacts>, EngineError> {
        if !(self.is_asked_by_platform && self.has_containerd_store().await?) {
            return Ok(self.look_up(reference.into()).await?.filter(|image| image.is_for(platform)));
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
    pub(super) async fn untag(&self, reference: &Reference) -> Result<(), EngineError> {
        let options = RemoveImageOptionsBuilder::new().force(true).build();
        let removed = self.client.remove_image(&reference.to_string(), Some(options), None).await;
        removed.map(drop).map_err(|error| self.to_engine_error(error))
    }

    pub(super) async fn pull_image(
        &self,
        reference: &Reference,
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
        if self.remove_image(&reference.to_string()).await.is_ok() {
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
        reference: &Reference,
        platform: Platform,
        output: OutputSink<'_>,
    ) -> Result<ImageFacts, EngineError> {
        self.pull_reference(reference, platform, output).await?;
        if let Some(image) = self.look_up_for(reference, platform).await? {
            return Ok(image);
        }
        let missing = || EngineError::Pull(format!("the engine pulled {reference}, and does not hold it"));
        self.look_up(reference.into()).await?.ok_or_else(missing)
    }

    pub(super) async fn tag_image(&self, image: NameOrId<'_>, name: &Reference) -> Result<(), EngineError> {
        let options =
            TagImageOptionsBuilder::new().repo(&name.bare().to_string()).tag(name.tag_or_latest()).build();
        self.client
            .tag_image(&image.to_string(), Some(options))
            .await
            .map_err(|error| self.to_engine_error(error))
    }
}

fn facts_of(image: ImageInspect) -> ImageFacts {
    ImageFacts {
        id: image.id.unwrap_or_default().into(),
        architecture: image.architecture.unwrap_or_default(),
        variant: image.variant.unwrap_or_default(),
        labels: image.config.and_then(|config| config.labels).into_iter().flatten().collect(),
        layers: image.root_fs.and_then(|root| root.layers).map_or(0, |layers| layers.len()),
        size: image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
        // Engines before 25 name what has no name `<none>`.
        repo_digests: image.repo_digests.iter().flatten().filter_map(|name| name.parse().ok()).collect(),
    }
}
