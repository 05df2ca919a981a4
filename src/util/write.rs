//! The one writer of whole files [I/O].

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_setfl, fstat};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use super::interrupt::Doomed;
use super::location::resolve;

/// Beginning of the names of files that get their own once they are complete.
pub const UNFINISHED_PREFIX: &str = ".kolla-build-";

/// Where a file is to be written, whole or not at all: what is there stays until the new content is complete. A link
/// is followed; what is no file, like a device, is written to. Neither is ever replaced.
#[derive(Debug)]
pub struct Destination {
    path: PathBuf,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// A complete file gets this name.
    Rename(PathBuf),
    /// The same, in place of a file: the new one has its owner and mode.
    Replace(PathBuf, Attributes),
    /// A device or FIFO, open.
    Stream(File),
    /// File that standard output leads to, by whatever name.
    Stdout,
    /// File that standard error leads to.
    Stderr,
}

/// Attributes that the successor of a file takes over.
#[derive(Debug, Clone, Copy)]
struct Attributes {
    user: u32,
    group: u32,
    mode: u32,
}

impl Attributes {
    fn of(found: &Metadata) -> Attributes {
        Attributes { user: found.uid(), group: found.gid(), mode: found.mode() & 0o7777 }
    }
}

impl Destination {
    /// Makes sure that a file can be written there later, and changes nothing yet.
    ///
    /// # Errors
    /// It can't: there is no such directory, it is one itself, it must not be written, nobody reads the FIFO.
    pub fn open(path: &Path) -> io::Result<Destination> {
        let destination = Destination::at(path)?;
        match &destination.way {
            Way::Rename(real) => probe(directory_of(real))?,
            // Somebody who has taken the right to write away wants to keep the file.
            Way::Replace(real, _) => drop(OpenOptions::new().write(true).open(real)?),
            Way::Stream(_) | Way::Stdout | Way::Stderr => {}
        }
        Ok(destination)
    }

    fn at(path: &Path) -> io::Result<Destination> {
        let way = match fs::metadata(path) {
            Ok(found) if leads_to(&found, io::stdout()) => Way::Stdout,
            Ok(found) if leads_to(&found, io::stderr()) => Way::Stderr,
            Ok(found) if found.is_file() => Way::Replace(fs::canonicalize(path)?, Attributes::of(&found)),
            Ok(found) if found.is_dir() => return Err(Errno::ISDIR.into()),
            Ok(found) => Way::Stream(open_stream(path, &found)?),
            Err(_) => {
                let (directory, name) = resolve(path)?;
                if name.components().count() != 1 {
                    return Err(Errno::NOENT.into());
                }
                Way::Rename(directory.join(name))
            }
        };
        Ok(Destination { path: path.to_path_buf(), way })
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the whole file.
    ///
    /// # Errors
    /// The system refused; what was there is still there.
    pub fn write(&self, content: &[u8]) -> io::Result<()> {
        match &self.way {
            Way::Rename(real) => {
                completed(real, content, 0o666)?.persist(real)?;
            }
            Way::Replace(real, old) => replace(real, *old, content)?,
            Way::Stream(file) => (&*file).write_all(content)?,
            Way::Stdout => flushed(io::stdout().lock(), content)?,
            Way::Stderr => flushed(io::stderr().lock(), content)?,
        }
        Ok(())
    }
}

/// Writes a file whole or not at all, as [`Destination`] does: whoever reads it meanwhile sees the old one.
pub fn write_whole(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    Destination::at(path)?.write(content.as_ref())
}

/// A file that is written piece by piece, and gets its name once it is complete. A link of that name is followed.
#[derive(Debug)]
pub struct Unfinished {
    file: NamedTempFile,
    real: PathBuf,
    /// For a process that leaves without dropping anything: this one takes long.
    _doomed: Doomed,
}

impl Unfinished {
    /// Begins a file, beside the place that it is for.
    pub fn begin(path: &Path) -> io::Result<Unfinished> {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        if real.is_dir() {
            return Err(Errno::ISDIR.into());
        }
        let file = completed(&real, b"", 0o666)?;
        let doomed = Doomed::new(file.path());
        Ok(Unfinished { file, real, _doomed: doomed })
    }

    /// Gives it its name.
    pub fn finish(self) -> io::Result<()> {
        self.file.persist(&self.real)?;
        Ok(())
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a file that only this user can read, whole or not at all, in place of what has its name.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    completed(path, content, 0o600)?.persist(path)?;
    Ok(())
}

/// Opens a file, which may be missing, to write at its end. A FIFO that nobody reads is refused, not waited for.
pub fn append_to(path: &Path) -> io::Result<File> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() && !found.is_dir() => open_stream(path, &found),
        _ => OpenOptions::new().create(true).append(true).open(path),
    }
}

/// Makes sure that files can be made in a directory, which is made when it is missing.
pub fn writable_directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    probe(path)
}

