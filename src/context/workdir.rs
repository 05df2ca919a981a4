//! The directory that a run renders into, kept or temporary, and the fast way to fill it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use rayon::prelude::*;
use rustix::fs::OFlags;
use walkdir::WalkDir;

use crate::util::input;
use crate::util::scratch::{self, Scratch};
use crate::util::write::UNFINISHED_PREFIX;

/// The file in a working directory that stays whose lock says that a run uses it.
const LOCK_FILE: &str = ".kolla-build.lock";

/// Name of the tree of images in a working directory.
const TREE: &str = "docker";

/// What a lock file says of a tree that no run has made and some run has written to.
const AMONG_OTHERS: &str = "among others";

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
    /// Something there is not ours to write over.
    #[error("{} {what}: remove it if nobody needs it, or name another directory", path.display())]
    InTheWay {
        /// What is there.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
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
            WorkDirError::Read { .. }
            | WorkDirError::Locked { .. }
            | WorkDirError::InTheWay { .. }
            | WorkDirError::Outside(_) => None,
        }
    }

    fn at(path: &Path) -> impl FnOnce(io::Error) -> WorkDirError {
        move |source| WorkDirError::Io { path: path.to_path_buf(), source }
    }

    fn in_the_way(path: &Path, what: &'static str) -> WorkDirError {
        WorkDirError::InTheWay { path: path.to_path_buf(), what }
    }
}

/// The tree of images in a working directory.
pub fn tree_in(dir: &Path) -> PathBuf {
    dir.join(TREE)
}

/// The lock file of a working directory.
pub fn lock_in(dir: &Path) -> PathBuf {
    dir.join(LOCK_FILE)
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
    /// Nobody knows.
    Unknown,
}

/// A directory to render into. A temporary one is removed when this is dropped.
#[derive(Debug)]
pub struct WorkDir {
    tree: PathBuf,
    owner: Owner,
    hold: Hold,
}

/// What keeps the directory ours until it is dropped.
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
        let dir = Scratch::new(&name_of_now()).map_err(WorkDirError::at(&std::env::temp_dir()))?;
        WorkDir::made(tree_in(dir.path()), Hold::Temporary { _directory: dir })
    }

    /// The same for one that is to [stay](WorkDir::leave), so that no later run takes it for a killed one's.
    pub fn to_leave() -> Result<WorkDir, WorkDirError> {
        let dir = scratch::private(&name_of_now()).map_err(WorkDirError::at(&std::env::temp_dir()))?;
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
    pub fn fill(&self, files: &[TreeFile]) -> Result<(), WorkDirError> {
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
/// context tells when it was made. What is there already under a file's name is replaced by a complete file, and left
/// alone when it holds the same; no link is written through.
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
    contents.try_for_each(|file| write_file(root, file))?;
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
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match path.symlink_metadata() {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(found) if found.is_symlink() => {
                Err(WorkDirError::in_the_way(path, "is a link where a directory is to be written"))
            }
            _ => Err(WorkDirError::at(path)(error)),
        },
        result => result.map_err(WorkDirError::at(path)),
    }
}

fn write_file(root: &Path, file: &TreeFile) -> Result<(), WorkDirError> {
    let path = root.join(&file.name);
    let mut content = OpenContent::of(&file.content)?;
    let out = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(new) => {
            content.copy_to(&new, &path)?;
            new
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match content.held_by(&path) {
            Some(same) => same,
            None => replace(root, &path, &mut content)?,
        },
        Err(error) => return Err(WorkDirError::at(&path)(error)),
    };
    // Set on the open file, for the mode given at creation is subject to the umask.
    out.set_permissions(fs::Permissions::from_mode(file.mode))
        .and_then(|()| out.set_times(epoch()))
        .map_err(WorkDirError::at(&path))
}

/// Puts a complete file in place of what is there. A killed run leaves an incomplete one at the root, where it is in no
/// image's directory.
fn replace(root: &Path, path: &Path, content: &mut OpenContent) -> Result<File, WorkDirError> {
    let new = tempfile::Builder::new()
        .prefix(UNFINISHED_PREFIX)
        .tempfile_in(root)
        .map_err(WorkDirError::at(root))?;
    content.copy_to(new.as_file(), path)?;
    new.persist(path).map_err(|error| WorkDirError::at(path)(error.error))
}

/// A file's content, to be read from its start.
enum OpenContent<'a> {
    Bytes(&'a [u8]),
    File(File),
}

impl OpenContent<'_> {
    fn of(content: &FileContent) -> Result<OpenContent<'_>, WorkDirError> {
        match content {
            FileContent::Bytes(bytes) => Ok(OpenContent::Bytes(bytes)),
            FileContent::File(path) => {
                let file =
                    input::open(path).map_err(|source| WorkDirError::Read { path: path.clone(), source })?;
                Ok(OpenContent::File(file))
            }
            FileContent::Directory => Ok(OpenContent::Bytes(&[])),
        }
    }

    /// The file at `path`, open, when it is one of this name alone and holds just this.
    fn held_by(&mut self, path: &Path) -> Option<File> {
        let found = path.symlink_metadata().ok()?;
        // One of several names may be somebody's precious original.
        if !found.is_file() || found.nlink() != 1 {
            return None;
        }
        let mut held = File::open(path).ok()?;
        let same = match self {
            OpenContent::Bytes(bytes) => same_bytes(&mut held, *bytes),
            OpenContent::File(file) => {
                let same = same_bytes(&mut held, &mut *file);
                file.rewind().and(same)
            }
        };
        same.is_ok_and(|same| same).then_some(held)
    }

    fn copy_to(&mut self, mut out: &File, path: &Path) -> Result<(), WorkDirError> {
        match self {
            OpenContent::Bytes(bytes) => out.write_all(bytes).map_err(WorkDirError::at(path)),
            // Copies inside the kernel where it can.
            OpenContent::File(file) => io::copy(file, &mut out).map(drop).map_err(WorkDirError::at(path)),
        }
    }
}

