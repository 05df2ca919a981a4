//! Settings of a container, read as paunch hands them to `docker run` [pure].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};

use super::super::fields::{FieldError, Fields, unfit};
use super::super::python::{is_true, text};
use super::super::spec::Settings;
use super::config::RawSettings;
use crate::engine::container::Healthcheck;

/// Keys whose value is one text.
const TEXTS: [&str; 17] = [
    "image",
    "action",
    "net",
    "ipc",
    "pid",
    "uts",
    "privileged",
    "restart",
    "user",
    "log_tag",
    "cpu_shares",
    "mem_limit",
    "memswap_limit",
    "mem_swappiness",
    "stop_signal",
    "hostname",
    "stop_grace_period",
];

/// Keys that are on or off.
const SWITCHES: [&str; 4] = ["detach", "remove", "interactive", "tty"];

/// Keys whose value is a list.
const LISTS: [&str; 9] = [
    "env_file",
    "ulimit",
    "group_add",
    "volumes",
    "volumes_from",
    "security_opt",
    "extra_hosts",
    "cap_add",
    "cap_drop",
];

/// Reads the settings; keys that paunch does not know mean nothing. `own_cpus` are the processors of a container that
/// names none; none when it may have them all.
///
/// # Errors
/// Docker would refuse a value.
pub fn read(settings: &RawSettings, own_cpus: Option<&str>) -> Result<Settings, FieldError> {
    let mut plain = Map::new();
    let given = |key: &str| settings.get(key).filter(|value| !value.is_null());
    for key in TEXTS {
        plain.extend(given(key).map(|value| (key.to_string(), Value::from(text(value)))));
    }
    for key in SWITCHES {
        plain.extend(settings.get(key).map(|value| (key.to_string(), Value::from(is_true(value)))));
    }
    for key in LISTS {
        plain.extend(given(key).map(|value| (key.to_string(), texts(value))));
    }
    plain.extend(given("environment").map(|value| ("environment".to_string(), environment(value))));
    plain.extend(given("command").map(|value| ("command".to_string(), words(value))));
    let cpus = given("cpuset_cpus").map(text).or_else(|| own_cpus.map(String::from));
    plain.extend(cpus.map(|cpus| ("cpuset_cpus".to_string(), Value::from(cpus))));
    let mut read = Settings::read(&plain)?;
    read.exit_codes = exit_codes(settings);
    let spec = &mut read.spec;
    (spec.cap_add, spec.cap_drop) = (capabilities(&spec.cap_add), capabilities(&spec.cap_drop));
    let volumes = plain.get("volumes").and_then(Value::as_array);
    for (volume, written) in spec.volumes.iter_mut().zip(volumes.into_iter().flatten()) {
        volume.mode = text(written).splitn(3, ':').nth(2).unwrap_or_default().to_string();
    }
    read.spec.healthcheck = given("healthcheck").and_then(Value::as_object).map(healthcheck).transpose()?;
    Ok(read)
}

/// True for a command that is run in another container.
pub fn is_exec(settings: &RawSettings) -> bool {
    settings.get("action").is_some_and(|action| action == "exec")
}

/// Exit codes that are no failure.
pub fn exit_codes(settings: &RawSettings) -> Vec<i64> {
    match settings.get("exit_codes") {
        Some(Value::Array(codes)) => codes.iter().filter_map(Value::as_i64).collect(),
        _ => vec![0],
    }
}

/// Containers in the order in which they come about; those of the same place stay as they are.
pub fn sort<T>(containers: &mut [T], settings: impl Fn(&T) -> &RawSettings) {
    let order =
        |container: &T| settings(container).get("start_order").and_then(Value::as_f64).unwrap_or_default();
    containers.sort_by(|one, other| order(one).total_cmp(&order(other)));
}

/// Processors of a list that has ranges, each by itself: `0-2,5` is `0,1,2,5`.
pub fn each_cpu(list: &str) -> String {
    let each = list.trim().split(',').flat_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.parse::<u32>(), last.parse::<u32>()) {
            (Ok(first), Ok(last)) => (first..=last).map(|cpu| cpu.to_string()).collect(),
            _ => Vec::new(),
        }
    });
    each.collect::<Vec<_>>().join(",")
}

/// What is in a list, without what is false; a single value is a list of one.
fn texts(value: &Value) -> Value {
    let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    items.iter().filter(|item| is_true(item)).map(text).collect::<Vec<_>>().into()
}

/// Capabilities by their full names, each once.
fn capabilities(named: &[String]) -> Vec<String> {
    let full = |name: &String| match name.to_uppercase() {
        name if name == "ALL" || name.starts_with("CAP_") => name,
        name => format!("CAP_{name}"),
    };
    named.iter().map(full).collect::<BTreeSet<_>>().into_iter().collect()
}

/// A variable whose value is false is passed on from here.
fn environment(value: &Value) -> Value {
    let Value::Object(map) = value else { return texts(value) };
    let named = map.iter().filter(|(name, value)| !name.is_empty() || is_true(value));
    let variable = |(name, value): (&String, &Value)| {
        (name.clone(), if is_true(value) { Value::from(text(value)) } else { Value::Null })
    };
    Value::Object(named.map(variable).collect())
}

