//! What would come of an image if it were brought up to date now, and why: the facts are gathered elsewhere [pure].

use serde::Serialize;

use super::record::InputRecord;
use crate::model::ids::{ContentKey, ImageId};

/// Whether an image is up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// It is not: it is to be built.
    #[serde(rename = "built")]
    Stale,
    /// It is: it is found unchanged.
    #[serde(rename = "unchanged")]
    Fresh,
    /// Only a run can tell.
    #[serde(rename = "unknown")]
    Unknown,
}

/// What is decided of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// In one word.
    #[serde(rename = "expected")]
    pub verdict: Verdict,
    /// Why, for people.
    pub reason: String,
    /// Inputs that are not what they were when it was last built, its own first: `Dockerfile line 12`,
    /// `file start.sh`, `source nova-base`, `build argument X`, `parent base`. Empty when that is not known.
    pub differences: Vec<String>,
    /// Who holds the image that is reused; none when it is built or that is not known.
    pub reused_from: Option<Holder>,
    /// Which of the images that are held this is.
    #[serde(skip)]
    pub reused: Option<usize>,
}

/// Who holds images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// The engine.
    Engine,
    /// The registry, where `--reuse registry` looks too.
    Registry,
}

impl Holder {
    fn name(self) -> &'static str {
        match self {
            Holder::Engine => "the engine",
            Holder::Registry => "the registry",
        }
    }
}

/// What there is under an image's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// The engine could not be asked.
    NotAsked,
    /// These, and none that is the right one: the registry could not be asked for more, and why.
    NotTold(Vec<Labels>, String),
    /// These images, in the order in which they are taken.
    Images(Vec<Labels>),
}

/// What the labels of an image that is held say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// Who holds it.
    pub holder: Holder,
    /// Its content key.
    pub key: Option<ContentKey>,
    /// The ids of the images that it was made from, the parent's first.
    pub parents: Vec<ImageId>,
}

/// What is known of an image that others are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What comes of it. One that this run does not build is fresh.
    pub verdict: Verdict,
    /// Its content key, or the id of a base image; none when that is not known.
    pub key: Option<ContentKey>,
    /// What engines may have as its id; empty when that is not known.
    pub ids: Vec<ImageId>,
}

/// What is decided by.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Whether what is built already is reused.
    pub cache: bool,
    /// Who was asked last for images, so that there is none elsewhere.
    pub last_asked: Holder,
    /// The images that it is made from, with what people call them (`parent base`), what it is built on first.
    pub parents: &'a [(String, Standing)],
    /// What there is of it.
    pub held: &'a Held,
    /// What it was made from the last time.
    pub before: Option<&'a InputRecord>,
    /// What it would be made from, or why that is not known.
    pub now: Result<&'a InputRecord, &'a str>,
    /// Why what its Dockerfile downloads can't be told, as far as it can't: then it is built every time.
    pub untold: &'a [String],
}

/// Decides.
///
/// | image held            | parents     | inputs                     | verdict                        |
/// |-----------------------|-------------|----------------------------|--------------------------------|
/// | any, without cache    | any         | any                        | stale                          |
/// | none                  | any         | any                        | stale                          |
/// | any                   | any stale   | any                        | stale                          |
/// | any                   | any         | a download can't be told   | stale                          |
/// | the same key and ids  | -           | -                          | fresh, unknown if a parent is  |
/// | not told              | -           | any                        | unknown                        |
/// | not asked             | -           | no record, or not known    | unknown                        |
/// | not asked             | -           | differ from the record     | stale                          |
/// | not asked             | -           | as recorded                | fresh, unknown if a parent is  |
/// | none has a key        | -           | any                        | stale                          |
/// | with a key            | -           | not known                  | unknown                        |
/// | with another key      | -           | any                        | stale                          |
/// | with the same key     | other ids   | -                          | stale                          |
pub fn decide(facts: &Facts) -> Decision {
    let differences = match (facts.now, facts.before) {
        (Ok(now), Some(before)) => now.differences(before, facts.parent_name()),
        _ => Vec::new(),
    };
    let right = facts.now.ok().and_then(|now| facts.right(now));
    let (verdict, reason) = facts.verdict(right, &differences);
    let reused = right.filter(|_| verdict == Verdict::Fresh);
    let reused_from = reused.map(|(_, labels)| labels.holder);
    Decision { verdict, reason, differences, reused_from, reused: reused.map(|(at, _)| at) }
}

