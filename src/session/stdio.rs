//! Standard output, which is for programs, and standard error, which is for people.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::sync::{PoisonError, RwLock};

use crate::engine::BuildOutput;
use crate::error::{EXIT_FAILED, Fatal};
use crate::model::secret::Secrets;
use crate::util::plain;
use crate::util::retry::Pause;

/// Writes to standard output; gives the exit code of a task that did nothing else.
pub fn output(text: &str) -> Result<u8, Fatal> {
    output_by(|out| out.write_all(text.as_bytes()))
}

/// Lets `write` write to standard output; gives the exit code of a task that did nothing else.
pub fn output_by(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<u8, Fatal> {
    let mut out = BufWriter::new(io::stdout().lock());
    written(write(&mut out).and_then(|()| out.flush()))?;
    Ok(0)
}

/// The result of writing to standard output, where a reader that has seen enough is no failure.
pub fn written(result: io::Result<()>) -> Result<(), Fatal> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(output_failed(&error)),
        _ => Ok(()),
    }
}

/// The error of a write to standard output.
pub fn output_failed(error: &io::Error) -> Fatal {
    Fatal::message(format!("failed to write to standard output: {error}"), EXIT_FAILED)
}

/// Tells people a line, as [`tell`] does.
pub type TellLine<'a> = &'a (dyn Fn(fmt::Arguments<'_>) + Send + Sync);

/// Tells people that something is tried again, and when.
pub fn tell_pause(error: &impl fmt::Display, pause: Pause) {
    tell(format_args!("{error}: {pause}"));
}

/// Tells people a line of what an engine says.
pub fn tell_line(said: BuildOutput) {
    if let BuildOutput::Line(line) = said {
        tell(&line);
    }
}

/// Texts that standard error must not show: those of the run that goes on.
static SECRETS: RwLock<Option<Secrets>> = RwLock::new(None);

/// Hides these secrets in everything that is told from now on, the error that ends the run too.
pub fn hide(secrets: &Secrets) {
    *SECRETS.write().unwrap_or_else(PoisonError::into_inner) = Some(secrets.clone());
}

/// Warns people of something that does not end the run.
pub fn warn(text: impl fmt::Display) {
    tell(format_args!("warning: {text}"));
}

/// Tells people something on standard error, as plain text and without secrets. When even that fails there is nobody to
/// tell.
pub fn tell(text: impl fmt::Display) {
    let text = text.to_string();
    let text = match &*SECRETS.read().unwrap_or_else(PoisonError::into_inner) {
        Some(secrets) => secrets.hide(text),
        None => text,
    };
    let _ = writeln!(io::stderr(), "{}", plain::lines(&text));
}
