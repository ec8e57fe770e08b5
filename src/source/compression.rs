//! Compression, told by a file's first bytes, never by its name.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::error::BrokeProblem;
use super::flow::{Consumed, Flow};
use super::input::Bytes;
use super::limits::Limits;

/// Base-2 logarithm of the largest zstd window, 32 MiB, which the decompressor holds in memory. Levels up to 20 stay
/// within it; `--ultra -21` and `-22` and `--long` (64 and 128 MiB) would take more than a whole run may.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;

/// How an input is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Gzip, one or more members.
    Gzip,
    /// Zstandard, one or more frames, with a window of 32 MiB at most.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

impl Compression {
    /// Bytes that [`Self::of`] looks at.
    pub(super) const HEAD_BYTES: usize = 4;

    /// Gzip: RFC 1952, 2.3.1 (with its only method, 8). Zstandard: RFC 8878, 3.1.1 and 3.1.2.
    pub(super) fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// `bytes` decompressed, and what that takes and gives; none where there is nothing to undo. `raw_bytes` is how many of
    /// them were read, kept by [`Counted`].
    pub(super) fn undo(
        self,
        bytes: Bytes,
        raw_bytes: Arc<AtomicU64>,
        limits: &Limits,
    ) -> io::Result<(Bytes, Option<Arc<Flow>>)> {
        let flow = Arc::new(Flow::default());
        let buffered =
            |buffer_bytes, bytes| Consumed { inner: BufReader::with_capacity(buffer_bytes, bytes), flow: flow.clone() };
        let inner: Bytes = match self {
            Self::None => return Ok((bytes, None)),
            Self::Gzip => Box::new(MultiGzDecoder::new(buffered(64 << 10, bytes))),
            Self::Zstd => {
                let buffer_bytes = zstd::zstd_safe::DCtx::in_size();
                let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered(buffer_bytes, bytes))?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        };
        let inflated =
            Inflated { inner, compression: self, raw_bytes, text_bytes: 0, flow: flow.clone(), limits: *limits };
        Ok((Box::new(inflated), Some(flow)))
    }
}

/// Counts the bytes read.
pub(super) struct Counted<R> {
    pub(super) inner: R,
    pub(super) bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Stops at a bomb, and says of a decompressor's error what it is.
struct Inflated {
    inner: Bytes,
    compression: Compression,
    raw_bytes: Arc<AtomicU64>,
    text_bytes: u64,
    flow: Arc<Flow>,
    limits: Limits,
}

impl Read for Inflated {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let taken = self.flow.taken();
        let count = match self.inner.read(out) {
            Ok(count) => count,
            // What the system says has a number; what a decompressor says has none.
            Err(error) if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::Interrupted => {
                return Err(error);
            }
            // What is read from below says what it is.
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<BrokeProblem>()) => return Err(error),
            // zstd's own words for it; its error codes are not handed out.
            Err(error) if self.compression == Compression::Zstd && error.to_string().contains("too much memory") => {
                return Err(io::Error::other(BrokeProblem::ZstdWindow { mib_max: 1 << (ZSTD_WINDOW_LOG_MAX - 20) }));
            }
            Err(error) => {
                return Err(io::Error::other(BrokeProblem::Corrupt { compression: self.compression, error }));
            }
        };
        if self.flow.taken() > taken {
            // It takes more only when it has given what it made of what it took before.
            self.flow.even(taken, self.text_bytes);
        }
        self.text_bytes += count as u64;
        let raw_bytes = self.raw_bytes.load(Ordering::Relaxed);
        let allowed = raw_bytes.saturating_mul(self.limits.inflate_ratio_max);
        if self.text_bytes > self.limits.inflate_free_bytes && self.text_bytes > allowed {
            return Err(io::Error::other(BrokeProblem::Bomb {
                ratio_max: self.limits.inflate_ratio_max,
                raw_bytes,
                text_bytes: self.text_bytes,
            }));
        }
        Ok(count)
    }
}
