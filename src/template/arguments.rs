//! Arguments that are there and undefined: one that is not there would take its default.

use minijinja::value::{Object, Value};

/// Stand-in for an undefined argument on its way to what is called.
#[derive(Debug)]
struct UndefinedArgument;

impl Object for UndefinedArgument {}

/// The value to pass for an argument that may be undefined.
pub fn passed(value: Value, stand_in: &Value) -> Value {
    if value.is_undefined() { stand_in.clone() } else { value }
}

/// The stand-in, made once for an environment.
pub fn stand_in() -> Value {
    Value::from_object(UndefinedArgument)
}

/// The value that an argument was passed for.
pub fn argument(value: &Value) -> Value {
    if value.downcast_object_ref::<UndefinedArgument>().is_some() { Value::UNDEFINED } else { value.clone() }
}

/// The values that arguments were passed for.
pub fn arguments(args: &[Value]) -> Vec<Value> {
    args.iter().map(argument).collect()
}
