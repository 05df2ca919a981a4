//! Whether an image is up to date, and if not, why: decided of evidence that others have gathered [pure].

use std::fmt;

use serde::Serialize;

use super::record::InputRecord;
use crate::model::ids::{ContentKey, ImageId};

/// Answer to whether an image is up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// Up to date: nothing differs.
    Fresh(Option<Reused>),
    /// Not up to date, and to be built.
    Stale(StaleReason),
    /// Only a run can tell, and why.
    Unknown(String),
}

/// The image that takes the place of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reused {
    /// The engine or registry that holds it.
    pub holder: Holder,
    /// Place among the images that exist.
    pub index: usize,
}

/// Why an image is to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaleReason {
    /// Nothing is reused (`--nocache`).
    NoCache,
    /// Nobody has one, this holder being the last one that was asked.
    Missing(Holder),
    /// An image that it is made from is built in this run.
    ParentBuilt(String),
    /// Nobody tells whether what its Dockerfile downloads is what it was.
    Download(String),
    /// The holder's image was not built by this program.
    Foreign(Holder),
    /// Inputs differ: `Dockerfile line 12`, `file start.sh`, `parent base`. Empty when only a key tells.
    Inputs(Vec<String>),
    /// Inputs differ from those of the holder's image, of which there is no record.
    Unrecorded(Holder),
    /// An image that it is made from was built anew elsewhere, from the same inputs.
    ParentRebuilt(String),
    /// No label tells which image of this name it was built on.
    ParentUnlabelled(String),
}

impl StaleReason {
    /// True when no image that somebody else may have could change it.
    pub fn is_final(&self) -> bool {
        matches!(self, StaleReason::NoCache | StaleReason::ParentBuilt(_) | StaleReason::Download(_))
    }
}

/// Expected outcome for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// Built in this run.
    Built,
    /// Found as it would be built.
    Unchanged,
    /// Only the run can tell.
    Unknown,
}

impl Freshness {
    /// Outcome that is to be expected.
    pub fn expected(&self) -> Expected {
        match self {
            Freshness::Fresh(_) => Expected::Unchanged,
            Freshness::Stale(_) => Expected::Built,
            Freshness::Unknown(_) => Expected::Unknown,
        }
    }

    /// Holder of the image that is reused, when that is known.
    pub fn reused_from(&self) -> Option<Holder> {
        match self {
            Freshness::Fresh(reused) => reused.map(|reused| reused.holder),
            Freshness::Stale(_) | Freshness::Unknown(_) => None,
        }
    }
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Freshness::Fresh(Some(Reused { holder: Holder::Registry, .. })) => {
                f.write_str("nothing differs from what the registry has")
            }
            Freshness::Fresh(_) => f.write_str("nothing differs"),
            Freshness::Stale(reason) => reason.fmt(f),
            Freshness::Unknown(why) => f.write_str(why),
        }
    }
}

impl fmt::Display for StaleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StaleReason::NoCache => f.write_str("--nocache builds everything anew"),
            StaleReason::Missing(Holder::Engine) => f.write_str("the engine does not have it"),
            StaleReason::Missing(Holder::Registry) => {
                f.write_str("neither the engine nor the registry has it")
            }
            StaleReason::ParentBuilt(parent) => write!(f, "its {parent} is built"),
            StaleReason::Download(why) => f.write_str(why),
            StaleReason::Foreign(holder) => {
                write!(f, "what {holder} has under its name was not built by kolla-build")
            }
            StaleReason::Inputs(differences) => match differences.as_slice() {
                [] => f.write_str("its inputs differ"),
                [only] => write!(f, "{only} differs"),
                [first, more @ ..] => write!(f, "{first} differs, and {} more", more.len()),
            },
            StaleReason::Unrecorded(holder) => {
                write!(f, "its inputs differ, and there is no record of what {holder}'s image was made from")
            }
            StaleReason::ParentRebuilt(parent) => write!(f, "its {parent} was built anew since"),
            StaleReason::ParentUnlabelled(parent) => {
                write!(f, "its labels do not tell which {parent} it was built on")
            }
        }
    }
}

