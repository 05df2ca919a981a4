//! Which containers paunch removes, renames and keeps [pure].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::super::labels::{CONFIG_DATA, CONFIG_ID, CONTAINER_NAME, MANAGED_BY};
use super::super::python;
use super::config::{RawSettings, parse};
use crate::engine::container::{ContainerFacts, ListedContainer};
use crate::model::ids::ImageId;

/// Name that paunch has managed containers by whatever it was told.
pub const HISTORIC_MANAGER: &str = "paunch";

/// Why a container is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutdatedBy {
    /// Nobody knows the settings that it was made by.
    Unknown,
    /// It was made by other settings.
    Settings,
    /// Its image's name is another image's by now.
    Image,
}

impl fmt::Display for OutdatedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OutdatedBy::Unknown => "it has no label that tells its settings",
            OutdatedBy::Settings => "its settings have changed",
            OutdatedBy::Image => "its image has changed",
        })
    }
}

/// Those of one manager, and of one config when one is named; when there are none, those of paunch itself.
pub fn owned<'a>(
    containers: &'a [ListedContainer],
    managed_by: &str,
    config_id: Option<&str>,
) -> Vec<&'a ListedContainer> {
    let of = |manager: &str| -> Vec<&ListedContainer> {
        let has = |container: &ListedContainer, name: &str, value: &str| {
            container.labels.get(name).is_some_and(|label| label == value)
        };
        let is_one = |container: &&ListedContainer| {
            has(container, MANAGED_BY, manager) && config_id.is_none_or(|id| has(container, CONFIG_ID, id))
        };
        containers.iter().filter(is_one).collect()
    };
    let own = of(managed_by);
    if own.is_empty() { of(HISTORIC_MANAGER) } else { own }
}

/// Name of a container in its config: that of its label, or its own.
pub fn wanted_name(container: &ListedContainer) -> &str {
    container.labels.get(CONTAINER_NAME).filter(|name| !name.is_empty()).unwrap_or(&container.name)
}

/// Identifiers of the configs of these containers.
pub fn config_ids(containers: &[&ListedContainer]) -> BTreeSet<String> {
    containers.iter().filter_map(|container| container.labels.get(CONFIG_ID).cloned()).collect()
}

/// Names that containers get, where they are free: both names.
pub fn renames(containers: &[&ListedContainer]) -> Vec<(String, String)> {
    let mut taken: BTreeSet<&str> = containers.iter().map(|container| container.name.as_str()).collect();
    let wanted: BTreeMap<&str, &str> =
        containers.iter().map(|container| (container.name.as_str(), wanted_name(container))).collect();
    let renames = wanted.into_iter().filter(|(_, wanted)| taken.insert(wanted));
    renames.map(|(name, wanted)| (name.to_string(), wanted.to_string())).collect()
}

/// Name of the container that a config calls `name`: one of its own, or else of another config.
pub fn discover<'a>(containers: &'a [ListedContainer], name: &str, config_id: &str) -> Option<&'a str> {
    let named = |container: &&ListedContainer| {
        container.labels.get(CONTAINER_NAME).is_some_and(|label| label == name)
    };
    let of_config = |container: &&ListedContainer| {
        container.labels.get(CONFIG_ID).is_some_and(|label| label == config_id)
    };
    let found = containers.iter().filter(named).find(of_config);
    found.or_else(|| containers.iter().find(named)).map(|container| container.name.as_str())
}

/// Why a container has to be made anew; none when it stays. `image` is what its image's name stands for.
pub fn outdated(
    settings: &RawSettings,
    held: &ContainerFacts,
    image: Option<&ImageId>,
) -> Option<OutdatedBy> {
    let data = held.spec.labels.get(CONFIG_DATA).and_then(|data| parse(data).ok());
    let Some(data) = data.filter(|data| !data.is_empty()) else { return Some(OutdatedBy::Unknown) };
    if !python::are_equal(&Value::Object(data), &Value::Object(settings.clone())) {
        return Some(OutdatedBy::Settings);
    }
    (image != Some(&held.image)).then_some(OutdatedBy::Image)
}

/// Exit codes of an engine's program for a container that it can't make, a command that it must not run, and one that is
/// not there.
pub const CANNOT_RUN: i64 = 125;
const NOT_EXECUTABLE: i64 = 126;
const NOT_FOUND: i64 = 127;

