//! Checks of single images, carried out against an engine [I/O].

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

use super::checks::{CommandCheck, ImageChecks, ProgramEnd};
use super::{ID_PREFIX, MANAGER};
use crate::engine::EngineError;
use crate::engine::container::{ContainerEngine, ContainerSpec, FileFacts, Namespaces};
use crate::model::smoke::SmokeCheck;
use crate::run::health::{NotUp, Waiter};
use crate::run::labels::StackOwner;
use crate::run::state::{StateError, suffix};

/// Why a test has no result.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// The run is to stop.
    #[error("interrupted")]
    Interrupted,
    /// The engine did not do what it was asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A stack can't be brought about, for this reason.
    #[error("{0}")]
    Stack(String),
    /// No name could be made, or the state of a stack can't be used.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Someone who looks at single images.
pub struct ImageTester<'a> {
    /// Engine that has them.
    pub engine: &'a dyn ContainerEngine,
    /// The longest wait for a program.
    pub patience: Duration,
    /// True once the run is to stop.
    pub stop: watch::Receiver<bool>,
}

impl ImageTester<'_> {
    /// Asks an image everything; what the engine refuses is a fault of the image.
    pub async fn test(&self, image: &str, checks: &ImageChecks) -> Result<Vec<SmokeCheck>, TestError> {
        let mut found = Vec::new();
        match self.ask(image, checks, &mut found).await {
            Err(TestError::Interrupted) => return Err(TestError::Interrupted),
            Err(error) => found.push(SmokeCheck::new(image, Some(error.to_string()))),
            Ok(()) => {}
        }
        Ok(found)
    }

    async fn ask(
        &self,
        image: &str,
        checks: &ImageChecks,
        found: &mut Vec<SmokeCheck>,
    ) -> Result<(), TestError> {
        let ImageChecks { metadata, files, contents, commands } = checks;
        if !metadata.is_empty() {
            let config = self.engine.image_config(image).await?.unwrap_or_default();
            found.extend(metadata.iter().map(|check| check.judge(&config)));
        }
        if !files.is_empty() || !contents.is_empty() {
            let paths = files.iter().map(|check| &check.path).chain(contents.iter().map(|check| &check.path));
            let facts = self.files(image, paths.map(String::as_str)).await?;
            found.extend(files.iter().map(|check| check.judge(facts.get(&check.path))));
            found.extend(contents.iter().map(|check| check.judge(facts.get(&check.path))));
        }
        for command in commands {
            if *self.stop.borrow() {
                return Err(TestError::Interrupted);
            }
            found.push(self.run(image, command).await?);
        }
        Ok(())
    }

    /// A container of an image, without a network.
    fn spec(image: &str) -> ContainerSpec {
        let owner = StackOwner { managed_by: MANAGER.to_string(), config_id: format!("{ID_PREFIX}checks") };
        ContainerSpec {
            image: image.to_string(),
            labels: owner.labels(),
            namespaces: Namespaces { network: Some("none".to_string()), ..Namespaces::default() },
            ..ContainerSpec::default()
        }
    }

    /// Files of an image, of which a container is made that never runs: there may be no program in it.
    async fn files<'p>(
        &self,
        image: &str,
        paths: impl Iterator<Item = &'p str>,
    ) -> Result<BTreeMap<String, FileFacts>, TestError> {
        let name = name()?;
        let spec =
            ContainerSpec { entrypoint: Some(vec!["nothing".to_string()]), ..ImageTester::spec(image) };
        self.engine.create(&name, &spec).await?;
        let mut found = BTreeMap::new();
        let mut looked = Ok(());
        for path in paths {
            match self.engine.file(&name, path).await {
                Ok(facts) => found.extend(facts.map(|facts| (path.to_string(), facts))),
                Err(error) => {
                    looked = Err(error);
                    break;
                }
            }
        }
        self.engine.remove(&name).await?;
        looked?;
        Ok(found)
    }

    /// Runs a program in a container of its own.
    async fn run(&self, image: &str, check: &CommandCheck) -> Result<SmokeCheck, TestError> {
        let name = name()?;
        let spec = ContainerSpec {
            entrypoint: Some(check.words.clone()),
            environment: check.environment.clone(),
            ..ImageTester::spec(image)
        };
        self.engine.create(&name, &spec).await?;
        let ended = self.end_of(&name).await;
        self.engine.remove(&name).await?;
        match ended {
            Ok(end) => Ok(check.judge(&end)),
            Err(NotUp::Interrupted) => Err(TestError::Interrupted),
            // It has no such program, or this one does not end.
            Err(NotUp::Engine(EngineError::Refused { message, .. })) => {
                Ok(SmokeCheck::new(check.title(), Some(message)))
            }
            Err(NotUp::Engine(error)) => Err(error.into()),
            Err(not_up) => Ok(SmokeCheck::new(check.title(), Some(not_up.to_string()))),
        }
    }

    async fn end_of(&self, name: &str) -> Result<ProgramEnd, NotUp> {
        self.engine.start(name).await?;
        let waiter = Waiter { engine: self.engine, patience: self.patience, stop: self.stop.clone() };
        let code = waiter.until_end(name).await?;
        let streams = self.engine.container_streams(name).await?;
        Ok(ProgramEnd { code, output: streams.output, error: streams.error })
    }
}

fn name() -> Result<String, StateError> {
    Ok(format!("{MANAGER}-{ID_PREFIX}{}", suffix()?))
}
