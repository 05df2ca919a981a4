//! Files of an image, as an engine hands them over.

use crate::engine::EngineError;
use crate::engine::container::{ContainerEngine, ContainerSpec, TakePiece};
use crate::engine::docker::Docker;
use crate::error::{EXIT_FAILED, EXIT_INTERRUPTED, Fatal};
use crate::model::ids::ImageId;
use crate::util::interrupt;

/// Hands over the file system of an image as a tar archive, by way of a container of this name that is never started, and
/// that goes again.
pub async fn hand_over(
    engine: &Docker,
    name: &str,
    image: &ImageId,
    take: TakePiece<'_>,
) -> Result<(), Fatal> {
    let failed = |error: EngineError| Fatal::new(&error, EXIT_FAILED);
    let spec = ContainerSpec {
        image: image.to_string(),
        command: vec!["true".to_string()],
        ..ContainerSpec::default()
    };
    // Whoever interrupts it now waits for the container to go.
    let orderly = interrupt::orderly();
    let mut stop = orderly.stop();
    engine.create(name, &spec).await.map_err(failed)?;
    let exported = tokio::select! {
        exported = engine.export(name, take) => exported.map_err(failed),
        _ = stop.wait_for(|is_asked| *is_asked) => Err(Fatal::message("interrupted", EXIT_INTERRUPTED)),
    };
    let removed = engine.remove(name).await.map_err(failed);
    exported.and(removed)
}
