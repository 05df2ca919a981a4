//! Documents about an image, and what of them its registry has [pure].

use serde::{Deserialize, Serialize};

use super::ids::Digest;

/// Kind of a document about an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// SBOM of SPDX 2.3.
    Spdx,
    /// SBOM of CycloneDX 1.6.
    Cyclonedx,
    /// Provenance: an in-toto statement with SLSA's predicate.
    Provenance,
}

impl DocumentKind {
    /// Every kind.
    pub const ALL: [DocumentKind; 3] =
        [DocumentKind::Spdx, DocumentKind::Cyclonedx, DocumentKind::Provenance];

    /// Media type, by which it is known again in a registry.
    pub fn media_type(self) -> &'static str {
        match self {
            DocumentKind::Spdx => "application/spdx+json",
            DocumentKind::Cyclonedx => "application/vnd.cyclonedx+json",
            DocumentKind::Provenance => "application/vnd.in-toto+json",
        }
    }

    /// End of the names of its files.
    pub fn extension(self) -> &'static str {
        match self {
            DocumentKind::Spdx => "spdx.json",
            DocumentKind::Cyclonedx => "cdx.json",
            DocumentKind::Provenance => "intoto.json",
        }
    }

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            DocumentKind::Spdx => "SPDX SBOM",
            DocumentKind::Cyclonedx => "CycloneDX SBOM",
            DocumentKind::Provenance => "provenance",
        }
    }
}

/// What the registry has beside an image: digests of attachments' manifests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Its SBOM of SPDX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spdx: Option<Digest>,
    /// Its SBOM of CycloneDX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cyclonedx: Option<Digest>,
    /// Its provenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Digest>,
    /// True when it and all of these are signed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signed: bool,
}

impl Attached {
    /// The attachment of a kind, to be set.
    pub fn of_mut(&mut self, kind: DocumentKind) -> &mut Option<Digest> {
        match kind {
            DocumentKind::Spdx => &mut self.spdx,
            DocumentKind::Cyclonedx => &mut self.cyclonedx,
            DocumentKind::Provenance => &mut self.provenance,
        }
    }

    /// Every attachment, with its kind.
    pub fn documents(&self) -> impl Iterator<Item = (DocumentKind, &Digest)> {
        let of = |kind| match kind {
            DocumentKind::Spdx => &self.spdx,
            DocumentKind::Cyclonedx => &self.cyclonedx,
            DocumentKind::Provenance => &self.provenance,
        };
        DocumentKind::ALL.into_iter().filter_map(move |kind| Some((kind, of(kind).as_ref()?)))
    }

    /// True when there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Attached::default()
    }
}
