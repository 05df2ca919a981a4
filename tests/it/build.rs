//! What a build asks of the engine, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use kolla_build::model::labels::{KEY_LABEL, PARENT_LABEL};

use crate::support::docker::{BASE_IMAGE, Build, FakeDocker};
use crate::support::project::{Project, Run};

fn position(order: &[String], image: &str) -> usize {
    order.iter().position(|built| built == image).unwrap_or_else(|| panic!("no {image} in {order:?}"))
}

#[test]
fn every_image_is_built_once_after_its_parent() {
    let daemon = FakeDocker::with_base_image();
    let project = Project::new().with_engine(&daemon);
    let run = project.run(["--threads", "3"]).exits(0);

    let order = daemon.order();
    assert_eq!(order.len(), 8, "{order:?}");
    for (child, parent) in [
        ("openstack-base", "base"),
        ("memcached", "base"),
        ("keystone-base", "openstack-base"),
        ("keystone", "keystone-base"),
        ("nova-base", "openstack-base"),
        ("nova-api", "nova-base"),
        ("nova-compute", "nova-base"),
    ] {
        assert!(position(&order, parent) < position(&order, child), "{order:?}");
        let from = format!("kolla/{parent}:2026.2-debian-trixie");
        let image = daemon.image(&format!("kolla/{child}:2026.2-debian-trixie")).expect("built");
        assert_eq!(image.parent, Some(from));
    }
    assert!(run.tells("INFO:kolla.common.utils:Finished in"), "{run}");
}

#[test]
fn only_what_was_asked_for_is_built_with_all_it_is_built_on() {
    let daemon = FakeDocker::with_base_image();
    let run = Project::new().with_engine(&daemon).run(["^keystone$"]).exits(0);
    assert_eq!(daemon.order(), ["base", "openstack-base", "keystone-base", "keystone"]);
    let summary = run.summary();
    let names = |list: &str| {
        summary[list]
            .as_array()
            .expect("a list")
            .iter()
            .map(|image| image["name"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("built"), ["base", "keystone", "keystone-base", "openstack-base"]);
    assert_eq!(names("not_matched"), ["memcached", "nova-api", "nova-base", "nova-compute"]);
}

/// A base and six images on it.
fn wide() -> Project {
    (1..=6).fold(Project::empty().image("base", None, ""), |project, number| {
        project.image(&format!("image{number}"), Some("base"), "RUN true\n")
    })
}

#[test]
fn as_many_builds_run_at_once_as_there_are_threads() {
    let daemon = FakeDocker::with_base_image();
    wide().with_engine(&daemon).run(["^base$"]).exits(0);
    // The other six go on only when three have come together; the delay gives a fourth the time to come too.
    let daemon = daemon.gather(3).delay(Duration::from_millis(30));
    wide().with_engine(&daemon).run(["--threads", "3"]).exits(0);
    assert_eq!(daemon.most_running(), 3);
}

#[test]
fn one_thread_builds_one_image_at_a_time_the_longest_path_first() {
    let daemon = FakeDocker::with_base_image().delay(Duration::from_millis(10));
    Project::new().with_engine(&daemon).run(["-T", "1"]).exits(0);
    assert_eq!(daemon.most_running(), 1);
    let expected = [
        "base",
        "openstack-base",
        "keystone-base",
        "nova-base",
        "memcached",
        "keystone",
        "nova-api",
        "nova-compute",
    ];
    assert_eq!(daemon.order(), expected);
}

/// The build of the only image of a tree whose image has files, a source, a plugin and an addition.
fn build_with(arguments: &[&str]) -> Build {
    let daemon = FakeDocker::with_base_image();
    let project = Project::empty()
        .image("keystone-base", None, "COPY start.sh /\nADD keystone-base-archive /source\n")
        .file("images/keystone-base/start.sh", "#!/bin/sh\n")
        .file("images/keystone-base/etc/deep/file.conf", "[DEFAULT]\n")
        .file("source/setup.py", "name = 'keystone'\n")
        .file("plugin/plugin.py", "plugin\n")
        .file("addition/notes.txt", "notes\n")
        .with_engine(&daemon);
    let section = |name: &str, dir: &str| {
        format!("[{name}]\ntype = local\nlocation = {}\n", project.path(dir).display())
    };
    let config = [
        section("keystone-base", "source"),
        section("keystone-base-plugin-example", "plugin"),
        section("keystone-base-additions-notes", "addition"),
    ];
    let project = project.file("kolla-build.conf", &config.concat());
    let all = [&["--config-file", "kolla-build.conf"], arguments].concat();
    let output = project
        .command(all)
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .env("http_proxy", "http://proxy.example:3128")
        .output()
        .expect("the binary starts");
    assert!(output.status.success(), "{output:?}");
    let mut builds = daemon.builds();
    assert_eq!(builds.len(), 1);
    builds.remove(0)
}

#[test]
fn a_context_holds_the_image_s_files_its_sources_and_both_extra_archives() {
    let build = build_with(&[]);
    let names: Vec<_> = build.files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "Dockerfile",
            "additions-archive",
            "etc/deep/file.conf",
            "keystone-base-archive",
            "plugins-archive",
            "start.sh"
        ]
    );
    assert_eq!(build.files["start.sh"], b"#!/bin/sh\n");
    assert!(build.dockerfile().starts_with("FROM debian:trixie\nLABEL name=\"keystone-base\"\n"));
    assert_eq!(files_in(&build.files["keystone-base-archive"]), ["source/setup.py"]);
    assert_eq!(files_in(&build.files["plugins-archive"]), ["plugins/plugin/plugin.py"]);
    assert_eq!(files_in(&build.files["additions-archive"]), ["additions/addition/notes.txt"]);
}

