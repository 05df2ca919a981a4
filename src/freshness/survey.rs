//! What would come of every image of a plan: nothing is built, and each is decided as a build would decide.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt, stream};

use super::decide::{Decision, Facts, Held, Holder, Standing, Verdict, decide};
use super::inquiry::{Image, Inquiry};
use super::recipe::{BuiltFrom, Recipe};
use super::record::InputRecord;
use crate::model::event::{Failure, FailureKind, UnitId};
use crate::model::ids::{ContentKey, ImageId};
use crate::model::plan::{Parent, PlannedUnit};
use crate::model::platform::Platform;
use crate::util::at_once;

/// Writes the context of an image's directory, and says where.
pub type WriteContext<'a> = &'a mut (dyn FnMut(&Path) -> Result<PathBuf, Failure> + Send);

/// A survey of a plan's images.
pub struct Survey<'a> {
    /// Who is asked.
    pub inquiry: &'a Inquiry,
    /// What every unit is made from, with contexts that nobody has written yet.
    pub recipes: &'a HashMap<UnitId, Recipe>,
    /// What is built already is reused.
    pub cache: bool,
    /// Only what the registry has counts, under these names.
    pub in_registry_alone: Option<fn(&PlannedUnit) -> &str>,
}

/// What was found of one image.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What would come of it.
    pub decision: Decision,
    /// What the registry has under its name, or why that is not known; nothing when it was not asked.
    pub in_registry: Result<Option<Image>, String>,
}

/// What a survey knows when it comes to a unit.
#[derive(Default)]
struct Known {
    standings: HashMap<UnitId, Standing>,
    /// What the registry has of the units that the survey is about.
    in_registry: HashMap<UnitId, Result<Option<Image>, String>>,
}

