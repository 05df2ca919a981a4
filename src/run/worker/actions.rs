//! The actions of kolla-ansible's `kolla_container`, carried out on an engine [I/O].

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::failed::ModuleFailure;
use super::failures::{Comparison, failure};
use super::params::{RestartWish, WorkerAction, WorkerParams};
use super::systemd::Unit;
use crate::engine::EngineError;
use crate::engine::container::{
    ContainerEngine, ContainerSpec, ContainerStatus, ImageDefaults, Labels, VolumeSource,
};
use crate::model::reference::Reference;
use crate::run::health::{NotUp, Waiter};
use crate::run::reached::own_platform;

/// Command that compares the files of a container with those that they were copied from.
const CHECK_FILES: [&str; 2] = ["/usr/local/bin/kolla_set_configs", "--check"];
/// Exit code of a command whose container was killed meanwhile.
const KILLED: i64 = 137;

/// One call of the module.
pub struct WorkerCall<'a, E> {
    /// The engine.
    pub engine: &'a E,
    /// The arguments.
    pub params: &'a WorkerParams,
    /// The container that they want.
    pub wanted: &'a ContainerSpec,
    /// The unit of systemd that starts the container; none where there is no systemd.
    pub unit: Option<Unit>,
    /// True when the engine mounts directories of this machine.
    pub is_local: bool,
    /// True when nothing may be changed, and only told.
    pub check_mode: bool,
    /// True once the process is to stop.
    pub stop: watch::Receiver<bool>,
    /// What has come of it so far.
    pub report: WorkerReport,
}

/// What has come of a call.
#[derive(Debug, Default)]
pub struct WorkerReport {
    /// True when something was changed, or would be.
    pub changed: bool,
    /// Keys of the answer.
    pub result: Map<String, Value>,
    /// Everything that differed.
    pub differences: Vec<Value>,
}

type Done<T = ()> = Result<T, ModuleFailure>;

