//! Everything that a Dockerfile names: images of the tree that come first, base images that are pulled, and what changes
//! with them.

use kolla_build::model::platform::Arch;
use serde_json::Value;

use crate::support::docker::{self, BASE_IMAGE, FakeDocker};
use crate::support::files::{Fault, FileServer};
use crate::support::git::git;
use crate::support::project::{Project, Run};

const TOOLS: &str = "kolla/tools:2026.2-debian-trixie";

/// `app` is built on `base`, and copies from `tools` of the tree.
fn project() -> Project {
    Project::empty()
        .image("base", None, "RUN true\n")
        .image("tools", None, "COPY tool /\n")
        .file("images/tools/tool", "1\n")
        .image("app", Some("base"), "COPY --from={{ namespace }}/tools:{{ tag }} /tool /\n")
        .image("on-app", Some("app"), "RUN true\n")
        .image("other", Some("base"), "RUN true\n")
}

fn built(project: Project) -> (FakeDocker, Project) {
    built_by(FakeDocker::with_base_image(), project)
}

fn built_by(daemon: FakeDocker, project: Project) -> (FakeDocker, Project) {
    let project = project.with_engine(&daemon);
    project.run([""; 0]).exits(0);
    daemon.forget();
    (daemon, project)
}

/// The images that this run builds, sorted, which the plan before it has foretold.
#[track_caller]
fn rebuilt(daemon: &FakeDocker, project: &Project) -> Vec<String> {
    let foretold = foretold(&project.run(["--plan", "--plan-format=json"]).exits(0));
    let run = project.run([""; 0]).exits(0);
    let mut images = daemon.order();
    images.sort();
    assert_eq!(images, foretold, "{run}");
    images
}

/// The images that a plan says are built, sorted.
fn foretold(run: &Run) -> Vec<String> {
    let plan: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run}"));
    let units = plan["units"].as_array().expect("a list").iter();
    let built = units.filter(|unit| unit["forecast"]["expected"] == "built");
    let mut images: Vec<String> =
        built.map(|unit| unit["image"].as_str().expect("text").to_string()).collect();
    images.sort();
    images
}

#[test]
fn an_image_that_is_copied_from_comes_first_and_is_asked_for_too() {
    let daemon = FakeDocker::with_base_image();
    let project = project().with_engine(&daemon);
    project.run(["^app$", "--threads=8"]).exits(0);
    let order = daemon.order();
    assert_eq!(order.len(), 3, "{order:?}");
    assert_eq!(order[2], "app");
    let plan = project.run(["--plan", "^app$"]).exits(0);
    assert!(
        plan.stdout.lines().any(|line| line.contains("tools ") && line.contains("app is built on it")),
        "{plan}"
    );
}

#[test]
fn what_is_copied_from_rebuilds_what_copies_and_what_is_built_on_that() {
    let (daemon, project) = built(project());
    assert_eq!(rebuilt(&daemon, &project), [""; 0]);
    let project = project.file("images/tools/tool", "2\n");
    assert_eq!(rebuilt(&daemon, &project), ["app", "on-app", "tools"]);
    daemon.forget();
    // Same inputs, other content.
    daemon.replace(TOOLS);
    assert_eq!(rebuilt(&daemon, &project), ["app", "on-app"]);
}

#[test]
fn a_failed_image_takes_with_it_what_copies_from_it() {
    let fails = docker::Fault::Fails { message: "exit code: 1".to_string(), log: "no".to_string() };
    let daemon = FakeDocker::with_base_image().fail("tools", fails);
    let project = project().with_engine(&daemon);
    let summary = project.run(["--format=json"]).exits(1).summary();
    let failed: Vec<(&str, &str)> = summary["failed"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|image| (image["name"].as_str().expect("text"), image["status"].as_str().expect("text")))
        .collect();
    assert_eq!(failed, [("app", "parent_error"), ("on-app", "parent_error"), ("tools", "error")]);
}

