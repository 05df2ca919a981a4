//! The jobs of a pipeline, whatever runs them: their images and commands [pure].

use std::borrow::Cow;
use std::fmt::Write;
use std::iter;

use super::tiers::Batch;
use crate::model::platform::Platform;

/// How the jobs are to run the program.
#[derive(Debug, Clone, Default)]
pub struct PipelineOptions {
    /// Platforms that the run is for.
    pub platforms: Vec<Platform>,
    /// Arguments of every job.
    pub arguments: Vec<String>,
    /// Further arguments of jobs that build.
    pub of_builds: Vec<String>,
    /// Directories that jobs that build write, and that are kept of each.
    pub kept: Vec<KeptDirectory>,
    /// Further arguments of the job that releases.
    pub of_release: Vec<String>,
    /// The release manifest that it writes, where it is to have another name than usual.
    pub release_manifest: Option<String>,
    /// Arguments that choose all images of the pipeline.
    pub selection: Vec<String>,
    /// The lock file that the arguments name, if they do.
    pub lock_file: Option<String>,
    /// True when the arguments say where sources are kept.
    pub has_source_cache: bool,
    /// Images that one job builds.
    pub images_per_job: usize,
    /// The tag of the images, and one that they get once they are released.
    pub promote: Option<String>,
}

/// A directory of which every job that builds has its own part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDirectory {
    /// Long form of the option that names it, without dashes.
    pub option: String,
    /// The directory, relative to that of the project.
    pub dir: String,
}

/// The jobs that build a plan.
pub(super) struct Pipeline<'a> {
    /// The platforms, of which none waits for another.
    pub(super) lanes: Vec<PlatformLane<'a>>,
    /// How they run the program.
    pub(super) options: &'a PipelineOptions,
}

/// The jobs that build for one platform.
pub(super) struct PlatformLane<'a> {
    /// The platform; none when the run has no other.
    pub(super) platform: Option<Platform>,
    /// Batches of images of each tier, one batch for each job.
    pub(super) tiers: Vec<Vec<Batch<'a>>>,
}

/// First words of files that may lie among others, by which they are known again.
pub const WRITTEN_BY: &str = "# Written by kolla-build --export";

/// The lock file that the first job writes.
pub(super) const LOCK_FILE: &str = "build.lock";

/// Directory of reports, one of each job that builds.
pub(super) const REPORTS: &str = "reports";

/// The report of all jobs as of one.
pub(super) const RELEASE_REPORT: &str = "all.json";

/// The same as JUnit's XML.
pub(super) const RELEASE_JUNIT: &str = "all.xml";

/// The same as a page.
pub(super) const RELEASE_PAGE: &str = "all.html";

/// References and digests of all that was pushed.
const RELEASE_DIGESTS: &str = "digests.json";

/// The same for kolla-ansible.
const RELEASE_VARIABLES: &str = "digests.yml";

/// The release manifest.
const RELEASE_MANIFEST: &str = "release.json";

/// Directory of a job's sources.
pub(super) const SOURCE_CACHE: &str = "source-cache";

/// A value as the text of a YAML file that says where it is from.
pub(super) fn yaml(value: &serde_json::Value, about: &str) -> String {
    let text = serde_yaml::to_string(value).expect("text and lists always serialize into memory");
    format!(
        "{WRITTEN_BY}; write it anew when images or options change.\n\
         # Jobs need kolla-build and a container engine that may push to the registry.\n{about}---\n{text}"
    )
}

impl PlatformLane<'_> {
    /// A name of one of its jobs, apart from those of other platforms.
    pub(super) fn job(&self, name: &str) -> String {
        self.platform.map_or_else(|| name.to_owned(), |platform| format!("{}-{name}", platform.arch.kolla()))
    }
}

