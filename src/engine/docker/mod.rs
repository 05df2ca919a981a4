//! Docker's engine API, which Podman speaks too, through bollard.

mod build;
mod client;
mod connect;
mod container_models;
mod containers;
mod endpoint;
mod fault;
mod grpc;
mod housekeeping;
mod images;
mod locate;
mod log;
mod long;
mod messages;
mod patient;
mod progress;
mod proxies;
mod session;
mod ssh;
mod tls;
mod trace;
mod transfer;
mod transport;
mod upload;

pub use crate::registry::credentials::{Credentials, CredentialsError};
pub use client::Docker;
pub use connect::DockerHost;
pub use endpoint::{Authority, Endpoint, InvalidEndpoint, SshHost, Tcp};
pub use housekeeping::{CacheRecord, HeldImage};
pub use locate::{DockerEnvironment, LocateError};
pub use proxies::Proxies;
