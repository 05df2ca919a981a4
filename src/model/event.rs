//! Events that a run sends while it goes: data only.
//!
//! The scheduler is the only sender, reporters the only readers. Nothing else links the two.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::{ContentKey, Digest, ImageId, ImageName};
use super::platform::Platform;

/// One image on one platform: the unit that is built, pushed and reported.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId {
    /// Name of the image.
    pub image: ImageName,
    /// Platform that it is built for.
    pub platform: Platform,
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.image, self.platform)
    }
}

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
            Outcome::PushFailed(_) => OutcomeKind::PushFailed,
            Outcome::Cancelled { .. } => OutcomeKind::Cancelled,
        }
    }

    /// The other image whose failure was the reason for this end.
    pub fn root_cause(&self) -> Option<&ImageName> {
        match self {
            Outcome::ParentFailed { root_cause } => Some(root_cause),
            Outcome::Cancelled { root_cause } => root_cause.as_ref(),
            Outcome::Built(_) | Outcome::Unchanged(_) | Outcome::Failed(_) | Outcome::PushFailed(_) => None,
        }
    }

    /// Kolla's status of a failure; none for a success. A cancelled image was not built, which is an error to Kolla.
    pub fn failed_status(&self) -> Option<FailedStatus> {
        match self {
            Outcome::Built(_) | Outcome::Unchanged(_) => None,
            Outcome::Failed(failure) if failure.kind.is_of_engine_connection() => {
                Some(FailedStatus::ConnectionError)
            }
            Outcome::Failed(_) | Outcome::Cancelled { .. } => Some(FailedStatus::Error),
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

macro_rules! shown_as_serialized {
    ($($words:ty),*) => {
        $(impl fmt::Display for $words {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.serialize(f)
            }
        })*
    };
}

shown_as_serialized!(OutcomeKind, FailedStatus, FailureKind);

/// Why a build or a push failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whose fault it was.
    pub kind: FailureKind,
    /// One or more lines, shown as they are.
    pub message: String,
    /// Advice on how to mend it, each of one line.
    #[serde(default)]
    pub hints: Vec<Cow<'static, str>>,
    /// True when trying again may help.
    pub transient: bool,
}

/// The message, then a line for each hint.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for hint in &self.hints {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl Failure {
    /// A failure that trying again will not mend.
    pub fn permanent(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), hints: Vec::new(), transient: false }
    }

    /// Adds advice on how to mend it.
    pub fn hinted(mut self, hint: impl Into<Cow<'static, str>>) -> Failure {
        self.hints.push(hint.into());
        self
    }

    /// A fault of this program.
    pub fn bug(message: &str) -> Failure {
        Failure::permanent(FailureKind::Local, format!("kolla-build has a bug: {message}"))
    }
}

/// Whose fault a failure was. Its words are those of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A source could not be had or was refused.
    Source,
    /// The engine could not be reached or the connection was lost.
    Connection,
    /// The build itself failed.
    Build,
    /// A registry refused an image or could not be reached.
    Registry,
    /// The engine was silent for longer than `--timeout`.
    Timeout,
    /// A disk is full, here or at the engine.
    Disk,
    /// Something else on this machine: permissions, files that can't be read.
    Local,
}

impl FailureKind {
    /// True when the engine did not answer: everything that it is asked for would fail alike.
    pub fn is_of_engine_connection(self) -> bool {
        matches!(self, FailureKind::Connection | FailureKind::Timeout)
    }
}

