//! Ctrl-C, SIGTERM and SIGHUP: heard from the first moment to the last, by a thread of their own, so that whatever the
//! program is at does not matter.
//!
//! The first one ends the process at once, unless something has said that it ends in order ([`orderly`]); the second
//! always does. Whoever leaves takes along programs that run, and temporary directories.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::input;
use super::process;
use crate::util::exit::EXIT_INTERRUPTED;

/// Enough for what the thread does; not that of other threads, for which there may be no room any more.
const STACK: usize = 256 * 1024;

/// How long a standard error that nobody reads is tried.
const LAST_WORD: Duration = Duration::from_millis(200);

/// SIGHUP in the mask of `/proc/self/status`.
const HANGUP: u64 = 1;

/// Effect of the next signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Ends the process at once, as interrupted.
    Leave,
    /// Asks what runs to stop.
    Stop,
    /// None: one has come that ends the process.
    Leaving,
}

struct InterruptState {
    next: Mutex<Next>,
    stop: watch::Sender<bool>,
    /// Directories and files that go with the process.
    temporary: Mutex<BTreeSet<PathBuf>>,
}

static STATE: LazyLock<InterruptState> = LazyLock::new(|| InterruptState {
    next: Mutex::new(Next::Leave),
    stop: watch::Sender::new(false),
    temporary: Mutex::default(),
});

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hears signals from now on.
pub fn catch() -> io::Result<()> {
    let (sender, ready) = mpsc::channel();
    thread::Builder::new().name("signals".to_string()).stack_size(STACK).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(sender.send(Err(error))),
        };
        runtime.block_on(async {
            match Signals::catch() {
                Ok(signals) => {
                    let _ = sender.send(Ok(()));
                    signals.obey().await;
                }
                Err(error) => _ = sender.send(Err(error)),
            }
        });
    })?;
    ready.recv().map_err(io::Error::other)?
}

struct Signals(Vec<Signal>);

impl Signals {
    fn catch() -> io::Result<Signals> {
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        // `nohup` asks to go on without a terminal.
        if !ignores_hangups(&input::read_to_string(Path::new("/proc/self/status")).unwrap_or_default()) {
            kinds.push(SignalKind::hangup());
        }
        kinds.into_iter().map(signal).collect::<io::Result<_>>().map(Signals)
    }

    async fn obey(mut self) {
        loop {
            self.next().await;
            let next = {
                let mut next = locked(&STATE.next);
                let after = if *next == Next::Stop { Next::Leave } else { Next::Leaving };
                std::mem::replace(&mut *next, after)
            };
            match next {
                Next::Stop => _ = STATE.stop.send_replace(true),
                Next::Leave | Next::Leaving => {
                    if !*STATE.stop.borrow() {
                        tell_briefly();
                    }
                    leave();
                }
            }
        }
    }

    async fn next(&mut self) {
        let signals = self.0.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures_util::future::select_all(signals).await;
    }
}

/// True for the status of a process that was started with hang-ups ignored.
fn ignores_hangups(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & HANGUP != 0)
}

/// Says why the process ends. Somebody may be in the middle of a line that nobody reads.
fn tell_briefly() {
    let (sender, told) = mpsc::channel();
    let tell = move || {
        let _ = writeln!(io::stderr(), "Interrupted");
        let _ = sender.send(());
    };
    if thread::Builder::new().stack_size(STACK).spawn(tell).is_ok() {
        let _ = told.recv_timeout(LAST_WORD);
    }
}

fn leave() -> ! {
    clean_up();
    std::process::exit(i32::from(EXIT_INTERRUPTED));
}

/// The last thing that the process does when its work is done. Once it was interrupted it ends as that, even if its
/// work came to its end meanwhile: nobody is told "Interrupted" by a process that then counts as a success.
pub fn end() {
    let left = matches!(*locked(&STATE.next), Next::Leaving);
    if left {
        // The thread of the signals ends the process; should it fail to, so does this.
        thread::sleep(2 * LAST_WORD);
        leave();
    }
    clean_up();
}

/// Ends the programs that run, and removes the temporary directories and files that are left.
fn clean_up() {
    process::end_all();
    for left in std::mem::take(&mut *locked(&STATE.temporary)) {
        // Something may just be written into a directory.
        let _ = std::fs::remove_file(&left)
            .or_else(|_| std::fs::remove_dir_all(&left))
            .or_else(|_| std::fs::remove_dir_all(&left));
    }
}

/// Sets the effect of the next signal, unless one has come that ends the process.
fn replace_next(next: Next) {
    let mut current = locked(&STATE.next);
    if *current != Next::Leaving {
        *current = next;
    }
}

/// Work that ends in order when it is asked to: for as long as this is held, the first signal only asks.
pub struct Orderly(watch::Receiver<bool>);

/// From now on the first signal asks to stop.
pub fn orderly() -> Orderly {
    replace_next(Next::Stop);
    Orderly(STATE.stop.subscribe())
}

impl Orderly {
    /// Becomes true when it is to stop.
    pub fn stop(&self) -> watch::Receiver<bool> {
        self.0.clone()
    }

    /// True once it was asked to.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }
}

impl Drop for Orderly {
    fn drop(&mut self) {
        replace_next(Next::Leave);
    }
}

/// A directory or file that goes with the process, however it ends, as long as this is held.
#[derive(Debug)]
pub struct Doomed(PathBuf);

impl Doomed {
    /// Has whoever leaves remove it.
    pub fn new(path: &Path) -> Doomed {
        locked(&STATE.temporary).insert(path.to_path_buf());
        Doomed(path.to_path_buf())
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        locked(&STATE.temporary).remove(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_asked_for_is_seen() {
        assert!(ignores_hangups("Name:\tx\nSigBlk:\t0\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangups("SigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangups(""));
    }
}
