//! Several runs as one [pure].
//!
//! What earlier runs told is put back into the summary and the timeline that reports are made from, so that all reports of
//! the whole are those of a run. An image on a platform that several files tell of stands there as the first of these:
//!
//! 1. what makes its run a failure, before what does not: a failure is never hidden by a success elsewhere
//! 2. `failed`, `parent_failed`, `push_failed`, `cancelled`, `built`, `unchanged`, unbuildable, skipped, unmatched
//! 3. what ended last
//!
//! An image that was asked for and that no file tells the end of is cancelled, which is a failure.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use super::summary::{KollaImage, KollaSummary, Summary, SummaryOptions};
use super::timeline::Timeline;
use super::told::{ImagePart, OutcomeWord, Report, Time, Told, length, summarized_failure};
use crate::model::event::{Event, Outcome, UnitId};
use crate::model::plan::{BuildPlan, Disposition, Parent, PlannedUnit};

/// What the plan of the whole says beside what the files tell.
#[derive(Debug, Clone, Default)]
pub struct MergeOptions {
    /// Whether every image that the plan is to build must have been told of.
    pub complete: bool,
    /// Images whose failure does not make the whole a failure, beside those of the reports.
    pub allowed_to_fail: Vec<String>,
}

/// The runs as one.
pub struct Merged {
    /// Its images and their ends.
    pub summary: Summary,
    /// Their times, from the start of the first run.
    pub timeline: Timeline,
    /// That start; `now` when no file tells times.
    pub started: Timestamp,
    /// The engines' names.
    pub engine: String,
}

/// Where the best account of a unit is.
#[derive(Debug, Clone, Copy)]
enum Account<'a> {
    Report { run: usize, image: &'a ImagePart },
    Summary { disposition: Disposition, failed: Option<&'a KollaImage> },
}

impl Account<'_> {
    fn disposition(&self) -> Disposition {
        match self {
            Account::Report { image, .. } => image.disposition,
            Account::Summary { disposition, .. } => *disposition,
        }
    }

    /// What decides which account counts; the largest does.
    fn rank(&self, allowed_to_fail: &[String]) -> (bool, u8, Option<Time>) {
        let (fails_run, word, end) = match self {
            Account::Report { image, .. } => {
                let word = image.outcome.unwrap_or(OutcomeWord::Cancelled);
                let end = image.push.as_ref().map(|push| push.end).or(image.end);
                (image.fails_run, word, end)
            }
            Account::Summary { failed: None, .. } => (false, OutcomeWord::Built, None),
            Account::Summary { failed: Some(image), .. } => {
                let word = match summarized_failure(image) {
                    Outcome::ParentFailed { .. } => OutcomeWord::ParentFailed,
                    Outcome::PushFailed(_) => OutcomeWord::PushFailed,
                    _ => OutcomeWord::Failed,
                };
                (!allowed_to_fail.contains(&image.name), word, None)
            }
        };
        let severity = match (self.disposition(), word) {
            (Disposition::Build, OutcomeWord::Failed) => 8,
            (Disposition::Build, OutcomeWord::ParentFailed) => 7,
            (Disposition::Build, OutcomeWord::PushFailed) => 6,
            (Disposition::Build, OutcomeWord::Cancelled) => 5,
            (Disposition::Build, OutcomeWord::Built) => 4,
            (Disposition::Build, OutcomeWord::Unchanged) => 3,
            (Disposition::Unbuildable, _) => 2,
            (Disposition::Skipped, _) => 1,
            (Disposition::Unmatched, _) => 0,
        };
        (fails_run, severity, end)
    }
}

