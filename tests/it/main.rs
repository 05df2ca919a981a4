//! Integration tests, through the binary.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod context;
mod docker_real;
mod engine;
mod lint;
mod support;
