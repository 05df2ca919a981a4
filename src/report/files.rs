//! Reports that are written as files at the end of a run: JSON, JUnit, the timing page and digests.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::summary::Summary;
use super::timeline::Timeline;
use super::{ReportError, Reporter, digests, junit, report_html, report_json};
use crate::config::settings::Setting;
use crate::model::event::Event;
use crate::model::plan::BuildPlan;
use crate::util::exit::EXIT_INTERRUPTED;
use crate::util::write::Destination;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Everything, for programs.
    Json,
    /// Test cases, for what shows tests.
    Junit,
    /// A page, for people.
    Html,
    /// What was pushed, by digest.
    Digests,
    /// The same as variables of kolla-ansible.
    AnsibleDigests,
}

/// What reports tell of a run beside its events.
#[derive(Debug, Clone, Default)]
pub struct RunFacts {
    /// What it was built with.
    pub engine: String,
    /// The configuration, without secrets.
    pub configuration: Vec<Setting>,
}

/// A run that has ended, as reports see it.
pub struct Run<'a> {
    /// Its images and their ends.
    pub summary: &'a Summary,
    /// Their times.
    pub timeline: &'a Timeline,
    /// All else.
    pub facts: &'a RunFacts,
    /// When it started.
    pub started: Timestamp,
}

impl Run<'_> {
    /// A time of the timeline, by the world's clock. One that no clock can show is shown as the start.
    pub fn clock(&self, since_start: Duration) -> Timestamp {
        self.started.checked_add(since_start).unwrap_or(self.started)
    }

    /// What the process exits with, unless something goes wrong after the run.
    pub fn exit_code(&self) -> u8 {
        if self.timeline.interrupted { EXIT_INTERRUPTED } else { self.summary.exit_code() }
    }
}

/// A time as RFC 3339 has it.
pub fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Seconds, to the millisecond.
pub fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

/// Notes the times of a run and writes its reports.
pub struct ReportFiles {
    timeline: Timeline,
    facts: RunFacts,
    targets: Vec<(Format, Destination)>,
    started: Timestamp,
    clock: Instant,
}

impl ReportFiles {
    /// Reports of a run that starts now.
    pub fn new(plan: &BuildPlan, facts: RunFacts, targets: Vec<(Format, Destination)>) -> ReportFiles {
        let timeline = Timeline::new(plan);
        ReportFiles { timeline, facts, targets, started: Timestamp::now(), clock: Instant::now() }
    }
}

impl Reporter for ReportFiles {
    fn event(&mut self, event: &Event, _: &Summary) {
        self.timeline.event(event, self.clock.elapsed());
    }

    fn finish(&mut self, summary: &Summary) -> Vec<ReportError> {
        let run = Run { summary, timeline: &self.timeline, facts: &self.facts, started: self.started };
        write_reports(&run, &self.targets)
    }
}

/// Writes reports of a run that has ended; gives all that could not be written.
pub fn write_reports(run: &Run, targets: &[(Format, Destination)]) -> Vec<ReportError> {
    let write = |(format, destination): &(Format, Destination)| {
        let (what, text) = match format {
            Format::Json => ("the report", Ok(report_json::report(run))),
            Format::Junit => ("the JUnit report", junit::report(run)),
            Format::Html => ("the timing page", report_html::page(run)),
            Format::Digests => ("the digests", Ok(digests::json(run.timeline))),
            Format::AnsibleDigests => ("the digests for kolla-ansible", Ok(digests::ansible(run.timeline))),
        };
        let source = text.and_then(|text| destination.write(text.as_bytes())).err()?;
        let path = destination.path().display().to_string();
        Some(ReportError { what: what.to_string(), path, source })
    };
    targets.iter().filter_map(write).collect()
}
