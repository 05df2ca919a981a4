//! What is to be configured: entries as TripleO writes them, merged by configuration volume [pure].

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::fields::Fields;
use super::super::spec::volume;
use super::super::stack::parse_any;
use crate::engine::container::MountedVolume;

/// Types of resources that are applied in every volume, beside those that its entries name.
const COMMON_TAGS: [&str; 5] = ["file", "file_line", "concat", "augeas", "cron"];

/// Keys of an entry, in the order of one that is a list.
const KEYS: [&str; 7] = [
    "config_volume",
    "puppet_tags",
    "step_config",
    "config_image",
    "volumes",
    "privileged",
    "keep_container",
];

/// Beginning of the keys of tasks that belong to a step.
const STEP: &str = "step_";

/// An entry that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {place}{reason}")]
pub struct EntryError {
    file: String,
    place: String,
    reason: String,
}

/// A configuration volume, and how its files come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigVolume {
    /// Name of the volume.
    pub name: String,
    /// Types of Puppet's resources that are applied.
    pub tags: Vec<String>,
    /// Manifest that is applied.
    pub manifest: String,
    /// Image that has Puppet and what the manifest asks for.
    pub image: String,
    /// Volumes of the container.
    pub volumes: Vec<MountedVolume>,
    /// True for a container with all rights of root on the host.
    pub privileged: bool,
    /// True for a container that stays after its end.
    pub keep: bool,
}

impl ConfigVolume {
    /// The tags, as Puppet takes them.
    pub fn puppet_tags(&self) -> String {
        let named = self.tags.iter().map(String::as_str);
        COMMON_TAGS.into_iter().chain(named).collect::<Vec<_>>().join(",")
    }
}

/// Everything that a run configures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    /// Volumes, in the order in which they are named first.
    pub volumes: Vec<ConfigVolume>,
    /// What is odd about the entries.
    pub warnings: Vec<String>,
}

/// Which entries of a file count.
#[derive(Debug, Clone, Copy, Default)]
pub struct EntrySelection<'a> {
    /// The only volume; none for all.
    pub volume: Option<&'a str>,
    /// Step, of a file that has one list for each.
    pub step: u32,
    /// Hosts of each service, and the name of this one; none when every entry is for this one.
    pub hosts: Option<(&'a BTreeMap<String, Vec<String>>, &'a str)>,
}

impl Entries {
    /// Reads entries: a list of them, or a mapping of `step_N` to such lists. `file` is what errors call it.
    ///
    /// # Errors
    /// It is neither YAML nor JSON, or an entry can't be used.
    pub fn read(file: &str, text: &str, selection: EntrySelection) -> Result<Entries, EntryError> {
        let fail = |reason: String| EntryError { file: file.to_string(), place: String::new(), reason };
        let whole = parse_any(text).map_err(fail)?;
        let listed = listed(&whole, selection.step).map_err(fail)?;
        let mut entries = Entries::default();
        for (at, entry) in listed.into_iter().enumerate() {
            let fail =
                |reason| EntryError { file: file.to_string(), place: format!("entry {}: ", at + 1), reason };
            let Some(map) = mapping(entry).map_err(fail)? else { continue };
            if !is_for_this_host(&map, selection) {
                continue;
            }
            let Some(volume) = read_entry(&map).map_err(fail)? else { continue };
            if selection.volume.is_none_or(|only| only == volume.name) {
                entries.add(volume);
            }
        }
        Ok(entries)
    }

    /// Adds an entry, to those of the same volume if there are any.
    fn add(&mut self, entry: ConfigVolume) {
        let Some(there) = self.volumes.iter_mut().find(|there| there.name == entry.name) else {
            self.volumes.push(entry);
            return;
        };
        if there.image != entry.image {
            self.warnings.push(format!(
                "config volume {}: entries name two images, {} and {}: the first one is taken",
                entry.name, there.image, entry.image
            ));
        }
        there.tags.extend(entry.tags);
        there.manifest.push('\n');
        there.manifest.push_str(&entry.manifest);
        for volume in entry.volumes {
            if !there.volumes.contains(&volume) {
                there.volumes.push(volume);
            }
        }
        there.privileged |= entry.privileged;
        there.keep |= entry.keep;
    }
}

