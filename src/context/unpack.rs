//! Reading tar archives that others have made: any compression, nothing that leads out of its place, and nothing that
//! grows without bound. Every archive is read to its end, so that a damaged one is known before any of it is used.

use std::cell::Cell;
use std::collections::HashSet;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use super::decompress::decompressed;
use super::entries::archive_mode;
use super::member_times::check_times;
use crate::util::input;

/// What is taken of one archive.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Bytes without compression, and of all members together: a sparse one has more than the archive holds.
    unpacked: u64,
    /// Members.
    members: u64,
    /// Bytes that stand before one member: its header, long names, pax records, the map of a sparse file.
    header: u64,
    /// Bytes of all names together.
    names: u64,
}

/// More than any source has: Linux has 90,000 files in 1.5 GiB, with 5 MiB of names.
const LIMITS: Limits = Limits { unpacked: 16 << 30, members: 4_000_000, header: 1 << 20, names: 256 << 20 };

/// The longest name, and the longest target of a link; no system opens a longer one.
const LONGEST_NAME: usize = 4096;

/// The deepest place of a member.
const DEEPEST: usize = 256;

/// Bytes of a header, and what members are filled up to.
const BLOCK: usize = 512;

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArchiveFault {
    #[error("it is not a tar archive (compressed with gzip, bzip2, xz, zstd or not at all)")]
    NotTar,
    #[error("refusing the archive: its entry '{entry}' {why}")]
    Hostile { entry: String, why: String },
    #[error("refusing the archive: it unpacks to more than {0} bytes")]
    TooLarge(u64),
    #[error("refusing the archive: its entry {0} has more than {1} bytes of names and other records")]
    LongHeader(u64, u64),
    #[error("refusing the archive: it has more than {0} entries")]
    TooMany(u64),
    #[error("refusing the archive: its names have more than {0} bytes")]
    LongNames(u64),
    #[error("the archive is damaged: {0}")]
    Damaged(io::Error),
    #[error("the archive is damaged after its entry '{0}': {1}")]
    DamagedAfter(String, io::Error),
    #[error("{0}")]
    Output(io::Error),
}

impl ArchiveFault {
    /// What an error of reading is; one of ours was only carried by it.
    fn of_reading(error: io::Error) -> ArchiveFault {
        error.downcast().unwrap_or_else(ArchiveFault::Damaged)
    }

    /// The same, for who knows what was read last.
    fn after(self, entry: Option<&Path>) -> ArchiveFault {
        match (self, entry) {
            (ArchiveFault::Damaged(error), Some(entry)) => {
                ArchiveFault::DamagedAfter(entry.display().to_string(), error)
            }
            (fault, _) => fault,
        }
    }

    /// Goes through readers that know nothing of it.
    fn carried(self, kind: io::ErrorKind) -> io::Error {
        io::Error::new(kind, self)
    }
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
    limits: Limits,
}

impl Inspector {
    pub(super) fn new() -> Inspector {
        Inspector { links: HashSet::new(), limits: LIMITS }
    }

    /// Reads the archive to its end and hands over each member with its content; the first fault ends it.
    pub(super) fn read(
        &mut self,
        archive: &Path,
        mut take: impl FnMut(Member, &mut dyn Read) -> io::Result<()>,
    ) -> Result<(), ArchiveFault> {
        let file = input::open(archive).map_err(ArchiveFault::Damaged)?;
        let stream = decompressed(file).map_err(ArchiveFault::Damaged)?;
        let allowance = Rc::new(Allowance::of(self.limits));
        let mut stream = Allowed { inner: stream, allowance: Rc::clone(&allowance) };
        let mut start = Vec::with_capacity(BLOCK);
        stream.by_ref().take(BLOCK as u64).read_to_end(&mut start).map_err(ArchiveFault::of_reading)?;
        if !is_tar(&start) {
            // Its compression may be damaged all the same.
            return Err(to_end(stream).err().unwrap_or(ArchiveFault::NotTar));
        }
        let mut tar = tar::Archive::new(start.chain(stream));
        let mut last = None;
        self.members(&mut tar, &allowance, &mut last, &mut take)
            .map_err(|fault| fault.after(last.as_deref()))?;
        allowance.header.set(u64::MAX);
        to_end(tar.into_inner()).map_err(|fault| fault.after(last.as_deref()))
    }

