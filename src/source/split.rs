//! Splits bytes into records with `csv-core`, in bounded memory, counting lines.
//!
//! The `csv` crate's own reader keeps a record whole however long it gets, counts only `\n`, and
//! says nothing of a quote that is never closed; hence its core, with a buffer of our own.

use std::io::{self, Read};

use csv_core::{ReadRecordResult, ReaderBuilder};

use super::limits::Limits;
use super::sniff::LineEnd;

/// Bytes asked for in one read.
const READ_BYTES: usize = 128 << 10;

/// What is wrong with a record as such. Cells are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It has more bytes than a row may have; `opened_line` is where the quoted cell starts in
    /// which the limit was passed, if it spans lines.
    TooLong { cell: usize, opened_line: Option<u64> },
    /// It has more cells than there may be columns.
    TooWide,
    /// The text ends inside a quoted cell.
    Unclosed { cell: usize, opened_line: u64 },
    /// Text follows a closing quote.
    AfterQuote { cell: usize, opened_line: u64 },
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    /// A record.
    Record,
    /// A record that is none; of its cells the first few may be there.
    Flawed(Flaw),
    /// The end of the text.
    End,
}

/// Counts line ends: `\n`, `\r\n`, and `\r` alone.
#[derive(Debug, Clone, Copy, Default)]
struct Lines {
    count: u64,
    after_cr: bool,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        let mut after = if self.after_cr { Some(0) } else { None };
        for at in memchr::memchr2_iter(b'\n', b'\r', bytes) {
            if bytes[at] == b'\r' {
                after = Some(at + 1);
                self.count += 1;
            } else if after != Some(at) {
                self.count += 1;
            }
        }
        self.after_cr = *last == b'\r';
    }
}

/// Hands out records, one at a time, from a buffer that it refills.
pub(super) struct Splitter<R> {
    reader: R,
    core: csv_core::Reader,
    /// Whether the core has read: it looks at the text's first bytes in its own way.
    begun: bool,
    delimiter: u8,
    quote: Option<u8>,
    row_bytes_max: usize,
    /// Bytes read: those of the record from `start`, split up to `at`, filled up to `end`.
    buffer: Vec<u8>,
    start: usize,
    at: usize,
    end: usize,
    /// Bytes of the text that the buffer has held until now.
    filled_bytes: u64,
    eof: bool,
    lines: Lines,
    /// The record: its cells' text back to back, where each ends, and the line it starts on.
    text: Vec<u8>,
    text_bytes: usize,
    ends: Vec<usize>,
    cells: usize,
    line: u64,
}

impl<R: Read> Splitter<R> {
    pub(super) fn new(reader: R, delimiter: u8, quote: Option<u8>, limits: &Limits) -> Self {
        Self {
            reader,
            core: ReaderBuilder::new()
                .delimiter(delimiter)
                .quote(quote.unwrap_or(b'"'))
                .quoting(quote.is_some())
                .build(),
            begun: false,
            delimiter,
            quote,
            row_bytes_max: limits.row_bytes_max,
            buffer: vec![0; READ_BYTES],
            start: 0,
            at: 0,
            end: 0,
            filled_bytes: 0,
            eof: false,
            lines: Lines::default(),
            text: vec![0; 4 << 10],
            text_bytes: 0,
            ends: vec![0; limits.columns_max + 1],
            cells: 0,
            line: 1,
        }
    }

    /// The text of the record's cells, back to back.
    pub(super) fn text(&self) -> &[u8] {
        &self.text[..self.text_bytes]
    }

    /// Where each cell ends in [`Self::text`].
    pub(super) fn ends(&self) -> &[usize] {
        &self.ends[..self.cells]
    }

    /// The line on which the record starts, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The line that reading has reached, from 1.
    pub(super) fn line_reached(&self) -> u64 {
        self.lines.count + 1
    }

    /// Bytes of the text up to the end of the record.
    pub(super) fn text_bytes(&self) -> u64 {
        self.filled_bytes - (self.end - self.at) as u64
    }

    /// Bytes that the buffers hold.
    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        self.buffer.capacity() + self.text.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// How the line ends on which the record that was just split off ends.
    pub(super) fn line_end(&mut self) -> io::Result<LineEnd> {
        Ok(match self.buffer[self.at - 1] {
            b'\n' => LineEnd::Lf,
            b'\r' => {
                let more = self.at < self.end || self.fill(self.start)?;
                if more && self.buffer[self.at] == b'\n' { LineEnd::CrLf } else { LineEnd::Cr }
            }
            _ => LineEnd::None,
        })
    }

