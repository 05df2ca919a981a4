//! Build contexts: the working directory, the sources put into it, and the archive that is sent to an engine.

pub mod archive;
pub mod digest;
mod entries;
mod ignore;
pub mod patches;
pub mod workdir;
