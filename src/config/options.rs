//! Every option there is: the one table behind the command line, configuration files, documentation and all else that
//! goes by options.
//!
//! Names, short forms and meanings of Kolla's are those of Python kolla 23.0.0.

pub use super::option_spec::{
    CommandLineForm, InputPath, KollaDifference, Meaning, OptionGroup, OptionOrigin, OptionRole, OptionSpec,
    OptionTable, OutputPath, ReportFormat, ValueKind,
};
use super::task_kind::TaskKind;
use crate::model::template_api::TEMPLATE_APIS;

use OptionGroup::{Base, Build, Engine, Names, Output, Push, Selection, Sources, Tasks, Templates};
use OptionRole::{ImageInput, OfBuilds, OfTask, RunOnly, Selects, Task};
use OutputPath::{Documents, Logs, Report, SourceCache, Summary, WorkDir};
use ValueKind::{Choice, Dict, Flag, Integer, List, Many, OptionalText, Text};

const STACK: ValueKind = OptionalText { unnamed: "any" };
const LOCK_FILE: ValueKind = OptionalText { unnamed: "build.lock" };

const fn kolla(group: OptionGroup, name: &'static str, kind: ValueKind, help: &'static str) -> OptionSpec {
    OptionSpec::kolla(group, name, kind, help)
}

const fn ours(group: OptionGroup, name: &'static str, kind: ValueKind, help: &'static str) -> OptionSpec {
    OptionSpec::ours(group, name, kind, help)
}

impl Default for OptionTable {
    fn default() -> OptionTable {
        OPTIONS
    }
}

