//! Files as they were at a revision of the git checkouts that they are in.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::git::REPOSITORY_VARIABLES;
use crate::util::process;
use crate::util::scratch::{self, Scratch};

/// git has everything at hand here, and is still not as quick as a server has to be.
const LEAST_PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that git may print: the messages of all commits.
const LONGEST_OUTPUT: usize = 1 << 30;

/// A revision that can't be looked at.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// A path that git knows nothing of.
    #[error("{path} is not in a git checkout, so what it was at {revision} can't be told")]
    NoCheckout {
        /// The file or directory.
        path: PathBuf,
        /// Name of the revision.
        revision: String,
    },
    /// A name that the repository does not have.
    #[error(
        "the git repository {repository} has no revision '{revision}' (a shallow clone has only its last commits)"
    )]
    Unknown {
        /// Where it is checked out.
        repository: PathBuf,
        /// Name that was given.
        revision: String,
    },
    /// git did something else than it was asked.
    #[error("git failed in {directory}: {said}")]
    Git {
        /// Where it was run.
        directory: PathBuf,
        /// Words of git itself.
        said: String,
    },
    /// Something on this machine.
    #[error("{path}: {source}")]
    Io {
        /// Path of what was read or written.
        path: PathBuf,
        /// Error that the system gave.
        source: io::Error,
    },
}

/// A revision, of every checkout that is asked about.
#[derive(Debug)]
pub struct Revision {
    name: String,
    /// How long git may say nothing.
    patience: Duration,
    copies: Scratch,
    /// By the checkout's directory, where its files as they were are.
    checkouts: BTreeMap<PathBuf, PathBuf>,
}

impl Revision {
    /// The revision of this name; what is copied of it goes with this value.
    pub fn new(name: &str, patience: Duration) -> Result<Revision, RevisionError> {
        let copies = Scratch::new("revision")
            .map_err(|source| RevisionError::Io { path: scratch::parent(), source })?;
        Ok(Revision { name: name.to_string(), patience, copies, checkouts: BTreeMap::new() })
    }

    /// Where a copy of a file or directory is as it was; there is none when it did not exist then.
    pub fn copy_of(&mut self, path: &Path) -> Result<Option<PathBuf>, RevisionError> {
        let unreadable = |source| RevisionError::Io { path: path.to_path_buf(), source };
        let real = path.canonicalize().map_err(unreadable)?;
        let directory = if real.is_dir() { &real } else { real.parent().unwrap_or(&real) };
        let top = match run(git(directory).args(["rev-parse", "--show-toplevel"]), directory, self.patience) {
            Ok(top) => PathBuf::from(top).canonicalize().map_err(unreadable)?,
            Err(RevisionError::Git { said, .. }) if said.contains("not a git repository") => {
                let (path, revision) = (path.to_path_buf(), self.name.clone());
                return Err(RevisionError::NoCheckout { path, revision });
            }
            Err(error) => return Err(error),
        };
        let copies = match self.checkouts.get(&top) {
            Some(copies) => copies.clone(),
            None => self.check_out(&top)?,
        };
        let copy = copies.join(real.strip_prefix(&top).unwrap_or(Path::new("")));
        Ok(copy.exists().then_some(copy))
    }

    /// Copies everything that the repository held. An index of our own and no `git archive`, which leaves out what
    /// attributes tell it to.
    fn check_out(&mut self, top: &Path) -> Result<PathBuf, RevisionError> {
        let mut tree = git(top);
        tree.args(["rev-parse", "--quiet", "--verify", "--end-of-options"])
            .arg(format!("{}^{{tree}}", self.name));
        let unknown =
            |_| RevisionError::Unknown { repository: top.to_path_buf(), revision: self.name.clone() };
        let tree = run(&mut tree, top, self.patience).map_err(unknown)?;
        let number = self.checkouts.len();
        let index = self.copies.path().join(format!("{number}.index"));
        // A directory more, so that what is looked for beside a tree is not looked for among the copies.
        let copies = self.copies.path().join(number.to_string()).join("checkout");
        run(git(top).env("GIT_INDEX_FILE", &index).args(["read-tree", &tree]), top, self.patience)?;
        let prefix = format!("--prefix={}/", copies.display());
        run(
            git(top).env("GIT_INDEX_FILE", &index).args(["checkout-index", "--all", &prefix]),
            top,
            self.patience,
        )?;
        self.checkouts.insert(top.to_path_buf(), copies.clone());
        Ok(copies)
    }
}

/// A git whose words we know.
pub(super) fn git(directory: &Path) -> Command {
    let mut command = Command::new("git");
    for variable in REPOSITORY_VARIABLES {
        command.env_remove(variable);
    }
    command.env("LC_ALL", "C").arg("-C").arg(directory);
    command
}

/// Runs it and gives what it prints.
pub(super) fn run(
    command: &mut Command,
    directory: &Path,
    patience: Duration,
) -> Result<String, RevisionError> {
    let failed = |said: String| RevisionError::Git { directory: directory.to_path_buf(), said };
    let ended = process::run_alone(command, patience.max(LEAST_PATIENCE), LONGEST_OUTPUT)
        .map_err(|error| failed(error.to_string()))?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.output).trim_end().to_string());
    }
    Err(failed(String::from_utf8_lossy(&ended.errors).trim().to_string()))
}
