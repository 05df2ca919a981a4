//! Downloads over HTTP: streamed to disk, hashed on the way, taken up again where they broke, also by a later run.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED,
    RANGE,
};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::error::SourceProblem;
use super::range::ContentRange;
use crate::context::digest::HashWriter;
use crate::util::hex::hex;
use crate::util::http::{self, chain, refused_certificate};
use crate::util::input;
use crate::util::write::write_whole;

/// So many further requests are made for one download: to go on, as long as each brought something, or to start anew.
const FURTHER_REQUESTS: u32 = 5;

/// Makes a client, see [`http::builder`].
pub(super) fn client(patience: Duration) -> Result<Client, SourceProblem> {
    http::builder(patience).build().map_err(|error| {
        SourceProblem::Configuration(format!(
            "cannot set HTTPS up: {}: install ca-certificates or set SSL_CERT_FILE",
            chain(&error)
        ))
    })
}

/// Downloads `url` to the target's file and gives the sha256 of all that is in it then.
pub(super) async fn download(
    client: &Client,
    url: &str,
    mut target: DownloadTarget,
    section: &str,
    patience: Duration,
) -> Result<String, SourceProblem> {
    let path = target.path.clone();
    let local = || SourceProblem::local(path.clone());
    let mut last = SourceProblem::Misfit;
    for _ in 0..=FURTHER_REQUESTS {
        let start = target.size;
        let (request, begun) = target.ask(client, url);
        let response = request.send().await.map_err(|error| problem(error, patience))?;
        match judge(response.status(), response.headers(), begun.then_some(&target)) {
            DownloadAnswer::Whole => target.restart().map_err(local())?,
            DownloadAnswer::Rest => {}
            DownloadAnswer::Misfit => {
                target.restart().map_err(local())?;
                continue;
            }
            DownloadAnswer::Unasked => return Err(SourceProblem::Misfit),
            DownloadAnswer::Refused(status) => {
                return Err(SourceProblem::Status { status, section: section.to_string() });
            }
        }
        target.expect(&response).map_err(local())?;
        match target.receive(response).await {
            Ok(()) if target.is_whole() => return Ok(target.sha256()),
            // It sent less than was asked for, which it may, or more than it told.
            Ok(()) if target.size > start && target.validator.is_some() && !target.is_too_long() => {}
            Ok(()) => target.restart().map_err(local())?,
            Err(Broken::Disk(error)) => return Err(local()(error)),
            Err(Broken::Connection(error)) => {
                last = problem(error, patience);
                if target.validator.is_none() || target.size <= start {
                    return Err(last);
                }
            }
        }
    }
    Err(last)
}

/// Answer to a request for a file, or for the rest of one.
#[derive(Debug, PartialEq, Eq)]
enum DownloadAnswer {
    /// The file from its first byte on.
    Whole,
    /// The rest that was asked for, or a part of it.
    Rest,
    /// Something that does not go together with what is here: the file is to be fetched anew.
    Misfit,
    /// A part, where all was asked for.
    Unasked,
    /// No file at all.
    Refused(u16),
}

