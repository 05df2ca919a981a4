//! Profiles: named lists of regexes, one YAML file each.

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use serde::Deserialize;

use super::keys::PROFILES;
use super::layer::{Entry, SetAt};

static EMBEDDED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/profiles");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    name: String,
    #[serde(rename = "description")]
    _description: String,
    images: Vec<String>,
}

/// A profile that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the profile {path}: {reason}")]
pub struct ProfileError {
    /// Path of the profile's file.
    pub path: PathBuf,
    /// Reason, with line and column when known.
    pub reason: String,
}

/// The profiles inside the program, as entries of a layer.
pub fn embedded() -> Result<Vec<Entry>, ProfileError> {
    EMBEDDED
        .files()
        .map(|file| {
            let text = file.contents_utf8().unwrap_or_default();
            parse(file.path(), text, SetAt::BuiltIn)
        })
        .collect()
}

fn parse(path: &Path, text: &str, place: SetAt) -> Result<Entry, ProfileError> {
    let profile: Profile = serde_yaml::from_str(text)
        .map_err(|error| ProfileError { path: path.to_path_buf(), reason: error.to_string() })?;
    Ok(Entry { section: PROFILES.to_string(), key: profile.name, text: profile.images.join(","), place })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_profiles_are_those_of_kolla_the_cloud_and_the_services() {
        let entries = embedded().expect("readable");
        let names: Vec<_> = entries.iter().map(|entry| entry.key.as_str()).collect();
        for name in ["aux", "cloud", "default", "infra", "main", "nova"] {
            assert!(names.contains(&name), "{name}");
        }
        for (file, name) in EMBEDDED.files().zip(names) {
            assert_eq!(file.path().file_stem().and_then(|stem| stem.to_str()), Some(name));
        }
        assert!(entries.iter().all(|entry| !entry.text.is_empty()));
    }

    #[test]
    fn a_misspelt_key_is_told_with_its_line() {
        let error = parse(Path::new("p.yaml"), "name: x\ndescription: y\nimage: [a]\n", SetAt::BuiltIn)
            .expect_err("unknown key");
        assert!(error.to_string().contains("image"), "{error}");
        assert!(error.to_string().contains("line 3"), "{error}");
    }
}
