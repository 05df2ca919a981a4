//! A configuration whose values have their types: data only.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::layer::Layers;
use super::names::Names;
use super::options::{OptionSpec, ReportFormat};
use crate::model::builder::Builder;
use crate::model::ci_system::CiSystem;
use crate::model::compression::Compression;
use crate::model::ids::ImageName;
use crate::model::platform::{Arch, Platform};
use crate::model::reference::Reference;
use crate::model::reference::parts::Tag;
use crate::model::signing::CosignOptions;
use crate::model::template_api::{InstallType, TemplateApi};

/// Everything a run needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The distro the images are built on.
    pub base: String,
    /// Name of the base image.
    pub base_image: String,
    /// Tag of the base image.
    pub base_tag: String,
    /// Name that the distribution calls itself (PRETTY_NAME of os-release, as a shell pattern; in Kolla 9 its version).
    pub pretty_name: String,
    /// Format of packages, `rpm` or `deb`.
    pub package_type: String,
    /// Program that installs packages, `dnf` or `apt`.
    pub package_manager: String,
    /// Parts of image names.
    pub names: Names,
    /// Where OpenStack is installed from, in releases that leave that open.
    pub install_type: Option<InstallType>,
    /// Platforms to render and build for, without repetitions.
    pub platforms: Vec<Platform>,
    /// Content of the maintainer label.
    pub maintainer: String,
    /// Which images are asked for.
    pub selection: Selection,
    /// Task of the run.
    pub task: Task,
    /// Option that asks for it; none for a build.
    pub asked_by: Option<&'static OptionSpec>,
    /// Where templates come from and what changes them.
    pub templates: TemplateOptions,
    /// How images are built.
    pub build: BuildOptions,
    /// What makes images a release: documents about them, gates, signatures.
    pub release: ReleaseOptions,
    /// Output of a run: what is told, and where.
    pub output: OutputOptions,
    pub(super) layers: Layers,
}

/// Task of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Build the matched images.
    Build,
    /// Write Dockerfiles, and build nothing.
    TemplateOnly,
    /// List the images by their numbers.
    ListImages,
    /// Print the tree of images and their children.
    ListDependencies,
    /// Write their graph to a file.
    SaveDependency(PathBuf),
    /// List what images offer to overrides.
    ListBlocks,
    /// Tell where an image's blocks and lists come from.
    Explain(String),
    /// Print what would be done.
    Plan,
    /// Remove what is ours and not needed.
    Prune {
        /// A regex of the tags, beside the configured one, that are to go.
        tags: Option<String>,
        /// Days after whose last use a package cache goes; none keeps them all.
        package_cache_days: Option<u64>,
        /// True when it is only shown.
        dry_run: bool,
    },
    /// Take old images out of the registry.
    PruneRegistry(RegistryRetention),
    /// Tell where the files of two images differ.
    CompareBuilds(ComparedBuilds),
    /// Write down what the matched images would be built from.
    Lock(PathBuf),
    /// Tell whether the registry has the matched images as they would be built.
    VerifyRegistry,
    /// Give the matched images in the registry another tag.
    Retag(Retag),
    /// Tell what has changed from one release to another.
    ReleaseNotes(ReleaseNotes),
    /// List the platforms of images in the registry under one name.
    ManifestLists,
    /// Write what others need to build them.
    Export(Export),
    /// Tell of several runs as of one, from these files.
    MergeSummaries(Vec<PathBuf>),
}

/// Which images of a registry are deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryRetention {
    /// A regex of the tags that may go.
    pub tags: String,
    /// Days after which an image may go; none for at once.
    pub days: Option<u32>,
    /// How many of an image's matching versions stay, the newest ones.
    pub newest: usize,
    /// Files of releases of which everything stays.
    pub releases: Vec<PathBuf>,
    /// True when it is only shown.
    pub dry_run: bool,
}

/// Two images that are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedBuilds {
    /// Name or id of the first one.
    pub a: String,
    /// The same of the second one. When both are the same, each is that of an engine of its own.
    pub b: String,
    /// True when times of files count too.
    pub times: bool,
}

/// A tag that images have, and the one they are to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retag {
    /// The one they have.
    pub from: Tag,
    /// The one they get.
    pub to: Tag,
}

/// A release that a later one is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseNotes {
    /// Release manifest of the earlier one; `--from-release` names that of the later one.
    pub old: PathBuf,
    /// Form in which it is told.
    pub format: NotesFormat,
}

/// Form of release notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotesFormat {
    /// Lines of text, for people.
    Text,
    /// JSON, for programs.
    Json,
    /// Markdown, to be published.
    Markdown,
}

/// What makes images a release: documents about them, gates, signatures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReleaseOptions {
    /// Directory for SBOMs; none makes none.
    pub sbom: Option<PathBuf>,
    /// Directory for provenance; none makes none.
    pub provenance: Option<PathBuf>,
    /// Commands that are asked about images before they are pushed.
    pub gates: Vec<String>,
    /// True when what they find is only a warning.
    pub gate_warn: bool,
    /// The longest that one of them may take.
    pub gate_timeout: Duration,
    /// How pushed images are signed, if they are.
    pub sign: Option<CosignOptions>,
    /// How signatures of images in the registry are checked, if they are.
    pub verify_signatures: Option<CosignOptions>,
    /// Release manifest that images are taken from.
    pub from_release: Option<PathBuf>,
}

