//! The recipe of an image: everything that it is made from.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::source::Source;
use crate::dockerfile::SCRATCH;
use crate::dockerfile::named::{Download, WantedFor};
use crate::dockerfile::package_caches::PackageCaches;
use crate::model::event::UnitId;
use crate::model::plan::Parent;
use crate::model::reference::Reference;

/// Name of the archive of all plugins in a context.
pub const PLUGINS_ARCHIVE: &str = "plugins-archive";

/// Name of the archive of all additions in a context.
pub const ADDITIONS_ARCHIVE: &str = "additions-archive";

/// Name of the archive of the source of a section in a context.
pub fn source_archive(section: &str) -> String {
    format!("{section}-archive")
}

/// The recipes of a run.
pub type Recipes = HashMap<UnitId, Recipe>;

/// Everything that a unit is made from.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The build context's directory, below that of all contexts.
    pub context: PathBuf,
    /// When what is in it counts as made, in seconds since 1970.
    pub mtime: u64,
    /// The images that its Dockerfile names, what it is built on first.
    pub parents: Vec<BuiltFrom>,
    /// Downloads of its Dockerfile.
    pub downloads: Vec<Download>,
    /// The image's own source.
    pub source: Option<Source>,
    /// Sources that go into `plugins-archive`.
    pub plugins: Vec<Source>,
    /// Sources that go into `additions-archive`.
    pub additions: Vec<Source>,
    /// Labels put on the image beside those of its Dockerfile.
    pub labels: BTreeMap<String, String>,
    /// Flags that its RUN steps get, those of secrets.
    pub run_flags: Arc<[String]>,
    /// Caches that its RUN steps get for packages. What it is made from is the same without them.
    pub package_caches: Option<Arc<PackageCaches>>,
}

impl Recipe {
    /// All of its sources.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.source.iter().chain(&self.plugins).chain(&self.additions)
    }

    /// Names of the files that its sources are in its context.
    pub fn archives(&self) -> impl Iterator<Item = String> {
        let own = self.source.iter().map(|source| source_archive(&source.section));
        own.chain([PLUGINS_ARCHIVE.to_string(), ADDITIONS_ARCHIVE.to_string()])
    }

    /// All of its sources, to be changed.
    pub fn sources_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        self.source.iter_mut().chain(&mut self.plugins).chain(&mut self.additions)
    }
}

/// An image that another one is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltFrom {
    /// The image of the tree, or the base image's name.
    pub image: Parent,
    /// Full name of the image, as the Dockerfile has it.
    pub reference: Reference,
    /// Platform that the Dockerfile wants it for.
    pub platform: WantedFor,
}

impl BuiltFrom {
    /// Name for people: `parent base`, `base image debian:trixie`.
    pub fn name(&self) -> String {
        match &self.image {
            Parent::Image(name) => format!("parent {name}"),
            Parent::Base(reference) => format!("base image {reference}"),
        }
    }

    /// True for the empty image.
    pub fn is_scratch(&self) -> bool {
        self.reference.is_bare() && self.reference.registry.is_none() && self.reference.path == SCRATCH
    }
}
