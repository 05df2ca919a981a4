//! The mark by which a directory is known as a source cache of ours [I/O].
//!
//! What is in a cache is removed when nobody uses it, so no directory becomes one that holds anything else.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use crate::util::hex::is_hex;
use crate::util::input;
use crate::util::write::{UNFINISHED_PREFIX, write_whole};

/// The name and first line that backup programs know caches by (<https://bford.info/cachedir/>).
const NAME: &str = "CACHEDIR.TAG";
const SIGNATURE: &str = "Signature: 8a477f597d28d172789f06886806bc55";
/// Words of ours below the standard's.
const OURS: &str = "# A source cache of kolla-build: everything in this directory can be fetched again.";

/// Directories of caches without a mark, of releases before there was one.
const PARTS: [&str; 5] = ["objects", "partial", "locks", "unfinished", "in-use"];
/// Beginnings of the names of objects and their locks, and how many hexadecimal digits follow.
const KINDS: [(&str, usize); 5] =
    [("sha256-", 64), ("git-", 40), ("wheel-", 64), ("url-", 64), ("local-", 64)];

/// Makes a directory a source cache, unless it is one; it may be missing.
///
/// # Errors
/// What is in the way: something in the directory that is in no cache, or what the system said.
pub(super) fn mark(dir: &Path) -> Result<(), MarkError> {
    fs::create_dir_all(dir)?;
    let tag = dir.join(NAME);
    match input::read_to_string(&tag) {
        Ok(text) if text.lines().any(|line| line == OURS) => return Ok(()),
        Ok(_) => return Err(MarkError::Foreign(NAME.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    if let Some(name) = foreign(dir)? {
        return Err(MarkError::Foreign(name));
    }
    Ok(write_whole(&tag, format!("{SIGNATURE}\n{OURS}\n"))?)
}

/// Why a directory is no cache.
#[derive(Debug, thiserror::Error)]
pub(super) enum MarkError {
    /// The directory holds something else.
    #[error(
        "the directory is no source cache, for it holds {}: name one that is empty or not there yet, --source-cache DIR",
        .0.display()
    )]
    Foreign(OsString),
    /// The directory can't be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The name of something in a directory that is in no cache of ours.
fn foreign(dir: &Path) -> io::Result<Option<OsString>> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(part) = PARTS.into_iter().find(|part| name == *part) else {
            // Another run may be making the same directory its cache.
            if name.as_encoded_bytes().starts_with(UNFINISHED_PREFIX.as_bytes()) {
                continue;
            }
            return Ok(Some(name));
        };
        if entry.file_type()?.is_dir() != (part != "in-use") {
            return Ok(Some(name));
        }
        if part == "in-use" {
            continue;
        }
        for inside in fs::read_dir(entry.path())? {
            let inside = inside?.file_name();
            if !inside.to_str().is_some_and(is_key) {
                return Ok(Some(Path::new(part).join(inside).into_os_string()));
            }
        }
    }
    Ok(None)
}

/// True for a name that a file of a cache may have: a key, and what may follow it.
fn is_key(name: &str) -> bool {
    KINDS.iter().any(|(prefix, digits)| {
        let hash = name.strip_prefix(prefix).and_then(|rest| rest.get(..*digits));
        hash.is_some_and(is_hex)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dir_with(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    #[test]
    fn only_what_is_empty_or_a_cache_becomes_one() {
        let hash = "0123456789abcdef".repeat(4);
        let (object, lock) = (format!("objects/sha256-{hash}"), format!("locks/url-{hash}"));
        let begun = format!("unfinished/sha256-{hash}-0123456789abcdef");
        for names in [&[][..], &["in-use", &object, &lock, &begun], &[&object]] {
            let dir = dir_with(names);
            mark(dir.path()).unwrap();
            // What comes later is not looked at.
            fs::write(dir.path().join("note"), "").unwrap();
            mark(dir.path()).unwrap();
        }
        for names in [
            &["notes.txt"][..],
            &["objects/notes.txt"],
            &["partial/mine"],
            &["objects"],
            &["in-use/x"],
            &["in-use", &object, "src/main.rs"],
            &[NAME],
        ] {
            let dir = dir_with(names);
            let error = mark(dir.path()).unwrap_err();
            assert!(matches!(error, MarkError::Foreign(_)), "{names:?}: {error}");
            assert_eq!(dir.path().join(NAME).exists(), names.contains(&NAME));
        }
        let dir = tempfile::tempdir().unwrap();
        mark(&dir.path().join("new/cache")).unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(matches!(mark(&dir.path().join("file")), Err(MarkError::Io(_))));
    }

    proptest! {
        /// Names that people give to files are no keys.
        #[test]
        fn no_name_is_a_key_without_a_whole_hash(name in "[a-z0-9.-]{0,40}") {
            prop_assert!(!is_key(&name));
        }
    }
}
