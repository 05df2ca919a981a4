//! The release manifest: what a run without failures has pushed, by digests [pure].
//!
//! `--release` writes it; `--from-release` has it read back by `--retag`, `--verify-registry`, `--prune-registry` and
//! `--release-notes`. Readers must ignore keys that they do not know; a change that could break one raises `release_version`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::format::{Report, ReportedImage, Time};
use crate::model::attached::Attached;
use crate::model::ids::{ContentKey, Digest, ImageId, ImageName};
use crate::model::plan::Disposition;
use crate::model::platform::Platform;
use crate::model::reference::Reference;

/// The version of the format.
pub const RELEASE_VERSION: u32 = 1;

/// Images that belong together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseManifest {
    /// Version of the format, [`RELEASE_VERSION`] when written by this program.
    pub release_version: u32,
    /// Version of kolla-build that wrote it.
    pub version: String,
    /// End of the run that pushed the images.
    pub created: Time,
    /// The images, in the order of the plan.
    pub images: Vec<ReleasedImage>,
}

/// An image of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedImage {
    /// Name, without prefix, namespace and tag.
    pub name: ImageName,
    /// Full name, tag included.
    pub reference: Reference,
    /// Digest that this tag named: of the manifest list, when the release is for several platforms.
    pub digest: Digest,
    /// What is attached to the manifest list; left out when there is no list.
    #[serde(default, skip_serializing_if = "Attached::is_empty")]
    pub attached: Attached,
    /// The image for each platform.
    pub platforms: BTreeMap<Platform, ReleasedPlatform>,
}

/// An image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedPlatform {
    /// Full name that it was pushed by; with several platforms its tag tells the architecture.
    pub reference: Reference,
    /// Digest of its manifest.
    pub digest: Digest,
    /// Content key.
    pub key: Option<ContentKey>,
    /// The engine's id of the image.
    pub image_id: Option<ImageId>,
    /// What is attached to it: digests of `spdx`, `cyclonedx` and `provenance`, and whether all is `signed`.
    #[serde(default, skip_serializing_if = "Attached::is_empty")]
    pub attached: Attached,
}

/// Why there is no release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRelease {
    /// Images that are not as they should be.
    #[error("there is no release, as {} {} not pushed: {}", .0.len(), if .0.len() == 1 { "image is" } else { "images are" }, .0.join(", "))]
    NotPushed(Vec<String>),
    /// A run that was stopped.
    #[error("there is no release, as the run was interrupted")]
    Interrupted,
    /// Text that is no release manifest.
    #[error("it is no release manifest: {0}")]
    Unreadable(String),
    /// A manifest of a version that is not known.
    #[error("it is a release manifest of version {0}, and this program knows {RELEASE_VERSION}")]
    Unknown(u32),
}

impl ReleaseManifest {
    /// The release of a run. It is one only when every image that was asked for is in the registry.
    pub fn of(report: &Report) -> Result<ReleaseManifest, NoRelease> {
        if report.run.interrupted {
            return Err(NoRelease::Interrupted);
        }
        let asked: Vec<&ReportedImage> =
            report.images.iter().filter(|image| image.disposition == Disposition::Build).collect();
        let mut images: Vec<ReleasedImage> = Vec::new();
        let mut missing = Vec::new();
        for image in &asked {
            let pushed = image.push.as_ref().filter(|_| !image.is_unsuccessful());
            let Some((push, digest)) = pushed.and_then(|push| Some((push, push.digest.clone()?))) else {
                missing.push(format!("{} ({})", image.name, image.platform));
                continue;
            };
            let (key, image_id) = (image.key.clone(), image.image_id.clone());
            let platform = ReleasedPlatform {
                reference: image.reference.clone(),
                digest: digest.clone(),
                key,
                image_id,
                attached: push.attached.clone(),
            };
            let reference = image.list.clone().unwrap_or_else(|| image.reference.clone());
            let released = match images.iter_mut().position(|it| it.reference == reference) {
                Some(at) => &mut images[at],
                None => {
                    let name = image.name.clone();
                    images.push(ReleasedImage {
                        name,
                        reference,
                        digest,
                        attached: Attached::default(),
                        platforms: BTreeMap::new(),
                    });
                    images.last_mut().expect("it was just added")
                }
            };
            released.platforms.insert(image.platform, platform);
            if let Some(list) = &push.list {
                released.digest.clone_from(list);
                released.attached.clone_from(&push.list_attached);
            }
        }
        let unlisted = asked.iter().filter(|image| {
            let is_list = |other: &&&ReportedImage| other.list == image.list;
            let has_digest =
                |other: &&ReportedImage| other.push.as_ref().is_some_and(|push| push.list.is_some());
            image.list.is_some() && !asked.iter().filter(is_list).any(has_digest)
        });
        missing.extend(unlisted.map(|image| format!("the list of {}", image.name)));
        missing.dedup();
        if !missing.is_empty() {
            return Err(NoRelease::NotPushed(missing));
        }
        let (version, created) = (env!("CARGO_PKG_VERSION").to_string(), report.run.end);
        Ok(ReleaseManifest { release_version: RELEASE_VERSION, version, created, images })
    }

