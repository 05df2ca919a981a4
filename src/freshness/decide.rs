//! The decision that an image is up to date or why it is not, from evidence that others have gathered [pure].

use super::answer::{Expected, Freshness, Reused, StaleReason};
use super::evidence::{Evidence, Existing, ImageLabels, ParentState, Reuse};
use super::record::InputRecord;

/// Decides.
///
/// | images that exist     | parents     | inputs                       | freshness                      |
/// |-----------------------|-------------|------------------------------|--------------------------------|
/// | any, without cache    | any         | any                          | stale                          |
/// | none                  | any         | any                          | stale                          |
/// | any, the name counts  | any         | any                          | fresh                          |
/// | any                   | any built   | any                          | stale                          |
/// | any                   | any         | an unidentified download     | stale                          |
/// | the same key and ids  | -           | -                            | fresh, unknown if a parent is  |
/// | the registry failed   | -           | any                          | unknown                        |
/// | not asked             | -           | no record, or not known      | unknown                        |
/// | not asked             | -           | differ from the record       | stale                          |
/// | not asked             | -           | as recorded                  | fresh, unknown if a parent is  |
/// | none has a key        | -           | any                          | stale                          |
/// | with a key            | -           | not known                    | unknown                        |
/// | with another key      | -           | any                          | stale                          |
/// | with the same key     | other ids   | -                            | stale                          |
pub fn decide(evidence: &Evidence) -> Freshness {
    match evidence.stale_anyway() {
        Some(reason) => Freshness::Stale(reason),
        None => evidence.compare(),
    }
}

