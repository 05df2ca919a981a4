//! Engines that are reached over TLS, through ssh, and by Docker's contexts.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use kolla_build::util::hex::hex;
use rcgen::ExtendedKeyUsagePurpose;
use sha2::{Digest, Sha256};

use crate::support::certificates::{Authority, Callers, Inside};
use crate::support::docker::{FakeDocker, Fault};
use crate::support::project::{Project, Run, Running};
use crate::support::real::{self, Images};
use crate::support::sshd::Sshd;

/// A certificate authority, and a directory as `DOCKER_CERT_PATH` names one.
struct Certificates {
    authority: Authority,
    directory: tempfile::TempDir,
}

impl Certificates {
    fn new() -> Certificates {
        let certificates = Certificates {
            authority: Authority::new(),
            directory: tempfile::tempdir().expect("a directory"),
        };
        let (own, key) = certificates.authority.issue("client", ExtendedKeyUsagePurpose::ClientAuth);
        certificates.write("ca.pem", &certificates.authority.pem());
        certificates.write("cert.pem", &own.pem());
        certificates.write("key.pem", &key.serialize_pem());
        certificates
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path().join(name), content).expect("a file");
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Takes TLS connections from holders of our certificates and passes them on to a Unix socket; gives the port.
    fn guard(&self, socket: PathBuf) -> u16 {
        self.authority.guard("localhost", Callers::Ours, Inside::Unix(socket))
    }
}

fn socket_of(daemon: &FakeDocker) -> PathBuf {
    daemon.endpoint().strip_prefix("unix://").expect("a Unix socket").into()
}

/// Runs a build with these variables.
fn build(project: &Project, variables: &[(&str, &str)]) -> Run {
    let mut command = project.command(["^memcached$"]);
    command.env_remove("DOCKER_HOST").envs(variables.iter().copied());
    command.output().expect("the binary starts").into()
}

