//! Stacks: descriptions of containers that run together, as TripleO writes them [pure].

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde_json::{Map, Value};

use super::fields::{FieldError, Fields};
use super::placeholders::{PASSWORD, PlaceholderMeaning, Round, fill, fill_text, passwords_in};
use super::spec::{LaunchAction, Settings};
use crate::util::nearest;

/// A stack that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {}{reason}", container.as_ref().map(|name| format!("container {name}: ")).unwrap_or_default())]
pub struct StackError {
    /// Name of the stack's file.
    pub file: String,
    /// The container that it is about.
    pub container: Option<String>,
    /// Why the stack can't be used.
    pub reason: String,
}

/// A container of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackContainer {
    /// Name in the stack.
    pub name: String,
    /// Step that it belongs to; none in a stack without steps.
    pub step: Option<u32>,
    /// Settings as they are written, as JSON; passwords are still names.
    pub config_data: String,
    /// Settings as they are used.
    pub settings: Settings,
}

/// A file that containers of a stack mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackFile {
    /// Where it is on the host.
    pub path: String,
    /// Content of the file.
    pub content: String,
}

/// A stack with everything filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Containers, in the order in which they come about.
    pub containers: Vec<StackContainer>,
    /// Files that they mount.
    pub files: Vec<StackFile>,
}

/// A stack whose passwords are still names.
#[derive(Debug)]
pub struct StackDraft {
    file: String,
    containers: Vec<(Option<u32>, String, Value)>,
    files: BTreeMap<String, String>,
}

/// Values that are put into a stack when it is read.
pub struct StackInputs<'a> {
    /// Values of parameters in place of their defaults.
    pub parameters: &'a BTreeMap<String, String>,
    /// Directory of files with relative paths, and meaning of `${files}`.
    pub files_dir: &'a str,
    /// Identifier of the stack, and meaning of `${config_id}`.
    pub config_id: &'a str,
    /// Reads a file beside the stack.
    pub read: &'a dyn Fn(&str) -> io::Result<String>,
}

const SECTIONS: [&str; 5] = ["description", "parameters", "docker_config", "kolla_config", "files"];

/// Names of placeholders that stacks do not define.
const BUILT_IN: [&str; 2] = ["files", "config_id"];

impl StackInputs<'_> {
    /// Meaning of a placeholder of [`BUILT_IN`].
    fn built_in(&self, name: &str) -> Option<&str> {
        let values = [self.files_dir, self.config_id];
        BUILT_IN.iter().zip(values).find(|(known, _)| **known == name).map(|(_, value)| value)
    }
}

impl StackDraft {
    /// Reads a stack. `file` is what errors call it.
    ///
    /// # Errors
    /// It is neither YAML nor JSON, or something in it can't be used.
    pub fn read(file: &str, text: &str, inputs: &StackInputs) -> Result<StackDraft, StackError> {
        let fail = |reason: String| StackError { file: file.to_string(), container: None, reason };
        let whole = parse(text).map_err(fail)?;
        let has_sections = SECTIONS.iter().any(|section| whole.contains_key(*section));
        // A mapping of containers alone is what paunch reads.
        let containers_alone = Map::from_iter([("docker_config".to_string(), Value::Object(whole.clone()))]);
        let mut sections = Fields::new(if has_sections { &whole } else { &containers_alone });
        let parameters = parameters(&mut sections, inputs).map_err(fail)?;
        let meaning = |name: &str| first_meaning(name, &parameters, inputs);
        let fill_section = |value: Option<&Value>| {
            let nothing = Value::Object(Map::new());
            fill(value.unwrap_or(&nothing), Round::First, &meaning)
        };
        let containers = fill_section(sections.value("docker_config"))
            .and_then(|value| containers_in(&value))
            .map_err(fail)?;
        let mut files = BTreeMap::new();
        let kolla = fill_section(sections.value("kolla_config")).map_err(fail)?;
        add_files(&mut files, kolla, inputs.files_dir, &|_, value| kolla_config(value)).map_err(fail)?;
        let others = sections.value("files").cloned().unwrap_or_else(|| Value::Object(Map::new()));
        let content = |path: &str, value: &Value| {
            let text = file_content(path, value, inputs.read)?;
            fill_text(&text, Round::First, &meaning).map_err(|reason| format!("{path}: {reason}"))
        };
        add_files(&mut files, others, inputs.files_dir, &content)
            .map_err(|reason| fail(format!("files: {reason}")))?;
        sections.ignore("description");
        sections.finish().map_err(|error| fail(section_error(error)))?;
        let draft = StackDraft { file: file.to_string(), containers, files };
        draft.check_names()?;
        Ok(draft)
    }

