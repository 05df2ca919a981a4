//! Which version of Kolla a package is of: by its metadata, or by the tags of the checkout that it is in [I/O].

use std::path::{Path, PathBuf};

use super::place::{directories, name_of};
use crate::config::pbr::Version;
use crate::context::tagged::tagged_version;
use crate::util::input;

/// The version of a package and where it is told, or why it can't be.
pub fn version(package: &Path) -> Result<(Version, PathBuf), Vec<String>> {
    let Some(around) = package.parent() else { return Err(Vec::new()) };
    let mut reasons = Vec::new();
    match metadata(around) {
        Some((text, path)) => match Version::parse(&text).filter(|version| version.major().is_some()) {
            Some(version) => return Ok((version, path)),
            None => reasons.push(format!("{} says {text}, which is no version of Kolla", path.display())),
        },
        None => reasons.push(format!("no PKG-INFO, dist-info or egg-info of it is in {}", around.display())),
    }
    match tagged_version(around) {
        Ok(version) => Ok((version, around.to_path_buf())),
        Err(error) => {
            reasons.push(error.to_string());
            Err(reasons)
        }
    }
}

/// The version that the metadata of a package has, and where.
fn metadata(around: &Path) -> Option<(String, PathBuf)> {
    let metadata = directories(around)
        .filter(|path| name_of(path).starts_with("kolla-") || name_of(path) == "kolla.egg-info")
        .flat_map(|path| [path.join("METADATA"), path.join("PKG-INFO")])
        .chain([around.join("PKG-INFO")]);
    metadata.into_iter().find_map(|path| {
        let text = input::read_to_string(&path).ok()?;
        let headers = text.lines().take_while(|line| !line.is_empty());
        let field = |name: &str| headers.clone().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let version = field("Version:").filter(|_| field("Name:") == Some("kolla"))?.to_string();
        Some((version, path))
    })
}