#[test]
fn lists_go_by_from_and_the_graph_shows_the_rest() {
    let project = project();
    let tree = project.run(["--list-dependencies"]).exits(0).summary();
    assert_eq!(tree["tools"], serde_json::json!([]));
    assert_eq!(tree["base"], serde_json::json!([{"app": ["on-app"]}, "other"]));
    project.run(["--save-dependency=graph.dot"]).exits(0);
    assert!(project.read("graph.dot").contains("\ttools -> app [style=dashed]\n"));
    let plan = project.run(["--skip-parents", "--plan"]).exits(0);
    let skipped: Vec<&str> = plan.stdout.lines().filter(|line| line.starts_with("skip ")).collect();
    assert_eq!(skipped.len(), 3, "{plan}");
}

#[test]
fn images_that_name_each_other_are_a_circle() {
    let project = project().image("tools", None, "COPY --from={{ namespace }}/on-app:{{ tag }} / /\n");
    let run = project.run(["--list-images"]).exits(1);
    assert!(run.stderr.contains("in a circle: app -> tools -> on-app -> app"), "{run}");
    let project = project.image("tools", None, "\nCOPY --from={{ namespace }}/none:{{ tag }} / /\n");
    let run = project.run(["--list-images"]).exits(1);
    assert!(
        run.stderr.contains(
            "tools names kolla/none:2026.2-debian-trixie in line 4 of its Dockerfile, but the image tree has no such image"
        ),
        "{run}"
    );
}

/// What names an image that is not of the tree, after `FROM base`.
const FOREIGN: [&str; 4] = [
    "COPY --from=other:latest /x /y\n",
    "RUN --mount=type=bind,from=other:latest,target=/x \\\n  cp /x /y\n",
    "FROM other:latest AS second\nRUN true\n",
    "FROM {{ base_image }}:{{ base_distro_tag }} AS Second\nCOPY --from=second / /\nADD <<E /x\nFROM no\nE\nFROM other:latest\n",
];

#[test]
fn every_foreign_image_is_pulled_and_rebuilds_what_names_it() {
    for body in FOREIGN {
        let daemon = FakeDocker::with_base_image().hold("other:latest", Arch::host().debian());
        let project = Project::empty()
            .image("base", None, "RUN true\n")
            .image("app", Some("base"), body)
            .image("plain", Some("base"), "RUN true\n");
        let (daemon, project) = built_by(daemon, project);
        assert!(daemon.pulls().contains(&"other:latest".to_string()), "{body}");
        assert!(!daemon.pulls().contains(&"second".to_string()), "{body}");
        assert_eq!(rebuilt(&daemon, &project), [""; 0], "{body}");
        daemon.replace("other:latest");
        assert_eq!(rebuilt(&daemon, &project), ["app"], "{body}");
    }
}

#[test]
fn arguments_before_from_are_understood() {
    let base = "ARG SUITE=trixie\nARG IMAGE\nFROM ${IMAGE:-debian}:$SUITE AS build\nRUN true\n";
    let daemon = FakeDocker::with_base_image().hold("other:trixie", Arch::host().debian());
    let project =
        Project::empty().file("images/base/Dockerfile.j2", base).image("app", Some("base"), "RUN true\n");
    let (daemon, project) = built_by(daemon, project);
    daemon.replace(BASE_IMAGE);
    assert_eq!(rebuilt(&daemon, &project), ["app", "base"]);
    project.run(["--build-args=IMAGE:other"]).exits(0);
    assert!(daemon.pulls().contains(&"other:trixie".to_string()));
}

#[test]
fn an_image_of_a_platform_of_its_own_goes_by_a_name_that_tells_it() {
    let other = if Arch::host() == Arch::X86_64 { Arch::Aarch64 } else { Arch::X86_64 };
    let daemon = FakeDocker::with_base_image().hold("tools:1", other.debian());
    let from = format!("FROM --platform=linux/{} tools:1 AS t\n", other.debian());
    let project = Project::empty()
        .file(
            "images/base/Dockerfile.j2",
            &format!("{from}FROM {{{{ base_image }}}}:{{{{ base_distro_tag }}}}\nCOPY --from=t / /\n"),
        )
        .with_engine(&daemon);
    project.run(["--nopull"]).exits(0);
    let alias = format!("kolla-build.invalid/{}/tools:1", other.kolla());
    let sent = daemon.builds()[0].dockerfile();
    assert!(sent.starts_with(&format!("FROM --platform=linux/{} {alias} AS t\n", other.debian())), "{sent}");
    assert!(daemon.image(&alias).is_some_and(|image| image.architecture == other.debian()));
}

