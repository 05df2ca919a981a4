//! Names of the functions and filters that `prelex` puts into templates, and `rewrites` defines.

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
