//! A connection that gives up once nothing has moved for too long, or too much has come: the one place where an engine's
//! silence and its endless answers end.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Why a connection was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum GivenUp {
    /// Nothing has moved for so long.
    #[error("no progress for {} s (option timeout)", .0.as_secs_f32())]
    Silent(Duration),
    /// More than so many bytes came.
    #[error("the answer is longer than {0} bytes")]
    Endless(u64),
}

impl GivenUp {
    /// The fault of ours that an error came about by, if one did.
    pub fn found_in(error: &(dyn Error + 'static)) -> Option<GivenUp> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            // The source of an I/O error is that of the error it was made of, not this error itself.
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if let Some(found) = inner.and_then(|inner| inner.downcast_ref()) {
                return Some(*found);
            }
            cause = error.source();
        }
        None
    }
}

/// When something last moved. What waits for its turn behind others shares theirs.
#[derive(Debug, Clone)]
pub(super) struct Pulse(Arc<Mutex<Instant>>);

impl Pulse {
    pub fn new() -> Pulse {
        Pulse(Arc::new(Mutex::new(Instant::now())))
    }

    fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much of an engine is put up with.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    /// Whose silence counts, and how long it may last.
    pub silence: Option<(Pulse, Duration)>,
    /// Bytes that may come.
    pub length: Option<u64>,
}

/// A connection whose other side may be silent only for so long.
pub(super) struct Patient<S> {
    stream: S,
    bounds: Bounds,
    read: u64,
    timer: Pin<Box<Sleep>>,
}

impl<S> Patient<S> {
    pub fn new(stream: S, bounds: Bounds) -> Patient<S> {
        if let Some((pulse, _)) = &bounds.silence {
            pulse.beat();
        }
        Patient { stream, bounds, read: 0, timer: Box::pin(sleep_until(Instant::now())) }
    }

    fn beat(&self) {
        if let Some((pulse, _)) = &self.bounds.silence {
            pulse.beat();
        }
    }

    fn came(&mut self, count: usize) -> io::Result<()> {
        self.beat();
        self.read += count as u64;
        match self.bounds.length {
            Some(length) if self.read > length => Err(io::Error::other(GivenUp::Endless(length))),
            _ => Ok(()),
        }
    }

    /// Ready once nothing has moved for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some((pulse, patience)) = &self.bounds.silence else { return Poll::Pending };
        loop {
            let end = pulse.last() + *patience;
            if end <= Instant::now() {
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, GivenUp::Silent(*patience)));
            }
            self.timer.as_mut().reset(end);
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => {
                let result = self.came(buffer.filled().len() - before);
                if result.is_err() {
                    buffer.set_filled(before);
                }
                Poll::Ready(result)
            }
            Poll::Ready(failed) => Poll::Ready(failed),
            Poll::Pending => self.poll_silence(cx).map(Err),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if written.is_ready() {
            self.beat();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::sleep;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn silent(pulse: &Pulse) -> Bounds {
        Bounds { silence: Some((pulse.clone(), PATIENCE)), length: None }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_what_came_last() {
        let (mut far, near) = duplex(100);
        let mut near = Patient::new(near, silent(&Pulse::new()));
        let begun = Instant::now();
        tokio::spawn(async move {
            for _ in 0..3 {
                sleep(Duration::from_secs(4)).await;
                far.write_all(b"x").await.expect("open");
            }
            sleep(Duration::from_secs(3600)).await;
        });
        let mut read = Vec::new();
        let error = near.read_to_end(&mut read).await.expect_err("silence");
        assert_eq!((read.as_slice(), begun.elapsed().as_secs()), (&b"xxx"[..], 17));
        assert_eq!(GivenUp::found_in(&error), Some(GivenUp::Silent(PATIENCE)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_waits_behind_others_lives_as_long_as_they_move() {
        let pulse = Pulse::new();
        let (_far, near) = duplex(100);
        let (mut other_far, other) = duplex(100);
        let (mut near, mut other) = (Patient::new(near, silent(&pulse)), Patient::new(other, silent(&pulse)));
        let begun = Instant::now();
        tokio::spawn(async move {
            for _ in 0..10 {
                sleep(Duration::from_secs(3)).await;
                other_far.write_all(b"x").await.expect("open");
            }
            sleep(Duration::from_secs(3600)).await;
        });
        tokio::spawn(async move { other.read_to_end(&mut Vec::new()).await });
        near.read_u8().await.expect_err("silence");
        assert_eq!(begun.elapsed().as_secs(), 35);
    }

    #[tokio::test]
    async fn more_than_anybody_should_read_is_not_read() {
        let (mut far, near) = duplex(100);
        let mut near = Patient::new(near, Bounds { silence: None, length: Some(1000) });
        tokio::spawn(async move { while far.write_all(&[b' '; 64]).await.is_ok() {} });
        let mut read = Vec::new();
        let error = near.read_to_end(&mut read).await.expect_err("too much");
        assert!(matches!(GivenUp::found_in(&error), Some(GivenUp::Endless(1000))));
        assert!(read.len() <= 1000);
    }
}
