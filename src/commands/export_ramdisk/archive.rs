//! Files of a ramdisk, written piece by piece: compressed, counted and hashed on their way.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use lzma_rust2::{CheckType, XzOptions, XzWriter};
use sha2::{Digest, Sha256};
use zstd::stream::raw::CParameter;

use crate::export::ramdisk::cpio;
use crate::export::ramdisk::tree::{CpioMember, NodeContent};
use crate::model::compression::Compression;
use crate::util::hex::hex;
use crate::util::write::Unfinished;

/// Beyond it a level takes several times as long for a few hundredths less.
const ZSTD_LEVEL: i32 = 12;

/// Logarithms of what packing takes in memory: the bytes that are looked back at, and the tables of places in them. The
/// level's own would take twice as much for less than a hundredth.
const ZSTD_WINDOW: u32 = 23;
const ZSTD_TABLES: u32 = 21;

const XZ_PRESET: u32 = 6;

/// The same of xz, whose preset would take a hundred megabytes.
const XZ_DICTIONARY: u32 = 2 << 20;

/// A file that is being written.
pub struct HashedFile {
    file: Unfinished,
    hash: Sha256,
    size: u64,
}

impl HashedFile {
    /// Hashes what is written from now on.
    pub fn new(file: Unfinished) -> HashedFile {
        HashedFile { file, hash: Sha256::new(), size: 0 }
    }

    /// Gives the file its name, and its size and SHA-256.
    pub fn finish(self) -> io::Result<(u64, String)> {
        self.file.finish()?;
        Ok((self.size, hex(&self.hash.finalize())))
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

enum Compressor<W: Write> {
    Zstd(zstd::Encoder<'static, W>),
    Gzip(GzEncoder<W>),
    Xz(Box<XzWriter<W>>),
}

impl<W: Write> Compressor<W> {
    fn new(out: W, compression: Compression) -> io::Result<Compressor<W>> {
        Ok(match compression {
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
                encoder.set_parameter(CParameter::WindowLog(ZSTD_WINDOW))?;
                encoder.set_parameter(CParameter::HashLog(ZSTD_TABLES))?;
                encoder.set_parameter(CParameter::ChainLog(ZSTD_TABLES))?;
                encoder.include_checksum(true)?;
                Compressor::Zstd(encoder)
            }
            Compression::Gzip => Compressor::Gzip(GzEncoder::new(out, flate2::Compression::default())),
            Compression::Xz => {
                let mut options = XzOptions::with_preset(XZ_PRESET);
                options.lzma_options.dict_size = XZ_DICTIONARY;
                // The only one that the kernel knows.
                options.set_check_sum_type(CheckType::Crc32);
                Compressor::Xz(Box::new(XzWriter::new(out, options)?))
            }
        })
    }

    fn finish(self) -> io::Result<W> {
        match self {
            Compressor::Zstd(encoder) => encoder.finish(),
            Compressor::Gzip(encoder) => encoder.finish(),
            Compressor::Xz(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Compressor::Zstd(encoder) => encoder.write(bytes),
            Compressor::Gzip(encoder) => encoder.write(bytes),
            Compressor::Xz(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Compressor::Zstd(encoder) => encoder.flush(),
            Compressor::Gzip(encoder) => encoder.flush(),
            Compressor::Xz(encoder) => encoder.flush(),
        }
    }
}

/// Writes one archive, and gives the bytes that it had before it was compressed. Linux unpacks any number of them, one
/// after another, each over the last.
pub fn write_archive<W: Write>(
    out: W,
    compression: Compression,
    members: &[CpioMember],
    copy: impl Fn(&NodeContent, &mut dyn Write) -> io::Result<()>,
) -> io::Result<(W, u64)> {
    let mut archive = Compressor::new(out, compression)?;
    let mut written = 0;
    for member in members {
        let header = member.header.encoded();
        archive.write_all(&header)?;
        copy(&member.content, &mut archive)?;
        let size = u64::from(member.header.size);
        let padding = cpio::padding(size);
        archive.write_all(&[0; 4][..padding])?;
        written += header.len() as u64 + size + padding as u64;
    }
    let end = cpio::end(written);
    archive.write_all(&end)?;
    Ok((archive.finish()?, written + end.len() as u64))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::export::ramdisk::tree::{FileTree, TreeNode};

    fn packed(compression: Compression) -> Vec<u8> {
        let mut tree = FileTree::default();
        tree.add(b"a", TreeNode::directory(0o755));
        tree.add(b"a/b", TreeNode::link(b"../c".to_vec()));
        let members = tree.members();
        let copy = |content: &NodeContent, out: &mut dyn Write| match content {
            NodeContent::Text(text) => out.write_all(text),
            _ => Ok(()),
        };
        let (packed, unpacked) = write_archive(Vec::new(), compression, &members, copy).expect("written");
        assert_eq!(unpacked, 512);
        packed
    }

    fn text(mut archive: impl Read) -> String {
        let mut bytes = Vec::new();
        archive.read_to_end(&mut bytes).expect("packed as it should be");
        assert_eq!(bytes.len(), 512);
        String::from_utf8_lossy(&bytes).replace('\0', "")
    }

    #[test]
    fn every_compression_holds_the_same_archive() {
        let zstd = packed(Compression::Zstd);
        let expected = text(ruzstd::decoding::StreamingDecoder::new(&zstd[..]).expect("a frame"));
        assert!(expected.contains("../c0707") && expected.ends_with("TRAILER!!!"), "{expected}");
        assert_eq!(text(flate2::read::GzDecoder::new(&packed(Compression::Gzip)[..])), expected);
        assert_eq!(text(lzma_rust2::XzReader::new(&packed(Compression::Xz)[..], false)), expected);
        assert_eq!(packed(Compression::Zstd), zstd, "twice the same");
    }
}
