//! The same small tree built by every engine there is: Docker's two builders, those of a newer Docker
//! (`REAL_NEWER_DOCKER`) and of one with containerd's image store (`REAL_CONTAINERD_DOCKER`), Podman (`REAL_PODMAN`) and a
//! newer one (`REAL_NEWER_PODMAN`). The images are the same.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::{Value, json};

use crate::support::project::{Project, Run};
use crate::support::real;
use crate::support::saved::{Saved, files_with};
use crate::support::spare_engine::SpareEngine;

const NAMESPACE: &str = "kolla-build-engines";

/// Written by who takes from engines what nothing needs: another test may look for it, in BuildKit's cache above all. Read
/// by all others who build.
static ENGINES: RwLock<()> = RwLock::new(());

/// Builds that may go on beside each other.
fn beside_others() -> RwLockReadGuard<'static, ()> {
    ENGINES.read().unwrap_or_else(PoisonError::into_inner)
}

/// Builds beside which nothing else is built.
fn alone() -> RwLockWriteGuard<'static, ()> {
    ENGINES.write().unwrap_or_else(PoisonError::into_inner)
}

/// An engine with a builder.
struct Builder {
    name: String,
    endpoint: String,
    arguments: Vec<String>,
}

impl Builder {
    fn buildkit(&self) -> bool {
        self.arguments.contains(&"--buildkit".to_string())
    }

    /// Whether its engine is nobody's but the tests'.
    fn is_for_tests(&self) -> bool {
        !self.name.starts_with("Docker, ")
    }

    fn is_podman(&self) -> bool {
        self.arguments.contains(&"podman".to_string())
    }
}

/// Every builder of every engine.
fn builders() -> Vec<Builder> {
    let mut builders = Vec::new();
    for (engine, endpoint) in [
        ("Docker", real::endpoint()),
        ("newer Docker", real::named("REAL_NEWER_DOCKER")),
        ("Docker with containerd's store", real::named("REAL_CONTAINERD_DOCKER")),
    ] {
        for (builder, argument) in [("classic", "--nobuildkit"), ("BuildKit", "--buildkit")] {
            let name = format!("{engine}, {builder}");
            builders.push(Builder {
                name,
                endpoint: endpoint.clone(),
                arguments: vec![argument.to_string()],
            });
        }
    }
    for (name, variable) in [("Podman", "REAL_PODMAN"), ("newer Podman", "REAL_NEWER_PODMAN")] {
        let endpoint = real::named(variable);
        let arguments = ["--engine", "podman", "--podman_base_url", &endpoint].map(str::to_string).to_vec();
        builders.push(Builder { name: name.to_string(), endpoint, arguments });
    }
    builders
}

/// A tree whose base has nothing but this machine's shell, so that engines need no base image. Its WORKDIR comes before
/// a RUN: Podman makes the directory only for one. Each test has a base of its own: BuildKit takes equal steps of builds
/// beside each other as one, so what one test prunes another would have cached, and a build can hang (moby/buildkit#2440).
fn project(endpoint: &str) -> Project {
    let project = Project::empty()
        .with_docker_host(endpoint)
        .file("images/service/run.sh", "#!/bin/sh\nexec \"$@\"\n")
        .file("images/service/etc/deep/er/file", "content\n")
        .file(
            "images/base/Dockerfile.j2",
            &format!(
                "FROM scratch\nADD rootfs.tar /\n\
                 LABEL name=\"{{{{ image_name }}}}\" maintainer=\"{{{{ maintainer }}}}\"\n\
                 ENV LANG=C.UTF-8 PATH=/bin TEST={}\nRUN echo one >/one && echo two >/two\n",
                tag()
            ),
        )
        .image(
            "service",
            Some("base"),
            "ARG flavour=none\nWORKDIR /var/lib/service\nCOPY --chown=42:43 run.sh /bin/run\nCOPY etc /etc/\n\
             RUN umask 027 && echo \"$flavour\" >/flavour && : >/two\n\
             ENV SERVICE=\"a b\"\nUSER 42\nEXPOSE 80\nVOLUME /data\nSTOPSIGNAL SIGINT\n\
             ENTRYPOINT [\"/bin/run\", \"--\"]\nCMD [\"/bin/sh\"]\n",
        );
    // ldd names the programs too, each above its libraries.
    let script = "set -e; ldd /bin/sh /bin/cat | grep -o '/[^ :]*' | sort -u | tar --create --file \"$0\" \
                  --dereference --hard-dereference --absolute-names --transform 's,^/,,' --files-from -";
    let archive = project.path("images/base/rootfs.tar");
    let status = Command::new("sh").arg("-c").arg(script).arg(archive).status();
    assert!(status.expect("a shell").success());
    project
}

