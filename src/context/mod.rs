//! Build contexts: the working directory, and the archive of one that is sent to an engine.

pub mod archive;
pub mod digest;
pub(crate) mod entries;
mod ignore;
pub mod patches;
pub mod workdir;
