//! The build plan: what happens to every image on every platform, decided before anything is built.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::event::UnitId;
use super::ids::ImageName;
use super::platform::Platform;
use super::reference::Reference;

/// A run's decision about an image. The result is an [`Outcome`](crate::model::outcome::Outcome), another thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// Brought up to date by this run.
    Build,
    /// No regex or profile asked for it.
    Unmatched,
    /// Left out by `--skip-parents`, `--skip-existing` or `--affected-since`.
    Skipped,
    /// Known not to build on this distro or architecture.
    Unbuildable,
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Image that a Dockerfile names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parent {
    /// An image that this tree builds, by its name.
    Image(ImageName),
    /// An image that is pulled, by its reference.
    Base(String),
}

impl Parent {
    /// The name of an image that this tree builds.
    pub fn image(&self) -> Option<&ImageName> {
        match self {
            Parent::Image(name) => Some(name),
            Parent::Base(_) => None,
        }
    }

    /// The image's name or reference.
    pub fn as_str(&self) -> &str {
        match self {
            Parent::Image(name) => name,
            Parent::Base(reference) => reference,
        }
    }
}

/// One image on one platform, with all that was decided about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedUnit {
    /// Name of the image in the tree.
    pub image: ImageName,
    /// Platform that it is built for.
    pub platform: Platform,
    /// The full name it gets, tag included.
    pub reference: Reference,
    /// The name under which the registry lists it beside the image's other platforms, when the run has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<Reference>,
    /// The image that its first FROM names.
    pub parent: Parent,
    /// Other images that its Dockerfile names, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<Parent>,
    /// The run's decision about it.
    pub disposition: Disposition,
    /// Reason of the disposition, for people.
    pub reason: String,
}

impl PlannedUnit {
    /// The unit's identity in events.
    pub fn id(&self) -> UnitId {
        UnitId { image: self.image.clone(), platform: self.platform }
    }

    /// The name that others have its image by: with several platforms, that of their list.
    pub fn public_reference(&self) -> &Reference {
        self.list.as_ref().unwrap_or(&self.reference)
    }

    /// Everything that its Dockerfile names, the parent first.
    pub fn parents(&self) -> impl Iterator<Item = &Parent> {
        std::iter::once(&self.parent).chain(&self.named)
    }

    /// The units that it is made from, of those that this tree builds.
    pub fn needs(&self) -> impl Iterator<Item = UnitId> {
        let unit = |name: &ImageName| UnitId { image: name.clone(), platform: self.platform };
        self.parents().filter_map(Parent::image).map(unit)
    }
}

/// Every unit of a run, parents before children, then by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BuildPlan {
    /// All units, parents before children.
    pub units: Vec<PlannedUnit>,
}

impl BuildPlan {
    /// The units that are to be brought up to date, parents first.
    pub fn to_build(&self) -> impl Iterator<Item = &PlannedUnit> {
        self.units.iter().filter(|unit| unit.disposition == Disposition::Build)
    }
}
