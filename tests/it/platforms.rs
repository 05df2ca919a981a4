//! Images for several platforms out of one run, and the manifest lists that join them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::docker::{Build, FakeDocker, Fault as DockerFault};
use crate::support::project::{Project, Run};
use crate::support::real::{self, Images};
use crate::support::registry::{FakeRegistry, Fault};
use crate::support::spare_engine::SpareEngine;

const BOTH: &str = "linux/amd64,linux/arm64";
const TAG: &str = "1";

/// `base -> keystone`, and a registry.
struct Setting {
    registry: FakeRegistry,
    daemon: FakeDocker,
    project: Project,
}

impl Setting {
    fn new() -> Setting {
        let registry = FakeRegistry::start();
        let daemon = FakeDocker::start().with_registry(&registry);
        let project = Project::empty()
            .file("images/base/Dockerfile.j2", "FROM scratch\nLABEL arch={{ base_arch }}\n")
            .image("keystone", Some("base"), "RUN true\n")
            .with_engine(&daemon);
        Setting { registry, daemon, project }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let common =
            ["--platform", BOTH, "--registry", self.registry.address(), "--tag", TAG, "-r", "1", "--nopull"];
        self.project.run(common.iter().chain(arguments))
    }

    /// The digests that a repository's list names, by architecture.
    fn listed(&self, image: &str) -> Option<BTreeMap<String, String>> {
        let list: Value =
            serde_json::from_slice(&self.registry.manifest(&format!("kolla/{image}"), TAG)?).unwrap();
        let entry = |entry: &Value| {
            let text = |value: &Value| value.as_str().unwrap().to_string();
            (text(&entry["platform"]["architecture"]), text(&entry["digest"]))
        };
        Some(list["manifests"].as_array().unwrap().iter().map(entry).collect())
    }

    fn tagged(&self, image: &str, arch: &str) -> String {
        self.registry.tagged(&format!("kolla/{image}"), &format!("{TAG}-{arch}")).expect("pushed")
    }
}

#[test]
fn each_platform_has_its_images_and_one_name_lists_them() {
    let setting = Setting::new();
    setting.run(&["--push", "--digests", "digests.json", "--digests-ansible", "digests.yml"]).exits(0);
    for image in ["base", "keystone"] {
        let expected = [("amd64", "x86_64"), ("arm64", "aarch64")]
            .map(|(architecture, arch)| (architecture.to_string(), setting.tagged(image, arch)));
        assert_eq!(setting.listed(image), Some(expected.into()), "{image}");
    }
    let builds = setting.daemon.builds();
    let for_arm = |build: &&Build| build.image == "keystone" && build.query["platform"] == "linux/arm64";
    let arm = builds.iter().find(for_arm).unwrap();
    let parent = format!("FROM {}/kolla/base:{TAG}-aarch64\n", setting.registry.address());
    assert!(arm.dockerfile().starts_with(&parent), "{}", arm.dockerfile());

    let digests: Value = serde_json::from_str(&setting.project.read("digests.json")).unwrap();
    let list = setting.registry.tagged("kolla/keystone", TAG).unwrap();
    let keystone = &digests["keystone"];
    assert_eq!((&keystone["digest"], &keystone["tag"]), (&json!(list), &json!(TAG)));
    assert_eq!(keystone["platforms"]["linux/arm64"]["digest"], json!(setting.tagged("keystone", "aarch64")));
    let variable = format!("keystone_image_full: \"{}/kolla/keystone@{list}\"", setting.registry.address());
    assert!(setting.project.read("digests.yml").contains(&variable));

    let again = setting.run(&["--push"]).exits(0);
    assert!(again.stderr.ends_with(": 0 images built, 4 unchanged\n"), "{again}");
    assert_eq!(setting.registry.tagged("kolla/keystone", TAG).unwrap(), list);
    setting.run(&["--verify-registry"]).exits(0);
}

#[test]
fn without_a_push_there_is_no_list() {
    let setting = Setting::new();
    let run = setting.run(&[]).exits(0);
    assert!(run.stderr.ends_with(": 4 images built\n"), "{run}");
    assert_eq!(setting.registry.take_requests(), [""; 0]);
}

