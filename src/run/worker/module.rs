//! Calls of Ansible's modules: how they come in, and how they are answered [I/O].

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::actions::{WorkerCall, WorkerReport};
use super::facts::FactsParams;
use super::failed::ModuleFailure;
use super::params::{RegistryLogin, WorkerParams};
use super::systemd::{Unit, is_booted};
use super::toolbox::ToolboxParams;
use super::unit::{unit_name, unit_text};
use super::wanted::{WorkerHost, wanted};
use crate::engine::container::ContainerEngine;
use crate::util::input;
use crate::util::mask::Mask;

/// Names of the modules.
pub const MODULES: [&str; 3] = ["kolla_container", "kolla_container_facts", "kolla_toolbox"];

/// How a module is called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallMode {
    /// True when nothing may be changed, and only told.
    pub check: bool,
    /// True when it is to be told what differs.
    pub diff: bool,
    /// True when the engine, not systemd, is to look after containers.
    pub no_systemd: bool,
}

/// A call whose arguments were read.
pub enum ModuleCall {
    /// A call of `kolla_container`.
    Container(Box<WorkerParams>),
    /// A call of `kolla_container_facts`.
    Facts(FactsParams),
    /// A call of `kolla_toolbox`.
    Toolbox(ToolboxParams),
}

impl CallMode {
    /// The mode with what Ansible says of it among the arguments.
    #[must_use]
    pub fn told_by(self, arguments: &Map<String, Value>) -> CallMode {
        let is_set = |key: &str| arguments.get(key).is_some_and(|value| value == true);
        CallMode {
            check: self.check || is_set("_ansible_check_mode"),
            diff: self.diff || is_set("_ansible_diff"),
            ..self
        }
    }
}

/// The arguments in a text of Ansible's: a mapping, or one below `ANSIBLE_MODULE_ARGS`.
///
/// # Errors
/// It is no JSON, or no mapping.
pub fn arguments_in(text: &str) -> Result<Map<String, Value>, ModuleFailure> {
    // The error's own text may quote what is secret.
    let wrong = |error: serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        ModuleFailure::new(format!("the arguments are no mapping in JSON: line {line}, column {column}"))
    };
    let mut whole: Map<String, Value> = serde_json::from_str(text).map_err(wrong)?;
    match whole.remove("ANSIBLE_MODULE_ARGS") {
        Some(Value::Object(arguments)) => Ok(arguments),
        _ => Ok(whole),
    }
}

impl ModuleCall {
    /// Reads the arguments of a module, one of [`MODULES`].
    ///
    /// # Errors
    /// There is none of that name, or an argument is unknown, missing, or can't be used.
    pub fn read(
        module: &str,
        arguments: &Map<String, Value>,
        mode: CallMode,
    ) -> Result<ModuleCall, ModuleFailure> {
        match module {
            "kolla_container" => Ok(ModuleCall::Container(Box::new(WorkerParams::read(arguments)?))),
            "kolla_container_facts" => Ok(ModuleCall::Facts(FactsParams::read(arguments)?)),
            "kolla_toolbox" => {
                Ok(ModuleCall::Toolbox(ToolboxParams::read(arguments, mode.check, mode.diff)?))
            }
            other => Err(ModuleFailure::new(format!(
                "there is no module '{other}': there are {}",
                MODULES.join(", ")
            ))),
        }
    }

    /// True when the engine is Podman.
    pub fn podman(&self) -> bool {
        match self {
            ModuleCall::Container(params) => params.podman,
            ModuleCall::Facts(params) => params.podman,
            ModuleCall::Toolbox(params) => params.podman,
        }
    }

    /// The user of a registry to pull as.
    pub fn login(&self) -> Option<&RegistryLogin> {
        match self {
            ModuleCall::Container(params) => params.login.as_ref(),
            _ => None,
        }
    }

    /// Does what is asked for; gives the answer.
    pub async fn run(
        &self,
        engine: &impl ContainerEngine,
        is_local: bool,
        mode: CallMode,
        stop: watch::Receiver<bool>,
    ) -> Map<String, Value> {
        let answered = match self {
            ModuleCall::Container(params) => run_worker(params, engine, is_local, mode, stop).await,
            ModuleCall::Facts(params) => params.run(engine).await,
            ModuleCall::Toolbox(params) => params.run(engine).await,
        };
        answered.unwrap_or_else(ModuleFailure::answer)
    }
}

