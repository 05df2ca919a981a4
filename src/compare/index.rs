//! The file system of an image, read from its archive as it comes: of content only digests are kept, and what tells which
//! package a path belongs to.

use std::collections::BTreeMap;
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use super::inode::{Inode, InodeKind};
use super::package_files::tells_of_packages;

/// So much is read at once.
const PIECE: usize = 64 << 10;

/// The largest file that is kept whole, and the most of all of them.
const LARGEST_KEPT: u64 = 16 << 20;
const MOST_KEPT: u64 = 128 << 20;

/// What engines put into every container, whatever its image has.
const OF_CONTAINERS: [&[u8]; 6] =
    [b".dockerenv", b"run/.containerenv", b"etc/hostname", b"etc/hosts", b"etc/resolv.conf", b"etc/mtab"];
const MOUNTED_IN_CONTAINERS: [&[u8]; 3] = [b"dev", b"proc", b"sys"];
/// Directories whose times are those of the container, for something was put into them.
const OF_CONTAINERS_TIME: [&[u8]; 5] = [b"dev", b"etc", b"proc", b"run", b"sys"];

/// The capabilities of a file, as archives name them.
const CAPABILITIES: &str = "SCHILY.xattr.security.capability";

/// The file system of an image.
#[derive(Debug, Default)]
pub struct FileIndex {
    /// What there is, by path without a slash at its beginning.
    pub inodes: BTreeMap<Vec<u8>, Inode>,
    /// Files that tell of packages, with their content.
    pub kept: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl FileIndex {
    /// Reads a tar archive to its end.
    pub fn read(archive: impl Read) -> io::Result<FileIndex> {
        let mut archive = tar::Archive::new(archive);
        let (mut index, mut room) = (FileIndex::default(), MOST_KEPT);
        for entry in archive.entries()? {
            index.add(entry?, &mut room)?;
        }
        // Whoever sends it must not be kept waiting by what fills it up.
        io::copy(&mut archive.into_inner(), &mut io::sink())?;
        Ok(index)
    }

    fn add<R: Read>(&mut self, mut entry: tar::Entry<'_, R>, room: &mut u64) -> io::Result<()> {
        let path = normal(&entry.path_bytes());
        let kind = entry.header().entry_type();
        if path.is_empty() || is_of_container(&path) || kind.is_pax_global_extensions() {
            return Ok(());
        }
        let target = entry.link_name_bytes().map(|target| target.into_owned()).unwrap_or_default();
        if kind.is_hard_link() {
            let inode = self.inodes.get(&normal(&target)).cloned();
            let inode = inode.ok_or_else(|| garbage(&path, "is another name of a file that is not there"))?;
            self.inodes.insert(path, inode);
            return Ok(());
        }
        let capabilities = capabilities(&mut entry)?;
        let header = entry.header();
        let (mode, uid, gid) = (header.mode()? & 0o7777, header.uid()?, header.gid()?);
        let mtime = if OF_CONTAINERS_TIME.contains(&path.as_slice()) { 0 } else { header.mtime()? };
        let device = || -> io::Result<(u32, u32)> {
            Ok((header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0)))
        };
        let kind = match kind {
            tar::EntryType::Directory => InodeKind::Directory,
            tar::EntryType::Symlink => InodeKind::Link(target),
            tar::EntryType::Char => {
                device().map(|(major, minor)| InodeKind::CharacterDevice(major, minor))?
            }
            tar::EntryType::Block => device().map(|(major, minor)| InodeKind::BlockDevice(major, minor))?,
            tar::EntryType::Fifo => InodeKind::Pipe,
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                let is_kept = tells_of_packages(&path) && entry.size() <= LARGEST_KEPT.min(*room);
                let mut kept = is_kept.then(Vec::new);
                let kind = file(&mut entry, &mut kept)?;
                if let Some(content) = kept {
                    *room -= content.len() as u64;
                    self.kept.insert(path.clone(), content);
                }
                kind
            }
            _ => return Err(garbage(&path, "is of an unknown type")),
        };
        self.inodes.insert(path, Inode { kind, mode, uid, gid, mtime, capabilities });
        Ok(())
    }
}

/// Digests of a file's content, which also goes to `kept` when it is to be kept.
fn file(content: &mut impl Read, kept: &mut Option<Vec<u8>>) -> io::Result<InodeKind> {
    let mut piece = vec![0; PIECE];
    let mut read = read_full(content, &mut piece)?;
    // Of both formats the time is in the first piece.
    let time = place_of_time(&piece[..read]);
    let (mut whole, mut timeless, mut size) = (Sha256::new(), Sha256::new(), 0);
    if let Some(time) = &time {
        timeless.update(&piece[..time.start]);
        timeless.update(&piece[time.end..read]);
    }
    loop {
        let bytes = &piece[..read];
        whole.update(bytes);
        if time.is_some() && size > 0 {
            timeless.update(bytes);
        }
        if let Some(kept) = kept {
            kept.extend_from_slice(bytes);
        }
        size += read as u64;
        if read < PIECE {
            break;
        }
        read = read_full(content, &mut piece)?;
    }
    let timeless = time.map(|_| timeless.finalize().into());
    Ok(InodeKind::File { size, sha256: whole.finalize().into(), timeless })
}

