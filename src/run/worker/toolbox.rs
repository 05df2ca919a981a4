//! kolla-ansible's `kolla_toolbox`: a module that is run by the Ansible inside the toolbox's container [I/O].

use serde_json::{Map, Value, json};

use super::arguments::{Argument, ArgumentType, convert};
use super::failed::ModuleFailure;
use crate::engine::container::{ContainerEngine, ContainerStatus, Executed, Execution};
use crate::run::state;

const ARGUMENTS: [Argument; 7] = [
    Argument::new("container_engine", ArgumentType::Text).required().one_of(&["podman", "docker"]),
    Argument::new("module_name", ArgumentType::Text).required(),
    Argument::new("module_args", ArgumentType::Mapping),
    Argument::new("module_extra_vars", ArgumentType::Mapping),
    Argument::new("api_version", ArgumentType::Text),
    Argument::new("timeout", ArgumentType::Whole),
    Argument::new("user", ArgumentType::Text),
];

/// Name of the container.
const TOOLBOX: &str = "kolla_toolbox";
/// What the image has, see the toolbox's Dockerfile.
const PYTHON: &str = "/opt/ansible/bin/python3";
const RUNNER: &str = "/opt/ansible/bin/ansible-runner";
const HOME: &str = "/var/lib/ansible";
/// User that runs the module when none is asked for.
const USER: &str = "ansible";

/// Makes the directory of a run and tells whom it belongs to; its arguments are directory and user.
const MAKE_DIRECTORY: &str = "\
import os, pwd, sys
directory, user = sys.argv[1], pwd.getpwnam(sys.argv[2])
for path in directory, directory + '/tmp':
    os.mkdir(path, 0o700)
    os.chown(path, user.pw_uid, user.pw_gid)
print(user.pw_uid, user.pw_gid)
";

/// Prints how the run's one task has ended, the event and its result; its argument is the directory.
const TELL_RESULT: &str = "\
import glob, json, os, sys
paths = glob.glob(sys.argv[1] + '/artifacts/*/job_events/*-*.json')
ends = 'ok', 'failed', 'unreachable', 'skipped', 'async_failed'
for path in sorted(paths, key=lambda path: int(os.path.basename(path).split('-')[0])):
    with open(path) as file:
        event = json.load(file)
    if event['event'] in ['runner_on_' + end for end in ends]:
        print(json.dumps([event['event'], event['event_data'].get('res') or {}]))
        break
else:
    sys.exit('no task has ended')
";

/// Removes the directory of a run.
const REMOVE_DIRECTORY: &str = "import shutil, sys; shutil.rmtree(sys.argv[1], ignore_errors=True)";

/// The arguments of one call.
#[derive(Clone)]
pub struct ToolboxParams {
    /// True for Podman, false for Docker.
    pub podman: bool,
    user: String,
    playbook: Value,
    diff: bool,
}

impl ToolboxParams {
    /// Reads the arguments.
    ///
    /// # Errors
    /// One is unknown, missing, or has a value that can't be used.
    pub fn read(
        given: &Map<String, Value>,
        check_mode: bool,
        diff: bool,
    ) -> Result<ToolboxParams, ModuleFailure> {
        let fields = convert(TOOLBOX, &ARGUMENTS, given)?;
        let text = |key: &str| fields.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let map = |key: &str| fields.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
        let module = text("module_name").ok_or_else(|| ModuleFailure::new("module_name is empty"))?;
        Ok(ToolboxParams {
            podman: text("container_engine") == Some("podman"),
            user: text("user").unwrap_or(USER).to_string(),
            playbook: playbook(module, map("module_args"), map("module_extra_vars"), check_mode),
            diff,
        })
    }

    /// Runs the module; gives its answer.
    pub async fn run(&self, engine: &impl ContainerEngine) -> Result<Map<String, Value>, ModuleFailure> {
        let found = engine.container(TOOLBOX).await?;
        if found.is_none_or(|container| container.status != ContainerStatus::Running) {
            return Err(ModuleFailure::new("kolla_toolbox container is missing or not running!"));
        }
        let name = state::suffix().map_err(|error| ModuleFailure::new(error.to_string()))?;
        let directory = format!("{HOME}/kolla_runner.{name}");
        let answer = self.run_in(engine, &directory).await;
        let removed = execute(engine, &[PYTHON, "-c", REMOVE_DIRECTORY, &directory], "root").await;
        let answer = answer?;
        removed?;
        Ok(answer)
    }

