//! Container engines: what the scheduler needs of one, and the engines there are.

pub mod docker;
pub mod fleet;
#[cfg(test)]
mod testing;
pub mod watched;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::platform::Platform;
use crate::secret::Secrets;

/// What an image is built on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltOn {
    /// Its full name, as the Dockerfile's FROM has it.
    pub reference: String,
    /// The engine's id of it.
    pub id: String,
    /// Whether it is one of the images that this program builds, rather than a base image.
    pub ours: bool,
    /// A name that it gets for the build, and that FROM then has, when its own may come to stand for an image of another
    /// platform meanwhile.
    pub alias: Option<String>,
}

/// Everything an engine needs to build one image.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// Directory whose content is sent as the build context; its `Dockerfile` is built.
    pub context: PathBuf,
    /// When everything in the build context counts as made, in seconds since 1970.
    pub mtime: u64,
    /// The full name the image gets, tag included.
    pub tag: String,
    /// What the image is built on; none when that is nothing.
    pub parent: Option<BuiltOn>,
    /// What to build for.
    pub platform: Platform,
    /// Ask the registry for a newer base image.
    pub pull: bool,
    /// Do not use the engine's layer cache.
    pub no_cache: bool,
    /// Keep intermediate containers of a failed build (classic builder only).
    pub keep: bool,
    /// Use BuildKit instead of the classic builder.
    pub buildkit: bool,
    /// Make one layer of what the build adds (not BuildKit).
    pub squash: bool,
    /// References of images to take layers from (BuildKit only).
    pub cache_from: Vec<String>,
    /// Write into the image what others need to take its layers (BuildKit only).
    pub inline_cache: bool,
    /// Network mode of RUN steps (`host`, `none`, ...); empty means the engine's default.
    pub network_mode: String,
    /// Values of `ARG`s.
    pub build_args: BTreeMap<String, String>,
    /// Labels put on the image beside those its Dockerfile sets.
    pub labels: BTreeMap<String, String>,
    /// What its RUN steps can read (BuildKit only), and what its output must not show.
    pub secrets: Secrets,
}

impl BuildRequest {
    /// A build with BuildKit of what is in a directory, on nothing, with nothing more said of it.
    pub fn new(context: &Path, tag: &str, platform: Platform) -> BuildRequest {
        BuildRequest {
            context: context.to_path_buf(),
            mtime: 0,
            tag: tag.to_string(),
            parent: None,
            platform,
            pull: false,
            no_cache: false,
            keep: false,
            buildkit: true,
            squash: false,
            cache_from: Vec::new(),
            inline_cache: false,
            network_mode: String::new(),
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            secrets: Secrets::default(),
        }
    }
}

/// What a running build says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildOutput {
    /// A whole line of its log, without line end.
    Line(String),
    /// It has reached a step of the Dockerfile. A line of the log that says the same has gone before.
    Step {
        /// Step number from 1.
        number: u32,
        /// Steps in all, 0 when unknown.
        total: u32,
        /// The instruction.
        text: String,
    },
}

impl BuildOutput {
    /// The same with its text changed.
    pub fn map(self, change: impl FnOnce(String) -> String) -> BuildOutput {
        match self {
            BuildOutput::Line(text) => BuildOutput::Line(change(text)),
            BuildOutput::Step { number, total, text } => {
                BuildOutput::Step { number, total, text: change(text) }
            }
        }
    }
}

/// Where a build's output goes while it runs.
pub type OutputSink<'a> = &'a (dyn Fn(BuildOutput) + Send + Sync);

/// Facts about an image that an engine holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// The engine's id, `sha256:...`.
    pub id: String,
    /// OCI's name of its architecture (`amd64`, `arm64`).
    pub architecture: String,
    /// OCI's name of the architecture's variant (`v8`); mostly empty.
    pub variant: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Size in bytes.
    pub size: u64,
    /// Layers of its file system.
    pub layers: usize,
    /// `repository@sha256:...` of the manifests that it was pulled or pushed as.
    pub repo_digests: Vec<String>,
}

impl ImageFacts {
    /// Whether it runs on a platform.
    pub fn is_for(&self, platform: Platform) -> bool {
        platform.takes(&self.architecture, &self.variant)
    }

    /// Whether it has all of these labels.
    pub fn has_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.iter().all(|(name, value)| self.labels.get(name) == Some(value))
    }

    /// What it is for, in the form of a platform: `linux/arm64/v8`.
    pub fn built_for(&self) -> String {
        let slash = if self.variant.is_empty() { "" } else { "/" };
        format!("linux/{}{slash}{}", self.architecture, self.variant)
    }
}

