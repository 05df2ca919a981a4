//! Content that a registry keeps by its digest: blobs and manifests are read, and put there.

use bytes::Bytes;
use reqwest::{Method, StatusCode, Url};

use super::error::{Problem, RegistryError};
use super::host::{Answer, Host, RegistryRequest, SentContent, manifest_request, request};
use super::manifest::Manifest;
use crate::model::ids::Digest;
use crate::model::reference::Reference;

/// The largest configuration of an image that is read; real ones have some ten kilobytes.
const LARGEST_CONFIG: usize = 8 << 20;

impl Host {
    /// The configuration of an image.
    pub async fn config(&self, repository: &str, digest: &Digest) -> Result<Bytes, RegistryError> {
        self.blob(repository, digest, LARGEST_CONFIG).await
    }

    /// A blob of at most `limit` bytes, which has the digest that it goes by.
    pub async fn blob(
        &self,
        repository: &str,
        digest: &Digest,
        limit: usize,
    ) -> Result<Bytes, RegistryError> {
        let request =
            RegistryRequest { limit, ..request(Method::GET, repository, format!("blobs/{digest}")) };
        let answer = self.accept(self.send(&request).await?)?;
        match Digest::of(&answer.body) == *digest {
            true => Ok(answer.body),
            false => Err(self.error(Problem::Garbage(format!("the blob {digest} has another digest")))),
        }
    }

    /// Puts a blob there, unless the repository has it.
    pub async fn put_blob(&self, repository: &str, bytes: &Bytes) -> Result<Digest, RegistryError> {
        let digest = Digest::of(bytes);
        let asked = self.send(&request(Method::HEAD, repository, format!("blobs/{digest}"))).await?;
        if asked.status == StatusCode::OK {
            return Ok(digest);
        }
        let begun = self.send(&request(Method::POST, repository, "blobs/uploads/".to_string())).await?;
        let begun = self.accept(begun)?;
        let upload = RegistryRequest {
            location: Some(self.upload(&begun, &digest)?),
            content: Some(SentContent { media_type: "application/octet-stream", bytes: bytes.clone() }),
            ..request(Method::PUT, repository, String::new())
        };
        self.accept(self.send(&upload).await?)?;
        Ok(digest)
    }

    /// Where an upload that was begun goes. Only the registry itself is sent what it wants to see.
    fn upload(&self, begun: &Answer, digest: &Digest) -> Result<Url, RegistryError> {
        let garbage = |reason: String| self.error(Problem::Garbage(reason));
        let own = Url::parse(&self.reached.url).map_err(|error| garbage(error.to_string()))?;
        let location =
            begun.header("location").ok_or_else(|| garbage("an upload has no place".to_string()))?;
        let mut place = own.join(location).map_err(|error| garbage(format!("'{location}': {error}")))?;
        if place.host_str() != own.host_str() {
            return Err(garbage(format!("it sends uploads to another host, {location}")));
        }
        // Behind a proxy it may not know how it is reached.
        let moved = place.set_scheme(own.scheme()).and_then(|()| place.set_port(own.port()));
        moved.map_err(|()| garbage(format!("an upload can't go to '{location}'")))?;
        place.query_pairs_mut().append_pair("digest", digest.as_str());
        Ok(place)
    }

    /// Puts a manifest under the tag or digest of a reference; gives the answer.
    pub async fn put(
        &self,
        repository: &str,
        reference: &Reference,
        manifest: &Manifest,
    ) -> Result<Answer, RegistryError> {
        let request = RegistryRequest {
            content: Some(manifest.into()),
            ..manifest_request(Method::PUT, repository, reference)
        };
        let answer = self.accept(self.send(&request).await?)?;
        match answer.digest() {
            Some(digest) if digest != manifest.digest => {
                let reason = format!("it took {} as {digest}", manifest.digest);
                Err(self.error(Problem::Garbage(reason)))
            }
            _ => Ok(answer),
        }
    }
}
