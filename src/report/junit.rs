//! The report as JUnit's XML: a test case for each image that the run was asked for [pure].
//!
//! A failure that makes the run fail is a failure there too; one of an image that is allowed to fail is a test that was
//! skipped, as are images that an option left out or that are known not to build. What was not asked for is not there.

use std::io;

use serde::Serialize;

use super::format::{Report, ReportedImage, Seconds};
use super::templates;
use super::text::{clean, first_line};
use crate::model::gate::GateVerdict;
use crate::model::outcome::OutcomeKind;
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
    /// What gates have said, of an image that they have let pass too.
    output: Option<String>,
}

/// Reason why a test has not passed.
#[derive(Serialize)]
struct Unsuccessful {
    tag: &'static str,
    kind: Option<String>,
    message: String,
    text: String,
}

/// Text of the file.
pub fn xml(report: &Report) -> io::Result<String> {
    let Report { run, images, .. } = report;
    let asked_for = images.iter().filter(|image| image.disposition != Disposition::Unmatched);
    let cases: Vec<Case> = asked_for.map(case).collect();
    let count =
        |tag| cases.iter().filter(|case| case.result.as_ref().is_some_and(|it| it.tag == tag)).count();
    templates::render(
        "junit.xml",
        &Suite {
            tests: cases.len(),
            failures: count("failure"),
            errors: count("error"),
            skipped: count("skipped"),
            time: seconds(run.seconds),
            // The format has no place for a zone: readers take it for UTC.
            timestamp: run.start.0.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            properties: vec![
                ("version", run.version.clone()),
                ("engine", clean(&run.engine)),
                ("exit_code", run.exit_code.to_string()),
            ],
            cases,
        },
    )
}

fn case(image: &ReportedImage) -> Case {
    let push = image.push.as_ref().map(|push| push.seconds);
    let smoke = image.smoke.as_ref().map(|smoke| smoke.seconds);
    let gate = image.gate.as_ref().map(|gate| gate.seconds);
    let busy = [image.seconds, smoke, gate, push].into_iter().flatten().map(|time| time.0).sum();
    Case {
        class: image.platform.to_string(),
        name: clean(&image.name),
        time: seconds(Seconds(busy)),
        result: unsuccessful(image),
        output: gate_words(image),
    }
}

fn gate_words(image: &ReportedImage) -> Option<String> {
    let gates = &image.gate.as_ref()?.result.gates;
    Some(clean(&gates.iter().flat_map(GateVerdict::lines).collect::<Vec<_>>().join("\n")))
}

fn seconds(time: Seconds) -> String {
    format!("{:.3}", f64::from(time))
}

fn unsuccessful(image: &ReportedImage) -> Option<Unsuccessful> {
    let Some(outcome) = image.outcome else {
        let message = clean(&image.reason);
        return Some(Unsuccessful { tag: "skipped", kind: None, message, text: String::new() });
    };
    let root_cause = image.root_cause.as_deref();
    let (tag, kind, message) = match outcome {
        OutcomeKind::Built | OutcomeKind::Unchanged => return None,
        OutcomeKind::Failed | OutcomeKind::SmokeError | OutcomeKind::Gated | OutcomeKind::PushFailed => {
            let failure = image.failure.as_ref()?;
            ("failure", failure.kind.to_string(), first_line(&failure.message).to_owned())
        }
        OutcomeKind::ParentFailed => (
            "failure",
            outcome.to_string(),
            format!("not built because {} failed", root_cause.unwrap_or_default()),
        ),
        OutcomeKind::Cancelled => {
            let why = root_cause.map_or(String::new(), |cause| format!(", because {cause} failed"));
            ("error", outcome.to_string(), format!("the run ended before the image was done{why}"))
        }
    };
    let text = clean(&image.last_words().join("\n"));
    Some(if image.fails_run {
        Unsuccessful { tag, kind: Some(kind), message: clean(&message), text }
    } else {
        let message = format!("allowed to fail: {}", clean(&message));
        Unsuccessful { tag: "skipped", kind: None, message, text }
    })
}
