//! Times of a run: a fold over its plan, its events and their times since the run's start [pure].

use std::collections::HashMap;
use std::time::Duration;

use crate::model::attached::Attached;
use crate::model::event::{Event, UnitId};
use crate::model::failure::Failure;
use crate::model::gate::GateResult;
use crate::model::ids::{ContentKey, Digest};
use crate::model::outcome::{Outcome, UnitImage};
use crate::model::plan::{BuildPlan, PlannedUnit};
use crate::model::smoke::SmokeResult;

/// A stretch of time that one worker spent on one unit. Times count from the run's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The worker's place, from 0.
    pub worker: usize,
    /// When it took the unit.
    pub start: Duration,
    /// When it was done with it; its start while it is not.
    pub end: Duration,
}

impl Span {
    fn begun(worker: usize, at: Duration) -> Span {
        Span { worker, start: at, end: at }
    }

    /// How long it took.
    pub fn length(&self) -> Duration {
        self.end.saturating_sub(self.start)
    }
}

/// A try that failed and was followed by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Number of the try, from 1.
    pub attempt: u32,
    /// Time of the failure.
    pub at: Duration,
    /// Failure of the try.
    pub failure: Failure,
    /// Pause before the next try.
    pub delay: Duration,
}

/// A unit of the plan with the times of all that happened to it.
#[derive(Debug, Clone)]
pub struct UnitTimes {
    /// The unit, as it was planned.
    pub planned: PlannedUnit,
    /// Indices of the units that it is made from, as far as the run was to bring them up to date too.
    pub parents: Vec<usize>,
    /// Time of building it or of finding it unchanged; none when no worker took it.
    pub build: Option<Span>,
    /// Time of the smoke test; none when there was none.
    pub smoke: Option<Span>,
    /// Checks of the smoke test and their faults.
    pub found: SmokeResult,
    /// Time at its gates; none when there were none.
    pub gate: Option<Span>,
    /// Verdicts of the gates.
    pub verdicts: GateResult,
    /// Time of the push; none when it was not pushed.
    pub push: Option<Span>,
    /// Builds that were started.
    pub attempts: u32,
    /// Tries that failed and were followed by others, pushes included.
    pub retries: Vec<Retry>,
    /// Steps of its Dockerfile; 0 when none were told.
    pub steps: u32,
    /// Steps that the engine took from its cache.
    pub cached: u32,
    /// Content key, as soon as it is known.
    pub key: Option<ContentKey>,
    /// Image in the engine, once it is up to date.
    pub image: Option<UnitImage>,
    /// Digest of the manifest in the registry.
    pub digest: Option<Digest>,
    /// Digest of the list of the image's platforms, at the unit whose push has completed it.
    pub list: Option<Digest>,
    /// What was attached to the image.
    pub attached: Attached,
    /// What was attached to that list.
    pub list_attached: Attached,
}

impl UnitTimes {
    /// When the run was done with it; none when no worker took it.
    pub fn end(&self) -> Option<Duration> {
        Some(self.push.or(self.gate).or(self.smoke).or(self.build)?.end)
    }
}

/// The chain of parents and children that determined when the run ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CriticalPath {
    /// Indices of its units, parents first.
    pub units: Vec<usize>,
    /// How long workers were busy with them.
    pub work: Duration,
    /// How long they waited for a worker.
    pub waiting: Duration,
}

/// The run so far, or as it ended.
#[derive(Debug, Clone)]
pub struct Timeline {
    units: Vec<UnitTimes>,
    index: HashMap<UnitId, usize>,
    /// When the last event came.
    pub end: Duration,
    /// True when the run was stopped before its end.
    pub interrupted: bool,
}

impl Timeline {
    /// The timeline of a run that has not started.
    pub fn new(plan: &BuildPlan) -> Timeline {
        let index: HashMap<UnitId, usize> =
            plan.units.iter().enumerate().map(|(at, unit)| (unit.id(), at)).collect();
        let to_build: HashMap<UnitId, usize> = plan
            .to_build()
            .filter_map(|unit| index.get_key_value(&unit.id()))
            .map(|(id, at)| (id.clone(), *at))
            .collect();
        let unit = |planned: &PlannedUnit| UnitTimes {
            planned: planned.clone(),
            parents: planned.needs().filter_map(|id| to_build.get(&id).copied()).collect(),
            build: None,
            smoke: None,
            found: SmokeResult::default(),
            gate: None,
            verdicts: GateResult::default(),
            push: None,
            attempts: 0,
            retries: Vec::new(),
            steps: 0,
            cached: 0,
            key: None,
            image: None,
            digest: None,
            list: None,
            attached: Attached::default(),
            list_attached: Attached::default(),
        };
        Timeline {
            units: plan.units.iter().map(unit).collect(),
            index,
            end: Duration::ZERO,
            interrupted: false,
        }
    }