#[test]
fn an_image_without_the_label_of_its_parent_is_built_again_and_the_plan_says_so() {
    let (daemon, project) = built(project());
    daemon.state().images.get_mut(TOOLS).expect("built").labels.remove("kolla-build.parent");
    assert_eq!(rebuilt(&daemon, &project), ["app", "on-app", "tools"]);
}

#[test]
fn a_plan_leaves_out_what_a_build_leaves_out() {
    let (daemon, project) = built(project());
    let project = project.file("images/tools/tool", "2\n");
    daemon.remove("kolla/other:2026.2-debian-trixie");
    let plan = project.run(["--plan", "--plan-format=json", "--skip-existing"]).exits(0);
    assert_eq!(foretold(&plan), ["other"]);
    project.run(["--skip-existing"]).exits(0);
    assert_eq!(daemon.order(), ["other"]);
}

/// `app` downloads from the server, and so does `pinned`, which says what it is.
fn downloading(server: &FileServer) -> Project {
    let url = server.url("/x");
    Project::empty()
        .image("base", None, "RUN true\n")
        .image("app", Some("base"), &format!("ENV U={url}\nADD $U /x\n"))
        .image("pinned", Some("base"), &format!("ADD --checksum=sha256:00 {url} /x\n"))
}

#[test]
fn what_add_downloads_rebuilds_an_image_when_its_server_says_that_it_has_changed() {
    let server = FileServer::start();
    server.put("/x", b"1");
    let (daemon, project) = built(downloading(&server));
    assert_eq!(rebuilt(&daemon, &project), [""; 0]);
    server.put("/x", b"2");
    assert_eq!(rebuilt(&daemon, &project), ["app"]);
}

#[test]
fn what_add_gets_from_git_rebuilds_an_image_when_the_reference_leads_elsewhere() {
    let server = FileServer::start();
    let commit = |digit: &str| {
        let commit = digit.repeat(40);
        server.put("/r.git/info/refs", format!("{commit}\trefs/heads/main\n").as_bytes());
        server.put("/r.git/HEAD", b"ref: refs/heads/main\n");
    };
    commit("1");
    let url = server.url("/r.git");
    let project = Project::empty()
        .image("base", None, "RUN true\n")
        .image("app", Some("base"), &format!("ADD {url}#main /x\n"))
        .image("head", Some("base"), &format!("ADD --keep-git-dir=true {url} /x\n"))
        .image("pinned", Some("base"), &format!("ADD {url}#{} /x\n", "1".repeat(40)));
    let (daemon, project) = built(project);
    assert_eq!(rebuilt(&daemon, &project), [""; 0]);
    commit("2");
    assert_eq!(rebuilt(&daemon, &project), ["app", "head"]);
}

#[test]
fn a_server_that_does_not_answer_holds_nobody_up() {
    let server = FileServer::start();
    server.put("/x", b"1");
    let (daemon, project) = built(downloading(&server));
    server.fail_next(Fault::Hold);
    let run = project.run(["--timeout=1"]).exits(0);
    assert_eq!(daemon.order(), ["app"], "{run}");
    assert!(run.stderr.contains("which ADD downloads, has changed ("), "{run}");
}

#[test]
fn another_name_of_the_same_commit_is_another_input() {
    let project =
        Project::empty().image("base", None, "RUN true\n").image("app", Some("base"), "ADD app-archive /\n");
    let repository = project.path("r");
    std::fs::create_dir(&repository).expect("a directory");
    git(&repository, "git init -q -b main . && echo 1 > f && git add f && git commit -qm 1 && git tag same");
    let configured = |project: Project, reference: &str| {
        let location = project.path("r").display().to_string();
        project.file(
            "build.toml",
            &format!("[sources.app]\ntype = \"git\"\nlocation = \"file://{location}\"\nreference = \"{reference}\"\n"),
        )
    };
    let daemon = FakeDocker::with_base_image();
    let project = configured(project.with_engine(&daemon), "main");
    project.run(["--build-toml=build.toml"]).exits(0);
    daemon.forget();
    project.run(["--build-toml=build.toml"]).exits(0);
    assert_eq!(daemon.order(), [""; 0]);
    let project = configured(project, "same");
    project.run(["--build-toml=build.toml"]).exits(0);
    assert_eq!(daemon.order(), ["app"]);
}