/// Something that images are exported as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Export {
    /// `docker buildx bake`, from this directory.
    Bake(PathBuf),
    /// Jobs of a CI system.
    Pipeline(PipelineExport),
    /// Kernel and initramfs of an image.
    Ramdisk(RamdiskExport),
}

/// Jobs of a CI system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineExport {
    /// The system that runs the jobs.
    pub system: CiSystem,
    /// Images that one job builds.
    pub images_per_job: usize,
    /// Tag that the last job gives to what was released; none has no such job.
    pub promote: Option<Tag>,
    /// The directory that the files are written to.
    pub dir: PathBuf,
}

/// An image that is exported as kernel and initramfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RamdiskExport {
    /// Name of the image in the tree.
    pub image: ImageName,
    /// Compression of the initramfs.
    pub compression: Compression,
    /// Directories whose files are unpacked over the image's, one after another.
    pub overlays: Vec<PathBuf>,
    /// The directory that the files are written to.
    pub dir: PathBuf,
}

/// Which images are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Regexes from the command line, or from files when there are none there.
    pub regexes: Vec<String>,
    /// The regexes of the profiles; they count only when there are no others.
    pub profile_regexes: Vec<String>,
    /// Images known not to build, by `distro`, `arch` or `distro+arch`; empty when they are to be built all the same.
    pub unbuildable: BTreeMap<String, Vec<String>>,
    /// Words that stand for the distribution in `unbuildable`.
    pub distro_words: Vec<String>,
    /// Leave out images with children.
    pub skip_parents: bool,
    /// Leave out images that the engine has.
    pub skip_existing: bool,
    /// Leave out images whose inputs are what they were at this git revision.
    pub affected_since: Option<String>,
    /// The only platform of the run's that it builds for.
    pub only_platform: Option<Platform>,
}

/// Where templates come from and what changes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateOptions {
    /// Kolla release that the templates are written for.
    pub api: TemplateApi,
    /// The tree to use instead of the embedded one.
    pub images_dir: Option<PathBuf>,
    /// Kolla's Python package that the tree is of.
    pub kolla_package: Option<PathBuf>,
    /// Directories laid over the tree.
    pub docker_dirs: Vec<PathBuf>,
    /// Template override files, in the order given.
    pub overrides: Vec<PathBuf>,
    /// Fail when something in the overrides has no effect.
    pub strict_overrides: bool,
    /// The repos.yaml in place of the tree's; none uses that.
    pub repos_yaml: Option<PathBuf>,
    /// Directory with patches by image; none when there are none.
    pub patches_path: Option<PathBuf>,
    /// Files of the base image that are replaced: name in `base/` and the file.
    pub base_files: Vec<(&'static str, PathBuf)>,
    /// Start containers through dumb-init.
    pub use_dumb_init: bool,
    /// Put the healthcheck scripts into the images.
    pub docker_healthchecks: bool,
    /// True when RUN steps remove package caches.
    pub clean_package_cache: bool,
    /// Dockerfile lines that set up package repositories on rpm distros.
    pub rpm_setup: Vec<String>,
    /// Value of the kolla_version label.
    pub kolla_version: String,
    /// Name of the OpenStack release, or `master`.
    pub openstack_release: String,
    /// Code name of the release.
    pub openstack_release_codename: String,
    /// Branch of the release, with a dash.
    pub openstack_branch: String,
    /// Branch of the release, with a slash.
    pub openstack_branch_slashed: String,
    /// `ARG`s for pip and their values.
    pub pip_args: Vec<(&'static str, String)>,
}

/// The container engine to build with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineChoice {
    /// Docker, wherever its own environment says.
    Docker,
    /// Podman's service at this address.
    Podman(String),
}

/// Where an engine is that was named by its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineHost {
    /// Architecture to build for; none leaves that to the engine's own.
    pub arch: Option<Arch>,
    /// Address, as in `DOCKER_HOST`.
    pub address: String,
}

impl FromStr for EngineHost {
    type Err = String;

    fn from_str(text: &str) -> Result<EngineHost, String> {
        let (arch, address) = match text.split_once('=') {
            Some((arch, address)) if !arch.contains("://") => {
                let arch = Arch::parse(arch)
                    .ok_or_else(|| format!("unknown architecture '{arch}': expected x86_64 or aarch64"))?;
                (Some(arch), address)
            }
            _ => (None, text),
        };
        match address {
            "" => Err("expected [ARCH=]ADDRESS".to_string()),
            address => Ok(EngineHost { arch, address: address.to_string() }),
        }
    }
}

/// Where up-to-date images are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReuseChoice {
    /// Images of the engine alone.
    Engine,
    /// In the engine, then in the registry.
    EngineOrRegistry,
}

