//! Ends of all units of a run: a fold over its plan and its events [pure].

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::text::last_words;
use crate::model::event::{Event, UnitId};
use crate::model::failure::Failure;
use crate::model::ids::ImageName;
use crate::model::outcome::{FailedStatus, Outcome};
use crate::model::plan::{BuildPlan, Disposition};

/// How many log lines are kept of each build, to be shown when it fails.
pub const TAIL_LINES: usize = 20;
/// How much is kept of one such line.
const TAIL_LINE_CHARS: usize = 1000;

/// Settings that decide what counts as a failure.
#[derive(Debug, Clone, Default)]
pub struct SummaryOptions {
    /// Images whose failure does not make the run a failure.
    pub allowed_to_fail: Vec<ImageName>,
}

/// The end of a unit whose end was never told.
static NEVER_TOLD: Outcome = Outcome::Cancelled { root_cause: None };

/// One unit of the plan and what came of it.
#[derive(Debug, Clone)]
pub struct UnitSummary {
    /// Identity of the unit.
    pub unit: UnitId,
    /// Decision of the plan about it.
    pub disposition: Disposition,
    /// From the start of its first try; zero when none was started.
    pub duration: Duration,
    /// The last log lines of its last try; empty when it has succeeded.
    pub tail: VecDeque<String>,
    ended: Option<Outcome>,
}

impl UnitSummary {
    /// End of the unit; none when the run left it alone. A unit whose end was never told is cancelled.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self.disposition {
            Disposition::Build => Some(self.ended.as_ref().unwrap_or(&NEVER_TOLD)),
            Disposition::Unmatched | Disposition::Skipped | Disposition::Unbuildable => None,
        }
    }

    /// Kolla's word for its failure, if it failed.
    pub fn failed_status(&self) -> Option<FailedStatus> {
        self.outcome().and_then(Outcome::failed_status)
    }

    /// Why its own build, smoke test or push failed, if one did.
    pub fn failure(&self) -> Option<&Failure> {
        match self.outcome()? {
            Outcome::Failed(failure)
            | Outcome::SmokeError(failure)
            | Outcome::Gated(failure)
            | Outcome::PushFailed(failure) => Some(failure),
            Outcome::Built(_)
            | Outcome::Unchanged(_)
            | Outcome::ParentFailed { .. }
            | Outcome::Cancelled { .. } => None,
        }
    }

    /// Lines that explain a failure of its own: the last of its log, what the engine or the registry said, hints.
    pub fn last_words(&self) -> Vec<String> {
        last_words(&self.tail, self.failure())
    }

    fn keep_line(&mut self, text: &str) {
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(text.chars().take(TAIL_LINE_CHARS).collect());
    }
}

/// How many units came to each end. Those whose end is not known yet are in none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Built in this run.
    pub built: usize,
    /// Found up to date.
    pub unchanged: usize,
    /// Their own build failed.
    pub failed: usize,
    /// Not tried, because an ancestor failed.
    pub parent_failed: usize,
    /// Built, but have failed their smoke test.
    #[serde(default)]
    pub smoke_error: usize,
    /// Built, but not let pass by a gate.
    #[serde(default)]
    pub gated: usize,
    /// Built but not pushed.
    pub push_failed: usize,
    /// Told to be cancelled.
    pub cancelled: usize,
}

impl Counts {
    /// All whose end is known.
    pub fn ended(&self) -> usize {
        self.built + self.unchanged + self.unsuccessful()
    }

    /// All that are not there as asked for.
    pub fn unsuccessful(&self) -> usize {
        self.failed + self.parent_failed + self.smoke_error + self.gated + self.push_failed + self.cancelled
    }

    fn add(&mut self, outcome: &Outcome) {
        let count = match outcome {
            Outcome::Built(_) => &mut self.built,
            Outcome::Unchanged(_) => &mut self.unchanged,
            Outcome::Failed(_) => &mut self.failed,
            Outcome::ParentFailed { .. } => &mut self.parent_failed,
            Outcome::SmokeError(_) => &mut self.smoke_error,
            Outcome::Gated(_) => &mut self.gated,
            Outcome::PushFailed(_) => &mut self.push_failed,
            Outcome::Cancelled { .. } => &mut self.cancelled,
        };
        *count += 1;
    }
}

/// The run so far, or as it ended.
#[derive(Debug, Clone)]
pub struct Summary {
    units: Vec<UnitSummary>,
    index: HashMap<UnitId, usize>,
    several_platforms: bool,
    allowed_to_fail: BTreeSet<ImageName>,
}

