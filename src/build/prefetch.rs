//! Fetching sources ahead of the builds that need them.
//!
//! A unit that changes takes with it everything that is built on it. So what those units will need is known, and is
//! fetched while their parents are built. As long as nothing changes nothing is fetched.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use crate::config::source::Source;
use crate::freshness::recipe::Recipe;
use crate::model::event::UnitId;
use crate::model::plan::BuildPlan;
use crate::sources::cache::SourceCache;
use crate::util::at_once;

/// Tells which sources will be needed.
pub struct Prefetcher {
    units: HashMap<UnitId, Needs>,
    told: Mutex<HashSet<UnitId>>,
    wanted: mpsc::UnboundedSender<Source>,
}

/// A unit's sources, and the units built on it.
#[derive(Default)]
struct Needs {
    sources: Vec<Source>,
    children: Vec<UnitId>,
}

impl Prefetcher {
    /// Makes the teller and what listens to it, for [`fetch`].
    pub fn new(
        plan: &BuildPlan,
        recipes: &HashMap<UnitId, Recipe>,
    ) -> (Prefetcher, mpsc::UnboundedReceiver<Source>) {
        let mut units: HashMap<UnitId, Needs> = HashMap::new();
        for unit in plan.to_build() {
            let id = unit.id();
            for parent in unit.needs() {
                units.entry(parent).or_default().children.push(id.clone());
            }
            let sources = recipes.get(&id).map(|recipe| recipe.sources().cloned().collect());
            units.entry(id).or_default().sources = sources.unwrap_or_default();
        }
        let (wanted, listening) = mpsc::unbounded_channel();
        (Prefetcher { units, told: Mutex::default(), wanted }, listening)
    }

    /// A unit has changed, so that everything built on it will need its sources: the nearest first.
    pub fn changed(&self, unit: &UnitId) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut level = vec![unit];
        while !level.is_empty() {
            let children =
                level.iter().filter_map(|unit| self.units.get(unit)).flat_map(|unit| &unit.children);
            let news: Vec<&UnitId> = children.filter(|child| told.insert((*child).clone())).collect();
            for source in news.iter().flat_map(|unit| &self.units[*unit].sources) {
                // Nobody listens any more when the run is being ended.
                let _ = self.wanted.send(source.clone());
            }
            level = news;
        }
    }
}

/// Fetches what is wanted until this is dropped, beside what units whose turn has come fetch themselves. What can't be had is told by the unit that needs it.
pub async fn fetch(wanted: mpsc::UnboundedReceiver<Source>, sources: Arc<SourceCache>) {
    let wanted = stream::unfold(wanted, async |mut wanted| Some((wanted.recv().await?, wanted)));
    wanted.for_each_concurrent(at_once::FETCHES, async |source| drop(sources.fetch(&source).await)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::SourceOrigin;
    use crate::model::plan::{Disposition, Parent, PlannedUnit};
    use crate::model::platform::{Arch, Platform};
    use crate::testing::named;

    const PLATFORM: Platform = Platform { arch: Arch::X86_64 };

    fn id(image: &str) -> UnitId {
        UnitId { image: image.into(), platform: PLATFORM }
    }

    fn prefetcher() -> (Prefetcher, mpsc::UnboundedReceiver<Source>) {
        let images = [("base", ""), ("a", "base"), ("b", "base"), ("aa", "a"), ("aaa", "aa")];
        let units = images.map(|(image, parent)| PlannedUnit {
            image: (*image).into(),
            platform: PLATFORM,
            reference: named(image),
            list: None,
            parent: match parent {
                "" => Parent::Base("debian".to_string()),
                parent => Parent::Image(parent.into()),
            },
            named: Vec::new(),
            disposition: Disposition::Build,
            reason: String::new(),
        });
        let recipe = |(image, _): (&str, &str)| {
            let source =
                Source { section: image.to_string(), origin: SourceOrigin::Local("x".into()), sha256: None };
            let recipe = Recipe {
                context: "x".into(),
                mtime: 0,
                parents: Vec::new(),
                downloads: Vec::new(),
                source: Some(source),
                plugins: Vec::new(),
                additions: Vec::new(),
                labels: Default::default(),
                run_flags: Default::default(),
                package_caches: None,
            };
            (id(image), recipe)
        };
        Prefetcher::new(&BuildPlan { units: units.to_vec() }, &images.map(recipe).into())
    }

    fn told(wanted: &mut mpsc::UnboundedReceiver<Source>) -> Vec<String> {
        std::iter::from_fn(|| wanted.try_recv().ok()).map(|source| source.section).collect()
    }

    #[test]
    fn what_is_built_on_a_changed_unit_is_told_once_and_the_nearest_first() {
        let (prefetcher, mut wanted) = prefetcher();
        prefetcher.changed(&id("a"));
        assert_eq!(told(&mut wanted), ["aa", "aaa"]);
        prefetcher.changed(&id("base"));
        assert_eq!(told(&mut wanted), ["a", "b"]);
        prefetcher.changed(&id("aa"));
        assert_eq!(told(&mut wanted), [""; 0]);
    }
}
