//! What a plan says, a build does: over many random changes of a tree, of what it is made from and of what is held of it.
//!
//! `AGREE_SEED` begins elsewhere, `AGREE_CHANGES` makes more of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use kolla_build::model::labels::{KEY_LABEL, NAMED_LABEL, PARENT_LABEL};
use kolla_build::model::platform::Arch;
use serde_json::Value;

use crate::support::docker::{BASE_IMAGE, FakeDocker};
use crate::support::files::FileServer;
use crate::support::git::git;
use crate::support::project::{Project, Run};
use crate::support::registry::FakeRegistry;

/// Changes that each test makes; there are four.
const CHANGES: usize = 55;

/// Images of the tree, each with what it is built on. `adds` downloads what its server tells of, `copies` copies from
/// `tools` and an image of others, `mounts` has a second FROM and a mount, `git` and `local` have sources.
const IMAGES: [(&str, &str); 9] = [
    ("base", ""),
    ("tools", ""),
    ("middle", "base"),
    ("adds", "base"),
    ("copies", "middle"),
    ("mounts", "middle"),
    ("git", "middle"),
    ("local", "base"),
    ("unpinned", "base"),
];

/// Only fetching tells what its source is.
const UNPINNED: &str = "unpinned";

/// A generator of numbers, the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % limit
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

/// The world that images are made in, and what was done to it.
struct World {
    project: Project,
    daemon: FakeDocker,
    server: FileServer,
    registry: Option<FakeRegistry>,
    dice: Dice,
    /// What follows an image's first lines in its Dockerfile.
    bodies: BTreeMap<&'static str, String>,
    parents: BTreeMap<&'static str, &'static str>,
    reference: &'static str,
    /// Nobody tells of what `adds` downloads.
    is_untold: bool,
    argument: usize,
    overridden: usize,
    /// Makes each change another one.
    step: usize,
}

impl World {
    fn new(seed: u64, registry: Option<FakeRegistry>) -> World {
        let server = FileServer::start();
        let daemon = FakeDocker::with_base_image().hold("other:latest", Arch::host().debian());
        let daemon = match &registry {
            Some(registry) => daemon.with_registry(registry),
            None => daemon,
        };
        let project =
            Project::empty().with_engine(&daemon).file("images/copies/file", "1\n").file("local/file", "1\n");
        std::fs::create_dir(project.path("repository")).expect("a directory");
        git(
            &project.path("repository"),
            "git init -q -b main . && echo 1 > f && git add f && git commit -qm 1 && git tag same",
        );
        let url = server.put("/x", b"1");
        let copied = "{{ docker_registry ~ '/' if docker_registry else '' }}{{ namespace }}/tools:{{ tag }}";
        let bodies = BTreeMap::from([
            ("adds", format!("ENV U={url}\nADD $U /x\n")),
            (
                "copies",
                format!(
                    "COPY file /\nCOPY --from={copied} / /\nCOPY --from=other:latest / /\n{{% block more %}}{{% endblock %}}\n"
                ),
            ),
            (
                "mounts",
                format!(
                    "FROM other:latest AS Second\nRUN --mount=from={copied},target=/t \\\n  true\nCOPY --from=second / /\n"
                ),
            ),
            ("git", "ADD git-archive /\n".to_string()),
            ("local", "ARG V\nADD local-archive /\n".to_string()),
        ]);
        let mut world = World {
            project,
            daemon,
            server,
            registry,
            dice: Dice(seed),
            bodies,
            parents: IMAGES.into_iter().collect(),
            reference: "main",
            is_untold: false,
            argument: 0,
            overridden: 0,
            step: 0,
        };
        IMAGES.iter().for_each(|(image, _)| world.write(image));
        world.server.put("/u", b"1");
        world.configure();
        world
    }