impl Summary {
    /// The summary of a run that has not started.
    pub fn new(plan: &BuildPlan, options: &SummaryOptions) -> Summary {
        let units: Vec<_> = plan
            .units
            .iter()
            .map(|planned| UnitSummary {
                unit: planned.id(),
                disposition: planned.disposition,
                duration: Duration::ZERO,
                tail: VecDeque::new(),
                ended: None,
            })
            .collect();
        let platforms: BTreeSet<_> = plan.units.iter().map(|planned| planned.platform).collect();
        Summary {
            index: units.iter().enumerate().map(|(at, unit)| (unit.unit.clone(), at)).collect(),
            units,
            several_platforms: platforms.len() > 1,
            allowed_to_fail: options.allowed_to_fail.iter().cloned().collect(),
        }
    }

    /// Folds an event in.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::BuildStarted { unit, .. }
            | Event::SmokeStarted { unit, .. }
            | Event::GateStarted { unit, .. } => {
                self.change(unit, |unit| unit.tail.clear());
            }
            Event::SmokeEnded { unit, result } if result.is_passed() => {
                self.change(unit, |unit| unit.tail.clear());
            }
            Event::Line { unit, text } => self.change(unit, |unit| unit.keep_line(text)),
            Event::Finished { unit, outcome, duration } => self.change(unit, |unit| {
                unit.ended = Some(outcome.clone());
                unit.duration = *duration;
                if outcome.is_success() {
                    unit.tail.clear();
                }
            }),
            Event::RunStarted { .. }
            | Event::Step { .. }
            | Event::Taken { .. }
            | Event::Retrying { .. }
            | Event::SmokeEnded { .. }
            | Event::GateEnded { .. }
            | Event::PushStarted { .. }
            | Event::Pushed { .. }
            | Event::FailedFast { .. }
            | Event::Warning { .. }
            | Event::Interrupted => {}
        }
    }

    fn change(&mut self, unit: &UnitId, change: impl FnOnce(&mut UnitSummary)) {
        if let Some(&at) = self.index.get(unit) {
            change(&mut self.units[at]);
        }
    }

    /// Every unit, in the plan's order: parents before children, then by name.
    pub fn units(&self) -> &[UnitSummary] {
        &self.units
    }

    /// One unit of the plan.
    pub fn unit(&self, unit: &UnitId) -> Option<&UnitSummary> {
        self.index.get(unit).map(|&at| &self.units[at])
    }

    /// Name of a unit for people and log files: `keystone`, or `keystone-aarch64` when the run has several platforms.
    pub fn label(&self, unit: &UnitId) -> String {
        if self.several_platforms {
            format!("{}-{}", unit.image, unit.platform.arch.kolla())
        } else {
            unit.image.to_string()
        }
    }

    /// How many units have ended, and how.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.units.iter().filter_map(|unit| unit.ended.as_ref()).for_each(|outcome| counts.add(outcome));
        counts
    }

    /// The same once the run has ended: units that it was to bring up to date and never told the end of are cancelled.
    pub fn final_counts(&self) -> Counts {
        let mut counts = self.counts();
        counts.cancelled += self.never_ended();
        counts
    }

    /// How many units the run was to bring up to date and never told the end of: it died before.
    fn never_ended(&self) -> usize {
        self.units.iter().filter(|unit| unit.ended.is_none() && unit.outcome().is_some()).count()
    }

    /// True when a unit makes the whole run a failure.
    pub fn is_run_failure(&self, unit: &UnitSummary) -> bool {
        let allowed = |image: &str| self.allowed_to_fail.contains(image);
        unit.outcome().is_some_and(|outcome| counts_as_failure(outcome, allowed(&unit.unit.image), allowed))
    }

    /// 0 when nothing failed that was not allowed to, else 1.
    pub fn exit_code(&self) -> u8 {
        u8::from(self.units.iter().any(|unit| self.is_run_failure(unit)))
    }

    /// The units lost to each failed ancestor, by labels in order.
    pub fn root_causes(&self) -> BTreeMap<String, Vec<String>> {
        self.lost(|outcome| matches!(outcome, Outcome::ParentFailed { .. }))
    }

    /// The units that were not started because another's failure ended the run, in the same way.
    pub fn failed_fast(&self) -> BTreeMap<String, Vec<String>> {
        self.lost(|outcome| matches!(outcome, Outcome::Cancelled { .. }))
    }

    /// Units with such an end that others are the cause of, by those.
    fn lost(&self, such: impl Fn(&Outcome) -> bool) -> BTreeMap<String, Vec<String>> {
        let mut causes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for unit in &self.units {
            if let Some(root_cause) = unit.outcome().filter(|end| such(end)).and_then(Outcome::root_cause) {
                let cause = UnitId { image: root_cause.clone(), platform: unit.unit.platform };
                causes.entry(self.label(&cause)).or_default().push(self.label(&unit.unit));
            }
        }
        causes.values_mut().for_each(|lost| lost.sort());
        causes
    }
}