#[test]
fn an_engine_behind_tls_is_built_with() {
    let daemon = FakeDocker::with_base_image();
    let certificates = Certificates::new();
    let host = format!("tcp://localhost:{}", certificates.guard(socket_of(&daemon)));
    let path = certificates.path().to_str().expect("UTF-8");
    let variables = [("DOCKER_HOST", host.as_str()), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", path)];
    let run = build(&Project::new(), &variables).exits(0);
    assert!(run.stderr.contains(&format!("at {host} (API 1.41)")), "{run}");
    assert_eq!(daemon.order(), ["base", "memcached"]);
}

#[test]
fn who_can_t_be_trusted_is_not_talked_to() {
    let daemon = FakeDocker::with_base_image();
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let port = certificates.guard(socket_of(&daemon));
    let told = |host: &str, directory: &Path| {
        let path = directory.to_str().expect("UTF-8");
        let host = format!("tcp://{host}:{port}");
        let variables =
            [("DOCKER_HOST", host.as_str()), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", path)];
        build(&Project::new(), &variables).exits(1).stderr
    };
    let stranger = told("localhost", others.path());
    assert!(stranger.contains("invalid peer certificate"), "{stranger}");
    let other_name = told("127.0.0.1", certificates.path());
    assert!(other_name.contains("certificate not valid for name \"127.0.0.1\""), "{other_name}");
    std::fs::remove_file(certificates.path().join("key.pem")).expect("a file");
    let keyless = told("localhost", certificates.path());
    assert!(keyless.contains("cert.pem has no key.pem beside it"), "{keyless}");
    std::fs::remove_file(certificates.path().join("cert.pem")).expect("a file");
    let nobody = told("localhost", certificates.path());
    assert!(nobody.contains("CertificateRequired"), "{nobody}");
    let nothing = told("localhost", Path::new("/nowhere"));
    assert!(nothing.contains("none of ca.pem, cert.pem and key.pem is in /nowhere"), "{nothing}");
    assert_eq!(daemon.requests(), [""; 0]);
}

/// A program `ssh` that notes how it was called and joins its input and output to a Unix socket.
const SSH: &str = r#"#!/usr/bin/env python3
import os, socket, sys, threading
with open(os.environ["SSH_CALLS"], "a") as calls:
    print(*sys.argv[sys.argv.index("--"):], file=calls)
engine = socket.socket(socket.AF_UNIX)
engine.connect(os.environ["SSH_SOCKET"])
def upload():
    while data := os.read(0, 65536):
        engine.sendall(data)
    engine.shutdown(socket.SHUT_WR)
threading.Thread(target=upload, daemon=True).start()
while data := engine.recv(65536):
    os.write(1, data)
"#;

/// With a directory of programs that come before all others; gives the value of PATH too.
fn with_program(project: Project, name: &str, text: &str) -> (Project, String) {
    let project = project.file(&format!("bin/{name}"), text);
    let program = project.path(format!("bin/{name}"));
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let rest = std::env::var("PATH").expect("a PATH");
    let path = format!("{}:{rest}", project.path("bin").display());
    (project, path)
}

#[test]
fn an_engine_behind_ssh_is_built_with_and_a_context_may_name_it() {
    let daemon = FakeDocker::with_base_image();
    let (project, path) = with_program(Project::new(), "ssh", SSH);
    let context = hex(&Sha256::digest("remote"));
    let project = project.file(
        &format!("home/.docker/contexts/meta/{context}/meta.json"),
        r#"{"Name": "remote", "Endpoints": {"docker": {"Host": "ssh://kolla@builder"}}}"#,
    );
    let (calls, socket) = (project.path("calls"), socket_of(&daemon));
    for (name, value) in [("DOCKER_HOST", "ssh://kolla@builder"), ("DOCKER_CONTEXT", "remote")] {
        let variables = [
            ("PATH", path.as_str()),
            (name, value),
            ("SSH_CALLS", calls.to_str().expect("UTF-8")),
            ("SSH_SOCKET", socket.to_str().expect("UTF-8")),
        ];
        let run = build(&project, &variables).exits(0);
        assert!(run.stderr.contains("at ssh://kolla@builder (API 1.41)"), "{name}: {run}");
    }
    assert_eq!(daemon.order(), ["base", "memcached"]);
    assert!(project.read("calls").lines().all(|call| call == "-- builder docker system dial-stdio"));
    assert!(project.temporary_files().is_empty(), "{:?}", project.temporary_files());
}

#[test]
fn what_ssh_says_is_told() {
    let refusing = "#!/bin/sh\necho 'kolla@builder: Permission denied (publickey).' >&2\nexit 255\n";
    let (project, path) = with_program(Project::new(), "ssh", refusing);
    let run = build(&project, &[("PATH", &path), ("DOCKER_HOST", "ssh://kolla@builder")]).exits(1);
    let expected = "error: cannot reach the container engine at ssh://kolla@builder: \
                    kolla@builder: Permission denied (publickey).";
    assert!(run.tells(expected), "{run}");
}

#[test]
fn a_build_that_is_left_ends_its_ssh() {
    let daemon = FakeDocker::with_base_image().fail("base", Fault::Hangs);
    let (project, path) = with_program(Project::new(), "ssh", SSH);
    let (calls, socket) = (project.path("calls"), socket_of(&daemon));
    let mut command = project.command(["^memcached$"]);
    command
        .env("PATH", path)
        .env("DOCKER_HOST", "ssh://builder")
        .env("SSH_CALLS", calls)
        .env("SSH_SOCKET", &socket);
    let running = Running::spawn(command);
    daemon.wait_until("the build to start", |state| !state.builds.is_empty());
    running.signal("INT");
    running.end().exits(130);
    daemon.wait_until("the build to be left", |state| state.cancelled == ["base"]);
    assert!(UnixStream::connect(socket).is_ok(), "the engine lives on");
}

/// What a build through a real ssh comes to, of a client with these keys.
fn build_through(sshd: &Sshd, keys: [&str; 2], project: Project, more: &[&str]) -> Run {
    let [own, known] = keys;
    let (project, path) = with_program(project, "ssh", &sshd.client(own, known));
    let mut command = project.command(["--nopull", "--namespace", "kolla-build-ssh"].iter().chain(more));
    command.env_remove("DOCKER_HOST").env("PATH", path);
    let run = command.output().expect("the binary starts").into();
    assert!(project.temporary_files().is_empty(), "{:?}", project.temporary_files());
    run
}

#[test]
#[ignore = "needs a real Docker engine and sshd"]
fn both_builders_build_through_a_real_ssh_server() {
    let engine = real::endpoint();
    let sshd = Sshd::start(&engine);
    let endpoint = sshd.endpoint();
    for builder in ["--buildkit", "--nobuildkit"] {
        let tag = builder.trim_start_matches('-');
        let [base, service] = ["base", "service"].map(|image| format!("kolla-build-ssh/{image}:{tag}"));
        let _images = Images(vec![service.clone(), base]);
        let project = || {
            Project::empty()
                .image("base", None, &format!("RUN echo {} >/nonce\n", real::nonce()))
                .image("service", Some("base"), "COPY file /file\nRUN echo said; wc -c </file >/size\n")
                // More than what fits into one packet, or into what ssh lets be under way.
                .file("images/service/file", &"0123456789abcdef".repeat(256 * 1024))
        };
        let more = ["--engine-host", endpoint.as_str(), "--tag", tag, builder];
        let run = build_through(&sshd, ["client_key", "host_key"], project(), &more).exits(0);
        assert!(run.stderr.contains(&format!("at {endpoint} (API ")), "{run}");
        assert!(run.stderr.ends_with(": 2 images built\n"), "{run}");
        assert_eq!(real::run_in(&service, "cat /size"), "4194304");
    }
}

#[test]
#[ignore = "needs a real Docker engine and sshd"]
fn a_wrong_host_key_and_a_refused_key_are_told() {
    let engine = real::endpoint();
    let sshd = Sshd::start(&engine);
    let endpoint = sshd.endpoint();
    let told = |keys| {
        let more = ["--engine-host", endpoint.as_str()];
        let run = build_through(&sshd, keys, Project::empty().image("base", None, ""), &more).exits(1);
        let error =
            run.stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default().to_string();
        assert!(
            error.starts_with(&format!("error: cannot reach the container engine at {endpoint}: ")),
            "{run}"
        );
        let hint = "hint: ssh must get there, and run docker version, without a question";
        assert!(run.stderr.contains(hint), "{run}");
        error
    };
    let stranger = told(["client_key", "other_key"]);
    assert!(stranger.contains("Host key verification failed."), "{stranger}");
    let refused = told(["other_key", "host_key"]);
    assert!(refused.contains("Permission denied (publickey)."), "{refused}");
}
