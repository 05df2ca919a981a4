//! Events that a run sends while it goes: data only.
//!
//! The scheduler is the only sender, reporters the only readers. Nothing else links the two.

use std::fmt;
use std::time::Duration;

use super::attached::Attached;
use super::failure::Failure;
use super::gate::{GateResult, GateVerdict};
use super::ids::{ContentKey, Digest, ImageName};
use super::outcome::Outcome;
use super::platform::Platform;
use super::smoke::{SmokeCheck, SmokeResult};

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
    /// An image's smoke test was started.
    SmokeStarted {
        /// Unit that is tested.
        unit: UnitId,
        /// The unit's place among those that are tested at once, from 0.
        worker: usize,
    },
    /// A smoke test has ended, well or not.
    SmokeEnded {
        /// Unit that was tested.
        unit: UnitId,
        /// Checks of the unit and their faults.
        result: SmokeResult,
    },
    /// The gates of an image are asked.
    GateStarted {
        /// Unit that they are asked about.
        unit: UnitId,
        /// The unit's place among those that are at their gates at once, from 0.
        worker: usize,
    },
    /// All gates of an image have had their say.
    GateEnded {
        /// Unit that they were asked about.
        unit: UnitId,
        /// Verdicts of the gates.
        result: GateResult,
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
        /// What was attached to the image.
        attached: Attached,
        /// What was attached to that list.
        list_attached: Attached,
    },
    /// A unit's end. Sent exactly once for every unit of the run. A failed smoke test, gate or push sends it a second
    /// time, with [`Outcome::SmokeError`], [`Outcome::Gated`] or [`Outcome::PushFailed`], which then counts.
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
            Event::SmokeEnded { unit, result } => {
                let check =
                    |SmokeCheck { name, fault }| SmokeCheck { name: change(name), fault: fault.map(&change) };
                let checks = result.checks.into_iter().map(check).collect();
                Event::SmokeEnded { unit, result: SmokeResult { checks, ..result } }
            }
            Event::GateEnded { unit, result } => {
                let verdict = |gate: GateVerdict| GateVerdict {
                    command: change(gate.command),
                    fault: gate.fault.map(&change),
                    words: gate.words.into_iter().map(&change).collect(),
                    ..gate
                };
                let gates = result.gates.into_iter().map(verdict).collect();
                Event::GateEnded { unit, result: GateResult { gates } }
            }
            Event::Finished { unit, outcome, duration } => {
                let outcome = match outcome {
                    Outcome::Failed(why) => Outcome::Failed(failure(why)),
                    Outcome::SmokeError(why) => Outcome::SmokeError(failure(why)),
                    Outcome::Gated(why) => Outcome::Gated(failure(why)),
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
    use crate::model::failure::FailureKind;

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