    async fn run_in(
        &self,
        engine: &impl ContainerEngine,
        directory: &str,
    ) -> Result<Map<String, Value>, ModuleFailure> {
        let made = [PYTHON, "-c", MAKE_DIRECTORY, directory, &self.user];
        let owner = succeeded(execute(engine, &made, "root").await?, "make a directory")?;
        engine.put_archive(TOOLBOX, directory, self.archive(directory, &owner)?).await?;
        // What is secret is in the files alone.
        let command = [RUNNER, "run", directory, "--playbook", "main.json", "--rotate-artifacts", "1"];
        let variables = [("HOME", HOME, self.user == USER), ("ANSIBLE_DIFF_MODE", "1", self.diff)];
        let set = variables.into_iter().filter(|(_, _, is_set)| *is_set);
        let execution = Execution {
            command: command.map(String::from).to_vec(),
            user: Some(self.user.clone()),
            environment: set.map(|(name, value, _)| (name.to_string(), value.to_string())).collect(),
            privileged: false,
        };
        let ended = engine.execute_as(TOOLBOX, &execution).await?;
        // 2 is a task that has failed, which is told by its result.
        if ![0, 2].contains(&ended.code) {
            return Err(failed(&ended, "run ansible-runner"));
        }
        let told = execute(engine, &[PYTHON, "-c", TELL_RESULT, directory], &self.user).await?;
        result_in(&succeeded(told, "read the result")?)
    }

    /// The inventory and the playbook, for the user alone: they hold what is secret.
    fn archive(&self, directory: &str, owner: &str) -> Result<Vec<u8>, ModuleFailure> {
        let (uid, gid) = owner
            .trim()
            .split_once(' ')
            .and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)))
            .ok_or_else(|| ModuleFailure::new(format!("kolla_toolbox: '{owner}' is no user and group")))?;
        let inventory = format!(
            "localhost ansible_connection=local ansible_remote_tmp={directory}/tmp \
             ansible_local_tmp={directory}/tmp ansible_local_temp={directory}/tmp \
             ansible_python_interpreter={PYTHON}\n"
        );
        let playbook = self.playbook.to_string();
        let mut archive = tar::Builder::new(Vec::new());
        let members = [
            ("inventory/", None),
            ("inventory/hosts", Some(inventory.as_str())),
            ("project/", None),
            ("project/main.json", Some(playbook.as_str())),
        ];
        let mut append = |path: &str, content: Option<&str>| {
            let mut header = tar::Header::new_gnu();
            header.set_uid(uid);
            header.set_gid(gid);
            header.set_mode(if content.is_some() { 0o600 } else { 0o700 });
            let kind = if content.is_some() { tar::EntryType::Regular } else { tar::EntryType::Directory };
            header.set_entry_type(kind);
            let content = content.unwrap_or_default().as_bytes();
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, content)
        };
        let written = members.into_iter().try_for_each(|(path, content)| append(path, content));
        let archive = written.and_then(|()| archive.into_inner());
        archive.map_err(|error| ModuleFailure::new(format!("kolla_toolbox: {error}")))
    }
}

/// A play of one task. Arguments that are empty, or that Ansible was to leave out, are left out.
fn playbook(
    module: &str,
    mut arguments: Map<String, Value>,
    variables: Map<String, Value>,
    check_mode: bool,
) -> Value {
    arguments.retain(|_, value| {
        value.as_str().is_none_or(|text| !text.is_empty() && !text.starts_with("__omit_place_holder__"))
    });
    let mut play = json!({
        "name": TOOLBOX, "hosts": "localhost", "gather_facts": false,
        "tasks": [{"name": "task of kolla_toolbox", module: arguments}],
    });
    if !variables.is_empty() {
        play["vars"] = variables.into();
    }
    if check_mode {
        play["check_mode"] = json!(true);
    }
    json!([play])
}

