//! Archives of every kind, good and bad.

use std::io::Write;

use super::limits::LONGEST_NAME;
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
const SMALL: ArchiveLimits = ArchiveLimits { unpacked: 1 << 20, members: 40, header: 8192, names: 10_000 };

fn inspect(bytes: &[u8]) -> Result<Vec<String>, String> {
    inspect_with(bytes, |_, content| io::copy(content, &mut io::sink()).map(drop))
}

fn inspect_with(
    bytes: &[u8],
    mut take: impl FnMut(&ArchiveMember, &mut dyn Read) -> io::Result<()>,
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
        (described(tar::EntryType::GNULongName, &long(9000)), "entry 1 has more than 8192 bytes of names"),
        (described(tar::EntryType::GNULongLink, &long(9000)), "entry 1 has more than 8192 bytes of names"),
        (described(tar::EntryType::XHeader, &long(9000)), "entry 1 has more than 8192 bytes of names"),
        (described(tar::EntryType::XGlobalHeader, &long(2 << 20)), "unpack to more than 1048576 bytes"),
        (described(tar::EntryType::GNULongName, &long(5000)), "a name or a target of more than 4096 bytes"),
        (described(tar::EntryType::GNULongLink, &long(5000)), "a name or a target of more than 4096 bytes"),
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
