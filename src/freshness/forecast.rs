//! The expected outcome of every unit of a plan: nothing is built, and each is evaluated as a build evaluates it.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};

use super::answer::Freshness;
use super::evaluate::{UnitContext, WriteContext};
use super::evaluator::{Evaluator, Subject};
use super::images::{ParentImage, RegistryAnswer};
use super::recipe::Recipes;
use super::record::InputRecord;
use crate::model::event::UnitId;
use crate::model::failure::Failure;
use crate::model::plan::PlannedUnit;
use crate::util::at_once;

/// Forecast of a unit: what a build would do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// Answer to whether it is up to date, and if not, why.
    pub freshness: Freshness,
    /// Inputs that are not what they were when it was last built.
    pub differences: Vec<String>,
}

impl Evaluator {
    /// Asks the registry for units, several at once; nothing where the registry does not count.
    pub async fn ask_registry<'a>(
        &self,
        units: impl Iterator<Item = &'a PlannedUnit>,
    ) -> HashMap<UnitId, RegistryAnswer> {
        let Some(registry) = self.reuse_from.registry() else { return HashMap::new() };
        let ask = async |unit: &PlannedUnit| {
            (unit.id(), registry.find(self.reuse_from.name(unit), unit.platform).await)
        };
        stream::iter(units.map(ask)).buffer_unordered(at_once::QUESTIONS).collect().await
    }

    /// Forecasts of units, parents first, by their records of the last time and the registry's answers.
    ///
    /// # Errors
    /// The engine failed, which everything needs.
    pub async fn forecast(
        &self,
        units: &[(&PlannedUnit, Option<InputRecord>)],
        recipes: &Recipes,
        in_registry: &HashMap<UnitId, RegistryAnswer>,
        write_context: WriteContext<'_>,
    ) -> Result<HashMap<UnitId, Forecast>, Failure> {
        let mut forecasts = HashMap::new();
        let mut known: HashMap<UnitId, ParentImage> = HashMap::new();
        for (unit, before) in units {
            let id = unit.id();
            let subject = Subject {
                unit,
                recipe: recipes.get(&id).ok_or_else(|| Failure::bug("a unit without a recipe"))?,
                before: before.as_ref(),
                in_registry: in_registry.get(&id),
                known: &|id| known.get(id).cloned(),
                output: &|_| {},
            };
            let evaluation = self.evaluate(&subject, UnitContext::OnDemand(&mut *write_context)).await?;
            known.insert(id.clone(), evaluation.as_parent());
            let forecast = Forecast { freshness: evaluation.freshness, differences: evaluation.differences };
            forecasts.insert(id, forecast);
        }
        Ok(forecasts)
    }
}
