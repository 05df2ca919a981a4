//! Arguments of Ansible's modules: which there are, and their values as Ansible converts them [pure].

use serde_json::{Map, Value};

use super::failed::ModuleFailure;
use crate::run::python::scalar_text;
use crate::util::nearest;

/// Type that an argument's value is converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentType {
    /// A text; numbers and truth values count as the text that Python writes.
    Text,
    /// True or false, in any of the words for them.
    Truth,
    /// A whole number, or a text that is one.
    Whole,
    /// A list, or a text with commas.
    List,
    /// A mapping, or a text that is one in JSON.
    Mapping,
}

/// An argument of a module.
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// Key of it.
    pub name: &'static str,
    /// Type that its value is converted to.
    pub kind: ArgumentType,
    /// The only values that there are; empty for any.
    pub choices: &'static [&'static str],
    /// True for one that has to be there.
    pub required: bool,
}

impl Argument {
    /// An argument that may be missing, and have any value of its type.
    pub const fn new(name: &'static str, kind: ArgumentType) -> Argument {
        Argument { name, kind, choices: &[], required: false }
    }

    /// The same with these values alone.
    pub const fn one_of(self, choices: &'static [&'static str]) -> Argument {
        Argument { choices, ..self }
    }

    /// The same, which has to be there.
    pub const fn required(self) -> Argument {
        Argument { required: true, ..self }
    }

    fn convert(&self, value: &Value) -> Result<Value, ModuleFailure> {
        let converted = match self.kind {
            ArgumentType::Text => scalar_text(value).map(Value::from),
            ArgumentType::Truth => truth(value).map(Value::from),
            ArgumentType::Whole => whole(value).map(Value::from),
            ArgumentType::List => list(value).map(Value::from),
            ArgumentType::Mapping => mapping(value).map(Value::from),
        };
        let wrong = |reason: String| ModuleFailure::new(format!("argument '{}': {reason}", self.name));
        // A value may be a secret, and is not repeated.
        let converted = converted.ok_or_else(|| wrong(format!("its value is no {}", self.type_name())))?;
        let text = converted.as_str().unwrap_or_default();
        match self.choices.is_empty() || self.choices.contains(&text) {
            true => Ok(converted),
            false => Err(ModuleFailure::new(format!(
                "value of {} must be one of: {}, got: {text}",
                self.name,
                self.choices.join(", ")
            ))),
        }
    }

    fn type_name(&self) -> &'static str {
        match self.kind {
            ArgumentType::Text => "text",
            ArgumentType::Truth => "truth value",
            ArgumentType::Whole => "whole number",
            ArgumentType::List => "list",
            ArgumentType::Mapping => "mapping",
        }
    }
}

/// Converts the arguments of a module. Those that are missing or null are left out.
///
/// # Errors
/// There is none of that name, one that is required is missing, or a value is not of its type.
pub fn convert(
    module: &str,
    known: &[Argument],
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, ModuleFailure> {
    let mut converted = Map::new();
    for (name, value) in given.iter().filter(|(name, _)| !name.starts_with(INTERNAL)) {
        let Some(argument) = known.iter().find(|argument| argument.name == name) else {
            let unknown = nearest::unknown_name("argument", name, known.iter().map(|known| known.name));
            return Err(ModuleFailure::new(format!("{module}: {unknown}")));
        };
        if !value.is_null() {
            converted.insert(name.clone(), argument.convert(value)?);
        }
    }
    let missing: Vec<&str> = known
        .iter()
        .filter(|argument| argument.required && !converted.contains_key(argument.name))
        .map(|argument| argument.name)
        .collect();
    match missing.is_empty() {
        true => Ok(converted),
        false => Err(ModuleFailure::new(format!("missing required arguments: {}", missing.join(", ")))),
    }
}

/// Beginning of the keys by which Ansible tells modules how it was called.
const INTERNAL: &str = "_ansible_";

fn truth(value: &Value) -> Option<bool> {
    match scalar_text(value)?.to_lowercase().trim() {
        "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => Some(true),
        "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => Some(false),
        _ => None,
    }
}

/// A whole number, or a text that is one.
pub fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn list(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items.clone()),
        Value::String(text) => Some(text.split(',').map(Value::from).collect()),
        Value::Number(number) => Some(vec![Value::from(number.to_string())]),
        _ => None,
    }
}

fn mapping(value: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map.clone()),
        // An empty text is how templates write that there is nothing.
        Value::String(text) if text.trim().is_empty() => Some(Map::new()),
        Value::String(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KNOWN: [Argument; 5] = [
        Argument::new("name", ArgumentType::Text).required(),
        Argument::new("detach", ArgumentType::Truth),
        Argument::new("retries", ArgumentType::Whole),
        Argument::new("caps", ArgumentType::List),
        Argument::new("mode", ArgumentType::Text).one_of(&["", "host"]),
    ];

    fn converted(given: &Value) -> Result<Value, String> {
        let given = given.as_object().expect("a mapping");
        convert("m", &KNOWN, given).map(Value::from).map_err(|failure| failure.message)
    }

    #[test]
    fn values_are_converted_as_ansible_does() {
        let given = json!({
            "name": 5, "detach": "Yes", "retries": "10", "caps": "A,B", "mode": "", "_ansible_diff": true
        });
        let expected = json!({"name": "5", "detach": true, "retries": 10, "caps": ["A", "B"], "mode": ""});
        assert_eq!(converted(&given), Ok(expected));
        assert_eq!(converted(&json!({"name": true, "caps": null})), Ok(json!({"name": "True"})));
    }

    #[test]
    fn what_can_not_be_used_is_told_by_its_name_and_never_repeated() {
        for (given, told) in [
            (json!({}), "missing required arguments: name"),
            (json!({"name": "x", "detache": 1}), "m: unknown argument 'detache': did you mean 'detach'?"),
            (json!({"name": "x", "retries": "s3cret"}), "argument 'retries': its value is no whole number"),
            (json!({"name": ["s3cret"]}), "argument 'name': its value is no text"),
            (json!({"name": "x", "mode": "hots"}), "value of mode must be one of: , host, got: hots"),
        ] {
            assert_eq!(converted(&given), Err(told.to_string()), "{given}");
        }
    }
}
