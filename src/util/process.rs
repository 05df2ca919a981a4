//! Programs of others: git, pip, ssh, credential helpers. Each runs in a process group of its own, so that it goes with
//! all that it has started; what it writes is bounded, nobody answers its questions, and its silence has an end.

use std::collections::BTreeSet;
use std::io;
use std::ops::{Deref, DerefMut};
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

/// How long what was written is still waited for once the program has ended: something that it has started may hold its
/// output open.
pub const LAST_WORDS: Duration = Duration::from_secs(1);

/// So much of a program's errors is kept, their end.
const KEPT_ERRORS: usize = 64 * 1024;

/// The groups that run.
#[derive(Default)]
struct RunningGroups {
    groups: BTreeSet<u32>,
    /// The process is about to leave: nothing more is started.
    closed: bool,
}

static RUNNING: Mutex<RunningGroups> = Mutex::new(RunningGroups { groups: BTreeSet::new(), closed: false });

fn running() -> MutexGuard<'static, RunningGroups> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program with all that it has started. Dropped before its end was waited for, all of it is killed.
pub struct Group {
    child: Child,
    id: u32,
}

impl Group {
    /// Starts a program in a group of its own.
    pub fn spawn(command: &mut Command) -> io::Result<Group> {
        // Held meanwhile, so that `end_all` misses none.
        let mut running = running();
        if running.closed {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let id = child.id().ok_or(io::ErrorKind::NotFound)?;
        running.groups.insert(id);
        Ok(Group { child, id })
    }
}

impl Deref for Group {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.child
    }
}

impl DerefMut for Group {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        running().groups.remove(&self.id);
        // Once its end was waited for, its id may be another's.
        if self.child.id().is_some() {
            kill(self.id);
        }
    }
}

/// Kills every program that runs, for a process that leaves without dropping anything; from now on none is started.
pub fn end_all() {
    let mut running = running();
    running.closed = true;
    std::mem::take(&mut running.groups).into_iter().for_each(kill);
}

fn kill(group: u32) {
    let group = i32::try_from(group).ok().and_then(Pid::from_raw);
    // It may have ended by itself.
    let _ = group.map(|group| kill_process_group(group, Signal::KILL));
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Status that it ended with.
    pub status: ExitStatus,
    /// Bytes that it wrote to standard output.
    pub output: Vec<u8>,
    /// The end of what it wrote to standard error.
    pub errors: Vec<u8>,
}

/// Why a program did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The program is not there.
    #[error("{0} is not installed")]
    Missing(String),
    /// The system did not run it.
    #[error("cannot run {program}: {source}")]
    System {
        /// Name of the program.
        program: String,
        /// Error that the system gave.
        source: io::Error,
    },
    /// Nothing came from it for too long.
    #[error("{program} has made no progress for {} s (option timeout)", patience.as_secs_f32())]
    Stalled {
        /// Name of the program.
        program: String,
        /// Time that it was waited for.
        patience: Duration,
    },
    /// The program wrote more than anybody should read.
    #[error("{program} writes without end: more than {limit} bytes")]
    Endless {
        /// Name of the program.
        program: String,
        /// So much was read.
        limit: usize,
    },
}

/// Runs a program to its end. It reads `input` and nothing else, may write `limit` bytes, and is killed once nothing has
/// moved for `patience` or the future is dropped.
pub async fn run(
    command: &mut Command,
    input: &[u8],
    patience: Duration,
    limit: usize,
) -> Result<Ended, ProcessError> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = match Group::spawn(command) {
        Ok(group) => group,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ProcessError::Missing(program)),
        Err(source) => return Err(ProcessError::System { program, source }),
    };
    let (mut unread, mut stdin) = (input, group.stdin.take().filter(|_| !input.is_empty()));
    let mut output = Pipe::of(group.stdout.take(), usize::MAX);
    let mut errors = Pipe::of(group.stderr.take(), KEPT_ERRORS);
    let mut status = None;
    let mut end = Instant::now() + patience;
    while status.is_none() || output.is_open() || errors.is_open() {
        let step = async {
            tokio::select! {
                read = output.read(), if output.is_open() => read?,
                read = errors.read(), if errors.is_open() => read?,
                ended = group.wait(), if status.is_none() => status = Some(ended?),
                written = write(&mut stdin, unread), if stdin.is_some() => match written {
                    Ok(count) if count < unread.len() => unread = &unread[count..],
                    // All of it, or the program does not want to know.
                    _ => stdin = None,
                },
            }
            io::Result::Ok(())
        };
        match timeout(end.saturating_duration_since(Instant::now()), step).await {
            Ok(Ok(())) => {}
            Ok(Err(source)) => return Err(ProcessError::System { program, source }),
            // What still holds its output open is not the program.
            Err(_) if status.is_some() => break,
            Err(_) => return Err(ProcessError::Stalled { program, patience }),
        }
        if output.total + errors.total > limit {
            return Err(ProcessError::Endless { program, limit });
        }
        match status {
            None => end = Instant::now() + patience,
            Some(_) => end = end.min(Instant::now() + LAST_WORDS),
        }
    }
    // The loop ends without one only when there was nothing to wait for.
    let status = status.unwrap_or_default();
    Ok(Ended { status, output: output.read, errors: errors.read })
}

