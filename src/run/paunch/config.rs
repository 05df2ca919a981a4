//! Which files paunch's `--file` stands for, and the containers in them [pure].

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::super::stack;

/// Beginning and end of a path that TripleO's playbooks name and that is not there: the number of a step stands between.
const STEP_FILE: [&str; 2] = ["/var/lib/tripleo-config/hashed-container-startup-config-step_", ".json"];

/// Directory of the steps that such a path stands for.
const STEPS_DIR: &str = "/var/lib/tripleo-config/container_startup_config";

/// Name that every file of a container has before its container's name.
const HASHED: &str = "hashed-";

/// Settings of one container, as they are written.
pub type RawSettings = Map<String, Value>;

/// The place of descriptions of containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigPlace {
    /// One file, and the name that it gives to its only container.
    File {
        /// Path of the file.
        path: PathBuf,
        /// Name of its container.
        name: String,
    },
    /// A directory of `hashed-NAME.json`.
    Directory(PathBuf),
}

impl ConfigPlace {
    /// The place that is meant by what stands behind `--file`.
    pub fn of(file: &str, is_directory: bool) -> ConfigPlace {
        let [begin, end] = STEP_FILE;
        if is_directory {
            return ConfigPlace::Directory(PathBuf::from(file));
        }
        if let Some(step) = file.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end)) {
            return ConfigPlace::Directory(Path::new(STEPS_DIR).join(format!("step_{step}")));
        }
        let path = PathBuf::from(file);
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().replace(HASHED, ""));
        ConfigPlace::File { path, name: stem.unwrap_or_default() }
    }
}

/// Name of the file of a container in a directory of them.
pub fn file_of(container: &str) -> String {
    format!("{HASHED}{container}.json")
}

/// Container that a file of a directory is of; none for any other file.
pub fn container_of(file: &str) -> Option<String> {
    let is_it = file.starts_with(HASHED) && file.ends_with(".json");
    is_it.then(|| Path::new(file).file_stem().unwrap_or_default().to_string_lossy().replace(HASHED, ""))
}

/// Reads JSON or YAML.
///
/// # Errors
/// It is neither, or no mapping; the reason.
pub fn parse(text: &str) -> Result<RawSettings, String> {
    match serde_json::from_str(text) {
        Ok(map) => Ok(map),
        Err(_) => stack::parse(text),
    }
}

/// The containers of a file: one that has settings alone is of the container `name`, any other names its own.
pub fn containers_in(file: RawSettings, name: &str) -> Vec<(String, RawSettings)> {
    if !is_of_several(&file) {
        return vec![(name.to_string(), file)];
    }
    let settings = |value| match value {
        Value::Object(settings) => settings,
        _ => RawSettings::new(),
    };
    file.into_iter().map(|(name, value)| (name, settings(value))).collect()
}

/// The settings of one container in a file, which are all of it or stand under its name.
pub fn settings_of(mut file: RawSettings, name: &str) -> Option<RawSettings> {
    if !is_of_several(&file) {
        return Some(file);
    }
    match file.remove(name) {
        Some(Value::Object(settings)) => Some(settings),
        _ => None,
    }
}

/// True for a mapping of containers, false for the settings of one.
fn is_of_several(file: &RawSettings) -> bool {
    !file.is_empty()
        && file.iter().all(|(key, value)| value.is_object() && !["image", "action"].contains(&key.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> RawSettings {
        parse(text).expect("a mapping")
    }

    #[test]
    fn a_path_is_a_file_a_directory_or_a_step() {
        let file = |path: &str, name: &str| ConfigPlace::File { path: path.into(), name: name.to_string() };
        let old = "/var/lib/tripleo-config/hashed-container-startup-config-step_3.json";
        for (path, is_directory, expected) in [
            ("/a/hashed-keystone.json", false, file("/a/hashed-keystone.json", "keystone")),
            ("x.yaml", false, file("x.yaml", "x")),
            ("/a", true, ConfigPlace::Directory("/a".into())),
            (old, false, ConfigPlace::Directory(format!("{STEPS_DIR}/step_3").into())),
            (old, true, ConfigPlace::Directory(old.into())),
        ] {
            assert_eq!(ConfigPlace::of(path, is_directory), expected);
        }
        assert_eq!(container_of("hashed-a.json").as_deref(), Some("a"));
        assert_eq!(container_of(&file_of("a-b")).as_deref(), Some("a-b"));
        assert_eq!((container_of("a.json"), container_of("hashed-a.json.bak")), (None, None));
    }

    #[test]
    fn a_file_is_of_one_container_or_of_several() {
        let names =
            |text: &str| containers_in(map(text), "f").into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(r#"{"image": "x", "environment": {}}"#), ["f"]);
        assert_eq!(names("b: {image: x}\na: {image: x}"), ["b", "a"]);
        assert_eq!(names("environment: {A: b}\nimage: x"), ["f"]);
        let keyed = map(r#"{"a": {"image": "x"}}"#);
        assert_eq!(settings_of(keyed.clone(), "a"), Some(map("image: x")));
        assert_eq!(settings_of(keyed, "b"), None);
        assert_eq!(settings_of(map("image: x"), "b"), Some(map("image: x")));
    }

    #[test]
    fn characters_in_two_halves_are_read() {
        assert_eq!(map(r#"{"a": "\ud83d\ude00"}"#)["a"], "\u{1f600}");
        assert!(parse("- a").is_err() && parse("{").is_err());
    }
}
