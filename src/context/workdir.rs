//! The directory that a run renders into, kept or temporary, and the fast way to fill it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use rayon::prelude::*;
use walkdir::WalkDir;

use super::leftovers::{LOCK_FILE, claim, sweep};

/// What names of temporary directories begin with.
const TEMPORARY_PREFIX: &str = "kolla-";

/// Name of the tree of images in a working directory.
const TREE: &str = "docker";

/// Permission bits of directories that nothing else is said about.
const DIRECTORY_MODE: u32 = 0o755;

/// Why a working directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum WorkDirError {
    /// The system refused to read or write something.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// What was written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the image tree can't be read.
    #[error("cannot copy {} into the working directory: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another run uses the directory.
    #[error(
        "the working directory {} is used by another run (process {owner}, lock file {LOCK_FILE}): \
         wait for it or give another --work-dir",
        path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The other run's process id, as it wrote it down.
        owner: String,
    },
    /// A name in the tree leads out of it.
    #[error("refusing to write {}: the name leads out of the working directory", .0.display())]
    Outside(PathBuf),
}

impl WorkDirError {
    /// What kind of error it was when writing failed.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            WorkDirError::Io { source, .. } => Some(source.kind()),
            WorkDirError::Read { .. } | WorkDirError::Locked { .. } | WorkDirError::Outside(_) => None,
        }
    }

    fn at(path: &Path) -> impl FnOnce(io::Error) -> WorkDirError {
        move |source| WorkDirError::Io { path: path.to_path_buf(), source }
    }
}

/// A directory to render into. A temporary one is removed when this is dropped.
#[derive(Debug)]
pub struct WorkDir {
    tree: PathBuf,
    /// True when a run has made the tree, so that whatever is in it may go.
    ours: bool,
    hold: Hold,
}

/// What keeps the directory ours until it is dropped: an open lock file is the lock.
#[derive(Debug)]
struct Hold {
    _lock: File,
    /// None when it is to stay.
    temporary: Option<tempfile::TempDir>,
}

impl WorkDir {
    /// Uses `dir`, which stays, for this run alone.
    pub fn keep(dir: &Path) -> Result<WorkDir, WorkDirError> {
        fs::create_dir_all(dir).map_err(WorkDirError::at(dir))?;
        let mut lock = lock(dir)?;
        let lock_path = dir.join(LOCK_FILE);
        let mut record = String::new();
        lock.read_to_string(&mut record).map_err(WorkDirError::at(&lock_path))?;

        let tree = dir.join(TREE);
        let made_now = match fs::create_dir(&tree) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(WorkDirError::at(&tree)(error)),
        };
        let identity = identity(&tree.symlink_metadata().map_err(WorkDirError::at(&tree))?);
        let ours = made_now || record.lines().nth(1) == Some(identity.as_str());
        let record = format!("{}\n{}\n", std::process::id(), if ours { &identity } else { "" });
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| lock.write_all(record.as_bytes()))
            .map_err(WorkDirError::at(&lock_path))?;
        Ok(WorkDir { tree, ours, hold: Hold { _lock: lock, temporary: None } })
    }

    /// Makes a directory that only this user can read and that does not outlive this value; removes those that killed
    /// runs have left.
    pub fn temporary() -> Result<WorkDir, WorkDirError> {
        let parent = std::env::temp_dir();
        let prefix = format!("{TEMPORARY_PREFIX}{}_", jiff::Zoned::now().strftime("%Y-%m-%d_%H-%M-%S"));
        let dir = tempfile::Builder::new()
            .prefix(&prefix)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(&parent)
            .map_err(|source| WorkDirError::Io { path: parent, source })?;
        let lock = claim(dir.path()).map_err(WorkDirError::at(dir.path()))?;
        sweep(dir.path(), TEMPORARY_PREFIX);
        let tree = dir.path().join(TREE);
        fs::create_dir(&tree).map_err(WorkDirError::at(&tree))?;
        Ok(WorkDir { tree, ours: true, hold: Hold { _lock: lock, temporary: Some(dir) } })
    }

    /// The directory to remove when the process ends without dropping this value; none when it is to stay.
    pub fn temporary_root(&self) -> Option<PathBuf> {
        self.hold.temporary.as_ref().map(|dir| dir.path().to_path_buf())
    }

    /// The directory that holds the images' directories.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// Writes everything that the run renders, as [`write_tree`] does, in one call: what an earlier run left in the
    /// tree beside it is removed. A tree that something else made is only written over, for it may hold what we do
    /// not know.
    pub fn fill(&self, files: &[TreeFile]) -> Result<(), WorkDirError> {
        if self.ours {
            // Files that stay are written in place: on ext4 removing 1,200 files and making them anew costs
            // 0.3 s, for it does not like to give out inodes again that have just become free.
            remove_others(&self.tree, files)?;
        }
        write_tree(&self.tree, files)
    }
}