/// The one of an engine and a registry that holds an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// The engine, where builds leave images.
    Engine,
    /// The registry, where `--reuse registry` looks too.
    Registry,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Holder::Engine => "the engine",
            Holder::Registry => "the registry",
        })
    }
}

/// Images that take the place of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// No image takes the place of a build (`--nocache`).
    Nothing,
    /// Those of the same inputs.
    SameInputs,
    /// Whatever has the name (`--skip-existing`).
    SameName,
}

impl Reuse {
    /// The option `cache`: what is built already is reused.
    pub fn by_cache(cache: bool) -> Reuse {
        if cache { Reuse::SameInputs } else { Reuse::Nothing }
    }
}

/// Images that exist under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Existing {
    /// The engine could not be asked.
    NotAsked,
    /// These, and none that fits: the registry could not be asked for more, and why.
    RegistryFailed(Vec<ImageLabels>, String),
    /// These, in the order in which they are taken.
    Images(Vec<ImageLabels>),
}

/// Labels of an image that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLabels {
    /// The engine or registry that holds it.
    pub holder: Holder,
    /// Content key of it.
    pub key: Option<ContentKey>,
    /// Ids of the images that it was made from, the parent's first.
    pub parents: Vec<ImageId>,
}

/// An image that another is made from, as far as it matters to that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentState {
    /// Name for people: `parent base`, `base image debian:trixie`.
    pub name: String,
    /// Outcome for it. One that this run does not build is unchanged.
    pub expected: Expected,
    /// Ids that engines may have for it; empty when they are not known.
    pub ids: Vec<ImageId>,
}

/// Everything that is decided by.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Images that are reused.
    pub reuse: Reuse,
    /// The last holder that was asked for images: there is none elsewhere.
    pub last_asked: Holder,
    /// The images that it is made from, what it is built on first.
    pub parents: &'a [ParentState],
    /// Images that exist under its name.
    pub existing: &'a Existing,
    /// Inputs of the last time.
    pub before: Option<&'a InputRecord>,
    /// Inputs of today, or why they are not known.
    pub now: Result<&'a InputRecord, &'a str>,
    /// Downloads of its Dockerfile that nobody tells of, with the reason for each: they are new every time.
    pub unidentified: &'a [String],
}

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
    /// Inputs that are not what they were when it was last built, its own first; empty when that is not known.
    pub fn differences(&self) -> Vec<String> {
        match (self.now, self.before) {
            (Ok(now), Some(before)) => {
                now.differences(before, self.parents.first().map_or("", |parent| &parent.name))
            }
            _ => Vec::new(),
        }
    }

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
            let differences = self.differences();
            let is_own = |name: &String| self.parents.iter().all(|parent| parent.name != *name);
            return Some(match differences.iter().any(is_own) {
                true => StaleReason::Inputs(differences),
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
        let differences = self.differences();
        match (self.now, self.before) {
            (_, None) => Freshness::Unknown("there is no record of an earlier build".to_string()),
            (Err(why), _) => Freshness::Unknown(why.to_string()),
            _ if differences.is_empty() => self.fresh(None),
            _ => Freshness::Stale(StaleReason::Inputs(differences)),
        }
    }

    /// Why an image that exists is not the one that would be built.
    fn why_not(&self, image: &ImageLabels, now: &InputRecord) -> StaleReason {
        match &image.key {
            None => StaleReason::Foreign(image.holder),
            Some(key) if *key == now.key => match self.other_parent(image) {
                Some(parent) if image.parents.is_empty() => StaleReason::ParentUnlabelled(parent.to_string()),
                Some(parent) => StaleReason::ParentRebuilt(parent.to_string()),
                None => StaleReason::Inputs(self.differences()),
            },
            Some(key) if self.before.is_none_or(|before| before.key != *key) => {
                StaleReason::Unrecorded(image.holder)
            }
            Some(_) => StaleReason::Inputs(self.differences()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            let freshness = decide(&evidence);
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
