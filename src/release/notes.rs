//! Release notes: what has changed from one release to another, by images and their packages [pure].

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::model::ids::{Digest, ImageName};
use crate::report::counted;
use crate::report::release::{ReleaseManifest, ReleasedImage, ReleasedPlatform};
use crate::sbom::changes::{ChangeKind, PackageChange};

/// Everything that has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReleaseChanges {
    /// Images that are new.
    pub added: Vec<ImageName>,
    /// Images that are gone.
    pub removed: Vec<ImageName>,
    /// Images that are not what they were.
    pub changed: Vec<ImageChange>,
    /// Images that are what they were.
    pub unchanged: Vec<ImageName>,
}

/// An image that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageChange {
    /// Name of the image.
    pub name: ImageName,
    /// Digest that it had.
    pub from: Digest,
    /// Digest that it has.
    pub to: Digest,
    /// What has changed for each platform; none that is what it was.
    pub platforms: BTreeMap<String, PlatformChange>,
}

/// What has changed in an image for a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlatformChange {
    /// There was none for it.
    Added,
    /// There is none for it any more.
    Removed,
    /// Packages that are not what they were; none when only files of no package have changed.
    Packages(Vec<PackageChange>),
    /// Why that is not known.
    Unknown(String),
}

/// Images of a release beside those of another.
pub struct ImagePair<'a> {
    /// The earlier one.
    pub old: &'a ReleasedImage,
    /// The later one.
    pub new: &'a ReleasedImage,
}

impl ReleaseChanges {
    /// What has come of images; how their packages have changed is still to be found out for these pairs.
    pub fn between<'a>(
        old: &'a ReleaseManifest,
        new: &'a ReleaseManifest,
    ) -> (ReleaseChanges, Vec<ImagePair<'a>>) {
        let mut changes = ReleaseChanges::default();
        let mut pairs = Vec::new();
        for image in &new.images {
            match old.image(&image.name) {
                None => changes.added.push(image.name.clone()),
                Some(before) if before.digest == image.digest => changes.unchanged.push(image.name.clone()),
                Some(before) => pairs.push(ImagePair { old: before, new: image }),
            }
        }
        let gone = old.images.iter().filter(|image| new.image(&image.name).is_none());
        changes.removed = gone.map(|image| image.name.clone()).collect();
        (changes, pairs)
    }

    /// As lines of text.
    pub fn text(&self) -> String {
        self.told(&Style { heading: "", item: "  ", code: "", package: "    " })
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        self.told(&Style { heading: "## ", item: "- ", code: "`", package: "  - " })
    }

    /// As JSON.
    pub fn json(&self) -> String {
        format!("{:#}\n", serde_json::json!(self))
    }

    fn told(&self, style: &Style) -> String {
        let mut text = String::new();
        let Style { heading, item, code, .. } = style;
        for (title, images) in [("New images", &self.added), ("Images that are gone", &self.removed)] {
            if !images.is_empty() {
                _ = writeln!(text, "{heading}{title}\n");
                images.iter().for_each(|image| _ = writeln!(text, "{item}{code}{image}{code}"));
                text.push('\n');
            }
        }
        if !self.changed.is_empty() {
            _ = writeln!(text, "{heading}Changed images\n");
            self.changed.iter().for_each(|image| image.tell(&mut text, style));
            text.push('\n');
        }
        _ = writeln!(text, "{} unchanged.", counted(self.unchanged.len(), "image"));
        text
    }
}

/// Signs of a way to write text.
struct Style {
    heading: &'static str,
    item: &'static str,
    code: &'static str,
    package: &'static str,
}

impl ImageChange {
    fn tell(&self, text: &mut String, style: &Style) {
        let Style { item, code, package, .. } = style;
        _ = writeln!(text, "{item}{code}{}{code} {code}{}{code}", self.name, self.to);
        for (platforms, change) in self.by_change() {
            let of = if self.platforms.len() > 1 { format!(" ({platforms})") } else { String::new() };
            match change {
                PlatformChange::Added => _ = writeln!(text, "{package}new for {platforms}"),
                PlatformChange::Removed => _ = writeln!(text, "{package}gone for {platforms}"),
                PlatformChange::Unknown(reason) => _ = writeln!(text, "{package}{reason}{of}"),
                PlatformChange::Packages(packages) if packages.is_empty() => {
                    _ = writeln!(text, "{package}no package has changed{of}");
                }
                PlatformChange::Packages(packages) => {
                    packages.iter().for_each(|it| _ = writeln!(text, "{package}{}{of}", told(it, code)));
                }
            }
        }
    }

