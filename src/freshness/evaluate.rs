//! The one answer to the question if an image is up to date, and if not, why.
//!
//! A build, `--plan`, `--verify-registry` and `--reuse registry` differ in whom an [`Evaluator`] may ask.
//! `--skip-existing` looks at names alone, and `--affected-since` compares records and asks nobody.

use std::path::{Path, PathBuf};

use super::answer::{Expected, Freshness, Holder};
use super::decide::decide;
use super::evaluator::{Evaluator, ReuseFrom, Subject};
use super::evidence::{Evidence, Existing, ParentState, Reuse, differences};
use super::images::{ExistingImage, ParentImage, RegistryAnswer};
use super::inputs::Inputs;
use super::record::InputRecord;
use crate::engine::{Engine, EngineError};
use crate::error::Fatal;
use crate::model::failure::{Failure, FailureKind};
use crate::model::plan::PlannedUnit;

/// Writes the context of an image's directory, and tells where.
pub type WriteContext<'a> = &'a mut (dyn FnMut(&Path) -> Result<PathBuf, Fatal> + Send);

/// The build context of a unit.
pub enum UnitContext<'a> {
    /// In this directory, so that the unit's inputs are told in any case.
    Written(&'a Path),
    /// Written where its content decides.
    OnDemand(WriteContext<'a>),
}

/// The answer for one unit.
#[derive(Debug)]
pub struct Evaluation {
    /// Answer to whether it is up to date, and if not, why.
    pub freshness: Freshness,
    /// Inputs that are not what they were when it was last built, its own first: `Dockerfile line 12`,
    /// `file start.sh`, `source nova-base`, `build argument X`, `parent base`. Empty when that is not known.
    pub differences: Vec<String>,
    /// Inputs of today, or why they are not known.
    pub inputs: Result<InputRecord, Failure>,
    /// The images that it is made from, in the order of its recipe.
    pub parents: Vec<ParentImage>,
    /// The image that takes the place of a build, else the first that exists.
    pub image: Option<ExistingImage>,
}

impl Evaluation {
    /// The unit as a parent of those that are made from it.
    pub fn as_parent(&self) -> ParentImage {
        ParentImage {
            expected: self.freshness.expected(),
            key: self.inputs.as_ref().map(|record| record.key.clone()).map_err(Clone::clone),
            ids: self.image.as_ref().map(ExistingImage::ids).unwrap_or_default(),
            outside: None,
        }
    }
}

impl Evaluator {
    /// Tells whether a unit is up to date, and if not, why.
    ///
    /// # Errors
    /// The engine failed, which everything needs. All else that can't be had is part of the answer.
    pub async fn evaluate(
        &self,
        subject: &Subject<'_>,
        context: UnitContext<'_>,
    ) -> Result<Evaluation, Failure> {
        let parents = self.parents(subject).await?;
        let states: Vec<ParentState> =
            subject.recipe.parents.iter().zip(&parents).map(|(from, parent)| parent.state(from)).collect();
        // Then no image can take the place of a build.
        let is_settled =
            self.reuse == Reuse::Nothing || states.iter().any(|state| state.expected == Expected::Built);
        let mut images = match is_settled {
            true => Vec::new(),
            false => self.existing(subject).await?,
        };
        let inputs = match self.record(subject, &parents, context, !images.is_empty()).await {
            Err(failure) if failure.kind.is_of_engine_connection() => return Err(failure),
            inputs => inputs,
        };
        let (now, unidentified) = match &inputs {
            Ok((record, unidentified)) => (Ok(record), unidentified.as_slice()),
            Err(failure) => (Err(failure.message.as_str()), &[][..]),
        };
        let differences = differences(now, subject.before, &states);
        let asked_first = match is_settled {
            true => Existing::NotAsked,
            false => self.known_existing(subject.in_registry, &images),
        };
        let evidence = |existing| Evidence {
            reuse: self.reuse,
            last_asked: self.reuse_from.last_asked(),
            parents: &states,
            existing,
            before: subject.before,
            now,
            differences: &differences,
            unidentified,
        };
        let mut freshness = decide(&evidence(&asked_first));
        // The registry is asked only where the engine has none.
        if let (Freshness::Stale(reason), None) = (&freshness, subject.in_registry)
            && !reason.is_final()
            && let Some(registry) = self.reuse_from.registry()
        {
            let answer = registry.find(self.reuse_from.name(subject.unit), subject.unit.platform).await;
            images.extend(answer.iter().flatten().cloned().map(ExistingImage::InRegistry));
            freshness = decide(&evidence(&self.known_existing(Some(&answer), &images)));
        }
        let index = match &freshness {
            Freshness::Fresh(Some(reused)) => reused.index,
            _ => 0,
        };
        let image = (index < images.len()).then(|| images.swap_remove(index));
        let inputs = inputs.map(|(record, _)| record);
        Ok(Evaluation { freshness, differences, inputs, parents, image })
    }

    /// The images under the unit's name, as far as they are asked for or known: the engine's first.
    async fn existing(&self, subject: &Subject<'_>) -> Result<Vec<ExistingImage>, Failure> {
        let mut images = match (&self.reuse_from, &self.bases) {
            (ReuseFrom::Engine | ReuseFrom::EngineOrRegistry(_), Some(bases)) => {
                let mut held = bases.engine().inspect_all(&subject.unit.reference).await?;
                held.retain(|image| image.is_for(subject.unit.platform));
                held.into_iter().map(ExistingImage::InEngine).collect()
            }
            _ => Vec::new(),
        };
        let in_registry = subject.in_registry.into_iter().flatten().flatten();
        images.extend(in_registry.cloned().map(ExistingImage::InRegistry));
        Ok(images)
    }

    fn known_existing(&self, in_registry: Option<&RegistryAnswer>, images: &[ExistingImage]) -> Existing {
        let labels = images.iter().map(ExistingImage::input_labels).collect();
        match in_registry {
            Some(Err(why)) => Existing::RegistryFailed(labels, format!("the registry can't be asked: {why}")),
            None if self.bases.is_none() => Existing::NotAsked,
            Some(Ok(_)) | None => Existing::Images(labels),
        }
    }

    /// Inputs of a unit, with why nobody can tell of downloads. It is not found out where no image that
    /// exists and no record could be compared with it.
    async fn record(
        &self,
        subject: &Subject<'_>,
        parents: &[ParentImage],
        context: UnitContext<'_>,
        exists: bool,
    ) -> Result<(InputRecord, Vec<String>), Failure> {
        let keys: Result<Vec<_>, Failure> = parents.iter().map(|parent| parent.key.clone()).collect();
        let keys = keys?;
        let written;
        let context = match context {
            UnitContext::Written(context) => context,
            UnitContext::OnDemand(write) if exists || subject.before.is_some() => {
                written = write(&subject.recipe.context)
                    .map_err(|fatal| Failure::permanent(FailureKind::Local, fatal.to_string()))?;
                &written
            }
            UnitContext::OnDemand(_) => {
                return Err(Failure::permanent(FailureKind::Source, "nothing is there to compare it with"));
            }
        };
        let Inputs { key, unidentified } =
            self.inputs(subject.unit.platform, subject.recipe, context, &keys).await?;
        Ok((InputRecord::new(&key), unidentified))
    }
}

/// Tells whether the engine has an image of any content under the name that a unit gets (`--skip-existing`).
pub async fn evaluate_by_name(engine: &dyn Engine, unit: &PlannedUnit) -> Result<Freshness, EngineError> {
    let image = engine.inspect((&unit.reference).into()).await?.map(ExistingImage::InEngine);
    let existing = Existing::Images(image.iter().map(ExistingImage::input_labels).collect());
    Ok(decide(&Evidence {
        reuse: Reuse::SameName,
        last_asked: Holder::Engine,
        parents: &[],
        existing: &existing,
        before: None,
        now: Err("only its name counts"),
        differences: &[],
        unidentified: &[],
    }))
}

/// Tells whether a unit is made from what it was made from before, its parents' states being known (`--affected-since`).
pub fn evaluate_by_record(now: &InputRecord, before: &InputRecord, parents: &[ParentState]) -> Freshness {
    decide(&Evidence {
        reuse: Reuse::SameInputs,
        last_asked: Holder::Engine,
        parents,
        existing: &Existing::NotAsked,
        before: Some(before),
        now: Ok(now),
        differences: &differences(Ok(now), Some(before), parents),
        unidentified: &[],
    })
}
