//! The gate between builds and pushes: what is up to date waits before it until all builds are over, is then tested, and what
//! fails is not pushed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::slots::Places;
use crate::model::event::UnitId;
use crate::model::plan::PlannedUnit;
use crate::model::smoke::SmokeResult;

/// News of tests, in the order in which things happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateNews {
    /// The test of a unit has begun.
    Started(UnitId),
    /// A line for a unit's log.
    Said(UnitId, String),
    /// The test of a unit has ended.
    Ended(UnitId, SmokeResult),
    /// Something of the tests as a whole.
    Warning(String),
}

/// Tests units that are up to date.
pub trait Gate: Send + Sync {
    /// True for units that are tested; others are pushed as they are.
    fn takes(&self, unit: &PlannedUnit) -> bool;

    /// Tests all of these, and tells how each ends. Asked to stop, it takes away what it has started and leaves the others
    /// without an end.
    fn test<'a>(
        &'a self,
        units: Vec<PlannedUnit>,
        news: mpsc::UnboundedSender<GateNews>,
    ) -> BoxFuture<'a, ()>;
}

/// The units at a run's gate.
pub struct AtGate {
    gate: Arc<dyn Gate>,
    /// Units that wait, by their ids.
    waiting: HashMap<UnitId, usize>,
    /// Units whose test goes on: when it began and at which place.
    tested: HashMap<usize, (Instant, usize)>,
    places: Places,
    news: Option<mpsc::UnboundedReceiver<GateNews>>,
}

impl AtGate {
    /// Nobody waits yet.
    pub fn new(gate: Arc<dyn Gate>) -> AtGate {
        let (waiting, tested, places) = Default::default();
        AtGate { gate, waiting, tested, places, news: None }
    }

    /// Lets a unit wait that is up to date; false when it is not to be tested.
    pub fn add(&mut self, index: usize, unit: &PlannedUnit) -> bool {
        let takes = self.gate.takes(unit);
        if takes {
            self.waiting.insert(unit.id(), index);
        }
        takes
    }

    /// Begins with everything that waits, unless it has begun before.
    pub fn open(&mut self, units: &[PlannedUnit]) {
        if self.news.is_some() || self.waiting.is_empty() {
            return;
        }
        let waiting = units.iter().filter(|unit| self.waiting.contains_key(&unit.id())).cloned().collect();
        let (sender, news) = mpsc::unbounded_channel();
        let gate = self.gate.clone();
        // It ends by itself: what it has started has to go first.
        tokio::spawn(async move { gate.test(waiting, sender).await });
        self.news = Some(news);
    }

    /// True while tests go on.
    pub fn is_open(&self) -> bool {
        self.news.is_some()
    }

    /// The next piece of news; none once all tests are over.
    pub async fn next(&mut self) -> Option<GateNews> {
        let next = match &mut self.news {
            Some(news) => news.recv().await,
            None => None,
        };
        if next.is_none() {
            self.news = None;
        }
        next
    }

    /// Index of a unit that waits or is tested.
    pub fn index(&self, unit: &UnitId) -> Option<usize> {
        self.waiting.get(unit).copied()
    }

    /// The test of a unit begins; gives its place among those at once.
    pub fn begin(&mut self, index: usize) -> usize {
        let place = self.places.take();
        self.tested.insert(index, (Instant::now(), place));
        place
    }

    /// The test of a unit has ended, or comes to none; gives how long it took.
    pub fn end(&mut self, unit: &UnitId) -> Duration {
        let begun = self.waiting.remove(unit).and_then(|index| self.tested.remove(&index));
        begun.map_or(Duration::ZERO, |(since, place)| {
            self.places.give_back(place);
            since.elapsed()
        })
    }

    /// The units whose test has not ended.
    pub fn left(&self) -> Vec<UnitId> {
        self.waiting.keys().cloned().collect()
    }
}