/// True when an outcome makes the run a failure. Nobody allows an image to be cancelled: the run is not complete.
///
/// | outcome                        | image allowed to fail | its root cause allowed to fail | counts |
/// |--------------------------------|-----------------------|--------------------------------|--------|
/// | Built, Unchanged               | any                   | -                              | no     |
/// | Failed, SmokeError, Gated, PushFailed | no                    | -                              | yes    |
/// | Failed, SmokeError, Gated, PushFailed | yes                   | -                              | no     |
/// | ParentFailed                   | no                    | no                             | yes    |
/// | ParentFailed                   | yes                   | any                            | no     |
/// | ParentFailed                   | any                   | yes                            | no     |
/// | Cancelled                      | any                   | -                              | yes    |
fn counts_as_failure(outcome: &Outcome, image_allowed: bool, allowed: impl Fn(&str) -> bool) -> bool {
    match outcome {
        Outcome::Built(_) | Outcome::Unchanged(_) => false,
        Outcome::Failed(_) | Outcome::SmokeError(_) | Outcome::Gated(_) | Outcome::PushFailed(_) => {
            !image_allowed
        }
        Outcome::ParentFailed { root_cause } => !image_allowed && !allowed(root_cause),
        Outcome::Cancelled { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::failure::FailureKind;
    use crate::report::testing::*;

    #[test]
    fn the_truth_table_of_failures_holds() {
        let push_failed = || Outcome::PushFailed(failure(FailureKind::Connection, "refused"));
        let cases = [
            (built(), false, false, false),
            (unchanged(), true, true, false),
            (failed("x"), false, true, true),
            (failed("x"), true, false, false),
            (push_failed(), false, true, true),
            (push_failed(), true, false, false),
            (Outcome::SmokeError(failure(FailureKind::Smoke, "ill")), false, true, true),
            (Outcome::SmokeError(failure(FailureKind::Smoke, "ill")), true, false, false),
            (parent_failed("root"), false, false, true),
            (parent_failed("root"), true, false, false),
            (parent_failed("root"), true, true, false),
            (parent_failed("root"), false, true, false),
            (Outcome::Cancelled { root_cause: None }, true, true, true),
        ];
        for (outcome, image_allowed, root_allowed, expected) in cases {
            let counts = counts_as_failure(&outcome, image_allowed, |_| root_allowed);
            assert_eq!(counts, expected, "{outcome:?}, image {image_allowed}, root {root_allowed}");
        }
    }

    #[test]
    fn a_failed_parent_loses_its_children_and_names_itself() {
        let (plan, events) = failing_parent();
        let summary = summary_of(&plan, &[], &events);
        assert_eq!(
            summary.root_causes().into_iter().collect::<Vec<_>>(),
            [("openstack-base".to_string(), vec!["horizon".to_string(), "keystone".to_string()])]
        );
        assert_eq!(
            summary.counts(),
            Counts { built: 2, unchanged: 1, failed: 1, parent_failed: 2, ..Counts::default() }
        );
        assert_eq!(summary.exit_code(), 1);
    }

    #[test]
    fn an_image_that_may_fail_takes_its_descendants_with_it_for_free() {
        let (plan, events) = failing_parent();
        assert_eq!(summary_of(&plan, &["openstack-base"], &events).exit_code(), 0);
        assert_eq!(summary_of(&plan, &["keystone"], &events).exit_code(), 1);
    }

    #[test]
    fn units_that_a_dead_run_never_finished_are_cancelled_not_lost() {
        let events = [started("base"), finished("base", built()), started("keystone")];
        let summary = summary_of(&plan(&["base", "keystone", "nova-api", "-cron"]), &["keystone"], &events);
        assert_eq!(summary.final_counts(), Counts { built: 1, cancelled: 2, ..Counts::default() });
        assert_eq!(summary.exit_code(), 1);
    }

    #[test]
    fn a_failed_push_replaces_the_build_s_outcome() {
        let lost = failure(FailureKind::Connection, "registry gone");
        let events = [finished("base", built()), finished("base", Outcome::PushFailed(lost))];
        let summary = summary_of(&plan(&["base"]), &[], &events);
        assert_eq!(summary.counts(), Counts { push_failed: 1, ..Counts::default() });
    }

    #[test]
    fn only_the_last_lines_of_the_last_try_are_kept_and_none_of_a_success() {
        let mut events = vec![started("base"), line("base", "first try"), started("base")];
        events.extend((0..TAIL_LINES + 5).map(|number| line("base", &format!("line {number}"))));
        events.push(line("base", &"é".repeat(5000)));
        let mut summary = summary_of(&plan(&["base"]), &[], &events);
        let tail = &summary.units()[0].tail;
        assert_eq!((tail.len(), tail[0].as_str()), (TAIL_LINES, "line 6"));
        assert_eq!(tail[TAIL_LINES - 1].chars().count(), TAIL_LINE_CHARS);

        summary.event(&finished("base", built()));
        assert!(summary.units()[0].tail.is_empty());
    }
}
