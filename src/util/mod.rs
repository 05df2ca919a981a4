//! Helpers that modules share and none of them is about.

pub mod at_once;
pub mod exit;
pub mod hex;
pub mod http;
pub mod input;
pub mod interrupt;
pub mod kept_files;
pub mod location;
pub(crate) mod mask;
pub mod names;
pub mod nearest;
pub mod once_map;
pub mod places;
pub mod plain;
pub mod process;
pub mod random;
pub mod retry;
pub mod scratch;
pub mod secrets;
pub mod transient;
pub mod write;
