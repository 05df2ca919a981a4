//! Base images: what the engine holds of each, pulled when that was asked for or it lacks it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::engine::{BuildOutput, Engine, EngineError, ImageFacts, OutputSink};
use crate::platform::Platform;

/// An answer that several tasks wait for and one of them asks.
type AskedOnce = Arc<OnceCell<ImageFacts>>;

/// The base images of a run, each asked for once.
pub struct BaseImages {
    engine: Arc<dyn Engine>,
    /// Ask for newer ones.
    pull: bool,
    asked: Mutex<HashMap<(String, Platform), AskedOnce>>,
}

impl BaseImages {
    /// Those of an engine; with `pull`, registries are asked for newer ones.
    pub fn new(engine: Arc<dyn Engine>, pull: bool) -> BaseImages {
        BaseImages { engine, pull, asked: Mutex::default() }
    }

    /// What the engine holds under this reference for a platform, once it has been pulled if need be.
    pub async fn get(
        &self,
        reference: &str,
        platform: Platform,
        output: OutputSink<'_>,
    ) -> Result<ImageFacts, EngineError> {
        let cell = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.entry((reference.to_string(), platform)).or_default().clone()
        };
        cell.get_or_try_init(|| self.ask(reference, platform, output)).await.cloned()
    }

    async fn ask(
        &self,
        reference: &str,
        platform: Platform,
        output: OutputSink<'_>,
    ) -> Result<ImageFacts, EngineError> {
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

    /// What the engine holds already. An image of another architecture under this name is as good as none.
    pub async fn held(&self, reference: &str, platform: Platform) -> Result<Option<ImageFacts>, EngineError> {
        let held = self.engine.inspect(reference).await?;
        Ok(held.filter(|image| image.is_for(platform)))
    }
}