fn run(project: &Project, builder: &Builder, more: &[&str], variables: &[(&str, &str)]) -> Run {
    let tag = tag();
    let mut command =
        project.command(["--nopull", "--namespace", NAMESPACE, "--tag", &tag, "--threads", "2"]);
    command.args(&builder.arguments).args(more).env("SOURCE_DATE_EPOCH", "1700000000");
    command.envs(variables.iter().copied());
    command.output().expect("the binary starts").into()
}

/// Of this test's images, the same with every builder: it is part of their content.
fn tag() -> String {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default().rsplit("::").next().unwrap_or_default();
    format!("{}-{test}", std::process::id())
}

/// Images of a run, which go with this value.
struct Built<'a> {
    builder: &'a Builder,
    images: Vec<&'a str>,
    /// Their registry with a slash, if they have one.
    registry: String,
}

impl<'a> Built<'a> {
    fn by(builder: &'a Builder, images: &[&'a str]) -> Built<'a> {
        Built { builder, images: images.to_vec(), registry: String::new() }
    }

    fn reference(&self, image: &str) -> String {
        format!("{}{NAMESPACE}/{image}:{}", self.registry, tag())
    }

    fn saved(&self, image: &str) -> Saved {
        Saved::of(&self.builder.endpoint, &self.reference(image))
    }

    /// The engine's id of an image, if it holds it.
    fn id(&self, image: &str) -> Option<String> {
        let output = self.docker(&["image", "inspect", "--format", "{{.Id}}", image]);
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    }

    fn remove(&self) {
        for image in &self.images {
            self.docker(&["image", "rm", "--force", &self.reference(image)]);
        }
    }

    fn docker(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("docker");
        command.args(["--host", &self.builder.endpoint]).args(arguments).output().expect("a docker command")
    }
}

impl Drop for Built<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

/// What matters of a configuration: engines add fields of their own, and leave out what is empty.
fn configuration(saved: &Saved) -> BTreeMap<String, Value> {
    let config = &saved.config["config"];
    let mut facts: BTreeMap<String, Value> = BTreeMap::new();
    let mut environment: Vec<&Value> = config["Env"].as_array().into_iter().flatten().collect();
    environment.sort_by_key(|variable| variable.as_str());
    facts.insert("Env".to_string(), json!(environment));
    for key in ["Cmd", "Entrypoint", "WorkingDir", "User", "ExposedPorts", "Volumes", "StopSignal"] {
        facts.insert(key.to_string(), config[key].clone());
    }
    let mut labels = config["Labels"].as_object().cloned().unwrap_or_default();
    // An engine's own id of the parent, and Podman's own mark.
    for own in ["kolla-build.parent", "io.buildah.version"] {
        labels.remove(own);
    }
    facts.insert("Labels".to_string(), json!(labels.into_iter().collect::<BTreeMap<_, _>>()));
    facts.insert("architecture".to_string(), saved.config["architecture"].clone());
    facts.insert("os".to_string(), saved.config["os"].clone());
    facts
}

