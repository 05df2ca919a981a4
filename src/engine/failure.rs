//! The failure of a unit that an engine's error stands for [pure].

use super::EngineError;
use crate::model::failure::{Failure, FailureKind};
use crate::registry::transfer_failure::TransferFailure;
use crate::util::transient::has_network_symptoms;

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Failure {
        let (kind, transient) = match &error {
            EngineError::Unreachable { .. }
            | EngineError::ConnectionLost { .. }
            | EngineError::Garbage { .. } => (FailureKind::Connection, true),
            EngineError::Stalled { .. } => (FailureKind::Timeout, true),
            EngineError::Refused { status, .. } => (FailureKind::Build, *status >= 500 || *status == 429),
            EngineError::Context { .. } => (FailureKind::Local, false),
            EngineError::Push(said) | EngineError::Pull(said) => (
                FailureKind::Registry,
                TransferFailure::of(said).is_transient() || has_network_symptoms(said.lines()),
            ),
            EngineError::Credentials(_) => (FailureKind::Registry, false),
            _ => (FailureKind::Build, false),
        };
        Failure { transient, ..Failure::permanent(kind, error.to_string()) }
    }
}
