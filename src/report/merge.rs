//! Several runs as one [pure].
//!
//! What earlier runs told is put back into the summary and the timeline that reports are made from, so that all reports of
//! the whole are those of a run. An image on a platform that several files tell of stands there as the first of these:
//!
//! 1. what makes its run a failure, before what does not: a failure is never hidden by a success elsewhere
//! 2. `failed`, `parent_failed`, `smoke_error`, `gated`, `push_failed`, `cancelled`, `built`, `unchanged`, unbuildable, skipped, unmatched
//! 3. what ended last
//!
//! An image that was asked for and that no file tells the end of is cancelled, which is a failure.

mod account;
mod replay;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use self::account::{Account, Accounts};
use self::replay::{FirstWorkers, Replay};
use super::earlier::EarlierRun;
use super::summary::{Summary, SummaryOptions, UnitSummary};
use super::timeline::{Timeline, UnitTimes};
use crate::model::attached::Attached;
use crate::model::event::{Event, UnitId};
use crate::model::ids::{Digest, ImageName};
use crate::model::outcome::Outcome;
use crate::model::plan::{BuildPlan, PlannedUnit};

/// Settings of the run that merges.
#[derive(Debug, Clone, Default)]
pub struct MergeOptions {
    /// True when every image that the plan is to build must be in one of the files.
    pub complete: bool,
    /// True when an image that one of the files tells of on one platform must be there on every platform that the plan is to
    /// build it for.
    pub on_every_platform: bool,
    /// Images whose failure does not make the whole a failure, beside those of the reports.
    pub allowed_to_fail: Vec<ImageName>,
}

/// The runs as one.
pub struct Merged {
    /// Images and their ends.
    pub summary: Summary,
    /// Times of the images, from the start of the first run.
    pub timeline: Timeline,
    /// Start of the first run; `now` when no file tells times.
    pub started: Timestamp,
    /// Names of all engines.
    pub engine: String,
}

/// A unit that some run has brought up to date.
pub struct MergedImage<'a> {
    /// The unit, as it was planned.
    pub planned: &'a PlannedUnit,
    /// True when a run says that it was pushed.
    pub is_pushed: bool,
    /// Digest of the manifest in the registry.
    pub digest: Option<&'a Digest>,
    /// What was attached to it.
    pub attached: &'a Attached,
    /// When its run was done with it.
    pub ended: Timestamp,
}

impl Merged {
    /// All that is up to date, in the order in which the runs were done with it.
    pub fn up_to_date(&self) -> Vec<MergedImage<'_>> {
        let units = self.timeline.units().iter().zip(self.summary.units());
        let is_success = |unit: &UnitSummary| unit.outcome().is_some_and(Outcome::is_success);
        let mut times: Vec<&UnitTimes> =
            units.filter(|(_, unit)| is_success(unit)).map(|(times, _)| times).collect();
        times.sort_by_key(|times| times.end());
        let images = times.into_iter().map(|times| MergedImage {
            planned: &times.planned,
            is_pushed: times.push.is_some(),
            digest: times.digest.as_ref(),
            attached: &times.attached,
            ended: self.started.checked_add(times.end().unwrap_or_default()).unwrap_or(self.started),
        });
        images.collect()
    }

    /// Every unit as it was planned, with the account that counts for it.
    pub fn plan(&self) -> BuildPlan {
        BuildPlan { units: self.timeline.units().iter().map(|unit| unit.planned.clone()).collect() }
    }

    /// Tells what came of a unit after the runs had ended. It counts for the moment at which their work on the unit was over.
    pub fn tell(&mut self, unit: &UnitId, event: &Event) {
        let times = self.timeline.units().iter().find(|times| times.planned.id() == *unit);
        let at = times.and_then(UnitTimes::end).unwrap_or_default();
        self.summary.event(event);
        self.timeline.event(event, at);
    }
}

/// Joins what the runs tell. `plan` is what the whole was asked for; what it does not know is taken as told.
pub fn merge(runs: &[EarlierRun], plan: &BuildPlan, options: &MergeOptions, now: Timestamp) -> Merged {
    let accounts = Accounts::gather(runs, plan, &options.allowed_to_fail);
    let plan = accounts.plan(options.complete, options.on_every_platform);
    let allowed_to_fail = options.allowed_to_fail.iter().cloned().chain(accounts.allowed_to_fail()).collect();
    let reports = || runs.iter().filter_map(EarlierRun::report);
    let started = reports().map(|report| report.run.start.0).min().unwrap_or(now);
    let workers = first_workers(runs);
    let mut replay = Replay::new(&plan, &SummaryOptions { allowed_to_fail }, started);
    for unit in &plan.units {
        let Some(account) = accounts.of(unit) else { continue };
        if let Account::Report { run, image } = account {
            replay.image(unit, image, workers[run]);
        } else if let Some(outcome) = account.summarized_outcome() {
            let finished = Event::Finished { unit: unit.id(), outcome, duration: Duration::ZERO };
            replay.tell(&finished, Duration::ZERO);
        }
    }
    for run in reports().map(|report| &report.run) {
        let end = run.end.since(started);
        // The whole ends with the last of them.
        replay.timeline.end = replay.timeline.end.max(end);
        if run.interrupted {
            replay.tell(&Event::Interrupted, end);
        }
    }
    let engines: BTreeSet<&str> = reports().map(|report| report.run.engine.as_str()).collect();
    let engine = engines.into_iter().collect::<Vec<_>>().join(", ");
    Merged { summary: replay.summary, timeline: replay.timeline, started, engine }
}

/// For each run, the number of places for building, smoke tests, gates and pushing that the runs before it had.
fn first_workers(runs: &[EarlierRun]) -> Vec<FirstWorkers> {
    let mut next = FirstWorkers::default();
    let after = |last: Option<usize>| last.map_or(0, |worker| worker + 1);
    let first = |run: &EarlierRun| {
        let first = next;
        if let Some(report) = run.report() {
            next.build += after(report.images.iter().filter_map(|image| image.worker).max());
            next.smoke +=
                after(report.images.iter().filter_map(|image| Some(image.smoke.as_ref()?.worker)).max());
            next.gate +=
                after(report.images.iter().filter_map(|image| Some(image.gate.as_ref()?.worker)).max());
            next.push +=
                after(report.images.iter().filter_map(|image| Some(image.push.as_ref()?.worker)).max());
        }
        first
    };
    runs.iter().map(first).collect()
}
