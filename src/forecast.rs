//! What would come of an image if it were built now, and why: the facts are gathered elsewhere [pure].

use serde::Serialize;

use crate::record::InputRecord;

/// What would come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// It would be built.
    Built,
    /// It would be found unchanged.
    Unchanged,
    /// Only a run can tell.
    Unknown,
}

/// What would come of an image that is to be brought up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// In one word.
    pub expected: Expected,
    /// Why, for people.
    pub reason: String,
    /// Inputs that are not what they were when it was last built, its own first: `Dockerfile line 12`,
    /// `file start.sh`, `source nova-base`, `build argument X`, `parent base`. Empty when that is not known.
    pub differences: Vec<String>,
    /// Who holds the image that would be reused; none when it is built or that is not known.
    pub reused_from: Option<Holder>,
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
    /// Not in the engine, and the registry could not be asked: why.
    NotTold(String),
    /// No such image: nobody who was asked has one, the last of them this one.
    Nothing(Holder),
    /// An image, and what its labels say.
    Image {
        /// Who holds it.
        holder: Holder,
        /// Its content key.
        key: Option<String>,
        /// The id of the parent it was built on.
        parent: Option<String>,
    },
}

/// What a forecast is made from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Whether what is built already is reused.
    pub cache: bool,
    /// The parent's name: `parent base`, `base image debian:trixie`.
    pub parent: &'a str,
    /// What comes of the parent; a base image is unchanged.
    pub parent_expected: Expected,
    /// What the engine may have as the parent's id; empty when that is not known.
    pub parent_ids: &'a [String],
    /// What there is of it; of several images the one that would be reused, if any would.
    pub held: &'a Held,
    /// What it was made from the last time.
    pub before: Option<&'a InputRecord>,
    /// What it would be made from, or why that is not known.
    pub now: Result<&'a InputRecord, &'a str>,
}

/// Tells what would come of it.
pub fn forecast(facts: &Facts) -> Forecast {
    let differences = match (facts.now, facts.before) {
        (Ok(now), Some(before)) => now.differences(before, facts.parent),
        _ => Vec::new(),
    };
    let (expected, reason) = verdict(facts, &differences);
    let reused_from = match (expected, facts.held) {
        (Expected::Unchanged, Held::Image { holder, .. }) => Some(*holder),
        _ => None,
    };
    Forecast { expected, reason, differences, reused_from }
}

/// | image found           | parent      | inputs                     | expected                          |
/// |-----------------------|-------------|----------------------------|-----------------------------------|
/// | any, without cache    | any         | any                        | built                             |
/// | none                  | any         | any                        | built                             |
/// | any                   | built       | any                        | built                             |
/// | not told              | -           | any                        | unknown                           |
/// | not asked             | -           | no record, or not known    | unknown                           |
/// | not asked             | -           | differ from the record     | built                             |
/// | not asked             | -           | as recorded                | unchanged, unknown if parent is   |
/// | without a key         | -           | any                        | built                             |
/// | with a key            | -           | not known                  | unknown                           |
/// | with another key      | -           | any                        | built                             |
/// | with the same key     | another id  | -                          | built                             |
/// | with the same key     | same id     | -                          | unchanged, unknown if parent is   |
fn verdict(facts: &Facts, differences: &[String]) -> (Expected, String) {
    use Expected::{Built, Unchanged, Unknown};
    let Facts { parent, .. } = facts;
    let built = |reason: &str| (Built, reason.to_string());
    let unchanged = || match facts.parent_expected {
        Unknown => (Unknown, format!("only a run can tell whether its {parent} is built")),
        _ => match facts.held {
            Held::Image { holder: Holder::Registry, .. } => {
                (Unchanged, "nothing differs from what the registry has".to_string())
            }
            _ => (Unchanged, "nothing differs".to_string()),
        },
    };
    match facts.held {
        _ if !facts.cache => built("--nocache builds everything anew"),
        Held::Nothing(Holder::Engine) => built("the engine does not have it"),
        Held::Nothing(Holder::Registry) => built("neither the engine nor the registry has it"),
        _ if facts.parent_expected == Built => match differences.iter().any(|name| name != parent) {
            true => built(&told(differences)),
            false => (Built, format!("its {parent} is built")),
        },
        Held::NotTold(why) => (Unknown, why.clone()),
        Held::Image { holder, key: None, .. } => {
            built(&format!("what {} has under its name was not built by kolla-build", holder.name()))
        }
        held => match (held, facts.now, facts.before) {
            (Held::NotAsked, _, None) => (Unknown, "there is no record of an earlier build".to_string()),
            (_, Err(why), _) => (Unknown, why.to_string()),
            (Held::Image { key: Some(key), parent: id, .. }, Ok(now), _) if *key == now.key => {
                match (id, facts.parent_ids) {
                    (Some(then), now) if !now.is_empty() && !now.contains(then) => {
                        (Built, format!("its {parent} was built anew since"))
                    }
                    _ => unchanged(),
                }
            }
            (Held::Image { key: Some(key), holder, .. }, Ok(_), before)
                if before.is_none_or(|before| before.key != *key) =>
            {
                let whose = holder.name();
                built(&format!(
                    "its inputs differ, and there is no record of what {whose}'s image was made from"
                ))
            }
            _ if differences.is_empty() => unchanged(),
            _ => built(&told(differences)),
        },
    }
}

