//! The words that reporters share: what an event says in log lines, and how things are written. No I/O.

use std::fmt;
use std::time::Duration;

use crate::model::event::{Event, Failure, Outcome, UnitId};
use crate::util::plain;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For whoever looks for a fault in the tool.
    Debug,
    /// The usual.
    Info,
    /// Worth a look.
    Warning,
    /// Something failed.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warning => "WARNING",
            Level::Error => "ERROR",
        })
    }
}

/// A line of a log, before anything is done about its looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// How much it matters.
    pub level: Level,
    /// Whose log it belongs to; none for the run's own.
    pub unit: Option<UnitId>,
    /// The text, one plain line.
    pub text: String,
}

impl Record {
    /// A line of the run's own.
    pub fn of_run(level: Level, text: impl Into<String>) -> Record {
        Record { level, unit: None, text: plain::line(&text.into()) }
    }

    /// A line of a unit's log.
    pub fn of_unit(level: Level, unit: &UnitId, text: impl Into<String>) -> Record {
        Record { level, unit: Some(unit.clone()), text: plain::line(&text.into()) }
    }

    /// The line in the format of Kolla's log files, which pipelines parse. `label` is the unit's.
    pub fn kolla_line(&self, label: Option<&str>) -> String {
        let Record { level, text, .. } = self;
        match label {
            Some(label) => format!("{level}:kolla.common.utils.{label}:{text}"),
            None => format!("{level}:kolla.common.utils:{text}"),
        }
    }
}

/// What an event says in a log.
pub fn records(event: &Event) -> Vec<Record> {
    match event {
        Event::RunStarted { units } => {
            vec![Record::of_run(Level::Info, format!("{} to bring up to date", counted(*units, "image")))]
        }
        Event::BuildStarted { unit, attempt, .. } => {
            let text = match attempt {
                1 => "Building started".to_string(),
                later => format!("Building started, attempt {later}"),
            };
            vec![Record::of_unit(Level::Info, unit, text)]
        }
        // The log itself shows the step in the engine's own words.
        Event::Taken { .. } | Event::Step { .. } => Vec::new(),
        Event::Line { unit, text } => vec![Record::of_unit(Level::Info, unit, text)],
        Event::Retrying { unit, attempt, failure, delay } => {
            let mut records = lines(Level::Warning, unit, failure);
            let again = format!("Attempt {attempt} failed, the next starts in {}", human(*delay));
            records.push(Record::of_unit(Level::Warning, unit, again));
            records
        }
        Event::PushStarted { unit, .. } => vec![Record::of_unit(Level::Info, unit, "Pushing started")],
        Event::Pushed { unit, digest, .. } => {
            let text = match digest {
                Some(digest) => format!("Pushed as {digest}"),
                None => "Pushed".to_string(),
            };
            vec![Record::of_unit(Level::Info, unit, text)]
        }
        Event::Finished { unit, outcome, duration } => outcome_records(unit, outcome, *duration),
        Event::FailedFast { unit } => {
            let text = format!("{} failed: no further build is started, what runs goes on", unit.image);
            vec![Record::of_run(Level::Warning, text)]
        }
        Event::Warning { text } => vec![Record::of_run(Level::Warning, text.as_str())],
        Event::Interrupted => {
            let text = "Interrupted: nothing new is started and running builds are cancelled; \
                        a second Ctrl-C leaves at once";
            vec![Record::of_run(Level::Warning, text)]
        }
    }
}

fn outcome_records(unit: &UnitId, outcome: &Outcome, duration: Duration) -> Vec<Record> {
    let one = |level, text: String| vec![Record::of_unit(level, unit, text)];
    match outcome {
        Outcome::Built(_) => one(Level::Info, format!("Built (took {})", human(duration))),
        Outcome::Unchanged(_) => one(Level::Info, "Unchanged, nothing to build".to_string()),
        Outcome::Failed(failure) | Outcome::PushFailed(failure) => lines(Level::Error, unit, failure),
        Outcome::ParentFailed { root_cause } => {
            one(Level::Error, format!("Not built because {root_cause} failed"))
        }
        // Of what was never started there is nothing to tell but the summary's word.
        Outcome::Cancelled { .. } if duration.is_zero() => Vec::new(),
        Outcome::Cancelled { .. } => one(Level::Warning, "Cancelled".to_string()),
    }
}

fn lines(level: Level, unit: &UnitId, failure: &Failure) -> Vec<Record> {
    failure.to_string().lines().map(|line| Record::of_unit(level, unit, line)).collect()
}

/// `1 image`, `2 images`.
pub fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// A duration as people say it: `0.4s`, `12s`, `1m 05s`, `2h 03m`.
pub fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", duration.as_millis() as f64 / 1000.0),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// A text in one line of plain words, with one blank between them.
pub fn printable(text: &str) -> String {
    let text = plain::lines(&text.replace('\r', "\n"));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text that HTML and XML can hold: plain, and without what is no character at all.
pub fn clean(text: &str) -> String {
    plain::lines(text).replace(['\u{fffe}', '\u{ffff}'], "")
}

/// Lines that explain a failure: the last of a log, what the engine or the registry said, hints.
pub fn last_words<'a>(
    log_tail: impl IntoIterator<Item = &'a String>,
    failure: Option<&Failure>,
) -> Vec<String> {
    let mut lines: Vec<String> = log_tail.into_iter().cloned().collect();
    let failure = failure.map(Failure::to_string).unwrap_or_default();
    // What the engine quotes of the log has just been told.
    let new = |line: &&str| !lines.iter().any(|told| told.trim() == line.trim());
    let said: Vec<String> = failure.lines().filter(new).map(str::to_owned).collect();
    lines.extend(said);
    lines
}

/// The first line of a message that may have several.
pub fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::*;

    #[test]
    fn lines_keep_kolla_s_format() {
        let written = |event: &Event| {
            let label = |record: &Record| record.unit.as_ref().map(|unit| unit.image.to_string());
            records(event)
                .iter()
                .map(|record| record.kolla_line(label(record).as_deref()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            written(&line("keystone", "Step 1/3 : FROM base")),
            ["INFO:kolla.common.utils.keystone:Step 1/3 : FROM base"]
        );
        assert_eq!(written(&line("keystone", "")), ["INFO:kolla.common.utils.keystone:"]);
        assert_eq!(
            written(&finished("keystone", failed("first\nsecond"))),
            ["ERROR:kolla.common.utils.keystone:first", "ERROR:kolla.common.utils.keystone:second"]
        );
        assert_eq!(
            written(&finished("keystone", parent_failed("base"))),
            ["ERROR:kolla.common.utils.keystone:Not built because base failed"]
        );
        assert_eq!(
            written(&Event::RunStarted { units: 1 }),
            ["INFO:kolla.common.utils:1 image to bring up to date"]
        );
    }

    #[test]
    fn durations_read_as_people_say_them() {
        let cases =
            [(0, "0.0s"), (9_940, "9.9s"), (12_300, "12s"), (65_000, "1m 05s"), (7_380_000, "2h 03m")];
        for (millis, expected) in cases {
            assert_eq!(human(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn control_sequences_and_runs_of_blanks_are_taken_out() {
        assert_eq!(printable("\u{1b}[1;31mRUN\u{1b}[0m apt \\\n\t  install\r\u{7}"), "RUN apt \\ install");
        assert_eq!(printable("cut \u{1b}[31"), "cut");
    }
}
