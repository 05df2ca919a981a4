//! Builds OpenStack's container images from Kolla's templates.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests read and write what they have made themselves")
)]

pub mod build;
pub mod cli;
pub mod commands;
pub mod compare;
pub mod config;
pub mod context;
pub mod dockerfile;
pub mod engine;
pub mod error;
pub mod export;
pub mod freshness;
pub mod graph;
pub mod lint;
pub mod model;
pub mod registry;
pub mod release;
pub mod report;
pub mod run;
pub mod sbom;
pub mod schedule;
pub mod session;
pub mod smoke;
pub mod sources;
pub mod template;
#[cfg(test)]
mod testing;
pub mod util;
