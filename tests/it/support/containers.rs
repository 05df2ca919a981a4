//! Containers, volumes and networks of the fake daemon: nothing runs, and each does what a test has said.

use std::collections::BTreeMap;
use std::io::{self, Read};

use serde_json::{Value, json};

use super::docker::{Shared, State};
use super::http::Exchange;
use super::requests::id_of;

/// What a container does once it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// It runs and is healthy; one that is waited for ends with 0.
    Well,
    /// It ends with this code.
    Ends(i64),
    /// It runs, and its healthcheck fails.
    Unhealthy,
    /// It ends again and again.
    Restarts,
    /// It can't be started, for this reason.
    Refused(String),
    /// It runs, even when it is waited for.
    Endless,
}

/// A container that was made.
#[derive(Debug, Clone)]
pub struct Container {
    pub id: String,
    /// The request that it was made by.
    pub body: Value,
    pub image_id: String,
    pub status: &'static str,
    pub exit_code: i64,
    pub restarts: i64,
    /// Commands that were run in it.
    pub executed: Vec<Vec<String>>,
}

/// What there is beside images.
#[derive(Debug, Default)]
pub struct Machine {
    /// Containers by their names.
    pub containers: BTreeMap<String, Container>,
    /// Labels of volumes, by name.
    pub volumes: BTreeMap<String, Value>,
    /// Labels of networks, by name.
    pub networks: BTreeMap<String, Value>,
    /// What containers do, by the names that their stack has for them.
    pub behaviours: BTreeMap<String, Behaviour>,
    /// Exit codes of commands run in containers, by their last word.
    pub exec_codes: BTreeMap<String, i64>,
    /// Content of files, the same in every container.
    pub files: BTreeMap<String, String>,
    /// What images have in their configuration beside labels, by name; `*` for all others.
    pub image_configs: BTreeMap<String, Value>,
    /// The next request that begins so kills the daemon.
    pub dies_at: Option<String>,
    execs: Vec<i64>,
    count: usize,
}

impl Container {
    pub fn label(&self, name: &str) -> &str {
        self.body["Labels"][name].as_str().unwrap_or_default()
    }

    fn is_waited_for(&self) -> bool {
        let settings: Value = serde_json::from_str(self.label("config_data")).unwrap_or_default();
        settings["detach"] == json!(false)
    }

    fn inspected(&self, name: &str, behaviour: &Behaviour) -> Value {
        let health = match (self.body["Healthcheck"].is_object(), behaviour) {
            (false, _) => Value::Null,
            (true, Behaviour::Unhealthy) => json!({"Status": "unhealthy"}),
            // The daemon itself looks every half minute.
            (true, _) => json!({"Status": "starting"}),
        };
        json!({
            "Id": self.id, "Name": format!("/{name}"), "Image": self.image_id, "RestartCount": self.restarts,
            "Config": self.body, "HostConfig": self.body["HostConfig"],
            "State": {"Status": self.status, "Running": self.status == "running", "ExitCode": self.exit_code, "Health": health},
        })
    }
}

impl State {
    /// A container by its name in the stack.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.machine.containers.get(name)
    }

    fn behaviour(&self, container: &Container) -> Behaviour {
        self.machine.behaviours.get(container.label("container_name")).cloned().unwrap_or(Behaviour::Well)
    }

    /// The name of a container that is named by name or id.
    fn name_of(&self, name: &str) -> Option<String> {
        let is_it = |(its, container): &(&String, &Container)| *its == name || container.id == name;
        self.machine.containers.iter().find(is_it).map(|(name, _)| name.clone())
    }
}

