//! The Docker engine against a daemon that fails on purpose.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use kolla_build::engine::docker::{Credentials, Docker, DockerHost, Endpoint};
use kolla_build::engine::{BuildOutput, BuildRequest, Engine, EngineError};
use kolla_build::model::platform::Arch;

use crate::support::built::{build, builder, named};
use crate::support::docker::{FakeDocker, Fault, PATIENCE};

const TAG: &str = "kolla/keystone:1";
const DOCKERFILE: &str = "FROM debian:trixie\nRUN first\nLABEL name=\"keystone\"\nRUN second\n";

async fn engine(daemon: &FakeDocker) -> Docker {
    let host = DockerHost::new(daemon.endpoint().parse().expect("a usable endpoint"), Credentials::default());
    host.connect().await.expect("an engine")
}

fn context() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("Dockerfile"), DOCKERFILE).expect("a file");
    dir
}

fn request(context: &Path, buildkit: bool) -> BuildRequest {
    BuildRequest {
        builder: builder(buildkit),
        network_mode: "host".to_string(),
        build_args: [("proxy".to_string(), "http://p:1".to_string())].into(),
        labels: [("kolla_version".to_string(), "1".to_string())].into(),
        ..BuildRequest::new(context, named(TAG), Arch::X86_64.into())
    }
}