/// One file to write.
#[derive(Debug, Clone)]
pub struct TreeFile {
    /// Its name below the tree's root.
    pub name: PathBuf,
    /// Permission bits, exactly as they will be.
    pub mode: u32,
    /// What is in it.
    pub content: FileContent,
}

impl TreeFile {
    fn is_directory(&self) -> bool {
        matches!(self.content, FileContent::Directory)
    }
}

/// Where a file's content comes from.
#[derive(Debug, Clone)]
pub enum FileContent {
    /// From memory.
    Bytes(Cow<'static, [u8]>),
    /// A copy of this file.
    File(PathBuf),
    /// None: it is a directory, which may stay empty.
    Directory,
}

/// Writes files below `root`, in parallel, and their directories; all of them get the time 0, so that nothing in a
/// context tells when it was made. What is there already under a file's name is replaced.
pub fn write_tree(root: &Path, files: &[TreeFile]) -> Result<(), WorkDirError> {
    let mut directories: BTreeMap<PathBuf, u32> = BTreeMap::new();
    for file in files {
        if !file.name.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(WorkDirError::Outside(file.name.clone()));
        }
        for above in file.name.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
            directories.entry(root.join(above)).or_insert(DIRECTORY_MODE);
        }
        if file.is_directory() {
            directories.insert(root.join(&file.name), file.mode);
        }
    }
    create_directory(root)?;
    // Sorted, so a parent comes before what is in it.
    for directory in directories.keys() {
        create_directory(directory)?;
    }
    let contents = files.par_iter().filter(|file| !file.is_directory());
    contents.try_for_each(|file| write_file(&root.join(&file.name), file))?;
    // Now that nothing is to be written into them any more. One that may not be entered comes after what is in it.
    let finish =
        |(path, mode): (&PathBuf, &u32)| finish_directory(path, *mode).map_err(WorkDirError::at(path));
    directories.par_iter().filter(|(_, mode)| **mode == DIRECTORY_MODE).try_for_each(finish)?;
    directories.iter().rev().filter(|(_, mode)| **mode != DIRECTORY_MODE).try_for_each(finish)?;
    File::open(root).and_then(|open| open.set_times(epoch())).map_err(WorkDirError::at(root))
}

/// Gives a directory its mode, whatever the umask was or an earlier run had, and no time.
fn finish_directory(path: &Path, mode: u32) -> io::Result<()> {
    let open = File::open(path)?;
    open.set_permissions(fs::Permissions::from_mode(mode))?;
    open.set_times(epoch())
}

fn create_directory(path: &Path) -> Result<(), WorkDirError> {
    match fs::DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        result => result.map_err(WorkDirError::at(path)),
    }
}

