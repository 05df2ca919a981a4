//! Releases: gates before pushes, provenance and signatures with what was pushed, and the release manifest.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::project::{Project, Run, Running};
use crate::support::pushed::{Pushed, TAG};
use crate::support::registry::{Demand, FakeRegistry, Fault};

/// What the images of [`Pushed`] are called.
const IMAGES: [&str; 4] = ["base", "keystone", "nova", "openstack-base"];
const PROVENANCE: &str = "application/vnd.in-toto+json";

/// A cosign that notes its arguments, and fails where a file `unsigned` or `broken` says so.
const COSIGN: &str = r#"#!/bin/sh
echo "$@" >>"$HOME/cosign.log"
case "$1" in
sign) [ ! -e "$HOME/broken" ] || { echo "error: no signing today" >&2; exit 1; } ;;
verify) [ ! -e "$HOME/unsigned" ] || { echo "Error: no matching signatures" >&2; exit 10; } ;;
esac
"#;

/// The same images with a cosign, and nothing in the registry but them.
fn setting() -> Pushed {
    let pushed = Pushed::new();
    let project = pushed.project.file("bin/cosign", COSIGN).file("cosign.key", "a key\n");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(project.path("bin/cosign"), executable).expect("a file");
    Pushed { project, ..pushed }
}

/// Runs the binary where cosign is found.
fn run(pushed: &Pushed, arguments: &[&str]) -> Run {
    let common =
        ["--registry", pushed.registry.address(), "--tag", TAG, "-r", "1", "--report", "report.json"];
    let mut command = pushed.project.command(common.iter().chain(arguments));
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", pushed.project.path("bin").display()));
    Running::spawn(command).end()
}

fn digest(registry: &FakeRegistry, image: &str) -> String {
    registry.tagged(&format!("kolla/{image}"), TAG).expect("pushed")
}

fn image(project: &Project, name: &str) -> Value {
    let report: Value = serde_json::from_str(&project.read("report.json")).expect("JSON");
    let images = report["images"].as_array().expect("a list");
    images.iter().find(|image| image["name"] == name).expect(name).clone()
}

#[test]
fn provenance_is_attached_by_either_way_and_only_once() {
    for knows_referrers in [true, false] {
        let pushed = setting();
        if knows_referrers {
            pushed.registry.know_referrers();
        }
        run(&pushed, &["--push", "--provenance", "made"]).exits(0);
        for name in IMAGES {
            let subject = digest(&pushed.registry, name);
            let attached = pushed.registry.attached(&format!("kolla/{name}"), &subject);
            let [(kind, statement)] = attached.as_slice() else { panic!("{name}: {}", attached.len()) };
            let statement: Value = serde_json::from_slice(statement).expect("JSON");
            let sha256 = subject.trim_start_matches("sha256:");
            assert_eq!(
                (kind.as_str(), &statement["subject"][0]["digest"]["sha256"]),
                (PROVENANCE, &json!(sha256))
            );
            let written = pushed.project.read(&format!("made/{name}-x86_64.intoto.json"));
            assert_eq!(serde_json::from_str::<Value>(&written).expect("JSON"), statement);
        }
        let tags = pushed.registry.tagged("kolla/base", &digest(&pushed.registry, "base").replace(':', "-"));
        assert_eq!(tags.is_none(), knows_referrers, "{tags:?}");
        pushed.registry.take_requests();
        run(&pushed, &["--push", "--provenance", "made"]).exits(0);
        let changes = pushed.registry.take_requests();
        assert!(
            !changes.iter().any(|request| request.starts_with("PUT /v2/") && request.contains("blobs")),
            "{changes:?}"
        );
    }
}

