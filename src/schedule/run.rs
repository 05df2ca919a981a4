//! The loop that runs a plan: it starts units as their parents finish, tries again what may pass, and tells of all.
//!
//! No error leaves the loop: what goes wrong with a unit becomes its outcome, and the loop goes on with the others.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::{self, JoinError, JoinSet};

use super::gate::{AtGate, Gate, GateNews};
use super::pushes::Pushes;
use super::queue::Queue;
use super::slots::Places;
use super::tries::Tries;
use super::worker::{Pushed, Success, Worker};
use crate::model::event::{Event, UnitId};
use crate::model::failure::{Failure, FailureKind};
use crate::model::gate::GateResult;
use crate::model::ids::ImageName;
use crate::model::outcome::Outcome;
use crate::model::plan::{BuildPlan, PlannedUnit};
use crate::model::smoke::SmokeResult;

/// Limits of a run.
#[derive(Debug, Clone)]
pub struct ScheduleLimits {
    /// Units built at once.
    pub threads: usize,
    /// Units pushed at once, beside those that are built; none when nothing is to be pushed.
    pub push_threads: Option<usize>,
    /// Units at their gates at once, beside those that are built and pushed; none when there are no gates.
    pub gate_threads: Option<usize>,
    /// Further tries after a failure that may pass.
    pub retries: u32,
    /// When there is some, no further build is started once an image has failed that is not among these.
    pub fail_fast: Option<BTreeSet<ImageName>>,
}

/// Runs every unit of the plan that is to be built. Events go to `events` in the order they happen; each unit's end is
/// told exactly once, and once more when its smoke test, its gates or its push fails. With `tests`, units are tested once all
/// builds are over. What is up to date, and has passed its test, passes its gates and is then pushed. When `stop` becomes true nothing new starts and what runs is
/// dropped. `cost` is how long a unit is expected to take, in any one scale: the unit with the most expensive path below
/// it goes first.
pub async fn run(
    plan: &BuildPlan,
    worker: Arc<dyn Worker>,
    tests: Option<Arc<dyn Gate>>,
    cost: impl Fn(&UnitId) -> u64,
    limits: ScheduleLimits,
    mut stop: watch::Receiver<bool>,
    events: mpsc::UnboundedSender<Event>,
) {
    let mut state = RunState::new(plan, worker, tests, cost, limits, events);
    state.tell(Event::RunStarted { units: state.units.len() });
    while !*stop.borrow() {
        state.start();
        if state.is_idle() {
            break;
        }
        tokio::select! {
            biased;
            () = stopped(&mut stop) => {}
            Some(ended) = state.builds.join_next_with_id() => state.build_ended(ended),
            Some(ended) = state.gates.join_next_with_id() => state.gates_ended(ended),
            Some(ended) = state.pushes.join_next_with_id() => state.push_ended(ended),
            news = next_news(&mut state.tests) => state.heard_of_tests(news),
        }
    }
    if *stop.borrow() {
        state.tell(Event::Interrupted);
    }
    state.end().await;
}

/// Result of a task, with its id; of a task that panicked only the id.
type JoinedTask<T> = Result<(task::Id, T), JoinError>;

/// A task that runs.
struct RunningTask {
    unit: usize,
    since: Instant,
    /// The worker's place among those that do the same.
    worker: usize,
}

/// A run in the middle.
struct RunState {
    units: Vec<PlannedUnit>,
    worker: Arc<dyn Worker>,
    limits: ScheduleLimits,
    events: mpsc::UnboundedSender<Event>,
    queue: Queue,
    builds: JoinSet<Result<Success, Failure>>,
    tests: Option<AtGate>,
    gates: JoinSet<Result<GateResult, Failure>>,
    /// Units that wait for a place at the gates.
    to_gates: VecDeque<usize>,
    pushes: JoinSet<Result<Pushed, Failure>>,
    to_push: Pushes,
    tasks: HashMap<task::Id, RunningTask>,
    builders: Places,
    gatekeepers: Places,
    pushers: Places,
    /// Units whose end was told.
    finished: Vec<bool>,
    /// A failure has ended the run early.
    failed_fast: bool,
}

