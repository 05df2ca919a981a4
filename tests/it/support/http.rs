//! As much of an HTTP/1.1 server as a fake daemon needs: one exchange a connection, over a Unix or TCP socket,
//! with the means to break off wherever a test wants.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What Go's server reads of a request that it has answered already, and how long it leaves the client to read the answer before
/// it closes with more unread.
const MOST_READ_IN_VAIN: u64 = 256 * 1024;
const PAUSE_BEFORE_CLOSING: Duration = Duration::from_millis(500);

/// A connected socket.
pub trait Socket: Read + Write + Send {
    fn duplicate(&self) -> io::Result<Box<dyn Socket>>;
    fn close(&self);
    fn limit_reads(&self, timeout: Option<Duration>) -> io::Result<()>;
}

macro_rules! socket {
    ($type:ty) => {
        impl Socket for $type {
            fn duplicate(&self) -> io::Result<Box<dyn Socket>> {
                Ok(Box::new(self.try_clone()?))
            }
            fn close(&self) {
                // It may be closed already, which is what is wanted.
                let _ = self.shutdown(Shutdown::Both);
            }
            fn limit_reads(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.set_read_timeout(timeout)
            }
        }
    };
}
socket!(UnixStream);
socket!(TcpStream);

/// A request's head, and the exchange it began.
pub struct Exchange {
    pub method: String,
    /// As it was sent, path and query.
    pub target: String,
    /// Without the query.
    pub path: String,
    pub query: BTreeMap<String, String>,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    framing: Framing,
    input: BufReader<Box<dyn Socket>>,
    output: Box<dyn Socket>,
}

/// How much of a body is still to come.
struct Framing {
    /// Bytes of the body, or of its current chunk.
    left: u64,
    /// More chunks follow.
    chunked: bool,
}

impl Exchange {
    /// Reads a request's head; none when the client closes without asking anything.
    pub fn accept(socket: Box<dyn Socket>) -> io::Result<Option<Exchange>> {
        let output = socket.duplicate()?;
        let mut input = BufReader::new(socket);
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut exchange = Exchange {
            method: method.to_string(),
            target: target.to_string(),
            path: path.to_string(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers: BTreeMap::new(),
            framing: Framing { left: 0, chunked: false },
            input,
            output,
        };
        loop {
            let mut line = String::new();
            exchange.input.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) => {
                    exchange.headers.insert(name.to_ascii_lowercase(), value.trim().to_string());
                }
                None => break,
            }
        }
        let header = |name| exchange.headers.get(name).map(String::as_str);
        exchange.framing = Framing {
            left: header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0),
            chunked: header("transfer-encoding") == Some("chunked"),
        };
        Ok(Some(exchange))
    }

    /// The request's body, or what is still unread of it. A client that breaks off in the middle is an error.
    pub fn body(&mut self) -> Body<'_> {
        Body { input: &mut self.input, framing: &mut self.framing }
    }

    /// Answers with JSON and is done.
    pub fn answer(&mut self, status: u16, json: &serde_json::Value) -> io::Result<()> {
        let body = json.to_string();
        write!(
            self.output,
            "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )?;
        // Closing with something unread can take the answer from the client.
        if io::copy(&mut self.body().take(MOST_READ_IN_VAIN), &mut io::sink())? == MOST_READ_IN_VAIN {
            std::thread::sleep(PAUSE_BEFORE_CLOSING);
        }
        Ok(())
    }

    /// Begins an answer that is streamed.
    pub fn begin(&mut self) -> io::Result<()> {
        self.raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        )
    }

    /// One chunk of a streamed answer.
    pub fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.raw(&[format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat())
    }

    /// The end of a streamed answer.
    pub fn end(&mut self) -> io::Result<()> {
        self.raw(b"0\r\n\r\n")
    }

    /// Anything at all.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes)?;
        self.output.flush()
    }

    /// Waits, and fails as soon as the client has closed the connection.
    pub fn wait(&mut self, duration: Duration) -> io::Result<()> {
        let end = Instant::now() + duration;
        self.output.limit_reads(Some(Duration::from_millis(5)))?;
        while Instant::now() < end {
            match self.output.read(&mut [0]) {
                Ok(0) => return Err(io::ErrorKind::BrokenPipe.into()),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                Err(error) => return Err(error),
            }
        }
        self.output.limit_reads(None)
    }
}

/// `/build` for `/v1.41/build`.
pub fn without_version(path: &str) -> &str {
    match path.strip_prefix("/v").and_then(|rest| rest.split_once('/')) {
        Some((version, rest)) if version.starts_with(|c: char| c.is_ascii_digit()) => {
            &path[path.len() - rest.len() - 1..]
        }
        _ => path,
    }
}

/// A request's body.
pub struct Body<'a> {
    input: &'a mut BufReader<Box<dyn Socket>>,
    framing: &'a mut Framing,
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.framing.left == 0 && self.framing.chunked {
            self.next_chunk()?;
        }
        let read = self.input.by_ref().take(self.framing.left).read(buffer)?;
        if read == 0 && self.framing.left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.framing.left -= read as u64;
        if self.framing.left == 0 && self.framing.chunked {
            self.input.read_line(&mut String::new())?;
        }
        Ok(read)
    }
}

impl Body<'_> {
    fn next_chunk(&mut self) -> io::Result<()> {
        let mut line = String::new();
        if self.input.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.framing.left =
            u64::from_str_radix(line.trim_end(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
        if self.framing.left == 0 {
            self.framing.chunked = false;
            self.input.read_line(&mut line)?;
        }
        Ok(())
    }
}
