//! What the documents about an image tell of its build, noted when the image is up to date [pure but for a lock].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::provenance::Material;
use crate::config::source::{Source, SourceOrigin};
use crate::freshness::images::ParentImage;
use crate::freshness::recipe::{BuiltFrom, Recipe};
use crate::freshness::record::InputRecord;
use crate::model::event::UnitId;
use crate::model::ids::{ContentKey, Digest, ImageId};
use crate::model::labels::CREATED_LABEL;
use crate::sources::cache::without_secrets;

/// An image that is up to date.
#[derive(Debug, Clone)]
pub struct KnownBuild {
    /// Id in the engine; of an image that only the registry has, one that engines may have for it.
    pub image: ImageId,
    /// Content key.
    pub key: ContentKey,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// When its build began and ended; none of an image that was there already.
    pub times: Option<(Timestamp, Timestamp)>,
    /// The images that it was made from, with ids that engines may have for them.
    pub parents: Vec<(BuiltFrom, Vec<ImageId>)>,
    /// Sources that were installed by it.
    pub sources: Vec<Material>,
    /// Downloads and files that it was made from.
    pub files: Vec<Material>,
    /// Digest of its tag in the registry, when only the registry has it.
    pub in_registry: Option<Digest>,
}

impl KnownBuild {
    /// When the image was made, by its label.
    pub fn created(&self) -> Timestamp {
        let label = self.labels.get(CREATED_LABEL);
        label.and_then(|text| text.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// The builds of a run that are known, by their units.
#[derive(Debug, Default)]
pub struct KnownBuilds(Mutex<HashMap<UnitId, Arc<KnownBuild>>>);

impl KnownBuilds {
    /// Takes note of one.
    pub fn note(&self, unit: UnitId, build: KnownBuild) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(unit, Arc::new(build));
    }

    /// Sources of an image and of all images of the run that it is built on.
    pub fn sources(&self, unit: &UnitId) -> Vec<Material> {
        let mut sources = BTreeMap::new();
        let (mut to_visit, mut seen) = (vec![unit.clone()], BTreeSet::new());
        while let Some(unit) = to_visit.pop() {
            let Some(build) = self.get(&unit).filter(|_| seen.insert(unit.clone())) else { continue };
            sources.extend(build.sources.iter().map(|source| (source.name.clone(), source.clone())));
            let images = build.parents.iter().filter_map(|(from, _)| from.image.image());
            to_visit.extend(images.map(|image| UnitId { image: image.clone(), platform: unit.platform }));
        }
        sources.into_values().collect()
    }

    /// The build of a unit.
    pub fn get(&self, unit: &UnitId) -> Option<Arc<KnownBuild>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(unit).cloned()
    }
}

/// The images that a recipe names, with the ids that engines may have for them.
pub fn parents(recipe: &Recipe, found: &[ParentImage]) -> Vec<(BuiltFrom, Vec<ImageId>)> {
    let named = recipe.parents.iter().zip(found);
    let something = named.filter(|(from, _)| !from.is_scratch());
    something.map(|(from, parent)| (from.clone(), parent.ids.clone())).collect()
}

/// Sources that a record tells of.
pub fn sources(recipe: &Recipe, record: &InputRecord) -> Vec<Material> {
    let sources = record.sources().iter().map(|(section, identity)| {
        let source = recipe.sources().find(|source| source.section == *section);
        Material::identified(section, source.map_or_else(String::new, source_uri), identity)
    });
    sources.collect()
}

/// Downloads and files that a record tells of; the Dockerfile has this digest.
pub fn files(record: &InputRecord, dockerfile: Option<&Digest>) -> Vec<Material> {
    let downloads =
        record.downloads().iter().map(|(url, identity)| Material::identified(url, url.clone(), identity));
    let context =
        Material::identified("build context", "tree:context".to_string(), record.context_digest().as_str());
    let dockerfile = dockerfile
        .map(|digest| Material::identified("Dockerfile", "tree:Dockerfile".to_string(), digest.as_str()));
    downloads.chain(dockerfile).chain([context]).collect()
}

/// Where a source comes from, without credentials and without paths of this machine.
pub fn source_uri(source: &Source) -> String {
    match &source.origin {
        SourceOrigin::Url(url) => without_secrets(url),
        SourceOrigin::Git { url, reference, .. } => format!("git+{}@{reference}", without_secrets(url)),
        SourceOrigin::Local(_) => format!("local:{}", source.section),
        SourceOrigin::Pypi { package, version } => format!("pkg:pypi/{}@{version}", package.to_lowercase()),
    }
}
