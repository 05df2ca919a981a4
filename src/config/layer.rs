//! Layers of configuration: every value as it was written, where it was written, and which one counts.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use super::options::{self, Kind};

/// The section that holds the program's own options.
pub const DEFAULT: &str = "DEFAULT";

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The program's own build.toml.
    BuiltIn,
    /// Worked out from other values.
    Derived,
    /// A configuration file, with the line when the format tells it.
    File(PathBuf, Option<usize>),
    /// The command line.
    CommandLine,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::BuiltIn => f.write_str("built in"),
            Place::Derived => f.write_str("derived"),
            Place::File(path, Some(line)) => write!(f, "{}:{line}", path.display()),
            Place::File(path, None) => write!(f, "{}", path.display()),
            Place::CommandLine => f.write_str("command line"),
        }
    }
}

/// One value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its section; [`DEFAULT`] for options.
    pub section: String,
    /// Its key.
    pub key: String,
    /// Its text, before interpolation.
    pub text: String,
    /// Where it was written.
    pub place: Place,
}

/// A value that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ValueError {
    /// Where it was written.
    pub place: Place,
    /// Its section.
    pub section: String,
    /// Its key.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ValueError { place, section, key, reason } = self;
        match (place, options::find(key)) {
            (Place::CommandLine, Some(option)) => write!(f, "--{}: {reason}", option.long()),
            _ => write!(f, "{place}: [{section}] {key}: {reason}"),
        }
    }
}

/// Every entry of every layer, the least important first.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    entries: Vec<Entry>,
}

/// How deep a value may refer to values that refer to values.
const MAX_INTERPOLATIONS: usize = 16;

impl Layers {
    /// Adds a layer that counts more than all before it.
    pub fn push(&mut self, layer: impl IntoIterator<Item = Entry>) {
        self.entries.extend(layer);
    }

    /// Puts a layer below all others.
    pub fn push_below(&mut self, layer: impl IntoIterator<Item = Entry>) {
        self.entries.splice(0..0, layer);
    }

    /// Forgets the sources that the program brings along, when a tree brings its own.
    pub fn remove_built_in_sources(&mut self) {
        let is_source = |entry: &Entry| {
            entry.place == Place::BuiltIn
                && entry.section != DEFAULT
                && !entry.section.ends_with("-user")
                && options::SOURCE_KEYS.contains(&entry.key.as_str())
        };
        self.entries.retain(|entry| !is_source(entry));
    }

    /// Every entry, the least important first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The names of all sections.
    pub fn sections(&self) -> BTreeSet<&str> {
        self.entries.iter().map(|entry| entry.section.as_str()).collect()
    }

    /// The entry that counts.
    pub fn entry(&self, section: &str, key: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.section == section && entry.key == key)
    }

    /// A value's text after interpolation.
    pub fn text(&self, section: &str, key: &str) -> Result<Option<String>, ValueError> {
        self.entry(section, key).map(|entry| self.interpolate(entry, 0)).transpose()
    }

    /// An option's text; an empty one counts as not given.
    pub fn option(&self, key: &str) -> Result<Option<String>, ValueError> {
        Ok(self.text(DEFAULT, key)?.filter(|text| !text.is_empty()))
    }

    /// A whole number.
    pub fn integer(&self, section: &str, key: &str) -> Result<Option<i64>, ValueError> {
        self.parsed(section, key, |text| {
            let number: i64 = text.trim().parse().map_err(|_| format!("'{text}' is not a whole number"))?;
            match options::find(key).map(|option| option.kind) {
                Some(Kind::Integer { min }) if section == DEFAULT && number < min => {
                    Err(format!("{number} is too small: at least {min}"))
                }
                _ => Ok(number),
            }
        })
    }

    /// A switch; false when it is nowhere given.
    pub fn flag(&self, key: &str) -> Result<bool, ValueError> {
        Ok(self.flag_in(DEFAULT, key)?.unwrap_or(false))
    }

    /// A switch of any section.
    pub fn flag_in(&self, section: &str, key: &str) -> Result<Option<bool>, ValueError> {
        self.parsed(section, key, |text| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" | "yes" => Ok(true),
            "false" | "0" | "off" | "no" => Ok(false),
            _ => Err(format!("'{text}' is neither true nor false (true/false, yes/no, on/off, 1/0)")),
        })
    }

    /// A word out of a few.
    pub fn choice(&self, key: &str) -> Result<Option<String>, ValueError> {
        self.parsed(DEFAULT, key, |text| match options::find(key).map(|option| option.kind) {
            Some(Kind::Choice(words)) if !words.contains(&text) => {
                Err(format!("'{text}' is not one of {}", words.join(", ")))
            }
            _ => Ok(text.to_string()),
        })
    }

    /// A list, written with commas; empty when it is nowhere given.
    pub fn list(&self, section: &str, key: &str) -> Result<Vec<String>, ValueError> {
        let text = self.text(section, key)?.unwrap_or_default();
        Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_string).collect())
    }

    /// Pairs, written `key:value,key:value`; a part without a colon belongs to the value before it.
    pub fn dict(&self, section: &str, key: &str) -> Result<Vec<(String, String)>, ValueError> {
        let pairs = self.parsed(section, key, |text| {
            let mut pairs: Vec<(String, String)> = Vec::new();
            for part in text.split(',').filter(|_| !text.trim().is_empty()) {
                match part.split_once(':') {
                    Some((key, value)) => pairs.push((key.trim().to_string(), value.trim().to_string())),
                    None => match pairs.last_mut() {
                        Some((_, value)) => {
                            value.push(',');
                            value.push_str(part);
                        }
                        None => return Err(format!("'{part}' is not written key:value")),
                    },
                }
            }
            Ok(pairs)
        })?;
        Ok(pairs.unwrap_or_default())
    }

    /// Every value of an option that may be repeated: those of files in order, then those of the command line.
    pub fn many(&self, key: &str) -> Result<Vec<String>, ValueError> {
        self.entries
            .iter()
            .filter(|entry| entry.section == DEFAULT && entry.key == key)
            .map(|entry| self.interpolate(entry, 0))
            .collect()
    }

    fn parsed<T>(
        &self,
        section: &str,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ValueError> {
        let Some(entry) = self.entry(section, key) else { return Ok(None) };
        let text = self.interpolate(entry, 0)?;
        parse(&text).map(Some).map_err(|reason| value_error(entry, reason))
    }

    /// Replaces `$name`, `${name}` and `${section.name}` by those values, looked for in the entry's own section, then
    /// among the options; `$$` is a dollar sign. An option without a value gives nothing.
    fn interpolate(&self, entry: &Entry, depth: usize) -> Result<String, ValueError> {
        if !entry.text.contains('$') {
            return Ok(entry.text.clone());
        }
        if depth == MAX_INTERPOLATIONS {
            return Err(value_error(entry, "its references go in a circle".to_string()));
        }
        let mut out = String::new();
        let mut rest = entry.text.as_str();
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let (name, used) = match rest.as_bytes().first() {
                Some(b'$') => {
                    out.push('$');
                    rest = &rest[1..];
                    continue;
                }
                Some(b'{') => match rest.find('}') {
                    Some(end) => (&rest[1..end], end + 1),
                    None => ("", 0),
                },
                _ => {
                    let end =
                        rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                    (&rest[..end], end)
                }
            };
            if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
                out.push('$');
                continue;
            }
            out.push_str(&self.referred(entry, name, depth)?);
            rest = &rest[used..];
        }
        out.push_str(rest);
        Ok(out)
    }

    fn referred(&self, entry: &Entry, name: &str, depth: usize) -> Result<String, ValueError> {
        let (section, key) = name.split_once('.').unwrap_or((&entry.section, name));
        let found = self.entry(section, key).or_else(|| self.entry(DEFAULT, name));
        match found {
            Some(found) => self.interpolate(found, depth + 1),
            None if options::find(name).is_some() || options::SOURCE_KEYS.contains(&name) => {
                Ok(String::new())
            }
            None => Err(value_error(entry, format!("${name} refers to an option that does not exist"))),
        }
    }
}