    /// Folds an event in that came so long after the run's start.
    pub fn event(&mut self, event: &Event, at: Duration) {
        self.end = self.end.max(at);
        let unit = match event {
            Event::RunStarted { .. } | Event::FailedFast { .. } | Event::Warning { .. } => return,
            Event::Interrupted => {
                self.interrupted = true;
                return;
            }
            Event::Taken { unit, .. }
            | Event::BuildStarted { unit, .. }
            | Event::Step { unit, .. }
            | Event::Line { unit, .. }
            | Event::Retrying { unit, .. }
            | Event::SmokeStarted { unit, .. }
            | Event::SmokeEnded { unit, .. }
            | Event::GateStarted { unit, .. }
            | Event::GateEnded { unit, .. }
            | Event::PushStarted { unit, .. }
            | Event::Pushed { unit, .. }
            | Event::Finished { unit, .. } => unit,
        };
        if let Some(&index) = self.index.get(unit) {
            self.units[index].event(event, at);
        }
    }

    /// Every unit, in the plan's order.
    pub fn units(&self) -> &[UnitTimes] {
        &self.units
    }

    /// When all that a unit is made from was there, so that it could be taken; none when no worker took it.
    pub fn ready(&self, unit: &UnitTimes) -> Option<Duration> {
        let build = unit.build?;
        let last = self.last_parent(unit).and_then(|parent| self.units[parent].build);
        Some(last.map_or(Duration::ZERO, |parent| parent.end.min(build.start)))
    }

    /// The parent that was done last.
    fn last_parent(&self, unit: &UnitTimes) -> Option<usize> {
        let end = |parent: usize| Some((self.units[parent].build?.end, parent));
        unit.parents.iter().filter_map(|parent| end(*parent)).max().map(|(_, parent)| parent)
    }

    /// How long a unit waited for a worker; none when no worker took it.
    pub fn queued(&self, unit: &UnitTimes) -> Option<Duration> {
        Some(unit.build?.start.saturating_sub(self.ready(unit)?))
    }

    /// The unit that was done last, and what it was built on.
    pub fn critical_path(&self) -> CriticalPath {
        let done = self.units.iter().enumerate().filter_map(|(at, unit)| Some((unit.end()?, at)));
        let Some((end, last)) = done.max() else { return CriticalPath::default() };
        let mut units = vec![last];
        while let Some(parent) = self.last_parent(&self.units[units[units.len() - 1]]) {
            units.push(parent);
        }
        units.reverse();
        let spans = units
            .iter()
            .filter_map(|unit| self.units[*unit].build)
            .chain(self.units[last].smoke)
            .chain(self.units[last].push);
        let work: Duration = spans.map(|span| span.length()).sum();
        CriticalPath { units, work, waiting: end.saturating_sub(work) }
    }
}

impl UnitTimes {
    fn event(&mut self, event: &Event, at: Duration) {
        match event {
            Event::Taken { worker, .. } => self.build = Some(Span::begun(*worker, at)),
            Event::BuildStarted { attempt, key, .. } => {
                self.attempts = *attempt;
                self.key = Some(key.clone());
                (self.steps, self.cached) = (0, 0);
            }
            Event::Step { number, total, .. } => self.count_steps(*number, *total),
            Event::Line { text, .. } => {
                if let Some(total) = cached_step(text) {
                    self.cached += 1;
                    self.count_steps(self.cached, total);
                }
            }
            Event::Retrying { attempt, failure, delay, .. } => {
                self.retries.push(Retry { attempt: *attempt, at, failure: failure.clone(), delay: *delay });
            }
            Event::SmokeStarted { worker, .. } => self.smoke = Some(Span::begun(*worker, at)),
            Event::SmokeEnded { result, .. } => {
                self.found.clone_from(result);
                close(&mut self.smoke, at);
            }
            Event::GateStarted { worker, .. } => self.gate = Some(Span::begun(*worker, at)),
            Event::GateEnded { result, .. } => {
                self.verdicts.clone_from(result);
                close(&mut self.gate, at);
            }
            Event::PushStarted { worker, .. } => self.push = Some(Span::begun(*worker, at)),
            Event::Pushed { digest, list, attached, list_attached, .. } => {
                self.digest.clone_from(digest);
                self.list.clone_from(list);
                self.attached.clone_from(attached);
                self.list_attached.clone_from(list_attached);
                close(&mut self.push, at);
            }
            Event::Finished { outcome, .. } => {
                if let Outcome::Built(image) | Outcome::Unchanged(image) = outcome {
                    self.key = Some(image.key.clone());
                    self.image = Some(image.clone());
                }
                match outcome {
                    Outcome::SmokeError(_) => close(&mut self.smoke, at),
                    Outcome::Gated(_) => close(&mut self.gate, at),
                    Outcome::PushFailed(_) => close(&mut self.push, at),
                    _ => close(&mut self.build, at),
                }
            }
            Event::RunStarted { .. }
            | Event::FailedFast { .. }
            | Event::Warning { .. }
            | Event::Interrupted => {}
        }
    }

    /// BuildKit counts some steps too many as long as it has not looked at the parent: its last word counts.
    fn count_steps(&mut self, at_least: u32, total: u32) {
        let known = if total > 0 { total } else { self.steps };
        self.steps = known.max(at_least);
    }
}