#[test]
fn a_list_waits_for_every_platform() {
    let setting = Setting::new();
    setting.run(&["--push", "^base$"]).exits(0);
    let before = setting.listed("base");
    let fault = DockerFault::Fails { message: "no".to_string(), log: "no".to_string() };
    let project = setting.project.image("keystone", Some("base"), "RUN {{ base_arch }}\n");
    let setting = Setting { daemon: setting.daemon.fail_times("keystone", 1, fault), project, ..setting };
    let run = setting.run(&["--push", "-T", "1", "--digests-ansible", "digests.yml"]).exits(1);
    assert_eq!(setting.listed("keystone"), None, "{run}");
    assert_eq!(setting.listed("base"), before);
    assert!(!setting.project.read("digests.yml").contains("keystone"));
    // The next run builds what is missing and completes the list.
    setting.run(&["--push"]).exits(0);
    assert_eq!(setting.listed("keystone").map(|list| list.len()), Some(2));
}

#[test]
fn a_list_that_the_registry_refuses_is_a_failed_push() {
    let setting = Setting::new();
    setting.registry.fail_next(&format!("PUT /v2/kolla/base/manifests/{TAG}"), Fault::Status(403, None));
    let run = setting.run(&["--push", "^base$"]).exits(1);
    let reason =
        format!("failed to list the image's platforms as {}/kolla/base:{TAG}: ", setting.registry.address());
    assert!(run.stderr.contains(&reason), "{run}");
    assert_eq!(run.summary()["failed"][0]["status"], "push_error", "{run}");
}

#[test]
fn a_platform_that_is_left_out_stays_in_the_list_as_it_is() {
    let setting = Setting::new();
    setting.run(&["--push"]).exits(0);
    let before = setting.listed("keystone").unwrap();
    let project = setting.project.image("keystone", Some("base"), "RUN another\n");
    let setting = Setting { project, ..setting };
    setting.daemon.remove(&format!("{}/kolla/keystone:{TAG}-x86_64", setting.registry.address()));
    setting.run(&["--push", "--skip-existing", "^keystone$"]).exits(0);
    let after = setting.listed("keystone").unwrap();
    assert_eq!(after["arm64"], before["arm64"]);
    assert_ne!(after["amd64"], before["amd64"]);
}

#[test]
fn what_several_runs_have_pushed_is_listed() {
    let setting = Setting::new();
    let alone = |platform: &str, tag: &str| {
        let common = ["--registry", setting.registry.address(), "-r", "0", "--nopull", "--push"];
        setting.project.run(common.iter().chain(&["--platform", platform, "--tag", tag])).exits(0);
    };
    alone("linux/amd64", "1-x86_64");
    let run = setting.run(&["--manifest-lists", "^base$"]).exits(1);
    let missing =
        format!("the registry has no {}/kolla/base:1-aarch64 for linux/arm64", setting.registry.address());
    assert!(run.stderr.contains(&missing), "{run}");
    assert!(run.stderr.ends_with("Listed 0 of 1 images\n"), "{run}");
    assert_eq!(setting.listed("base"), None);
    alone("linux/arm64", "1-aarch64");
    let run = setting.run(&["--manifest-lists"]).exits(0);
    assert!(run.stderr.ends_with("Listed 2 of 2 images\n"), "{run}");
    for image in ["base", "keystone"] {
        assert_eq!(setting.listed(image).unwrap()["arm64"], setting.tagged(image, "aarch64"));
    }
    let run = setting.project.run(["--manifest-lists"]).exits(2);
    assert!(run.stderr.contains("--manifest-lists joins several platforms"), "{run}");
}

/// A job of a pipeline: a run for one of the platforms, which keeps its report.
fn job(setting: &Setting, platform: &str, name: &str, more: &[&str]) -> Run {
    std::fs::create_dir_all(setting.project.path("reports")).expect("a directory");
    let report = format!("--report=reports/{name}.json");
    let common = ["--push", "--reuse", "registry", "--only-platform", platform, &report];
    setting.run(&[&common, more].concat())
}

