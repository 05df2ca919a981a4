//! The configuration as it is shown: every value as it was understood, where it was set, and no secrets [pure].

use std::collections::BTreeSet;

use super::layer::{DEFAULT, Entry, Layers, Place, ValueError};
use super::options::{self, Kind, OPTIONS, OptionSpec};
use super::secrets::{self, masked};

/// One value in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its section; [`DEFAULT`] for options.
    pub section: String,
    /// Its key.
    pub name: String,
    /// The value, and the place it was set at; none when it is not set.
    pub value: Option<(String, String)>,
}

/// Every option, then every other section. An option that may be repeated is there once for each value.
pub fn settings(layers: &Layers) -> Result<Vec<Setting>, ValueError> {
    let mut settings = Vec::new();
    for option in OPTIONS {
        let name = option.name;
        let setting = |value| Setting { section: DEFAULT.to_string(), name: name.to_string(), value };
        match layers.entry(DEFAULT, name) {
            None => settings.push(setting(None)),
            Some(entry) => settings.extend(values(layers, option, entry)?.into_iter().map(Some).map(setting)),
        }
    }
    for section in layers.sections().into_iter().filter(|name| *name != DEFAULT) {
        let in_section = layers.entries().iter().filter(|entry| entry.section == section);
        let keys: BTreeSet<&str> = in_section.map(|entry| entry.key.as_str()).collect();
        for key in keys {
            let text = match key {
                "enabled" => layers.flag_in(section, key)?.unwrap_or(true).to_string(),
                _ => layers.text(section, key)?.unwrap_or_default(),
            };
            let value = layers.entry(section, key).map(|entry| (masked(key, &text), entry.place.to_string()));
            settings.push(Setting { section: section.to_string(), name: key.to_string(), value });
        }
    }
    Ok(settings)
}

/// Every text of users' values that [`settings`] does not show.
pub fn hidden(layers: &Layers) -> BTreeSet<String> {
    let mut texts = BTreeSet::new();
    let of_users = |entry: &&Entry| matches!(entry.place, Place::File(..) | Place::CommandLine);
    for Entry { section, key, .. } in layers.entries().iter().filter(of_users) {
        let option = options::find(key).filter(|_| section == DEFAULT);
        // What can't be read is told elsewhere.
        let values = match option.map(|option| option.kind) {
            Some(Kind::Dict) => layers.dict(DEFAULT, key).unwrap_or_default(),
            Some(Kind::Many) => {
                let values = layers.many(key).unwrap_or_default();
                values.into_iter().map(|value| (key.clone(), value)).collect()
            }
            _ => {
                layers.text(section, key).ok().flatten().map(|text| (key.clone(), text)).into_iter().collect()
            }
        };
        texts.extend(values.iter().flat_map(|(name, value)| secrets::hidden(name, value)));
    }
    texts
}

/// The values of an option that is set, each with its place. `entry` is the one that counts.
fn values(layers: &Layers, option: &OptionSpec, entry: &Entry) -> Result<Vec<(String, String)>, ValueError> {
    let name = option.name;
    let placed = |value: String| (value, entry.place.to_string());
    Ok(match option.kind {
        Kind::Flag => vec![placed(layers.flag(name)?.to_string())],
        Kind::Integer { .. } => {
            vec![placed(layers.integer(DEFAULT, name)?.map_or(String::new(), |number| number.to_string()))]
        }
        Kind::List => vec![placed(masked(name, &layers.list(DEFAULT, name)?.join(",")))],
        Kind::Dict => {
            let pairs = layers.dict(DEFAULT, name)?;
            let pairs: Vec<String> =
                pairs.iter().map(|(key, value)| format!("{key}:{}", masked(key, value))).collect();
            vec![placed(pairs.join(","))]
        }
        Kind::Many => {
            let entries =
                layers.entries().iter().filter(|entry| entry.section == DEFAULT && entry.key == name);
            let values = layers.many(name)?;
            let each = |(entry, value): (&Entry, String)| (masked(name, &value), entry.place.to_string());
            entries.zip(values).map(each).collect()
        }
        Kind::Text | Kind::File { .. } | Kind::Choice(_) => {
            vec![placed(masked(name, &layers.text(DEFAULT, name)?.unwrap_or_default()))]
        }
    })
}