impl Survey<'_> {
    /// Decides about every unit, parents first. An error is one of the engine's, which everything needs.
    pub async fn of(
        &self,
        units: &[(&PlannedUnit, Option<InputRecord>)],
        write_context: WriteContext<'_>,
    ) -> Result<HashMap<UnitId, Finding>, Failure> {
        let mut known = Known::default();
        if self.inquiry.registry.is_some() {
            let ask = async |unit: &PlannedUnit| {
                let name = self.in_registry_alone.map_or(unit.reference.as_str(), |name| name(unit));
                let found = self.inquiry.in_registry(name, unit.platform).await;
                (unit.id(), found.map_err(|failure| failure.to_string()))
            };
            let asked =
                stream::iter(units.iter().map(|(unit, _)| ask(unit))).buffer_unordered(at_once::QUESTIONS);
            known.in_registry = asked.collect().await;
        }
        let mut findings = HashMap::new();
        for (unit, before) in units {
            let decision = self.one(unit, before.as_ref(), &mut known, write_context).await?;
            let in_registry = known.in_registry.get(&unit.id()).cloned().unwrap_or(Ok(None));
            findings.insert(unit.id(), Finding { decision, in_registry });
        }
        Ok(findings)
    }

    async fn one(
        &self,
        unit: &PlannedUnit,
        before: Option<&InputRecord>,
        known: &mut Known,
        write_context: WriteContext<'_>,
    ) -> Result<Decision, Failure> {
        let recipe = self.recipes.get(&unit.id()).ok_or_else(|| Failure::bug("a unit without a recipe"))?;
        let mut parents = Vec::new();
        for (at, from) in recipe.parents.iter().enumerate() {
            parents.push((from.name(), self.parent(unit, from, at, before, known).await?));
        }
        let is_doomed = parents.iter().any(|(_, standing)| standing.verdict == Verdict::Stale);
        // What is made from an image that is built is built too, whatever there is of it.
        let (images, held) = match is_doomed {
            true => (Vec::new(), Held::NotAsked),
            false => self.held(unit, known).await?,
        };
        let write_context = (before.is_some() || !images.is_empty()).then_some(write_context);
        let (now, untold) = match self.now(unit, recipe, &parents, write_context).await {
            Ok((record, untold)) => (Ok(record), untold),
            Err(failure) => (Err(bearable(failure)?), Vec::new()),
        };
        let decision = decide(&Facts {
            cache: self.cache,
            last_asked: self.last_asked(),
            parents: &parents,
            held: &held,
            before,
            now: now.as_ref().map_err(String::as_str),
            untold: &untold,
        });
        let image = decision.reused.or((!images.is_empty()).then_some(0)).map(|at| &images[at]);
        let standing = Standing {
            verdict: decision.verdict,
            key: now.ok().map(|record| record.key),
            ids: image.map(Image::ids).unwrap_or_default(),
        };
        known.standings.insert(unit.id(), standing);
        Ok(decision)
    }

    fn last_asked(&self) -> Holder {
        if self.inquiry.registry.is_some() { Holder::Registry } else { Holder::Engine }
    }

    /// What it would be made from, or why that is not known. Without `write_context` nobody asks.
    async fn now(
        &self,
        unit: &PlannedUnit,
        recipe: &Recipe,
        parents: &[(String, Standing)],
        write_context: Option<WriteContext<'_>>,
    ) -> Result<(InputRecord, Vec<String>), Failure> {
        let unknown = |why: String| Failure::permanent(FailureKind::Source, why);
        let mut keys = Vec::new();
        for (name, standing) in parents {
            let missing = || unknown(format!("its {name} is not in the engine"));
            keys.push(standing.key.clone().ok_or_else(missing)?);
        }
        let write_context = write_context.ok_or_else(|| unknown(String::new()))?;
        let context = write_context(&recipe.context)?;
        let inputs = self.inquiry.inputs(unit.platform, recipe, &context, &keys).await?;
        Ok((InputRecord::new(&inputs.key), inputs.untold))
    }

    /// The images that could be reused, the engine's first, and the same as decisions have it.
    async fn held(&self, unit: &PlannedUnit, known: &Known) -> Result<(Vec<Image>, Held), Failure> {
        let mut images = match self.in_registry_alone {
            None => self.inquiry.in_engine(unit).await?,
            Some(_) => Vec::new(),
        };
        let labels = |images: &[Image]| images.iter().map(Image::said).collect();
        let held = match known.in_registry.get(&unit.id()) {
            Some(Err(error)) => {
                Held::NotTold(labels(&images), format!("the registry can't be asked: {error}"))
            }
            None if self.inquiry.engine.is_none() => Held::NotAsked,
            found => {
                images.extend(found.and_then(|found| found.clone().ok().flatten()));
                Held::Images(labels(&images))
            }
        };
        Ok((images, held))
    }

    /// What is known of one of the images that a unit is made from.
    async fn parent(
        &self,
        unit: &PlannedUnit,
        from: &BuiltFrom,
        at: usize,
        before: Option<&InputRecord>,
        known: &Known,
    ) -> Result<Standing, Failure> {
        let recorded = || before.and_then(|record| record.key_of(at, &from.reference));
        if let Some(name) = from.image.image() {
            let id = UnitId { image: name.into(), platform: unit.platform };
            if let Some(standing) = known.standings.get(&id) {
                // One that is built whatever it is made from may have no key yet: what differs is told of the other
                // inputs then.
                let key = standing.key.clone().or_else(recorded);
                return Ok(Standing { key, ..standing.clone() });
            }
        }
        let (key, ids) = match self.outside(unit, from, known).await {
            Ok(Some((key, ids))) => (Some(key), ids),
            // Of an engine that can't be asked it is taken that nothing has changed there.
            Ok(None) if self.inquiry.engine.is_none() => (recorded(), Vec::new()),
            Ok(None) => (None, Vec::new()),
            Err(failure) => {
                bearable(failure)?;
                (None, Vec::new())
            }
        };
        Ok(Standing { verdict: Verdict::Fresh, key, ids })
    }

    /// Key and ids of an image that this run does not build.
    async fn outside(
        &self,
        unit: &PlannedUnit,
        from: &BuiltFrom,
        known: &Known,
    ) -> Result<Option<(ContentKey, Vec<ImageId>)>, Failure> {
        if from.is_scratch() {
            return Ok(Some((from.reference.as_str().into(), vec![from.reference.as_str().into()])));
        }
        match (&from.image, &self.inquiry.bases) {
            (Parent::Image(_), _) if self.in_registry_alone.is_some() => {
                let found = self.inquiry.in_registry(&from.reference, unit.platform).await?;
                Ok(found.map(|image| (image.key(), image.ids())))
            }
            (Parent::Image(_), Some(_)) => {
                let image = self.inquiry.outside(&from.reference, unit.platform).await?;
                Ok(Some((image.key(), image.ids())))
            }
            (Parent::Base(_), Some(bases)) => {
                let platform = bases.platform(from.platform, unit.platform).await?;
                match self.inquiry.base(bases, &from.reference, platform).await? {
                    Some(image) => Ok(Some(((&image.id).into(), vec![image.id]))),
                    None => self.base_in_registry(unit, from, platform, known).await,
                }
            }
            (_, None) => Ok(None),
        }
    }

    /// Key and ids of a base image that the engine would pull. Its key is its id, which depends on how an engine keeps
    /// images: what the unit's image in the registry was built on tells which of them the engines here have.
    async fn base_in_registry(
        &self,
        unit: &PlannedUnit,
        from: &BuiltFrom,
        platform: Platform,
        known: &Known,
    ) -> Result<Option<(ContentKey, Vec<ImageId>)>, Failure> {
        let Some(image) = self.inquiry.in_registry(&from.reference, platform).await? else { return Ok(None) };
        let built = known.in_registry.get(&unit.id()).and_then(|found| found.as_ref().ok()?.as_ref());
        let ids = image.ids();
        let built_on = built.and_then(|built| built.said().parents.into_iter().find(|id| ids.contains(id)));
        Ok(Some((built_on.as_ref().map_or_else(|| image.key(), ContentKey::from), ids)))
    }
}

/// Why something is not known; an error when it is the engine's, which everything needs.
fn bearable(failure: Failure) -> Result<String, Failure> {
    match failure.kind {
        FailureKind::Source | FailureKind::Registry | FailureKind::Local | FailureKind::Build => {
            Ok(failure.to_string())
        }
        _ => Err(failure),
    }
}
