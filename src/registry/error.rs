//! Why a registry did not do what it was asked, by kind: the kind decides what is tried again.

use std::time::Duration;

use super::credentials::CredentialsError;
use crate::util::retry::Again;

/// A request to a registry that failed.
#[derive(Debug, thiserror::Error)]
#[error("{registry}: {problem}")]
pub struct RegistryError {
    /// The registry's host.
    pub registry: String,
    /// What went wrong.
    pub problem: Problem,
}

/// What went wrong with a registry.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It does not allow it (401, 403).
    #[error("the registry does not allow this ({status}){}; shown to it: {credentials}", quoted(.said))]
    Denied {
        /// HTTP status.
        status: u16,
        /// The registry's own words, possibly none.
        said: String,
        /// Where what it was shown came from; never a secret.
        credentials: String,
    },
    /// It has had too many requests (429).
    #[error("the registry has too many requests (429){}", quoted(.said))]
    Busy {
        /// The registry's own words, possibly none.
        said: String,
        /// How long it asks to wait.
        wait: Option<Duration>,
    },
    /// It failed (5xx).
    #[error("the registry failed ({status}){}", quoted(.said))]
    Server {
        /// HTTP status.
        status: u16,
        /// The registry's own words, possibly none.
        said: String,
        /// How long it asks to wait.
        wait: Option<Duration>,
    },
    /// It refused the request for another reason.
    #[error("the registry refused the request ({status}){}", quoted(.said))]
    Refused {
        /// HTTP status.
        status: u16,
        /// The registry's own words, possibly none.
        said: String,
    },
    /// It can't be reached, or the connection broke.
    #[error("cannot reach the registry: {0}")]
    Connection(String),
    /// Nothing came from it for so long.
    #[error("no progress for {} s (option timeout)", .0.as_secs_f32())]
    Stalled(Duration),
    /// Its certificate is not one that is trusted.
    #[error(
        "no secure connection: {0}: put its certificate authority into /etc/docker/certs.d/<registry>/ca.crt, name it \
         with --registry-ca or in SSL_CERT_FILE"
    )]
    Untrusted(String),
    /// It answered what can't be right.
    #[error("the registry's answer can't be right: {0}")]
    Garbage(String),
    /// What it wants to see is not to be had.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Something on this machine.
    #[error("{0}")]
    Local(String),
}

impl RegistryError {
    /// When it may help to ask again.
    pub fn again(&self) -> Again {
        match &self.problem {
            Problem::Busy { wait, .. } | Problem::Server { wait, .. } => {
                wait.map_or(Again::Later, Again::After)
            }
            Problem::Connection(_) | Problem::Stalled(_) => Again::Later,
            Problem::Refused { status: 408 | 425, .. } => Again::Later,
            _ => Again::Never,
        }
    }
}

fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}
