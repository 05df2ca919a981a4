//! What is refused before the first build: secrets that can't be had, and what an engine can't do; and passwords of
//! proxies, and a private authority. That secrets are nowhere but in reach of RUN steps, `engines` tests.

use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::support::certificates::{Authority, Callers, Inside};
use crate::support::docker::{FakeDocker, Fault};
use crate::support::files::FileServer;
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
        (&["--secret", "id=a,env=HOME"], 1, "it opens no session (404 Not Found)"),
    ] {
        let run = project.run(["^base$"].iter().chain(arguments)).exits(code);
        assert!(run.stderr.contains(words), "{words}: {run}");
    }
    assert_eq!(daemon.order(), [""; 0]);
}

#[test]
fn the_error_that_ends_a_run_shows_no_secret() {
    let value = "hunter22-in-a-path";
    let project =
        Project::new().with_docker_host(&format!("unix:///run/{value}/d.sock")).file("secret", value);
    let run = project.run(["^base$", "--secret", "id=a,src=secret"]).exits(1);
    assert!(run.stderr.contains("cannot reach the container engine at unix:///run/***/d.sock"), "{run}");
    assert!(!run.stderr.contains(value), "{run}");
}

#[test]
fn what_other_tasks_tell_shows_no_secret_either() {
    let project = Project::new();
    let secret = ["--build-args", "API_TOKEN:hunter22-token"];
    for task in ["--list-images", "--plan"] {
        let run = project.run(["^base$", "^hunter22-token$", task].iter().chain(&secret)).exits(0);
        assert!(run.stderr.contains("warning: '^***$' matches no image"), "{task}: {run}");
    }
}

#[test]
fn what_print_config_masks_is_in_no_log_and_report_in_any_form() {
    let fault = Fault::Fails {
        message: "failed: p@ss/word-1".to_string(),
        log: "E: p@ss/word-1 was refused".to_string(),
    };
    let daemon = FakeDocker::with_base_image().fail("memcached", fault);
    let (token, password) = ("t0ken-of-the-index", "p@ss/word-1");
    let basic = BASE64_STANDARD.encode(format!("deploy:{password}"));
    let long = "x".repeat(16 * 1024 - 30);
    let steps = [
        format!("echo Authorization: Basic {basic}"),
        format!("echo {} {}", BASE64_STANDARD.encode(token), BASE64_STANDARD.encode(format!("u{token}\n"))),
        format!("echo pip config: {password} and p%40ss%2fword-1 and {token}"),
        format!("echo {long}{token}{long}"),
    ];
    let body: String = steps.iter().map(|step| format!("RUN {step}\n")).collect();
    let index = "https://deploy:p%40ss%2Fword-1@index.example/simple";
    let config = format!("[DEFAULT]\nbuild_args = INDEX_TOKEN:{token},INDEX_URL:{index}\n");
    let project = Project::empty()
        .with_engine(&daemon)
        .image("base", None, &body)
        .image("memcached", Some("base"), "RUN true\n")
        .file("k.conf", &config);
    for builder in ["--buildkit", "--nobuildkit"] {
        let files = ["--report=report.json", "--junit=junit.xml", "--html=page.html", "--logs-dir=logs"];
        let arguments = ["--config-file=k.conf", builder, "--nocache", "--summary-json-file=summary.json"];
        let run = project.run(arguments.iter().chain(&files).chain(&["--format=json"])).exits(1);
        let mut shown = vec![run.stdout.clone(), run.stderr.clone()];
        shown.extend(["report.json", "junit.xml", "page.html"].map(|file| project.read(file)));
        shown.extend(["base", "memcached"].map(|image| project.read(&format!("logs/{image}.log"))));
        // What other bytes go into may be seen of base64: its first and last characters.
        let [inner, alone] = [&basic[12..24], &BASE64_STANDARD.encode(token)[..20]];
        for text in [token, password, "p%40ss%2fword-1", "p%40ss%2Fword-1", inner, alone] {
            let place = shown.iter().position(|shown| shown.contains(text));
            assert_eq!(place, None, "{builder}: {text} is shown: {run}");
        }
        assert!(run.stderr.contains("pip config: *** and *** and ***"), "{run}");
        assert!(run.stderr.contains("E: *** was refused"), "{run}");
    }
}

