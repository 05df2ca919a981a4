//! Methods of Python's strings and tuples that neither MiniJinja nor its Python compatibility has.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::arguments::arguments;
use super::limits::{self, MAX_WIDTH};

/// Methods of dicts that never change, and of other mappings.
const DICT_METHODS: [&str; 4] = ["get", "items", "keys", "values"];

/// Calls a method that MiniJinja does not know.
pub fn call(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    // Most often a macro of an imported template is called: it counts its arguments as they get their names.
    if value.kind() == ValueKind::Map && !DICT_METHODS.contains(&method) {
        return Err(Error::from(ErrorKind::UnknownMethod));
    }
    let args = &arguments(args)[..];
    limits::count(state, value)?;
    args.iter().try_for_each(|value| limits::count(state, value))?;
    match (value.as_str(), method, args) {
        (Some(text), "format", args) => limits::check_format(text, args)?,
        (Some(text), "replace", [from, to, ..]) => {
            limits::check_replaced(text, from.as_str().unwrap_or_default(), to.as_str().unwrap_or_default())?
        }
        (Some(text), "join", [items]) => limits::check_joined(items, text)?,
        _ => {}
    }
    let result = match value.as_str() {
        Some(text) => string_method(text, method, args)?,
        None if value.is_tuple() => tuple_method(value, method, args)?,
        // The default may be undefined, which is not the same as none.
        None if value.kind() == ValueKind::Map && method == "get" => match args {
            [key, default] => match value.get_item(key)? {
                found if found.is_undefined() => Some(default.clone()),
                found => Some(found),
            },
            _ => None,
        },
        None => None,
    };
    let result = match result {
        Some(result) => result,
        None => unknown_method_callback(state, value, method, args)?,
    };
    limits::count(state, &result)?;
    Ok(result)
}

fn string_method(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let argument = |index: usize| args.get(index).and_then(Value::as_str);
    Ok(Some(match (method, args.len()) {
        ("removeprefix", 1) => text.strip_prefix(argument(0).unwrap_or_default()).unwrap_or(text).into(),
        ("removesuffix", 1) => text.strip_suffix(argument(0).unwrap_or_default()).unwrap_or(text).into(),
        ("rsplit", 0..=2) => {
            let limit = args.get(1).cloned().map(i64::try_from).transpose()?.unwrap_or(-1);
            Value::from(rsplit(text, argument(0), usize::try_from(limit).unwrap_or(usize::MAX)))
        }
        ("partition" | "rpartition", 1) => {
            let separator = argument(0).unwrap_or_default();
            let parts = match (text.split_once(separator), text.rsplit_once(separator)) {
                (Some((before, after)), _) if method == "partition" => [before, separator, after],
                (_, Some((before, after))) => [before, separator, after],
                _ if method == "partition" => [text, "", ""],
                _ => ["", "", text],
            };
            Value::from((parts[0], parts[1], parts[2]))
        }
        ("ljust" | "rjust" | "center", 1 | 2) => {
            let width = usize::try_from(args[0].clone())?;
            Value::from(pad(text, method, width, argument(1).unwrap_or(" "))?)
        }
        ("zfill", 1) => {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
            let width = usize::try_from(args[0].clone())?.saturating_sub(sign.len());
            Value::from(format!("{sign}{}", pad(digits, "rjust", width, "0")?))
        }
        ("casefold", 0) => text.to_lowercase().into(),
        ("swapcase", 0) => text.chars().map(swap_case).collect::<String>().into(),
        ("index", 1) => match text.find(argument(0).unwrap_or_default()) {
            Some(at) => Value::from(text[..at].chars().count()),
            None => return Err(Error::new(ErrorKind::InvalidOperation, "substring not found")),
        },
        _ => return Ok(None),
    }))
}

fn tuple_method(tuple: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(match (method, args) {
        ("count", [item]) => Some(Value::from(tuple.try_iter()?.filter(|other| other == item).count())),
        ("index", [item]) => match tuple.try_iter()?.position(|other| other == *item) {
            Some(index) => Some(Value::from(index)),
            None => {
                return Err(Error::new(ErrorKind::InvalidOperation, format!("{item} is not in the tuple")));
            }
        },
        _ => None,
    })
}

fn rsplit(text: &str, separator: Option<&str>, limit: usize) -> Vec<String> {
    let count = limit.saturating_add(1);
    let mut parts: Vec<String> = match separator {
        Some(separator) => text.rsplitn(count, separator).map(str::to_string).collect(),
        None => {
            let mut rest = text.trim_end();
            let mut parts = Vec::new();
            while parts.len() < limit && rest.contains(char::is_whitespace) {
                let (before, word) = rest.rsplit_once(char::is_whitespace).unwrap_or(("", rest));
                parts.push(word.to_string());
                rest = before.trim_end();
            }
            parts.extend((!rest.trim_start().is_empty()).then(|| rest.trim_start().to_string()));
            parts
        }
    };
    parts.reverse();
    parts
}

/// Fills a text up to a width, at the side that a method of this name fills.
pub fn pad(text: &str, side: &str, width: usize, fill: &str) -> Result<String, Error> {
    if width > MAX_WIDTH {
        return Err(limits::too_much(format_args!("a width of {width}")));
    }
    let missing = width.saturating_sub(text.chars().count());
    let left = match side {
        "ljust" => 0,
        "rjust" => missing,
        // As Python does it: of an odd number the larger half is left when the width is odd too.
        _ => missing / 2 + (missing & width & 1),
    };
    Ok(format!("{}{text}{}", fill.repeat(left), fill.repeat(missing - left)))
}

fn swap_case(c: char) -> char {
    let other = if c.is_uppercase() { c.to_lowercase().next() } else { c.to_uppercase().next() };
    other.unwrap_or(c)
}
