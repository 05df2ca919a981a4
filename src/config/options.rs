//! Every option there is: the single table behind the command line, configuration files and documentation.
//!
//! Names, short forms and meanings of options marked [`Origin::Kolla`] are those of Python kolla 23.0.0.

use super::layer::{DEFAULT, Layers};
use super::meaning::Meaning;
use crate::model::template_api::TEMPLATE_APIS;

/// What an option's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// A whole number, not below `min`.
    Integer {
        /// The smallest allowed.
        min: i64,
    },
    /// On or off; on the command line `--x` and `--nox`.
    Flag,
    /// `a,b,c`
    List,
    /// `key:value,key:value`
    Dict,
    /// May be given several times; every value counts.
    Many,
    /// A file; on the command line `--x` or `--x=FILE`.
    File {
        /// The file when none is named.
        unnamed: &'static str,
    },
}

/// Whether an option is one of Python kolla-build's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Kolla has it, on the command line and in files.
    Kolla,
    /// Kolla has it, in files only.
    KollaFile,
    /// Only we have it.
    Ours,
}

/// What an option has to do with what a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It says how something is done.
    Setting,
    /// It asks for something to be done instead of building.
    Task,
    /// It says how something is done that one of these options asks for, and nothing else.
    Of(&'static [&'static str]),
}

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// Its key in configuration files; on the command line `_` is written `-`.
    pub name: &'static str,
    /// Its one-letter form.
    pub short: Option<char>,
    /// What its value is.
    pub kind: Kind,
    /// What its value, or each of several, stands for.
    pub meaning: Meaning,
    /// Whose it is.
    pub origin: Origin,
    /// What it has to do with what a run does.
    pub role: Role,
    /// One sentence about it.
    pub help: &'static str,
}

impl OptionSpec {
    const fn new(name: &'static str, kind: Kind, origin: Origin, help: &'static str) -> OptionSpec {
        OptionSpec { name, short: None, kind, meaning: Meaning::Text, origin, role: Role::Setting, help }
    }

    const fn means(self, meaning: Meaning) -> OptionSpec {
        OptionSpec { meaning, ..self }
    }

    const fn task(self) -> OptionSpec {
        OptionSpec { role: Role::Task, ..self }
    }

    const fn of(self, tasks: &'static [&'static str]) -> OptionSpec {
        OptionSpec { role: Role::Of(tasks), ..self }
    }

    /// What it is about, without the default that its help tells.
    pub fn summary(&self) -> &'static str {
        self.help.split_once(" [default: ").map_or(self.help, |(summary, _)| summary)
    }

    /// The default that its help tells, for options whose default is worked out.
    pub fn worked_out_default(&self) -> Option<&'static str> {
        self.help.split_once(" [default: ")?.1.strip_suffix(']')
    }

    /// Its long form without dashes. Kolla spells two with an underscore, and calls one otherwise in files.
    pub fn long(&self) -> String {
        match self.name {
            "network_mode" | "podman_base_url" => self.name.to_string(),
            "install_type" => "type".to_string(),
            name => name.replace('_', "-"),
        }
    }
}

/// Looks an option up by its key.
pub fn find(name: &str) -> Option<&'static OptionSpec> {
    OPTIONS.iter().find(|option| option.name == name)
}

/// The default that the shipped build.toml gives an option; none for a switch that is off.
pub fn shipped_default(option: &OptionSpec, built_in: &Layers) -> Option<String> {
    let text = &built_in.entry(DEFAULT, option.name)?.text;
    match (option.kind, text.as_str()) {
        (Kind::Flag, "false") => None,
        (Kind::Flag, _) => Some("on".to_string()),
        _ => Some(text.clone()),
    }
}

const fn kolla(name: &'static str, kind: Kind, help: &'static str) -> OptionSpec {
    OptionSpec::new(name, kind, Origin::Kolla, help)
}

const fn short(name: &'static str, short: char, kind: Kind, help: &'static str) -> OptionSpec {
    OptionSpec { short: Some(short), ..OptionSpec::new(name, kind, Origin::Kolla, help) }
}

const fn file(name: &'static str, kind: Kind, help: &'static str) -> OptionSpec {
    OptionSpec::new(name, kind, Origin::KollaFile, help)
}

const fn ours(name: &'static str, kind: Kind, help: &'static str) -> OptionSpec {
    OptionSpec::new(name, kind, Origin::Ours, help)
}

/// Headings that the options come under, each with the option it starts at.
const HEADINGS: &[(&str, &str)] = &[
    ("base", "What images are built on"),
    ("namespace", "Names of images"),
    ("profile", "Which images"),
    ("template_override", "Templates"),
    ("openstack_release", "Release and sources"),
    ("engine", "Building"),
    ("template_only", "Instead of building"),
    ("logs_dir", "What is told"),
    ("regex", "In files only"),
];

