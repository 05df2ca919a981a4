//! The tries at one unit: what may pass is tried again after a pause.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::worker::{Progress, Tell, Worker};
use crate::engine::BuildOutput;
use crate::model::event::{Event, Failure, UnitId};
use crate::model::plan::PlannedUnit;
use crate::util::retry::backoff;

/// The tries that a unit has.
pub struct Tries {
    /// Who works on it.
    pub worker: Arc<dyn Worker>,
    /// The unit.
    pub unit: PlannedUnit,
    /// Further tries after a failure that may pass.
    pub retries: u32,
    /// Where it is told what happens.
    pub events: mpsc::UnboundedSender<Event>,
}

impl Tries {
    /// Tries until it succeeds, fails for good, or has no tries left.
    pub async fn run<T>(
        &self,
        once: impl for<'a> Fn(&'a dyn Worker, &'a PlannedUnit, Tell<'a>) -> BoxFuture<'a, Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut attempt = 1;
        loop {
            let tell = |progress: Progress| {
                let _ = self.events.send(self.event(attempt, progress));
            };
            match once(self.worker.as_ref(), &self.unit, &tell).await {
                Err(failure) if failure.transient && attempt <= self.retries => {
                    let unit = self.unit.id();
                    let delay = backoff(attempt, jitter(&unit, attempt));
                    let _ = self.events.send(Event::Retrying { unit, attempt, failure, delay });
                    tokio::time::sleep(delay).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn event(&self, attempt: u32, progress: Progress) -> Event {
        let unit = self.unit.id();
        match progress {
            Progress::Started { key } => Event::BuildStarted { unit, attempt, key },
            Progress::Said(BuildOutput::Line(text)) => Event::Line { unit, text },
            Progress::Said(BuildOutput::Step { number, total, text }) => {
                Event::Step { unit, number, total, text }
            }
        }
    }
}

/// A number from 0 to 1 that differs between units and tries. It need not be random.
fn jitter(unit: &UnitId, attempt: u32) -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let hash = RandomState::new().hash_one((unit, attempt));
    hash as f64 / u64::MAX as f64
}