    fn write(&mut self, image: &'static str) {
        let from = match self.parents[image] {
            "" => "{{ base_image }}:{{ base_distro_tag }}".to_string(),
            parent => format!(
                "{{{{ docker_registry ~ '/' if docker_registry else '' }}}}{{{{ namespace }}}}/{{{{ image_prefix }}}}{parent}:{{{{ tag }}}}"
            ),
        };
        let body = self.bodies.get(image).cloned().unwrap_or_default();
        let path = self.project.path(format!("images/{image}/Dockerfile.j2"));
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, format!("FROM {from}\n{body}")).expect("written");
    }

    fn configure(&self) {
        let repository = self.project.path("repository");
        let text = format!(
            "[options]\nretries = 0\n\
             [sources.git]\ntype = \"git\"\nlocation = \"file://{}\"\nreference = \"{}\"\n\
             [sources.local]\ntype = \"local\"\nlocation = \"local\"\n\
             [sources.unpinned]\ntype = \"url\"\nlocation = \"{}\"\n",
            repository.display(),
            self.reference,
            self.server.url("/u")
        );
        std::fs::write(self.project.path("build.toml"), text).expect("written");
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let mut all =
            vec!["--build-toml=build.toml".to_string(), format!("--build-args=V:{}", self.argument)];
        if self.overridden > 0 {
            all.push("--template-override=mine.j2".to_string());
        }
        if let Some(registry) = &self.registry {
            all.push(format!("--registry={}", registry.address()));
            all.extend(["--push", "--reuse=registry"].map(String::from));
        }
        all.extend(more.iter().map(|more| more.to_string()));
        all
    }

    fn name(&self, image: &str) -> String {
        let registry = self.registry.as_ref().map(|registry| format!("{}/", registry.address()));
        format!("{}kolla/{image}:2026.2-debian-trixie", registry.unwrap_or_default())
    }

    /// Changes something; gives what, and options of the next two runs.
    fn change(&mut self) -> (String, Vec<&'static str>) {
        self.step += 1;
        let step = self.step;
        let (image, _) = self.dice.one_of(&IMAGES);
        let mut options = Vec::new();
        let told = match self.dice.below(19) {
            0 | 1 => {
                self.bodies.entry(image).or_default().push_str(&format!("RUN step {step}\n"));
                self.write(image);
                format!("a line of {image}")
            }
            2 => {
                self.put("images/copies/file", &format!("{step}\n"));
                "a file of a context".to_string()
            }
            3 => {
                let path = self.project.path("images/copies/file");
                let mode = path.metadata().expect("a file").permissions().mode();
                set_permissions(path, Permissions::from_mode(mode ^ 0o111)).expect("a mode");
                "a mode".to_string()
            }
            4 => {
                self.daemon.replace(BASE_IMAGE);
                "the base image".to_string()
            }
            5 | 6 => {
                self.daemon.replace("other:latest");
                "an image of others".to_string()
            }
            7 => {
                self.server.put("/x", step.to_string().as_bytes());
                self.is_untold = false;
                "a download".to_string()
            }
            8 => {
                self.server.remove("/x");
                self.is_untold = true;
                "a download that is gone".to_string()
            }
            9 => {
                self.argument = step;
                "a build argument".to_string()
            }
            10 => {
                self.put("local/file", &format!("{step}\n"));
                "a local source".to_string()
            }
            11 => {
                self.overridden = if self.overridden == 0 || self.dice.below(2) == 0 { step } else { 0 };
                self.put(
                    "mine.j2",
                    &format!(
                        "{{% extends parent_template %}}\n{{% block more %}}RUN {step}{{% endblock %}}\n"
                    ),
                );
                "an override".to_string()
            }
            12 => {
                self.daemon.state().images.remove(&self.name(image));
                format!("{image}, which is gone")
            }
            13 => {
                let label = self.dice.one_of(&[KEY_LABEL, PARENT_LABEL, NAMED_LABEL]);
                if let Some(held) = self.daemon.state().images.get_mut(&self.name(image)) {
                    held.labels.remove(label);
                }
                format!("the label {label} of {image}")
            }
            14 => {
                let name = self.name(image);
                if self.daemon.image(&name).is_some() {
                    self.daemon.replace(&name);
                }
                format!("{image}, which was built anew elsewhere")
            }
            15 => {
                self.reference = if self.reference == "main" { "same" } else { "main" };
                self.configure();
                "the name of a reference".to_string()
            }
            16 => {
                let script =
                    format!("echo {step} > f && git commit -qam {step} && git tag -f same >/dev/null");
                git(&self.project.path("repository"), &script);
                "a commit".to_string()
            }
            17 => {
                let parent = self.dice.one_of(&["base", "middle", "tools"]);
                self.parents.insert("adds", parent);
                self.write("adds");
                format!("what adds is built on: {parent}")
            }
            _ => "nothing".to_string(),
        };
        if self.dice.below(4) == 0 {
            options.push(self.dice.one_of(&[
                "^copies$",
                "--skip-existing",
                "--nocache",
                "--skip-parents",
                "^(git|adds)$",
            ]));
        }
        (told, options)
    }

    fn put(&self, path: &str, content: &str) {
        std::fs::write(self.project.path(path), content).expect("written");
    }

    /// What a plan says of each image that is to be brought up to date.
    fn planned(&self, options: &[&str]) -> BTreeMap<String, (String, String)> {
        let arguments = self.arguments(&[options, &["--plan", "--plan-format=json"]].concat());
        let run = self.project.run(arguments).exits(0);
        let plan: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run}"));
        let text = |value: &Value| value.as_str().expect("text").to_string();
        let units = plan["units"].as_array().expect("a list").iter();
        let told = units.filter(|unit| unit["forecast"].is_object());
        told.map(|unit| {
            let forecast = &unit["forecast"];
            (text(&unit["image"]), (text(&forecast["expected"]), text(&forecast["reason"])))
        })
        .collect()
    }

    /// What a build has come to for each image that it was to bring up to date.
    fn built(&self, options: &[&str]) -> (BTreeMap<String, String>, Run) {
        let run = self.project.run(self.arguments(&[options, &["--report=report.json"]].concat()));
        let report: Value = serde_json::from_str(&self.project.read("report.json")).expect("JSON");
        let images = report["images"].as_array().expect("a list").iter();
        let outcome = |image: &Value| {
            Some((image["name"].as_str()?.to_string(), image["outcome"].as_str()?.to_string()))
        };
        (images.filter_map(outcome).collect(), run)
    }
}

