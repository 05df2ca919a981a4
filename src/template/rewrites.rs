//! The functions and filters that [`crate::template::prelex`] puts into templates.

use std::collections::HashMap;

use minijinja::value::{Object, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};

use super::dict::SharedDict;
use super::environment::{TemplateOrigin, origin};
use super::limits;
use super::list::SharedList;
use super::lookups::SetAgain;

/// The function that `set` values go through at the top level of a template.
pub const BIND_TOP_LEVEL: &str = "__bind_top";
/// The function that other `set` values, arguments and loop variables go through.
pub const BIND: &str = "__bind";
/// The function that makes a list that can change.
pub const LIST: &str = "__list";
/// The function that makes a dict that can change.
pub const DICT: &str = "__dict";
/// The function and filter that what operations and filters make goes through, with the number of times that it was
/// copied on the way.
pub const MADE: &str = "__made";
/// The function that stands for `<`, `<=`, `>` and `>=`.
pub const COMPARE: &str = "__compare";
/// The function that operands of several comparisons at once go through.
pub const ORDERED: &str = "__ordered";
/// The function that what `%` is applied to goes through.
pub const NUMBER: &str = "__number";
/// The function that what a `for` goes over goes through.
pub const ITERABLE: &str = "__iterable";
/// The function that what is sliced goes through.
pub const SLICED: &str = "__sliced";
/// The function that arguments which may be undefined go through.
pub const PASSED: &str = "__passed";
/// The function that a template which is imported calls first.
pub const IMPORTED: &str = "__imported";

/// An argument that is there, and undefined: an argument that is not there would take its default.
#[derive(Debug)]
struct Undefined;

impl Object for Undefined {}

/// What an argument stands for.
pub fn argument(value: &Value) -> Value {
    if value.downcast_object_ref::<Undefined>().is_some() { Value::UNDEFINED } else { value.clone() }
}

/// What the templates of one image have set at their top level so far. Macros share it.
#[derive(Default)]
pub struct TopLevelSets {
    sets: HashMap<String, Vec<(usize, Value)>>,
    /// How many there have been.
    count: usize,
    /// For each template that was imported, how many there had been: its macros see no more.
    imported: HashMap<String, usize>,
}

impl TopLevelSets {
    /// The last value that a template sees under a name.
    pub fn seen_by(&self, template: &str, name: &str) -> Option<&Value> {
        let until = self.imported.get(template).copied().unwrap_or(usize::MAX);
        self.sets.get(name)?.iter().rev().find(|(number, _)| *number < until).map(|(_, value)| value)
    }

    fn add(&mut self, name: String, value: Value) {
        self.sets.entry(name).or_default().push((self.count, value));
        self.count += 1;
    }
}

/// Adds them all.
pub fn register(env: &mut Environment<'_>) {
    env.add_function(LIST, |state: &mut State, items: Value| {
        limits::count(state, &items)?;
        SharedList::bind(items)
    });
    env.add_function(DICT, |state: &mut State, items: Value| {
        limits::count(state, &items)?;
        SharedDict::new(&items).map(Value::from_object)
    });
    env.add_function(BIND, |state: &mut State, name: &str, value: Value| bind(state, name, value));
    env.add_function(
        BIND_TOP_LEVEL,
        |state: &mut State, name: String, value: Value| -> Result<Value, Error> {
            let value = bind(state, &name, value)?;
            state.get_or_insert_extension(TopLevelSets::default()).add(name, value.clone());
            Ok(value)
        },
    );
    env.add_function(MADE, |state: &mut State, value: Value, times: usize| -> Result<Value, Error> {
        limits::count_times(state, &value, times)?;
        SharedList::bind(value)
    });
    env.add_filter(MADE, |state: &mut State, value: Value, times: usize| {
        limits::count_times(state, &value, times).map(|()| value)
    });
    env.add_function(COMPARE, compare);
    env.add_function(ORDERED, |value: Value| ordered(&value, "<").map(|()| value));
    env.add_function(NUMBER, number);
    env.add_function(ITERABLE, iterable);
    env.add_function(SLICED, sliced);
    let passed = Value::from_object(Undefined);
    env.add_function(PASSED, move |value: Value| if value.is_undefined() { passed.clone() } else { value });
    env.add_function(IMPORTED, |state: &mut State| {
        let name = state.name().to_string();
        let sets = state.get_or_insert_extension(TopLevelSets::default());
        sets.imported.insert(name, sets.count);
        ""
    });
}

fn bind(state: &mut State, name: &str, value: Value) -> Result<Value, Error> {
    let value = argument(&value);
    limits::count(state, &value)?;
    if let TemplateOrigin::Tree(_) = origin(state.name())
        && state.get_extension::<TopLevelSets>().is_some_and(|sets| sets.sets.contains_key(name))
    {
        state.get_or_insert_extension(SetAgain::default()).0.insert(name.to_string());
    }
    SharedList::bind(value)
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// Whether a value has an order at all.
fn ordered(value: &Value, sign: &str) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Undefined => Err(Error::new(
            ErrorKind::UndefinedError,
            format!("{sign} compares nothing with an undefined value"),
        )),
        ValueKind::None | ValueKind::Map => Err(invalid(format!("{sign} can't compare a {}", value.kind()))),
        _ => Ok(()),
    }
}

/// Kinds of values that have an order among each other.
fn order_of(value: &Value) -> ValueKind {
    match value.kind() {
        ValueKind::Bool => ValueKind::Number,
        ValueKind::Iterable => ValueKind::Seq,
        kind => kind,
    }
}

/// Python compares only what is of a kind.
pub fn check_order(left: &Value, right: &Value, sign: &str) -> Result<(), Error> {
    ordered(left, sign)?;
    ordered(right, sign)?;
    if order_of(left) == order_of(right) {
        return Ok(());
    }
    Err(invalid(format!("{sign} can't compare a {} with a {}", left.kind(), right.kind())))
}

fn compare(sign: &str, left: Value, right: Value) -> Result<bool, Error> {
    check_order(&left, &right, sign)?;
    Ok(match sign {
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        _ => left >= right,
    })
}

fn number(value: Value) -> Result<Value, Error> {
    if value.as_str().is_none() {
        return Ok(value);
    }
    Err(invalid(
        "% formats no text here: instead of '%s' % x write '%s' | format(x), and '%s-%s' | format(x, y) for a tuple",
    ))
}

fn iterable(value: Value) -> Result<Value, Error> {
    if value.is_none() { Err(invalid("none has no items to go over")) } else { Ok(value) }
}

fn sliced(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined => Err(Error::new(ErrorKind::UndefinedError, "an undefined value has no parts")),
        ValueKind::None => Err(invalid("none has no parts")),
        _ => Ok(value),
    }
}

/// Arguments as what is called takes them.
pub fn arguments(args: &[Value]) -> Vec<Value> {
    args.iter().map(argument).collect()
}
