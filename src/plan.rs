//! The build plan: what happens to every image on every platform, decided before anything is built.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::event::UnitId;
use crate::platform::Platform;

/// What a run does with an image. What came of it is an [`Outcome`](crate::event::Outcome), another thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// It is brought up to date.
    Build,
    /// No regex or profile asked for it.
    Unmatched,
    /// Left out by `--skip-parents`, `--skip-existing` or `--affected-since`.
    Skipped,
    /// Known not to build on this distro or architecture.
    Unbuildable,
}

/// What a Dockerfile's FROM names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parent {
    /// An image that this tree builds, by its name.
    Image(String),
    /// An image that is pulled, by its reference.
    Base(String),
}

/// One image on one platform, with all that was decided about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedUnit {
    /// The image's name.
    pub image: String,
    /// What it is built for.
    pub platform: Platform,
    /// The full name it gets, tag included.
    pub reference: String,
    /// The name under which the registry lists it beside the image's other platforms, when the run has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// What it is built on.
    pub parent: Parent,
    /// What the run does with it.
    pub disposition: Disposition,
    /// Why, for people.
    pub reason: String,
}

impl PlannedUnit {
    /// The unit's identity in events.
    pub fn id(&self) -> UnitId {
        UnitId { image: self.image.as_str().into(), platform: self.platform }
    }
}

/// Every unit of a run, parents before children, then by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BuildPlan {
    /// The units.
    pub units: Vec<PlannedUnit>,
}

impl BuildPlan {
    /// The units that are to be brought up to date, parents first.
    pub fn to_build(&self) -> impl Iterator<Item = &PlannedUnit> {
        self.units.iter().filter(|unit| unit.disposition == Disposition::Build)
    }
}

/// Version of what a content key covers and how; a new one makes every image be built once more.
pub(crate) const KEY_VERSION: &str = "1";

/// Everything that decides what an image's content is. Times, volatile labels and proxies are not among it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyInputs {
    /// What it is built for.
    pub platform: String,
    /// The parent's content key, or the engine's id of the base image.
    pub parent: String,
    /// The rendered Dockerfile.
    pub dockerfile: String,
    /// Static files of the context: name, and a digest of mode and content.
    pub context: Vec<(String, String)>,
    /// Sources: section, and what identifies the content.
    pub sources: Vec<(String, String)>,
    /// Build arguments without proxies.
    pub build_args: Vec<(String, String)>,
}

impl KeyInputs {
    /// The content key: sha256 in hex over every input, each with its length so that none can pass for another.
    pub fn key(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        for text in [KEY_VERSION, &self.platform, &self.parent, &self.dockerfile] {
            add(text);
        }
        for pairs in [&self.context, &self.sources, &self.build_args] {
            add(&pairs.len().to_string());
            for (name, value) in pairs {
                add(name);
                add(value);
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_counts_and_none_passes_for_another() {
        let pair = |a: &str, b: &str| vec![(a.to_string(), b.to_string())];
        let base = KeyInputs { dockerfile: "FROM x".to_string(), ..KeyInputs::default() };
        let variants = [
            base.clone(),
            KeyInputs { platform: "linux/arm64".to_string(), ..base.clone() },
            KeyInputs { parent: "k".to_string(), ..base.clone() },
            KeyInputs { dockerfile: "FROM y".to_string(), ..base.clone() },
            KeyInputs { context: pair("a", "b"), ..base.clone() },
            KeyInputs { context: pair("ab", ""), ..base.clone() },
            KeyInputs { sources: pair("a", "b"), ..base.clone() },
            KeyInputs { build_args: pair("a", "b"), ..base.clone() },
        ];
        let keys: std::collections::BTreeSet<String> = variants.iter().map(KeyInputs::key).collect();
        assert_eq!(keys.len(), variants.len());
        assert_eq!(base.key(), base.clone().key());
        assert_eq!(base.key().len(), 64);
    }
}
