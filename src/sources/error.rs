//! Errors of sources, told so that the user knows which one and what to do.

use std::path::PathBuf;
use std::time::Duration;

use super::unpack::ArchiveFault;
use crate::config::source::{Source, SourceOrigin};
use crate::model::failure::{Failure, FailureKind};

/// A source that can't be had or is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot get the source of [{section}] from {location}: {problem}")]
pub struct SourceError {
    /// The section that names the source.
    pub section: String,
    /// Where it was to come from, without secrets.
    pub location: String,
    /// Problem with the source.
    pub problem: SourceProblem,
}

/// Problem with a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceProblem {
    /// No connection, or it broke.
    #[error("{0}")]
    Connection(String),
    /// Nothing came for too long.
    #[error("no progress for {} s (option timeout)", .0.as_secs_f32())]
    Stalled(Duration),
    /// The server sent parts that do not make a file.
    #[error("the server sent a part of a file that does not go together with what was asked for")]
    Misfit,
    /// The server answered something other than the file.
    #[error("the server answered {status}: check location and version in [{section}]")]
    Status {
        /// Status of the answer.
        status: u16,
        /// The section to look at.
        section: String,
    },
    /// The content is not the one that was pinned.
    #[error(
        "its sha256 is {found}, expected {expected}: if the new content is right, put its sha256 into the section"
    )]
    Checksum {
        /// Digest as it was pinned.
        expected: String,
        /// Digest of what came.
        found: String,
    },
    /// git or pip failed for good.
    #[error("{0}")]
    Command(String),
    /// The configuration does not allow to fetch it.
    #[error("{0}")]
    Configuration(String),
    /// The archive is one that is not unpacked.
    #[error("{0}")]
    Refused(String),
    /// Something on this machine.
    #[error("{}: {reason}", path.display())]
    Local {
        /// Path of what was read or written.
        path: PathBuf,
        /// Error that the system gave.
        reason: String,
    },
}

impl SourceError {
    pub(crate) fn new(source: &Source, problem: SourceProblem) -> SourceError {
        SourceError { section: source.section.clone(), location: location(&source.origin), problem }
    }

    /// True when trying again later may help.
    pub fn is_transient(&self) -> bool {
        match &self.problem {
            SourceProblem::Connection(_) | SourceProblem::Stalled(_) | SourceProblem::Misfit => true,
            SourceProblem::Status { status, .. } => *status >= 500 || matches!(status, 408 | 425 | 429),
            _ => false,
        }
    }
}

impl SourceProblem {
    pub(crate) fn local(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> SourceProblem {
        let path = path.into();
        move |error| SourceProblem::Local { path, reason: error.to_string() }
    }
}

impl From<ArchiveFault> for SourceProblem {
    fn from(fault: ArchiveFault) -> SourceProblem {
        SourceProblem::Refused(fault.to_string())
    }
}

/// Where a source comes from, for people.
pub(crate) fn location(origin: &SourceOrigin) -> String {
    match origin {
        SourceOrigin::Url(url) => without_secrets(url),
        SourceOrigin::Git { url, reference, .. } => format!("{} at {reference}", without_secrets(url)),
        SourceOrigin::Local(path) => path.display().to_string(),
        SourceOrigin::Pypi { package, version } => format!("the Python package index ({package} {version})"),
    }
}

/// A URL without credentials and without its query, which often holds a token.
pub fn without_secrets(url: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, ""), |(address, _)| (address, "?***"));
    let Some((scheme, rest)) = address.split_once("://") else {
        return format!("{address}{query}");
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = match authority.rsplit_once('@') {
        Some((_, host)) => format!("***@{host}"),
        None => authority.to_string(),
    };
    format!("{scheme}://{host}{path}{query}")
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Failure {
        Failure {
            transient: error.is_transient(),
            ..Failure::permanent(FailureKind::Source, error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show() {
        for (url, shown) in [
            ("https://host/a/b.tar.gz", "https://host/a/b.tar.gz"),
            ("https://user:secret@host/a@b", "https://***@host/a@b"),
            ("https://host/a?token=secret", "https://host/a?***"),
            ("https://user:s@cret@host", "https://***@host"),
            ("git@host:repo", "git@host:repo"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }

    #[test]
    fn what_may_pass_is_transient() {
        let error = |problem| {
            let source =
                Source { section: "s".into(), origin: SourceOrigin::Url("http://h/f".into()), sha256: None };
            SourceError::new(&source, problem)
        };
        let status = |status| SourceProblem::Status { status, section: "s".into() };
        for problem in [status(503), status(429), SourceProblem::Connection(String::new())] {
            assert!(error(problem.clone()).is_transient(), "{problem:?}");
        }
        for problem in [status(404), status(403), SourceProblem::Command(String::new())] {
            assert!(!error(problem.clone()).is_transient(), "{problem:?}");
        }
        assert_eq!(
            error(status(404)).to_string(),
            "cannot get the source of [s] from http://h/f: the server answered 404: check location and version in [s]"
        );
    }
}
