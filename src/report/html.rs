//! The timing page: who built what when, what failed and why, and the graph, in one file without anything from elsewhere
//! [pure].

mod chart;
mod table;
mod tree;
mod view;

use std::io;
use std::time::Duration;

use serde::Serialize;

use self::view::{View, percent, word};
use super::closing;
use super::format::{Report, ReportedImage};
use super::templates;
use super::text::{clean, first_line, human};
use crate::model::gate::GateVerdict;

#[derive(Serialize)]
struct Page {
    verdict: String,
    failed: bool,
    facts: Vec<(&'static str, String)>,
    counts: Vec<(String, usize)>,
    path: Vec<PathStep>,
    path_work: String,
    path_waiting: String,
    lanes: Vec<chart::Lane>,
    marks: Vec<chart::Mark>,
    failures: Vec<FailureText>,
    gates: Vec<FailureText>,
    tree: Vec<tree::Twig>,
    rows: Vec<table::Row>,
    configuration: Vec<(String, String, String, String)>,
}

/// An image of the critical path; its share of the work in percent.
#[derive(Serialize)]
struct PathStep {
    unit: usize,
    name: String,
    took: String,
    share: String,
}

#[derive(Serialize)]
struct FailureText {
    unit: usize,
    name: String,
    message: String,
    text: String,
}

/// Text of the page.
pub fn page(report: &Report) -> io::Result<String> {
    templates::render("page.html", &View::new(report).page())
}

impl View<'_> {
    fn page(&self) -> Page {
        let Report { run, counts, critical_path, .. } = self.report;
        let work = critical_path.work_seconds.0;
        Page {
            verdict: closing::verdict_text(&counts.outcomes, run.seconds.0),
            failed: run.exit_code != 0,
            facts: self.facts(),
            counts: self.counts(),
            path: self.path.iter().map(|unit| self.path_step(*unit, work)).collect(),
            path_work: human(work),
            path_waiting: human(critical_path.waiting_seconds.0),
            lanes: self.lanes(),
            marks: chart::marks(run.seconds.0),
            failures: self.shown().filter_map(|(at, image)| self.failure(at, image)).collect(),
            gates: self.shown().flat_map(|(at, image)| self.gates(at, image)).collect(),
            tree: self.tree(),
            rows: self.shown().map(|(at, image)| self.row(at, image)).collect(),
            configuration: self.configuration(),
        }
    }

    /// What gates have said of an image.
    fn gates(&self, at: usize, image: &ReportedImage) -> Vec<FailureText> {
        let gates = image.gate.iter().flat_map(|gate| &gate.result.gates);
        let told = |gate: &GateVerdict| FailureText {
            unit: at,
            name: self.name(image),
            message: clean(&format!("{}: {}", gate.command, gate.verdict())),
            text: clean(&gate.words.join("\n")),
        };
        gates.map(told).collect()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let Report { run, images, .. } = self.report;
        let busy: Duration =
            images.iter().filter_map(|image| self.build(image)).map(|span| span.length()).sum();
        let at_once = busy.as_secs_f64() / run.seconds.0.as_secs_f64().max(0.001);
        vec![
            ("Started", run.start.to_string()),
            ("Ended", run.end.to_string()),
            ("Built at once, on average", format!("{at_once:.1}")),
            ("Engine", clean(&run.engine)),
            ("kolla-build", run.version.clone()),
            ("Exit code", run.exit_code.to_string()),
        ]
    }

    fn counts(&self) -> Vec<(String, usize)> {
        let mut counts: Vec<(String, usize)> = Vec::new();
        for (_, image) in self.shown() {
            let word = word(image);
            match counts.iter_mut().find(|(known, _)| *known == word) {
                Some((_, count)) => *count += 1,
                None => counts.push((word, 1)),
            }
        }
        counts
    }

    fn path_step(&self, unit: usize, work: Duration) -> PathStep {
        let image = &self.report.images[unit];
        let took = self.build(image).map(|build| build.length()).unwrap_or_default();
        PathStep { unit, name: self.name(image), took: human(took), share: percent(took, work) }
    }

    fn failure(&self, at: usize, image: &ReportedImage) -> Option<FailureText> {
        Some(FailureText {
            unit: at,
            name: self.name(image),
            message: clean(first_line(&image.failure.as_ref()?.message)),
            text: clean(&image.last_words().join("\n")),
        })
    }

    fn configuration(&self) -> Vec<(String, String, String, String)> {
        let set = self.report.configuration.iter().filter_map(|setting| {
            let (value, place) = (setting.value.as_ref()?, setting.place.clone()?);
            Some((setting.section.clone(), setting.name.clone(), clean(value), place))
        });
        set.collect()
    }
}