/// The same where nothing is asynchronous.
pub fn run_alone(command: &mut Command, patience: Duration, limit: usize) -> Result<Ended, ProcessError> {
    let program = || command.as_std().get_program().to_string_lossy().into_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| ProcessError::System { program: program(), source })?;
    runtime.block_on(run(command, b"", patience, limit))
}

async fn write(stdin: &mut Option<tokio::process::ChildStdin>, bytes: &[u8]) -> io::Result<usize> {
    match stdin {
        Some(stdin) => stdin.write(bytes).await,
        None => Ok(0),
    }
}

/// Output of a program.
struct Pipe<R> {
    from: Option<R>,
    read: Vec<u8>,
    total: usize,
    /// So much of it is kept, the end.
    kept: usize,
}

impl<R: AsyncRead + Unpin> Pipe<R> {
    fn of(from: Option<R>, kept: usize) -> Pipe<R> {
        Pipe { from, read: Vec::new(), total: 0, kept }
    }

    fn is_open(&self) -> bool {
        self.from.is_some()
    }

    async fn read(&mut self) -> io::Result<()> {
        let Some(from) = &mut self.from else { return Ok(()) };
        let count = from.read_buf(&mut self.read).await?;
        self.total += count;
        if count == 0 {
            self.from = None;
        }
        // Not each time, for what stays is moved.
        if self.read.len() > self.kept.saturating_mul(2) {
            self.read.drain(..self.read.len() - self.kept);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn shell(script: &str, input: &[u8], patience: Duration) -> Result<Ended, ProcessError> {
        run(Command::new("sh").args(["-c", script]), input, patience, 1 << 20).await
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_program_reads_what_it_is_given_and_nothing_else() {
        let much = vec![b'x'; 300_000];
        let ended = shell("cat; echo err >&2; exit 3", &much, LONG).await.expect("its end");
        assert_eq!((ended.output.len(), ended.errors.as_slice()), (300_000, &b"err\n"[..]));
        assert_eq!(ended.status.code(), Some(3));
        assert_eq!(shell("cat", b"", LONG).await.expect("its end").output, b"");
        assert_eq!(shell("exec <&-; echo x", &much, LONG).await.expect("its end").output, b"x\n");
    }

    #[tokio::test]
    async fn silence_and_endless_words_end_a_program() {
        let brief = Duration::from_millis(300);
        assert!(matches!(shell("sleep 60", b"", brief).await, Err(ProcessError::Stalled { .. })));
        assert!(matches!(
            shell("exec >&- 2>&-; sleep 60", b"", brief).await,
            Err(ProcessError::Stalled { .. })
        ));
        for script in ["yes", "yes >&2"] {
            assert!(matches!(shell(script, b"", LONG).await, Err(ProcessError::Endless { .. })), "{script}");
        }
        let many = shell("head -c 1000000 /dev/zero >&2; echo end >&2", b"", LONG).await.expect("its end");
        assert!(many.errors.len() <= 2 * KEPT_ERRORS && many.errors.ends_with(b"end\n"));
    }

    #[tokio::test]
    async fn what_a_program_leaves_behind_keeps_nobody_waiting() {
        let ended = shell("sleep 30 & echo done", b"", LONG).await.expect("its end");
        assert_eq!((ended.output.as_slice(), ended.status.code()), (&b"done\n"[..], Some(0)));
    }

    #[tokio::test]
    async fn a_dropped_program_goes_with_what_it_has_started() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pid");
        let script = format!("sleep 60 & echo $! > {0}.new; mv {0}.new {0}; wait", path.display());
        let brief = Duration::from_millis(700);
        assert!(matches!(shell(&script, b"", brief).await, Err(ProcessError::Stalled { .. })));
        let pid = fs::read_to_string(&path).expect("written");
        let end = Instant::now() + LONG;
        // Gone, or a zombie that whoever adopted it has not waited for.
        let lives = || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
        };
        while lives() {
            assert!(Instant::now() < end, "the child of a killed program lives on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