/// Facts about an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineFacts {
    /// Whether its classic builder squashes.
    pub squashes: bool,
    /// `Docker 20.10.24`, for people.
    pub name: String,
    /// Version of the API that is spoken with it.
    pub api_version: String,
    /// OCI's name of its own architecture.
    pub architecture: String,
}

/// Why an engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It can't be reached at all.
    #[error("cannot reach the container engine at {endpoint}: {reason}")]
    Unreachable {
        /// Where it was looked for.
        endpoint: String,
        /// What the system said.
        reason: String,
    },
    /// It was reached, and is not one that this program works with.
    #[error("cannot use the container engine at {endpoint}: {reason}")]
    Unusable {
        /// Where it is.
        endpoint: String,
        /// What it lacks.
        reason: String,
    },
    /// It was reached, and the connection broke.
    #[error("lost the connection to the container engine at {endpoint}: {reason}")]
    ConnectionLost {
        /// Where it was.
        endpoint: String,
        /// What the system said.
        reason: String,
    },
    /// It ran the build, and the build failed.
    #[error("{0}")]
    Build(String),
    /// What a registry wants to see is not to be had.
    #[error(transparent)]
    Credentials(#[from] docker::CredentialsError),
    /// It tried to pull an image, and could not get it.
    #[error("{0}")]
    Pull(String),
    /// It tried to push, and the registry did not take the image.
    #[error("{0}")]
    Push(String),
    /// It refused the request.
    #[error("the container engine refused the request ({status}): {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its own words.
        message: String,
    },
    /// It answered what can't be understood.
    #[error("the container engine at {endpoint} gave an answer that can't be read: {reason}")]
    Garbage {
        /// Where it is.
        endpoint: String,
        /// What was wrong with it.
        reason: String,
    },
    /// It built or pulled for another platform than it was asked for.
    #[error("{reference} is for {found}, and {asked} was asked for: {reason}")]
    WrongPlatform {
        /// The image.
        reference: String,
        /// What came out, in the form of a platform.
        found: String,
        /// What was asked for.
        asked: Platform,
        /// How that comes about, and what became of the image.
        reason: &'static str,
    },
    /// The build context could not be read.
    #[error("cannot read the build context {path}: {source}")]
    Context {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A container engine. Dropping a future that it returned cancels the work at the engine.
pub trait Engine: Send + Sync {
    /// Where it is, for people: `unix:///var/run/docker.sock`.
    fn endpoint(&self) -> &str;

    /// Reaches the engine and asks what it is. Called once, before the first build.
    fn facts(&self) -> BoxFuture<'_, Result<EngineFacts, EngineError>>;

    /// How many processors it has.
    fn processors(&self) -> BoxFuture<'_, Result<usize, EngineError>>;

    /// Registries and networks that the engine itself reaches without TLS, as in [`Trust::insecure`].
    ///
    /// [`Trust::insecure`]: crate::registry::Trust::insecure
    fn insecure_registries(&self) -> BoxFuture<'_, Result<Vec<String>, EngineError>>;

    /// The directories on this machine that it keeps images in; none when it keeps them elsewhere or does not tell.
    fn data_roots(&self) -> BoxFuture<'_, Result<Vec<PathBuf>, EngineError>>;

    /// Looks an image up by reference or id; none when the engine does not hold it.
    fn inspect<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Option<ImageFacts>, EngineError>>;

    /// Looks an image up everywhere, where several engines may hold different ones under one reference.
    fn inspect_all<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Vec<ImageFacts>, EngineError>> {
        async move { Ok(self.inspect(reference).await?.into_iter().collect()) }.boxed()
    }

    /// Looks an image up for a platform, where one name may stand for images of several.
    fn inspect_for<'a>(
        &'a self,
        reference: &'a str,
        platform: Platform,
    ) -> BoxFuture<'a, Result<Option<ImageFacts>, EngineError>> {
        async move {
            let held = self.inspect_all(reference).await?;
            Ok(held.into_iter().find(|image| image.is_for(platform)))
        }
        .boxed()
    }

    /// Pulls an image from its registry and gives what the engine then holds under that name.
    fn pull<'a>(
        &'a self,
        reference: &'a str,
        platform: Platform,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<ImageFacts, EngineError>>;

    /// Gives an image that the engine holds another name.
    fn tag<'a>(&'a self, reference: &'a str, name: &'a str) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Builds one image and gives what the engine then holds under the request's tag.
    fn build<'a>(
        &'a self,
        request: &'a BuildRequest,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<ImageFacts, EngineError>>;

    /// Pushes an image under its full name; gives the manifest's digest when the engine tells it.
    fn push<'a>(
        &'a self,
        reference: &'a str,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, EngineError>>;
}
