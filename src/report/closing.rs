//! Closing lines of a run: images by their ends, why they failed, counts and time [pure].

use std::fmt::Write;
use std::time::Duration;

use super::summary::{Counts, Summary, UnitSummary};
use super::text::{LogLevel, LogLine, counted, human, printable};
use crate::model::outcome::Outcome;
use crate::model::plan::Disposition;

/// The images by what came of them, under Kolla's headings. `debug` adds those that were not asked for.
pub fn listing(summary: &Summary, debug: bool) -> Vec<LogLine> {
    let named = |level, wanted: &dyn Fn(&UnitSummary) -> bool| {
        let labels = sorted(summary, wanted).into_iter().map(|(label, _)| label);
        labels.map(|label| LogLine::of_run(level, label)).collect::<Vec<_>>()
    };
    let built = named(LogLevel::Info, &|unit| unit.outcome().is_some_and(|outcome| outcome.is_success()));
    let unmatched = named(LogLevel::Debug, &|unit| unit.disposition == Disposition::Unmatched);
    let skipped = named(LogLevel::Info, &|unit| unit.disposition == Disposition::Skipped);
    let unbuildable = named(LogLevel::Info, &|unit| unit.disposition == Disposition::Unbuildable);

    let mut lines = section("Successfully built images", built);
    lines.extend(section("Images that failed to build", failures(summary)));
    if debug {
        lines.extend(section("Images not matched for build by regex", unmatched));
    }
    lines.extend(section("Images skipped due to build options", skipped));
    lines.extend(section("Images not buildable due to build options", unbuildable));
    lines
}

/// One line for each unit that is not there as asked for, in the words that pipelines grep for.
pub fn failures(summary: &Summary) -> Vec<LogLine> {
    let failed = sorted(summary, &|unit| unit.failed_status().is_some());
    let line = |(label, unit): (String, &UnitSummary)| {
        let status = unit.failed_status()?;
        let allowed = if summary.is_run_failure(unit) { "" } else { " (allowed to fail)" };
        Some(LogLine::of_run(LogLevel::Error, format_args!("{label} Failed with status: {status}{allowed}")))
    };
    failed.into_iter().filter_map(line).collect()
}

/// Which units were lost to which failed ancestor, and which to the first failure of a run that it has ended.
pub fn root_causes(summary: &Summary) -> Vec<LogLine> {
    let told = |what: &str, (cause, lost): (String, Vec<String>)| {
        LogLine::of_run(LogLevel::Error, format_args!("{}: {what} because {cause} failed", lost.join(", ")))
    };
    let not_built = summary.root_causes().into_iter().map(|lost| told("not built", lost));
    let not_started = summary.failed_fast().into_iter().map(|lost| told("not started (--fail-fast)", lost));
    not_built.chain(not_started).collect()
}

/// The reason of each failure: the last log lines, then what the engine or the registry said, then hints.
pub fn reasons(summary: &Summary) -> Vec<LogLine> {
    let mut lines = Vec::new();
    for (label, unit) in sorted(summary, &|unit| unit.failure().is_some()) {
        let what = match unit.outcome() {
            Some(Outcome::SmokeError(_)) => "failed its smoke test",
            Some(Outcome::Gated(_)) => "did not pass its gates",
            Some(Outcome::PushFailed(_)) => "was not pushed",
            _ => "failed",
        };
        lines.push(LogLine::of_run(LogLevel::Error, format_args!("Why {label} {what}:")));
        lines.extend(
            unit.last_words()
                .into_iter()
                .map(|line| LogLine::of_unit(LogLevel::Error, &unit.unit, printable(&line))),
        );
    }
    lines
}

/// The counts and the time, the run's last line.
pub fn verdict(summary: &Summary, elapsed: Duration) -> LogLine {
    let level = if summary.exit_code() == 0 { LogLevel::Info } else { LogLevel::Error };
    LogLine::of_run(level, verdict_text(&summary.final_counts(), elapsed))
}

/// The text of [`verdict`].
pub fn verdict_text(counts: &Counts, elapsed: Duration) -> String {
    let parts = [
        (counts.unchanged, "unchanged"),
        (counts.failed, "failed"),
        (counts.parent_failed, "not built"),
        (counts.smoke_error, "failed their smoke test"),
        (counts.gated, "not let pass by their gates"),
        (counts.push_failed, "not pushed"),
        (counts.cancelled, "cancelled"),
    ];
    let mut text = format!("Finished in {}: {} built", human(elapsed), counted(counts.built, "image"));
    for (number, what) in parts.into_iter().filter(|(number, _)| *number > 0) {
        _ = write!(text, ", {number} {what}");
    }
    text
}

fn section(heading: &str, lines: Vec<LogLine>) -> Vec<LogLine> {
    let Some(level) = lines.first().map(|first| match first.level {
        LogLevel::Debug => LogLevel::Debug,
        _ => LogLevel::Info,
    }) else {
        return Vec::new();
    };
    let ruler = "=".repeat(heading.len());
    let head = [&ruler, heading, &ruler].map(|line| LogLine::of_run(level, line));
    head.into_iter().chain(lines).collect()
}

