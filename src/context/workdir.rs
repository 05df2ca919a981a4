//! The directory that a run renders into, kept or temporary.

mod content;
mod error;
mod fill;
mod lock;
mod others;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use self::content::FileContent;
pub use self::error::WorkDirError;
pub(crate) use self::fill::epoch;
pub use self::fill::{ContextFile, write_tree};
pub use self::lock::lock_in;
use self::lock::{AMONG_OTHERS, identity, is_record, lock, write_record};
use self::others::{refuse_foreign, remove_others, remove_unfinished};
use crate::util::scratch::{self, Scratch};

/// Name of the tree of images in a working directory.
const TREE: &str = "docker";

/// The tree of images in a working directory.
pub fn tree_in(dir: &Path) -> PathBuf {
    dir.join(TREE)
}

/// The name of a temporary working directory, as Kolla's have it.
fn name_of_now() -> String {
    jiff::Zoned::now().strftime("%Y-%m-%d_%H-%M-%S").to_string()
}

/// Whose tree it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// A run has made it, so that whatever is in it may go.
    Us,
    /// A run has written there, and the tree was moved or made anew since.
    OnceUs,
    /// No run has left a word about it.
    Unknown,
}

/// A directory to render into. A temporary one is removed when this is dropped.
#[derive(Debug)]
pub struct WorkDir {
    tree: PathBuf,
    owner: Owner,
    hold: Hold,
}

/// Hold on the directory, which is ours until this is dropped.
#[derive(Debug)]
enum Hold {
    /// The open lock file of one that stays.
    Lock(File),
    /// A directory that goes.
    Temporary { _directory: Scratch },
    /// One that goes unless it is left.
    Unclaimed(tempfile::TempDir),
}

