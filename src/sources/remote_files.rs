//! The content that a Dockerfile's ADD would download now, told without downloading it.

use std::convert::Infallible;
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, LAST_MODIFIED};
use reqwest::{Client, Method, Response, StatusCode};

use super::cache::SourceCache;
use super::error::without_secrets;
use super::git;
use crate::dockerfile::named::Download;
use crate::util::http::chain;

/// A server that takes longer to say what it has counts as one that does not say: a run begins with asking.
const LONGEST: Duration = Duration::from_secs(30);

/// Answers of servers that know GET and not HEAD.
const NO_HEAD: [StatusCode; 4] = [
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_IMPLEMENTED,
];

impl SourceCache {
    /// Identity of a download: a commit, or what the server says of the file. Else why it has none, in a sentence.
    /// Asked once.
    pub async fn told_of(&self, download: &Download) -> Result<String, String> {
        let shown = without_secrets(&download.url);
        let untold =
            |why: &str| format!("nobody tells whether {shown}, which ADD downloads, has changed ({why})");
        if !download.is_whole {
            return Err(untold("variables in it are not known before the build"));
        }
        let answer = self.downloads.get(download.url.clone(), async {
            let patience = self.patience().min(LONGEST);
            let asked = async {
                match repository(&download.url) {
                    Some((url, reference)) => self.commit(url, reference).await,
                    None => self.version(&download.url).await,
                }
            };
            let answer = tokio::time::timeout(patience, asked).await;
            Ok::<_, Infallible>(
                answer.unwrap_or_else(|_| Err(format!("no answer for {} s", patience.as_secs()))),
            )
        });
        match answer.await {
            Ok(answer) => answer.map_err(|why| untold(&why)),
            Err(never) => match never {},
        }
    }

    async fn commit(&self, url: &str, reference: &str) -> Result<String, String> {
        let resolved = git::resolve(url, reference, self.patience()).await;
        let resolved = resolved.map_err(|problem| problem.to_string().replace(url, &without_secrets(url)))?;
        let resolved = resolved.ok_or_else(|| format!("the repository has no branch or tag {reference}"))?;
        Ok(format!("git:{}", resolved.commit))
    }

    async fn version(&self, url: &str) -> Result<String, String> {
        let client = self.client().map_err(|problem| problem.to_string())?;
        let mut response = ask(&client, Method::HEAD, url).await?;
        if NO_HEAD.contains(&response.status()) {
            response = ask(&client, Method::GET, url).await?;
        }
        match response.status() {
            status if status.is_success() => said(response.headers())
                .ok_or_else(|| "its server says neither ETag nor Last-Modified".to_string()),
            status => Err(format!("its server answered {status}")),
        }
    }
}

/// Sends a request; the body of the answer is left alone.
async fn ask(client: &Client, method: Method, url: &str) -> Result<Response, String> {
    let answer = client.request(method, url).send().await;
    answer.map_err(|error| chain(&error.without_url()))
}

/// Headers that tell one version of a file from another.
fn said(headers: &HeaderMap) -> Option<String> {
    let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    match (header(ETAG), header(LAST_MODIFIED)) {
        (Some(tag), _) => Some(format!("etag:{tag}")),
        (None, Some(time)) => Some(
            format!("modified:{time} {}", header(CONTENT_LENGTH).unwrap_or_default()).trim_end().to_string(),
        ),
        (None, None) => None,
    }
}

/// The repository and reference of what git gets, by BuildKit's rules.
fn repository(url: &str) -> Option<(&str, &str)> {
    let (repository, fragment) = url.split_once('#').unwrap_or((url, ""));
    let path = repository.split('?').next().unwrap_or(repository);
    let is_http = ["http://", "https://"]
        .iter()
        .any(|scheme| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    if is_http && !path.ends_with(".git") {
        return None;
    }
    let reference = fragment.split(':').next().unwrap_or_default();
    Some((repository, if reference.is_empty() { "HEAD" } else { reference }))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn what_git_gets_is_told_from_files() {
        for (url, expected) in [
            ("https://h/x.tar.gz", None),
            ("https://h/x.git", Some(("https://h/x.git", "HEAD"))),
            ("https://h/x.git#v1:sub", Some(("https://h/x.git", "v1"))),
            ("https://h/x.git#:sub", Some(("https://h/x.git", "HEAD"))),
            ("git@h:x#main", Some(("git@h:x", "main"))),
            ("HTTPS://h/x#y", None),
        ] {
            assert_eq!(repository(url), expected, "{url}");
        }
    }

    #[test]
    fn a_server_tells_versions_apart_or_does_not() {
        let headers = |pairs: &[(HeaderName, &'static str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
        };
        let size = (CONTENT_LENGTH, "5");
        assert_eq!(said(&headers(&[(ETAG, "W/\"1\""), size.clone()])).as_deref(), Some("etag:W/\"1\""));
        assert_eq!(
            said(&headers(&[(LAST_MODIFIED, "Mon"), size.clone()])).as_deref(),
            Some("modified:Mon 5")
        );
        assert_eq!(said(&headers(&[size])), None);
    }
}