    /// Names of the passwords that it wants.
    pub fn passwords(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (_, _, settings) in &self.containers {
            passwords_in(&settings.to_string(), &mut found);
        }
        for content in self.files.values() {
            passwords_in(content, &mut found);
        }
        found
    }

    /// Fills in the passwords, and reads the containers' settings.
    ///
    /// # Errors
    /// Settings of a container can't be used.
    pub fn with_passwords(self, passwords: &BTreeMap<String, String>) -> Result<Stack, StackError> {
        let meaning = |name: &str| match name.strip_prefix(PASSWORD).and_then(|name| passwords.get(name)) {
            Some(password) => PlaceholderMeaning::Text(password.clone()),
            None => PlaceholderMeaning::Nothing(format!("there is no '{name}'")),
        };
        let StackDraft { file, containers, files } = self;
        let mut read = Vec::new();
        for (step, name, draft) in containers {
            let fail =
                |reason: String| StackError { file: file.clone(), container: Some(name.clone()), reason };
            let filled = fill(&draft, Round::Last, &meaning).map_err(fail)?;
            let map = filled.as_object().ok_or_else(|| fail("its settings are no mapping".to_string()))?;
            let settings = Settings::read(map).map_err(|error| fail(error.to_string()))?;
            read.push(StackContainer { name, step, config_data: draft.to_string(), settings });
        }
        // Stable: what has the same place stays as it is written.
        read.sort_by_key(|container| (container.step, container.settings.start_order));
        let in_file = |reason: String| StackError { file: file.clone(), container: None, reason };
        let fill_file = |(path, content): (String, String)| {
            let content = fill_text(&content, Round::Last, &meaning)?;
            Ok(StackFile { path, content })
        };
        let files = files.into_iter().map(fill_file).collect::<Result<_, String>>().map_err(in_file)?;
        let stack = Stack { containers: read, files };
        stack.check_references().map_err(|(container, reason)| StackError {
            file: file.clone(),
            container: Some(container),
            reason,
        })?;
        Ok(stack)
    }

    fn check_names(&self) -> Result<(), StackError> {
        let mut seen = BTreeSet::new();
        for (_, name, _) in &self.containers {
            let fail = |reason: &str| StackError {
                file: self.file.clone(),
                container: Some(name.clone()),
                reason: reason.to_string(),
            };
            if !seen.insert(name) {
                return Err(fail("there are two of this name"));
            }
            let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
            if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(fits) {
                return Err(fail(
                    "a name has letters, digits, '_', '.' and '-', and begins with one of the first two",
                ));
            }
        }
        Ok(())
    }
}

impl Stack {
    /// A container by its name.
    pub fn container(&self, name: &str) -> Option<&StackContainer> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// Names of its containers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.containers.iter().map(|container| container.name.as_str())
    }

    /// Makes sure that what containers name of each other exists.
    fn check_references(&self) -> Result<(), (String, String)> {
        for StackContainer { name, settings, .. } in &self.containers {
            // What systemd knows it by may be of another stack.
            let units = |named: &&String| !named.ends_with(".service");
            for named in settings.depends_on.iter().filter(units) {
                if self.container(named).is_none() {
                    let reason = nearest::unknown_name("container", named, self.names());
                    return Err((name.clone(), format!("depends_on: {reason}")));
                }
            }
        }
        Ok(())
    }

    /// Containers that must be up before one comes about: those it depends on, and the one that it runs a command in.
    pub fn needed_by<'a>(&'a self, container: &'a StackContainer) -> Vec<&'a StackContainer> {
        let settings = &container.settings;
        let of_exec = settings.spec.command.first().filter(|_| settings.action == LaunchAction::Exec);
        settings.depends_on.iter().chain(of_exec).filter_map(|name| self.container(name)).collect()
    }
}

/// Names of the parameters of a stack; none of a text that is no stack.
pub fn parameter_names(text: &str) -> BTreeSet<String> {
    let whole = parse(text).unwrap_or_default();
    let parameters = whole.get("parameters").and_then(Value::as_object);
    parameters.into_iter().flat_map(Map::keys).cloned().collect()
}

