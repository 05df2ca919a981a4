//! Evidence of whether an image is up to date: all that is decided by [pure].

use super::answer::{Expected, Holder};
use super::record::InputRecord;
use crate::model::ids::{ContentKey, ImageId};

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
    /// Inputs that are not what they were the last time, its own first; empty when that is not known.
    pub differences: &'a [String],
    /// Downloads of its Dockerfile that nobody tells of, with the reason for each: they are new every time.
    pub unidentified: &'a [String],
}

/// Inputs that are not what they were the last time, its own first; empty when that is not known.
pub fn differences(
    now: Result<&InputRecord, &str>,
    before: Option<&InputRecord>,
    parents: &[ParentState],
) -> Vec<String> {
    match (now, before) {
        (Ok(now), Some(before)) => now.differences(before, parents.first().map_or("", |parent| &parent.name)),
        _ => Vec::new(),
    }
}
