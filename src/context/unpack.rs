//! Reading tar archives that others have made: any compression, nothing that leads out of its place.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use super::entries::archive_mode;

/// More bytes than this are not unpacked from one archive.
const UNPACKED_LIMIT: u64 = 16 << 30;

/// More members than this are not read from one archive.
const MEMBER_LIMIT: u64 = 4_000_000;

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArchiveFault {
    #[error("it is not a tar archive (compressed with gzip, bzip2, xz, zstd or not at all)")]
    NotTar,
    #[error("refusing the archive: its entry '{entry}' {why}")]
    Hostile { entry: String, why: String },
    #[error("refusing the archive: it unpacks to more than {0} bytes")]
    TooLarge(u64),
    #[error("refusing the archive: it has more than {0} entries")]
    TooMany(u64),
    #[error("the archive is damaged: {0}")]
    Damaged(io::Error),
    #[error("{0}")]
    Output(io::Error),
}

/// One member of an archive, its name checked.
#[derive(Debug)]
pub(super) struct Member {
    pub name: PathBuf,
    pub kind: MemberKind,
    pub mode: u32,
}

/// What a [`Member`] is.
#[derive(Debug)]
pub(super) enum MemberKind {
    Directory,
    File(u64),
    Symlink(PathBuf),
    HardLink(PathBuf),
}

/// Checks archives that are unpacked into one place, one after the other.
#[derive(Debug)]
pub(super) struct Inspector {
    /// Names of symbolic links so far: nothing may be unpacked through one.
    links: HashSet<PathBuf>,
    unpacked_limit: u64,
}

impl Inspector {
    pub(super) fn new() -> Inspector {
        Inspector { links: HashSet::new(), unpacked_limit: UNPACKED_LIMIT }
    }

    /// Reads the archive and hands over each member with its content; the first fault ends it.
    pub(super) fn read(
        &mut self,
        archive: &Path,
        mut take: impl FnMut(Member, &mut dyn Read) -> io::Result<()>,
    ) -> Result<(), ArchiveFault> {
        let stream = open(archive)?;
        let mut tar = tar::Archive::new(Limited { inner: stream, left: self.unpacked_limit });
        let fault = |error: io::Error| match error.kind() {
            io::ErrorKind::FileTooLarge => ArchiveFault::TooLarge(self.unpacked_limit),
            _ => ArchiveFault::Damaged(error),
        };
        let mut count = 0;
        for entry in tar.entries().map_err(fault)? {
            let mut entry = match entry {
                Ok(entry) => entry,
                // A wrong checksum right at the start: the file is something else.
                Err(error) if count == 0 && error.kind() != io::ErrorKind::FileTooLarge => {
                    return Err(ArchiveFault::NotTar);
                }
                Err(error) => return Err(fault(error)),
            };
            count += 1;
            if count > MEMBER_LIMIT {
                return Err(ArchiveFault::TooMany(MEMBER_LIMIT));
            }
            if let Some(member) =
                member(&mut entry).map_err(fault)?.map_err(|(entry, why)| hostile(&entry, why))?
            {
                check_place(&member, &self.links).map_err(|why| hostile(&member.name, why))?;
                match member.kind {
                    MemberKind::Symlink(_) => drop(self.links.insert(member.name.clone())),
                    // What comes later under a link's name takes its place.
                    _ => drop(self.links.remove(&member.name)),
                }
                take(member, &mut entry).map_err(|error| match error.kind() {
                    io::ErrorKind::FileTooLarge | io::ErrorKind::UnexpectedEof => fault(error),
                    _ => ArchiveFault::Output(error),
                })?;
            }
        }
        if count == 0 && archive.metadata().map_err(ArchiveFault::Damaged)?.len() == 0 {
            return Err(ArchiveFault::NotTar);
        }
        Ok(())
    }

    /// Reads the archive to its end for its faults alone.
    pub(super) fn check(archive: &Path) -> Result<(), ArchiveFault> {
        Inspector::new().read(archive, |_, content| io::copy(content, &mut io::sink()).map(drop))
    }
}

fn hostile(entry: &Path, why: impl Into<String>) -> ArchiveFault {
    ArchiveFault::Hostile { entry: entry.display().to_string(), why: why.into() }
}

