//! Errors that end a run, as they are shown: one `error:` line, what caused it, and hints.

use std::error::Error;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use crate::config::layer::{ValueError, ValueErrors};
use crate::config::load::LoadError;
use crate::context::workdir::WorkDirError;
use crate::graph::GraphError;
use crate::graph::select::SelectError;
use crate::template::catalog::CatalogError;
use crate::template::error::TemplateError;
use crate::template::overrides::OverrideError;
use crate::template::repos::RepositoriesError;
pub use crate::util::exit::{EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE};

/// Why a run cannot go on.
#[derive(Debug)]
pub struct Fatal {
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
    /// Exit code of the process.
    pub exit_code: u8,
}

impl Fatal {
    /// An error with everything that caused it.
    pub fn new(error: &dyn Error, exit_code: u8) -> Fatal {
        let message = error.to_string();
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Most messages end with their cause already.
            if !message.contains(&text) {
                causes.push(text);
            }
            cause = error.source();
        }
        Fatal { message, causes, hints: Vec::new(), exit_code }
    }

    /// An error that is nothing but its message.
    pub fn message(message: impl Into<String>, exit_code: u8) -> Fatal {
        Fatal { message: message.into(), causes: Vec::new(), hints: Vec::new(), exit_code }
    }

    /// The error without its causes and hints.
    pub fn headline(&self) -> &str {
        &self.message
    }

    /// A file that something could not be done with: `doing` completes "failed to", before the path.
    pub fn of_file(doing: &str, path: &Path, error: impl fmt::Display, exit_code: u8) -> Fatal {
        Fatal::message(format!("failed to {doing} {}: {error}", path.display()), exit_code)
    }

    /// Says what was being done; what was said before is its cause.
    pub fn during(mut self, doing: impl Into<String>) -> Fatal {
        let message = std::mem::replace(&mut self.message, doing.into());
        self.causes.insert(0, message);
        self
    }

    /// Adds what led to it.
    pub fn caused_by(mut self, cause: impl fmt::Display) -> Fatal {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds what the user can do about it.
    pub fn hinted(mut self, hint: impl Into<String>) -> Fatal {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        for cause in &self.causes {
            write!(f, "\n  caused by: {cause}")?;
        }
        for hint in &self.hints {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// Gives errors their exit codes; their messages say enough.
macro_rules! fatal_with {
    ($($error:ty => $code:expr),* $(,)?) => {
        $(impl From<$error> for Fatal {
            fn from(error: $error) -> Fatal {
                Fatal::new(&error, $code)
            }
        })*
    };
}

fatal_with! {
    LoadError => EXIT_USAGE,
    ValueError => EXIT_USAGE,
    CatalogError => EXIT_USAGE,
    OverrideError => EXIT_USAGE,
    RepositoriesError => EXIT_USAGE,
    GraphError => EXIT_FAILED,
}

impl From<ValueErrors> for Fatal {
    fn from(ValueErrors(errors): ValueErrors) -> Fatal {
        match errors.as_slice() {
            [only] => Fatal::new(only, EXIT_USAGE),
            many => {
                let message = format!("{} values of the configuration can't be used", many.len());
                many.iter().fold(Fatal::message(message, EXIT_USAGE), |fatal, error| fatal.caused_by(error))
            }
        }
    }
}

impl From<WorkDirError> for Fatal {
    fn from(error: WorkDirError) -> Fatal {
        if matches!(error, WorkDirError::InTheWay { .. }) {
            return Fatal::new(&error, EXIT_USAGE);
        }
        let fatal = Fatal::new(&error, EXIT_FAILED);
        match error.io_kind() {
            Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => fatal
                .hinted("free some space there, or name another place: --work-dir DIR, without it TMPDIR"),
            Some(ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => {
                fatal.hinted("name a place that can be written to: --work-dir DIR, without it TMPDIR")
            }
            _ => fatal,
        }
    }
}

impl From<SelectError> for Fatal {
    fn from(error: SelectError) -> Fatal {
        match &error {
            SelectError::InvalidRegex { .. } => Fatal::new(&error, EXIT_USAGE),
            SelectError::NothingMatched { .. } => {
                Fatal::new(&error, EXIT_FAILED).hinted("kolla-build --list-images lists every image")
            }
        }
    }
}

impl From<Vec<TemplateError>> for Fatal {
    fn from(errors: Vec<TemplateError>) -> Fatal {
        let count = match errors.len() {
            1 => "an image".to_string(),
            many => format!("{many} images"),
        };
        let mut fatal = Fatal::message(format!("failed to render {count}"), EXIT_FAILED);
        fatal.causes = summarize(&errors);
        fatal
    }
}

/// Tells an error that several images share once, with all their names.
fn summarize(errors: &[TemplateError]) -> Vec<String> {
    let mut groups: Vec<(&TemplateError, Vec<&str>)> = Vec::new();
    for error in errors {
        let same = |(first, _): &&mut (&TemplateError, Vec<&str>)| {
            first.message == error.message && first.location == error.location
        };
        match groups.iter_mut().find(same) {
            Some((_, images)) => images.push(&error.image),
            None => groups.push((error, vec![&error.image])),
        }
    }
    let tell = |(error, images): (&TemplateError, Vec<&str>)| match images.as_slice() {
        [_] => error.to_string(),
        images => format!("{}\n  in {} images: {}", error.without_image(), images.len(), images.join(", ")),
    };
    groups.into_iter().map(tell).collect()
}
