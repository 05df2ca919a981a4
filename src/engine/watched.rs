//! An engine whose builds are given up once it no longer answers, and taken as done once it has their image.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{BuildOutput, BuildRequest, Engine, EngineError, EngineFacts, ImageFacts, NameOrId, OutputSink};
use crate::model::ids::Digest;
use crate::model::platform::Platform;
use crate::model::reference::Reference;

/// Watches the builds of another engine. A step may well say nothing for long, so silence alone ends no build: the
/// engine is asked whether it lives, and only when it does not answer the build is given up. BuildKit may also make the
/// image and never say so, when it shares steps with a build beside it (moby/buildkit#2440), so the image is looked for.
pub struct WatchedEngine {
    engine: Arc<dyn Engine>,
    /// After so much silence of a build the engine is asked.
    patience: Duration,
}

impl WatchedEngine {
    /// Watches the builds of `engine`.
    pub fn new(engine: Arc<dyn Engine>, patience: Duration) -> WatchedEngine {
        WatchedEngine { engine, patience }
    }

    async fn watch(&self, request: &BuildRequest, output: OutputSink<'_>) -> Result<ImageFacts, EngineError> {
        let last_word = Mutex::new(Instant::now());
        let heard = || *last_word.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let listening = |said: BuildOutput| {
            heard();
            output(said);
        };
        let silence = || last_word.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        let mut build = self.engine.build(request, &listening);
        loop {
            tokio::select! {
                built = &mut build => return built,
                () = tokio::time::sleep(self.patience.saturating_sub(silence())) => {}
            }
            if silence() < self.patience {
                continue;
            }
            tokio::select! {
                built = &mut build => return built,
                answer = self.engine.ping() => answer?,
            }
            if let Some(image) = self.made_in_silence(request).await? {
                let reason =
                    "The engine has the image, but does not end its answer: the image counts as built";
                output(BuildOutput::Line(reason.to_string()));
                return Ok(image);
            }
            // Its answer counts as a word.
            heard();
        }
    }

    /// The image that a build was asked for, if the engine has it: told by its labels, among them the key of its content
    /// and its parent's id. With that image there before, nothing but a build without cache would have begun.
    async fn made_in_silence(&self, request: &BuildRequest) -> Result<Option<ImageFacts>, EngineError> {
        if request.no_cache || request.labels.is_empty() {
            return Ok(None);
        }
        let image = self.engine.inspect((&request.tag).into()).await?;
        Ok(image.filter(|image| image.has_labels(&request.labels)))
    }
}

impl Engine for WatchedEngine {
    fn endpoint(&self) -> &str {
        self.engine.endpoint()
    }

    fn facts(&self) -> &EngineFacts {
        self.engine.facts()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        self.engine.ping()
    }

