//! Downloads over HTTP: streamed to disk, hashed on the way, taken up again where they broke, also by a later run.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{
    ACCEPT_RANGES, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Client, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::digest::{HashWriter, hex};
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

/// Downloads `url` to the target's file and gives the sha256 of all that is in it then.
pub(super) async fn download(
    client: &Client,
    url: &str,
    mut target: Target,
    section: &str,
    patience: Duration,
) -> Result<String, Problem> {
    let path = target.path.clone();
    let path = path.as_path();
    for tried in 0.. {
        let start = target.size;
        let mut request = client.get(url);
        if let Some(validator) = target.validator.clone().filter(|_| start > 0) {
            request = request.header(RANGE, format!("bytes={start}-")).header(IF_RANGE, validator);
        }
        let response = request.send().await.map_err(|error| problem(error, patience))?;
        if !continues(&response, start) {
            if start > 0 && response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
                // It has become shorter than what is here, and the server looked at the length alone.
                target.restart().map_err(Problem::local(path))?;
                continue;
            }
            if response.status() != StatusCode::OK {
                return Err(Problem::Status {
                    status: response.status().as_u16(),
                    section: section.to_string(),
                });
            }
            target.restart().map_err(Problem::local(path))?;
        }
        target.expect(resumable(response.headers())).map_err(Problem::local(path))?;
        match target.receive(response).await {
            Ok(()) => return Ok(target.sha256()),
            Err(Broken::Disk(error)) => return Err(Problem::local(path)(error)),
            Err(Broken::Connection(error)) => {
                let may_go_on = target.validator.is_some() && target.size > start && tried < RESUMES;
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
fn resumable(headers: &HeaderMap) -> Option<HeaderValue> {
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
pub(super) struct Target {
    path: PathBuf,
    file: File,
    size: u64,
    hasher: Sha256,
    /// What tells the server which file the start is of; none when it has to send all of it.
    validator: Option<HeaderValue>,
    /// Whether a later run is to take it up where this one is killed.
    kept: bool,
}

/// Why receiving ended early.
enum Broken {
    Connection(reqwest::Error),
    Disk(io::Error),
}

impl Target {
    /// A new file.
    pub(super) fn create(path: &Path) -> io::Result<Target> {
        Ok(Target::new(path, File::create_new(path)?, false))
    }

    /// A file that an earlier run may have begun, with all that it had got. Its validator is in a file beside it.
    pub(super) fn take_up(path: &Path) -> io::Result<Target> {
        let open = || File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = match open() {
            // A run was killed between making it read-only and giving it its name.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                forget(path)?;
                open()?
            }
            opened => opened?,
        };
        let mut target = Target::new(path, file, true);
        let validator = fs::read(beside(path)).ok().and_then(|text| HeaderValue::from_bytes(&text).ok());
        match validator.filter(|validator| !validator.is_empty()) {
            None => target.restart()?,
            validator => {
                target.size = io::copy(&mut target.file, &mut HashWriter(&mut target.hasher))?;
                target.validator = validator;
            }
        }
        Ok(target)
    }

    fn new(path: &Path, file: File, kept: bool) -> Target {
        Target { path: path.to_path_buf(), file, size: 0, hasher: Sha256::new(), validator: None, kept }
    }

    /// Whether something of it was there before.
    pub(super) fn is_begun(&self) -> bool {
        self.size > 0
    }

    /// The sha256 of what is there.
    pub(super) fn sha256(&self) -> String {
        hex(&self.hasher.clone().finalize())
    }

    /// Keeps what tells the server that the start, once more of it is here, is of this file.
    fn expect(&mut self, validator: Option<HeaderValue>) -> io::Result<()> {
        if self.kept && validator != self.validator {
            fs::write(beside(&self.path), validator.as_ref().map_or(&b""[..], HeaderValue::as_bytes))?;
        }
        self.validator = validator;
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        // First, so that what comes next never counts as the start of another file.
        self.expect(None)?;
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

/// Removes what is left of a download, with its validator.
pub(super) fn forget(path: &Path) -> io::Result<()> {
    for file in [beside(path), path.to_path_buf()] {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The file that holds the validator of a download.
fn beside(path: &Path) -> PathBuf {
    path.with_extension("validator")
}
