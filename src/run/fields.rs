//! Reading a mapping of a stack key by key, so that a key that nobody asks for is told [pure].

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::units;
use crate::util::nearest;

/// A key that is missing or has a value that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Nothing goes by it.
    #[error("{}", nearest::unknown_name("key", key, known.iter().copied()))]
    Unknown {
        /// Name of the key.
        key: String,
        /// Those that mean something.
        known: Vec<&'static str>,
    },
    /// A required key that is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A key with a value that can't be used.
    #[error("{key}: {reason}")]
    Unfit {
        /// Name of the key.
        key: &'static str,
        /// Why the value can't be used.
        reason: String,
    },
}

/// A mapping, and the keys that were asked for.
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

/// An error about what stands under a key.
pub fn unfit(key: &'static str, reason: impl fmt::Display) -> FieldError {
    FieldError::Unfit { key, reason: reason.to_string() }
}

impl<'a> Fields<'a> {
    /// Begins to read a mapping, no key of which has been read.
    pub fn new(map: &'a Map<String, Value>) -> Fields<'a> {
        Fields { map, known: Vec::new() }
    }

    /// The value of a key; nothing and `null` are the same.
    pub fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// A text. Numbers and truth values count as the text that they are written as.
    pub fn text(&mut self, key: &'static str) -> Result<Option<String>, FieldError> {
        let text = |value| scalar(value).ok_or_else(|| unfit(key, format!("{} is no text", shown(value))));
        Ok(self.value(key).map(text).transpose()?.filter(|text| !text.is_empty()))
    }

    /// Reads true or false; the default of a missing key.
    pub fn flag(&mut self, key: &'static str, default: bool) -> Result<bool, FieldError> {
        let Some(value) = self.value(key) else { return Ok(default) };
        match scalar(value).map(|text| text.to_lowercase()).as_deref() {
            Some("true" | "yes") => Ok(true),
            Some("false" | "no") => Ok(false),
            _ => Err(unfit(key, format!("{} is neither true nor false", shown(value)))),
        }
    }

    /// Reads a whole number; none of a missing key.
    pub fn number(&mut self, key: &'static str) -> Result<Option<i64>, FieldError> {
        let number = |value| {
            let number = scalar(value).and_then(|text| text.trim().parse().ok());
            number.ok_or_else(|| unfit(key, format!("{} is no whole number", shown(value))))
        };
        self.value(key).map(number).transpose()
    }

    /// A number of bytes, which may have a unit.
    pub fn size(&mut self, key: &'static str) -> Result<Option<i64>, FieldError> {
        let bytes = |value| {
            let bytes = scalar(value).and_then(|text| units::size(&text));
            bytes.ok_or_else(|| unfit(key, format!("{} is no size (1024, 512m, 2g)", shown(value))))
        };
        self.value(key).map(bytes).transpose()
    }

    /// Reads a duration, in seconds or as `1m30s`; none of a missing key.
    pub fn duration(&mut self, key: &'static str) -> Result<Option<Duration>, FieldError> {
        let duration = |value| {
            let duration = scalar(value).and_then(|text| units::duration(&text));
            duration.ok_or_else(|| unfit(key, format!("{} is no duration (30, 5h34m56s)", shown(value))))
        };
        self.value(key).map(duration).transpose()
    }

    /// Texts; a single one counts as a list of one. Empty ones are left out.
    pub fn list(&mut self, key: &'static str) -> Result<Vec<String>, FieldError> {
        let items = match self.value(key) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items.iter().collect(),
            Some(single) => vec![single],
        };
        let text = |value| scalar(value).ok_or_else(|| unfit(key, format!("{} is no text", shown(value))));
        let texts = items.into_iter().filter(|item| !item.is_null()).map(text);
        texts.filter(|text| text.as_ref().map_or(true, |text| !text.is_empty())).collect()
    }

    /// The words of a command: a list, or a text that is split as a shell does.
    pub fn command(&mut self, key: &'static str) -> Result<Vec<String>, FieldError> {
        match self.value(key) {
            Some(Value::String(line)) => units::words(line).map_err(|reason| unfit(key, reason)),
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                let word =
                    |item| scalar(item).ok_or_else(|| unfit(key, format!("{} is no text", shown(item))));
                items.iter().map(word).collect()
            }
            Some(other) => Err(unfit(key, format!("{} is neither a text nor a list", shown(other)))),
        }
    }

    /// Names with values: a mapping, or a list of `NAME=VALUE`. A name alone has none.
    pub fn pairs(&mut self, key: &'static str) -> Result<Vec<(String, Option<String>)>, FieldError> {
        match self.value(key) {
            None => Ok(Vec::new()),
            Some(Value::Object(map)) => {
                let pair = |(name, value): (&String, &Value)| match value {
                    Value::Null => Ok((name.clone(), None)),
                    value => scalar(value)
                        .map(|text| (name.clone(), Some(text)))
                        .ok_or_else(|| unfit(key, format!("the value of {name} is no text"))),
                };
                map.iter().map(pair).collect()
            }
            Some(_) => {
                self.known.pop();
                let pairs = self.list(key)?.into_iter().map(|item| match item.split_once('=') {
                    Some((name, value)) => (name.to_string(), Some(value.to_string())),
                    None => (item, None),
                });
                Ok(pairs.collect())
            }
        }
    }

    /// Says that a key may be there, and means nothing here.
    pub fn ignore(&mut self, key: &'static str) {
        self.known.push(key);
    }

    /// Refuses the first key that nobody has asked for.
    pub fn finish(self) -> Result<(), FieldError> {
        match self.map.keys().find(|key| !self.known.contains(&key.as_str())) {
            Some(key) => Err(FieldError::Unknown { key: key.clone(), known: self.known }),
            None => Ok(()),
        }
    }
}

/// The text of a value that is one.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// A value as an error shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{text}'"),
        Value::Array(_) => "a list".to_string(),
        Value::Object(_) => "a mapping".to_string(),
        other => other.to_string(),
    }
}
