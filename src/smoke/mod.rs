//! Smoke tests: images that are there, started in their stacks or looked at by themselves, before they are pushed.

pub mod checks;
pub mod files;
pub mod gate;
pub mod images;
pub mod placement;
pub mod shipped;
pub mod stacks;

/// Who looks after containers of tests.
pub const MANAGER: &str = "kolla-build";

/// Beginning of the identifiers that stacks have in tests.
pub const ID_PREFIX: &str = "smoke-";