/// The regular files of a tar archive, compressed or not.
fn files_in(archive: &[u8]) -> Vec<String> {
    let entries = |reader: &mut dyn std::io::Read| {
        let mut archive = tar::Archive::new(reader);
        let entries = archive.entries().expect("an archive").map(|entry| entry.expect("an entry"));
        let files = entries.filter(|entry| entry.header().entry_type().is_file());
        files.map(|entry| entry.path().expect("a path").display().to_string()).collect()
    };
    match archive {
        [0x1f, 0x8b, ..] => entries(&mut flate2::read::GzDecoder::new(archive)),
        mut plain => entries(&mut plain),
    }
}

#[test]
fn an_image_without_extras_gets_empty_archives_all_the_same() {
    let daemon = FakeDocker::with_base_image();
    Project::empty().image("base", None, "").with_engine(&daemon).run([""; 0]).exits(0);
    let files = &daemon.builds()[0].files;
    for name in ["plugins-archive", "additions-archive"] {
        assert_eq!(files_in(&files[name]), [""; 0], "{name}");
    }
}

#[test]
fn a_request_carries_the_options_and_the_labels() {
    let build = build_with(&[]);
    let query = |name: &str| build.query.get(name).map(String::as_str);
    let platform = format!("linux/{}", kolla_build::model::platform::Arch::host().debian());
    assert_eq!(query("t"), Some("kolla/keystone-base:2026.2-debian-trixie"));
    assert_eq!(query("platform"), Some(platform.as_str()));
    assert_eq!(query("networkmode"), Some("host"));
    assert_eq!(query("nocache"), Some("0"));
    assert_eq!(query("pull"), Some("0"));
    assert_eq!(query("version"), Some("2"));
    assert_eq!(query("buildargs"), Some(r#"{"http_proxy":"http://proxy.example:3128"}"#));
    let labels: serde_json::Value = serde_json::from_str(query("labels").expect("labels")).expect("JSON");
    for (name, value) in [
        ("org.opencontainers.image.title", "keystone-base"),
        ("org.opencontainers.image.version", "2026.2-debian-trixie"),
        ("org.opencontainers.image.created", "2023-11-14T22:13:20Z"),
        ("build-date", "20231114"),
    ] {
        assert_eq!(labels[name], value, "{labels}");
    }
    assert_eq!(labels["kolla-build.key"].as_str().map(str::len), Some(64), "{labels}");
    let base = FakeDocker::with_base_image().image(BASE_IMAGE).expect("held");
    assert_eq!(labels["kolla-build.parent"], base.id);
}

/// Labels of `cron`, built on `base` by the classic builder: those sent with each of its builds, and the image's.
fn classic_labels(project: Project) -> (Vec<BTreeMap<String, String>>, BTreeMap<String, String>) {
    let daemon = FakeDocker::with_base_image();
    let project = project.image("base", None, "").with_engine(&daemon);
    let mut command = project.command(["--nobuildkit"]);
    let run: Run = command.env("SOURCE_DATE_EPOCH", "1700000000").output().expect("the binary starts").into();
    run.exits(0);
    let of_cron = daemon.builds().into_iter().filter(|build| build.image == "cron");
    let sent = of_cron.map(|build| serde_json::from_str(&build.query["labels"]).expect("JSON")).collect();
    (sent, daemon.image("kolla/cron:2026.2-debian-trixie").expect("built").labels)
}

const AUTHORS: &str = "org.opencontainers.image.authors";
const MAINTAINER: &str = "Kolla Project (https://launchpad.net/kolla)";

#[test]
fn the_classic_builder_gets_only_the_labels_that_are_not_inherited_and_the_last_one() {
    let (sent, labels) = classic_labels(Project::empty().image("cron", Some("base"), ""));
    let sent: Vec<Vec<&String>> = sent.iter().map(|labels| labels.keys().collect()).collect();
    let own = ["description", "title", "version"].map(|name| format!("org.opencontainers.image.{name}"));
    assert_eq!(sent, [[KEY_LABEL, PARENT_LABEL, &own[0], &own[1], &own[2]]]);
    assert_eq!((labels[AUTHORS].as_str(), labels["build-date"].as_str()), (MAINTAINER, "20231114"));
}

#[test]
fn a_label_that_a_dockerfile_sets_itself_is_sent_after_all() {
    let body = format!("LABEL {AUTHORS}=\"me\"\n");
    let (sent, labels) = classic_labels(Project::empty().image("cron", Some("base"), &body));
    assert_eq!(sent.iter().map(|labels| labels.contains_key(AUTHORS)).collect::<Vec<_>>(), [false, true]);
    assert_eq!(labels[AUTHORS], MAINTAINER);
}

#[test]
fn options_of_the_build_reach_the_request() {
    let build = build_with(&[
        "--nobuildkit",
        "--nocache",
        "--network_mode",
        "none",
        "--build-args",
        "flavour:plain,http_proxy:http://mine.example:1",
        "--registry",
        "127.0.0.1:5000",
        "--namespace",
        "mine",
        "--image-name-prefix",
        "pre-",
        "--tag",
        "7",
    ]);
    let query = |name: &str| build.query[name].as_str();
    assert_eq!(query("t"), "127.0.0.1:5000/mine/pre-keystone-base:7");
    assert_eq!(query("version"), "1");
    assert_eq!(query("nocache"), "1");
    assert_eq!(query("networkmode"), "none");
    // What the user says goes before what the environment says.
    assert_eq!(query("buildargs"), r#"{"flavour":"plain","http_proxy":"http://mine.example:1"}"#);
}

#[test]
fn base_images_are_pulled_once_when_asked_for_or_missing() {
    let roots = || Project::empty().image("one", None, "").image("two", None, "");
    for (arguments, pulls) in [(vec![], 1), (vec!["--nopull"], 0)] {
        let daemon = FakeDocker::with_base_image();
        roots().with_engine(&daemon).run(&arguments).exits(0);
        assert_eq!(daemon.pulls(), vec![BASE_IMAGE; pulls], "{arguments:?}");
    }
    let daemon = FakeDocker::start();
    let run = roots().with_engine(&daemon).run(["--nopull", "--retries", "0"]).exits(1);
    assert!(run.tells("ERROR:kolla.common.utils.one:") && run.stderr.contains("manifest unknown"), "{run}");
    assert_eq!(daemon.order(), [""; 0]);
}

#[test]
fn a_base_image_of_another_architecture_is_as_good_as_none() {
    let daemon = FakeDocker::start().hold(BASE_IMAGE, "s390x");
    let run =
        Project::empty().image("base", None, "").with_engine(&daemon).run(["--nopull", "--retries", "0"]);
    // It is asked for from the registry, where the fake daemon has the same one.
    assert_eq!(daemon.pulls(), [BASE_IMAGE], "{run}");
}