    /// Splits off the next record.
    pub(super) fn next(&mut self) -> io::Result<Split> {
        if !self.skip_blank_lines()? {
            return Ok(Split::End);
        }
        (self.start, self.line) = (self.at, self.lines.count + 1);
        (self.text_bytes, self.cells) = (0, 0);
        if self.begun && self.plain() {
            return Ok(Split::Record);
        }
        self.begun = true;
        loop {
            let (result, read, written, ended) = self.core.read_record(
                &self.buffer[self.at..self.end],
                &mut self.text[self.text_bytes..],
                &mut self.ends[self.cells..],
            );
            self.lines.feed(&self.buffer[self.at..self.at + read]);
            self.at += read;
            self.text_bytes += written;
            self.cells += ended;
            let too_long = self.at - self.start > self.row_bytes_max;
            match result {
                ReadRecordResult::Record if too_long => {
                    let cell = self.cells.saturating_sub(1);
                    return Ok(Split::Flawed(Flaw::TooLong { cell, opened_line: None }));
                }
                ReadRecordResult::Record => {
                    return Ok(self.text_after_quote().map_or(Split::Record, Split::Flawed));
                }
                // Not while a record is open: there is at least one byte of it.
                ReadRecordResult::End => return Ok(Split::End),
                ReadRecordResult::OutputEndsFull => return self.discard(Flaw::TooWide),
                _ if too_long => {
                    let lines = self.lines_in_open_cell();
                    let opened_line = (lines.count > 0).then(|| self.lines.count + 1 - lines.count);
                    return self.discard(Flaw::TooLong { cell: self.cells, opened_line });
                }
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::InputEmpty => {
                    if !self.fill(self.start)? {
                        return Ok(self.finish());
                    }
                }
            }
        }
    }

    /// Splits off a record that the buffer holds whole and that has no quote, as most have: a look
    /// for its end and for each delimiter, instead of a step of the core's automaton for each byte.
    /// `false`: nothing was taken; the core decides, also where a limit may be passed.
    #[inline]
    fn plain(&mut self) -> bool {
        let rest = &self.buffer[self.at..self.end];
        let Some(length) = memchr::memchr3(b'\n', b'\r', self.quote.unwrap_or(b'\n'), rest) else { return false };
        let end = rest[length];
        if Some(end) == self.quote || length >= self.row_bytes_max || length > self.text.len() {
            return false;
        }
        let record = &rest[..length];
        let (mut from, mut text_bytes, mut cells) = (0, 0, 0);
        for to in memchr::memchr_iter(self.delimiter, record).chain(std::iter::once(length)) {
            let after = text_bytes + (to - from);
            self.text[text_bytes..after].copy_from_slice(&record[from..to]);
            self.ends[cells] = after;
            (from, text_bytes, cells) = (to + 1, after, cells + 1);
            if cells == self.ends.len() {
                return false;
            }
        }
        (self.text_bytes, self.cells) = (text_bytes, cells);
        self.at += length + 1;
        self.lines = Lines { count: self.lines.count + 1, after_cr: end == b'\r' };
        true
    }

    /// Goes to the first byte that is no line end; `false` at the end of the text.
    fn skip_blank_lines(&mut self) -> io::Result<bool> {
        loop {
            while self.at < self.end {
                let byte = self.buffer[self.at];
                if !matches!(byte, b'\n' | b'\r') {
                    return Ok(true);
                }
                self.lines.feed(&[byte]);
                self.at += 1;
            }
            if !self.fill(self.at)? {
                return Ok(false);
            }
        }
    }