/// Joins what the files tell. `plan` is what the whole was asked for; what it does not know is taken as told.
pub fn merge(told: &[Told], plan: &BuildPlan, options: &MergeOptions, now: Timestamp) -> Merged {
    let mut units = plan.units.clone();
    let mut accounts: HashMap<UnitId, Account> = HashMap::new();
    let mut consider = |unit: PlannedUnit, account| {
        let id = unit.id();
        let rank = |account: &Account| account.rank(&options.allowed_to_fail);
        match accounts.get(&id) {
            Some(known) if rank(known) >= rank(&account) => {}
            _ => {
                accounts.insert(id.clone(), account);
            }
        }
        if !units.iter().any(|known| known.id() == id) {
            units.push(unit);
        }
    };
    for (run, told) in told.iter().enumerate() {
        match told {
            Told::Report(report) => {
                for image in &report.images {
                    if let Ok(unit) = planned(image) {
                        consider(unit, Account::Report { run, image });
                    }
                }
            }
            Told::Summary(summary) => {
                for (unit, account) in of_summary(summary, plan) {
                    consider(unit, account);
                }
            }
        }
    }
    for unit in &mut units {
        settle(unit, accounts.get(&unit.id()), options.complete);
    }
    let reports: Vec<(usize, &Report)> = told
        .iter()
        .enumerate()
        .filter_map(|(run, told)| match told {
            Told::Report(report) => Some((run, report.as_ref())),
            Told::Summary(_) => None,
        })
        .collect();
    let plan = BuildPlan { units };
    let mut allowed_to_fail = options.allowed_to_fail.clone();
    allowed_to_fail.extend(accounts.values().filter_map(|account| match account {
        Account::Report { image, .. } if !image.fails_run && image.is_unsuccessful() => {
            Some(image.name.clone())
        }
        _ => None,
    }));
    let started = reports.iter().map(|(_, report)| report.run.start.0).min().unwrap_or(now);
    let engines: BTreeSet<&str> = reports.iter().map(|(_, report)| report.run.engine.as_str()).collect();
    let mut replay = Replay {
        summary: Summary::new(&plan, &SummaryOptions { allowed_to_fail }),
        timeline: Timeline::new(&plan),
        started,
    };
    let workers = workers(&reports);
    for unit in &plan.units {
        match accounts.get(&unit.id()) {
            Some(Account::Report { run, image }) => replay.report(unit, image, workers[run]),
            Some(Account::Summary { disposition: Disposition::Build, failed }) => {
                let outcome = failed.map_or(Outcome::Built(Default::default()), summarized_failure);
                replay.tell(
                    Event::Finished { unit: unit.id(), outcome, duration: Duration::ZERO },
                    Duration::ZERO,
                );
            }
            Some(Account::Summary { .. }) | None => {}
        }
    }
    for (_, report) in &reports {
        let end = report.run.end.since(started);
        // The whole ends with the last of them.
        replay.timeline.end = replay.timeline.end.max(end);
        if report.run.interrupted {
            replay.tell(Event::Interrupted, end);
        }
    }
    let engine = engines.into_iter().collect::<Vec<_>>().join(", ");
    Merged { summary: replay.summary, timeline: replay.timeline, started, engine }
}

fn planned(image: &ImagePart) -> Result<PlannedUnit, crate::model::platform::UnknownPlatform> {
    Ok(PlannedUnit {
        image: image.name.clone(),
        platform: image.platform.parse()?,
        reference: image.reference.clone(),
        list: image.list.clone(),
        parent: image.parent.clone(),
        named: image.named.clone(),
        disposition: image.disposition,
        reason: image.reason.clone(),
    })
}

/// What a summary tells of. It knows no platforms: an image is meant on all that the plan has it on.
fn of_summary<'a>(summary: &'a KollaSummary, plan: &BuildPlan) -> Vec<(PlannedUnit, Account<'a>)> {
    let lists = [
        (&summary.built, Disposition::Build),
        (&summary.failed, Disposition::Build),
        (&summary.not_matched, Disposition::Unmatched),
        (&summary.skipped, Disposition::Skipped),
        (&summary.unbuildable, Disposition::Unbuildable),
    ];
    let mut units = Vec::new();
    for (index, (images, disposition)) in lists.into_iter().enumerate() {
        for image in images {
            let failed = (index == 1).then_some(image);
            let account = Account::Summary { disposition, failed };
            let mut known: Vec<PlannedUnit> =
                plan.units.iter().filter(|unit| unit.image == image.name).cloned().collect();
            if known.is_empty()
                && let Some(any) = plan.units.first()
            {
                let parent = Parent::Base(String::new());
                known.push(PlannedUnit {
                    image: image.name.clone(),
                    reference: image.name.clone(),
                    parent,
                    named: Vec::new(),
                    ..any.clone()
                });
            }
            units.extend(known.into_iter().map(|unit| (unit, account)));
        }
    }
    units
}