/// Exit code that Docker's command line gives when a container can't be started, by what the engine says.
pub fn start_code(message: &str) -> i64 {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["executable file not found", "no such file or directory"]) {
        NOT_FOUND
    } else if says(&["permission denied", "is a directory"]) {
        NOT_EXECUTABLE
    } else {
        CANNOT_RUN
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::container::{ContainerSpec, ContainerStatus, Labels};

    fn listed(name: &str, labels: &[(&str, &str)]) -> ListedContainer {
        let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        ListedContainer { id: name.to_string(), name: name.to_string(), labels }
    }

    #[test]
    fn containers_are_one_s_own_or_else_those_of_paunch() {
        let all = [
            listed("a", &[(MANAGED_BY, "me"), (CONFIG_ID, "1")]),
            listed("b", &[(MANAGED_BY, "paunch"), (CONFIG_ID, "2")]),
            listed("c", &[(CONFIG_ID, "1")]),
        ];
        let names = |found: Vec<&ListedContainer>| found.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(owned(&all, "me", None)), ["a"]);
        assert_eq!(names(owned(&all, "me", Some("2"))), ["b"]);
        assert_eq!(names(owned(&all, "nobody", None)), ["b"]);
        assert!(owned(&all, "me", Some("3")).is_empty());
        assert_eq!(config_ids(&owned(&all, "me", None)), BTreeSet::from(["1".to_string()]));
    }

    #[test]
    fn a_container_gets_its_name_once_that_is_free() {
        let all = [
            listed("a-1", &[(CONTAINER_NAME, "a")]),
            listed("a-2", &[(CONTAINER_NAME, "a")]),
            listed("b-1", &[(CONTAINER_NAME, "b")]),
            listed("b", &[]),
            listed("c", &[(CONTAINER_NAME, "c")]),
        ];
        assert_eq!(renames(&all.iter().collect::<Vec<_>>()), [("a-1".to_string(), "a".to_string())]);
    }

    #[test]
    fn a_config_s_own_container_is_found_before_another_s() {
        let all = [
            listed("a-2", &[(CONTAINER_NAME, "a"), (CONFIG_ID, "2")]),
            listed("a-1", &[(CONTAINER_NAME, "a"), (CONFIG_ID, "1")]),
        ];
        assert_eq!(discover(&all, "a", "1"), Some("a-1"));
        assert_eq!(discover(&all, "a", "3"), Some("a-2"));
        assert_eq!(discover(&all, "b", "1"), None);
    }

    #[test]
    fn a_container_is_made_anew_by_its_settings_and_its_image() {
        let held = |data: Option<&str>| ContainerFacts {
            id: "1".to_string(),
            name: "a".to_string(),
            image: ImageId::from("sha256:1".to_string()),
            spec: ContainerSpec {
                labels: data
                    .map(|data| (CONFIG_DATA.to_string(), data.to_string()))
                    .into_iter()
                    .collect::<Labels>(),
                ..ContainerSpec::default()
            },
            status: ContainerStatus::Running,
            exit_code: 0,
            health: None,
            restarts: 0,
        };
        let settings = json!({"image": "x", "tty": true}).as_object().expect("a mapping").clone();
        let one = ImageId::from("sha256:1".to_string());
        for (data, image, expected) in [
            (None, Some(&one), Some(OutdatedBy::Unknown)),
            (Some("{}"), Some(&one), Some(OutdatedBy::Unknown)),
            (Some("{"), Some(&one), Some(OutdatedBy::Unknown)),
            (Some(r#"{"image": "y"}"#), Some(&one), Some(OutdatedBy::Settings)),
            (Some(r#"{"tty": 1, "image": "x"}"#), Some(&one), None),
            (Some(r#"{"tty": true, "image": "x"}"#), None, Some(OutdatedBy::Image)),
        ] {
            assert_eq!(outdated(&settings, &held(data), image), expected, "{data:?}");
        }
    }

    #[test]
    fn a_program_that_is_missing_is_told_by_its_code() {
        assert_eq!(start_code("exec: \"x\": executable file not found in $PATH: unknown"), 127);
        assert_eq!(start_code("exec: \"/etc/passwd\": permission denied: unknown"), 126);
        assert_eq!(start_code("network x not found"), 125);
    }
}
