//! The file system of an image, kept on disk as the engine sends it: none is small, and no two engines need send it in
//! the same order.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::export::ramdisk::tree::{FileTree, NodeContent, TreeNode, type_bits};

/// So much is read at once.
const PIECE: usize = 64 << 10;

/// A tar archive in a file without a name, which goes with this value.
pub struct Spool(File);

impl Spool {
    /// Makes an empty one beside what is to be written.
    pub fn new(dir: &Path) -> io::Result<Spool> {
        tempfile::tempfile_in(dir).map(Spool)
    }

    /// Adds a piece at the end.
    pub fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.0.write_all(piece)
    }

    /// What is in it, once it is complete.
    pub fn tree(&mut self) -> io::Result<FileTree> {
        self.0.seek(SeekFrom::Start(0))?;
        let mut archive = tar::Archive::new(&self.0);
        let mut tree = FileTree::default();
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            let name = entry.path_bytes().into_owned();
            let target = entry.link_name_bytes().map(|target| target.into_owned()).unwrap_or_default();
            let kind = entry.header().entry_type();
            if kind == tar::EntryType::Link {
                tree.add_hard_link(&name, &target);
            } else if let Some(kind_bits) = type_bits(kind) {
                tree.add(&name, node(&entry, kind_bits, target)?);
            } else if kind != tar::EntryType::XGlobalHeader {
                let message = format!("{} is of an unknown type", String::from_utf8_lossy(&name));
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
        }
        Ok(tree)
    }

    /// Copies bytes of it.
    pub fn copy(&self, offset: u64, size: u64, out: &mut dyn Write) -> io::Result<()> {
        let (mut piece, mut at, end) = (vec![0; PIECE], offset, offset + size);
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            self.0.read_exact_at(&mut piece[..wanted], at)?;
            out.write_all(&piece[..wanted])?;
            at += wanted as u64;
        }
        Ok(())
    }
}

fn node<R: Read>(entry: &tar::Entry<'_, R>, kind_bits: u32, target: Vec<u8>) -> io::Result<TreeNode> {
    let header = entry.header();
    let content = match (entry.size(), target.is_empty()) {
        (_, false) => NodeContent::Text(target),
        (0, true) => NodeContent::Empty,
        (size, true) => {
            NodeContent::Spooled { offset: entry.raw_file_position(), size: of_cpio(size, "bytes")? }
        }
    };
    // Of no other kind every writer fills the fields.
    let device = match header.entry_type() {
        tar::EntryType::Char | tar::EntryType::Block => {
            (header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0))
        }
        _ => (0, 0),
    };
    Ok(TreeNode {
        mode: kind_bits | header.mode()? & 0o7777,
        uid: of_cpio(header.uid()?, "as a user")?,
        gid: of_cpio(header.gid()?, "as a group")?,
        mtime: of_cpio(header.mtime()?, "as a time").unwrap_or(u32::MAX),
        device,
        content,
    })
}

/// A number as cpio has it.
fn of_cpio(number: u64, what: &str) -> io::Result<u32> {
    let too_much = || io::Error::new(io::ErrorKind::InvalidData, format!("cpio can't hold {number} {what}"));
    u32::try_from(number).map_err(|_| too_much())
}
