//! Secrets: in reach of RUN steps, and nowhere else.

use std::path::Path;

use crate::support::docker::FakeDocker;
use crate::support::project::{Project, Run};
use crate::support::real::{self, Images, docker, run_in};

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
        // This engine knows no sessions.
        (&["--secret", "id=a,env=HOME"], 1, "it opens no session for secrets (404 Not Found)"),
    ] {
        let run = project.run(["^base$"].iter().chain(arguments)).exits(code);
        assert!(run.stderr.contains(words), "{words}: {run}");
    }
    assert_eq!(daemon.order(), [""; 0]);
}

/// Every file below a directory that holds the text.
fn files_with(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in
        std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path())
    {
        if entry.is_dir() && !entry.is_symlink() {
            found.extend(files_with(&entry, text));
        } else if std::fs::read(&entry).is_ok_and(|bytes| contains(&bytes, text)) {
            found.push(entry.display().to_string());
        }
    }
    found
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Where a text of an image is: its configuration and history, or its layers.
fn places_in_image(image: &str, text: &str) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let archive = directory.path().join("image.tar");
    docker(&["save", "--output", archive.to_str().expect("UTF-8"), image]);
    let history = docker(&["history", "--no-trunc", image]);
    let mut found = files_with(directory.path(), text);
    found.extend(history.contains(text).then(|| "history".to_string()));
    found
}

#[test]
fn steps_read_a_secret_that_is_found_nowhere_afterwards() {
    let Some(endpoint) = real::endpoint() else { return };
    let value = format!("hush-{}", real::nonce());
    let second_line = format!("line-{}", real::nonce());
    let project = Project::empty()
        .with_docker_host(&endpoint)
        .file("token", &format!("{value}\n{second_line}\n"))
        .file("ca.pem", "no certificate\n")
        .image(
            "base",
            None,
            "RUN sha256sum </run/secrets/token >/proof && cat /run/secrets/token \\\n \
             # a comment\n && printf '%s' \"$(cat /run/secrets/word)\" | wc -c >/length\n\
             RUN cp /etc/ca.pem /copy && stat -c '%a %u' /etc/ca.pem >/placed\n",
        )
        .image("service", Some("base"), "RUN cat /run/secrets/token; test -e /run/secrets/word\n")
        .image("failing", Some("base"), "RUN cat /run/secrets/word /run/secrets/token; exit 3\n");
    let arguments = [
        "--buildkit",
        "--nopull",
        "--namespace",
        NAMESPACE,
        "--tag",
        "secrets",
        "--debug",
        "--secret",
        "id=token,src=token",
        "--secret",
        "id=word,env=WORD",
        "--secret",
        "id=ca,src=ca.pem,target=/etc/ca.pem,mode=0444,uid=7",
        "--work-dir",
        "work",
        "--logs-dir",
        "logs",
        "--report",
        "report.json",
        "--junit",
        "junit.xml",
        "--html",
        "page.html",
    ];
    let word = format!("word-{}", real::nonce());
    let images = ["base", "service"].map(|image| format!("{NAMESPACE}/{image}:secrets"));
    let _images = Images(images.to_vec());
    let run = |word: &str| {
        let output = project.command(arguments).env("WORD", word).output().expect("the binary starts");
        Run::from(output)
    };
    let first = run(&word).exits(1);
    assert!(first.stderr.contains("***"), "{first}");
    assert!(first.stderr.contains("kolla.common.utils:failing Failed with status: error"), "{first}");

    let base = &images[0];
    let expected = {
        use sha2::{Digest, Sha256};
        kolla_build::context::digest::hex(&Sha256::digest(format!("{value}\n{second_line}\n")))
    };
    assert_eq!(run_in(base, "cat /proof"), format!("{expected}  -"));
    assert_eq!(run_in(base, "cat /length"), word.len().to_string());
    assert_eq!(run_in(base, "cat /copy /placed"), "no certificate\n444 7");

    for text in [&value, &second_line, &word] {
        assert!(!first.stdout.contains(text) && !first.stderr.contains(text), "{text}: {first}");
        assert_eq!(files_with(&project.path("work"), text), [""; 0]);
        assert_eq!(files_with(&project.path("logs"), text), [""; 0]);
        for report in ["report.json", "junit.xml", "page.html"] {
            assert!(!project.read(report).contains(text), "{report}");
        }
        assert_eq!(files_with(&project.path("home"), text), [""; 0]);
        for image in &images {
            assert_eq!(places_in_image(image, text), [""; 0]);
        }
    }
    assert!(
        !project.read("work/docker/base/Dockerfile").contains("--mount"),
        "the work directory has what was rendered"
    );

    // Another value is no reason to build anew, another secret is.
    let second = run("another value").exits(1);
    assert!(second.tells("INFO:kolla.common.utils.base:Unchanged, nothing to build"), "{second}");
    let fewer =
        project.run(arguments.iter().copied().filter(|argument| !argument.starts_with("id=word")).filter({
            let mut seen = 0;
            move |argument| {
                *argument != "--secret" || {
                    seen += 1;
                    seen != 2
                }
            }
        }));
    assert!(!fewer.tells("INFO:kolla.common.utils.base:Unchanged"), "{fewer}");
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
            "RUN test -n \"$http_proxy\" && echo proxy: $http_proxy\n",
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
        assert_eq!(places_in_image(&image, &password), [""; 0], "{builder}");
    }
}