/// As much as there is, or as `piece` takes.
fn read_full(content: &mut impl Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < piece.len() {
        match content.read(&mut piece[read..])? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

/// Where a file holds a time: byte code of Python's that of its source (PEP 552), gzip that of what it has packed.
fn place_of_time(start: &[u8]) -> Option<std::ops::Range<usize>> {
    match start {
        [0x1f, 0x8b, 8, _, _, _, _, _, _, _, ..] => Some(4..8),
        // No flags: it is valid as long as its source has this time.
        [_, _, b'\r', b'\n', 0, 0, 0, 0, _, _, _, _, _, _, _, _, ..] => Some(8..12),
        _ => None,
    }
}

fn capabilities<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Vec<u8>> {
    let Some(records) = entry.pax_extensions()? else { return Ok(Vec::new()) };
    for record in records {
        let record = record?;
        if record.key_bytes() == CAPABILITIES.as_bytes() {
            return Ok(record.value_bytes().to_vec());
        }
    }
    Ok(Vec::new())
}

/// A path without what makes no difference.
fn normal(path: &[u8]) -> Vec<u8> {
    let parts = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.collect::<Vec<_>>().join(&b'/')
}

fn is_of_container(path: &[u8]) -> bool {
    let is_below = |dir: &&[u8]| path.strip_prefix(*dir).is_some_and(|rest| rest.starts_with(b"/"));
    OF_CONTAINERS.contains(&path) || MOUNTED_IN_CONTAINERS.iter().any(is_below)
}

fn garbage(path: &[u8], problem: &str) -> io::Error {
    let message = format!("/{} {problem}", String::from_utf8_lossy(path));
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
pub mod testing {
    //! Archives for tests.

    use super::*;

    /// An archive of these entries: path, type, target or content, and mode.
    pub fn archive(entries: &[(&str, tar::EntryType, &[u8], u32)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, content, mode) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(*mode);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(1);
            header.set_device_major(1).expect("room for it");
            header.set_device_minor(3).expect("room for it");
            let is_link = matches!(kind, tar::EntryType::Link | tar::EntryType::Symlink);
            if is_link {
                header.set_size(0);
                let target = std::str::from_utf8(content).expect("a path");
                builder.append_link(&mut header, path, target).expect("written");
            } else {
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, path, *content).expect("written");
            }
        }
        builder.into_inner().expect("written")
    }

    /// An index of regular files with this content.
    pub fn index(files: &[(&str, &[u8])]) -> FileIndex {
        let entries: Vec<_> =
            files.iter().map(|(path, content)| (*path, tar::EntryType::Regular, *content, 0o644)).collect();
        FileIndex::read(&archive(&entries)[..]).expect("an archive")
    }
}

#[cfg(test)]
mod tests {
    use tar::EntryType::{Directory, Link, Regular, Symlink};

    use super::testing::{archive, index};
    use super::*;

    #[test]
    fn every_kind_is_read_and_what_containers_have_is_left() {
        let large = vec![7; PIECE * 2 + 1];
        let bytes = archive(&[
            ("./etc/", Directory, b"", 0o755),
            ("etc/hosts", Regular, b"x", 0o644),
            ("dev/null", Regular, b"", 0o666),
            ("bin/large", Regular, &large, 0o4755),
            ("bin/other", Link, b"bin/large", 0),
            ("bin/sh", Symlink, b"dash", 0o777),
            ("var/lib/dpkg/status", Regular, b"Package: a\n", 0o644),
        ]);
        let index = FileIndex::read(&bytes[..]).expect("an archive");
        let paths: Vec<_> = index.inodes.keys().map(|path| String::from_utf8_lossy(path)).collect();
        assert_eq!(paths, ["bin/large", "bin/other", "bin/sh", "etc", "var/lib/dpkg/status"]);
        let of = |path: &str| &index.inodes[path.as_bytes()];
        assert_eq!([of("etc").mtime, of("bin/sh").mtime], [0, 1]);
        assert_eq!(of("bin/large"), of("bin/other"));
        assert_eq!(of("bin/sh").kind, InodeKind::Link(b"dash".to_vec()));
        let InodeKind::File { size, sha256, timeless: None } = &of("bin/large").kind else {
            panic!("a file")
        };
        assert_eq!(
            (*size, &sha256[..], of("bin/large").mode),
            (large.len() as u64, &Sha256::digest(&large)[..], 0o4755)
        );
        assert_eq!(index.kept.keys().collect::<Vec<_>>(), [b"var/lib/dpkg/status"]);
    }

    #[test]
    fn times_within_files_are_told_apart_from_the_rest() {
        let pyc = |time: u8, code: u8| {
            [b"\xf3\r\r\n".as_slice(), &[0; 4], &[time; 4], &[9; 4], &[code; 100_000]].concat()
        };
        let gzip = |time: u8| [&[0x1f, 0x8b, 8, 0], &[time; 4][..], &[2; 20]].concat();
        let checked = [b"\xf3\r\r\n\x01\0\0\0".as_slice(), &[1; 20]].concat();
        let (one, later, other) = (pyc(1, 1), pyc(2, 1), pyc(1, 2));
        let index = index(&[
            ("a", &one),
            ("b", &later),
            ("c", &other),
            ("d", &gzip(1)),
            ("e", &gzip(2)),
            ("f", &checked),
            ("g", b"text"),
        ]);
        let timeless = |path: &str| match &index.inodes[path.as_bytes()].kind {
            InodeKind::File { timeless, .. } => *timeless,
            _ => panic!("a file"),
        };
        assert!(timeless("a").is_some() && timeless("a") == timeless("b") && timeless("a") != timeless("c"));
        assert!(timeless("d").is_some() && timeless("d") == timeless("e"));
        assert_eq!([timeless("f"), timeless("g")], [None, None]);
    }

    #[test]
    fn an_archive_that_breaks_off_is_told() {
        let bytes = archive(&[("a", Regular, &[1; 2000], 0o644)]);
        assert!(FileIndex::read(&bytes[..1500]).is_err());
        let lost = archive(&[("a", Link, b"b", 0o644)]);
        let error = FileIndex::read(&lost[..]).expect_err("no such file").to_string();
        assert_eq!(error, "/a is another name of a file that is not there");
    }
}
