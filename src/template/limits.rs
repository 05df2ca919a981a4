//! Limits on what a template may make, beside the fuel and the recursion limit of the environment.
//!
//! Fuel counts instructions, and one instruction can make a text of a gigabyte or read one. Counted is what templates make
//! (values that get a name, literals, what operations, filters and methods give, what is printed) and what methods read;
//! filters that can multiply what they are given are checked before. What cannot be counted, such as comparing long
//! texts, ends by the clock.

use std::time::{Duration, Instant};

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

/// Bytes of one text. A Dockerfile has some thousand.
pub const MAX_TEXT: usize = 1 << 20;
/// Bytes of all values that one image's templates make, as often as they do.
const MAX_ALL: usize = 256 << 20;
/// Bytes that a value takes beside its text.
pub const VALUE_BYTES: usize = 32;
/// How long one image's templates may take: those of Kolla take some thousandths of a second.
const MAX_TIME: Duration = Duration::from_secs(10);
/// Items of one list.
pub const MAX_ITEMS: usize = 1_000_000;
/// Columns, decimals and counts that filters are asked for.
pub const MAX_WIDTH: usize = 100_000;
/// Depth of lists and dicts within each other.
pub const MAX_NESTING: usize = 50;
/// Bytes of one template.
pub const MAX_SOURCE: usize = 1 << 20;
/// Tags within each other, the branches of an `if` counted like these: parsing goes as deep.
pub const MAX_OPEN: usize = 100;

/// Count of what one image's templates have made so far.
struct Made {
    bytes: usize,
    since: Instant,
}

/// Counts a value that gets a name, is kept or printed; an error when there has been too much.
pub fn count(state: &mut State, value: &Value) -> Result<(), Error> {
    count_times(state, value, 1)
}

/// Counts a value that was copied so many times.
pub fn count_times(state: &mut State, value: &Value, times: usize) -> Result<(), Error> {
    count_bytes(state, size(value, MAX_ALL).saturating_mul(times))
}

/// Counts bytes that were made, or read to answer a question.
pub fn count_bytes(state: &mut State, bytes: usize) -> Result<(), Error> {
    let now = Instant::now();
    let made = state.get_or_insert_extension(Made { bytes: 0, since: now });
    made.bytes = made.bytes.saturating_add(bytes);
    if made.bytes > MAX_ALL {
        return Err(too_much(format_args!("text of over {MAX_ALL} bytes")));
    }
    check_time(now - made.since)
}

fn check_time(taken: Duration) -> Result<(), Error> {
    if taken > MAX_TIME {
        Err(too_much(format_args!("rendering for over {} s", MAX_TIME.as_secs())))
    } else {
        Ok(())
    }
}

/// Bytes that a value takes, roughly; counted no further than `most`.
pub fn size(value: &Value, most: usize) -> usize {
    if let Some(text) = value.as_str() {
        return text.len() + VALUE_BYTES;
    }
    let mut bytes = VALUE_BYTES;
    if matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable)
        && let Ok(items) = value.try_iter()
    {
        let is_map = value.kind() == ValueKind::Map;
        for item in items {
            if bytes > most {
                break;
            }
            bytes += size(&item, most);
            if is_map && let Ok(held) = value.get_item(&item) {
                bytes += size(&held, most);
            }
        }
    }
    bytes
}

/// An error about something that has become too big.
pub fn too_much(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("{what} is more than a template may make"))
        .with_source(TooMuch)
}

/// Mark of limits' errors, which have it as their source.
#[derive(Debug, thiserror::Error)]
#[error("a limit was reached")]
struct TooMuch;

