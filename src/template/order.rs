//! Comparisons by order, of what Python compares.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// Refuses a value that has no order at all.
pub fn check_ordered(value: &Value, sign: &str) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Undefined => Err(Error::new(
            ErrorKind::UndefinedError,
            format!("{sign} compares nothing with an undefined value"),
        )),
        ValueKind::None | ValueKind::Map => Err(invalid(format!("{sign} can't compare a {}", value.kind()))),
        _ => Ok(()),
    }
}

/// Values of one such kind have an order among each other.
fn order_of(value: &Value) -> ValueKind {
    match value.kind() {
        ValueKind::Bool => ValueKind::Number,
        ValueKind::Iterable => ValueKind::Seq,
        kind => kind,
    }
}

/// Python compares only what is of a kind.
pub fn check_order(left: &Value, right: &Value, sign: &str) -> Result<(), Error> {
    check_ordered(left, sign)?;
    check_ordered(right, sign)?;
    if order_of(left) == order_of(right) {
        return Ok(());
    }
    Err(invalid(format!("{sign} can't compare a {} with a {}", left.kind(), right.kind())))
}

/// Compares two values by the sign of a comparison.
pub fn compare(sign: &str, left: Value, right: Value) -> Result<bool, Error> {
    check_order(&left, &right, sign)?;
    Ok(match sign {
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        _ => left >= right,
    })
}
