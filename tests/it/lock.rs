//! The lock file: written by one run, held to by others.

use std::path::Path;
use std::process::Command;

use kolla_build::model::platform::{Arch, Platform};
use sha2::{Digest, Sha256};

use crate::support::docker::{BASE_IMAGE, FakeDocker};
use crate::support::files::FileServer;
use crate::support::project::{Project, Run};
use crate::support::real;

/// A daemon with a base image from a registry, a server, a repository, and a project that builds from all of them.
struct Fixture {
    daemon: FakeDocker,
    server: FileServer,
    project: Project,
}

impl Fixture {
    fn new() -> Fixture {
        let daemon = FakeDocker::start();
        daemon.publish(BASE_IMAGE, "trixie");
        let server = FileServer::start();
        let archive = server.put("/zookeeper.tar.gz", b"zookeeper 1");
        let project = Project::empty()
            .with_engine(&daemon)
            .image("base", None, "RUN true\n")
            .image("zookeeper", Some("base"), "ADD zookeeper-archive /\n")
            .image("nova", Some("base"), "ADD nova-archive /\nADD plugins-archive /\n")
            .file("extra/file", "extra 1\n");
        repository(&project.path("nova.git"), "nova 1");
        let sources = format!(
            "[options]\nretries = 0\n\
             [sources.zookeeper]\ntype = \"url\"\nlocation = \"{archive}\"\n\
             [sources.nova]\ntype = \"git\"\nlocation = \"file://{}\"\nreference = \"main\"\n\
             [sources.nova-plugin-extra]\ntype = \"local\"\nlocation = \"extra\"\n",
            project.path("nova.git").display()
        );
        Fixture { daemon, server, project: project.file("build.toml", &sources) }
    }

    fn locked() -> Fixture {
        let fixture = Fixture::new();
        fixture.run(&["--lock"]).exits(0);
        fixture.server.take_requests();
        fixture
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.project.run(["--build-toml=build.toml"].iter().chain(arguments))
    }

    /// Runs as on a machine that has fetched nothing yet.
    fn run_elsewhere(&self, arguments: &[&str]) -> Run {
        let cache = ["--build-toml=build.toml", "--source-cache=other-cache"];
        self.project.run(cache.iter().chain(arguments))
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let text = self.project.read(file);
        assert!(text.contains(from), "{from} is not in {text}");
        std::fs::write(self.project.path(file), text.replace(from, to)).unwrap();
    }

    /// The content that a build's context has in one of its archives.
    fn archive(&self, image: &str, name: &str) -> Vec<u8> {
        let builds = self.daemon.builds();
        builds.iter().find(|build| build.image == image).expect("it was built").files[name].clone()
    }
}

#[test]
fn a_source_of_the_shipped_tree_counts_where_its_dockerfile_adds_it() {
    let daemon = FakeDocker::start();
    daemon.publish(BASE_IMAGE, "trixie");
    let none = "{% extends parent_template %}\n{% set etcd_packages_override = [] %}\n";
    let project = Project::shipped().with_engine(&daemon).file("no-packages.j2", none);
    let locked = |arguments: &[&str]| {
        project.run([&["--base=debian", "--lock", "^etcd$"], arguments].concat()).exits(0);
        project.read("build.lock")
    };
    // Debian's own packages are taken.
    assert!(!locked(&[]).contains("[sources"), "{}", project.read("build.lock"));
    assert!(locked(&["--template-override=no-packages.j2"]).contains("[sources.etcd]"));
    // What a user configures counts, as with Kolla.
    let server = FileServer::start();
    let archive = server.put("/etcd.tar.gz", b"etcd 1");
    let own = format!("[sources.etcd]\nversion = \"1\"\nlocation = \"{archive}\"\n");
    std::fs::write(project.path("own.toml"), own).unwrap();
    assert!(locked(&["--build-toml=own.toml"]).contains(&archive));
}

