//! SBOMs of images: from what is known, from the registry, or by a look into them [I/O].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::RwLock;

use super::attaching::Attaching;
use super::documents::DocumentDir;
use super::known::KnownBuild;
use super::provenance::Material;
use crate::engine::container::ContainerEngine;
use crate::engine::{BuildOutput, Engine, EngineError, OutputSink};
use crate::model::attached::DocumentKind;
use crate::model::failure::{Failure, FailureKind};
use crate::model::ids::{Digest, ImageId};
use crate::model::plan::PlannedUnit;
use crate::sbom::cache::InventoryCache;
use crate::sbom::inventory::Inventory;
use crate::sbom::reader::{self, ReadError};
use crate::sbom::subject::{DocumentedImage, InstalledSource};
use crate::sbom::{cyclonedx, spdx};

/// The kinds of SBOMs.
pub const KINDS: [DocumentKind; 2] = [DocumentKind::Spdx, DocumentKind::Cyclonedx];

/// Who makes SBOMs.
pub struct SbomMaker {
    /// Where they are written to.
    pub dir: DocumentDir,
    /// True when users want them, false when only gates do.
    pub is_asked_for: bool,
    /// The engine that builds, which pulls what only the registry has.
    pub engine: Arc<dyn Engine>,
    /// Every engine of the run, to look into what it holds.
    pub holders: Vec<Arc<dyn ContainerEngine>>,
    /// Inventories of earlier runs.
    pub cache: InventoryCache,
    /// The longest that a look may take.
    pub patience: Duration,
    /// Held by every look that goes on.
    pub looks: Looks,
}

/// Looks into images that go on. They end by themselves, whoever has stopped waiting, so that no container is left.
#[derive(Debug, Clone, Default)]
pub struct Looks(Arc<RwLock<()>>);

impl Looks {
    /// Waits until none goes on.
    pub async fn end(&self) {
        drop(self.0.write().await);
    }
}

impl SbomMaker {
    /// Writes the SBOMs of an image that was installed from these sources.
    pub async fn write(
        &self,
        unit: &PlannedUnit,
        build: &KnownBuild,
        sources: &[Material],
        attaching: &Attaching,
        output: OutputSink<'_>,
    ) -> Result<(), Failure> {
        let inventory = match self.cache.get(&build.key, &build.image) {
            Some(inventory) => inventory,
            None => match &build.in_registry {
                Some(digest) if self.fetch(unit, digest, attaching, output).await? => return Ok(()),
                _ => self.look(unit, build, output).await?,
            },
        };
        let subject = DocumentedImage {
            name: unit.image.to_string(),
            reference: unit.reference.clone(),
            platform: unit.platform,
            image_id: build.image.to_string(),
            key: build.key.to_string(),
            created: build.created(),
        };
        let sources: Vec<InstalledSource> = sources.iter().map(installed).collect();
        self.dir.write(unit, DocumentKind::Spdx, &spdx::document(&subject, &inventory, &sources))?;
        self.dir.write(unit, DocumentKind::Cyclonedx, &cyclonedx::document(&subject, &inventory, &sources))
    }

    /// Takes what is attached to an image that only the registry has; false when not all of it is.
    async fn fetch(
        &self,
        unit: &PlannedUnit,
        subject: &Digest,
        attaching: &Attaching,
        output: OutputSink<'_>,
    ) -> Result<bool, Failure> {
        let mut attached = attaching.attached(&unit.reference, subject, output).await?;
        for kind in KINDS {
            let Some(digest) = attached.of_mut(kind).take() else { return Ok(false) };
            let Some(document) = attaching.document(&unit.reference, subject, &digest, output).await? else {
                return Ok(false);
            };
            self.dir.write(unit, kind, &String::from_utf8_lossy(&document))?;
        }
        Ok(true)
    }

    /// Looks into an image, once some engine has it.
    async fn look(
        &self,
        unit: &PlannedUnit,
        build: &KnownBuild,
        output: OutputSink<'_>,
    ) -> Result<Inventory, Failure> {
        let mut holder = self.holder(&build.image).await?;
        let mut image = build.image.clone();
        if holder.is_none() {
            let pulled = self.engine.pull(&unit.reference, unit.platform, output).await?;
            image = pulled.id;
            holder = self.holder(&image).await?;
        }
        let Some(holder) = holder else {
            let message = format!("its SBOM can't be made: no engine holds {}", unit.reference);
            return Err(Failure::permanent(FailureKind::Local, message));
        };
        let (going_on, patience) = (self.looks.0.clone().read_owned().await, self.patience);
        let look = tokio::spawn(async move {
            let _going_on = going_on;
            reader::read(holder.as_ref(), &image, patience).await
        });
        let inventory = look.await.map_err(Failure::bug)?.map_err(failed)?;
        let told = format!("{} packages are in its SBOM", inventory.packages.len());
        output(BuildOutput::Line(told));
        for reason in &inventory.incomplete {
            output(BuildOutput::Line(format!("its SBOM is incomplete: {reason}")));
        }
        self.cache.keep(&build.key, &build.image, &inventory);
        Ok(inventory)
    }

    /// The engine that holds an image.
    async fn holder(&self, image: &ImageId) -> Result<Option<Arc<dyn ContainerEngine>>, EngineError> {
        for engine in &self.holders {
            if engine.inspect(image.into()).await?.is_some() {
                return Ok(Some(engine.clone()));
            }
        }
        Ok(None)
    }
}

fn installed(source: &Material) -> InstalledSource {
    InstalledSource { section: source.name.clone(), uri: source.uri.clone(), digests: source.digests.clone() }
}

fn failed(error: ReadError) -> Failure {
    match error {
        ReadError::Engine(error) => error.into(),
        other => Failure::permanent(FailureKind::Local, format!("its SBOM can't be made: {other}")),
    }
}
