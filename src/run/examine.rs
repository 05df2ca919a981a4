//! A stack beside what the engine has of it [I/O].

use std::collections::BTreeMap;

use super::compare::{Desired, compare};
use super::desired::{EnvFileError, HostView};
use super::labels::{self, StackOwner};
use super::spec::LaunchAction;
use super::stack::{Stack, StackContainer};
use super::steps::HeldContainer;
use crate::engine::EngineError;
use crate::engine::container::{ContainerEngine, ContainerSpec, ImageDefaults, ListedContainer};

/// Why a stack can't be compared with what is held.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    /// A container's variables can't be read.
    #[error(transparent)]
    EnvFile(#[from] EnvFileError),
    /// The engine did not answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A stack as it is to be, beside the containers that there are of it.
pub struct Examined {
    /// Containers as they are to be, by name.
    pub specs: BTreeMap<String, ContainerSpec>,
    /// Containers that the engine has.
    pub existing: Vec<HeldContainer>,
    /// Images that the engine does not have.
    pub missing_images: Vec<String>,
}

/// Looks at everything that the stack names, and compares.
pub async fn examine(
    engine: &dyn ContainerEngine,
    stack: &Stack,
    view: HostView<'_>,
) -> Result<Examined, ExamineError> {
    let mut specs = BTreeMap::new();
    for container in &stack.containers {
        specs.insert(container.name.clone(), view.spec(container)?);
    }
    let images = images(engine, stack).await?;
    let mut existing = Vec::new();
    for listed in owned(engine, view.owner).await? {
        // It may have gone since.
        let Some(held) = engine.container(&listed.name).await? else { continue };
        let container_name = listed.labels.get(labels::CONTAINER_NAME).cloned().unwrap_or_default();
        let wanted = stack.container(&container_name).and_then(|it| Some((it, specs.get(&it.name)?)));
        let differences = match wanted {
            Some((container, spec)) => {
                let image = images.get(&spec.image).and_then(Option::as_ref);
                let desired = Desired { spec, image, ends_with: ends_with(container) };
                compare(desired, &held, engine.is_podman())
            }
            None => Vec::new(),
        };
        let (id, name, status, health) = (held.id, listed.name, held.status, held.health);
        existing.push(HeldContainer { id, name, container_name, status, health, differences });
    }
    let missing = images.into_iter().filter(|(_, image)| image.is_none()).map(|(name, _)| name);
    Ok(Examined { specs, existing, missing_images: missing.collect() })
}

/// The containers of a stack that the engine has.
pub async fn owned(
    engine: &dyn ContainerEngine,
    owner: &StackOwner,
) -> Result<Vec<ListedContainer>, EngineError> {
    let mut listed = managed(engine, &owner.managed_by).await?;
    listed.retain(|container| owner.owns(&container.labels));
    Ok(listed)
}

/// The containers that a tool looks after, of every stack, in the order of their names.
pub async fn managed(
    engine: &dyn ContainerEngine,
    managed_by: &str,
) -> Result<Vec<ListedContainer>, EngineError> {
    let mut listed = engine.containers((labels::MANAGED_BY, managed_by)).await?;
    listed.retain(|container| container.labels.contains_key(labels::CONFIG_ID));
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(listed)
}

/// Exit codes of a container that does one thing and ends.
fn ends_with(container: &StackContainer) -> Option<&[i64]> {
    (!container.settings.detach).then_some(container.settings.exit_codes.as_slice())
}

/// The images of a stack, by name, as the engine has them.
async fn images(
    engine: &dyn ContainerEngine,
    stack: &Stack,
) -> Result<BTreeMap<String, Option<ImageDefaults>>, EngineError> {
    let mut images = BTreeMap::new();
    for container in stack.containers.iter().filter(|it| it.settings.action == LaunchAction::Run) {
        let name = &container.settings.spec.image;
        if !images.contains_key(name) {
            images.insert(name.clone(), engine.image_defaults(name).await?);
        }
    }
    Ok(images)
}
