//! Limits on what a template may make, beside the fuel and the recursion limit of the environment.
//!
//! Fuel counts instructions, and one instruction can make a text of a gigabyte. Checked are values where they get a name
//! (`set`, `for`, `with`, arguments), literals, lists that grow, what is printed or joined, and the filters that can
//! multiply what they are given. What all of these amount to in one image is limited too.

use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, filters};

use super::dict::SharedDict;
use super::list::SharedList;
use super::tags::{TagKind, operations, tags};

/// Bytes of one text. A Dockerfile has some thousand.
const MAX_TEXT: usize = 1 << 20;
/// Bytes of all text that one image's templates name, keep in lists and print.
const MAX_ALL_TEXT: usize = 256 << 20;
/// Items of one list.
pub const MAX_ITEMS: usize = 1_000_000;
/// Columns, decimals and counts that filters are asked for.
pub const MAX_WIDTH: usize = 100_000;
/// Lists within lists.
const MAX_NESTING: usize = 50;

/// Operations in one tag: parsing goes as deep as they do, whatever they are.
const MAX_OPERATIONS: usize = 200;

/// Bytes of text that one image's templates have made so far.
#[derive(Default)]
struct Made(usize);

/// The filter that what is joined goes through, with the number of times that its expression joins something: so many
/// times it may be copied.
pub const JOINED: &str = "__joined";

/// Counts a value that gets a name, is kept or printed; an error when there has been too much.
pub fn count(state: &mut State, value: &Value) -> Result<(), Error> {
    count_times(state, value, 1)
}

fn count_times(state: &mut State, value: &Value, times: usize) -> Result<(), Error> {
    let bytes = printed_length(value, MAX_ALL_TEXT).saturating_mul(times);
    let made = state.get_or_insert_extension(Made::default());
    made.0 = made.0.saturating_add(bytes);
    if made.0 > MAX_ALL_TEXT { Err(too_much(format!("text of over {MAX_ALL_TEXT} bytes"))) } else { Ok(()) }
}

/// Bytes that a value takes in print, roughly; counted no further than `most`.
fn printed_length(value: &Value, most: usize) -> usize {
    if let Some(text) = value.as_str() {
        return text.len();
    }
    let mut length = 1;
    if matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable)
        && let Ok(items) = value.try_iter()
    {
        let is_map = value.kind() == ValueKind::Map;
        for item in items {
            if length > most {
                break;
            }
            length += printed_length(&item, most);
            if is_map && let Ok(held) = value.get_item(&item) {
                length += printed_length(&held, most);
            }
        }
    }
    length
}

/// Refuses a template with a tag of more operations than can be parsed.
pub fn check_tags(source: &str) -> Result<(), Error> {
    let deep = tags(source).find(|tag| operations(tag.text) > MAX_OPERATIONS);
    match deep {
        Some(tag) if !matches!(tag.kind, TagKind::Comment | TagKind::Raw) => {
            let line = source[..tag.start].matches('\n').count() + 1;
            let what = too_much(format!("an expression of over {MAX_OPERATIONS} operations"));
            Err(Error::new(ErrorKind::SyntaxError, format!("line {line}: {what}")))
        }
        _ => Ok(()),
    }
}

/// An error about something that has become too big.
pub fn too_much(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("{what} is more than a template may make"))
}

/// Adds the filter of what is joined, and puts those that can multiply what they are given behind a check of their
/// arguments.
pub fn register(env: &mut Environment<'_>) {
    env.add_filter(JOINED, |state: &mut State, value: Value, times: usize| {
        count_times(state, &value, times).map(|()| value)
    });
    env.add_filter("__batch", filters::batch);
    env.add_filter("__format", filters::format);
    env.add_filter("__indent", filters::indent);
    env.add_filter("__join", filters::join);
    env.add_filter("__pprint", filters::pprint);
    env.add_filter("__string", filters::string);
    env.add_filter("__tojson", filters::tojson);
    env.add_filter("__list", filters::list);
    env.add_filter("__replace", filters::replace);
    env.add_filter("__round", filters::round);
    env.add_filter("__slice", filters::slice);
    for (name, unchecked) in [
        ("batch", "__batch"),
        ("format", "__format"),
        ("indent", "__indent"),
        ("join", "__join"),
        ("pprint", "__pprint"),
        ("string", "__string"),
        ("tojson", "__tojson"),
        ("list", "__list"),
        ("replace", "__replace"),
        ("round", "__round"),
        ("slice", "__slice"),
    ] {
        env.add_filter(name, move |state: &mut State, args: Rest<ValueOrKwargs>| {
            let args = args.into_values();
            check_arguments(name, &args)?;
            state.apply_filter(unchecked, &args)
        });
    }
}