impl World {
    /// What was built or found unchanged, and is pushed, is in the registry as it would be built. What nobody can tell of
    /// is another every time.
    fn verify(&self, about: &str) {
        let run = self
            .project
            .run(self.arguments(&["--verify-registry"]).iter().filter(|option| *option != "--push"));
        let findings = run.summary();
        for finding in findings.as_array().expect("a list") {
            let expected = if self.is_untold && finding["image"] == "adds" { "different" } else { "ok" };
            assert_eq!(finding["status"], expected, "{finding}\n{run}\n{about}");
        }
    }
}

/// Changes the world so many times, and compares each time.
fn agree(seed: u64, registry: Option<FakeRegistry>) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = seed.wrapping_add(number("AGREE_SEED").unwrap_or(0));
    let changes = number("AGREE_CHANGES").map_or(CHANGES, |changes| changes as usize);
    let mut world = World::new(seed, registry);
    let mut done = vec!["the beginning".to_string()];
    let mut options: Vec<&str> = Vec::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for _ in 0..=changes {
        let planned = world.planned(&options);
        let (built, run) = world.built(&options);
        let about = format!("seed {seed}, after {done:#?}\nwith {options:?}: {run}");
        assert_eq!(planned.keys().collect::<Vec<_>>(), built.keys().collect::<Vec<_>>(), "{about}");
        for (image, (expected, reason)) in &planned {
            let outcome = &built[image];
            seen.insert(format!("{expected} {outcome}"));
            match expected.as_str() {
                "unknown" => {
                    let is_documented = image == UNPINNED || reason.contains("is not in the engine");
                    assert!(is_documented, "{image} is unknown: {reason}\n{about}");
                }
                expected => assert_eq!(outcome, expected, "{image}: {reason}\n{about}"),
            }
        }
        if world.registry.is_some() && options.is_empty() && done.len().is_multiple_of(5) {
            world.verify(&about);
        }
        let (told, more) = world.change();
        done.push(format!("{told} {more:?}"));
        options = more;
    }
    assert!(seen.contains("built built") && seen.contains("unchanged unchanged"), "{seen:?}");
}

#[test]
fn a_plan_and_a_build_agree() {
    agree(1, None);
}

#[test]
fn a_plan_and_a_build_agree_on_other_changes() {
    agree(2, None);
}

#[test]
fn a_plan_and_a_build_agree_where_images_are_reused_from_a_registry() {
    agree(3, Some(FakeRegistry::start()));
}

#[test]
fn a_plan_and_a_build_agree_on_other_images_from_a_registry() {
    agree(4, Some(FakeRegistry::start()));
}