fn write_file(path: &Path, file: &TreeFile) -> Result<(), WorkDirError> {
    let at = WorkDirError::at;
    let mut out = open_empty(path).map_err(at(path))?;
    match &file.content {
        FileContent::Bytes(bytes) => out.write_all(bytes).map_err(at(path))?,
        FileContent::File(from) => {
            let read = |source| WorkDirError::Read { path: from.clone(), source };
            let mut input = File::open(from).map_err(read)?;
            if !input.metadata().map_err(read)?.is_file() {
                return Err(read(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
            }
            // Copies inside the kernel where it can.
            io::copy(&mut input, &mut out).map_err(at(path))?;
        }
        FileContent::Directory => {}
    }
    // Set on the open file, for the mode given at creation is subject to the umask.
    out.set_permissions(fs::Permissions::from_mode(file.mode))
        .and_then(|()| out.set_times(epoch()))
        .map_err(at(path))
}

/// Opens a file with nothing in it. What is there already is emptied only when it is a file of this one name: a link
/// would be written through, and one of several names may be somebody's precious original.
fn open_empty(path: &Path) -> io::Result<File> {
    let create_new = || OpenOptions::new().write(true).create_new(true).open(path);
    match create_new() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = path.symlink_metadata()?;
            if found.is_file() && found.nlink() == 1 {
                return OpenOptions::new().write(true).truncate(true).open(path);
            }
            fs::remove_file(path)?;
            create_new()
        }
        result => result,
    }
}

/// Access and modification time 0.
pub(super) fn epoch() -> FileTimes {
    FileTimes::new().set_accessed(SystemTime::UNIX_EPOCH).set_modified(SystemTime::UNIX_EPOCH)
}

/// Takes the directory's lock, or says who has it.
fn lock(dir: &Path) -> Result<File, WorkDirError> {
    let path = dir.join(LOCK_FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(WorkDirError::at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::Error(source)) => Err(WorkDirError::Io { path, source }),
        Err(fs::TryLockError::WouldBlock) => {
            let mut record = String::new();
            let owner = match file.read_to_string(&mut record) {
                Ok(_) => record.lines().next().unwrap_or("unknown").to_string(),
                Err(_) => "unknown".to_string(),
            };
            Err(WorkDirError::Locked { path: dir.to_path_buf(), owner })
        }
    }
}

/// What tells a directory from another one that was made later under the same name.
fn identity(metadata: &fs::Metadata) -> String {
    format!("{}:{}", metadata.dev(), metadata.ino())
}

/// Removes what is in `tree` but for `files` and the directories they are in.
fn remove_others(tree: &Path, files: &[TreeFile]) -> Result<(), WorkDirError> {
    let kept_files: HashSet<&Path> = files.iter().map(|file| file.name.as_path()).collect();
    let kept_directories: HashSet<&Path> =
        files.iter().flat_map(|file| file.name.ancestors().skip(1)).collect();
    let mut found = WalkDir::new(tree).min_depth(1).into_iter();
    while let Some(entry) = found.next() {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(tree).to_path_buf();
            WorkDirError::Io { path, source: error.into() }
        })?;
        let path = entry.path();
        let name = path.strip_prefix(tree).expect("a walk stays below its root");
        let removed = match entry.file_type().is_dir() {
            true if kept_directories.contains(name) => Ok(()),
            true => {
                found.skip_current_dir();
                fs::remove_dir_all(path)
            }
            false if kept_files.contains(name) => Ok(()),
            false => fs::remove_file(path),
        };
        removed.map_err(WorkDirError::at(path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, mode: u32, content: &str) -> TreeFile {
        let content = FileContent::Bytes(content.as_bytes().to_vec().into());
        TreeFile { name: name.into(), mode, content }
    }

    #[test]
    fn files_come_with_their_directories_modes_and_no_time() {
        let dir = tempfile::tempdir().unwrap();
        let original = dir.path().join("original");
        fs::write(&original, "copied").unwrap();
        let root = dir.path().join("tree");
        let copied = TreeFile { name: "a/b/copy".into(), mode: 0o755, content: FileContent::File(original) };
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

        let gone =
            TreeFile { name: "x".into(), mode: 0o644, content: FileContent::File("/nonexistent/y".into()) };
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
            let found = super::super::entries::walk(work.tree()).map(|entry| entry.unwrap());
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
