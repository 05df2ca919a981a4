//! How much is taken of an archive of others: bounded before any of it is allocated or written.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use super::fault::{ArchiveFault, BLOCK};

/// Most that is taken of one archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct ArchiveLimits {
    /// Bytes without compression, and of all members together: a sparse one has more than the archive holds.
    pub unpacked: u64,
    /// Members of the archive, directories included.
    pub members: u64,
    /// Bytes that stand before one member: its header, long names, pax records, the map of a sparse file.
    pub header: u64,
    /// Bytes of all names together.
    pub names: u64,
}

/// More than any source has: Linux has 90,000 files in 1.5 GiB, with 5 MiB of names.
pub(super) const LIMITS: ArchiveLimits =
    ArchiveLimits { unpacked: 16 << 30, members: 4_000_000, header: 1 << 20, names: 256 << 20 };

/// The longest name, and the longest target of a link; no system opens a longer one.
pub(super) const LONGEST_NAME: usize = 4096;

/// The deepest place of a member.
pub(super) const DEEPEST: usize = 256;

/// Rest that may still be read of an archive. Known to the reader below `tar`, which gathers whole names and records
/// before it gives them, and to the loop above.
pub(super) struct Allowance {
    limits: ArchiveLimits,
    unpacked: Cell<u64>,
    members: Cell<u64>,
    names: Cell<u64>,
    /// Bytes before the next member's content.
    header: Cell<u64>,
    /// Which member comes next, from 1.
    number: Cell<u64>,
}

impl Allowance {
    /// All that an archive may have.
    pub fn of(limits: ArchiveLimits) -> Allowance {
        Allowance {
            limits,
            unpacked: Cell::new(limits.unpacked),
            members: Cell::new(limits.unpacked),
            names: Cell::new(limits.names),
            header: Cell::new(u64::MAX),
            number: Cell::new(0),
        }
    }

    /// The next member begins: all that is read now stands before its content.
    pub fn next_header(&self, number: u64) {
        self.number.set(number);
        // The end of the last member's last block comes with it.
        self.header.set(self.limits.header + BLOCK as u64);
    }

    /// All that is left is content.
    pub fn no_header(&self) {
        self.header.set(u64::MAX);
    }

    /// Counts bytes that were read.
    fn spend(&self, count: u64) -> Result<(), ArchiveFault> {
        let ArchiveLimits { unpacked, header, .. } = self.limits;
        spend(&self.unpacked, count).ok_or(ArchiveFault::TooLarge(unpacked))?;
        spend(&self.header, count).ok_or(ArchiveFault::LongHeader(self.number.get(), header))
    }

    /// Counts what a member will have, and lets it be read.
    pub fn take<R: Read>(&self, entry: &tar::Entry<'_, R>) -> Result<(), ArchiveFault> {
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
        self.no_header();
        Ok(())
    }
}

fn spend(left: &Cell<u64>, count: u64) -> Option<()> {
    left.set(left.get().checked_sub(count)?);
    Some(())
}

/// A reader that ends with a fault where the allowance does.
pub(super) struct Allowed<R> {
    pub inner: R,
    pub allowance: Rc<Allowance>,
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