impl<E: ContainerEngine> WorkerCall<'_, E> {
    /// Does what is asked for; gives the action's own answer.
    pub async fn run(&mut self) -> Done<bool> {
        match self.params.action {
            WorkerAction::CompareContainer => return self.compare_container().await,
            WorkerAction::CompareImage => return self.compare_image().await,
            WorkerAction::CreateVolume => self.ensure_volume(&self.params.name.clone()).await?,
            WorkerAction::EnsureImage => self.ensure_image().await?,
            WorkerAction::PullImage => self.pull_image().await?,
            WorkerAction::RecreateOrRestartContainer => self.recreate_or_restart().await?,
            WorkerAction::RemoveContainer => self.remove().await?,
            WorkerAction::RemoveImage => self.remove_image().await?,
            WorkerAction::RemoveVolume => self.remove_volume().await?,
            WorkerAction::RestartContainer => self.restart().await?,
            WorkerAction::StartContainer => self.start().await?,
            WorkerAction::StopContainer => self.stop().await?,
            WorkerAction::StopAndRemoveContainer => {
                if self.status().await?.is_some() {
                    self.stop().await?;
                    self.remove().await?;
                }
            }
        }
        Ok(false)
    }

    /// Notes a change; true when it may be made.
    fn may_change(&mut self) -> bool {
        self.report.changed = true;
        !self.check_mode
    }

    async fn image(&self) -> Done<Option<ImageDefaults>> {
        Ok(self.engine.image_defaults(&self.params.image).await?)
    }

    async fn status(&self) -> Done<Option<ContainerStatus>> {
        Ok(self.engine.container(&self.params.name).await?.map(|container| container.status))
    }

    /// What differs of the container; nothing of one that is not there.
    async fn differences(&mut self) -> Done<Option<Vec<Value>>> {
        let Some(held) = self.engine.described(&self.params.name).await? else { return Ok(None) };
        let image = self.image().await?;
        let comparison =
            Comparison { params: self.params, wanted: self.wanted, held: &held, image: image.as_ref() };
        let differences = comparison.failures()?;
        self.report.differences.clone_from(&differences);
        Ok(Some(differences))
    }

    async fn compare_container(&mut self) -> Done<bool> {
        let differences = match self.differences().await? {
            None => vec![failure("container_missing", Value::Null, self.params.name.as_str())],
            Some(mut differences) => {
                if let Some(changes) = self.changed_files().await? {
                    differences.push(failure("config", changes, "up_to_date"));
                }
                if self.unit.as_ref().is_some_and(Unit::differs) {
                    differences.push(failure("systemd_unit", "out_of_date", "up_to_date"));
                }
                differences
            }
        };
        if !differences.is_empty() {
            self.report.changed = true;
            self.report.result.insert("comparison_failures".to_string(), json!(differences));
            self.report.differences = differences;
        }
        Ok(self.report.changed)
    }

    /// What `kolla_set_configs --check` says of changed files; none when there are none.
    async fn changed_files(&self) -> Done<Option<String>> {
        if self.params.podman && self.status().await? != Some(ContainerStatus::Running) {
            return Ok(Some("container not running during config check".to_string()));
        }
        let command = CHECK_FILES.map(String::from);
        let checked = match self.engine.execute(&self.params.name, &command, Some("root")).await {
            Err(EngineError::Refused { status: 400..500, .. }) => {
                return Ok(Some("container unavailable for config check".to_string()));
            }
            checked => checked?,
        };
        match checked.code {
            0 => Ok(None),
            1 => Ok(Some(checked.output)),
            KILLED if !self.params.podman => {
                Ok(Some("container exited abruptly during config check".to_string()))
            }
            code => Err(ModuleFailure::new(format!(
                "Failed to compare container configuration: ExitCode: {code} Message: {}",
                checked.output
            ))
            .after_changes()),
        }
    }

    async fn compare_image(&self) -> Done<bool> {
        let Some(held) = self.engine.described(&self.params.name).await? else { return Ok(true) };
        let image = self.image().await?;
        let (params, wanted) = (self.params, self.wanted);
        Ok(Comparison { params, wanted, held: &held, image: image.as_ref() }.is_other_image())
    }

    async fn ensure_image(&mut self) -> Done {
        match self.image().await? {
            Some(_) => Ok(()),
            None => self.pull_image().await,
        }
    }

    async fn pull_image(&mut self) -> Done {
        let before = self.image().await?.map(|image| image.id);
        if self.check_mode {
            // Whether the registry has another one is not known before.
            self.report.changed |= before.is_none();
            return Ok(());
        }
        let unfit = |error: &dyn std::fmt::Display| ModuleFailure::new(format!("image: {error}"));
        let reference: Reference = self.params.image.parse().map_err(|error| unfit(&error))?;
        let reference = reference.tagged();
        if let Err(error) = self.engine.pull(&reference, own_platform(self.engine), &|_| {}).await {
            let told = error.to_string();
            let is_missing = ["not found", "manifest unknown"].iter().any(|words| told.contains(words));
            return Err(ModuleFailure::new(match is_missing {
                true => format!("The requested image does not exist: {reference}: {told}"),
                false => format!("Unknown error message: {told}"),
            }));
        }
        let after = self.image().await?.map(|image| image.id);
        self.report.changed |= before != after;
        Ok(())
    }

    async fn remove_image(&mut self) -> Done {
        if self.image().await?.is_none() || !self.may_change() {
            return Ok(());
        }
        match self.engine.forget_image(&self.params.image).await {
            Err(EngineError::Refused { status: 409, .. }) => {
                self.report.changed = false;
                Err(ModuleFailure::new(format!("Image '{}' is currently in-use", self.params.image)))
            }
            removed => Ok(removed?),
        }
    }

    async fn has_volume(&self, name: &str) -> Done<bool> {
        let volumes = self.engine.volumes(&Labels::new()).await?;
        Ok(volumes.iter().any(|volume| volume == name))
    }

    async fn ensure_volume(&mut self, name: &str) -> Done {
        let labels = [("kolla_managed".to_string(), "true".to_string())].into();
        self.report.changed |= match self.check_mode {
            true => !self.has_volume(name).await?,
            false => self.engine.ensure_volume(name, &labels).await?,
        };
        Ok(())
    }

    async fn remove_volume(&mut self) -> Done {
        let name = &self.params.name;
        if !self.has_volume(name).await? || !self.may_change() {
            return Ok(());
        }
        match self.engine.remove_volume(name).await {
            Err(EngineError::Refused { status: 409, .. }) => {
                self.report.changed = false;
                Err(ModuleFailure::new(format!("Volume named '{name}' is currently in-use")))
            }
            removed => Ok(removed?),
        }
    }

    fn is_oneshot(&self) -> bool {
        self.params.restart_policy == RestartWish::Oneshot
    }

    /// The unit that starts the container, if one is to.
    fn own_unit(&self) -> Option<&Unit> {
        self.unit.as_ref().filter(|_| !self.is_oneshot())
    }

    async fn create(&mut self) -> Done {
        if !self.may_change() {
            return Ok(());
        }
        for volume in &self.wanted.volumes {
            if let VolumeSource::Named(name) = &volume.source {
                self.ensure_volume(&name.clone()).await?;
            }
        }
        if self.params.podman && self.is_local {
            self.make_missing_directories()?;
        }
        self.engine.create(&self.params.name, self.wanted).await?;
        if let Some(unit) = self.own_unit() {
            unit.write().await?;
        }
        Ok(())
    }

    /// Docker makes directories that it is to mount and that are missing; Podman refuses.
    fn make_missing_directories(&self) -> Done {
        for volume in &self.wanted.volumes {
            let VolumeSource::Path(path) = &volume.source else { continue };
            if !Path::new(path).exists() {
                fs::create_dir_all(path).map_err(|error| {
                    ModuleFailure::new(format!("volumes: cannot make the directory {path}: {error}"))
                        .after_changes()
                })?;
            }
        }
        Ok(())
    }

    async fn start(&mut self) -> Done {
        self.ensure_image().await?;
        if self.differences().await?.is_some_and(|differences| !differences.is_empty()) {
            self.stop().await?;
            self.remove().await?;
            return self.start_or_create(None).await;
        }
        let status = self.status().await?;
        self.start_or_create(status).await
    }

    /// Starts the container, or another one when there is none, and waits for one that is not to be left alone.
    async fn start_or_create(&mut self, status: Option<ContainerStatus>) -> Done {
        self.bring_up(status).await?;
        match self.params.detach || self.check_mode {
            true => Ok(()),
            false => self.wait().await,
        }
    }

    async fn bring_up(&mut self, status: Option<ContainerStatus>) -> Done {
        if status.is_none() {
            self.create().await?;
        }
        let is_up = match status {
            Some(ContainerStatus::Paused) => !self.params.podman,
            status => status == Some(ContainerStatus::Running),
        };
        if is_up || !self.may_change() {
            return Ok(());
        }
        match self.own_unit() {
            None => Ok(self.engine.start(&self.params.name).await?),
            Some(unit) => {
                unit.write().await?;
                let has_started = unit.start().await?;
                self.unless_timed_out(has_started).await
            }
        }
    }

    async fn unless_timed_out(&self, in_time: bool) -> Done {
        if in_time {
            return Ok(());
        }
        let mut failure = ModuleFailure::new("Container timed out").after_changes();
        if let Ok(Some(container)) = self.engine.described(&self.params.name).await {
            failure = failure.with("State", container["State"].clone());
        }
        Err(failure)
    }

    /// Waits for a container that does one thing, and tells what it has said.
    async fn wait(&mut self) -> Done {
        let name = &self.params.name;
        let waiter =
            Waiter { engine: self.engine, patience: self.params.patience(), stop: self.stop.clone() };
        let code = waiter.until_end(name).await.map_err(|error| match error {
            NotUp::Engine(error) => error.into(),
            other => ModuleFailure::new(format!("container {name}: {other}")).after_changes(),
        })?;
        let streams = self.engine.container_streams(name).await?;
        for (key, value) in
            [("rc", json!(code)), ("stdout", json!(streams.output)), ("stderr", json!(streams.error))]
        {
            self.report.result.insert(key.to_string(), value);
        }
        if self.params.remove_on_exit {
            self.stop().await?;
            self.remove().await?;
        }
        match code {
            0 => Ok(()),
            code => Err(ModuleFailure::new(format!("Container exited with non-zero return code {code}"))
                .after_changes()),
        }
    }

    async fn stop(&mut self) -> Done {
        let name = &self.params.name;
        match self.status().await? {
            None if self.params.ignore_missing => Ok(()),
            None => Err(ModuleFailure::new(format!("No such container: {name} to stop"))),
            Some(ContainerStatus::Exited) => Ok(()),
            Some(_) if !self.may_change() => Ok(()),
            Some(_) => match self.unit.as_ref().filter(|unit| unit.exists()) {
                // Systemd would start again what ends by another's will.
                Some(unit) => unit.stop().await.map(drop),
                None => Ok(self.engine.stop(name, self.params.grace()).await?),
            },
        }
    }

    async fn restart(&mut self) -> Done {
        let name = &self.params.name;
        if self.status().await?.is_none() {
            return Err(ModuleFailure::new(format!("No such container: {name}")));
        }
        if !self.may_change() {
            return Ok(());
        }
        match self.own_unit() {
            Some(unit) => {
                unit.write().await?;
                let has_started = unit.restart().await?;
                self.unless_timed_out(has_started).await
            }
            None => {
                self.engine.stop(name, self.params.grace()).await?;
                Ok(self.engine.start(name).await?)
            }
        }
    }

    async fn remove(&mut self) -> Done {
        let has_unit = self.unit.as_ref().is_some_and(Unit::exists);
        let is_there = self.engine.described(&self.params.name).await?.is_some();
        if !(has_unit || is_there) || !self.may_change() {
            return Ok(());
        }
        if let Some(unit) = &self.unit {
            unit.remove().await?;
        }
        if is_there {
            self.engine.remove(&self.params.name).await?;
        }
        Ok(())
    }

    async fn recreate_or_restart(&mut self) -> Done {
        let Some(differences) = self.differences().await? else { return self.start().await };
        self.report.changed |= !self.params.podman;
        let strategy = self.params.environment.get("KOLLA_CONFIG_STRATEGY").map(String::as_str);
        match (strategy, differences.is_empty()) {
            (Some("COPY_ONCE"), _) | (_, false) => {
                // Before the old one goes: a pull that fails leaves it as it was.
                self.ensure_image().await?;
                self.stop_if_running().await?;
                self.remove().await?;
                self.start_or_create(None).await
            }
            (Some("COPY_ALWAYS"), true) => self.restart().await,
            _ => Ok(()),
        }
    }

    async fn stop_if_running(&mut self) -> Done {
        match self.status().await? {
            None => Ok(()),
            Some(_) => self.stop().await,
        }
    }
}
