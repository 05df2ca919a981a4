//! The words that reporters share: what an event says in log lines, and how things are written. No I/O.

use std::fmt;
use std::time::Duration;

use crate::model::event::{Event, UnitId};
use crate::model::failure::Failure;
use crate::model::outcome::Outcome;
use crate::util::plain;

/// Importance of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Detail for whoever looks for a fault in the tool.
    Debug,
    /// Ordinary progress of a run.
    Info,
    /// Trouble that the run survives.
    Warning,
    /// Failure of an image or the run.
    Error,
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogLevel::Debug => "DEBUG",
            LogLevel::Info => "INFO",
            LogLevel::Warning => "WARNING",
            LogLevel::Error => "ERROR",
        })
    }
}

/// A line of a log, before anything is done about its looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Importance of the line.
    pub level: LogLevel,
    /// Unit whose log it belongs to; none for the run's own.
    pub unit: Option<UnitId>,
    /// Text, one plain line.
    pub text: String,
}

impl LogLine {
    /// A line of the run's own.
    pub fn of_run(level: LogLevel, text: impl fmt::Display) -> LogLine {
        LogLine { level, unit: None, text: plain::line(&text.to_string()) }
    }

    /// A line of a unit's log.
    pub fn of_unit(level: LogLevel, unit: &UnitId, text: impl fmt::Display) -> LogLine {
        LogLine { level, unit: Some(unit.clone()), text: plain::line(&text.to_string()) }
    }

    /// The line in the format of Kolla's log files, which pipelines parse. `label` is the unit's.
    pub fn kolla_line(&self, label: Option<&str>) -> String {
        let LogLine { level, text, .. } = self;
        match label {
            Some(label) => format!("{level}:kolla.common.utils.{label}:{text}"),
            None => format!("{level}:kolla.common.utils:{text}"),
        }
    }
}

/// The lines that an event adds to a log.
pub fn log_lines(event: &Event) -> Vec<LogLine> {
    let of_run = |level, text: fmt::Arguments| vec![LogLine::of_run(level, text)];
    let of_unit = |unit, text: fmt::Arguments| vec![LogLine::of_unit(LogLevel::Info, unit, text)];
    match event {
        Event::RunStarted { units } => {
            of_run(LogLevel::Info, format_args!("{} to bring up to date", counted(*units, "image")))
        }
        Event::BuildStarted { unit, attempt: 1, .. } => of_unit(unit, format_args!("Building started")),
        Event::BuildStarted { unit, attempt, .. } => {
            of_unit(unit, format_args!("Building started, attempt {attempt}"))
        }
        // The log itself shows the step in the engine's own words.
        Event::Taken { .. } | Event::Step { .. } => Vec::new(),
        Event::Line { unit, text } => of_unit(unit, format_args!("{text}")),
        Event::Retrying { unit, attempt, failure, delay } => {
            let mut lines = failure_lines(LogLevel::Warning, unit, failure);
            let delay = human(*delay);
            let again = format_args!("Attempt {attempt} failed, the next starts in {delay}");
            lines.push(LogLine::of_unit(LogLevel::Warning, unit, again));
            lines
        }
        Event::SmokeStarted { unit, .. } => of_unit(unit, format_args!("Smoke test started")),
        Event::SmokeEnded { unit, result } if result.is_passed() => {
            of_unit(unit, format_args!("Smoke test passed ({})", counted(result.checks.len(), "check")))
        }
        // Its failure follows.
        Event::SmokeEnded { .. } => Vec::new(),
        Event::GateStarted { .. } => Vec::new(),
        Event::GateEnded { unit, result } => {
            let warnings = result.warnings();
            let mut lines: Vec<LogLine> =
                warnings.map(|text| LogLine::of_unit(LogLevel::Warning, unit, text)).collect();
            // A failure follows by itself.
            if lines.is_empty() && !result.gates.is_empty() && result.failure().is_none() {
                lines = of_unit(unit, format_args!("Let pass by {}", counted(result.gates.len(), "gate")));
            }
            lines
        }
        Event::PushStarted { unit, .. } => of_unit(unit, format_args!("Pushing started")),
        Event::Pushed { unit, digest: Some(digest), .. } => of_unit(unit, format_args!("Pushed as {digest}")),
        Event::Pushed { unit, digest: None, .. } => of_unit(unit, format_args!("Pushed")),
        Event::Finished { unit, outcome, duration } => outcome_lines(unit, outcome, *duration),
        Event::FailedFast { unit } => {
            let image = &unit.image;
            of_run(
                LogLevel::Warning,
                format_args!("{image} failed: no more builds are started, running ones are finished"),
            )
        }
        Event::Warning { text } => of_run(LogLevel::Warning, format_args!("{text}")),
        Event::Interrupted => {
            let text = "Interrupted: no more builds are started and running ones are cancelled; press Ctrl-C again to \
                        stop at once";
            of_run(LogLevel::Warning, format_args!("{text}"))
        }
    }
}

fn outcome_lines(unit: &UnitId, outcome: &Outcome, duration: Duration) -> Vec<LogLine> {
    let one = |level, text: fmt::Arguments| vec![LogLine::of_unit(level, unit, text)];
    match outcome {
        Outcome::Built(_) => one(LogLevel::Info, format_args!("Built (took {})", human(duration))),
        Outcome::Unchanged(_) => one(LogLevel::Info, format_args!("Unchanged, nothing to build")),
        Outcome::Failed(failure)
        | Outcome::SmokeError(failure)
        | Outcome::Gated(failure)
        | Outcome::PushFailed(failure) => failure_lines(LogLevel::Error, unit, failure),
        Outcome::ParentFailed { root_cause } => {
            one(LogLevel::Error, format_args!("Not built because {root_cause} failed"))
        }
        // Of what was never started there is nothing to tell but the summary's word.
        Outcome::Cancelled { .. } if duration.is_zero() => Vec::new(),
        Outcome::Cancelled { .. } => one(LogLevel::Warning, format_args!("Cancelled")),
    }
}

fn failure_lines(level: LogLevel, unit: &UnitId, failure: &Failure) -> Vec<LogLine> {
    failure.to_string().lines().map(|line| LogLine::of_unit(level, unit, line)).collect()
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
            let label = |line: &LogLine| line.unit.as_ref().map(|unit| unit.image.to_string());
            log_lines(event).iter().map(|line| line.kolla_line(label(line).as_deref())).collect::<Vec<_>>()
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