#[test]
#[ignore = "needs every real engine"]
fn every_builder_makes_the_same_images() {
    let _engines = beside_others();
    let mut first: Option<(&str, Saved)> = None;
    let builders = builders();
    for builder in &builders {
        let project = project(&builder.endpoint);
        let built = Built::by(builder, &["service", "base"]);
        let arguments = ["--build-args", "flavour:vanilla"];
        let run_1 = run(&project, builder, &arguments, &[]).exits(0);
        assert!(run_1.stderr.ends_with(": 2 images built\n"), "{}: {run_1}", builder.name);
        let saved = built.saved("service");
        assert_eq!(saved.read("flavour"), "vanilla\n", "{}", builder.name);
        assert!(saved.read("two").is_empty() && saved.read("one") == "one\n", "{}", builder.name);
        let run_2 = run(&project, builder, &arguments, &[]).exits(0);
        assert!(run_2.stderr.ends_with(": 0 images built, 2 unchanged\n"), "{}: {run_2}", builder.name);
        match &first {
            None => first = Some((&builder.name, saved)),
            Some((name, reference)) => {
                let both = format!("{name} and {}", builder.name);
                assert_eq!(configuration(&saved), configuration(reference), "{both}");
                let files = |saved: &Saved| -> BTreeMap<String, String> {
                    // Directories of mounts that RUN steps have, which builders leave behind as they like.
                    let own = |path: &str| {
                        [
                            "dev",
                            "proc",
                            "sys",
                            "run",
                            "etc/hosts",
                            "etc/hostname",
                            "etc/resolv.conf",
                            "etc/mtab",
                        ]
                        .iter()
                        .any(|own| path == *own || path.starts_with(&format!("{own}/")))
                    };
                    saved.files.clone().into_iter().filter(|(path, _)| !own(path)).collect()
                };
                assert_eq!(files(&saved), files(reference), "{both}");
            }
        }
    }
}

#[test]
#[ignore = "needs every real engine"]
fn a_build_that_can_t_squash_is_refused_and_one_that_can_adds_one_layer() {
    let _engines = beside_others();
    let mut builders = builders();
    let experimental = SpareEngine::start_with(&["--experimental"]);
    builders.push(Builder {
        name: "experimental Docker, classic".to_string(),
        endpoint: experimental.endpoint(),
        arguments: vec!["--nobuildkit".to_string()],
    });
    for builder in &builders {
        let project = project(&builder.endpoint);
        let built = Built::by(builder, &["service", "base"]);
        let said = run(&project, builder, &["--squash"], &[]);
        if builder.is_podman() || builder.name.starts_with("experimental") {
            said.exits(0);
            let layers =
                |image: &str| built.saved(image).config["rootfs"]["diff_ids"].as_array().map(Vec::len);
            assert_eq!((layers("base"), layers("service")), (Some(1), Some(2)), "{}", builder.name);
        } else {
            let said = said.exits(2);
            let reason = if builder.buildkit() { "BuildKit does not squash" } else { "does not squash" };
            assert!(said.stderr.contains(reason), "{}: {said}", builder.name);
        }
    }
}

#[test]
#[ignore = "needs every real engine"]
fn steps_read_a_secret_that_is_found_nowhere_afterwards() {
    let _engines = beside_others();
    for builder in builders().iter().filter(|builder| builder.buildkit()) {
        let (value, second_line) = (format!("hush-{}", real::nonce()), format!("line-{}", real::nonce()));
        let word = format!("word-{}", real::nonce());
        let project = project(&builder.endpoint)
            .file("token", &format!("{value}\n{second_line}\n"))
            .file("ca.pem", "no certificate\n")
            .image(
                "reader",
                Some("base"),
                // Values are no part of what the builder keeps results by, so the first line must be new.
                &format!(
                    "RUN echo {} >/nonce\n{}",
                    real::nonce(),
                    "{% raw %}RUN while read line; do echo \"${#line}\"; done </run/secrets/token >/lengths \\\n \
                     # a comment\n && cat /run/secrets/token\n\
                     RUN read word </run/secrets/word; echo \"${#word}\" >/length; cat /etc/ca.pem >/copy{% endraw %}\n",
                ),
            )
            .image("failing", Some("base"), "RUN cat /run/secrets/word /run/secrets/token; exit 3\n");
        let built = Built::by(builder, &["reader", "service", "base"]);
        let arguments = [
            "--debug",
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
            "--secret",
            "id=token,src=token",
            "--secret",
            "id=ca,src=ca.pem,target=/etc/ca.pem,mode=0444",
            "--secret",
            "id=word,env=WORD",
        ];
        let name = &builder.name;
        // A word without a line end is read too; `read` only says that there was none.
        let first = run(&project, builder, &arguments, &[("WORD", &word)]).exits(1);
        assert!(first.stderr.contains("***"), "{name}: {first}");
        assert!(first.tells("ERROR:kolla.common.utils:failing Failed with status: error"), "{name}: {first}");
        let reader = built.saved("reader");
        assert_eq!(reader.read("lengths"), format!("{}\n{}\n", value.len(), second_line.len()), "{name}");
        assert_eq!(reader.read("length"), format!("{}\n", word.len()), "{name}");
        assert_eq!(reader.read("copy"), "no certificate\n", "{name}");
        for text in [&value, &second_line, &word] {
            assert!(!first.stdout.contains(text) && !first.stderr.contains(text), "{name}: {text}: {first}");
            for directory in ["work", "logs", "home"] {
                assert_eq!(files_with(&project.path(directory), text), [""; 0], "{name}");
            }
            for report in ["report.json", "junit.xml", "page.html"] {
                assert!(!project.read(report).contains(text.as_str()), "{name}: {report}");
            }
            for saved in [&reader, &built.saved("base")] {
                assert_eq!(saved.places_of(text), [""; 0], "{name}");
            }
        }
        let kept = project.read("work/docker/reader/Dockerfile");
        assert!(!kept.contains("--mount"), "the work directory has what was rendered: {kept}");

        // Another value is no reason to build anew, another secret is.
        let unchanged = "INFO:kolla.common.utils.reader:Unchanged, nothing to build";
        let second = run(&project, builder, &arguments, &[("WORD", "another value")]).exits(1);
        assert!(second.tells(unchanged), "{name}: {second}");
        let fewer = run(&project, builder, &arguments[..arguments.len() - 2], &[]).exits(1);
        assert!(!fewer.tells(unchanged), "{name}: {fewer}");
    }
}

