//! The report: everything that is known of a run that has ended, and its form as JSON [pure].
//!
//! `--report` writes it, `--merge-summaries` reads it, and the other files of a run are made from it. In JSON it is one
//! object whose keys are the fields below. Times are RFC 3339 in UTC, lengths are seconds, sizes are bytes. What is not
//! known or does not apply is `null`. Readers must ignore keys that they do not know; a change that could break one raises
//! `report_version`. Fields that older reports lack have defaults.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use super::summary::Counts;
use super::text::last_words;
use crate::model::attached::Attached;
use crate::model::failure::{Failure, FailureKind};
use crate::model::gate::GateResult;
use crate::model::ids::{ContentKey, Digest, ImageId, ImageName};
use crate::model::outcome::{Outcome, OutcomeKind, UnitImage};
use crate::model::plan::{Disposition, Parent};
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::model::smoke::SmokeResult;

/// The version of the format. A change that could break a reader raises it.
pub const REPORT_VERSION: u32 = 1;

/// A run that has ended, with every image of its plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the format, [`REPORT_VERSION`] when written by this program.
    pub report_version: u32,
    /// The run as a whole.
    pub run: ReportedRun,
    /// How many images came to each end.
    pub counts: ReportedCounts,
    /// The chain of images whose end was the run's end.
    pub critical_path: ReportedPath,
    /// Every option and every key of other sections. Secrets are masked.
    pub configuration: Vec<ReportedSetting>,
    /// Every image of the plan, parents first; on several platforms an image is there once for each.
    pub images: Vec<ReportedImage>,
}

/// The run as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportedRun {
    /// Version of kolla-build that ran.
    pub version: String,
    /// Name, version and address of the engine; of merged runs, all of them.
    pub engine: String,
    /// Start of the run; of merged runs, of the first.
    pub start: Time,
    /// End of the run; of merged runs, of the last.
    pub end: Time,
    /// Time between the two.
    pub seconds: Seconds,
    /// Exit code of the process, unless something went wrong after the run.
    pub exit_code: u8,
    /// True when a signal stopped the run.
    pub interrupted: bool,
}

/// How many images came to each end, and how many the run was to leave alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedCounts {
    /// Those that were to be brought up to date: `built`, `unchanged`, `failed`, `parent_failed`, `smoke_error`, `gated`,
    /// `push_failed`, `cancelled`. Images whose end was never told are cancelled.
    #[serde(flatten)]
    pub outcomes: Counts,
    /// Images that were not asked for.
    pub unmatched: usize,
    /// Images left out by an option.
    pub skipped: usize,
    /// Images known not to build on the distro or platform.
    pub unbuildable: usize,
}

/// The chain of images whose end was the run's end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportedPath {
    /// Names of the images, parents first.
    pub images: Vec<ImageName>,
    /// The platform of them all.
    pub platform: Option<Platform>,
    /// How long workers were busy with them.
    pub work_seconds: Seconds,
    /// How long they waited for a worker.
    pub waiting_seconds: Seconds,
}

/// An option or a key of another section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedSetting {
    /// Section, `DEFAULT` for options.
    pub section: String,
    /// Name of the option or key.
    pub name: String,
    /// Value in force, as text.
    pub value: Option<String>,
    /// File and line, environment or command line that has set it.
    pub place: Option<String>,
}