impl RunState {
    fn new(
        plan: &BuildPlan,
        worker: Arc<dyn Worker>,
        tests: Option<Arc<dyn Gate>>,
        cost: impl Fn(&UnitId) -> u64,
        limits: ScheduleLimits,
        events: mpsc::UnboundedSender<Event>,
    ) -> RunState {
        let units: Vec<PlannedUnit> = plan.to_build().cloned().collect();
        let index: HashMap<UnitId, usize> =
            units.iter().enumerate().map(|(index, unit)| (unit.id(), index)).collect();
        // A parent that this run does not build is taken from the engine.
        let parents =
            units.iter().map(|unit| unit.needs().filter_map(|id| index.get(&id).copied()).collect());
        let parents: Vec<Vec<usize>> = parents.collect();
        RunState {
            queue: Queue::new(&parents, |unit| cost(&units[unit].id())),
            finished: vec![false; units.len()],
            units,
            worker,
            limits,
            events,
            builds: JoinSet::new(),
            tests: tests.map(AtGate::new),
            gates: JoinSet::new(),
            to_gates: VecDeque::new(),
            pushes: JoinSet::new(),
            to_push: Pushes::new(parents),
            tasks: HashMap::new(),
            builders: Places::default(),
            gatekeepers: Places::default(),
            pushers: Places::default(),
            failed_fast: false,
        }
    }

    /// Sends an event. No receiver means that nobody listens any more, which is no reason to stop building.
    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    fn finish(&mut self, unit: usize, outcome: Outcome, duration: Duration) {
        self.finished[unit] = true;
        self.tell(Event::Finished { unit: self.units[unit].id(), outcome, duration });
    }

    /// Starts what is ready, as far as the limits allow.
    fn start(&mut self) {
        while !self.failed_fast
            && self.builds.len() < self.limits.threads
            && let Some(unit) = self.queue.take()
        {
            let worker = self.builders.take();
            self.tell(Event::Taken { unit: self.units[unit].id(), worker });
            let tries = self.tries(unit);
            let task = self
                .builds
                .spawn(async move { tries.run(|worker, unit, tell| worker.work(unit, tell)).await });
            self.tasks.insert(task.id(), RunningTask { unit, since: Instant::now(), worker });
        }
        if self.builds.is_empty()
            && let Some(tests) = &mut self.tests
        {
            tests.open(&self.units);
        }
        while self.gates.len() < self.limits.gate_threads.unwrap_or(0)
            && let Some(unit) = self.to_gates.pop_front()
        {
            let worker = self.gatekeepers.take();
            self.tell(Event::GateStarted { unit: self.units[unit].id(), worker });
            let tries = self.tries(unit);
            let task = self
                .gates
                .spawn(async move { tries.run(|worker, unit, tell| worker.ask_gates(unit, tell)).await });
            self.tasks.insert(task.id(), RunningTask { unit, since: Instant::now(), worker });
        }
        while self.pushes.len() < self.limits.push_threads.unwrap_or(0)
            && let Some(unit) = self.to_push.take()
        {
            let worker = self.pushers.take();
            self.tell(Event::PushStarted { unit: self.units[unit].id(), worker });
            let tries = self.tries(unit);
            let task = self
                .pushes
                .spawn(async move { tries.run(|worker, unit, tell| worker.push(unit, tell)).await });
            self.tasks.insert(task.id(), RunningTask { unit, since: Instant::now(), worker });
        }
    }

    fn tries(&self, unit: usize) -> Tries {
        Tries {
            worker: self.worker.clone(),
            unit: self.units[unit].clone(),
            retries: self.limits.retries,
            events: self.events.clone(),
        }
    }

