//! Pushes from the real daemon to real registries (`tests/host/with-registry`), also through a proxy that spoils them.

use std::collections::BTreeMap;
use std::time::Duration;

use kolla_build::engine::docker::DockerHost;
use kolla_build::engine::{Engine, EngineError};
use kolla_build::model::platform::Arch;
use kolla_build::model::reference::Reference;
use kolla_build::registry::credentials::Credentials;
use kolla_build::registry::error::Problem;
use kolla_build::registry::{Registries, Trust};

use crate::support::built::named;
use crate::support::project::{Project, Run};
use crate::support::proxy::{Fault, Proxy};
use crate::support::real::{self, Images};

/// Everything that is attached, and the manifest that names it.
const DOCUMENTED: [&str; 6] = ["--sbom", "made", "--provenance", "made", "--release", "release.json"];

const IMAGES: [&str; 3] = ["base", "keystone", "nova"];

/// A tree whose images take no time to build, in a namespace of its own.
struct Setting {
    project: Project,
    registry: String,
    namespace: String,
    _images: Images,
}

impl Setting {
    fn new(registry: &str, namespace: &str) -> Setting {
        let namespace = format!("kolla-build-test-{namespace}");
        let project = Project::empty()
            .file("images/base/Dockerfile.j2", "FROM scratch\nCOPY content /base\n")
            .image("keystone", Some("base"), "COPY content /keystone\n")
            .image("nova", Some("base"), "COPY content /nova\n")
            .with_docker_host(&real::endpoint());
        // Content of its own: nothing of another run is in the registry.
        let unique = |image: &str| format!("{image} of {namespace} in {}\n", std::process::id());
        let project = IMAGES
            .iter()
            .fold(project, |project, image| project.file(&format!("images/{image}/content"), &unique(image)));
        let images = IMAGES.iter().map(|image| format!("{registry}/{namespace}/{image}:1")).collect();
        Setting { project, registry: registry.to_string(), namespace, _images: Images(images) }
    }

    fn log_in(self, user: &str, password: &str) -> Setting {
        let project = self.project.log_in(&self.registry, user, password);
        Setting { project, ..self }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let common = ["--registry", &self.registry, "--namespace", &self.namespace, "--tag", "1"];
        self.project.run(common.iter().chain(arguments))
    }

    fn push(&self, arguments: &[&str]) -> Run {
        let common = ["--push", "--push-threads", "3", "--digests", "digests.json"];
        self.run(&common.iter().chain(arguments).copied().collect::<Vec<_>>())
    }

    fn reference(&self, image: &str) -> Reference {
        format!("{}/{}/{image}:1", self.registry, self.namespace).parse().expect("a reference")
    }

    /// The digests that the run told.
    fn digests(&self) -> BTreeMap<String, String> {
        let told: serde_json::Value = serde_json::from_str(&self.project.read("digests.json")).expect("JSON");
        let digest = |facts: &serde_json::Value| facts["digest"].as_str().expect("text").to_string();
        told.as_object().expect("a map").iter().map(|(image, facts)| (image.clone(), digest(facts))).collect()
    }
}

fn client(credentials: Credentials, trust: Trust) -> Registries {
    Registries::new(credentials, trust, Duration::from_secs(20))
}

/// What the registry has under each image's tag.
async fn digests_at(setting: &Setting, client: &Registries) -> BTreeMap<String, String> {
    let mut digests = BTreeMap::new();
    for image in IMAGES {
        let digest = client.digest(&setting.reference(image)).await.expect("an answer").expect("pushed");
        digests.insert(image.to_string(), digest.to_string());
    }
    digests
}