#[test]
fn exports_know_what_is_copied_from() {
    let project = project();
    project.run(["--export=bake", "--export-dir=out"]).exits(0);
    let file: Value = serde_json::from_str(&project.read("out/docker-bake.json")).expect("JSON");
    let contexts = &file["target"]["app"]["contexts"];
    assert_eq!(contexts[TOOLS], "target:tools");
    assert_eq!(contexts["kolla/base:2026.2-debian-trixie"], "target:base");
    project.run(["--export=matrix=gitlab", "--export-dir=out", "--images-per-job=1"]).exits(0);
    let jobs: Value = serde_yaml::from_str(&project.read("out/kolla-build.gitlab-ci.yml")).expect("YAML");
    let job_of = |image: &str| {
        let jobs = jobs.as_object().expect("a map").iter();
        let builds = |job: &Value| job["script"].to_string().contains(&format!("^{image}$"));
        jobs.filter(|(_, job)| builds(job)).map(|(name, _)| name.clone()).next().expect("a job")
    };
    let needs = &jobs[job_of("app")]["needs"];
    let needed: Vec<&str> =
        needs.as_array().expect("a list").iter().filter_map(|need| need["job"].as_str()).collect();
    assert!(
        needed.contains(&job_of("tools").as_str()) && needed.contains(&job_of("base").as_str()),
        "{needs}"
    );
}

#[test]
fn what_copies_from_an_affected_image_is_affected() {
    let project = project();
    git(&project.path(""), "git init -q -b main . && git add images && git commit -qm first");
    let project = project.file("images/tools/tool", "2\n");
    let run = project.run(["--list-images", "--affected-since=HEAD"]).exits(0);
    let listed: Vec<&str> = run.stdout.lines().filter_map(|line| Some(line.split_once(" : ")?.1)).collect();
    assert_eq!(listed, ["app", "on-app", "tools"]);
}

#[test]
fn what_nobody_can_tell_is_warned_of_once_and_built_every_time() {
    let server = FileServer::start();
    let (daemon, project) = built(downloading(&server));
    assert_eq!(rebuilt(&daemon, &project), ["app"]);
    let run = project.run([""; 0]).exits(0);
    let warning =
        format!("warning: nobody tells whether {}, which ADD downloads, has changed", server.url("/x"));
    assert!(run.tells(&warning) && run.stderr.contains("404"), "{run}");
    assert_eq!(run.stderr.matches("nobody tells").count(), 1, "{run}");
}

#[test]
fn a_lock_holds_the_images_that_are_copied_from_and_refuses_unpinned_downloads() {
    let daemon = FakeDocker::with_base_image();
    daemon.publish("other:latest", "one");
    let project = Project::empty().with_engine(&daemon).image("base", None, "COPY --from=other:latest / /\n");
    project.run(["--lock"]).exits(0);
    let lock = project.read("build.lock");
    assert!(lock.contains("[base_images.\"other:latest\"."), "{lock}");
    daemon.publish("other:latest", "two");
    project.run(["--locked"]).exits(0);
    assert_eq!(daemon.pulls().iter().filter(|name| name.contains("other@sha256")).count(), 1);
    let project = project.image("base", None, "COPY --from=other:latest / /\nADD https://h.invalid/x /\n");
    let run = project.run(["--locked"]).exits(1);
    assert!(
        run.stderr
            .contains("ADD https://h.invalid/x in line 4 of base's Dockerfile: is not in the lock file"),
        "{run}"
    );
    let run = project.run(["--lock"]).exits(0);
    assert!(run.tells("warning: --locked will refuse base: line 4"), "{run}");
}
