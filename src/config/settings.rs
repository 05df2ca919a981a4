//! The configuration as it is shown: every value as it was understood, where it was set, and no secrets [pure].

use std::collections::BTreeSet;

use super::keys::DEFAULT;
use super::layer::{Entry, Layers, SetAt, ValueError};
use super::options::{Meaning, OptionSpec, ValueKind};
use crate::util::secrets::{self, masked};

/// One value in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<'a> {
    /// Section; [`DEFAULT`] for options.
    pub section: &'a str,
    /// Key in the section.
    pub name: &'a str,
    /// The value, and the place it was set at; none when it is not set.
    pub value: Option<(String, &'a SetAt)>,
}

/// Every option, then every other section. An option that may be repeated is there once for each value.
pub fn settings(layers: &Layers) -> Result<Vec<Setting<'_>>, ValueError> {
    let mut settings = Vec::new();
    for option in layers.options().iter() {
        let name = option.name;
        let setting = |value| Setting { section: DEFAULT, name, value };
        match layers.entry(DEFAULT, name) {
            None => settings.push(setting(None)),
            Some(entry) => settings.extend(values(layers, option, entry)?.into_iter().map(Some).map(setting)),
        }
    }
    for section in layers.sections().iter().filter(|name| *name != DEFAULT) {
        let in_section = layers.entries().iter().filter(|entry| entry.section == *section);
        let keys: BTreeSet<&str> = in_section.map(|entry| entry.key.as_str()).collect();
        for key in keys {
            let text = match key {
                "enabled" => layers.flag_in(section, key)?.unwrap_or(true).to_string(),
                _ => layers.text(section, key)?.unwrap_or_default(),
            };
            let value = layers.entry(section, key).map(|entry| (masked(key, &text), &entry.place));
            settings.push(Setting { section, name: key, value });
        }
    }
    Ok(settings)
}

/// Every text of users' values that [`settings`] does not show.
pub fn hidden(layers: &Layers) -> BTreeSet<String> {
    let mut texts = BTreeSet::new();
    let of_users = |entry: &&Entry| matches!(entry.place, SetAt::File(..) | SetAt::CommandLine);
    for Entry { section, key, .. } in layers.entries().iter().filter(of_users) {
        let option = layers.options().find(key).filter(|_| section == DEFAULT);
        // What can't be read is told elsewhere.
        let text = || layers.text(section, key).ok().flatten();
        match option {
            Some(option) if option.kind == ValueKind::Dict => {
                let pairs = layers.dict(DEFAULT, key).unwrap_or_default();
                texts.extend(pairs.iter().flat_map(|(name, value)| secrets::hidden(name, value)));
            }
            Some(option) if option.kind == ValueKind::Many => {
                let values = layers.many(key).unwrap_or_default();
                texts.extend(values.iter().flat_map(|value| hidden_option(option, value)));
            }
            Some(option) => texts.extend(text().iter().flat_map(|text| hidden_option(option, text))),
            None => texts.extend(text().iter().flat_map(|text| secrets::hidden(key, text))),
        }
    }
    texts
}

/// An option's value as it may be shown.
pub fn masked_option(option: &OptionSpec, text: &str) -> String {
    match option.meaning {
        Meaning::SecretSpec => secrets::without_credentials(text),
        _ => masked(option.name, text),
    }
}

/// Every text of an option's value that [`masked_option`] leaves out.
fn hidden_option(option: &OptionSpec, text: &str) -> Vec<String> {
    match option.meaning {
        Meaning::SecretSpec => secrets::hidden_credentials(text),
        _ => secrets::hidden(option.name, text),
    }
}

/// The values of an option that is set, each with its place. `entry` is the one that counts.
fn values<'a>(
    layers: &'a Layers,
    option: &OptionSpec,
    entry: &'a Entry,
) -> Result<Vec<(String, &'a SetAt)>, ValueError> {
    let name = option.name;
    let placed = |value: String| (value, &entry.place);
    Ok(match option.kind {
        ValueKind::Flag => vec![placed(layers.flag(name)?.to_string())],
        ValueKind::Integer { .. } => {
            vec![placed(layers.integer(DEFAULT, name)?.map_or(String::new(), |number| number.to_string()))]
        }
        ValueKind::List => vec![placed(masked_option(option, &layers.list(DEFAULT, name)?.join(",")))],
        ValueKind::Dict => {
            let pairs = layers.dict(DEFAULT, name)?;
            let pairs: Vec<String> =
                pairs.iter().map(|(key, value)| format!("{key}:{}", masked(key, value))).collect();
            vec![placed(pairs.join(","))]
        }
        ValueKind::Many => {
            let entries =
                layers.entries().iter().filter(|entry| entry.section == DEFAULT && entry.key == name);
            let values = layers.many(name)?;
            let each = |(entry, value): (&'a Entry, String)| (masked_option(option, &value), &entry.place);
            entries.zip(values).map(each).collect()
        }
        ValueKind::Text | ValueKind::OptionalText { .. } | ValueKind::Choice(_) => {
            vec![placed(masked_option(option, &layers.text(DEFAULT, name)?.unwrap_or_default()))]
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::OPTIONS;

    #[test]
    fn the_place_of_a_secret_is_no_secret() {
        let option = OPTIONS.find("secret").expect("an option");
        let text = "id=token,src=x";
        assert_eq!(masked_option(option, text), text);
        assert_eq!(hidden_option(option, text), [""; 0]);
        // A build argument of this name is one.
        assert_eq!(masked("secret", text), "***");
    }
}
