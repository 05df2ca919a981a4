//! Takes compression off, and finds a file damaged wherever the compression's own tool would (`gzip -t` and its kin): each
//! stream is read to its trailer, and what follows the last one is judged as that tool does.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// A decoder that would need more memory is not started.
const XZ_MEMORY_KIB: u32 = 512 * 1024;

/// Reads a file without the compression that its first bytes tell.
pub(super) fn decompressed(file: File) -> io::Result<Box<dyn Read>> {
    let mut file = BufReader::with_capacity(64 * 1024, file);
    Ok(match file.fill_buf()? {
        [0x1f, 0x8b, 8, ..] => Box::new(Streams::<Gzip<_>, _>::new(file)),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => Box::new(Streams::<Bzip2<_>, _>::new(file)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            Box::new(lzma_rust2::XzReader::new_mem_limit(file, true, XZ_MEMORY_KIB))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Box::new(Streams::<Zstd<_>, _>::new(file))
        }
        _ => Box::new(file),
    })
}

/// The decoder of one stream, out of a row of them.
trait CompressedStream<R: BufRead>: Read + Sized {
    /// Begins the next stream; none when there is no further one.
    fn begin(rest: R) -> io::Result<Option<Self>>;

    /// Reader of what comes after a stream that was read to its end.
    fn end(self) -> io::Result<R>;
}

/// A compressed file is one stream after the other, as parallel compressors make it.
struct Streams<S, R> {
    stream: Option<S>,
    rest: Option<R>,
}

impl<S, R> Streams<S, R> {
    fn new(file: R) -> Self {
        Streams { stream: None, rest: Some(file) }
    }
}

impl<S: CompressedStream<R>, R: BufRead> Read for Streams<S, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(stream) = &mut self.stream {
                let count = stream.read(buffer)?;
                if count > 0 {
                    return Ok(count);
                }
            }
            if let Some(ended) = self.stream.take() {
                self.rest = Some(ended.end()?);
            }
            let Some(rest) = self.rest.take() else { return Ok(0) };
            self.stream = S::begin(rest)?;
        }
    }
}

struct Gzip<R>(flate2::bufread::GzDecoder<R>);

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: BufRead> CompressedStream<R> for Gzip<R> {
    fn begin(mut rest: R) -> io::Result<Option<Self>> {
        match rest.fill_buf()?.first() {
            None => Ok(None),
            // What tapes fill their blocks with.
            Some(0) => zeros(rest).map(|()| None),
            Some(_) => Ok(Some(Gzip(flate2::bufread::GzDecoder::new(rest)))),
        }
    }

    fn end(self) -> io::Result<R> {
        Ok(self.0.into_inner())
    }
}

/// Reads what must be zeros to its end.
fn zeros(mut rest: impl BufRead) -> io::Result<()> {
    loop {
        let bytes = rest.fill_buf()?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Err(invalid("something else comes after the compressed data"));
        }
        let count = bytes.len();
        if count == 0 {
            return Ok(());
        }
        rest.consume(count);
    }
}

struct Bzip2<R>(bzip2::bufread::BzDecoder<R>);

impl<R: BufRead> Read for Bzip2<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: BufRead> CompressedStream<R> for Bzip2<R> {
    fn begin(mut rest: R) -> io::Result<Option<Self>> {
        // bzip2 ignores what is no further stream.
        let goes_on = rest.fill_buf()?.first() == Some(&b'B');
        Ok(goes_on.then(|| Bzip2(bzip2::bufread::BzDecoder::new(rest))))
    }

    fn end(self) -> io::Result<R> {
        Ok(self.0.into_inner())
    }
}

struct Zstd<R> {
    decoder: FrameDecoder,
    source: R,
    read: u64,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
            // A block has at most 128 KiB.
            self.decoder
                .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                .map_err(invalid)?;
        }
        let count = self.decoder.read(buffer)?;
        self.read += count as u64;
        Ok(count)
    }
}

