//! A BuildKit session: the engine calls back over a connection of ours, to get the secrets that a step asks for.
//!
//! `POST /session` is upgraded to HTTP/2, on which the engine is the client and speaks gRPC. Two methods are known:
//! `moby.buildkit.secrets.v1.Secrets/GetSecret` and `grpc.health.v1.Health/Check`, see
//! <https://github.com/moby/buildkit/tree/master/session>.

use std::convert::Infallible;
use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, UPGRADE};
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioExecutor;
use prost::Message;

use super::super::EngineError;
use super::fault;
use super::transport::Transport;
use crate::secret::Secrets;

const GET_SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
/// Longer than any request for a secret.
const LONGEST_REQUEST: usize = 64 * 1024;

/// gRPC's codes, see <https://grpc.io/docs/guides/status-codes/>.
mod code {
    pub const OK: u8 = 0;
    pub const INVALID_ARGUMENT: u8 = 3;
    pub const NOT_FOUND: u8 = 5;
    pub const UNIMPLEMENTED: u8 = 12;
}

#[derive(Clone, PartialEq, Message)]
struct GetSecretRequest {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
struct GetSecretResponse {
    #[prost(bytes = "vec", tag = "1")]
    data: Vec<u8>,
}

impl fmt::Debug for GetSecretResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetSecretResponse").finish_non_exhaustive()
    }
}

/// `SERVING` is 1.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// A session that the engine knows.
pub(super) struct Session {
    /// By which a build names it.
    pub id: String,
    connection: Upgraded,
    secrets: Secrets,
}

impl Session {
    /// Opens one.
    pub async fn open(
        transport: &Transport,
        endpoint: &str,
        secrets: Secrets,
    ) -> Result<Session, EngineError> {
        let id = new_id();
        let post = Request::post("/session")
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "h2c")
            .header("X-Docker-Expose-Session-Uuid", &id)
            .header("X-Docker-Expose-Session-Name", "kolla-build")
            .header("X-Docker-Expose-Session-Sharedkey", "")
            .header("X-Docker-Expose-Session-Grpc-Method", GET_SECRET)
            .header("X-Docker-Expose-Session-Grpc-Method", HEALTH_CHECK)
            .body(bollard::body_full(Bytes::new()))
            .expect("the headers are plain");
        let response = transport.send(post).await.map_err(|error| fault::of_transport(endpoint, error))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let reason =
                format!("it opens no session for secrets ({}), which BuildKit needs", response.status());
            return Err(EngineError::Unusable { endpoint: endpoint.to_string(), reason });
        }
        let connection =
            hyper::upgrade::on(response).await.map_err(|error| fault::of_hyper(endpoint, &error))?;
        Ok(Session { id, connection, secrets })
    }

    /// Answers the engine until it closes the session. Dropped, this closes it.
    pub async fn serve(self) {
        let secrets = self.secrets;
        let service = service_fn(|request: Request<Incoming>| {
            let secrets = secrets.clone();
            async move { Ok::<_, Infallible>(answer(request, &secrets).await) }
        });
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        // When it breaks, the build that needs it fails and tells why.
        let _ = server.serve_connection(self.connection, service).await;
    }
}

/// Random enough that nobody else's session has it.
fn new_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    let half = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", half(), half())
}

type GrpcBody = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

async fn answer(request: Request<Incoming>, secrets: &Secrets) -> Response<GrpcBody> {
    let method = request.uri().path().to_string();
    match method.as_str() {
        HEALTH_CHECK => grpc(code::OK, Some(&HealthCheckResponse { status: 1 })),
        GET_SECRET => {
            let body = Limited::new(request.into_body(), LONGEST_REQUEST).collect().await;
            let asked = body.ok().and_then(|body| message_in(&body.to_bytes()));
            let Some(GetSecretRequest { id }) = asked else {
                return grpc::<HealthCheckResponse>(code::INVALID_ARGUMENT, None);
            };
            match secrets.value(&id) {
                Some(value) => grpc(code::OK, Some(&GetSecretResponse { data: value.to_vec() })),
                None => grpc::<GetSecretResponse>(code::NOT_FOUND, None),
            }
        }
        _ => grpc::<HealthCheckResponse>(code::UNIMPLEMENTED, None),
    }
}

/// One message, after a byte that says whether it is compressed and four with its length.
fn message_in<M: Message + Default>(body: &[u8]) -> Option<M> {
    let (head, message) = body.split_at_checked(5)?;
    (head[0] == 0).then(|| M::decode(message).ok())?
}

fn grpc<M: Message>(code: u8, message: Option<&M>) -> Response<GrpcBody> {
    let mut frames = Vec::new();
    if let Some(message) = message {
        let bytes = message.encode_to_vec();
        let mut framed = BytesMut::with_capacity(5 + bytes.len());
        framed.put_u8(0);
        framed.put_u32(u32::try_from(bytes.len()).expect("a secret is small"));
        framed.put_slice(&bytes);
        frames.push(Ok(Frame::data(framed.freeze())));
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(u16::from(code)));
    frames.push(Ok(Frame::trailers(trailers)));
    let mut response = Response::new(StreamBody::new(stream::iter(frames)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_framed() {
        let request = [&[0, 0, 0, 0, 3][..], &[0x0a, 1, b'x']].concat();
        assert_eq!(message_in::<GetSecretRequest>(&request).map(|request| request.id).as_deref(), Some("x"));
        assert!(message_in::<GetSecretRequest>(&[0, 0]).is_none());
        assert!(message_in::<GetSecretRequest>(&[1, 0, 0, 0, 0]).is_none());
    }

    #[test]
    fn ids_differ() {
        assert_ne!(new_id(), new_id());
    }
}
