//! The part of a text that is held in memory, moving over it, and the place that it has reached.

use std::io::{self, Read};

/// Bytes asked for in one read.
const READ_BYTES: usize = 128 << 10;

/// Bytes of a text, from the next one on, refilled from a reader.
pub(super) struct Window<R> {
    reader: R,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    /// Bytes of the text that were held until now.
    filled_bytes: u64,
    eof: bool,
    /// What the reader said after the bytes that are held.
    error: Option<io::Error>,
    line: u64,
    /// Characters of the line before `at`.
    column: u64,
}

impl<R: Read> Window<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), at: 0, end: 0, filled_bytes: 0, eof: false, error: None, line: 1, column: 0 }
    }

    /// What is held.
    #[inline]
    pub(super) fn held(&self) -> &[u8] {
        &self.buffer[self.at..self.end]
    }

    /// Bytes of the text before the next one.
    pub(super) fn text_bytes(&self) -> u64 {
        self.filled_bytes - (self.end - self.at) as u64
    }

    /// Line of the next byte, from 1.
    #[inline]
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Line and column, in characters, both from 1, of the held byte at `offset`.
    pub(super) fn place(&self, offset: usize) -> (u64, u64) {
        let mut place = (self.line, self.column);
        count(&self.held()[..offset.min(self.end - self.at)], &mut place);
        (place.0, place.1 + 1)
    }

    /// Goes on by `bytes`.
    #[inline]
    pub(super) fn advance(&mut self, bytes: usize) {
        let mut place = (self.line, self.column);
        count(&self.buffer[self.at..self.at + bytes], &mut place);
        (self.line, self.column) = place;
        self.at += bytes;
    }

    /// Goes on by a line of `bytes`, its end included.
    #[inline]
    pub(super) fn advance_line(&mut self, bytes: usize) {
        (self.line, self.column) = (self.line + 1, 0);
        self.at += bytes;
    }

    /// Reads at least as much again as is held, if there is as much; `false` if there is nothing
    /// more. So a record that has to be looked at again is so only a few times.
    pub(super) fn more(&mut self) -> io::Result<bool> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if self.eof {
            return Ok(false);
        }
        self.buffer.copy_within(self.at..self.end, 0);
        (self.at, self.end) = (0, self.end - self.at);
        let held = self.end;
        let wanted = READ_BYTES.max(held);
        if self.buffer.len() < held + wanted {
            self.buffer.resize(held + wanted, 0);
        }
        while self.end < held + held.max(1) {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.eof = true;
                    break;
                }
                Ok(count) => {
                    self.end += count;
                    self.filled_bytes += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.end == held => return Err(error),
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
            }
        }
        Ok(self.end > held)
    }

    /// The next byte that is no blank, going over those before it; `None` at the end.
    #[inline]
    pub(super) fn token(&mut self) -> io::Result<Option<u8>> {
        loop {
            let held = self.held();
            let blanks = held.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'));
            match blanks {
                Some(blanks) => {
                    let byte = held[blanks];
                    if blanks > 0 {
                        self.advance(blanks);
                    }
                    return Ok(Some(byte));
                }
                None => {
                    self.advance(held.len());
                    if !self.more()? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Bytes that the buffer takes.
    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        self.buffer.capacity()
    }
}

/// Moves (line, characters before it) over `bytes`.
#[inline]
fn count(bytes: &[u8], (line, column): &mut (u64, u64)) {
    let mut rest = bytes;
    if let Some(last) = memchr::memrchr(b'\n', bytes) {
        *line += 1 + memchr::memchr_iter(b'\n', &bytes[..last]).count() as u64;
        *column = 0;
        rest = &bytes[last + 1..];
    }
    // The bytes that continue a character are those from 0x80 to 0xbf.
    *column += rest.iter().filter(|byte| (**byte as i8) >= -0x40).count() as u64;
}
