//! Digests of what a directory holds: equal exactly when the archives of it are.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::entries::{self, EntryKind, TreeEntry};
use crate::util::hex::hex;
use crate::util::input::with_path;
use crate::util::{input, names};

/// Digests of the entries of a directory tree: name below the root, as [`names::text`] has it, to the lower-case hex
/// sha256 of type, mode and content or link target.
pub type EntryDigests = BTreeMap<String, String>;

/// Digests everything in `dir` that a build context made of it would hold, but for the names in `exclude` and what
/// is below them.
pub fn digest_entries(dir: &Path, exclude: &[&Path]) -> io::Result<EntryDigests> {
    let mut found = entries::walk_context(dir)?.collect::<io::Result<Vec<TreeEntry>>>()?;
    found.retain(|entry| !exclude.iter().any(|name| entry.name.starts_with(name)));
    let digests = found.par_iter().map(digest_entry).collect::<io::Result<Vec<_>>>()?;
    Ok(found
        .iter()
        .map(|entry| names::text(&entry.name))
        .zip(digests.iter().map(|digest| hex(digest)))
        .collect())
}

fn digest_entry(entry: &TreeEntry) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut start = |kind: u8, size: u64| {
        hasher.update([kind]);
        hasher.update(entry.mode.to_le_bytes());
        hasher.update(size.to_le_bytes());
    };
    match &entry.kind {
        EntryKind::Directory => start(b'd', 0),
        EntryKind::Link(target) => {
            let target = target.as_os_str().as_bytes();
            start(b'l', target.len() as u64);
            hasher.update(target);
        }
        EntryKind::File(size) => {
            start(b'f', *size);
            input::open(&entry.path)
                .and_then(|mut file| io::copy(&mut file, &mut HashWriter(&mut hasher)))
                .map_err(|error| with_path(&entry.path, error))?;
        }
    }
    Ok(hasher.finalize().into())
}

/// Lets a hasher be written to.
pub(crate) struct HashWriter<'a>(pub &'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        for (name, content) in [("Dockerfile", "FROM x"), ("sub/a", "a"), ("archive", "big")] {
            fs::write(dir.path().join(name), content).unwrap();
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o644)).unwrap();
        }
        symlink("sub/a", dir.path().join("link")).unwrap();
        dir
    }

    fn digest(dir: &Path) -> EntryDigests {
        digest_entries(dir, &[Path::new("archive")]).unwrap()
    }

    /// The first name, in order, whose entry is not the same in both.
    fn first_difference<'a>(one: &'a EntryDigests, other: &'a EntryDigests) -> Option<&'a str> {
        let names = one.keys().chain(other.keys());
        names.filter(|name| one.get(*name) != other.get(*name)).min().map(String::as_str)
    }

    #[test]
    fn equal_trees_have_equal_digests_and_what_is_excluded_does_not_count() {
        let (one, two) = (tree(), tree());
        fs::write(two.path().join("archive"), "other").unwrap();
        assert_eq!(digest(one.path()), digest(two.path()));
        assert_eq!(first_difference(&digest(one.path()), &digest(two.path())), None);
        let names: Vec<_> = digest(one.path()).into_keys().collect();
        assert_eq!(names, ["Dockerfile", "link", "sub", "sub/a"]);
    }

    #[test]
    fn every_change_counts_and_is_named() {
        let reference = digest(tree().path());
        type Change = (&'static str, fn(&Path));
        let changes: [Change; 6] = [
            ("sub/a", |root| fs::write(root.join("sub/a"), "b").unwrap()),
            ("sub/a", |root| {
                fs::set_permissions(root.join("sub/a"), fs::Permissions::from_mode(0o755)).unwrap();
            }),
            ("sub/a", |root| fs::remove_file(root.join("sub/a")).unwrap()),
            ("new", |root| fs::write(root.join("new"), "").unwrap()),
            ("link", |root| {
                fs::remove_file(root.join("link")).unwrap();
                symlink("sub/b", root.join("link")).unwrap();
            }),
            ("link", |root| {
                fs::remove_file(root.join("link")).unwrap();
                fs::write(root.join("link"), "sub/a").unwrap();
            }),
        ];
        for (name, change) in changes {
            let tree = tree();
            change(tree.path());
            let changed = digest(tree.path());
            assert_ne!(changed, reference, "{name}");
            assert_eq!(first_difference(&changed, &reference), Some(name));
            assert_eq!(first_difference(&reference, &changed), Some(name));
        }
    }

    #[test]
    fn what_an_archive_leaves_out_does_not_count() {
        let tree = tree();
        fs::write(tree.path().join(".dockerignore"), "*.log\n").unwrap();
        let before = digest(tree.path());
        fs::write(tree.path().join("a.log"), "x").unwrap();
        assert_eq!(digest(tree.path()), before);
    }
}
