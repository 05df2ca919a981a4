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
}

/// What the engine has under an image's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// It could not be asked.
    NotAsked,
    /// No such image.
    Nothing,
    /// An image, and what its labels say.
    Image {
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
    /// The engine's id of the parent, if it is known.
    pub parent_id: Option<&'a str>,
    /// What the engine has.
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
    Forecast { expected, reason, differences }
}

/// | engine's image        | parent      | inputs                     | expected                          |
/// |-----------------------|-------------|----------------------------|-----------------------------------|
/// | any, without cache    | any         | any                        | built                             |
/// | none                  | any         | any                        | built                             |
/// | any                   | built       | any                        | built                             |
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
        _ => (Unchanged, "nothing differs".to_string()),
    };
    match facts.held {
        _ if !facts.cache => built("--nocache builds everything anew"),
        Held::Nothing => built("the engine does not have it"),
        _ if facts.parent_expected == Built => match differences.iter().any(|name| name != parent) {
            true => built(&told(differences)),
            false => (Built, format!("its {parent} is built")),
        },
        Held::Image { key: None, .. } => {
            built("what the engine has under its name was not built by kolla-build")
        }
        held => match (held, facts.now, facts.before) {
            (Held::NotAsked, _, None) => (Unknown, "there is no record of an earlier build".to_string()),
            (_, Err(why), _) => (Unknown, why.to_string()),
            (Held::Image { key: Some(key), parent: id }, Ok(now), _) if *key == now.key => {
                match (id.as_deref(), facts.parent_id) {
                    (Some(then), Some(now)) if then != now => {
                        (Built, format!("its {parent} was built anew since"))
                    }
                    _ => unchanged(),
                }
            }
            (Held::Image { key: Some(key), .. }, Ok(_), before)
                if before.is_none_or(|before| before.key != *key) =>
            {
                built("its inputs differ, and there is no record of what the engine's image was made from")
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

    fn holding(record: &InputRecord) -> Held {
        Held::Image { key: Some(record.key.clone()), parent: Some("id".to_string()) }
    }

    #[test]
    fn the_truth_table_holds() {
        use Expected::{Built, Unknown};
        let as_it_was = record("FROM x", "p");
        let (changed, of_parent) = (record("FROM y", "p"), record("FROM x", "q"));
        let both = record("FROM y", "q");
        let (held, foreign) = (holding(&as_it_was), holding(&record("FROM z", "p")));
        let unlabelled = Held::Image { key: None, parent: None };
        let usual = Facts {
            cache: true,
            parent: "parent base",
            parent_expected: Expected::Unchanged,
            parent_id: Some("id"),
            held: &held,
            before: Some(&as_it_was),
            now: Ok(&as_it_was),
        };
        let not_asked = Facts { held: &Held::NotAsked, ..usual };
        let cases = [
            (usual, "Unchanged: nothing differs"),
            (Facts { cache: false, ..usual }, "Built: --nocache builds everything anew"),
            (Facts { held: &Held::Nothing, ..usual }, "Built: the engine does not have it"),
            (Facts { parent_expected: Built, ..usual }, "Built: its parent base is built"),
            (
                Facts { parent_expected: Built, now: Ok(&both), ..usual },
                "Built: Dockerfile line 1 differs, and 1 more",
            ),
            (Facts { now: Ok(&changed), ..usual }, "Built: Dockerfile line 1 differs"),
            (Facts { now: Ok(&of_parent), ..usual }, "Built: parent base differs"),
            (Facts { now: Err("x is not pinned"), ..usual }, "Unknown: x is not pinned"),
            (Facts { parent_id: Some("new"), ..usual }, "Built: its parent base was built anew since"),
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