#[test]
fn runs_for_a_platform_each_are_listed_once_all_are_told_of() {
    let setting = Setting::new();
    for (platform, name) in [("linux/amd64", "a"), ("linux/arm64", "b")] {
        let run = job(&setting, platform, name, &[]).exits(0);
        assert!(run.stderr.ends_with(": 2 images built\n"), "{run}");
        let report: Value =
            serde_json::from_str(&setting.project.read(&format!("reports/{name}.json"))).unwrap();
        for image in report["images"].as_array().unwrap() {
            let is_own = image["platform"] == platform;
            assert_eq!(image["disposition"] == "build", is_own, "{image}");
            assert!(is_own || image["reason"].as_str().unwrap().contains("--only-platform"), "{image}");
        }
    }
    assert_eq!(setting.listed("base"), None, "a run for one platform has put a list");

    // Without a push nothing is put; the reports are told of all the same.
    setting.run(&["--merge-summaries", "reports"]).exits(0);
    assert_eq!(setting.listed("base"), None);

    let digests = ["--digests", "digests.json", "--digests-ansible", "digests.yml", "--report", "all.json"];
    let run =
        setting.run(&[&digests[..], &["--push", ".", "--merge-summaries", "reports"]].concat()).exits(0);
    assert!(run.tells("Listed the platforms of 2 of 2 images"), "{run}");
    for image in ["base", "keystone"] {
        let expected = [("amd64", "x86_64"), ("arm64", "aarch64")]
            .map(|(architecture, arch)| (architecture.to_string(), setting.tagged(image, arch)));
        assert_eq!(setting.listed(image), Some(expected.into()), "{image}");
    }
    let list = setting.registry.tagged("kolla/keystone", TAG).unwrap();
    let told: Value = serde_json::from_str(&setting.project.read("digests.json")).unwrap();
    assert_eq!(told["keystone"]["digest"], json!(list));
    assert!(setting.project.read("digests.yml").contains(&format!("/kolla/keystone@{list}\"")));
    let whole: Value = serde_json::from_str(&setting.project.read("all.json")).unwrap();
    let carriers: Vec<&Value> = whole["images"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|image| image["name"] == "keystone" && image["push"]["list"] == json!(list))
        .map(|image| &image["platform"])
        .collect();
    // As in a run for both: the push that came last.
    assert_eq!(carriers, [&json!("linux/arm64")]);

    // The keys are those of a run for both.
    let again = setting.run(&["--push", "--reuse", "registry"]).exits(0);
    assert!(again.stderr.ends_with(": 0 images built, 4 unchanged\n"), "{again}");
    assert_eq!(setting.registry.tagged("kolla/keystone", TAG).unwrap(), list);
}

#[test]
fn an_image_that_lacks_a_platform_is_not_listed_when_runs_are_merged() {
    let setting = Setting::new();
    setting.run(&["--push"]).exits(0);
    let before = (setting.listed("base"), setting.listed("keystone"));
    let project = setting.project.image("keystone", Some("base"), "RUN {{ base_arch }}\n");
    let setting = Setting { project, ..setting };
    let merge = |more: &[&str]| setting.run(&[more, &["--push", "--merge-summaries", "reports"]].concat());

    // One platform's job has left nothing, whether all is asked for or what there is.
    job(&setting, "linux/amd64", "a", &[]).exits(0);
    for more in [&["."][..], &[]] {
        let run = merge(more).exits(1);
        assert!(run.tells("Listed the platforms of 0 of 2 images"), "{run}");
        assert_eq!((setting.listed("base"), setting.listed("keystone")), before, "{run}");
    }

    // One has failed.
    let fault = DockerFault::Fails { message: "no".to_string(), log: "no".to_string() };
    let setting = Setting { daemon: setting.daemon.fail_times("keystone", 1, fault), ..setting };
    job(&setting, "linux/arm64", "b", &["-r", "0"]).exits(1);
    let merge = |more: &[&str]| setting.run(&[more, &["--push", "--merge-summaries", "reports"]].concat());
    let run = merge(&["."]).exits(1);
    assert!(run.tells("Listed the platforms of 1 of 2 images"), "{run}");
    assert_eq!(setting.listed("keystone"), before.1);

    // The registry refuses.
    job(&setting, "linux/arm64", "b", &[]).exits(0);
    setting.registry.fail_next(&format!("PUT /v2/kolla/keystone/manifests/{TAG}"), Fault::Status(403, None));
    let run = merge(&["."]).exits(1);
    assert!(run.stderr.contains("failed to list the image's platforms as "), "{run}");
    assert_eq!(run.summary()["failed"][0]["status"], "push_error", "{run}");
    merge(&["."]).exits(0);
    let after = setting.listed("keystone").unwrap();
    assert_eq!(after["arm64"], setting.tagged("keystone", "aarch64"));
    assert_ne!(Some(after), before.1);

    // What was built and not pushed can't be listed.
    setting.run(&["--only-platform", "linux/arm64", "--report", "reports/b.json"]).exits(0);
    let run = merge(&["."]).exits(1);
    assert!(run.stderr.contains("no run says that it was pushed"), "{run}");
}

