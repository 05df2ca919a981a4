//! Reading tar archives that others have made: any compression, nothing that leads out of its place, and nothing that
//! grows without bound. Every archive is read to its end, so that a damaged one is known before any of it is used.

mod decompress;
mod fault;
mod limits;
mod times;

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use crate::context::entries::archive_mode;
use crate::util::input;
use decompress::decompressed;
pub(crate) use fault::ArchiveFault;
use fault::BLOCK;
use limits::{Allowance, Allowed, ArchiveLimits, DEEPEST, LIMITS};
use times::check_times;

/// One member of an archive, its name checked.
#[derive(Debug)]
pub(crate) struct ArchiveMember {
    pub name: PathBuf,
    pub kind: MemberKind,
    pub mode: u32,
}

/// Kind of an [`ArchiveMember`].
#[derive(Debug)]
pub(crate) enum MemberKind {
    Directory,
    File(u64),
    Symlink(PathBuf),
    HardLink(PathBuf),
}

/// Checks archives that are unpacked into one place, one after the other.
#[derive(Debug)]
pub(crate) struct Inspector {
    /// Names of symbolic links so far: nothing may be unpacked through one.
    links: HashSet<PathBuf>,
    limits: ArchiveLimits,
}

impl Inspector {
    pub(crate) fn new() -> Inspector {
        Inspector { links: HashSet::new(), limits: LIMITS }
    }

    /// Reads the archive to its end and hands over each member with its content; the first fault ends it.
    pub(crate) fn read(
        &mut self,
        archive: &Path,
        mut take: impl FnMut(ArchiveMember, &mut dyn Read) -> io::Result<()>,
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
        allowance.no_header();
        to_end(tar.into_inner()).map_err(|fault| fault.after(last.as_deref()))
    }

    /// Reads the archive to its end for its faults alone.
    pub(crate) fn check(archive: &Path) -> Result<(), ArchiveFault> {
        Inspector::new().read(archive, |_, content| io::copy(content, &mut io::sink()).map(drop))
    }

    fn members<R: Read>(
        &mut self,
        tar: &mut tar::Archive<R>,
        allowance: &Allowance,
        last: &mut Option<PathBuf>,
        take: &mut impl FnMut(ArchiveMember, &mut dyn Read) -> io::Result<()>,
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
    fn admit(&mut self, member: &ArchiveMember) -> Result<(), ArchiveFault> {
        check_place(member, &self.links).map_err(|why| hostile(&member.name, why))?;
        match member.kind {
            MemberKind::Symlink(_) => drop(self.links.insert(member.name.clone())),
            // What comes later under a link's name takes its place.
            _ => drop(self.links.remove(&member.name)),
        }
        Ok(())
    }
}

/// Fault behind an error of handing a member on: of the archive, or of what it was put into.
fn of_taking(error: io::Error) -> ArchiveFault {
    match error.downcast() {
        Ok(fault) => fault,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => ArchiveFault::Damaged(error),
        Err(error) => ArchiveFault::Output(error),
    }
}

/// Reads the rest behind the last member: it may be anything, but readable, for checksums come at the end.
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

fn hostile(entry: &Path, why: impl Into<String>) -> ArchiveFault {
    ArchiveFault::Hostile { entry: entry.display().to_string(), why: why.into() }
}

/// Why an entry is refused, and its name.
type RefusedMember = (PathBuf, Cow<'static, str>);

/// Member that an entry is; none when it only describes others.
fn member<R: Read>(
    entry: &mut tar::Entry<'_, R>,
) -> io::Result<Result<Option<ArchiveMember>, RefusedMember>> {
    let raw_name = entry.path()?.into_owned();
    let target = entry.link_name()?.map(Cow::into_owned).unwrap_or_default();
    let mode = archive_mode(entry.header().mode()?);
    let refuse = |why: &'static str| Ok(Err((raw_name.clone(), Cow::from(why))));
    if let Err(why) = check_times(entry)? {
        return refuse(why);
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
        Ok(name) => Ok(Ok(Some(ArchiveMember { name, kind, mode }))),
        Err(why) => Ok(Err((raw_name, why))),
    }
}

/// A name without `.`, or why it is refused.
fn normal(name: &Path) -> Result<PathBuf, Cow<'static, str>> {
    let mut clean = PathBuf::new();
    for (depth, part) in name.components().enumerate() {
        if depth >= DEEPEST {
            return Err(format!("is more than {DEEPEST} directories deep").into());
        }
        match part {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err("has '..' in its name".into()),
            Component::RootDir | Component::Prefix(_) => return Err("has an absolute name".into()),
        }
    }
    Ok(clean)
}

/// Says why a member would leave its place once it is unpacked.
fn check_place(member: &ArchiveMember, links: &HashSet<PathBuf>) -> Result<(), Cow<'static, str>> {
    let through =
        |name: &Path| name.ancestors().skip(1).find(|parent| links.contains(*parent)).map(Path::to_path_buf);
    if let Some(link) = through(&member.name) {
        return Err(format!("would be unpacked through the link '{}'", link.display()).into());
    }
    match &member.kind {
        MemberKind::Symlink(target) if leads_out(&member.name, target) => {
            Err(format!("is a link to '{}', which is or may be outside of the archive", target.display())
                .into())
        }
        MemberKind::HardLink(target) if through(target).is_some() || links.contains(target) => {
            Err("is a hard link through a symbolic link".into())
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
mod tests;
