//! Images that exist already, in the engine or in a registry, and the question for those in a registry [I/O].

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use super::decide::{Holder, ImageLabels};
use crate::engine::ImageFacts;
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
    /// In the engine.
    InEngine(ImageFacts),
    /// In the registry.
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

    /// Its content key; of an image that is not ours, its id.
    pub fn key(&self) -> ContentKey {
        let id = match self {
            ExistingImage::InEngine(image) => &image.id,
            ExistingImage::InRegistry(image) => &image.id,
        };
        self.labels().get(KEY_LABEL).map_or_else(|| id.into(), |key| key.as_str().into())
    }

    /// Its labels, as far as they tell what it was made from.
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

    fn labels(&self) -> &BTreeMap<String, String> {
        match self {
            ExistingImage::InEngine(image) => &image.labels,
            ExistingImage::InRegistry(image) => &image.labels,
        }
    }
}

/// The image that the registry has under a name, or why that is not known.
pub type RegistryAnswer = Result<Option<RemoteImage>, String>;

/// Tells of the wait before something is asked again.
pub type TellWait = fn(&dyn Display, Pause);

/// Registries to look images up in, and how often they are asked.
#[derive(Clone)]
pub struct RegistryLookup {
    /// The registries.
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
