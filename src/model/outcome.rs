//! Outcomes: the ends that build units come to.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::ids::{ContentKey, ImageId, ImageName};

/// Image of a unit that is up to date, as the engine has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitImage {
    /// Id in the engine.
    pub id: ImageId,
    /// Content key of the image.
    pub key: ContentKey,
    /// Size in bytes, as the engine counts it.
    pub size: u64,
    /// Layers of its file system; 0 when that is not known.
    pub layers: usize,
}

/// End of a build unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Built in this run.
    Built(UnitImage),
    /// The engine already holds an image of the same content key.
    Unchanged(UnitImage),
    /// The build of the unit failed.
    Failed(Failure),
    /// Not tried, because an ancestor failed; the first one that did.
    ParentFailed {
        /// The ancestor whose own build failed.
        root_cause: ImageName,
    },
    /// Built, but has failed its smoke test, and is not pushed.
    SmokeError(Failure),
    /// Built, but not let pass by a gate of the user's, and not pushed.
    Gated(Failure),
    /// Built, but could not be pushed.
    PushFailed(Failure),
    /// Not finished, because the run was ended before.
    Cancelled {
        /// The image whose failure has ended the run (`--fail-fast`); none when the user has.
        root_cause: Option<ImageName>,
    },
}

impl Outcome {
    /// True when the image is there as asked for.
    pub fn is_success(&self) -> bool {
        matches!(self, Outcome::Built(_) | Outcome::Unchanged(_))
    }

    /// The outcome without its details.
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Outcome::Built(_) => OutcomeKind::Built,
            Outcome::Unchanged(_) => OutcomeKind::Unchanged,
            Outcome::Failed(_) => OutcomeKind::Failed,
            Outcome::ParentFailed { .. } => OutcomeKind::ParentFailed,
            Outcome::SmokeError(_) => OutcomeKind::SmokeError,
            Outcome::Gated(_) => OutcomeKind::Gated,
            Outcome::PushFailed(_) => OutcomeKind::PushFailed,
            Outcome::Cancelled { .. } => OutcomeKind::Cancelled,
        }
    }

    /// The other image whose failure was the reason for this end.
    pub fn root_cause(&self) -> Option<&ImageName> {
        match self {
            Outcome::ParentFailed { root_cause } => Some(root_cause),
            Outcome::Cancelled { root_cause } => root_cause.as_ref(),
            Outcome::Built(_)
            | Outcome::Unchanged(_)
            | Outcome::Failed(_)
            | Outcome::SmokeError(_)
            | Outcome::Gated(_)
            | Outcome::PushFailed(_) => None,
        }
    }

    /// Kolla's status of a failure; none for a success. To Kolla, which tests no images and cancels none, either end is an
    /// error.
    pub fn failed_status(&self) -> Option<FailedStatus> {
        match self {
            Outcome::Built(_) | Outcome::Unchanged(_) => None,
            Outcome::Failed(failure) if failure.kind.is_of_engine_connection() => {
                Some(FailedStatus::ConnectionError)
            }
            Outcome::Failed(_) | Outcome::SmokeError(_) | Outcome::Gated(_) | Outcome::Cancelled { .. } => {
                Some(FailedStatus::Error)
            }
            Outcome::ParentFailed { .. } => Some(FailedStatus::ParentError),
            Outcome::PushFailed(_) => Some(FailedStatus::PushError),
        }
    }
}

/// An [`Outcome`] without its details. Its words are those of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// An [`Outcome::Built`], be it pushed or not.
    Built,
    /// An [`Outcome::Unchanged`], be it pushed or not.
    Unchanged,
    /// An [`Outcome::Failed`] of the image itself.
    Failed,
    /// An [`Outcome::ParentFailed`], with nothing tried.
    ParentFailed,
    /// An [`Outcome::SmokeError`] of an image that is there.
    SmokeError,
    /// An [`Outcome::Gated`] of an image that is there.
    Gated,
    /// An [`Outcome::PushFailed`] of an image that is there.
    PushFailed,
    /// An [`Outcome::Cancelled`], by a signal or a failure.
    Cancelled,
}

/// Kolla's statuses of images that failed, the mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailedStatus {
    /// Built, but not pushed.
    PushError,
    /// Not built because an ancestor failed.
    ParentError,
    /// The engine could not be reached.
    ConnectionError,
    /// Any other failure of a build.
    #[serde(other)]
    Error,
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl fmt::Display for FailedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
