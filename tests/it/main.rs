//! Integration tests, through the binary.

mod context;
mod docker_real;
mod engine;
mod support;
