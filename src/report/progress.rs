//! Live progress on a terminal: a line for each running build, one for all, and what has ended above them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::summary::Summary;
use super::text::{LogLevel, LogLine, first_line, human, printable};
use super::{ReportError, Reporter, closing};
use crate::model::event::{Event, UnitId};
use crate::model::failure::Failure;
use crate::model::outcome::Outcome;

/// How often the times that are shown move on.
pub const TICK: Duration = Duration::from_millis(250);
/// Names longer than this are cut in the lines of running builds.
const WIDEST_NAME: usize = 28;

#[derive(Clone, Copy)]
enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
}

fn painted(colour: Colour, text: &str) -> String {
    format!("\u{1b}[1;{}m{text}\u{1b}[0m", colour as u8)
}

struct RunningBar {
    bar: ProgressBar,
    /// True when its steps are known: they are shown in place of the last line of the log.
    has_steps: bool,
}

/// Bars on standard error; only for terminals that can do colours, see [`super::console_kind`].
pub struct LiveProgress {
    bars: MultiProgress,
    total: ProgressBar,
    running: HashMap<UnitId, RunningBar>,
    name_width: usize,
    started: Instant,
    summary: bool,
}

impl LiveProgress {
    /// LiveProgress on standard error, with or without a summary at the end.
    pub fn stderr(summary: bool) -> LiveProgress {
        LiveProgress::on(ProgressDrawTarget::stderr(), summary)
    }

    fn on(target: ProgressDrawTarget, summary: bool) -> LiveProgress {
        let bars = MultiProgress::with_draw_target(target);
        let total = bars.add(ProgressBar::new(0).with_style(total_style()));
        LiveProgress {
            bars,
            total,
            running: HashMap::new(),
            name_width: WIDEST_NAME,
            started: Instant::now(),
            summary,
        }
    }

    fn begin(&mut self, units: usize, so_far: &Summary) {
        let to_build = so_far.units().iter().filter(|unit| unit.outcome().is_some());
        let longest = to_build.map(|unit| so_far.label(&unit.unit).chars().count()).max();
        self.name_width = longest.unwrap_or(WIDEST_NAME).min(WIDEST_NAME);
        self.total.set_length(units as u64);
        self.total.enable_steady_tick(TICK);
    }

    /// The bar of a unit, which begins when it is first asked for.
    fn running(&mut self, unit: &UnitId, so_far: &Summary) -> &mut RunningBar {
        let LiveProgress { bars, total, running, name_width, .. } = self;
        running.entry(unit.clone()).or_insert_with(|| {
            let looks = style(&format!("{{spinner}} {{prefix:{name_width}!}}  {{wide_msg}} {{took:>7}}"));
            let bar = bars.insert_before(total, ProgressBar::new_spinner().with_style(looks));
            bar.set_prefix(so_far.label(unit));
            bar.enable_steady_tick(TICK);
            RunningBar { bar, has_steps: false }
        })
    }

    fn remove(&mut self, unit: &UnitId) {
        if let Some(running) = self.running.remove(unit) {
            running.bar.finish_and_clear();
            self.bars.remove(&running.bar);
        }
    }

    /// A line above the bars: a word in the first column, then the rest.
    fn tell(&self, colour: Colour, word: &str, rest: impl fmt::Display) {
        let word = painted(colour, &format!("{word:>10}"));
        self.print(format_args!("{word} {}", printable(&rest.to_string())));
    }

    /// A terminal that has gone away can't be told so.
    fn print(&self, line: impl fmt::Display) {
        let _ = self.bars.println(line.to_string());
    }

    fn ended(&mut self, unit: &UnitId, outcome: &Outcome, duration: Duration, so_far: &Summary) {
        let was_running = self.running.contains_key(unit);
        self.remove(unit);
        let label = so_far.label(unit);
        let timed = format!("{label} ({})", human(duration));
        match outcome {
            Outcome::Built(_) => self.tell(Colour::Green, "Built", &timed),
            Outcome::Unchanged(_) => self.tell(Colour::Green, "Unchanged", &label),
            Outcome::Failed(failure) => self.tell_failure("Failed", &timed, failure, unit, so_far),
            Outcome::SmokeError(failure) => self.tell_failure("Smoke", &timed, failure, unit, so_far),
            Outcome::Gated(failure) => self.tell_failure("Gated", &timed, failure, unit, so_far),
            Outcome::PushFailed(failure) => self.tell_failure("Not pushed", &label, failure, unit, so_far),
            Outcome::ParentFailed { root_cause } => {
                self.tell(Colour::Yellow, "Not built", format_args!("{label}, because {root_cause} failed"));
            }
            Outcome::Cancelled { .. } if was_running => self.tell(Colour::Yellow, "Cancelled", &timed),
            Outcome::Cancelled { .. } => {}
        }
        self.count(so_far);
    }

