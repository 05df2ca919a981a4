//! Data that everyone shares: platforms, references, plans, events, labels.

pub mod attached;
pub mod builder;
pub mod ci_system;
pub mod compression;
pub mod event;
pub mod failure;
pub mod gate;
pub mod ids;
pub mod labels;
pub mod outcome;
pub mod plan;
pub mod platform;
pub mod reference;
pub mod secret;
pub mod signing;
pub mod smoke;
pub mod template_api;