fn sorted<'a>(summary: &'a Summary, wanted: &dyn Fn(&UnitSummary) -> bool) -> Vec<(String, &'a UnitSummary)> {
    let chosen = summary.units().iter().filter(|unit| wanted(unit));
    let mut labelled: Vec<_> = chosen.map(|unit| (summary.label(&unit.unit), unit)).collect();
    labelled.sort_by(|(one, _), (other, _)| one.cmp(other));
    labelled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Event;
    use crate::model::failure::FailureKind;
    use crate::report::testing::*;

    fn told(summary: &Summary) -> String {
        let mut lines = listing(summary, false);
        lines.extend(root_causes(summary));
        lines.push(verdict(summary, Duration::from_secs(65)));
        lines.iter().map(|line| line.kolla_line(None) + "\n").collect()
    }

    #[test]
    fn images_that_may_fail_are_marked() {
        let (plan, events) = failing_parent();
        let summary = summary_of(&plan, &["openstack-base"], &events);
        let failures: Vec<_> = failures(&summary).into_iter().map(|line| line.text).collect();
        assert_eq!(
            failures,
            [
                "horizon Failed with status: parent_error (allowed to fail)",
                "keystone Failed with status: parent_error (allowed to fail)",
                "openstack-base Failed with status: error (allowed to fail)",
            ]
        );
        assert_eq!(verdict(&summary, Duration::ZERO).level, LogLevel::Info);
    }

    #[test]
    fn a_cancelled_run_tells_what_is_missing() {
        let events = [
            finished("base", built()),
            started("keystone"),
            Event::Interrupted,
            finished("keystone", Outcome::Cancelled { root_cause: None }),
        ];
        let summary = summary_of(&plan(&["base", "keystone", "nova-api"]), &[], &events);
        insta::assert_snapshot!(told(&summary), @"
        INFO:kolla.common.utils:=========================
        INFO:kolla.common.utils:Successfully built images
        INFO:kolla.common.utils:=========================
        INFO:kolla.common.utils:base
        INFO:kolla.common.utils:===========================
        INFO:kolla.common.utils:Images that failed to build
        INFO:kolla.common.utils:===========================
        ERROR:kolla.common.utils:keystone Failed with status: error
        ERROR:kolla.common.utils:nova-api Failed with status: error
        ERROR:kolla.common.utils:Finished in 1m 05s: 1 image built, 2 cancelled
        ");
    }

    #[test]
    fn units_of_several_platforms_are_told_apart() {
        let events = [
            finished("base", built()),
            finished("base@arm64", failed("no space left")),
            finished("cron", Outcome::PushFailed(failure(FailureKind::Connection, "refused"))),
            finished("cron@arm64", parent_failed("base")),
        ];
        let summary = summary_of(&plan(&["base", "base@arm64", "cron", "cron@arm64"]), &[], &events);
        insta::assert_snapshot!(told(&summary), @"
        INFO:kolla.common.utils:=========================
        INFO:kolla.common.utils:Successfully built images
        INFO:kolla.common.utils:=========================
        INFO:kolla.common.utils:base-x86_64
        INFO:kolla.common.utils:===========================
        INFO:kolla.common.utils:Images that failed to build
        INFO:kolla.common.utils:===========================
        ERROR:kolla.common.utils:base-aarch64 Failed with status: error
        ERROR:kolla.common.utils:cron-aarch64 Failed with status: parent_error
        ERROR:kolla.common.utils:cron-x86_64 Failed with status: push_error
        ERROR:kolla.common.utils:cron-aarch64: not built because base-aarch64 failed
        ERROR:kolla.common.utils:Finished in 1m 05s: 1 image built, 1 failed, 1 not built, 1 not pushed
        ");
    }

    #[test]
    fn what_was_not_asked_for_is_told_only_when_debugging() {
        let summary = summary_of(&plan(&["-nova-api", "~cron", "!tgtd"]), &[], &[]);
        assert!(!listing(&summary, false).iter().any(|line| line.text == "nova-api"));
        let all: String = listing(&summary, true).iter().map(|line| line.kolla_line(None) + "\n").collect();
        insta::assert_snapshot!(all, @"
        DEBUG:kolla.common.utils:=====================================
        DEBUG:kolla.common.utils:Images not matched for build by regex
        DEBUG:kolla.common.utils:=====================================
        DEBUG:kolla.common.utils:nova-api
        INFO:kolla.common.utils:===================================
        INFO:kolla.common.utils:Images skipped due to build options
        INFO:kolla.common.utils:===================================
        INFO:kolla.common.utils:cron
        INFO:kolla.common.utils:=========================================
        INFO:kolla.common.utils:Images not buildable due to build options
        INFO:kolla.common.utils:=========================================
        INFO:kolla.common.utils:tgtd
        ");
    }
}
