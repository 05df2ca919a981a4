//! The jobs of a pipeline, whatever runs them: their images and commands [pure].

use std::borrow::Cow;
use std::iter;

use super::tiers::Batch;

/// How the jobs are to run the program.
#[derive(Debug, Clone, Default)]
pub struct PipelineOptions {
    /// Arguments of every job.
    pub arguments: Vec<String>,
    /// Arguments that choose all images of the pipeline.
    pub selection: Vec<String>,
    /// True when the arguments name a lock file already.
    pub locked: bool,
    /// Images that one job builds.
    pub images_per_job: usize,
}

/// The jobs that build a plan, by tier.
pub(super) struct Pipeline<'a> {
    /// Batches of images of each tier, one batch for each job.
    pub(super) tiers: Vec<Vec<Batch<'a>>>,
    /// How they run the program.
    pub(super) options: &'a PipelineOptions,
}

/// First words of files that may lie among others, by which they are known again.
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
        let pattern =
            |image: &str| quoted(&format!("^{}$", regex::escape(image).replace("\\-", "-"))).into_owned();
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
        iter::once("kolla-build".into()).chain(words.map(quoted)).collect::<Vec<_>>().join(" ")
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