/// A text is split at blanks, whatever quotes it has.
fn words(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().into(),
        value if !is_true(value) => Value::Null,
        value => text(value).split_whitespace().collect::<Vec<_>>().into(),
    }
}

/// What is not given is the engine's default, or the image's.
fn healthcheck(map: &Map<String, Value>) -> Result<Healthcheck, FieldError> {
    let mut fields = Fields::new(map);
    let retries = fields.number("retries")?.map(u32::try_from).transpose();
    let test = map.get("test").filter(|test| is_true(test));
    Ok(Healthcheck {
        test: test.map(|test| vec!["CMD-SHELL".to_string(), text(test)]).unwrap_or_default(),
        interval: fields.duration("interval")?.unwrap_or(Duration::ZERO),
        timeout: fields.duration("timeout")?.unwrap_or(Duration::ZERO),
        start_period: Duration::ZERO,
        retries: retries.map_err(|_| unfit("retries", "it is no number of times"))?.unwrap_or_default(),
    })
}

/// Labels of a container: those of a run first, for paunch's own count more.
pub fn labels(extra: &[(String, String)], own: [(&str, &str); 4]) -> BTreeMap<String, String> {
    let own = own.map(|(name, value)| (name.to_string(), value.to_string()));
    extra.iter().cloned().chain(own).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::run::spec::LaunchAction;

    fn raw(value: &Value) -> RawSettings {
        value.as_object().expect("a mapping").clone()
    }

    #[test]
    fn values_are_read_as_python_hands_them_on() {
        let settings = read(
            &raw(&json!({
                "image": "x", "detach": "false", "tty": 0, "remove": 1, "restart": "always", "user": 0,
                "environment": {"A": true, "B": 0, "C": "", "D": 1.5}, "volumes": ["/a:/b", "", null],
                "command": "sh -c 'a b'", "ulimit": "nofile=1:2", "privileged": true, "unknown": [1],
                "cap_add": ["net_admin", "CAP_NET_ADMIN", "ALL"], "stop_grace_period": "1m", "check_interval": 5, "exit_codes": [0, 2], "depends_on": ["y"],
            })),
            Some("0,1"),
        )
        .expect("settings");
        let spec = &settings.spec;
        assert!(settings.detach && spec.auto_remove && !spec.tty && spec.privileged);
        assert_eq!(spec.command, ["sh", "-c", "'a", "b'"]);
        assert_eq!(
            (&spec.cap_add[..], spec.volumes[0].bind().as_str()),
            (&["ALL", "CAP_NET_ADMIN"].map(String::from)[..], "/a:/b")
        );
        let expected =
            [("A", "True"), ("D", "1.5")].map(|(name, value)| (name.to_string(), value.to_string()));
        assert_eq!(
            (&spec.environment, settings.passed_variables),
            (&expected.into(), vec!["B".to_string(), "C".to_string()])
        );
        assert_eq!((spec.user.as_deref(), spec.limits.cpuset_cpus.as_deref()), (Some("0"), Some("0,1")));
        assert_eq!(
            (spec.volumes.len(), spec.healthcheck.as_ref(), settings.exit_codes),
            (1, None, vec![0, 2])
        );
    }

    #[test]
    fn all_processors_are_no_limit() {
        let settings = read(&raw(&json!({"image": "x", "cpuset_cpus": "all"})), Some("0")).expect("settings");
        assert_eq!(settings.spec.limits.cpuset_cpus, None);
        assert_eq!(each_cpu("0-2,5\n"), "0,1,2,5");
    }

    #[test]
    fn a_healthcheck_has_what_it_is_given_and_no_more() {
        let check = |check: Value| read(&raw(&json!({"image": "x", "healthcheck": check})), None);
        let found = check(json!({"test": "NONE", "interval": "30s"}))
            .expect("settings")
            .spec
            .healthcheck
            .expect("a check");
        assert_eq!(found.test, ["CMD-SHELL", "NONE"]);
        assert_eq!(
            (found.interval, found.timeout, found.retries),
            (Duration::from_secs(30), Duration::ZERO, 0)
        );
        assert!(check(json!({"retries": -1})).is_err());
    }

    #[test]
    fn what_docker_would_refuse_is_an_error() {
        for settings in [
            json!({"command": "x"}),
            json!({"image": "x", "mem_limit": "2q"}),
            json!({"action": "exec", "command": "c"}),
        ] {
            assert!(read(&raw(&settings), None).is_err(), "{settings}");
        }
        let exec = read(&raw(&json!({"action": "exec", "command": "c ls"})), None).expect("settings");
        assert_eq!(exec.action, LaunchAction::Exec);
    }

    #[test]
    fn containers_of_the_same_place_keep_their_order() {
        let mut containers = ["b", "a", "c"]
            .map(|name| (name, raw(&if name == "b" { json!({"start_order": 1}) } else { json!({}) })));
        sort(&mut containers, |(_, settings)| settings);
        assert_eq!(containers.map(|(name, _)| name), ["a", "c", "b"]);
    }
}
