//! Accounts that several runs give of an image, and which of them counts [pure].

use std::collections::{HashMap, HashSet};

use crate::model::event::UnitId;
use crate::model::ids::ImageName;
use crate::model::outcome::{Outcome, OutcomeKind};
use crate::model::plan::{BuildPlan, Disposition, Parent, PlannedUnit};
use crate::model::reference::Reference;
use crate::report::earlier::{EarlierRun, summarized_failure};
use crate::report::format::{ReportedImage, Time};
use crate::report::kolla_summary::{KollaImage, KollaSummary};

/// The account that one run gives of a unit.
#[derive(Debug, Clone, Copy)]
pub enum Account<'a> {
    /// By its report. `run` is its place among the runs.
    Report { run: usize, image: &'a ReportedImage },
    /// By its summary; `failed` when the image failed.
    Summary { disposition: Disposition, failed: Option<&'a KollaImage> },
}

impl Account<'_> {
    /// Decision of the plan about the unit.
    fn disposition(&self) -> Disposition {
        match self {
            Account::Report { image, .. } => image.disposition,
            Account::Summary { disposition, .. } => *disposition,
        }
    }

    /// Rank by which one account counts before others: the largest does.
    fn rank(&self, allowed_to_fail: &[ImageName]) -> (bool, u8, Option<Time>) {
        let (fails_run, outcome, end) = match self {
            Account::Report { image, .. } => {
                let outcome = image.outcome.unwrap_or(OutcomeKind::Cancelled);
                let end = image.push.as_ref().map(|push| push.end);
                let gate = image.gate.as_ref().map(|gate| gate.end);
                let smoke = image.smoke.as_ref().map(|smoke| smoke.end);
                let end = end.or(gate).or(smoke).or(image.end);
                (image.fails_run, outcome, end)
            }
            Account::Summary { failed: None, .. } => (false, OutcomeKind::Built, None),
            Account::Summary { failed: Some(image), .. } => {
                (!allowed_to_fail.contains(&image.name), summarized_failure(image).kind(), None)
            }
        };
        let severity = match (self.disposition(), outcome) {
            (Disposition::Build, OutcomeKind::Failed) => 10,
            (Disposition::Build, OutcomeKind::ParentFailed) => 9,
            (Disposition::Build, OutcomeKind::SmokeError) => 8,
            (Disposition::Build, OutcomeKind::Gated) => 7,
            (Disposition::Build, OutcomeKind::PushFailed) => 6,
            (Disposition::Build, OutcomeKind::Cancelled) => 5,
            (Disposition::Build, OutcomeKind::Built) => 4,
            (Disposition::Build, OutcomeKind::Unchanged) => 3,
            (Disposition::Unbuildable, _) => 2,
            (Disposition::Skipped, _) => 1,
            (Disposition::Unmatched, _) => 0,
        };
        (fails_run, severity, end)
    }

    /// The end that a summary tells of a unit that was to be built.
    pub fn summarized_outcome(&self) -> Option<Outcome> {
        match self {
            Account::Summary { disposition: Disposition::Build, failed } => {
                Some(failed.map_or(Outcome::Built(Default::default()), summarized_failure))
            }
            Account::Summary { .. } | Account::Report { .. } => None,
        }
    }
}

/// The account that counts for each unit.
pub struct Accounts<'a> {
    /// Units of the plan, then those that only files tell of.
    pub units: Vec<PlannedUnit>,
    known: HashSet<UnitId>,
    best: HashMap<UnitId, Account<'a>>,
}

impl<'a> Accounts<'a> {
    /// Hears every run. `plan` is what the whole was asked for.
    pub fn gather(runs: &'a [EarlierRun], plan: &BuildPlan, allowed_to_fail: &[ImageName]) -> Accounts<'a> {
        let (units, known) = (plan.units.clone(), plan.units.iter().map(PlannedUnit::id).collect());
        let mut accounts = Accounts { units, known, best: HashMap::new() };
        for (run, earlier) in runs.iter().enumerate() {
            match earlier {
                EarlierRun::Report(report) => {
                    for image in &report.images {
                        accounts.consider(planned(image), Account::Report { run, image }, allowed_to_fail);
                    }
                }
                EarlierRun::Summary(summary) => {
                    for (unit, account) in of_summary(summary, plan) {
                        accounts.consider(unit, account, allowed_to_fail);
                    }
                }
            }
        }
        accounts
    }

    fn consider(&mut self, unit: PlannedUnit, account: Account<'a>, allowed_to_fail: &[ImageName]) {
        let id = unit.id();
        let rank = |account: &Account| account.rank(allowed_to_fail);
        if self.best.get(&id).is_none_or(|known| rank(known) < rank(&account)) {
            self.best.insert(id.clone(), account);
        }
        if self.known.insert(id) {
            self.units.push(unit);
        }
    }

    /// The account that counts for a unit.
    pub fn of(&self, unit: &PlannedUnit) -> Option<Account<'a>> {
        self.best.get(&unit.id()).copied()
    }

