//! Container engines: what the scheduler needs of one, and the engines there are.

pub mod container;
pub mod docker;
mod failure;
pub mod fleet;
pub mod probe;
#[cfg(test)]
mod testing;
pub mod unneeded;
pub mod watched;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::model::builder::Builder;
use crate::model::ids::{Digest, ImageId};
use crate::model::platform::{Arch, Platform};
use crate::model::reference::Reference;
use crate::model::secret::Secrets;

/// An image that another one is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltOn {
    /// Full name of the image, as the Dockerfile has it.
    pub reference: Reference,
    /// Platform that the image is for.
    pub platform: Platform,
    /// The engine's id of it.
    pub id: ImageId,
    /// True for an image that this program builds, false for a base image.
    pub ours: bool,
    /// A name that it gets for the build, and that the Dockerfile then has, when its own may come to stand for an image of
    /// another platform meanwhile.
    pub alias: Option<Reference>,
}

/// Everything an engine needs to build one image.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// Directory whose content is sent as the build context; its `Dockerfile` is built.
    pub context: PathBuf,
    /// When everything in the build context counts as made, in seconds since 1970.
    pub mtime: u64,
    /// The full name the image gets, tag included.
    pub tag: Reference,
    /// The Dockerfile's text, when it is to be another than what lies in the context.
    pub dockerfile: Option<String>,
    /// The images that it names, what it is built on first.
    pub parents: Vec<BuiltOn>,
    /// Platform to build for.
    pub platform: Platform,
    /// Ask the registry for a newer base image.
    pub pull: bool,
    /// Do not use the engine's layer cache.
    pub no_cache: bool,
    /// Time that its RUN steps are marked with, so that each is run again while the caches that they mount stay: BuildKit
    /// empties those of builds that are to use no cache (moby/buildkit#5306).
    pub run_mark: Option<Timestamp>,
    /// Which of the engine's builders builds, and what it alone does.
    pub builder: Builder,
    /// Network mode of RUN steps (`host`, `none`, ...); empty means the engine's default.
    pub network_mode: String,
    /// Values of `ARG`s, by their names.
    pub build_args: BTreeMap<String, String>,
    /// Labels put on the image beside those its Dockerfile sets.
    pub labels: BTreeMap<String, String>,
    /// Values of the builder's secrets, and what its output must not show.
    pub secrets: Secrets,
}

impl BuildRequest {
    /// A build with BuildKit of what is in a directory, on nothing, with nothing more said of it.
    pub fn new(context: &Path, tag: Reference, platform: Platform) -> BuildRequest {
        BuildRequest {
            context: context.to_path_buf(),
            mtime: 0,
            tag,
            dockerfile: None,
            parents: Vec::new(),
            platform,
            pull: false,
            no_cache: false,
            run_mark: None,
            builder: Builder::default(),
            network_mode: String::new(),
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            secrets: Secrets::default(),
        }
    }
}

/// Output of a running build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildOutput {
    /// A whole line of its log, without line end.
    Line(String),
    /// A step of the Dockerfile that has begun. A line of the log that says the same has gone before.
    Step {
        /// Step number from 1.
        number: u32,
        /// Steps in all, 0 when unknown.
        total: u32,
        /// The instruction, as the builder shows it.
        text: String,
    },
}

/// Where a build's output goes while it runs.
pub type OutputSink<'a> = &'a (dyn Fn(BuildOutput) + Send + Sync);

/// Facts about an image that an engine holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// The engine's id of it.
    pub id: ImageId,
    /// OCI's name of its architecture (`amd64`, `arm64`).
    pub architecture: String,
    /// OCI's name of the architecture's variant (`v8`); mostly empty.
    pub variant: String,
    /// Labels, those of its parents included.
    pub labels: BTreeMap<String, String>,
    /// Size in bytes, as the engine counts it.
    pub size: u64,
    /// Layers of its file system.
    pub layers: usize,
    /// `repository@sha256:...` of the manifests that it was pulled or pushed as.
    pub repo_digests: Vec<Reference>,
}

impl ImageFacts {
    /// True when the image runs on a platform.
    pub fn is_for(&self, platform: Platform) -> bool {
        platform.takes(&self.architecture, &self.variant)
    }

