//! Who may be asked whether images are up to date, and about what.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::answer::Holder;
use super::bases::BaseImages;
use super::evidence::Reuse;
use super::images::{ExistingImage, ParentImage, RegistryAnswer, RegistryLookup, TellWait};
use super::recipe::Recipe;
use super::record::InputRecord;
use crate::engine::OutputSink;
use crate::model::event::UnitId;
use crate::model::failure::{Failure, FailureKind};
use crate::model::plan::PlannedUnit;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::sources::cache::SourceCache;

/// Who is asked whether images are up to date, and what counts.
pub struct Evaluator {
    /// The engine with its base images; none when it can't be asked.
    pub bases: Option<BaseImages>,
    /// Where images are that take the place of a build.
    pub reuse_from: ReuseFrom,
    /// Which images take the place of a build.
    pub reuse: Reuse,
    /// Where sources come from.
    pub sources: Arc<SourceCache>,
    /// Permission to get what tells no other way what it is.
    pub fetching: Fetching,
    /// Build arguments that decide what is built.
    pub build_args: BTreeMap<String, String>,
}

/// Where images are that take the place of a build.
pub enum ReuseFrom {
    /// Images of the engine alone.
    Engine,
    /// In the engine, else in the registry (`--reuse registry`).
    EngineOrRegistry(RegistryLookup),
    /// In the registry alone, under the names that others have them by (`--verify-registry`).
    Registry(RegistryLookup),
}

impl ReuseFrom {
    /// The registry, when it counts.
    pub fn registry(&self) -> Option<&RegistryLookup> {
        match self {
            ReuseFrom::Engine => None,
            ReuseFrom::EngineOrRegistry(registry) | ReuseFrom::Registry(registry) => Some(registry),
        }
    }

    /// The name under which the registry is asked for a unit.
    pub fn name<'a>(&self, unit: &'a PlannedUnit) -> &'a Reference {
        match self {
            ReuseFrom::Registry(_) => unit.public_reference(),
            ReuseFrom::Engine | ReuseFrom::EngineOrRegistry(_) => &unit.reference,
        }
    }

    pub(super) fn last_asked(&self) -> Holder {
        match self {
            ReuseFrom::Engine => Holder::Engine,
            ReuseFrom::EngineOrRegistry(_) | ReuseFrom::Registry(_) => Holder::Registry,
        }
    }
}

/// Permission to pull base images and fetch sources where only that tells what they are.
pub enum Fetching {
    /// Nothing is pulled or fetched.
    Never,
    /// Base images are pulled and sources fetched.
    Allowed {
        /// Further tries of getting a source.
        retries: u32,
        /// Who hears of waits.
        tell_wait: TellWait,
    },
}

/// A unit that is asked about.
pub struct Subject<'a> {
    /// The planned unit itself.
    pub unit: &'a PlannedUnit,
    /// The recipe that it would be built by.
    pub recipe: &'a Recipe,
    /// Inputs of the last time.
    pub before: Option<&'a InputRecord>,
    /// The registry's answer, when it was asked ahead.
    pub in_registry: Option<&'a RegistryAnswer>,
    /// Units that the run has come to already, as far as it knows them.
    pub known: &'a (dyn Fn(&UnitId) -> Option<ParentImage> + Sync),
    /// Who hears how base images are pulled.
    pub output: OutputSink<'a>,
}

impl Evaluator {
    /// The image that the registry has under a reference, where the registry counts.
    pub(super) async fn in_registry(
        &self,
        reference: &Reference,
        platform: Platform,
    ) -> Result<Option<ExistingImage>, Failure> {
        let Some(registry) = self.reuse_from.registry() else { return Ok(None) };
        let answer = registry.find(reference, platform).await;
        let failed = |message| Failure::permanent(FailureKind::Registry, message);
        Ok(answer.map_err(failed)?.map(ExistingImage::InRegistry))
    }
}