#[test]
fn what_runs_tell_of_lists_is_told_anew_when_they_are_merged() {
    let setting = Setting::new();
    std::fs::create_dir_all(setting.project.path("reports")).expect("a directory");
    setting.run(&["--push", "--report", "reports/whole.json"]).exits(0);
    // The platform whose push has put the list, and the digest that it told.
    let told = |file: &str| -> Vec<(String, String)> {
        let report: Value = serde_json::from_str(&setting.project.read(file)).unwrap();
        let images = report["images"].as_array().unwrap().iter().filter(|image| image["name"] == "keystone");
        let text = |value: &Value| value.as_str().map(str::to_string);
        images.filter_map(|image| Some((text(&image["platform"])?, text(&image["push"]["list"])?))).collect()
    };
    let [(carrier, before)] = &told("reports/whole.json")[..] else { panic!("several tell of one list") };
    let other = if carrier == "linux/amd64" { "linux/arm64" } else { "linux/amd64" };
    let project = Project::empty()
        .file("images/base/Dockerfile.j2", "FROM scratch\nLABEL arch={{ base_arch }}\n")
        .image("keystone", Some("base"), "RUN another\n")
        .with_engine(&setting.daemon);
    let changed = |arguments: &[&str]| {
        let common = ["--platform", BOTH, "--registry", setting.registry.address(), "--tag", TAG, "-r", "1"];
        project.run(common.iter().chain(arguments)).exits(0)
    };
    let report = setting.project.path("reports/other.json").display().to_string();
    changed(&["--nopull", "--push", "--only-platform", other, "--report", &report]);
    setting.run(&["--push", "--report", "all.json", "--merge-summaries", "reports"]).exits(0);
    let list = setting.registry.tagged("kolla/keystone", TAG).unwrap();
    assert_ne!(list, *before);
    assert_eq!(told("all.json"), [(other.to_string(), list)]);
}

#[test]
fn one_platform_alone_must_be_one_of_the_run_s_and_is_not_for_what_they_have_in_common() {
    let setting = Setting::new();
    let run = setting.run(&["--only-platform", "linux/s390x"]).exits(2);
    assert!(run.stderr.contains("--only-platform: unknown platform 'linux/s390x'"), "{run}");
    let run = setting.project.run(["--platform=linux/amd64", "--only-platform=linux/arm64"]).exits(2);
    let reason = "--only-platform: linux/arm64 is none of this run's platforms: linux/amd64 (--platform)";
    assert!(run.stderr.contains(reason), "{run}");
    for task in [
        &["--manifest-lists"][..],
        &["--retag=a:b"],
        &["--export=matrix=gitlab"],
        &["--merge-summaries", "x"],
    ] {
        let run = setting.run(&[&["--only-platform=linux/arm64"], task].concat()).exits(2);
        assert!(run.stderr.contains("for all platforms of an image at once"), "{run}");
    }
}

/// The architecture of what the daemon holds under a name.
fn architecture(reference: &str) -> String {
    real::docker(&["image", "inspect", "--format", "{{.Architecture}}", reference])
}

