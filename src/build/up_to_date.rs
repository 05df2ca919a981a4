//! What a run learns of its images as it goes: what children must know of their parents.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::freshness::decide::{Standing, Verdict};
use crate::model::event::UnitId;
use crate::model::ids::{ContentKey, ImageId};
use crate::registry::RemoteImage;

/// An image that is up to date, in the engine or in the registry.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// Its content key; of an image that we did not build, the engine's id.
    pub key: ContentKey,
    /// What engines may have as its id.
    ids: Vec<ImageId>,
    /// The engine's id of it, once the engine has it.
    pub in_engine: Arc<OnceCell<ImageId>>,
    /// This run has built it.
    is_new: bool,
    /// The digest that its tag has in the registry, of an image that was found there.
    pub digest: Option<String>,
}

impl Held {
    /// An image that the engine holds.
    pub(super) fn by_engine(key: ContentKey, id: ImageId) -> Held {
        let in_engine = Arc::new(OnceCell::new_with(Some(id.clone())));
        Held { key, ids: vec![id], in_engine, is_new: false, digest: None }
    }

    /// An image that this run has built.
    pub(super) fn built(key: ContentKey, id: ImageId) -> Held {
        Held { is_new: true, ..Held::by_engine(key, id) }
    }

    /// An image that was found in the registry.
    pub(super) fn by_registry(key: ContentKey, image: RemoteImage) -> Held {
        let digest = Some(image.digest.clone());
        Held { key, ids: image.ids(), in_engine: Arc::default(), is_new: false, digest }
    }

    /// What it means to what is made from it: of an image that was built now, everything is built, even if it has come
    /// out as it was.
    pub(super) fn standing(&self) -> Standing {
        let verdict = if self.is_new { Verdict::Stale } else { Verdict::Fresh };
        let ids = self.ids.iter().chain(self.in_engine.get()).cloned().collect();
        Standing { verdict, key: Some(self.key.clone()), ids }
    }

    /// Whether an engine that has this image may call it so.
    pub(super) fn is(&self, id: &ImageId) -> bool {
        self.ids.iter().any(|own| own == id) || self.in_engine.get().is_some_and(|own| own == id)
    }
}

/// The units that are up to date.
#[derive(Default)]
pub struct Memory(Mutex<HashMap<UnitId, Held>>);

impl Memory {
    pub(super) fn get(&self, unit: &UnitId) -> Option<Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(unit).cloned()
    }

    pub(super) fn keep(&self, unit: UnitId, held: Held) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(unit, held);
    }
}
