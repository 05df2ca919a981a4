//! Tar archives that depend on nothing but names, modes and contents, so that equal trees give equal bytes.

use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::entries::{self, EntryKind, TreeEntry};
use crate::util::input;
use crate::util::input::with_path;

/// Writes the build context in `dir` as a tar stream; no file is held in memory.
///
/// Entries are sorted, belong to root and were made `mtime` seconds after 1970; a `.dockerignore` is honoured. An error
/// that names a path is about reading it; any other came from `out`.
pub fn write_context(dir: &Path, mtime: u64, out: impl Write) -> io::Result<()> {
    write_context_with(dir, None, mtime, out)
}

/// The same, with another text in place of its Dockerfile.
pub fn write_context_with(
    dir: &Path,
    dockerfile: Option<&str>,
    mtime: u64,
    out: impl Write,
) -> io::Result<()> {
    let out = BufWriter::with_capacity(64 * 1024, out);
    let mut archive = ArchiveWriter { mtime, ..ArchiveWriter::new(out) };
    for entry in entries::walk_context(dir)? {
        let entry = entry?;
        match dockerfile {
            Some(text) if entry.name == Path::new("Dockerfile") => {
                archive.append_file(&entry.name, entry.mode, text.len() as u64, &mut text.as_bytes())?;
            }
            _ => archive.append(&entry)?,
        }
    }
    archive.finish()
}

/// Writes `dir` and everything in it as a tar stream whose only top directory is `arcname`.
pub fn write_archive(dir: &Path, arcname: &Path, out: impl Write) -> io::Result<()> {
    let mut archive = ArchiveWriter::new(BufWriter::with_capacity(64 * 1024, out));
    let mode = dir.metadata().map_err(|error| with_path(dir, error))?.mode();
    archive.append_directory(arcname, entries::archive_mode(mode))?;
    for entry in entries::walk(dir) {
        let mut entry = entry?;
        entry.name = arcname.join(entry.name);
        archive.append(&entry)?;
    }
    archive.finish()
}

/// Writes normalised members: owner root, all of one time.
pub(crate) struct ArchiveWriter<W: Write> {
    tar: tar::Builder<W>,
    mtime: u64,
}

impl<W: Write> ArchiveWriter<W> {
    /// Members have the time 0: what is cached must not depend on who makes it.
    pub(crate) fn new(out: W) -> Self {
        ArchiveWriter { tar: tar::Builder::new(out), mtime: 0 }
    }

    /// Appends what a walk found.
    pub(crate) fn append(&mut self, entry: &TreeEntry) -> io::Result<()> {
        match &entry.kind {
            EntryKind::Directory => self.append_directory(&entry.name, entry.mode),
            EntryKind::Link(target) => self.append_link(&entry.name, target, entry.mode),
            EntryKind::File(size) => {
                let file = input::open(&entry.path).map_err(|error| with_path(&entry.path, error))?;
                let mut content = NamedReader { path: &entry.path, inner: file };
                self.append_file(&entry.name, entry.mode, *size, &mut content)
            }
        }
    }

    pub(crate) fn append_directory(&mut self, name: &Path, mode: u32) -> io::Result<()> {
        let mut header = self.header(tar::EntryType::Directory, mode, 0);
        self.tar.append_data(&mut header, name, io::empty())
    }

    pub(crate) fn append_link(&mut self, name: &Path, target: &Path, mode: u32) -> io::Result<()> {
        let mut header = self.header(tar::EntryType::Symlink, mode, 0);
        self.tar.append_link(&mut header, name, target)
    }

    pub(crate) fn append_hard_link(&mut self, name: &Path, target: &Path, mode: u32) -> io::Result<()> {
        let mut header = self.header(tar::EntryType::Link, mode, 0);
        self.tar.append_link(&mut header, name, target)
    }

    /// Appends a file of exactly `size` bytes. A file that shrinks meanwhile is an error, of one that grows the
    /// first `size` bytes are taken: either way the stream stays a valid archive up to the error.
    pub(crate) fn append_file(
        &mut self,
        name: &Path,
        mode: u32,
        size: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let mut header = self.header(tar::EntryType::Regular, mode, size);
        let mut content = content.take(size);
        self.tar.append_data(&mut header, name, &mut content)?;
        match content.limit() {
            0 => Ok(()),
            missing => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{}: {missing} bytes shorter than it was when it was listed", name.display()),
            )),
        }
    }

    fn header(&self, kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.mtime);
        for owner in [tar::Header::set_username, tar::Header::set_groupname] {
            owner(&mut header, "root").expect("'root' fits its field");
        }
        header
    }

    /// Writes the end of the archive.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.into_inner()?.flush()
    }

    /// The same, for a writer that has an end of its own.
    pub(crate) fn into_inner(self) -> io::Result<W> {
        self.tar.into_inner()
    }
}

/// A reader whose errors name the file.
struct NamedReader<'a, R> {
    path: &'a Path,
    inner: R,
}