fn same_bytes(one: impl Read, other: impl Read) -> io::Result<bool> {
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    loop {
        let (a, b) = (one.fill_buf()?, other.fill_buf()?);
        let common = a.len().min(b.len());
        if common == 0 {
            return Ok(a.len() == b.len());
        }
        if a[..common] != b[..common] {
            return Ok(false);
        }
        one.consume(common);
        other.consume(common);
    }
}

/// Access and modification time 0.
pub(super) fn epoch() -> FileTimes {
    FileTimes::new().set_accessed(SystemTime::UNIX_EPOCH).set_modified(SystemTime::UNIX_EPOCH)
}

/// Takes the directory's lock, or says who has it.
fn lock(dir: &Path) -> Result<File, WorkDirError> {
    let path = lock_in(dir);
    let unusual = "is not the file that we would have made";
    // A FIFO is not waited for, a link not followed.
    let careful = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(careful)
        .open(&path);
    let mut file = opened.map_err(|source| match path.symlink_metadata() {
        Ok(found) if !found.is_file() => WorkDirError::in_the_way(&path, unusual),
        _ => WorkDirError::at(&path)(source),
    })?;
    let found = file.metadata().map_err(WorkDirError::at(&path))?;
    if !found.is_file() || found.nlink() != 1 {
        return Err(WorkDirError::in_the_way(&path, unusual));
    }
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

/// Notes which process has the lock, and what is known of the tree.
fn write_record(mut lock: &File, known: &str) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(format!("{}\n{known}\n", std::process::id()).as_bytes())
}

/// Whether a run has written this into its lock file: its process id, and what its tree is.
fn is_record(text: &str) -> bool {
    let mut lines = text.lines();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_identity = |text: &str| {
        ["", AMONG_OTHERS].contains(&text)
            || text.split_once(':').is_some_and(|(dev, ino)| is_number(dev) && is_number(ino))
    };
    lines.next().is_none_or(is_number) && lines.next().is_none_or(is_identity) && lines.next().is_none()
}

/// What tells a directory from another one that was made later under the same name.
fn identity(metadata: &fs::Metadata) -> String {
    format!("{}:{}", metadata.dev(), metadata.ino())
}

/// Removes what is in `tree` but for `files` and the directories they are in.
fn remove_others(tree: &Path, files: &[TreeFile]) -> Result<(), WorkDirError> {
    let (directories, others): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.is_directory());
    let kept_files: HashSet<&Path> = others.iter().map(|file| file.name.as_path()).collect();
    let mut kept_directories: HashSet<&Path> =
        files.iter().flat_map(|file| file.name.ancestors().skip(1)).collect();
    kept_directories.extend(directories.iter().map(|directory| directory.name.as_path()));
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

/// Fails when a file in the way is none that a run can have written. Runs, Kolla's too, leave a Dockerfile in every
/// image's directory, Kolla's its template beside it.
fn refuse_foreign(tree: &Path, files: &[TreeFile], once_ours: bool) -> Result<(), WorkDirError> {
    let dockerfiles =
        files.iter().filter(|file| file.name.file_name().is_some_and(|name| name == "Dockerfile"));
    let image_dirs: Vec<PathBuf> =
        dockerfiles.filter_map(|file| Some(tree.join(file.name.parent()?))).collect();
    let is_rendered = |dir: &Path| dir.join("Dockerfile").is_file();
    let is_kollas = |dir: &PathBuf| is_rendered(dir) && dir.join("Dockerfile.j2").is_file();
    let is_known = once_ours || image_dirs.iter().any(is_kollas);
    let holds_something = |dir: &Path| fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    let strange_dir = image_dirs.into_iter().find(|dir| holds_something(dir) && !is_rendered(dir));
    let strange_file = || {
        let paths = files.iter().filter(|file| !file.is_directory()).map(|file| tree.join(&file.name));
        paths.into_iter().find(|path| !is_known && path.symlink_metadata().is_ok())
    };
    match strange_dir.or_else(strange_file) {
        Some(path) => Err(WorkDirError::in_the_way(&path, "was not written by an earlier run")),
        None => Ok(()),
    }
}

/// Removes the incomplete files of runs that were killed.
fn remove_unfinished(tree: &Path) -> Result<(), WorkDirError> {
    for entry in fs::read_dir(tree).map_err(WorkDirError::at(tree))? {
        let entry = entry.map_err(WorkDirError::at(tree))?;
        let is_unfinished = entry.file_name().as_encoded_bytes().starts_with(UNFINISHED_PREFIX.as_bytes());
        if is_unfinished && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            fs::remove_file(entry.path()).map_err(WorkDirError::at(&entry.path()))?;
        }
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
    fn what_is_the_same_is_left_alone_and_what_is_not_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let original = dir.path().join("original");
        fs::write(&original, "copied").unwrap();
        let root = dir.path().join("tree");
        let copied =
            || TreeFile { name: "copy".into(), mode: 0o644, content: FileContent::File(original.clone()) };
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