    /// Reads the archive to its end for its faults alone.
    pub(super) fn check(archive: &Path) -> Result<(), ArchiveFault> {
        Inspector::new().read(archive, |_, content| io::copy(content, &mut io::sink()).map(drop))
    }

    fn members<R: Read>(
        &mut self,
        tar: &mut tar::Archive<R>,
        allowance: &Allowance,
        last: &mut Option<PathBuf>,
        take: &mut impl FnMut(Member, &mut dyn Read) -> io::Result<()>,
    ) -> Result<(), ArchiveFault> {
        let mut entries = tar.entries().map_err(ArchiveFault::of_reading)?;
        for count in 1.. {
            // All that is read to find the next member stands before it, for the last was read to its end.
            allowance.next_header(count);
            let Some(entry) = entries.next() else { break };
            let mut entry = entry.map_err(ArchiveFault::of_reading)?;
            if count > self.limits.members {
                return Err(ArchiveFault::TooMany(self.limits.members));
            }
            allowance.take(&entry)?;
            let member = member(&mut entry).map_err(ArchiveFault::of_reading)?;
            if let Some(member) = member.map_err(|(entry, why)| hostile(&entry, why))? {
                self.admit(&member)?;
                *last = Some(member.name.clone());
                take(member, &mut entry).map_err(of_taking)?;
            }
            io::copy(&mut entry, &mut io::sink()).map_err(ArchiveFault::of_reading)?;
        }
        Ok(())
    }

    /// Refuses what would be unpacked out of its place, and notes links.
    fn admit(&mut self, member: &Member) -> Result<(), ArchiveFault> {
        check_place(member, &self.links).map_err(|why| hostile(&member.name, why))?;
        match member.kind {
            MemberKind::Symlink(_) => drop(self.links.insert(member.name.clone())),
            // What comes later under a link's name takes its place.
            _ => drop(self.links.remove(&member.name)),
        }
        Ok(())
    }
}

/// What an error of handing a member on is: of the archive, or of what it was put into.
fn of_taking(error: io::Error) -> ArchiveFault {
    match error.downcast() {
        Ok(fault) => fault,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => ArchiveFault::Damaged(error),
        Err(error) => ArchiveFault::Output(error),
    }
}

/// What follows the last member may be anything, but it must be readable: checksums come at the end.
fn to_end(mut stream: impl Read) -> Result<(), ArchiveFault> {
    io::copy(&mut stream, &mut io::sink()).map(drop).map_err(ArchiveFault::of_reading)
}

/// True for the first block of an archive, also for one that is damaged: what looks like no archive at all is a program.
fn is_tar(start: &[u8]) -> bool {
    let Ok(block) = <&[u8; BLOCK]>::try_from(start) else { return false };
    if block.iter().all(|byte| *byte == 0) || block[257..262] == *b"ustar" {
        return true;
    }
    // The checksum's own field counts as spaces.
    let bytes = block[..148].iter().chain(&[b' '; 8]).chain(&block[156..]);
    let sum: u32 = bytes.map(|byte| u32::from(*byte)).sum();
    tar::Header::from_byte_slice(block).cksum().is_ok_and(|told| told == sum)
}

/// What may still be read of an archive. Known to the reader below `tar`, which gathers whole names and records before it
/// gives them, and to the loop above.
struct Allowance {
    limits: Limits,
    unpacked: Cell<u64>,
    members: Cell<u64>,
    names: Cell<u64>,
    /// Bytes before the next member's content.
    header: Cell<u64>,
    /// Which member comes next, from 1.
    number: Cell<u64>,
}