    /// True when the image has all of these labels.
    pub fn has_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.iter().all(|(name, value)| self.labels.get(name) == Some(value))
    }

    /// The image's platform by its own words: `linux/arm64/v8`.
    pub fn built_for(&self) -> String {
        let slash = if self.variant.is_empty() { "" } else { "/" };
        format!("linux/{}{slash}{}", self.architecture, self.variant)
    }
}

/// Facts about an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineFacts {
    /// True when its classic builder squashes.
    pub squashes: bool,
    /// `Docker 20.10.24`, for people.
    pub name: String,
    /// Version of the API that is spoken with it.
    pub api_version: String,
    /// The engine's own architecture; none for one that nothing is built for.
    pub architecture: Option<Arch>,
}

/// Why an engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// An engine that can't be reached at all.
    #[error("cannot reach the container engine at {endpoint}: {reason}")]
    Unreachable {
        /// Where it was looked for.
        endpoint: String,
        /// The system's own words.
        reason: String,
    },
    /// An engine that this program does not work with.
    #[error("cannot use the container engine at {endpoint}: {reason}")]
    Unusable {
        /// The engine's address or socket.
        endpoint: String,
        /// The thing that it lacks.
        reason: String,
    },
    /// A connection that broke.
    #[error("lost the connection to the container engine at {endpoint}: {reason}")]
    ConnectionLost {
        /// The engine's address or socket.
        endpoint: String,
        /// The system's own words.
        reason: String,
    },
    /// An engine of which nothing comes any more.
    #[error(
        "the container engine at {endpoint} has made no progress{doing} for {} s (option timeout)",
        patience.as_secs_f32()
    )]
    Stalled {
        /// The engine's address or socket.
        endpoint: String,
        /// Time without a byte from the engine.
        patience: Duration,
        /// With what, when it may be another's fault.
        doing: &'static str,
    },
    /// A build that ran and failed.
    #[error("{0}")]
    Build(String),
    /// Credentials that can't be had.
    #[error(transparent)]
    Credentials(#[from] crate::registry::credentials::CredentialsError),
    /// An image that the engine could not pull.
    #[error("{0}")]
    Pull(String),
    /// An image that the registry did not take.
    #[error("{0}")]
    Push(String),
    /// A request that the engine refused.
    #[error("the container engine refused the request ({status}){}", words(*status, message))]
    Refused {
        /// HTTP status of the answer.
        status: u16,
        /// The engine's own words; may be empty.
        message: String,
    },
    /// An answer that can't be understood.
    #[error("the container engine at {endpoint} gave an answer that can't be read: {reason}")]
    Garbage {
        /// The engine's address or socket.
        endpoint: String,
        /// The part of the answer that is wrong.
        reason: String,
    },
    /// What an engine sends could not be kept.
    #[error("cannot keep what the container engine sends: {0}")]
    Spool(std::io::Error),
    /// An image for another platform than was asked for.
    #[error("{reference} is for {found}, and {asked} was asked for: {reason}")]
    WrongPlatform {
        /// The name that was asked for.
        reference: String,
        /// Platform of the image, in its own words.
        found: String,
        /// Platform that was asked for.
        asked: Platform,
        /// How that comes about, and what became of the image.
        reason: &'static str,
    },
    /// The build context could not be read.
    #[error("cannot read the build context {path}: {source}")]
    Context {
        /// The directory or file.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
}

/// Engines take no request whose head is longer than a megabyte; labels and the rest need little of it.
const LONGEST_ARGUMENTS: usize = 900_000;

/// The kernel gives programs no variable that is longer than this, with its name.
const LONGEST_VARIABLE: usize = 128 * 1024 - 2;

/// Why builds with these arguments can't be, if they can't; the longest one is named.
pub fn too_long(build_args: &BTreeMap<String, String>) -> Option<String> {
    let length = |(name, value): &(&String, &String)| name.len() + value.len();
    let longest = build_args.iter().max_by_key(length)?;
    let (name, bytes) = (longest.0, length(&longest));
    let reason = if bytes > LONGEST_VARIABLE {
        "no program takes more than 128 KiB"
    } else if encoded(build_args) > LONGEST_ARGUMENTS {
        "no engine takes more than a megabyte of them all"
    } else {
        return None;
    };
    Some(format!("the build argument {name} has {bytes} bytes: {reason}"))
}

/// How long they are in a request.
fn encoded(build_args: &BTreeMap<String, String>) -> usize {
    let json = serde_json::to_string(build_args).unwrap_or_default();
    form_urlencoded::byte_serialize(json.as_bytes()).map(str::len).sum()
}

/// The words of a refusal, or what to do about one that has none.
fn words(status: u16, message: &str) -> String {
    match (message.trim(), status) {
        ("", 300..400) => " and sends elsewhere, as for a name that is not as it should be: \
             look at --registry, --namespace and --tag for slashes and empty parts"
            .to_string(),
        ("", _) => " without a word: its log may say more (journalctl -u docker, or -u podman)".to_string(),
        (said, _) => format!(": {said}"),
    }
}

/// Name or id by which an engine is asked for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameOrId<'a> {
    /// A name that it has.
    Reference(&'a Reference),
    /// The engine's id of it.
    Id(&'a ImageId),
}

impl<'a> From<&'a Reference> for NameOrId<'a> {
    fn from(reference: &'a Reference) -> NameOrId<'a> {
        NameOrId::Reference(reference)
    }
}

impl<'a> From<&'a ImageId> for NameOrId<'a> {
    fn from(id: &'a ImageId) -> NameOrId<'a> {
        NameOrId::Id(id)
    }
}

impl fmt::Display for NameOrId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameOrId::Reference(reference) => reference.fmt(f),
            NameOrId::Id(id) => id.fmt(f),
        }
    }
}