impl WorkDir {
    /// Uses `dir`, which stays, for this run alone.
    pub fn keep(dir: &Path) -> Result<WorkDir, WorkDirError> {
        fs::create_dir_all(dir).map_err(WorkDirError::at(dir))?;
        let tree = tree_in(dir);
        if tree.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
            return Err(WorkDirError::in_the_way(&tree, "is no directory"));
        }
        let mut lock = lock(dir)?;
        let lock_path = lock_in(dir);
        let mut record = String::new();
        lock.read_to_string(&mut record).map_err(WorkDirError::at(&lock_path))?;
        if !is_record(&record) {
            return Err(WorkDirError::in_the_way(&lock_path, "is no lock file of ours"));
        }
        let made_now = match fs::create_dir(&tree) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(WorkDirError::at(&tree)(error)),
        };
        let found = tree.symlink_metadata().map_err(WorkDirError::at(&tree))?;
        let (identity, known) = (identity(&found), record.lines().nth(1).unwrap_or_default());
        let owner = match known {
            _ if made_now => Owner::Us,
            known if known == identity => Owner::Us,
            "" => Owner::Unknown,
            _ => Owner::OnceUs,
        };
        let known = if owner == Owner::Us { &identity } else { known };
        write_record(&lock, known).map_err(WorkDirError::at(&lock_path))?;
        Ok(WorkDir { tree, owner, hold: Hold::Lock(lock) })
    }

    /// Makes a directory that only this user can read and that does not outlive this value; removes those that killed
    /// runs have left.
    pub fn temporary() -> Result<WorkDir, WorkDirError> {
        let dir = Scratch::new(&name_of_now()).map_err(WorkDirError::at(&scratch::parent()))?;
        WorkDir::made(tree_in(dir.path()), Hold::Temporary { _directory: dir })
    }

    /// The same for one that is to [stay](WorkDir::leave), so that no later run takes it for a killed one's.
    pub fn to_leave() -> Result<WorkDir, WorkDirError> {
        let dir = scratch::private(&name_of_now()).map_err(WorkDirError::at(&scratch::parent()))?;
        WorkDir::made(tree_in(dir.path()), Hold::Unclaimed(dir))
    }

    /// Leaves it to the user; gives its tree.
    pub fn leave(self) -> PathBuf {
        if let Hold::Unclaimed(dir) = self.hold {
            let _ = dir.keep();
        }
        self.tree
    }

    fn made(tree: PathBuf, hold: Hold) -> Result<WorkDir, WorkDirError> {
        fs::create_dir(&tree).map_err(WorkDirError::at(&tree))?;
        Ok(WorkDir { tree, owner: Owner::Us, hold })
    }

    /// The directory that holds the images' directories.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// Writes everything that the run renders, as [`write_tree`] does, in one call: what an earlier run left in the
    /// tree beside it is removed. A tree that something else made is only written over, for it may hold what we do
    /// not know, and only where it has what a run writes.
    pub fn fill(&self, files: &[ContextFile]) -> Result<(), WorkDirError> {
        if self.owner == Owner::Us {
            remove_others(&self.tree, files)?;
        } else {
            refuse_foreign(&self.tree, files, self.owner == Owner::OnceUs)?;
            remove_unfinished(&self.tree)?;
            // What it holds from now on is known by the next run.
            if let Hold::Lock(lock) = &self.hold {
                write_record(lock, AMONG_OTHERS).map_err(WorkDirError::at(&self.tree))?;
            }
        }
        write_tree(&self.tree, files)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn file(name: &str, mode: u32, content: &str) -> ContextFile {
        let content = FileContent::Bytes(content.as_bytes().to_vec().into());
        ContextFile { name: name.into(), mode, content }
    }

    #[test]
    fn files_come_with_their_directories_modes_and_no_time() {
        let dir = tempfile::tempdir().unwrap();
        let original = dir.path().join("original");
        fs::write(&original, "copied").unwrap();
        let root = dir.path().join("tree");
        let copied =
            ContextFile { name: "a/b/copy".into(), mode: 0o755, content: FileContent::File(original) };
        write_tree(&root, &[file("a/Dockerfile", 0o644, "FROM x"), copied, file("top", 0o440, "")]).unwrap();

        for (name, mode, content) in
            [("a/Dockerfile", 0o644, "FROM x"), ("a/b/copy", 0o755, "copied"), ("top", 0o440, "")]
        {
            let path = root.join(name);
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(path.metadata().unwrap().mode() & 0o7777, mode);
        }
        for name in ["", "a", "a/b", "a/Dockerfile", "a/b/copy", "top"] {
            assert_eq!(root.join(name).metadata().unwrap().mtime(), 0, "{name}");
        }
    }

    #[test]
    fn links_are_replaced_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let precious = dir.path().join("precious");
        fs::write(&precious, "precious").unwrap();
        let root = dir.path().join("tree");
        fs::create_dir(&root).unwrap();
        std::os::unix::fs::symlink(&precious, root.join("soft")).unwrap();
        fs::hard_link(&precious, root.join("hard")).unwrap();
        write_tree(&root, &[file("soft", 0o644, "new"), file("hard", 0o644, "new")]).unwrap();
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
        assert_eq!(fs::read_to_string(root.join("soft")).unwrap(), "new");
    }

    #[test]
    fn what_is_the_same_is_left_alone_and_what_is_not_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let original = dir.path().join("original");
        fs::write(&original, "copied").unwrap();
        let root = dir.path().join("tree");
        let copied =
            || ContextFile { name: "copy".into(), mode: 0o644, content: FileContent::File(original.clone()) };
        let write = |text: &str| {
            write_tree(&root, &[file("a/same", 0o640, "same"), file("a/b", 0o644, text), copied()])
        };
        write("one").unwrap();
        let inode = |name: &str| root.join(name).metadata().unwrap().ino();
        let before = ["a/same", "a/b", "copy"].map(inode);
        let mut reader = File::open(root.join("a/b")).unwrap();
        fs::set_permissions(root.join("a/same"), fs::Permissions::from_mode(0o600)).unwrap();
        write("another").unwrap();
        let after = ["a/same", "a/b", "copy"].map(inode);
        assert!(before[0] == after[0] && before[1] != after[1] && before[2] == after[2]);
        assert_eq!(root.join("a/same").metadata().unwrap().mode() & 0o777, 0o640);
        let mut seen = String::new();
        reader.read_to_string(&mut seen).unwrap();
        assert_eq!(
            (seen.as_str(), fs::read_to_string(root.join("a/b")).unwrap().as_str()),
            ("one", "another")
        );
        assert_eq!(fs::read_dir(&root).unwrap().count(), 2);

        // A file that is gone takes nothing with it.
        fs::remove_file(&original).unwrap();
        assert!(write("another").is_err());
        assert_eq!(fs::read_to_string(root.join("copy")).unwrap(), "copied");
    }

    #[test]
    fn only_what_runs_write_counts_as_their_lock_file() {
        for record in ["", "12\n1:2\n", "12\n\n", "12\namong others\n", "12"] {
            assert!(is_record(record), "{record:?}");
        }
        for other in ["notes\n", "12\nx:2\n", "12\n1:2\nmore\n", "\n1:2\n", "12\n1:\n"] {
            assert!(!is_record(other), "{other:?}");
        }
    }

    #[test]
    fn names_that_lead_out_are_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["../out", "/etc/out", "a/../../out"] {
            let error =
                write_tree(dir.path(), &[file("fine", 0o644, ""), file(name, 0o644, "")]).unwrap_err();
            assert!(matches!(error, WorkDirError::Outside(_)), "{error}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn errors_name_the_path() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("taken"), "").unwrap();
        let error = write_tree(dir.path(), &[file("taken/x", 0o644, "")]).unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");

        let gone = ContextFile {
            name: "x".into(),
            mode: 0o644,
            content: FileContent::File("/nonexistent/y".into()),
        };
        let error = write_tree(dir.path(), &[gone]).unwrap_err();
        assert!(error.to_string().contains("cannot copy /nonexistent/y"), "{error}");
    }

    #[test]
    fn a_temporary_directory_is_private_and_does_not_stay() {
        let work = WorkDir::temporary().unwrap();
        let dir = work.tree().parent().unwrap().to_path_buf();
        work.fill(&[file("a/Dockerfile", 0o644, "FROM x")]).unwrap();
        assert!(dir.file_name().unwrap().to_str().unwrap().starts_with("kolla-20"));
        assert_eq!(dir.metadata().unwrap().mode() & 0o777, 0o700);
        drop(work);
        assert!(!dir.exists());
    }

    #[test]
    fn a_kept_directory_serves_one_run_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = WorkDir::keep(dir.path()).unwrap();
        let error = WorkDir::keep(dir.path()).unwrap_err();
        let owner = std::process::id().to_string();
        assert!(matches!(&error, WorkDirError::Locked { owner: found, .. } if *found == owner), "{error}");
        drop(first);
        WorkDir::keep(dir.path()).unwrap();
    }

    #[test]
    fn an_earlier_run_leaves_nothing_behind_in_a_kept_directory() {
        let dir = tempfile::tempdir().unwrap();
        let earlier =
            [file("both/Dockerfile", 0o600, "a long text"), file("old/a", 0o644, ""), file("x/y", 0o644, "")];
        WorkDir::keep(dir.path()).unwrap().fill(&earlier).unwrap();
        for _ in 0..2 {
            let work = WorkDir::keep(dir.path()).unwrap();
            // A file has become a directory, a directory a file.
            let files =
                [file("both/Dockerfile", 0o644, "short"), file("old", 0o644, ""), file("x/y/z", 0o644, "")];
            work.fill(&files).unwrap();
            let found = crate::context::entries::walk(work.tree()).map(|entry| entry.unwrap());
            let names: Vec<_> = found.map(|entry| (entry.name.display().to_string(), entry.mode)).collect();
            let expected = [
                ("both", 0o755),
                ("both/Dockerfile", 0o644),
                ("old", 0o644),
                ("x", 0o755),
                ("x/y", 0o755),
                ("x/y/z", 0o644),
            ];
            assert_eq!(names, expected.map(|(name, mode)| (name.to_string(), mode)));
            assert_eq!(fs::read_to_string(work.tree().join("both/Dockerfile")).unwrap(), "short");
        }
    }

    #[test]
    fn a_tree_that_is_not_ours_is_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        let theirs = dir.path().join("docker/precious");
        fs::create_dir(dir.path().join("docker")).unwrap();
        fs::write(&theirs, "x").unwrap();
        for _ in 0..2 {
            let work = WorkDir::keep(dir.path()).unwrap();
            work.fill(&[file("new/Dockerfile", 0o644, "")]).unwrap();
            drop(work);
            assert!(theirs.exists());
        }
        // Removed and made anew by someone else since our last run.
        fs::remove_dir_all(dir.path().join("docker")).unwrap();
        drop(WorkDir::keep(dir.path()).unwrap());
        fs::rename(dir.path().join("docker"), dir.path().join("ours")).unwrap();
        fs::create_dir(dir.path().join("docker")).unwrap();
        fs::write(&theirs, "x").unwrap();
        WorkDir::keep(dir.path()).unwrap().fill(&[]).unwrap();
        assert!(theirs.exists());
    }
}