    fn tell_failure(&self, word: &str, rest: &str, failure: &Failure, unit: &UnitId, so_far: &Summary) {
        let Some(failed) = so_far.unit(unit) else { return };
        let colour = if so_far.is_run_failure(failed) { Colour::Red } else { Colour::Yellow };
        let indent = " ".repeat(11);
        self.tell(colour, word, rest);
        failed.tail.iter().for_each(|line| self.print(format_args!("{indent}| {}", printable(line))));
        failure.to_string().lines().for_each(|line| self.print(format_args!("{indent}{}", printable(line))));
    }

    fn count(&self, so_far: &Summary) {
        let counts = so_far.counts();
        let parts = [(counts.unchanged, "unchanged"), (counts.unsuccessful(), "failed")];
        let shown = parts.into_iter().filter(|(number, _)| *number > 0);
        let message: Vec<_> = shown.map(|(number, what)| format!("{number} {what}")).collect();
        self.total.set_position(counts.ended() as u64);
        self.total.set_message(message.join(", "));
    }
}

impl Reporter for LiveProgress {
    fn event(&mut self, event: &Event, so_far: &Summary) {
        match event {
            Event::RunStarted { units } => self.begin(*units, so_far),
            Event::Taken { .. } => {}
            Event::BuildStarted { unit, attempt, .. } => {
                let running = self.running(unit, so_far);
                running.has_steps = false;
                running.bar.set_message(match attempt {
                    1 => Cow::from("starting"),
                    later => format!("starting, attempt {later}").into(),
                });
            }
            Event::Step { unit, number, total, text } => {
                let Some(running) = self.running.get_mut(unit) else { return };
                running.has_steps = true;
                running.bar.set_message(match total {
                    0 => format!("{number} {}", on_one_line(text)),
                    total => format!("{number}/{total} {}", on_one_line(text)),
                });
            }
            Event::Line { unit, text } => {
                if let Some(running) = self.running.get(unit).filter(|running| !running.has_steps) {
                    running.bar.set_message(printable(text));
                }
            }
            Event::Retrying { unit, attempt, failure, delay } => {
                let (label, first) = (so_far.label(unit), printable(first_line(&failure.message)));
                self.tell(
                    Colour::Yellow,
                    "Retrying",
                    format_args!("{label}, attempt {attempt} failed: {first}"),
                );
                let advice = format!("the next attempt starts in {}", human(*delay));
                self.running(unit, so_far).bar.set_message(advice);
            }
            Event::SmokeStarted { unit, .. } => self.running(unit, so_far).bar.set_message("smoke test"),
            Event::SmokeEnded { unit, .. } => self.remove(unit),
            Event::GateStarted { unit, .. } => self.running(unit, so_far).bar.set_message("gates"),
            Event::GateEnded { unit, result } => {
                self.remove(unit);
                let label = so_far.label(unit);
                result.warnings().for_each(|text| {
                    self.tell(Colour::Yellow, "Warning", format_args!("{label}: {text}"));
                });
            }
            Event::PushStarted { unit, .. } => self.running(unit, so_far).bar.set_message("pushing"),
            Event::Pushed { unit, .. } => {
                self.remove(unit);
                self.tell(Colour::Green, "Pushed", so_far.label(unit));
            }
            Event::Finished { unit, outcome, duration } => self.ended(unit, outcome, *duration, so_far),
            Event::FailedFast { unit } => {
                let label = so_far.label(unit);
                self.tell(
                    Colour::Yellow,
                    "Stopping",
                    format_args!("once running builds end, because {label} failed"),
                );
            }
            Event::Warning { text } => self.tell(Colour::Yellow, "Warning", text),
            Event::Interrupted => {
                let advice = "running builds are cancelled; press Ctrl-C again to stop at once";
                self.tell(Colour::Yellow, "Stopping", advice);
            }
        }
    }

    fn finish(&mut self, summary: &Summary) -> Vec<ReportError> {
        self.running.drain().for_each(|(_, running)| running.bar.finish_and_clear());
        self.total.finish_and_clear();
        if self.summary {
            let mut lines = closing::failures(summary);
            lines.extend(closing::root_causes(summary));
            lines.iter().for_each(|line| self.print(looks(line)));
            let verdict = closing::verdict(summary, self.started.elapsed());
            let colour = if verdict.level == LogLevel::Error { Colour::Red } else { Colour::Green };
            self.print(painted(colour, &verdict.text));
        }
        Vec::new()
    }
}

/// An instruction without its line continuations; the terminal's width cuts it.
fn on_one_line(instruction: &str) -> String {
    printable(&instruction.replace("\\\n", " "))
}

fn looks(line: &LogLine) -> String {
    match line.level {
        LogLevel::Error => painted(Colour::Red, &line.text),
        LogLevel::Warning => painted(Colour::Yellow, &line.text),
        LogLevel::Info | LogLevel::Debug => line.text.clone(),
    }
}

/// How a line looks that counts what is done. It is not as wide as the terminal: the `^C` that a terminal shows after it must
/// not begin a new line.
pub fn total_style() -> ProgressStyle {
    style("{bar:20} {pos}/{len}  {took}  {msg}")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates are constants and well-formed")
        .progress_chars("=> ")
        .with_key("took", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            // Tenths of a second would only flicker.
            let _ = out.write_str(&whole_seconds(state.elapsed()));
        })
}