#[tokio::test]
#[ignore = "needs a real Docker engine and a registry"]
async fn everything_arrives_as_it_is_told_and_is_reused_verified_and_retagged() {
    let registry = real::named("REAL_REGISTRY");
    let setting = Setting::new(&registry, "plain");
    setting.push(&[]).exits(0);
    let client = client(Credentials::default(), Trust::default());
    assert_eq!(setting.digests(), digests_at(&setting, &client).await);
    setting.run(&["--verify-registry"]).exits(0);
    for image in IMAGES {
        real::docker(&["image", "rm", &setting.reference(image).to_string()]);
    }
    let run = setting.run(&["--reuse", "registry"]).exits(0);
    assert!(run.stderr.contains("0 images built, 3 unchanged"), "{run}");
    // A child that has changed is built on its parent from the registry, by either builder.
    for builder in ["--buildkit", "--nobuildkit"] {
        let content = setting.project.path("images/keystone/content");
        std::fs::write(content, format!("changed for {builder} in {}\n", std::process::id()))
            .expect("a file");
        let run = setting.push(&["--reuse", "registry", builder]).exits(0);
        assert!(run.stderr.contains("1 image built, 2 unchanged"), "{run}");
        assert_eq!(setting.digests(), digests_at(&setting, &client).await);
        setting.run(&["--verify-registry"]).exits(0);
    }
    setting.run(&["--retag", "1:stable", "--push-threads", "3"]).exits(0);
    for image in IMAGES {
        let stable = Reference { tag: Some("stable".to_string()), ..setting.reference(image) };
        let digest = client.digest(&stable).await.expect("an answer").expect("retagged");
        assert_eq!(digest.to_string(), setting.digests()[image]);
    }
}

#[tokio::test]
#[ignore = "needs a real Docker engine and a registry"]
async fn a_registry_with_a_password_takes_the_right_one_only() {
    let registry = real::named("REAL_REGISTRY_HTPASSWD");
    let setting = Setting::new(&registry, "htpasswd");
    let run = setting.push(&["^base$"]).exits(1);
    assert!(run.stderr.contains("nothing, for there are no credentials for"), "{run}");
    let setting = setting.log_in("builder", "wrong-password");
    let run = setting.push(&["^base$"]).exits(1);
    assert!(run.stderr.contains(".docker/config.json holds for"), "{run}");
    assert!(!run.stderr.contains("wrong-password") && !run.stderr.contains("attempt 2"), "{run}");
    let setting = setting.log_in("builder", "hunter2");
    let run = setting.push(&DOCUMENTED).exits(0);
    assert!(!run.stderr.contains("hunter2"), "{run}");
    setting.run(&["--verify-registry"]).exits(0);
    setting.run(&["--verify-registry", "--from-release", "release.json"]).exits(0);
    setting.run(&["--retag", "1:stable", "--from-release", "release.json"]).exits(0);
    let credentials = Credentials::load(&setting.project.path("home/.docker"), Duration::from_secs(60));
    assert_eq!(setting.digests(), digests_at(&setting, &client(credentials, Trust::default())).await);
}

#[tokio::test]
#[ignore = "needs a real Docker engine and a registry"]
async fn a_registry_with_a_private_authority_is_trusted_by_it_alone() {
    let registry = real::named("REAL_REGISTRY_TLS");
    let authority = real::named("REAL_REGISTRY_CA");
    let setting = Setting::new(&registry, "tls");
    setting.push(&[&["--registry-ca", &authority], DOCUMENTED.as_slice()].concat()).exits(0);
    let verify = ["--verify-registry", "--from-release", "release.json", "--registry-ca", &authority];
    setting.run(&verify).exits(0);
    let certificates = tempfile::tempdir().expect("a directory");
    let trust = Trust { certificate_dirs: vec![certificates.path().to_path_buf()], ..Trust::default() };
    let of_registry = certificates.path().join(&registry);
    std::fs::create_dir(&of_registry).expect("a directory");
    std::fs::copy(&authority, of_registry.join("ca.crt")).expect("copied");
    let trusting = client(Credentials::default(), trust.clone());
    assert_eq!(setting.digests(), digests_at(&setting, &trusting).await);
    // Another authority's word does not count.
    let other = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=other"])
        .args(["-keyout", "/dev/null", "-out"])
        .arg(of_registry.join("ca.crt"))
        .output();
    assert!(other.expect("openssl runs").status.success());
    let refusing = client(Credentials::default(), trust);
    let error = refusing.digest(&setting.reference("base")).await.expect_err("not trusted");
    assert!(matches!(error.problem, Problem::Untrusted(_)), "{error}");
}

