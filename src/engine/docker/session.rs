//! A BuildKit session: the engine calls back over a connection of ours for what a build needs of us.
//!
//! `POST /session` is upgraded to HTTP/2, on which the engine is the client and speaks gRPC. Known are the methods of the
//! constants below, see <https://github.com/moby/buildkit/tree/master/session>.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, UPGRADE};
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioExecutor;
use prost::Message;

use super::super::EngineError;
use super::fault;
use super::grpc::{self, Code, framed, message_in, refuse, reply, reply_all};
use super::transport::{Exchange, Transport};
use crate::model::secret::Secrets;
use crate::registry::credentials::Credentials;

const GET_SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const GET_CREDENTIALS: &str = "/moby.filesync.v1.Auth/Credentials";
const PULL_CONTEXT: &str = "/moby.upload.v1.Upload/Pull";
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
/// Longer than any request.
const LONGEST_REQUEST: usize = 64 * 1024;

/// The host by which BuildKit knows a URL that it is to get over a session.
const SESSION_URL: &str = "http://buildkit-session";
/// BuildKit's name of Docker's own registry.
const DOCKER_HUB: &str = "registry-1.docker.io";

/// Asks for the value of a secret.
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

/// Asks for what a registry is to be shown.
#[derive(Clone, PartialEq, Message)]
struct CredentialsRequest {
    #[prost(string, tag = "1")]
    host: String,
}

/// A secret without user name is an identity token; nothing at all is for registries that want nothing.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
struct CredentialsResponse {
    #[prost(string, tag = "1")]
    username: String,
    #[prost(string, tag = "2")]
    secret: String,
}

impl fmt::Debug for CredentialsResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialsResponse").finish_non_exhaustive()
    }
}

/// A piece of what is uploaded.
#[derive(Clone, PartialEq, Message)]
struct BytesMessage {
    #[prost(bytes = "bytes", tag = "1")]
    data: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// An archive's bytes as they come.
pub(super) type Archive = BoxStream<'static, io::Result<Bytes>>;

/// Everything that the engine may ask for.
#[derive(Clone)]
pub(super) struct Offer {
    pub secrets: Secrets,
    pub credentials: Credentials,
    /// The build context, if the engine is to get it here; it can be had once.
    pub context: Arc<Mutex<Option<Archive>>>,
}

/// A session that the engine knows.
pub(super) struct BuildSession {
    /// By which a build names it.
    pub id: String,
    connection: Upgraded,
    offer: Offer,
}

impl BuildSession {
    /// Opens a session, which ends when it is dropped.
    pub async fn open(
        transport: &Transport,
        endpoint: &str,
        offer: Offer,
    ) -> Result<BuildSession, EngineError> {
        let id = new_id();
        let mut post = Request::post("/session")
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "h2c")
            .header("X-Docker-Expose-Session-Uuid", &id)
            .header("X-Docker-Expose-Session-Name", "kolla-build")
            .header("X-Docker-Expose-Session-Sharedkey", "");
        for method in [GET_SECRET, GET_CREDENTIALS, PULL_CONTEXT, HEALTH_CHECK] {
            post = post.header("X-Docker-Expose-Session-Grpc-Method", method);
        }
        let post = post.body(bollard::body_full(Bytes::new())).expect("the headers are plain");
        // What comes after this answer may be silent, the answer itself not.
        let patience = transport.patience();
        let answer = tokio::time::timeout(patience, transport.send(Exchange::Build, post)).await;
        let answer = answer.map_err(|_| EngineError::Stalled {
            endpoint: endpoint.to_string(),
            patience,
            doing: "",
        })?;
        let response = answer.map_err(|error| fault::of_transport(endpoint, error))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let reason = format!("it opens no session ({}), which BuildKit needs", response.status());
            return Err(EngineError::Unusable { endpoint: endpoint.to_string(), reason });
        }
        let connection =
            hyper::upgrade::on(response).await.map_err(|error| fault::of_hyper(endpoint, &error))?;
        Ok(BuildSession { id, connection, offer })
    }

    /// Where a build finds the offered context.
    pub fn context_url(&self) -> String {
        format!("{SESSION_URL}/kolla-build-{}", self.id)
    }

    /// Answers the engine until it closes the session. Dropped, this closes it.
    pub async fn serve(self) {
        let offer = self.offer;
        let service = service_fn(|request: Request<Incoming>| {
            let offer = offer.clone();
            async move { Ok::<_, Infallible>(answer(request, &offer).await) }
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

async fn answer(request: Request<Incoming>, offer: &Offer) -> Response<grpc::Body> {
    let method = request.uri().path().to_string();
    match method.as_str() {
        HEALTH_CHECK => reply(&HealthCheckResponse { status: 1 }),
        GET_SECRET => {
            let Some(GetSecretRequest { id }) = asked(request).await else { return unreadable() };
            match offer.secrets.value(&id) {
                Some(value) => reply(&GetSecretResponse { data: value.to_vec() }),
                None => refuse(Code::NotFound, "no such secret"),
            }
        }
        GET_CREDENTIALS => {
            let Some(CredentialsRequest { host }) = asked(request).await else { return unreadable() };
            match credentials_for(&host, &offer.credentials).await {
                Ok(found) => reply(&found),
                Err(error) => refuse(Code::Unknown, &error.to_string()),
            }
        }
        PULL_CONTEXT => match offer.context.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(archive) => reply_all(archive.map(|piece| piece.map(|data| framed(&BytesMessage { data })))),
            None => refuse(Code::NotFound, "the context was sent already"),
        },
        _ => refuse(Code::Unimplemented, "no such method"),
    }
}

async fn asked<M: Message + Default>(request: Request<Incoming>) -> Option<M> {
    let body = Limited::new(request.into_body(), LONGEST_REQUEST).collect().await;
    message_in(&body.ok()?.to_bytes())
}

fn unreadable() -> Response<grpc::Body> {
    refuse(Code::InvalidArgument, "the request can't be read")
}

async fn credentials_for(
    host: &str,
    credentials: &Credentials,
) -> Result<CredentialsResponse, crate::registry::credentials::CredentialsError> {
    let registry = Some(host).filter(|host| *host != DOCKER_HUB);
    let Some(found) = credentials.find(registry).await? else { return Ok(CredentialsResponse::default()) };
    Ok(match found.identity_token {
        Some(secret) => CredentialsResponse { username: String::new(), secret },
        None => CredentialsResponse {
            username: found.username.unwrap_or_default(),
            secret: found.password.unwrap_or_default(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ() {
        assert_ne!(new_id(), new_id());
    }

    #[tokio::test]
    async fn credentials_go_by_buildkit_s_names() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = r#"{"auths": {"https://index.docker.io/v1/": {"username": "u", "password": "p"},
                         "r:5000": {"identitytoken": "t"}}}"#;
        std::fs::write(directory.path().join("config.json"), config).expect("a file");
        let credentials = Credentials::load(directory.path(), std::time::Duration::from_secs(5));
        let answer = |username: &str, secret: &str| CredentialsResponse {
            username: username.to_string(),
            secret: secret.to_string(),
        };
        for (host, expected) in [
            ("registry-1.docker.io", answer("u", "p")),
            ("r:5000", answer("", "t")),
            ("other", answer("", "")),
        ] {
            assert_eq!(credentials_for(host, &credentials).await.ok(), Some(expected), "{host}");
        }
    }
}