#[test]
fn provenance_names_materials_and_no_secret() {
    let pushed = setting();
    let pushed = Pushed {
        project: pushed
            .project
            .file("mine.j2", "{% extends parent_template %}\n")
            .file("k.conf", "[DEFAULT]\nbuild_args = API_PASSWORD:hunter2,COLOUR:blue\n"),
        ..pushed
    };
    let arguments =
        ["--push", "--provenance", "made", "--config-file", "k.conf", "--template-override", "mine.j2"];
    run(&pushed, &arguments).exits(0);
    let text = pushed.project.read("made/keystone-x86_64.intoto.json");
    assert!(!text.contains("hunter2") && text.contains("COLOUR:blue"), "{text}");
    let statement: Value = serde_json::from_str(&text).expect("JSON");
    let definition = &statement["predicate"]["buildDefinition"];
    let materials = definition["resolvedDependencies"].as_array().expect("a list");
    let names: Vec<&str> =
        materials.iter().map(|material| material["name"].as_str().expect("a name")).collect();
    let parent = format!("{}/kolla/openstack-base:1", pushed.registry.address());
    assert_eq!(names, [parent.as_str(), "Dockerfile", "build context", "template override mine.j2"]);
    let of_parent = digest(&pushed.registry, "openstack-base");
    assert_eq!(materials[0]["digest"]["sha256"], of_parent.trim_start_matches("sha256:"));
    assert!(materials[1..].iter().all(|material| material["digest"]["sha256"].is_string()), "{text}");
    assert_eq!(definition["internalParameters"]["contentKey"], image(&pushed.project, "keystone")["key"]);
}

#[test]
fn a_registry_that_asks_for_more_in_the_middle_is_answered_and_its_failures_are_told() {
    let pushed = setting();
    let pushed =
        Pushed { project: pushed.project.log_in(pushed.registry.address(), "builder", "hunter2"), ..pushed };
    pushed.registry.demand(Demand::Token("builder", "hunter2"));
    run(&pushed, &["--push", "--provenance", "made", "^base$"]).exits(0);
    // Refused where its document is to be put.
    pushed.registry.fail_next("POST /v2/kolla/nova/blobs", Fault::Status(401, None));
    pushed.registry.fail_next("POST /v2/kolla/keystone/blobs", Fault::Status(503, Some("0")));
    let told = run(&pushed, &["--push", "--provenance", "made", "--release", "release.json"]).exits(1);
    assert!(!told.stderr.contains("hunter2"), "{told}");
    assert_eq!(image(&pushed.project, "keystone")["outcome"], "unchanged", "{told}");
    let nova = image(&pushed.project, "nova");
    assert_eq!((&nova["outcome"], &nova["failure"]["kind"]), (&json!("push_failed"), &json!("registry")));
    let message = nova["failure"]["message"].to_string();
    assert!(message.contains("failed to attach its provenance") && message.contains("(401)"), "{message}");
    // There is no half release.
    assert!(!pushed.project.path("release.json").exists());
    assert!(
        told.stderr.contains("there is no release, as 1 image is not pushed: nova (linux/amd64)"),
        "{told}"
    );
    run(&pushed, &["--push", "--provenance", "made", "--release", "release.json"]).exits(0);
    assert!(pushed.project.path("release.json").exists());
}

#[test]
fn everything_is_signed_by_digest_after_it_was_pushed_and_once() {
    let pushed = setting();
    let sign = "cosign=cosign.key --tlog-upload=false";
    run(&pushed, &["--push", "--provenance", "made", "--sign", sign, "--release", "release.json", "^base$"])
        .exits(0);
    let log = pushed.project.read("home/cosign.log");
    let calls: Vec<&str> = log.lines().filter(|line| line.starts_with("sign ")).collect();
    let base = format!("{}/kolla/base@{}", pushed.registry.address(), digest(&pushed.registry, "base"));
    assert_eq!(calls.len(), 2, "{log}");
    assert!(
        calls.contains(&format!("sign --yes --key=cosign.key --tlog-upload=false {base}").as_str()),
        "{log}"
    );
    let release: Value = serde_json::from_str(&pushed.project.read("release.json")).expect("JSON");
    let platform = &release["images"][0]["platforms"]["linux/amd64"];
    assert_eq!(platform["attached"]["signed"], true);
    let attachment = platform["attached"]["provenance"].as_str().expect("a digest");
    assert!(calls.iter().any(|call| call.ends_with(attachment)), "{log}");
    // What has a signature gets no second one.
    for digest in [digest(&pushed.registry, "base").as_str(), attachment] {
        let tag = format!("{}.sig", digest.replace(':', "-"));
        pushed.registry.hold("kolla/base", &tag, b"{}");
    }
    run(&pushed, &["--push", "--provenance", "made", "--sign", sign, "^base$"]).exits(0);
    assert_eq!(pushed.project.read("home/cosign.log").matches("sign --yes").count(), 2);
}

