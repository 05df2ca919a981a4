//! The images that a unit is made from: those that the run knows, those that it does not build, and base images [I/O].

use super::evaluator::{Evaluator, Fetching, ReuseFrom, Subject};
use super::images::{ExistingImage, ParentImage};
use super::recipe::BuiltFrom;
use crate::model::event::UnitId;
use crate::model::failure::{Failure, FailureKind};
use crate::model::ids::ContentKey;
use crate::model::plan::Parent;
use crate::model::platform::Platform;
use crate::model::reference::Reference;

impl Evaluator {
    /// The images that a unit is made from, in the order of its recipe.
    pub(super) async fn parents(&self, subject: &Subject<'_>) -> Result<Vec<ParentImage>, Failure> {
        let mut parents = Vec::with_capacity(subject.recipe.parents.len());
        for (at, from) in subject.recipe.parents.iter().enumerate() {
            let recorded = subject.before.and_then(|record| record.key_of(at, &from.reference.to_string()));
            parents.push(self.parent(subject, from, recorded).await?);
        }
        Ok(parents)
    }

    /// One of them, `recorded` being the key that it had the last time.
    async fn parent(
        &self,
        subject: &Subject<'_>,
        from: &BuiltFrom,
        recorded: Option<ContentKey>,
    ) -> Result<ParentImage, Failure> {
        if from.is_scratch() {
            return Ok(ParentImage::scratch(from));
        }
        let platform = subject.unit.platform;
        let found = match &from.image {
            Parent::Image(name) => {
                if let Some(known) = (subject.known)(&UnitId { image: name.clone(), platform }) {
                    // One that is built whatever it is made from may have no key yet: what differs is told of the other
                    // inputs then.
                    let key = known.key.or_else(|failure| recorded.ok_or(failure));
                    return Ok(ParentImage { key, ..known });
                }
                self.outside(&from.reference, platform).await
            }
            Parent::Base(_) => self.base(subject, from).await,
        };
        let missing = || {
            let message = format!("its {} is not in the engine", from.name());
            Failure::permanent(FailureKind::Build, message)
        };
        Ok(match found {
            Ok(Some(parent)) => parent,
            // Of an engine that can't be asked it is taken that nothing has changed there.
            Ok(None) if self.bases.is_none() => {
                ParentImage::unchanged(recorded.ok_or_else(missing), Vec::new())
            }
            Ok(None) => ParentImage::unchanged(Err(missing()), Vec::new()),
            Err(failure) if failure.kind.is_of_engine_connection() => return Err(failure),
            Err(failure) => ParentImage::unchanged(Err(failure), Vec::new()),
        })
    }

    /// An image of the tree that this run does not build: in the engine, else in the registry.
    async fn outside(
        &self,
        reference: &Reference,
        platform: Platform,
    ) -> Result<Option<ParentImage>, Failure> {
        let bases = match (&self.reuse_from, &self.bases) {
            (ReuseFrom::Registry(_), _) => {
                return Ok(self.in_registry(reference, platform).await?.map(ParentImage::found));
            }
            (_, None) => return Ok(None),
            (_, Some(bases)) => bases,
        };
        let engine = bases.engine();
        if let Some(image) = engine.inspect_for(reference, platform).await? {
            return Ok(Some(ParentImage::found(ExistingImage::InEngine(image))));
        }
        let other = engine.inspect(reference.into()).await?;
        if let Some(image) = self.in_registry(reference, platform).await? {
            return Ok(Some(ParentImage::found(image)));
        }
        let message = match other {
            Some(image) => format!(
                "its parent {reference}, which this run does not build, is for {}, not for {platform}",
                image.built_for()
            ),
            None => format!("its parent {reference} is not in the engine and this run does not build it"),
        };
        Err(Failure::permanent(FailureKind::Build, message))
    }

    /// A base image, as the engine has it or gets it.
    async fn base(&self, subject: &Subject<'_>, from: &BuiltFrom) -> Result<Option<ParentImage>, Failure> {
        let (Some(bases), reference) = (&self.bases, &from.reference) else { return Ok(None) };
        let platform = bases.platform(from.platform, subject.unit.platform);
        let held = match self.fetching {
            Fetching::Allowed { .. } => Some(bases.get(reference, platform, subject.output).await?),
            Fetching::Never => bases.held(reference, platform).await?,
        };
        match held {
            Some(image) => Ok(Some(ParentImage::unchanged(Ok((&image.id).into()), vec![image.id]))),
            None => self.base_in_registry(subject, reference, platform).await,
        }
    }

    /// A base image that the engine would pull. Its key is its id, which depends on how an engine keeps images: what the
    /// unit's image in the registry was built on tells which of them the engines here have.
    async fn base_in_registry(
        &self,
        subject: &Subject<'_>,
        reference: &Reference,
        platform: Platform,
    ) -> Result<Option<ParentImage>, Failure> {
        let Some(image) = self.in_registry(reference, platform).await? else { return Ok(None) };
        let ids = image.ids();
        let unit = subject.in_registry.into_iter().flatten().flatten().cloned();
        let built_on = unit.flat_map(|unit| ExistingImage::InRegistry(unit).input_labels().parents);
        let own = built_on.into_iter().find(|id| ids.contains(id));
        let key = own.as_ref().map_or_else(|| image.key(), ContentKey::from);
        Ok(Some(ParentImage::unchanged(Ok(key), ids)))
    }
}
