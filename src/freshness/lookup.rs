//! Who asks registries for images, and again after a failure that may pass.

use std::fmt::Display;
use std::sync::Arc;

use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::registry::error::RegistryError;
use crate::registry::{Registries, RemoteImage};
use crate::util::retry::{Pause, retry};

/// What the registry has, or why that is not known.
pub type Found = Result<Option<RemoteImage>, String>;

/// Tells that something is asked again, and when.
pub type Waits = fn(&dyn Display, Pause);

/// Registries, and how often they are asked.
#[derive(Clone)]
pub struct Lookup {
    /// The registries.
    pub registries: Arc<Registries>,
    /// Further tries.
    pub retries: u32,
    /// Who hears of waits.
    pub waits: Waits,
}

impl Lookup {
    /// What the registry has under a reference for a platform.
    pub async fn image(&self, reference: &str, platform: Platform) -> Found {
        let named: Reference = reference.parse().map_err(|error| format!("{error}"))?;
        let waits = |error: &RegistryError, pause| (self.waits)(error, pause);
        retry(self.retries, RegistryError::again, waits, || self.registries.image(&named, platform))
            .await
            .map_err(|error| error.to_string())
    }
}
