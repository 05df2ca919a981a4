//! The chart: a lane for each worker, with a bar for each image that it had [pure].

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::view::{View, class, percent, word};
use crate::model::outcome::OutcomeKind;
use crate::report::format::ReportedImage;
use crate::report::text::{clean, counted, first_line, human};
use crate::report::timeline::Span;

/// Distances of the time axis' marks, in seconds.
const MARKS: [u64; 16] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800];
/// The most marks of a time axis.
const MOST_MARKS: u64 = 10;

/// Everything that one worker did.
#[derive(Serialize)]
pub struct Lane {
    name: String,
    bars: Vec<Bar>,
}

/// One piece of work; its place is in percent of the whole time.
#[derive(Serialize)]
struct Bar {
    unit: usize,
    name: String,
    left: String,
    width: String,
    class: String,
    tip: String,
}

/// A mark of the time axis.
#[derive(Serialize)]
pub struct Mark {
    left: String,
    name: String,
}

/// Kind of work; lanes are in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Build,
    Smoke,
    Gate,
    Push,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Work::Build => "build",
            Work::Smoke => "smoke",
            Work::Gate => "gate",
            Work::Push => "push",
        })
    }
}

impl View<'_> {
    /// A lane for each worker that builds, then for each smoke test at once, for each image at its gates, and for each
    /// worker that pushes.
    pub(super) fn lanes(&self) -> Vec<Lane> {
        let mut lanes: BTreeMap<(Work, usize), Vec<Bar>> = BTreeMap::new();
        for (at, image) in self.shown() {
            let spans = [
                (Work::Build, self.build(image)),
                (Work::Smoke, self.smoke(image)),
                (Work::Gate, self.gate(image)),
                (Work::Push, self.push(image)),
            ];
            for (work, span) in spans {
                let Some(span) = span else { continue };
                lanes.entry((work, span.worker)).or_default().push(self.bar(at, image, work, span));
            }
        }
        let lane = |((work, worker), bars)| Lane { name: format!("{work} {}", worker + 1), bars };
        lanes.into_iter().map(lane).collect()
    }

    fn bar(&self, at: usize, image: &ReportedImage, work: Work, span: Span) -> Bar {
        let outcome = match (image.outcome, work) {
            // It was built before, and has passed what comes before its end.
            (Some(OutcomeKind::SmokeError), Work::Build)
            | (Some(OutcomeKind::Gated), Work::Build | Work::Smoke)
            | (Some(OutcomeKind::PushFailed), Work::Build | Work::Smoke | Work::Gate) => {
                OutcomeKind::Built.to_string()
            }
            _ => word(image),
        };
        // No child waits for a push, so only the last one can matter.
        let critical = self.path.contains(&at) && (work == Work::Build || self.path.last() == Some(&at));
        let mut class = class(outcome, critical);
        if work != Work::Build {
            class.push_str(" push");
        }
        if !image.retries.is_empty() {
            class.push_str(" retried");
        }
        let end = self.report.run.seconds.0;
        Bar {
            unit: at,
            name: self.name(image),
            left: percent(span.start, end),
            width: percent(span.length(), end),
            class,
            tip: self.tip(image, work, span),
        }
    }

    fn tip(&self, image: &ReportedImage, work: Work, span: Span) -> String {
        let [took, start, end] = [span.length(), span.start, span.end].map(human);
        let what = match work {
            Work::Build => word(image),
            Work::Smoke => "smoke test".to_owned(),
            Work::Gate => "gates".to_owned(),
            Work::Push => "pushed".to_owned(),
        };
        let mut lines = vec![self.name(image), format!("{what} in {took}, {start} to {end}")];
        if work == Work::Build {
            lines
                .extend(image.queue_seconds.map(|queued| format!("waited {} for a worker", human(queued.0))));
            lines.extend(image.steps.filter(|steps| steps.total > 0).map(|steps| {
                format!("{} of {} from the cache", steps.cached, counted(steps.total as usize, "step"))
            }));
        }
        for retry in &image.retries {
            let (at, message) = (human(self.since_start(retry.at)), clean(first_line(&retry.message)));
            lines.push(format!("attempt {} failed at {at}: {message}", retry.attempt));
        }
        lines.extend(image.failure.as_ref().map(|failure| clean(first_line(&failure.message))));
        lines.join("\n")
    }
}

/// Marks of a time axis that is so long.
pub fn marks(end: Duration) -> Vec<Mark> {
    let whole = end.as_secs();
    let distance = MARKS.into_iter().find(|distance| whole / distance < MOST_MARKS);
    let distance = distance.unwrap_or((whole / MOST_MARKS).max(1));
    let mark = |number| {
        let time = Duration::from_secs(number * distance);
        let name = if time.as_secs() < 60 { format!("{}s", time.as_secs()) } else { human(time) };
        Mark { left: percent(time, end), name }
    };
    (0..=whole / distance).map(mark).collect()
}
