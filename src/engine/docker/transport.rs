//! The connection to an engine: one HTTP exchange each, so that dropping an exchange closes its connection,
//! which is how an engine learns that a build is cancelled.
//!
//! bollard sends through it too. The build request does not go through bollard, because bollard reads every `aux`
//! message as an image id and gives up on BuildKit's.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bollard::BollardRequest;
use bollard::errors::Error as BollardError;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::InvalidUri;
use hyper::{Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::endpoint::{Authority, Endpoint};
use super::long::{FirstLine, LongTarget};
use super::patient::{Bounds, Patient, Pulse};
use super::ssh::{self, Complaint};
use super::tls;
use crate::util::scratch::Scratch;

/// Version of Podman's own API: the oldest that Podman 4 and 5 know.
const LIBPOD: &str = "/v4.0.0";

/// An answer longer than this is none; lists of ten thousand images are shorter.
const LONGEST_ANSWER: u64 = 128 << 20;

/// bollard's own time-out, which is not to strike before that of the connection.
const NEVER: u64 = 1 << 32;

/// Kind of an exchange, which decides for how long the engine may be silent in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exchange {
    /// A question, which is answered without delay and at no great length.
    Question,
    /// An image on its way to or from a registry. The engine moves only a few layers at a time, and is silent about those
    /// that wait for their turn: it makes progress as long as any of them does.
    Transfer,
    /// A file system on its way from the engine: of any length, and never silent.
    FileSystem,
    /// A build or what belongs to it: it may say nothing for an hour.
    Build,
    /// Something that lasts as long as a container likes: a command in it, its log while it is written, its end.
    Command,
}

impl Exchange {
    /// Kind of a request of bollard's.
    fn of(uri: &Uri) -> Exchange {
        let path = uri.path();
        let lasts = path.contains("/exec/") && path.ends_with("/start")
            || path.contains("/containers/")
                && (path.ends_with("/stop")
                    || path.ends_with("/logs")
                        && uri.query().is_some_and(|query| query.contains("follow=true")));
        if lasts { Exchange::Command } else { Exchange::Question }
    }
}

/// Opens connections to one endpoint.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    endpoint: Endpoint,
    /// How long nothing may move.
    patience: Duration,
    /// When an image last moved.
    transfers: Pulse,
    /// The means of all connections, once the first one was made.
    means: Arc<Means>,
    /// `/v1.41`; empty before a version was agreed on, which an engine reads as its newest.
    version_prefix: String,
}

/// Everything that is made once and serves all connections.
#[derive(Debug, Default)]
struct Means {
    tls: OnceLock<Arc<rustls::ClientConfig>>,
    /// The private directory of the connection that `ssh` shares.
    ssh: Mutex<Option<Scratch>>,
}

