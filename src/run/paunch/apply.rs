//! Containers of a config, brought about, removed and renamed as paunch does it [I/O].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;

use super::super::apply::GRACE;
use super::super::desired::environment;
use super::super::health::{NotUp, Waiter};
use super::super::labels::{CONFIG_DATA, CONFIG_ID, CONTAINER_NAME, MANAGED_BY};
use super::super::python;
use super::super::reached::{engine_error, pull_missing_image};
use super::super::spec::Settings;
use super::super::text::{LAST_LINES, indented, last_lines};
use super::config::RawSettings;
use super::decide::{self, CANNOT_RUN, HISTORIC_MANAGER, owned, wanted_name};
use super::log::PaunchLog;
use super::settings::{self, exit_codes, is_exec};
use crate::engine::EngineError;
use crate::engine::container::{
    ContainerEngine, ContainerSpec, Execution, Labels, ListedContainer, VolumeSource,
};
use crate::engine::docker::Docker;
use crate::error::{EXIT_FAILED, EXIT_INTERRUPTED, Fatal};
use crate::model::reference::Reference;

/// Exit code of an engine's program for a command that it can't run in a container.
const CANNOT_EXEC: i64 = 1;

/// A container may run for as long as it likes.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// A config that is brought about.
pub struct AppliedConfig<'a> {
    /// Identifier of the config.
    pub config_id: &'a str,
    /// Labels of its containers, beside paunch's own.
    pub labels: &'a [(String, String)],
    /// Containers in the order in which they come about.
    pub containers: &'a [(String, RawSettings)],
    /// True when containers that it does not name are removed.
    pub cleanup: bool,
    /// True when containers have no healthcheck.
    pub healthcheck_disabled: bool,
}

/// Someone who does as paunch does.
pub struct PaunchRunner<'a> {
    /// Engine that runs the containers.
    pub engine: &'a Docker,
    /// Who looks after them.
    pub managed_by: &'a str,
    /// Variables of the environment.
    pub variables: &'a BTreeMap<String, String>,
    /// True when the engine mounts directories of this machine.
    pub is_local: bool,
    /// Processors of a container that names none; none when it may have them all.
    pub own_cpus: Option<&'a str>,
    /// Who is told.
    pub log: &'a PaunchLog,
    /// True once the run is to stop.
    pub stop: watch::Receiver<bool>,
}

/// How the launch of a container ended.
enum Launched {
    /// With an exit code, and these words about it.
    Ended(i64, String),
    /// Not at all: it mounts something that is not there.
    Unfit(String),
    /// The run is to stop.
    Interrupted,
}