fn whole_seconds(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..10 => format!("{seconds}s"),
        _ => human(duration),
    }
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;

    use super::*;
    use crate::model::plan::BuildPlan;
    use crate::report::testing::*;

    /// A screen with what moves by itself at rest: the spinners and the times.
    fn still(screen: &str) -> String {
        resting(&screen.replace(|char| ('\u{2800}'..='\u{28ff}').contains(&char), "*"))
    }

    /// What a terminal of 80 columns shows after these events, then what it shows at the end.
    fn screens(plan: &BuildPlan, events: &[Event]) -> (String, String) {
        let terminal = InMemoryTerm::new(24, 80);
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let mut progress = LiveProgress::on(target, true);
        let mut summary = summary_of(plan, &[], &[]);
        for event in events {
            summary.event(event);
            progress.event(event, &summary);
        }
        // The bars' own threads would draw while the screen is read, and drawing is rate limited.
        let bars: Vec<_> =
            progress.running.values().map(|running| &running.bar).chain([&progress.total]).collect();
        bars.iter().for_each(|bar| bar.disable_steady_tick());
        for bar in bars {
            std::thread::sleep(TICK);
            bar.tick();
        }
        let during = still(&terminal.contents());
        progress.finish(&summary);
        (during, still(&terminal.contents()))
    }

    fn step(name: &str, number: u32, text: &str) -> Event {
        Event::Step { unit: unit(name), number, total: 12, text: text.to_string() }
    }

    #[test]
    fn running_builds_have_a_line_each_and_ended_ones_are_above() {
        let (plan, mut events) = failing_parent();
        let long = "RUN apt-get update \\\n    && apt-get -y install --no-install-recommends mariadb-server galera-4 rsync";
        events.truncate(11);
        events.extend([started("mariadb-server"), step("mariadb-server", 3, long), started("keystone")]);
        events.push(line("keystone", "Collecting \u{1b}[31mkeystone==29.0.0\u{1b}[0m"));
        let (during, end) = screens(&plan, &events);
        insta::assert_snapshot!(during, @"
         Unchanged base
             Built memcached (1m 12s)
            Failed openstack-base (1m 12s)
                   | Reading package lists...
                   | E: Unable to locate package python3-venvv
                   The command '/bin/sh -c apt-get install' returned a non-zero code: 10
        0
         Not built horizon, because openstack-base failed
         Not built keystone, because openstack-base failed
        * mariadb-server  3/12 RUN apt-get update && apt-get -y install --no-ins      0s
        * keystone        Collecting keystone==29.0.0                                 0s
        ================>    5/6  0s  1 unchanged, 3 failed
        ");
        insta::assert_snapshot!(end, @"
         Unchanged base
             Built memcached (1m 12s)
            Failed openstack-base (1m 12s)
                   | Reading package lists...
                   | E: Unable to locate package python3-venvv
                   The command '/bin/sh -c apt-get install' returned a non-zero code: 10
        0
         Not built horizon, because openstack-base failed
         Not built keystone, because openstack-base failed
        horizon Failed with status: parent_error
        keystone Failed with status: parent_error
        mariadb-server Failed with status: error
        openstack-base Failed with status: error
        horizon, keystone: not built because openstack-base failed
        Finished in 0s: 1 image built, 1 unchanged, 1 failed, 2 not built, 1 cancelled
        ");
    }

    #[test]
    fn retries_pushes_and_an_interruption_are_told() {
        let lost = failure(crate::model::failure::FailureKind::Connection, "connection reset\nmore");
        let retrying = Event::Retrying {
            unit: unit("base@arm64"),
            attempt: 1,
            failure: lost.clone(),
            delay: Duration::from_secs(5),
        };
        let events = [
            Event::RunStarted { units: 3 },
            started("base"),
            started("base@arm64"),
            retrying,
            finished("base", built()),
            Event::PushStarted { unit: unit("base"), worker: 0 },
            pushed(unit("base"), None, None),
            Event::PushStarted { unit: unit("base"), worker: 0 },
            finished("base", Outcome::PushFailed(lost)),
            Event::Interrupted,
        ];
        let (during, end) = screens(&plan(&["base", "base@arm64", "cron"]), &events);
        insta::assert_snapshot!(during, @"
          Retrying base-aarch64, attempt 1 failed: connection reset
             Built base-x86_64 (1m 12s)
            Pushed base-x86_64
        Not pushed base-x86_64
                   connection reset
                   more
          Stopping running builds are cancelled; press Ctrl-C again to stop at once
        * base-aarch64  the next attempt starts in 5.0s                               0s
        ======>              1/3  0s  1 failed
        ");
        insta::assert_snapshot!(end, @"
          Retrying base-aarch64, attempt 1 failed: connection reset
             Built base-x86_64 (1m 12s)
            Pushed base-x86_64
        Not pushed base-x86_64
                   connection reset
                   more
          Stopping running builds are cancelled; press Ctrl-C again to stop at once
        base-aarch64 Failed with status: error
        base-x86_64 Failed with status: push_error
        cron-x86_64 Failed with status: error
        Finished in 0s: 0 images built, 1 not pushed, 2 cancelled
        ");
    }
}
