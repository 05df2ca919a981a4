//! Failures of builds and pushes: whose fault each was, and what to do.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a build, a smoke test, a gate or a push failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whose fault it was.
    pub kind: FailureKind,
    /// One or more lines, shown as they are.
    pub message: String,
    /// Advice on how to mend it, each of one line.
    #[serde(default)]
    pub hints: Vec<Cow<'static, str>>,
    /// True when trying again may help.
    pub transient: bool,
}

/// The message, then a line for each hint.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for hint in &self.hints {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl Failure {
    /// A failure that trying again will not mend.
    pub fn permanent(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), hints: Vec::new(), transient: false }
    }

    /// Adds advice on how to mend it.
    pub fn hinted(mut self, hint: impl Into<Cow<'static, str>>) -> Failure {
        self.hints.push(hint.into());
        self
    }

    /// A fault of this program.
    pub fn bug(message: impl fmt::Display) -> Failure {
        Failure::permanent(FailureKind::Local, format!("kolla-build has a bug: {message}"))
    }
}

/// Whose fault a failure was. Its words are those of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A source could not be had or was refused.
    Source,
    /// The engine could not be reached or the connection was lost.
    Connection,
    /// The build itself failed.
    Build,
    /// A registry refused an image or could not be reached.
    Registry,
    /// The engine was silent for longer than `--timeout`.
    Timeout,
    /// A disk is full, here or at the engine.
    Disk,
    /// The image does not do what its stack or its checks ask for.
    Smoke,
    /// A gate of the user's has not let the image pass.
    Gate,
    /// Signing failed.
    Sign,
    /// Something else on this machine: permissions, files that can't be read.
    Local,
}

impl FailureKind {
    /// True when the engine did not answer: everything that it is asked for would fail alike.
    pub fn is_of_engine_connection(self) -> bool {
        matches!(self, FailureKind::Connection | FailureKind::Timeout)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
