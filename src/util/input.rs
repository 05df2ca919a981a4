//! The one place that opens files which are only read [I/O].

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, fcntl_setfl};

/// True for the path of a file where a name would do too: it has a '/' or a '.'.
pub fn is_path(text: &str) -> bool {
    text.contains(['/', '.'])
}

/// Opens a file to read it. What is none is refused rather than waited for: a FIFO that nobody writes, a device that
/// never ends. What the shell hands over (`<(command)`, /dev/stdin) is read, and so is /dev/null, which is empty.
///
/// # Errors
/// There is no such file, or it is something else.
pub fn open(path: &Path) -> io::Result<File> {
    // Without it the open call of a FIFO would wait.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() || path == Path::new("/dev/null") {
        return Ok(file);
    }
    if is_inherited(path) && !kind.is_dir() {
        fcntl_setfl(&file, OFlags::empty())?;
        return Ok(file);
    }
    Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {}, not a file", what(kind))))
}

/// Reads a whole file, as [`open`] opens it.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open(path)?.read_to_end(&mut content)?;
    Ok(content)
}

/// Reads a whole file of text.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    let mut content = String::new();
    open(path)?.read_to_string(&mut content)?;
    Ok(content)
}

/// True for a path that names an open file of this process.
fn is_inherited(path: &Path) -> bool {
    path == Path::new("/dev/stdin") || path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd")
}

fn what(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// An error that the system reported without its path, with it.
pub fn with_path(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("file"), "text").unwrap();
        assert!(Command::new("mkfifo").arg(path("fifo")).status().unwrap().success());
        let _socket = UnixListener::bind(path("socket")).unwrap();
        std::os::unix::fs::symlink("fifo", path("link")).unwrap();
        assert_eq!(read_to_string(&path("file")).unwrap(), "text");
        for (name, kind) in [("fifo", "a FIFO"), ("link", "a FIFO"), ("", "a directory")] {
            assert_eq!(read(&path(name)).unwrap_err().to_string(), format!("it is {kind}, not a file"));
        }
        assert!(read(&path("socket")).is_err());
        assert_eq!(read(Path::new("/dev/zero")).unwrap_err().to_string(), "it is a device, not a file");
        assert_eq!(read(Path::new("/dev/null")).unwrap(), b"");
        assert_eq!(read(&path("none")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