/// How images are tested before they are pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmokeOptions {
    /// Name or file of the stack that they are started in; none for every stack inside the program.
    pub stack: Option<String>,
    /// Directories of checks.
    pub dirs: Vec<PathBuf>,
    /// The longest wait for a container.
    pub timeout: Duration,
}

/// How images are built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildOptions {
    /// The engine, and its way to build.
    pub engine: EngineChoice,
    /// Where engines are; empty leaves that to `engine`.
    pub engine_hosts: Vec<EngineHost>,
    /// Builder of that engine.
    pub builder: Builder,
    /// Network of RUN steps.
    pub network_mode: String,
    /// Build arguments, in the order given.
    pub build_args: Vec<(String, String)>,
    /// Reuse what is already built.
    pub cache: bool,
    /// Where up-to-date images are looked for.
    pub reuse: ReuseChoice,
    /// Ask for newer base images.
    pub pull: bool,
    /// Keep what package managers download.
    pub package_cache: bool,
    /// True when images are pushed once they are built.
    pub push: bool,
    /// How images are tested before they are pushed, if they are.
    pub smoke: Option<SmokeOptions>,
    /// Read each pushed image's digest back.
    pub verify_push: bool,
    /// File of certificate authorities for registries.
    pub registry_ca: Option<PathBuf>,
    /// Registries that need no TLS.
    pub insecure_registries: Vec<String>,
    /// Images built at once.
    pub threads: usize,
    /// Images pushed at once.
    pub push_threads: usize,
    /// Tries after the first one has failed.
    pub retries: u32,
    /// Start no further build after a failure.
    pub fail_fast: bool,
    /// Seconds without progress after which an operation fails.
    pub timeout: u64,
    /// Images whose failure does not fail the run.
    pub allowed_to_fail: Vec<ImageName>,
    /// Working directory to keep.
    pub work_dir: Option<PathBuf>,
    /// Directory of fetched sources.
    pub source_cache: Option<PathBuf>,
    /// Days for which unused sources are kept; 0 for ever.
    pub source_cache_days: u64,
    /// GiB that should be free where the engine keeps images.
    pub min_free_disk: u64,
    /// Lock file to build from.
    pub locked: Option<PathBuf>,
    /// True when the platform was asked for, rather than being this machine's.
    pub platform_given: bool,
}

/// Output of a run: what is told, and where.
#[derive(Debug, Clone)]
pub struct OutputOptions {
    /// Directory for a log of each image; none writes none.
    pub logs_dir: Option<PathBuf>,
    /// Summary at the end.
    pub summary: SummaryOutput,
    /// Findings of tasks go to standard output as JSON.
    pub json: bool,
    /// Format of plans, and of what pruning shows.
    pub plan_format: PlanFormat,
    /// Reports, in the order of the table of options.
    pub reports: Vec<ReportFile>,
    /// No image logs on the console.
    pub quiet: bool,
    /// True when more is told, for people who look for errors.
    pub debug: bool,
}

/// Summary of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SummaryOutput {
    /// No summary on standard output.
    Off,
    /// For people, on the console.
    Console,
    /// On the console, and as JSON in this file, or on standard output.
    ConsoleAndJson(Option<PathBuf>),
}

/// Format of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanFormat {
    /// Lines of text, for people.
    Text,
    /// Kolla's JSON, for programs.
    Json,
}

/// A report that is asked for.
#[derive(Debug, Clone)]
pub struct ReportFile {
    /// Option that names it.
    pub option: &'static OptionSpec,
    /// Content of the file.
    pub format: ReportFormat,
    /// Path of the file.
    pub path: PathBuf,
}

impl Config {
    /// Every value as it was written.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// The full name of an image for one platform, tag included. Not [valid](Reference::is_valid) when no image can have
    /// this name.
    pub fn image_reference(&self, image: &ImageName, platform: Platform) -> Reference {
        self.names.reference(image, &self.platform_tag(platform))
    }

    /// Build arguments that decide what is built.
    pub fn build_args(&self) -> BTreeMap<String, String> {
        let pip = self.templates.pip_args.iter().map(|(name, value)| (name.to_string(), value.clone()));
        pip.chain(self.build.build_args.iter().cloned()).collect()
    }

    /// Platforms that this run itself builds for.
    pub fn built_platforms(&self) -> Vec<Platform> {
        self.selection.only_platform.map_or_else(|| self.platforms.clone(), |only| vec![only])
    }

    /// True when the run is for more than one platform.
    pub fn has_several_platforms(&self) -> bool {
        self.platforms.len() > 1
    }

    /// The tag of images for one platform. With several, each has its own (`2026.2-debian-trixie-aarch64`), for in most
    /// engines and registries a name stands for one image.
    pub fn platform_tag(&self, platform: Platform) -> String {
        match self.has_several_platforms() {
            true => format!("{}-{}", self.names.tag, platform.arch.kolla()),
            false => self.names.tag.to_string(),
        }
    }
}
