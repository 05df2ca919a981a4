//! When to try again what failed, and how long to wait before.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// When to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Not again: it would be of no use.
    Never,
    /// After a pause that grows with each try.
    Later,
    /// After this long, as was asked for.
    After(Duration),
}

impl Again {
    /// Of a failure that says only whether it may pass.
    pub fn if_transient(transient: bool) -> Again {
        if transient { Again::Later } else { Again::Never }
    }
}

/// Wait before the try after `attempt` (from 1): 1, 2, 4 ... 60 seconds, less up to a half. A jitter from 0 to 1 keeps
/// what failed together from being tried again together.
fn backoff(attempt: u32, jitter: f64) -> Duration {
    let seconds = 2f64.powi(attempt.clamp(1, 7) as i32 - 1).min(60.0);
    Duration::from_secs_f64(seconds * (1.0 - 0.5 * jitter.clamp(0.0, 1.0)))
}

/// A random number from 0 to 1: what std's hash maps are seeded with.
fn jitter() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

/// A wait before the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Length of the wait.
    pub wait: Duration,
    /// True when the other side has asked for it.
    pub asked: bool,
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.wait.as_secs_f32();
        let asked = if self.asked { ", as it asks (Retry-After)" } else { "" };
        write!(f, "trying again in {seconds:.1} s{asked}")
    }
}

/// Asks until it succeeds, fails for good, or has been asked once and `retries` times more. Each wait is told before it
/// begins.
pub async fn retry<T, E, Asked: Future<Output = Result<T, E>>>(
    retries: u32,
    again: impl Fn(&E) -> Again,
    waits: impl Fn(&E, Pause),
    ask: impl Fn() -> Asked,
) -> Result<T, E> {
    let mut attempt = 1;
    loop {
        let error = match ask().await {
            Err(error) if attempt <= retries => error,
            result => return result,
        };
        let pause = match again(&error) {
            Again::Never => return Err(error),
            Again::Later => Pause { wait: backoff(attempt, jitter()), asked: false },
            Again::After(wait) => Pause { wait, asked: true },
        };
        waits(&error, pause);
        tokio::time::sleep(pause.wait).await;
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_was_asked_for_is_kept_and_the_last_failure_told() {
        let asked = std::cell::Cell::new(0);
        let ask = || {
            asked.set(asked.get() + 1);
            std::future::ready(Err::<(), u32>(asked.get()))
        };
        let start = tokio::time::Instant::now();
        let again = |_: &u32| Again::After(Duration::from_secs(7));
        let told = std::cell::RefCell::new(Vec::new());
        let waits = |error: &u32, pause: Pause| told.borrow_mut().push(format!("{error}: {pause}"));
        assert_eq!(retry(2, again, waits, ask).await, Err(3));
        assert_eq!(start.elapsed(), Duration::from_secs(14));
        let asked = "trying again in 7.0 s, as it asks (Retry-After)";
        assert_eq!(*told.borrow(), [format!("1: {asked}"), format!("2: {asked}")]);
        assert_eq!(retry(2, |_| Again::Never, waits, ask).await, Err(4));
        assert_eq!(told.borrow().len(), 2);
    }

    #[test]
    fn jitter_is_another_every_time() {
        let drawn: Vec<f64> = std::iter::repeat_with(jitter).take(100).collect();
        assert!(drawn.iter().all(|number| (0.0..=1.0).contains(number)));
        let (low, high) = (drawn.iter().filter(|number| **number < 0.5).count(), drawn.len());
        assert!((20..=80).contains(&low), "{low} of {high}");
    }

    #[test]
    fn waits_grow_and_stay_bounded() {
        assert_eq!(backoff(1, 0.0), Duration::from_secs(1));
        assert_eq!(backoff(4, 0.0), Duration::from_secs(8));
        assert_eq!(backoff(4, 1.0), Duration::from_secs(4));
        assert_eq!(backoff(1000, 0.0), Duration::from_secs(60));
    }
}