impl PaunchRunner<'_> {
    /// Brings a config about; gives the exit code.
    pub async fn apply(&self, config: &AppliedConfig<'_>) -> Result<u8, Fatal> {
        check_actions(config.containers)?;
        if !self.pull(config.containers).await? {
            return Ok(EXIT_FAILED);
        }
        self.remove_unnamed(config).await?;
        self.rename().await?;
        let mut held = self.containers().await?;
        let (mut code, mut unfit) = (0, Vec::new());
        for (name, settings) in config.containers {
            if *self.stop.borrow() {
                return Ok(EXIT_INTERRUPTED);
            }
            if self
                .remove_outdated(name, settings, &owned(&held, self.managed_by, Some(config.config_id)))
                .await?
            {
                held = self.containers().await?;
            }
            let launched = if is_exec(settings) {
                self.exec(name, settings, config.config_id).await?
            } else if owned(&held, self.managed_by, Some(config.config_id))
                .iter()
                .any(|it| wanted_name(it) == name)
            {
                self.log.note(format_args!("{name}: kept"));
                continue;
            } else {
                self.run(name, settings, config).await?
            };
            match launched {
                Launched::Interrupted => return Ok(EXIT_INTERRUPTED),
                Launched::Unfit(why) => {
                    self.log.fault(format_args!("{name}: not started: {why}"));
                    unfit.push(name.as_str());
                }
                Launched::Ended(found, words) if exit_codes(settings).contains(&found) => {
                    self.log.note(format_args!("{name}: {words}"));
                }
                Launched::Ended(found, words) => {
                    self.log.fault(format_args!("{name}: failed with exit code {found}: {words}"));
                    code = found;
                }
            }
        }
        if !unfit.is_empty() {
            self.log.fault(format_args!("not started: {}", unfit.join(", ")));
            code = EXIT_FAILED.into();
        }
        // As the system cuts it.
        Ok(code.to_le_bytes()[0])
    }

    /// Removes the configs that are not among these, and gives the other containers their names.
    pub async fn clean_up(&self, stay: &[String]) -> Result<(), Fatal> {
        let held = self.containers().await?;
        for config_id in decide::config_ids(&owned(&held, self.managed_by, None)) {
            if !stay.contains(&config_id) {
                self.remove_all(&held, &config_id).await?;
            }
        }
        self.rename().await
    }

    /// Removes configs.
    pub async fn delete(&self, config_ids: &[String]) -> Result<(), Fatal> {
        if config_ids.is_empty() {
            self.log.fault(format_args!("no config is named: nothing is deleted"));
        }
        for config_id in config_ids {
            self.remove_all(&self.containers().await?, config_id).await?;
        }
        Ok(())
    }

    /// Every container of this manager and of paunch itself, the newest first.
    pub async fn containers(&self) -> Result<Vec<ListedContainer>, Fatal> {
        let mut held = self.labelled(MANAGED_BY, self.managed_by).await?;
        if self.managed_by != HISTORIC_MANAGER {
            held.extend(self.labelled(MANAGED_BY, HISTORIC_MANAGER).await?);
        }
        Ok(held)
    }

    async fn labelled(&self, label: &str, value: &str) -> Result<Vec<ListedContainer>, Fatal> {
        self.engine.containers((label, value)).await.map_err(engine_error)
    }

    /// Pulls what is missing; true when all are there.
    async fn pull(&self, containers: &[(String, RawSettings)]) -> Result<bool, Fatal> {
        let image = |(_, settings): &(String, RawSettings)| {
            settings.get("image").filter(|image| python::is_true(image)).map(python::text)
        };
        let images: BTreeSet<String> = containers.iter().filter_map(image).collect();
        let mut all = true;
        for image in images {
            let pulled = match image.parse::<Reference>() {
                Ok(_) => pull_missing_image(self.engine, &image).await?.map_err(|failure| failure.message),
                Err(error) => Err(error.to_string()),
            };
            if let Err(reason) = pulled {
                self.log.fault(format_args!("{image}: failed to pull it: {reason}"));
                all = false;
            }
        }
        Ok(all)
    }

    async fn remove_unnamed(&self, config: &AppliedConfig<'_>) -> Result<(), Fatal> {
        let named = |name: &str| config.containers.iter().any(|(known, _)| known == name);
        let held = self.containers().await?;
        for container in owned(&held, self.managed_by, Some(config.config_id)) {
            if config.cleanup && !named(wanted_name(container)) {
                self.remove(&container.id).await?;
                self.log
                    .note(format_args!("{}: removed: {} does not name it", container.name, config.config_id));
            }
        }
        Ok(())
    }

    async fn rename(&self) -> Result<(), Fatal> {
        let held = self.containers().await?;
        for (from, to) in decide::renames(&owned(&held, self.managed_by, None)) {
            match self.engine.rename(&from, &to).await {
                Ok(()) => self.log.note(format_args!("{to}: renamed, it was {from}")),
                Err(EngineError::Refused { message, .. }) => {
                    self.log.fault(format_args!("{from}: failed to rename it to {to}: {message}"));
                }
                Err(error) => return Err(engine_error(error)),
            }
        }
        Ok(())
    }

    /// Removes a container that was made by other settings; true if there was one.
    async fn remove_outdated(
        &self,
        name: &str,
        settings: &RawSettings,
        of_config: &[&ListedContainer],
    ) -> Result<bool, Fatal> {
        let Some(facts) = self.engine.container(name).await.map_err(engine_error)? else { return Ok(false) };
        // Another's container is left, whatever it is called.
        if !of_config.iter().any(|container| container.id == facts.id) {
            return Ok(false);
        }
        let image = self.engine.image_defaults(&facts.spec.image).await.map_err(engine_error)?;
        let Some(why) = decide::outdated(settings, &facts, image.as_ref().map(|image| &image.id)) else {
            return Ok(false);
        };
        self.remove(&facts.id).await?;
        self.log.note(format_args!("{name}: removed: {why}"));
        Ok(true)
    }

    async fn remove_all(&self, held: &[ListedContainer], config_id: &str) -> Result<(), Fatal> {
        for container in owned(held, self.managed_by, Some(config_id)) {
            self.remove(&container.id).await?;
            self.log.note(format_args!("{}: removed", container.name));
        }
        Ok(())
    }

    async fn remove(&self, id: &str) -> Result<(), Fatal> {
        let facts = self.engine.container(id).await.map_err(engine_error)?;
        let grace = facts.and_then(|facts| facts.spec.stop_grace).unwrap_or(GRACE);
        match self.engine.stop(id, grace).await {
            // It is removed all the same.
            Ok(()) | Err(EngineError::Refused { .. }) => {}
            Err(error) => return Err(engine_error(error)),
        }
        self.engine.remove(id).await.map_err(engine_error)
    }

    /// Makes and starts a container, and waits for its end where that is asked for.
    async fn run(
        &self,
        name: &str,
        raw: &RawSettings,
        config: &AppliedConfig<'_>,
    ) -> Result<Launched, Fatal> {
        let settings = match settings::read(raw, self.own_cpus) {
            Ok(settings) => settings,
            Err(error) => return Ok(Launched::Ended(CANNOT_RUN, error.to_string())),
        };
        if let Some(missing) = self.missing_volume(&settings.spec).await? {
            return Ok(Launched::Unfit(format!("{missing}, which it mounts, is not there")));
        }
        let environment = match environment(name, &settings, self.variables) {
            Ok(environment) => environment,
            Err(error) => return Ok(Launched::Ended(CANNOT_RUN, error.to_string())),
        };
        let labels = self.labels(name, raw, config.config_id, config.labels);
        let mut spec = ContainerSpec { environment, labels, ..settings.spec.clone() };
        spec.healthcheck = spec.healthcheck.filter(|_| !config.healthcheck_disabled);
        let alike = self.labelled(CONTAINER_NAME, name).await?;
        let real = decide::discover(&alike, name, config.config_id).unwrap_or(name);
        if let Err(refused) = refusal(self.engine.create(real, &spec).await)? {
            return Ok(Launched::Ended(CANNOT_RUN, refused));
        }
        if let Err(refused) = refusal(self.engine.start(real).await)? {
            if settings.remove {
                self.engine.remove(real).await.map_err(engine_error)?;
            }
            return Ok(Launched::Ended(decide::start_code(&refused), refused));
        }
        if settings.detach {
            return Ok(Launched::Ended(0, "started".to_string()));
        }
        self.see_it_end(real, &settings).await
    }

    async fn see_it_end(&self, name: &str, settings: &Settings) -> Result<Launched, Fatal> {
        let waiter = Waiter { engine: self.engine, patience: FOREVER, stop: self.stop.clone() };
        let launched = match waiter.until_end(name).await {
            Ok(code) if settings.exit_codes.contains(&code) => {
                Launched::Ended(code, format!("ended with exit code {code}"))
            }
            Ok(code) => Launched::Ended(code, self.last_words(name).await),
            // What it has half done it does again from the beginning.
            Err(NotUp::Interrupted) => {
                self.remove(name).await?;
                return Ok(Launched::Interrupted);
            }
            Err(NotUp::Engine(error)) => return Err(engine_error(error)),
            Err(error) => return Ok(Launched::Ended(CANNOT_RUN, error.to_string())),
        };
        if settings.remove {
            self.engine.remove(name).await.map_err(engine_error)?;
        }
        Ok(launched)
    }

    async fn last_words(&self, name: &str) -> String {
        // What can't be had is no reason to fail.
        let log = self.engine.container_log(name, LAST_LINES).await.unwrap_or_default();
        ended_with(&log)
    }

    /// Runs a command in the container that its first word names.
    async fn exec(&self, name: &str, raw: &RawSettings, config_id: &str) -> Result<Launched, Fatal> {
        let settings = match settings::read(raw, None) {
            Ok(settings) => settings,
            Err(error) => return Ok(Launched::Ended(CANNOT_EXEC, error.to_string())),
        };
        let Some((target, command)) = settings.spec.command.split_first() else {
            return Ok(Launched::Ended(CANNOT_EXEC, "it has no command".to_string()));
        };
        let alike = self.labelled(CONTAINER_NAME, target).await?;
        let Some(real) = decide::discover(&alike, target, config_id) else {
            let message = format!("container {name}: there is no container {target} to run its command in");
            return Err(
                Fatal::message(message, EXIT_FAILED).hinted("name one of a config, by its name there")
            );
        };
        let execution = Execution {
            command: command.to_vec(),
            environment: environment(
                name,
                &Settings { env_files: Vec::new(), ..settings.clone() },
                self.variables,
            )
            .unwrap_or_default(),
            user: settings.spec.user,
            privileged: settings.spec.privileged,
        };
        Ok(match refusal(self.engine.execute_as(real, &execution).await)? {
            Ok(done) if settings.exit_codes.contains(&done.code) => {
                Launched::Ended(done.code, format!("ran in {real} with exit code {}", done.code))
            }
            Ok(done) => Launched::Ended(done.code, ended_with(&done.output)),
            Err(refused) => match decide::start_code(&refused) {
                CANNOT_RUN => Launched::Ended(CANNOT_EXEC, refused),
                code => Launched::Ended(code, refused),
            },
        })
    }

    /// paunch's labels of a container.
    pub fn labels(
        &self,
        name: &str,
        raw: &RawSettings,
        config_id: &str,
        extra: &[(String, String)],
    ) -> Labels {
        let data = python::json(&raw.clone().into());
        let own = [
            (CONFIG_ID, config_id),
            (CONTAINER_NAME, name),
            (MANAGED_BY, self.managed_by),
            (CONFIG_DATA, &data),
        ];
        settings::labels(extra, own)
    }

    /// What a container mounts and nobody has made: a path of this machine, or a volume.
    pub async fn missing_volume(&self, spec: &ContainerSpec) -> Result<Option<String>, Fatal> {
        let mut volumes = None;
        for volume in &spec.volumes {
            let is_there = match &volume.source {
                VolumeSource::Terminals => true,
                VolumeSource::Anonymous => !self.is_local || Path::new(&volume.target).exists(),
                VolumeSource::Path(source) => !self.is_local || Path::new(source).exists(),
                VolumeSource::Named(name) => {
                    if volumes.is_none() {
                        volumes = Some(self.engine.volumes(&Labels::new()).await.map_err(engine_error)?);
                    }
                    volumes.iter().flatten().any(|known| known == name)
                }
            };
            if !is_there {
                return Ok(Some(match &volume.source {
                    VolumeSource::Anonymous | VolumeSource::Terminals => volume.target.clone(),
                    VolumeSource::Path(source) | VolumeSource::Named(source) => source.clone(),
                }));
            }
        }
        Ok(None)
    }
}

fn ended_with(log: &str) -> String {
    match last_lines(log.trim_end()) {
        log if log.is_empty() => "it has said nothing".to_string(),
        log => format!("the end of its log:\n{}", indented(&log)),
    }
}

/// What an engine says against one container is no reason to leave the others.
fn refusal<T>(result: Result<T, EngineError>) -> Result<Result<T, String>, Fatal> {
    match result {
        Ok(done) => Ok(Ok(done)),
        Err(EngineError::Refused { message, .. }) => Ok(Err(message)),
        Err(error) => Err(engine_error(error)),
    }
}

fn check_actions(containers: &[(String, RawSettings)]) -> Result<(), Fatal> {
    for (name, settings) in containers {
        if let Some(action) = settings.get("action").filter(|action| *action != "run" && *action != "exec") {
            let message =
                format!("container {name}: action: {} is neither run nor exec", python::json(action));
            return Err(Fatal::message(message, EXIT_FAILED));
        }
    }
    Ok(())
}
