//! Integration tests, through the binary.

mod docker_real;
mod engine;
mod support;
