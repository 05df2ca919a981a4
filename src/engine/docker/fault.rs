//! Sorts what can go wrong with an engine into the kinds that the scheduler acts upon.

use std::error::Error as _;
use std::io;

use bollard::errors::Error as BollardError;
use serde::Deserialize;

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

/// Sorts bollard's errors of a push or a pull, of which `failed` makes what the engine itself says of it: in its answer or,
/// as newer Podmans do when it comes early, as that message in place of the answer.
pub(super) fn of_transfer(
    endpoint: &str,
    error: BollardError,
    failed: impl FnOnce(String) -> EngineError,
) -> EngineError {
    #[derive(Deserialize)]
    struct Message {
        error: String,
    }
    match error {
        BollardError::DockerStreamError { error } => failed(error),
        BollardError::DockerResponseServerError { status_code, message } => {
            match serde_json::from_str(&message) {
                Ok(Message { error }) => failed(error),
                Err(_) => EngineError::Refused { status: status_code, message },
            }
        }
        other => of_bollard(endpoint, other),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_said_is_found_wherever_the_engine_tells_it() {
        let sorted = |error| of_transfer("e", error, EngineError::Push).to_string();
        let refused = |message: &str| BollardError::DockerResponseServerError {
            status_code: 500,
            message: message.to_string(),
        };
        let in_answer = BollardError::DockerStreamError { error: "denied".to_string() };
        assert_eq!(sorted(in_answer), "denied");
        assert_eq!(sorted(refused(r#"{"errorDetail":{"message":"denied"},"error":"denied"}"#)), "denied");
        assert_eq!(sorted(refused("no room")), "the container engine refused the request (500): no room");
    }
}
