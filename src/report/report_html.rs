//! The timing page: who built what when, what failed and why, and the graph, in one file without anything from elsewhere
//! [pure].

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::time::Duration;

use serde::Serialize;

use super::closing;
use super::files::{Run, rfc3339, seconds};
use super::summary::UnitSummary;
use super::templates;
use super::text::{clean, counted, first_line, human};
use super::timeline::{CriticalPath, Span, UnitTimes};
use crate::model::event::Outcome;
use crate::model::plan::{Disposition, Parent};

/// Distances of the time axis' marks, in seconds.
const MARKS: [u64; 16] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800];
/// The most marks of a time axis.
const MOST_MARKS: u64 = 10;

#[derive(Serialize)]
struct Page {
    verdict: String,
    failed: bool,
    facts: Vec<(&'static str, String)>,
    counts: Vec<(&'static str, usize)>,
    path: Vec<PathStep>,
    path_work: String,
    path_waiting: String,
    lanes: Vec<Lane>,
    marks: Vec<Mark>,
    failures: Vec<FailureText>,
    tree: Vec<Twig>,
    rows: Vec<Row>,
    configuration: Vec<(String, String, String, String)>,
}

/// A unit of the critical path; its share of the work in percent.
#[derive(Serialize)]
struct PathStep {
    unit: usize,
    name: String,
    took: String,
    share: String,
}

/// A worker's time.
#[derive(Serialize)]
struct Lane {
    name: String,
    bars: Vec<Bar>,
}

/// A stretch of it; its place in percent of the whole.
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
struct Mark {
    left: String,
    name: String,
}

#[derive(Serialize)]
struct FailureText {
    unit: usize,
    name: String,
    message: String,
    text: String,
}

/// A line of the graph, which is shown as a tree.
#[derive(Serialize)]
struct Twig {
    depth: usize,
    unit: Option<usize>,
    name: String,
    class: String,
    took: String,
}

#[derive(Serialize)]
struct Row {
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

/// The whole page.
pub fn page(run: &Run) -> io::Result<String> {
    templates::render("page.html", &View::new(run).page())
}

/// A run and what every part of its page asks for.
struct View<'a> {
    run: &'a Run<'a>,
    path: CriticalPath,
    /// Whether each unit is on the critical path.
    critical: Vec<bool>,
}

impl<'a> View<'a> {
    fn new(run: &'a Run<'a>) -> View<'a> {
        let mut critical = vec![false; run.timeline.units().len()];
        let path = run.timeline.critical_path();
        path.units.iter().for_each(|unit| critical[*unit] = true);
        View { run, path, critical }
    }

    fn page(&self) -> Page {
        let path = &self.path;
        Page {
            verdict: closing::verdict(self.run.summary, self.run.timeline.end).text,
            failed: self.run.exit_code() != 0,
            facts: self.facts(),
            counts: self.counts(),
            path: path.units.iter().map(|unit| self.path_step(*unit, path.work)).collect(),
            path_work: human(path.work),
            path_waiting: human(path.waiting),
            lanes: self.lanes(),
            marks: marks(self.run.timeline.end),
            failures: self.shown().filter_map(|(at, _, unit)| self.failure(at, unit)).collect(),
            tree: self.tree(),
            rows: self.shown().map(|(at, times, unit)| self.row(at, times, unit)).collect(),
            configuration: self.configuration(),
        }
    }

    /// The units that were asked for, each with its index.
    fn shown(&self) -> impl Iterator<Item = (usize, &'a UnitTimes, &'a UnitSummary)> {
        let units = self.run.timeline.units().iter().zip(self.run.summary.units()).enumerate();
        units
            .map(|(at, (times, unit))| (at, times, unit))
            .filter(|(_, _, unit)| unit.disposition != Disposition::Unmatched)
    }

    fn name(&self, unit: usize) -> String {
        clean(&self.run.summary.label(&self.run.summary.units()[unit].unit))
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let timeline = self.run.timeline;
        let units = timeline.units().iter();
        let busy: Duration = units.filter_map(|unit| unit.build).map(|build| build.length()).sum();
        let at_once = busy.as_secs_f64() / timeline.end.as_secs_f64().max(0.001);
        vec![
            ("Started", rfc3339(self.run.started)),
            ("Ended", rfc3339(self.run.clock(timeline.end))),
            ("Built at once, on average", format!("{at_once:.1}")),
            ("Engine", clean(&self.run.facts.engine)),
            ("kolla-build", env!("CARGO_PKG_VERSION").to_string()),
            ("Exit code", self.run.exit_code().to_string()),
        ]
    }

    fn counts(&self) -> Vec<(&'static str, usize)> {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for (_, _, unit) in self.shown() {
            let word = word(unit);
            match counts.iter_mut().find(|(known, _)| *known == word) {
                Some((_, count)) => *count += 1,
                None => counts.push((word, 1)),
            }
        }
        counts
    }