fn check_arguments(name: &str, args: &[Value]) -> Result<(), Error> {
    match (name, args) {
        ("list", [value, ..]) => items(value).map(drop),
        ("join", [items, by @ ..]) => {
            check_joined(items, by.first().and_then(Value::as_str).unwrap_or_default())
        }
        ("pprint" | "string" | "tojson", [value, ..]) => check_printed(value),
        ("format", [text, args @ ..]) => check_format(text.as_str().unwrap_or_default(), args),
        ("replace", [text, _, to, ..]) => check_replaced(&text.to_string(), &to.to_string()),
        (_, args) => args.iter().skip(1).try_for_each(check_width),
    }
}

/// A text that is given a name.
pub fn check_text(value: &Value) -> Result<(), Error> {
    match value.as_str() {
        Some(text) if text.len() > MAX_TEXT => Err(too_much(format!("a text of {} bytes", text.len()))),
        _ => Ok(()),
    }
}

/// Something that is made into a text.
fn check_printed(value: &Value) -> Result<(), Error> {
    let length = printed_length(value, MAX_TEXT);
    if length > MAX_TEXT { Err(too_much(format!("a text of over {MAX_TEXT} bytes"))) } else { Ok(()) }
}

/// Items that are made into a text with another between them.
pub fn check_joined(items: &Value, by: &str) -> Result<(), Error> {
    let Ok(iter) = items.try_iter() else { return Ok(()) };
    let mut length = 0;
    for item in iter {
        length += printed_length(&item, MAX_TEXT) + by.len();
        if length > MAX_TEXT + by.len() {
            return Err(too_much(format!("a text of over {MAX_TEXT} bytes")));
        }
    }
    Ok(())
}

/// The items of anything that has some.
pub fn items(value: &Value) -> Result<Vec<Value>, Error> {
    let items: Vec<Value> = value.try_iter()?.take(MAX_ITEMS + 1).collect();
    if items.len() > MAX_ITEMS {
        Err(too_much(format!("a list of over {MAX_ITEMS} items")))
    } else {
        Ok(items)
    }
}

/// Text in which each character may be replaced.
pub fn check_replaced(text: &str, to: &str) -> Result<(), Error> {
    match text.len().checked_mul(to.len().max(1)) {
        Some(bytes) if bytes <= MAX_TEXT => Ok(()),
        _ => Err(too_much(format!("a text of {} bytes", text.len().saturating_mul(to.len())))),
    }
}

/// Widths and precisions stand in the text of a format, or are arguments where it says `*`.
pub fn check_format(text: &str, args: &[Value]) -> Result<(), Error> {
    let numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    for digits in numbers {
        if !digits.parse().is_ok_and(|width: usize| width <= MAX_WIDTH) {
            return Err(too_much(format!("a width of {digits}")));
        }
    }
    if text.contains('*') { args.iter().try_for_each(check_width) } else { Ok(()) }
}

fn check_width(value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Number if i64::try_from(value.clone()).map_or(true, |n| n > MAX_WIDTH as i64) => {
            Err(too_much(format!("a width of {value}")))
        }
        // Keyword arguments come as one value.
        ValueKind::Map => value.try_iter()?.try_for_each(|key| check_width(&value.get_item(&key)?)),
        _ => Ok(()),
    }
}

/// How deep a list or dict is inside of others, at least.
#[derive(Debug, Default)]
pub struct Level(AtomicUsize);

/// Refuses a value that would become part of itself, or lists within lists without end: printing, comparing and
/// dropping them would go as deep as they do.
pub fn check_insertion(container: &Level, value: &Value) -> Result<(), Error> {
    check_nesting(container, value, container.0.load(Ordering::Relaxed) + 1)
}

fn check_nesting(container: &Level, value: &Value, level: usize) -> Result<(), Error> {
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Map) {
        return Ok(());
    }
    if level > MAX_NESTING {
        return Err(too_much(format!("{MAX_NESTING} lists within each other")));
    }
    let list = value.downcast_object::<SharedList>();
    let dict = value.downcast_object::<SharedDict>();
    let held = list.as_deref().map(SharedList::level).or(dict.as_deref().map(SharedDict::level));
    if let Some(held) = held {
        if std::ptr::eq(held, container) {
            return Err(Error::new(ErrorKind::InvalidOperation, "a list or dict can't be put into itself"));
        }
        held.0.fetch_max(level, Ordering::Relaxed);
    }
    for item in value.try_iter()? {
        let item = if value.kind() == ValueKind::Map { value.get_item(&item)? } else { item };
        check_nesting(container, &item, level + 1)?;
    }
    Ok(())
}
