//! The threads of the program, started where it can still be told that there can be none.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rayon::ThreadPoolBuilder;
use tokio::runtime::Runtime;

use crate::error::{EXIT_FAILED, Fatal};
use crate::util::interrupt;

/// Threads of the asynchronous work, which waits more than it computes.
const WORKERS: usize = 8;

/// Threads that must be to be had beside those: for files and names.
const BLOCKING: usize = 2;

/// A thread without work stays for so long: there may be no room for another by then.
const KEPT: Duration = Duration::from_secs(3600);

/// Starts what runs from the beginning to the end: who hears signals, and who renders.
pub fn start() -> Result<(), Fatal> {
    interrupt::catch().map_err(|error| none("listen to signals", &error))?;
    // With its own words, for it may also be that of an earlier run of `--watch`.
    ThreadPoolBuilder::new().build_global().map_err(|error| none("render", &error))
}

/// Does asynchronous work to its end. What it leaves behind blocked, such as a download or a hash, keeps no run from
/// ending.
pub fn block_on<T>(work: impl Future<Output = Result<T, Fatal>>) -> Result<T, Fatal> {
    let runtime = runtime()?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

/// Where asynchronous work runs.
pub fn runtime() -> Result<Runtime, Fatal> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(WORKERS);
    // The runtime panics when it can't start one, and waits for ever when it can't start all.
    probe(workers + BLOCKING).map_err(|error| none("work", &error))?;
    tokio::runtime::Builder::new_multi_thread()
        // Else a variable of the environment says how many, and it panics over a wrong one.
        .worker_threads(workers)
        .thread_keep_alive(KEPT)
        .enable_all()
        .build()
        .map_err(|error| none("work", &error))
}

/// Starts so many threads at once, and lets them go.
fn probe(count: usize) -> io::Result<()> {
    let mut held = Vec::new();
    for _ in 0..count {
        let (release, released) = mpsc::channel::<()>();
        let thread = thread::Builder::new().spawn(move || {
            // Until it is let go.
            let _ = released.recv();
        })?;
        held.push((release, thread));
    }
    for (release, thread) in held {
        drop(release);
        let _ = thread.join();
    }
    Ok(())
}

fn none(what: &str, error: &dyn std::error::Error) -> Fatal {
    Fatal::message(format!("failed to start the threads that {what}: {error}"), EXIT_FAILED).hinted(
        "the limits of processes (ulimit -u, or the container's) and of memory (ulimit -v) count threads too",
    )
}
