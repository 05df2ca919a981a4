//! What earlier runs have told: their reports (`--report`) and summaries, read back [pure].

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::report_json::REPORT_VERSION;
use super::summary::{KollaImage, KollaSummary};
use crate::model::event::{Failure, FailureKind, Image, Outcome};
use crate::model::ids::{ContentKey, ImageId};
use crate::model::plan::{Disposition, Parent};

/// A file that tells of no run.
#[derive(Debug, thiserror::Error)]
pub enum ToldError {
    /// It is no JSON, or has not the shape.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It is something else.
    #[error("neither a report (--report) nor a summary (--summary-json-file)")]
    Neither,
    /// A later version of the program wrote it.
    #[error("its report_version is {0}, and only {REPORT_VERSION} is known here")]
    Version(u32),
}

/// What one file tells.
#[derive(Debug, Clone)]
pub enum Told {
    /// All that is known.
    Report(Box<Report>),
    /// Names, and what came of them.
    Summary(KollaSummary),
}

impl Told {
    /// Reads a file's text.
    pub fn read(text: &str) -> Result<Told, ToldError> {
        let value: serde_json::Value = serde_json::from_str(text)?;
        if let Some(version) = value.get("report_version").and_then(serde_json::Value::as_u64) {
            return match u32::try_from(version) {
                Ok(REPORT_VERSION) => Ok(Told::Report(serde_json::from_value(value)?)),
                other => Err(ToldError::Version(other.unwrap_or(u32::MAX))),
            };
        }
        let keys = ["built", "failed", "not_matched", "skipped", "unbuildable"];
        if keys.iter().all(|key| value.get(key).is_some_and(serde_json::Value::is_array)) {
            return Ok(Told::Summary(serde_json::from_value(value)?));
        }
        Err(ToldError::Neither)
    }
}

/// What came of an image of a summary that failed: it tells no more than the kind of it.
pub fn summarized_failure(image: &KollaImage) -> Outcome {
    let failure = |kind| Failure::permanent(kind, "its summary tells no more than that it failed");
    match image.status.as_deref() {
        Some("parent_error") => Outcome::ParentFailed { root_cause: "an image it is built on".into() },
        Some("push_error") => Outcome::PushFailed(failure(FailureKind::Registry)),
        Some("connection_error") => Outcome::Failed(failure(FailureKind::Connection)),
        _ => Outcome::Failed(failure(FailureKind::Build)),
    }
}

/// A report, as far as it is told again; [`crate::report::report_json`] tells of its keys.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs, reason = "told there")]
pub struct Report {
    pub run: RunPart,
    pub images: Vec<ImagePart>,
}

/// `run`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs, reason = "told there")]
pub struct RunPart {
    pub engine: String,
    pub start: Time,
    pub end: Time,
    pub interrupted: bool,
}

/// One of `images`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs, reason = "told there")]
pub struct ImagePart {
    pub name: String,
    pub platform: String,
    pub reference: String,
    #[serde(default)]
    pub list: Option<String>,
    pub parent: Parent,
    #[serde(default)]
    pub named: Vec<Parent>,
    pub disposition: Disposition,
    pub reason: String,
    pub outcome: Option<OutcomeWord>,
    pub fails_run: bool,
    pub failure: Option<FailurePart>,
    pub root_cause: Option<String>,
    pub log_tail: Vec<String>,
    pub worker: Option<usize>,
    pub start: Option<Time>,
    pub end: Option<Time>,
    pub seconds: Option<f64>,
    pub attempts: u32,
    pub retries: Vec<RetryPart>,
    pub steps: Option<Steps>,
    pub key: Option<ContentKey>,
    pub image_id: Option<ImageId>,
    pub size: Option<u64>,
    pub layers: Option<usize>,
    pub push: Option<PushPart>,
}

impl ImagePart {
    /// Whether it did not end as asked for.
    pub fn is_unsuccessful(&self) -> bool {
        !matches!(self.outcome, None | Some(OutcomeWord::Built | OutcomeWord::Unchanged))
    }

    /// What the engine held of it.
    pub fn image(&self) -> Option<Image> {
        Some(Image {
            id: self.image_id.clone()?,
            key: self.key.clone()?,
            size: self.size?,
            layers: self.layers.unwrap_or_default(),
        })
    }

    /// What came of it; none when its run left it alone or died before.
    pub fn outcome(&self) -> Option<Outcome> {
        let failure = || {
            let unknown = || Failure::permanent(FailureKind::Local, "its report does not say why it failed");
            self.failure.as_ref().map_or_else(unknown, FailurePart::failure)
        };
        Some(match self.outcome? {
            OutcomeWord::Built => Outcome::Built(self.image().unwrap_or_default()),
            OutcomeWord::Unchanged => Outcome::Unchanged(self.image().unwrap_or_default()),
            OutcomeWord::Failed => Outcome::Failed(failure()),
            OutcomeWord::PushFailed => Outcome::PushFailed(failure()),
            OutcomeWord::ParentFailed => Outcome::ParentFailed {
                root_cause: self.root_cause.as_deref().unwrap_or("an image it is built on").into(),
            },
            OutcomeWord::Cancelled => {
                Outcome::Cancelled { root_cause: self.root_cause.as_deref().map(Into::into) }
            }
        })
    }
}

/// `outcome`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "told there")]
pub enum OutcomeWord {
    Built,
    Unchanged,
    Failed,
    ParentFailed,
    PushFailed,
    Cancelled,
}

/// `failure`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs, reason = "told there")]
pub struct FailurePart {
    pub kind: FailureKind,
    pub message: String,
    #[serde(default)]
    pub hints: Vec<Cow<'static, str>>,
    pub transient: bool,
}

impl FailurePart {
    fn failure(&self) -> Failure {
        let (message, hints) = (self.message.clone(), self.hints.clone());
        Failure { kind: self.kind, message, hints, transient: self.transient }
    }
}

/// One of `retries`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs, reason = "told there")]
pub struct RetryPart {
    pub attempt: u32,
    pub at: Time,
    pub kind: FailureKind,
    pub message: String,
    #[serde(default)]
    pub hints: Vec<Cow<'static, str>>,
    pub delay_seconds: f64,
}

impl RetryPart {
    /// Why the try failed.
    pub fn failure(&self) -> Failure {
        let (message, hints) = (self.message.clone(), self.hints.clone());
        Failure { kind: self.kind, message, hints, transient: true }
    }
}

/// `steps`
#[derive(Debug, Clone, Copy, Deserialize)]
#[allow(missing_docs, reason = "told there")]
pub struct Steps {
    pub total: u32,
    pub cached: u32,
}

/// `push`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs, reason = "told there")]
pub struct PushPart {
    pub worker: usize,
    pub start: Time,
    pub end: Time,
    pub digest: Option<String>,
    #[serde(default)]
    pub list: Option<String>,
}

/// A time as reports write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Time(pub Timestamp);

impl TryFrom<String> for Time {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Time, jiff::Error> {
        text.parse().map(Time)
    }
}

impl Time {
    /// How long after another it is; zero when it was before.
    pub fn since(self, start: Timestamp) -> Duration {
        self.0.duration_since(start).try_into().unwrap_or_default()
    }
}

/// A length that a report tells.
pub fn length(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
