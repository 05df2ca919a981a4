//! Builds with an engine of the library.

use std::sync::Mutex;

use kolla_build::engine::docker::Docker;
use kolla_build::engine::{BuildOutput, BuildRequest, Engine, EngineError, ImageFacts};
use kolla_build::model::builder::Builder;
use kolla_build::model::reference::Reference;

/// A reference that is in order.
pub fn named(text: &str) -> Reference {
    text.parse().expect("a reference")
}

/// BuildKit, or the classic builder.
pub fn builder(buildkit: bool) -> Builder {
    match buildkit {
        true => Builder::default(),
        false => Builder::Classic { squash: false, keep: false },
    }
}

/// Builds, and gives what the build said too.
pub async fn build(
    docker: &Docker,
    request: &BuildRequest,
) -> (Result<ImageFacts, EngineError>, Vec<BuildOutput>) {
    let said = Mutex::new(Vec::new());
    let result = docker.build(request, &|output| said.lock().expect("no panic").push(output)).await;
    (result, said.into_inner().expect("no panic"))
}
