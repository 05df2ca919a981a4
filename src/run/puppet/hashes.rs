//! Startup configurations of containers, and the digest of the configuration volumes that they mount [pure].

use serde_json::{Map, Value, json};

use super::script::GENERATED;

/// Variable that a container is told the digest in, so that it is another container when a file has changed.
const VARIABLE: &str = "TRIPLEO_CONFIG_HASH";

/// A startup configuration with its digest: of one container, or of several by their names. `digest` gives that of a
/// configuration volume by its path; `null` is nothing at all.
///
/// # Errors
/// It is no startup configuration; the reason.
pub fn hashed(
    startup: Value,
    prefix: &str,
    digest: impl Fn(&str) -> Option<String>,
) -> Result<Value, String> {
    let mut map = match startup {
        Value::Null => Map::new(),
        Value::Object(map) => map,
        _ => return Err("it is no mapping".to_string()),
    };
    // A container alone has at least an image or a command, which are none.
    if !map.is_empty() && map.values().all(Value::is_object) {
        for (name, settings) in &mut map {
            if let Value::Object(settings) = settings {
                add_hash(settings, prefix, &digest)
                    .map_err(|reason| format!("container {name}: {reason}"))?;
            }
        }
    } else {
        add_hash(&mut map, prefix, &digest)?;
    }
    Ok(Value::Object(map))
}

fn add_hash(
    settings: &mut Map<String, Value>,
    prefix: &str,
    digest: &dyn Fn(&str) -> Option<String>,
) -> Result<(), String> {
    let digests: Vec<String> =
        config_volumes(settings, prefix)?.iter().filter_map(|path| digest(path)).collect();
    if digests.is_empty() {
        return Ok(());
    }
    let value = digests.join("-");
    let environment = settings.entry("environment").or_insert(Value::Null);
    if let Value::String(one) = environment {
        *environment = json!([one]);
    }
    match environment {
        Value::Null => *environment = json!({VARIABLE: value}),
        Value::Object(variables) => _ = variables.insert(VARIABLE.to_string(), Value::String(value)),
        Value::Array(variables) => {
            let beginning = format!("{VARIABLE}=");
            variables.retain(|variable| {
                variable.as_str().is_none_or(|text| !text.starts_with(&beginning) && text != VARIABLE)
            });
            variables.push(Value::String(beginning + &value));
        }
        _ => return Err("environment: it is neither a mapping nor a list".to_string()),
    }
    Ok(())
}

/// Paths of the configuration volumes that a container mounts something of, in the order of their names: one for each
/// mount.
fn config_volumes(settings: &Map<String, Value>, prefix: &str) -> Result<Vec<String>, String> {
    let one;
    let volumes = match settings.get("volumes") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(volumes)) => volumes,
        Some(text @ Value::String(_)) => {
            one = vec![text.clone()];
            &one
        }
        Some(_) => return Err("volumes: it is no list".to_string()),
    };
    let mut found = Vec::new();
    for volume in volumes.iter().filter(|volume| !volume.is_null()) {
        let volume = volume.as_str().ok_or_else(|| format!("volumes: {volume} is no text"))?;
        found.extend(config_volume(volume.split(':').next().unwrap_or_default(), prefix));
    }
    found.sort_unstable();
    Ok(found)
}

/// Path of the configuration volume that a path is in: below the prefix, or below what Puppet has written there.
fn config_volume(path: &str, prefix: &str) -> Option<String> {
    let below = path.strip_prefix(prefix)?.strip_prefix('/')?;
    let mut names = below.split('/').filter(|name| !name.is_empty());
    let first = names.next()?;
    if first != GENERATED {
        return Some(format!("{prefix}/{first}"));
    }
    names.next().map(|name| format!("{prefix}/{GENERATED}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(path: &str) -> Option<String> {
        (!path.ends_with("none")).then(|| path.trim_start_matches("/p/").replace('/', "."))
    }

    fn hash_of(volumes: &[&str]) -> Option<String> {
        let startup = json!({"image": "i", "volumes": volumes});
        let hashed = hashed(startup, "/p", digest).expect("a startup configuration");
        hashed["environment"][VARIABLE].as_str().map(String::from)
    }

    #[test]
    fn every_mounted_config_volume_counts() {
        for (volumes, expected) in [
            (
                &["/p/puppet-generated/b:/x:ro", "/p/a/etc/a.conf:/y", "/p2/c:/z", "named:/p/d"][..],
                Some("a-puppet-generated.b"),
            ),
            (
                &["/p/puppet-generated/b/etc/b:/x", "/p/puppet-generated/b/var/:/y"],
                Some("puppet-generated.b-puppet-generated.b"),
            ),
            (&["/p/a", "/p/none:/x"], Some("a")),
            (&["/p:/x", "/p/:/x", "/p/puppet-generated:/y", "/p/none:/z"], None),
            (&[], None),
        ] {
            assert_eq!(hash_of(volumes).as_deref(), expected, "{volumes:?}");
        }
    }

    #[test]
    fn the_environment_keeps_what_it_has() {
        let volumes = json!(["/p/a:/a"]);
        for (environment, expected) in [
            (json!(null), json!({VARIABLE: "a"})),
            (json!({"A": "1", VARIABLE: "old"}), json!({"A": "1", VARIABLE: "a"})),
            (json!(["A=1", "TRIPLEO_CONFIG_HASH=old"]), json!(["A=1", "TRIPLEO_CONFIG_HASH=a"])),
            (json!("A=1"), json!(["A=1", "TRIPLEO_CONFIG_HASH=a"])),
        ] {
            let startup = json!({"image": "i", "volumes": volumes, "environment": environment});
            let hashed = hashed(startup, "/p", digest).expect("a startup configuration");
            assert_eq!(hashed["environment"], expected);
        }
    }

    #[test]
    fn several_containers_may_be_in_a_file_and_what_is_wrong_is_named() {
        let several = json!({"one": {"image": "i", "volumes": "/p/a:/a"}, "two": {"command": ["x", "y"]}});
        let hashed_all = hashed(several, "/p", digest).expect("a startup configuration");
        assert_eq!(hashed_all["one"]["environment"][VARIABLE], "a");
        assert_eq!(hashed_all["two"], json!({"command": ["x", "y"]}));
        assert_eq!(hashed(Value::Null, "/p", digest), Ok(json!({})));
        for (wrong, told) in [
            (json!([]), "it is no mapping"),
            (json!({"image": "i", "volumes": [1]}), "volumes: 1 is no text"),
            (json!({"image": "i", "volumes": {}}), "volumes: it is no list"),
            (json!({"one": {"volumes": 1}}), "container one: volumes: it is no list"),
            (
                json!({"image": "i", "volumes": ["/p/a:/a"], "environment": 1}),
                "environment: it is neither a mapping nor a list",
            ),
        ] {
            assert_eq!(hashed(wrong, "/p", digest).expect_err("wrong"), told);
        }
    }
}