#[tokio::test]
#[ignore = "needs a real Docker engine and a registry"]
async fn what_is_spoiled_on_the_way_arrives_once_all_the_same() {
    let registry = real::named("REAL_REGISTRY");
    let proxy = Proxy::before(&registry);
    let setting = Setting::new(proxy.address(), "spoiled");
    let path = |image: &str, rest: &str| format!("/{}/{image}/{rest}", setting.namespace);
    proxy.spoil("POST", &path("base", "blobs/uploads/"), Fault::Delay(Duration::from_millis(300)));
    proxy.spoil("PATCH", &path("base", "blobs/uploads/"), Fault::Cut);
    proxy.spoil("PUT", &path("base", "manifests/"), Fault::Status(500, None));
    proxy.spoil("HEAD", &path("base", "manifests/"), Fault::CutAnswer);
    proxy.spoil("PUT", &path("keystone", "manifests/"), Fault::Status(429, None));
    proxy.spoil("HEAD", &path("keystone", "manifests/"), Fault::Status(429, Some("2")));
    proxy.spoil("POST", &path("nova", "blobs/uploads/"), Fault::Status(503, None));
    proxy.spoil("HEAD", &path("nova", "manifests/"), Fault::Status(502, None));
    let run = setting.push(&[]).exits(0);
    assert_eq!(proxy.faults_left(), 0, "{run}");
    let client = client(Credentials::default(), Trust::default());
    assert_eq!(setting.digests(), digests_at(&setting, &client).await, "{run}");
    assert!(run.stderr.contains("trying again in 2.0 s, as it asks (Retry-After)"), "{run}");
    // Each manifest and each blob was taken once, and none of an image that was there already.
    let taken: Vec<_> =
        proxy.passed().into_iter().filter(|it| it.method == "PUT" && it.status == 201).collect();
    let mut paths: Vec<&str> = taken.iter().map(|it| it.path.as_str()).collect();
    let all = paths.len();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), all, "{taken:?}");
    for image in IMAGES {
        assert!(paths.iter().any(|it| it.ends_with(&path(image, "manifests/1"))), "{paths:?}");
    }
}

#[tokio::test]
#[ignore = "needs a real Docker engine and a registry"]
async fn a_registry_that_takes_or_gives_nothing_more_is_given_up() {
    let registry = real::named("REAL_REGISTRY");
    let proxy = Proxy::before(&registry);
    let for_ever = Fault::Delay(Duration::from_secs(3600));
    let setting = Setting::new(proxy.address(), "takes-nothing");
    proxy.spoil("PATCH", &format!("/{}/base/blobs/uploads/", setting.namespace), for_ever.clone());
    // An engine of 20.10 joins a further try to the one that it can't end.
    let run = setting.push(&["--timeout", "3", "--retries", "0", "^base$"]).exits(1);
    let told = "has made no progress with the image or its registry for 3 s (option timeout)";
    assert!(run.stderr.contains(told), "{run}");
    assert_eq!(proxy.faults_left(), 0);

    let setting = Setting::new(proxy.address(), "gives-nothing");
    setting.push(&["^base$"]).exits(0);
    let base = setting.reference("base").to_string();
    real::docker(&["image", "rm", &base]);
    proxy.spoil("GET", &format!("/{}/base/manifests/", setting.namespace), for_ever);
    let endpoint = real::endpoint().parse().expect("an endpoint");
    let patience = Duration::from_secs(3);
    let host = DockerHost { patience, ..DockerHost::new(endpoint, Credentials::default()) };
    let docker = host.connect().await.expect("an engine");
    let pulled = docker.pull(&named(&base), Arch::host().into(), &|_| {}).await;
    assert!(matches!(pulled, Err(EngineError::Stalled { .. })), "{pulled:?}");
}

#[tokio::test]
#[ignore = "needs a real Docker engine and a registry"]
async fn another_digest_is_a_failed_push_and_costs_no_other_image() {
    let registry = real::named("REAL_REGISTRY");
    let proxy = Proxy::before(&registry);
    let setting = Setting::new(proxy.address(), "digest");
    let other = format!("sha256:{}", "0".repeat(64));
    proxy.spoil("HEAD", &format!("{}/nova/manifests/", setting.namespace), Fault::Digest(other.clone()));
    let run = setting.push(&[]).exits(1);
    let summary = run.summary();
    assert_eq!(summary["failed"], serde_json::json!([{"name": "nova", "status": "push_error"}]));
    let pushed = client(Credentials::default(), Trust::default()).digest(&setting.reference("nova")).await;
    let pushed = pushed.expect("an answer").expect("pushed");
    assert!(
        run.stderr.contains(&format!("the engine pushed {pushed}, and the registry has {other}")),
        "{run}"
    );
    assert_eq!(setting.digests().keys().collect::<Vec<_>>(), ["base", "keystone"]);
}
