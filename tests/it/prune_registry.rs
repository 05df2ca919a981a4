//! Old images taken out of a registry.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::project::{Project, Run};
use crate::support::pushed::{Pushed, TAG};
use crate::support::real::{self, Images, wait_until};
use crate::support::registry::{Demand, FakeRegistry, Fault};

const KEYSTONE: &str = "kolla/keystone";

/// A configuration of an image that was made so many days ago.
fn made(days: i64) -> Vec<u8> {
    let made = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(days * 24);
    let made = made.strftime("%Y-%m-%dT00:00:00Z").to_string();
    json!({"architecture": "amd64", "created": made, "config": {}}).to_string().into_bytes()
}

fn prune(pushed: &Pushed, more: &[&str]) -> Run {
    let arguments = ["--prune-registry", "--prune-tags", "^(old|1$)"];
    pushed.run(&arguments.iter().chain(more).copied().collect::<Vec<_>>())
}

fn deletions(registry: &FakeRegistry) -> Vec<String> {
    registry.take_requests().into_iter().filter(|request| request.starts_with("DELETE")).collect()
}

fn tags(registry: &FakeRegistry, tags: &[&str]) -> Vec<bool> {
    tags.iter().map(|tag| registry.tagged(KEYSTONE, tag).is_some()).collect()
}

#[test]
fn a_dry_run_shows_what_the_real_one_then_deletes_on_every_page_of_tags() {
    let pushed = Pushed::new();
    let registry = &pushed.registry;
    let (old, older) =
        (registry.hold(KEYSTONE, "old-1", &made(5)), registry.hold(KEYSTONE, "old-2", &made(50)));
    registry.hold(KEYSTONE, "old-3", &made(50));
    registry.hold(KEYSTONE, "stable", &made(5));
    registry.hold(KEYSTONE, "zed", &made(900));
    registry.hold("kolla/nova", "old-1", &made(50));

    let arguments = ["--older-than", "30", "^keystone$"];
    let dry = prune(&pushed, &[&arguments[..], &["--dry-run", "--plan-format", "json"]].concat()).exits(0);
    let shown: Value = serde_json::from_str(&dry.stdout).expect("JSON");
    let shown = shown
        .as_array()
        .expect("a list")
        .iter()
        .find(|it| it["image"] == "keystone")
        .expect("it is asked for");
    assert_eq!(shown["repository"], format!("{}/{KEYSTONE}", registry.address()), "{shown:#}");
    assert_eq!(shown["remove"].as_array().map(Vec::len), Some(1), "{shown:#}");
    assert_eq!(shown["remove"][0]["digest"], older);
    assert_eq!(shown["remove"][0]["tags"], json!(["old-2", "old-3"]));
    // What is configured now is left with the other tags, and so is `stable`, which names what `old-1` does.
    assert_eq!(shown["other_tags"], 3, "{shown:#}");
    assert_eq!(deletions(registry), [""; 0]);

    let run = prune(&pushed, &arguments).exits(0);
    assert!(run.stdout.contains("  keystone  old-2 old-3  made on "), "{run}");
    assert!(run.tells("Deleted 1 manifest"), "{run}");
    assert_eq!(deletions(registry), [format!("DELETE /v2/{KEYSTONE}/manifests/{older}")]);
    assert_eq!(
        tags(registry, &["old-1", "old-2", "old-3", "stable", "zed", TAG]),
        [true, false, false, true, true, true]
    );
    assert_eq!(registry.tagged(KEYSTONE, "stable"), Some(old));
    assert!(registry.tagged("kolla/nova", "old-1").is_some());
}

#[test]
fn the_newest_and_what_lists_and_releases_name_stay() {
    let pushed = Pushed::new();
    let registry = &pushed.registry;
    let part = registry.hold(KEYSTONE, "old-part", &made(100));
    registry.hold_list(KEYSTONE, "stable", &[(&part, "amd64")]);
    let released = registry.hold(KEYSTONE, "old-released", &made(90));
    registry.hold(KEYSTONE, "old-gone", &made(80));
    let newest = registry.hold(KEYSTONE, "old-newest", &made(70));
    let image = json!({"name": "keystone", "reference": format!("r:1/{KEYSTONE}:1"), "digest": released, "platforms": {}});
    let release =
        json!({"release_version": 1, "version": "1", "created": "2026-01-01T00:00:00Z", "images": [image]});
    let pushed = Pushed { project: pushed.project.file("release.json", &release.to_string()), ..pushed };
    let run = prune(&pushed, &["--keep-newest=1", "--keep-release=release.json", "keystone"]).exits(0);
    assert!(run.stdout.contains("  keystone  old-newest  it is one of the 1 newest\n"), "{run}");
    assert!(run.stdout.contains("  keystone  old-part  stable names it\n"), "{run}");
    let registry = &pushed.registry;
    assert_eq!(
        tags(registry, &["old-part", "old-released", "old-gone", "old-newest", "stable"]),
        [true, true, false, true, true]
    );
    assert_eq!(registry.tagged(KEYSTONE, "old-newest"), Some(newest));
}

