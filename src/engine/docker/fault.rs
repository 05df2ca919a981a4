//! Sorts what can go wrong with an engine into the kinds that the scheduler acts upon.

use std::error::Error as _;
use std::io;

use bollard::errors::Error as BollardError;
use serde::Deserialize;

use super::super::{EngineError, ImageFacts};
use super::patient::GivenUp;
use super::transport::TransportError;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::util::http::chain;
use crate::util::plain;

/// So much of what an engine says in place of an answer is told.
const LONGEST_WORDS: usize = 4000;

/// Sorts an exchange's failure.
pub(super) fn of_transport(endpoint: &str, error: TransportError) -> EngineError {
    match error {
        TransportError::Unreachable(reason) => {
            EngineError::Unreachable { endpoint: endpoint.to_string(), reason }
        }
        TransportError::Broken(error) => of_hyper(endpoint, &error),
        TransportError::Unfit(reason) => unfit(&reason),
    }
}

/// Sorts a failure to read an answer.
pub(super) fn of_hyper(endpoint: &str, error: &hyper::Error) -> EngineError {
    match GivenUp::found_in(error) {
        Some(GivenUp::Silent(patience)) => {
            return EngineError::Stalled { endpoint: endpoint.to_string(), patience, doing: "" };
        }
        Some(endless) => return garbage(endpoint, endless.to_string()),
        None => {}
    }
    let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    // hyper tells a chunk header that can't be read from other breaks only by the kind of the io error inside.
    let unreadable = cause.is_some_and(|cause| {
        matches!(cause.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
    });
    let reason = chain(error);
    if error.is_parse() || unreadable { garbage(endpoint, reason) } else { lost(endpoint, reason) }
}

/// The error of ours that stands for one of bollard's.
pub(super) fn of_bollard(endpoint: &str, error: BollardError) -> EngineError {
    match error {
        BollardError::DockerResponseServerError { status_code, message } => refused(status_code, &message),
        BollardError::HyperResponseError { err } => of_hyper(endpoint, &err),
        BollardError::IOError { err } => match err.downcast::<TransportError>() {
            Ok(error) => of_transport(endpoint, error),
            Err(err) => lost(endpoint, err.to_string()),
        },
        BollardError::RequestTimeoutError => lost(endpoint, "it does not answer".to_string()),
        other => garbage(endpoint, other.to_string()),
    }
}

/// A question that can't be put to an engine, for a name in it is none.
pub(super) fn unfit(reason: &str) -> EngineError {
    refused(400, &format!("it can't even be asked: {reason}"))
}

/// The error for an engine's refusal, an HTTP status and a text.
pub(super) fn refused(status: u16, message: &str) -> EngineError {
    let words: String = message.chars().take(LONGEST_WORDS).collect();
    EngineError::Refused { status, message: plain::lines(&words) }
}

/// Sorts what an engine says in place of the answer to a push or a pull, of which `failed` makes what it says of the
/// transfer itself: newer Podmans tell so of one that fails early.
pub(super) fn of_transfer(
    status: u16,
    message: &str,
    failed: impl FnOnce(String) -> EngineError,
) -> EngineError {
    #[derive(Deserialize)]
    struct Message {
        error: String,
    }
    match serde_json::from_str(message) {
        Ok(Message { error }) => failed(error),
        Err(_) => refused(status, message),
    }
}

pub(super) fn lost(endpoint: &str, reason: impl Into<String>) -> EngineError {
    EngineError::ConnectionLost { endpoint: endpoint.to_string(), reason: reason.into() }
}

/// The answer can't be read.
pub(super) fn garbage(endpoint: &str, reason: impl Into<String>) -> EngineError {
    EngineError::Garbage { endpoint: endpoint.to_string(), reason: reason.into() }
}

/// The error of an image that is of another platform than was asked for.
pub(super) fn wrong_platform(
    reference: &Reference,
    image: &ImageFacts,
    asked: Platform,
    reason: &'static str,
) -> EngineError {
    EngineError::WrongPlatform { reference: reference.to_string(), found: image.built_for(), asked, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_said_is_found_wherever_the_engine_tells_it() {
        let sorted = |message: &str| of_transfer(500, message, EngineError::Push).to_string();
        assert_eq!(sorted(r#"{"errorDetail":{"message":"denied"},"error":"denied"}"#), "denied");
        assert_eq!(sorted("no room"), "the container engine refused the request (500): no room");
    }

    #[test]
    fn a_refusal_without_a_word_says_what_to_do() {
        let told = |status| refused(status, " ").to_string();
        assert!(
            told(500)
                .ends_with("(500) without a word: its log may say more (journalctl -u docker, or -u podman)")
        );
        assert!(told(301).contains("look at --registry, --namespace and --tag"), "{}", told(301));
        assert!(refused(500, &"x".repeat(1 << 20)).to_string().len() < 5000);
    }
}
