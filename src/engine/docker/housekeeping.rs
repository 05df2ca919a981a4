//! Images, build cache and package caches that an engine holds, listed and removed.

use std::collections::BTreeMap;

use bollard::errors::Error as BollardError;
use bollard::models::ContainerSummary;
use bollard::query_parameters::{ListImagesOptionsBuilder, PruneBuildOptionsBuilder, RemoveImageOptions};
use jiff::Timestamp;
use serde::Deserialize;

use super::super::EngineError;
use super::client::Docker;
use crate::model::ids::ImageId;
use crate::util::retry::{Again, retry};

/// An image that the engine holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldImage {
    /// The engine's id of it.
    pub id: ImageId,
    /// Full names of the image, tags included.
    pub tags: Vec<String>,
    /// `repository@sha256:...` of the manifests that it was pulled or pushed as.
    pub digests: Vec<String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Size in bytes, with all that it is built on.
    pub size: u64,
}

/// A record of BuildKit's cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheRecord {
    /// The engine's id of it.
    pub id: String,
    /// The records that it is a change of.
    pub parents: Vec<String>,
    /// BuildKit's words about where it comes from.
    pub description: String,
    /// When a build had it last, or when it was made.
    pub last_used: Option<Timestamp>,
    /// True while a build uses it.
    pub in_use: bool,
    /// True when an image has it as a layer.
    pub shared: bool,
    /// Size in bytes, without its parents.
    pub size: u64,
}

/// How often an engine is asked again while others keep it from an answer: for a minute, which is what a full one takes to
/// count.
const RETRIES: u32 = 6;

/// How many cache records one request names: with their 25 characters each they must fit into a request's first line.
const RECORDS_AT_ONCE: usize = 200;

/// The answer to `GET /system/df?type=build-cache`: one field up to API 1.51, the other since.
#[derive(Deserialize)]
struct DiskUsage {
    #[serde(rename = "BuildCache")]
    build_cache: Option<Vec<Record>>,
    #[serde(rename = "BuildCacheUsage")]
    build_cache_usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(rename = "Items")]
    items: Option<Vec<Record>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Record {
    #[serde(rename = "ID")]
    id: String,
    /// Up to API 1.41.
    parent: String,
    parents: Option<Vec<String>>,
    description: String,
    created_at: Option<String>,
    last_used_at: Option<String>,
    in_use: bool,
    shared: bool,
    size: i64,
}

impl From<Record> for CacheRecord {
    fn from(record: Record) -> CacheRecord {
        let parents = record.parents.unwrap_or_default().into_iter().chain([record.parent]);
        CacheRecord {
            parents: parents.filter(|parent| !parent.is_empty()).collect(),
            id: record.id,
            description: record.description,
            last_used: record.last_used_at.or(record.created_at).and_then(|time| time.parse().ok()),
            in_use: record.in_use,
            shared: record.shared,
            size: u64::try_from(record.size).unwrap_or_default(),
        }
    }
}

/// The answer to a question about all that the engine holds, asked again as long as it is only others that it fails over.
async fn ask_beside_others<T, Asked: Future<Output = Result<T, EngineError>>>(
    ask: impl Fn() -> Asked,
) -> Result<T, EngineError> {
    retry(RETRIES, |error| Again::if_transient(is_fault_of_others(error)), |_, _| {}, ask).await
}

fn is_fault_of_others(error: &EngineError) -> bool {
    match error {
        // Containerd's store fails over an image that goes away while it lists them.
        EngineError::Refused { status: 404, .. } => true,
        // Docker counts what is used, and removes, for one client at a time: up to 20.10 the second one gets this.
        EngineError::Refused { message, .. } => message.contains("operation is already running"),
        _ => false,
    }
}

impl Docker {
    /// The images that the engine holds; with `intermediate`, those too that are but steps to others.
    pub async fn images(&self, intermediate: bool) -> Result<Vec<HeldImage>, EngineError> {
        let options = ListImagesOptionsBuilder::new().all(intermediate).build();
        let list = || async {
            self.client.list_images(Some(options.clone())).await.map_err(|error| self.to_engine_error(error))
        };
        let images = ask_beside_others(list).await?;
        // Engines before 25 name what has no name so.
        let named = |names: Vec<String>| names.into_iter().filter(|name| !name.contains("<none>")).collect();
        let held = |image: bollard::models::ImageSummary| HeldImage {
            id: image.id.into(),
            tags: named(image.repo_tags),
            digests: named(image.repo_digests),
            labels: image.labels.into_iter().collect(),
            size: u64::try_from(image.size).unwrap_or_default(),
        };
        Ok(images.into_iter().map(held).collect())
    }

    /// The ids of images that containers are made from, running or not, each with the name of such a container.
    pub async fn images_in_use(&self) -> Result<BTreeMap<ImageId, String>, EngineError> {
        let containers: Vec<ContainerSummary> = self.get_containers("/containers/json?all=true").await?;
        let used = containers.into_iter().filter_map(|container| {
            let name = container.names.into_iter().flatten().next().or(container.id).unwrap_or_default();
            Some((container.image_id?.into(), name.trim_start_matches('/').to_string()))
        });
        Ok(used.collect())
    }

    /// Takes a name away from an image, and the image with its last one; an image without any goes by its id.
    pub async fn remove_image(&self, name: &str) -> Result<(), EngineError> {
        let removed = self.client.remove_image(name, None::<RemoveImageOptions>, None).await;
        removed.map(drop).map_err(|error| self.to_engine_error(error))
    }

    /// The commands that an image came about by, as the engine's history of it has them; none of an image that it does
    /// not hold any more.
    pub async fn history(&self, image: &ImageId) -> Result<Vec<String>, EngineError> {
        match self.client.image_history(image.as_str()).await {
            Ok(history) => Ok(history.into_iter().map(|step| step.created_by).collect()),
            Err(BollardError::DockerResponseServerError { status_code: 404, .. }) => Ok(Vec::new()),
            Err(error) => Err(self.to_engine_error(error)),
        }
    }

    /// BuildKit's cache; empty with an engine that has none.
    pub async fn build_cache(&self) -> Result<Vec<CacheRecord>, EngineError> {
        // bollard knows only the newest form of the answer.
        let usage: DiskUsage = ask_beside_others(|| self.get_json("/system/df?type=build-cache")).await?;
        let newer = usage.build_cache_usage.and_then(|usage| usage.items);
        Ok(usage.build_cache.or(newer).into_iter().flatten().map(CacheRecord::from).collect())
    }

    /// Removes records of the cache; gives how many are gone and how many bytes that has freed. The engine leaves what
    /// an image or a running build needs.
    pub async fn prune_cache(&self, ids: &[&str]) -> Result<(usize, u64), EngineError> {
        let (mut gone, mut freed) = (0, 0);
        for some in ids.chunks(RECORDS_AT_ONCE) {
            // The engine takes a regex, and no second one.
            let these = format!("^({})$", some.join("|"));
            let filters = BTreeMap::from([("id", vec![these.as_str()])]).into_iter().collect();
            let options = PruneBuildOptionsBuilder::new().filters(&filters).build();
            let prune = || async {
                self.client
                    .prune_build(Some(options.clone()))
                    .await
                    .map_err(|error| self.to_engine_error(error))
            };
            let pruned = ask_beside_others(prune).await?;
            gone += pruned.caches_deleted.map_or(0, |deleted| deleted.len());
            freed += pruned.space_reclaimed.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default();
        }
        Ok((gone, freed))
    }
}