fn close(span: &mut Option<Span>, at: Duration) {
    if let Some(span) = span {
        span.end = at;
    }
}

/// Number of steps of a build, from a line that says that one of them came from the cache; 0 when the line does not tell.
fn cached_step(line: &str) -> Option<u32> {
    if line.trim() == "---> Using cache" {
        return Some(0);
    }
    // BuildKit's steps: `[2/7] RUN make`, `[stage 2/7] RUN make`.
    let (place, _) = line.strip_prefix("CACHED [")?.split_once(']')?;
    place.rsplit(' ').next()?.split_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::failure::FailureKind;
    use crate::report::testing::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// `base`, then `keystone` and `nova` on it, by one worker.
    fn timeline(events: &[(u64, Event)]) -> Timeline {
        let mut timeline = Timeline::new(&family(&["base", "base/keystone", "base/nova"]));
        events.iter().for_each(|(at, event)| timeline.event(event, seconds(*at)));
        timeline
    }

    #[test]
    fn a_unit_waits_from_its_parents_end() {
        let timeline = timeline(&[
            (1, taken("base", 0)),
            (11, finished("base", built())),
            (11, taken("keystone", 0)),
            (31, finished("keystone", failed("no"))),
            (32, taken("nova", 0)),
            (33, finished("nova", unchanged())),
        ]);
        let queued: Vec<_> = timeline.units().iter().map(|unit| timeline.queued(unit)).collect();
        assert_eq!(queued, [Some(seconds(1)), Some(seconds(0)), Some(seconds(21))]);
        let path = timeline.critical_path();
        assert_eq!(path, CriticalPath { units: vec![0, 2], work: seconds(11), waiting: seconds(22) });
    }

    #[test]
    fn a_push_can_be_what_the_run_ended_with() {
        let timeline = timeline(&[
            (0, taken("base", 0)),
            (1, finished("base", built())),
            (1, Event::PushStarted { unit: unit("base"), worker: 0 }),
            (1, taken("nova", 0)),
            (2, finished("nova", built())),
            (9, pushed(unit("base"), Some(Digest::of(b"")), None)),
        ]);
        assert_eq!(timeline.critical_path().units, [0]);
        assert_eq!(timeline.critical_path().work, seconds(9));
        let base = &timeline.units()[0];
        assert_eq!((base.build.map(|span| span.end), base.end()), (Some(seconds(1)), Some(seconds(9))));
        assert_eq!(base.digest, Some(Digest::of(b"")));
    }

    #[test]
    fn what_no_worker_took_has_no_times() {
        let timeline = timeline(&[
            (0, taken("base", 0)),
            (5, finished("base", failed("no"))),
            (5, finished("nova", parent_failed("base"))),
        ]);
        let nova = &timeline.units()[2];
        assert_eq!((nova.build, nova.end(), timeline.queued(nova)), (None, None, None));
        assert_eq!(timeline.critical_path().units, [0]);
    }

    #[test]
    fn steps_from_the_cache_are_counted_anew_for_each_try() {
        let mut events: Vec<_> = ["CACHED [2/4] RUN a", "CACHED [3/4] RUN b", "CACHED is this line too"]
            .map(|text| (1, line("base", text)))
            .into();
        events.insert(0, (0, started("base")));
        let failure = failure(FailureKind::Connection, "lost");
        let retrying =
            Event::Retrying { unit: unit("base"), attempt: 1, failure: failure.clone(), delay: seconds(2) };
        let steps = |timeline: &Timeline| (timeline.units()[0].cached, timeline.units()[0].steps);
        assert_eq!(steps(&timeline(&events)), (2, 4));
        events.push((2, retrying));
        events.push((4, Event::BuildStarted { unit: unit("base"), attempt: 2, key: "k".into() }));
        events.push((5, line("base", " ---> Using cache")));
        let timeline = timeline(&events);
        assert_eq!(steps(&timeline), (1, 1));
        let retries = &timeline.units()[0].retries;
        assert_eq!(*retries, [Retry { attempt: 1, at: seconds(2), failure, delay: seconds(2) }]);
    }

    #[test]
    fn the_last_count_of_steps_counts() {
        let step =
            |number, total| Event::Step { unit: unit("base"), number, total, text: "RUN x".to_string() };
        let timeline = timeline(&[(0, started("base")), (0, step(1, 6)), (1, step(2, 3)), (1, step(3, 0))]);
        assert_eq!(timeline.units()[0].steps, 3);
    }

    #[test]
    fn lines_that_tell_of_the_cache_are_known() {
        for (line, total) in [
            ("CACHED [2/7] RUN make", Some(7)),
            ("CACHED [build 2/7] RUN make", Some(7)),
            (" ---> Using cache", Some(0)),
            ("CACHED [internal] load metadata", None),
            ("[2/7] RUN make", None),
        ] {
            assert_eq!(cached_step(line), total, "{line}");
        }
    }
}
