//! Containers, volumes and networks of an engine.

use std::collections::HashMap;
use std::io::Read;
use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::exec::StartExecResults;
use bollard::models::{ContainerSummary, ExecConfig, NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptions, RemoveVolumeOptions,
    RenameContainerOptionsBuilder, StopContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use form_urlencoded::Serializer;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::EngineError;
use super::super::container::{
    ContainerEngine, ContainerFacts, ContainerSpec, ContainerStreams, Executed, Execution, FileFacts,
    ImageConfiguration, ImageDefaults, Labels, ListedContainer, TakePiece,
};
use super::client::Docker;
use super::container_models::{
    config_of, defaults_of, facts_of, name_states_as_docker, plain_name, request_of,
};
use super::fault;
use super::transport::Exchange;

/// So much of what a container or a command in it wrote is kept, the end.
const KEPT_OUTPUT: usize = 1 << 20;

/// Bytes of an archive of one file beside its content, at most.
const ARCHIVE_OVERHEAD: usize = 16 * 1024;

/// A filter for what has all of these labels.
fn filter<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> HashMap<&'static str, Vec<String>> {
    HashMap::from([("label", labels.into_iter().map(|(name, value)| format!("{name}={value}")).collect())])
}

fn pairs(labels: &Labels) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

fn is_missing(error: &BollardError) -> bool {
    matches!(error, BollardError::DockerResponseServerError { status_code: 404, .. })
}

/// The first member of an archive whose end may be missing.
fn first_member(archive: &[u8]) -> std::io::Result<FileFacts> {
    let mut archive = tar::Archive::new(archive);
    let mut entry = archive.entries()?.next().ok_or(std::io::ErrorKind::UnexpectedEof)??;
    let (header, kind) = (entry.header(), entry.header().entry_type());
    let kind_bits = match kind {
        tar::EntryType::Directory => 0o040_000,
        tar::EntryType::Symlink => 0o120_000,
        tar::EntryType::Char => 0o020_000,
        tar::EntryType::Block => 0o060_000,
        tar::EntryType::Fifo => 0o010_000,
        _ => 0o100_000,
    };
    let mode = header.mode()? & 0o7777 | kind_bits;
    let (uid, gid) = (header.uid()?, header.gid()?);
    let mut content = Vec::new();
    if kind.is_file() {
        // What was cut off is missing at its end.
        let _ = entry.read_to_end(&mut content);
    }
    Ok(FileFacts { mode, uid, gid, content })
}

