//! The tries at one unit: what may pass is tried again after a pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::worker::{Tell, UnitProgress, Worker};
use crate::engine::BuildOutput;
use crate::model::event::Event;
use crate::model::failure::Failure;
use crate::model::plan::PlannedUnit;
use crate::util::retry::{Again, Pause, retry};

/// The tries that a unit has.
pub struct Tries {
    /// Who works on it.
    pub worker: Arc<dyn Worker>,
    /// Unit that is worked on.
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
        let attempts = AtomicU32::new(0);
        let may_pass = |failure: &Failure| Again::if_transient(failure.transient);
        let tell_pause = |failure: &Failure, pause: Pause| {
            let (unit, attempt) = (self.unit.id(), attempts.load(Ordering::Relaxed));
            let retrying = Event::Retrying { unit, attempt, failure: failure.clone(), delay: pause.wait };
            let _ = self.events.send(retrying);
        };
        retry(self.retries, may_pass, tell_pause, async || {
            let attempt = attempts.fetch_add(1, Ordering::Relaxed) + 1;
            let tell = |progress: UnitProgress| {
                let _ = self.events.send(self.event(attempt, progress));
            };
            once(self.worker.as_ref(), &self.unit, &tell).await
        })
        .await
    }

    fn event(&self, attempt: u32, progress: UnitProgress) -> Event {
        let unit = self.unit.id();
        match progress {
            UnitProgress::Started { key } => Event::BuildStarted { unit, attempt, key },
            UnitProgress::Said(BuildOutput::Line(text)) => Event::Line { unit, text },
            UnitProgress::Said(BuildOutput::Step { number, total, text }) => {
                Event::Step { unit, number, total, text }
            }
        }
    }
}