/// True for an error about a limit, which other images with the same templates would reach too.
pub fn is_limit(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let is_out_of_fuel =
            error.downcast_ref::<Error>().is_some_and(|error| error.kind() == ErrorKind::OutOfFuel);
        if is_out_of_fuel || error.is::<TooMuch>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A text that is given a name.
pub fn check_text(value: &Value) -> Result<(), Error> {
    match value.as_str() {
        Some(text) if text.len() > MAX_TEXT => Err(too_much(format_args!("a text of {} bytes", text.len()))),
        _ => Ok(()),
    }
}

/// Something that is made into a text.
pub fn check_printed(value: &Value) -> Result<(), Error> {
    let length = size(value, MAX_TEXT);
    if length > MAX_TEXT { Err(too_much(format_args!("a text of over {MAX_TEXT} bytes"))) } else { Ok(()) }
}

/// Items that are made into a text with another between them.
pub fn check_joined(items: &Value, by: &str) -> Result<(), Error> {
    let Ok(iter) = items.try_iter() else { return Ok(()) };
    let mut length = 0;
    for item in iter {
        length += size(&item, MAX_TEXT) + by.len();
        if length > MAX_TEXT + by.len() {
            return Err(too_much(format_args!("a text of over {MAX_TEXT} bytes")));
        }
    }
    Ok(())
}

/// The items of anything that has some.
pub fn items(value: &Value) -> Result<Vec<Value>, Error> {
    let items: Vec<Value> = value.try_iter()?.take(MAX_ITEMS + 1).collect();
    if items.len() > MAX_ITEMS {
        Err(too_much(format_args!("a list of over {MAX_ITEMS} items")))
    } else {
        Ok(items)
    }
}

/// Text in which every match is replaced.
pub fn check_replaced(text: &str, from: &str, to: &str) -> Result<(), Error> {
    let bytes = text.matches(from).count().saturating_mul(to.len()).saturating_add(text.len());
    check_length(bytes)
}

/// The length of a text that is about to be made.
pub fn check_length(bytes: usize) -> Result<(), Error> {
    if bytes > MAX_TEXT { Err(too_much(format_args!("a text of {bytes} bytes"))) } else { Ok(()) }
}

/// Widths and precisions stand in the text of a format, or are arguments where it says `*`.
pub fn check_format(text: &str, args: &[Value]) -> Result<(), Error> {
    let mut bytes = text.len();
    for digits in text.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty()) {
        match digits.parse::<usize>() {
            Ok(width) if width <= MAX_WIDTH => bytes += width,
            _ => return Err(too_much(format_args!("a width of {digits}"))),
        }
    }
    let variable = text.matches('*').count();
    if variable > 0 {
        bytes = bytes.saturating_add(widest(args)?.saturating_mul(variable));
    }
    // A field can print any argument, and the same one again and again.
    let longest = args.iter().map(|arg| size(arg, MAX_TEXT)).max().unwrap_or(0);
    let fields = text.matches(['%', '{']).count();
    check_length(bytes.saturating_add(longest.saturating_mul(fields)))
}

/// The greatest of the numbers, none of them over the limit.
pub fn widest(args: &[Value]) -> Result<usize, Error> {
    args.iter().try_for_each(check_width)?;
    Ok(args.iter().flat_map(numbers).max().unwrap_or(0))
}

/// The numbers among an argument, and among keyword arguments, which come as one value.
fn numbers(value: &Value) -> Vec<usize> {
    match value.kind() {
        ValueKind::Number => usize::try_from(value.clone()).into_iter().collect(),
        ValueKind::Map => value
            .try_iter()
            .into_iter()
            .flatten()
            .filter_map(|key| usize::try_from(value.get_item(&key).ok()?).ok())
            .collect(),
        _ => Vec::new(),
    }
}

/// A number that a filter is asked for as a width or count.
pub fn check_width(value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Number if i64::try_from(value.clone()).map_or(true, |n| n > MAX_WIDTH as i64) => {
            Err(too_much(format_args!("a width of {value}")))
        }
        // Keyword arguments come as one value.
        ValueKind::Map => value.try_iter()?.try_for_each(|key| check_width(&value.get_item(&key)?)),
        _ => Ok(()),
    }
}
