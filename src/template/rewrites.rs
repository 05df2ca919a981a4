//! The functions and filters that `prelex` puts into templates.

use std::collections::HashMap;

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};

use super::arguments::{argument, passed, stand_in};
use super::limits;
use super::lookups::SetAgain;
use super::names::{
    BIND, BIND_TOP_LEVEL, COMPARE, DICT, IMPORTED, ITERABLE, LIST, MADE, NUMBER, ORDERED, PASSED, SLICED,
};
use super::order::{check_ordered, compare};
use super::origin::{TemplateOrigin, origin};
use super::shared::{SharedDict, SharedList};

/// Values that the templates of one image have set at their top level so far. Macros share them.
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

/// Adds the functions and filters.
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
    env.add_function(ORDERED, |value: Value| check_ordered(&value, "<").map(|()| value));
    env.add_function(NUMBER, number);
    env.add_function(ITERABLE, iterable);
    env.add_function(SLICED, sliced);
    let undefined = stand_in();
    env.add_function(PASSED, move |value: Value| passed(value, &undefined));
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
