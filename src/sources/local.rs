//! Archives on this machine: files as they are, and those that are made of directories.

use std::io::{self, BufWriter};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::SourceProblem;
use super::seal::sha256_of;
use super::unpack::{ArchiveFault, Inspector};
use crate::context::archive;
use crate::context::digest::HashWriter;
use crate::util::hex::hex;

/// Refuses a hostile archive. What is no archive at all may be a program that is copied into the image as it is.
pub(super) fn check_archive(path: &Path) -> Result<(), SourceProblem> {
    match Inspector::check(path) {
        Err(ArchiveFault::NotTar) => Ok(()),
        result => Ok(result?),
    }
}

/// The sha256 of a file, or of the archive that is made of a directory.
pub(super) fn local_digest(path: &Path) -> Result<String, SourceProblem> {
    if path.is_dir() {
        return pack_hashing(path, io::sink()).map_err(SourceProblem::local(path));
    }
    sha256_of(path).map_err(SourceProblem::local(path))
}

/// Writes the archive of a directory, named after it, and gives the archive's sha256.
pub(super) fn pack_hashing(directory: &Path, out: impl io::Write) -> io::Result<String> {
    // `.` has no name of its own.
    let real = directory.canonicalize()?;
    let name = directory.file_name().or(real.file_name()).unwrap_or("root".as_ref());
    let mut hasher = Sha256::new();
    let tee = Tee { hasher: HashWriter(&mut hasher), out };
    archive::write_archive(&real, Path::new(name), BufWriter::new(tee))?;
    Ok(hex(&hasher.finalize()))
}

/// Writer to two others.
struct Tee<'a, W> {
    hasher: HashWriter<'a>,
    out: W,
}

impl<W: io::Write> io::Write for Tee<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.write_all(&bytes[..count])?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
