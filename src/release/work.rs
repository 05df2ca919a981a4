//! What is done with images, once they are up to date, so that they make a release: documents, gates, attachments and
//! signatures, in this order [I/O].

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;

use super::attaching::Attaching;
use super::documents::{DocumentDir, ProvenanceMaker, stem};
use super::gates::{GateSubject, Gates};
use super::known::{KnownBuild, KnownBuilds};
use super::provenance::list_statement;
use super::sboms::{KINDS as SBOMS, SbomMaker};
use crate::engine::{BuildOutput, OutputSink};
use crate::model::attached::{Attached, DocumentKind};
use crate::model::event::UnitId;
use crate::model::failure::Failure;
use crate::model::gate::{GateResult, GateVerdict};
use crate::model::ids::{Digest, ImageName};
use crate::model::plan::PlannedUnit;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::registry::manifest::Manifest;
use crate::sbom::subject::DocumentedList;
use crate::sbom::{cyclonedx, spdx};

/// What a run does for a release.
pub struct ReleaseWork {
    /// Who makes SBOMs, when they are asked for, or gates are.
    pub sboms: Option<SbomMaker>,
    /// Who makes provenance, when it is asked for.
    pub provenance: Option<ProvenanceMaker>,
    /// Gates that images must pass, with the directory for their reports.
    pub gates: Option<(Gates, DocumentDir)>,
    /// The registry's side.
    pub attaching: Attaching,
    /// Builds that are noted for documents.
    pub known: KnownBuilds,
    /// Digests of what was pushed.
    pub pushed: Mutex<HashMap<UnitId, Digest>>,
}

impl ReleaseWork {
    /// True when builds have to be noted: something is made of them.
    pub fn makes_documents(&self) -> bool {
        self.sboms.is_some() || self.provenance.is_some()
    }

    /// True when something is to be done with images that are up to date before they are pushed.
    pub fn comes_before_pushes(&self) -> bool {
        self.makes_documents() || self.gates.is_some()
    }

    /// Makes the documents about an image and asks the gates about it.
    pub async fn ask_gates(&self, unit: &PlannedUnit, output: OutputSink<'_>) -> Result<GateResult, Failure> {
        let build = self.build(unit)?;
        if let Some(maker) = &self.sboms {
            let sources = self.known.sources(&unit.id());
            maker.write(unit, &build, &sources, &self.attaching, output).await?;
        }
        if let Some(maker) = &self.provenance {
            // Of an image that is not pushed it is its id that is told; a push writes it anew.
            if let Ok(id) = build.image.as_str().parse() {
                maker.write(unit, &build, |parent| self.pushed(unit, parent), &id).await?;
            }
        }
        match &self.gates {
            // It was let pass before it was pushed.
            Some(_) if build.in_registry.is_some() => Ok(GateResult::default()),
            Some((gates, dir)) => {
                let result = gates.ask(&self.subject(unit, &build, dir)).await;
                let lines = result.gates.iter().flat_map(GateVerdict::lines);
                lines.for_each(|line| output(BuildOutput::Line(line)));
                Ok(result)
            }
            None => Ok(GateResult::default()),
        }
    }

    fn build(&self, unit: &PlannedUnit) -> Result<Arc<KnownBuild>, Failure> {
        self.known.get(&unit.id()).ok_or_else(|| Failure::bug("nothing is known of an image's build"))
    }

    fn subject(&self, unit: &PlannedUnit, build: &KnownBuild, dir: &DocumentDir) -> GateSubject {
        let mut variables = vec![
            ("KOLLA_BUILD_IMAGE", unit.image.to_string()),
            ("KOLLA_BUILD_REFERENCE", unit.reference.to_string()),
            ("KOLLA_BUILD_PLATFORM", unit.platform.to_string()),
            ("KOLLA_BUILD_IMAGE_ID", build.image.to_string()),
            ("KOLLA_BUILD_KEY", build.key.to_string()),
        ];
        if let Some(maker) = &self.sboms {
            let file = |kind| maker.dir.file(unit, kind).display().to_string();
            variables.push(("KOLLA_BUILD_SBOM_SPDX", file(DocumentKind::Spdx)));
            variables.push(("KOLLA_BUILD_SBOM_CYCLONEDX", file(DocumentKind::Cyclonedx)));
        }
        if let Some(maker) = &self.provenance {
            let file = maker.dir.file(unit, DocumentKind::Provenance);
            variables.push(("KOLLA_BUILD_PROVENANCE", file.display().to_string()));
        }
        GateSubject { variables, report: dir.path().join(stem(unit)) }
    }

