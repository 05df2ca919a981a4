//! A container of a config by itself: shown, or run by hand [I/O].

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::{Value, json};

use super::super::docker_run::{RunLine, docker_run};
use super::super::python;
use super::super::reached::engine_error;
use super::super::state::suffix;
use super::apply::PaunchRunner;
use super::cli::{ConfigArguments, DebugChanges, PaunchRuntime};
use super::config::RawSettings;
use super::settings;
use crate::engine::container::{ContainerEngine, ContainerSpec};
use crate::error::{EXIT_FAILED, Fatal};

/// The settings with what is asked for in their place.
pub fn changed(mut settings: RawSettings, changes: &DebugChanges) -> Result<RawSettings, Fatal> {
    if changes.interactive || changes.shell {
        let terminal =
            json!({"interactive": true, "tty": true, "restart": "no", "detach": false, "remove": true});
        settings.extend(terminal.as_object().cloned().into_iter().flatten());
    }
    if changes.shell {
        settings.insert("command".to_string(), "/bin/bash".into());
    }
    if let Some(user) = &changes.user {
        settings.insert("user".to_string(), user.clone().into());
    }
    if let Some(overrides) = &changes.overrides {
        let overrides: RawSettings = serde_json::from_str(overrides).map_err(|error| {
            Fatal::message(format!("--overrides is no mapping in JSON: {error}"), EXIT_FAILED)
        })?;
        settings.extend(overrides);
    }
    Ok(settings)
}

/// The settings as JSON.
pub fn dump_json(name: &str, settings: RawSettings) -> String {
    python::indented_json(&json!({name: settings})) + "\n"
}

/// The settings as YAML, by the order of their names.
pub fn dump_yaml(name: &str, mut settings: RawSettings) -> String {
    settings.sort_keys();
    settings.values_mut().for_each(Value::sort_all_objects);
    serde_yaml::to_string(&json!({name: settings})).unwrap_or_default() + "\n"
}

/// The command that makes the container, under a name that is free.
pub async fn run_line(
    runner: &PaunchRunner<'_>,
    runtime: PaunchRuntime,
    config: &ConfigArguments,
    name: &str,
    raw: &RawSettings,
) -> Result<(RunLine, ContainerSpec), Fatal> {
    let settings = settings::read(raw, runner.own_cpus)
        .map_err(|error| Fatal::message(format!("container {name}: {error}"), EXIT_FAILED))?;
    let labels = runner.labels(name, raw, &config.config_id, &config.labels);
    let spec = ContainerSpec { labels, auto_remove: settings.remove, ..settings.spec };
    let is_taken = runner.engine.container(name).await.map_err(engine_error)?.is_some();
    let real = if is_taken { format!("{name}-{}", suffix()?) } else { name.to_string() };
    let mut line = docker_run(runtime.program(), &real, &spec, settings.detach);
    // Their contents are nobody's business.
    for path in &settings.env_files {
        line = line.with("--env-file", path);
    }
    for variable in &settings.passed_variables {
        line = line.with("--env", variable);
    }
    Ok((line, spec))
}

/// Becomes the engine's program, which has this terminal; comes back only with an error.
pub fn run_on_terminal(line: &RunLine, host: Option<(&str, &str)>) -> io::Error {
    let mut words = line.words();
    Command::new(words.next().unwrap_or_default()).args(words).envs(host).exec()
}
