//! The Docker engine against a real daemon: `DOCKER_HOST` or the default socket must answer, be of this machine's
//! architecture, and hold `debian:trixie`. Pushes go to the registry that `REAL_REGISTRY` names.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use kolla_build::engine::docker::{Credentials, Docker, DockerHost, Endpoint};
use kolla_build::engine::{BuildOutput, BuildRequest, Engine, EngineError};
use kolla_build::model::platform::{Arch, Platform};

use crate::support::built::{build, builder, named};
use crate::support::real;

/// The daemon's engine.
async fn real_docker() -> Docker {
    let endpoint: Endpoint =
        real::endpoint().parse().expect("DOCKER_HOST names an endpoint that can be used");
    DockerHost::new(endpoint, Credentials::default()).connect().await.expect("a daemon")
}

fn request(context: &Path, name: &str, buildkit: bool) -> BuildRequest {
    let tag = format!("kolla-build-test/{name}:{}", if buildkit { "buildkit" } else { "classic" });
    BuildRequest {
        no_cache: true,
        builder: builder(buildkit),
        network_mode: "host".to_string(),
        ..BuildRequest::new(context, named(&tag), Arch::host().into())
    }
}

fn context(dockerfile: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("Dockerfile"), dockerfile).expect("a file");
    dir
}

#[tokio::test]
#[ignore = "needs a real Docker engine"]
async fn tells_what_it_is() {
    let docker = real_docker().await;
    let facts = docker.facts();
    assert_eq!(facts.architecture, Some(Arch::host()));
    assert!(facts.name.starts_with("Docker ") || facts.name.starts_with("Podman "), "{facts:?}");
}

#[tokio::test]
#[ignore = "needs a real Docker engine"]
async fn both_builders_build_copies_and_labels() {
    let docker = real_docker().await;
    for buildkit in [false, true] {
        let dir = context("FROM scratch\nARG flavour\nLABEL own=$flavour\nCOPY file /file\n");
        std::fs::write(dir.path().join("file"), "content").expect("a file");
        let mut request = request(dir.path(), "copy", buildkit);
        request.labels.insert("given".to_string(), "with the request".to_string());
        request.build_args.insert("flavour".to_string(), "a & b".to_string());
        let (image, said) = build(&docker, &request).await;
        let image = image.expect("built");
        assert_eq!(image.labels["given"], "with the request");
        assert_eq!(image.labels["own"], "a & b");
        assert!(image.id.as_str().starts_with("sha256:") && image.size > 0, "{image:?}");
        assert_eq!(docker.inspect((&request.tag).into()).await.expect("an answer"), Some(image));
        let copy = |output: &BuildOutput| {
            matches!(output, BuildOutput::Step { number, total, text }
                if *number > 0 && number <= total && text == "COPY file /file")
        };
        assert!(said.iter().any(copy), "buildkit={buildkit}: {said:?}");
    }
}

#[tokio::test]
#[ignore = "needs a real Docker engine"]
async fn a_failing_step_is_told_with_its_last_lines() {
    let docker = real_docker().await;
    for buildkit in [false, true] {
        let dir = context(
            "FROM debian:trixie\nRUN echo of an earlier step\n\
             RUN printf '10%%\\r90%%\\r\\033[31mred\\033[0m line\\n'; printf 'no line end'; exit 7\n",
        );
        let request = request(dir.path(), "failing", buildkit);
        let (result, said) = build(&docker, &request).await;
        let Err(EngineError::Build(message)) = result else { panic!("buildkit={buildkit}: {result:?}") };
        assert!(message.contains("exit 7") && message.contains("code: 7"), "{message}");
        assert!(message.ends_with("\n  red line\n  no line end"), "buildkit={buildkit}: {message}");
        assert!(said.contains(&BuildOutput::Line("red line".to_string())), "buildkit={buildkit}: {said:?}");
        assert!(said.contains(&BuildOutput::Line("of an earlier step".to_string())), "{said:?}");
        assert_eq!(docker.inspect((&request.tag).into()).await.expect("an answer"), None);
    }
}

#[tokio::test]
#[ignore = "needs a real Docker engine"]
async fn arguments_longer_than_a_uri_arrive_and_lines_without_end_are_told() {
    let docker = real_docker().await;
    for buildkit in [false, true] {
        let dir =
            context("FROM debian:trixie\nARG bundle\nRUN printf \"$bundle\" | wc -c; printf 'no line end'\n");
        let mut request = request(dir.path(), "long", buildkit);
        request.build_args.insert("bundle".to_string(), "+/ \n".repeat(30_000));
        let (image, said) = build(&docker, &request).await;
        image.expect("built");
        for line in ["120000", "no line end"] {
            assert!(said.contains(&BuildOutput::Line(line.to_string())), "buildkit={buildkit}: {line}");
        }
    }
}

