//! Builds OpenStack's container images from Kolla's templates.

pub mod config;
pub mod context;
pub mod engine;
pub mod event;
pub mod plan;
pub mod platform;
pub mod reference;
pub mod report;
