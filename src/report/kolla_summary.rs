//! The summary in Kolla's words: what `--summary-json-file` holds [pure].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::summary::{Summary, UnitSummary};
use crate::model::ids::ImageName;
use crate::model::outcome::FailedStatus;
use crate::model::plan::Disposition;

/// Every image of a run in one of Kolla's lists: these keys, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KollaSummary {
    /// Images built or found unchanged.
    pub built: Vec<KollaImage>,
    /// Images not there as asked for.
    pub failed: Vec<KollaImage>,
    /// Images not asked for.
    pub not_matched: Vec<KollaImage>,
    /// Images left out by an option.
    pub skipped: Vec<KollaImage>,
    /// Images known not to build here.
    pub unbuildable: Vec<KollaImage>,
}

/// An image in [`KollaSummary`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KollaImage {
    /// Name, without prefix, namespace and tag.
    pub name: ImageName,
    /// Reason of its failure; only in `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<FailedStatus>,
}

impl KollaSummary {
    /// Each image of a run once, under its worst outcome, by name.
    pub fn of(run: &Summary) -> KollaSummary {
        let mut worst: BTreeMap<&ImageName, &UnitSummary> = BTreeMap::new();
        for unit in run.units() {
            let entry = worst.entry(&unit.unit.image).or_insert(unit);
            if severity(unit) > severity(entry) {
                *entry = unit;
            }
        }
        let mut summary = KollaSummary::default();
        for (name, unit) in worst {
            let status = unit.failed_status();
            let list = match unit.disposition {
                Disposition::Build if status.is_some() => &mut summary.failed,
                Disposition::Build => &mut summary.built,
                Disposition::Unmatched => &mut summary.not_matched,
                Disposition::Skipped => &mut summary.skipped,
                Disposition::Unbuildable => &mut summary.unbuildable,
            };
            list.push(KollaImage { name: name.to_owned(), status });
        }
        summary
    }
}

/// Orders the units of one image: what happened comes before what was decided, and an image that is not there is worse
/// than one that was only not pushed.
fn severity(unit: &UnitSummary) -> (u8, Option<FailedStatus>) {
    let decided = match unit.disposition {
        Disposition::Build => 3,
        Disposition::Unbuildable => 2,
        Disposition::Skipped => 1,
        Disposition::Unmatched => 0,
    };
    (decided, unit.failed_status())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::failure::FailureKind;
    use crate::model::outcome::Outcome;
    use crate::report::testing::*;

    fn names(list: &[KollaImage]) -> Vec<String> {
        let word = |image: &KollaImage| match &image.status {
            Some(status) => format!("{}={status}", image.name),
            None => image.name.to_string(),
        };
        list.iter().map(word).collect()
    }

    #[test]
    fn every_image_is_in_one_list() {
        let (plan, events) = failing_parent();
        let kolla = KollaSummary::of(&summary_of(&plan, &[], &events));
        assert_eq!(names(&kolla.built), ["base", "mariadb-server", "memcached"]);
        assert_eq!(
            names(&kolla.failed),
            ["horizon=parent_error", "keystone=parent_error", "openstack-base=error"]
        );
        assert_eq!(names(&kolla.not_matched), ["nova-api"]);
        assert_eq!(names(&kolla.skipped), ["cron"]);
        assert_eq!(names(&kolla.unbuildable), ["tgtd"]);
    }

    #[test]
    fn what_is_not_there_in_the_end_has_failed() {
        let lost = failure(FailureKind::Connection, "registry gone");
        let events =
            [finished("base", built()), finished("base", Outcome::PushFailed(lost)), started("keystone")];
        let kolla = KollaSummary::of(&summary_of(&plan(&["base", "keystone", "nova-api"]), &[], &events));
        assert_eq!(names(&kolla.failed), ["base=push_error", "keystone=error", "nova-api=error"]);
    }

    #[test]
    fn a_status_that_is_not_known_is_an_error() {
        let image: KollaImage =
            serde_json::from_str(r#"{"name": "base", "status": "odd"}"#).expect("an image");
        assert_eq!(image.status, Some(FailedStatus::Error));
    }

    #[test]
    fn on_several_platforms_an_image_is_told_once_by_its_worst_outcome() {
        let plan = plan(&[
            "base",
            "base@arm64",
            "cron",
            "cron@arm64",
            "tgtd",
            "!tgtd@arm64",
            "-nova",
            "~nova@arm64",
            "etcd",
            "etcd@arm64",
        ]);
        let lost = failure(FailureKind::Connection, "gone");
        let events = [
            finished("base", built()),
            finished("base@arm64", unchanged()),
            finished("cron", failed("x")),
            finished("cron@arm64", parent_failed("base")),
            finished("tgtd", built()),
            finished("etcd", Outcome::PushFailed(lost.clone())),
            finished("etcd@arm64", Outcome::Failed(lost)),
        ];
        let summary = summary_of(&plan, &[], &events);
        let kolla = KollaSummary::of(&summary);
        assert_eq!(names(&kolla.built), ["base", "tgtd"]);
        assert_eq!(names(&kolla.failed), ["cron=error", "etcd=connection_error"]);
        assert_eq!(names(&kolla.skipped), ["nova"]);
        assert!(kolla.not_matched.is_empty() && kolla.unbuildable.is_empty());
        assert_eq!(summary.label(&unit("cron@arm64")), "cron-aarch64");
    }
}
