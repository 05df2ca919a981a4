//! Values as Python sees and writes them, which paunch and kolla-ansible are written in [pure].

use std::fmt::Write;

use serde_json::Value;

use crate::config::value::python_text;

/// Spaces that each level of indented JSON stands further in.
const INDENT: usize = 4;

/// True for what Python takes for true.
pub fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// True for values that Python calls equal: numbers by their size, where true is 1, and mappings in any order.
pub fn are_equal(one: &Value, other: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        value => value.as_f64(),
    };
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| are_equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let in_other = |(key, value): (&String, &Value)| {
                other.get(key).is_some_and(|other_value| are_equal(value, other_value))
            };
            one.len() == other.len() && one.iter().all(in_other)
        }
        _ => {
            one == other
                || matches!((number(one), number(other)), (Some(one), Some(other)) if one.total_cmp(&other).is_eq())
        }
    }
}

/// A value put into a text.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => shown(value),
    }
}

/// The text of a value that is one, or a number or truth value; none of any other.
pub fn scalar_text(value: &Value) -> Option<String> {
    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_)).then(|| text(value))
}

/// A value inside another one that is put into a text.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "None".to_string(),
        Value::Bool(true) => "True".to_string(),
        Value::Bool(false) => "False".to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => python_text(text),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, value)| format!("{}: {}", python_text(key), shown(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

/// JSON on one line, with blanks after its colons and commas and in ASCII, as labels have it.
pub fn json(value: &Value) -> String {
    let mut out = String::new();
    write_json(&mut out, value, None);
    out
}

/// The same on several lines.
pub fn indented_json(value: &Value) -> String {
    let mut out = String::new();
    write_json(&mut out, value, Some(0));
    out
}

/// `level` is how far in the value stands; none for everything on one line.
fn write_json(out: &mut String, value: &Value, level: Option<usize>) {
    match value {
        Value::String(text) => write_text(out, text),
        Value::Array(items) => {
            let items = items.iter().map(|item| (None, item));
            write_items(out, ['[', ']'], items, level);
        }
        Value::Object(map) => {
            let items = map.iter().map(|(key, item)| (Some(key.as_str()), item));
            write_items(out, ['{', '}'], items, level);
        }
        value => _ = write!(out, "{value}"),
    }
}

fn write_items<'a>(
    out: &mut String,
    [open, close]: [char; 2],
    items: impl ExactSizeIterator<Item = (Option<&'a str>, &'a Value)>,
    level: Option<usize>,
) {
    let (count, inside) = (items.len(), level.map(|level| level + 1));
    out.push(open);
    for (number, (key, item)) in items.enumerate() {
        match inside {
            Some(level) => {
                out.push_str(if number > 0 { ",\n" } else { "\n" });
                out.push_str(&" ".repeat(level * INDENT));
            }
            None if number > 0 => out.push_str(", "),
            None => {}
        }
        if let Some(key) = key {
            write_text(out, key);
            out.push_str(": ");
        }
        write_json(out, item, inside);
    }
    if let Some(level) = level.filter(|_| count > 0) {
        out.push('\n');
        out.push_str(&" ".repeat(level * INDENT));
    }
    out.push(close);
}

fn write_text(out: &mut String, text: &str) {
    for c in Value::from(text).to_string().chars() {
        if c.is_ascii() && c != '\x7f' {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_those_that_python_prints() {
        for (value, expected) in [
            (json!("it's"), "it's"),
            (json!(true), "True"),
            (json!(null), "None"),
            (json!(1.5), "1.5"),
            (json!(["it's", 1, false]), "[\"it's\", 1, False]"),
            (json!({"a": null}), "{'a': None}"),
        ] {
            assert_eq!(text(&value), expected);
        }
    }

    #[test]
    fn nothing_zero_and_what_is_empty_is_false() {
        for value in [json!(null), json!(false), json!(0), json!(0.0), json!(""), json!([]), json!({})] {
            assert!(!is_true(&value), "{value}");
        }
        for value in [json!(true), json!(-1), json!("false"), json!([0]), json!({"a": 0})] {
            assert!(is_true(&value), "{value}");
        }
    }

    #[test]
    fn equal_is_what_python_calls_so() {
        for (one, other, expected) in [
            (json!({"a": 1, "b": [true]}), json!({"b": [1], "a": 1.0}), true),
            (json!({"a": 1}), json!({"a": "1"}), false),
            (json!({"a": 1}), json!({"a": 1, "b": null}), false),
            (json!([1, 2]), json!([2, 1]), false),
            (json!(null), json!(0), false),
        ] {
            assert_eq!(are_equal(&one, &other), expected, "{one} {other}");
        }
    }

    #[test]
    fn json_is_that_of_python() {
        let value = json!({"a": ["é\n\u{1f600}", 1, 1.5, true, null], "b": {}, "c": []});
        let expected = r#"{"a": ["\u00e9\n\ud83d\ude00", 1, 1.5, true, null], "b": {}, "c": []}"#;
        assert_eq!(json(&value), expected);
        let expected = "{\n    \"a\": [\n        1\n    ],\n    \"b\": {}\n}";
        assert_eq!(indented_json(&json!({"a": [1], "b": {}})), expected);
    }
}
