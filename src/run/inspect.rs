//! Telling what containers of stacks are at: their state, their health, their files, their logs [I/O].

use serde_json::{Value, json};

use super::health::ask_health;
use super::labels;
use crate::engine::EngineError;
use crate::engine::container::{ContainerEngine, ContainerFacts, ContainerStatus, Labels, ListedContainer};

/// Program of Kolla's images that compares files with those that they were copied from.
const SET_CONFIGS: &str = "/usr/local/bin/kolla_set_configs";

/// Exit codes of a shell, and of engines, for a program that can't be run: the image is none of Kolla's.
const NO_PROGRAM: [i64; 2] = [126, 127];

/// A container as lists show it.
pub struct Listed {
    /// Facts that the engine tells of it.
    pub facts: ContainerFacts,
}

impl Listed {
    fn label(&self, name: &str) -> &str {
        self.facts.spec.labels.get(name).map_or("", String::as_str)
    }

    /// Columns of a table.
    pub fn row(&self) -> Vec<String> {
        let health = self.facts.health.map(|health| health.to_string()).unwrap_or_default();
        let status = match self.facts.status {
            ContainerStatus::Exited => format!("exited ({})", self.facts.exit_code),
            status => status.to_string(),
        };
        let label = |name| self.label(name).to_string();
        vec![label(labels::CONFIG_ID), self.facts.name.clone(), status, health, self.facts.spec.image.clone()]
    }

    /// The same, for programs.
    pub fn json(&self) -> Value {
        json!({
            "config_id": self.label(labels::CONFIG_ID), "container_name": self.label(labels::CONTAINER_NAME),
            "name": self.facts.name, "image": self.facts.spec.image, "status": self.facts.status.to_string(),
            "exit_code": self.facts.exit_code, "health": self.facts.health.map(|health| health.to_string()),
        })
    }
}

/// Findings of a check of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// Name of the container.
    pub name: String,
    /// Findings that are as they should be, in words.
    pub words: Vec<String>,
    /// Findings that are faults, in words.
    pub faults: Vec<String>,
}

/// Looks containers up; what has gone since is left out.
pub async fn look_up(
    engine: &dyn ContainerEngine,
    containers: &[ListedContainer],
) -> Result<Vec<Listed>, EngineError> {
    let mut found = Vec::new();
    for container in containers {
        found.extend(engine.container(&container.id).await?.map(|facts| Listed { facts }));
    }
    Ok(found)
}

/// True for a container that does one thing and ends, as its settings say.
fn ends(labels: &Labels) -> bool {
    let settings: Option<Value> =
        labels.get(labels::CONFIG_DATA).and_then(|text| serde_json::from_str(text).ok());
    let detach = settings.as_ref().and_then(|settings| settings.get("detach"));
    detach.is_some_and(|detach| matches!(detach, Value::Bool(false)) || detach == "false")
}

/// Asks one container for its health, and compares its files; nothing of one that has done what it was to do.
pub async fn check(
    engine: &dyn ContainerEngine,
    facts: &ContainerFacts,
) -> Result<Option<CheckResult>, EngineError> {
    if ends(&facts.spec.labels) {
        return Ok(None);
    }
    let mut result = CheckResult { name: facts.name.clone(), words: Vec::new(), faults: Vec::new() };
    if facts.status != ContainerStatus::Running {
        result.faults.push(format!("it is {}", facts.status));
        return Ok(Some(result));
    }
    match facts.spec.healthcheck.as_ref().filter(|check| !check.is_none()) {
        None => result.words.push("running".to_string()),
        Some(check) => match ask_health(engine, facts, check).await? {
            (true, _) => result.words.push("healthy".to_string()),
            (false, said) => result.faults.push(fault("its healthcheck fails", &said)),
        },
    }
    check_files(engine, facts, &mut result).await?;
    Ok(Some(result))
}

async fn check_files(
    engine: &dyn ContainerEngine,
    facts: &ContainerFacts,
    result: &mut CheckResult,
) -> Result<(), EngineError> {
    let mounts =
        facts.spec.volumes.iter().any(|volume| volume.target.starts_with("/var/lib/kolla/config_files"));
    if !mounts {
        return Ok(());
    }
    let command = [SET_CONFIGS, "--check"].map(String::from);
    match engine.execute(&facts.name, &command, Some("root")).await {
        Ok(done) if done.code == 0 => result.words.push("files unchanged".to_string()),
        Ok(done) if NO_PROGRAM.contains(&done.code) => {}
        Ok(done) => result.faults.push(fault("its files differ from those it mounts", &done.output)),
        Err(EngineError::Refused { message, .. }) if message.contains("no such file") => {}
        Err(EngineError::Refused { message, .. }) => result.faults.push(fault("it can't be asked", &message)),
        Err(error) => return Err(error),
    }
    Ok(())
}

fn fault(what: &str, said: &str) -> String {
    match said.trim().lines().last() {
        Some(line) => format!("{what}: {line}"),
        None => what.to_string(),
    }
}