    /// Reads a release manifest.
    pub fn read(text: &str) -> Result<ReleaseManifest, NoRelease> {
        #[derive(Deserialize)]
        struct Version {
            release_version: u32,
        }
        let unreadable = |error: serde_json::Error| NoRelease::Unreadable(error.to_string());
        let Version { release_version } = serde_json::from_str(text).map_err(unreadable)?;
        match release_version {
            RELEASE_VERSION => serde_json::from_str(text).map_err(unreadable),
            other => Err(NoRelease::Unknown(other)),
        }
    }

    /// The text of the file.
    pub fn to_json(&self) -> String {
        let json =
            serde_json::to_string_pretty(self).expect("strings and numbers always serialize into memory");
        json + "\n"
    }

    /// The image of a name.
    pub fn image(&self, name: &ImageName) -> Option<&ReleasedImage> {
        self.images.iter().find(|image| image.name == *name)
    }

    /// Every digest of a manifest that the release names: of lists, images, and what is attached to them.
    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.images.iter().flat_map(|image| {
            let own =
                std::iter::once(&image.digest).chain(image.attached.documents().map(|(_, digest)| digest));
            own.chain(image.platforms.values().flat_map(|platform| {
                let attached = platform.attached.documents().map(|(_, digest)| digest);
                std::iter::once(&platform.digest).chain(attached)
            }))
        })
    }
}

impl ReleasedImage {
    /// The platform of an image that is in no manifest list.
    pub fn only_platform(&self) -> Option<Platform> {
        let (platform, its) = self.platforms.iter().next()?;
        (self.platforms.len() == 1 && its.digest == self.digest).then_some(*platform)
    }

    /// What is to be in the registry for it: each image, and the list of them if there is one, with what is attached to it.
    pub fn parts(&self) -> impl Iterator<Item = (&Digest, &Attached)> {
        let list = self.only_platform().is_none().then_some((&self.digest, &self.attached));
        list.into_iter().chain(self.platforms.values().map(|its| (&its.digest, &its.attached)))
    }

    /// The image by its digest.
    pub fn pinned(&self) -> Reference {
        self.reference.at(&self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Event;
    use crate::model::plan::BuildPlan;
    use crate::report::testing::{built, failed, finished, plan, pushed, report_of, unit};

    fn digest(digit: &str) -> Digest {
        format!("sha256:{}", digit.repeat(64)).parse().expect("a digest")
    }

    /// A plan of one image for two platforms.
    fn two_platforms() -> BuildPlan {
        let mut plan = plan(&["base", "base@arm64", "~cron"]);
        for unit in &mut plan.units {
            unit.list = Some(unit.reference.clone());
            unit.reference.tag = unit.reference.tag.take().map(|tag| tag + unit.platform.arch.kolla());
        }
        plan
    }

    fn after(pushes: &[(&str, &str, Option<&str>)]) -> Result<ReleaseManifest, NoRelease> {
        let mut events = Vec::new();
        for (name, own, list) in pushes {
            events.push(finished(name, built()));
            events.push(Event::PushStarted { unit: unit(name), worker: 0 });
            events.push(pushed(unit(name), Some(digest(own)), list.map(digest)));
        }
        ReleaseManifest::of(&report_of(&two_platforms(), &events))
    }

    #[test]
    fn a_release_names_lists_and_the_images_of_platforms() {
        let release = after(&[("base", "1", None), ("base@arm64", "2", Some("3"))]).expect("a release");
        let [base] = release.images.as_slice() else { panic!("{:?}", release.images) };
        assert_eq!(
            (base.name.as_str(), base.pinned().to_string()),
            ("base", format!("kolla/base@{}", digest("3")))
        );
        let platforms: Vec<_> = base.platforms.values().map(|platform| platform.digest.clone()).collect();
        assert_eq!(platforms, [digest("1"), digest("2")]);
        assert_eq!(ReleaseManifest::read(&release.to_json()), Ok(release.clone()));
        assert_eq!(release.digests().count(), 3);
    }

    #[test]
    fn there_is_no_half_release() {
        let missing =
            |result: Result<ReleaseManifest, NoRelease>| result.expect_err("no release").to_string();
        assert_eq!(
            missing(after(&[("base", "1", None)])),
            "there is no release, as 2 images are not pushed: base (linux/arm64), the list of base"
        );
        assert!(
            missing(after(&[("base", "1", None), ("base@arm64", "2", None)])).ends_with("the list of base")
        );
        let events = [finished("base", failed("no"))];
        assert!(
            missing(ReleaseManifest::of(&report_of(&plan(&["base"]), &events)))
                .contains("base (linux/amd64)")
        );
        assert!(ReleaseManifest::of(&report_of(&plan(&["base"]), &[Event::Interrupted])).is_err());
    }

    #[test]
    fn what_is_no_release_is_told() {
        assert_eq!(ReleaseManifest::read("{\"release_version\": 2}"), Err(NoRelease::Unknown(2)));
        assert!(matches!(ReleaseManifest::read("{}"), Err(NoRelease::Unreadable(_))));
    }
}
