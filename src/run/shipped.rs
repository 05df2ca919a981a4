//! The stacks inside the program.

use include_dir::{Dir, include_dir};

static EMBEDDED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/stacks");

/// Ending of a stack's file.
const ENDING: &str = ".yaml";

/// Names of the stacks.
pub fn names() -> impl Iterator<Item = &'static str> {
    EMBEDDED.files().filter_map(|file| file.path().to_str()?.strip_suffix(ENDING))
}

/// Text of a stack by its name.
pub fn stack(name: &str) -> Option<&'static str> {
    EMBEDDED.get_file(format!("{name}{ENDING}"))?.contents_utf8()
}
