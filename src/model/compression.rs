//! Compressions that Linux knows of an initramfs.

use std::fmt;

/// Compression of an initramfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard: unpacked fastest.
    Zstd,
    /// gzip, which every kernel unpacks.
    Gzip,
    /// xz: the smallest.
    Xz,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compression::Zstd => "zstd",
            Compression::Gzip => "gzip",
            Compression::Xz => "xz",
        })
    }
}