#[test]
fn a_plugin_of_the_shipped_tree_counts_where_a_dockerfile_adds_plugins() {
    for (body, counts) in [("RUN true\n", false), ("ADD plugins-archive /\n", true)] {
        let daemon = FakeDocker::with_base_image();
        let project = Project::empty().image("magnum-conductor", None, body).with_engine(&daemon);
        let run = project.run(["--lock", "^magnum-conductor$"]).exits(0);
        let lock = project.read("build.lock");
        assert_eq!(lock.contains("[sources.magnum-conductor-plugin-helm"), counts, "{run}{lock}");
    }
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A repository with one more commit on `main`, whose file has this content.
fn repository(path: &Path, content: &str) {
    let script = r#"
        [ -d "$0" ] || git init -q -b main "$0"
        cd "$0" && echo "$1" > file && git add file
        git -c user.name=a -c user.email=a@b commit -qm "$1"
    "#;
    assert!(Command::new("sh").args(["-ec", script]).arg(path).arg(content).status().unwrap().success());
}

fn head(path: &Path) -> String {
    let output = Command::new("git").arg("-C").arg(path).args(["rev-parse", "HEAD"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

fn platform() -> Platform {
    Platform::new(Arch::host())
}

#[test]
fn every_source_and_base_image_of_the_matched_images_is_pinned() {
    let fixture = Fixture::new();
    let run = fixture.run(&["--lock"]).exits(0);
    assert!(run.tells("Locked 3 sources and 1 base image in build.lock"), "{run}");
    assert_eq!(fixture.daemon.builds().len(), 0);
    let text = fixture.project.read("build.lock");
    let lock: toml::Table = text.parse().unwrap();
    assert_eq!(lock["sources"]["zookeeper"]["sha256"].as_str(), Some(sha256(b"zookeeper 1").as_str()));
    let commit = head(&fixture.project.path("nova.git"));
    assert_eq!(lock["sources"]["nova"]["commit"].as_str(), Some(commit.as_str()));
    assert_eq!(lock["sources"]["nova-plugin-extra"]["sha256"].as_str().map(str::len), Some(64));
    let digest = fixture.daemon.publish(BASE_IMAGE, "trixie");
    let pinned = &lock["base_images"][BASE_IMAGE][Arch::host().debian()];
    assert_eq!(pinned["digest"].as_str(), Some(digest.as_str()));

    // The same again gives the same, and another file holds what was asked for only.
    fixture.run(&["--lock"]).exits(0);
    assert_eq!(fixture.project.read("build.lock"), text);
    fixture.run(&["--lock=zookeeper.lock", "zookeeper"]).exits(0);
    assert!(!fixture.project.read("zookeeper.lock").contains("nova"));
}

#[test]
fn a_base_image_that_no_registry_gave_is_locked_as_local() {
    let mut fixture = Fixture::new();
    fixture.daemon = FakeDocker::with_base_image();
    fixture.project = fixture.project.with_engine(&fixture.daemon);
    fixture.run(&["--lock"]).exits(0);
    let id = fixture.daemon.image(BASE_IMAGE).unwrap().id;
    assert!(fixture.project.read("build.lock").contains(&format!("local_id = \"{id}\"")));
    fixture.run(&["--locked"]).exits(0);

    fixture.daemon.forget();
    fixture.daemon.replace(BASE_IMAGE);
    let run = fixture.run(&["--locked"]).exits(1);
    let now = fixture.daemon.image(BASE_IMAGE).unwrap().id;
    let told = format!(
        "base image {BASE_IMAGE} ({}): was the local image {id}, is the local image {now}",
        platform()
    );
    assert!(run.stderr.contains(&told), "{run}");
    assert_eq!(fixture.daemon.builds().len(), 0);
}

#[test]
fn what_moved_on_is_built_as_it_was_locked() {
    let fixture = Fixture::locked();
    let commit = head(&fixture.project.path("nova.git"));
    repository(&fixture.project.path("nova.git"), "nova 2");
    let pinned = fixture.daemon.image(BASE_IMAGE).unwrap();
    fixture.daemon.publish(BASE_IMAGE, "newer trixie");
    assert_ne!(fixture.daemon.image(BASE_IMAGE).unwrap().id, pinned.id);

    fixture.run_elsewhere(&["--locked"]).exits(0);
    assert_eq!(fixture.daemon.image(BASE_IMAGE).unwrap().id, pinned.id);
    assert_eq!(fixture.daemon.builds().len(), 3);
    let archive = fixture.archive("nova", "nova-archive");
    let holds = |text: &str| archive.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds("nova 1\n") && holds(&commit) && !holds("nova 2\n"));
}

#[test]
fn a_locked_run_asks_nobody_for_what_it_has() {
    let fixture = Fixture::locked();
    std::fs::rename(fixture.project.path("nova.git"), fixture.project.path("away")).unwrap();
    // The first needs the commit itself, which --lock only asked the name of.
    let run = fixture.run(&["--locked"]).exits(1);
    assert!(run.stderr.contains("some of what build.lock pins is unavailable; nothing was built"), "{run}");
    assert!(run.stderr.contains("cannot get the source of [nova]"), "{run}");
    assert_eq!(fixture.daemon.builds().len(), 0);

    std::fs::rename(fixture.project.path("away"), fixture.project.path("nova.git")).unwrap();
    fixture.run(&["--locked"]).exits(0);
    std::fs::rename(fixture.project.path("nova.git"), fixture.project.path("away")).unwrap();
    let pulls = fixture.daemon.pulls().len();
    fixture.daemon.forget();
    fixture.run(&["--locked"]).exits(0);
    assert_eq!(fixture.daemon.builds().len(), 0);
    assert_eq!(fixture.daemon.pulls().len(), pulls);
    assert_eq!(fixture.server.take_requests(), []);
}

#[test]
fn everything_that_drifted_is_told_before_anything_is_built() {
    let fixture = Fixture::locked();
    let locked: toml::Table = fixture.project.read("build.lock").parse().unwrap();
    let was = |section: &str| locked["sources"][section]["sha256"].as_str().unwrap().to_string();
    let url = fixture.server.put("/zookeeper.tar.gz", b"zookeeper 2");
    fixture.edit("build.toml", "reference = \"main\"", "reference = \"stable\"");
    fixture.edit("extra/file", "extra 1", "extra 2");
    fixture.edit("build.lock", BASE_IMAGE, "debian:sid");

    let run = fixture.run_elsewhere(&["--locked"]).exits(1);
    let told = |line: String| assert!(run.stderr.contains(&line), "{line} is not in {run}");
    assert!(run.tells("error: build.lock is out of date; nothing was built"), "{run}");
    told(format!(
        "source [zookeeper] ({}): was url {url}, sha256 {}, is url {url}, sha256 {}",
        platform(),
        was("zookeeper"),
        sha256(b"zookeeper 2")
    ));
    let repository = format!("git file://{}", fixture.project.path("nova.git").display());
    let commit = locked["sources"]["nova"]["commit"].as_str().unwrap();
    told(format!(
        "source [nova] ({}): was {repository} at main, commit {commit}, is {repository} at stable",
        platform()
    ));
    told(format!("source [nova-plugin-extra] ({}): was local ", platform()));
    told(format!("base image {BASE_IMAGE} ({}): is not in the lock file", platform()));
    assert_eq!(run.stderr.matches("caused by").count(), 4, "{run}");
    assert!(run.stderr.contains("hint: kolla-build --lock"), "{run}");
    assert_eq!(fixture.daemon.builds().len(), 0);
}

#[test]
fn a_section_that_is_not_locked_is_drift_only_for_images_that_use_it() {
    let fixture = Fixture::new();
    fixture.run(&["--lock", "zookeeper"]).exits(0);
    fixture.run(&["--locked", "zookeeper"]).exits(0);
    let run = fixture.run(&["--locked"]).exits(1);
    let repository = fixture.project.path("nova.git");
    let told = format!(
        "source [nova] ({}): is not in the lock file, is git file://{} at main",
        platform(),
        repository.display()
    );
    assert!(run.stderr.contains(&told), "{run}");
}

#[test]
fn what_can_not_be_had_is_not_locked() {
    let fixture = Fixture::new();
    fixture.edit("build.toml", "/zookeeper.tar.gz", "/absent.tar.gz");
    fixture.edit("build.toml", "nova.git", "nowhere.git");
    let run = fixture.run(&["--lock"]).exits(1);
    assert!(run.stderr.contains("cannot get the source of [zookeeper]"), "{run}");
    assert!(run.stderr.contains("cannot get the source of [nova]"), "{run}");
    assert!(!fixture.project.path("build.lock").exists());
}

#[test]
fn a_lock_file_that_can_not_be_read_is_told() {
    let fixture = Fixture::new();
    let run = fixture.run(&["--locked"]).exits(1);
    assert!(run.tells("error: failed to read the lock file build.lock: "), "{run}");
    std::fs::write(fixture.project.path("build.lock"), "version = 1\n<<<<<<< HEAD\n").unwrap();
    let run = fixture.run(&["--locked"]).exits(2);
    assert!(run.stderr.contains("line 2"), "{run}");
    assert_eq!(fixture.daemon.builds().len(), 0);
}

/// With a registry beside the real daemon, named in `REAL_REGISTRY`.
#[test]
#[ignore = "needs a real Docker engine and a registry"]
fn a_real_registry_gives_a_base_image_as_it_was_locked() {
    let endpoint = real::endpoint();
    let registry = real::named("REAL_REGISTRY");
    let base = format!("{registry}/lock-test:latest");
    let image = "kolla-build-test/lock:t".to_string();
    let _images = real::Images(vec![base.clone(), image.clone()]);
    let project = Project::empty().with_docker_host(&endpoint).image("lock", None, "RUN true\n");
    let publish = |file: &str| {
        let dockerfile = format!("FROM {BASE_IMAGE}\nRUN touch /{file}\n");
        std::fs::write(project.path("Dockerfile"), dockerfile).unwrap();
        real::docker(&["build", "--quiet", "--tag", &base, &project.path("").display().to_string()]);
        real::docker(&["push", "--quiet", &base]);
        real::inspect(&base)["Id"].as_str().unwrap().to_string()
    };
    let arguments = [
        format!("--base-image={registry}/lock-test"),
        "--base-tag=latest".to_string(),
        "--namespace=kolla-build-test".to_string(),
        "--tag=t".to_string(),
    ];
    let run = |more: &str| project.run(arguments.iter().map(String::as_str).chain([more])).exits(0);

    let locked = publish("locked");
    run("--lock");
    assert!(project.read("build.lock").contains("digest = \"sha256:"), "{}", project.read("build.lock"));
    let newer = publish("newer");
    assert_ne!(newer, locked);
    // They have digests for names too.
    let _bases = real::Images(vec![locked.clone(), newer]);
    run("--locked");
    assert_eq!(real::inspect(&base)["Id"].as_str(), Some(locked.as_str()));
    assert_eq!(real::run_in(&image, "ls /locked"), "/locked");
}