#[test]
#[ignore = "needs a real Docker engine and a registry"]
fn one_real_engine_builds_both_platforms_on_a_base_image_of_both() {
    let (endpoint, registry) = (real::endpoint(), real::named("REAL_REGISTRY"));
    for builder in ["--buildkit", "--nobuildkit"] {
        let namespace = format!("kolla-build-platforms{builder}");
        let name = |image: &str, tag: &str| format!("{registry}/{namespace}/{image}:{tag}");
        let root = name("root", TAG);
        let alias = |arch| format!("kolla-build.invalid/{arch}/{}", root.replacen(':', "-", 1));
        let of_image = |image: &'static str| ["1-x86_64", "1-aarch64"].map(|tag| name(image, tag));
        let mut made: Vec<String> = ["root", "base", "keystone"].into_iter().flat_map(of_image).collect();
        made.extend([root.clone(), alias("x86_64"), alias("aarch64")]);
        let _images = Images(made);
        let project = Project::empty()
            .file("images/root/Dockerfile.j2", "FROM scratch\nCOPY content /root\n")
            .file("images/root/content", &format!("{builder} of {}\n", std::process::id()))
            .with_docker_host(&endpoint);
        let run = |project: &Project, more: &[&str]| {
            let common = [
                builder,
                "--platform",
                BOTH,
                "--registry",
                &registry,
                "--namespace",
                &namespace,
                "--tag",
                TAG,
            ];
            project.run(common.iter().chain(more)).exits(0)
        };
        run(&project, &["--push", "^root$"]);

        let project = Project::empty()
            .file("images/base/Dockerfile.j2", &format!("FROM {root}\nCOPY content /base\n"))
            .file("images/base/content", "base\n")
            .image("keystone", Some("base"), "LABEL arch={{ base_arch }}\n")
            .with_docker_host(&endpoint);
        let first = run(&project, &["--push"]);
        assert!(first.stderr.ends_with(": 4 images built\n"), "{first}");
        for image in ["base", "keystone"] {
            assert_eq!(of_image(image).map(|name| architecture(&name)), ["amd64", "arm64"], "{builder}");
        }
        for more in [&["--push"][..], &["--nopull"]] {
            let again = run(&project, more);
            assert!(again.stderr.ends_with(": 0 images built, 4 unchanged\n"), "{again}");
        }
        let verified = run(&project, &["--verify-registry"]);
        assert!(verified.tells("4 of 4 images are in the registry as they would be built"), "{verified}");

        let plan: Value =
            serde_json::from_str(&run(&project, &["--plan", "--plan-format", "json"]).stdout).unwrap();
        let unchanged = |unit: &&Value| unit["forecast"]["expected"] == "unchanged";
        assert_eq!(plan["units"].as_array().unwrap().iter().filter(unchanged).count(), 4, "{plan:#}");

        // Pinned for each platform, and held to that.
        run(&project, &["--lock"]);
        let locked = run(&project, &["--locked", "--nocache"]);
        assert!(locked.stderr.ends_with(": 4 images built\n"), "{locked}");
        assert_eq!(of_image("keystone").map(|name| architecture(&name)), ["amd64", "arm64"], "{builder}");

        // Who pulls the one name gets the image of the platform that was asked for.
        for (platform, expected) in [("linux/amd64", "amd64"), ("linux/arm64", "arm64")] {
            let listed = name("keystone", TAG);
            real::docker(&["pull", "--quiet", "--platform", platform, &listed]);
            assert_eq!(architecture(&listed), expected, "{builder}");
            real::docker(&["image", "rm", &listed]);
        }
    }
}

#[test]
#[ignore = "needs a real Docker engine and a registry"]
fn two_real_engines_build_a_platform_each() {
    let registry = real::named("REAL_REGISTRY");
    let (amd, arm) = (SpareEngine::start(), SpareEngine::start());
    let hosts = [format!("x86_64={}", amd.endpoint()), format!("aarch64={}", arm.endpoint())];
    let tag = std::process::id().to_string();
    let project = Project::empty()
        .file("images/base/Dockerfile.j2", "FROM scratch\nCOPY content /base\n")
        .file("images/base/content", &tag)
        .image("keystone", Some("base"), "LABEL arch={{ base_arch }}\n");
    let common =
        ["--platform", BOTH, "--registry", &registry, "--namespace", "platforms", "--tag", &tag, "--push"];
    let arguments = [&common[..], &["--engine-host", &hosts[0], "--engine-host", &hosts[1]]].concat();
    let run = project.run(&arguments).exits(0);
    assert!(run.stderr.ends_with(": 4 images built\n"), "{run}");
    for (engine, own, other) in [(&amd, "x86_64", "aarch64"), (&arm, "aarch64", "x86_64")] {
        let holds = |arch| {
            let name = format!("{registry}/platforms/keystone:{tag}-{arch}");
            let inspected = engine.docker().args(["image", "inspect", &name]).output();
            inspected.expect("docker").status.success()
        };
        assert!(holds(own) && !holds(other), "{own}");
    }
    let again = project.run(&arguments).exits(0);
    assert!(again.stderr.ends_with(": 0 images built, 4 unchanged\n"), "{again}");
    let verified = project.run([&arguments[..], &["--verify-registry"]].concat()).exits(0);
    assert!(verified.tells("4 of 4 images are in the registry as they would be built"), "{verified}");
}