/// Something that happened, in the order it happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The run starts; so many units will be looked at.
    RunStarted {
        /// Units that this run is to bring up to date.
        units: usize,
    },
    /// A worker takes a unit: it looks whether the unit has changed and, if so, builds it.
    Taken {
        /// Unit that a worker takes.
        unit: UnitId,
        /// The worker's place among those that build, from 0.
        worker: usize,
    },
    /// A unit that has changed begins to be built; `attempt` counts from 1.
    BuildStarted {
        /// Unit that is built.
        unit: UnitId,
        /// 1 for the first try.
        attempt: u32,
        /// The content key that it will have.
        key: ContentKey,
    },
    /// The build has reached a step of its Dockerfile.
    Step {
        /// Unit that is built.
        unit: UnitId,
        /// Step number from 1.
        number: u32,
        /// Steps in all, 0 when unknown.
        total: u32,
        /// Text of the instruction.
        text: String,
    },
    /// One whole line of a build's log, without its line end.
    Line {
        /// Unit whose log it is in.
        unit: UnitId,
        /// Text of the line.
        text: String,
    },
    /// A try failed in a way that may pass; the next starts after `delay`.
    Retrying {
        /// Unit whose try failed.
        unit: UnitId,
        /// The try that failed, from 1.
        attempt: u32,
        /// Failure of the try.
        failure: Failure,
        /// Pause before the next try.
        delay: Duration,
    },
    /// A push was started.
    PushStarted {
        /// Unit that is pushed.
        unit: UnitId,
        /// The worker's place among those that push, from 0.
        worker: usize,
    },
    /// A push has succeeded; the unit's outcome is unchanged.
    Pushed {
        /// Unit that was pushed.
        unit: UnitId,
        /// The manifest's digest as the registry knows it, when the engine told it.
        digest: Option<Digest>,
        /// Digest of the list of the image's platforms, when this push has completed it.
        list: Option<Digest>,
    },
    /// A unit's end. Sent exactly once for every unit of the run. A failed push sends it a second time, with
    /// [`Outcome::PushFailed`], which then counts.
    Finished {
        /// Unit that has ended.
        unit: UnitId,
        /// End that the unit came to.
        outcome: Outcome,
        /// From the start of its first try; zero when none was started.
        duration: Duration,
    },
    /// A failure ends the run early (`--fail-fast`): no further build is started, what runs goes on.
    FailedFast {
        /// The unit that failed.
        unit: UnitId,
    },
    /// Something that people should know, of the run as a whole.
    Warning {
        /// Text of one line.
        text: String,
    },
    /// The user asked to stop: nothing new is started.
    Interrupted,
}

impl Event {
    /// The same with every text that came from outside changed.
    pub fn map_texts(self, change: impl Fn(String) -> String) -> Event {
        let failure = |failure: Failure| Failure {
            message: change(failure.message),
            hints: failure.hints.into_iter().map(|hint| change(hint.into_owned()).into()).collect(),
            ..failure
        };
        match self {
            Event::Step { unit, number, total, text } => {
                Event::Step { unit, number, total, text: change(text) }
            }
            Event::Line { unit, text } => Event::Line { unit, text: change(text) },
            Event::Warning { text } => Event::Warning { text: change(text) },
            Event::Retrying { unit, attempt, failure: why, delay } => {
                Event::Retrying { unit, attempt, failure: failure(why), delay }
            }
            Event::Finished { unit, outcome, duration } => {
                let outcome = match outcome {
                    Outcome::Failed(why) => Outcome::Failed(failure(why)),
                    Outcome::PushFailed(why) => Outcome::PushFailed(failure(why)),
                    other => other,
                };
                Event::Finished { unit, outcome, duration }
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_in_hints_too() {
        let unit =
            UnitId { image: "base".into(), platform: Platform::new(crate::model::platform::Arch::X86_64) };
        let failure = Failure::permanent(FailureKind::Build, "no hunter2").hinted("not hunter2 either");
        let event = Event::Finished { unit, outcome: Outcome::Failed(failure), duration: Duration::ZERO };
        let Event::Finished { outcome: Outcome::Failed(masked), .. } =
            event.map_texts(|text| text.replace("hunter2", "***"))
        else {
            panic!("another event")
        };
        assert_eq!(masked.to_string(), "no ***\nhint: not *** either");
    }
}