#[test]
fn what_is_attached_goes_with_its_image_and_is_never_one_itself() {
    let pushed = Pushed::new();
    let registry = &pushed.registry;
    let image = registry.hold(KEYSTONE, "old", &made(9));
    let attached = registry.hold(KEYSTONE, "x", b"an SBOM");
    registry.remove(KEYSTONE, "x");
    let at = |digest: &str, suffix: &str| format!("{}{suffix}", digest.replace(':', "-"));
    registry.hold_list(KEYSTONE, &at(&image, ""), &[(&attached, "unknown")]);
    registry.hold(KEYSTONE, &at(&image, ".sig"), b"a signature");
    registry.hold(KEYSTONE, &at(&attached, ".sig"), b"a signature of the SBOM");
    let now = registry.tagged(KEYSTONE, TAG).expect("pushed");
    registry.hold(KEYSTONE, &at(&now, ".sig"), b"another signature");
    let before = registry.digests(KEYSTONE).len();
    let run = pushed.run(&["--prune-registry", "--prune-tags", ".", "keystone"]).exits(0);
    assert!(run.tells("Deleted 5 manifests"), "{run}");
    assert_eq!(registry.digests(KEYSTONE).len(), before - 5);
    assert_eq!(tags(registry, &[TAG, &at(&now, ".sig")]), [true, true]);
    assert_eq!(deletions(registry).last(), Some(&format!("DELETE /v2/{KEYSTONE}/manifests/{image}")));
}

#[test]
fn nothing_goes_when_not_all_can_be_read() {
    let pushed = Pushed::new();
    let registry = &pushed.registry;
    for tag in ["old", "old-2", "old-3"] {
        registry.hold(KEYSTONE, tag, &made(9));
    }
    let list = "GET /v2/kolla/keystone/tags/list";
    let first_page = (list, Fault::Delay(Duration::ZERO));
    for faults in [
        vec![("GET /v2/kolla/nova/tags/list", Fault::Status(403, None))],
        vec![first_page, (list, Fault::Cut)],
        vec![(list, Fault::CutInTheMiddle)],
        vec![("GET /v2/kolla/keystone/manifests/old-2", Fault::WrongContent)],
    ] {
        let told = format!("{faults:?}");
        faults.into_iter().for_each(|(request, fault)| registry.fail_next(request, fault));
        let run = prune(&pushed, &["--retries=0"]).exits(1);
        assert!(
            run.stderr.contains("error: nothing is deleted, for a repository can't be read"),
            "{told}: {run}"
        );
        assert_eq!((deletions(registry), run.stdout.as_str()), (Vec::new(), ""), "{told}: {run}");
    }
    assert!(prune(&pushed, &[]).exits(0).tells("Deleted 1 manifest"));
}

#[test]
fn what_gets_a_tag_meanwhile_stays() {
    let pushed = Pushed::new();
    let registry = &pushed.registry;
    registry.hold(KEYSTONE, "old", &made(9));
    let list = format!("GET /v2/{KEYSTONE}/tags/list");
    // Of the first reading, and of the second.
    registry.fail_next(&list, Fault::Delay(Duration::ZERO));
    registry.fail_next(&list, Fault::Delay(Duration::from_secs(3)));
    let others = registry.clone();
    let promoting = std::thread::spawn(move || {
        let mut seen = 0;
        wait_until("the tags are listed again", || {
            seen += others.take_requests().iter().filter(|request| **request == list).count();
            seen == 2
        });
        others.hold(KEYSTONE, "stable", &made(9));
    });
    let run = prune(&pushed, &["keystone"]).exits(0);
    promoting.join().expect("it was listed twice");
    assert!(run.stdout.contains("  keystone  old\n") && run.tells("kept keystone (sha256:"), "{run}");
    assert_eq!(tags(&pushed.registry, &["old", "stable"]), [true, true]);
}