/// The labels that a filter asks for, each as `name=value`.
fn wanted_labels(exchange: &Exchange) -> Vec<String> {
    let filters = exchange.query.get("filters").and_then(|text| serde_json::from_str(text).ok());
    let filters: Value = filters.unwrap_or_default();
    match &filters["label"] {
        Value::Array(labels) => labels.iter().filter_map(|label| label.as_str().map(String::from)).collect(),
        Value::Object(labels) => labels.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

fn has_labels(labels: &Value, wanted: &[String]) -> bool {
    let has = |label: &String| label.split_once('=').is_some_and(|(name, value)| labels[name] == value);
    wanted.iter().all(has)
}

fn missing(what: &str, name: &str) -> (u16, Value) {
    (404, json!({"message": format!("No such {what}: {name}")}))
}

/// Output as it is sent: one frame of standard output.
fn frame(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("short").to_be_bytes();
    [&[1, 0, 0, 0][..], &length, text.as_bytes()].concat()
}

/// These files, by their paths, as root's.
fn archive_of(files: &BTreeMap<String, String>) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        let name = path.trim_start_matches('/');
        archive.append_data(&mut header, name, content.as_bytes()).expect("in memory");
    }
    archive.into_inner().expect("in memory")
}

impl Shared {
    /// Answers a request about containers, volumes or networks; false when it is about something else.
    pub fn machine(&self, exchange: &mut Exchange, path: &str) -> io::Result<bool> {
        // As if it were asked for by name.
        let named = path.split('/').nth(2).and_then(|id| Some((id.to_string(), self.state().name_of(id)?)));
        let by_name = named.map_or(path.to_string(), |(id, name)| path.replace(&id, &name));
        let request = format!("{} {by_name}", exchange.method);
        if self.state().machine.dies_at.as_ref().is_some_and(|start| request.starts_with(start)) {
            self.die();
            return Ok(true);
        }
        let parts: Vec<String> = path.trim_start_matches('/').split('/').map(String::from).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let method = exchange.method.clone();
        let (status, answer) = match (method.as_str(), parts.as_slice()) {
            ("GET", ["containers", "json"]) if exchange.query.contains_key("filters") => {
                self.listed(exchange)
            }
            ("POST", ["containers", "create"]) => self.create(exchange)?,
            ("GET", ["containers", name, "json"]) => self.inspected(name),
            ("GET", ["containers", name, "logs"]) => {
                let text = format!("{name} says its last words\n");
                exchange.begin()?;
                exchange.chunk(&frame(&text))?;
                return exchange.end().map(|()| true);
            }
            ("GET", ["containers", name, "archive"]) => match self.archived(exchange, name) {
                Ok(archive) => {
                    exchange.begin()?;
                    exchange.chunk(&archive)?;
                    return exchange.end().map(|()| true);
                }
                Err(missing) => missing,
            },
            ("GET", ["containers", name, "export"]) if self.state().name_of(name).is_some() => {
                let files = self.state().machine.files.clone();
                exchange.begin()?;
                exchange.chunk(&archive_of(&files))?;
                return exchange.end().map(|()| true);
            }
            ("POST", ["containers", name, "start"]) => self.start_container(name),
            ("POST", ["containers", name, "stop"]) => self.stop_container(name),
            ("POST", ["containers", name, "rename"]) => {
                let new = exchange.query.get("name").cloned().unwrap_or_default();
                self.rename_container(name, &new)
            }
            ("POST", ["containers", name, "exec"]) => self.exec(exchange, name)?,
            ("POST", ["exec", _, "start"]) => {
                exchange.raw(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")?;
                return exchange.raw(&frame("what it said\n")).map(|()| true);
            }
            ("GET", ["exec", id, "json"]) => {
                let code =
                    id.parse::<usize>().ok().and_then(|id| self.state().machine.execs.get(id).copied());
                (200, json!({"ExitCode": code}))
            }
            ("DELETE", ["containers", name]) => self.remove_container(name),
            ("GET" | "POST" | "DELETE", [kind @ ("volumes" | "networks"), rest @ ..]) => {
                self.volume_or_network(exchange, &method, kind, rest)?
            }
            _ => return Ok(false),
        };
        match status {
            204 => exchange.raw(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")?,
            _ => exchange.answer(status, &answer)?,
        }
        Ok(true)
    }

    fn listed(&self, exchange: &Exchange) -> (u16, Value) {
        let (state, wanted) = (self.state(), wanted_labels(exchange));
        let containers = state.machine.containers.iter();
        let listed = containers.filter(|(_, it)| has_labels(&it.body["Labels"], &wanted)).map(|(name, it)| {
            json!({"Id": it.id, "Names": [format!("/{name}")], "ImageID": it.image_id, "Labels": it.body["Labels"]})
        });
        (200, listed.collect())
    }

    /// A file of a container, as an archive.
    fn archived(&self, exchange: &Exchange, name: &str) -> Result<Vec<u8>, (u16, Value)> {
        let (state, path) = (self.state(), exchange.query.get("path").cloned().unwrap_or_default());
        state.name_of(name).ok_or_else(|| missing("container", name))?;
        let content = state.machine.files.get(&path).ok_or_else(|| missing("file", &path))?;
        Ok(archive_of(&[(path.clone(), content.clone())].into()))
    }

    fn create(&self, exchange: &mut Exchange) -> io::Result<(u16, Value)> {
        let name = exchange.query.get("name").cloned().unwrap_or_default();
        let mut body = json_body(exchange)?;
        let mut state = self.state();
        let image = body["Image"].as_str().unwrap_or_default();
        let by_id = || state.all_images().find(|held| held.id == image);
        let Some(image_id) = state.images.get(image).or_else(by_id).map(|image| image.id.clone()) else {
            return Ok(missing("image", image));
        };
        if let Some(volumes) = state.machine.image_configs.get(image).map(|config| &config["Volumes"]) {
            body["Volumes"] = volumes.clone();
        }
        if state.machine.containers.contains_key(&name) {
            let message = format!("Conflict. The container name \"/{name}\" is already in use");
            return Ok((409, json!({"message": message})));
        }
        state.machine.count += 1;
        let id = id_of(format!("container {}", state.machine.count).as_bytes());
        let id = id.trim_start_matches("sha256:").to_string();
        let container = Container {
            id: id.clone(),
            body,
            image_id,
            status: "created",
            exit_code: 0,
            restarts: 0,
            executed: Vec::new(),
        };
        state.machine.containers.insert(name, container);
        Ok((201, json!({"Id": id, "Warnings": []})))
    }

    fn inspected(&self, name: &str) -> (u16, Value) {
        let mut state = self.state();
        let Some(name) = state.name_of(name) else { return missing("container", name) };
        let behaviour = state.behaviour(&state.machine.containers[&name]);
        let container = state.machine.containers.get_mut(&name).expect("it is there");
        if behaviour == Behaviour::Restarts && container.status == "running" {
            container.restarts += 1;
            container.exit_code = 1;
        }
        (200, container.inspected(&name, &behaviour))
    }

    fn start_container(&self, name: &str) -> (u16, Value) {
        let mut state = self.state();
        let Some(name) = state.name_of(name) else { return missing("container", name) };
        let container = state.machine.containers[&name].clone();
        let behaviour = state.behaviour(&container);
        if let Behaviour::Refused(message) = behaviour {
            return (500, json!({"message": message}));
        }
        let program: Vec<String> =
            serde_json::from_value(container.body["Entrypoint"].clone()).unwrap_or_default();
        let code = program.last().and_then(|word| state.machine.exec_codes.get(word).copied());
        let (status, code) = match behaviour {
            Behaviour::Well if !program.is_empty() => ("exited", code.unwrap_or(0)),
            Behaviour::Ends(code) => ("exited", code),
            Behaviour::Well if container.is_waited_for() => ("exited", 0),
            _ => ("running", 0),
        };
        let container = state.machine.containers.get_mut(&name).expect("it is there");
        (container.status, container.exit_code) = (status, code);
        (204, Value::Null)
    }

    fn stop_container(&self, name: &str) -> (u16, Value) {
        let mut state = self.state();
        let Some(name) = state.name_of(name) else { return missing("container", name) };
        let container = state.machine.containers.get_mut(&name).expect("it is there");
        if container.status == "running" {
            (container.status, container.exit_code) = ("exited", 143);
        }
        (204, Value::Null)
    }

    fn rename_container(&self, name: &str, new: &str) -> (u16, Value) {
        let mut state = self.state();
        let Some(old) = state.name_of(name) else { return missing("container", name) };
        if state.machine.containers.contains_key(new) {
            return (409, json!({"message": format!("the name {new} is in use")}));
        }
        let container = state.machine.containers.remove(&old).expect("it is there");
        state.machine.containers.insert(new.to_string(), container);
        (204, Value::Null)
    }

    fn remove_container(&self, name: &str) -> (u16, Value) {
        let mut state = self.state();
        let Some(name) = state.name_of(name) else { return missing("container", name) };
        state.machine.containers.remove(&name);
        (204, Value::Null)
    }

    fn exec(&self, exchange: &mut Exchange, name: &str) -> io::Result<(u16, Value)> {
        let body = json_body(exchange)?;
        let mut state = self.state();
        let Some(name) = state.name_of(name) else { return Ok(missing("container", name)) };
        let behaviour = state.behaviour(&state.machine.containers[&name]);
        let container = state.machine.containers.get_mut(&name).expect("it is there");
        if container.status != "running" {
            return Ok((409, json!({"message": format!("container {name} is not running")})));
        }
        let words: Vec<String> = serde_json::from_value(body["Cmd"].clone()).expect("words");
        let is_check = words.first().is_some_and(|word| word == "/bin/sh");
        let last = words.last().cloned().unwrap_or_default();
        container.executed.push(words);
        let is_ill = matches!(behaviour, Behaviour::Unhealthy | Behaviour::Restarts);
        let unhealthy = i64::from(is_check && is_ill);
        let code = state.machine.exec_codes.get(&last).copied().unwrap_or(unhealthy);
        state.machine.execs.push(code);
        Ok((201, json!({"Id": (state.machine.execs.len() - 1).to_string()})))
    }

    fn volume_or_network(
        &self,
        exchange: &mut Exchange,
        method: &str,
        kind: &str,
        rest: &[&str],
    ) -> io::Result<(u16, Value)> {
        let (body, wanted) = match method {
            "POST" => (json_body(exchange)?, Vec::new()),
            _ => (Value::Null, wanted_labels(exchange)),
        };
        let mut state = self.state();
        let machine = &mut state.machine;
        let held = if kind == "volumes" { &mut machine.volumes } else { &mut machine.networks };
        let shown = |(name, labels): (&String, &Value)| json!({"Name": name, "Id": name, "Driver": "local", "Mountpoint": "/", "Labels": labels, "Options": {}, "Scope": "local"});
        Ok(match (method, rest) {
            ("GET", []) => {
                let all: Vec<Value> =
                    held.iter().filter(|(_, it)| has_labels(it, &wanted)).map(shown).collect();
                (200, if kind == "volumes" { json!({"Volumes": all}) } else { json!(all) })
            }
            ("POST", ["create"]) => {
                let name = body["Name"].as_str().unwrap_or_default().to_string();
                held.insert(name.clone(), body["Labels"].clone());
                let mut answer = shown((&name, &body["Labels"]));
                answer["Warning"] = json!("");
                (201, answer)
            }
            ("GET", [name]) => match held.get_key_value(*name) {
                Some(found) => (200, shown(found)),
                None => missing(kind, name),
            },
            ("DELETE", [name]) => match held.remove(*name) {
                Some(_) => (204, Value::Null),
                None => missing(kind, name),
            },
            _ => missing(kind, "that"),
        })
    }
}

fn json_body(exchange: &mut Exchange) -> io::Result<Value> {
    let mut bytes = Vec::new();
    exchange.body().read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}
