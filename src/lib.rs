//! Builds OpenStack's container images from Kolla's templates.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests read and write what they have made themselves")
)]

pub mod app;
pub mod cli;
pub mod config;
pub mod context;
pub mod dockerfile;
pub mod engine;
pub mod error;
pub mod event;
pub mod export;
pub mod freshness;
pub mod graph;
pub mod http;
pub mod interrupt;
pub mod labels;
pub mod lint;
pub mod lock;
mod mask;
pub mod places;
pub mod plain;
pub mod plan;
pub mod platform;
pub mod process;
pub mod prune;
pub mod reference;
pub mod registry;
pub mod report;
pub mod retry;
pub mod schedule;
pub mod secret;
pub mod template;
pub mod template_api;
#[cfg(test)]
mod testing;
pub mod transient;
pub mod util;
pub mod warnings;
pub mod watch;
