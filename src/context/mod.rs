//! Build contexts: the working directory, the sources put into it, and the archive that is sent to an engine.

pub mod archive;
pub mod assemble;
mod cache_tag;
mod command;
pub mod digest;
mod downloads;
mod entries;
mod error;
mod git;
mod http;
mod ignore;
mod local;
mod once;
pub mod patches;
mod pypi;
mod range;
pub mod revision;
mod seal;
pub mod sources;
mod store;
pub mod tagged;
mod unpack;
pub mod workdir;
