//! Reports that are written as files at the end of a run: JSON, JUnit, the timing page and digests.

use std::io;
use std::time::Instant;

use jiff::Timestamp;

use super::ended_run::{EndedRun, RunFacts};
use super::release::ReleaseManifest;
use super::summary::Summary;
use super::timeline::Timeline;
use super::{ReportError, Reporter, digests, html, junit};
use crate::config::options::ReportFormat;
use crate::model::event::Event;
use crate::model::plan::BuildPlan;
use crate::util::write::Destination;

/// Notes the times of a run and writes its reports.
pub struct ReportFiles {
    timeline: Timeline,
    facts: RunFacts,
    targets: Vec<(ReportFormat, Destination)>,
    started: Timestamp,
    clock: Instant,
}

impl ReportFiles {
    /// Reports of a run that starts now.
    pub fn new(plan: &BuildPlan, facts: RunFacts, targets: Vec<(ReportFormat, Destination)>) -> ReportFiles {
        let timeline = Timeline::new(plan);
        ReportFiles { timeline, facts, targets, started: Timestamp::now(), clock: Instant::now() }
    }
}

impl Reporter for ReportFiles {
    fn event(&mut self, event: &Event, _: &Summary) {
        self.timeline.event(event, self.clock.elapsed());
    }

    fn finish(&mut self, summary: &Summary) -> Vec<ReportError> {
        let run = EndedRun { summary, timeline: &self.timeline, facts: &self.facts, started: self.started };
        write_reports(&run, &self.targets)
    }
}

/// Writes reports of a run that has ended; gives all that could not be written.
pub fn write_reports(run: &EndedRun, targets: &[(ReportFormat, Destination)]) -> Vec<ReportError> {
    if targets.is_empty() {
        return Vec::new();
    }
    let report = run.report();
    let write = |(format, destination): &(ReportFormat, Destination)| {
        let (what, text) = match format {
            ReportFormat::Json => ("the report", Ok(report.to_json())),
            ReportFormat::Junit => ("the JUnit report", junit::xml(&report)),
            ReportFormat::Html => ("the timing page", html::page(&report)),
            ReportFormat::Digests => ("the digests", Ok(digests::json(&report))),
            ReportFormat::AnsibleDigests => ("the digests for kolla-ansible", Ok(digests::ansible(&report))),
            ReportFormat::Release => {
                let release = ReleaseManifest::of(&report).map_err(io::Error::other);
                ("the release manifest", release.map(|release| release.to_json()))
            }
        };
        let source = text.and_then(|text| destination.write(text.as_bytes())).err()?;
        let path = destination.path().display().to_string();
        Some(ReportError { what: what.to_string(), path, source })
    };
    targets.iter().filter_map(write).collect()
}
