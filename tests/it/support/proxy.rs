//! A proxy before a real registry, that lets requests through and spoils some of them.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::http::Exchange;
use super::registry::accept_plain;

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It never reaches the registry: the connection is closed.
    Cut,
    /// It does, and its answer breaks off in the middle.
    CutAnswer,
    /// It does, after so long.
    Delay(Duration),
    /// Another status without the registry, with this Retry-After if any.
    Status(u16, Option<&'static str>),
    /// The answer names this digest in place of its own.
    Digest(String),
}

/// A request that went through, and the registry's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    pub method: String,
    pub path: String,
    pub status: u16,
}

/// The proxy; it ends with the process.
#[derive(Clone)]
pub struct Proxy {
    address: String,
    registry: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// With the method and a part of the path of the request that each strikes.
    faults: VecDeque<(&'static str, String, Fault)>,
    passed: Vec<Passed>,
}

impl Proxy {
    /// A proxy before the registry at this address.
    pub fn before(registry: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let proxy = Proxy { address, registry: registry.to_string(), state: Arc::default() };
        let serving = proxy.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let proxy = serving.clone();
                // A client that breaks off is what some tests are about.
                std::thread::spawn(move || drop(proxy.serve(stream.expect("a connection"))));
            }
        });
        proxy
    }

    /// The host and port, as it stands in references.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The next request with this method and this in its path gets the fault; several wait in line.
    pub fn spoil(&self, method: &'static str, path: &str, fault: Fault) {
        self.state().faults.push_back((method, path.to_string(), fault));
    }

    /// Faults that have not struck yet.
    pub fn faults_left(&self) -> usize {
        self.state().faults.len()
    }

    /// The requests that went through.
    pub fn passed(&self) -> Vec<Passed> {
        self.state().passed.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the state")
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let Some(mut exchange) = accept_plain(stream)? else { return Ok(()) };
        let mut body = Vec::new();
        exchange.body().read_to_end(&mut body)?;
        let fault = {
            let mut state = self.state();
            let strikes = |(method, path, _): &(&str, String, Fault)| {
                *method == exchange.method && exchange.path.contains(path.as_str())
            };
            let struck = state.faults.iter().position(strikes);
            struck.and_then(|at| state.faults.remove(at)).map(|(_, _, fault)| fault)
        };
        match &fault {
            Some(Fault::Cut) => return Ok(()),
            Some(Fault::Delay(delay)) => std::thread::sleep(*delay),
            Some(Fault::Status(status, wait)) => {
                let wait = wait.map(|wait| format!("Retry-After: {wait}\r\n")).unwrap_or_default();
                let code = if *status == 429 { "TOOMANYREQUESTS" } else { "UNKNOWN" };
                let error = format!("{{\"errors\": [{{\"code\": \"{code}\", \"message\": \"spoiled\"}}]}}");
                let head = format!(
                    "HTTP/1.1 {status} Spoiled\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{wait}\r\n",
                    error.len()
                );
                return exchange.raw(&[head.as_bytes(), error.as_bytes()].concat());
            }
            _ => {}
        }
        let mut answer = self.forward(&exchange, &body)?;
        let status =
            String::from_utf8_lossy(&answer)[..12].split(' ').nth(1).and_then(|word| word.parse().ok());
        self.state().passed.push(Passed {
            method: exchange.method.clone(),
            path: exchange.path.clone(),
            status: status.expect("a status"),
        });
        if let Some(Fault::Digest(digest)) = &fault {
            answer = with_digest(&answer, digest);
        }
        if matches!(fault, Some(Fault::CutAnswer)) {
            answer.truncate(answer.len() / 2);
        }
        exchange.raw(&answer)
    }

    /// The registry's answer, whole.
    fn forward(&self, exchange: &Exchange, body: &[u8]) -> io::Result<Vec<u8>> {
        let mut upstream = TcpStream::connect(&self.registry)?;
        let mut head = format!("{} {} HTTP/1.1\r\n", exchange.method, exchange.target);
        let of_the_connection = ["connection", "transfer-encoding", "content-length", "expect"];
        for (name, value) in &exchange.headers {
            if !of_the_connection.contains(&name.as_str()) {
                head += &format!("{name}: {value}\r\n");
            }
        }
        head += &format!("connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        upstream.write_all(&[head.as_bytes(), body].concat())?;
        let mut answer = Vec::new();
        upstream.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// An answer with another digest in its header.
fn with_digest(answer: &[u8], digest: &str) -> Vec<u8> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let lines: Vec<String> = head
        .split("\r\n")
        .map(|line| match line.split_once(": ") {
            Some((name, _)) if name.eq_ignore_ascii_case("docker-content-digest") => {
                format!("{name}: {digest}")
            }
            _ => line.to_string(),
        })
        .collect();
    [lines.join("\r\n").as_bytes(), &answer[end..]].concat()
}
