//! Events of earlier runs, made once more from their reports [pure].

use std::time::Duration;

use jiff::Timestamp;

use crate::model::event::{Event, UnitId};
use crate::model::outcome::Outcome;
use crate::model::plan::{BuildPlan, PlannedUnit};
use crate::report::format::{ReportedImage, Time};
use crate::report::summary::{Summary, SummaryOptions};
use crate::report::timeline::Timeline;

/// The places at workers that the runs before one had: places of different runs are different.
#[derive(Debug, Clone, Copy, Default)]
pub struct FirstWorkers {
    /// Of those that build.
    pub build: usize,
    /// Of smoke tests.
    pub smoke: usize,
    /// Of gates.
    pub gate: usize,
    /// Of those that push.
    pub push: usize,
}

/// The summary and the timeline of the whole, as far as it has been told.
pub struct Replay {
    pub summary: Summary,
    pub timeline: Timeline,
    /// Start of the whole.
    started: Timestamp,
}

impl Replay {
    /// Nothing has been told yet.
    pub fn new(plan: &BuildPlan, options: &SummaryOptions, started: Timestamp) -> Replay {
        Replay { summary: Summary::new(plan, options), timeline: Timeline::new(plan), started }
    }

    /// Tells an event that came so long after the start.
    pub fn tell(&mut self, event: &Event, at: Duration) {
        self.summary.event(event);
        self.timeline.event(event, at);
    }

    /// How long after the start a time is; zero when it is not known.
    fn at(&self, time: Option<Time>) -> Duration {
        time.map_or(Duration::ZERO, |time| time.since(self.started))
    }

    /// Tells all that a report tells of an image.
    pub fn image(&mut self, planned: &PlannedUnit, image: &ReportedImage, first: FirstWorkers) {
        let unit = planned.id();
        self.build(&unit, image, first.build);
        let Some(outcome) = image.full_outcome() else { return };
        self.build_ended(&unit, image, &outcome);
        self.smoke(&unit, image, &outcome, first.smoke);
        self.gate(&unit, image, &outcome, first.gate);
        self.push(&unit, image, &outcome, first.push);
    }

    fn build(&mut self, unit: &UnitId, image: &ReportedImage, first_worker: usize) {
        let start = self.at(image.start);
        if let Some(worker) = image.worker {
            self.tell(&Event::Taken { unit: unit.clone(), worker: first_worker + worker }, start);
        }
        if image.attempts > 0 {
            let (attempt, key) = (image.attempts, image.key.clone().unwrap_or_default());
            self.tell(&Event::BuildStarted { unit: unit.clone(), attempt, key }, start);
        }
        if let Some(steps) = image.steps {
            let step = Event::Step { unit: unit.clone(), number: 0, total: steps.total, text: String::new() };
            self.tell(&step, start);
            // Lines of the log to the timeline only: the summary keeps the last ones of a failure.
            for cached in 1..=steps.cached {
                let text = format!("CACHED [{cached}/{}] ", steps.total);
                self.timeline.event(&Event::Line { unit: unit.clone(), text }, start);
            }
        }
        for retry in &image.retries {
            let (attempt, failure, delay) = (retry.attempt, retry.failure(), retry.delay_seconds.0);
            let at = self.at(Some(retry.at));
            self.tell(&Event::Retrying { unit: unit.clone(), attempt, failure, delay }, at);
        }
        for text in &image.log_tail {
            self.summary.event(&Event::Line { unit: unit.clone(), text: text.clone() });
        }
    }

    fn build_ended(&mut self, unit: &UnitId, image: &ReportedImage, outcome: &Outcome) {
        let end = self.at(image.end);
        match outcome {
            // To the timeline only, for the summary would forget the log with a success.
            Outcome::SmokeError(_) | Outcome::Gated(_) | Outcome::PushFailed(_) => {
                let built = Outcome::Built(image.image().unwrap_or_default());
                self.timeline.event(&finished(unit, image, built), end);
            }
            _ => self.tell(&finished(unit, image, outcome.clone()), end),
        }
    }

    fn smoke(&mut self, unit: &UnitId, image: &ReportedImage, outcome: &Outcome, first_worker: usize) {
        if let Some(smoke) = &image.smoke {
            // To the timeline only, for the summary would forget the log with the start of it.
            let started = Event::SmokeStarted { unit: unit.clone(), worker: first_worker + smoke.worker };
            let ended = Event::SmokeEnded { unit: unit.clone(), result: smoke.result.clone() };
            let (start, end) = (self.at(Some(smoke.start)), self.at(Some(smoke.end)));
            self.timeline.event(&started, start);
            self.timeline.event(&ended, end);
        }
        if matches!(outcome, Outcome::SmokeError(_)) {
            let end = self.at(image.smoke.as_ref().map(|smoke| smoke.end).or(image.end));
            self.tell(&finished(unit, image, outcome.clone()), end);
        }
    }

    fn gate(&mut self, unit: &UnitId, image: &ReportedImage, outcome: &Outcome, first_worker: usize) {
        if let Some(gate) = &image.gate {
            // To the timeline only, as of smoke tests.
            let started = Event::GateStarted { unit: unit.clone(), worker: first_worker + gate.worker };
            let ended = Event::GateEnded { unit: unit.clone(), result: gate.result.clone() };
            let (start, end) = (self.at(Some(gate.start)), self.at(Some(gate.end)));
            self.timeline.event(&started, start);
            self.timeline.event(&ended, end);
        }
        if matches!(outcome, Outcome::Gated(_)) {
            let end = self.at(image.gate.as_ref().map(|gate| gate.end).or(image.end));
            self.tell(&finished(unit, image, outcome.clone()), end);
        }
    }

    fn push(&mut self, unit: &UnitId, image: &ReportedImage, outcome: &Outcome, first_worker: usize) {
        let mut end = self.at(image.end);
        if let Some(push) = &image.push {
            let worker = first_worker + push.worker;
            let (push_start, push_end) = (self.at(Some(push.start)), self.at(Some(push.end)));
            self.tell(&Event::PushStarted { unit: unit.clone(), worker }, push_start);
            if outcome.is_success() {
                let (digest, list) = (push.digest.clone(), push.list.clone());
                let (attached, list_attached) = (push.attached.clone(), push.list_attached.clone());
                let pushed = Event::Pushed { unit: unit.clone(), digest, list, attached, list_attached };
                self.tell(&pushed, push_end);
            }
            end = end.max(push_end);
        }
        if matches!(outcome, Outcome::PushFailed(_)) {
            self.tell(&finished(unit, image, outcome.clone()), end);
        }
    }
}

fn finished(unit: &UnitId, image: &ReportedImage, outcome: Outcome) -> Event {
    let duration = image.seconds.unwrap_or_default().0;
    Event::Finished { unit: unit.clone(), outcome, duration }
}
