//! An image registry that holds manifests and configurations, asks for credentials, and fails where a test tells it to.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kolla_build::model::ids::Digest;
use kolla_build::registry::manifest::MEDIA_TYPES;
use serde_json::{Value, json};

use super::http::Exchange;

/// The digest of content, as text.
pub fn digest_of(content: &[u8]) -> String {
    Digest::of(content).to_string()
}

/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;
/// The token that the token server gives.
const TOKEN: &str = "a-token";
/// The identity token that it knows.
pub const IDENTITY_TOKEN: &str = "an-identity-token";

/// What goes wrong with a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Another status, with this Retry-After if any.
    Status(u16, Option<&'static str>),
    /// The connection is closed without an answer.
    Cut,
    /// The answer breaks off in the middle.
    CutInTheMiddle,
    /// The answer does not go on after its first half.
    StallInTheMiddle,
    /// It sends to another place.
    Elsewhere(String),
    /// It says that the content has another digest.
    WrongDigest,
    /// The content is another one.
    WrongContent,
    /// More comes than anybody should read.
    Endless,
    /// The answer takes so long.
    Delay(Duration),
}

/// What has to be shown.
#[derive(Debug, Clone)]
pub enum Demand {
    /// This user name and password.
    Basic(&'static str, &'static str),
    /// A token, which this user name and password, or [`IDENTITY_TOKEN`], gets.
    Token(&'static str, &'static str),
}

/// The registry; it ends with the process.
#[derive(Debug, Clone)]
pub struct FakeRegistry {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Media type and bytes by repository and digest.
    manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    /// Digests by repository and tag.
    tags: BTreeMap<(String, String), String>,
    blobs: BTreeMap<String, Vec<u8>>,
    /// With the beginning of the request that each strikes.
    faults: VecDeque<(String, Fault)>,
    demand: Option<Demand>,
    /// It lists referrers itself, as OCI 1.1 has it.
    knows_referrers: bool,
    requests: Vec<String>,
    /// Stands in what it says about errors.
    scrawl: String,
}