#[test]
fn a_registry_that_deletes_nothing_is_told_with_what_to_do() {
    let pushed = Pushed::new();
    pushed.registry.hold(KEYSTONE, "old", &made(9));
    pushed.registry.fail_next("DELETE", Fault::Status(405, None));
    let run = prune(&pushed, &[]).exits(1);
    assert!(run.stderr.contains("error: the registry lets nobody delete"), "{run}");
    assert!(run.stderr.contains("REGISTRY_STORAGE_DELETE_ENABLED=true"), "{run}");
    assert_eq!(tags(&pushed.registry, &["old"]), [true]);
}

#[test]
fn a_token_to_delete_is_asked_for() {
    let pushed = Pushed::new();
    for tag in ["old", "old-2"] {
        pushed.registry.hold(KEYSTONE, tag, format!("{{\"x\": \"{tag}\"}}").as_bytes());
    }
    let project = pushed.project.log_in(pushed.registry.address(), "me", "secret");
    let pushed = Pushed { project, ..pushed };
    pushed.registry.demand(Demand::Token("me", "secret"));
    prune(&pushed, &["keystone"]).exits(0);
    assert_eq!(tags(&pushed.registry, &["old", "old-2", TAG]), [false, false, true]);
}

#[test]
fn what_can_t_be_meant_is_refused() {
    let refused = |arguments: &[&str]| Project::new().run(arguments).exits(2).stderr;
    let stderr = refused(&["--prune-registry"]);
    assert!(stderr.contains("--prune-registry: it needs --prune-tags REGEX: which tags may go"), "{stderr}");
    let stderr = refused(&["--prune-registry", "--prune-tags=x"]);
    assert!(stderr.contains("hint: name it with --registry"), "{stderr}");
    let project = Project::new().file("release.json", &json!({"images": []}).to_string());
    let run =
        project.run(["--prune-registry", "--prune-tags=x", "--registry=r:1", "--keep-release=release.json"]);
    assert!(
        run.exits(2)
            .stderr
            .contains("release.json: it is no release manifest: missing field `release_version`")
    );
}

/// A project that pushes two versions of an image to a real registry; and the arguments for it.
fn real_project(registry: &str, namespace: &str) -> (Project, Images) {
    let nonce = real::nonce();
    let project = Project::empty()
        .file("images/base/Dockerfile.j2", "FROM scratch\nCOPY content /base\n")
        .file("images/base/content", &nonce)
        .with_docker_host(&real::endpoint())
        .log_in(registry, "builder", "hunter2");
    let run = |project: &Project, tag: &str| {
        project.run(["--registry", registry, "--namespace", namespace, "--tag", tag, "--push"]).exits(0);
    };
    run(&project, "1");
    let project = project.file("images/base/content", &format!("{nonce} anew"));
    run(&project, "2");
    let images = ["1", "2"].map(|tag| format!("{registry}/{namespace}/base:{tag}"));
    (project, Images(images.to_vec()))
}

#[test]
#[ignore = "needs a real Docker engine and a registry"]
fn a_real_registry_deletes_what_it_may_and_says_when_it_may_not() {
    for (variable, deletes) in [("REAL_REGISTRY", true), ("REAL_REGISTRY_HTPASSWD", false)] {
        let registry = real::named(variable);
        let namespace = format!("kolla-build-test-retention-{}", std::process::id());
        let (project, _images) = real_project(&registry, &namespace);
        let run = |more: &[&str]| {
            let common = ["--registry", &registry, "--namespace", &namespace, "--tag", "2"];
            project.run(common.iter().chain(more))
        };
        let prune = ["--prune-registry", "--prune-tags", "."];
        let young = run(&[&prune[..], &["--older-than", "1"]].concat()).exits(0);
        assert!(young.stdout.contains("  base  1  it was made on "), "{young}");
        let pruned = run(&prune);
        let retagged = |tag: &str| run(&["--retag", &format!("{tag}:x")]);
        if deletes {
            assert!(pruned.exits(0).tells("Deleted 1 manifest"));
            retagged("1").exits(1);
        } else {
            let stderr = pruned.exits(1).stderr;
            assert!(stderr.contains("REGISTRY_STORAGE_DELETE_ENABLED"), "{stderr}");
            retagged("1").exits(0);
        }
        retagged("2").exits(0);
    }
}