impl<'a> Facts<'a> {
    fn parent_name(&self) -> &str {
        self.parents.first().map_or("", |(name, _)| name)
    }

    fn images(&self) -> &'a [Labels] {
        match self.held {
            Held::NotAsked => &[],
            Held::NotTold(images, _) | Held::Images(images) => images,
        }
    }

    /// The image that is made from the same, of the same images.
    fn right(&self, now: &InputRecord) -> Option<(usize, &'a Labels)> {
        let is_right =
            |labels: &&Labels| labels.key.as_ref() == Some(&now.key) && self.other(labels).is_none();
        let found = self.images().iter().position(|labels| is_right(&labels))?;
        Some((found, &self.images()[found]))
    }

    /// The first of the images it is made from that is not the one that an image was made from.
    fn other(&self, labels: &Labels) -> Option<&'a str> {
        let is_other = |(at, (_, standing)): &(usize, &(String, Standing))| {
            labels.parents.get(*at).is_none_or(|id| !standing.ids.contains(id))
        };
        self.parents.iter().enumerate().find(is_other).map(|(_, (name, _))| name.as_str())
    }

    fn parent_with(&self, verdict: Verdict) -> Option<&'a str> {
        self.parents.iter().find(|(_, standing)| standing.verdict == verdict).map(|(name, _)| name.as_str())
    }

    fn verdict(&self, right: Option<(usize, &Labels)>, differences: &[String]) -> (Verdict, String) {
        let stale = |reason: &str| (Verdict::Stale, reason.to_string());
        match (self.held, self.last_asked) {
            _ if !self.cache => return stale("--nocache builds everything anew"),
            (Held::Images(images), Holder::Engine) if images.is_empty() => {
                return stale("the engine does not have it");
            }
            (Held::Images(images), Holder::Registry) if images.is_empty() => {
                return stale("neither the engine nor the registry has it");
            }
            _ => {}
        }
        if let Some(parent) = self.parent_with(Verdict::Stale) {
            let is_own = |name: &String| self.parents.iter().all(|(parent, _)| parent != name);
            return match differences.iter().any(is_own) {
                true => stale(&told(differences)),
                false => stale(&format!("its {parent} is built")),
            };
        }
        if let [untold, ..] = self.untold {
            return stale(untold);
        }
        if let Some((_, labels)) = right {
            return self.fresh(labels.holder);
        }
        match (self.held, self.now) {
            (Held::NotTold(_, why), _) => (Verdict::Unknown, why.clone()),
            (Held::NotAsked, _) => self.by_record(differences),
            (Held::Images(images), Ok(now)) => stale(&self.why_not(&images[0], now, differences)),
            // Any of them with a key may be the right one.
            (Held::Images(images), Err(_)) if images.iter().all(|labels| labels.key.is_none()) => {
                stale(&not_ours(images[0].holder))
            }
            (Held::Images(_), Err(why)) => (Verdict::Unknown, why.to_string()),
        }
    }

    fn fresh(&self, holder: Holder) -> (Verdict, String) {
        match (self.parent_with(Verdict::Unknown), holder) {
            (Some(parent), _) => {
                (Verdict::Unknown, format!("only a run can tell whether its {parent} is built"))
            }
            (None, Holder::Engine) => (Verdict::Fresh, "nothing differs".to_string()),
            (None, Holder::Registry) => {
                (Verdict::Fresh, "nothing differs from what the registry has".to_string())
            }
        }
    }

    fn by_record(&self, differences: &[String]) -> (Verdict, String) {
        match (self.now, self.before) {
            (_, None) => (Verdict::Unknown, "there is no record of an earlier build".to_string()),
            (Err(why), _) => (Verdict::Unknown, why.to_string()),
            _ if differences.is_empty() => self.fresh(Holder::Engine),
            _ => (Verdict::Stale, told(differences)),
        }
    }

    /// Why an image that is held is not the one that would be built.
    fn why_not(&self, labels: &Labels, now: &InputRecord, differences: &[String]) -> String {
        match &labels.key {
            None => not_ours(labels.holder),
            Some(key) if *key == now.key => match self.other(labels) {
                Some(parent) if labels.parents.is_empty() => {
                    format!("its labels do not tell which {parent} it was built on")
                }
                Some(parent) => format!("its {parent} was built anew since"),
                None => told(differences),
            },
            Some(key) if self.before.is_none_or(|before| before.key != *key) => format!(
                "its inputs differ, and there is no record of what {}'s image was made from",
                labels.holder.name()
            ),
            Some(_) => told(differences),
        }
    }
}

