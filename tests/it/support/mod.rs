//! What integration tests share.

mod buildkit;
pub mod docker;
mod dockerfile;
pub mod files;
mod http;
mod messages;
#[allow(dead_code, reason = "the tests of the command line use it")]
pub mod project;
mod requests;