/// Waits until something is so, while what runs beside it goes on.
async fn until(condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Builds with both builders at daemons that have the fault; gives both errors.
async fn failures(fault: Fault) -> [EngineError; 2] {
    let one = async |buildkit| {
        let daemon = FakeDocker::start().fail("keystone", fault.clone());
        let context = context();
        let (result, _) = build(&engine(&daemon).await, &request(context.path(), buildkit)).await;
        assert_eq!(daemon.image(TAG), None);
        result.expect_err("it was told to fail")
    };
    [one(false).await, one(true).await]
}

#[tokio::test]
async fn a_build_sends_the_context_and_all_that_was_asked_for() {
    for (daemon, buildkit) in [(FakeDocker::start(), true), (FakeDocker::start_on_tcp(), false)] {
        let context = context();
        std::fs::create_dir(context.path().join("etc")).expect("a directory");
        std::fs::write(context.path().join("etc/file"), vec![b'x'; 300_000]).expect("a file");
        let docker = engine(&daemon).await;
        assert_eq!(docker.facts().api_version, "1.41");
        let (image, said) = build(&docker, &request(context.path(), buildkit)).await;
        let image = image.expect("built");

        let build = &daemon.builds()[0];
        assert_eq!(build.image, "keystone");
        assert_eq!(build.dockerfile(), DOCKERFILE);
        assert_eq!(build.files["etc/file"].len(), 300_000);
        let expected = [
            ("buildargs", r#"{"proxy":"http://p:1"}"#),
            ("forcerm", "1"),
            ("labels", r#"{"kolla_version":"1"}"#),
            ("networkmode", "host"),
            ("nocache", "0"),
            ("platform", "linux/amd64"),
            ("pull", "0"),
            ("rm", "1"),
            ("t", TAG),
            ("version", if buildkit { "2" } else { "1" }),
        ];
        assert_eq!(build.query, expected.map(|(name, value)| (name.to_string(), value.to_string())).into());

        assert_eq!(
            (image.labels["name"].as_str(), image.labels["kolla_version"].as_str()),
            ("keystone", "1")
        );
        assert_eq!(docker.inspect((&named(TAG)).into()).await.expect("an answer"), Some(image));
        assert!(said.contains(&BuildOutput::Line("output of RUN first".to_string())), "{said:?}");
        let info = buildkit.then_some("GET /v1.41/info");
        let requests = ["POST /v1.41/build", "GET /v1.41/images/kolla/keystone:1/json"];
        let requests: Vec<_> = ["GET /version"].into_iter().chain(info).chain(requests).collect();
        assert_eq!(daemon.requests()[..requests.len()], requests);
        let steps = said.iter().filter(|output| matches!(output, BuildOutput::Step { .. })).count();
        assert_eq!(steps, if buildkit { 3 } else { 4 });
    }
}

#[tokio::test]
async fn a_failed_step_is_a_failed_build() {
    let fault = Fault::Fails { message: "exit code: 7".to_string(), log: "E: no such package".to_string() };
    for error in failures(fault).await {
        let EngineError::Build(message) = error else { panic!("{error:?}") };
        assert!(message.contains("exit code: 7\n"), "{message}");
        assert!(message.ends_with("\n  E: no such package"), "{message}");
    }
}

#[tokio::test]
async fn a_refusal_keeps_the_daemon_s_words() {
    for error in failures(Fault::Refused(500, "no space left on device".to_string())).await {
        let EngineError::Refused { status: 500, message } = error else { panic!("{error:?}") };
        assert_eq!(message, "no space left on device");
    }
}

#[tokio::test]
async fn a_refusal_is_heard_while_a_large_context_is_on_its_way() {
    let daemon = FakeDocker::start().fail("keystone", Fault::Refused(400, "bad platform".to_string()));
    let context = context();
    let file = std::fs::File::create(context.path().join("large")).expect("a file");
    file.set_len(64 << 20).expect("a sparse file");
    let (result, _) = build(&engine(&daemon).await, &request(context.path(), true)).await;
    assert!(matches!(&result, Err(EngineError::Refused { status: 400, .. })), "{result:?}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_lost() {
    for fault in [
        Fault::CutBefore,
        Fault::CutAfterMessages(0),
        Fault::CutAfterMessages(2),
        Fault::CutAtEnd,
        Fault::HalfChunk,
    ] {
        for error in failures(fault.clone()).await {
            assert!(matches!(error, EngineError::ConnectionLost { .. }), "{fault:?}: {error:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_ends_early_is_no_success_even_if_the_tag_exists() {
    for fault in [Fault::EndsAfterMessages(0), Fault::EndsAfterMessages(2)] {
        let daemon = FakeDocker::start().hold(TAG, "amd64").fail("keystone", fault);
        let context = context();
        for buildkit in [false, true] {
            let (result, _) = build(&engine(&daemon).await, &request(context.path(), buildkit)).await;
            assert!(matches!(&result, Err(EngineError::ConnectionLost { .. })), "{result:?}");
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_is_garbage() {
    for fault in [Fault::NoHttp, Fault::NoJson, Fault::BadChunk] {
        for error in failures(fault.clone()).await {
            assert!(matches!(error, EngineError::Garbage { .. }), "{fault:?}: {error:?}");
        }
    }
}

#[tokio::test]
async fn an_image_for_another_architecture_is_refused() {
    let daemon = FakeDocker::start().fail("keystone", Fault::BuiltFor("arm64".to_string()));
    let context = context();
    let (result, _) = build(&engine(&daemon).await, &request(context.path(), true)).await;
    let error = result.expect_err("the wrong architecture");
    assert!(
        matches!(&error, EngineError::WrongPlatform { found, .. } if found == "linux/arm64"),
        "{error:?}"
    );
    let told = error.to_string();
    assert!(told.starts_with("kolla/keystone:1 is for linux/arm64, and linux/amd64 was asked for"), "{told}");
    assert_eq!(daemon.image(TAG), None, "a wrong image keeps no name that looks right");
}

#[tokio::test]
async fn a_pull_that_brings_another_architecture_is_refused() {
    let daemon = FakeDocker::start().hold("debian:trixie", "arm64");
    let result = engine(&daemon).await.pull(&named("debian:trixie"), Arch::X86_64.into(), &|_| {}).await;
    assert!(matches!(&result, Err(EngineError::WrongPlatform { .. })), "{result:?}");
}

#[tokio::test]
async fn dropping_a_build_closes_its_connection() {
    let daemon = FakeDocker::start().fail("keystone", Fault::Hangs);
    let context = context();
    for (earlier, buildkit) in [false, true].into_iter().enumerate() {
        let (docker, request) = (engine(&daemon).await, request(context.path(), buildkit));
        tokio::select! {
            ended = build(&docker, &request) => panic!("a build that hangs has ended: {ended:?}"),
            () = until(|| daemon.builds().len() > earlier) => {}
        }
        until(|| daemon.cancelled().len() > earlier).await;
    }
}

#[tokio::test]
async fn a_context_that_cannot_be_read_is_named_and_builds_nothing() {
    let daemon = FakeDocker::start();
    let missing = Path::new("/nowhere/at/all");
    for buildkit in [false, true] {
        let (result, _) = build(&engine(&daemon).await, &request(missing, buildkit)).await;
        let error = result.expect_err("there is nothing to send");
        assert!(matches!(error, EngineError::Context { .. }), "{error:?}");
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
    assert_eq!(daemon.order(), [""; 0]);
}

#[tokio::test]
async fn no_daemon_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let stale = dir.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).expect("a socket"));
    for (socket, word) in [(dir.path().join("none.sock"), "installed"), (stale, "running")] {
        let host = DockerHost::new(Endpoint::Unix(socket.clone()), Credentials::default());
        let error = host.connect().await.expect_err("nobody is there");
        assert!(matches!(error, EngineError::Unreachable { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(word) && message.contains(&socket.display().to_string()), "{message}");
    }
}

#[tokio::test]
async fn a_daemon_that_dies_is_lost_and_then_gone() {
    let daemon = FakeDocker::start().fail("keystone", Fault::Hangs);
    let context = context();
    let (docker, request) = (engine(&daemon).await, request(context.path(), true));
    let death = async {
        until(|| !daemon.builds().is_empty()).await;
        daemon.die();
    };
    let ((result, _), ()) = futures_util::future::join(build(&docker, &request), death).await;
    assert!(matches!(&result, Err(EngineError::ConnectionLost { .. })), "{result:?}");
    let error = docker.ping().await.expect_err("it is dead");
    assert!(matches!(error, EngineError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn builds_run_beside_each_other_until_the_daemon_dies() {
    let daemon = FakeDocker::start().gather(3).die_after(3);
    let context = context();
    let docker = engine(&daemon).await;
    let names = ["a", "b", "c"];
    let requests = names
        .map(|name| BuildRequest { tag: named(&format!("kolla/{name}:1")), ..request(context.path(), true) });
    let builds = requests.iter().map(|request| build(&docker, request));
    for (result, _) in futures_util::future::join_all(builds).await {
        result.expect("built");
    }
    assert_eq!(daemon.most_running(), 3);
    let (result, _) = build(&docker, &requests[0]).await;
    assert!(matches!(&result, Err(EngineError::ConnectionLost { .. })), "{result:?}");
    let error = docker.ping().await.expect_err("it is dead");
    assert!(matches!(error, EngineError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_fault_that_passes_does_not_stay() {
    let daemon = FakeDocker::start().fail_times("keystone", 1, Fault::CutBefore);
    let context = context();
    let (docker, request) = (engine(&daemon).await, request(context.path(), true));
    assert!(build(&docker, &request).await.0.is_err());
    build(&docker, &request).await.0.expect("the second try succeeds");
    assert_eq!(daemon.order(), ["keystone", "keystone"]);
}

#[tokio::test]
async fn an_image_that_is_not_there_is_no_error() {
    let daemon = FakeDocker::start();
    assert_eq!(
        engine(&daemon).await.inspect((&named("kolla/none:1")).into()).await.expect("an answer"),
        None
    );
}

#[tokio::test]
async fn a_push_gives_the_digest() {
    let daemon = FakeDocker::start().hold("127.0.0.1:5000/kolla/keystone:2026.2", "amd64");
    let said = Mutex::new(Vec::new());
    let reference = "127.0.0.1:5000/kolla/keystone:2026.2";
    let named = named(reference);
    let digest =
        engine(&daemon).await.push(&named, &|output| said.lock().expect("no panic").push(output)).await;
    assert!(digest.expect("pushed").is_some());
    assert_eq!(daemon.pushes(), [reference]);
    assert!(said.into_inner().expect("no panic").contains(&BuildOutput::Line("Pushed".to_string())));
}

#[tokio::test]
async fn a_push_that_fails_says_why() {
    let fails = Fault::Fails { message: "denied: no access".to_string(), log: String::new() };
    let daemon = FakeDocker::start().hold(TAG, "amd64").fail_push("keystone", fails);
    let result = engine(&daemon).await.push(&named(TAG), &|_| {}).await;
    assert!(
        matches!(&result, Err(EngineError::Push(message)) if message == "denied: no access"),
        "{result:?}"
    );

    let daemon = FakeDocker::start().hold(TAG, "amd64").fail_push("keystone", Fault::CutAfterMessages(1));
    let result = engine(&daemon).await.push(&named(TAG), &|_| {}).await;
    assert!(matches!(&result, Err(EngineError::ConnectionLost { .. })), "{result:?}");

    let result = engine(&daemon).await.push(&named("kolla/none:1"), &|_| {}).await;
    assert!(matches!(&result, Err(EngineError::Refused { status: 404, .. })), "{result:?}");
}

#[tokio::test]
async fn an_image_is_looked_up_for_a_platform() {
    const BOTH: &str = "debian:both";
    let held = || FakeDocker::start().hold(BOTH, "amd64").hold("debian:arm", "arm64");
    // The older one has one image under a name, the newer one may have several.
    for (daemon, has_arm) in [(held(), false), (held().hold_beside(BOTH, "arm64"), true)] {
        let engine = engine(&daemon).await;
        let found = async |reference: &str, arch: Arch| {
            engine
                .inspect_for(&named(reference), arch.into())
                .await
                .expect("an answer")
                .map(|image| image.architecture)
        };
        assert_eq!(found(BOTH, Arch::X86_64).await.as_deref(), Some("amd64"));
        assert_eq!(found(BOTH, Arch::Aarch64).await.as_deref(), has_arm.then_some("arm64"));
        assert_eq!(found("debian:arm", Arch::Aarch64).await.as_deref(), Some("arm64"));
        assert_eq!(found("debian:arm", Arch::X86_64).await, None);
        assert_eq!(found("debian:none", Arch::X86_64).await, None);
    }
}
