//! Why a registry did not do what it was asked, by kind: the kind decides what is tried again.

use std::time::Duration;

use super::credentials::CredentialsError;
use crate::util::retry::Again;

/// A request to a registry that failed.
#[derive(Debug, thiserror::Error)]
#[error("{registry}: {problem}")]
pub struct RegistryError {
    /// The registry's host, with its port if any.
    pub registry: String,
    /// Kind of the failure, with the registry's words.
    pub problem: Problem,
}

/// Reason why a registry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A request that is not allowed (401, 403).
    #[error("the registry does not allow this ({status}){}; shown to it: {credentials}", quoted(.said))]
    Denied {
        /// HTTP status of the answer.
        status: u16,
        /// The registry's own words, possibly none.
        said: String,
        /// Where what it was shown came from; never a secret.
        credentials: String,
    },
    /// One request too many (429).
    #[error("the registry has too many requests (429){}", quoted(.said))]
    Busy {
        /// The registry's own words, possibly none.
        said: String,
        /// How long it asks to wait.
        wait: Option<Duration>,
    },
    /// A failure of the registry itself (5xx).
    #[error("the registry failed ({status}){}", quoted(.said))]
    Server {
        /// HTTP status of the answer.
        status: u16,
        /// The registry's own words, possibly none.
        said: String,
        /// How long it asks to wait.
        wait: Option<Duration>,
    },
    /// A request refused for another reason.
    #[error("the registry refused the request ({status}){}", quoted(.said))]
    Refused {
        /// HTTP status of the answer.
        status: u16,
        /// The registry's own words, possibly none.
        said: String,
    },
    /// A registry that can't be reached, or a connection that broke.
    #[error("cannot reach the registry: {0}")]
    Connection(String),
    /// Nothing came from it for so long.
    #[error("no progress for {} s (option timeout)", .0.as_secs_f32())]
    Stalled(Duration),
    /// A certificate that is not trusted.
    #[error(
        "no secure connection: {0}: put its certificate authority into /etc/docker/certs.d/<registry>/ca.crt, name it \
         with --registry-ca or in SSL_CERT_FILE"
    )]
    Untrusted(String),
    /// An answer that can't be right.
    #[error("the registry's answer can't be right: {0}")]
    Garbage(String),
    /// Credentials that can't be had.
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