/// The options of this program.
pub const OPTIONS: OptionTable = OptionTable(&[
    kolla(Base, "base", Choice(&["centos", "debian", "rhel", "rocky", "ubuntu"]), "Base distribution")
        .short('b')
        .value("DISTRO")
        .common()
        .differs("`centos` is for trees of Kolla 22 and earlier, `rhel` for those of Kolla 9: what a tree lacks is refused"),
    kolla(Base, "base_tag", Text, "Base image tag")
        .means(Meaning::BaseTag)
        .default("the distribution's")
        .differs("TAG or TAG@DIGEST; anything else is refused"),
    kolla(Base, "base_image", Text, "Base image name")
        .means(Meaning::BaseImage)
        .default("the distribution's")
        .differs("what is no name, or has a tag, is refused"),
    kolla(Base, "base_arch", Choice(&["x86_64", "aarch64"]), "Architecture to render templates for")
        .value("ARCH")
        .default("this machine's"),
    kolla(
        Base,
        "debian_arch",
        Choice(&["amd64", "arm64"]),
        "Debian name of the architecture, as download URLs use it",
    )
    .value("ARCH")
    .default("from base_arch"),
    kolla(Base, "platform", Text, "Platforms to build for: linux/amd64, linux/arm64 or both, separated by a comma")
        .value("PLATFORM,...")
        .differs(
            "linux/amd64 and linux/arm64; each is rendered for its own architecture, while Kolla renders once for all of \
             them",
        ),
    kolla(Names, "namespace", Text, "Image namespace")
        .short('n')
        .means(Meaning::Namespace)
        .common()
        .differs("what makes no names is refused, with what to write; Kolla lets every build fail"),
    kolla(Names, "registry", Text, "Registry host")
        .means(Meaning::Registry)
        .common()
        .differs("as Kolla takes it, a path behind the host included; what makes no names is refused"),
    kolla(Names, "tag", Text, "Image tag")
        .means(Meaning::Tag)
        .default("<release>-<base>-<base tag>")
        .common()
        .differs("what is no tag is refused, with what to write; Kolla lets every build fail"),
    kolla(Names, "image_name_prefix", Text, "Prefix of image names")
        .means(Meaning::NamePrefix)
        .differs("what makes no names is refused"),
    kolla(Selection, "profile", Many, "Build the images of this profile; may be repeated")
        .short('p')
        .value("PROFILE")
        .role(Selects)
        .common()
        .differs("what of a profile of your own matches no image is told"),
    kolla(Selection, "enable_unbuildable", Flag, "Build images that are listed as unbuildable, too"),
    kolla(Selection, "skip_parents", Flag, "Skip images that have children").role(Selects),
    kolla(Selection, "skip_existing", Flag, "Skip images that the engine already has").role(Selects),
    ours(Selection, "affected_since", Text, "Build only images that changes since this git revision affect")
        .value("REV")
        .role(Selects),
    ours(
        Selection,
        "only_platform",
        Text,
        "Of the platforms of --platform, build for this one alone, and put no manifest list: other runs build for the others",
    )
    .value("PLATFORM")
    .role(Selects),
    kolla(Templates, "template_override", Many, "Template override file; may be repeated")
        .reads(InputPath::File)
        .role(ImageInput)
        .common()
        .differs("what has no effect in them is told; Kolla is silent"),
    ours(Templates, "strict_overrides", Flag, "Fail if anything in an override file has no effect"),
    ours(Templates, "images_dir", Text, "Image tree, or Kolla checkout, to use instead of the built-in tree")
        .reads(InputPath::ImageTree)
        .role(ImageInput),
    kolla(Templates, "docker_dir", Many, "Directory to lay over the image tree, file by file; may be repeated")
        .short('D')
        .reads(InputPath::ImageTree)
        .role(ImageInput),
    ours(Templates, "template_api", Choice(TEMPLATE_APIS), "Kolla release that the templates are written for")
        .value("RELEASE")
        .default("detected"),
    ours(Templates, "kolla_package", Text, "Kolla's Python package, or checkout, that belongs to the image tree")
        .reads(InputPath::KollaPackage)
        .default("found beside the tree"),
    kolla(
        Templates,
        "install_type",
        Choice(&["binary", "source", "rdo", "rhos"]),
        "Install type, in image trees of Kolla 9",
    )
    .long_as("type")
    .short('t')
    .value("TYPE")
    .differs(
        "as in Kolla 9; with trees that have none it is refused on the command line, as by Kolla 23, and told in files",
    ),
    kolla(Templates, "repos_yaml", Text, "File whose entries replace those of the tree's repos.yaml")
        .reads(InputPath::File)
        .role(ImageInput),
    kolla(Templates, "patches_path", Text, "Directory of patches: <image>/series and the files it lists")
        .reads(InputPath::Dir)
        .role(ImageInput)
        .differs(
            "it must be there, and what a series names too; directories of no image, without a series or not copied by \
             the Dockerfile are told; Kolla is silent",
        ),
    kolla(Templates, "use_dumb_init", Flag, "Use dumb-init as the entry point"),
    kolla(Templates, "docker_healthchecks", Flag, "Add the healthcheck scripts to images"),
    kolla(Sources, "openstack_release", Text, "OpenStack release").value("RELEASE").in_release("release"),
    kolla(Sources, "openstack_release_codename", Text, "OpenStack release codename, for package repositories")
        .value("CODENAME")
        .in_release("codename"),
    kolla(Sources, "openstack_branch", Text, "Branch of OpenStack sources, with a dash")
        .value("BRANCH")
        .default("from the release"),
    kolla(Sources, "openstack_branch_slashed", Text, "Branch of OpenStack sources, with a slash")
        .value("BRANCH")
        .default("from the release"),
    ours(Sources, "kolla_version", Text, "Version in the kolla_version label and variable; other trees have their own")
        .value("VERSION")
        .in_release("kolla_version"),
    kolla(Sources, "tarballs_base", Text, "Base URL of OpenStack source tarballs").value("URL"),
    kolla(Sources, "locals_base", Text, "Base directory of local sources").value("DIR"),
    ours(Sources, "source_cache", Text, "Cache of downloaded sources: a new or empty directory, or a cache already")
        .writes(SourceCache)
        .default("the user's cache directory, or a temporary one if that is not writable"),
    ours(
        Sources,
        "source_cache_days",
        Integer { min: 0 },
        "Remove cached sources that no run has used for this many days; 0 keeps all",
    )
    .value("DAYS"),
    ours(Sources, "locked", LOCK_FILE, "Build from this lock file; fail before building if anything differs")
        .reads(InputPath::LockFile),
    kolla(Engine, "engine", Choice(&["docker", "podman"]), "Container engine").value("ENGINE"),
    kolla(Engine, "podman_base_url", Text, "Podman socket").long_as("podman_base_url").value("URL"),
    ours(
        Engine,
        "engine_host",
        Many,
        "Engine address: unix://PATH, tcp://HOST:PORT or ssh://HOST; repeat to spread builds over several engines, which \
         exchange images through --registry",
    )
    .value("[ARCH=]URL")
    .default("as the engine's own client has it"),
    kolla(Engine, "buildkit", Flag, "Build with BuildKit; --nobuildkit uses Docker's classic builder")
        .differs("through Docker's API: neither the docker command nor its buildx plugin is needed"),
    kolla(Engine, "buildkit_builder", Text, "Buildx builder to use")
        .value("NAME")
        .refused("builds go to the engine's own BuildKit"),
    kolla(Build, "network_mode", Text, "Network mode of RUN steps").long_as("network_mode").value("MODE"),
    kolla(Build, "build_args", Dict, "Build arguments")
        .means(Meaning::BuildArguments)
        .differs(
            "names that no ARG can have are refused: of `A=b:c` Kolla makes the argument `A=b`, which reaches no build",
        ),
    ours(
        Build,
        "secret",
        Many,
        "Secret for RUN steps, mounted at /run/secrets/ID and in no image (BuildKit): id=ID,src=FILE or \
         id=ID,env=VARIABLE, optionally with target=PATH, mode, uid and gid; may be repeated",
    )
    .means(Meaning::SecretSpec),
    ours(
        Build,
        "cache_from",
        Many,
        "Import build cache from an image (BuildKit): REFERENCE or type=registry,ref=REFERENCE, with {image} and {arch} \
         as placeholders; may be repeated. --export bake takes all that buildx takes",
    )
    .value("CACHE"),
    ours(
        Build,
        "cache_to",
        Many,
        "Export build cache for --cache-from (BuildKit): type=inline, into the images. --export bake takes all that \
         buildx takes",
    )
    .value("CACHE"),
    kolla(Build, "cache", Flag, "Reuse images and layers that are up to date; --nocache builds everything from scratch"),
    ours(
        Build,
        "package_cache",
        Flag,
        "Keep what apt, dnf, npm, pip and uv download in RUN steps for later ones (BuildKit or Podman)",
    ),
    ours(
        Build,
        "reuse",
        Choice(&["engine", "registry"]),
        "Where to look for up-to-date images: the engine alone, or the registry too",
    )
    .value("WHERE")
    .role(RunOnly),
    kolla(Build, "pull", Flag, "Check for newer base images").differs(
        "the base image is pulled by name before the build; one at hand serves when its registry can't be reached",
    ),
    kolla(Build, "keep", Flag, "Keep the containers of failed builds (classic builder)"),
    kolla(
        Build,
        "squash",
        Flag,
        "Squash the layers that a build adds (classic builder of an experimental engine, or Podman)",
    )
    .differs("the engine does it; Kolla runs docker-squash on the image that was built"),
    kolla(Push, "push", Flag, "Push images after building").role(RunOnly).common(),
    ours(Push, "verify_push", Flag, "Compare digests in the registry with what was pushed"),
    kolla(Build, "threads", Integer { min: 1 }, "Parallel builds").short('T').common(),
    kolla(Push, "push_threads", Integer { min: 1 }, "Parallel pushes"),
    ours(Push, "registry_ca", Text, "CA certificates to trust for registries, besides the system's and certs.d")
        .reads(InputPath::File),
    ours(
        Push,
        "insecure_registries",
        List,
        "Registries, or networks of them, to reach without TLS, besides loopback and those of the engine",
    )
    .means(Meaning::RegistryHost),
    ours(Build, "smoke", STACK, "Start built images in their stacks, or check them by themselves, before they are pushed")
        .value("STACK")
        .role(RunOnly)
        .common(),
    ours(Build, "smoke_dir", Many, "Directory of checks for --smoke, also of container-structure-test; may be repeated")
        .reads(InputPath::Dir)
        .role(RunOnly),
    ours(Build, "smoke_timeout", Integer { min: 1 }, "Seconds that a container of --smoke may take to become healthy")
        .value("SECONDS")
        .role(RunOnly),
    ours(Push, "sbom", Text, "Write each image's SBOM (SPDX, CycloneDX), and attach it to what is pushed")
        .writes(Documents)
        .role(OfBuilds)
        .common(),
    ours(
        Push,
        "provenance",
        Text,
        "Write what each image was made from, as an in-toto statement of SLSA's kind; attach it to images that are pushed",
    )
    .writes(Documents)
    .role(OfBuilds),
    ours(
        Push,
        "gate",
        Many,
        "Command that each image must pass before it is pushed, told of it by KOLLA_BUILD_ variables; may be repeated",
    )
    .means(Meaning::Command)
    .role(OfBuilds),
    ours(Push, "gate_warn", Flag, "Only warn of images that a --gate does not let pass").role(OfBuilds),
    ours(Push, "gate_timeout", Integer { min: 1 }, "Seconds after which a --gate is ended, and the image not let pass")
        .value("SECONDS")
        .role(OfBuilds),
    ours(
        Push,
        "sign",
        Text,
        "Sign pushed images, and what is attached to them, with cosign: cosign, cosign=KEY or 'cosign=KEY OPTIONS'",
    )
    .means(Meaning::Cosign)
    .role(OfBuilds),
    ours(Build, "watch", Flag, "Rebuild whenever a file that images are made from changes, until interrupted"),
    kolla(Build, "retries", Integer { min: 0 }, "Retries after a failure that may be temporary")
        .short('r')
        .differs("only failures that may pass are tried again, after a pause: the others would fail again"),
    ours(Build, "fail_fast", Flag, "Start no new builds after a failure not listed in allowed_to_fail"),
    kolla(Build, "timeout", Integer { min: 1 }, "Fail an operation after this many seconds without progress")
        .value("SECONDS")
        .differs(
            "at least 1; counts from the last sign of progress, wherever something is waited for; a build goes on while \
             its engine answers: a download or a step may take long",
        ),
    ours(
        Build,
        "min_free_disk",
        Integer { min: 0 },
        "Warn if less is free where the engine keeps images, or a tenth of it for contexts and sources",
    )
    .value("GIB"),
    kolla(Build, "work_dir", Text, "Working directory, which is kept")
        .writes(WorkDir)
        .default("a temporary one, kept by --template-only alone"),
    kolla(Tasks, "template_only", Flag, "Write the Dockerfiles of matched images")
        .role(Task(TaskKind::TemplateOnly)).common(),
    kolla(Tasks, "save_dependency", Text, "Write the dependency graph of matched images, in Graphviz format")
        .writes(OutputPath::OfTask)
        .role(Task(TaskKind::SaveDependency)),
    kolla(Tasks, "list_images", Flag, "List matched images").role(Task(TaskKind::ListImages)).common(),
    kolla(Tasks, "list_dependencies", Flag, "Print the dependency tree of matched images, as JSON")
        .short('l')
        .role(Task(TaskKind::ListDependencies)),
    ours(Tasks, "list_blocks", Flag, "List the blocks and customizable lists that overrides can change")
        .role(Task(TaskKind::ListBlocks)),
    ours(Tasks, "explain", Text, "Show where an image's blocks and lists come from and what overrides change")
        .value("IMAGE")
        .role(Task(TaskKind::Explain))
        .common(),
    ours(Tasks, "lock", LOCK_FILE, "Write a lock file that pins sources and base images of matched images")
        .writes(OutputPath::OfTask)
        .role(Task(TaskKind::Lock)),
    ours(Tasks, "verify_registry", Flag, "Check that the registry has matched images, up to date")
        .role(Task(TaskKind::VerifyRegistry)),
    ours(Tasks, "manifest_lists", Flag, "Put a manifest list over each matched image's platforms in the registry")
        .role(Task(TaskKind::ManifestLists)),
    ours(Tasks, "retag", Text, "Retag matched images in the registry")
        .value("FROM:TO").role(Task(TaskKind::Retag)),
    ours(
        Tasks,
        "from_release",
        Text,
        "With --retag or --verify-registry, take images by the digests of this release manifest",
    )
    .reads(InputPath::File)
    .role(OfTask(&[TaskKind::Retag, TaskKind::VerifyRegistry, TaskKind::ReleaseNotes])),
    ours(
        Tasks,
        "verify_signatures",
        Text,
        "With --retag or --verify-registry, check signatures with cosign: cosign=KEY or 'cosign=OPTIONS'",
    )
    .means(Meaning::Cosign)
    .role(OfTask(&[TaskKind::Retag, TaskKind::VerifyRegistry])),
    ours(
        Tasks,
        "release_notes",
        Text,
        "Tell what has changed in images since this release manifest, up to that of --from-release",
    )
    .value("OLD")
    .reads(InputPath::File)
    .role(Task(TaskKind::ReleaseNotes)),
    ours(Tasks, "notes_format", Choice(&["text", "json", "markdown"]), "Output format of --release-notes")
        .value("FORMAT")
        .role(OfTask(&[TaskKind::ReleaseNotes])),
    ours(
        Tasks,
        "export",
        Text,
        "Export matched images as a docker buildx bake file (bake) or as jobs of a CI system (matrix=github, matrix=gitlab, \
         matrix=zuul), or a built image as kernel and initramfs (ramdisk=IMAGE)",
    )
    .value("FORMAT")
    .role(Task(TaskKind::Export)),
    ours(Tasks, "images_per_job", Integer { min: 1 }, "Images per job of an exported pipeline")
        .role(OfTask(&[TaskKind::Export])),
    ours(Tasks, "export_dir", Text, "Directory to export to")
        .writes(OutputPath::Export)
        .role(OfTask(&[TaskKind::Export])),
    ours(Tasks, "promote", Text, "Tag that the last job of an exported pipeline gives to what was released")
        .means(Meaning::Tag)
        .role(OfTask(&[TaskKind::Export])),
    ours(
        Tasks,
        "ramdisk_overlay",
        Many,
        "Directory whose files an exported ramdisk unpacks over those of its image; may be repeated",
    )
    .reads(InputPath::Dir)
    .role(OfTask(&[TaskKind::Export])),
    ours(Tasks, "ramdisk_compression", Choice(&["zstd", "gzip", "xz"]), "Compression of an exported initramfs")
        .role(OfTask(&[TaskKind::Export])),
    ours(
        Tasks,
        "merge_summaries",
        Many,
        "Merge reports of several runs into one; fail if a matched image is in none. With --push, put the manifest lists of \
         what they have pushed",
    )
    .reads(InputPath::Reports)
    .role(Task(TaskKind::MergeSummaries)),
    ours(Tasks, "plan", Flag, "Show what would be built, and why").role(Task(TaskKind::Plan)).common(),
    ours(Tasks, "plan_format", Choice(&["text", "json"]), "Output format of --plan, --prune, --prune-registry and --compare-builds")
        .value("FORMAT")
        .role(OfTask(&[TaskKind::Plan, TaskKind::Prune, TaskKind::PruneRegistry, TaskKind::CompareBuilds])),
    ours(Tasks, "prune", Flag, "Remove untagged kolla-build images that nothing uses, and their build cache")
        .role(Task(TaskKind::Prune)),
    ours(
        Tasks,
        "prune_tags",
        Text,
        "With --prune, remove kolla-build images with other matching tags, too; with --prune-registry, tags that may go",
    )
    .means(Meaning::Regex)
    .role(OfTask(&[TaskKind::Prune, TaskKind::PruneRegistry])),
    ours(
        Tasks,
        "prune_package_cache",
        Integer { min: 0 },
        "With --prune, remove package caches that no build has used for this many days, too; 0 removes all",
    )
    .value("DAYS")
    .role(OfTask(&[TaskKind::Prune])),
    ours(
        Tasks,
        "prune_registry",
        Flag,
        "Delete matched images from the registry whose tags all match --prune-tags, with what is attached to them",
    )
    .role(Task(TaskKind::PruneRegistry)),
    ours(Tasks, "older_than", Integer { min: 0 }, "With --prune-registry, delete only images made before so many days")
        .value("DAYS")
        .role(OfTask(&[TaskKind::PruneRegistry])),
    ours(Tasks, "keep_newest", Integer { min: 0 }, "With --prune-registry, keep so many of an image's matching versions")
        .value("N")
        .role(OfTask(&[TaskKind::PruneRegistry])),
    ours(
        Tasks,
        "keep_release",
        Many,
        "With --prune-registry, keep what this release file names; may be repeated",
    )
    .reads(InputPath::File)
    .role(OfTask(&[TaskKind::PruneRegistry])),
    ours(Tasks, "dry_run", Flag, "With --prune or --prune-registry, only show what would be removed")
        .role(OfTask(&[TaskKind::Prune, TaskKind::PruneRegistry])),
    ours(
        Tasks,
        "compare_builds",
        List,
        "Compare the files of two images, and say which packages differ; one image alone is compared between two engines",
    )
    .value("A,B")
    .role(Task(TaskKind::CompareBuilds)),
    ours(Tasks, "compare_times", Flag, "With --compare-builds, times of files count as differences, too")
        .role(OfTask(&[TaskKind::CompareBuilds])),
    kolla(Output, "logs_dir", Text, "Directory of build logs, one per image").writes(Logs).common(),
    kolla(Output, "summary", Flag, "Print a summary of all images at the end"),
    kolla(Output, "format", Choice(&["json", "none"]), "Format of the machine-readable summary")
        .short('f')
        .value("FORMAT"),
    kolla(Output, "summary_json_file", Text, "File for the JSON summary").writes(Summary).default("standard output"),
    ours(Output, "report", Text, "Write a full report of the run, as JSON").writes(Report(ReportFormat::Json)),
    ours(Output, "junit", Text, "Write a JUnit report, with a test case per image").writes(Report(ReportFormat::Junit)),
    ours(Output, "html", Text, "Write an HTML page with the timeline of the run").writes(Report(ReportFormat::Html)),
    ours(Output, "digests", Text, "Write references and digests of pushed images, as JSON")
        .writes(Report(ReportFormat::Digests)),
    ours(Output, "digests_ansible", Text, "Write digests of pushed images as <name>_image_full, for kolla-ansible")
        .writes(Report(ReportFormat::AnsibleDigests)),
    ours(Output, "release", Text, "Write a release manifest of pushed images, if none of the run has failed")
        .writes(Report(ReportFormat::Release)),
    kolla(Output, "quiet", Flag, "Show no build logs on the console")
        .short('q')
        .common()
        .differs("the last lines of failed images are told at the end all the same"),
    kolla(Output, "debug", Flag, "Show more detail").short('d'),
    kolla(Selection, "regex", Many, "Build only images whose name matches, and their parents")
        .positional()
        .means(Meaning::Regex)
        .role(Selects)
        .common()
        .differs("one that matches nothing is told, and fails the run when no other matches; Kolla succeeds in silence"),
    kolla(Names, "maintainer", Text, "Maintainer label of images").in_files_only().means(Meaning::Prose),
    kolla(Base, "distro_package_manager", Text, "Package manager").in_files_only().default("the distribution's"),
    kolla(Base, "base_package_type", Text, "Package format, rpm or deb").in_files_only().default("the distribution's"),
    kolla(Base, "rpm_setup_config", List, ".rpm and .repo files or URLs to install into the base image first")
        .in_files_only(),
    kolla(Base, "apt_sources_list", Text, "Replacement of base/sources.list")
        .in_files_only()
        .reads(InputPath::File)
        .role(ImageInput),
    kolla(Base, "apt_preferences", Text, "Replacement of base/apt_preferences")
        .in_files_only()
        .reads(InputPath::File)
        .role(ImageInput),
    kolla(Build, "squash_cleanup", Flag, "Remove the unsquashed image")
        .in_files_only()
        .differs("no effect: nothing is left to remove"),
    kolla(Build, "squash_tmp_dir", Text, "Temporary directory for squashing")
        .in_files_only()
        .value("DIR")
        .differs("no effect: the engine squashes where its images are"),
    kolla(Templates, "clean_package_cache", Flag, "Remove package caches from images").in_files_only(),
    kolla(Build, "allowed_to_fail", List, "Images whose failure does not fail the run")
        .in_files_only()
        .differs("covers what is built on such an image too; names of no image are told"),
    kolla(Sources, "pip_index_url", Text, "Package index for pip in builds").in_files_only(),
    kolla(Sources, "pip_trusted_host", Text, "Host that pip in builds trusts").in_files_only(),
    kolla(Sources, "pip_extra_index_url", Text, "Additional package index for pip in builds").in_files_only(),
]);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_and_short_forms_are_unique() {
        let names: BTreeSet<_> = OPTIONS.names().into_iter().collect();
        assert_eq!(names.len(), OPTIONS.iter().count());
        let shorts: Vec<_> = OPTIONS.iter().filter_map(|option| option.short).collect();
        assert_eq!(shorts.iter().collect::<BTreeSet<_>>().len(), shorts.len());
    }

    #[test]
    fn every_option_is_under_one_heading() {
        let mut under: Vec<&str> = OptionGroup::ALL
            .into_iter()
            .flat_map(|group| OPTIONS.of_group(group))
            .map(|it| it.name)
            .collect();
        let mut all = OPTIONS.names();
        under.sort_unstable();
        all.sort_unstable();
        assert_eq!(under, all);
    }

    #[test]
    fn tasks_that_options_belong_to_are_tasks() {
        let tasks = OPTIONS.iter().filter_map(|option| match option.role {
            OfTask(tasks) => Some(tasks),
            _ => None,
        });
        for kind in tasks.flatten() {
            assert!(OPTIONS.of_role(Task(*kind)).count() == 1, "{kind:?}");
        }
    }
}