/// An error about an entry.
pub fn value_error(entry: &Entry, reason: String) -> ValueError {
    ValueError { place: entry.place.clone(), section: entry.section.clone(), key: entry.key.clone(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(entries: &[(&str, &str, &str)]) -> Layers {
        let mut layers = Layers::default();
        layers.push(entries.iter().map(|(section, key, text)| Entry {
            section: section.to_string(),
            key: key.to_string(),
            text: text.to_string(),
            place: Place::CommandLine,
        }));
        layers
    }

    #[test]
    fn the_last_scalar_wins_and_multi_values_gather() {
        let layers = layers(&[
            (DEFAULT, "tag", "a"),
            (DEFAULT, "tag", "b"),
            (DEFAULT, "profile", "x"),
            (DEFAULT, "profile", "y"),
        ]);
        assert_eq!(layers.option("tag"), Ok(Some("b".to_string())));
        assert_eq!(layers.many("profile"), Ok(vec!["x".to_string(), "y".to_string()]));
    }

    #[test]
    fn references_look_in_their_section_first() {
        let layers = layers(&[
            (DEFAULT, "tag", "T"),
            (DEFAULT, "version", "wrong"),
            ("etcd", "version", "3"),
            ("etcd", "location", "$$x/${version}/$tag/${etcd.version}/$registry/$1"),
        ]);
        assert_eq!(layers.text("etcd", "location"), Ok(Some("$x/3/T/3//$1".to_string())));
    }

    #[test]
    fn circles_and_unknown_names_are_errors() {
        let layers = layers(&[
            (DEFAULT, "tag", "$namespace"),
            (DEFAULT, "namespace", "$tag"),
            (DEFAULT, "registry", "$nope"),
        ]);
        assert!(layers.option("tag").expect_err("circle").reason.contains("circle"));
        assert!(layers.option("registry").expect_err("unknown").reason.contains("$nope"));
    }

    #[test]
    fn typed_values() {
        let layers = layers(&[
            (DEFAULT, "push", "Yes"),
            (DEFAULT, "threads", "0"),
            (DEFAULT, "base", "centos"),
            (DEFAULT, "build_args", "A:1,B:x:y,z"),
            (DEFAULT, "allowed_to_fail", "a, b,"),
        ]);
        assert_eq!(layers.flag("push"), Ok(true));
        assert_eq!(layers.flag("pull"), Ok(false));
        assert_eq!(
            layers.integer(DEFAULT, "threads").expect_err("too small").reason,
            "0 is too small: at least 1"
        );
        assert_eq!(
            layers.choice("base").expect_err("unknown").to_string(),
            "--base: 'centos' is not one of debian, rocky, ubuntu"
        );
        let pair = |key: &str, value: &str| (key.to_string(), value.to_string());
        assert_eq!(layers.dict(DEFAULT, "build_args"), Ok(vec![pair("A", "1"), pair("B", "x:y,z")]));
        assert_eq!(layers.list(DEFAULT, "allowed_to_fail"), Ok(vec!["a".to_string(), "b".to_string()]));
    }
}
