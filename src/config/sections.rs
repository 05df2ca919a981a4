//! Sections other than `[DEFAULT]`: users of the images, and sources.

use std::collections::{BTreeMap, BTreeSet};

use super::keys::SOURCE_KEYS;
use super::layer::{Entry, Layers, SetAt, ValueError, value_error};
use super::resolved::Config;
use super::source::{ImageSources, Source, SourceOrigin};
use super::source_section;
use crate::model::platform::Platform;
use crate::model::template_api::InstallType;

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

/// A number that a user or a group can have; the largest one stands for none.
fn id(layers: &Layers, section: &str, key: &str) -> Result<Option<i64>, ValueError> {
    let id = layers.integer(section, key)?;
    match (id, layers.entry(section, key)) {
        (Some(id), Some(entry)) if !(0..i64::from(u32::MAX)).contains(&id) => {
            Err(value_error(entry, format_args!("{id} is no id: from 0 to {}", u32::MAX - 1)))
        }
        _ => Ok(id),
    }
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
                    uid: id(self.layers(), section, "uid")?,
                    gid: id(self.layers(), section, "gid")?,
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
            return source_section::read(self.layers(), section);
        }
        let mut layers = self.layers().clone();
        let per_platform = [("base_arch", platform.arch.kolla()), ("debian_arch", platform.arch.debian())];
        layers.push(per_platform.map(|(key, text)| Entry::of_option(key, text, SetAt::Derived)));
        source_section::read(&layers, section)
    }

    /// True for a source that came with the program, where nothing of it was set elsewhere.
    pub fn is_shipped_source(&self, section: &str) -> bool {
        let of_section =
            |entry: &&Entry| entry.section == section && SOURCE_KEYS.contains(&entry.key.as_str());
        self.layers().entries().iter().filter(of_section).all(|entry| entry.place == SetAt::BuiltIn)
    }

    /// Makes sure that every source of these images that a user's files have to do with can be right.
    pub fn check_sources(&self, images: &[&str]) -> Result<(), ValueError> {
        let entries = self.layers().entries().iter();
        let of_files = entries.filter(|entry| matches!(entry.place, SetAt::File(..)));
        let sections: BTreeSet<&str> = of_files.map(|entry| entry.section.as_str()).collect();
        for section in sections.into_iter().filter(|section| is_source(section, images)) {
            for platform in &self.platforms {
                self.source(section, *platform)?;
            }
        }
        Ok(())
    }

    /// Makes sure that a local source is there.
    pub fn require_local(&self, source: &Source) -> Result<(), ValueError> {
        let SourceOrigin::Local(path) = &source.origin else { return Ok(()) };
        let why = match path.metadata() {
            Ok(found) if found.is_file() || found.is_dir() => return Ok(()),
            Ok(_) => "is neither a file nor a directory".to_string(),
            Err(error) => error.to_string(),
        };
        let reason =
            format!("{}: {why} (a relative location is also looked for in locals_base)", path.display());
        let section = &source.section;
        Err(match self.layers().entry(section, "location") {
            Some(entry) => value_error(entry, reason),
            None => {
                ValueError { place: SetAt::Derived, section: section.clone(), key: "location".into(), reason }
            }
        })
    }

    /// The sources of an image for one platform.
    pub fn sources(&self, image: &str, platform: Platform) -> Result<ImageSources, ValueError> {
        Ok(ImageSources {
            own: self.source(image, platform)?,
            plugins: self.extras(image, "plugin", platform)?,
            additions: self.extras(image, "additions", platform)?,
        })
    }

    /// Sources of an image's plugins, or of its additions, in order of their sections.
    fn extras(&self, image: &str, kind: &str, platform: Platform) -> Result<Vec<Source>, ValueError> {
        let prefix = format!("{image}-{kind}-");
        let sections = self.layers().sections_from(&prefix);
        sections.filter_map(|section| self.source(section, platform).transpose()).collect()
    }
}

/// `image`, `image-plugin-x` or `image-additions-x` of an image that exists.
pub fn is_source(section: &str, images: &[&str]) -> bool {
    images.iter().any(|image| {
        section.strip_prefix(image).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with("-plugin-") || rest.starts_with("-additions-")
        })
    })
}
