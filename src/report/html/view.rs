//! A report as the parts of its page see it [pure].

use std::time::Duration;

use crate::model::ids::ImageName;
use crate::model::plan::Disposition;
use crate::report::format::{Report, ReportedImage, Time};
use crate::report::text::clean;
use crate::report::timeline::Span;

/// A report and what every part of its page asks for.
pub struct View<'a> {
    /// Report that the page shows.
    pub report: &'a Report,
    /// Indices of the critical path's images, parents first.
    pub path: Vec<usize>,
    /// The report is of several platforms.
    several_platforms: bool,
}

impl<'a> View<'a> {
    pub fn new(report: &'a Report) -> View<'a> {
        let path = &report.critical_path;
        let index = |name: &ImageName| {
            let is_it = |image: &ReportedImage| image.name == *name && Some(image.platform) == path.platform;
            report.images.iter().position(is_it)
        };
        let first = report.images.first().map(|image| image.platform);
        View {
            report,
            path: path.images.iter().filter_map(index).collect(),
            several_platforms: report.images.iter().any(|image| Some(image.platform) != first),
        }
    }

    /// The images that were asked for, each with its index.
    pub fn shown(&self) -> impl Iterator<Item = (usize, &'a ReportedImage)> {
        let asked_for = |(_, image): &(usize, &ReportedImage)| image.disposition != Disposition::Unmatched;
        self.report.images.iter().enumerate().filter(asked_for)
    }

    /// The name that people know an image by; with several platforms it tells the architecture.
    pub fn name(&self, image: &ReportedImage) -> String {
        match self.several_platforms {
            true => clean(&format!("{}-{}", image.name, image.platform.arch.kolla())),
            false => clean(&image.name),
        }
    }

    /// How long after the run's start a time is.
    pub fn since_start(&self, time: Time) -> Duration {
        time.since(self.report.run.start.0)
    }

    /// An image's time at a worker that builds; none when no worker took it.
    pub fn build(&self, image: &ReportedImage) -> Option<Span> {
        let (start, end) = (self.since_start(image.start?), self.since_start(image.end?));
        Some(Span { worker: image.worker?, start, end })
    }

    /// An image's time in its smoke test; none when there was none.
    pub fn smoke(&self, image: &ReportedImage) -> Option<Span> {
        let smoke = image.smoke.as_ref()?;
        let (start, end) = (self.since_start(smoke.start), self.since_start(smoke.end));
        Some(Span { worker: smoke.worker, start, end })
    }

    /// An image's time at its gates; none when there were none.
    pub fn gate(&self, image: &ReportedImage) -> Option<Span> {
        let gate = image.gate.as_ref()?;
        let (start, end) = (self.since_start(gate.start), self.since_start(gate.end));
        Some(Span { worker: gate.worker, start, end })
    }

    /// An image's time at a worker that pushes; none when it was not pushed.
    pub fn push(&self, image: &ReportedImage) -> Option<Span> {
        let push = image.push.as_ref()?;
        let (start, end) = (self.since_start(push.start), self.since_start(push.end));
        Some(Span { worker: push.worker, start, end })
    }

    /// The classes by which the style sheet paints an image.
    pub fn class(&self, unit: usize) -> String {
        class(word(&self.report.images[unit]), self.path.contains(&unit))
    }
}

/// The word for an image's end, or for why it was to have none. It is a class of the style sheet too.
pub fn word(image: &ReportedImage) -> String {
    image.outcome.map_or_else(|| image.disposition.to_string(), |outcome| outcome.to_string())
}

/// Classes of an image with this end.
pub fn class(mut word: String, critical: bool) -> String {
    if critical {
        word.push_str(" critical");
    }
    word
}

/// A share in percent, as style sheets take it.
pub fn percent(part: Duration, whole: Duration) -> String {
    format!("{:.3}", part.as_secs_f64() * 100.0 / whole.as_secs_f64().max(0.001))
}
