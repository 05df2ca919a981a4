//! The loop that runs a plan: it starts units as their parents finish, tries again what may pass, and tells of all.
//!
//! No error leaves the loop: what goes wrong with a unit becomes its outcome, and the loop goes on with the others.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::task::{self, JoinError, JoinSet};

use super::places::Places;
use super::queue::Queue;
use super::transient::backoff;
use crate::engine::BuildOutput;
use crate::event::{Event, Failure, FailureKind, Image, Outcome, UnitId};
use crate::plan::{BuildPlan, Parent, PlannedUnit};

/// What a successful try came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Success {
    /// The image was built.
    Built(Image),
    /// The engine has it already.
    Unchanged(Image),
}

/// What a try tells while it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The unit has changed, so there is something to build.
    Started,
    /// The build's own words.
    Said(BuildOutput),
}

/// Where one try tells what it does.
pub type Tell<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// Does the work on one unit. Dropping a future that it returned stops the work.
pub trait Worker: Send + Sync {
    /// One try to bring the unit up to date.
    fn work<'a>(&'a self, unit: &'a PlannedUnit, tell: Tell<'a>) -> BoxFuture<'a, Result<Success, Failure>>;

    /// One try to push a unit that is up to date; the manifest's digest when the engine tells it.
    fn push<'a>(
        &'a self,
        unit: &'a PlannedUnit,
        tell: Tell<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, Failure>>;
}

/// Limits of a run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Units built at once.
    pub threads: usize,
    /// Units pushed at once, beside those that are built; none when nothing is to be pushed.
    pub push_threads: Option<usize>,
    /// Further tries after a failure that may pass.
    pub retries: u32,
}

/// Runs every unit of the plan that is to be built. Events go to `events` in the order they happen; each unit's end is
/// told exactly once, and once more when its push fails. When `stop` becomes true nothing new starts and what runs is
/// dropped. `cost` is how long a unit is expected to take, in any one scale: the unit with the most expensive path below
/// it goes first.
pub async fn run(
    plan: &BuildPlan,
    worker: Arc<dyn Worker>,
    cost: impl Fn(&UnitId) -> u64,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
    events: mpsc::UnboundedSender<Event>,
) {
    let mut state = State::new(plan, worker, cost, limits, events);
    state.tell(Event::RunStarted { units: state.units.len() });
    while !*stop.borrow() {
        state.start();
        if state.builds.is_empty() && state.pushes.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            () = stopped(&mut stop) => {}
            Some(ended) = state.builds.join_next_with_id() => state.build_ended(ended),
            Some(ended) = state.pushes.join_next_with_id() => state.push_ended(ended),
        }
    }
    if *stop.borrow() {
        state.tell(Event::Interrupted);
    }
    state.end().await;
}

/// What a task gave, with its id; a task that panicked gives only its id.
type Ended<T> = Result<(task::Id, T), JoinError>;

/// A task that runs.
struct Running {
    unit: usize,
    since: Instant,
    /// The worker's place among those that do the same.
    worker: usize,
}

/// A run in the middle.
struct State {
    units: Vec<PlannedUnit>,
    worker: Arc<dyn Worker>,
    limits: Limits,
    events: mpsc::UnboundedSender<Event>,
    queue: Queue,
    builds: JoinSet<Result<Success, Failure>>,
    pushes: JoinSet<Result<Option<String>, Failure>>,
    /// Units that are up to date and wait for a place to be pushed.
    to_push: VecDeque<usize>,
    tasks: HashMap<task::Id, Running>,
    builders: Places,
    pushers: Places,
    /// Units whose end was told.
    finished: Vec<bool>,
}

