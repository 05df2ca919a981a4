//! A server of files on the loopback interface, with Range requests, and faults on demand.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::http::Exchange;

/// What goes wrong with one request.
pub enum Fault {
    /// Another status, and no file.
    Status(u16),
    /// The connection ends after so many bytes of what was asked for.
    CutAfter(usize),
    /// The same, and from then on another file is there.
    CutAndReplace(usize, Vec<u8>),
    /// Headers and so many bytes, then nothing more.
    Hang(usize),
    /// Nothing.
    Hold,
    /// The file is elsewhere.
    Redirect(String),
    /// This answer, head and body, whatever was asked for.
    Answer(Vec<u8>),
}

/// One request that came.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub path: String,
    pub range: Option<String>,
}

/// The server; it ends with the process.
pub struct FileServer {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    faults: VecDeque<Fault>,
    requests: Vec<Request>,
    no_ranges: bool,
}

impl FileServer {
    pub fn start() -> FileServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, state) = (stream.unwrap(), Arc::clone(&shared));
                // A client that breaks off is what some tests are about.
                thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        FileServer { address, state }
    }

    /// Puts a file at `path`, which begins with a slash, and gives its URL.
    pub fn put(&self, path: &str, content: &[u8]) -> String {
        self.state.lock().unwrap().files.insert(path.to_string(), content.to_vec());
        self.url(path)
    }

    /// Takes a file away.
    pub fn remove(&self, path: &str) {
        self.state.lock().unwrap().files.remove(path);
    }

    /// The URL of a path, whether anything is there or not.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next request gets this fault; several wait in line.
    pub fn fail_next(&self, fault: Fault) {
        self.state.lock().unwrap().faults.push_back(fault);
    }

    /// Faults that no request has got.
    pub fn take_faults(&self) -> VecDeque<Fault> {
        std::mem::take(&mut self.state.lock().unwrap().faults)
    }

    /// Sends whole files only from now on.
    pub fn forget_ranges(&self) {
        self.state.lock().unwrap().no_ranges = true;
    }

    /// The requests since the last time they were taken.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let Some(mut exchange) = Exchange::accept(Box::new(stream))? else { return Ok(()) };
    let range = exchange.headers.get("range").cloned();
    let (content, fault, ranges) = {
        let mut state = state.lock().unwrap();
        state.requests.push(Request { path: exchange.path.clone(), range: range.clone() });
        (state.files.get(&exchange.path).cloned(), state.faults.pop_front(), !state.no_ranges)
    };
    let status_only = |exchange: &mut Exchange, status: u16, more: &str| {
        exchange.raw(
            format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n{more}\r\n").as_bytes(),
        )
    };
    match &fault {
        Some(Fault::Status(status)) => return status_only(&mut exchange, *status, ""),
        Some(Fault::Answer(bytes)) => return exchange.raw(bytes),
        Some(Fault::Hold) => return exchange.wait(Duration::from_secs(60)),
        Some(Fault::Redirect(to)) => return status_only(&mut exchange, 302, &format!("Location: {to}\r\n")),
        _ => {}
    }
    let Some(content) = content else { return status_only(&mut exchange, 404, "") };

    let tag = format!(
        "\"{}\"",
        Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    );
    let same = exchange.headers.get("if-range").is_none_or(|condition| *condition == tag);
    let asked =
        range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let asked: Option<usize> = asked.filter(|_| ranges && same);
    if asked.is_some_and(|start| start >= content.len()) {
        return status_only(&mut exchange, 416, "");
    }
    let (status, start) = match asked {
        Some(start) => ("206 Partial Content", start),
        None => ("200 OK", 0),
    };
    let body = &content[start..];
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    if ranges {
        head += &format!("Accept-Ranges: bytes\r\nETag: {tag}\r\n");
    }
    if status.starts_with("206") {
        head += &format!("Content-Range: bytes {start}-{}/{}\r\n", content.len() - 1, content.len());
    }
    exchange.raw(format!("{head}\r\n").as_bytes())?;
    match fault {
        Some(Fault::CutAfter(count)) => exchange.raw(&body[..count.min(body.len())]),
        Some(Fault::CutAndReplace(count, new)) => {
            state.lock().unwrap().files.insert(exchange.path.clone(), new);
            exchange.raw(&body[..count.min(body.len())])
        }
        Some(Fault::Hang(count)) => {
            exchange.raw(&body[..count])?;
            exchange.wait(Duration::from_secs(60))
        }
        _ => exchange.raw(body),
    }
}
