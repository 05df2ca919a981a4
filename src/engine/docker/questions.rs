//! Questions that an engine answers at once with one JSON document, and what of the answers is read.

use std::collections::HashMap;

use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper::{Method, Request};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::EngineError;
use super::transport::{self, Exchange};
use super::{Docker, build, fault};

/// What cannot stand in a path as it is.
const UNFIT_IN_PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'`').add(b'{').add(b'}');

/// The answer to `GET /version`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Version {
    pub version: Option<String>,
    pub api_version: Option<String>,
    pub arch: Option<String>,
    pub experimental: Option<bool>,
    pub components: Option<Vec<Component>>,
}

/// A part that an engine is made of.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Component {
    pub name: String,
}

/// The answer to `GET /info`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Info {
    pub docker_root_dir: Option<String>,
    pub driver_status: Option<Vec<Vec<String>>>,
    #[serde(rename = "NCPU")]
    pub processors: Option<i64>,
    pub registry_config: Option<RegistryConfig>,
}

/// How an engine reaches registries.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RegistryConfig {
    pub index_configs: Option<HashMap<String, Index>>,
    #[serde(rename = "InsecureRegistryCIDRs")]
    pub insecure_cidrs: Option<Vec<String>>,
}

/// A registry that an engine knows by name.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Index {
    pub secure: Option<bool>,
}

/// The answer to `GET /images/NAME/json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Image {
    pub id: Option<String>,
    pub architecture: Option<String>,
    pub variant: Option<String>,
    pub config: Option<ImageConfig>,
    #[serde(rename = "RootFS")]
    pub root_fs: Option<RootFs>,
    pub size: Option<i64>,
    pub repo_digests: Option<Vec<String>>,
}

/// What containers get from an image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ImageConfig {
    pub labels: Option<HashMap<String, String>>,
}

/// The layers of an image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RootFs {
    pub layers: Option<Vec<String>>,
}

/// One element of the answer to `GET /images/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedImage {
    pub id: String,
    pub repo_tags: Option<Vec<String>>,
    pub repo_digests: Option<Vec<String>>,
    pub labels: Option<HashMap<String, String>>,
    #[serde(default)]
    pub size: i64,
}

/// One element of the answer to `GET /containers/json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ListedContainer {
    pub id: String,
    pub names: Option<Vec<String>>,
    #[serde(rename = "ImageID")]
    pub image_id: Option<String>,
}

/// One element of the answer to `GET /images/NAME/history`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HistoryStep {
    pub created_by: String,
}

/// The answer to `POST /build/prune`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct PrunedCache {
    pub caches_deleted: Option<Vec<String>>,
    pub space_reclaimed: Option<i64>,
}

/// The path of an image, by a name or an id.
pub(super) fn image_path(name: &str) -> String {
    format!("/images/{}", utf8_percent_encode(name, UNFIT_IN_PATH))
}

impl Docker {
    /// The document that an engine answers with.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        let body = self.ask(Method::GET, path).await?;
        self.read(&body)
    }

    /// The same of a question that changes something.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        let body = self.ask(Method::POST, path).await?;
        self.read(&body)
    }

    /// What an engine answers, of whatever kind; an answer that is no success is an error.
    pub(super) async fn ask(&self, method: Method, path: &str) -> Result<Bytes, EngineError> {
        let request = Request::builder().method(method).uri(path).body(transport::nothing());
        let request = request.map_err(|error| fault::unfit(&error.to_string()))?;
        let response = self
            .transport
            .send(Exchange::Question, request)
            .await
            .map_err(|error| fault::of_transport(&self.endpoint, error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(fault::refused(status.as_u16(), &build::refusal(response.into_body()).await));
        }
        let body = response.into_body().collect().await;
        Ok(body.map_err(|error| fault::of_hyper(&self.endpoint, &error))?.to_bytes())
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, EngineError> {
        serde_json::from_slice(body).map_err(|error| fault::garbage(&self.endpoint, error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_leaves_out_or_has_none_of_is_nothing() {
        let listed = r#"[{"Id": "sha256:1", "RepoTags": null, "Labels": null, "SharedSize": -1}]"#;
        let listed: Vec<ListedImage> = serde_json::from_str(listed).expect("a list");
        assert_eq!((listed[0].id.as_str(), &listed[0].repo_tags, listed[0].size), ("sha256:1", &None, 0));
        let info: Info = serde_json::from_str(r#"{"DriverStatus": null, "NCPU": 2}"#).expect("facts");
        assert_eq!((info.processors, info.registry_config.is_none()), (Some(2), true));
    }

    #[test]
    fn a_name_stays_within_its_path() {
        assert_eq!(image_path("r:5000/a/b:1?x#y z"), "/images/r:5000/a/b:1%3Fx%23y%20z");
        assert_eq!(image_path("sha256:1"), "/images/sha256:1");
    }
}
