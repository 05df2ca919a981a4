//! What cleaning up asks of a registry: the tags of a repository, when an image was made, and that a manifest goes.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::Registries;
use super::error::{Problem, RegistryError};
use super::host::{Host, RegistryRequest, manifest_request, request};
use super::manifest::image_config;
use crate::model::ids::Digest;
use crate::model::labels::CREATED_LABEL;
use crate::model::reference::Reference;
use crate::model::reference::parts::Tag;

/// So many tags are asked for at once.
const TAGS_AT_ONCE: usize = 1000;
/// The longest list of tags that is read at once: a tag has 128 characters at most, and some registries tell all at once.
const LONGEST_LIST: usize = 16 << 20;

/// A page of a repository's tags.
#[derive(Deserialize)]
struct TagPage {
    tags: Option<Vec<String>>,
}

impl Registries {
    /// All tags of a repository; none when the registry has no such repository.
    pub async fn tags(&self, repository: &Reference) -> Result<Option<BTreeSet<String>>, RegistryError> {
        let (host, name) = self.reach(repository).await?;
        let (mut tags, mut asked) = (BTreeSet::new(), BTreeSet::new());
        let mut query = format!("n={TAGS_AT_ONCE}");
        loop {
            if !asked.insert(query.clone()) {
                return Err(host.error(Problem::Garbage("its list of tags leads back to itself".to_string())));
            }
            let list = request(Method::GET, &name, format!("tags/list?{query}"));
            let list = RegistryRequest { limit: LONGEST_LIST, ..list };
            let answer = host.send(&list).await?;
            if answer.status == StatusCode::NOT_FOUND && asked.len() == 1 {
                return Ok(None);
            }
            let answer = host.accept(answer)?;
            tags.extend(page(&host, &answer.body)?);
            match answer.header("link").map(next_query) {
                None => return Ok(Some(tags)),
                Some(Some(next)) => query = next,
                Some(None) => {
                    let reason = "its list of tags goes on where it does not tell".to_string();
                    return Err(host.error(Problem::Garbage(reason)));
                }
            }
        }
    }

    /// When the image of a configuration says that it was made; none when it does not.
    pub async fn made(
        &self,
        repository: &Reference,
        config: &Digest,
    ) -> Result<Option<Timestamp>, RegistryError> {
        let (host, name) = self.reach(repository).await?;
        let content = host.config(&name, config).await?;
        // What attachments have for a configuration need not be one.
        let Ok(config) = image_config(&content) else { return Ok(None) };
        let label = config.labels.get(CREATED_LABEL).and_then(|time| time.parse().ok());
        Ok(label.or_else(|| config.created.and_then(|time| time.parse().ok())))
    }

    /// Deletes a manifest with all its tags; false when there was none.
    pub async fn delete(&self, repository: &Reference, digest: &Digest) -> Result<bool, RegistryError> {
        let (host, name) = self.reach(repository).await?;
        let answer = host.send(&manifest_request(Method::DELETE, &name, &repository.at(digest))).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(false),
            _ => host.accept(answer).map(|_| true),
        }
    }
}

/// The manifest that a tag is attached to: the referrers tag of OCI's (`sha256-<digits>`), or one of cosign's
/// (`sha256-<digits>.sig`).
pub fn subject(tag: &str) -> Option<Digest> {
    let digits = tag.strip_prefix("sha256-")?;
    let digits = digits.split('.').next().unwrap_or(digits);
    format!("sha256:{digits}").parse().ok()
}

fn page(host: &Arc<Host>, body: &[u8]) -> Result<Vec<String>, RegistryError> {
    let garbage = |reason: String| host.error(Problem::Garbage(reason));
    let page: TagPage = serde_json::from_slice(body)
        .map_err(|error| garbage(format!("its list of tags can't be read: {error}")))?;
    let tags = page.tags.unwrap_or_default();
    match tags.iter().find(|tag| tag.parse::<Tag>().is_err()) {
        Some(wrong) => Err(garbage(format!("its list of tags has '{wrong}', which is none"))),
        None => Ok(tags),
    }
}

/// The query of the next page: `</v2/NAME/tags/list?last=TAG&n=9>; rel="next"`. The path is known, and nobody is sent
/// elsewhere.
fn next_query(link: &str) -> Option<String> {
    let (address, _) = link.trim().strip_prefix('<')?.split_once('>')?;
    let (_, query) = address.split_once('?')?;
    Some(query.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::referrers::fallback_tag;

    #[test]
    fn tags_of_attachments_name_their_subject() {
        let digest = Digest::of(b"");
        let tag = fallback_tag(&digest);
        for suffix in ["", ".sig", ".att", ".sbom"] {
            assert_eq!(subject(&format!("{tag}{suffix}")).as_ref(), Some(&digest), "{suffix}");
        }
        for other in ["1.0", "sha256-1", "sha256", &tag[1..], &format!("{tag}0")] {
            assert_eq!(subject(other), None, "{other}");
        }
    }

    #[test]
    fn the_next_page_is_asked_for_by_its_query_alone() {
        let next = |link: &str| next_query(link);
        assert_eq!(next("</v2/a/tags/list?last=b&n=2>; rel=\"next\"").as_deref(), Some("last=b&n=2"));
        assert_eq!(next("<https://elsewhere/x?last=b>; rel=\"next\"").as_deref(), Some("last=b"));
        assert_eq!([next(""), next("</v2/a/tags/list>; rel=\"next\"")], [None, None]);
    }
}
