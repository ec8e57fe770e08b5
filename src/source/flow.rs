//! From a place in a text back to the place in the input as it is.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that went into a step that decompresses or decodes, and bytes that came out of it.
#[derive(Debug, Default)]
pub(super) struct Flow {
    taken: AtomicU64,
    /// Of a moment at which all that was taken had been given: a step may hold back a block of text.
    even_taken: AtomicU64,
    even_given: AtomicU64,
}

impl Flow {
    pub(super) fn take(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// The first `given` bytes that came out are those of the first `taken` that went in.
    pub(super) fn even(&self, taken: u64, given: u64) {
        self.even_taken.store(taken, Ordering::Relaxed);
        self.even_given.store(given, Ordering::Relaxed);
    }

    /// Bytes that went in for the first `given` that came out, in the proportion of all that is known; 0 while none is.
    fn back(&self, given: u64) -> u64 {
        let (even_taken, even_given) =
            (self.even_taken.load(Ordering::Relaxed), self.even_given.load(Ordering::Relaxed));
        let back = (u128::from(even_taken) * u128::from(given)).checked_div(u128::from(even_given)).unwrap_or(0);
        u64::try_from(back).unwrap_or(u64::MAX).min(self.taken())
    }
}

/// Counts what is taken out of a buffer: what lies in it has not gone anywhere yet.
pub(super) struct Consumed<R> {
    pub(super) inner: R,
    pub(super) flow: Arc<Flow>,
}

impl<R: BufRead> Read for Consumed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.flow.take(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Consumed<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.flow.take(count);
        self.inner.consume(count);
    }
}

/// How an input, as it is, becomes its text.
#[derive(Debug)]
pub(super) struct RawBytes {
    /// Bytes that were read of the input.
    pub(super) read: Arc<AtomicU64>,
    /// None where it is not compressed.
    pub(super) inflated: Option<Arc<Flow>>,
    /// Length of the byte order mark.
    pub(super) mark_bytes: usize,
    /// None where it is UTF-8.
    pub(super) decoded: Option<Arc<Flow>>,
}

impl RawBytes {
    /// Bytes of the input that the first `text_bytes` of its text came out of: exactly, where it is UTF-8 that is not compressed;
    /// elsewhere in the proportion that text and input have until now.
    pub(super) fn of_text(&self, text_bytes: u64) -> u64 {
        let encoded = self.decoded.as_ref().map_or(text_bytes, |flow| flow.back(text_bytes)) + self.mark_bytes as u64;
        self.inflated.as_ref().map_or(encoded, |flow| flow.back(encoded))
    }

    /// Bytes that were read of the input: at its end, all of them.
    pub(super) fn all(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}