#[test]
#[ignore = "needs every real engine and a registry"]
fn what_is_pushed_arrives_and_is_reused() {
    let _engines = beside_others();
    let registry = real::named("REAL_REGISTRY");
    for builder in &builders() {
        let name = &builder.name;
        let project = project(&builder.endpoint);
        let mut built = Built::by(builder, &["service", "base"]);
        built.registry = format!("{registry}/");
        let pushed =
            run(&project, builder, &["--registry", &registry, "--push", "--digests", "digests.json"], &[])
                .exits(0);
        let digests: Value = serde_json::from_str(&project.read("digests.json")).expect("JSON");
        assert_eq!(digests.as_object().map(|digests| digests.len()), Some(2), "{name}: {pushed}");
        built.remove();
        let reused = run(&project, builder, &["--registry", &registry, "--reuse", "registry"], &[]).exits(0);
        assert!(reused.stderr.ends_with(": 0 images built, 2 unchanged\n"), "{name}: {reused}");
    }
}

#[test]
#[ignore = "needs every real engine"]
fn what_nothing_needs_goes_and_the_rest_stays() {
    // Other engines may hold what is somebody else's.
    for builder in builders().iter().filter(|builder| builder.is_for_tests()) {
        let _engines = alone();
        let name = &builder.name;
        let project = project(&builder.endpoint);
        let built = Built::by(builder, &["service", "base"]);
        run(&project, builder, &[], &[]).exits(0);
        let old = built.id(&built.reference("service")).expect("it was built");
        let project = project.image("service", Some("base"), "RUN echo other >/other\n");
        run(&project, builder, &[], &[]).exits(0);
        let new = built.id(&built.reference("service")).expect("it was built");

        let shown = run(&project, builder, &["--prune", "--dry-run", "--plan-format", "json"], &[]).exits(0);
        let json: Value = serde_json::from_str(&shown.stdout).expect("JSON");
        let goes = |id: &str| json[0]["remove"].as_array().into_iter().flatten().any(|it| it["id"] == id);
        // Containerd's store forgets by itself what BuildKit built before under a name.
        assert_eq!((goes(&old), goes(&new)), (built.id(&old).is_some(), false), "{name}: {shown}");
        assert!(goes(&old) || name == "Docker with containerd's store, BuildKit", "{name}: {shown}");
        assert!(json[0]["cache"]["records"] != 0 || !builder.buildkit(), "{name}: {shown}");

        let removed = run(&project, builder, &["--prune"], &[]).exits(0);
        assert!(built.id(&old).is_none(), "{name}: {removed}");
        let unchanged = run(&project, builder, &[], &[]).exits(0);
        assert!(unchanged.stderr.ends_with(": 0 images built, 2 unchanged\n"), "{name}: {unchanged}");
        assert_eq!(built.id(&built.reference("service")), Some(new), "{name}");
    }
}

