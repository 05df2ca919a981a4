//! How near the scheduler comes to the least time that any scheduler needs, in the shape of Kolla's graph. Builds take
//! virtual time, so nothing here depends on the machine.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use kolla_build::model::event::{Event, UnitId};
use kolla_build::model::failure::Failure;
use kolla_build::model::ids::ImageName;
use kolla_build::model::outcome::UnitImage;
use kolla_build::model::plan::{BuildPlan, Disposition, Parent, PlannedUnit};
use kolla_build::model::platform::{Arch, Platform};
use kolla_build::schedule::history::History;
use kolla_build::schedule::run::{ScheduleLimits, run};
use kolla_build::schedule::worker::{Pushed, Success, Tell, Worker};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

const GRAPH: &str = include_str!("../stand_ins/graph.txt");

const THREADS: [usize; 4] = [1, 4, 8, 32];

/// How much longer than the bound a run may take.
const TOLERANCE: f64 = 1.03;

/// Kolla's images, parents first, each with how long its build takes.
struct Shape {
    plan: BuildPlan,
    durations: HashMap<ImageName, Duration>,
}

impl Shape {
    fn new(duration: impl Fn(&str) -> Duration) -> Shape {
        let unit = |line: &str| {
            let (image, parent) = match line.split_once(' ') {
                Some((image, parent)) => (image, Parent::Image(parent.into())),
                None => (line, Parent::Base("debian:trixie".to_string())),
            };
            PlannedUnit {
                image: image.into(),
                platform: Platform::new(Arch::X86_64),
                reference: format!("kolla/{image}:t").parse().expect("a reference"),
                list: None,
                parent,
                named: Vec::new(),
                disposition: Disposition::Build,
                reason: String::new(),
            }
        };
        let units: Vec<PlannedUnit> = GRAPH.lines().filter(|line| !line.starts_with('#')).map(unit).collect();
        let durations = units.iter().map(|unit| (unit.image.clone(), duration(&unit.image))).collect();
        Shape { plan: BuildPlan { units }, durations }
    }

    /// The least time that any scheduler needs with so many threads: that of the critical path, or of the work that
    /// is left once some time has passed, evenly spread. What cannot start earlier than that, because its ancestors
    /// take so long, is left then: while the first image is built nothing else can be.
    fn bound(&self, threads: usize) -> Duration {
        let mut earliest: HashMap<&str, Duration> = HashMap::new();
        for unit in &self.plan.units {
            let start = match &unit.parent {
                Parent::Image(parent) => earliest[parent.as_str()] + self.durations[parent],
                Parent::Base(_) => Duration::ZERO,
            };
            earliest.insert(&unit.image, start);
        }
        let critical_path = earliest.iter().map(|(image, start)| *start + self.durations[*image]);
        let spread = earliest.values().map(|passed| {
            let left = earliest.iter().filter(|(_, start)| *start >= passed);
            *passed + left.map(|(image, _)| self.durations[*image]).sum::<Duration>() / threads as u32
        });
        critical_path.chain(spread).max().expect("there are images")
    }

    /// How long a run takes whose scheduler expects these costs.
    async fn makespan(&self, threads: usize, cost: impl Fn(&UnitId) -> u64) -> Duration {
        let limits =
            ScheduleLimits { threads, push_threads: None, gate_threads: None, retries: 0, fail_fast: None };
        let (events, mut heard) = mpsc::unbounded_channel();
        let (_keep, stop) = watch::channel(false);
        let started = Instant::now();
        run(&self.plan, Arc::new(Builder(self.durations.clone())), None, cost, limits, stop, events).await;
        let took = started.elapsed();
        let mut built = 0;
        while let Some(event) = heard.recv().await {
            if let Event::Finished { outcome, .. } = event {
                assert!(outcome.is_success(), "{outcome:?}");
                built += 1;
            }
        }
        assert_eq!(built, self.plan.units.len());
        took
    }

    /// Runs with each number of threads, and holds the time it takes against the bound.
    async fn check(&self, cost: impl Fn(&UnitId) -> u64 + Copy) {
        for threads in THREADS {
            let (took, bound) = (self.makespan(threads, cost).await, self.bound(threads));
            let ratio = took.as_secs_f64() / bound.as_secs_f64();
            assert!(ratio >= 1.0, "{threads} threads beat the bound, so it is none: {took:?} of {bound:?}");
            assert!(ratio <= TOLERANCE, "{threads} threads: {took:?}, {ratio:.3} times {bound:?}");
        }
    }

    /// What earlier runs have taught.
    fn history(&self) -> History {
        let mut history = History::default();
        for unit in &self.plan.units {
            history.record(&unit.id(), self.durations[&unit.image]);
        }
        history
    }
}

/// A worker whose builds take the time that it is told.
struct Builder(HashMap<ImageName, Duration>);

impl Worker for Builder {
    fn work<'a>(&'a self, unit: &'a PlannedUnit, _: Tell<'a>) -> BoxFuture<'a, Result<Success, Failure>> {
        Box::pin(async {
            tokio::time::sleep(self.0[&unit.image]).await;
            Ok(Success::Built(UnitImage::default()))
        })
    }

    fn push<'a>(&'a self, _: &'a PlannedUnit, _: Tell<'a>) -> BoxFuture<'a, Result<Pushed, Failure>> {
        unreachable!("nothing is pushed")
    }
}

/// From 5 seconds to 10 minutes, most of them short, as images are: the same for a name in every run.
fn varied(image: &str) -> Duration {
    let hash = image.bytes().fold(5381_u32, |hash, byte| hash.wrapping_mul(33) ^ u32::from(byte));
    let share = f64::from(hash % 1000) / 1000.0;
    Duration::from_secs_f64(5.0 * 120_f64.powf(share))
}

#[tokio::test(start_paused = true)]
async fn builds_of_one_length() {
    let shape = Shape::new(|_| Duration::from_secs(60));
    shape.check(|_| 1).await;
}

#[tokio::test(start_paused = true)]
async fn builds_of_lengths_known_from_earlier_runs() {
    let shape = Shape::new(varied);
    let history = shape.history();
    shape.check(|unit| history.cost(unit)).await;
}

#[tokio::test(start_paused = true)]
async fn what_earlier_runs_have_taught_makes_a_run_shorter() {
    let shape = Shape::new(varied);
    let history = shape.history();
    let first = shape.makespan(8, |_| 1).await;
    let second = shape.makespan(8, |unit| history.cost(unit)).await;
    assert!(second < first, "{second:?} with durations known, {first:?} without");
}
