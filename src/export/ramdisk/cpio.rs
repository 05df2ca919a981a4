//! The format that Linux unpacks an initramfs from: cpio, `newc` (Documentation/driver-api/early-userspace/buffer-format).

/// Everything in an archive is a multiple of so many bytes.
const ALIGNMENT: u64 = 4;

/// An archive ends on a multiple of so many bytes, as cpio writes it.
const BLOCK: u64 = 512;

/// Name of the member that ends an archive.
const TRAILER: &[u8] = b"TRAILER!!!";

/// Bytes of a header without the name.
const HEADER: u64 = 110;

/// Header of one member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpioHeader {
    /// Path without a slash in front.
    pub name: Vec<u8>,
    /// Number that all names of one file share.
    pub inode: u32,
    /// Type and permissions, as in `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// How many names the file has in the archive.
    pub links: u32,
    /// Time of its last change, in seconds since 1970.
    pub mtime: u32,
    /// Bytes of content that follow.
    pub size: u32,
    /// Numbers of a device node.
    pub device: (u32, u32),
}

impl CpioHeader {
    /// The header as it stands in an archive, before the content.
    pub fn encoded(&self) -> Vec<u8> {
        let name_size = u32::try_from(self.name.len() + 1).unwrap_or(u32::MAX);
        let fields = [
            self.inode,
            self.mode,
            self.uid,
            self.gid,
            self.links,
            self.mtime,
            self.size,
            0,
            0,
            self.device.0,
            self.device.1,
            name_size,
            0,
        ];
        let mut bytes = b"070701".to_vec();
        bytes.extend(fields.iter().flat_map(|field| format!("{field:08X}").into_bytes()));
        bytes.extend_from_slice(&self.name);
        bytes.resize(bytes.len() + 1 + padding(HEADER + u64::from(name_size)), 0);
        bytes
    }
}

/// Zeros that follow so many bytes.
pub fn padding(bytes: u64) -> usize {
    usize::try_from(bytes.next_multiple_of(ALIGNMENT) - bytes).unwrap_or_default()
}

/// What ends an archive of so many bytes.
pub fn end(written: u64) -> Vec<u8> {
    let mut bytes = CpioHeader { name: TRAILER.to_vec(), links: 1, ..CpioHeader::default() }.encoded();
    let total = written + bytes.len() as u64;
    bytes.resize(bytes.len() + usize::try_from(total.next_multiple_of(BLOCK) - total).unwrap_or_default(), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_as_cpio_reads_it() {
        let header = CpioHeader {
            name: b"dev/null".to_vec(),
            inode: 10,
            mode: 0o020_666,
            links: 1,
            mtime: 255,
            device: (1, 3),
            ..CpioHeader::default()
        };
        let encoded = header.encoded();
        assert_eq!(encoded.len() % 4, 0);
        assert_eq!(
            String::from_utf8_lossy(&encoded).trim_end_matches('\0'),
            concat!(
                "070701", "0000000A", "000021B6", "00000000", "00000000", "00000001", "000000FF", "00000000",
                "00000000", "00000000", "00000001", "00000003", "00000009", "00000000", "dev/null"
            )
        );
    }

    #[test]
    fn archives_end_on_a_whole_block() {
        for written in [0, 4, 388, 392, 512] {
            assert_eq!((written + end(written).len() as u64) % 512, 0, "{written}");
        }
        assert_eq!([4, 5, 6, 7, 8].map(padding), [0, 3, 2, 1, 0]);
    }
}