#[test]
#[ignore = "needs every real engine and a registry"]
fn layers_are_taken_from_a_registry_that_has_them() {
    // This engine may lose its cache. Beside containerd's store, BuildKit 0.13 finds the layers of what is built on nothing
    // alone, with buildx too.
    let builders = builders();
    let builder =
        builders.iter().find(|builder| builder.name == "newer Docker, BuildKit").expect("it is listed");
    for variable in ["REAL_REGISTRY", "REAL_REGISTRY_HTPASSWD"] {
        takes_layers_from(&real::named(variable), builder);
    }
}

fn takes_layers_from(registry: &str, builder: &Builder) {
    let _engines = alone();
    let body = "RUN read uuid </proc/sys/kernel/random/uuid; echo \"$uuid\" >/uuid\n";
    let project = project(&builder.endpoint).image("cached", Some("base"), body);
    let project = project.log_in(registry, "builder", "hunter2");
    let docker = |arguments: &[&str]| {
        let output = Command::new("docker").args(["--host", &builder.endpoint]).args(arguments).output();
        assert!(output.expect("a docker command").status.success(), "docker {arguments:?}");
    };
    let build = |tag: &str, more: &[&str]| -> (Saved, Run) {
        let common =
            ["--nopull", "--buildkit", "--registry", registry, "--namespace", NAMESPACE, "--tag", tag];
        let output = project.command(common).args(more).arg("^cached$").output();
        let run = Run::from(output.expect("the binary starts")).exits(0);
        let images = ["cached", "base"].map(|image| format!("{registry}/{NAMESPACE}/{image}:{tag}"));
        let saved = Saved::of(&builder.endpoint, &images[0]);
        docker(&["image", "rm", "--force", &images[0], &images[1]]);
        (saved, run)
    };
    let (pushed, _) = build("cache", &["--push", "--cache-to", "type=inline"]);
    docker(&["builder", "prune", "--all", "--force"]);
    let source = format!("{registry}/{NAMESPACE}/{{image}}:cache");
    let (again, run) = build("again", &["--cache-from", &source]);
    assert_eq!(again.read("uuid"), pushed.read("uuid"), "{}, {registry}: {run}", builder.name);
    docker(&["builder", "prune", "--all", "--force"]);
    let (without, run) = build("without", &[]);
    assert_ne!(without.read("uuid"), pushed.read("uuid"), "{}, {registry}: {run}", builder.name);
}

/// Functions stand in for package managers: what they keep is there in the next build, and not in the image.
#[test]
#[ignore = "needs every real engine"]
fn package_caches_outlast_builds_and_are_in_no_image() {
    for builder in builders().iter().filter(|builder| builder.buildkit() || builder.is_podman()) {
        let _engines = alone();
        let seen = "seen() { if [ -e \"$1/$TEST\" ]; then echo \"$1 was kept\"; else : >\"$1/$TEST\"; fi; }";
        // Wherever the lists are named they count as the image's.
        let apt = "apt() { seen \"${2#*=}\"; for lists in /var/lib/ap?/lists; do seen \"$lists\"; done; }";
        let project = project(&builder.endpoint).file("images/service/lists", "").image(
            "service",
            Some("base"),
            &format!(
                "COPY lists /var/lib/apt/lists/of-the-image\nRUN {seen}; {apt}; rm() {{ :; }}; \\\n\
                 apt update && rm -rf /var/lib/apt/lists/*\n\
                 RUN {seen}; pip() {{ seen \"$PIP_CACHE_DIR\"; }}; pip install --no-cache-dir x\n"
            ),
        );
        let built = Built::by(builder, &["service", "base"]);
        let places = ["/dev/kolla-build/apt", "/dev/kolla-build/pip", "/var/lib/apt/lists"];
        let kept = || {
            let run = run(&project, builder, &["--nocache", "--package-cache"], &[]).exits(0);
            places.map(|place| run.stderr.contains(&format!("{place} was kept")))
        };
        assert_eq!(kept(), [false; 3], "{}", builder.name);
        assert_eq!(kept(), [true; 3], "{}", builder.name);
        let files = built.saved("service").files;
        let left = |path: &&String| path.contains("kolla-build") || path.starts_with("var/lib/apt/lists/");
        // Podman 4.3 takes the place of a cache mount out of the image, and all that the image has there.
        let of_the_image: &[&str] =
            if builder.name == "Podman" { &[] } else { &["var/lib/apt/lists/of-the-image"] };
        assert_eq!(files.keys().filter(left).collect::<Vec<_>>(), of_the_image, "{}", builder.name);
    }
}