/// Reads YAML, of which JSON is a part.
///
/// # Errors
/// It is neither, or no mapping; the reason.
pub fn parse(text: &str) -> Result<Map<String, Value>, String> {
    match parse_any(text)? {
        Value::Object(map) => Ok(map),
        _ => Err("it is no mapping".to_string()),
    }
}

/// Reads YAML or JSON, whatever is in it.
///
/// # Errors
/// It is neither; the reason.
pub fn parse_any(text: &str) -> Result<Value, String> {
    let mut yaml: serde_yaml::Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    merge(&mut yaml).map_err(|error| error.to_string())?;
    serde_json::to_value(&yaml).map_err(|error| error.to_string())
}

/// Applies YAML's `<<`, what is innermost first: a mapping that is merged into another may itself have one.
fn merge(value: &mut serde_yaml::Value) -> serde_yaml::Result<()> {
    match value {
        serde_yaml::Value::Mapping(map) => map.values_mut().try_for_each(merge)?,
        serde_yaml::Value::Sequence(items) => items.iter_mut().try_for_each(merge)?,
        _ => return Ok(()),
    }
    value.apply_merge()
}

fn parameters(sections: &mut Fields, inputs: &StackInputs) -> Result<BTreeMap<String, String>, String> {
    let mut parameters = BTreeMap::new();
    for (name, value) in sections.pairs("parameters").map_err(|error| error.to_string())? {
        if BUILT_IN.contains(&name.as_str()) || name.starts_with(PASSWORD) {
            return Err(format!("parameters: '{name}' has a meaning already"));
        }
        let value = inputs.parameters.get(&name).cloned().or(value);
        let value = value
            .ok_or_else(|| format!("parameter {name} has no value: give it one with --set {name}=VALUE"))?;
        parameters.insert(name, value);
    }
    match inputs.parameters.keys().find(|name| !parameters.contains_key(*name)) {
        Some(unknown) => {
            Err(nearest::unknown_name("parameter", unknown, parameters.keys().map(String::as_str)))
        }
        None => Ok(parameters),
    }
}

fn first_meaning(
    name: &str,
    parameters: &BTreeMap<String, String>,
    inputs: &StackInputs,
) -> PlaceholderMeaning {
    if let Some(password) = name.strip_prefix(PASSWORD) {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        return match !password.is_empty() && password.chars().all(fits) {
            true => PlaceholderMeaning::Later,
            false => PlaceholderMeaning::Nothing(format!(
                "'{password}' is no name of a password: letters, digits and '_'"
            )),
        };
    }
    match inputs.built_in(name).or_else(|| parameters.get(name).map(String::as_str)) {
        Some(value) => PlaceholderMeaning::Text(value.to_string()),
        None => {
            let known = parameters.keys().map(String::as_str).chain(BUILT_IN);
            let hint = "; a text that is no placeholder begins with '$${'";
            PlaceholderMeaning::Nothing(nearest::unknown_name("parameter", name, known) + hint)
        }
    }
}

/// Containers with their steps, as they are written.
fn containers_in(section: &Value) -> Result<Vec<(Option<u32>, String, Value)>, String> {
    let section = section.as_object().ok_or("docker_config: it is no mapping")?;
    let step_of = |key: &String| key.strip_prefix("step_").and_then(|number| number.parse::<u32>().ok());
    let mut containers = Vec::new();
    for (key, value) in section {
        let Some(step) = step_of(key) else {
            if section.keys().any(|key| step_of(key).is_some()) {
                return Err(format!(
                    "docker_config: '{key}' is no step (step_1, step_2, ...), and others are"
                ));
            }
            containers.push((None, key.clone(), value.clone()));
            continue;
        };
        let of_step = match value {
            Value::Null => continue,
            value => value.as_object().ok_or_else(|| format!("docker_config: {key}: it is no mapping"))?,
        };
        containers.extend(of_step.iter().map(|(name, value)| (Some(step), name.clone(), value.clone())));
    }
    Ok(containers)
}

/// Adds the files of a section. Those with relative paths are in the stack's own directory.
fn add_files(
    files: &mut BTreeMap<String, String>,
    section: Value,
    files_dir: &str,
    content: &dyn Fn(&str, &Value) -> Result<String, String>,
) -> Result<(), String> {
    for (path, value) in section.as_object().ok_or("it is no mapping")? {
        if path.is_empty() || path.ends_with('/') || path.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(format!("'{path}' is no path of a file"));
        }
        let absolute = if path.starts_with('/') { path.clone() } else { format!("{files_dir}/{path}") };
        if files.insert(absolute, content(path, value)?).is_some() {
            return Err(format!("{path} is there twice"));
        }
    }
    Ok(())
}

