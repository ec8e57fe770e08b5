//! Encodings: told by the user, by a byte order mark, or by the text; decoded to UTF-8.
//!
//! The rule, first match wins:
//!
//! 1. a byte order mark (UTF-8, UTF-16): removed. It's an error if another encoding was said;
//! 2. the encoding that was said;
//! 3. zero bytes in every other place, as ASCII text has them in UTF-16 without a mark;
//! 4. no valid multi-byte UTF-8 sequence and at least [`EVIDENT_INVALID_MIN`] invalid ones in the
//!    sample, no byte that Windows-1252 lacks, and bytes above ASCII that mostly stand alone, as
//!    accented letters do (Cyrillic, Greek and Asian texts have runs of them): evidently a western
//!    8-bit text, taken as Windows-1252, which holds Latin-1, and reported as such;
//! 5. else UTF-8.
//!
//! What is not valid in the encoding that was taken becomes a rejected row, never a substitute.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use encoding_rs::{Decoder, DecoderResult, Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::error::OpenProblem;
use super::flow::Flow;

/// How many invalid sequences, without a valid one, make a text evidently not UTF-8.
pub const EVIDENT_INVALID_MIN: usize = 3;

/// How an encoding came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodingFrom {
    /// The options say it.
    Said,
    /// A byte order mark says it.
    ByteOrderMark,
    /// The bytes of the sample show it.
    Detected,
    /// Nothing speaks against UTF-8.
    Assumed,
}

impl fmt::Display for EncodingFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Said => "said",
            Self::ByteOrderMark => "byte order mark",
            Self::Detected => "detected",
            Self::Assumed => "assumed",
        })
    }
}

/// The encoding of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Detected {
    pub(super) encoding: &'static Encoding,
    pub(super) from: EncodingFrom,
    /// Length of the byte order mark.
    pub(super) mark_bytes: usize,
}

/// The encoding of a label (`latin1`, `utf-16le`), as in the WHATWG Encoding Standard.
///
/// There, the labels of Latin-1 and ASCII mean Windows-1252, which holds both.
pub(super) fn labelled(label: &str) -> Result<&'static Encoding, OpenProblem> {
    Encoding::for_label(label.as_bytes())
        .filter(|encoding| *encoding != REPLACEMENT)
        .ok_or_else(|| OpenProblem::Encoding(label.chars().take(40).collect()))
}

/// The encoding of the text that starts with `sample`, by the rule above.
pub(super) fn detect(sample: &[u8], label: Option<&str>) -> Result<Detected, OpenProblem> {
    let said = label.map(labelled).transpose()?;
    if let Some((found, mark_bytes)) = Encoding::for_bom(sample) {
        // `utf-16` without an end leaves the choice to the mark.
        let open = label.is_some_and(|label| label.trim().eq_ignore_ascii_case("utf-16")) && found == UTF_16BE;
        return match said {
            Some(said) if said != found && !open => {
                Err(OpenProblem::ByteOrderMark { said: said.name(), found: found.name() })
            }
            _ => Ok(Detected { encoding: found, from: EncodingFrom::ByteOrderMark, mark_bytes }),
        };
    }
    let (encoding, from) = match said {
        Some(said) => (said, EncodingFrom::Said),
        None => by_zero_bytes(sample)
            .or_else(|| is_evidently_western(sample).then_some(WINDOWS_1252))
            .map_or((UTF_8, EncodingFrom::Assumed), |encoding| (encoding, EncodingFrom::Detected)),
    };
    Ok(Detected { encoding, from, mark_bytes: 0 })
}

/// UTF-16 without a mark: at least three in ten units have a zero high byte (delimiters, digits
/// and line ends always do), and hardly a low byte is zero.
fn by_zero_bytes(sample: &[u8]) -> Option<&'static Encoding> {
    let (mut even, mut odd, mut units) = (0_usize, 0_usize, 0_usize);
    for unit in sample.chunks_exact(2) {
        units += 1;
        even += usize::from(unit[0] == 0);
        odd += usize::from(unit[1] == 0);
    }
    let many = |zeros: usize| units >= 2 && zeros * 10 >= units * 3;
    let few = |zeros: usize| zeros * 100 <= units;
    match (many(even), many(odd)) {
        (false, true) if few(even) => Some(UTF_16LE),
        (true, false) if few(odd) => Some(UTF_16BE),
        _ => None,
    }
}

fn is_evidently_western(sample: &[u8]) -> bool {
    let (mut valid, mut invalid) = (0_usize, 0_usize);
    for chunk in sample.utf8_chunks() {
        valid += chunk.valid().bytes().filter(|byte| *byte >= 0xc0).count();
        invalid += usize::from(!chunk.invalid().is_empty());
    }
    // A sample may end in the middle of a sequence: one invalid too many does no harm here.
    if valid > 0 || invalid < EVIDENT_INVALID_MIN {
        return false;
    }
    let high = sample.iter().filter(|byte| !byte.is_ascii()).count();
    let in_runs = sample.windows(2).filter(|pair| !pair[0].is_ascii() && !pair[1].is_ascii()).count();
    let lacking = sample.iter().any(|byte| matches!(byte, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d));
    !lacking && in_runs * 4 <= high
}

/// Decodes to UTF-8. What can't be decoded becomes the byte `0xFF`, which no UTF-8 text has, so
/// that the row that holds it is refused later.
pub(super) struct Transcode<R> {
    inner: R,
    decoder: Decoder,
    flow: Arc<Flow>,
    raw: Box<[u8]>,
    raw_at: usize,
    raw_end: usize,
    raw_eof: bool,
    text: Box<[u8]>,
    text_at: usize,
    text_end: usize,
    text_bytes: u64,
    done: bool,
}

impl<R: Read> Transcode<R> {
    pub(super) fn new(inner: R, encoding: &'static Encoding, flow: Arc<Flow>) -> Self {
        Self {
            inner,
            flow,
            decoder: encoding.new_decoder_without_bom_handling(),
            raw: vec![0; 32 << 10].into(),
            raw_at: 0,
            raw_end: 0,
            raw_eof: false,
            text: vec![0; 64 << 10].into(),
            text_at: 0,
            text_end: 0,
            text_bytes: 0,
            done: false,
        }
    }
}

impl<R: Read> Read for Transcode<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.text_at < self.text_end {
                let count = out.len().min(self.text_end - self.text_at);
                out[..count].copy_from_slice(&self.text[self.text_at..self.text_at + count]);
                self.text_at += count;
                return Ok(count);
            }
            if self.done || out.is_empty() {
                return Ok(0);
            }
            if self.raw_at == self.raw_end && !self.raw_eof {
                (self.raw_at, self.raw_end) = (0, 0);
                self.raw_end = self.inner.read(&mut self.raw)?;
                self.raw_eof = self.raw_end == 0;
            }
            // One byte is kept for the mark of what can't be decoded.
            let room = self.text.len() - 1;
            let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(
                &self.raw[self.raw_at..self.raw_end],
                &mut self.text[..room],
                self.raw_eof,
            );
            self.raw_at += read;
            (self.text_at, self.text_end) = (0, written);
            self.flow.take(read);
            match result {
                DecoderResult::InputEmpty => self.done = self.raw_eof,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    self.text[written] = 0xff;
                    self.text_end += 1;
                }
            }
            self.text_bytes += self.text_end as u64;
            self.flow.even(self.flow.taken(), self.text_bytes);
        }
    }
}