/// Entries of a file, or of one step of it. What is there twice counts once.
fn listed(whole: &Value, step: u32) -> Result<Vec<&Value>, String> {
    let of_step = match whole {
        Value::Object(steps) => {
            if let Some(other) = steps.keys().find(|key| !is_step(key)) {
                return Err(format!(
                    "'{other}' is no step (step_1, step_2, ...): entries are a list, or lists by step"
                ));
            }
            steps.get(&format!("{STEP}{step}")).unwrap_or(&Value::Null)
        }
        other => other,
    };
    let all: Vec<&Value> = match of_step {
        Value::Null => Vec::new(),
        Value::Array(entries) => entries.iter().collect(),
        Value::Object(_) => vec![of_step],
        _ => return Err("it is no list of entries".to_string()),
    };
    let mut once: Vec<&Value> = Vec::new();
    for entry in all {
        if !matches!(whole, Value::Object(_)) || !once.contains(&entry) {
            once.push(entry);
        }
    }
    Ok(once)
}

fn is_step(key: &str) -> bool {
    key.strip_prefix(STEP).is_some_and(|number| number.parse::<u32>().is_ok())
}

/// An entry as a mapping, whichever way it is written; none for one that is empty.
fn mapping(entry: &Value) -> Result<Option<Map<String, Value>>, String> {
    match entry {
        Value::Null => Ok(None),
        Value::Object(map) => Ok(Some(map.clone())),
        Value::Array(values) if values.len() > KEYS.len() => {
            Err(format!("it has {} values; there are only {}", values.len(), KEYS.join(", ")))
        }
        Value::Array(values) => {
            let named = KEYS.iter().zip(values).map(|(key, value)| (key.to_string(), value.clone()));
            Ok(Some(named.collect()))
        }
        _ => Err("it is neither a list nor a mapping".to_string()),
    }
}

/// A service's tasks are run on the first of its hosts alone.
fn is_for_this_host(entry: &Map<String, Value>, selection: EntrySelection) -> bool {
    let (Some((hosts, here)), Some(service)) =
        (selection.hosts, entry.get("service_name").and_then(Value::as_str))
    else {
        return true;
    };
    let first = hosts.get(service).and_then(|hosts| hosts.iter().min());
    first.is_some_and(|first| first.eq_ignore_ascii_case(here))
}