#[test]
fn what_cant_be_signed_is_told_before_anything_is_built_or_with_cosigns_words() {
    let pushed = setting();
    for (sign, told) in [
        ("cosign=nosuch.key", "--sign: there is no key nosuch.key"),
        ("gpg", "--sign: 'gpg' does not begin with cosign"),
        ("cosign=cosign.key --identity-token=abc", "set SIGSTORE_ID_TOKEN"),
    ] {
        let refused = run(&pushed, &["--push", "--sign", sign]).exits(2);
        assert!(refused.stderr.contains(told), "{refused}");
    }
    assert!(run(&pushed, &["--sign", "cosign"]).exits(2).stderr.contains("nothing is pushed"));
    // Not installed.
    let absent = pushed.run(&["--push", "--sign", "cosign=cosign.key"]);
    if !std::env::var("PATH")
        .unwrap_or_default()
        .split(':')
        .any(|dir| std::path::Path::new(dir).join("cosign").exists())
    {
        let absent = absent.exits(2);
        assert!(absent.stderr.contains("images can't be signed: cosign is not installed"), "{absent}");
    }
    let pushed = Pushed { project: pushed.project.file("home/broken", ""), ..pushed };
    let failed =
        run(&pushed, &["--push", "--sign", "cosign=cosign.key", "^base$", "--release", "r.json"]).exits(1);
    assert!(failed.stderr.contains("error: no signing today"), "{failed}");
    assert_eq!(image(&pushed.project, "base")["failure"]["kind"], "sign");
    assert!(!pushed.project.path("r.json").exists());
}

#[test]
fn gates_hold_images_back_and_their_words_are_in_every_report() {
    let pushed = setting().change("keystone", "openstack-base");
    let before = digest(&pushed.registry, "keystone");
    let gate = r#"echo "looked at $KOLLA_BUILD_REFERENCE for $KOLLA_BUILD_PLATFORM"; [ "$KOLLA_BUILD_IMAGE" != keystone ] || exit 7"#;
    let reports = ["--junit", "r.xml", "--html", "r.html", "--release", "release.json"];
    let told = run(&pushed, &[&["--push", "--gate", gate], reports.as_slice()].concat()).exits(1);
    assert_eq!(digest(&pushed.registry, "keystone"), before, "it was pushed");
    let keystone = image(&pushed.project, "keystone");
    assert_eq!((&keystone["outcome"], &keystone["failure"]["kind"]), (&json!("gated"), &json!("gate")));
    let words = format!("looked at {}/kolla/keystone:1 for linux/amd64", pushed.registry.address());
    assert_eq!(keystone["gate"]["gates"][0]["words"], json!([words]));
    assert_eq!(keystone["gate"]["gates"][0]["fault"], "exit code 7");
    assert_eq!(image(&pushed.project, "nova")["outcome"], "unchanged");
    assert!(told.stderr.contains("Why keystone did not pass its gates:"), "{told}");
    assert!(told.stderr.contains("1 not let pass by their gates"), "{told}");
    assert!(told.stderr.matches(&words).count() > 1, "in the log, and again at the end: {told}");
    for file in ["r.xml", "r.html"] {
        let text = pushed.project.read(file);
        let text = text.replace("&#x2f;", "/");
        assert!(text.contains(&words) && text.contains("kolla/nova:1 for linux/amd64"), "{text}");
    }
    assert!(!pushed.project.path("release.json").exists());
    assert_eq!(told.summary()["failed"], json!([{"name": "keystone", "status": "error"}]));
    // What the registry has was let pass before.
    let told = run(&pushed, &["--push", "--reuse", "registry", "--gate", "exit 1", "^nova$"]);
    let nova = image(&pushed.project, "nova");
    assert_eq!(
        (&nova["outcome"], &nova["gate"]["gates"]),
        (
            &json!("gated"),
            &json!([{"command": "exit 1", "fault": "exit code 1", "words": [], "only_warns": false}])
        ),
        "the engine has it: {told}"
    );
    // A warning holds nothing up.
    let told = run(&pushed, &["--push", "--gate", gate, "--gate-warn", "--release", "release.json"]).exits(0);
    assert!(told.stderr.contains("WARNING:kolla.common.utils.keystone:gate echo"), "{told}");
    assert_ne!(digest(&pushed.registry, "keystone"), before);
    assert!(pushed.project.path("release.json").exists());
}

