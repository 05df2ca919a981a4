//! Where a path leads, and what that place lies in [I/O].

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::places::{Identity, Location};

/// Links that lead to links: more of them go in a circle, as the system sees it too.
const MOST_LINKS: usize = 40;

/// Finds out where a path leads, be it there already or not.
///
/// # Errors
/// Its links go in a circle, or the current directory is gone.
pub fn locate(path: &Path) -> io::Result<Location> {
    let (real, missing) = match fs::metadata(path) {
        // Of /dev/stdout and the like no path tells where they lead.
        Ok(found) if fs::canonicalize(path).is_err() => return Ok(Location::new(vec![identity(&found)])),
        _ => resolve(path)?,
    };
    let above: Vec<Identity> =
        real.ancestors().filter_map(|part| part.metadata().ok()).map(|found| identity(&found)).collect();
    let mut lineage = Vec::new();
    if let Some(deepest) = above.first() {
        let below = missing.ancestors().filter(|part| !part.as_os_str().is_empty());
        lineage.extend(below.map(|part| Identity { missing: part.to_path_buf(), ..deepest.clone() }));
    }
    lineage.extend(above);
    Ok(Location::new(lineage))
}

/// The full name of what a path leads to, be it there already or not.
pub fn full_name(path: &Path) -> io::Result<PathBuf> {
    let (real, missing) = resolve(path)?;
    Ok(if missing.as_os_str().is_empty() { real } else { real.join(missing) })
}

/// The part of a path that exists, without links, and what is missing below it. What a link to nothing leads to is
/// missing.
pub(super) fn resolve(path: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let mut path = std::path::absolute(path)?;
    for _ in 0..MOST_LINKS {
        let found = path.ancestors().find(|part| part.symlink_metadata().is_ok());
        let found = found.unwrap_or(Path::new("/")).to_path_buf();
        let missing = path.strip_prefix(&found).unwrap_or(Path::new("")).to_path_buf();
        match fs::canonicalize(&found) {
            Ok(real) => return Ok((real, missing)),
            Err(error) => {
                let target = fs::read_link(&found).map_err(|_| error)?;
                path = found.parent().unwrap_or(Path::new("/")).join(target).join(missing);
            }
        }
    }
    Err(io::Error::other("its links go in a circle"))
}

fn identity(found: &Metadata) -> Identity {
    Identity { device: found.dev(), inode: found.ino(), missing: PathBuf::new() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_to_the_place_itself_and_missing_parts_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("docker")).unwrap();
        fs::write(path("docker/file"), "").unwrap();
        symlink("docker", path("link")).unwrap();
        symlink("docker/new", path("dangling")).unwrap();
        let at = |name: &str| locate(&path(name)).unwrap();
        assert!(at("link/file").is(&at("docker/file")));
        assert!(at("docker/./file").is_in(&at("link")));
        assert!(at("dangling/x").is(&at("docker/new/x")) && at("dangling/x").is_in(&at("docker")));
        assert!(at("docker/new/x").is_in(&at("docker/new")) && !at("docker/new").is_in(&at("docker/new/x")));
        assert!(!at("docker/other").is(&at("docker/new")) && !at("new").is(&at("docker/new")));
        symlink("b", path("a")).unwrap();
        symlink("a", path("b")).unwrap();
        assert!(locate(&path("a/x")).is_err());
    }
}