impl Pipeline<'_> {
    /// The platform of jobs that are about all of them; none when there is only one.
    pub(super) fn first_platform(&self) -> Option<Platform> {
        self.options.platforms.first().copied().filter(|_| self.options.platforms.len() > 1)
    }

    /// The lock file that jobs build by.
    pub(super) fn lock_file(&self) -> &str {
        self.options.lock_file.as_deref().unwrap_or(LOCK_FILE)
    }

    /// The command that pins; none when a lock file is there already.
    pub(super) fn lock_command(&self) -> Option<String> {
        let lock = || self.command([format!("--lock={LOCK_FILE}")], &self.options.selection);
        self.options.lock_file.is_none().then(lock)
    }

    /// The command of a job of a lane that builds and pushes, after which `images` of [`Pipeline::images`] and other options
    /// may follow. The shell or the system makes the job's name of `job`.
    pub(super) fn build_command(&self, lane: &PlatformLane, job: &str) -> String {
        let mut more = vec!["--push".to_owned(), "--reuse=registry".to_owned()];
        more.extend(self.options.lock_file.is_none().then(|| format!("--locked={LOCK_FILE}")));
        more.extend(lane.platform.map(|platform| format!("--only-platform={platform}")));
        more.extend(self.keeps_sources().then(|| format!("--source-cache={SOURCE_CACHE}")));
        more.extend_from_slice(&self.options.of_builds);
        let mut command = self.command(more, &[]);
        _ = write!(command, " --report={REPORTS}/{job}.json");
        for kept in &self.options.kept {
            _ = write!(command, " {}{job}", quoted(&format!("--{}={}/", kept.option, kept.dir)));
        }
        command
    }

    /// The images of a batch as the shell's words.
    pub(super) fn images(batch: &Batch) -> String {
        let pattern =
            |image: &str| quoted(&format!("^{}$", regex::escape(image).replace("\\-", "-"))).into_owned();
        batch.units.iter().map(|unit| pattern(&unit.image)).collect::<Vec<_>>().join(" ")
    }

    /// The command that tells of all jobs as of one, and lists the platforms of what they have pushed.
    pub(super) fn release_command(&self) -> String {
        let more = iter::once("--push".to_owned()).chain(self.options.of_release.iter().cloned());
        self.command(more, &self.options.selection)
            + &format!(
                " --report={RELEASE_REPORT} --junit={RELEASE_JUNIT} --html={RELEASE_PAGE} --digests={RELEASE_DIGESTS} \
                 --digests-ansible={RELEASE_VARIABLES} --release={} --merge-summaries {REPORTS}",
                quoted(self.release_manifest())
            )
    }

    /// The files that it writes.
    pub(super) fn release_files(&self) -> Vec<&str> {
        let own = [RELEASE_REPORT, RELEASE_JUNIT, RELEASE_PAGE, RELEASE_DIGESTS, RELEASE_VARIABLES];
        own.into_iter().chain([self.release_manifest()]).collect()
    }

    /// The file that names by digests what was released.
    pub(super) fn release_manifest(&self) -> &str {
        self.options.release_manifest.as_deref().unwrap_or(RELEASE_MANIFEST)
    }

    /// The command that gives released images another tag, if they are to get one; by the release manifest where the job has
    /// it.
    pub(super) fn promote_command(&self, has_manifest: bool) -> Option<String> {
        let tags = self.options.promote.as_ref()?;
        let manifest = has_manifest.then(|| format!("--from-release={}", self.release_manifest()));
        let words = iter::once(format!("--retag={tags}")).chain(manifest);
        Some(self.command(words, &self.options.selection))
    }

    /// Directories of a job that builds, to be kept whatever comes of it.
    pub(super) fn kept(&self) -> impl Iterator<Item = &str> {
        iter::once(REPORTS).chain(self.options.kept.iter().map(|kept| kept.dir.as_str()))
    }

    /// True when the system is to keep the sources of a job for the same job of later pipelines.
    pub(super) fn keeps_sources(&self) -> bool {
        !self.options.has_source_cache
    }

    fn command(&self, more: impl IntoIterator<Item = String>, selection: &[String]) -> String {
        let words = self.options.arguments.iter().cloned().chain(more).chain(selection.iter().cloned());
        let words = words.map(|word| quoted(&word).into_owned());
        iter::once("kolla-build".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
    }
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', "'\\''")).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quoted("--tag=a.b"), "--tag=a.b");
        assert_eq!(quoted("^nova$"), "'^nova$'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
