//! The report as JSON, for programs: everything that is known of a run [pure].
//!
//! One object. Times are RFC 3339 in UTC, lengths are seconds, sizes are bytes. What is not known or does not apply is
//! `null`. Readers must ignore keys that they do not know; a change that could break one raises `report_version`.
//!
//! ```text
//! report_version   1
//! run              version, engine, start, end, seconds, exit_code, interrupted
//! counts           built, unchanged, failed, parent_failed, push_failed, cancelled,
//!                  unmatched, skipped, unbuildable
//! critical_path    images (parents first), work_seconds, waiting_seconds: the chain whose end was the run's end
//! configuration    of every option and of every other section: section, name, value, place; secrets are masked
//! images           of every image of the plan:
//!   name, platform, reference
//!   list             the name of the list of its platforms, when the run has several
//!   parent           image, or base: the reference that is pulled
//!   disposition      build, unmatched, skipped, unbuildable
//!   reason           why it was planned so
//!   outcome          built, unchanged, failed, parent_failed, push_failed, cancelled; null unless disposition is build
//!   fails_run        whether its end makes the run a failure
//!   failure          kind (source, connection, build, registry, timeout, disk, local), message, hints, transient
//!   root_cause       the ancestor that it was lost with, or the image whose failure ended the run (--fail-fast)
//!   log_tail         the last lines of its log when it failed
//!   worker           the place it was built at, from 0
//!   ready, start, end, queue_seconds, seconds
//!   attempts         builds that were started, 0 when there was nothing to build
//!   retries          attempt, at, kind, message, hints, delay_seconds of each try that failed and was followed by another
//!   steps            total, and cached: those that the engine had already
//!   key              known of a failed image too, unless it failed before there was anything to build
//!   image_id, size, layers
//!   push             worker, start, end, seconds, digest; list: the digest of the list that this push completed
//! ```

use std::borrow::Cow;

use serde::Serialize;

use super::files::{Run, rfc3339, seconds};
use super::summary::{Counts, UnitSummary};
use super::timeline::{Retry, Span, UnitTimes};
use crate::config::settings::Setting;
use crate::model::event::{Failure, Outcome};
use crate::model::ids::ContentKey;
use crate::model::plan::{Disposition, Parent};

/// A change that could break a reader raises it.
pub const REPORT_VERSION: u32 = 1;

#[derive(Serialize)]
struct Report<'a> {
    report_version: u32,
    run: RunPart<'a>,
    counts: AllCounts,
    critical_path: CriticalPath<'a>,
    configuration: Vec<SettingPart<'a>>,
    images: Vec<ImagePart<'a>>,
}

#[derive(Serialize)]
struct RunPart<'a> {
    version: &'static str,
    engine: &'a str,
    start: String,
    end: String,
    seconds: f64,
    exit_code: u8,
    interrupted: bool,
}

#[derive(Serialize)]
struct AllCounts {
    #[serde(flatten)]
    outcomes: Counts,
    unmatched: usize,
    skipped: usize,
    unbuildable: usize,
}

#[derive(Serialize)]
struct CriticalPath<'a> {
    images: Vec<&'a str>,
    work_seconds: f64,
    waiting_seconds: f64,
}

#[derive(Serialize)]
struct SettingPart<'a> {
    section: &'a str,
    name: &'a str,
    value: Option<&'a str>,
    place: Option<&'a str>,
}

#[derive(Serialize)]
struct ImagePart<'a> {
    name: &'a str,
    platform: String,
    reference: &'a str,
    list: Option<&'a str>,
    parent: &'a Parent,
    #[serde(skip_serializing_if = "<[Parent]>::is_empty")]
    named: &'a [Parent],
    disposition: Disposition,
    reason: &'a str,
    outcome: Option<&'static str>,
    fails_run: bool,
    failure: Option<FailurePart<'a>>,
    root_cause: Option<&'a str>,
    log_tail: Vec<&'a str>,
    worker: Option<usize>,
    ready: Option<String>,
    start: Option<String>,
    end: Option<String>,
    queue_seconds: Option<f64>,
    seconds: Option<f64>,
    attempts: u32,
    retries: Vec<RetryPart<'a>>,
    steps: Option<Steps>,
    key: Option<&'a str>,
    image_id: Option<&'a str>,
    size: Option<u64>,
    layers: Option<usize>,
    push: Option<PushPart<'a>>,
}

#[derive(Serialize)]
struct FailurePart<'a> {
    kind: &'static str,
    message: &'a str,
    hints: &'a [Cow<'static, str>],
    transient: bool,
}

#[derive(Serialize)]
struct RetryPart<'a> {
    attempt: u32,
    at: String,
    kind: &'static str,
    message: &'a str,
    hints: &'a [Cow<'static, str>],
    delay_seconds: f64,
}

#[derive(Serialize)]
struct Steps {
    total: u32,
    cached: u32,
}