/// Why an entry is refused, and its name.
type Refusal = (PathBuf, &'static str);

/// What an entry is; none when it only describes others.
fn member<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Result<Option<Member>, Refusal>> {
    let raw_name = entry.path()?.into_owned();
    let target = entry.link_name()?.map(std::borrow::Cow::into_owned).unwrap_or_default();
    let mode = archive_mode(entry.header().mode()?);
    let pax_sparse = entry.pax_extensions()?.into_iter().flatten().flatten();
    let refuse = |why| Ok(Err((raw_name.clone(), why)));
    if pax_sparse.into_iter().any(|extension| extension.key_bytes().starts_with(b"GNU.sparse.")) {
        return refuse("is a sparse file in the pax format, which is not supported");
    }
    let kind = match entry.header().entry_type() {
        tar::EntryType::Directory => MemberKind::Directory,
        tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
            MemberKind::File(entry.size())
        }
        tar::EntryType::Symlink => MemberKind::Symlink(target),
        tar::EntryType::Link => match normal(&target) {
            Ok(target) => MemberKind::HardLink(target),
            Err(_) => return refuse("is a hard link that leads out of the archive"),
        },
        tar::EntryType::XGlobalHeader => return Ok(Ok(None)),
        tar::EntryType::Block | tar::EntryType::Char => return refuse("is a device node"),
        tar::EntryType::Fifo => return refuse("is a named pipe"),
        _ => return refuse("is of an unknown type"),
    };
    match normal(&raw_name) {
        Ok(name) if name.as_os_str().is_empty() => Ok(Ok(None)),
        Ok(name) => Ok(Ok(Some(Member { name, kind, mode }))),
        Err(why) => refuse(why),
    }
}

/// A name without `.`, or why it is refused.
fn normal(name: &Path) -> Result<PathBuf, &'static str> {
    let mut clean = PathBuf::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err("has '..' in its name"),
            Component::RootDir | Component::Prefix(_) => return Err("has an absolute name"),
        }
    }
    Ok(clean)
}

/// Says why a member would leave its place once it is unpacked.
fn check_place(member: &Member, links: &HashSet<PathBuf>) -> Result<(), String> {
    let through =
        |name: &Path| name.ancestors().skip(1).find(|parent| links.contains(*parent)).map(Path::to_path_buf);
    if let Some(link) = through(&member.name) {
        return Err(format!("would be unpacked through the link '{}'", link.display()));
    }
    match &member.kind {
        MemberKind::Symlink(target) if leads_out(&member.name, target) => {
            Err(format!("is a link to '{}', which is or may be outside of the archive", target.display()))
        }
        MemberKind::HardLink(target) if through(target).is_some() || links.contains(target) => {
            Err("is a hard link through a symbolic link".to_string())
        }
        _ => Ok(()),
    }
}

/// True unless the target of the link `name` surely is inside: `..` only at its start and not above the top. After
/// another part, `..` may be the parent of whatever that part is a link to.
fn leads_out(name: &Path, target: &Path) -> bool {
    let mut depth = name.components().count() - 1;
    let mut descended = false;
    for part in target.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(_) => descended = true,
            Component::ParentDir if !descended && depth > 0 => depth -= 1,
            _ => return true,
        }
    }
    false
}

/// Opens a file and takes the compression off that its first bytes tell.
fn open(path: &Path) -> Result<Box<dyn Read>, ArchiveFault> {
    let file = File::open(path).map_err(ArchiveFault::Damaged)?;
    let mut file = BufReader::with_capacity(64 * 1024, file);
    let start = file.fill_buf().map_err(ArchiveFault::Damaged)?;
    Ok(match start {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let memory_limit_kib = 512 * 1024;
            Box::new(lzma_rust2::XzReader::new_mem_limit(file, true, memory_limit_kib))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(ZstdFrames { frame: None, rest: Some(file) }),
        _ => Box::new(file),
    })
}

/// A zstd file is one frame after the other, a decoder is for one.
struct ZstdFrames<R: BufRead> {
    frame: Option<ruzstd::decoding::StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>,
    rest: Option<R>,
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let count = frame.read(buffer)?;
                if count > 0 || buffer.is_empty() {
                    return Ok(count);
                }
                self.rest = self.frame.take().map(ruzstd::decoding::StreamingDecoder::into_inner);
            }
            let Some(rest) = &mut self.rest else { return Ok(0) };
            if rest.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.frame = match self.rest.take() {
                Some(rest) => Some(
                    ruzstd::decoding::StreamingDecoder::new(rest)
                        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?,
                ),
                None => None,
            };
        }
    }
}