    fn path_step(&self, unit: usize, work: Duration) -> PathStep {
        let times = &self.run.timeline.units()[unit];
        let took: Duration = times.build.map(|build| build.length()).unwrap_or_default();
        PathStep { unit, name: self.name(unit), took: human(took), share: percent(took, work) }
    }

    /// A lane for each worker that builds, then one for each that pushes.
    fn lanes(&self) -> Vec<Lane> {
        let mut lanes: BTreeMap<(bool, usize), Vec<Bar>> = BTreeMap::new();
        for (at, times, unit) in self.shown() {
            for (pushes, span) in [(false, times.build), (true, times.push)] {
                let Some(span) = span else { continue };
                lanes.entry((pushes, span.worker)).or_default().push(self.bar(at, times, unit, span, pushes));
            }
        }
        let lane = |((pushes, worker), bars)| Lane {
            name: format!("{} {}", if pushes { "push" } else { "build" }, worker + 1),
            bars,
        };
        lanes.into_iter().map(lane).collect()
    }

    fn bar(&self, at: usize, times: &UnitTimes, unit: &UnitSummary, span: Span, pushes: bool) -> Bar {
        let outcome = match unit.outcome() {
            // It was built before its push failed.
            Some(Outcome::PushFailed(_)) if !pushes => "built",
            _ => word(unit),
        };
        // No child waits for a push, so only the last one can matter.
        let critical = self.critical[at] && (!pushes || self.path.units.last() == Some(&at));
        let mut class = class(outcome, critical);
        if pushes {
            class.push_str(" push");
        }
        if !times.retries.is_empty() {
            class.push_str(" retried");
        }
        let end = self.run.timeline.end;
        Bar {
            unit: at,
            name: self.name(at),
            left: percent(span.start, end),
            width: percent(span.length(), end),
            class,
            tip: self.tip(at, times, unit, span, pushes),
        }
    }

    fn tip(&self, at: usize, times: &UnitTimes, unit: &UnitSummary, span: Span, pushes: bool) -> String {
        let what = if pushes { "pushed" } else { word(unit) };
        let mut lines = vec![
            self.name(at),
            format!("{what} in {}, {} to {}", human(span.length()), human(span.start), human(span.end)),
        ];
        if let Some(queued) = self.run.timeline.queued(times).filter(|_| !pushes) {
            lines.push(format!("waited {} for a worker", human(queued)));
        }
        if times.steps > 0 && !pushes {
            lines.push(format!(
                "{} of {} from the cache",
                times.cached,
                counted(times.steps as usize, "step")
            ));
        }
        for retry in &times.retries {
            let message = clean(first_line(&retry.failure.message));
            lines.push(format!("attempt {} failed at {}: {message}", retry.attempt, human(retry.at)));
        }
        if let Some(failure) = unit.failure() {
            lines.push(clean(first_line(&failure.message)));
        }
        lines.join("\n")
    }

    fn failure(&self, at: usize, unit: &UnitSummary) -> Option<FailureText> {
        Some(FailureText {
            unit: at,
            name: self.name(at),
            message: clean(first_line(&unit.failure()?.message)),
            text: clean(&unit.last_words().join("\n")),
        })
    }