    /// The plan of the whole, in which every unit is what its account says. One that was asked for stays to be built when no
    /// file tells of it: with `complete` in any case, with `on_every_platform` if one tells of it on another platform.
    pub fn plan(&self, complete: bool, on_every_platform: bool) -> BuildPlan {
        let of_some_platform: HashSet<&ImageName> = match on_every_platform {
            true => self.built().collect(),
            false => HashSet::new(),
        };
        let units = self.units.iter().map(|unit| {
            let must_be_there = complete || of_some_platform.contains(&unit.image);
            let asked_for = must_be_there && unit.disposition == Disposition::Build;
            settled(unit.clone(), self.of(unit), asked_for)
        });
        BuildPlan { units: units.collect() }
    }

    /// Images that a run was to build on some platform.
    fn built(&self) -> impl Iterator<Item = &ImageName> {
        let built = self.best.iter().filter(|(_, account)| account.disposition() == Disposition::Build);
        built.map(|(unit, _)| &unit.image)
    }

    /// Images that failed and that their runs allowed to fail.
    pub fn allowed_to_fail(&self) -> impl Iterator<Item = ImageName> {
        self.best.values().filter_map(|account| match account {
            Account::Report { image, .. } if !image.fails_run && image.is_unsuccessful() => {
                Some(image.name.clone())
            }
            _ => None,
        })
    }
}

/// A unit as its account says it was.
fn settled(mut unit: PlannedUnit, account: Option<Account>, asked_for: bool) -> PlannedUnit {
    match account {
        Some(Account::Report { image, .. }) => unit = planned(image),
        Some(account) => unit.disposition = account.disposition(),
        None => unit.disposition = Disposition::Unmatched,
    }
    if unit.disposition == Disposition::Unmatched {
        unit.reason = "none of the merged files says that it was built".to_owned();
        if asked_for {
            unit.disposition = Disposition::Build;
        }
    }
    unit
}

fn planned(image: &ReportedImage) -> PlannedUnit {
    PlannedUnit {
        image: image.name.clone(),
        platform: image.platform,
        reference: image.reference.clone(),
        list: image.list.clone(),
        parent: image.parent.clone(),
        named: image.named.clone(),
        disposition: image.disposition,
        reason: image.reason.clone(),
    }
}

/// Accounts of all images of a summary. It knows no platforms: an image is meant on all that the plan has it on.
fn of_summary<'a>(summary: &'a KollaSummary, plan: &BuildPlan) -> Vec<(PlannedUnit, Account<'a>)> {
    let lists = [
        (&summary.built, Disposition::Build, false),
        (&summary.failed, Disposition::Build, true),
        (&summary.not_matched, Disposition::Unmatched, false),
        (&summary.skipped, Disposition::Skipped, false),
        (&summary.unbuildable, Disposition::Unbuildable, false),
    ];
    let mut units = Vec::new();
    for (images, disposition, has_failed) in lists {
        for image in images {
            let account = Account::Summary { disposition, failed: has_failed.then_some(image) };
            units.extend(units_named(&image.name, plan).into_iter().map(|unit| (unit, account)));
        }
    }
    units
}

/// The plan's units of an image; one that the plan does not know is taken for the platform of the others.
fn units_named(name: &str, plan: &BuildPlan) -> Vec<PlannedUnit> {
    let known: Vec<PlannedUnit> = plan.units.iter().filter(|unit| unit.image == name).cloned().collect();
    match plan.units.first() {
        Some(any) if known.is_empty() => vec![PlannedUnit {
            image: name.into(),
            reference: Reference { registry: None, path: name.to_owned(), tag: None, digest: None },
            parent: Parent::Base(String::new()),
            named: Vec::new(),
            ..any.clone()
        }],
        _ => known,
    }
}
