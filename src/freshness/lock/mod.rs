//! The lock file: made of what a run's sources and base images are, and what later runs are held to.

mod checker;
mod drift;
mod format;
#[cfg(test)]
mod testing;

pub use checker::{LockChecker, PinError, apply_lock, pin_sources, read_lock, unpinned_downloads};
pub use drift::{Drift, base_item, source_item};
pub use format::{BasePin, Lock, LockError, SourcePin};
