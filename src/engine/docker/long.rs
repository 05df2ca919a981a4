//! Requests whose first line is longer than `http::Uri` can be, which ends at 64 KiB; engines take one of a megabyte. The
//! request goes out with a short line, and the stream below puts the long one in its place.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest target that a `http::Uri` is made of here; what it gets in front is short.
pub(super) const LONGEST_TARGET: usize = 60_000;

/// A request's real target, as an extension of it.
#[derive(Debug, Clone)]
pub(super) struct LongTarget(pub String);

/// A stream whose first line is written otherwise.
pub(super) struct FirstLine<S> {
    stream: S,
    /// The first line as it is to be, until it was written.
    line: Option<String>,
    /// Bytes that are taken and not yet written.
    pending: BytesMut,
}

impl<S> FirstLine<S> {
    /// Writes this line, without its end, in place of the first one; without a line, all as it is.
    pub fn new(stream: S, line: Option<String>) -> FirstLine<S> {
        FirstLine { stream, line, pending: BytesMut::new() }
    }
}

impl<S: AsyncWrite + Unpin> FirstLine<S> {
    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Of a line that has no end yet, nothing.
        while self.line.is_none() && !self.pending.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.pending))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.pending.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstLine<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_pending(cx))?;
        let Some(line) = self.line.take() else { return Pin::new(&mut self.stream).poll_write(cx, bytes) };
        self.pending.extend_from_slice(bytes);
        match self.pending.windows(2).position(|end| end == b"\r\n") {
            Some(end) => {
                let rest = self.pending.split_off(end);
                self.pending.clear();
                self.pending.extend_from_slice(line.as_bytes());
                self.pending.unsplit(rest);
            }
            None => self.line = Some(line),
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstLine<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// What comes out when this is written in such pieces.
    async fn written(text: &[u8], line: Option<String>, piece: usize) -> Vec<u8> {
        let (near, mut far) = duplex(7);
        let text = text.to_vec();
        tokio::spawn(async move {
            let mut stream = FirstLine::new(near, line);
            for piece in text.chunks(piece) {
                stream.write_all(piece).await.expect("open");
                stream.flush().await.expect("open");
            }
        });
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.expect("open");
        read
    }

    proptest! {
        #[test]
        fn the_first_line_alone_is_another(body in "[a-z\r\n]{0,40}", long in "[a-z]{0,100}", piece in 1usize..60) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let text = format!("POST / HTTP/1.1\r\nhost: x\r\n\r\n{body}");
            let expected = format!("{long}\r\nhost: x\r\n\r\n{body}");
            prop_assert_eq!(runtime.block_on(written(text.as_bytes(), Some(long), piece)), expected.into_bytes());
            prop_assert_eq!(runtime.block_on(written(text.as_bytes(), None, piece)), text.into_bytes());
        }
    }
}
