//! What is refused before the first build: secrets that can't be had, and what an engine can't do; and passwords of
//! proxies. That secrets are nowhere but in reach of RUN steps, `engines` tests.

use crate::support::docker::FakeDocker;
use crate::support::project::{Project, Run};
use crate::support::real::{self, Images};
use crate::support::saved::{Saved, files_with};

const NAMESPACE: &str = "kolla-build-test";

#[test]
fn what_can_t_be_had_ends_the_run_before_the_first_build() {
    let daemon = FakeDocker::with_base_image();
    let project = Project::new().with_engine(&daemon).file("empty", "");
    for (arguments, code, words) in [
        (&["--secret", "id=a,env=NONE"][..], 2, "cannot read the secret 'a': the variable NONE is not set"),
        (&["--secret", "id=a,src=empty"], 2, "cannot read the secret 'a': empty is empty"),
        (&["--secret", "id=a,src=none"], 2, "cannot read the secret 'a': none: No such file"),
        (&["--secret", "id=a"], 2, "'id=a' is no secret: it needs either src or env"),
        (&["--secret", "id=a,env=HOME", "--secret", "id=a,env=PATH"], 2, "there is a secret 'a' already"),
        (&["--nobuildkit", "--secret", "id=a,env=HOME"], 2, "only Docker's BuildKit can do this"),
        (&["--engine", "podman", "--secret", "id=a,env=HOME"], 2, "only Docker's BuildKit can do this"),
        (&["--nobuildkit", "--cache-from", "r/{image}:1"], 2, "only Docker's BuildKit can do this"),
        (&["--cache-from", "type=local,src=x"], 2, "takes REFERENCE or type=registry,ref=REFERENCE"),
        (&["--cache-to", "type=registry,ref=r/x:1"], 2, "writes its cache into the images alone"),
        (&["--squash"], 2, "BuildKit does not squash: add --nobuildkit"),
        (&["--squash", "--nobuildkit"], 2, "Docker 20.10.24 does not squash"),
        // This engine knows no sessions.
        (&["--secret", "id=a,env=HOME"], 1, "it opens no session for secrets (404 Not Found)"),
    ] {
        let run = project.run(["^base$"].iter().chain(arguments)).exits(code);
        assert!(run.stderr.contains(words), "{words}: {run}");
    }
    assert_eq!(daemon.order(), [""; 0]);
}

#[test]
fn a_proxy_s_password_stays_out_of_images_and_logs() {
    let Some(endpoint) = real::endpoint() else { return };
    for builder in ["--buildkit", "--nobuildkit"] {
        let password = format!("proxy-{}", real::nonce());
        let proxy = format!("http://user:{password}@127.0.0.1:9/");
        let project = Project::empty().with_docker_host(&endpoint).image(
            "base",
            None,
            &format!("RUN : {} && test -n \"$http_proxy\" && echo proxy: $http_proxy\n", real::nonce()),
        );
        let image = format!("{NAMESPACE}/base:proxy{builder}");
        let _images = Images(vec![image.clone()]);
        let arguments = [
            "--nopull",
            "--namespace",
            NAMESPACE,
            "--tag",
            &format!("proxy{builder}"),
            builder,
            "--logs-dir",
            "logs",
        ];
        let mut command = project.command(arguments);
        command.env("http_proxy", &proxy).env("HTTPS_PROXY", &proxy);
        let run: Run = command.output().expect("the binary starts").into();
        let run = run.exits(0);
        assert!(run.stderr.contains("proxy: http://***@127.0.0.1:9/"), "{builder}: {run}");
        assert!(!run.stderr.contains(&password), "{builder}: {run}");
        assert_eq!(files_with(&project.path("logs"), &password), [""; 0]);
        assert_eq!(Saved::of(&endpoint, &image).places_of(&password), [""; 0], "{builder}");
    }
}
