//! `--package-cache`: what is sent has mounts, and nothing else knows of them. That every engine takes them, `engines`
//! tests.

use crate::support::docker::{Build, FakeDocker};
use crate::support::project::{Project, Run};
use crate::support::real::{self, Images};
use crate::support::saved::Saved;

const INSTALL: &str = "apt-get update && apt-get install a && apt-get clean && rm -rf /var/lib/apt/lists/*";

fn project(daemon: &FakeDocker) -> Project {
    Project::empty()
        .with_engine(daemon)
        .image("base", None, &format!("RUN {INSTALL}\n"))
        .image("service", Some("base"), "RUN pip --no-cache-dir install b\nUSER service\n")
        .image("late", Some("service"), "RUN pip --no-cache-dir install c\n")
}

/// Dockerfiles and content keys of an image's builds, as they were sent.
fn sent(daemon: &FakeDocker, image: &str) -> Vec<(String, serde_json::Value)> {
    let builds = daemon.builds().into_iter().filter(|build| build.image == image);
    let labels = |text: &str| -> serde_json::Value { serde_json::from_str(text).expect("JSON") };
    builds
        .map(|build| (build.dockerfile(), labels(&build.query["labels"])["kolla-build.key"].clone()))
        .collect()
}

/// The mount in a Dockerfile that has its steps run again.
fn mark(dockerfile: &str) -> &str {
    let start = dockerfile.find(" --mount=type=tmpfs,target=/dev/kolla-build/").expect("a mark");
    let end = dockerfile[start + 1..].find(' ').expect("a command");
    &dockerfile[start..start + 1 + end]
}

const MOUNT: &str = "--mount=type=cache,id=kolla-build-";

#[test]
fn what_is_sent_has_mounts_and_what_is_rendered_and_known_of_images_has_none() {
    let daemon = FakeDocker::with_base_image();
    let project = project(&daemon);
    project.run(["--work-dir=plain"]).exits(0);
    project.run(["--work-dir=cached", "--package-cache", "--nocache", "--base-arch=x86_64"]).exits(0);
    let base = sent(&daemon, "base");
    let ((plain, plain_key), (cached, cached_key)) = (&base[0], &base[1]);
    assert!(plain.ends_with(&format!("\nRUN {INSTALL}")), "{plain}");
    let options = "-o Dir::Cache::Archives=/dev/kolla-build/apt -o APT::Keep-Downloaded-Packages=true";
    let step = format!(
        "\nRUN {MOUNT}apt-lists-debian-trixie-amd64,target=/var/lib/apt/lists,sharing=shared \
         {MOUNT}apt-debian-trixie-amd64,target=/dev/kolla-build/apt,sharing=locked \
         apt-get {options} update && apt-get {options} install a && apt-get clean && rm -rf "
    );
    assert!(cached.replace(mark(cached), "").contains(&step), "{cached}");
    assert_eq!(plain_key, cached_key);
    for image in ["base", "service", "late"] {
        let rendered = |dir: &str| project.read(&format!("{dir}/docker/{image}/Dockerfile"));
        assert_eq!(rendered("plain"), rendered("cached"));
    }
    let cached = |image: &str| sent(&daemon, image).remove(1).0;
    assert!(cached("service").contains(" --mount=type=cache,id=kolla-build-pip-debian-trixie-amd64,"));
    let late = cached("late");
    assert!(
        late.contains(&format!("RUN{} pip --no-cache-dir install c", mark(&late))),
        "its parent's user is not root"
    );
    let is_without_cache = |build: &Build| build.query["nocache"] == "1";
    assert!(!daemon.builds().iter().any(is_without_cache), "BuildKit would empty the caches");

    let run = project.run(["--package-cache"]).exits(0);
    assert!(run.stderr.ends_with(": 0 images built, 3 unchanged\n"), "{run}");
}

#[test]
fn podman_and_bake_have_them_and_the_classic_builder_is_refused() {
    let daemon = FakeDocker::with_base_image();
    let project = project(&daemon);
    let run = project.run(["--nobuildkit", "--package-cache"]).exits(2);
    assert!(
        run.stderr.contains("--package-cache: Docker's classic builder has no mounts for caches"),
        "{run}"
    );
    assert_eq!(daemon.order(), [""; 0]);

    let podman = ["--engine=podman", "--podman_base_url", daemon.endpoint(), "--package-cache", "^base$"];
    project.run(podman).exits(0);
    assert!(sent(&daemon, "base")[0].0.contains(MOUNT));
    project.run(podman.into_iter().chain(["--nocache"])).exits(0);
    assert_eq!(daemon.builds()[1].query["nocache"], "1", "Podman empties none");

    project.run(["--export=bake", "--export-dir=out", "--package-cache"]).exits(0);
    let base = project.read("out/docker/base/Dockerfile");
    assert!(base.contains(MOUNT) && !base.contains("/var/lib/apt/lists/*"), "{base}");
}

/// The second build reaches no network. Debian's own image cleans up behind apt (`docker-clean`); this one does too.
#[test]
#[ignore = "needs a real Docker engine"]
fn a_second_build_takes_its_packages_from_the_cache() {
    const NAMESPACE: &str = "kolla-build-test";
    let endpoint = real::endpoint();
    let package = format!("demo{}", real::nonce().replace('-', ""));
    let clean = "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true";
    let setup = format!(
        "from setuptools import setup\\nsetup(name=\\\"{package}\\\", version=\\\"1\\\", py_modules=[])\\n"
    );
    let project = Project::empty().with_docker_host(&endpoint).image(
        "base",
        None,
        &format!(
            "RUN echo 'DPkg::Post-Invoke {{ \"{clean}\"; }}; Dir::Cache::pkgcache \"\"; Dir::Cache::srcpkgcache \"\";' \
             >/etc/apt/apt.conf.d/docker-clean\n\
             RUN apt-get update && apt-get -y install --no-install-recommends python3-pip python3-setuptools \\\n\
             && apt-get clean && rm -rf /var/lib/apt/lists/*\n\
             RUN mkdir -p /sdists/{package}-1 && cd /sdists && printf \"{setup}\" >{package}-1/setup.py \\\n\
             && tar -czf {package}-1.tar.gz {package}-1\n\
             RUN pip install --no-cache-dir --no-index --no-build-isolation --break-system-packages \\\n\
             --find-links /sdists {package}\n"
        ),
    );
    let image = format!("{NAMESPACE}/base:package-cache");
    let _images = Images(vec![image.clone()]);
    let build = |network: &str| -> Run {
        let names = ["--namespace", NAMESPACE, "--tag", "package-cache"];
        let how = ["--nopull", "--nocache", "--package-cache", "--network_mode", network];
        project.run(names.into_iter().chain(how)).exits(0)
    };
    let first = build("host");
    assert!(first.stderr.contains(&format!("Building wheel for {package}")), "{first}");
    let second = build("none");
    assert!(!second.stderr.contains("Building wheel"), "{second}");

    let left = |path: &&String| {
        let is_list =
            path.starts_with("var/lib/apt/lists/") && !path.ends_with("/lock") && !path.ends_with("/partial");
        is_list || path.ends_with(".deb") || path.contains(".cache/") || path.contains("dev/kolla-build")
    };
    let saved = Saved::of(&endpoint, &image);
    assert_eq!(saved.files.keys().filter(left).collect::<Vec<_>>(), [""; 0]);

    let shown = project.run(["--prune", "--dry-run", "--namespace", NAMESPACE]).exits(0).stdout;
    for name in ["apt", "pip"] {
        assert!(shown.contains(&format!("keep    package cache {name}  ")), "{shown}");
    }
}
