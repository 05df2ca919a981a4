//! The loop that runs a plan: it starts units as their parents finish, tries again what may pass, and tells of all.
//!
//! No error leaves the loop: what goes wrong with a unit becomes its outcome, and the loop goes on with the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::queue::Queue;
use super::transient::backoff;
use crate::engine::BuildOutput;
use crate::event::{Event, Failure, Outcome, UnitId};
use crate::plan::{BuildPlan, Parent, PlannedUnit};

/// What a successful try came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Success {
    /// The image was built; the engine's id of it.
    Built(String),
    /// The engine has it already.
    Unchanged,
}

/// What a try tells while it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The unit has changed, so there is something to build.
    Started,
    /// The build's own words.
    Said(BuildOutput),
}

/// Brings one unit up to date. Dropping the future that it returned stops the work.
pub trait Worker: Send + Sync {
    /// One try.
    fn work<'a>(
        &'a self,
        unit: &'a PlannedUnit,
        tell: &'a (dyn Fn(Progress) + Send + Sync),
    ) -> BoxFuture<'a, Result<Success, Failure>>;
}

/// Limits of a run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Units at once.
    pub threads: usize,
    /// Further tries after a failure that may pass.
    pub retries: u32,
}

/// Runs every unit of the plan that is to be built. Events go to `events` in the order they happen; each unit's end is
/// told exactly once. When `stop` becomes true nothing new starts and what runs is dropped.
pub async fn run(
    plan: &BuildPlan,
    worker: Arc<dyn Worker>,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
    events: mpsc::UnboundedSender<Event>,
) {
    let units: Vec<&PlannedUnit> = plan.to_build().collect();
    let index: HashMap<UnitId, usize> =
        units.iter().enumerate().map(|(index, unit)| (unit.id(), index)).collect();
    let parents: Vec<Option<usize>> = units.iter().map(|unit| parent_index(unit, &index)).collect();
    let mut queue = Queue::new(&parents, |_| 1);
    let mut finished = vec![false; units.len()];
    let mut running: JoinSet<(usize, Outcome, Duration)> = JoinSet::new();
    // A task that panicked tells only its id.
    let mut tasks: HashMap<tokio::task::Id, usize> = HashMap::new();
    let mut started: HashMap<usize, Instant> = HashMap::new();
    // No receiver means that nobody listens any more, which is no reason to stop building.
    let tell = |event| drop(events.send(event));
    tell(Event::RunStarted { units: units.len() });
    while !queue.is_done() && !*stop.borrow() {
        while running.len() < limits.threads
            && let Some(unit) = queue.take()
        {
            let work = build(units[unit].clone(), unit, worker.clone(), limits, events.clone());
            tasks.insert(running.spawn(work).id(), unit);
            started.insert(unit, Instant::now());
        }
        let ended = tokio::select! {
            biased;
            _ = stopped(&mut stop) => break,
            ended = running.join_next() => ended,
        };
        let (unit, outcome, duration) = match ended {
            Some(Ok(ended)) => ended,
            Some(Err(error)) => {
                let Some(unit) = tasks.get(&error.id()) else { continue };
                (*unit, Outcome::Failed(Failure::bug(&error.to_string())), Duration::ZERO)
            }
            None => break,
        };
        finished[unit] = true;
        let succeeded = outcome.is_success();
        tell(Event::Finished { unit: units[unit].id(), outcome, duration });
        if succeeded {
            queue.finish(unit);
            continue;
        }
        for lost in queue.fail(unit) {
            finished[lost] = true;
            let outcome = Outcome::ParentFailed { root_cause: units[unit].image.as_str().into() };
            tell(Event::Finished { unit: units[lost].id(), outcome, duration: Duration::ZERO });
        }
    }
    if *stop.borrow() {
        tell(Event::Interrupted);
        // Dropping the builds is what cancels them at the engine.
        running.shutdown().await;
    }
    for unit in (0..units.len()).filter(|unit| !finished[*unit]) {
        let duration = started.get(&unit).map(Instant::elapsed).unwrap_or_default();
        tell(Event::Finished { unit: units[unit].id(), outcome: Outcome::Cancelled, duration });
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

/// Tries one unit until it succeeds, fails for good, or has no tries left.
async fn build(
    unit: PlannedUnit,
    index: usize,
    worker: Arc<dyn Worker>,
    limits: Limits,
    events: mpsc::UnboundedSender<Event>,
) -> (usize, Outcome, Duration) {
    let started = Instant::now();
    let id = unit.id();
    let tell = |event| drop(events.send(event));
    let mut attempt = 1;
    let outcome = loop {
        let on_progress = |progress: Progress| {
            let unit = id.clone();
            tell(match progress {
                Progress::Started => Event::BuildStarted { unit, attempt },
                Progress::Said(BuildOutput::Line(text)) => Event::Line { unit, text },
                Progress::Said(BuildOutput::Step { number, total, text }) => {
                    Event::Step { unit, number, total, text }
                }
            });
        };
        match worker.work(&unit, &on_progress).await {
            Ok(Success::Built(image_id)) => break Outcome::Built { image_id },
            Ok(Success::Unchanged) => break Outcome::Unchanged,
            Err(failure) if failure.transient && attempt <= limits.retries => {
                let delay = backoff(attempt, jitter(&id, attempt));
                tell(Event::Retrying { unit: id.clone(), attempt, failure, delay });
                tokio::time::sleep(delay).await;
                attempt += 1;
            }
            Err(failure) => break Outcome::Failed(failure),
        }
    };
    (index, outcome, started.elapsed())
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

    use crate::event::FailureKind;
    use crate::plan::Disposition;
    use crate::platform::{Arch, Platform};

    /// Answers each image's tries in turn, and notes what ran at once.
    #[derive(Default)]
    struct Fake {
        failures: Mutex<HashMap<String, Vec<Failure>>>,
        running: Mutex<(usize, usize)>,
        hang: bool,
    }

    impl Worker for Fake {
        fn work<'a>(
            &'a self,
            unit: &'a PlannedUnit,
            tell: &'a (dyn Fn(Progress) + Send + Sync),
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
                next.map_or_else(|| Ok(Success::Built(format!("id-{}", unit.image))), Err)
            })
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
        run(plan, fake, Limits { threads, retries: 2 }, stop, sender).await;
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
                ("b".to_string(), Outcome::Built { image_id: "id-b".into() }),
                ("base".to_string(), Outcome::Built { image_id: "id-base".into() }),
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
        tokio::join!(run(&plan, fake, Limits { threads: 2, retries: 0 }, stopped, sender), stopper);
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
