//! What a run as paunch tells, on standard error and in a file [I/O].

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::error::{EXIT_FAILED, Fatal};
use crate::session::stdio::tell;
use crate::util::plain;
use crate::util::write::append_to;

/// Who is told, and how much.
pub struct PaunchLog {
    file: Option<File>,
    quiet: bool,
}

impl PaunchLog {
    /// Opens the file, if there is to be one.
    pub fn open(file: Option<&Path>, quiet: bool) -> Result<PaunchLog, Fatal> {
        let file = file
            .map(|path| append_to(path).map_err(|error| Fatal::of_file("write", path, error, EXIT_FAILED)));
        Ok(PaunchLog { file: file.transpose()?, quiet })
    }

    /// Tells of something that was done.
    pub fn note(&self, line: fmt::Arguments<'_>) {
        if !self.quiet {
            tell(line);
        }
        self.keep(line);
    }

    /// Tells of something that is wrong.
    pub fn fault(&self, line: fmt::Arguments<'_>) {
        tell(line);
        self.keep(line);
    }

    fn keep(&self, line: fmt::Arguments<'_>) {
        // Whoever looks at standard error has it anyway.
        let _ = self.file.as_ref().map(|mut file| writeln!(file, "{}", plain::lines(&line.to_string())));
    }
}