    /// Reads more, keeping the bytes from `keep` on; `false` at the end of the input.
    fn fill(&mut self, keep: usize) -> io::Result<bool> {
        if self.eof {
            return Ok(false);
        }
        if keep > 0 {
            self.buffer.copy_within(keep..self.end, 0);
            (self.start, self.at, self.end) = (0, self.at - keep, self.end - keep);
        }
        // What is kept is never more than a row may have, so neither is this.
        if self.buffer.len() - self.end < READ_BYTES / 2 {
            self.buffer.resize(self.end + READ_BYTES, 0);
        }
        let count = loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                count => break count?,
            }
        };
        self.end += count;
        self.filled_bytes += count as u64;
        self.eof = count == 0;
        Ok(!self.eof)
    }

    /// Closes the last record, which has no line end.
    fn finish(&mut self) -> Split {
        match self.close() {
            None => self.text_after_quote().map_or(Split::Record, Split::Flawed),
            Some(lines) => Split::Flawed(Flaw::Unclosed {
                cell: self.cells.saturating_sub(1),
                opened_line: self.lines.count + 1 - lines,
            }),
        }
    }

    /// Gives the core the line end that the text lacks. If that ends no record, a quote is open:
    /// then it gives the lines since the quote.
    fn close(&mut self) -> Option<u64> {
        let lines = self.lines_in_open_cell().count;
        if self.text.len() - self.text_bytes < 2 {
            self.text.resize(self.text.len() + 2, 0);
        }
        let (text, ends) = (&mut self.text[self.text_bytes..], &mut self.ends[self.cells..]);
        let (result, _, _, ended) = self.core.read_record(b"\n", text, ends);
        if result == ReadRecordResult::Record {
            self.cells += ended;
            return None;
        }
        let (_, _, _, ended) = self.core.read_record(b"", text, ends);
        self.cells += ended;
        // The core counts our line end into the cell.
        if let Some(end) = self.ends[..self.cells].last_mut() {
            *end = (*end).min(self.text_bytes);
        }
        Some(lines)
    }

    fn lines_in_open_cell(&self) -> Lines {
        let from = self.ends[..self.cells].last().map_or(0, |end| *end);
        let mut lines = Lines::default();
        lines.feed(&self.text[from..self.text_bytes]);
        lines
    }

    /// Reads on to the end of a record that is over a limit, without keeping it.
    fn discard(&mut self, flaw: Flaw) -> io::Result<Split> {
        let mut open = self.lines_in_open_cell();
        let mut total = self.text_bytes;
        let (mut text, mut ends) = (vec![0; 4 << 10], [0; 64]);
        let mut cell = self.cells;
        loop {
            let (result, read, written, ended) =
                self.core.read_record(&self.buffer[self.at..self.end], &mut text, &mut ends);
            self.lines.feed(&self.buffer[self.at..self.at + read]);
            self.at += read;
            cell += ended;
            if ended > 0 {
                open = Lines::default();
                open.feed(&text[ends[ended - 1] - total..written]);
            } else {
                open.feed(&text[..written]);
            }
            total += written;
            match result {
                ReadRecordResult::Record | ReadRecordResult::End => return Ok(Split::Flawed(flaw)),
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {}
                ReadRecordResult::InputEmpty => {
                    if self.fill(self.at)? {
                        continue;
                    }
                    let (result, ..) = self.core.read_record(b"\n", &mut text, &mut ends);
                    if result == ReadRecordResult::Record {
                        return Ok(Split::Flawed(flaw));
                    }
                    self.core.read_record(b"", &mut text, &mut ends);
                    let opened_line = self.lines.count + 1 - open.count;
                    return Ok(Split::Flawed(Flaw::Unclosed { cell, opened_line }));
                }
            }
        }
    }

    /// The core drops the quotes of `"12" pipe` and says nothing; so quotes are looked at here.
    fn text_after_quote(&self) -> Option<Flaw> {
        let quote = self.quote?;
        let raw = &self.buffer[self.start..self.at];
        let mut opened = None;
        let mut skip = None;
        for at in memchr::memchr_iter(quote, raw) {
            if skip == Some(at) {
                continue;
            }
            match opened {
                None if at == 0 || raw[at - 1] == self.delimiter => opened = Some(at),
                // A quote inside a cell that has none around it is a character like others.
                None => {}
                Some(from) => match raw.get(at + 1) {
                    Some(next) if *next == quote => skip = Some(at + 1),
                    None | Some(b'\n' | b'\r') => opened = None,
                    Some(next) if *next == self.delimiter => opened = None,
                    Some(_) => return Some(self.flaw_at(from)),
                },
            }
        }
        None
    }

    /// The cell that starts with a quote at `from`, and its line.
    fn flaw_at(&self, from: usize) -> Flaw {
        let raw = &self.buffer[self.start..self.at];
        let mut lines = Lines::default();
        lines.feed(&raw[..from]);
        // Up to here all quotes are as they should be.
        let (mut at, mut cell) = (0, 0);
        while at < from {
            if Some(raw[at]) == self.quote {
                at += 1;
                while let Some(found) = self.quote.and_then(|quote| memchr::memchr(quote, &raw[at..from])) {
                    at += found + 1;
                    if raw.get(at).copied() != self.quote {
                        break;
                    }
                    at += 1;
                }
            }
            at = memchr::memchr(self.delimiter, &raw[at..from]).map_or(from, |found| at + found + 1);
            cell += 1;
        }
        Flaw::AfterQuote { cell, opened_line: self.line + lines.count }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What was split off, its line, its text and where the cells end, and the line reached.
    type Found = (Split, u64, Vec<u8>, Vec<usize>, u64);

    /// Everything that a text splits into.
    fn all(text: &[u8], limits: &Limits, plain: bool) -> Vec<Found> {
        let mut splitter = Splitter::new(text, b',', Some(b'"'), limits);
        let mut all = Vec::new();
        loop {
            // A splitter that has not begun leaves every record to the core.
            splitter.begun &= plain;
            let split = splitter.next().expect("memory can be read");
            let (cells, ends) = (splitter.text().to_vec(), splitter.ends().to_vec());
            all.push((split, splitter.line(), cells, ends, splitter.line_reached()));
            if split == Split::End {
                return all;
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_plain_record_is_split_as_the_core_splits_it(
            text in prop::collection::vec(prop_oneof![
                8 => prop::sample::select(b"ab,,;\n\r".to_vec()),
                1 => Just(b'"'),
                1 => any::<u8>(),
            ], 0..300),
            row_bytes_max in 1_usize..40,
            columns_max in 1_usize..6,
        ) {
            let limits = Limits { row_bytes_max, columns_max, ..Limits::default() };
            prop_assert_eq!(all(&text, &limits, true), all(&text, &limits, false));
        }
    }
}
