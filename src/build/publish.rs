//! A run's images in the registry: pushed there, read back from there, reused from there.

use std::fmt::Display;
use std::sync::Arc;

use super::manifest_lists::Members;
use crate::engine::{BuildOutput, Engine, EngineError, OutputSink};
use crate::model::failure::{Failure, FailureKind};
use crate::model::ids::Digest;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::registry::Registries;
use crate::registry::error::RegistryError;
use crate::registry::manifest::Manifest;
use crate::registry::transfer_failure::TransferFailure;
use crate::util::retry::{Pause, retry};

/// The registry side of a run.
pub struct Remote {
    /// Who pushes and pulls.
    pub engine: Arc<dyn Engine>,
    /// The registries, to ask what was pushed.
    pub registries: Arc<Registries>,
    /// Further tries of what may pass.
    pub retries: u32,
    /// Compare each pushed image's digest with what the registry then has.
    pub verify: bool,
}

impl Remote {
    /// Pushes an image and gives its manifest's digest.
    pub async fn push(
        &self,
        reference: &Reference,
        output: OutputSink<'_>,
    ) -> Result<Option<Digest>, Failure> {
        let told = match self.engine.push(reference, output).await {
            Ok(told) => told,
            Err(error) => return Err(self.push_failure(reference, error, output).await),
        };
        if !self.verify {
            return Ok(told);
        }
        let found = match self.digest(reference, output).await {
            Ok(found) => found,
            Err(failure) => {
                let message = format!(
                    "it was pushed, and its digest can't be read back: {}\n(--noverify-push leaves this check out)",
                    failure.message
                );
                return Err(Failure { message, ..failure });
            }
        };
        match (told, found) {
            (_, None) => Err(permanent(format!("it was pushed, and the registry has no {reference}"))),
            (Some(told), Some(found)) if told != found => Err(permanent(format!(
                "the engine pushed {told}, and the registry has {found} as {reference}"
            ))),
            (_, found) => Ok(found),
        }
    }

    /// A list of the images of several platforms, which gets a name only by [`Remote::name_list`].
    pub async fn compose_list(
        &self,
        name: &Reference,
        members: &Members,
        output: OutputSink<'_>,
    ) -> Result<Manifest, Failure> {
        compose(&self.registries, name, members, self.retries, &waits(output)).await.map_err(permanent)
    }

    /// Puts a list under its name.
    pub async fn name_list(
        &self,
        name: &Reference,
        list: &Manifest,
        members: &Members,
        output: OutputSink<'_>,
    ) -> Result<(), Failure> {
        put(&self.registries, name, list, self.retries, &waits(output)).await.map_err(permanent)?;
        let platforms: Vec<String> = members.keys().map(Platform::to_string).collect();
        let said = format!("Listed for {} as {name} {}", platforms.join(" and "), list.digest);
        output(BuildOutput::Line(said));
        Ok(())
    }

    /// Failure of a unit that could not be pushed. When the registry has too many requests this waits as long as it asks to.
    async fn push_failure(
        &self,
        reference: &Reference,
        error: EngineError,
        output: OutputSink<'_>,
    ) -> Failure {
        let EngineError::Push(said) = &error else { return error.into() };
        let kind = TransferFailure::of(said);
        let mut message = error.to_string();
        match kind {
            TransferFailure::Denied => {
                let shown = self.registries.shown_to(reference).await;
                message.push_str(&format!("\nshown to the registry: {shown}"));
            }
            TransferFailure::Busy => {
                // The engine does not tell how long the registry asks to wait; the registry tells us. What comes of it
                // the next push shows.
                let _ = self.digest(reference, output).await;
            }
            _ => {}
        }
        let hints = kind.hint().into_iter().map(Into::into).collect();
        Failure { kind: FailureKind::Registry, message, hints, transient: kind.is_transient() }
    }

    /// The digest that the registry has under a reference.
    async fn digest(&self, reference: &Reference, output: OutputSink<'_>) -> Result<Option<Digest>, Failure> {
        let ask = || self.registries.digest(reference);
        retry(self.retries, RegistryError::again, waits(output), ask).await.map_err(failure)
    }
}

/// Tells in an image's log that the registry is asked again, and when.
fn waits(output: OutputSink<'_>) -> impl Fn(&RegistryError, Pause) {
    move |error, pause| output(BuildOutput::Line(format!("{error}: {pause}")))
}

/// Puts a list of images under a name; gives the list, or why there is none. Every wait for the registry is told.
pub async fn list(
    registries: &Registries,
    name: &Reference,
    members: &Members,
    retries: u32,
    waits: impl Fn(&RegistryError, Pause),
) -> Result<Manifest, String> {
    let list = compose(registries, name, members, retries, &waits).await?;
    put(registries, name, &list, retries, &waits).await?;
    Ok(list)
}

fn not_listed(name: &Reference, reason: impl Display) -> String {
    format!("failed to list the image's platforms as {name}: {reason}")
}

/// A list of images, each for a platform, as the registry has them; or why there is none.
pub async fn compose(
    registries: &Registries,
    name: &Reference,
    members: &Members,
    retries: u32,
    waits: &impl Fn(&RegistryError, Pause),
) -> Result<Manifest, String> {
    let mut images = Vec::new();
    for (platform, member) in members {
        let ask = || registries.platform_manifest(member, *platform);
        let found = retry(retries, RegistryError::again, waits, ask).await;
        let found = found.map_err(|error| not_listed(name, error))?;
        let missing = || not_listed(name, format_args!("the registry has no {member} for {platform}"));
        images.push((*platform, found.ok_or_else(missing)?));
    }
    Ok(Manifest::list(&images))
}

/// Puts a list under a name; or why it is not there.
pub async fn put(
    registries: &Registries,
    name: &Reference,
    list: &Manifest,
    retries: u32,
    waits: &impl Fn(&RegistryError, Pause),
) -> Result<(), String> {
    let put = || registries.put(name, list);
    retry(retries, RegistryError::again, waits, put).await.map_err(|error| not_listed(name, error))
}

/// A failure that has had its tries.
fn failure(error: RegistryError) -> Failure {
    permanent(error.to_string())
}

fn permanent(message: String) -> Failure {
    Failure::permanent(FailureKind::Registry, message)
}