fn told(differences: &[String]) -> String {
    match differences {
        [] => String::new(),
        [only] => format!("{only} differs"),
        [first, more @ ..] => format!("{first} differs, and {} more", more.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::KeyInputs;

    fn record(dockerfile: &str, parent: &str) -> InputRecord {
        let (dockerfile, parent) = (dockerfile.to_string(), parent.to_string());
        InputRecord::new(&KeyInputs { dockerfile, parent, ..KeyInputs::default() })
    }

    fn holding(record: &InputRecord, holder: Holder) -> Held {
        Held::Image { holder, key: Some(record.key.clone()), parent: Some("id".to_string()) }
    }

    #[test]
    fn the_truth_table_holds() {
        use Expected::{Built, Unknown};
        let as_it_was = record("FROM x", "p");
        let (changed, of_parent) = (record("FROM y", "p"), record("FROM x", "q"));
        let both = record("FROM y", "q");
        let held = holding(&as_it_was, Holder::Engine);
        let in_registry = holding(&as_it_was, Holder::Registry);
        let foreign = holding(&record("FROM z", "p"), Holder::Engine);
        let unlabelled = Held::Image { holder: Holder::Engine, key: None, parent: None };
        let ids = ["manifest".to_string(), "id".to_string()];
        let nowhere = Held::Nothing(Holder::Registry);
        let not_told = Held::NotTold("the registry failed".to_string());
        let usual = Facts {
            cache: true,
            parent: "parent base",
            parent_expected: Expected::Unchanged,
            parent_ids: &ids,
            held: &held,
            before: Some(&as_it_was),
            now: Ok(&as_it_was),
        };
        let not_asked = Facts { held: &Held::NotAsked, ..usual };
        let cases = [
            (usual, "Unchanged: nothing differs"),
            (Facts { cache: false, ..usual }, "Built: --nocache builds everything anew"),
            (Facts { held: &Held::Nothing(Holder::Engine), ..usual }, "Built: the engine does not have it"),
            (Facts { held: &nowhere, ..usual }, "Built: neither the engine nor the registry has it"),
            (Facts { held: &not_told, ..usual }, "Unknown: the registry failed"),
            (Facts { held: &in_registry, ..usual }, "Unchanged: nothing differs from what the registry has"),
            (Facts { parent_expected: Built, ..usual }, "Built: its parent base is built"),
            (
                Facts { parent_expected: Built, now: Ok(&both), ..usual },
                "Built: Dockerfile line 1 differs, and 1 more",
            ),
            (Facts { now: Ok(&changed), ..usual }, "Built: Dockerfile line 1 differs"),
            (Facts { now: Ok(&of_parent), ..usual }, "Built: parent base differs"),
            (Facts { now: Err("x is not pinned"), ..usual }, "Unknown: x is not pinned"),
            (Facts { parent_ids: &ids[..1], ..usual }, "Built: its parent base was built anew since"),
            (Facts { before: None, ..usual }, "Unchanged: nothing differs"),
            (
                Facts { held: &foreign, ..usual },
                "Built: its inputs differ, and there is no record of what the engine's image was made from",
            ),
            (
                Facts { held: &unlabelled, ..usual },
                "Built: what the engine has under its name was not built by kolla-build",
            ),
            (
                Facts { parent_expected: Unknown, ..usual },
                "Unknown: only a run can tell whether its parent base is built",
            ),
            (not_asked, "Unchanged: nothing differs"),
            (Facts { now: Ok(&changed), ..not_asked }, "Built: Dockerfile line 1 differs"),
            (Facts { before: None, ..not_asked }, "Unknown: there is no record of an earlier build"),
        ];
        for (facts, told) in cases {
            let Forecast { expected, reason, .. } = forecast(&facts);
            assert_eq!(format!("{expected:?}: {reason}"), told, "{facts:?}");
        }
    }
}
