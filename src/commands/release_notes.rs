//! `--release-notes`: what has changed from one release to another, by the SBOMs in the registry.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};

use super::release;
use crate::config::resolved::{NotesFormat, ReleaseNotes};
use crate::error::{EXIT_USAGE, Fatal};
use crate::model::reference::Reference;
use crate::registry::Registries;
use crate::registry::error::RegistryError;
use crate::release::notes::{ImageChange, ImagePair, PlatformChange, ReleaseChanges, platforms};
use crate::report::release::ReleasedPlatform;
use crate::sbom::changes::{Versions, changes, versions};
use crate::session::Session;
use crate::session::stdio::{output, tell_pause};
use crate::session::threads::block_on;
use crate::util::at_once;
use crate::util::retry::retry;

/// Tells what has changed; gives the exit code. What is not known of an image is told with its reason.
pub fn tell(session: &Session, releases: &ReleaseNotes) -> Result<u8, Fatal> {
    let new = session.config().release.from_release.as_deref();
    let new = new.ok_or_else(|| Fatal::message("--release-notes needs --from-release", EXIT_USAGE))?;
    let (old, new) = (release::read(&releases.old)?, release::read(new)?);
    let (mut told, pairs) = ReleaseChanges::between(&old, &new);
    told.changed = block_on(async {
        let sboms = Sboms { registries: session.registries_alone(), retries: session.config().build.retries };
        let changed = stream::iter(&pairs).map(|pair| sboms.change(pair)).buffered(at_once::QUESTIONS);
        Ok(changed.collect().await)
    })?;
    output(&match releases.format {
        NotesFormat::Text => told.text(),
        NotesFormat::Json => told.json(),
        NotesFormat::Markdown => told.markdown(),
    })
}

/// Reads SBOMs in the registry.
struct Sboms {
    registries: Registries,
    retries: u32,
}

impl Sboms {
    async fn change(&self, pair: &ImagePair<'_>) -> ImageChange {
        let mut of_platforms = BTreeMap::new();
        for (platform, old, new) in platforms(pair) {
            let change = match (old, new) {
                (None, _) => PlatformChange::Added,
                (_, None) => PlatformChange::Removed,
                (Some(old), Some(new)) => {
                    let before = self.versions(&pair.old.reference, old).await;
                    match (before, self.versions(&pair.new.reference, new).await) {
                        (Ok(before), Ok(after)) => PlatformChange::Packages(changes(&before, &after)),
                        (Err(reason), _) | (_, Err(reason)) => PlatformChange::Unknown(reason),
                    }
                }
            };
            of_platforms.insert(platform, change);
        }
        let (name, from, to) = (pair.new.name.clone(), pair.old.digest.clone(), pair.new.digest.clone());
        ImageChange { name, from, to, platforms: of_platforms }
    }

    /// Packages of an image, by its SBOM; or why they are not known.
    async fn versions(&self, repository: &Reference, image: &ReleasedPlatform) -> Result<Versions, String> {
        let ReleasedPlatform { digest, attached, .. } = image;
        let spdx = attached.spdx.as_ref().ok_or_else(|| format!("{digest} has no SBOM"))?;
        let ask = || self.registries.attached(repository, digest, spdx);
        let found = retry(self.retries, RegistryError::again, tell_pause, ask).await;
        let found = found.map_err(|error| error.to_string())?;
        let found = found.ok_or_else(|| format!("the registry has no SBOM {spdx} any more"))?;
        versions(&found).map_err(|error| format!("the SBOM {spdx} can't be read: {error}"))
    }
}
