//! Docker's own `config.json`: proxies for builds, and what comes of one that can't be read.

use serde_json::Value;

use crate::support::docker::{FakeDocker, Fault};
use crate::support::project::{Project, Running};
use crate::support::pushed::Pushed;
use crate::support::registry::{Demand, FakeRegistry};

const CONFIG: &str = "home/.docker/config.json";

/// The build arguments of the only build.
fn build_args(daemon: &FakeDocker) -> Value {
    let builds = daemon.builds();
    assert_eq!(builds.len(), 1);
    builds[0].query.get("buildargs").map_or(Value::Null, |text| serde_json::from_str(text).expect("JSON"))
}

fn one_image(daemon: &FakeDocker) -> Project {
    Project::empty().image("base", None, "RUN true\n").with_engine(daemon)
}

#[test]
fn its_proxies_reach_builds_after_all_that_is_said_elsewhere() {
    let daemon = FakeDocker::with_base_image();
    let project = one_image(&daemon).file(
        CONFIG,
        r#"{"proxies": {"default": {"httpProxy": "http://c:1", "httpsProxy": "http://c:2", "noProxy": "c"}}}"#,
    );
    let mut command = project.command(["--build-args", "no_proxy:option"]);
    command.env("HTTP_PROXY", "http://environment:1");
    Running::spawn(command).end().exits(0);
    let expected = serde_json::json!({
        "HTTP_PROXY": "http://environment:1", "http_proxy": "http://c:1",
        "HTTPS_PROXY": "http://c:2", "https_proxy": "http://c:2", "NO_PROXY": "c", "no_proxy": "option",
    });
    assert_eq!(build_args(&daemon), expected);

    // They only say how to reach the network: the image is the same without.
    let project = project.file(CONFIG, "{}");
    let run = project.run(["--build-args", "no_proxy:option"]).exits(0);
    assert!(run.tells("INFO:kolla.common.utils.base:Unchanged"), "{run}");
}

#[test]
fn an_engine_s_own_proxies_go_first_and_podman_has_none() {
    for (podman, expected) in
        [(false, serde_json::json!({"FTP_PROXY": "http://f", "ftp_proxy": "http://f"})), (true, Value::Null)]
    {
        let daemon = FakeDocker::with_base_image();
        let config = serde_json::json!({"proxies": {"default": {"httpProxy": "http://c:1"}, daemon.endpoint(): {"ftpProxy": "http://f"}}});
        let project = one_image(&daemon).file(CONFIG, &config.to_string());
        let podman = podman.then(|| ["--engine", "podman", "--podman_base_url", daemon.endpoint()]);
        project.run(podman.iter().flatten()).exits(0);
        assert_eq!(build_args(&daemon), expected);
    }
}

#[test]
fn the_password_of_a_proxy_is_masked() {
    let log = "cannot reach http://user:s3cret-word@proxy:1".to_string();
    let fault = Fault::Fails { message: "exit code: 1".to_string(), log };
    let daemon = FakeDocker::with_base_image().fail("base", fault);
    let project = one_image(&daemon)
        .file(CONFIG, r#"{"proxies": {"default": {"httpProxy": "http://user:s3cret-word@proxy:1"}}}"#);
    let run = project.run([""; 0]).exits(1);
    assert!(run.stderr.contains("cannot reach http://") && !run.stderr.contains("s3cret-word"), "{run}");
}

#[test]
fn one_that_can_t_be_read_stops_no_build_that_needs_nothing_of_it() {
    for (content, told) in [
        ("", "config.json, which holds registry credentials, proxies and Docker's context: it is empty"),
        ("{\"auths\": {\"r\": \"hush\"}", "line 1, column"),
        ("{\"auths\": \"hush\"}", "line 1, column"),
        ("{\"proxies\": {\"default\": \"hush\"}}", "cannot read the proxies in "),
    ] {
        let daemon = FakeDocker::with_base_image();
        let run = one_image(&daemon).file(CONFIG, content).run([""; 0]).exits(0);
        assert!(run.tells("warning: cannot read ") && run.stderr.contains(told), "{run}");
        assert_eq!(run.stderr.matches("warning: ").count(), 1, "{run}");
        assert!(run.stderr.contains("; going on without") && !run.stderr.contains("hush"), "{run}");
        assert_eq!(daemon.order(), ["base"]);
    }
    // Nor is anything said where nothing of it is needed.
    let run = Project::new().file(CONFIG, "").run(["--list-images"]).exits(0);
    assert_eq!(run.stderr, "");
}

#[test]
fn whoever_needs_credentials_of_one_that_can_t_be_read_is_told() {
    let denied = Fault::Fails {
        message: "denied: requested access to the resource is denied".into(),
        log: String::new(),
    };
    let registry = FakeRegistry::start();
    let daemon = FakeDocker::with_base_image().with_registry(&registry).fail_push("base", denied);
    let project = one_image(&daemon).file(CONFIG, "");
    let run = project.run(["--push", "--registry", registry.address()]).exits(1);
    assert!(run.stderr.contains("shown to the registry: nothing: cannot read "), "{run}");

    let pushed = Pushed::new();
    pushed.registry.demand(Demand::Basic("user", "password"));
    let project = pushed.project.file(CONFIG, "{");
    let run = project.run(["--registry", pushed.registry.address(), "--tag", "1", "--retag", "1:2"]).exits(1);
    assert!(
        run.stderr
            .contains("(401): UNAUTHORIZED authentication required; shown to it: nothing: cannot read "),
        "{run}"
    );
}

#[test]
fn long_arguments_reach_builds_and_what_nobody_takes_is_refused_by_name() {
    for builder in ["--buildkit", "--nobuildkit"] {
        let bundle = ["-----BEGIN CERTIFICATE-----"; 4000].join("\n");
        let daemon = FakeDocker::with_base_image();
        let project = one_image(&daemon);
        let run = project.run([builder, "--build-args", &format!("CA_BUNDLE:{bundle}")]).exits(0);
        assert_eq!(build_args(&daemon)["CA_BUNDLE"], bundle.as_str(), "{run}");
        assert_eq!(daemon.requests().iter().filter(|request| *request == "POST /v1.41/build").count(), 1);
    }
    let daemon = FakeDocker::with_base_image();
    let config = format!("[DEFAULT]\nbuild_args = A:b,LONG:{}\n", "x".repeat(140_000));
    let project = one_image(&daemon).file("kolla-build.conf", &config);
    let run = project.run(["--config-file", "kolla-build.conf"]).exits(2);
    assert!(
        run.tells("error: the build argument LONG has 140004 bytes: no program takes more than 128 KiB"),
        "{run}"
    );
    assert_eq!(daemon.requests(), [""; 0]);
}
