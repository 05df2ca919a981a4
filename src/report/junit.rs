//! The report as JUnit's XML: a test case for each image that the run was asked for [pure].
//!
//! A failure that makes the run fail is a failure there too; one of an image that is allowed to fail is a test that was
//! skipped, as are images that an option left out or that are known not to build. What was not asked for is not there.

use std::io;

use serde::Serialize;

use super::files::{Run, seconds};
use super::summary::UnitSummary;
use super::templates;
use super::text::{clean, first_line};
use super::timeline::UnitTimes;
use crate::model::event::Outcome;
use crate::model::plan::Disposition;

#[derive(Serialize)]
struct Suite {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
    time: String,
    timestamp: String,
    properties: Vec<(&'static str, String)>,
    cases: Vec<Case>,
}

#[derive(Serialize)]
struct Case {
    class: String,
    name: String,
    time: String,
    result: Option<Unsuccessful>,
}

/// What keeps a test from being passed.
#[derive(Serialize)]
struct Unsuccessful {
    tag: &'static str,
    kind: Option<&'static str>,
    message: String,
    text: String,
}

/// The whole report.
pub fn report(run: &Run) -> io::Result<String> {
    let asked_for = |(_, unit): &(_, &UnitSummary)| unit.disposition != Disposition::Unmatched;
    let units = run.timeline.units().iter().zip(run.summary.units()).filter(asked_for);
    let cases: Vec<Case> = units.map(|(times, unit)| case(run, times, unit)).collect();
    let count =
        |tag| cases.iter().filter(|case| case.result.as_ref().is_some_and(|it| it.tag == tag)).count();
    templates::render(
        "junit.xml",
        &Suite {
            tests: cases.len(),
            failures: count("failure"),
            errors: count("error"),
            skipped: count("skipped"),
            time: format!("{:.3}", seconds(run.timeline.end)),
            // The format has no place for a zone: readers take it for UTC.
            timestamp: run.started.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            properties: vec![
                ("version", env!("CARGO_PKG_VERSION").to_string()),
                ("engine", clean(&run.facts.engine)),
                ("exit_code", run.exit_code().to_string()),
            ],
            cases,
        },
    )
}

fn case(run: &Run, times: &UnitTimes, unit: &UnitSummary) -> Case {
    let busy = [times.build, times.push].into_iter().flatten().map(|span| span.length()).sum();
    Case {
        class: unit.unit.platform.to_string(),
        name: clean(&unit.unit.image),
        time: format!("{:.3}", seconds(busy)),
        result: result(run, times, unit),
    }
}

fn result(run: &Run, times: &UnitTimes, unit: &UnitSummary) -> Option<Unsuccessful> {
    let Some(outcome) = unit.outcome() else {
        let message = clean(&times.planned.reason);
        return Some(Unsuccessful { tag: "skipped", kind: None, message, text: String::new() });
    };
    let (tag, kind, message) = match outcome {
        Outcome::Built(_) | Outcome::Unchanged(_) => return None,
        Outcome::Failed(failure) | Outcome::PushFailed(failure) => {
            ("failure", failure.kind.word(), first_line(&failure.message).to_string())
        }
        Outcome::ParentFailed { root_cause } => {
            ("failure", outcome.word(), format!("not built because {root_cause} failed"))
        }
        Outcome::Cancelled { root_cause } => {
            let why = root_cause.as_ref().map_or(String::new(), |cause| format!(", because {cause} failed"));
            ("error", outcome.word(), format!("the run ended before the image was done{why}"))
        }
    };
    let text = clean(&unit.last_words().join("\n"));
    Some(if run.summary.is_run_failure(unit) {
        Unsuccessful { tag, kind: Some(kind), message: clean(&message), text }
    } else {
        let message = format!("allowed to fail: {}", clean(&message));
        Unsuccessful { tag: "skipped", kind: None, message, text }
    })
}
