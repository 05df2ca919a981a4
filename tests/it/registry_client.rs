//! The client of the distribution API, against a registry whose answers are not what they should be.

use std::time::Duration;

use kolla_build::model::platform::{Arch, Platform};
use kolla_build::model::reference::Reference;
use kolla_build::registry::credentials::Credentials;
use kolla_build::registry::error::{Problem, RegistryError};
use kolla_build::registry::{Registries, Trust};
use kolla_build::util::retry::Again;

use crate::support::registry::{FakeRegistry, Fault, digest_of};

const CONFIG: &[u8] = br#"{"architecture": "arm64", "os": "linux", "config": {"Labels": {"a": "b"}}}"#;

fn client() -> Registries {
    Registries::new(Credentials::default(), Trust::default(), Duration::from_millis(500))
}

fn reference(registry: &FakeRegistry, rest: &str) -> Reference {
    format!("{}/{rest}", registry.address()).parse().expect("a reference")
}

fn platform(arch: Arch) -> Platform {
    Platform::new(arch)
}

#[tokio::test]
async fn an_image_is_read_by_tag_and_by_digest() {
    let registry = FakeRegistry::start();
    let digest = registry.hold("kolla/base", "1", CONFIG);
    let client = client();
    for name in ["kolla/base:1".to_string(), format!("kolla/base@{digest}")] {
        let named = reference(&registry, &name);
        let image =
            client.image(&named, platform(Arch::Aarch64)).await.expect("an answer").expect("an image");
        assert_eq!((image.digest.as_str(), image.manifest.as_str()), (digest.as_str(), digest.as_str()));
        assert_eq!((image.labels["a"].as_str(), image.size), ("b", 1000));
        assert_eq!(image.id.as_str(), digest_of(CONFIG));
        assert_eq!(client.digest(&named).await.expect("an answer"), Some(digest.parse().expect("a digest")));
    }
    let missing = reference(&registry, "kolla/none:1");
    assert_eq!(client.digest(&missing).await.expect("an answer"), None);
    assert_eq!(client.image(&missing, platform(Arch::Aarch64)).await.expect("an answer"), None);
}

#[tokio::test]
async fn of_a_list_the_platform_s_image_is_read() {
    let registry = FakeRegistry::start();
    let arm = registry.hold("kolla/base", "1-arm", CONFIG);
    let amd = registry.hold("kolla/base", "1-amd", br#"{"architecture": "amd64"}"#);
    let list = registry.hold_list("kolla/base", "1", &[(&arm, "arm64"), (&amd, "amd64")]);
    let named = reference(&registry, "kolla/base:1");
    for (arch, manifest) in [(Arch::Aarch64, &arm), (Arch::X86_64, &amd)] {
        let image = client().image(&named, platform(arch)).await.expect("an answer").expect("an image");
        assert_eq!((image.digest.as_str(), image.manifest.as_str()), (list.as_str(), manifest.as_str()));
    }
    // Neither a list without the platform nor an image that is for another one is the image.
    for entries in [[(amd.as_str(), "amd64")], [(amd.as_str(), "arm64")]] {
        registry.hold_list("kolla/base", "1", &entries);
        assert_eq!(client().image(&named, platform(Arch::Aarch64)).await.expect("an answer"), None);
    }
}

#[tokio::test]
async fn a_manifest_is_put_under_another_tag_as_it_is() {
    let registry = FakeRegistry::start();
    let digest = registry.hold("kolla/base", "1", CONFIG);
    let client = client();
    let manifest =
        client.manifest(&reference(&registry, "kolla/base:1")).await.expect("an answer").expect("one");
    assert_eq!(manifest.digest.as_str(), digest);
    client.put(&reference(&registry, "kolla/base:stable"), &manifest).await.expect("taken");
    assert_eq!(registry.tagged("kolla/base", "stable"), Some(digest));
}

/// What reading an image comes to when one of its requests goes wrong.
async fn failure(request: &str, fault: Fault) -> RegistryError {
    let registry = FakeRegistry::start();
    registry.hold("kolla/base", "1", CONFIG);
    registry.fail_next(request, fault);
    let result = client().image(&reference(&registry, "kolla/base:1"), platform(Arch::Aarch64)).await;
    result.expect_err("a fault")
}

const MANIFEST: &str = "GET /v2/kolla/base/manifests/";
const BLOB: &str = "GET /v2/kolla/base/blobs/";

#[tokio::test]
async fn content_that_is_not_what_it_is_said_to_be_is_refused() {
    for (request, fault) in [
        (MANIFEST, Fault::WrongDigest),
        (MANIFEST, Fault::WrongContent),
        (MANIFEST, Fault::Endless),
        (BLOB, Fault::WrongContent),
        (BLOB, Fault::Endless),
    ] {
        let error = failure(request, fault.clone()).await;
        assert!(matches!(error.problem, Problem::Garbage(_)), "{fault:?}: {error}");
        assert_eq!(error.again(), Again::Never);
        assert!(error.to_string().starts_with("127.0.0.1:"), "{error}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_or_hangs_is_worth_another_try() {
    for fault in
        [Fault::Cut, Fault::CutInTheMiddle, Fault::StallInTheMiddle, Fault::Delay(Duration::from_secs(5))]
    {
        for request in [MANIFEST, BLOB] {
            let error = failure(request, fault.clone()).await;
            let is_right = match fault {
                Fault::Delay(_) | Fault::StallInTheMiddle => matches!(error.problem, Problem::Stalled(_)),
                _ => matches!(error.problem, Problem::Connection(_)),
            };
            assert!(is_right, "{fault:?}: {error}");
            assert_eq!(error.again(), Again::Later);
        }
    }
}

#[tokio::test]
async fn statuses_are_told_apart() {
    let seconds = |seconds| Again::After(Duration::from_secs(seconds));
    for (status, wait, again, told) in [
        (400, None, Again::Never, "refused the request (400): FAULT status 400"),
        (403, None, Again::Never, "does not allow this (403): FAULT status 403"),
        (429, Some("7"), seconds(7), "too many requests (429)"),
        (429, Some("86400"), seconds(300), "too many requests (429)"),
        (429, Some("Sun, 06 Nov 1994 08:49:37 GMT"), seconds(0), "too many requests (429)"),
        (429, Some("soon"), Again::Later, "too many requests (429)"),
        (503, Some("3"), seconds(3), "failed (503)"),
        (500, None, Again::Later, "failed (500)"),
    ] {
        let error = failure(MANIFEST, Fault::Status(status, wait)).await;
        assert_eq!(error.again(), again, "{error}");
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[tokio::test]
async fn nobody_there_is_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let named: Reference = format!("{address}/kolla/base:1").parse().expect("a reference");
    let error = client().digest(&named).await.expect_err("nobody");
    assert!(error.to_string().contains("cannot reach the registry"), "{error}");
    assert_eq!(error.again(), Again::Later);
}