    fn processors(&self) -> BoxFuture<'_, Result<usize, EngineError>> {
        self.engine.processors()
    }

    fn insecure_registries(&self) -> BoxFuture<'_, Result<Vec<String>, EngineError>> {
        self.engine.insecure_registries()
    }

    fn data_roots(&self) -> BoxFuture<'_, Result<Vec<PathBuf>, EngineError>> {
        self.engine.data_roots()
    }

    fn inspect<'a>(&'a self, image: NameOrId<'a>) -> BoxFuture<'a, Result<Option<ImageFacts>, EngineError>> {
        self.engine.inspect(image)
    }

    fn inspect_all<'a>(
        &'a self,
        reference: &'a Reference,
    ) -> BoxFuture<'a, Result<Vec<ImageFacts>, EngineError>> {
        self.engine.inspect_all(reference)
    }

    fn inspect_for<'a>(
        &'a self,
        reference: &'a Reference,
        platform: Platform,
    ) -> BoxFuture<'a, Result<Option<ImageFacts>, EngineError>> {
        self.engine.inspect_for(reference, platform)
    }

    fn pull<'a>(
        &'a self,
        reference: &'a Reference,
        platform: Platform,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<ImageFacts, EngineError>> {
        self.engine.pull(reference, platform, output)
    }

    fn tag<'a>(&'a self, image: NameOrId<'a>, name: &'a Reference) -> BoxFuture<'a, Result<(), EngineError>> {
        self.engine.tag(image, name)
    }

    fn build<'a>(
        &'a self,
        request: &'a BuildRequest,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<ImageFacts, EngineError>> {
        self.watch(request, output).boxed()
    }

    fn push<'a>(
        &'a self,
        reference: &'a Reference,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<Option<Digest>, EngineError>> {
        self.engine.push(reference, output)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::engine::testing;
    use crate::model::platform::Arch;

    /// An engine whose builds never end nor say anything, and that answers only so often.
    struct Hanging {
        answers: AtomicUsize,
        image: Option<ImageFacts>,
    }

    impl Hanging {
        fn new(answers: usize, image: Option<ImageFacts>) -> Arc<Hanging> {
            Arc::new(Hanging { answers: AtomicUsize::new(answers), image })
        }
    }

    impl Engine for Hanging {
        fn endpoint(&self) -> &str {
            "hanging"
        }

        fn facts(&self) -> &EngineFacts {
            unreachable!("nothing but builds is asked for")
        }

        fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>> {
            async {
                let left = self
                    .answers
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
                match left {
                    Ok(_) => Ok(()),
                    Err(_) => Err(EngineError::Unreachable {
                        endpoint: "hanging".to_string(),
                        reason: "it gives no answer".to_string(),
                    }),
                }
            }
            .boxed()
        }

        fn build<'a>(
            &'a self,
            _request: &'a BuildRequest,
            _output: OutputSink<'a>,
        ) -> BoxFuture<'a, Result<ImageFacts, EngineError>> {
            std::future::pending().boxed()
        }

        fn processors(&self) -> BoxFuture<'_, Result<usize, EngineError>> {
            unreachable!("nothing but builds is asked for")
        }

        fn insecure_registries(&self) -> BoxFuture<'_, Result<Vec<String>, EngineError>> {
            unreachable!("nothing but builds is asked for")
        }

        fn data_roots(&self) -> BoxFuture<'_, Result<Vec<PathBuf>, EngineError>> {
            unreachable!("nothing but builds is asked for")
        }

        fn inspect<'a>(&'a self, _: NameOrId<'a>) -> BoxFuture<'a, Result<Option<ImageFacts>, EngineError>> {
            async { Ok(self.image.clone()) }.boxed()
        }

        fn pull<'a>(
            &'a self,
            _: &'a Reference,
            _: Platform,
            _: OutputSink<'a>,
        ) -> BoxFuture<'a, Result<ImageFacts, EngineError>> {
            unreachable!("nothing but builds is asked for")
        }

        fn tag<'a>(&'a self, _: NameOrId<'a>, _: &'a Reference) -> BoxFuture<'a, Result<(), EngineError>> {
            unreachable!("nothing but builds is asked for")
        }

        fn push<'a>(
            &'a self,
            _: &'a Reference,
            _: OutputSink<'a>,
        ) -> BoxFuture<'a, Result<Option<Digest>, EngineError>> {
            unreachable!("nothing but builds is asked for")
        }
    }

    const PATIENCE: Duration = Duration::from_secs(120);

    fn request() -> BuildRequest {
        let labels = [("key".to_string(), "1".to_string())].into();
        BuildRequest { labels, ..testing::request("kolla/slow:1", Platform::new(Arch::X86_64)) }
    }

    fn image_with_key(key: &str) -> ImageFacts {
        ImageFacts {
            id: "sha256:1".into(),
            architecture: "amd64".to_string(),
            variant: String::new(),
            labels: [("key", key), ("other", "label")].map(|(k, v)| (k.to_string(), v.to_string())).into(),
            size: 1,
            layers: 1,
            repo_digests: Vec::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_build_is_given_up_only_once_its_engine_is_silent_too() {
        let without_cache = BuildRequest { no_cache: true, ..request() };
        // An image of an earlier build says nothing of this one.
        for (image, request) in [
            (None, request()),
            (Some(image_with_key("2")), request()),
            (Some(image_with_key("1")), without_cache),
        ] {
            let watched = WatchedEngine::new(Hanging::new(3, image), PATIENCE);
            let begun = Instant::now();
            let error = watched.build(&request, &|_| {}).await.expect_err("it never ends");
            assert!(matches!(error, EngineError::Unreachable { .. }), "{error:?}");
            // Three answers, each good for as long as the timeout, and the one that did not come.
            assert_eq!(begun.elapsed().as_secs(), 4 * PATIENCE.as_secs());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_build_is_done_once_its_engine_has_the_image() {
        let image = image_with_key("1");
        let watched = WatchedEngine::new(Hanging::new(3, Some(image.clone())), PATIENCE);
        let built = watched.build(&request(), &|_| {}).await.expect("it is there");
        assert_eq!(built, image);
    }
}