    /// Digest that another image of the run was pushed as, for the platform of a unit.
    fn pushed(&self, unit: &PlannedUnit, image: &str) -> Option<Digest> {
        let id = UnitId { image: ImageName::from(image), platform: unit.platform };
        self.pushed.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Attaches documents to an image that was pushed, and signs all of it.
    pub async fn attach(
        &self,
        unit: &PlannedUnit,
        digest: Option<&Digest>,
        output: OutputSink<'_>,
    ) -> Result<Attached, Failure> {
        let Some(digest) = digest else { return Ok(Attached::default()) };
        self.pushed.lock().unwrap_or_else(PoisonError::into_inner).insert(unit.id(), digest.clone());
        if !self.makes_documents() && self.attaching.signer.is_none() {
            return Ok(Attached::default());
        }
        let mut documents = BTreeMap::new();
        if let Some(maker) = self.sboms.as_ref().filter(|maker| maker.is_asked_for) {
            for kind in SBOMS {
                documents.insert(kind, Bytes::from(maker.dir.read(unit, kind)?));
            }
        }
        if let Some(maker) = &self.provenance {
            let pushed = |parent: &str| self.pushed(unit, parent);
            let text = maker.write(unit, &*self.build(unit)?, pushed, digest).await?;
            documents.insert(DocumentKind::Provenance, Bytes::from(text));
        }
        let subject = self.attaching.manifest(&unit.reference.at(digest), output).await?;
        self.attaching.attach(&unit.reference, &subject, documents, output).await
    }

    /// What is done with manifest lists.
    pub fn lists(&self) -> ListWork<'_> {
        ListWork {
            attaching: &self.attaching,
            sboms: self.sboms.as_ref().is_some_and(|maker| maker.is_asked_for),
            provenance: self.provenance.is_some(),
        }
    }

    /// When the image of a unit was made.
    pub fn created(&self, unit: &PlannedUnit) -> Timestamp {
        self.known.get(&unit.id()).map_or(Timestamp::UNIX_EPOCH, |build| build.created())
    }
}

/// What is done with manifest lists so that they make a release.
pub struct ListWork<'a> {
    /// The registry's side.
    pub attaching: &'a Attaching,
    /// True when lists get SBOMs.
    pub sboms: bool,
    /// True when lists get provenance.
    pub provenance: bool,
}

impl ListWork<'_> {
    /// Attaches documents to a manifest list of an image that is to get a name, and signs all of it, so that the name never
    /// stands for less. `created` is when the last of its images was made.
    pub async fn attach(
        &self,
        (image, created): (&ImageName, Timestamp),
        (name, list): (&Reference, &Manifest),
        members: &BTreeMap<Platform, Reference>,
        output: OutputSink<'_>,
    ) -> Result<Attached, Failure> {
        if !self.sboms && !self.provenance && self.attaching.signer.is_none() {
            return Ok(Attached::default());
        }
        let mut documents = BTreeMap::new();
        if self.sboms {
            let (digest, reference) = (&list.digest, name);
            let documented = DocumentedList { name: image, reference, digest, created, members };
            let of_list = [
                (DocumentKind::Spdx, spdx::list_document(&documented)),
                (DocumentKind::Cyclonedx, cyclonedx::list_document(&documented)),
            ];
            documents.extend(of_list.map(|(kind, text)| (kind, Bytes::from(text))));
        }
        if self.provenance {
            let text = list_statement(name, &list.digest, members);
            documents.insert(DocumentKind::Provenance, Bytes::from(text));
        }
        self.attaching.put(&name.at(&list.digest), list, output).await?;
        self.attaching.attach(name, list, documents, output).await
    }
}