/// A container engine that has been reached. Dropping a future that it returned cancels the work at the engine.
pub trait Engine: Send + Sync {
    /// Where it is, for people: `unix:///var/run/docker.sock`.
    fn endpoint(&self) -> &str;

    /// Facts about it, which it told when it was reached.
    fn facts(&self) -> &EngineFacts;

    /// Asks for a sign of life.
    fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>>;

    /// How many processors it has.
    fn processors(&self) -> BoxFuture<'_, Result<usize, EngineError>>;

    /// Registries and networks that the engine itself reaches without TLS, as in [`Trust::insecure`].
    ///
    /// [`Trust::insecure`]: crate::registry::Trust::insecure
    fn insecure_registries(&self) -> BoxFuture<'_, Result<Vec<String>, EngineError>>;

    /// The directories on this machine that it keeps images in; none when it keeps them elsewhere or does not tell.
    fn data_roots(&self) -> BoxFuture<'_, Result<Vec<PathBuf>, EngineError>>;

    /// Looks an image up by reference or id; none when the engine does not hold it.
    fn inspect<'a>(&'a self, image: NameOrId<'a>) -> BoxFuture<'a, Result<Option<ImageFacts>, EngineError>>;

    /// Looks an image up everywhere, where several engines may hold different ones under one reference.
    fn inspect_all<'a>(
        &'a self,
        reference: &'a Reference,
    ) -> BoxFuture<'a, Result<Vec<ImageFacts>, EngineError>> {
        async move { Ok(self.inspect(reference.into()).await?.into_iter().collect()) }.boxed()
    }

    /// Looks an image up for a platform, where one name may stand for images of several.
    fn inspect_for<'a>(
        &'a self,
        reference: &'a Reference,
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
        reference: &'a Reference,
        platform: Platform,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<ImageFacts, EngineError>>;

    /// Gives an image that the engine holds another name.
    fn tag<'a>(&'a self, image: NameOrId<'a>, name: &'a Reference) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Builds one image and gives what the engine then holds under the request's tag.
    fn build<'a>(
        &'a self,
        request: &'a BuildRequest,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<ImageFacts, EngineError>>;

    /// Pushes an image under its full name; gives the manifest's digest when the engine tells it.
    fn push<'a>(
        &'a self,
        reference: &'a Reference,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<Option<Digest>, EngineError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_are_too_long_are_told_by_the_longest_one() {
        let arguments = |count: usize, length: usize| -> BTreeMap<String, String> {
            let long = (0..count).map(|number| (format!("CA{number}"), "x".repeat(length)));
            [("A".to_string(), "b".to_string())].into_iter().chain(long).collect()
        };
        assert_eq!(too_long(&BTreeMap::new()), None);
        assert_eq!(too_long(&arguments(8, 100_000)), None);
        for (count, length, told) in [
            (1, 131_072, "CA0 has 131075 bytes: no program takes more than 128 KiB"),
            (9, 100_000, "CA8 has 100003 bytes: no engine takes more than a megabyte of them all"),
        ] {
            let reason = too_long(&arguments(count, length)).expect("refused");
            assert!(reason.ends_with(told), "{reason}");
        }
    }
}