#[test]
fn a_gate_that_hangs_is_ended_and_allowed_images_fail_no_run() {
    let pushed = setting();
    let hang = r#"[ "$KOLLA_BUILD_IMAGE" != nova ] || sleep 600"#;
    let pushed =
        Pushed { project: pushed.project.file("k.conf", "[DEFAULT]\nallowed_to_fail = nova\n"), ..pushed };
    let arguments = ["--gate", hang, "--gate-timeout", "1", "--config-file", "k.conf"];
    let told = run(&pushed, &arguments).exits(0);
    let nova = image(&pushed.project, "nova");
    assert_eq!((&nova["outcome"], &nova["fails_run"]), (&json!("gated"), &json!(false)));
    assert!(told.stderr.contains("it was still running after 1 s (option gate_timeout)"), "{told}");
}

#[test]
fn tasks_take_images_of_a_release_by_digest() {
    let pushed = setting();
    run(&pushed, &["--push", "--provenance", "made", "--release", "release.json"]).exits(0);
    let release = pushed.project.read("release.json");
    // The tag moves on, the release does not.
    pushed.build_anew("keystone");
    let moved = digest(&pushed.registry, "keystone");
    let told = run(&pushed, &["--verify-registry", "--from-release", "release.json"]).exits(1);
    assert!(told.stderr.contains(&format!("its tag names {moved}")), "{told}");
    let verify = ["--verify-signatures", "cosign=cosign.key"];
    let retag = ["--retag", "1:stable", "--from-release", "release.json", "--digests-ansible", "images.yml"];
    run(&pushed, &[retag.as_slice(), &verify].concat()).exits(0);
    let stable = pushed.registry.tagged("kolla/keystone", "stable").expect("retagged");
    assert!(release.contains(&stable) && stable != moved, "{release}");
    assert!(pushed.project.read("images.yml").contains(&format!("kolla/keystone@{stable}\"")));
    assert!(
        pushed.project.read("home/cosign.log").contains(&format!(
            "verify --key=cosign.key {}/kolla/keystone@{stable}",
            pushed.registry.address()
        ))
    );
    let pushed = Pushed { project: pushed.project.file("home/unsigned", ""), ..pushed };
    let told = run(
        &pushed,
        &["--verify-registry", "--from-release", "release.json", verify[0], verify[1], "^base$"],
    );
    assert!(told.exits(1).stderr.contains("no matching signatures"));
    // What was attached has gone: nothing is promoted.
    let of_base = serde_json::from_str::<Value>(&release).expect("JSON");
    let of_base =
        of_base["images"][0]["platforms"]["linux/amd64"]["attached"]["provenance"].as_str().expect("text");
    let other = release.replace(of_base, &stable);
    let pushed = Pushed { project: pushed.project.file("other.json", &other), ..pushed };
    let told = run(&pushed, &["--retag", "1:next", "--from-release", "other.json"]).exits(1);
    assert_eq!(pushed.registry.tagged("kolla/nova", "next"), None, "{told}");
    let pushed = Pushed {
        project: pushed.project.file("bad.json", "{}").file("new.json", "{\"release_version\": 9}"),
        ..pushed
    };
    for (file, reason) in [("bad.json", "bad.json: it is no release manifest"), ("new.json", "of version 9")]
    {
        let told = run(&pushed, &["--verify-registry", "--from-release", file]).exits(2);
        assert!(told.stderr.contains(reason), "{told}");
    }
}