/// An image on a platform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportedImage {
    /// Name, without prefix, namespace and tag.
    pub name: ImageName,
    /// Platform that it is for.
    pub platform: Platform,
    /// Full name, tag included.
    pub reference: Reference,
    /// Name of the manifest list of its platforms, when the run has several.
    pub list: Option<Reference>,
    /// `image`: an image of the tree; or `base`: the reference that is pulled.
    pub parent: Parent,
    /// Other images that its Dockerfile names; left out when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<Parent>,
    /// Decision of the plan: `build`, `unmatched`, `skipped`, `unbuildable`.
    pub disposition: Disposition,
    /// Reason for the decision.
    pub reason: String,
    /// End that it came to: `built`, `unchanged`, `failed`, `parent_failed`, `smoke_error`, `gated`, `push_failed`,
    /// `cancelled`; null unless `disposition` is `build`.
    pub outcome: Option<OutcomeKind>,
    /// True when its end makes the run a failure.
    pub fails_run: bool,
    /// Why its own build, smoke test, gate or push failed.
    pub failure: Option<Failure>,
    /// The ancestor that it was lost with, or the image whose failure ended the run (`--fail-fast`).
    pub root_cause: Option<ImageName>,
    /// Last lines of its log when it failed.
    pub log_tail: Vec<String>,
    /// Place it was built at, from 0; null when no worker took it.
    pub worker: Option<usize>,
    /// When all that it is made from was there.
    pub ready: Option<Time>,
    /// When a worker took it.
    pub start: Option<Time>,
    /// When the worker was done with it.
    pub end: Option<Time>,
    /// How long it waited for a worker.
    pub queue_seconds: Option<Seconds>,
    /// How long the worker had it.
    pub seconds: Option<Seconds>,
    /// Builds that were started, 0 when there was nothing to build.
    pub attempts: u32,
    /// Tries that failed and were followed by others, pushes included.
    pub retries: Vec<ReportedRetry>,
    /// Steps of its Dockerfile, when the engine told of any.
    pub steps: Option<ReportedSteps>,
    /// Content key; known of a failed image too, unless it failed before there was anything to build.
    pub key: Option<ContentKey>,
    /// The engine's id of the image.
    pub image_id: Option<ImageId>,
    /// Size of the image in the engine.
    pub size: Option<u64>,
    /// Layers of its file system.
    pub layers: Option<usize>,
    /// Smoke test of the image; null when there was none.
    #[serde(default)]
    pub smoke: Option<ReportedSmoke>,
    /// Gates of the image; null when none were asked.
    #[serde(default)]
    pub gate: Option<ReportedGate>,
    /// Push of the image; null when there was none.
    pub push: Option<ReportedPush>,
}

/// A try that failed and was followed by another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportedRetry {
    /// Number of the try, from 1.
    pub attempt: u32,
    /// Time of the failure.
    pub at: Time,
    /// Kind of the failure, as in `failure`.
    pub kind: FailureKind,
    /// Message of the failure, as in `failure`.
    pub message: String,
    /// Hints of the failure, as in `failure`.
    #[serde(default)]
    pub hints: Vec<Cow<'static, str>>,
    /// Pause before the next try.
    pub delay_seconds: Seconds,
}

/// Steps of a Dockerfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedSteps {
    /// Number of steps in the Dockerfile.
    pub total: u32,
    /// Number of steps that the engine had in its cache.
    pub cached: u32,
}

/// Smoke test of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportedSmoke {
    /// Place it was tested at, from 0.
    pub worker: usize,
    /// Start of the test.
    pub start: Time,
    /// End of the test.
    pub end: Time,
    /// Time between the two.
    pub seconds: Seconds,
    /// `stack` and `checks`.
    #[serde(flatten)]
    pub result: SmokeResult,
}

/// Gates of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportedGate {
    /// Place they were asked at, from 0.
    pub worker: usize,
    /// When the first was asked.
    pub start: Time,
    /// When the last had answered.
    pub end: Time,
    /// Time between the two.
    pub seconds: Seconds,
    /// `gates`: for each its `command`, `fault` (null when it let the image pass), `words` and `only_warns`.
    #[serde(flatten)]
    pub result: GateResult,
}

/// Push of an image to the registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportedPush {
    /// Place it was pushed at, from 0.
    pub worker: usize,
    /// Start of the push.
    pub start: Time,
    /// End of the push.
    pub end: Time,
    /// Time between the two.
    pub seconds: Seconds,
    /// Digest of the manifest in the registry.
    pub digest: Option<Digest>,
    /// Digest of the manifest list that this push has completed.
    pub list: Option<Digest>,
    /// What was attached to the image: digests of `spdx`, `cyclonedx` and `provenance`, and whether all is `signed`.
    #[serde(default)]
    pub attached: Attached,
    /// What was attached to that list.
    #[serde(default)]
    pub list_attached: Attached,
}

