//! Manifest lists: one name for an image's platforms, put together when the last of them has been pushed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use crate::model::ids::Digest;
use crate::model::plan::{BuildPlan, Disposition, PlannedUnit};
use crate::model::platform::Platform;
use crate::model::reference::Reference;

/// References of a list, by platform.
pub type Members = BTreeMap<Platform, Reference>;

/// The manifest lists of a run, by their names.
#[derive(Debug, Default)]
pub struct ManifestLists(Mutex<HashMap<Reference, List>>);

#[derive(Debug, Default)]
struct List {
    /// Units that this run is to push first.
    awaited: usize,
    /// References of what there is; of what was pushed by digest, which others can't make another image's.
    members: Members,
}

impl ManifestLists {
    /// Those of a plan. What it leaves out for now (`--skip-existing`) belongs to a list as the registry has it; what can't
    /// be built for a platform does not.
    pub fn of(plan: &BuildPlan) -> ManifestLists {
        let mut lists: HashMap<Reference, List> = HashMap::new();
        for unit in &plan.units {
            let Some(name) = &unit.list else { continue };
            let list = lists.entry(name.clone()).or_default();
            match unit.disposition {
                Disposition::Build => list.awaited += 1,
                Disposition::Skipped => drop(list.members.insert(unit.platform, unit.reference.clone())),
                Disposition::Unmatched | Disposition::Unbuildable => {}
            }
        }
        ManifestLists(Mutex::new(lists))
    }

    /// Notes that a unit was pushed; gives its list's name and members when that was the last one. A unit that is pushed
    /// again, because its list failed, counts once.
    pub fn complete(&self, unit: &PlannedUnit, digest: Option<&Digest>) -> Option<(Reference, Members)> {
        let name = unit.list.as_ref()?;
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let list = lists.get_mut(name)?;
        if list
            .members
            .insert(
                unit.platform,
                digest.map_or_else(|| unit.reference.clone(), |digest| unit.reference.at(digest)),
            )
            .is_none()
        {
            list.awaited -= 1;
        }
        (list.awaited == 0).then(|| (name.clone(), list.members.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::Digest;
    use crate::model::plan::Parent;
    use crate::model::platform::Arch;
    use crate::testing::named;

    fn unit(arch: Arch, disposition: Disposition) -> PlannedUnit {
        PlannedUnit {
            image: "base".into(),
            platform: Platform::new(arch),
            reference: named(&format!("r:5000/kolla/base:1-{}", arch.kolla())),
            list: Some(named("r:5000/kolla/base:1")),
            parent: Parent::Base("debian:trixie".to_string()),
            named: Vec::new(),
            disposition,
            reason: String::new(),
        }
    }

    fn completed(units: [PlannedUnit; 2], pushed: &[usize]) -> Option<Vec<Reference>> {
        let lists = ManifestLists::of(&BuildPlan { units: units.to_vec() });
        let mut last = None;
        for index in pushed {
            last = lists.complete(&units[*index], Some(&Digest::of(b"")));
        }
        last.map(|(_, members)| members.into_values().collect())
    }

    #[test]
    fn a_list_is_complete_once_every_platform_is_pushed() {
        let both = || [Arch::X86_64, Arch::Aarch64].map(|arch| unit(arch, Disposition::Build));
        let exact = named("r:5000/kolla/base").at(&Digest::of(b""));
        assert_eq!(completed(both(), &[0]), None);
        assert_eq!(completed(both(), &[0, 0]), None);
        assert_eq!(completed(both(), &[1, 0]), Some(vec![exact.clone(), exact.clone()]));
        assert_eq!(completed(both(), &[1, 0, 0]), Some(vec![exact.clone(), exact]));
    }

    #[test]
    fn what_the_run_leaves_out_is_taken_as_the_registry_has_it() {
        let with =
            |other| completed([unit(Arch::X86_64, Disposition::Build), unit(Arch::Aarch64, other)], &[0]);
        let exact = named("r:5000/kolla/base").at(&Digest::of(b""));
        let left = named("r:5000/kolla/base:1-aarch64");
        assert_eq!(with(Disposition::Skipped), Some(vec![exact.clone(), left]));
        assert_eq!(with(Disposition::Unbuildable), Some(vec![exact]));
    }
}
