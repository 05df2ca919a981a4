//! Which version of Kolla a package is of: by its metadata, or by the tags of the checkout that it is in [I/O].

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::place::{directories, name_of};
use crate::config::pbr::Version;
use crate::sources::tagged::tagged_version;
use crate::util::input;

/// The version of a package and where it is told, or why it can't be.
///
/// What a build leaves in a checkout (`kolla.egg-info`) counts only where no tags tell: it stays when the checkout goes on.
pub fn version(package: &Path, patience: Duration) -> Result<(Version, PathBuf), Vec<String>> {
    let Some(around) = package.parent() else { return Err(Vec::new()) };
    let installed = directories(around).filter(|path| name_of(path).starts_with("kolla-"));
    let installed = installed.flat_map(|path| [path.join("METADATA"), path.join("PKG-INFO")]);
    let mut reasons = Vec::new();
    let told = first_told(installed.chain([around.join("PKG-INFO")]), &mut reasons)
        .or_else(|| match tagged_version(around, patience) {
            Ok(version) => Some((version, around.to_path_buf())),
            Err(error) => {
                reasons.push(error.to_string());
                None
            }
        })
        .or_else(|| first_told([around.join("kolla.egg-info/PKG-INFO")], &mut reasons));
    told.ok_or_else(|| {
        reasons.push(format!("no PKG-INFO, dist-info or egg-info that tells it is in {}", around.display()));
        reasons
    })
}

/// The first version that metadata has, and where; what is no version of Kolla's is a reason not to know it.
fn first_told(
    metadata: impl IntoIterator<Item = PathBuf>,
    reasons: &mut Vec<String>,
) -> Option<(Version, PathBuf)> {
    metadata.into_iter().find_map(|path| {
        let stated = stated(&path)?;
        let version = Version::parse(&stated).filter(|version| version.major().is_some());
        if version.is_none() {
            reasons.push(format!("{} says {stated}, which is no version of Kolla", path.display()));
        }
        Some((version?, path))
    })
}

/// The version that a package's metadata states, when it is Kolla's.
fn stated(path: &Path) -> Option<String> {
    let text = input::read_to_string(path).ok()?;
    let headers = text.lines().take_while(|line| !line.is_empty());
    let field = |name: &str| headers.clone().find_map(|line| line.strip_prefix(name)).map(str::trim);
    field("Version:").filter(|_| field("Name:") == Some("kolla")).map(str::to_string)
}
