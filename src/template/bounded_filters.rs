//! Filters that can multiply what they are given, each behind a check of its arguments.

use minijinja::value::{Rest, Value, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, filters};

use super::limits::{
    MAX_NESTING, MAX_TEXT, VALUE_BYTES, check_format, check_joined, check_length, check_printed,
    check_replaced, check_width, items, size, widest,
};
use super::order::check_order;

/// Adds the bounded filters.
pub fn register(env: &mut Environment<'_>) {
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
    env.add_filter("__urlencode", filters::urlencode);
    env.add_filter("__sort", filters::sort);
    env.add_filter("__min", filters::min);
    env.add_filter("__max", filters::max);
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
        ("urlencode", "__urlencode"),
        ("sort", "__sort"),
        ("min", "__min"),
        ("max", "__max"),
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
        ("list" | "join", [value, ..]) if value.is_none() => {
            Err(Error::new(ErrorKind::InvalidOperation, format!("none has no items for {name}")))
        }
        ("list", [value, ..]) => items(value).map(drop),
        ("sort" | "min" | "max", [value]) => check_sortable(value),
        ("sort" | "min" | "max", _) => Ok(()),
        ("join", [items, by @ ..]) => {
            check_joined(items, by.first().and_then(Value::as_str).unwrap_or_default())
        }
        ("tojson", [value, args @ ..]) => check_json(value, args),
        ("pprint" | "string" | "urlencode", [value, ..]) => check_printed(value),
        ("indent", [text, args @ ..]) => check_indent(text.as_str().unwrap_or_default(), args),
        ("format", [text, args @ ..]) => check_format(text.as_str().unwrap_or_default(), args),
        ("replace", [text, from, to, ..]) => {
            check_replaced(&text.to_string(), &from.to_string(), &to.to_string())
        }
        (_, args) => args.iter().skip(1).try_for_each(check_width),
    }
}

/// Items that are compared with each other.
fn check_sortable(value: &Value) -> Result<(), Error> {
    let items = items(value)?;
    items.windows(2).try_for_each(|pair| check_order(&pair[0], &pair[1], "<"))
}

/// Every line may be indented.
fn check_indent(text: &str, args: &[Value]) -> Result<(), Error> {
    check_length(widest(args)?.saturating_mul(text.matches('\n').count() + 1).saturating_add(text.len()))
}

/// Every value may have a line, indented as often as it is deep.
fn check_json(value: &Value, args: &[Value]) -> Result<(), Error> {
    check_printed(value)?;
    let values = size(value, MAX_TEXT) / VALUE_BYTES;
    check_length(widest(args)?.saturating_mul(MAX_NESTING).saturating_mul(values))
}
