//! Base images: what the engine holds of each, pulled when that was asked for or it lacks it.

use std::sync::Arc;

use crate::dockerfile::named::WantedFor;
use crate::engine::{BuildOutput, Engine, EngineError, ImageFacts, OutputSink};
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::util::once_map::OnceMap;

/// The registry of names that only stand for images in an engine; no host can have this name (RFC 2606).
const ALIASES: &str = "kolla-build.invalid";

/// The base images of a run, each asked for once.
pub struct BaseImages {
    engine: Arc<dyn Engine>,
    /// Ask for newer ones.
    pull: bool,
    /// One name stands for images of several platforms.
    several_platforms: bool,
    /// Held while one of several platforms is asked for: a name is another platform's once that is pulled too.
    pulling: tokio::sync::Mutex<()>,
    asked: OnceMap<(Reference, Platform), ImageFacts>,
}

impl BaseImages {
    /// Those of an engine; with `pull`, registries are asked for newer ones. `several_platforms` are wanted in the run.
    pub fn new(engine: Arc<dyn Engine>, pull: bool, several_platforms: bool) -> BaseImages {
        let (asked, pulling) = Default::default();
        BaseImages { engine, pull, several_platforms, pulling, asked }
    }

    /// The engine that base images are pulled to.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// The platform that an image is wanted for in builds for `target`.
    pub fn platform(&self, wanted: WantedFor, target: Platform) -> Platform {
        match wanted {
            WantedFor::Target => target,
            WantedFor::Platform(platform) => platform,
            WantedFor::Builder => self.engine.facts().architecture.map_or(target, Platform::new),
        }
    }

    /// The name that a base image gets for builds on one of several platforms.
    pub fn alias(&self, reference: &Reference, platform: Platform) -> Option<Reference> {
        self.several_platforms.then(|| alias(reference, platform))
    }

    /// The image that the engine holds under this reference for a platform, once it has been pulled if need be.
    pub async fn get(
        &self,
        reference: &Reference,
        platform: Platform,
        output: OutputSink<'_>,
    ) -> Result<ImageFacts, EngineError> {
        self.asked.get((reference.clone(), platform), self.ask(reference, platform, output)).await
    }

    async fn ask(
        &self,
        reference: &Reference,
        platform: Platform,
        output: OutputSink<'_>,
    ) -> Result<ImageFacts, EngineError> {
        let _one_at_a_time = match self.several_platforms {
            true => Some(self.pulling.lock().await),
            false => None,
        };
        let held = self.held(reference, platform).await?;
        match held {
            Some(image) if !self.pull => Ok(image),
            held => match (self.engine.pull(reference, platform, output).await, held) {
                (Ok(image), _) => Ok(image),
                // The one that was at hand has lost its name to it.
                (Err(error @ EngineError::WrongPlatform { .. }), _) => Err(error),
                (Err(error), Some(image)) => {
                    let said = format!(
                        "could not ask for a newer {reference}, going on with the one at hand: {error}"
                    );
                    output(BuildOutput::Line(said));
                    Ok(image)
                }
                (Err(error), None) => Err(error),
            },
        }
    }

    /// The image that the engine holds already. One of another architecture under this name is as good as none.
    pub async fn held(
        &self,
        reference: &Reference,
        platform: Platform,
    ) -> Result<Option<ImageFacts>, EngineError> {
        match (self.engine.inspect_for(reference, platform).await?, self.alias(reference, platform)) {
            (None, Some(alias)) => self.engine.inspect_for(&alias, platform).await,
            (held, _) => Ok(held),
        }
    }
}

/// A name for a base image that tells its platform, in a registry that is none; without it, the name stands for the image
/// that was pulled last.
fn alias(reference: &Reference, platform: Platform) -> Reference {
    let host = |host: &String| host.to_lowercase().replace([':', '[', ']'], "-");
    let arch = platform.arch.kolla().to_string();
    let path =
        [arch].into_iter().chain(reference.registry.as_ref().map(host)).chain([reference.path.clone()]);
    let tag = reference.digest.as_ref().map(|digest| digest.replace(':', "-"));
    Reference {
        registry: Some(ALIASES.to_string()),
        path: path.collect::<Vec<_>>().join("/"),
        tag: Some(tag.unwrap_or_else(|| reference.tag_or_latest().to_string())),
        digest: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::platform::Arch;

    #[test]
    fn an_alias_tells_the_platform_and_is_a_reference() {
        for (reference, expected) in [
            ("debian:trixie", "kolla-build.invalid/aarch64/debian:trixie"),
            ("rocky", "kolla-build.invalid/aarch64/rocky:latest"),
            ("R.example:5000/a/b:1", "kolla-build.invalid/aarch64/r.example-5000/a/b:1"),
            ("debian:1@sha256:0a", "kolla-build.invalid/aarch64/debian:sha256-0a"),
        ] {
            let reference = reference.parse().expect("a reference");
            let alias = alias(&reference, Platform::new(Arch::Aarch64));
            assert_eq!(alias.to_string(), expected);
            assert_eq!(expected.parse(), Ok(alias));
        }
    }
}
