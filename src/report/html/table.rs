//! The table: a row of figures for each image [pure].

use std::time::Duration;

use serde::Serialize;

use super::view::{View, word};
use crate::report::format::{ReportedImage, Seconds};
use crate::report::text::{clean, human};

/// The figures of an image.
#[derive(Serialize)]
pub struct Row {
    unit: usize,
    class: String,
    name: String,
    reference: String,
    outcome: String,
    told: String,
    cells: Vec<Cell>,
}

/// A number as it is shown and as it is sorted by.
#[derive(Serialize)]
struct Cell {
    text: String,
    order: f64,
}

/// The cell of a number that may be missing, as `shown` has it.
fn cell<T: Copy>(value: Option<T>, shown: impl Fn(T) -> String, order: impl Fn(T) -> f64) -> Cell {
    Cell { text: value.map_or(String::new(), shown), order: value.map_or(-1.0, order) }
}

fn time(time: Option<Duration>) -> Cell {
    cell(time, human, |time| Seconds(time).into())
}

impl View<'_> {
    pub(super) fn row(&self, at: usize, image: &ReportedImage) -> Row {
        let (build, push) = (self.build(image), self.push(image));
        let told = match (image.outcome, &image.root_cause) {
            (None, _) => image.reason.clone(),
            (Some(_), Some(root_cause)) => format!("{root_cause} failed"),
            (Some(_), None) => String::new(),
        };
        let attempts = Cell {
            text: if image.attempts > 0 { image.attempts.to_string() } else { String::new() },
            order: image.attempts.into(),
        };
        Row {
            unit: at,
            class: self.class(at),
            name: self.name(image),
            reference: clean(&image.reference.to_string()),
            outcome: word(image).replace('_', " "),
            told: clean(&told),
            cells: vec![
                cell(image.worker, |worker| (worker + 1).to_string(), |worker| worker as f64),
                time(build.map(|build| build.start)),
                time(image.queue_seconds.map(|queued| queued.0)),
                time(build.map(|build| build.length())),
                attempts,
                cell(
                    image.steps.filter(|steps| steps.total > 0),
                    |steps| format!("{}/{}", steps.cached, steps.total),
                    |steps| f64::from(steps.cached) / f64::from(steps.total),
                ),
                cell(image.size.filter(|size| *size > 0), megabytes, |size| size as f64),
                time(self.smoke(image).map(|smoke| smoke.length())),
                time(self.gate(image).map(|gate| gate.length())),
                time(push.map(|push| push.length())),
            ],
        }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
