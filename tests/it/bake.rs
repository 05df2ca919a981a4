//! What `docker buildx bake` gets from an export, and what it makes of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::docker::{BASE_IMAGE, FakeDocker};
use crate::support::project::Project;
use crate::support::real;

/// Images with a patch, a source, a plugin and a file that no build is sent.
fn project() -> Project {
    Project::empty()
        .image("base", None, "RUN true\n")
        .image(
            "nova-base",
            Some("base"),
            "COPY nova-base-archive /\nCOPY plugins-archive /\nCOPY patches /\n",
        )
        .image("nova-api", Some("nova-base"), "COPY file /file\n")
        .file("images/nova-api/file", "content\n")
        .file("images/nova-api/notes.md", "nobody needs this\n")
        .file("images/nova-api/.dockerignore", "*.md\n")
        .file("patches/nova-base/series", "fix.patch\n")
        .file("patches/nova-base/fix.patch", "--- a\n+++ b\n")
        .file("nova/setup.py", "nova\n")
        .file("extra/file", "extra\n")
        .file(
            "build.toml",
            "[options]\nretries = 0\n\
             [sources.nova-base]\ntype = \"local\"\nlocation = \"nova\"\n\
             [sources.nova-base-plugin-extra]\ntype = \"local\"\nlocation = \"extra\"\n",
        )
}

const OPTIONS: [&str; 6] = [
    "--build-toml=build.toml",
    "--patches-path=patches",
    "--registry=registry.example:5000",
    "--tag=1",
    "--nopull",
    "nova",
];

fn export<'a>(more: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    OPTIONS.into_iter().chain(["--export=bake", "--export-dir=out"]).chain(more).collect()
}

fn bake_file(project: &Project) -> Value {
    serde_json::from_str(&project.read("out/docker-bake.json")).unwrap()
}

/// Every file below a directory, with its path relative to it.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let found = walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap);
    found
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().strip_prefix(dir).unwrap().to_path_buf())
        .collect()
}

#[test]
fn every_image_is_a_target_on_its_parents_target() {
    let project = project();
    let run = project.run(export(["--network_mode="])).exits(0);
    assert!(
        run.tells("Wrote 3 targets to out/docker-bake.json; build them with: cd out && docker buildx bake"),
        "{run}"
    );
    let file = bake_file(&project);
    assert_eq!(file["group"]["default"]["targets"], json!(["base", "nova-base", "nova-api"]));
    let api = &file["target"]["nova-api"];
    assert_eq!(api["context"], "docker/nova-api");
    assert_eq!(api["contexts"], json!({ "registry.example:5000/kolla/nova-base:1": "target:nova-base" }));
    assert_eq!(api["tags"], json!(["registry.example:5000/kolla/nova-api:1"]));
    assert_eq!(api["labels"]["org.opencontainers.image.title"], "nova-api");
    for absent in ["network", "output", "no-cache", "pull", "args"] {
        assert_eq!(api.get(absent), None);
    }
    assert_eq!(file["target"]["base"].get("contexts"), None);
}

#[test]
fn what_was_asked_of_a_build_is_asked_of_bake() {
    let project = project();
    project
        .run(export(["--pull", "--push", "--nocache", "--platform=linux/arm64", "--build-args=A:b"]))
        .exits(0);
    let targets = &bake_file(&project)["target"];
    let base = &targets["base"];
    assert_eq!(base["platforms"], json!(["linux/arm64"]));
    assert_eq!(base["args"], json!({ "A": "b" }));
    assert_eq!((&base["pull"], &base["no-cache"]), (&json!(true), &json!(true)));
    assert_eq!((&base["network"], &base["output"]), (&json!("host"), &json!(["type=registry"])));
    assert_eq!(targets["nova-api"].get("pull"), None, "a parent is never pulled");
}

#[test]
fn caches_are_those_of_buildx() {
    let project = project();
    let cache = "type=registry,ref=registry.example:5000/cache/{image}:{arch}";
    let (from, to) = (format!("--cache-from={cache}"), format!("--cache-to={cache},mode=max"));
    project.run(export([from.as_str(), to.as_str(), "--platform=linux/arm64"])).exits(0);
    let api = &bake_file(&project)["target"]["nova-api"];
    let own = "type=registry,ref=registry.example:5000/cache/nova-api:aarch64";
    assert_eq!(api["cache-from"], json!([own]));
    assert_eq!(api["cache-to"], json!([format!("{own},mode=max")]));
}