    /// The graph, depth first. Images that are pulled, and parents that this run leaves alone, are its roots.
    fn tree(&self) -> Vec<Twig> {
        let indices: HashMap<_, usize> = self.shown().map(|(at, _, unit)| (&unit.unit, at)).collect();
        let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut roots: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, times, unit) in self.shown() {
            let (Parent::Image(name) | Parent::Base(name)) = &times.planned.parent;
            let mut parent = unit.unit.clone();
            parent.image = name.as_str().into();
            match (&times.planned.parent, indices.get(&parent)) {
                (Parent::Image(_), Some(parent)) => children.entry(*parent).or_default().push(at),
                _ => roots.entry(name).or_default().push(at),
            }
        }
        let mut tree = Vec::new();
        for (name, below) in roots {
            let class = "base".to_string();
            tree.push(Twig { depth: 0, unit: None, name: clean(name), class, took: String::new() });
            let mut left: Vec<(usize, usize)> = below.into_iter().rev().map(|unit| (1, unit)).collect();
            while let Some((depth, at)) = left.pop() {
                tree.push(self.twig(depth, at));
                left.extend(children.remove(&at).into_iter().flatten().rev().map(|unit| (depth + 1, unit)));
            }
        }
        tree
    }

    fn twig(&self, depth: usize, at: usize) -> Twig {
        let (times, unit) = (&self.run.timeline.units()[at], &self.run.summary.units()[at]);
        Twig {
            depth,
            unit: Some(at),
            name: self.name(at),
            class: class(word(unit), self.critical[at]),
            took: times.build.map_or(String::new(), |build| human(build.length())),
        }
    }

    fn row(&self, at: usize, times: &UnitTimes, unit: &UnitSummary) -> Row {
        let cell = |text: Option<String>, order: Option<f64>| Cell {
            text: text.unwrap_or_default(),
            order: order.unwrap_or(-1.0),
        };
        let time = |time: Option<Duration>| cell(time.map(human), time.map(seconds));
        let number = |number: u32| cell((number > 0).then(|| number.to_string()), Some(number.into()));
        let size = times.image.as_ref().map(|image| image.size).filter(|size| *size > 0);
        let told = match unit.outcome() {
            None => times.planned.reason.clone(),
            Some(outcome) => {
                outcome.root_cause().map_or(String::new(), |root_cause| format!("{root_cause} failed"))
            }
        };
        Row {
            unit: at,
            class: class(word(unit), self.critical[at]),
            name: self.name(at),
            reference: clean(&times.planned.reference),
            outcome: word(unit).replace('_', " "),
            told: clean(&told),
            cells: vec![
                cell(
                    times.build.map(|build| (build.worker + 1).to_string()),
                    times.build.map(|build| build.worker as f64),
                ),
                time(times.build.map(|build| build.start)),
                time(self.run.timeline.queued(times)),
                time(times.build.map(|build| build.length())),
                number(times.attempts),
                cell(
                    (times.steps > 0).then(|| format!("{}/{}", times.cached, times.steps)),
                    (times.steps > 0).then(|| f64::from(times.cached) / f64::from(times.steps)),
                ),
                cell(size.map(megabytes), size.map(|size| size as f64)),
                time(times.push.map(|push| push.length())),
            ],
        }
    }

    fn configuration(&self) -> Vec<(String, String, String, String)> {
        let set = self.run.facts.configuration.iter().filter_map(|setting| {
            let (value, place) = setting.value.as_ref()?;
            Some((setting.section.clone(), setting.name.clone(), clean(value), place.clone()))
        });
        set.collect()
    }
}

/// What became of a unit, or why nothing was to.
fn word(unit: &UnitSummary) -> &'static str {
    match (unit.outcome(), unit.disposition) {
        (Some(outcome), _) => outcome.word(),
        (None, Disposition::Unbuildable) => "unbuildable",
        (None, _) => "skipped",
    }
}

fn class(outcome: &str, critical: bool) -> String {
    format!("{outcome}{}", if critical { " critical" } else { "" })
}

fn percent(part: Duration, whole: Duration) -> String {
    format!("{:.3}", part.as_secs_f64() * 100.0 / whole.as_secs_f64().max(0.001))
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Marks of a time axis that is so long.
fn marks(end: Duration) -> Vec<Mark> {
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