impl Allowance {
    fn of(limits: Limits) -> Allowance {
        Allowance {
            limits,
            unpacked: Cell::new(limits.unpacked),
            members: Cell::new(limits.unpacked),
            names: Cell::new(limits.names),
            header: Cell::new(u64::MAX),
            number: Cell::new(0),
        }
    }

    fn next_header(&self, number: u64) {
        self.number.set(number);
        // The end of the last member's last block comes with it.
        self.header.set(self.limits.header + BLOCK as u64);
    }

    /// Counts bytes that were read.
    fn spend(&self, count: u64) -> Result<(), ArchiveFault> {
        let Limits { unpacked, header, .. } = self.limits;
        spend(&self.unpacked, count).ok_or(ArchiveFault::TooLarge(unpacked))?;
        spend(&self.header, count).ok_or(ArchiveFault::LongHeader(self.number.get(), header))
    }

    /// Counts what a member will have, and lets it be read.
    fn take<R: Read>(&self, entry: &tar::Entry<'_, R>) -> Result<(), ArchiveFault> {
        let name = entry.path_bytes();
        let target = entry.link_name_bytes().unwrap_or_default();
        let named = || String::from_utf8_lossy(&name[..name.len().min(LONGEST_NAME)]).into_owned();
        if name.len() > LONGEST_NAME || target.len() > LONGEST_NAME {
            let why = format!("has a name or a target of more than {LONGEST_NAME} bytes");
            return Err(ArchiveFault::Hostile { entry: named(), why });
        }
        spend(&self.names, name.len() as u64).ok_or(ArchiveFault::LongNames(self.limits.names))?;
        spend(&self.members, entry.size()).ok_or_else(|| ArchiveFault::Hostile {
            entry: named(),
            why: format!("makes it unpack to more than {} bytes", self.limits.unpacked),
        })?;
        self.header.set(u64::MAX);
        Ok(())
    }
}

fn spend(left: &Cell<u64>, count: u64) -> Option<()> {
    left.set(left.get().checked_sub(count)?);
    Some(())
}

/// A reader that ends with a fault where the allowance does.
struct Allowed<R> {
    inner: R,
    allowance: Rc<Allowance>,
}

impl<R: Read> Read for Allowed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.inner.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => return Err(ArchiveFault::Damaged(error).carried(io::ErrorKind::InvalidData)),
        };
        self.allowance.spend(count as u64).map_err(|fault| fault.carried(io::ErrorKind::FileTooLarge))?;
        Ok(count)
    }
}

fn hostile(entry: &Path, why: impl Into<String>) -> ArchiveFault {
    ArchiveFault::Hostile { entry: entry.display().to_string(), why: why.into() }
}

/// Why an entry is refused, and its name.
type Refusal = (PathBuf, String);

/// What an entry is; none when it only describes others.
fn member<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Result<Option<Member>, Refusal>> {
    let raw_name = entry.path()?.into_owned();
    let target = entry.link_name()?.map(std::borrow::Cow::into_owned).unwrap_or_default();
    let mode = archive_mode(entry.header().mode()?);
    let refuse = |why: &str| Ok(Err((raw_name.clone(), why.to_string())));
    if let Err(why) = check_times(entry)? {
        return refuse(&why);
    }
    let pax_sparse = entry.pax_extensions()?.into_iter().flatten().flatten();
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
        Err(why) => refuse(&why),
    }
}