/// Makes a file and takes it away again.
fn probe(directory: &Path) -> io::Result<()> {
    // The name that it would have had is nobody's business.
    let made = tempfile::Builder::new().prefix(UNFINISHED_PREFIX).tempfile_in(directory);
    made.and_then(NamedTempFile::close).map_err(|error| error.kind().into())
}

/// Puts a complete file in place of another. Where no file can be put, because it is mounted there or the directory is
/// not ours to write, it is written in place.
fn replace(real: &Path, old: Attributes, content: &[u8]) -> io::Result<()> {
    let renamed = successor(real, old, content).and_then(|file| Ok(file.persist(real).map(drop)?));
    match renamed {
        Err(error) if is_refused(&error) => {
            let mut file = OpenOptions::new().write(true).open(real)?;
            file.set_len(0)?;
            file.write_all(content)
        }
        result => result,
    }
}

fn is_refused(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::ResourceBusy
    )
}

/// A complete file with the owner and mode of the one that it is to replace.
fn successor(real: &Path, old: Attributes, content: &[u8]) -> io::Result<NamedTempFile> {
    // Nobody may read it who may not read the old one.
    let file = completed(real, content, 0o600)?;
    let new = Attributes::of(&file.as_file().metadata()?);
    if (new.user, new.group) != (old.user, old.group) {
        fchown(file.as_file(), Some(old.user), Some(old.group))?;
    }
    file.as_file().set_permissions(Permissions::from_mode(old.mode))?;
    Ok(file)
}

/// A complete file beside the place that it is for. The umask takes from its mode what it takes from every new file.
fn completed(real: &Path, content: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix(UNFINISHED_PREFIX)
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(directory_of(real))?;
    file.write_all(content)?;
    Ok(file)
}

fn directory_of(real: &Path) -> &Path {
    real.parent().unwrap_or(Path::new("/"))
}

fn leads_to(found: &Metadata, standard: impl AsFd) -> bool {
    fstat(standard).is_ok_and(|open| (open.st_dev, open.st_ino) == (found.dev(), found.ino()))
}

/// Opens what is no file without waiting: a FIFO without a reader would never be open.
fn open_stream(path: &Path, found: &Metadata) -> io::Result<File> {
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    match OpenOptions::new().write(true).custom_flags(nonblocking).open(path) {
        Ok(file) => {
            fcntl_setfl(&file, OFlags::empty())?;
            Ok(file)
        }
        Err(_) if found.file_type().is_fifo() => {
            Err(io::Error::new(ErrorKind::BrokenPipe, "it is a FIFO that nobody reads"))
        }
        Err(error) => Err(error),
    }
}

fn flushed(mut out: impl Write, content: &[u8]) -> io::Result<()> {
    out.write_all(content)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_there_stays_until_the_new_content_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let mut reader = File::open(&file).unwrap();
        let destination = Destination::open(&file).unwrap();
        assert_eq!(
            (fs::read_to_string(&file).unwrap().as_str(), names(dir.path())),
            ("old", vec!["file".into()])
        );
        destination.write(b"new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o640);
        let mut seen = String::new();
        reader.read_to_string(&mut seen).unwrap();
        assert_eq!((seen.as_str(), names(dir.path())), ("old", vec!["file".into()]));
    }

    #[test]
    fn links_are_followed_to_what_is_there_and_to_what_is_not_yet() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("d")).unwrap();
        fs::write(path("d/file"), "old").unwrap();
        symlink("d/file", path("link")).unwrap();
        symlink("link", path("chain")).unwrap();
        symlink("d/new", path("dangling")).unwrap();
        for name in ["link", "chain", "dangling"] {
            Destination::open(&path(name)).unwrap().write(name.as_bytes()).unwrap();
            assert!(path(name).symlink_metadata().unwrap().is_symlink(), "{name}");
        }
        assert_eq!(fs::read_to_string(path("d/file")).unwrap(), "chain");
        assert_eq!(fs::read_to_string(path("d/new")).unwrap(), "dangling");
        assert_eq!(names(&path("d")), ["file", "new"]);
    }

    #[test]
    fn what_can_never_be_written_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        for (name, kind) in [("", ErrorKind::IsADirectory), ("no/file", ErrorKind::NotFound)] {
            assert_eq!(Destination::open(&dir.path().join(name)).unwrap_err().kind(), kind, "{name}");
        }
        assert!(Destination::open(&dir.path().join("file/below")).is_err());
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[test]
    fn what_is_no_file_is_written_to_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let error = Destination::open(&fifo).unwrap_err();
        assert_eq!(error.to_string(), "it is a FIFO that nobody reads");
        let mut reader = OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
        Destination::open(&fifo).unwrap().write(b"text").unwrap();
        let mut seen = [0; 4];
        reader.read_exact(&mut seen).unwrap();
        assert_eq!(&seen, b"text");
        assert!(fifo.metadata().unwrap().file_type().is_fifo());
    }
}
