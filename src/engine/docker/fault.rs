//! Sorts what can go wrong with an engine into the kinds that the scheduler acts upon.

use std::error::Error as _;
use std::io;

use bollard::errors::Error as BollardError;

use super::super::EngineError;
use super::transport::TransportError;
use crate::http::chain;

/// Sorts an exchange's failure.
pub(super) fn of_transport(endpoint: &str, error: TransportError) -> EngineError {
    match error {
        TransportError::Unreachable(reason) => {
            EngineError::Unreachable { endpoint: endpoint.to_string(), reason }
        }
        TransportError::Broken(error) => of_hyper(endpoint, &error),
    }
}

/// Sorts a failure to read an answer.
pub(super) fn of_hyper(endpoint: &str, error: &hyper::Error) -> EngineError {
    let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    // hyper tells a chunk header that can't be read from other breaks only by the kind of the io error inside.
    let unreadable = cause.is_some_and(|cause| {
        matches!(cause.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
    });
    let reason = chain(error);
    if error.is_parse() || unreadable { garbage(endpoint, reason) } else { lost(endpoint, reason) }
}

/// Sorts bollard's errors.
pub(super) fn of_bollard(endpoint: &str, error: BollardError) -> EngineError {
    match error {
        BollardError::DockerResponseServerError { status_code, message } => {
            EngineError::Refused { status: status_code, message }
        }
        BollardError::HyperResponseError { err } => of_hyper(endpoint, &err),
        BollardError::IOError { err } => match err.downcast::<TransportError>() {
            Ok(error) => of_transport(endpoint, error),
            Err(err) => lost(endpoint, err.to_string()),
        },
        BollardError::RequestTimeoutError => lost(endpoint, "it does not answer".to_string()),
        other => garbage(endpoint, other.to_string()),
    }
}

/// The connection broke.
pub(super) fn lost(endpoint: &str, reason: impl Into<String>) -> EngineError {
    EngineError::ConnectionLost { endpoint: endpoint.to_string(), reason: reason.into() }
}

/// The answer can't be read.
pub(super) fn garbage(endpoint: &str, reason: impl Into<String>) -> EngineError {
    EngineError::Garbage { endpoint: endpoint.to_string(), reason: reason.into() }
}
