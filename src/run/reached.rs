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

/// Podman's socket, as root has it.
pub const PODMAN_SOCKET: &str = "/run/podman/podman.sock";

/// The engine of this name, or, without one, the one that `docker` would talk to.
pub fn endpoint(host: Option<&str>, environment: &Environment) -> Result<Endpoint, Fatal> {
    match host {
        Some(host) => {
            Endpoint::parse(host, &environment.docker.tcp).map_err(|error| Fatal::new(&error, EXIT_USAGE))
        }
        None => environment.docker.locate().map_err(|error| Fatal::new(&error, EXIT_USAGE)),
    }
}

/// The credentials for registries that `docker` would show.
pub fn credentials(environment: &Environment) -> Credentials {
    let directory = environment.docker.directory.as_deref();
    directory.map(|dir| Credentials::load(dir, PATIENCE)).unwrap_or_default()
}

/// An engine, once it was reached.
pub async fn reach(environment: &Environment, endpoint: Endpoint) -> Result<Docker, Fatal> {
    let host = DockerHost::new(endpoint, credentials(environment));
    host.connect().await.map_err(|error| unreachable(&error))
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

/// The platform that an engine runs containers of by itself.
pub fn own_platform(engine: &dyn Engine) -> Platform {
    Platform::new(engine.facts().architecture.unwrap_or_else(Arch::host))
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
    // For engines no tag means every one.
    let (reference, platform) = (reference.tagged(), own_platform(engine));
    tell(format_args!("{image}: pulling it"));
    let again = |error: &Failure| Again::if_transient(error.transient);
    let pull = async || engine.pull(&reference, platform, &|_| {}).await.map(drop).map_err(Failure::from);
    let waits = |error: &Failure, pause| tell_pause(&error.message, pause);
    Ok(retry(RETRIES, again, waits, pull).await)
}
