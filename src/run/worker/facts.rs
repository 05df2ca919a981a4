//! kolla-ansible's `kolla_container_facts`: what an engine tells of containers and volumes [I/O].

use serde_json::{Map, Value, json};

use super::arguments::{Argument, ArgumentType, convert};
use super::failed::ModuleFailure;
use crate::engine::container::ContainerEngine;
use crate::run::python::scalar_text;

const ARGUMENTS: [Argument; 5] = [
    Argument::new("name", ArgumentType::List),
    Argument::new("api_version", ArgumentType::Text),
    Argument::new("container_engine", ArgumentType::Text).required(),
    Argument::new("action", ArgumentType::Text).required().one_of(&[
        "get_containers",
        "get_containers_env",
        "get_volumes",
        "get_containers_names",
        "get_containers_state",
    ]),
    Argument::new("args", ArgumentType::Mapping),
];

/// The arguments of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactsParams {
    /// True for Podman, false for Docker.
    pub podman: bool,
    action: String,
    /// Names of what is asked for; empty for all.
    names: Vec<String>,
    /// True for containers that do not run too.
    all: bool,
}

impl FactsParams {
    /// Reads the arguments.
    ///
    /// # Errors
    /// One is unknown, missing, or has a value that can't be used.
    pub fn read(given: &Map<String, Value>) -> Result<FactsParams, ModuleFailure> {
        let fields = convert("kolla_container_facts", &ARGUMENTS, given)?;
        let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
        let names = fields.get("name").and_then(Value::as_array).into_iter().flatten();
        let params = FactsParams {
            podman: text("container_engine") != "docker",
            action: text("action"),
            names: names.filter_map(scalar_text).collect(),
            all: fields.get("args").is_some_and(|args| args["get_all_containers"] == true),
        };
        let needs_names = ["get_containers_env", "get_containers_state"].contains(&params.action.as_str());
        match needs_names && params.names.is_empty() {
            true => Err(ModuleFailure::new(format!("action is {} but name is missing", params.action))),
            false => Ok(params),
        }
    }

    fn is_asked(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|asked| asked == name)
    }

    /// Asks the engine; gives the keys of the answer.
    pub async fn run(&self, engine: &impl ContainerEngine) -> Result<Map<String, Value>, ModuleFailure> {
        let (key, facts) = match self.action.as_str() {
            "get_containers" => ("containers", self.containers(engine).await?),
            "get_containers_names" => ("container_names", json!(engine.container_names(false).await?)),
            "get_volumes" => ("volumes", self.volumes(engine).await?),
            "get_containers_state" => {
                let state = |container: &Value| container["State"]["Status"].clone();
                ("states", self.of_each(engine, state).await?)
            }
            _ => ("envs", self.of_each(engine, |container| variables(&container["Config"]["Env"])).await?),
        };
        Ok(Map::from_iter([
            ("changed".to_string(), json!(false)),
            ("result".to_string(), json!(false)),
            (key.to_string(), facts),
        ]))
    }

    async fn containers(&self, engine: &impl ContainerEngine) -> Result<Value, ModuleFailure> {
        let mut found = Map::new();
        for name in engine.container_names(self.all).await?.into_iter().filter(|name| self.is_asked(name)) {
            // It may have gone since.
            let Some(mut container) = engine.described(&name).await? else { continue };
            if let Some(health) = container["State"].get_mut("Health").and_then(Value::as_object_mut) {
                // All that its checks have said may be megabytes.
                health.remove("Log");
            }
            found.insert(name, container);
        }
        Ok(found.into())
    }

    async fn volumes(&self, engine: &impl ContainerEngine) -> Result<Value, ModuleFailure> {
        let volumes = engine.described_volumes().await?.into_iter();
        let named = volumes.filter_map(|volume| Some((volume["Name"].as_str()?.to_string(), volume)));
        Ok(named.filter(|(name, _)| self.is_asked(name)).collect::<Map<_, _>>().into())
    }

    /// Something of each container that is named.
    async fn of_each(
        &self,
        engine: &impl ContainerEngine,
        fact: impl Fn(&Value) -> Value,
    ) -> Result<Value, ModuleFailure> {
        let mut facts = Map::new();
        for name in &self.names {
            let container = engine.described(name).await?;
            let container =
                container.ok_or_else(|| ModuleFailure::new(format!("No such container: {name}")))?;
            facts.insert(name.clone(), fact(&container));
        }
        Ok(facts.into())
    }
}

/// Variables of an environment by their names.
fn variables(environment: &Value) -> Value {
    let variables = environment.as_array().into_iter().flatten().filter_map(Value::as_str);
    let pairs = variables.map(|variable| variable.split_once('=').unwrap_or((variable, "")));
    Value::from_iter(pairs.map(|(name, value)| (name.to_string(), json!(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &Value) -> Result<FactsParams, String> {
        FactsParams::read(given.as_object().expect("a mapping")).map_err(|failure| failure.message)
    }

    #[test]
    fn arguments_say_what_is_asked() {
        let all = read(&json!({
            "container_engine": "docker", "action": "get_containers", "args": {"get_all_containers": true}
        }));
        let all = all.expect("arguments");
        assert!(all.all && !all.podman && all.is_asked("anything"));
        let one = read(&json!({"container_engine": "podman", "action": "get_volumes", "name": "v"}));
        let one = one.expect("arguments");
        assert!(one.podman && one.is_asked("v") && !one.is_asked("w"));
        let nameless = read(&json!({"container_engine": "docker", "action": "get_containers_env"}));
        assert_eq!(nameless, Err("action is get_containers_env but name is missing".to_string()));
    }

    #[test]
    fn variables_have_names() {
        assert_eq!(variables(&json!(["A=b=c", "E=", "N"])), json!({"A": "b=c", "E": "", "N": ""}));
    }
}
