//! A run that has ended, and the report of it [pure].

use std::time::Duration;

use jiff::Timestamp;

use super::format::{
    REPORT_VERSION, Report, ReportedCounts, ReportedGate, ReportedImage, ReportedPath, ReportedPush,
    ReportedRetry, ReportedRun, ReportedSetting, ReportedSmoke, ReportedSteps, Seconds, Time,
};
use super::summary::{Summary, UnitSummary};
use super::timeline::{Retry, Span, Timeline, UnitTimes};
use crate::config::layer::SetAt;
use crate::config::settings::Setting;
use crate::model::outcome::Outcome;
use crate::model::plan::Disposition;
use crate::util::exit::EXIT_INTERRUPTED;

/// Facts of a run that no event tells.
#[derive(Debug, Clone, Default)]
pub struct RunFacts {
    /// Name, version and address of the engine.
    pub engine: String,
    /// The configuration, without secrets.
    pub configuration: Vec<ReportedSetting>,
}

impl RunFacts {
    /// Facts of a run with these settings.
    pub fn new(engine: String, settings: Vec<Setting<'_>>) -> RunFacts {
        RunFacts { engine, configuration: settings.into_iter().map(ReportedSetting::from).collect() }
    }
}

/// A run that has ended.
pub struct EndedRun<'a> {
    /// Images and their ends.
    pub summary: &'a Summary,
    /// Times of the images.
    pub timeline: &'a Timeline,
    /// Facts that no event tells.
    pub facts: &'a RunFacts,
    /// Start of the run.
    pub started: Timestamp,
}

impl EndedRun<'_> {
    /// Exit code of the process, unless something goes wrong after the run.
    pub fn exit_code(&self) -> u8 {
        if self.timeline.interrupted { EXIT_INTERRUPTED } else { self.summary.exit_code() }
    }

    /// Everything that is known of the run.
    pub fn report(&self) -> Report {
        let units = self.timeline.units().iter().zip(self.summary.units());
        Report {
            report_version: REPORT_VERSION,
            run: self.run(),
            counts: self.counts(),
            critical_path: self.critical_path(),
            configuration: self.facts.configuration.clone(),
            images: units.map(|(times, unit)| self.image(times, unit)).collect(),
        }
    }

    /// A time of the timeline, by the world's clock. One that no clock can show is shown as the start.
    fn clock(&self, since_start: Duration) -> Time {
        Time(self.started.checked_add(since_start).unwrap_or(self.started))
    }

    fn run(&self) -> ReportedRun {
        ReportedRun {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: self.facts.engine.clone(),
            start: Time(self.started),
            end: self.clock(self.timeline.end),
            seconds: Seconds(self.timeline.end),
            exit_code: self.exit_code(),
            interrupted: self.timeline.interrupted,
        }
    }

    fn counts(&self) -> ReportedCounts {
        let count = |wanted| self.summary.units().iter().filter(|unit| unit.disposition == wanted).count();
        ReportedCounts {
            outcomes: self.summary.final_counts(),
            unmatched: count(Disposition::Unmatched),
            skipped: count(Disposition::Skipped),
            unbuildable: count(Disposition::Unbuildable),
        }
    }

    fn critical_path(&self) -> ReportedPath {
        let path = self.timeline.critical_path();
        let planned = || path.units.iter().map(|unit| &self.timeline.units()[*unit].planned);
        ReportedPath {
            images: planned().map(|unit| unit.image.clone()).collect(),
            platform: planned().next().map(|unit| unit.platform),
            work_seconds: Seconds(path.work),
            waiting_seconds: Seconds(path.waiting),
        }
    }

    fn image(&self, times: &UnitTimes, unit: &UnitSummary) -> ReportedImage {
        let UnitTimes { planned, build, smoke, gate, push, image, .. } = times;
        let root_cause = unit.outcome().and_then(Outcome::root_cause);
        ReportedImage {
            name: planned.image.clone(),
            platform: planned.platform,
            reference: planned.reference.clone(),
            list: planned.list.clone(),
            parent: planned.parent.clone(),
            named: planned.named.clone(),
            disposition: unit.disposition,
            reason: planned.reason.clone(),
            outcome: unit.outcome().map(Outcome::kind),
            fails_run: self.summary.is_run_failure(unit),
            failure: unit.failure().cloned(),
            root_cause: root_cause.cloned(),
            log_tail: unit.tail.iter().cloned().collect(),
            worker: build.map(|build| build.worker),
            ready: self.timeline.ready(times).map(|ready| self.clock(ready)),
            start: build.map(|build| self.clock(build.start)),
            end: build.map(|build| self.clock(build.end)),
            queue_seconds: self.timeline.queued(times).map(Seconds),
            seconds: build.map(|build| Seconds(build.length())),
            attempts: times.attempts,
            retries: times.retries.iter().map(|retry| self.retry(retry)).collect(),
            steps: (times.steps > 0 || times.cached > 0)
                .then_some(ReportedSteps { total: times.steps, cached: times.cached }),
            key: times.key.clone(),
            image_id: image.as_ref().map(|image| image.id.clone()),
            size: image.as_ref().map(|image| image.size),
            layers: image.as_ref().map(|image| image.layers).filter(|layers| *layers > 0),
            smoke: smoke.map(|smoke| self.smoke(smoke, times)),
            gate: gate.map(|gate| self.gate(gate, times)),
            push: push.map(|push| self.push(push, times)),
        }
    }

    fn retry(&self, retry: &Retry) -> ReportedRetry {
        let failure = &retry.failure;
        ReportedRetry {
            attempt: retry.attempt,
            at: self.clock(retry.at),
            kind: failure.kind,
            message: failure.message.clone(),
            hints: failure.hints.clone(),
            delay_seconds: Seconds(retry.delay),
        }
    }

    fn smoke(&self, smoke: Span, times: &UnitTimes) -> ReportedSmoke {
        ReportedSmoke {
            worker: smoke.worker,
            start: self.clock(smoke.start),
            end: self.clock(smoke.end),
            seconds: Seconds(smoke.length()),
            result: times.found.clone(),
        }
    }

    fn gate(&self, gate: Span, times: &UnitTimes) -> ReportedGate {
        ReportedGate {
            worker: gate.worker,
            start: self.clock(gate.start),
            end: self.clock(gate.end),
            seconds: Seconds(gate.length()),
            result: times.verdicts.clone(),
        }
    }

    fn push(&self, push: Span, times: &UnitTimes) -> ReportedPush {
        ReportedPush {
            worker: push.worker,
            start: self.clock(push.start),
            end: self.clock(push.end),
            seconds: Seconds(push.length()),
            digest: times.digest.clone(),
            list: times.list.clone(),
            attached: times.attached.clone(),
            list_attached: times.list_attached.clone(),
        }
    }
}

impl From<Setting<'_>> for ReportedSetting {
    fn from(Setting { section, name, value }: Setting<'_>) -> ReportedSetting {
        let (value, place) = value.unzip();
        ReportedSetting {
            section: section.to_owned(),
            name: name.to_owned(),
            value,
            place: place.map(SetAt::to_string),
        }
    }
}