impl FakeRegistry {
    pub fn start() -> FakeRegistry {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let registry = FakeRegistry { address, state: Arc::default() };
        let serving = registry.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let registry = serving.clone();
                // A client that breaks off is what some tests are about.
                std::thread::spawn(move || drop(registry.serve(stream.expect("a connection"))));
            }
        });
        registry
    }

    /// Nothing without this from now on.
    pub fn demand(&self, demand: Demand) {
        self.state().demand = Some(demand);
    }

    /// Has it list referrers itself from now on.
    pub fn know_referrers(&self) {
        self.state().knows_referrers = true;
    }

    /// What is attached to the manifest of a digest: kind and document, by the order of kinds.
    pub fn attached(&self, repository: &str, subject: &str) -> Vec<(String, Vec<u8>)> {
        let state = self.state();
        let of_repository = state.manifests.iter().filter(|((of, _), _)| of == repository);
        let mut attached: Vec<(String, Vec<u8>)> = of_repository
            .filter_map(|(_, (_, bytes))| serde_json::from_slice::<Value>(bytes).ok())
            .filter(|manifest| manifest["subject"]["digest"] == subject)
            .map(|manifest| {
                let document = manifest["layers"][0]["digest"].as_str().expect("a digest");
                let kind = manifest["artifactType"].as_str().expect("a kind");
                (kind.to_string(), state.blobs[document].clone())
            })
            .collect();
        attached.sort();
        attached
    }

    /// Puts this into what it says about errors.
    pub fn scrawl(&self, text: &str) {
        self.state().scrawl = text.to_string();
    }

    /// The host and port, as it stands in references.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The next request that begins so (`HEAD /v2/kolla/base/manifests/`) gets this fault; several wait in line.
    pub fn fail_next(&self, request: &str, fault: Fault) {
        self.state().faults.push_back((request.to_string(), fault));
    }

    /// The requests since the last time they were taken, as `METHOD /path`.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests)
    }

    /// Puts an image of this configuration under a repository and a tag; gives its manifest's digest.
    pub fn hold(&self, repository: &str, tag: &str, config: &[u8]) -> String {
        let config_digest = digest_of(config);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MEDIA_TYPES[3],
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(), "digest": config_digest},
            "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 1000, "digest": config_digest}],
        });
        self.state().blobs.insert(config_digest, config.to_vec());
        self.put(repository, tag, MEDIA_TYPES[3], manifest.to_string().as_bytes())
    }

    /// Puts a list of manifests, each with its architecture, under a tag.
    pub fn hold_list(&self, repository: &str, tag: &str, entries: &[(&str, &str)]) -> String {
        let entry = |(digest, architecture): &(&str, &str)| json!({"mediaType": MEDIA_TYPES[3], "digest": digest, "size": 1, "platform": {"os": "linux", "architecture": architecture}});
        let entries: Vec<Value> = entries.iter().map(entry).collect();
        let list = json!({"schemaVersion": 2, "mediaType": MEDIA_TYPES[1], "manifests": entries});
        self.put(repository, tag, MEDIA_TYPES[1], list.to_string().as_bytes())
    }

    /// Takes a tag away.
    pub fn remove(&self, repository: &str, tag: &str) {
        self.state().tags.remove(&(repository.to_string(), tag.to_string())).expect("a tag");
    }

    /// The digest that a tag names.
    pub fn tagged(&self, repository: &str, tag: &str) -> Option<String> {
        self.state().tags.get(&(repository.to_string(), tag.to_string())).cloned()
    }

    /// The manifest that a tag names.
    pub fn manifest(&self, repository: &str, tag: &str) -> Option<Vec<u8>> {
        let key = (repository.to_string(), self.tagged(repository, tag)?);
        Some(self.state().manifests.get(&key)?.1.clone())
    }

    /// The configuration of the image that a tag or a digest names.
    pub fn config(&self, repository: &str, name: &str) -> Option<Vec<u8>> {
        let digest = self.tagged(repository, name).unwrap_or_else(|| name.to_string());
        let state = self.state();
        let (_, manifest) = state.manifests.get(&(repository.to_string(), digest))?;
        let manifest: Value = serde_json::from_slice(manifest).expect("a manifest");
        state.blobs.get(manifest["config"]["digest"].as_str()?).cloned()
    }

    /// Tags of a repository, two on a page.
    fn page_of_tags(&self, repository: &str, last: Option<&String>) -> (u16, String, Vec<u8>) {
        let state = self.state();
        if !state.manifests.keys().any(|(of, _)| of == repository) {
            return (404, String::new(), br#"{"errors": [{"code": "NAME_UNKNOWN"}]}"#.to_vec());
        }
        let tags = state.tags.keys().filter(|(of, _)| of == repository).map(|(_, tag)| tag);
        let mut rest = tags.filter(|tag| last.is_none_or(|last| *tag > last));
        let page: Vec<&String> = rest.by_ref().take(2).collect();
        let more = rest.next().and(page.last());
        let link = |last| format!("Link: </v2/{repository}/tags/list?last={last}&n=2>; rel=\"next\"\r\n");
        let body = json!({"name": repository, "tags": page}).to_string();
        (200, more.map(link).unwrap_or_default(), body.into_bytes())
    }

    /// Digests of a repository's manifests.
    pub fn digests(&self, repository: &str) -> Vec<String> {
        let state = self.state();
        state.manifests.keys().filter(|(of, _)| of == repository).map(|(_, digest)| digest.clone()).collect()
    }

    fn put(&self, repository: &str, name: &str, media_type: &str, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        let mut state = self.state();
        let key = (repository.to_string(), digest.clone());
        state.manifests.insert(key, (media_type.to_string(), bytes.to_vec()));
        if !name.starts_with("sha256:") {
            state.tags.insert((repository.to_string(), name.to_string()), digest.clone());
        }
        digest
    }

    /// The list of referrers of a digest.
    fn referrers(&self, repository: &str, subject: &str) -> Vec<u8> {
        let state = self.state();
        let of_repository = state.manifests.iter().filter(|((of, _), _)| of == repository);
        let entries: Vec<Value> = of_repository
            .filter_map(|((_, digest), (media_type, bytes))| {
                let manifest: Value = serde_json::from_slice(bytes).ok()?;
                (manifest["subject"]["digest"] == subject).then(|| {
                    json!({"mediaType": media_type, "digest": digest, "size": bytes.len(), "artifactType": manifest["artifactType"]})
                })
            })
            .collect();
        json!({"schemaVersion": 2, "mediaType": MEDIA_TYPES[0], "manifests": entries})
            .to_string()
            .into_bytes()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the state")
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let Some(mut exchange) = accept_plain(stream)? else { return Ok(()) };
        let request = format!("{} {}", exchange.method, exchange.path);
        let (fault, demand) = {
            let mut state = self.state();
            let struck = state.faults.iter().position(|(start, _)| request.starts_with(start));
            let fault = struck.and_then(|at| state.faults.remove(at)).map(|(_, fault)| fault);
            state.requests.push(request);
            (fault, state.demand.clone())
        };
        match fault {
            Some(Fault::Cut) => return Ok(()),
            Some(Fault::Status(status, wait)) => {
                let wait = wait.map(|wait| format!("Retry-After: {wait}\r\n")).unwrap_or_default();
                let scrawl = &self.state().scrawl;
                let error =
                    json!({"errors": [{"code": "FAULT", "message": format!("status {status}{scrawl}")}]});
                return respond(&mut exchange, status, &wait, error.to_string().as_bytes());
            }
            Some(Fault::Delay(delay)) => exchange.wait(delay)?,
            Some(Fault::Elsewhere(url)) => {
                return respond(&mut exchange, 307, &format!("Location: {url}\r\n"), b"");
            }
            _ => {}
        }
        if exchange.path == "/token" && matches!(fault, Some(Fault::StallInTheMiddle)) {
            exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")?;
            return exchange.wait(Duration::from_secs(3600));
        }
        if exchange.path == "/token" {
            return self.token(&mut exchange);
        }
        if let Some(challenge) = demand.and_then(|demand| self.refusal(&exchange, &demand)) {
            let error = br#"{"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}"#;
            return respond(&mut exchange, 401, &format!("WWW-Authenticate: {challenge}\r\n"), error);
        }
        let (status, headers, mut body) = self.answer(&mut exchange)?;
        let headers = match &fault {
            Some(Fault::WrongDigest) => format!("Docker-Content-Digest: {}\r\n", digest_of(b"another")),
            _ => headers,
        };
        match fault {
            Some(Fault::WrongContent) => body.insert(0, b' '),
            Some(Fault::CutInTheMiddle) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
                exchange.raw(head.as_bytes())?;
                return exchange.raw(&body[..body.len() / 2]);
            }
            Some(Fault::StallInTheMiddle) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
                exchange.raw(head.as_bytes())?;
                exchange.raw(&body[..body.len() / 2])?;
                return exchange.wait(Duration::from_secs(3600));
            }
            Some(Fault::Endless) => {
                exchange.raw(format!("HTTP/1.1 200 OK\r\n{headers}\r\n").as_bytes())?;
                loop {
                    exchange.raw(&[b' '; 1 << 16])?;
                }
            }
            _ => {}
        }
        respond(&mut exchange, status, &headers, &body)
    }

    /// The challenge, when what has to be shown is not shown.
    fn refusal(&self, exchange: &Exchange, demand: &Demand) -> Option<String> {
        let shown = exchange.headers.get("authorization").cloned().unwrap_or_default();
        let (expected, challenge) = match demand {
            Demand::Basic(user, password) => (basic(user, password), "Basic realm=\"test\"".to_string()),
            Demand::Token(..) => {
                let repository = exchange.path.trim_start_matches("/v2/").split("/manifests").next()?;
                let repository = repository.split("/blobs").next()?.split("/referrers").next()?;
                let repository = repository.split("/tags/list").next()?;
                let access = match exchange.method.as_str() {
                    "PUT" | "POST" => "pull,push",
                    "DELETE" => "delete",
                    _ => "pull",
                };
                let challenge = format!(
                    "Bearer realm=\"http://{}/token\",service=\"fake\",scope=\"repository:{repository}:{access}\"",
                    self.address
                );
                (format!("Bearer {TOKEN} {repository} {access}"), challenge)
            }
        };
        (shown != expected).then_some(challenge)
    }

    /// The token server: a token is good for one repository.
    fn token(&self, exchange: &mut Exchange) -> io::Result<()> {
        let Some(Demand::Token(user, password)) = self.state().demand.clone() else {
            return respond(exchange, 404, "", b"{}");
        };
        let mut body = String::new();
        exchange.body().read_to_string(&mut body)?;
        let form: BTreeMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let by_identity = form.get("refresh_token").is_some_and(|token| token == IDENTITY_TOKEN)
            && form.get("grant_type").is_some_and(|grant| grant == "refresh_token");
        let by_password = exchange.headers.get("authorization") == Some(&basic(user, password));
        if !by_identity && !by_password {
            return respond(exchange, 401, "", br#"{"errors": [{"message": "wrong password"}]}"#);
        }
        let parameter = |name: &str| form.get(name).or(exchange.query.get(name)).cloned().unwrap_or_default();
        assert_eq!(parameter("service"), "fake");
        let scope = parameter("scope");
        let (repository, access) =
            scope.trim_start_matches("repository:").rsplit_once(':').expect("a repository's scope");
        let answer = json!({"token": format!("{TOKEN} {repository} {access}")});
        respond(exchange, 200, "", answer.to_string().as_bytes())
    }

    /// Status, headers and body.
    fn answer(&self, exchange: &mut Exchange) -> io::Result<(u16, String, Vec<u8>)> {
        let path = exchange.path.trim_start_matches("/v2/").to_string();
        let unknown = || (404, String::new(), br#"{"errors": [{"code": "MANIFEST_UNKNOWN"}]}"#.to_vec());
        if let Some(repository) = path.strip_suffix("/tags/list") {
            return Ok(self.page_of_tags(repository, exchange.query.get("last")));
        }
        if let Some((repository, name)) = path.split_once("/manifests/") {
            if exchange.method == "DELETE" {
                let mut state = self.state();
                let gone = state.manifests.remove(&(repository.to_string(), name.to_string()));
                state.tags.retain(|(of, _), digest| of != repository || digest != name);
                return Ok(if gone.is_some() { (202, String::new(), Vec::new()) } else { unknown() });
            }
            if exchange.method == "PUT" {
                let mut body = Vec::new();
                exchange.body().read_to_end(&mut body)?;
                let digest = self.put(repository, name, &exchange.headers["content-type"], &body);
                let mut headers = format!("Docker-Content-Digest: {digest}\r\n");
                let manifest: Value = serde_json::from_slice(&body).unwrap_or_default();
                if let (true, Some(subject)) =
                    (self.state().knows_referrers, manifest["subject"]["digest"].as_str())
                {
                    headers += &format!("OCI-Subject: {subject}\r\n");
                }
                return Ok((201, headers, Vec::new()));
            }
            let state = self.state();
            let tagged = state.tags.get(&(repository.to_string(), name.to_string()));
            let digest = tagged.cloned().unwrap_or_else(|| name.to_string());
            let held = state.manifests.get(&(repository.to_string(), digest.clone()));
            return Ok(match held {
                Some((media_type, bytes)) => {
                    let headers =
                        format!("Content-Type: {media_type}\r\nDocker-Content-Digest: {digest}\r\n");
                    (200, headers, bytes.clone())
                }
                None => unknown(),
            });
        }
        if let Some((repository, subject)) = path.split_once("/referrers/") {
            let knows_referrers = self.state().knows_referrers;
            return Ok(match knows_referrers {
                true => {
                    let headers = format!("Content-Type: {}\r\n", MEDIA_TYPES[0]);
                    (200, headers, self.referrers(repository, subject))
                }
                false => unknown(),
            });
        }
        match path.split_once("/blobs/") {
            Some((repository, "uploads/")) => {
                Ok((202, format!("Location: /v2/{repository}/blobs/uploads/1?state=x\r\n"), Vec::new()))
            }
            Some((_, "uploads/1")) => {
                let mut body = Vec::new();
                exchange.body().read_to_end(&mut body)?;
                let digest = exchange.query["digest"].clone();
                assert_eq!((digest_of(&body), exchange.query["state"].as_str()), (digest.clone(), "x"));
                self.state().blobs.insert(digest, body);
                Ok((201, String::new(), Vec::new()))
            }
            Some((_, digest)) => match self.state().blobs.get(digest) {
                Some(bytes) => Ok((200, String::new(), bytes.clone())),
                None => Ok(unknown()),
            },
            None => Ok((200, String::new(), b"{}".to_vec())),
        }
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

fn respond(exchange: &mut Exchange, status: u16, headers: &str, body: &[u8]) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} Status\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
        body.len()
    );
    exchange.raw(head.as_bytes())?;
    if exchange.method == "HEAD" { Ok(()) } else { exchange.raw(body) }
}

/// A request in the clear; none when the client speaks TLS, as an engine tries first, or asks nothing.
pub fn accept_plain(stream: TcpStream) -> io::Result<Option<Exchange>> {
    let mut first = [0];
    if stream.peek(&mut first)? == 1 && first[0] == TLS_HANDSHAKE {
        return Ok(None);
    }
    Exchange::accept(Box::new(stream))
}
