//! Sends a directory as a build context while it is being archived: a few chunks in memory, never the whole.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::EngineError;
use crate::context::archive::{write_context, write_context_with};
use crate::dockerfile::mounts::with_run_flags;
use crate::util::input;

const CHUNK: usize = 64 * 1024;
const CHUNKS_IN_FLIGHT: usize = 4;

/// Parts of a build context that are sent otherwise than they are on the disk.
pub(super) struct Changes {
    /// Flags that its RUN steps get.
    pub run_flags: Vec<String>,
    /// Text of the Dockerfile, if it is another one.
    pub dockerfile: Option<String>,
}

/// A context on its way to an engine.
pub(super) struct Upload {
    path: PathBuf,
    archiving: JoinHandle<io::Result<()>>,
}

impl Upload {
    /// Starts archiving a directory, every entry of this time, with these changes to its Dockerfile; gives the archive's
    /// bytes as they come.
    pub fn start(
        path: PathBuf,
        mtime: u64,
        changes: Changes,
    ) -> (Upload, impl Stream<Item = io::Result<Bytes>>) {
        let (sender, mut receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let directory = path.clone();
        let archiving = tokio::task::spawn_blocking(move || {
            let mut writer = BufWriter::with_capacity(CHUNK, ChunkSender(sender.clone()));
            let result = archive(&directory, mtime, &changes, &mut writer).and_then(|()| writer.flush());
            if result.is_err() {
                // The request must break off: an archive that merely ended would be taken for a whole one.
                let _ = sender.blocking_send(Err(io::Error::other("the build context cannot be read")));
            }
            result
        });
        (Upload { path, archiving }, futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx)))
    }

    /// After the exchange has ended: the error of a context that could not be read, if that is what ended it.
    pub async fn failure(self) -> Option<EngineError> {
        let source = match self.archiving.await {
            Ok(Ok(())) => return None,
            // The engine stopped reading.
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => return None,
            Ok(Err(error)) => error,
            Err(panic) => io::Error::other(panic),
        };
        Some(EngineError::Context { path: self.path, source })
    }
}

fn archive(directory: &Path, mtime: u64, changes: &Changes, out: impl Write) -> io::Result<()> {
    if changes.run_flags.is_empty() && changes.dockerfile.is_none() {
        return write_context(directory, mtime, out);
    }
    let dockerfile = match &changes.dockerfile {
        Some(text) => text.clone(),
        None => input::read_to_string(&directory.join("Dockerfile"))?,
    };
    write_context_with(directory, Some(&with_run_flags(&dockerfile, &changes.run_flags)), mtime, out)
}

/// Hands what is written to the request's body, waiting while the engine is slower than the disk.
struct ChunkSender(mpsc::Sender<io::Result<Bytes>>);

impl Write for ChunkSender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = &bytes[..bytes.len().min(CHUNK)];
        match self.0.blocking_send(Ok(Bytes::copy_from_slice(taken))) {
            Ok(()) => Ok(taken.len()),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
