//! Today's inputs of a unit: asked of where sources and downloads come from, and read in its context [I/O].

use std::path::Path;

use futures_util::{StreamExt, stream};

use super::evaluator::{Evaluator, Fetching};
use super::key::KeyInputs;
use super::recipe::Recipe;
use crate::config::source::{Source, SourceOrigin};
use crate::context::digest;
use crate::dockerfile::mounts::with_run_flags;
use crate::model::failure::{Failure, FailureKind};
use crate::model::ids::ContentKey;
use crate::model::platform::Platform;
use crate::sources::cache::{SourceError, without_secrets};
use crate::util::at_once;
use crate::util::input;
use crate::util::retry::{Again, retry};

/// Inputs of a unit today.
#[derive(Debug, Clone)]
pub(super) struct Inputs {
    /// Inputs that the content key covers.
    pub(super) key: KeyInputs,
    /// Downloads of its Dockerfile that nobody tells of, with the reason for each.
    pub(super) unidentified: Vec<String>,
}

/// Downloads of a Dockerfile, by whether something identifies their content.
#[derive(Debug, Clone, Default)]
pub struct Downloads {
    /// URL, without secrets, and what identifies its content.
    pub identified: Vec<(String, String)>,
    /// Why nothing identifies the others.
    pub unidentified: Vec<String>,
}

impl Evaluator {
    /// Inputs of a unit on images with these keys, its context being in a directory.
    pub(super) async fn inputs(
        &self,
        platform: Platform,
        recipe: &Recipe,
        context: &Path,
        keys: &[ContentKey],
    ) -> Result<Inputs, Failure> {
        let mut sources = Vec::new();
        for source in recipe.sources() {
            sources.push((source.section.clone(), self.source(source).await?));
        }
        let Downloads { identified, unidentified } = self.downloads(recipe).await;
        let (dockerfile, context) = read_context(context, recipe).await?;
        let mut keys =
            recipe.parents.iter().map(|parent| parent.reference.to_string()).zip(keys.iter().cloned());
        let key = KeyInputs {
            platform: platform.to_string(),
            parent: keys.next().map(|(_, key)| key).unwrap_or_default(),
            named: keys.collect(),
            downloads: identified,
            // As it is sent: of secrets, it knows the names.
            dockerfile: with_run_flags(&dockerfile, &recipe.run_flags),
            context,
            sources,
            build_args: self.build_args.clone().into_iter().collect(),
        };
        Ok(Inputs { key, unidentified })
    }

    /// Identity of a source: a checksum or a commit.
    async fn source(&self, source: &Source) -> Result<String, Failure> {
        match self.fetching {
            Fetching::Allowed { retries, tell_wait } => {
                let again = |error: &SourceError| Again::if_transient(error.is_transient());
                let tell_wait = |error: &SourceError, pause| tell_wait(error, pause);
                Ok(retry(retries, again, tell_wait, || self.sources.identify(source)).await?)
            }
            Fetching::Never => self.sources.known(source).await?.ok_or_else(|| {
                let section = &source.section;
                let message = format!("source {section} is not pinned: only fetching it tells what it is");
                Failure::permanent(FailureKind::Source, message)
            }),
        }
    }

    /// Asks for the commits of recipes' sources and for their downloads, several at once: the answers are remembered. Who
    /// can't be asked is told of by the unit that needs it.
    pub async fn ask_ahead(&self, recipes: impl Iterator<Item = &Recipe>) {
        let ask = async |recipe: &Recipe| {
            for source in recipe.sources().filter(|source| matches!(source.origin, SourceOrigin::Git { .. }))
            {
                let _ = self.sources.known(source).await;
            }
            self.downloads(recipe).await;
        };
        stream::iter(recipes).for_each_concurrent(at_once::QUESTIONS, ask).await;
    }

    /// Downloads of a recipe that are not pinned in its Dockerfile.
    pub async fn downloads(&self, recipe: &Recipe) -> Downloads {
        let mut downloads = Downloads::default();
        for download in recipe.downloads.iter().filter(|download| !download.is_pinned) {
            match self.sources.told_of(download).await {
                Ok(identity) => downloads.identified.push((without_secrets(&download.url), identity)),
                Err(why) => downloads.unidentified.push(why),
            }
        }
        downloads
    }
}

/// The Dockerfile in a context, and the digests of all else: what archives of sources hold is known by the sources.
async fn read_context(context: &Path, recipe: &Recipe) -> Result<(String, Vec<(String, String)>), Failure> {
    let archives: Vec<String> = recipe.archives().collect();
    let directory = context.to_path_buf();
    let read = move || {
        let dockerfile = input::read_to_string(&directory.join("Dockerfile"))?;
        let excluded: Vec<&Path> = archives.iter().map(Path::new).chain([Path::new("Dockerfile")]).collect();
        let digest = digest::digest_entries(&directory, &excluded)?;
        std::io::Result::Ok((dockerfile, digest.into_iter().collect()))
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(read) => read.map_err(|error| {
            let told = format!("failed to read the build context {}: {error}", context.display());
            Failure::permanent(FailureKind::Local, told)
        }),
        Err(error) => Err(Failure::bug(error)),
    }
}