impl Report {
    /// The text of the file.
    pub fn to_json(&self) -> String {
        let mut json =
            serde_json::to_string_pretty(self).expect("strings and numbers always serialize into memory");
        json.push('\n');
        json
    }
}

impl ReportedImage {
    /// True when it was to be brought up to date and is not.
    pub fn is_unsuccessful(&self) -> bool {
        !matches!(self.outcome, None | Some(OutcomeKind::Built | OutcomeKind::Unchanged))
    }

    /// The image in the engine, when the report tells all of it.
    pub fn image(&self) -> Option<UnitImage> {
        Some(UnitImage {
            id: self.image_id.clone()?,
            key: self.key.clone()?,
            size: self.size?,
            layers: self.layers.unwrap_or_default(),
        })
    }

    /// The outcome with all details; none when the run left the image alone.
    pub fn full_outcome(&self) -> Option<Outcome> {
        let failure = || {
            let unknown = || Failure::permanent(FailureKind::Local, "its report does not say why it failed");
            self.failure.clone().unwrap_or_else(unknown)
        };
        let root_cause = self.root_cause.as_deref();
        Some(match self.outcome? {
            OutcomeKind::Built => Outcome::Built(self.image().unwrap_or_default()),
            OutcomeKind::Unchanged => Outcome::Unchanged(self.image().unwrap_or_default()),
            OutcomeKind::Failed => Outcome::Failed(failure()),
            OutcomeKind::SmokeError => Outcome::SmokeError(failure()),
            OutcomeKind::Gated => Outcome::Gated(failure()),
            OutcomeKind::PushFailed => Outcome::PushFailed(failure()),
            OutcomeKind::ParentFailed => {
                Outcome::ParentFailed { root_cause: root_cause.unwrap_or("an image it is built on").into() }
            }
            OutcomeKind::Cancelled => Outcome::Cancelled { root_cause: root_cause.map(Into::into) },
        })
    }

    /// Lines that explain a failure of its own: the last of its log, what the engine or the registry said, hints.
    pub fn last_words(&self) -> Vec<String> {
        last_words(&self.log_tail, self.failure.as_ref())
    }
}

impl ReportedRetry {
    /// Why the try failed.
    pub fn failure(&self) -> Failure {
        let (kind, message, hints) = (self.kind, self.message.clone(), self.hints.clone());
        Failure { kind, message, hints, transient: true }
    }
}

/// A point in time. It is written to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Time(pub Timestamp);

impl Time {
    /// How long after another it is; zero when it was before.
    pub fn since(self, start: Timestamp) -> Duration {
        self.0.duration_since(start).try_into().unwrap_or_default()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%dT%H:%M:%S.%3fZ"))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl TryFrom<String> for Time {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Time, jiff::Error> {
        text.parse().map(Time)
    }
}

/// A length of time. It is written in seconds, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(from = "f64")]
pub struct Seconds(pub Duration);

impl From<f64> for Seconds {
    fn from(seconds: f64) -> Seconds {
        Seconds(Duration::try_from_secs_f64(seconds).unwrap_or_default())
    }
}

