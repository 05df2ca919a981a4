//! Downloads over HTTP: streamed to disk, hashed on the way, taken up again where they broke.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::Path;
use std::time::Duration;

use reqwest::header::{ACCEPT_RANGES, CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, LAST_MODIFIED, RANGE};
use reqwest::{Client, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::digest::hex;
use super::error::Problem;
use crate::http::{self, chain, refused_certificate};

/// So many times a broken download is taken up within one try, as long as each brought something.
const RESUMES: u32 = 5;

/// Makes a client, see [`http::builder`].
pub(super) fn client(patience: Duration) -> Result<Client, Problem> {
    http::builder(patience).build().map_err(|error| {
        Problem::Configuration(format!(
            "cannot set HTTPS up: {}: install ca-certificates or set SSL_CERT_FILE",
            chain(&error)
        ))
    })
}

/// Downloads `url` to the new file `path` and gives the sha256 of what came.
pub(super) async fn download(
    client: &Client,
    url: &str,
    path: &Path,
    section: &str,
    patience: Duration,
) -> Result<String, Problem> {
    let mut target = Target::create(path).map_err(Problem::local(path))?;
    let mut validator = None;
    for tried in 0.. {
        let start = target.size;
        let mut request = client.get(url);
        if let Some(validator) = validator.take().filter(|_| start > 0) {
            request = request.header(RANGE, format!("bytes={start}-")).header(IF_RANGE, validator);
        }
        let response = request.send().await.map_err(|error| problem(error, patience))?;
        if !continues(&response, start) {
            if response.status() != StatusCode::OK {
                return Err(Problem::Status {
                    status: response.status().as_u16(),
                    section: section.to_string(),
                });
            }
            target.restart().map_err(Problem::local(path))?;
        }
        validator = resumable(response.headers());
        match target.receive(response).await {
            Ok(()) => return Ok(hex(&target.hasher.finalize())),
            Err(Broken::Disk(error)) => return Err(Problem::local(path)(error)),
            Err(Broken::Connection(error)) => {
                let may_go_on = validator.is_some() && target.size > start && tried < RESUMES;
                if !may_go_on {
                    return Err(problem(error, patience));
                }
            }
        }
    }
    unreachable!("the loop ends by returning")
}

/// True when the response is the rest of the file from `start` on.
fn continues(response: &Response, start: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    response.status() == StatusCode::PARTIAL_CONTENT
        && range.is_some_and(|range| range.starts_with(&format!("bytes {start}-")))
}

/// What tells the server that we have the start of this very file; none when it can't send a part of it.
fn resumable(headers: &HeaderMap) -> Option<reqwest::header::HeaderValue> {
    let ranges =
        headers.contains_key(CONTENT_RANGE) || headers.get(ACCEPT_RANGES).is_some_and(|unit| unit == "bytes");
    let strong_tag = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    strong_tag.or(headers.get(LAST_MODIFIED)).filter(|_| ranges).cloned()
}

fn problem(error: reqwest::Error, patience: Duration) -> Problem {
    if error.is_builder() {
        return Problem::Configuration(format!(
            "not a URL that can be fetched: {}",
            chain(&error.without_url())
        ));
    }
    if error.is_redirect() {
        return Problem::Configuration(chain(&error.without_url()));
    }
    if let Some(refused) = refused_certificate(&error) {
        return Problem::Configuration(format!(
            "no secure connection: {refused}: if the server is right, add its certificate authority to this host's \
             or name it in SSL_CERT_FILE"
        ));
    }
    // Asked first, for a time-out of the connection is both.
    if error.is_timeout() {
        return Problem::Stalled(patience);
    }
    Problem::Connection(chain(&error.without_url()))
}

/// The file that a download goes to.
struct Target {
    file: File,
    size: u64,
    hasher: Sha256,
}

/// Why receiving ended early.
enum Broken {
    Connection(reqwest::Error),
    Disk(io::Error),
}

impl Target {
    fn create(path: &Path) -> io::Result<Target> {
        Ok(Target { file: File::create_new(path)?, size: 0, hasher: Sha256::new() })
    }

    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.size = 0;
        self.hasher.reset();
        Ok(())
    }

    async fn receive(&mut self, mut response: Response) -> Result<(), Broken> {
        while let Some(chunk) = response.chunk().await.map_err(Broken::Connection)? {
            self.file.write_all(&chunk).map_err(Broken::Disk)?;
            self.hasher.update(&chunk);
            self.size += chunk.len() as u64;
        }
        Ok(())
    }
}