fn not_ours(holder: Holder) -> String {
    format!("what {} has under its name was not built by kolla-build", holder.name())
}

fn told(differences: &[String]) -> String {
    match differences {
        [] => "its inputs differ".to_string(),
        [only] => format!("{only} differs"),
        [first, more @ ..] => format!("{first} differs, and {} more", more.len()),
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

    fn labels(record: &InputRecord, holder: Holder, parents: &[&str]) -> Labels {
        let parents = parents.iter().map(|id| (*id).into()).collect();
        Labels { holder, key: Some(record.key.clone()), parents }
    }

    fn standing(verdict: Verdict, ids: &[&str]) -> Standing {
        Standing { verdict, key: Some("p".into()), ids: ids.iter().map(|id| (*id).into()).collect() }
    }

    #[test]
    fn the_truth_table_holds() {
        use Holder::{Engine, Registry};
        use Verdict::{Fresh, Stale, Unknown};
        let as_it_was = record("FROM x", "p");
        let (changed, of_parent) = (record("FROM y", "p"), record("FROM x", "q"));
        let both = record("FROM y", "q");
        let parents = |base: Standing, tools: Standing| {
            [("parent base".to_string(), base), ("parent tools".to_string(), tools)]
        };
        let (base, tools) = (standing(Fresh, &["manifest", "id"]), standing(Fresh, &["t"]));
        let usual_parents = parents(base.clone(), tools.clone());
        let stale_parent = parents(standing(Stale, &["id"]), tools.clone());
        let stale_tools = parents(base.clone(), standing(Stale, &["t"]));
        let unknown_parent = parents(standing(Unknown, &["id"]), tools.clone());
        let other_parent = parents(standing(Fresh, &["new"]), tools.clone());
        let other_tools = parents(base, standing(Fresh, &["new"]));
        let images = |record: &InputRecord, holder, parents: &[&str]| {
            Held::Images(vec![labels(record, holder, parents)])
        };
        let held = images(&as_it_was, Engine, &["id", "t"]);
        let in_registry = images(&as_it_was, Registry, &["id", "t"]);
        let second = Held::Images(vec![
            labels(&changed, Engine, &["id", "t"]),
            labels(&as_it_was, Registry, &["id", "t"]),
        ]);
        let foreign = images(&record("FROM z", "p"), Engine, &["id", "t"]);
        let (without_parent, without_tools) =
            (images(&as_it_was, Engine, &[]), images(&as_it_was, Engine, &["id"]));
        let unlabelled = Held::Images(vec![Labels { holder: Engine, key: None, parents: Vec::new() }]);
        let one_unlabelled = Held::Images(vec![
            Labels { holder: Engine, key: None, parents: Vec::new() },
            labels(&as_it_was, Registry, &["id", "t"]),
        ]);
        let nothing = Held::Images(Vec::new());
        let not_told =
            Held::NotTold(vec![labels(&changed, Engine, &["id", "t"])], "the registry failed".to_string());
        let told_before = Held::NotTold(vec![labels(&as_it_was, Engine, &["id", "t"])], "x".to_string());
        let untold = ["nobody tells what https://h/x is".to_string()];
        let usual = Facts {
            cache: true,
            last_asked: Engine,
            parents: &usual_parents,
            held: &held,
            before: Some(&as_it_was),
            now: Ok(&as_it_was),
            untold: &[],
        };
        let not_asked = Facts { held: &Held::NotAsked, ..usual };
        let cases = [
            (usual, "Fresh: nothing differs"),
            (Facts { cache: false, ..usual }, "Stale: --nocache builds everything anew"),
            (Facts { held: &nothing, ..usual }, "Stale: the engine does not have it"),
            (
                Facts { held: &nothing, last_asked: Registry, ..usual },
                "Stale: neither the engine nor the registry has it",
            ),
            (Facts { held: &not_told, ..usual }, "Unknown: the registry failed"),
            (Facts { held: &told_before, ..usual }, "Fresh: nothing differs"),
            (Facts { held: &in_registry, ..usual }, "Fresh: nothing differs from what the registry has"),
            (Facts { held: &second, ..usual }, "Fresh: nothing differs from what the registry has"),
            (Facts { parents: &stale_parent, ..usual }, "Stale: its parent base is built"),
            (Facts { parents: &stale_tools, ..usual }, "Stale: its parent tools is built"),
            (
                Facts { parents: &stale_parent, now: Ok(&both), ..usual },
                "Stale: Dockerfile line 1 differs, and 1 more",
            ),
            (Facts { untold: &untold, ..usual }, "Stale: nobody tells what https://h/x is"),
            (Facts { now: Ok(&changed), ..usual }, "Stale: Dockerfile line 1 differs"),
            (Facts { now: Ok(&of_parent), ..usual }, "Stale: parent base differs"),
            (Facts { now: Err("x is not pinned"), ..usual }, "Unknown: x is not pinned"),
            (Facts { parents: &other_parent, ..usual }, "Stale: its parent base was built anew since"),
            (Facts { parents: &other_tools, ..usual }, "Stale: its parent tools was built anew since"),
            (
                Facts { held: &without_parent, ..usual },
                "Stale: its labels do not tell which parent base it was built on",
            ),
            (Facts { held: &without_tools, ..usual }, "Stale: its parent tools was built anew since"),
            (Facts { before: None, ..usual }, "Fresh: nothing differs"),
            (
                Facts { held: &foreign, ..usual },
                "Stale: its inputs differ, and there is no record of what the engine's image was made from",
            ),
            (
                Facts { held: &unlabelled, ..usual },
                "Stale: what the engine has under its name was not built by kolla-build",
            ),
            (
                Facts { held: &unlabelled, now: Err("x is not pinned"), ..usual },
                "Stale: what the engine has under its name was not built by kolla-build",
            ),
            (
                Facts { held: &one_unlabelled, now: Err("x is not pinned"), ..usual },
                "Unknown: x is not pinned",
            ),
            (
                Facts { parents: &unknown_parent, ..usual },
                "Unknown: only a run can tell whether its parent base is built",
            ),
            (not_asked, "Fresh: nothing differs"),
            (Facts { now: Ok(&changed), ..not_asked }, "Stale: Dockerfile line 1 differs"),
            (Facts { before: None, ..not_asked }, "Unknown: there is no record of an earlier build"),
        ];
        for (facts, told) in cases {
            let Decision { verdict, reason, .. } = decide(&facts);
            assert_eq!(format!("{verdict:?}: {reason}"), told, "{facts:?}");
        }
        assert_eq!(decide(&Facts { held: &second, ..usual }).reused, Some(1));
    }
}
