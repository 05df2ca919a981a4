//! The version that the tags of a git checkout give it, as pbr works it out [I/O].

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::revision::{RevisionError, git, run};
use crate::config::pbr::{Version, last_tagged};

/// Why tags don't tell a version.
#[derive(Debug, thiserror::Error)]
pub enum UntoldError {
    /// No git knows of it.
    #[error("it is no git checkout")]
    NoCheckout,
    /// The tags are those of something else.
    #[error("it is in a git checkout of something else, {0}")]
    Elsewhere(PathBuf),
    /// No commit is tagged with a version.
    #[error(
        "its git history has no version's tag: it is a shallow clone, or a fork without tags (`git fetch --tags \
         --unshallow` from where it comes from brings them)"
    )]
    NoTag,
    /// git could not be asked.
    #[error(transparent)]
    Git(#[from] RevisionError),
}

/// The version of what is checked out. git may say nothing for as long as `patience`.
pub fn tagged_version(checkout: &Path, patience: Duration) -> Result<Version, UntoldError> {
    let top = match run(git(checkout).args(["rev-parse", "--show-toplevel"]), checkout, patience) {
        Err(RevisionError::Git { said, .. }) if said.contains("not a git repository") => {
            return Err(UntoldError::NoCheckout);
        }
        top => PathBuf::from(top?),
    };
    let is_same =
        |a: &Path, b: &Path| a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b);
    if !is_same(&top, checkout) {
        return Err(UntoldError::Elsewhere(top));
    }
    let log = |arguments: &[&str]| {
        let mut command = git(checkout);
        command.args(["-c", "log.showSignature=false", "log"]).args(arguments);
        run(&mut command, checkout, patience)
    };
    let refs = log(&["--decorate=full", "--decorate-refs=refs/tags/*", "--format=%D"])?;
    let (version, tag, distance) = last_tagged(refs.lines()).ok_or(UntoldError::NoTag)?;
    if distance == 0 {
        return Ok(version);
    }
    Ok(version.next(&log(&["--format=%B", &format!("refs/tags/{tag}..HEAD"), "--"])?))
}
