//! When to try again what failed, and how long to wait before.

use std::time::Duration;

/// When to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It would be of no use.
    Never,
    /// After a while.
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

/// How long to wait before the try after `attempt` (from 1): 1, 2, 4 ... 60 seconds, less up to a half.
///
/// `jitter` from 0 to 1 keeps builds that failed together from trying again together.
pub fn backoff(attempt: u32, jitter: f64) -> Duration {
    let seconds = 2f64.powi(attempt.clamp(1, 7) as i32 - 1).min(60.0);
    Duration::from_secs_f64(seconds * (1.0 - 0.5 * jitter.clamp(0.0, 1.0)))
}

/// Asks until it succeeds, fails for good, or has been asked once and `retries` times more.
pub async fn persist<T, E, Asked: Future<Output = Result<T, E>>>(
    retries: u32,
    again: impl Fn(&E) -> Again,
    ask: impl Fn() -> Asked,
) -> Result<T, E> {
    let mut attempt = 1;
    loop {
        let result = ask().await;
        let wait = match &result {
            Err(error) if attempt <= retries => match again(error) {
                Again::Never => return result,
                Again::Later => backoff(attempt, 0.5),
                Again::After(wait) => wait,
            },
            _ => return result,
        };
        tokio::time::sleep(wait).await;
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
        assert_eq!(persist(2, again, ask).await, Err(3));
        assert_eq!(start.elapsed(), Duration::from_secs(14));
        assert_eq!(persist(2, |_| Again::Never, ask).await, Err(4));
    }

    #[test]
    fn waits_grow_and_stay_bounded() {
        assert_eq!(backoff(1, 0.0), Duration::from_secs(1));
        assert_eq!(backoff(4, 0.0), Duration::from_secs(8));
        assert_eq!(backoff(4, 1.0), Duration::from_secs(4));
        assert_eq!(backoff(1000, 0.0), Duration::from_secs(60));
    }
}
