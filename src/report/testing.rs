//! Plans and runs that the reporters' tests share.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Reporter;
use super::ended_run::{EndedRun, RunFacts};
use super::format::Report;
use super::summary::{Summary, SummaryOptions};
use super::timeline::Timeline;
use crate::model::event::{Event, UnitId};
use crate::model::failure::{Failure, FailureKind};
use crate::model::ids::Digest;
use crate::model::outcome::{Outcome, UnitImage};
use crate::model::plan::{BuildPlan, Disposition, Parent, PlannedUnit};
use crate::model::platform::{Arch, Platform};
use crate::model::reference::Reference;
use crate::testing::named;

/// When the runs of [`report_of`] start.
pub const START: &str = "2026-05-04T03:02:01.5Z";

/// The platform of a name like `keystone` or `keystone@arm64`, and the name alone.
pub fn unit(name: &str) -> UnitId {
    let (image, arch) = match name.strip_suffix("@arm64") {
        Some(image) => (image, Arch::Aarch64),
        None => (name, Arch::X86_64),
    };
    UnitId { image: image.into(), platform: Platform::new(arch) }
}

/// A plan of units that are to be built. A leading `-`, `~` or `!` makes one unmatched, skipped or unbuildable.
pub fn plan(names: &[&str]) -> BuildPlan {
    let planned = |name: &&str| {
        let (disposition, name) = match name.split_at(1) {
            ("-", rest) => (Disposition::Unmatched, rest),
            ("~", rest) => (Disposition::Skipped, rest),
            ("!", rest) => (Disposition::Unbuildable, rest),
            _ => (Disposition::Build, *name),
        };
        let UnitId { image, platform } = unit(name);
        PlannedUnit {
            image: (*image).into(),
            platform,
            reference: Reference { path: format!("kolla/{image}"), ..named("x:master-debian-trixie") },
            list: None,
            parent: Parent::Base("debian:trixie".to_string()),
            named: Vec::new(),
            disposition,
            reason: String::new(),
        }
    };
    BuildPlan { units: names.iter().map(planned).collect() }
}

/// A plan of units that are to be built, named with their parents: `base`, `base/keystone`.
pub fn family(names: &[&str]) -> BuildPlan {
    let mut plan =
        plan(&names.iter().map(|name| name.rsplit('/').next().unwrap_or(name)).collect::<Vec<_>>());
    for (unit, name) in plan.units.iter_mut().zip(names) {
        if let Some((parent, _)) = name.rsplit_once('/') {
            unit.parent = Parent::Image(parent.into());
        }
    }
    plan
}

pub fn taken(name: &str, worker: usize) -> Event {
    Event::Taken { unit: unit(name), worker }
}

pub fn started(name: &str) -> Event {
    Event::BuildStarted { unit: unit(name), attempt: 1, key: "0123abcd".into() }
}

pub fn line(name: &str, text: &str) -> Event {
    Event::Line { unit: unit(name), text: text.to_string() }
}

pub fn pushed(unit: UnitId, digest: Option<Digest>, list: Option<Digest>) -> Event {
    let (attached, list_attached) = Default::default();
    Event::Pushed { unit, digest, list, attached, list_attached }
}

pub fn finished(name: &str, outcome: Outcome) -> Event {
    Event::Finished { unit: unit(name), outcome, duration: Duration::from_millis(72_300) }
}

pub fn image() -> UnitImage {
    UnitImage { id: "sha256:1".into(), key: "0123abcd".into(), size: 123_456_789, layers: 7 }
}

pub fn unchanged() -> Outcome {
    Outcome::Unchanged(image())
}

pub fn built() -> Outcome {
    Outcome::Built(image())
}

pub fn failure(kind: FailureKind, message: &str) -> Failure {
    Failure::permanent(kind, message)
}

pub fn failed(message: &str) -> Outcome {
    Outcome::Failed(failure(FailureKind::Build, message))
}

pub fn parent_failed(root_cause: &str) -> Outcome {
    Outcome::ParentFailed { root_cause: root_cause.into() }
}

/// The summary of a plan after some events, with some images allowed to fail.
pub fn summary_of(plan: &BuildPlan, allowed_to_fail: &[&str], events: &[Event]) -> Summary {
    let allowed_to_fail = allowed_to_fail.iter().map(|name| (*name).into()).collect();
    let mut summary = Summary::new(plan, &SummaryOptions { allowed_to_fail });
    events.iter().for_each(|event| summary.event(event));
    summary
}

/// The report of a run with these events, one a second from [`START`] on.
pub fn report_of(plan: &BuildPlan, events: &[Event]) -> Report {
    let mut timeline = Timeline::new(plan);
    for (event, second) in events.iter().zip(0..) {
        timeline.event(event, Duration::from_secs(second));
    }
    let (summary, facts) = (summary_of(plan, &[], events), RunFacts::default());
    let started = START.parse().expect("a time");
    EndedRun { summary: &summary, timeline: &timeline, facts: &facts, started }.report()
}

/// A tree in which a parent fails: two images are lost with it, others are built, unchanged or not asked for.
pub fn failing_parent() -> (BuildPlan, Vec<Event>) {
    let plan = plan(&[
        "base",
        "memcached",
        "openstack-base",
        "mariadb-server",
        "horizon",
        "keystone",
        "-nova-api",
        "~cron",
        "!tgtd",
    ]);
    let events = vec![
        Event::RunStarted { units: 6 },
        Event::Finished { unit: unit("base"), outcome: unchanged(), duration: Duration::ZERO },
        started("memcached"),
        started("openstack-base"),
        line("memcached", "Step 1/2 : FROM kolla/base"),
        line("openstack-base", "Reading package lists..."),
        finished("memcached", built()),
        line("openstack-base", "E: Unable to locate package python3-venvv"),
        finished(
            "openstack-base",
            failed("The command '/bin/sh -c apt-get install' returned a non-zero code: 100"),
        ),
        finished("horizon", parent_failed("openstack-base")),
        finished("keystone", parent_failed("openstack-base")),
        started("mariadb-server"),
        finished("mariadb-server", built()),
    ];
    (plan, events)
}

/// A text with the times that depend on the test's own speed set to nought.
pub fn resting(text: &str) -> String {
    let times = regex::Regex::new(r"(?m)[\d.]+s$|Finished in [\d.]+s").expect("a valid regex");
    let nought = |found: &regex::Captures| if found[0].starts_with('F') { "Finished in 0s" } else { "0s" };
    times.replace_all(text, nought).into_owned()
}

/// Shows a whole run to a reporter and expects it to have no complaints.
pub fn run_through(plan: &BuildPlan, events: &[Event], reporter: &mut dyn Reporter) {
    let mut summary = summary_of(plan, &[], &[]);
    for event in events {
        summary.event(event);
        reporter.event(event, &summary);
    }
    let errors = reporter.finish(&summary);
    assert!(errors.is_empty(), "{errors:?}");
}

/// A place to write to that can be read afterwards.
#[derive(Clone, Default)]
pub struct SharedBuffer(Arc<Mutex<Vec<u8>>>);

impl SharedBuffer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no test panics while holding it")).into_owned()
    }
}

impl Write for SharedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test panics while holding it").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