/// A name without `.`, or why it is refused.
fn normal(name: &Path) -> Result<PathBuf, String> {
    let mut clean = PathBuf::new();
    for (depth, part) in name.components().enumerate() {
        if depth >= DEEPEST {
            return Err(format!("is more than {DEEPEST} directories deep"));
        }
        match part {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err("has '..' in its name".to_string()),
            Component::RootDir | Component::Prefix(_) => return Err("has an absolute name".to_string()),
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

    /// Small enough for tests to reach.
    const SMALL: Limits = Limits { unpacked: 1 << 20, members: 40, header: 8192, names: 10_000 };

    fn inspect(bytes: &[u8]) -> Result<Vec<String>, String> {
        inspect_with(bytes, |_, content| io::copy(content, &mut io::sink()).map(drop))
    }

    fn inspect_with(
        bytes: &[u8],
        mut take: impl FnMut(&Member, &mut dyn Read) -> io::Result<()>,
    ) -> Result<Vec<String>, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut names = Vec::new();
        let mut inspector = Inspector { limits: SMALL, ..Inspector::new() };
        let read = inspector.read(file.path(), |member, content| {
            names.push(member.name.display().to_string());
            take(&member, content)
        });
        read.map(|()| names).map_err(|fault| fault.to_string())
    }

    /// An archive of one member whose header was changed.
    fn changed(change: impl FnOnce(&mut tar::GnuHeader)) -> Vec<u8> {
        let mut bytes = archive(&[(Regular, "file", "")]);
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes().copy_from_slice(&bytes[..BLOCK]);
        change(header.as_gnu_mut().unwrap());
        header.set_cksum();
        bytes[..BLOCK].copy_from_slice(header.as_bytes());
        bytes
    }

    /// A member that only describes the next one, with so many bytes.
    fn described(kind: tar::EntryType, bytes: &[u8]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append(&header, bytes).unwrap();
        let mut described = tar.into_inner().unwrap();
        described.truncate(described.len() - 2 * BLOCK);
        described.extend(archive(&[(Regular, "file", "text")]));
        described
    }

    /// A sparse member of so many bytes, of which only the last ones are there.
    fn sparse(size: u64) -> Vec<u8> {
        changed(|header| {
            header.typeflag = *b"S";
            let number = |field: &mut [u8; 12], value: u64| {
                field[0] = 0x80;
                field[4..].copy_from_slice(&value.to_be_bytes());
            };
            number(&mut header.realsize, size);
            number(&mut header.sparse[0].offset, size);
            header.sparse[0].numbytes = *b"00000000000\0";
        })
    }

    #[test]
    fn nothing_grows_without_bound() {
        let long = |length: usize| vec![b'n'; length];
        let deep = |depth: usize| "d/".repeat(depth).into_bytes();
        let pax = |record: &str| {
            described(tar::EntryType::XHeader, format!("{} {record}\n", record.len() + 4).as_bytes())
        };
        let many: Vec<_> = (0..50).map(|_| (Regular, "file", "")).collect();
        let sizes: Vec<_> = (0..3).map(|_| (Regular, "file", "x")).collect();
        let mut names = Vec::new();
        for _ in 0..4 {
            let one = described(tar::EntryType::GNULongName, &long(3000));
            names.extend(&one[..one.len() - 2 * BLOCK]);
        }
        for (bytes, expected) in [
            (sparse(8 << 60), "entry 'file' makes it unpack to more than 1048576 bytes"),
            (sparse(40 << 30), "entry 'file' makes it unpack to more than 1048576 bytes"),
            (
                described(tar::EntryType::GNULongName, &long(9000)),
                "entry 1 has more than 8192 bytes of names",
            ),
            (
                described(tar::EntryType::GNULongLink, &long(9000)),
                "entry 1 has more than 8192 bytes of names",
            ),
            (described(tar::EntryType::XHeader, &long(9000)), "entry 1 has more than 8192 bytes of names"),
            (described(tar::EntryType::XGlobalHeader, &long(2 << 20)), "unpack to more than 1048576 bytes"),
            (
                described(tar::EntryType::GNULongName, &long(5000)),
                "a name or a target of more than 4096 bytes",
            ),
            (
                described(tar::EntryType::GNULongLink, &long(5000)),
                "a name or a target of more than 4096 bytes",
            ),
            (described(tar::EntryType::GNULongName, &deep(300)), "is more than 256 directories deep"),
            (pax("size=9223372036854775807"), "entry 'file' makes it unpack to more"),
            (pax("mtime=99999999999999"), "a time that no clock shows"),
            (pax("mtime=9999999999999999999"), "entry 'file' has a time that no clock shows"),
            (changed(|header| header.mtime = [0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "no clock shows"),
            (archive(&many), "it has more than 40 entries"),
            (names, "its names have more than 10000 bytes"),
            (archive(&sizes), ""),
            (sparse(1 << 20), ""),
            (described(tar::EntryType::GNULongName, &long(4000)), ""),
            (pax("mtime=1700000000.5"), ""),
        ] {
            match inspect(&bytes) {
                Ok(_) => assert_eq!(expected, ""),
                Err(error) => {
                    assert!(!expected.is_empty() && error.contains(expected), "{expected}: {error}")
                }
            }
        }
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
                let error = found.unwrap_err();
                assert!(error.ends_with("'zeros' makes it unpack to more than 1048576 bytes"), "{error}");
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
        assert!(inspect(&cut).unwrap_err().contains("damaged after its entry 'file'"));
        // What was to be an archive is not taken for a program.
        let mut spoilt = archive(&[(Regular, "file", "text")]);
        spoilt[0] ^= 1;
        assert!(inspect(&spoilt).unwrap_err().contains("damaged: archive header checksum mismatch"));
    }

    #[test]
    fn compressed_archives_are_read_to_their_trailer() {
        let good = archive(&[(Regular, "file", "text")]);
        let program = b"#!/bin/sh\n".to_vec();
        for (number, mut bytes) in compressions(&good).into_iter().chain(compressions(&program)).enumerate() {
            let is_program = number >= 5;
            // Each ends with a checksum, or with what tells where one is; bzip2 with bits of it.
            let last = bytes.len() - 2;
            bytes[last] ^= 0x40;
            match inspect(&bytes) {
                Ok(_) => assert_eq!(number, 0, "the end of no compression, which means nothing"),
                Err(error) if number == 5 => assert!(error.contains("not a tar"), "{error}"),
                Err(error) => assert!(error.contains("damaged"), "{number} {is_program}: {error}"),
            }
        }
    }

    /// An archive of all that there is.
    fn everything() -> Vec<u8> {
        let mut bytes =
            archive(&[(Directory, "a/", ""), (Regular, "a/file", "text"), (Symlink, "a/link", "file")]);
        bytes.truncate(bytes.len() - 2 * BLOCK);
        bytes.extend(&sparse(5000)[..BLOCK]);
        bytes.extend(described(tar::EntryType::XHeader, b"18 path=a/another\n"));
        bytes
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

        #[test]
        fn no_archive_leads_out_or_over_the_limits(
            compression in 0..5_usize,
            before in proptest::prelude::any::<bool>(),
            sums in proptest::prelude::any::<bool>(),
            flips in proptest::collection::vec((0.0..1.0_f64, 0..8_u32), 0..12),
        ) {
            let mut bytes = everything();
            let flip = |bytes: &mut Vec<u8>| for (place, bit) in &flips {
                let at = (place * bytes.len() as f64) as usize;
                bytes[at] ^= 1 << bit;
            };
            if before {
                flip(&mut bytes);
                // With right checksums a header comes further.
                for block in bytes.chunks_exact_mut(BLOCK).filter(|_| sums) {
                    if block[257..262] == *b"ustar" {
                        let mut header = tar::Header::new_gnu();
                        header.as_mut_bytes().copy_from_slice(block);
                        header.set_cksum();
                        block.copy_from_slice(header.as_bytes());
                    }
                }
            }
            let mut bytes = compressions(&bytes)[compression].clone();
            if !before {
                flip(&mut bytes);
            }
            let mut total = 0;
            let read = inspect_with(&bytes, |member, content| {
                let is_inside = member.name.components().all(|part| matches!(part, Component::Normal(_)));
                assert!(is_inside && member.name.as_os_str().len() <= LONGEST_NAME, "{member:?}");
                total += io::copy(content, &mut io::sink())?;
                Ok(())
            });
            proptest::prop_assert!(total <= SMALL.unpacked);
            proptest::prop_assert!(read.is_ok() || read.is_err_and(|error| !error.is_empty()));
        }

        #[test]
        fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2000)) {
            let _ = inspect(&bytes);
        }
    }
}
