//! An input as text: opened, decompressed, decoded; the first steps of every text format.

use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::compression::{Compression, Counted};
use super::encoding::{self, Detected, Transcode};
use super::error::OpenProblem;
use super::flow::{Flow, RawBytes};
use super::input::{Bytes, Named};
use super::limits::Limits;
use super::sniff::SAMPLE_BYTES;

/// An opened input, as UTF-8 without a byte order mark.
pub(super) struct Text {
    /// All of its text.
    pub(super) bytes: Bytes,
    /// How it starts: the text of its first [`SAMPLE_BYTES`], decompressed.
    pub(super) sample: Vec<u8>,
    /// Whether the sample is all of it.
    pub(super) whole: bool,
    pub(super) compression: Compression,
    pub(super) encoding: Detected,
    pub(super) raw_bytes: RawBytes,
    /// Whether it can be opened again.
    pub(super) again: bool,
    pub(super) bytes_total: Option<u64>,
}

/// Opens `input`. `label` is the encoding that was said, `format` what its text has to be (`CSV`).
/// `guard` wraps the bytes as they are, to let reading be stopped.
pub(super) fn open(
    input: &mut Named,
    label: Option<&str>,
    limits: &Limits,
    format: &'static str,
    guard: &dyn Fn(Bytes) -> Bytes,
) -> Result<Text, OpenProblem> {
    let opened = input.open()?;
    let read = Arc::new(AtomicU64::new(0));
    let raw: Bytes = Box::new(Counted { inner: guard(opened.bytes), bytes: read.clone() });

    let (head, raw) = peek(raw, Compression::HEAD_BYTES);
    let compression = Compression::of(&head);
    let (bytes, inflated) = compression.undo(raw, read.clone(), limits).map_err(OpenProblem::io)?;

    let (sample, bytes) = peek(bytes, SAMPLE_BYTES);
    // A full sample may end with the text; then its last record is taken for cut, which does no harm.
    let whole = sample.len() < SAMPLE_BYTES;
    if let Some((what, hint)) = known_format(&sample) {
        return Err(OpenProblem::NotText { what, format, hint: hint.replace("{format}", format) });
    }
    let encoding = encoding::detect(&sample, label)?;
    let Decoded { bytes, sample, flow: decoded } = decode(bytes, sample, &encoding)?;
    Ok(Text {
        bytes,
        sample,
        whole,
        compression,
        encoding,
        raw_bytes: RawBytes { read, inflated, mark_bytes: encoding.mark_bytes, decoded },
        again: opened.again,
        bytes_total: opened.bytes_total,
    })
}

/// A text and its sample as UTF-8, and what decoding takes and gives; none where it was that already.
struct Decoded {
    bytes: Bytes,
    sample: Vec<u8>,
    flow: Option<Arc<Flow>>,
}

/// Takes the byte order mark off `text`, and decodes it (and the sample) to UTF-8 if it isn't that.
fn decode(mut text: Bytes, mut sample: Vec<u8>, found: &Detected) -> Result<Decoded, OpenProblem> {
    let mut mark = [0; 3];
    text.read_exact(&mut mark[..found.mark_bytes]).map_err(OpenProblem::io)?;
    sample.drain(..found.mark_bytes);
    if found.encoding == encoding_rs::UTF_8 {
        return Ok(Decoded { bytes: text, sample, flow: None });
    }
    let mut decoded = Vec::with_capacity(sample.len() * 2);
    let mut of_sample = Transcode::new(Cursor::new(sample), found.encoding, Arc::default());
    of_sample.read_to_end(&mut decoded).map_err(OpenProblem::io)?;
    let flow = Arc::new(Flow::default());
    let bytes = Box::new(Transcode::new(text, found.encoding, flow.clone()));
    Ok(Decoded { bytes, sample: decoded, flow: Some(flow) })
}

/// The first `count` bytes (fewer at the end, or before an error), and a reader that still has them.
fn peek(mut bytes: Bytes, count: usize) -> (Vec<u8>, Bytes) {
    let mut head = vec![0; count];
    let (mut filled, mut error) = (0, None);
    while filled < count {
        match bytes.read(&mut head[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(problem) if problem.kind() == io::ErrorKind::Interrupted => {}
            Err(problem) => {
                error = Some(problem);
                break;
            }
        }
    }
    head.truncate(filled);
    (head.clone(), Box::new(Peeked { head: Cursor::new(head), error, rest: bytes }))
}

/// Gives the head again, then the error that came after it, then the rest.
struct Peeked {
    head: Cursor<Vec<u8>>,
    error: Option<io::Error>,
    rest: Bytes,
}

impl Read for Peeked {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if (self.head.position() as usize) < self.head.get_ref().len() {
            let count = self.head.read(out)?;
            if self.head.position() as usize == self.head.get_ref().len() {
                self.head = Cursor::default();
            }
            return Ok(count);
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => self.rest.read(out),
        }
    }
}

/// Formats that are taken for text by mistake, by their first bytes.
fn known_format(head: &[u8]) -> Option<(&'static str, &'static str)> {
    const SAVE: &str = "save it as {format} first";
    const UNPACK: &str = "unpack it first";
    const EXPORT: &str = "export it as {format} first";
    let starts = |magic: &[u8]| head.starts_with(magic);
    if starts(b"PK\x03\x04") {
        Some(("a ZIP archive or an Excel workbook", "unpack it, or save it as {format}, first"))
    } else if starts(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        Some(("an old Excel workbook", SAVE))
    } else if starts(b"BZh") && head.get(4..10) == Some(b"1AY&SY") {
        Some(("bzip2 data", UNPACK))
    } else if starts(b"\xfd7zXZ\0") {
        Some(("xz data", UNPACK))
    } else if starts(b"7z\xbc\xaf\x27\x1c") {
        Some(("a 7z archive", UNPACK))
    } else if head.get(257..262) == Some(b"ustar") {
        Some(("a tar archive", UNPACK))
    } else if starts(b"\x1f\x8b\x08") || starts(b"\x28\xb5\x2f\xfd") {
        Some(("data that is compressed twice", UNPACK))
    } else if starts(b"%PDF-") {
        Some(("a PDF document", EXPORT))
    } else if starts(b"PAR1") {
        Some(("a Parquet file", EXPORT))
    } else if starts(b"SQLite format 3\0") {
        Some(("an SQLite database", EXPORT))
    } else if starts(b"\xff\xfe\0\0") || starts(b"\0\0\xfe\xff") {
        Some(("UTF-32 text", "save it as UTF-8 first"))
    } else {
        None
    }
}
