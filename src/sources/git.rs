//! Sources from git: a reference resolved to its commit, and the commit checked out and packed.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use super::command::run;
use super::error::SourceProblem;
use crate::context::archive::ArchiveWriter;
use crate::context::entries::{self, EntryKind};
use crate::util::hex::is_commit;
use crate::util::write::write_whole;

/// Variables of the environment that tell git which repository to work on.
pub(super) const REPOSITORY_VARIABLES: [&str; 5] =
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"];

const MISSING: &str = "install git, which sources of type = git need";

/// Commit that a reference names at the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    /// The commit, in hex.
    pub commit: String,
    kind: ReferenceKind,
}

impl Resolved {
    /// A commit by its own id.
    pub fn commit(id: &str) -> Resolved {
        Resolved { commit: id.to_lowercase(), kind: ReferenceKind::Other }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReferenceKind {
    Tag,
    Branch,
    Other,
}

/// Asks the server what `reference` is. None when no ref has this name, so that it may be a short commit id.
pub(super) async fn resolve(
    url: &str,
    reference: &str,
    patience: Duration,
) -> Result<Option<Resolved>, SourceProblem> {
    if is_commit(reference) {
        return Ok(Some(Resolved::commit(reference)));
    }
    let (tag, branch) = (format!("refs/tags/{reference}"), format!("refs/heads/{reference}"));
    let peeled = format!("{tag}^{{}}");
    let mut command = remote_git(None, url);
    command.args(["ls-remote", "--", url, reference, &tag, &peeled, &branch]);
    let answer = run(&mut command, patience, MISSING).await?;
    let find = |name: &str| {
        let mut lines = answer.lines().filter_map(|line| line.split_once('\t'));
        lines.find(|(_, found)| *found == name).map(|(commit, _)| commit.to_string())
    };
    // As `git checkout` has it: a full name, a tag, a branch. A tag with a message is an object of its own, and
    // what it stands for is the peeled one.
    let candidates = [
        (reference, ReferenceKind::Other),
        (&peeled, ReferenceKind::Tag),
        (&tag, ReferenceKind::Tag),
        (&branch, ReferenceKind::Branch),
    ];
    Ok(candidates.into_iter().find_map(|(name, kind)| find(name).map(|commit| Resolved { commit, kind })))
}

/// Checks the reference out into the new directory `dir` and gives the commit. Its repository has no remote and
/// nothing that depends on this machine or the time.
pub(super) async fn check_out(
    url: &str,
    reference: &str,
    resolved: Option<&Resolved>,
    dir: &Path,
    patience: Duration,
) -> Result<String, SourceProblem> {
    let mut fetched = Err(SourceProblem::Command(String::new()));
    if let Some(resolved) = resolved {
        fetched = fetch(url, dir, &little(reference, resolved), patience).await;
        if matches!(
            fetched,
            Err(SourceProblem::Connection(_) | SourceProblem::Stalled(_) | SourceProblem::Configuration(_))
        ) {
            return fetched.map(|()| String::new());
        }
    }
    if fetched.is_err() {
        // A server that gives no part of its history, or a commit that no ref names.
        if dir.exists() {
            fs::remove_dir_all(dir).map_err(SourceProblem::local(dir))?;
        }
        let everything = ["--tags", "origin", "+refs/heads/*:refs/remotes/origin/*"].map(String::from);
        fetch(url, dir, &everything, patience).await?;
    }
    let commit = find_commit(dir, reference, resolved, patience).await?;
    let mut command = git(Some(dir));
    command.args(["checkout", "--quiet", "--force", "--detach", &commit]);
    run(&mut command, patience, MISSING).await?;
    strip(dir, patience).await?;
    Ok(commit)
}

/// References to fetch, so that little is. Of a tag its commit alone. Of a branch or commit all history, but only the
/// commits themselves: Python's pbr counts them and looks for tags among them to know the version.
fn little(reference: &str, resolved: &Resolved) -> Vec<String> {
    let commits_only = ["--filter=tree:0", "origin"].map(String::from);
    match resolved.kind {
        ReferenceKind::Tag => {
            vec!["--depth=1".into(), "origin".into(), format!("+refs/tags/{reference}:refs/tags/{reference}")]
        }
        ReferenceKind::Branch => commits_only
            .into_iter()
            .chain([format!("+refs/heads/{reference}:refs/remotes/origin/fetched")])
            .collect(),
        ReferenceKind::Other => commits_only
            .into_iter()
            .chain([format!("+{}:refs/remotes/origin/fetched", resolved.commit)])
            .collect(),
    }
}

async fn fetch(url: &str, dir: &Path, what: &[String], patience: Duration) -> Result<(), SourceProblem> {
    let mut init = git(None);
    init.args(["init", "--quiet", "--template="]).arg(dir);
    run(&mut init, patience, MISSING).await?;
    let mut remote = git(Some(dir));
    remote.args(["config", "remote.origin.url", url]);
    run(&mut remote, patience, MISSING).await?;
    let mut fetch = remote_git(Some(dir), url);
    // With progress, so that its silence means something.
    fetch.args(["fetch", "--progress", "--no-write-fetch-head"]).args(what);
    run(&mut fetch, patience, MISSING).await.map(drop)
}

async fn find_commit(
    dir: &Path,
    reference: &str,
    resolved: Option<&Resolved>,
    patience: Duration,
) -> Result<String, SourceProblem> {
    let names = match resolved {
        Some(resolved) => vec![resolved.commit.clone()],
        None => vec![reference.to_string(), format!("refs/remotes/origin/{reference}")],
    };
    for name in &names {
        let mut command = git(Some(dir));
        command
            .args(["rev-parse", "--quiet", "--verify", "--end-of-options"])
            .arg(format!("{name}^{{commit}}"));
        if let Ok(commit) = run(&mut command, patience, MISSING).await {
            return Ok(commit.trim().to_string());
        }
    }
    Err(SourceProblem::Command(format!("the repository has no branch, tag or commit '{}'", names[0])))
}

/// Removes from the repository what says where it came from, when, or on which machine it was made.
async fn strip(dir: &Path, patience: Duration) -> Result<(), SourceProblem> {
    let mut references = git(Some(dir));
    references.args(["for-each-ref", "--format=delete %(refname)", "refs/remotes"]);
    let deletions = run(&mut references, patience, MISSING).await?;
    for reference in deletions.lines().filter_map(|line| line.strip_prefix("delete ")) {
        let mut delete = git(Some(dir));
        delete.args(["update-ref", "-d", reference]);
        run(&mut delete, patience, MISSING).await?;
    }
    let repository = dir.join(".git");
    let plain = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n";
    write_whole(&repository.join("config"), plain).map_err(SourceProblem::local(&repository))?;
    for name in ["logs", "refs/remotes"] {
        match fs::remove_dir_all(repository.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(SourceProblem::local(&repository)(error));
            }
            _ => {}
        }
    }
    // An index anew knows no times and inodes of the files.
    let index = repository.join("index");
    fs::remove_file(&index).map_err(SourceProblem::local(&index))?;
    let mut read_tree = git(Some(dir));
    read_tree.args(["read-tree", "HEAD"]);
    run(&mut read_tree, patience, MISSING).await.map(drop)
}

/// Packs a checkout under `top`. Of the modes only the executable bit is git's, the rest this process's umask.
pub(super) fn pack(dir: &Path, top: &str, out: &Path) -> io::Result<()> {
    let mut archive = ArchiveWriter::new(BufWriter::new(File::create_new(out)?));
    archive.append_directory(Path::new(top), 0o755)?;
    for entry in entries::walk(dir) {
        let mut entry = entry?;
        entry.name = Path::new(top).join(entry.name);
        entry.mode = match entry.kind {
            EntryKind::File(_) if entry.mode & 0o100 == 0 => 0o644,
            EntryKind::File(_) | EntryKind::Directory => 0o755,
            EntryKind::Link(_) => 0o777,
        };
        archive.append(&entry)?;
    }
    archive.finish()
}

/// A git that goes to a server: from https no redirect leads it to http.
fn remote_git(dir: Option<&Path>, url: &str) -> Command {
    let mut command = git(dir);
    if url.starts_with("https://") {
        command.args(["-c", "protocol.http.allow=user"]);
    }
    command
}

/// A git that asks nothing, runs no hooks and leaves line ends alone. What a user has set up for all repositories,
/// such as certificates, credentials and rewritten URLs, holds.
fn git(dir: Option<&Path>) -> Command {
    let mut command = Command::new("git");
    // A repository that this process was started in must not be the one that is worked on.
    for variable in REPOSITORY_VARIABLES {
        command.env_remove(variable);
    }
    command.env("GIT_TERMINAL_PROMPT", "0");
    if let Some(dir) = dir {
        command.arg("-C").arg(dir);
    }
    for setting in [
        // GIT_SSH_COMMAND goes before it.
        "core.sshCommand=ssh -oBatchMode=yes",
        "core.hooksPath=/dev/null",
        "core.autocrlf=false",
        "core.fsmonitor=false",
        "core.logAllRefUpdates=false",
        "gc.auto=0",
        "maintenance.auto=false",
    ] {
        command.args(["-c", setting]);
    }
    command
}
