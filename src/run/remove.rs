//! Taking away what stacks have [I/O].

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::apply::GRACE;
use super::examine::{managed, owned};
use super::labels::{self, StackOwner};
use crate::engine::EngineError;
use crate::engine::container::{ContainerEngine, ListedContainer};
use crate::session::stdio::TellLine;
use crate::util::at_once;

/// Removes the containers and networks of a stack, and its volumes when they are to go; gives how many containers those
/// were.
pub async fn delete(
    engine: &dyn ContainerEngine,
    owner: &StackOwner,
    with_volumes: bool,
    tell: TellLine<'_>,
) -> Result<usize, EngineError> {
    let containers = owned(engine, owner).await?;
    let count = containers.len();
    remove_all(engine, containers, tell).await?;
    let ours = owner.labels();
    for network in engine.networks(&ours).await? {
        engine.remove_network(&network).await?;
        tell(format_args!("network {network}: removed"));
    }
    if with_volumes {
        for volume in engine.volumes(&ours).await? {
            engine.remove_volume(&volume).await?;
            tell(format_args!("volume {volume}: removed"));
        }
    }
    Ok(count)
}

/// Removes the containers of every stack that is not among these, and gives those that stay their names; gives how many
/// were removed.
pub async fn clean_up(
    engine: &dyn ContainerEngine,
    managed_by: &str,
    stay: &[String],
    tell: TellLine<'_>,
) -> Result<usize, EngineError> {
    let stays = |container: &ListedContainer| {
        container.labels.get(labels::CONFIG_ID).is_some_and(|id| stay.contains(id))
    };
    let (stay, go): (Vec<_>, Vec<_>) = managed(engine, managed_by).await?.into_iter().partition(stays);
    let count = go.len();
    remove_all(engine, go, tell).await?;
    let mut taken: BTreeSet<String> = stay.iter().map(|container| container.name.clone()).collect();
    for container in &stay {
        let Some(wanted) = container.labels.get(labels::CONTAINER_NAME) else { continue };
        if container.name != *wanted && !taken.contains(wanted) && engine.container(wanted).await?.is_none() {
            engine.rename(&container.name, wanted).await?;
            taken.insert(wanted.clone());
            tell(format_args!("{wanted}: renamed, it was {}", container.name));
        }
    }
    Ok(count)
}

/// Removes containers, several at once, for each may take its time to end.
async fn remove_all(
    engine: &dyn ContainerEngine,
    containers: Vec<ListedContainer>,
    tell: TellLine<'_>,
) -> Result<(), EngineError> {
    let removals = stream::iter(containers).map(|container| async move {
        // By its id: its name may be another's by now.
        engine.stop(&container.id, GRACE).await?;
        engine.remove(&container.id).await?;
        tell(format_args!("{}: removed", container.name));
        Ok(())
    });
    removals.buffer_unordered(at_once::QUESTIONS).try_collect().await
}
