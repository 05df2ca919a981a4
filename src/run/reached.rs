//! The engine that containers run on: how it is reached, what its errors mean to people, and images that it lacks [I/O].

use std::time::Duration;

use crate::engine::container::ContainerEngine;
use crate::engine::docker::{Credentials, Docker, DockerHost, Endpoint};
use crate::engine::{Engine, EngineError};
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::model::failure::Failure;
use crate::model::platform::{Arch, Platform};
use crate::model::reference::Reference;
use crate::session::environment::Environment;
use crate::session::stdio::{tell, tell_pause};
use crate::util::retry::{Again, retry};

/// How long helpers that hold credentials may be silent.
const PATIENCE: Duration = Duration::from_secs(120);

/// So often a failed pull is tried again.
const RETRIES: u32 = 3;

/// An engine, once it was reached.
pub async fn reach(environment: &Environment, endpoint: Endpoint) -> Result<Docker, Fatal> {
    let directory = environment.docker.directory.as_deref();
    let credentials = directory.map(|dir| Credentials::load(dir, PATIENCE)).unwrap_or_default();
    DockerHost::new(endpoint, credentials).connect().await.map_err(|error| unreachable(&error))
}

fn unreachable(error: &EngineError) -> Fatal {
    Fatal::new(error, EXIT_FAILED)
        .hinted("start the engine, or name its socket with --host or in DOCKER_HOST, e.g. unix:///run/podman/podman.sock")
}

/// The error of an engine that ends the run.
pub fn engine_error(error: EngineError) -> Fatal {
    let fatal = Fatal::new(&error, EXIT_FAILED);
    match error {
        EngineError::ConnectionLost { .. }
        | EngineError::Stalled { .. }
        | EngineError::Unreachable { .. } => {
            fatal.hinted("once the engine answers again, the same command goes on from there")
        }
        _ => fatal,
    }
}

/// Pulls an image that the engine does not have.
///
/// # Errors
/// The engine can't be asked; within, the image can't be had.
pub async fn pull_missing_image(engine: &Docker, image: &str) -> Result<Result<(), Failure>, Fatal> {
    if engine.image_defaults(image).await.map_err(engine_error)?.is_some() {
        return Ok(Ok(()));
    }
    let reference: Reference = image.parse().map_err(|error| Fatal::new(&error, EXIT_USAGE))?;
    // As engines have it, for whom no tag means every one.
    let reference = if reference.digest.is_some() { reference } else { reference.tagged() };
    let platform = Platform::new(engine.facts().architecture.unwrap_or_else(Arch::host));
    tell(format_args!("{image}: pulling it"));
    let again = |error: &Failure| Again::if_transient(error.transient);
    let pull = async || engine.pull(&reference, platform, &|_| {}).await.map(drop).map_err(Failure::from);
    let waits = |error: &Failure, pause| tell_pause(&error.message, pause);
    Ok(retry(RETRIES, again, waits, pull).await)
}