async fn run_worker(
    params: &WorkerParams,
    engine: &impl ContainerEngine,
    is_local: bool,
    mode: CallMode,
    stop: watch::Receiver<bool>,
) -> Result<Map<String, Value>, ModuleFailure> {
    // Units start containers of this machine's engine.
    let has_unit = is_local && !mode.no_systemd && !params.name.is_empty() && is_booted();
    let wanted = wanted(params, &host(), has_unit)?;
    let unit = has_unit.then(|| Unit::new(unit_name(&params.name), unit_text(params), params.patience()));
    let mut call = WorkerCall {
        engine,
        params,
        wanted: &wanted,
        unit,
        is_local,
        check_mode: mode.check,
        stop,
        report: WorkerReport::default(),
    };
    let done = call.run().await;
    let WorkerReport { changed, mut result, differences } = call.report;
    if mode.diff && !differences.is_empty() {
        result.insert("diff".to_string(), diff(&differences));
    }
    let answer = match done {
        Ok(answer) => {
            result.insert("changed".to_string(), json!(changed));
            result.insert("result".to_string(), json!(answer));
            result
        }
        Err(mut failure) => {
            failure.changed |= changed;
            result.extend(failure.answer());
            result
        }
    };
    Ok(without_password(answer, params.login.as_ref()))
}

/// The facts of this machine that containers are told.
fn host() -> WorkerHost {
    let text = |path: &str| input::read_to_string(Path::new(path)).unwrap_or_default();
    let localtime = fs::read_link("/etc/localtime").unwrap_or_default();
    WorkerHost::read(&text("/etc/timezone"), &localtime.to_string_lossy(), &text("/etc/group"))
}

/// Differences as Ansible shows them.
fn diff(differences: &[Value]) -> Value {
    let side = |side: &str| {
        let pairs = differences.iter().map(|difference| {
            (difference["name"].as_str().unwrap_or_default().to_string(), difference[side].clone())
        });
        Value::from_iter(pairs)
    };
    json!({"before": side("current"), "after": side("desired")})
}

/// The answer without the password of a registry's user.
fn without_password(answer: Map<String, Value>, login: Option<&RegistryLogin>) -> Map<String, Value> {
    let Some(login) = login.filter(|login| !login.password.is_empty()) else { return answer };
    let mask = Mask::new([login.password.as_bytes()]);
    let text = Value::from(answer.clone()).to_string();
    serde_json::from_str(&mask.hide(&text)).unwrap_or(answer)
}

/// The file that makes one of the modules known to Ansible: it copies a module to the machine that it works on, so that
/// this is a few lines, and the program is installed there. What else is said here reaches every call, for Ansible hands on
/// no environment.
pub fn library_file(module: &str, no_systemd: bool) -> String {
    let option = if no_systemd { " --no-systemd" } else { "" };
    format!(
        "#!/bin/sh\n# WANT_JSON\n# Ansible's module {module}, answered by kolla-run, which has to be installed here.\n\
         exec kolla-run module{option} {module} \"$1\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_in_two_forms() {
        for text in [
            r#"{"a": 1, "_ansible_diff": true}"#,
            r#"{"ANSIBLE_MODULE_ARGS": {"a": 1, "_ansible_diff": true}}"#,
        ] {
            let arguments = arguments_in(text).map_err(|failure| failure.message).expect("arguments");
            assert_eq!(arguments["a"], json!(1));
            let mode = CallMode::default().told_by(&arguments);
            assert_eq!((mode.diff, mode.check), (true, false));
        }
        let wrong = arguments_in("{\"password\": s3cret").map_err(|failure| failure.message);
        assert_eq!(wrong, Err("the arguments are no mapping in JSON: line 1, column 14".to_string()));
    }

    #[test]
    fn a_password_is_in_no_answer() {
        let login =
            RegistryLogin { registry: None, username: "u".to_string(), password: "s3cret-word".to_string() };
        let answer = Map::from_iter([("msg".to_string(), json!("s3cret-word is wrong"))]);
        let shown = Value::from(without_password(answer, Some(&login))).to_string();
        assert!(!shown.contains("s3cret-word") && shown.contains("is wrong"), "{shown}");
    }

    #[test]
    fn differences_are_two_sides() {
        let differences = [json!({"name": "image", "current": "a", "desired": "b"})];
        assert_eq!(diff(&differences), json!({"before": {"image": "a"}, "after": {"image": "b"}}));
    }
}