#[test]
#[ignore = "needs a real Docker engine"]
fn a_proxy_s_password_stays_out_of_images_and_logs() {
    let endpoint = real::endpoint();
    for builder in ["--buildkit", "--nobuildkit"] {
        // Backwards, so that it shares no long part with the other nonces, which would be hidden with it.
        let password: String = real::nonce().chars().rev().collect();
        let host = format!("proxy-{}", real::nonce());
        let proxy = format!("http://user:{password}@{host}:9/");
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
        assert!(run.stderr.contains(&format!("proxy: http://***@{host}:9/")), "{builder}: {run}");
        assert!(!run.stderr.contains(&password), "{builder}: {run}");
        assert_eq!(files_with(&project.path("logs"), &password), [""; 0]);
        // The proxy itself is in none of configuration, history and layers either.
        let saved = Saved::of(&endpoint, &image);
        for text in [&password, &host] {
            assert_eq!(saved.places_of(text), [""; 0], "{builder}");
        }
    }
}

/// The name under which OpenSSL looks for an authority's certificate in a directory, without `.0`.
#[track_caller]
fn subject_hash(certificate: &std::path::Path) -> String {
    let mut command = Command::new("openssl");
    let output = command.args(["x509", "-noout", "-subject_hash", "-in"]).arg(certificate).output();
    let output = output.expect("the command openssl");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text").trim().to_string()
}

#[test]
#[ignore = "needs a real Docker engine"]
fn steps_trust_a_private_authority_that_no_image_knows() {
    let endpoint = real::endpoint();
    let authority = Authority::new();
    let server = FileServer::start();
    let url = server.put("/file", b"from behind a private authority\n");
    let address = url.trim_start_matches("http://").trim_end_matches("/file");
    let port = authority.guard("127.0.0.1", Callers::Anybody, Inside::Tcp(address.to_string()));
    let download = format!(
        "/usr/lib/apt/apt-helper -o Acquire::Retries=0 download-file https://127.0.0.1:{port}/file /fetched"
    );
    let step = || format!("RUN : {} && {download}\n", real::nonce());

    let project = Project::empty().with_docker_host(&endpoint).file("corporate.pem", &authority.pem());
    let hash = subject_hash(&project.path("corporate.pem"));
    // Where OpenSSL looks: on Debian the package openssl makes this link.
    let link = "RUN mkdir -p /usr/lib/ssl && ln -s /etc/ssl/certs /usr/lib/ssl/certs\n";
    let project = project
        .file("apt.conf", &format!("Acquire::https::CAInfo \"/etc/ssl/certs/{hash}.0\";\n"))
        .image("bare", None, &step())
        .image("base", None, &format!("{link}{}", step()))
        .image("service", Some("base"), &step());
    let authority_alone = [format!("id=ca,src=corporate.pem,target=/etc/ssl/certs/{hash}.0,mode=0444")];
    let for_apt = "id=apt,src=apt.conf,target=/etc/apt/apt.conf.d/90ca,mode=0444".to_string();
    let with_apt = [authority_alone[0].clone(), for_apt];
    let build = |image: &str, secrets: &[String]| -> Run {
        let options = ["--nopull", "--nocache", "--namespace", NAMESPACE, "--tag", "ca"];
        let secrets = secrets.iter().flat_map(|secret| ["--secret", secret.as_str()]);
        project.run(options.into_iter().chain(secrets).chain([format!("^{image}$").as_str()]))
    };
    let _images = Images(["service", "base", "bare"].map(|image| format!("{NAMESPACE}/{image}:ca")).into());
    let body = authority.pem().lines().nth(1).expect("a certificate").to_string();
    for (image, secrets) in [("service", &authority_alone[..]), ("bare", &with_apt)] {
        build(image, secrets).exits(0);
        let saved = Saved::of(&endpoint, &format!("{NAMESPACE}/{image}:ca"));
        assert_eq!(saved.read("fetched"), "from behind a private authority\n", "{image}");
        assert_eq!(saved.places_of(&body), [""; 0], "{image}");
        let left = |path: &&String| path.contains(&hash) || path.contains("90ca");
        assert_eq!(saved.files.keys().find(left), None, "{image}: not even empty files stay");
        let refused = build(image, &[]).exits(1);
        assert!(refused.stderr.contains("certificate verify failed"), "{refused}");
    }
}