/// Every heading with its options, in order.
pub fn by_heading() -> impl Iterator<Item = (&'static str, &'static [OptionSpec])> {
    let start = |name: &str| OPTIONS.iter().position(|option| option.name == name);
    let starts: Vec<usize> = HEADINGS.iter().filter_map(|(name, _)| start(name)).collect();
    HEADINGS.iter().enumerate().map(move |(at, (_, heading))| {
        let end = starts.get(at + 1).copied().unwrap_or(OPTIONS.len());
        (*heading, &OPTIONS[starts[at]..end])
    })
}

use Kind::{Choice, Dict, File, Flag, Integer, List, Many, Text};

const LOCK_FILE: Kind = File { unnamed: "build.lock" };

/// The options, in the order in which `--help` shows them.
pub const OPTIONS: &[OptionSpec] = &[
    short("base", 'b', Choice(&["centos", "debian", "rhel", "rocky", "ubuntu"]), "Distro of the images"),
    kolla("base_tag", Text, "Tag of the base image [default: the distro's]").means(Meaning::BaseTag),
    kolla("base_image", Text, "Name of the base image [default: the distro's]").means(Meaning::BaseImage),
    kolla(
        "base_arch",
        Choice(&["x86_64", "aarch64"]),
        "Architecture the templates are rendered for [default: this machine's]",
    ),
    kolla(
        "debian_arch",
        Choice(&["amd64", "arm64"]),
        "Debian's name of the architecture, used in download URLs [default: from base_arch]",
    ),
    kolla("platform", Text, "Platforms to build for: linux/amd64, linux/arm64, or both separated by a comma"),
    short("namespace", 'n', Text, "Namespace of the images' names").means(Meaning::Namespace),
    kolla("registry", Text, "Registry host in front of the namespace").means(Meaning::Registry),
    kolla("tag", Text, "Tag of the images [default: <release>-<base>-<base tag>]").means(Meaning::Tag),
    kolla("image_name_prefix", Text, "Text in front of every image's name").means(Meaning::NamePrefix),
    short("profile", 'p', Many, "Build a named set of images; may be repeated"),
    kolla("enable_unbuildable", Flag, "Include images known not to build on this distro or architecture"),
    kolla("skip_parents", Flag, "Leave out images that others are built on"),
    kolla("skip_existing", Flag, "Leave out images that the engine already has under their name"),
    ours("affected_since", Text, "Leave out images whose files are what they were at this git revision"),
    kolla("template_override", Many, "Template override file; may be repeated").means(Meaning::InputFile),
    ours("strict_overrides", Flag, "Fail when something in the template overrides has no effect"),
    short("docker_dir", 'D', Many, "Directory laid over the image tree, file by file; may be repeated")
        .means(Meaning::InputDir),
    ours(
        "images_dir",
        Text,
        "Image tree, or checkout of Kolla, to use instead of the tree that ships with the program",
    ),
    ours(
        "template_api",
        Choice(TEMPLATE_APIS),
        "Kolla release whose templates the image tree has [default: told by what it holds]",
    ),
    ours(
        "kolla_package",
        Text,
        "Kolla's Python package, or checkout, that the image tree is of [default: found beside the tree]",
    )
    .means(Meaning::InputDir),
    short(
        "install_type",
        't',
        Choice(&["binary", "source", "rdo", "rhos"]),
        "Where OpenStack is installed from, in trees of Kolla 9",
    ),
    kolla("repos_yaml", Text, "File whose entries replace those of the tree's repos.yaml").means(Meaning::InputFile),
    kolla("patches_path", Text, "Directory of patches: <image>/series and the files it names").means(Meaning::InputDir),
    kolla("use_dumb_init", Flag, "Start containers through dumb-init"),
    kolla("docker_healthchecks", Flag, "Put the healthcheck scripts into the images"),
    kolla("openstack_release", Text, "OpenStack release"),
    kolla("openstack_release_codename", Text, "Code name of the release, for package repositories"),
    kolla("openstack_branch", Text, "Branch of sources, with a dash [default: from the release]"),
    kolla("openstack_branch_slashed", Text, "Branch of sources, with a slash [default: from the release]"),
    ours(
        "kolla_version",
        Text,
        "Version that the kolla_version label and variable give; another tree tells its own",
    ),
    kolla("tarballs_base", Text, "Base URL of OpenStack's source tarballs"),
    kolla("locals_base", Text, "Directory that local sources are relative to"),
    ours(
        "source_cache",
        Text,
        "Directory where fetched sources are kept: a new or empty one, or one that is a source cache already [default: the \
         user's cache directory; where that can't be written, a temporary one]",
    ),
    ours(
        "source_cache_days",
        Integer { min: 0 },
        "Days after which a source that no run has used is removed from the cache; 0 keeps all",
    ),
    ours(
        "locked",
        LOCK_FILE,
        "Build from this lock file (--locked alone: build.lock), and not at all when something is not as it says",
    ),
    kolla("engine", Choice(&["docker", "podman"]), "Container engine to build with"),
    kolla("podman_base_url", Text, "Podman's socket"),
    ours(
        "engine_host",
        Many,
        "Where the engine is: [ARCH=]unix://PATH, tcp://HOST:PORT or ssh://HOST. Given several times, builds are spread \
         over the engines of the platform's architecture, and images move between them through --registry [default: \
         what the engine's own client would use]",
    ),
    kolla("buildkit", Flag, "Build with BuildKit; without, with Docker's classic builder"),
    kolla("buildkit_builder", Text, "Name of the buildx builder to use"),
    kolla("network_mode", Text, "Network of RUN steps"),
    kolla("build_args", Dict, "Values of build arguments: KEY:value,KEY:value").means(Meaning::BuildArguments),
    ours(
        "secret",
        Many,
        "Secret that RUN steps find in /run/secrets/ID and that is in no image (BuildKit): id=ID,src=FILE or id=ID,env=VARIABLE, with target=PATH, mode, uid and gid if need be; may be repeated",
    ),
    ours(
        "cache_from",
        Many,
        "Image to take layers from instead of building them (BuildKit): REFERENCE or type=registry,ref=REFERENCE, with {image} and {arch} for the name of the image that is built and its architecture; may be repeated. --export bake takes what buildx takes",
    ),
    ours(
        "cache_to",
        Many,
        "Write the cache into the images, for --cache-from elsewhere (BuildKit): type=inline. --export bake takes what buildx takes",
    ),
    kolla(
        "cache",
        Flag,
        "Keep what is already built; without, every image is built anew from its first line",
    ),
    ours(
        "reuse",
        Choice(&["engine", "registry"]),
        "Where an image that would come out the same is looked for: the engine, or the registry too",
    ),
    kolla("pull", Flag, "Ask for newer base images"),
    kolla("keep", Flag, "Keep the containers of failed builds (classic builder)"),
    kolla(
        "squash",
        Flag,
        "Make one layer of what a build adds (classic builder of an experimental engine, or Podman)",
    ),
    kolla("push", Flag, "Push images after building"),
    ours("verify_push", Flag, "Compare the digest of each pushed image with what the registry then has"),
    short("threads", 'T', Integer { min: 1 }, "Images built at once"),
    kolla("push_threads", Integer { min: 1 }, "Images pushed at once"),
    ours(
        "registry_ca",
        Text,
        "File of certificate authorities to trust registries by, beside the host's and certs.d's",
    ).means(Meaning::InputFile),
    ours(
        "insecure_registries",
        List,
        "Registries (host:port or network) that need no TLS, beside loopback and those that the engine knows",
    ).means(Meaning::RegistryHost),
    ours(
        "watch",
        Flag,
        "Build again after every change of a file that images are made from, until interrupted",
    ),
    short("retries", 'r', Integer { min: 0 }, "Further tries after a failure that may pass"),
    ours("fail_fast", Flag, "Start no further build once an image has failed that is not allowed to"),
    kolla("timeout", Integer { min: 1 }, "Seconds without progress after which an operation fails"),
    ours(
        "min_free_disk",
        Integer { min: 0 },
        "GiB that should be free where the engine keeps images, and a tenth of it for contexts and sources; warns of less",
    ),
    kolla(
        "work_dir",
        Text,
        "Working directory, which is kept [default: a temporary one, which only --template-only leaves]",
    ),
    kolla("template_only", Flag, "Write the Dockerfiles of the matched images and stop").task(),
    kolla(
        "save_dependency",
        Text,
        "Write the graph of the matched images to this file in Graphviz's language and stop",
    ).task(),
    kolla("list_images", Flag, "List the matched images and stop").task(),
    short("list_dependencies", 'l', Flag, "Print the tree of the matched images as JSON and stop").task(),
    ours(
        "list_blocks",
        Flag,
        "List what images offer to overrides, blocks and customisable lists, and stop; a regex chooses images",
    ).task(),
    ours(
        "explain",
        Text,
        "Tell where an image's blocks and lists come from and what overrides change in it, and stop",
    ).task(),
    ours(
        "lock",
        LOCK_FILE,
        "Write what the matched images are built from to this lock file (--lock alone: build.lock), and stop",
    ).task(),
    ours(
        "verify_registry",
        Flag,
        "Tell whether the registry has the matched images as they would be built, and stop",
    ).task(),
    ours(
        "manifest_lists",
        Flag,
        "List the platforms of the matched images, as the registry has them, under one name each, and stop",
    ).task(),
    ours("retag", Text, "Give the matched images in the registry another tag, as FROM:TO, and stop").task(),
    ours(
        "export",
        Choice(&["bake", "matrix=github", "matrix=gitlab", "matrix=zuul"]),
        "Write what others need to build the matched images, and stop: bake, for docker buildx bake, or jobs of a CI system",
    ).task(),
    ours("images_per_job", Integer { min: 1 }, "Images that a job of an exported pipeline builds").of(&["export"]),
    ours("export_dir", Text, "Directory that an export is written to").of(&["export"]),
    ours(
        "merge_summaries",
        Many,
        "Tell of several runs as of one, from their reports or summaries (files, or directories of them), and stop; of a \
         selection every image must be there",
    ).task(),
    ours("plan", Flag, "Print what would be built, and why, and stop").task(),
    ours("plan_format", Choice(&["text", "json"]), "Format of the plan, and of what --prune shows").of(&["plan", "prune"]),
    ours(
        "prune",
        Flag,
        "Remove images of ours without a tag that no image or container needs and their build cache, and stop",
    ).task(),
    ours(
        "prune_tags",
        Text,
        "With --prune: remove images under other tags of ours too, those that this regex is found in",
    ).of(&["prune"]).means(Meaning::Regex),
    ours("dry_run", Flag, "With --prune: only show what would be removed").of(&["prune"]),
    kolla("logs_dir", Text, "Directory for one log per image"),
    kolla("summary", Flag, "Tell at the end what became of every image"),
    short("format", 'f', Choice(&["json", "none"]), "Format of the summary for programs"),
    kolla("summary_json_file", Text, "File for the JSON summary [default: standard output]"),
    ours("report", Text, "File for a report of all that is known of the run, as JSON"),
    ours("junit", Text, "File for a report as JUnit's XML, a test case for each image"),
    ours("html", Text, "File for a page that shows who built what when"),
    ours("digests", Text, "File for the references and digests of what was pushed, as JSON"),
    ours(
        "digests_ansible",
        Text,
        "File for the digests of what was pushed as <name>_image_full for kolla-ansible",
    ),
    short("quiet", 'q', Flag, "Do not show the images' logs on the console"),
    short("debug", 'd', Flag, "Tell more"),
    file("regex", Many, "Regexes of the images to build, when the command line names none").means(Meaning::Regex),
    file("maintainer", Text, "Content of the maintainer label"),
    file("distro_package_manager", Text, "Package manager [default: the distro's]"),
    file("base_package_type", Text, "Package type, rpm or deb [default: the distro's]"),
    file("rpm_setup_config", List, ".rpm and .repo files or URLs installed into the base image first"),
    file("apt_sources_list", Text, "File that replaces base/sources.list").means(Meaning::InputFile),
    file("apt_preferences", Text, "File that replaces base/apt_preferences").means(Meaning::InputFile),
    file("squash_cleanup", Flag, "Remove the image that was squashed"),
    file("squash_tmp_dir", Text, "Directory for squashing"),
    file("clean_package_cache", Flag, "Remove package caches from the images"),
    file("allowed_to_fail", List, "Images whose failure does not fail the run"),
    file("pip_index_url", Text, "Package index for pip inside the builds"),
    file("pip_trusted_host", Text, "Host that pip inside the builds trusts"),
    file("pip_extra_index_url", Text, "Further package index for pip inside the builds"),
];

/// Keys of a source's section: `[<image>]`, `[<image>-plugin-<x>]`, `[<image>-additions-<x>]`.
pub const SOURCE_KEYS: &[&str] = &["type", "location", "reference", "enabled", "version", "sha256", "name"];
/// Keys of a user's section: `[<name>-user]`.
pub const USER_KEYS: &[&str] = &["uid", "gid", "group"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_and_short_forms_are_unique() {
        let names: BTreeSet<_> = OPTIONS.iter().map(|option| option.name).collect();
        assert_eq!(names.len(), OPTIONS.len());
        let shorts: Vec<_> = OPTIONS.iter().filter_map(|option| option.short).collect();
        assert_eq!(shorts.iter().collect::<BTreeSet<_>>().len(), shorts.len());
    }

    #[test]
    fn every_option_is_under_one_heading() {
        let under: Vec<&str> =
            by_heading().flat_map(|(_, options)| options).map(|option| option.name).collect();
        let all: Vec<&str> = OPTIONS.iter().map(|option| option.name).collect();
        assert_eq!(under, all);
        assert!(by_heading().all(|(_, options)| !options.is_empty()));
    }
}
