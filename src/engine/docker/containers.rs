//! Containers, volumes and networks of an engine.

use std::collections::HashMap;
use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::exec::StartExecResults;
use bollard::models::{ExecConfig, NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
    ListVolumesOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
    RenameContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};

use super::super::EngineError;
use super::super::container::{
    ContainerEngine, ContainerFacts, ContainerSpec, Executed, ImageDefaults, Labels, ListedContainer,
};
use super::client::Docker;
use super::container_models::{body_of, defaults_of, facts_of, plain_name};

/// So much of what a container or a command in it wrote is kept, the end.
const KEPT_OUTPUT: usize = 1 << 20;

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

impl Docker {
    /// A result of which a missing thing is no failure.
    fn or_missing<T>(&self, result: Result<T, BollardError>) -> Result<Option<T>, EngineError> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(self.to_engine_error(error)),
        }
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

    async fn run_in(
        &self,
        name: &str,
        command: &[String],
        user: Option<&str>,
    ) -> Result<Executed, EngineError> {
        let config = ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.to_vec()),
            user: user.map(String::from),
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
            let options = ListContainersOptionsBuilder::new().all(true).filters(&filter([label])).build();
            let found = self.checked(self.client.list_containers(Some(options)).await)?;
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
        async move { Ok(self.or_missing(self.client.inspect_container(name, None).await)?.map(facts_of)) }
            .boxed()
    }

    fn image_defaults<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ImageDefaults>, EngineError>> {
        async move { Ok(self.or_missing(self.client.inspect_image(name).await)?.map(defaults_of)) }.boxed()
    }

    fn create<'a>(
        &'a self,
        name: &'a str,
        spec: &'a ContainerSpec,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        async move {
            let options = CreateContainerOptionsBuilder::new().name(name).build();
            self.checked(self.client.create_container(Some(options), body_of(spec)).await.map(drop))
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

    fn execute<'a>(
        &'a self,
        name: &'a str,
        command: &'a [String],
        user: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Executed, EngineError>> {
        self.run_in(name, command, user).boxed()
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
