//! `--smoke` against a real daemon, which must hold `debian:trixie`, and a registry.

use crate::support::project::Project;
use crate::support::real::{self, Images, docker};

const STACK: &str = "
docker_config:
  step_1:
    ID_cache:
      image: cache
      user: nobody
      stop_grace_period: 1
      volumes: ['data:/data']
      command: [bash, -c, 'trap exit TERM; touch /tmp/ready; while :; do sleep 0.1; done']
      healthcheck: {test: 'test -e /tmp/ready'}
  step_2:
    ID_web:
      image: web
      stop_grace_period: 1
      command: [bash, -c, 'trap exit TERM; serve; while :; do sleep 0.1; done']
      healthcheck: {test: 'test -e /tmp/served'}
";

const CHECKS: &str = "
default: {entrypoint: [], files: [/etc/os-release, /made], run: [bash --version, 'sh -c \"test -s /made\"']}
";

#[test]
#[ignore = "needs a real Docker engine and a registry"]
fn a_broken_image_is_not_in_the_registry_and_the_others_are() {
    let (registry, id) = (real::named("REAL_REGISTRY"), format!("smoke-test-{}", real::nonce()));
    let image = |name: &str| format!("{registry}/{id}/{name}:1");
    let _images = Images(["base", "cache", "web", "tool"].map(image).to_vec());
    let project = Project::empty()
        .file("images/base/Dockerfile.j2", "FROM debian:trixie\nCOPY made /made\n")
        .file("images/base/made", &id)
        .image("cache", Some("base"), "LABEL is=cache\n")
        .image("web", Some("base"), "COPY serve /usr/local/bin/serve\n")
        .image("tool", Some("base"), "LABEL is=tool\n")
        .file("images/web/serve", "")
        .file("s.yaml", &STACK.replace("ID", &id))
        .file("checks/all.yaml", CHECKS)
        .with_docker_host(&real::endpoint());
    let run = |serve: &str| {
        let path = project.path("images/web/serve");
        std::fs::write(&path, serve).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("our file");
        project.run([
            "--nopull",
            "--push",
            "--registry",
            &registry,
            "--namespace",
            &id,
            "--tag",
            "1",
            "--smoke=s.yaml",
            "--smoke-dir=checks",
            "--smoke-timeout=5",
        ])
    };
    let is_in_registry = |name: &str| {
        let url = format!("http://{registry}/v2/{id}/{name}/manifests/1");
        let accept = "Accept: application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json";
        let got =
            std::process::Command::new("curl").args(["-sf", "-o", "/dev/null", "-H", accept, &url]).status();
        got.expect("curl").success()
    };
    let in_registry = || ["base", "cache", "web", "tool"].map(is_in_registry);

    let broken = run("#!/bin/sh\nexit 1\n").exits(1);
    assert!(broken.stderr.contains("web Failed with status: error"), "{broken}");
    assert_eq!(in_registry(), [true, true, false, true], "{broken}");
    let whole = run("#!/bin/sh\ntouch /tmp/served\n").exits(0);
    assert_eq!(in_registry(), [true, true, true, true], "{whole}");
    for listed in [
        &["ps", "--all", "--quiet", "--filter", "label=managed_by=kolla-build"][..],
        &["volume", "ls", "--quiet", "--filter", "label=managed_by=kolla-build"],
    ] {
        assert_eq!(docker(listed), "", "{listed:?}");
    }
}