#[tokio::test]
#[ignore = "needs a real Docker engine"]
async fn a_dockerfile_that_can_t_be_read_is_a_failed_build() {
    let docker = real_docker().await;
    for buildkit in [false, true] {
        let dir = context("FROM scratch\nFRUM x\n");
        let (result, _) = build(&docker, &request(dir.path(), "syntax", buildkit)).await;
        let message = result.expect_err("no instruction").to_string();
        assert!(message.contains("FRUM"), "buildkit={buildkit}: {message}");
    }
}

#[tokio::test]
#[ignore = "needs a real Docker engine"]
async fn the_network_mode_reaches_run_steps() {
    let docker = real_docker().await;
    for buildkit in [false, true] {
        let dir = context("FROM debian:trixie\nRUN ls /sys/class/net | sort | tr '\\n' ' '; echo; false\n");
        let mut request = request(dir.path(), "network", buildkit);
        request.network_mode = "none".to_string();
        let (_, said) = build(&docker, &request).await;
        assert!(said.contains(&BuildOutput::Line("lo ".to_string())), "buildkit={buildkit}: {said:?}");
    }
}

async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..300 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("waited 30 seconds for {what}");
}

#[tokio::test]
#[ignore = "needs a real Docker engine"]
async fn dropping_a_build_stops_its_steps() {
    let docker = real_docker().await;
    for (buildkit, seconds) in [(false, "318.25"), (true, "319.25")] {
        let dir = context(&format!("FROM debian:trixie\nRUN sleep {seconds}\n"));
        let request = request(dir.path(), "cancelled", buildkit);
        {
            let mut building = std::pin::pin!(build(&docker, &request));
            tokio::select! {
                (result, _) = &mut building => panic!("it ended by itself: {result:?}"),
                () = wait_until("the step to start", || real::runs_with_argument(seconds)) => {}
            }
        }
        wait_until("the step to stop", || !real::runs_with_argument(seconds)).await;
    }
}

#[tokio::test]
#[ignore = "needs a real Docker engine"]
async fn a_base_image_of_another_architecture_is_noticed() {
    let docker = real_docker().await;
    let other = match Arch::host() {
        Arch::X86_64 => Arch::Aarch64,
        Arch::Aarch64 => Arch::X86_64,
    };
    // The tag names an image of this machine's architecture.
    let dir = context("FROM debian:trixie\nLABEL a=b\n");
    let mut request = request(dir.path(), "platform", false);
    request.platform = Platform::new(other);
    // Newer engines notice by themselves, and then do ask a registry; Docker 20.10 builds, and says nothing.
    let (result, _) = build(&docker, &request).await;
    let noticed = matches!(&result, Err(EngineError::WrongPlatform { .. } | EngineError::Build(_)));
    assert!(noticed, "{result:?}");
    assert_eq!(docker.inspect((&request.tag).into()).await.expect("an answer"), None);
    // From nothing, both builders give what is asked for.
    let dir = context("FROM scratch\nCOPY Dockerfile /\n");
    for buildkit in [false, true] {
        let tag = format!("kolla-build-test/scratch:{}", if buildkit { "buildkit" } else { "classic" });
        let mut request =
            BuildRequest { context: dir.path().to_path_buf(), builder: builder(buildkit), ..request.clone() };
        request.tag = named(&tag);
        let (result, _) = build(&docker, &request).await;
        assert_eq!(result.expect("built").architecture, other.debian());
    }
}

#[tokio::test]
#[ignore = "needs a real Docker engine"]
async fn a_push_that_no_registry_takes_is_told() {
    let docker = real_docker().await;
    let dir = context("FROM scratch\nCOPY Dockerfile /\n");
    let mut request = request(dir.path(), "pushed", true);
    // Port 9 is "discard": nothing listens there.
    request.tag = named("127.0.0.1:9/kolla-build-test/pushed:1");
    build(&docker, &request).await.0.expect("built");
    let result = docker.push(&request.tag, &|_| {}).await;
    let Err(EngineError::Push(message)) = result else { panic!("{result:?}") };
    assert!(message.contains("127.0.0.1:9"), "{message}");
}

#[tokio::test]
#[ignore = "needs a real Docker engine and a registry"]
async fn a_push_gives_the_digest_that_the_registry_knows() {
    let docker = real_docker().await;
    let registry = real::named("REAL_REGISTRY");
    let dir = context("FROM scratch\nCOPY Dockerfile /\n");
    let mut request = request(dir.path(), "pushed", true);
    request.tag = named(&format!("{registry}/kolla-build-test/pushed:1"));
    build(&docker, &request).await.0.expect("built");
    let said = Mutex::new(Vec::new());
    let digest = docker.push(&request.tag, &|output| said.lock().expect("no panic").push(output)).await;
    let said = said.into_inner().expect("no panic");
    assert!(digest.expect("pushed").is_some(), "no digest in {said:?}");
    assert!(said.contains(&BuildOutput::Line("Pushed".to_string())), "{said:?}");
}
