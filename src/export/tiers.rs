//! The images of a plan in tiers: what a tier's images are built on is in an earlier one, so that they can be built side
//! by side [pure].

use std::collections::HashMap;

use crate::model::ids::ImageName;
use crate::model::plan::{BuildPlan, Parent, PlannedUnit};
use crate::model::platform::Platform;

/// Images of one tier that are built together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<'a> {
    /// Name, `tier-TIER-NUMBER`, from `tier-0-1`.
    pub name: String,
    /// The images; those on the same parent are next to each other.
    pub units: Vec<&'a PlannedUnit>,
}

/// Images that are to be built for a platform, by tier, each tier in at most `most_batches` batches of about `size` images.
pub fn batches(
    plan: &BuildPlan,
    platform: Platform,
    size: usize,
    most_batches: usize,
) -> Vec<Vec<Batch<'_>>> {
    let tiers = tiers(plan, platform);
    let in_batches = |(tier, units): (usize, &Vec<_>)| {
        let size = size.max(units.len().div_ceil(most_batches.max(1))).max(1);
        let batches = units.chunks(size).enumerate();
        batches
            .map(|(index, units)| Batch { name: format!("tier-{tier}-{}", index + 1), units: units.to_vec() })
            .collect()
    };
    tiers.iter().enumerate().map(in_batches).collect()
}

fn tiers(plan: &BuildPlan, platform: Platform) -> Vec<Vec<&PlannedUnit>> {
    let mut tier_of: HashMap<&ImageName, usize> = HashMap::new();
    let mut tiers: Vec<Vec<&PlannedUnit>> = Vec::new();
    // Parents come first in a plan.
    for unit in plan.to_build().filter(|unit| unit.platform == platform) {
        let tiers_below = unit.parents().filter_map(Parent::image).filter_map(|parent| tier_of.get(parent));
        let below = tiers_below.max().map_or(0, |tier| tier + 1);
        tier_of.insert(&unit.image, below);
        if tiers.len() <= below {
            tiers.push(Vec::new());
        }
        tiers[below].push(unit);
    }
    for tier in &mut tiers {
        tier.sort_by(|a, b| (a.parent.as_str(), &a.image).cmp(&(b.parent.as_str(), &b.image)));
    }
    tiers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::plan::Disposition;
    use crate::model::platform::Arch;
    use crate::testing::named;

    const X86_64: Platform = Platform { arch: Arch::X86_64 };

    fn plan(images: &[(&str, &str)]) -> BuildPlan {
        let unit = |(image, parent): &(&str, &str)| PlannedUnit {
            image: (*image).into(),
            platform: X86_64,
            reference: named(image),
            list: None,
            parent: match parent.strip_suffix(":tag") {
                Some(_) => Parent::Base(parent.to_string()),
                None => Parent::Image((*parent).into()),
            },
            named: Vec::new(),
            disposition: Disposition::Build,
            reason: String::new(),
        };
        BuildPlan { units: images.iter().map(unit).collect() }
    }

    fn names(batches: &[Vec<Batch>]) -> Vec<Vec<String>> {
        let text = |batch: &Batch| {
            let images: Vec<&str> = batch.units.iter().map(|unit| unit.image.as_str()).collect();
            format!("{}: {}", batch.name, images.join(" "))
        };
        batches.iter().map(|tier| tier.iter().map(text).collect()).collect()
    }

    #[test]
    fn a_tier_is_built_on_the_ones_before_and_siblings_stay_together() {
        let plan = plan(&[
            ("base", "debian:tag"),
            ("alone", "not-built"),
            ("b", "base"),
            ("c", "base"),
            ("b1", "b"),
            ("c1", "c"),
            ("b2", "b"),
            ("c2", "c"),
        ]);
        assert_eq!(
            names(&batches(&plan, X86_64, 2, 9)),
            [vec!["tier-0-1: base alone"], vec!["tier-1-1: b c"], vec!["tier-2-1: b1 b2", "tier-2-2: c1 c2"]]
        );
        assert_eq!(names(&batches(&plan, X86_64, 1, 1))[2], ["tier-2-1: b1 b2 c1 c2"]);
    }

    #[test]
    fn a_platform_s_tiers_have_nothing_of_another() {
        let mut plan = plan(&[("base", "debian:tag"), ("a", "base"), ("b", "a")]);
        plan.units[1].disposition = Disposition::Unbuildable;
        plan.units[2].disposition = Disposition::Unbuildable;
        let other = Platform::new(Arch::Aarch64);
        let units = plan.units.clone().into_iter();
        plan.units.extend(units.map(|unit| PlannedUnit {
            platform: other,
            disposition: Disposition::Build,
            ..unit
        }));
        assert_eq!(names(&batches(&plan, X86_64, 1, 9)), [["tier-0-1: base"]]);
        assert_eq!(
            names(&batches(&plan, other, 1, 9)),
            [["tier-0-1: base"], ["tier-1-1: a"], ["tier-2-1: b"]]
        );
    }

    #[test]
    fn no_tier_has_more_batches_than_allowed() {
        let images: Vec<String> = (0..1000).map(|number| format!("i{number}")).collect();
        let pairs: Vec<(&str, &str)> = images.iter().map(|image| (image.as_str(), "debian:tag")).collect();
        let plan = plan(&pairs);
        for most in [1, 7, 256] {
            let batches = batches(&plan, X86_64, 1, most);
            assert!(batches[0].len() <= most);
            assert_eq!(batches[0].iter().map(|batch| batch.units.len()).sum::<usize>(), 1000);
        }
    }
}