/// Makes a unit what its account says it was.
fn settle(unit: &mut PlannedUnit, account: Option<&Account>, complete: bool) {
    let asked_for = complete && unit.disposition == Disposition::Build;
    if let Some(Account::Report { image, .. }) = account
        && let Ok(told) = planned(image)
    {
        *unit = told;
    } else if let Some(account) = account {
        unit.disposition = account.disposition();
    } else {
        unit.disposition = Disposition::Unmatched;
    }
    if unit.disposition == Disposition::Unmatched {
        unit.reason = "no file tells that it was built".to_string();
        if asked_for {
            unit.disposition = Disposition::Build;
        }
    }
}

/// By run, how many places for building and for pushing the runs before it had: places of different runs are different.
fn workers(reports: &[(usize, &Report)]) -> HashMap<usize, (usize, usize)> {
    let (mut build, mut push) = (0, 0);
    let mut first = HashMap::new();
    for (run, report) in reports {
        first.insert(*run, (build, push));
        let most = |places: &mut dyn Iterator<Item = usize>| places.max().map_or(0, |place| place + 1);
        build += most(&mut report.images.iter().filter_map(|image| image.worker));
        push += most(&mut report.images.iter().filter_map(|image| Some(image.push.as_ref()?.worker)));
    }
    first
}

/// Tells what happened once more.
struct Replay {
    summary: Summary,
    timeline: Timeline,
    started: Timestamp,
}

impl Replay {
    fn tell(&mut self, event: Event, at: Duration) {
        self.summary.event(&event);
        self.timeline.event(&event, at);
    }

    fn report(&mut self, planned: &PlannedUnit, image: &ImagePart, (builders, pushers): (usize, usize)) {
        let unit = planned.id();
        let at = |time: Option<Time>| time.map_or(Duration::ZERO, |time| time.since(self.started));
        let (start, end) = (at(image.start), at(image.end));
        let push = image.push.as_ref();
        let (push_start, push_end) = (at(push.map(|push| push.start)), at(push.map(|push| push.end)));
        let retries: Vec<Duration> = image.retries.iter().map(|retry| at(Some(retry.at))).collect();
        if let Some(worker) = image.worker {
            self.tell(Event::Taken { unit: unit.clone(), worker: builders + worker }, start);
        }
        if image.attempts > 0 {
            let (attempt, key) = (image.attempts, image.key.clone().unwrap_or_default());
            self.tell(Event::BuildStarted { unit: unit.clone(), attempt, key }, start);
        }
        if let Some(steps) = image.steps {
            let step = Event::Step { unit: unit.clone(), number: 0, total: steps.total, text: String::new() };
            self.tell(step, start);
            // Lines of the log to the timeline only: the summary keeps the last ones of a failure.
            for cached in 1..=steps.cached {
                let text = format!("CACHED [{cached}/{}] ", steps.total);
                self.timeline.event(&Event::Line { unit: unit.clone(), text }, start);
            }
        }
        for (retry, at) in image.retries.iter().zip(retries) {
            let (attempt, failure, delay) = (retry.attempt, retry.failure(), length(retry.delay_seconds));
            self.tell(Event::Retrying { unit: unit.clone(), attempt, failure, delay }, at);
        }
        for text in &image.log_tail {
            self.summary.event(&Event::Line { unit: unit.clone(), text: text.clone() });
        }
        let Some(outcome) = image.outcome() else { return };
        let duration = length(image.seconds.unwrap_or_default());
        let finished = |outcome| Event::Finished { unit: unit.clone(), outcome, duration };
        match (&outcome, push) {
            (Outcome::PushFailed(_), _) => {
                // To the timeline, for the summary would forget the log with a success.
                self.timeline.event(&finished(Outcome::Built(image.image().unwrap_or_default())), end);
            }
            _ => self.tell(finished(outcome.clone()), end),
        }
        if let Some(push) = push {
            let started = Event::PushStarted { unit: unit.clone(), worker: pushers + push.worker };
            self.tell(started, push_start);
            if outcome.is_success() {
                let (digest, list) = (push.digest.clone(), push.list.clone());
                let pushed = Event::Pushed { unit: unit.clone(), digest, list };
                self.tell(pushed, push_end);
            }
        }
        if matches!(outcome, Outcome::PushFailed(_)) {
            self.tell(finished(outcome), push_end.max(end));
        }
    }
}
