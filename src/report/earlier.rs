//! Earlier runs, read back from what they have written: reports (`--report`) and summaries [pure].

use super::format::{REPORT_VERSION, Report};
use super::kolla_summary::{KollaImage, KollaSummary};
use crate::model::failure::{Failure, FailureKind};
use crate::model::outcome::{FailedStatus, Outcome};

/// A file that tells of no run.
#[derive(Debug, thiserror::Error)]
pub enum EarlierRunError {
    /// No JSON, or not in the form of a report or summary.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// JSON of some other kind.
    #[error("neither a report (--report) nor a summary (--summary-json-file)")]
    Neither,
    /// A report by a later version of the program.
    #[error("its report_version is {0}, and this kolla-build reads {REPORT_VERSION}")]
    Version(u32),
}

/// A run as one file tells of it.
#[derive(Debug, Clone)]
pub enum EarlierRun {
    /// Everything that is known.
    Report(Box<Report>),
    /// Names, and what came of them.
    Summary(KollaSummary),
}

impl EarlierRun {
    /// Reads a file's text.
    pub fn read(text: &str) -> Result<EarlierRun, EarlierRunError> {
        let value: serde_json::Value = serde_json::from_str(text)?;
        if let Some(version) = value.get("report_version").and_then(serde_json::Value::as_u64) {
            return match u32::try_from(version) {
                Ok(REPORT_VERSION) => Ok(EarlierRun::Report(serde_json::from_value(value)?)),
                other => Err(EarlierRunError::Version(other.unwrap_or(u32::MAX))),
            };
        }
        let keys = ["built", "failed", "not_matched", "skipped", "unbuildable"];
        if keys.iter().all(|key| value.get(key).is_some_and(serde_json::Value::is_array)) {
            return Ok(EarlierRun::Summary(serde_json::from_value(value)?));
        }
        Err(EarlierRunError::Neither)
    }

    /// The report, if the file is one.
    pub fn report(&self) -> Option<&Report> {
        match self {
            EarlierRun::Report(report) => Some(report),
            EarlierRun::Summary(_) => None,
        }
    }
}

/// The end of an image that failed by its summary, which tells no more than the kind of it.
pub fn summarized_failure(image: &KollaImage) -> Outcome {
    let failure = |kind| {
        Failure::permanent(kind, "its summary does not say why it failed")
            .hinted("merge reports (--report) in place of summaries: they say why")
    };
    match image.status.unwrap_or(FailedStatus::Error) {
        FailedStatus::ParentError => Outcome::ParentFailed { root_cause: "an image it is built on".into() },
        FailedStatus::PushError => Outcome::PushFailed(failure(FailureKind::Registry)),
        FailedStatus::ConnectionError => Outcome::Failed(failure(FailureKind::Connection)),
        FailedStatus::Error => Outcome::Failed(failure(FailureKind::Build)),
    }
}
