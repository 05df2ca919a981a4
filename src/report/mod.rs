//! Reporters: they read events and tell people and programs.

use crate::event::Event;

/// Reads every event of a run, in order.
///
/// A reporter never fails a run while it goes: what it could not write it tells from [`Reporter::finish`].
pub trait Reporter: Send {
    /// Takes note of an event.
    fn event(&mut self, event: &Event);

    /// Called once after the last event; writes what is written at the end.
    fn finish(&mut self) -> Result<(), ReportError>;
}

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write {what} to {path}: {source}")]
pub struct ReportError {
    /// What was being written: `the JSON summary`, `the log of keystone`.
    pub what: String,
    /// Where to.
    pub path: String,
    /// What the system said.
    pub source: std::io::Error,
}