/// Reads an entry; none for one without a manifest or an image, which configures nothing.
fn read_entry(map: &Map<String, Value>) -> Result<Option<ConfigVolume>, String> {
    let told = |error: super::super::fields::FieldError| error.to_string();
    let mut fields = Fields::new(map);
    let name = fields.text("config_volume").map_err(told)?;
    let tags = fields.text("puppet_tags").map_err(told)?.unwrap_or_default();
    let manifest = fields.text("step_config").map_err(told)?;
    let image = fields.text("config_image").map_err(told)?;
    let volumes = fields.list("volumes").map_err(told)?;
    let volumes = volumes.iter().map(|text| volume(text)).collect::<Result<_, _>>().map_err(told)?;
    let privileged = fields.flag("privileged", false).map_err(told)?;
    let keep = fields.flag("keep_container", false).map_err(told)?;
    fields.ignore("service_name");
    fields.finish().map_err(told)?;
    let (Some(manifest), Some(image)) = (manifest.filter(|text| !text.trim().is_empty()), image) else {
        return Ok(None);
    };
    let name = name.ok_or("config_volume is missing")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(fits) {
        return Err(format!(
            "config_volume: '{name}' can't be the name of a directory and of a container: letters, digits, '_', '.' and '-' can"
        ));
    }
    let tags = tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(String::from).collect();
    Ok(Some(ConfigVolume { name, tags, manifest, image, volumes, privileged, keep }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, selection: EntrySelection) -> Result<Entries, String> {
        Entries::read("c.json", text, selection).map_err(|error| error.to_string())
    }

    #[test]
    fn entries_of_a_volume_are_merged() {
        let entries = read(
            r#"[null,
                ["heat", "heat_config", "include a", "img", ["/a:/a:ro"]],
                {"config_volume": "heat", "puppet_tags": " x, y", "step_config": "include b", "config_image": "other",
                 "volumes": ["/a:/a:ro", null, "", "/b:/b"], "privileged": true},
                ["nothing", "", "", "img"], ["nothing", "", "include a", null],
                ["nova", null, "include c", "img", null, false, true]]"#,
            EntrySelection::default(),
        );
        let entries = entries.expect("entries");
        let [heat, nova] = entries.volumes.as_slice() else { panic!("{entries:?}") };
        assert_eq!(heat.puppet_tags(), "file,file_line,concat,augeas,cron,heat_config,x,y");
        assert_eq!((heat.manifest.as_str(), heat.image.as_str()), ("include a\ninclude b", "img"));
        assert_eq!(
            heat.volumes.iter().map(MountedVolume::bind).collect::<Vec<_>>(),
            ["/a:/a:ro", "/b:/b:rw"]
        );
        assert!(heat.privileged && !heat.keep && !nova.privileged && nova.keep);
        assert_eq!(nova.puppet_tags(), "file,file_line,concat,augeas,cron");
        assert_eq!(
            entries.warnings,
            ["config volume heat: entries name two images, img and other: the first one is taken"]
        );
        assert_eq!(read("null", EntrySelection::default()), Ok(Entries::default()));
    }

    #[test]
    fn one_volume_can_be_asked_for() {
        let text = "[[a, '', m, i], [b, '', m, i], [a, '', n, i]]";
        let only = EntrySelection { volume: Some("a"), ..EntrySelection::default() };
        let volumes = read(text, only).expect("entries").volumes;
        assert_eq!(volumes.len(), 1);
        assert_eq!(volumes[0].manifest, "m\nn");
    }

    #[test]
    fn tasks_have_steps_and_are_run_once_by_the_first_host() {
        let text = "
step_2:
  - {config_volume: db, step_config: m, config_image: i, service_name: mysql}
  - {config_volume: db, step_config: m, config_image: i, service_name: mysql}
  - {config_volume: mq, step_config: m, config_image: i, service_name: rabbitmq}
  - {config_volume: all, step_config: m, config_image: i}
  - {config_volume: none, step_config: m, config_image: i, service_name: nowhere}
step_3: {config_volume: late, step_config: m, config_image: i}
";
        let hosts = BTreeMap::from([
            ("mysql".to_string(), vec!["two".to_string(), "one".to_string()]),
            ("rabbitmq".to_string(), vec!["two".to_string()]),
        ]);
        let names = |step, hosts| {
            let selection = EntrySelection { volume: None, step, hosts };
            let entries = read(text, selection).expect("entries");
            entries.volumes.into_iter().map(|volume| (volume.name, volume.manifest)).collect::<Vec<_>>()
        };
        let expected =
            |names: &[&str]| names.iter().map(|name| (name.to_string(), "m".to_string())).collect::<Vec<_>>();
        assert_eq!(names(2, None), expected(&["db", "mq", "all", "none"]));
        assert_eq!(names(2, Some((&hosts, "ONE"))), expected(&["db", "all"]));
        assert_eq!(names(2, Some((&hosts, "two"))), expected(&["mq", "all"]));
        assert_eq!(names(3, None), expected(&["late"]));
        assert_eq!(names(1, None), expected(&[]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, told) in [
            ("[1]", "c.json: entry 1: it is neither a list nor a mapping"),
            ("7", "c.json: it is no list of entries"),
            (
                "{keystone: []}",
                "c.json: 'keystone' is no step (step_1, step_2, ...): entries are a list, or lists by step",
            ),
            ("[null, [null, '', m, i]]", "c.json: entry 2: config_volume is missing"),
            ("[['', '', '', i]]", ""),
            (
                "[[../a, '', m, i]]",
                "c.json: entry 1: config_volume: '../a' can't be the name of a directory and of a container: letters, digits, '_', '.' and '-' can",
            ),
            ("[[a, '', m, i, ['x:y']]]", "c.json: entry 1: volumes: 'x:y' is not SOURCE:/TARGET[:MODE]"),
            (
                "[{config_volume: a, step_confg: m}]",
                "c.json: entry 1: unknown key 'step_confg': did you mean 'step_config'?",
            ),
            (
                "[[a, b, c, d, [], false, false, x]]",
                "c.json: entry 1: it has 8 values; there are only config_volume, puppet_tags, step_config, config_image, volumes, privileged, keep_container",
            ),
        ] {
            assert_eq!(read(text, EntrySelection::default()).err().unwrap_or_default(), told, "{text}");
        }
    }
}
