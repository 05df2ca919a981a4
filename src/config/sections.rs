//! What sections other than `[DEFAULT]` describe: users of the images, and sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::layer::{DEFAULT, Entry, Layers, Place, ValueError, value_error};
use super::nearest;
use super::resolved::Config;
use super::source::{Origin, Source};
use crate::platform::Platform;
use crate::template_api::InstallType;

/// A user of the images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Numeric id, when one is set.
    pub uid: Option<i64>,
    /// Numeric id of its group, when one is set.
    pub gid: Option<i64>,
    /// Name of its group.
    pub group: String,
}

impl Config {
    /// The users that images make, by name.
    pub fn users(&self) -> Result<BTreeMap<String, User>, ValueError> {
        let mut users = BTreeMap::new();
        for section in self.layers().sections() {
            let Some(name) = section.strip_suffix("-user") else { continue };
            users.insert(
                name.to_string(),
                User {
                    uid: self.layers().integer(section, "uid")?,
                    gid: self.layers().integer(section, "gid")?,
                    group: self.layers().text(section, "group")?.unwrap_or_else(|| name.to_string()),
                },
            );
        }
        Ok(users)
    }

    /// The source that a section describes, for one platform; none when it has none or is not enabled.
    pub fn source(&self, section: &str, platform: Platform) -> Result<Option<Source>, ValueError> {
        if self.install_type.is_some_and(|install_type| install_type != InstallType::Source) {
            return Ok(None);
        }
        // Most images have none, and there may be many images.
        if !self.has_several_platforms() || self.layers().entry(section, "type").is_none() {
            return source(self.layers(), section);
        }
        let mut layers = self.layers().clone();
        let per_platform = [("base_arch", platform.arch.kolla()), ("debian_arch", platform.arch.debian())];
        layers.push(per_platform.map(|(key, text)| Entry {
            section: DEFAULT.to_string(),
            key: key.to_string(),
            text: text.to_string(),
            place: Place::Derived,
        }));
        source(&layers, section)
    }

    /// Sections of an image's plugins, or of its additions, in order of their names.
    pub fn extra_sections(&self, image: &str, kind: &str) -> Vec<String> {
        let prefix = format!("{image}-{kind}-");
        let sections = self.layers().entries().iter().map(|entry| entry.section.as_str());
        let found: BTreeSet<&str> =
            sections.filter(|section| section.len() > prefix.len() && section.starts_with(&prefix)).collect();
        found.into_iter().map(str::to_string).collect()
    }
}

fn source(layers: &Layers, section: &str) -> Result<Option<Source>, ValueError> {
    let Some(type_entry) = layers.entry(section, "type") else { return Ok(None) };
    if !layers.flag_in(section, "enabled")?.unwrap_or(true) {
        return Ok(None);
    }
    let required = |key: &str| {
        layers.text(section, key)?.filter(|text| !text.is_empty()).ok_or_else(|| {
            value_error(type_entry, format!("a source of type '{}' needs '{key}'", type_entry.text))
        })
    };
    let origin = match layers.text(section, "type")?.unwrap_or_default().as_str() {
        "url" => Origin::Url(required("location")?),
        "git" => Origin::Git { url: required("location")?, reference: required("reference")?, commit: None },
        "local" => {
            let base = layers.option("locals_base")?.unwrap_or_default();
            // Kolla leaves it to the location to name $locals_base; joining keeps absolute paths as they are.
            let location = PathBuf::from(required("location")?);
            let relative = location.is_relative() && !location.exists();
            Origin::Local(if relative { PathBuf::from(base).join(location) } else { location })
        }
        "pypi" => Origin::Pypi { package: required("name")?, version: required("version")? },
        other => {
            let known = ["url", "git", "local", "pypi"];
            let hint = nearest::hint(other, known);
            return Err(value_error(
                type_entry,
                format!("unknown source type '{other}'{hint} (known: {})", known.join(", ")),
            ));
        }
    };
    Ok(Some(Source { section: section.to_string(), origin, sha256: sha256(layers, section)? }))
}

/// The checksum for the architecture: one for all, or one of `amd64:...,arm64:...`.
fn sha256(layers: &Layers, section: &str) -> Result<Option<String>, ValueError> {
    let Some(text) = layers.text(section, "sha256")?.filter(|text| !text.is_empty()) else { return Ok(None) };
    if !text.contains(':') {
        return Ok(Some(text.to_ascii_lowercase()));
    }
    let arch = layers.option("debian_arch")?.unwrap_or_default();
    let sums = layers.dict(section, "sha256")?;
    Ok(sums.into_iter().find(|(key, _)| *key == arch).map(|(_, sum)| sum.to_ascii_lowercase()))
}
