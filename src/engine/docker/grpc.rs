//! gRPC as the one who answers: messages in frames, and how it went in trailers, see
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md> [pure].

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use http_body_util::StreamBody;
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use prost::Message;

/// The body of an answer.
pub(super) type Body = StreamBody<BoxStream<'static, io::Result<Frame<Bytes>>>>;

/// How a call went when it did not go well, see <https://grpc.io/docs/guides/status-codes/>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Unknown = 2,
    InvalidArgument = 3,
    NotFound = 5,
    Unimplemented = 12,
}

/// The one message of a request.
pub(super) fn message_in<M: Message + Default>(body: &[u8]) -> Option<M> {
    // A byte that says whether it is compressed, and four with its length.
    let (head, message) = body.split_at_checked(5)?;
    (head[0] == 0).then(|| M::decode(message).ok())?
}

/// Answers with a message.
pub(super) fn reply(message: &impl Message) -> Response<Body> {
    reply_all(stream::iter([Ok(framed(message))]))
}

/// Answers with messages as they come, each framed already. An error breaks the answer off.
pub(super) fn reply_all(messages: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Response<Body> {
    let end = stream::iter([Ok(Frame::trailers(trailers(0, "")))]);
    response(messages.map(|message| message.map(Frame::data)).chain(end).boxed())
}

/// A refusal, which gRPC has as a header of an answer without body.
pub(super) fn refuse(code: Code, why: &str) -> Response<Body> {
    response(stream::iter([Ok(Frame::trailers(trailers(code as u16, why)))]).boxed())
}

/// A message with its head.
pub(super) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut framed = BytesMut::with_capacity(5 + length);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(length).expect("messages are small"));
    message.encode(&mut framed).expect("the buffer grows");
    framed.freeze()
}

fn trailers(code: u16, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(code));
    if !message.is_empty() {
        let encoded = utf8_percent_encode(message, NON_ALPHANUMERIC).to_string();
        trailers.insert("grpc-message", HeaderValue::try_from(encoded).expect("it is plain by now"));
    }
    trailers
}

fn response(frames: BoxStream<'static, io::Result<Frame<Bytes>>>) -> Response<Body> {
    let mut response = Response::new(StreamBody::new(frames));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, PartialEq, Message)]
    struct Named {
        #[prost(string, tag = "1")]
        name: String,
    }

    #[test]
    fn messages_are_framed() {
        let message = Named { name: "x".to_string() };
        let frame = framed(&message);
        assert_eq!(&frame[..], [0, 0, 0, 0, 3, 0x0a, 1, b'x']);
        assert_eq!(message_in::<Named>(&frame), Some(message));
        assert!(message_in::<Named>(&[0, 0]).is_none());
        assert!(message_in::<Named>(&[1, 0, 0, 0, 0]).is_none());
    }

    #[test]
    fn words_fit_into_a_trailer() {
        assert_eq!(trailers(2, "a b\né")["grpc-message"], "a%20b%0A%C3%A9");
    }
}