#[derive(Serialize)]
struct PushPart<'a> {
    worker: usize,
    start: String,
    end: String,
    seconds: f64,
    digest: Option<&'a str>,
    list: Option<&'a str>,
}

/// The whole report.
pub fn report(run: &Run) -> String {
    let report = Report {
        report_version: REPORT_VERSION,
        run: RunPart {
            version: env!("CARGO_PKG_VERSION"),
            engine: &run.facts.engine,
            start: rfc3339(run.started),
            end: rfc3339(run.clock(run.timeline.end)),
            seconds: seconds(run.timeline.end),
            exit_code: run.exit_code(),
            interrupted: run.timeline.interrupted,
        },
        counts: counts(run),
        critical_path: critical_path(run),
        configuration: configuration(run),
        images: run.timeline.units().iter().zip(run.summary.units()).map(|unit| image(run, unit)).collect(),
    };
    serde_json::to_string_pretty(&report).expect("strings and numbers always serialize into memory") + "\n"
}

fn counts(run: &Run) -> AllCounts {
    let mut outcomes = run.summary.counts();
    outcomes.cancelled += run.summary.never_ended();
    let count = |wanted| run.summary.units().iter().filter(|unit| unit.disposition == wanted).count();
    AllCounts {
        outcomes,
        unmatched: count(Disposition::Unmatched),
        skipped: count(Disposition::Skipped),
        unbuildable: count(Disposition::Unbuildable),
    }
}

fn critical_path<'a>(run: &Run<'a>) -> CriticalPath<'a> {
    let path = run.timeline.critical_path();
    let name = |unit: &usize| run.timeline.units()[*unit].planned.image.as_str();
    CriticalPath {
        images: path.units.iter().map(name).collect(),
        work_seconds: seconds(path.work),
        waiting_seconds: seconds(path.waiting),
    }
}

fn configuration<'a>(run: &Run<'a>) -> Vec<SettingPart<'a>> {
    let part = |setting: &'a Setting| SettingPart {
        section: &setting.section,
        name: &setting.name,
        value: setting.value.as_ref().map(|(value, _)| value.as_str()),
        place: setting.value.as_ref().map(|(_, place)| place.as_str()),
    };
    run.facts.configuration.iter().map(part).collect()
}

fn image<'a>(run: &Run<'a>, (times, unit): (&'a UnitTimes, &'a UnitSummary)) -> ImagePart<'a> {
    let UnitTimes { planned, build, push, .. } = times;
    let clock = |since_start| rfc3339(run.clock(since_start));
    ImagePart {
        name: &planned.image,
        platform: planned.platform.to_string(),
        reference: &planned.reference,
        list: planned.list.as_deref(),
        parent: &planned.parent,
        named: &planned.named,
        disposition: unit.disposition,
        reason: &planned.reason,
        outcome: unit.outcome().map(Outcome::word),
        fails_run: run.summary.is_run_failure(unit),
        failure: unit.failure().map(failure),
        root_cause: unit.outcome().and_then(Outcome::root_cause).map(AsRef::as_ref),
        log_tail: unit.tail.iter().map(String::as_str).collect(),
        worker: build.map(|build| build.worker),
        ready: run.timeline.ready(times).map(clock),
        start: build.map(|build| clock(build.start)),
        end: build.map(|build| clock(build.end)),
        queue_seconds: run.timeline.queued(times).map(seconds),
        seconds: build.map(|build| seconds(build.length())),
        attempts: times.attempts,
        retries: times.retries.iter().map(|retry| self::retry(run, retry)).collect(),
        steps: (times.steps > 0 || times.cached > 0)
            .then_some(Steps { total: times.steps, cached: times.cached }),
        key: times.key.as_ref().map(ContentKey::as_str),
        image_id: times.image.as_ref().map(|image| image.id.as_str()),
        size: times.image.as_ref().map(|image| image.size),
        layers: times.image.as_ref().map(|image| image.layers).filter(|layers| *layers > 0),
        push: push.map(|push| self::push(run, push, times)),
    }
}

fn retry<'a>(run: &Run, retry: &'a Retry) -> RetryPart<'a> {
    RetryPart {
        attempt: retry.attempt,
        at: rfc3339(run.clock(retry.at)),
        kind: retry.failure.kind.word(),
        message: &retry.failure.message,
        hints: &retry.failure.hints,
        delay_seconds: seconds(retry.delay),
    }
}

fn push<'a>(run: &Run, push: Span, times: &'a UnitTimes) -> PushPart<'a> {
    PushPart {
        worker: push.worker,
        start: rfc3339(run.clock(push.start)),
        end: rfc3339(run.clock(push.end)),
        seconds: seconds(push.length()),
        digest: times.digest.as_deref(),
        list: times.list.as_deref(),
    }
}

fn failure(failure: &Failure) -> FailurePart<'_> {
    let Failure { kind, message, hints, transient } = failure;
    FailurePart { kind: kind.word(), message, hints, transient: *transient }
}
