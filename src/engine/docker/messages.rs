//! The messages of a running build, pull or push: one JSON object a line in the answer's body.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use serde::Deserialize;

use super::super::EngineError;
use super::fault;

/// A message longer than this is none.
const LONGEST_MESSAGE: usize = 16 * 1024 * 1024;

/// One message; which fields it has depends on the builder and on what it tells.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Message {
    /// A piece of the classic builder's log.
    pub stream: Option<String>,
    /// Progress of a pull, or the kind of thing that `aux` is.
    pub id: Option<String>,
    /// The work that a pull is at.
    pub status: Option<String>,
    /// A pull's progress bar.
    pub progress: Option<String>,
    /// The image's id, or BuildKit's trace.
    pub aux: Option<serde_json::Value>,
    /// The build has failed.
    #[serde(rename = "errorDetail")]
    pub error_detail: Option<ErrorDetail>,
    /// The same for old readers; the only one that Podman sends.
    pub error: Option<String>,
}

impl Message {
    /// Why the engine has failed, when this is what it says.
    pub fn failure(&self) -> Option<String> {
        self.error_detail.as_ref().map(|detail| &detail.message).or(self.error.as_ref()).cloned()
    }
}

/// Why a build has failed.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ErrorDetail {
    #[serde(default)]
    pub message: String,
}

/// Reads messages from an answer's body.
pub(super) struct Messages<'a, B = Incoming> {
    endpoint: &'a str,
    body: B,
    pending: BytesMut,
    ended: bool,
}

impl<'a, B: Body<Data = Bytes, Error = hyper::Error> + Unpin> Messages<'a, B> {
    pub fn new(endpoint: &'a str, body: B) -> Messages<'a, B> {
        Messages { endpoint, body, pending: BytesMut::new(), ended: false }
    }

    /// The next message; none after the last.
    pub async fn next(&mut self) -> Result<Option<Message>, EngineError> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.pending[searched..].iter().position(|&byte| byte == b'\n') {
                let line = self.pending.split_to(searched + end + 1);
                searched = 0;
                if !line.trim_ascii().is_empty() {
                    return self.parse(&line).map(Some);
                }
                continue;
            }
            searched = self.pending.len();
            if self.ended {
                let rest = self.pending.split();
                return if rest.trim_ascii().is_empty() { Ok(None) } else { self.parse(&rest).map(Some) };
            }
            if searched > LONGEST_MESSAGE {
                return Err(fault::garbage(self.endpoint, "a message without end"));
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), EngineError> {
        match self.body.frame().await {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.pending.extend_from_slice(data);
                }
                Ok(())
            }
            Some(Err(error)) => Err(fault::of_hyper(self.endpoint, &error)),
            None => {
                self.ended = true;
                Ok(())
            }
        }
    }

    fn parse(&self, line: &[u8]) -> Result<Message, EngineError> {
        serde_json::from_slice(line).map_err(|error| {
            if self.ended && error.is_eof() {
                return fault::lost(self.endpoint, "the answer ends in the middle of a message");
            }
            let start: String =
                String::from_utf8_lossy(&line[..line.len().min(400)]).chars().take(80).collect();
            fault::garbage(self.endpoint, format!("{error} in {start:?}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use proptest::prelude::*;

    use super::*;

    /// What is read of a body that comes in these pieces, and how it ends.
    fn read(pieces: Vec<Bytes>) -> (Vec<Option<String>>, Option<String>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let frames = pieces.into_iter().map(|piece| Ok::<_, hyper::Error>(Frame::data(piece)));
        let mut messages = Messages::new("e", StreamBody::new(stream::iter(frames)));
        let mut read = Vec::new();
        loop {
            match runtime.block_on(messages.next()) {
                Ok(Some(message)) => read.push(message.stream),
                Ok(None) => return (read, None),
                Err(error) => return (read, Some(error.to_string())),
            }
        }
    }

    proptest! {
        #[test]
        fn wherever_an_answer_is_cut_its_messages_are_the_same(
            lines in proptest::collection::vec(prop_oneof![
                4 => "[a-zé\\n\"]{0,9}".prop_map(|text| serde_json::json!({"stream": text}).to_string()),
                1 => "[ \r]{0,2}",
                1 => Just("{\"stream\": \"cut".to_string()),
            ], 0..12),
            cuts in proptest::collection::vec(0usize..300, 0..12),
        ) {
            let body = Bytes::from(lines.join("\n"));
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|ends| body.slice(ends[0]..ends[1])).collect();
            prop_assert_eq!(read(pieces), read(vec![body]));
        }
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let piece = Bytes::from(vec![b'x'; 1 << 20]);
        let (read, error) = read(vec![piece; 20]);
        assert!(read.is_empty());
        assert!(error.is_some_and(|error| error.ends_with("a message without end")));
    }
}