impl<'a> Evidence<'a> {
    fn images(&self) -> &'a [ImageLabels] {
        match self.existing {
            Existing::NotAsked => &[],
            Existing::RegistryFailed(images, _) | Existing::Images(images) => images,
        }
    }

    /// Why it is built whatever the images that exist were made from.
    fn stale_anyway(&self) -> Option<StaleReason> {
        match (self.reuse, self.existing) {
            (Reuse::Nothing, _) => return Some(StaleReason::NoCache),
            (_, Existing::Images(images)) if images.is_empty() => {
                return Some(StaleReason::Missing(self.last_asked));
            }
            (Reuse::SameName, _) => return None,
            _ => {}
        }
        if let Some(parent) = self.parent_that_is(Expected::Built) {
            let is_own = |name: &String| self.parents.iter().all(|parent| parent.name != *name);
            return Some(match self.differences.iter().any(is_own) {
                true => self.inputs_differ(),
                false => StaleReason::ParentBuilt(parent.to_string()),
            });
        }
        self.unidentified.first().map(|why| StaleReason::Download(why.clone()))
    }

    fn compare(&self) -> Freshness {
        if let Some(reused) = self.reusable() {
            return self.fresh(Some(reused));
        }
        match (self.existing, self.now) {
            (Existing::RegistryFailed(_, why), _) => Freshness::Unknown(why.clone()),
            (Existing::NotAsked, _) => self.compare_with_record(),
            (Existing::Images(images), Ok(now)) => Freshness::Stale(self.why_not(&images[0], now)),
            // Any of them with a key may be the right one.
            (Existing::Images(images), Err(_)) if images.iter().all(|image| image.key.is_none()) => {
                Freshness::Stale(StaleReason::Foreign(images[0].holder))
            }
            (Existing::Images(_), Err(why)) => Freshness::Unknown(why.to_string()),
        }
    }

    /// The first image that takes the place of a build.
    fn reusable(&self) -> Option<Reused> {
        let fits = |image: &ImageLabels| match (self.reuse, self.now) {
            (Reuse::SameName, _) => true,
            (_, Ok(now)) => image.key.as_ref() == Some(&now.key) && self.other_parent(image).is_none(),
            (_, Err(_)) => false,
        };
        let index = self.images().iter().position(fits)?;
        Some(Reused { holder: self.images()[index].holder, index })
    }

    /// The first of the images it is made from that is not the one that an image was made from.
    fn other_parent(&self, image: &ImageLabels) -> Option<&'a str> {
        let is_other = |(at, parent): &(usize, &ParentState)| {
            image.parents.get(*at).is_none_or(|id| !parent.ids.contains(id))
        };
        self.parents.iter().enumerate().find(is_other).map(|(_, parent)| parent.name.as_str())
    }

    fn parent_that_is(&self, expected: Expected) -> Option<&'a str> {
        self.parents.iter().find(|parent| parent.expected == expected).map(|parent| parent.name.as_str())
    }

    fn fresh(&self, reused: Option<Reused>) -> Freshness {
        match self.parent_that_is(Expected::Unknown) {
            Some(parent) => Freshness::Unknown(format!("only a run can tell whether its {parent} is built")),
            None => Freshness::Fresh(reused),
        }
    }

    fn compare_with_record(&self) -> Freshness {
        match (self.now, self.before) {
            (_, None) => Freshness::Unknown("there is no record of an earlier build".to_string()),
            (Err(why), _) => Freshness::Unknown(why.to_string()),
            _ if self.differences.is_empty() => self.fresh(None),
            _ => Freshness::Stale(self.inputs_differ()),
        }
    }

    fn inputs_differ(&self) -> StaleReason {
        StaleReason::Inputs(self.differences.to_vec())
    }

    /// Why an image that exists is not the one that would be built.
    fn why_not(&self, image: &ImageLabels, now: &InputRecord) -> StaleReason {
        match &image.key {
            None => StaleReason::Foreign(image.holder),
            Some(key) if *key == now.key => match self.other_parent(image) {
                Some(parent) if image.parents.is_empty() => StaleReason::ParentUnlabelled(parent.to_string()),
                Some(parent) => StaleReason::ParentRebuilt(parent.to_string()),
                None => self.inputs_differ(),
            },
            Some(key) if self.before.is_none_or(|before| before.key != *key) => {
                StaleReason::Unrecorded(image.holder)
            }
            Some(_) => self.inputs_differ(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::freshness::answer::Holder;
    use crate::freshness::evidence::differences;
    use crate::freshness::key::KeyInputs;

    fn record(dockerfile: &str, parent: &str) -> InputRecord {
        let (dockerfile, parent) = (dockerfile.to_string(), parent.into());
        InputRecord::new(&KeyInputs { dockerfile, parent, ..KeyInputs::default() })
    }

    fn labels(record: &InputRecord, holder: Holder, parents: &[&str]) -> ImageLabels {
        let parents = parents.iter().map(|id| (*id).into()).collect();
        ImageLabels { holder, key: Some(record.key.clone()), parents }
    }

    fn parent(name: &str, expected: Expected, ids: &[&str]) -> ParentState {
        ParentState { name: name.to_string(), expected, ids: ids.iter().map(|id| (*id).into()).collect() }
    }

    #[test]
    fn the_truth_table_holds() {
        use Expected::{Built, Unchanged, Unknown};
        use Holder::{Engine, Registry};
        let as_it_was = record("FROM x", "p");
        let (changed, of_parent) = (record("FROM y", "p"), record("FROM x", "q"));
        let both = record("FROM y", "q");
        let base = |expected, ids: &[&str]| parent("parent base", expected, ids);
        let tools = |expected, ids: &[&str]| parent("parent tools", expected, ids);
        let usual_tools = tools(Unchanged, &["t"]);
        let usual_parents = [base(Unchanged, &["manifest", "id"]), usual_tools.clone()];
        let built_parent = [base(Built, &["id"]), usual_tools.clone()];
        let built_tools = [usual_parents[0].clone(), tools(Built, &["t"])];
        let unknown_parent = [base(Unknown, &["id"]), usual_tools.clone()];
        let other_parent = [base(Unchanged, &["new"]), usual_tools];
        let other_tools = [usual_parents[0].clone(), tools(Unchanged, &["new"])];
        let images = |record: &InputRecord, holder, parents: &[&str]| {
            Existing::Images(vec![labels(record, holder, parents)])
        };
        let held = images(&as_it_was, Engine, &["id", "t"]);
        let in_registry = images(&as_it_was, Registry, &["id", "t"]);
        let second = Existing::Images(vec![
            labels(&changed, Engine, &["id", "t"]),
            labels(&as_it_was, Registry, &["id", "t"]),
        ]);
        let foreign = images(&record("FROM z", "p"), Engine, &["id", "t"]);
        let (without_parent, without_tools) =
            (images(&as_it_was, Engine, &[]), images(&as_it_was, Engine, &["id"]));
        let unlabelled =
            Existing::Images(vec![ImageLabels { holder: Engine, key: None, parents: Vec::new() }]);
        let one_unlabelled = Existing::Images(vec![
            ImageLabels { holder: Engine, key: None, parents: Vec::new() },
            labels(&as_it_was, Registry, &["id", "t"]),
        ]);
        let nothing = Existing::Images(Vec::new());
        let not_told = Existing::RegistryFailed(
            vec![labels(&changed, Engine, &["id", "t"])],
            "the registry failed".to_string(),
        );
        let told_before =
            Existing::RegistryFailed(vec![labels(&as_it_was, Engine, &["id", "t"])], "x".to_string());
        let unidentified = ["nobody tells what https://h/x is".to_string()];
        let usual = Evidence {
            reuse: Reuse::SameInputs,
            last_asked: Engine,
            parents: &usual_parents,
            existing: &held,
            before: Some(&as_it_was),
            now: Ok(&as_it_was),
            differences: &[],
            unidentified: &[],
        };
        let not_asked = Evidence { existing: &Existing::NotAsked, ..usual };
        let cases = [
            (usual, "Fresh: nothing differs"),
            (Evidence { reuse: Reuse::Nothing, ..usual }, "Stale: --nocache builds everything anew"),
            (Evidence { existing: &nothing, ..usual }, "Stale: the engine does not have it"),
            (
                Evidence { existing: &nothing, last_asked: Registry, ..usual },
                "Stale: neither the engine nor the registry has it",
            ),
            (Evidence { existing: &not_told, ..usual }, "Unknown: the registry failed"),
            (Evidence { existing: &told_before, ..usual }, "Fresh: nothing differs"),
            (
                Evidence { existing: &in_registry, ..usual },
                "Fresh: nothing differs from what the registry has",
            ),
            (Evidence { existing: &second, ..usual }, "Fresh: nothing differs from what the registry has"),
            (Evidence { parents: &built_parent, ..usual }, "Stale: its parent base is built"),
            (Evidence { parents: &built_tools, ..usual }, "Stale: its parent tools is built"),
            (
                Evidence { parents: &built_parent, now: Ok(&both), ..usual },
                "Stale: Dockerfile line 1 differs, and 1 more",
            ),
            (Evidence { unidentified: &unidentified, ..usual }, "Stale: nobody tells what https://h/x is"),
            (Evidence { now: Ok(&changed), ..usual }, "Stale: Dockerfile line 1 differs"),
            (Evidence { now: Ok(&of_parent), ..usual }, "Stale: parent base differs"),
            (Evidence { now: Err("x is not pinned"), ..usual }, "Unknown: x is not pinned"),
            (Evidence { parents: &other_parent, ..usual }, "Stale: its parent base was built anew since"),
            (Evidence { parents: &other_tools, ..usual }, "Stale: its parent tools was built anew since"),
            (
                Evidence { existing: &without_parent, ..usual },
                "Stale: its labels do not tell which parent base it was built on",
            ),
            (Evidence { existing: &without_tools, ..usual }, "Stale: its parent tools was built anew since"),
            (Evidence { before: None, ..usual }, "Fresh: nothing differs"),
            (
                Evidence { existing: &foreign, ..usual },
                "Stale: its inputs differ, and there is no record of what the engine's image was made from",
            ),
            (
                Evidence { existing: &unlabelled, ..usual },
                "Stale: what the engine has under its name was not built by kolla-build",
            ),
            (
                Evidence { existing: &unlabelled, now: Err("x is not pinned"), ..usual },
                "Stale: what the engine has under its name was not built by kolla-build",
            ),
            (
                Evidence { existing: &one_unlabelled, now: Err("x is not pinned"), ..usual },
                "Unknown: x is not pinned",
            ),
            (
                Evidence { parents: &unknown_parent, ..usual },
                "Unknown: only a run can tell whether its parent base is built",
            ),
            (Evidence { existing: &foreign, reuse: Reuse::SameName, ..usual }, "Fresh: nothing differs"),
            (
                Evidence { existing: &nothing, reuse: Reuse::SameName, ..usual },
                "Stale: the engine does not have it",
            ),
            (not_asked, "Fresh: nothing differs"),
            (Evidence { now: Ok(&changed), ..not_asked }, "Stale: Dockerfile line 1 differs"),
            (Evidence { before: None, ..not_asked }, "Unknown: there is no record of an earlier build"),
        ];
        for (evidence, told) in cases {
            let differences = differences(evidence.now, evidence.before, evidence.parents);
            let freshness = decide(&Evidence { differences: &differences, ..evidence });
            let word = match freshness {
                Freshness::Fresh(_) => "Fresh",
                Freshness::Stale(_) => "Stale",
                Freshness::Unknown(_) => "Unknown",
            };
            assert_eq!(format!("{word}: {freshness}"), told, "{evidence:?}");
        }
        let second = decide(&Evidence { existing: &second, ..usual });
        assert_eq!(second, Freshness::Fresh(Some(Reused { holder: Registry, index: 1 })));
    }
}
