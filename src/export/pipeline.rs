//! A plan as jobs of a CI system [pure].
//!
//! A first job pins sources and base images, so that all jobs build from the same ones. The images of a tier are built in
//! jobs side by side, each of which takes what it is built on from the registry and pushes what it builds. The last job
//! tells of all as of one run. A job that fails keeps none of the others from running: the last one has the verdict.

use std::path::PathBuf;

use super::tiers::{Batch, batches};
use super::{github, gitlab, zuul};
use crate::model::ci_system::CiSystem;
use crate::model::plan::BuildPlan;

/// The files of a pipeline, relative to the root of the project's repository.
pub fn file_names(system: CiSystem) -> Vec<PathBuf> {
    match system {
        CiSystem::Github => vec![github::FILE.into()],
        CiSystem::Gitlab => vec![gitlab::FILE.into()],
        CiSystem::Zuul => zuul::file_names(),
    }
}

/// The most jobs of a matrix that GitHub takes
/// (<https://docs.github.com/en/actions/reference/limits>).
const MOST_JOBS_OF_A_MATRIX: usize = 256;

/// How the jobs are to run the program.
#[derive(Debug, Clone, Default)]
pub struct PipelineOptions {
    /// Arguments of every job.
    pub arguments: Vec<String>,
    /// Arguments that choose all images of the pipeline.
    pub selection: Vec<String>,
    /// Whether the arguments name a lock file already.
    pub locked: bool,
    /// Images that one job builds.
    pub images_per_job: usize,
}

/// The jobs.
pub(super) struct Pipeline<'a> {
    pub(super) tiers: Vec<Vec<Batch<'a>>>,
    options: &'a PipelineOptions,
}

/// The files of a pipeline that builds what the plan is to build, relative to the root of the project's repository.
pub fn pipeline(plan: &BuildPlan, system: CiSystem, options: &PipelineOptions) -> Vec<(PathBuf, String)> {
    let most_jobs = if system == CiSystem::Github { MOST_JOBS_OF_A_MATRIX } else { usize::MAX };
    let pipeline = Pipeline { tiers: batches(plan, options.images_per_job, most_jobs), options };
    match system {
        CiSystem::Github => github::files(&pipeline),
        CiSystem::Gitlab => gitlab::files(&pipeline),
        CiSystem::Zuul => zuul::files(&pipeline),
    }
}

/// What files of a pipeline that may lie among others begin with.
pub const WRITTEN_BY: &str = "# Written by kolla-build --export";

/// A value as the text of a YAML file that says where it is from.
pub(super) fn yaml(value: &serde_json::Value, about: &str) -> String {
    let text = serde_yaml::to_string(value).expect("text and lists always serialize into memory");
    format!(
        "{WRITTEN_BY}; write it anew when images or options change.\n\
         # Jobs need kolla-build and a container engine that may push to the registry.\n{about}---\n{text}"
    )
}

impl Pipeline<'_> {
    /// The command that pins; none when a lock file is there already.
    pub(super) fn lock_command(&self) -> Option<String> {
        (!self.options.locked).then(|| self.command(&["--lock=build.lock"], &self.options.selection))
    }

    /// The command that builds and pushes, after which `images` of [`Pipeline::images`] and other options may follow.
    pub(super) fn build_command(&self, report: &str) -> String {
        let report = format!("--report={report}");
        let mut arguments = vec!["--push", "--reuse=registry"];
        arguments.extend((!self.options.locked).then_some("--locked=build.lock"));
        self.command(&arguments, &[]) + " " + &report
    }

    /// The images of a batch as the shell's words.
    pub(super) fn images(batch: &Batch) -> String {
        let pattern = |image: &str| quoted(&format!("^{}$", regex::escape(image).replace("\\-", "-")));
        batch.units.iter().map(|unit| pattern(&unit.image)).collect::<Vec<_>>().join(" ")
    }

    /// The command that tells of all jobs as of one.
    pub(super) fn merge_command(&self) -> String {
        self.command(&[], &self.options.selection)
            + " --report=all.json --junit=all.xml --html=all.html --merge-summaries reports"
    }

    fn command(&self, more: &[&str], selection: &[String]) -> String {
        let words = self.options.arguments.iter().map(String::as_str).chain(more.iter().copied());
        let words = words.chain(selection.iter().map(String::as_str));
        ["kolla-build".to_string()].into_iter().chain(words.map(quoted)).collect::<Vec<_>>().join(" ")
    }
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
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