    /// Takes a task's result apart: what ran, and a panic as a failure.
    fn ended<T>(&mut self, ended: JoinedTask<Result<T, Failure>>) -> (RunningTask, Result<T, Failure>) {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Err(Failure::bug(error))),
        };
        (self.tasks.remove(&id).expect("every task is noted when it is spawned"), result)
    }

    fn build_ended(&mut self, ended: JoinedTask<Result<Success, Failure>>) {
        let (RunningTask { unit, since, worker }, result) = self.ended(ended);
        self.builders.give_back(worker);
        let duration = since.elapsed();
        let outcome = match result {
            Ok(Success::Built(image)) => Outcome::Built(image),
            Ok(Success::Unchanged(image)) => Outcome::Unchanged(image),
            Err(failure) => {
                self.finish(unit, Outcome::Failed(failure), duration);
                for lost in self.queue.fail(unit) {
                    if !self.finished[lost] {
                        let root_cause = self.units[unit].image.clone();
                        self.finish(lost, Outcome::ParentFailed { root_cause }, Duration::ZERO);
                    }
                }
                self.has_failed(unit);
                return;
            }
        };
        self.queue.finish(unit);
        let is_tested = self.tests.as_mut().is_some_and(|tests| tests.add(unit, &self.units[unit]));
        if !is_tested {
            self.comes_to_gates(unit);
        }
        self.finish(unit, outcome, duration);
    }

    /// True when nothing runs.
    fn is_idle(&self) -> bool {
        self.builds.is_empty() && self.gates.is_empty() && self.pushes.is_empty() && !self.is_testing()
    }

    fn comes_to_gates(&mut self, unit: usize) {
        match self.limits.gate_threads {
            Some(_) => self.to_gates.push_back(unit),
            None => self.may_be_pushed(unit),
        }
    }

    fn gates_ended(&mut self, ended: JoinedTask<Result<GateResult, Failure>>) {
        let (RunningTask { unit, since, worker }, result) = self.ended(ended);
        self.gatekeepers.give_back(worker);
        let failure = match result {
            Ok(result) => {
                let failure = result.failure();
                self.tell(Event::GateEnded { unit: self.units[unit].id(), result });
                failure
            }
            Err(failure) => Some(failure),
        };
        match failure {
            Some(failure) => {
                self.keep_from_pushes(unit, Outcome::Gated(failure), since.elapsed());
                self.has_failed(unit);
            }
            None => self.may_be_pushed(unit),
        }
    }

    fn may_be_pushed(&mut self, unit: usize) {
        if self.limits.push_threads.is_some() {
            self.to_push.add(unit);
        }
    }

    fn is_testing(&self) -> bool {
        self.tests.as_ref().is_some_and(AtGate::is_open)
    }

    /// Tells what is heard from the gate; nothing comes once it is done.
    fn heard_of_tests(&mut self, news: Option<GateNews>) {
        let Some(gate) = &mut self.tests else { return };
        match news {
            Some(GateNews::Started(unit)) => {
                if let Some(index) = gate.index(&unit) {
                    let worker = gate.begin(index);
                    self.tell(Event::SmokeStarted { unit, worker });
                }
            }
            Some(GateNews::Said(unit, text)) => self.tell(Event::Line { unit, text }),
            Some(GateNews::Warning(text)) => self.tell(Event::Warning { text }),
            Some(GateNews::Ended(unit, result)) => self.test_ended(unit, result),
            None => {
                for unit in gate.left() {
                    self.not_tested(&unit, Failure::bug("its smoke test has come to no end"));
                }
            }
        }
    }

    fn test_ended(&mut self, unit: UnitId, result: SmokeResult) {
        let Some(gate) = &mut self.tests else { return };
        let Some(index) = gate.index(&unit) else { return };
        let (duration, failure) = (gate.end(&unit), result.failure());
        self.tell(Event::SmokeEnded { unit, result });
        match failure {
            Some(failure) => self.keep_from_pushes(index, Outcome::SmokeError(failure), duration),
            None => self.comes_to_gates(index),
        }
    }

    /// A unit whose test has no result.
    fn not_tested(&mut self, unit: &UnitId, failure: Failure) {
        if let Some(tests) = &mut self.tests
            && let Some(index) = tests.index(unit)
        {
            let duration = tests.end(unit);
            self.keep_from_pushes(index, Outcome::SmokeError(failure), duration);
        }
    }

    /// A unit that is not pushed holds up none that is built on it.
    fn keep_from_pushes(&mut self, unit: usize, outcome: Outcome, duration: Duration) {
        self.to_push.end(unit);
        self.finish(unit, outcome, duration);
    }

    fn push_ended(&mut self, ended: JoinedTask<Result<Pushed, Failure>>) {
        let (RunningTask { unit, since, worker }, result) = self.ended(ended);
        self.pushers.give_back(worker);
        self.to_push.end(unit);
        match result {
            Ok(Pushed { digest, list, attached, list_attached }) => {
                let unit = self.units[unit].id();
                self.tell(Event::Pushed { unit, digest, list, attached, list_attached });
            }
            Err(failure) => {
                self.finish(unit, Outcome::PushFailed(failure), since.elapsed());
                self.has_failed(unit);
            }
        }
    }

    /// Ends the run early when that was asked for: what runs goes on, what is built is still pushed, and everything
    /// else has its end now.
    fn has_failed(&mut self, unit: usize) {
        let cause = &self.units[unit];
        let ends_run = |tolerated: &BTreeSet<ImageName>| !tolerated.contains(&cause.image);
        if self.failed_fast || !self.limits.fail_fast.as_ref().is_some_and(ends_run) {
            return;
        }
        self.failed_fast = true;
        let cause = cause.id();
        let running: HashSet<usize> = self.tasks.values().map(|task| task.unit).collect();
        self.tell(Event::FailedFast { unit: cause.clone() });
        for waiting in (0..self.units.len()).filter(|unit| !running.contains(unit)) {
            if !self.finished[waiting] {
                let root_cause = Some(cause.image.clone());
                self.finish(waiting, Outcome::Cancelled { root_cause }, Duration::ZERO);
            }
        }
    }

    /// Hears the gate, which was asked to stop too, to its end, so that nothing of what it has started is left.
    async fn end_tests(&mut self) {
        while self.is_testing() {
            let Some(news) = next_news(&mut self.tests).await else { break };
            self.heard_of_tests(Some(news));
        }
        let left = self.tests.as_ref().map(AtGate::left).unwrap_or_default();
        for unit in left {
            let failure =
                Failure::permanent(FailureKind::Smoke, "interrupted before its smoke test was over");
            self.not_tested(&unit, failure);
        }
    }

    /// End of a unit that is up to date, and that the run's end has kept from its gates or its push.
    fn not_pushed(&self) -> Outcome {
        let interrupted = |kind, before| Failure::permanent(kind, format!("interrupted before {before}"));
        match self.limits.push_threads {
            Some(_) => Outcome::PushFailed(interrupted(FailureKind::Registry, "it was pushed")),
            None => Outcome::Gated(interrupted(FailureKind::Gate, "all gates were asked")),
        }
    }

    /// Drops what runs, which cancels it at the engine, and tells the end of everything that has none yet.
    async fn end(mut self) {
        self.builds.shutdown().await;
        self.gates.shutdown().await;
        self.pushes.shutdown().await;
        self.end_tests().await;
        let running: HashMap<usize, Instant> =
            self.tasks.drain().map(|(_, task)| (task.unit, task.since)).collect();
        for unit in 0..self.units.len() {
            let duration = running.get(&unit).map(Instant::elapsed).unwrap_or_default();
            if !self.finished[unit] {
                self.finish(unit, Outcome::Cancelled { root_cause: None }, duration);
            } else if running.contains_key(&unit) || self.to_push.has(unit) || self.to_gates.contains(&unit) {
                self.finish(unit, self.not_pushed(), duration);
            }
        }
    }
}

/// The next piece of news from the tests; waits for ever while nothing is tested.
async fn next_news(gate: &mut Option<AtGate>) -> Option<GateNews> {
    match gate {
        Some(gate) if gate.is_open() => gate.next().await,
        _ => std::future::pending().await,
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone can't ask to stop any more.
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests;