/// Fails once more than `left` bytes were read.
struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// An archive with raw names, as no well-meaning tool writes it.
    fn archive(members: &[(tar::EntryType, &str, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (kind, name, content) in members {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o444);
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            let is_file = *kind == tar::EntryType::Regular;
            if !is_file {
                header.as_gnu_mut().unwrap().linkname[..content.len()].copy_from_slice(content.as_bytes());
            }
            let content = if is_file { content.as_bytes() } else { b"" };
            header.set_size(content.len() as u64);
            header.set_cksum();
            tar.append(&header, content).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn inspect(bytes: &[u8]) -> Result<Vec<String>, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut names = Vec::new();
        let mut inspector = Inspector { unpacked_limit: 1 << 20, ..Inspector::new() };
        inspector
            .read(file.path(), |member, content| {
                names.push(member.name.display().to_string());
                io::copy(content, &mut io::sink()).map(drop)
            })
            .map(|()| names)
            .map_err(|fault| fault.to_string())
    }

    use tar::EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};

    #[test]
    fn ordinary_archives_pass() {
        let members = [
            (Directory, "./", ""),
            (Directory, "a/", ""),
            (Regular, "./a/file", "text"),
            (Symlink, "a/link", "../b"),
            (Symlink, "a/here", "file"),
            (Link, "twin", "a/file"),
            (Regular, "a/.../odd..name", ""),
        ];
        let names = ["a", "a/file", "a/link", "a/here", "twin", "a/.../odd..name"].map(String::from);
        assert_eq!(inspect(&archive(&members)), Ok(names.to_vec()));
    }

    #[test]
    fn hostile_members_are_refused_by_name() {
        for (members, entry, why) in [
            (vec![(Regular, "/etc/passwd", "")], "/etc/passwd", "absolute name"),
            (vec![(Regular, "a/../../x", "")], "a/../../x", "'..' in its name"),
            (vec![(Symlink, "out", "/etc")], "out", "link to '/etc'"),
            (vec![(Symlink, "a/out", "../../x")], "a/out", "link to '../../x'"),
            (vec![(Symlink, "a/b/up", "../.."), (Symlink, "a/b/out", "up/..")], "a/b/out", "link to 'up/..'"),
            (vec![(Symlink, "s", "."), (Symlink, "s/out", "..")], "s/out", "through the link 's'"),
            (vec![(Link, "out", "../x")], "out", "hard link that leads out"),
            (vec![(Link, "out", "/etc/shadow")], "out", "hard link that leads out"),
            (vec![(Symlink, "s", "a"), (Link, "t", "s")], "t", "hard link through"),
            (vec![(Block, "disk", "")], "disk", "device node"),
            (vec![(Char, "null", "")], "null", "device node"),
            (vec![(Fifo, "pipe", "")], "pipe", "named pipe"),
        ] {
            let error = inspect(&archive(&members)).unwrap_err();
            assert!(error.contains(&format!("entry '{entry}'")) && error.contains(why), "{error}");
        }
    }

    #[test]
    fn every_compression_is_read_and_bombs_stop() {
        let good = archive(&[(Regular, "file", "text")]);
        let bomb = archive(&[(Regular, "zeros", &"\0".repeat(2 << 20))]);
        for compressed in [compressions(&good), compressions(&bomb)].into_iter().flatten().enumerate() {
            let (number, bytes) = compressed;
            let found = inspect(&bytes);
            if number < 5 {
                assert_eq!(found, Ok(vec!["file".to_string()]), "{number}");
            } else {
                assert_eq!(found.unwrap_err(), "refusing the archive: it unpacks to more than 1048576 bytes");
            }
        }
    }

    /// The bytes as they are and in each compression; zstd and xz in the form that their own tools write.
    fn compressions(bytes: &[u8]) -> [Vec<u8>; 5] {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip.write_all(bytes).unwrap();
        let options = lzma_rust2::XzOptions::with_preset(1);
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        xz.write_all(bytes).unwrap();
        // Two frames, as parallel compressors make them.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let level = || ruzstd::encoding::CompressionLevel::Fastest;
        let mut zstd = ruzstd::encoding::compress_to_vec(first, level());
        zstd.extend(ruzstd::encoding::compress_to_vec(second, level()));
        [bytes.to_vec(), gzip.finish().unwrap(), bzip.finish().unwrap(), xz.finish().unwrap(), zstd]
    }

    #[test]
    fn what_is_not_an_archive_is_said_so() {
        for bytes in [&b""[..], b"#!/bin/sh\n", &[b'x'; 2000]] {
            assert!(inspect(bytes).unwrap_err().contains("not a tar archive"));
        }
        let mut cut = archive(&[(Regular, "file", &"text".repeat(1000))]);
        cut.truncate(1500);
        assert!(inspect(&cut).unwrap_err().contains("damaged"));
    }
}
