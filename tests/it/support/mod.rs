//! What integration tests share.

mod buildkit;
pub mod built;
pub mod certificates;
pub mod containers;
pub mod docker;
mod dockerfile;
pub mod files;
pub mod git;
mod housekeeping;
mod http;
mod messages;
pub mod mount;
pub mod project;
pub mod proxy;
pub mod pushed;
pub mod real;
pub mod registry;
mod requests;
pub mod saved;
pub mod spare_engine;
pub mod sshd;
pub mod stack;