#[test]
fn a_lock_file_is_refused() {
    let run = project().run(export(["--locked"])).exits(2);
    assert!(run.tells("error: --export bake can't hold what it writes to the lock file build.lock"), "{run}");
}

#[test]
fn contexts_hold_what_our_own_builds_send() {
    let daemon = FakeDocker::start();
    daemon.publish(BASE_IMAGE, "trixie");
    let project = project().with_engine(&daemon);
    project.run(export([])).exits(0);
    project.run(OPTIONS).exits(0);
    let builds = daemon.builds();
    assert_eq!(builds.len(), 3);
    for build in builds {
        let context = project.path("out/docker").join(&build.image);
        for (name, content) in &build.files {
            assert_eq!(std::fs::read(context.join(name)).unwrap(), *content, "{name} of {}", build.image);
        }
        let not_sent: Vec<_> = files_below(&context)
            .into_iter()
            .filter(|file| !build.files.contains_key(file.to_str().unwrap()))
            .collect();
        let expected: &[&str] = if build.image == "nova-api" { &["notes.md"] } else { &[] };
        assert_eq!(not_sent, expected.iter().map(PathBuf::from).collect::<Vec<_>>(), "{}", build.image);
    }
}

#[test]
fn secrets_stay_out_and_templates_of_bake_have_no_effect() {
    let project = project();
    let run = project.run(export(["--build-args=DB_PASSWORD:hunter2,PLAIN:$${HOME}%{if}"])).exits(0);
    assert!(run.tells("warning: secrets are not written: bake takes these build arguments from its environment: DB_PASSWORD"), "{run}");
    let text = project.read("out/docker-bake.json");
    assert!(!text.contains("hunter2"), "{text}");
    let file = bake_file(&project);
    assert_eq!(file["variable"], json!({ "DB_PASSWORD": { "default": "" } }));
    assert_eq!(
        file["target"]["base"]["args"],
        json!({ "PLAIN": "$${HOME}%%{if}", "DB_PASSWORD": "${DB_PASSWORD}" })
    );
}

#[test]
fn a_secret_is_mounted_and_neither_read_nor_written() {
    let project = project().file("token", "hunter2\n");
    let run =
        project.run(export(["--secret=id=token,src=token,mode=0400", "--export-dir=out", "nova"])).exits(0);
    let told = "warning: secrets are not written: bake takes each from a variable or a file of its id: token";
    assert!(run.tells(told), "{run}");
    assert_eq!(bake_file(&project)["target"]["base"]["secret"], json!(["id=token"]));
    let dockerfile = project.read("out/docker/base/Dockerfile");
    assert!(
        dockerfile.contains("RUN --mount=type=secret,id=token,required=true,mode=0400 true"),
        "{dockerfile}"
    );
    let out = project.path("out");
    for file in files_below(&out) {
        let content = std::fs::read(out.join(&file)).unwrap();
        assert!(!String::from_utf8_lossy(&content).contains("hunter2"), "{}", file.display());
    }
}

#[test]
fn an_export_that_fails_leaves_no_file_and_one_that_succeeds_leaves_nothing_of_the_last() {
    let project = project();
    project.run(export([])).exits(0);
    std::fs::remove_dir_all(project.path("nova")).unwrap();
    let mut damaged = [b'x'; 512];
    damaged[257..262].copy_from_slice(b"ustar");
    std::fs::write(project.path("nova"), damaged).unwrap();
    let run = project.run(export([])).exits(1);
    assert!(run.tells("error: cannot export: some sources are unavailable"), "{run}");
    assert!(run.stderr.contains("caused by: nova-base: "), "{run}");
    assert!(!project.path("out/docker-bake.json").exists());

    project.run(["--export=bake", "--export-dir=out", "^base$"]).exits(0);
    assert!(!project.path("out/docker/nova-api").exists());
    assert_eq!(bake_file(&project)["group"]["default"]["targets"], json!(["base"]));
}