/// Judges an answer by its head. `begun` is what the rest was asked for; none when all of the file was.
fn judge(status: StatusCode, headers: &HeaderMap, begun: Option<&DownloadTarget>) -> DownloadAnswer {
    match (status, begun) {
        (StatusCode::OK, _) => DownloadAnswer::Whole,
        (StatusCode::PARTIAL_CONTENT, None) => DownloadAnswer::Unasked,
        (StatusCode::PARTIAL_CONTENT, Some(begun)) if begun.goes_on_with(headers) => DownloadAnswer::Rest,
        // The file has become shorter than what is here, and the server looked at the length alone.
        (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => DownloadAnswer::Misfit,
        (status, _) => DownloadAnswer::Refused(status.as_u16()),
    }
}

/// The part that an answer's head tells of.
fn part(headers: &HeaderMap) -> Option<ContentRange> {
    headers.get(CONTENT_RANGE)?.to_str().ok()?.parse().ok()
}

/// Validator that tells the server that we have the start of this very file; none when it can't send a part of it.
fn resumable(headers: &HeaderMap) -> Option<HeaderValue> {
    let ranges =
        headers.contains_key(CONTENT_RANGE) || headers.get(ACCEPT_RANGES).is_some_and(|unit| unit == "bytes");
    let strong_tag = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    strong_tag.or(headers.get(LAST_MODIFIED)).filter(|_| ranges).cloned()
}

fn problem(error: reqwest::Error, patience: Duration) -> SourceProblem {
    if error.is_builder() {
        return SourceProblem::Configuration(format!(
            "not a URL that can be fetched: {}",
            chain(&error.without_url())
        ));
    }
    if error.is_redirect() {
        return SourceProblem::Configuration(chain(&error.without_url()));
    }
    if let Some(refused) = refused_certificate(&error) {
        return SourceProblem::Configuration(format!(
            "no secure connection: {refused}: if the server is right, add its certificate authority to this host's \
             or name it in SSL_CERT_FILE"
        ));
    }
    // Asked first, for a time-out of the connection is both.
    if error.is_timeout() {
        return SourceProblem::Stalled(patience);
    }
    SourceProblem::Connection(chain(&error.without_url()))
}

/// The file that a download goes to.
pub(super) struct DownloadTarget {
    path: PathBuf,
    file: File,
    size: u64,
    hasher: Sha256,
    /// Validator that tells the server which file the start is of; none when it has to send all of it.
    validator: Option<HeaderValue>,
    /// How long the file is, as the server has told.
    total: Option<u64>,
    /// True when a later run is to take it up where this one is killed.
    kept: bool,
}

/// Why receiving ended early.
enum Broken {
    Connection(reqwest::Error),
    Disk(io::Error),
}

impl DownloadTarget {
    /// Makes a new file.
    pub(super) fn create(path: &Path) -> io::Result<DownloadTarget> {
        Ok(DownloadTarget::new(path, File::create_new(path)?, false))
    }

    /// A file that an earlier run may have begun, with all that it had got. Its validator is in a file beside it.
    pub(super) fn take_up(path: &Path) -> io::Result<DownloadTarget> {
        let open = || File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = match open() {
            // A run was killed between making it read-only and giving it its name.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                forget(path)?;
                open()?
            }
            opened => opened?,
        };
        let mut target = DownloadTarget::new(path, file, true);
        let validator = input::read(&beside(path)).ok().and_then(|text| HeaderValue::from_bytes(&text).ok());
        match validator.filter(|validator| !validator.is_empty()) {
            None => target.restart()?,
            validator => {
                target.size = io::copy(&mut target.file, &mut HashWriter(&mut target.hasher))?;
                target.validator = validator;
            }
        }
        Ok(target)
    }

    fn new(path: &Path, file: File, kept: bool) -> DownloadTarget {
        DownloadTarget {
            path: path.to_path_buf(),
            file,
            size: 0,
            hasher: Sha256::new(),
            validator: None,
            total: None,
            kept,
        }
    }

    /// True when something of it was there before.
    pub(super) fn is_begun(&self) -> bool {
        self.size > 0
    }

    /// The sha256 of what is there.
    pub(super) fn sha256(&self) -> String {
        hex(&self.hasher.clone().finalize())
    }

    /// Asks for the file, or for its rest when a part of it is here that the server knows: then true.
    fn ask(&self, client: &Client, url: &str) -> (RequestBuilder, bool) {
        let request = client.get(url);
        match self.validator.as_ref().filter(|_| self.size > 0) {
            Some(validator) => {
                let range = format!("bytes={}-", self.size);
                (request.header(RANGE, range).header(IF_RANGE, validator), true)
            }
            None => (request, false),
        }
    }

    /// True when an answer's part is of the file that is begun here, and begins where that ends.
    fn goes_on_with(&self, headers: &HeaderMap) -> bool {
        let Some(part) = part(headers) else { return false };
        // Without a total nothing would tell where the file ends.
        let Some(total) = part.total.or(self.total) else { return false };
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        // A tag in quotes, or a date.
        let told = match &self.validator {
            Some(known) if known.as_bytes().starts_with(b"\"") => headers.get(ETAG),
            _ => headers.get(LAST_MODIFIED),
        };
        part.start == self.size
            && part.end <= total
            && self.total.is_none_or(|known| known == total)
            && length.is_none_or(|length| length == part.length())
            && told.is_some()
            && told == self.validator.as_ref()
    }

    fn is_whole(&self) -> bool {
        self.total.is_none_or(|total| self.size == total)
    }

    fn is_too_long(&self) -> bool {
        self.total.is_some_and(|total| self.size > total)
    }

    /// Keeps what an answer's head tells of the whole file.
    fn expect(&mut self, response: &Response) -> io::Result<()> {
        self.total = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                part(response.headers()).and_then(|part| part.total).or(self.total)
            }
            _ => response.content_length(),
        };
        self.keep(resumable(response.headers()))
    }

    /// Keeps what tells the server that the start, once more of it is here, is of this file.
    fn keep(&mut self, validator: Option<HeaderValue>) -> io::Result<()> {
        if self.kept && validator != self.validator {
            write_whole(&beside(&self.path), validator.as_ref().map_or(&b""[..], HeaderValue::as_bytes))?;
        }
        self.validator = validator;
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        // First, so that what comes next never counts as the start of another file.
        self.keep(None)?;
        self.total = None;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file of which so many bytes are here, known by a tag.
    fn begun(size: u64, total: Option<u64>, validator: &'static str) -> (tempfile::TempDir, DownloadTarget) {
        let dir = tempfile::tempdir().unwrap();
        let mut target = DownloadTarget::create(&dir.path().join("file")).unwrap();
        (target.size, target.total) = (size, total);
        target.validator = Some(HeaderValue::from_static(validator));
        (dir, target)
    }

    fn headers(text: &str) -> HeaderMap {
        let lines = text.lines().filter_map(|line| line.trim().split_once(": "));
        let parsed =
            |(name, value): (&str, &str)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap());
        lines.map(parsed).collect::<Vec<(reqwest::header::HeaderName, _)>>().into_iter().collect()
    }

    #[test]
    fn a_part_goes_on_only_with_its_own_file() {
        let (_dir, target) = begun(5, Some(10), "\"a\"");
        let judged = |status, text: &str| judge(status, &headers(text), Some(&target));
        let part = |text| judged(StatusCode::PARTIAL_CONTENT, text);
        for good in [
            "content-range: bytes 5-9/10\netag: \"a\"",
            "content-range: bytes 5-9/*\netag: \"a\"\ncontent-length: 5",
            "content-range: bytes 5-6/10\netag: \"a\"\ncontent-length: 2",
        ] {
            assert_eq!(part(good), DownloadAnswer::Rest, "{good}");
        }
        for bad in [
            "etag: \"a\"",
            "content-range: bytes 4-9/10\netag: \"a\"",
            "content-range: bytes 5-9/11\netag: \"a\"",
            "content-range: bytes 5-10/*\netag: \"a\"",
            "content-range: bytes 5-9/10\netag: \"b\"",
            "content-range: bytes 5-9/10\netag: W/\"a\"",
            "content-range: bytes 5-9/10",
            "content-range: bytes 5-9/10\netag: \"a\"\ncontent-length: 4",
        ] {
            assert_eq!(part(bad), DownloadAnswer::Misfit, "{bad}");
        }
        assert_eq!(judged(StatusCode::OK, ""), DownloadAnswer::Whole);
        assert_eq!(judged(StatusCode::RANGE_NOT_SATISFIABLE, ""), DownloadAnswer::Misfit);
        assert_eq!(judged(StatusCode::FORBIDDEN, ""), DownloadAnswer::Refused(403));
        let unasked = |status| judge(status, &headers("content-range: bytes 0-9/10"), None);
        assert_eq!(unasked(StatusCode::PARTIAL_CONTENT), DownloadAnswer::Unasked);
        assert_eq!(unasked(StatusCode::RANGE_NOT_SATISFIABLE), DownloadAnswer::Refused(416));

        let date = "Thu, 01 Jan 2026 00:00:00 GMT";
        let (_dir, target) = begun(5, None, date);
        let dated = |text: &str| judge(StatusCode::PARTIAL_CONTENT, &headers(text), Some(&target));
        assert_eq!(
            dated(&format!("content-range: bytes 5-9/10\nlast-modified: {date}")),
            DownloadAnswer::Rest
        );
        assert_eq!(
            dated(&format!("content-range: bytes 5-9/*\nlast-modified: {date}")),
            DownloadAnswer::Misfit
        );
        assert_eq!(dated("content-range: bytes 5-9/10\netag: \"a\""), DownloadAnswer::Misfit);
    }

    proptest! {
        #[test]
        fn no_part_of_another_place_file_or_length_is_taken(
            size in 1..20_u64, start in 0..20_u64, length in 1..20_u64, total in 0..40_u64, told in 0..40_u64,
            same_tag in any::<bool>(), body in proptest::option::of(0..20_u64),
        ) {
            let (_dir, target) = begun(size, Some(total), "\"a\"");
            let tag = if same_tag { "\"a\"" } else { "\"b\"" };
            let mut text = format!("content-range: bytes {start}-{}/{told}\netag: {tag}", start + length - 1);
            text += &body.map(|body| format!("\ncontent-length: {body}")).unwrap_or_default();
            if judge(StatusCode::PARTIAL_CONTENT, &headers(&text), Some(&target)) == DownloadAnswer::Rest {
                prop_assert!(start == size && same_tag && told == total && start + length <= total);
                prop_assert!(body.is_none_or(|body| body == length));
            }
        }
    }
}
