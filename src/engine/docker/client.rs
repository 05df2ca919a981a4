//! An engine that has been reached, as an [`Engine`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use bollard::errors::Error as BollardError;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::http::request;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use super::super::{
    BuildRequest, BuiltOn, Engine, EngineError, EngineFacts, ImageFacts, NameOrId, OutputSink,
};
use super::build;
use super::fault::{self, wrong_platform};
use super::transport::{Exchange, Transport};
use crate::model::builder::Builder;
use crate::model::ids::Digest;
use crate::model::labels::VERSION_LABEL;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::registry::credentials::Credentials;

/// How an engine names the driver of its images that are kept as containerd does.
const CONTAINERD_STORE: &str = "io.containerd.snapshotter.v1";

/// A Docker engine that has been reached.
#[derive(Debug, Clone)]
pub struct Docker {
    pub(super) endpoint: String,
    pub(super) transport: Transport,
    pub(super) client: bollard::Docker,
    pub(super) facts: EngineFacts,
    pub(super) credentials: Credentials,
    /// Build arguments of every build that has none of these names.
    pub(super) proxies: BTreeMap<String, String>,
    pub(super) is_podman: bool,
    /// True when it can be asked for an image's platform.
    pub(super) is_asked_by_platform: bool,
    /// True when it keeps images as containerd does, once that was asked.
    pub(super) has_containerd_store: OnceCell<bool>,
}

impl Docker {
    async fn ask_insecure_registries(&self) -> Result<Vec<String>, EngineError> {
        let info = self.client.info().await.map_err(|error| self.to_engine_error(error))?;
        let registries = info.registry_config.unwrap_or_default();
        let named = registries.index_configs.into_iter().flatten();
        let insecure = named.filter(|(_, index)| index.secure == Some(false)).map(|(name, _)| name);
        Ok(insecure.chain(registries.insecure_registry_cidrs.into_iter().flatten()).collect())
    }

    pub(super) async fn has_containerd_store(&self) -> Result<bool, EngineError> {
        let ask = || async {
            let info = self.client.info().await.map_err(|error| self.to_engine_error(error))?;
            let mut status = info.driver_status.into_iter().flatten();
            Ok(status.any(|fact| fact == ["driver-type", CONTAINERD_STORE]))
        };
        self.has_containerd_store.get_or_try_init(ask).await.copied()
    }

    /// The engine's answer to a question that bollard can't ask.
    pub(super) async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        let asked = self.answer_to(Exchange::Question, Request::get(path), Vec::new());
        self.parsed(asked.await?).await
    }

    /// The engine's answer to a request whose body, JSON, bollard can't write.
    pub(super) async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Vec<u8>,
    ) -> Result<T, EngineError> {
        let request = Request::post(path).header(CONTENT_TYPE, "application/json");
        self.parsed(self.answer_to(Exchange::Question, request, body).await?).await
    }

    /// The body of the engine's answer.
    pub(super) async fn get(&self, exchange: Exchange, path: &str) -> Result<Incoming, EngineError> {
        self.answer_to(exchange, Request::get(path), Vec::new()).await
    }

    async fn parsed<T: DeserializeOwned>(&self, body: Incoming) -> Result<T, EngineError> {
        let body = body.collect().await.map_err(|error| fault::of_hyper(&self.endpoint, &error))?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| fault::garbage(&self.endpoint, error.to_string()))
    }

    async fn answer_to(
        &self,
        exchange: Exchange,
        request: request::Builder,
        body: Vec<u8>,
    ) -> Result<Incoming, EngineError> {
        let request = request.body(bollard::body_full(Bytes::from(body)));
        let request = request.map_err(|error| fault::unfit(&error.to_string()))?;
        let sent = self.transport.send(exchange, request).await;
        let response = sent.map_err(|error| fault::of_transport(&self.endpoint, error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(fault::refused(status.as_u16(), &build::refusal(response.into_body()).await));
        }
        Ok(response.into_body())
    }

    async fn build_and_check(
        &self,
        request: &BuildRequest,
        output: OutputSink<'_>,
    ) -> Result<ImageFacts, EngineError> {
        let tag = &request.tag;
        for BuiltOn { alias, id, .. } in &request.parents {
            if let Some(alias) = alias {
                self.tag_image(id.into(), alias).await?;
            }
        }
        let image = self.build_with_labels(request, output).await?;
        // The classic builder takes a local base image of another platform than asked for without a word.
        if !image.is_for(request.platform) {
            let reason = match self.untag(tag).await {
                Ok(()) => "what it is built on is of that platform; the engine was made to forget the image",
                Err(_) => {
                    "what it is built on is of that platform; THE ENGINE STILL HOLDS IT UNDER THAT NAME"
                }
            };
            return Err(wrong_platform(tag, &image, request.platform, reason));
        }
        Ok(image)
    }

    /// Builds, and makes sure that the image has all labels.
    async fn build_with_labels(
        &self,
        request: &BuildRequest,
        output: OutputSink<'_>,
    ) -> Result<ImageFacts, EngineError> {
        let Some(lighter) = self.without_inherited_labels(request).await? else {
            return self.build_and_look_up(request, output).await;
        };
        let image = self.build_and_look_up(&lighter, output).await?;
        if image.has_labels(&request.labels) {
            return Ok(image);
        }
        // The Dockerfile sets some itself, or ends on another image. Its steps are in the cache by now.
        self.build_and_look_up(&BuildRequest { no_cache: false, ..request.clone() }, output).await
    }

    /// The request without the labels that the image has from its parent; none when there are no such labels. The classic
    /// builder starts a container for every label, so that ten of them take longer than a small image does. The last one
    /// stays: a step without it is told from an image by it.
    async fn without_inherited_labels(
        &self,
        request: &BuildRequest,
    ) -> Result<Option<BuildRequest>, EngineError> {
        let is_classic = matches!(request.builder, Builder::Classic { .. });
        let Some(parent) = request.parents.first().filter(|parent| parent.ours && is_classic) else {
            return Ok(None);
        };
        let Some(parent) = self.look_up((&parent.reference).into()).await? else { return Ok(None) };
        let mut labels = request.labels.clone();
        labels.retain(|name, value| name == VERSION_LABEL || parent.labels.get(name) != Some(value));
        let is_lighter = labels.len() < request.labels.len();
        Ok(is_lighter.then(|| BuildRequest { labels, ..request.clone() }))
    }

    async fn build_and_look_up(
        &self,
        request: &BuildRequest,
        output: OutputSink<'_>,
    ) -> Result<ImageFacts, EngineError> {
        let is_buildkit = matches!(request.builder, Builder::BuildKit { .. });
        let site = build::Site {
            transport: &self.transport,
            endpoint: &self.endpoint,
            proxies: &self.proxies,
            is_podman: self.is_podman,
            credentials: &self.credentials,
            // Up to Docker 27 (moby/moby#47717); newer ones take either way.
            gets_context: is_buildkit && self.has_containerd_store().await?,
        };
        build::run(&site, request, output).await?;
        let tag = &request.tag;
        let missing = || fault::garbage(&self.endpoint, format!("it built {tag}, and does not hold it"));
        self.look_up(tag.into()).await?.ok_or_else(missing)
    }

    pub(super) fn to_engine_error(&self, error: BollardError) -> EngineError {
        fault::of_bollard(&self.endpoint, error)
    }
}

