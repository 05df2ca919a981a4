//! Documents about images, as files: made once an image is up to date, and read back when they are attached [I/O].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::known::KnownBuild;
use super::provenance::{BuildFacts, Material, statement};
use crate::engine::Engine;
use crate::freshness::recipe::BuiltFrom;
use crate::model::attached::DocumentKind;
use crate::model::failure::{Failure, FailureKind};
use crate::model::ids::Digest;
use crate::model::plan::{Parent, PlannedUnit};
use crate::model::reference::Reference;
use crate::util::input;
use crate::util::scratch::Scratch;
use crate::util::write::write_whole;

/// A directory of documents.
#[derive(Debug)]
pub enum DocumentDir {
    /// One that the user has named.
    Named(PathBuf),
    /// One that goes with the run, for gates.
    Temporary(Scratch),
}

impl DocumentDir {
    /// Its path.
    pub fn path(&self) -> &Path {
        match self {
            DocumentDir::Named(path) => path,
            DocumentDir::Temporary(scratch) => scratch.path(),
        }
    }

    /// The file of a document about an image; an image has one for each platform.
    pub fn file(&self, unit: &PlannedUnit, kind: DocumentKind) -> PathBuf {
        self.path().join(format!("{}.{}", stem(unit), kind.extension()))
    }

    /// Writes a document, unless it is there.
    pub fn write(&self, unit: &PlannedUnit, kind: DocumentKind, text: &str) -> Result<(), Failure> {
        let path = self.file(unit, kind);
        if input::read(&path).is_ok_and(|known| known == text.as_bytes()) {
            return Ok(());
        }
        write_whole(&path, text).map_err(|error| local(kind, "write", &path, &error))
    }

    /// Reads a document back.
    pub fn read(&self, unit: &PlannedUnit, kind: DocumentKind) -> Result<Vec<u8>, Failure> {
        let path = self.file(unit, kind);
        input::read(&path).map_err(|error| local(kind, "read", &path, &error))
    }
}

/// What the names of an image's files begin with.
pub fn stem(unit: &PlannedUnit) -> String {
    format!("{}-{}", unit.image, unit.platform.arch.kolla())
}

fn local(kind: DocumentKind, verb: &str, path: &Path, error: &std::io::Error) -> Failure {
    let message = format!("failed to {verb} its {} {}: {error}", kind.name(), path.display());
    Failure::permanent(FailureKind::Local, message)
}

/// Who makes provenance.
pub struct ProvenanceMaker {
    /// Where it is written to.
    pub dir: DocumentDir,
    /// The engine that builds.
    pub engine: Arc<dyn Engine>,
    /// Options that decide what is built, by their names, without secrets.
    pub parameters: BTreeMap<String, String>,
    /// Files of the user's that every image may be made from: overrides.
    pub overrides: Vec<Material>,
}

impl ProvenanceMaker {
    /// Writes the provenance of an image whose manifest, or configuration, has this digest; gives its text.
    pub async fn write(
        &self,
        unit: &PlannedUnit,
        build: &KnownBuild,
        pushed: impl Fn(&str) -> Option<Digest>,
        subject: &Digest,
    ) -> Result<String, Failure> {
        let mut materials = Vec::new();
        for (from, ids) in &build.parents {
            let id = ids.first().map(|id| id.as_str()).unwrap_or_default();
            let name = from.reference.to_string();
            let digest = match &from.image {
                Parent::Image(image) => pushed(image),
                Parent::Base(_) => self.digest_of_base(from, id).await,
            };
            let identity = digest.as_ref().map_or("", Digest::as_str);
            let mut material = Material::identified(&name, format!("oci://{name}"), identity);
            material.facts.insert("imageId", id.to_string());
            materials.push(material);
        }
        materials.extend(build.sources.iter().chain(&build.files).chain(&self.overrides).cloned());
        let facts = BuildFacts {
            image: unit.image.to_string(),
            platform: unit.platform,
            reference: unit.reference.clone(),
            key: build.key.clone(),
            parameters: self.parameters.clone(),
            materials,
            engine: self.engine.facts().name.clone(),
            times: build.times,
        };
        let text = statement(&facts, subject);
        self.dir.write(unit, DocumentKind::Provenance, &text)?;
        Ok(text)
    }

    /// Digest of a base image's manifest, as it was pulled; none when it was made here.
    async fn digest_of_base(&self, from: &BuiltFrom, id: &str) -> Option<Digest> {
        if let Some(digest) = &from.reference.digest {
            return digest.parse().ok();
        }
        let image = self.engine.inspect((&from.reference).into()).await.ok()??;
        let of_same_name = |it: &&Reference| it.path == from.reference.path;
        let named = image.repo_digests.iter().find(of_same_name).or(image.repo_digests.first());
        (image.id == *id).then_some(())?;
        named?.digest.as_ref()?.parse().ok()
    }
}
