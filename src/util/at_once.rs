//! How much is done at the same time where no option says so.

/// Questions to engines, registries and servers that are open at once.
pub const QUESTIONS: usize = 8;

/// Sources that are fetched, and base images that are pulled, at once.
pub const FETCHES: usize = 4;