impl Engine for Docker {
    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn facts(&self) -> &EngineFacts {
        &self.facts
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        async { self.client.version().await.map(drop).map_err(|error| self.to_engine_error(error)) }.boxed()
    }

    fn processors(&self) -> BoxFuture<'_, Result<usize, EngineError>> {
        async {
            let info = self.client.info().await.map_err(|error| self.to_engine_error(error))?;
            Ok(info.ncpu.and_then(|count| usize::try_from(count).ok()).unwrap_or(1))
        }
        .boxed()
    }

    fn insecure_registries(&self) -> BoxFuture<'_, Result<Vec<String>, EngineError>> {
        self.ask_insecure_registries().boxed()
    }

    fn data_roots(&self) -> BoxFuture<'_, Result<Vec<PathBuf>, EngineError>> {
        async {
            // Behind any other kind of endpoint may be another machine.
            if !self.endpoint.starts_with("unix://") {
                return Ok(Vec::new());
            }
            let info = self.client.info().await.map_err(|error| self.to_engine_error(error))?;
            Ok(info.docker_root_dir.filter(|root| !root.is_empty()).map(PathBuf::from).into_iter().collect())
        }
        .boxed()
    }

    fn inspect<'a>(&'a self, image: NameOrId<'a>) -> BoxFuture<'a, Result<Option<ImageFacts>, EngineError>> {
        self.look_up(image).boxed()
    }

    fn inspect_for<'a>(
        &'a self,
        reference: &'a Reference,
        platform: Platform,
    ) -> BoxFuture<'a, Result<Option<ImageFacts>, EngineError>> {
        self.look_up_for(reference, platform).boxed()
    }

    fn pull<'a>(
        &'a self,
        reference: &'a Reference,
        platform: Platform,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<ImageFacts, EngineError>> {
        self.pull_image(reference, platform, output).boxed()
    }

    fn tag<'a>(&'a self, image: NameOrId<'a>, name: &'a Reference) -> BoxFuture<'a, Result<(), EngineError>> {
        self.tag_image(image, name).boxed()
    }

    fn build<'a>(
        &'a self,
        request: &'a BuildRequest,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<ImageFacts, EngineError>> {
        self.build_and_check(request, output).boxed()
    }

    fn push<'a>(
        &'a self,
        reference: &'a Reference,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<Option<Digest>, EngineError>> {
        self.push_image(reference, output).boxed()
    }
}