impl Docker {
    /// A result of which a missing thing is no failure.
    fn or_missing<T>(&self, result: Result<T, BollardError>) -> Result<Option<T>, EngineError> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(self.to_engine_error(error)),
        }
    }

    /// An answer about containers. bollard knows the states that Docker has, and none that only Podman has.
    pub(super) async fn get_containers<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        let mut answer: Value = self.get_json(path).await?;
        name_states_as_docker(&mut answer);
        serde_json::from_value(answer).map_err(|error| fault::garbage(&self.endpoint, error.to_string()))
    }

    fn checked<T>(&self, result: Result<T, BollardError>) -> Result<T, EngineError> {
        result.map_err(|error| self.to_engine_error(error))
    }

    /// Everything that an answer holds of what was written, as text.
    async fn collect(
        &self,
        mut output: impl futures_util::Stream<Item = Result<bollard::container::LogOutput, BollardError>> + Unpin,
    ) -> Result<String, EngineError> {
        let mut bytes = Vec::new();
        while let Some(piece) = output.next().await {
            bytes.extend_from_slice(&self.checked(piece)?.into_bytes());
            if bytes.len() > 2 * KEPT_OUTPUT {
                bytes.drain(..bytes.len() - KEPT_OUTPUT);
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Text that was written to one of a container's outputs.
    async fn stream_of(&self, name: &str, is_error: bool) -> Result<String, EngineError> {
        let options = LogsOptionsBuilder::new().stdout(!is_error).stderr(is_error).build();
        self.collect(Box::pin(self.client.logs(name, Some(options)))).await
    }

    /// A file of which at most so many bytes are read, with its place in an archive.
    async fn read_file(
        &self,
        container: &str,
        path: &str,
        limit: usize,
    ) -> Result<Option<FileFacts>, EngineError> {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let mut pieces = Box::pin(self.client.download_from_container(container, Some(options)));
        let mut archive = Vec::new();
        // A directory comes with all that is in it, of which the first member is enough.
        while archive.len() < limit
            && let Some(piece) = pieces.next().await
        {
            match self.or_missing(piece)? {
                Some(piece) => archive.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
        let garbage = |error: std::io::Error| EngineError::Garbage {
            endpoint: self.endpoint.clone(),
            reason: format!("{path}: {error}"),
        };
        first_member(&archive).map(Some).map_err(garbage)
    }

    async fn follow(
        &self,
        name: &str,
        lines: usize,
        line: &(dyn Fn(&str) -> bool + Send + Sync),
    ) -> Result<(), EngineError> {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).follow(true);
        let options = options.tail(&lines.to_string()).build();
        let mut pieces = Box::pin(self.client.logs(name, Some(options)));
        let mut rest = Vec::new();
        while let Some(piece) = pieces.next().await {
            rest.extend_from_slice(&self.checked(piece)?.into_bytes());
            // A line without end is handed on in parts.
            while let Some(end) = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .or((rest.len() > KEPT_OUTPUT).then_some(KEPT_OUTPUT))
            {
                let of_line: Vec<u8> = rest.drain(..=end).collect();
                if !line(String::from_utf8_lossy(&of_line).trim_end_matches(['\r', '\n'])) {
                    return Ok(());
                }
            }
        }
        if !rest.is_empty() {
            line(&String::from_utf8_lossy(&rest));
        }
        Ok(())
    }

    async fn run_in(&self, name: &str, execution: &Execution) -> Result<Executed, EngineError> {
        let variables = execution.environment.iter().map(|(name, value)| format!("{name}={value}"));
        let config = ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(execution.command.clone()),
            user: execution.user.clone(),
            env: Some(variables.collect::<Vec<_>>()).filter(|variables| !variables.is_empty()),
            privileged: execution.privileged.then_some(true),
            ..ExecConfig::default()
        };
        let id = self.checked(self.client.create_exec(name, config).await)?.id;
        let output = match self.checked(self.client.start_exec(&id, None).await)? {
            StartExecResults::Attached { output, .. } => self.collect(output).await?,
            StartExecResults::Detached => String::new(),
        };
        let code = self.checked(self.client.inspect_exec(&id).await)?.exit_code.unwrap_or_default();
        Ok(Executed { code, output })
    }
}

impl ContainerEngine for Docker {
    fn is_podman(&self) -> bool {
        self.is_podman
    }

    fn containers<'a>(
        &'a self,
        label: (&'a str, &'a str),
    ) -> BoxFuture<'a, Result<Vec<ListedContainer>, EngineError>> {
        async move {
            let filters = json!(filter([label])).to_string();
            let query = Serializer::new(String::new()).append_pair("filters", &filters).finish();
            let found: Vec<ContainerSummary> =
                self.get_containers(&format!("/containers/json?all=true&{query}")).await?;
            let listed = found.into_iter().map(|container| ListedContainer {
                name: plain_name(container.names.iter().flatten().next().map_or("", String::as_str)),
                id: container.id.unwrap_or_default(),
                labels: container.labels.into_iter().flatten().collect(),
            });
            Ok(listed.collect())
        }
        .boxed()
    }

    fn container<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<ContainerFacts>, EngineError>> {
        async move {
            match self.get_containers(&format!("/containers/{name}/json")).await {
                Ok(container) => Ok(Some(facts_of(container))),
                Err(EngineError::Refused { status: 404, .. }) => Ok(None),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }

    fn container_names(&self, all: bool) -> BoxFuture<'_, Result<Vec<String>, EngineError>> {
        async move {
            let found: Vec<ContainerSummary> =
                self.get_containers(&format!("/containers/json?all={all}")).await?;
            let names = found.into_iter().filter_map(|container| container.names?.into_iter().next());
            Ok(names.map(|name| plain_name(&name)).collect())
        }
        .boxed()
    }

    fn described<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Value>, EngineError>> {
        async move {
            let own = if self.is_podman { "/libpod" } else { "" };
            match self.get_json(&format!("{own}/containers/{name}/json")).await {
                Ok(container) => Ok(Some(container)),
                Err(EngineError::Refused { status: 404, .. }) => Ok(None),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }

    fn described_volumes(&self) -> BoxFuture<'_, Result<Vec<Value>, EngineError>> {
        async move {
            if self.is_podman {
                return self.get_json("/libpod/volumes/json").await;
            }
            let mut answer: Value = self.get_json("/volumes").await?;
            Ok(answer["Volumes"].as_array_mut().map(std::mem::take).unwrap_or_default())
        }
        .boxed()
    }

    fn image_defaults<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ImageDefaults>, EngineError>> {
        async move { Ok(self.or_missing(self.client.inspect_image(name).await)?.map(defaults_of)) }.boxed()
    }

    fn image_config<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ImageConfiguration>, EngineError>> {
        async move { Ok(self.or_missing(self.client.inspect_image(name).await)?.map(config_of)) }.boxed()
    }

    fn file<'a>(
        &'a self,
        container: &'a str,
        path: &'a str,
    ) -> BoxFuture<'a, Result<Option<FileFacts>, EngineError>> {
        self.read_file(container, path, KEPT_OUTPUT).boxed()
    }

    fn whole_file<'a>(
        &'a self,
        container: &'a str,
        path: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, EngineError>> {
        async move {
            let Some(file) = self.read_file(container, path, limit).await? else { return Ok(None) };
            // The archive that it comes in is longer than the file.
            if file.content.len() + ARCHIVE_OVERHEAD >= limit {
                let reason = format!("{path} is longer than {limit} bytes");
                return Err(EngineError::Garbage { endpoint: self.endpoint.clone(), reason });
            }
            Ok(Some(file.content))
        }
        .boxed()
    }

    fn export<'a>(
        &'a self,
        container: &'a str,
        take: TakePiece<'a>,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        async move {
            let mut body = self.get(Exchange::FileSystem, &format!("/containers/{container}/export")).await?;
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| fault::of_hyper(&self.endpoint, &error))?;
                if let Some(piece) = frame.data_ref() {
                    take(piece).map_err(EngineError::Spool)?;
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn create<'a>(
        &'a self,
        name: &'a str,
        spec: &'a ContainerSpec,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        async move {
            let query = Serializer::new(String::new()).append_pair("name", name).finish();
            let body = serde_json::to_vec(&request_of(spec)).unwrap_or_default();
            let _: Value = self.post_json(&format!("/containers/create?{query}"), body).await?;
            Ok(())
        }
        .boxed()
    }

    fn start<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), EngineError>> {
        async move { self.checked(self.client.start_container(name, None).await) }.boxed()
    }

    fn stop<'a>(&'a self, name: &'a str, grace: Duration) -> BoxFuture<'a, Result<(), EngineError>> {
        async move {
            let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
            let options = StopContainerOptionsBuilder::new().t(seconds).build();
            self.or_missing(self.client.stop_container(name, Some(options)).await).map(drop)
        }
        .boxed()
    }

    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), EngineError>> {
        async move {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            match self.or_missing(self.client.remove_container(name, Some(options)).await) {
                // It counts only if it is still there: the engine may be removing it already.
                Err(error) => match self.container(name).await {
                    Ok(None) => Ok(()),
                    _ => Err(error),
                },
                removed => removed.map(drop),
            }
        }
        .boxed()
    }

    fn rename<'a>(&'a self, name: &'a str, new: &'a str) -> BoxFuture<'a, Result<(), EngineError>> {
        async move {
            let options = RenameContainerOptionsBuilder::new().name(new).build();
            self.checked(self.client.rename_container(name, options).await)
        }
        .boxed()
    }

    fn container_log<'a>(
        &'a self,
        name: &'a str,
        lines: usize,
    ) -> BoxFuture<'a, Result<String, EngineError>> {
        async move {
            let options =
                LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines.to_string()).build();
            self.collect(Box::pin(self.client.logs(name, Some(options)))).await
        }
        .boxed()
    }

    fn follow_log<'a>(
        &'a self,
        name: &'a str,
        lines: usize,
        line: &'a (dyn Fn(&str) -> bool + Send + Sync),
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        self.follow(name, lines, line).boxed()
    }

    fn container_streams<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<ContainerStreams, EngineError>> {
        async move {
            Ok(ContainerStreams {
                output: self.stream_of(name, false).await?,
                error: self.stream_of(name, true).await?,
            })
        }
        .boxed()
    }

    fn execute<'a>(
        &'a self,
        name: &'a str,
        command: &'a [String],
        user: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Executed, EngineError>> {
        let user = user.map(String::from);
        let execution = Execution { command: command.to_vec(), user, ..Execution::default() };
        async move { self.run_in(name, &execution).await }.boxed()
    }

    fn execute_as<'a>(
        &'a self,
        name: &'a str,
        execution: &'a Execution,
    ) -> BoxFuture<'a, Result<Executed, EngineError>> {
        self.run_in(name, execution).boxed()
    }

    fn put_archive<'a>(
        &'a self,
        container: &'a str,
        directory: &'a str,
        archive: Vec<u8>,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        async move {
            let options = UploadToContainerOptionsBuilder::new().path(directory).build();
            let body = bollard::body_full(archive.into());
            self.checked(self.client.upload_to_container(container, Some(options), body).await)
        }
        .boxed()
    }

    fn forget_image<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), EngineError>> {
        async move {
            let removed = self.client.remove_image(name, None::<RemoveImageOptions>, None).await;
            self.or_missing(removed).map(drop)
        }
        .boxed()
    }

    fn volumes<'a>(&'a self, labels: &'a Labels) -> BoxFuture<'a, Result<Vec<String>, EngineError>> {
        async move {
            let options = ListVolumesOptionsBuilder::new().filters(&filter(pairs(labels))).build();
            let found = self.checked(self.client.list_volumes(Some(options)).await)?;
            Ok(found.volumes.into_iter().flatten().map(|volume| volume.name).collect())
        }
        .boxed()
    }

    fn ensure_volume<'a>(
        &'a self,
        name: &'a str,
        labels: &'a Labels,
    ) -> BoxFuture<'a, Result<bool, EngineError>> {
        async move {
            if self.or_missing(self.client.inspect_volume(name).await)?.is_some() {
                return Ok(false);
            }
            let request = VolumeCreateRequest {
                name: Some(name.to_string()),
                driver: Some("local".to_string()),
                labels: Some(labels.clone().into_iter().collect()),
                ..VolumeCreateRequest::default()
            };
            self.checked(self.client.create_volume(request).await.map(|_| true))
        }
        .boxed()
    }

    fn remove_volume<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), EngineError>> {
        async move {
            self.or_missing(self.client.remove_volume(name, None::<RemoveVolumeOptions>).await).map(drop)
        }
        .boxed()
    }

    fn networks<'a>(&'a self, labels: &'a Labels) -> BoxFuture<'a, Result<Vec<String>, EngineError>> {
        async move {
            let options = ListNetworksOptionsBuilder::new().filters(&filter(pairs(labels))).build();
            let found = self.checked(self.client.list_networks(Some(options)).await)?;
            Ok(found.into_iter().filter_map(|network| network.name).collect())
        }
        .boxed()
    }

    fn ensure_network<'a>(
        &'a self,
        name: &'a str,
        labels: &'a Labels,
    ) -> BoxFuture<'a, Result<bool, EngineError>> {
        async move {
            if self.or_missing(self.client.inspect_network(name, None).await)?.is_some() {
                return Ok(false);
            }
            let request = NetworkCreateRequest {
                name: name.to_string(),
                labels: Some(labels.clone().into_iter().collect()),
                ..NetworkCreateRequest::default()
            };
            match self.client.create_network(request).await {
                Ok(_) => Ok(true),
                // Engines do not agree on what they answer.
                Err(error) => match self.or_missing(self.client.inspect_network(name, None).await)? {
                    Some(_) => Ok(true),
                    None => Err(self.to_engine_error(error)),
                },
            }
        }
        .boxed()
    }

    fn remove_network<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), EngineError>> {
        async move { self.or_missing(self.client.remove_network(name).await).map(drop) }.boxed()
    }
}