impl State {
    fn new(
        plan: &BuildPlan,
        worker: Arc<dyn Worker>,
        cost: impl Fn(&UnitId) -> u64,
        limits: Limits,
        events: mpsc::UnboundedSender<Event>,
    ) -> State {
        let units: Vec<PlannedUnit> = plan.to_build().cloned().collect();
        let index: HashMap<UnitId, usize> =
            units.iter().enumerate().map(|(index, unit)| (unit.id(), index)).collect();
        let parents: Vec<Option<usize>> = units.iter().map(|unit| parent_index(unit, &index)).collect();
        State {
            queue: Queue::new(&parents, |unit| cost(&units[unit].id())),
            finished: vec![false; units.len()],
            units,
            worker,
            limits,
            events,
            builds: JoinSet::new(),
            pushes: JoinSet::new(),
            to_push: VecDeque::new(),
            tasks: HashMap::new(),
            builders: Places::default(),
            pushers: Places::default(),
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
        while self.builds.len() < self.limits.threads
            && let Some(unit) = self.queue.take()
        {
            let worker = self.builders.take();
            self.tell(Event::Taken { unit: self.units[unit].id(), worker });
            let tries = self.tries(unit);
            let task = self
                .builds
                .spawn(async move { tries.run(|worker, unit, tell| worker.work(unit, tell)).await });
            self.tasks.insert(task.id(), Running { unit, since: Instant::now(), worker });
        }
        while self.pushes.len() < self.limits.push_threads.unwrap_or(0)
            && let Some(unit) = self.to_push.pop_front()
        {
            let worker = self.pushers.take();
            self.tell(Event::PushStarted { unit: self.units[unit].id(), worker });
            let tries = self.tries(unit);
            let task = self
                .pushes
                .spawn(async move { tries.run(|worker, unit, tell| worker.push(unit, tell)).await });
            self.tasks.insert(task.id(), Running { unit, since: Instant::now(), worker });
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
    fn ended<T>(&mut self, ended: Ended<Result<T, Failure>>) -> (Running, Result<T, Failure>) {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Err(Failure::bug(&error.to_string()))),
        };
        (self.tasks.remove(&id).expect("every task is noted when it is spawned"), result)
    }

    fn build_ended(&mut self, ended: Ended<Result<Success, Failure>>) {
        let (Running { unit, since, worker }, result) = self.ended(ended);
        self.builders.give_back(worker);
        let duration = since.elapsed();
        let outcome = match result {
            Ok(Success::Built(image)) => Outcome::Built(image),
            Ok(Success::Unchanged(image)) => Outcome::Unchanged(image),
            Err(failure) => {
                self.finish(unit, Outcome::Failed(failure), duration);
                for lost in self.queue.fail(unit) {
                    let root_cause = self.units[unit].image.as_str().into();
                    self.finish(lost, Outcome::ParentFailed { root_cause }, Duration::ZERO);
                }
                return;
            }
        };
        self.queue.finish(unit);
        if self.limits.push_threads.is_some() {
            self.to_push.push_back(unit);
        }
        self.finish(unit, outcome, duration);
    }

    fn push_ended(&mut self, ended: Ended<Result<Option<String>, Failure>>) {
        let (Running { unit, since, worker }, result) = self.ended(ended);
        self.pushers.give_back(worker);
        match result {
            Ok(digest) => self.tell(Event::Pushed { unit: self.units[unit].id(), digest }),
            Err(failure) => self.finish(unit, Outcome::PushFailed(failure), since.elapsed()),
        }
    }

    /// Drops what runs, which cancels it at the engine, and tells the end of everything that has none yet.
    async fn end(mut self) {
        self.builds.shutdown().await;
        self.pushes.shutdown().await;
        let running: HashMap<usize, Instant> =
            self.tasks.drain().map(|(_, task)| (task.unit, task.since)).collect();
        for unit in 0..self.units.len() {
            let duration = running.get(&unit).map(Instant::elapsed).unwrap_or_default();
            if !self.finished[unit] {
                self.finish(unit, Outcome::Cancelled, duration);
            } else if running.contains_key(&unit) || self.to_push.contains(&unit) {
                let failure = Failure::permanent(FailureKind::Registry, "interrupted before it was pushed");
                self.finish(unit, Outcome::PushFailed(failure), duration);
            }
        }
    }
}

fn parent_index(unit: &PlannedUnit, index: &HashMap<UnitId, usize>) -> Option<usize> {
    let Parent::Image(parent) = &unit.parent else { return None };
    // A parent that this run does not build is taken from the engine.
    index.get(&UnitId { image: parent.as_str().into(), platform: unit.platform }).copied()
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone can't ask to stop any more.
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The tries that a unit has.
struct Tries {
    worker: Arc<dyn Worker>,
    unit: PlannedUnit,
    retries: u32,
    events: mpsc::UnboundedSender<Event>,
}

impl Tries {
    /// Tries until it succeeds, fails for good, or has no tries left.
    async fn run<T>(
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
            Progress::Started => Event::BuildStarted { unit, attempt },
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    use crate::plan::Disposition;
    use crate::platform::{Arch, Platform};

    /// Answers each image's tries in turn, and notes what ran at once.
    #[derive(Default)]
    struct Fake {
        failures: Mutex<HashMap<String, Vec<Failure>>>,
        push_failures: Mutex<HashMap<String, Vec<Failure>>>,
        running: Mutex<(usize, usize)>,
        hang: bool,
    }

    impl Worker for Fake {
        fn work<'a>(
            &'a self,
            unit: &'a PlannedUnit,
            tell: Tell<'a>,
        ) -> BoxFuture<'a, Result<Success, Failure>> {
            Box::pin(async move {
                {
                    let mut running = self.running.lock().expect("not poisoned");
                    running.0 += 1;
                    running.1 = running.1.max(running.0);
                }
                tell(Progress::Started);
                let pause = if self.hang { Duration::from_secs(3600) } else { Duration::from_millis(5) };
                tokio::time::sleep(pause).await;
                self.running.lock().expect("not poisoned").0 -= 1;
                let next =
                    self.failures.lock().expect("not poisoned").get_mut(&unit.image).and_then(Vec::pop);
                assert_ne!(unit.image, "panics", "this worker panics");
                next.map_or_else(|| Ok(Success::Built(image(&unit.image))), Err)
            })
        }

        fn push<'a>(
            &'a self,
            unit: &'a PlannedUnit,
            _tell: Tell<'a>,
        ) -> BoxFuture<'a, Result<Option<String>, Failure>> {
            let failure =
                self.push_failures.lock().expect("not poisoned").get_mut(&unit.image).and_then(Vec::pop);
            Box::pin(async move { failure.map_or(Ok(Some("sha256:d".to_string())), Err) })
        }
    }

    fn plan(images: &[(&str, Option<&str>)]) -> BuildPlan {
        let unit = |(image, parent): &(&str, Option<&str>)| PlannedUnit {
            image: image.to_string(),
            platform: Platform::new(Arch::X86_64),
            reference: format!("kolla/{image}:t"),
            parent: parent.map_or(Parent::Base("debian".into()), |parent| Parent::Image(parent.into())),
            disposition: Disposition::Build,
            reason: String::new(),
        };
        BuildPlan { units: images.iter().map(unit).collect() }
    }

    fn image(name: &str) -> Image {
        Image { id: format!("id-{name}"), key: format!("key-{name}"), size: 1 }
    }

    fn failure(transient: bool) -> Failure {
        Failure { kind: FailureKind::Build, message: "no".to_string(), transient }
    }

    async fn outcomes(
        plan: &BuildPlan,
        fake: Arc<Fake>,
        threads: usize,
    ) -> (Vec<(String, Outcome)>, Vec<Event>) {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let (_keep, stop) = watch::channel(false);
        run(plan, fake, |_| 1, Limits { threads, push_threads: None, retries: 2 }, stop, sender).await;
        let mut events = Vec::new();
        while let Some(event) = receiver.recv().await {
            events.push(event);
        }
        let ends = events.iter().filter_map(|event| match event {
            Event::Finished { unit, outcome, .. } => Some((unit.image.to_string(), outcome.clone())),
            _ => None,
        });
        let mut ends: Vec<_> = ends.collect();
        ends.sort_by(|a, b| a.0.cmp(&b.0));
        (ends, events)
    }

    #[tokio::test]
    async fn a_permanent_failure_takes_only_its_descendants() {
        let plan = plan(&[
            ("base", None),
            ("a", Some("base")),
            ("b", Some("base")),
            ("aa", Some("a")),
            ("aaa", Some("aa")),
        ]);
        let fake = Fake::default();
        fake.failures.lock().expect("not poisoned").insert("a".into(), vec![failure(false)]);
        let (ends, events) = outcomes(&plan, Arc::new(fake), 4).await;
        let lost = Outcome::ParentFailed { root_cause: "a".into() };
        assert_eq!(
            ends,
            [
                ("a".to_string(), Outcome::Failed(failure(false))),
                ("aa".to_string(), lost.clone()),
                ("aaa".to_string(), lost),
                ("b".to_string(), Outcome::Built(image("b"))),
                ("base".to_string(), Outcome::Built(image("base"))),
            ]
        );
        assert!(!events.iter().any(|event| matches!(event, Event::Retrying { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_transient_failure_is_tried_again_until_tries_run_out() {
        let plan = plan(&[("once", None), ("always", None)]);
        let fake = Fake::default();
        fake.failures.lock().expect("not poisoned").extend([
            ("once".to_string(), vec![failure(true)]),
            ("always".to_string(), vec![failure(true); 5]),
        ]);
        let (ends, events) = outcomes(&plan, Arc::new(fake), 1).await;
        assert_eq!(ends[0], ("always".to_string(), Outcome::Failed(failure(true))));
        assert!(ends[1].1.is_success());
        let tries = |name: &str| {
            let is =
                |event: &&Event| matches!(event, Event::BuildStarted { unit, .. } if &*unit.image == name);
            events.iter().filter(is).count()
        };
        assert_eq!((tries("once"), tries("always")), (2, 3));
    }

    #[tokio::test]
    async fn never_more_than_the_limit_at_once() {
        let images: Vec<String> = (0..20).map(|number| format!("i{number}")).collect();
        let pairs: Vec<(&str, Option<&str>)> = images.iter().map(|name| (name.as_str(), None)).collect();
        let fake = Arc::new(Fake::default());
        outcomes(&plan(&pairs), fake.clone(), 3).await;
        assert_eq!(fake.running.lock().expect("not poisoned").1, 3);
    }

    #[tokio::test]
    async fn a_worker_that_panics_is_a_failed_image() {
        let (ends, _) =
            outcomes(&plan(&[("panics", None), ("other", None)]), Arc::new(Fake::default()), 1).await;
        assert!(ends[0].1.is_success());
        assert!(
            matches!(&ends[1].1, Outcome::Failed(failure) if failure.message.contains("panic")),
            "{ends:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_up_to_date_is_pushed_and_a_failed_push_costs_nothing_else() {
        let plan = plan(&[("base", None), ("child", Some("base")), ("grandchild", Some("child"))]);
        let fake = Fake::default();
        fake.push_failures
            .lock()
            .expect("not poisoned")
            .extend([("base".to_string(), vec![failure(false)]), ("child".to_string(), vec![failure(true)])]);
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let (_keep, stop) = watch::channel(false);
        run(
            &plan,
            Arc::new(fake),
            |_| 1,
            Limits { threads: 2, push_threads: Some(1), retries: 1 },
            stop,
            sender,
        )
        .await;
        let mut last: HashMap<String, Outcome> = HashMap::new();
        let mut pushed = Vec::new();
        while let Some(event) = receiver.recv().await {
            match event {
                Event::Finished { unit, outcome, .. } => drop(last.insert(unit.image.to_string(), outcome)),
                Event::Pushed { unit, digest } => pushed.push((unit.image.to_string(), digest)),
                _ => {}
            }
        }
        assert_eq!(last["base"], Outcome::PushFailed(failure(false)));
        assert!(last["child"].is_success() && last["grandchild"].is_success(), "{last:?}");
        let digest = Some("sha256:d".to_string());
        pushed.sort();
        assert_eq!(pushed, [("child".to_string(), digest.clone()), ("grandchild".to_string(), digest)]);
    }

    #[tokio::test]
    async fn stopping_cancels_what_runs_and_what_waits() {
        let plan = plan(&[("base", None), ("child", Some("base"))]);
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let fake = Arc::new(Fake { hang: true, ..Fake::default() });
        let stopper = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            stop.send(true).expect("the run listens");
        };
        tokio::join!(
            run(
                &plan,
                fake,
                |_| 1,
                Limits { threads: 2, push_threads: Some(1), retries: 0 },
                stopped,
                sender
            ),
            stopper
        );
        let mut ends = Vec::new();
        let mut interrupted = false;
        while let Some(event) = receiver.recv().await {
            match event {
                Event::Finished { unit, outcome, .. } => ends.push((unit.image.to_string(), outcome)),
                Event::Interrupted => interrupted = true,
                _ => {}
            }
        }
        assert!(interrupted);
        let cancelled = |name: &str| (name.to_string(), Outcome::Cancelled);
        assert_eq!(ends, [cancelled("base"), cancelled("child")]);
    }
}
