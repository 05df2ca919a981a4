//! Sources: where they are fetched from, and the cache that keeps them.

pub mod cache;
mod cache_tag;
mod command;
mod download;
mod error;
mod git;
mod local;
mod pypi;
mod range;
mod remote_files;
pub mod revision;
mod seal;
mod store;
pub mod tagged;
pub(crate) mod unpack;