/// The text of a config.json.
fn kolla_config(value: &Value) -> Result<String, String> {
    if value.get("command").and_then(Value::as_str).is_none() {
        return Err("kolla_config: a config.json needs a command, as a text".to_string());
    }
    Ok(serde_json::to_string_pretty(value).unwrap_or_default() + "\n")
}

/// The text of a file, which is written in the stack or lies beside it.
fn file_content(
    path: &str,
    value: &Value,
    read: &dyn Fn(&str) -> io::Result<String>,
) -> Result<String, String> {
    match value {
        Value::String(content) => Ok(content.clone()),
        Value::Object(map) => {
            let mut fields = Fields::new(map);
            let source = fields.text("source").map_err(|error| error.to_string())?;
            fields.finish().map_err(|error| format!("{path}: {error}"))?;
            let source = source.ok_or_else(|| format!("{path}: source is missing"))?;
            read(&source).map_err(|error| format!("{path}: {source}: {error}"))
        }
        _ => Err(format!("{path}: it is neither a text nor a mapping with a source")),
    }
}

/// A key at the top is a section.
fn section_error(error: FieldError) -> String {
    match error {
        FieldError::Unknown { key, .. } => nearest::unknown_name("section", &key, SECTIONS),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::container::RestartPolicy;

    fn draft(text: &str, set: &[(&str, &str)]) -> Result<StackDraft, StackError> {
        let parameters = set.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let read = |path: &str| match path {
            "galera.cnf" => Ok("port = ${port}\n".to_string()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let inputs =
            StackInputs { parameters: &parameters, files_dir: "/state/files", config_id: "s", read: &read };
        StackDraft::read("s.yaml", text, &inputs)
    }

    fn stack(text: &str) -> Result<Stack, StackError> {
        let passwords = [("db".to_string(), "hush".to_string())].into();
        draft(text, &[])?.with_passwords(&passwords)
    }

    const STACK: &str = "
parameters: {port: 3306, tag: demo}
docker_config:
  step_2:
    late: {image: 'kolla/x:${tag}'}
  step_1:
    second: {image: x, start_order: 2, environment: &env {A: 'b'}}
    first:
      image: x
      start_order: 1
      environment: {<<: *env, PASSWORD: '${password:db}'}
      volumes: ['${files}/x/:/var/lib/kolla/config_files/:ro']
kolla_config:
  x/config.json: {command: 'server --port ${port}'}
files:
  x/galera.cnf: {source: galera.cnf}
  /etc/x.conf: 'password = ${password:db} $${HOME}'
";

    #[test]
    fn a_stack_is_read_in_the_order_of_its_steps() {
        let stack = stack(STACK).expect("a stack");
        assert_eq!(stack.names().collect::<Vec<_>>(), ["first", "second", "late"]);
        let first = &stack.containers[0];
        let expected =
            [("A", "b"), ("PASSWORD", "hush")].map(|(name, value)| (name.to_string(), value.to_string()));
        assert_eq!(first.settings.spec.environment, expected.into());
        assert!(first.config_data.contains("${password:db}") && !first.config_data.contains("hush"));
        assert_eq!(first.settings.spec.volumes[0].bind(), "/state/files/x/:/var/lib/kolla/config_files/:ro");
        assert_eq!(stack.containers[2].settings.spec.image, "kolla/x:demo");
        let files: Vec<_> =
            stack.files.iter().map(|file| (file.path.as_str(), file.content.as_str())).collect();
        assert_eq!(
            files,
            [
                ("/etc/x.conf", "password = hush ${HOME}"),
                ("/state/files/x/config.json", "{\n  \"command\": \"server --port 3306\"\n}\n"),
                ("/state/files/x/galera.cnf", "port = 3306\n"),
            ]
        );
        let draft = draft(STACK, &[("port", "1")]).expect("a draft");
        assert_eq!(draft.passwords().into_iter().collect::<Vec<_>>(), ["db"]);
        assert!(draft.files["/state/files/x/galera.cnf"].contains("port = 1"));
    }

    #[test]
    fn volumes_can_be_the_stacks_own() {
        let stack =
            stack("docker_config: {a: {image: x, volumes: ['${config_id}_data:/data']}}").expect("a stack");
        let spec = &stack.container("a").expect("there").settings.spec;
        assert_eq!(spec.volumes[0].bind(), "s_data:/data:rw");
        let error =
            draft("parameters: {config_id: x}\ndocker_config: {}", &[]).expect_err("a name that is taken");
        assert_eq!(error.reason, "parameters: 'config_id' has a meaning already");
    }

    #[test]
    fn mappings_are_merged_through_each_other() {
        let stack = stack(
            "
docker_config:
  a: &a {image: x, net: host}
  b: &b {<<: *a, user: b}
  c: &c {<<: *a, user: c, restart: always}
  d: {<<: [*b, *c], image: y}
",
        )
        .expect("a stack");
        let spec = &stack.container("d").expect("there").settings.spec;
        assert_eq!((spec.image.as_str(), spec.user.as_deref()), ("y", Some("b")));
        assert_eq!(spec.namespaces.network.as_deref(), Some("host"));
        assert_eq!(spec.restart, RestartPolicy::Always);
    }

    #[test]
    fn containers_alone_are_a_stack_too() {
        let stack =
            stack(r#"{"b": {"image": "x", "start_order": 1}, "a": {"image": "x"}}"#).expect("a stack");
        assert_eq!(stack.names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(stack.containers[0].step, None);
    }

    #[test]
    fn what_can_not_be_used_is_told_with_file_and_container() {
        for (text, told) in [
            (
                "docker_config: {a: {imge: x}}",
                "s.yaml: container a: unknown key 'imge': did you mean 'image'?",
            ),
            (
                "docker_confg: {}\nfiles: {}",
                "s.yaml: unknown section 'docker_confg': did you mean 'docker_config'?",
            ),
            (
                "docker_config: {step_1: {}, stp_2: {}}",
                "s.yaml: docker_config: 'stp_2' is no step (step_1, step_2, ...), and others are",
            ),
            (
                "docker_config: {a: {image: '${tagg}'}}\nparameters: {tag: 1}",
                "s.yaml: unknown parameter 'tagg': did you mean 'tag'?; a text that is no placeholder begins with '$${'",
            ),
            ("docker_config: {a: 1}", "s.yaml: container a: its settings are no mapping"),
            (
                "docker_config: {'a b': {image: x}}",
                "s.yaml: container a b: a name has letters, digits, '_', '.' and '-', and begins with one of the first two",
            ),
            (
                "docker_config: {step_1: {a: {image: x}}, step_2: {a: {image: x}}}",
                "s.yaml: container a: there are two of this name",
            ),
            (
                "docker_config: {ab: {image: x}, c: {image: x, depends_on: [abc]}}",
                "s.yaml: container c: depends_on: unknown container 'abc': did you mean 'ab'?",
            ),
            ("kolla_config: {a: {}}", "s.yaml: kolla_config: a config.json needs a command, as a text"),
            ("files: {../a: x}", "s.yaml: files: '../a' is no path of a file"),
            ("files: {a: {source: nowhere}}", "s.yaml: files: a: nowhere: entity not found"),
            ("files: {a: {content: x}}", "s.yaml: files: a: unknown key 'content'"),
            (
                "files: {a: '${password:a-b}'}",
                "s.yaml: files: a: 'a-b' is no name of a password: letters, digits and '_'",
            ),
            ("files: {a: x, /state/files/a: y}", "s.yaml: files: /state/files/a is there twice"),
            (
                "parameters: {a: null}\nfiles: {}",
                "s.yaml: parameter a has no value: give it one with --set a=VALUE",
            ),
            ("- a", "s.yaml: it is no mapping"),
        ] {
            assert_eq!(stack(text).expect_err(text).to_string(), told);
        }
        let unknown = draft("parameters: {tag: 1}", &[("tagg", "2")]).expect_err("unknown");
        assert_eq!(unknown.to_string(), "s.yaml: unknown parameter 'tagg': did you mean 'tag'?");
        let broken = stack("a: [").expect_err("no YAML").to_string();
        assert!(broken.contains("line"), "{broken}");
    }

    #[test]
    fn a_container_needs_what_it_depends_on() {
        let text = "docker_config: {a: {image: x}, b: {image: x, depends_on: [a, tripleo_z.service]}, c: {action: exec, command: a ls}}";
        let stack = stack(text).expect("a stack");
        for name in ["b", "c"] {
            let needed = stack.needed_by(stack.container(name).expect("there"));
            assert_eq!(needed.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["a"], "{name}");
        }
    }
}