impl<R: Read> Read for NamedReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| with_path(self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const TIME: u64 = 1_700_000_000;

    /// What a context's tar stream holds: name to (type, mode, content or link target).
    fn members(bytes: &[u8]) -> Vec<(String, u8, u32, String)> {
        members_of(bytes, TIME)
    }

    /// The same for an archive whose members are all of this time.
    fn members_of(bytes: &[u8], time: u64) -> Vec<(String, u8, u32, String)> {
        let mut archive = tar::Archive::new(bytes);
        let entries = archive.entries().unwrap();
        entries
            .map(|entry| {
                let mut entry = entry.unwrap();
                assert_eq!(entry.header().mtime().unwrap(), time);
                assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (0, 0));
                assert_eq!(entry.header().username(), Ok(Some("root")));
                assert_eq!(entry.header().groupname(), Ok(Some("root")));
                let name = entry.path().unwrap().display().to_string();
                let kind = entry.header().entry_type().as_byte();
                let mode = entry.header().mode().unwrap();
                let mut content = String::new();
                match entry.link_name().unwrap() {
                    Some(target) => content = target.display().to_string(),
                    None => drop(entry.read_to_string(&mut content).unwrap()),
                }
                (name, kind, mode, content)
            })
            .collect()
    }

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir(root.join("b")).unwrap();
        fs::write(root.join("b/inner"), "inner").unwrap();
        fs::write(root.join("b.txt"), "text").unwrap();
        fs::write(root.join("Dockerfile"), "FROM x\n").unwrap();
        symlink("b.txt", root.join("link")).unwrap();
        fs::hard_link(root.join("b.txt"), root.join("twin")).unwrap();
        fs::set_permissions(root.join("b"), fs::Permissions::from_mode(0o755)).unwrap();
        for (name, mode) in [("b/inner", 0o555), ("b.txt", 0o644), ("Dockerfile", 0o444)] {
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        dir
    }

    #[test]
    fn a_context_is_sorted_owned_by_root_and_of_one_time() {
        let tree = tree();
        let mut bytes = Vec::new();
        write_context(tree.path(), TIME, &mut bytes).unwrap();
        let expected = [
            ("Dockerfile", b'0', 0o644, "FROM x\n"),
            ("b", b'5', 0o755, ""),
            ("b/inner", b'0', 0o755, "inner"),
            ("b.txt", b'0', 0o644, "text"),
            ("link", b'2', 0o777, "b.txt"),
            ("twin", b'0', 0o644, "text"),
        ];
        let expected: Vec<_> =
            expected.iter().map(|(n, k, m, c)| (n.to_string(), *k, *m, c.to_string())).collect();
        assert_eq!(members(&bytes), expected);
    }

    #[test]
    fn equal_trees_give_equal_bytes() {
        let (one, two) = (tree(), tree());
        let archives: Vec<Vec<u8>> = [one.path(), two.path()]
            .map(|dir| {
                let mut bytes = Vec::new();
                write_context(dir, TIME, &mut bytes).unwrap();
                bytes
            })
            .into();
        assert_eq!(archives[0], archives[1]);
    }

    #[test]
    fn an_archive_has_one_top_directory() {
        let tree = tree();
        let mut bytes = Vec::new();
        write_archive(tree.path(), Path::new("nova-1.0"), &mut bytes).unwrap();
        let names: Vec<String> = members_of(&bytes, 0).into_iter().map(|member| member.0).collect();
        assert_eq!(names[0], "nova-1.0");
        assert_eq!(names.len(), 7);
        assert!(names.iter().all(|name| name.starts_with("nova-1.0")), "{names:?}");
    }

    #[test]
    fn long_names_and_targets_survive() {
        let dir = tempfile::tempdir().unwrap();
        let long = "n".repeat(200);
        let deep = dir.path().join(&long);
        fs::create_dir(&deep).unwrap();
        fs::write(deep.join(&long), "x").unwrap();
        symlink(format!("{long}/{long}"), dir.path().join("link")).unwrap();
        let mut bytes = Vec::new();
        write_context(dir.path(), TIME, &mut bytes).unwrap();
        let members: BTreeMap<_, _> = members(&bytes).into_iter().map(|m| (m.0, m.3)).collect();
        assert_eq!(members[&format!("{long}/{long}")], "x");
        assert_eq!(members["link"], format!("{long}/{long}"));
    }

    #[test]
    fn sockets_are_left_out_and_unreadable_trees_are_named() {
        let tree = tree();
        let _socket = std::os::unix::net::UnixListener::bind(tree.path().join("socket")).unwrap();
        let mut bytes = Vec::new();
        write_context(tree.path(), TIME, &mut bytes).unwrap();
        assert!(members(&bytes).iter().all(|member| member.0 != "socket"));

        let error = write_context(&tree.path().join("missing"), TIME, io::sink()).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }

    #[test]
    fn a_dockerignore_is_honoured_in_contexts_alone() {
        let tree = tree();
        fs::write(tree.path().join(".dockerignore"), "*\n!b/inner\n").unwrap();
        let mut bytes = Vec::new();
        write_context(tree.path(), TIME, &mut bytes).unwrap();
        let names: Vec<String> = members(&bytes).into_iter().map(|member| member.0).collect();
        assert_eq!(names, [".dockerignore", "Dockerfile", "b/inner"]);

        let mut bytes = Vec::new();
        write_archive(tree.path(), Path::new("top"), &mut bytes).unwrap();
        assert_eq!(members_of(&bytes, 0).len(), 8);
    }

    #[test]
    fn a_file_that_shrinks_is_an_error_not_a_broken_archive() {
        let mut archive = ArchiveWriter::new(io::sink());
        let error = archive.append_file(Path::new("log"), 0o644, 10, &mut &b"short"[..]).unwrap_err();
        assert_eq!(error.to_string(), "log: 5 bytes shorter than it was when it was listed");
    }
}