impl From<Seconds> for f64 {
    fn from(Seconds(length): Seconds) -> f64 {
        length.as_millis() as f64 / 1000.0
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((*self).into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::event::Event;
    use crate::model::smoke::SmokeCheck;
    use crate::report::testing::*;

    /// An image that is built at the second try and pushed, one that fails, one that is lost with it, and one that does not
    /// pass its smoke test.
    fn eventful() -> Report {
        let failure = failure(FailureKind::Connection, "lost").hinted("look at the network");
        let digest = |digit: &str| format!("sha256:{}", digit.repeat(64)).parse().ok();
        let plan = family(&["base", "base/keystone", "base/nova", "base/tgtd"]);
        let found = SmokeCheck::new("user", Some("it is root".to_string()));
        let ill = SmokeResult { stack: Some("s".to_string()), checks: vec![found] };
        let events = [
            taken("base", 0),
            started("base"),
            Event::Retrying { unit: unit("base"), attempt: 1, failure, delay: Duration::from_millis(1500) },
            Event::BuildStarted { unit: unit("base"), attempt: 2, key: "0123abcd".into() },
            line("base", "CACHED [2/4] RUN a"),
            finished("base", built()),
            Event::SmokeStarted { unit: unit("base"), worker: 1 },
            Event::SmokeEnded { unit: unit("base"), result: SmokeResult::default() },
            Event::PushStarted { unit: unit("base"), worker: 1 },
            pushed(unit("base"), digest("1"), digest("2")),
            taken("keystone", 0),
            started("keystone"),
            line("keystone", "E: no such package"),
            finished("keystone", failed("exit code: 100")),
            finished("nova", parent_failed("base")),
            finished("tgtd", unchanged()),
            Event::SmokeStarted { unit: unit("tgtd"), worker: 0 },
            line("tgtd", "a last word"),
            Event::SmokeEnded { unit: unit("tgtd"), result: ill.clone() },
            finished("tgtd", Outcome::SmokeError(ill.failure().expect("a fault"))),
        ];
        report_of(&plan, &events)
    }

    #[test]
    fn what_is_written_is_read_back() {
        for report in [eventful(), report_of(&failing_parent().0, &failing_parent().1)] {
            let read: Report = serde_json::from_str(&report.to_json()).expect("a report");
            assert_eq!(read, report);
        }
    }

    #[test]
    fn a_smoke_test_is_told_with_what_it_has_found_and_the_end_of_the_log() {
        let report: Value = serde_json::from_str(&eventful().to_json()).expect("JSON");
        let (base, tgtd) = (&report["images"][0], &report["images"][3]);
        assert_eq!((&base["smoke"]["checks"], &base["outcome"]), (&json!([]), &json!("built")));
        assert_eq!(tgtd["outcome"], "smoke_error");
        assert_eq!(tgtd["failure"]["message"], "user: it is root");
        assert_eq!(tgtd["log_tail"], json!(["a last word"]));
        let smoke = json!([tgtd["smoke"]["stack"], tgtd["smoke"]["seconds"], tgtd["smoke"]["checks"]]);
        assert_eq!(smoke, json!(["s", 3.0, [{"name": "user", "fault": "it is root"}]]));
        assert_eq!(report["counts"]["smoke_error"], 1);
    }

    #[test]
    fn times_and_lengths_are_written_to_the_millisecond() {
        let report: Value = serde_json::from_str(&eventful().to_json()).expect("JSON");
        let base = &report["images"][0];
        assert_eq!((&base["start"], &base["seconds"]), (&json!("2026-05-04T03:02:01.500Z"), &json!(5.0)));
        assert_eq!(base["retries"][0]["delay_seconds"], 1.5);
    }

    #[test]
    fn reports_of_older_versions_are_read() {
        let report = eventful();
        let mut old: Value = serde_json::from_str(&report.to_json()).expect("JSON");
        let mut forget = |pointer: &str, keys: &[&str]| {
            let object = old.pointer_mut(pointer).and_then(Value::as_object_mut).expect(pointer);
            for key in keys {
                assert!(object.remove(*key).is_some(), "{pointer}/{key}");
            }
        };
        forget("/critical_path", &["platform"]);
        forget("/counts", &["smoke_error"]);
        forget("/images/0", &["list", "layers", "smoke"]);
        forget("/images/0/push", &["list"]);
        forget("/images/0/retries/0", &["hints"]);
        forget("/images/1/failure", &["hints"]);
        old["a_key_of_the_future"] = json!(1);
        let read: Report = serde_json::from_value(old).expect("a report");
        assert_eq!(read.images[0].push.as_ref().map(|push| &push.list), Some(&None));
        assert_eq!(read.images[1], report.images[1]);
    }

    #[test]
    fn words_of_ends_are_those_of_the_format() {
        let outcomes =
            [built(), unchanged(), failed("x"), parent_failed("y"), Outcome::Cancelled { root_cause: None }];
        let words = outcomes.map(|outcome| outcome.kind().to_string());
        assert_eq!(words, ["built", "unchanged", "failed", "parent_failed", "cancelled"]);
    }
}