    /// What is the same for several platforms, once, with all of their names.
    fn by_change(&self) -> Vec<(String, &PlatformChange)> {
        let mut by_change: Vec<(String, &PlatformChange)> = Vec::new();
        for (platform, change) in &self.platforms {
            match by_change.iter_mut().find(|(_, known)| *known == change) {
                Some((platforms, _)) => _ = write!(platforms, ", {platform}"),
                None => by_change.push((platform.clone(), change)),
            }
        }
        by_change
    }
}

fn told(change: &PackageChange, code: &str) -> String {
    let (from, to) = (change.from.join(", "), change.to.join(", "));
    let name = format!("{code}{}{code} ({})", change.name, change.kind);
    match change.change {
        ChangeKind::Added => format!("added {name} {to}"),
        ChangeKind::Removed => format!("removed {name} {from}"),
        ChangeKind::Upgraded => format!("upgraded {name} {from} to {to}"),
        ChangeKind::Downgraded => format!("downgraded {name} {from} to {to}"),
    }
}

/// The images of a pair for each platform on which they are not the same.
pub fn platforms<'a>(
    pair: &ImagePair<'a>,
) -> Vec<(String, Option<&'a ReleasedPlatform>, Option<&'a ReleasedPlatform>)> {
    let (old, new) = (&pair.old.platforms, &pair.new.platforms);
    let mut platforms: Vec<_> = old.keys().chain(new.keys()).collect();
    platforms.sort();
    platforms.dedup();
    let pairs = platforms.into_iter().map(|it| (it.to_string(), old.get(it), new.get(it)));
    pairs.filter(|(_, old, new)| old.map(|it| &it.digest) != new.map(|it| &it.digest)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> ReleaseChanges {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let package = |name: &str, change, from: &[&str], to: &[&str]| PackageChange {
            kind: "deb".to_string(),
            name: name.to_string(),
            change,
            from: from.iter().map(ToString::to_string).collect(),
            to: to.iter().map(ToString::to_string).collect(),
        };
        let packages = vec![
            package("debian/curl", ChangeKind::Upgraded, &["8.1"], &["8.2"]),
            package("debian/jq", ChangeKind::Added, &[], &["1.7"]),
        ];
        let change = |name: &str, platforms: &[(&str, PlatformChange)]| ImageChange {
            name: name.into(),
            from: digest("1"),
            to: digest("2"),
            platforms: platforms.iter().map(|(name, change)| (name.to_string(), change.clone())).collect(),
        };
        let same = PlatformChange::Packages(packages);
        ReleaseChanges {
            added: vec!["etcd".into()],
            removed: vec!["cron".into()],
            changed: vec![
                change("base", &[("linux/amd64", same.clone()), ("linux/arm64", same)]),
                change("nova", &[("linux/amd64", PlatformChange::Packages(Vec::new()))]),
                change("glance", &[("linux/arm64", PlatformChange::Unknown("it has no SBOM".to_string()))]),
            ],
            unchanged: vec!["keystone".into()],
        }
    }

    #[test]
    fn changes_are_told_to_people() {
        let digest = Digest::of(b"2").to_string();
        let told = changes().markdown().replace(&digest, "DIGEST");
        assert_eq!(
            told,
            "## New images\n\n- `etcd`\n\n## Images that are gone\n\n- `cron`\n\n## Changed images\n\n\
             - `base` `DIGEST`\n  - upgraded `debian/curl` (deb) 8.1 to 8.2 (linux/amd64, linux/arm64)\n  \
             - added `debian/jq` (deb) 1.7 (linux/amd64, linux/arm64)\n\
             - `nova` `DIGEST`\n  - no package has changed\n- `glance` `DIGEST`\n  - it has no SBOM\n\n\
             1 image unchanged.\n"
        );
        assert!(changes().text().contains("\n  nova sha256:"), "{}", changes().text());
    }

    #[test]
    fn changes_are_told_to_programs() {
        let json: serde_json::Value = serde_json::from_str(&changes().json()).expect("JSON");
        let base = &json["changed"][0]["platforms"]["linux/arm64"]["packages"];
        assert_eq!((&base[0]["change"], &base[0]["to"][0]), (&"upgraded".into(), &"8.2".into()));
    }
}