impl<R: BufRead> CompressedStream<R> for Zstd<R> {
    fn begin(mut rest: R) -> io::Result<Option<Self>> {
        while !rest.fill_buf()?.is_empty() {
            let mut decoder = FrameDecoder::new();
            match decoder.init(&mut rest) {
                Ok(()) => return Ok(Some(Zstd { decoder, source: rest, read: 0 })),
                // Metadata of other programs.
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    if io::copy(&mut rest.by_ref().take(length), &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(invalid(error)),
            }
        }
        Ok(None)
    }

    /// The decoder computes the checksum and leaves it to its user to compare.
    fn end(self) -> io::Result<R> {
        let told = self.decoder.get_checksum_from_data();
        if told.is_some() && told != self.decoder.get_calculated_checksum() {
            return Err(invalid("the checksum of a frame is wrong"));
        }
        match self.decoder.content_size() {
            size if size > 0 && size != self.read => Err(invalid("a frame is not as long as it tells")),
            _ => Ok(self.source),
        }
    }
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut content = Vec::new();
        decompressed(file.reopen()?)?.take(1 << 24).read_to_end(&mut content).map(|_| content)
    }

    /// What a compression's own tool makes of bytes.
    fn run(tool: &str, arguments: &[&str], input: &[u8]) -> (bool, Vec<u8>) {
        let mut command = Command::new(tool);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("the command {tool}: {error}"));
        let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
        // It may end before it has read all.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        (output.status.success(), output.stdout)
    }

    const TOOLS: [(&str, &[&str]); 5] = [
        ("gzip", &["-c"]),
        ("bzip2", &["-c"]),
        ("xz", &["-c"]),
        ("xz", &["-c", "-Csha256"]),
        ("zstd", &["-c", "-q"]),
    ];

    /// Some text in a tool's own compression.
    fn sample(tool: &str, arguments: &[&str]) -> (Vec<u8>, Vec<u8>) {
        let text: Vec<u8> =
            (0..400_u32).flat_map(|n| format!("{} line\n", n * n % 997).into_bytes()).collect();
        let (_, compressed) = run(tool, arguments, &text);
        (text, compressed)
    }

    #[test]
    fn what_follows_the_data_is_judged_as_the_tool_does() {
        for (tool, arguments) in TOOLS {
            let (text, one) = sample(tool, arguments);
            for (after, doubled) in [
                (&b""[..], false),
                (&one, true),
                (b"\0\0\0\0", false),
                (b"garbage!", false),
                (b"\0\0\0\0x", false),
            ] {
                let bytes = [&one, after].concat();
                let (is_good, _) = run(tool, &["-t"], &bytes);
                match read(&bytes) {
                    Ok(content) => {
                        assert!(is_good, "{tool} refuses {after:?}");
                        assert!(content == if doubled { text.repeat(2) } else { text.clone() }, "{tool}");
                    }
                    Err(error) => assert!(!is_good, "{tool} takes {after:?}: {error}"),
                }
            }
        }
    }

    #[test]
    fn a_frame_to_be_skipped_is() {
        let frame =
            ruzstd::encoding::compress_to_vec(&b"text"[..], ruzstd::encoding::CompressionLevel::Fastest);
        let skipped = [&b"\x50\x2a\x4d\x18\x03\0\0\0abc"[..], &frame, b"\x5f\x2a\x4d\x18\0\0\0\0"].concat();
        assert_eq!(read(&skipped).unwrap(), b"text");
        assert!(read(&skipped[..9]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// Whatever is read of a damaged file, it is never another content: either it fails, as the tool does, or the
        /// damage was in what means nothing.
        #[test]
        fn a_flipped_bit_is_found(tool in 0..TOOLS.len(), place in 0.0..1.0_f64, bit in 0..8_u32, cut in any::<bool>()) {
            let (text, mut bytes) = sample(TOOLS[tool].0, TOOLS[tool].1);
            let at = (place * bytes.len() as f64) as usize;
            // Another file altogether, of which no compression is known.
            prop_assume!(at >= 6);
            if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit };
            if let Ok(content) = read(&bytes) {
                prop_assert!(content == text, "another content was read");
            }
        }

        #[test]
        fn any_bytes_end(magic in 0..5_usize, bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let magics = [&b""[..], b"\x1f\x8b\x08", b"BZh9\x31", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
            let _ = read(&[magics[magic], &bytes].concat());
        }
    }
}
