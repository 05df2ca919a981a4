//! What is different with a real Docker that keeps images as containerd does (`REAL_CONTAINERD_DOCKER`): it gets build
//! contexts over a session alone, and holds an image for several platforms under one name.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kolla_build::engine::docker::{Credentials, Docker, DockerHost};
use kolla_build::engine::{BuildRequest, Engine, EngineError, ImageFacts};
use kolla_build::model::platform::{Arch, Platform};
use kolla_build::util::hex::hex;
use sha2::{Digest, Sha256};

use crate::support::built::named;
use crate::support::real;
use crate::support::saved::Saved;

/// Long enough for any build here; a transfer that nobody ends would take for ever.
const PATIENCE: Duration = Duration::from_secs(120);

fn endpoint() -> String {
    real::named("REAL_CONTAINERD_DOCKER")
}

async fn engine(endpoint: &str) -> Docker {
    let host = DockerHost::new(endpoint.parse().expect("an endpoint"), Credentials::default());
    host.connect().await.expect("it answers")
}

async fn build(
    endpoint: &str,
    context: &Path,
    platform: Platform,
    tag: &str,
) -> Result<ImageFacts, EngineError> {
    let docker = engine(endpoint).await;
    let request = BuildRequest::new(context, named(tag), platform);
    let built = docker.build(&request, &|_| {});
    tokio::time::timeout(PATIENCE, built).await.expect("the build ends")
}

#[tokio::test]
#[ignore = "needs a real Docker engine"]
async fn a_context_that_can_t_be_read_ends_the_build_and_is_named() {
    let endpoint = endpoint();
    let error =
        build(&endpoint, Path::new("/nowhere/at/all"), Arch::host().into(), "kolla-build-test/none:1").await;
    assert!(matches!(error, Err(EngineError::Context { .. })), "{error:?}");
}

#[tokio::test]
#[ignore = "needs a real Docker engine"]
async fn a_large_context_arrives_whole() {
    let endpoint = endpoint();
    let context = tempfile::tempdir().expect("a directory");
    // More than any window of the connection holds, and nothing that repeats.
    let content: Vec<u8> =
        (0..1_000_000_u32).flat_map(|number| Sha256::digest(number.to_be_bytes())).collect();
    std::fs::write(context.path().join("file"), &content).expect("a file");
    std::fs::write(context.path().join("Dockerfile"), "FROM scratch\nCOPY file /file\n").expect("a file");
    let tag = format!("kolla-build-test/large:{}", real::nonce());
    let image = build(&endpoint, context.path(), Arch::host().into(), &tag).await;
    let saved = image.as_ref().ok().map(|_| Saved::of(&endpoint, &tag));
    let _ = Command::new("docker").args(["--host", &endpoint, "image", "rm", "--force", &tag]).output();
    let saved = saved.unwrap_or_else(|| panic!("{image:?}"));
    assert!(saved.files["file"].ends_with(&hex(&Sha256::digest(&content))), "{:?}", saved.files);
}

#[tokio::test]
#[ignore = "needs a real Docker engine and a registry"]
async fn what_is_pulled_is_for_the_platform_that_was_asked_for_whatever_was_pulled_before() {
    let (endpoint, registry) = (endpoint(), real::named("REAL_REGISTRY"));
    let context = tempfile::tempdir().expect("a directory");
    std::fs::write(context.path().join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /file\n")
        .expect("a file");
    let docker = |arguments: &[&str]| {
        let newer_engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host/newer-engine");
        let output = Command::new(newer_engine).arg("docker").args(arguments).output();
        let output = output.expect("a docker command");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let name = format!("{registry}/kolla-build-test/both:{}", real::nonce());
    let [amd, arm] = [Arch::X86_64, Arch::Aarch64].map(Platform::from);
    let engine = engine(&endpoint).await;
    let single = |platform: Platform| format!("{name}-{}", platform.to_string().replace('/', "-"));
    for platform in [amd, arm] {
        build(&endpoint, context.path(), platform, &single(platform)).await.expect("built");
        engine.push(&named(&single(platform)), &|_| {}).await.expect("pushed");
    }
    docker(&["buildx", "imagetools", "create", "--tag", &name, &single(amd), &single(arm)]);
    for platform in [amd, arm] {
        engine.remove_image(&single(platform)).await.expect("it was there");
    }
    for platform in [amd, arm, amd] {
        let image = engine.pull(&named(&name), platform, &|_| {}).await.expect("pulled");
        assert!(image.is_for(platform), "{platform}: {image:?}");
    }
    engine.remove_image(&name).await.expect("it is there");
}
