//! Filters and tests that Jinja2 has otherwise than MiniJinja.

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, filters};

use super::bounded_filters;
use super::methods::pad;

/// Adds the filters, tests and functions.
pub fn register(env: &mut Environment<'_>) {
    bounded_filters::register(env);
    env.add_filter("length", length);
    env.add_filter("count", length);
    env.add_filter("attr", attribute);
    env.add_filter("int", int);
    env.add_filter("float", float);
    env.add_test("sequence", is_sequence);
    env.add_filter(
        "first",
        |value: Value| if value.is_undefined() { Ok(value) } else { filters::first(&value) },
    );
    env.add_filter(
        "last",
        |value: Value| if value.is_undefined() { Ok(value) } else { filters::last(value) },
    );
    env.add_filter("center", |text: &str, width: Option<usize>| {
        pad(text, "center", width.unwrap_or(80), " ")
    });
    env.add_filter("wordcount", |text: &str| {
        text.split(|c: char| !is_word(c)).filter(|word| !word.is_empty()).count()
    });
    env.add_function("cycler", |items: Rest<Value>| minijinja_contrib::globals::cycler(items.0));
    env.add_function("joiner", minijinja_contrib::globals::joiner);
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// As in Python, where an undefined value has length 0.
fn length(value: Value) -> Result<usize, Error> {
    if value.is_undefined() {
        return Ok(0);
    }
    match value.len() {
        Some(len) => Ok(len),
        None => match value.kind() {
            ValueKind::Iterable => Ok(value.try_iter()?.count()),
            kind => {
                Err(Error::new(ErrorKind::InvalidOperation, format!("a value of type {kind} has no length")))
            }
        },
    }
}

/// Attributes are not items in Python: a dict's keys are out of its reach.
fn attribute(value: &Value, name: &str) -> Result<Value, Error> {
    if value.kind() == ValueKind::Map { Ok(Value::UNDEFINED) } else { value.get_attr(name) }
}

/// An undefined value is no number, and has no default.
fn refuse_undefined(value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, "an undefined value can't be made a number"));
    }
    Ok(())
}

/// The number that a value is; the default for what is none.
fn int(
    state: &State,
    value: &Value,
    default: Option<Value>,
    base: Option<u32>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let fallback = or_keyword(default, &kwargs, Value::from(0))?;
    refuse_undefined(value)?;
    let text = value.as_str().map(str::trim);
    // Python reads 1.5 as 1 here, and 0x1f with base 16.
    let value = match text {
        Some(text) => Value::from(text.trim_start_matches("0x")),
        None => value.clone(),
    };
    Ok(match filters::int(state, &value, Some(fallback.clone()), base, kwargs) {
        Ok(number) => number,
        Err(_) => match text.and_then(|text| text.parse::<f64>().ok()) {
            Some(number) => Value::from(number.trunc() as i64),
            None => fallback,
        },
    })
}

/// The number that a value is; the default for what is none.
fn float(state: &State, value: &Value, default: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    refuse_undefined(value)?;
    let fallback = or_keyword(default, &kwargs, Value::from(0.0))?;
    Ok(filters::float(state, value, Some(fallback.clone()), kwargs).unwrap_or(fallback))
}

fn or_keyword(default: Option<Value>, kwargs: &Kwargs, otherwise: Value) -> Result<Value, Error> {
    match default {
        Some(default) => Ok(default),
        None => Ok(kwargs.get::<Option<Value>>("default")?.unwrap_or(otherwise)),
    }
}

/// As in Jinja2: everything with a length and items, strings, mappings and undefined values included.
fn is_sequence(value: Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Undefined | ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable
    )
}
