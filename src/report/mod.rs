//! Reporters: they read events and tell people and programs.

mod closing;
pub mod console;
pub mod digests;
pub mod earlier;
pub mod ended_run;
pub mod files;
mod format;
mod html;
pub mod json;
mod junit;
mod kolla_summary;
pub mod logs;
pub mod merge;
pub mod progress;
pub mod release;
pub mod summary;
pub mod tally;
mod templates;
#[cfg(test)]
mod testing;
mod text;
mod timeline;

pub(crate) use text::{counted, human};

use crate::model::event::Event;
use summary::Summary;

/// Reads every event of a run, in order.
///
/// A reporter never fails a run while it goes: what it could not write it tells from [`Reporter::finish`].
pub trait Reporter: Send {
    /// Takes note of an event. `so_far` is the run with this event in it.
    fn event(&mut self, event: &Event, so_far: &Summary);

    /// Called once after the last event; writes what is written at the end, and gives all that could not be
    /// written since the start.
    fn finish(&mut self, summary: &Summary) -> Vec<ReportError>;
}

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write {what} to {path}: {source}")]
pub struct ReportError {
    /// Name of the report: `the JSON summary`, `the log of keystone`.
    pub what: String,
    /// File that it was written to.
    pub path: String,
    /// Error of the system.
    pub source: std::io::Error,
}

/// How a run is shown to people while it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleKind {
    /// Lines, one after another: [`console`].
    Plain,
    /// Bars that move: [`progress`].
    Live,
}

/// Facts that [`console_kind`] decides by. The caller reads it from the options and the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// Standard error is a terminal, and not a dumb one (`TERM=dumb`).
    pub terminal: bool,
    /// `CI` is set: a log is being written, whatever it looks like.
    pub ci: bool,
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// True when images' logs are not told (`--quiet`).
    pub quiet: bool,
    /// True when lines for people who look for errors are told too (`--debug`).
    pub debug: bool,
}

/// Live progress is only for a terminal that can do colours, and only when no other amount of lines was asked for.
pub fn console_kind(surroundings: Surroundings) -> ConsoleKind {
    match surroundings {
        Surroundings { terminal: true, ci: false, no_color: false, quiet: false, debug: false } => {
            ConsoleKind::Live
        }
        _ => ConsoleKind::Plain,
    }
}

/// Every reporter of a run, and the summary they all tell from.
pub struct Reporters {
    summary: Summary,
    reporters: Vec<Box<dyn Reporter>>,
}

impl Reporters {
    /// Reporters that tell of the run that `summary` was made for, in the order they are given.
    pub fn new(summary: Summary, reporters: Vec<Box<dyn Reporter>>) -> Reporters {
        Reporters { summary, reporters }
    }

    /// Folds an event into the summary and hands it to every reporter.
    pub fn event(&mut self, event: &Event) {
        self.summary.event(event);
        for reporter in &mut self.reporters {
            reporter.event(event, &self.summary);
        }
    }

    /// Ends every report; a reporter that fails keeps none of the others from finishing.
    pub fn finish(mut self) -> (Summary, Vec<ReportError>) {
        let errors = self.reporters.iter_mut().flat_map(|reporter| reporter.finish(&self.summary)).collect();
        (self.summary, errors)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::testing::{built, finished, plan};
    use super::*;

    struct Recorder {
        name: &'static str,
        seen: Arc<Mutex<Vec<String>>>,
        fails: bool,
    }

    impl Recorder {
        fn note(&self, text: String) {
            self.seen.lock().expect("no test panics while holding it").push(format!("{} {text}", self.name));
        }
    }

    impl Reporter for Recorder {
        fn event(&mut self, _: &Event, so_far: &Summary) {
            self.note(format!("sees {} built", so_far.counts().built));
        }

        fn finish(&mut self, _: &Summary) -> Vec<ReportError> {
            self.note("finishes".to_string());
            if !self.fails {
                return Vec::new();
            }
            let source = io::Error::from(io::ErrorKind::StorageFull);
            vec![ReportError { what: format!("the report of {}", self.name), path: "x".to_string(), source }]
        }
    }

    #[test]
    fn progress_is_live_only_where_nothing_speaks_against_it() {
        let terminal = Surroundings { terminal: true, ..Surroundings::default() };
        assert_eq!(console_kind(terminal), ConsoleKind::Live);
        let plain = [
            Surroundings { terminal: false, ..terminal },
            Surroundings { ci: true, ..terminal },
            Surroundings { no_color: true, ..terminal },
            Surroundings { quiet: true, ..terminal },
            Surroundings { debug: true, ..terminal },
        ];
        for surroundings in plain {
            assert_eq!(console_kind(surroundings), ConsoleKind::Plain, "{surroundings:?}");
        }
    }

    #[test]
    fn every_reporter_hears_everything_and_every_error_is_told() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let recorder =
            |name, fails| Box::new(Recorder { name, seen: Arc::clone(&seen), fails }) as Box<dyn Reporter>;
        let summary = Summary::new(&plan(&["base"]), &summary::SummaryOptions::default());
        let mut reporters =
            Reporters::new(summary, vec![recorder("a", true), recorder("b", false), recorder("c", true)]);

        reporters.event(&finished("base", built()));
        let (summary, errors) = reporters.finish();

        assert_eq!(summary.exit_code(), 0);
        let errors: Vec<_> = errors.iter().map(|error| error.what.as_str()).collect();
        assert_eq!(errors, ["the report of a", "the report of c"]);
        assert_eq!(
            *seen.lock().expect("no thread is left"),
            ["a sees 1 built", "b sees 1 built", "c sees 1 built", "a finishes", "b finishes", "c finishes"]
        );
    }
}
