//! Images that exist already, in the engine or in a registry, and the question for those in a registry [I/O].

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use super::answer::{Expected, Holder};
use super::evidence::{ImageLabels, ParentState};
use super::recipe::BuiltFrom;
use crate::engine::ImageFacts;
use crate::model::failure::Failure;
use crate::model::ids::{ContentKey, ImageId};
use crate::model::labels::{KEY_LABEL, NAMED_LABEL, PARENT_LABEL};
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::registry::error::RegistryError;
use crate::registry::{Registries, RemoteImage};
use crate::util::retry::{Pause, retry};

/// An image that exists.
#[derive(Debug, Clone)]
pub enum ExistingImage {
    /// An image that the engine holds.
    InEngine(ImageFacts),
    /// An image that only the registry holds.
    InRegistry(RemoteImage),
}

impl ExistingImage {
    /// Ids that engines may have for it.
    pub fn ids(&self) -> Vec<ImageId> {
        match self {
            ExistingImage::InEngine(image) => vec![image.id.clone()],
            ExistingImage::InRegistry(image) => image.ids(),
        }
    }

    /// Content key; of an image that is not ours, its id.
    pub fn key(&self) -> ContentKey {
        let id = match self {
            ExistingImage::InEngine(image) => &image.id,
            ExistingImage::InRegistry(image) => &image.id,
        };
        self.labels().get(KEY_LABEL).map_or_else(|| id.into(), |key| key.as_str().into())
    }

    /// Labels, as far as they tell what it was made from.
    pub fn input_labels(&self) -> ImageLabels {
        let label = |name: &str| self.labels().get(name).map(String::as_str);
        let holder = match self {
            ExistingImage::InEngine(_) => Holder::Engine,
            ExistingImage::InRegistry(_) => Holder::Registry,
        };
        let named = label(NAMED_LABEL).unwrap_or_default().split_whitespace().map(ImageId::from);
        // Without the first the others say nothing.
        let parents = label(PARENT_LABEL).map(|parent| std::iter::once(parent.into()).chain(named).collect());
        ImageLabels { holder, key: label(KEY_LABEL).map(Into::into), parents: parents.unwrap_or_default() }
    }

    /// Labels of the image, by name.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        match self {
            ExistingImage::InEngine(image) => &image.labels,
            ExistingImage::InRegistry(image) => &image.labels,
        }
    }
}

/// An image that another is made from.
#[derive(Debug, Clone)]
pub struct ParentImage {
    /// Outcome for it. One that this run does not build is unchanged.
    pub expected: Expected,
    /// Content key, or the id of a base image; or why it is not known.
    pub key: Result<ContentKey, Failure>,
    /// Ids that engines may have for it; empty when they are not known.
    pub ids: Vec<ImageId>,
    /// The image that was found, when this run does not build it.
    pub outside: Option<ExistingImage>,
}

impl ParentImage {
    /// The empty image, which is called as it is known.
    pub(super) fn scratch(from: &BuiltFrom) -> ParentImage {
        let id = ImageId::from(from.reference.to_string());
        ParentImage::unchanged(Ok((&id).into()), vec![id])
    }

    pub(super) fn unchanged(key: Result<ContentKey, Failure>, ids: Vec<ImageId>) -> ParentImage {
        ParentImage { expected: Expected::Unchanged, key, ids, outside: None }
    }

    pub(super) fn found(image: ExistingImage) -> ParentImage {
        let parent = ParentImage::unchanged(Ok(image.key()), image.ids());
        ParentImage { outside: Some(image), ..parent }
    }

    /// State that decides about what is made from it.
    pub(super) fn state(&self, from: &BuiltFrom) -> ParentState {
        ParentState { name: from.name(), expected: self.expected, ids: self.ids.clone() }
    }
}

/// The image that the registry has under a name, or why that is not known.
pub type RegistryAnswer = Result<Option<RemoteImage>, String>;

/// Tells of the wait before something is asked again.
pub type TellWait = fn(&dyn Display, Pause);

/// Registries to look images up in, and how often they are asked.
#[derive(Clone)]
pub struct RegistryLookup {
    /// The registries, by the names of images.
    pub registries: Arc<Registries>,
    /// Further tries after a failure that may pass.
    pub retries: u32,
    /// Who hears of waits.
    pub tell_wait: TellWait,
}

impl RegistryLookup {
    /// The image that the registry has under a reference for a platform.
    pub async fn find(&self, reference: &Reference, platform: Platform) -> RegistryAnswer {
        let tell_wait = |error: &RegistryError, pause| (self.tell_wait)(error, pause);
        let ask = || self.registries.image(reference, platform);
        retry(self.retries, RegistryError::again, tell_wait, ask).await.map_err(|error| error.to_string())
    }
}