#[test]
fn each_platform_has_its_targets() {
    let project = project();
    let run = project.run(export(["--platform=linux/amd64,linux/arm64"])).exits(0);
    assert!(run.tells("and then list their platforms"), "{run}");
    let file = bake_file(&project);
    assert_eq!(
        file["group"]["aarch64"]["targets"],
        json!(["base-aarch64", "nova-base-aarch64", "nova-api-aarch64"])
    );
    assert_eq!(file["group"]["default"]["targets"].as_array().unwrap().len(), 6);
    let target = &file["target"]["nova-api-aarch64"];
    assert_eq!(target["platforms"], json!(["linux/arm64"]));
    assert_eq!(target["tags"], json!(["registry.example:5000/kolla/nova-api:1-aarch64"]));
    let parent = json!({ "registry.example:5000/kolla/nova-base:1-aarch64": "target:nova-base-aarch64" });
    assert_eq!(target["contexts"], parent);
    assert_eq!(target["context"], "docker/aarch64/nova-api");
}

fn newer_engine() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host/newer-engine"))
}

/// The client of an engine whose BuildKit takes contexts from targets, run in a directory.
fn newer_docker(dir: &Path, arguments: &[&str]) -> String {
    let output = newer_engine().arg("docker").args(arguments).current_dir(dir).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
#[ignore = "needs a real Docker engine"]
fn bake_builds_the_tree() {
    real::named("REAL_NEWER_DOCKER");
    let project = Project::empty()
        .file("images/base/Dockerfile.j2", "FROM scratch\nCOPY file /base\n")
        .file("images/base/file", "base\n")
        .image("nova-base", Some("base"), "ADD nova-base-archive /\nARG GREETING\nLABEL greeting=$GREETING\n")
        .image("nova-api", Some("nova-base"), "COPY . /\n")
        .file("images/nova-api/notes.md", "nobody needs this\n")
        .file("images/nova-api/.dockerignore", "*.md\nDockerfile\n")
        .file("nova/setup.py", "nova\n")
        .file("build.toml", "[sources.nova-base]\ntype = \"local\"\nlocation = \"nova\"\n");
    let namespace = format!("kolla-build-test-{}", std::process::id());
    project
        .run(
            [
                "--export=bake",
                "--nopull",
                "--tag=1",
                "--build-toml=build.toml",
                "--build-args=GREETING:$${not}%{this}",
            ]
            .iter()
            .copied()
            .chain(["--namespace", &namespace]),
        )
        .exits(0);
    let dir = project.path("export");
    newer_docker(&dir, &["buildx", "bake"]);
    let names = ["base", "nova-base", "nova-api"].map(|image| format!("{namespace}/{image}:1"));
    let inspected = newer_docker(&dir, &["image", "inspect", &names[0], &names[1], &names[2]]);
    let images: Vec<Value> = serde_json::from_str(&inspected).unwrap();
    let layers = |image: &Value| image["RootFS"]["Layers"].as_array().unwrap().clone();
    for pair in images.windows(2) {
        assert!(
            layers(&pair[1]).starts_with(&layers(&pair[0])),
            "each is built on the one before: {inspected}"
        );
    }
    assert_eq!(images[1]["Config"]["Labels"]["greeting"], "${not}%{this}");
    assert_eq!(images[2]["Config"]["Labels"]["org.opencontainers.image.title"], "nova-api");

    newer_docker(&dir, &["create", "--name", &namespace, &names[2], "none"]);
    newer_docker(&dir, &["cp", &format!("{namespace}:/"), "files"]);
    let mut files = files_below(&dir.join("files"));
    files.retain(|file| !["dev", "etc", "proc", "sys", ".dockerenv"].iter().any(|own| file.starts_with(own)));
    files.sort();
    newer_docker(&dir, &["rm", &namespace]);
    newer_docker(&dir, &["rmi", &names[2], &names[1], &names[0]]);
    let files: Vec<_> = files.iter().map(|file| file.to_str().unwrap()).collect();
    assert_eq!(files, [".dockerignore", "additions-archive", "base", "nova/setup.py", "plugins-archive"]);
}
