//! Answers to whether an image is up to date, and if not, why; and their words [pure].

use std::fmt;

use serde::Serialize;

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