async fn execute(
    engine: &impl ContainerEngine,
    command: &[&str],
    user: &str,
) -> Result<Executed, ModuleFailure> {
    let command: Vec<String> = command.iter().map(ToString::to_string).collect();
    Ok(engine.execute(TOOLBOX, &command, Some(user)).await?)
}

fn succeeded(ended: Executed, doing: &str) -> Result<String, ModuleFailure> {
    if ended.code == 0 { Ok(ended.output) } else { Err(failed(&ended, doing)) }
}

fn failed(ended: &Executed, doing: &str) -> ModuleFailure {
    let Executed { code, output } = ended;
    let message = format!("kolla_toolbox: failed to {doing} (exit code {code}): {}", output.trim());
    ModuleFailure::new(message).after_changes()
}

/// The answer of the module, from the last line of what [`TELL_RESULT`] prints.
fn result_in(told: &str) -> Result<Map<String, Value>, ModuleFailure> {
    let line = told.lines().last().unwrap_or_default();
    let Ok((event, mut result)) = serde_json::from_str::<(String, Map<String, Value>)>(line) else {
        return Err(ModuleFailure::new("kolla_toolbox: the result can't be read").after_changes());
    };
    result.remove("_ansible_no_log");
    let has_failed = result.get("failed").is_some_and(|failed| failed == true);
    if !has_failed && ["runner_on_ok", "runner_on_skipped"].contains(&event.as_str()) {
        return Ok(result);
    }
    let message = result.remove("msg").and_then(|message| message.as_str().map(String::from));
    let changed = result.get("changed").is_some_and(|changed| changed == true);
    let message = message.unwrap_or_else(|| "Module execution failed inside kolla_toolbox".to_string());
    Err(ModuleFailure { message, changed, more: result })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &Value, check_mode: bool) -> ToolboxParams {
        let read = ToolboxParams::read(given.as_object().expect("a mapping"), check_mode, false);
        read.map_err(|failure| failure.message).expect("arguments")
    }

    #[test]
    fn a_play_has_the_module_and_what_was_said() {
        let params = read(
            &json!({
                "container_engine": "docker", "module_name": "mysql_db",
                "module_args": {"name": "x", "password": "", "state": "__omit_place_holder__12ab"},
                "module_extra_vars": {"a": 1},
            }),
            true,
        );
        let play = &params.playbook[0];
        assert_eq!(play["tasks"][0]["mysql_db"], json!({"name": "x"}));
        assert_eq!((&play["vars"], &play["check_mode"]), (&json!({"a": 1}), &json!(true)));
    }

    #[test]
    fn files_are_the_users_alone() {
        let params =
            read(&json!({"container_engine": "podman", "module_name": "ping", "user": "rabbitmq"}), false);
        assert!(params.podman);
        let archive =
            params.archive("/d", "42439 42438\n").map_err(|failure| failure.message).expect("an archive");
        let mut archive = tar::Archive::new(archive.as_slice());
        let members: Vec<_> = archive
            .entries()
            .expect("entries")
            .map(|entry| {
                let entry = entry.expect("an entry");
                let header = entry.header();
                let path = entry.path().expect("a path").display().to_string();
                (path, header.mode().expect("a mode"), header.uid().expect("a user"))
            })
            .collect();
        let expected = [
            ("inventory/", 0o700),
            ("inventory/hosts", 0o600),
            ("project/", 0o700),
            ("project/main.json", 0o600),
        ];
        assert_eq!(members, expected.map(|(path, mode)| (path.to_string(), mode, 42439)));
        assert!(params.archive("/d", "Traceback").is_err());
    }

    #[test]
    fn a_result_is_the_modules_own() {
        let ok = "a warning\n[\"runner_on_ok\", {\"changed\": true, \"_ansible_no_log\": false}]\n";
        let answer = result_in(ok).map_err(|failure| failure.message);
        assert_eq!(answer.map(Value::from), Ok(json!({"changed": true})));
        let failed =
            result_in("[\"runner_on_failed\", {\"msg\": \"no\", \"rc\": 1}]").expect_err("a failure");
        assert_eq!((failed.message.as_str(), &failed.more["rc"]), ("no", &json!(1)));
        assert!(result_in("Traceback").is_err());
    }
}
