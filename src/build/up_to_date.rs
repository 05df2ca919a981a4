//! The images of a run that are up to date: what must be known to build on them and to push them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::freshness::answer::Expected;
use crate::freshness::images::{ExistingImage, ParentImage};
use crate::model::event::UnitId;
use crate::model::ids::{ContentKey, Digest, ImageId};
use crate::registry::RemoteImage;

/// An image that is up to date, in the engine or in the registry.
#[derive(Debug, Clone)]
pub(super) struct UpToDateImage {
    /// Content key; of an image that we did not build, the engine's id.
    pub key: ContentKey,
    /// Ids that engines may have for it.
    ids: Vec<ImageId>,
    /// The engine's id of it, once the engine has it.
    pub in_engine: Arc<OnceCell<ImageId>>,
    /// Built in this run, or found.
    expected: Expected,
    /// Digest of its tag in the registry, of an image that was found there.
    pub digest: Option<Digest>,
}

impl UpToDateImage {
    /// An image that the engine holds.
    pub(super) fn in_engine(key: ContentKey, id: ImageId) -> UpToDateImage {
        let in_engine = Arc::new(OnceCell::new_with(Some(id.clone())));
        UpToDateImage { key, ids: vec![id], in_engine, expected: Expected::Unchanged, digest: None }
    }

    /// An image that this run has built. All that is made from it is built, even if it has come out as it was.
    pub(super) fn built(key: ContentKey, id: ImageId) -> UpToDateImage {
        UpToDateImage { expected: Expected::Built, ..UpToDateImage::in_engine(key, id) }
    }

    /// An image that was found in the registry.
    pub(super) fn in_registry(key: ContentKey, image: &RemoteImage) -> UpToDateImage {
        let digest = Some(image.digest.clone());
        let (ids, in_engine) = (image.ids(), Arc::default());
        UpToDateImage { key, ids, in_engine, expected: Expected::Unchanged, digest }
    }

    /// An image that was found by this key.
    pub(super) fn existing(key: ContentKey, image: &ExistingImage) -> UpToDateImage {
        match image {
            ExistingImage::InEngine(image) => UpToDateImage::in_engine(key, image.id.clone()),
            ExistingImage::InRegistry(image) => UpToDateImage::in_registry(key, image),
        }
    }

    /// The image as a parent of those that are made from it.
    pub(super) fn as_parent(&self) -> ParentImage {
        let ids = self.ids.iter().chain(self.in_engine.get()).cloned().collect();
        ParentImage { expected: self.expected, key: Ok(self.key.clone()), ids, outside: None }
    }

    /// True when an engine that has this image may call it so.
    pub(super) fn may_be(&self, id: &ImageId) -> bool {
        self.ids.iter().any(|own| own == id) || self.in_engine.get().is_some_and(|own| own == id)
    }
}

/// The images that are up to date, by their units.
#[derive(Default)]
pub struct UpToDateImages(Mutex<HashMap<UnitId, UpToDateImage>>);

impl UpToDateImages {
    pub(super) fn get(&self, unit: &UnitId) -> Option<UpToDateImage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(unit).cloned()
    }

    /// The image of a unit, which is this one when none is known yet.
    pub(super) fn get_or_insert(&self, unit: UnitId, image: UpToDateImage) -> UpToDateImage {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(unit).or_insert(image).clone()
    }

    pub(super) fn insert(&self, unit: UnitId, image: UpToDateImage) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(unit, image);
    }
}