/// Why an exchange failed before there was an answer.
#[derive(Debug)]
pub(super) enum TransportError {
    /// No connection came about.
    Unreachable(String),
    /// There was one, and it broke or carried no HTTP.
    Broken(hyper::Error),
    /// The request is none that can be sent.
    Unfit(String),
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransportError::Unreachable(reason) | TransportError::Unfit(reason) => f.write_str(reason),
            TransportError::Broken(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TransportError {}

impl Transport {
    pub fn new(endpoint: Endpoint, patience: Duration) -> Transport {
        let (means, version_prefix) = Default::default();
        Transport { endpoint, patience, transfers: Pulse::new(), means, version_prefix }
    }

    /// How long nothing may move.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    fn bounds(&self, exchange: Exchange) -> Bounds {
        let silence = |pulse| Some((pulse, self.patience));
        match exchange {
            Exchange::Question => Bounds { silence: silence(Pulse::new()), length: Some(LONGEST_ANSWER) },
            Exchange::FileSystem => Bounds { silence: silence(Pulse::new()), length: None },
            Exchange::Transfer => Bounds { silence: silence(self.transfers.clone()), length: None },
            Exchange::Build | Exchange::Command => Bounds { silence: None, length: None },
        }
    }

    /// The same, whose requests name this version of the API.
    pub fn speaking(self, api_version: &str) -> Transport {
        Transport { version_prefix: format!("/v{api_version}"), ..self }
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn send(
        &self,
        kind: Exchange,
        mut request: BollardRequest,
    ) -> Result<Response<Incoming>, TransportError> {
        let line = request.extensions_mut().remove().map(|LongTarget(target)| {
            format!("{} {}{target} HTTP/1.1", request.method(), self.version_prefix)
        });
        *request.uri_mut() = self.target_of(request.uri())?;
        request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
        let (stream, complaint) = self.connect().await?;
        let stream = FirstLine::new(Patient::new(stream, self.bounds(kind)), line);
        let exchange = async {
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            // Ends by itself when the exchange is over or dropped.
            let connection = tokio::spawn(connection.with_upgrades());
            let sent = sender.send_request(request).await;
            drop(sender);
            match sent {
                // It broke before the request was on its way, and it alone knows why.
                Err(error) if error.is_canceled() => Err(match connection.await {
                    Ok(Err(cause)) => cause,
                    _ => error,
                }),
                sent => sent,
            }
        };
        match (exchange.await, complaint) {
            (Ok(response), _) => Ok(response),
            (Err(error), Some(complaint)) => match complaint.hear().await {
                said if said.is_empty() => Err(TransportError::Broken(error)),
                said => Err(TransportError::Unreachable(said)),
            },
            (Err(error), None) => Err(TransportError::Broken(error)),
        }
    }

    /// A bollard client that sends questions through this transport.
    pub fn client(&self) -> bollard::Docker {
        let transport = self.clone();
        let send = move |request: BollardRequest| {
            let transport = transport.clone();
            async move {
                let kind = Exchange::of(request.uri());
                transport.send(kind, request).await.map_err(|error| match error {
                    TransportError::Broken(err) => BollardError::HyperResponseError { err },
                    // Found again by `fault::of_bollard`.
                    unreachable => BollardError::IOError { err: io::Error::other(unreachable) },
                })
            }
        };
        // The address only completes bollard's URIs.
        let address = Some("http://localhost");
        bollard::Docker::connect_with_custom_transport(send, address, NEVER, bollard::API_DEFAULT_VERSION)
            .expect("a custom transport is taken as it is")
    }

    /// The path and query alone, under the version agreed on; bollard's URIs are absolute and name none.
    fn target_of(&self, uri: &Uri) -> Result<Uri, TransportError> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let prefix = if path.starts_with("/libpod/") { LIBPOD } else { &self.version_prefix };
        let target = format!("{prefix}{path}");
        target.parse().map_err(|error: InvalidUri| TransportError::Unfit(error.to_string()))
    }

    async fn connect(&self) -> Result<Opened, TransportError> {
        let opened = async {
            let opened: Opened = match &self.endpoint {
                Endpoint::Unix(path) => (Box::new(UnixStream::connect(path).await?), None),
                Endpoint::Tcp(authority) => (Box::new(dial(authority).await?), None),
                Endpoint::Tls { authority, certificates } => {
                    let connector = TlsConnector::from(self.tls(certificates.as_deref())?);
                    let name = ServerName::try_from(authority.host.clone()).map_err(io::Error::other)?;
                    (Box::new(connector.connect(name, dial(authority).await?).await?), None)
                }
                Endpoint::Ssh(host) => {
                    let (stream, complaint) =
                        ssh::connect(host, &self.ssh_directory()?.join("shared"), self.patience)?;
                    (Box::new(stream), Some(complaint))
                }
            };
            io::Result::Ok(opened)
        };
        match tokio::time::timeout(self.patience, opened).await {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(error)) => Err(TransportError::Unreachable(explain(&error))),
            Err(_) => {
                let seconds = self.patience.as_secs_f32();
                Err(TransportError::Unreachable(format!(
                    "it takes no connection for {seconds} s (option timeout)"
                )))
            }
        }
    }

    fn tls(&self, certificates: Option<&Path>) -> io::Result<Arc<rustls::ClientConfig>> {
        if let Some(made) = self.means.tls.get() {
            return Ok(made.clone());
        }
        let made = tls::configuration(certificates).map_err(io::Error::other)?;
        Ok(self.means.tls.get_or_init(|| made).clone())
    }

    fn ssh_directory(&self) -> io::Result<PathBuf> {
        let mut directory = self.means.ssh.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = match &mut *directory {
            Some(directory) => directory,
            none => none.insert(Scratch::new("ssh")?),
        };
        Ok(directory.path().to_path_buf())
    }
}

async fn dial(authority: &Authority) -> io::Result<TcpStream> {
    TcpStream::connect((authority.host.as_str(), authority.port)).await
}

/// A connection, and who tells why it failed when it can't tell itself.
type Opened = (Box<dyn Stream>, Option<Complaint>);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The system's words, and what to do about them.
fn explain(error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "is the engine installed and running?",
        io::ErrorKind::ConnectionRefused => "nothing listens there; is the engine running?",
        io::ErrorKind::PermissionDenied => "run as root or as a member of the group that owns the socket",
        _ => return error.to_string(),
    };
    format!("{error}; {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_container_does_may_take_its_time() {
        for (target, expected) in [
            ("/exec/1/start", Exchange::Command),
            ("/exec/1/json", Exchange::Question),
            ("/containers/a/stop?t=300", Exchange::Command),
            ("/containers/a/start", Exchange::Question),
            ("/containers/a/logs?follow=true&stdout=true", Exchange::Command),
            ("/containers/a/logs?follow=false", Exchange::Question),
            ("/images/stop/json", Exchange::Question),
        ] {
            assert_eq!(Exchange::of(&Uri::from_static(target)), expected, "{target}");
        }
    }
}
