//! Records one after the other, as rows or bad rows.

use std::io;

use super::super::error::BrokeProblem;
use super::super::feed::{Broken, Filling};
use super::super::input::Bytes;
use super::super::options::BYTES_MAX;
use super::cursor::{Fault, Flaw};
use super::document::{self, Halt};
use super::each::Each;
use super::element::Element;
use super::options::JsonOptions;
use super::reasons;
use super::skipper::{self, Skipper};
use super::window::Window;
use crate::source;

/// Where reading is.
pub(super) enum State {
    Lines,
    Values,
    Array {
        /// The keys that lead to it.
        levels: Vec<String>,
        /// Whether no item was read yet.
        first: bool,
    },
}

/// An opened input, its window before the next record.
pub(super) struct Table {
    pub(super) window: Window<Bytes>,
    pub(super) element: Element,
    pub(super) state: State,
    pub(super) encoding: &'static str,
    pub(super) each: Option<Each>,
}

/// What the next line is; without its end.
enum Line {
    Held { bytes: usize, ended: bool },
    TooLong,
    End,
}

impl Table {
    /// Reads the next record into `filling`; `false` at the end.
    #[inline]
    pub(super) fn next(&mut self, options: &JsonOptions, filling: &mut Filling) -> Result<bool, Broken> {
        let outcome = match &mut self.state {
            State::Lines => self.line(options, filling),
            State::Values => match self.window.token() {
                Ok(None) => Ok(false),
                Ok(Some(_)) => self.value(options, filling).map(|()| true),
                Err(error) => Err(error.into()),
            },
            State::Array { .. } => self.item(options, filling),
        };
        outcome.map_err(|halt| self.broken(halt))
    }

    #[cold]
    fn broken(&self, halt: Halt) -> Broken {
        match halt {
            Halt::Io(error) => Broken { problem: BrokeProblem::from_io(error), line: self.window.line() },
            Halt::CutOff => {
                let (line, _) = self.window.place(self.window.held().len());
                Broken { problem: BrokeProblem::CutOff, line }
            }
            Halt::Wrong { line, column, what } => Broken { problem: BrokeProblem::Json { column, what }, line },
        }
    }

    fn item(&mut self, options: &JsonOptions, filling: &mut Filling) -> Result<bool, Halt> {
        let State::Array { levels, first } = &mut self.state else { return Ok(false) };
        match (document::token(&mut self.window)?, std::mem::take(first)) {
            (b']', _) => {
                self.window.advance(1);
                document::leave(&mut self.window, levels, options.array.is_none())?;
                self.state = State::Values;
                return Ok(false);
            }
            (_, true) => {}
            (b',', false) => {
                self.window.advance(1);
                document::token(&mut self.window)?;
            }
            _ => return Err(document::wrong(&self.window, 0, "`,` or `]`")),
        }
        self.value(options, filling)?;
        Ok(true)
    }

    /// Takes the value that comes next.
    fn value(&mut self, options: &JsonOptions, filling: &mut Filling) -> Result<(), Halt> {
        let bytes_max = options.limits.row_bytes_max;
        let mut last = false;
        let reason = loop {
            let held = self.window.held();
            // No more than this, so that it makes no difference how much happens to be held.
            let piece = &held[..held.len().min(bytes_max + 1)];
            match self.element.read(piece, last) {
                Ok((bytes, flaw)) if bytes <= bytes_max => {
                    filling.record += 1;
                    let read = Read { bytes: &piece[..bytes], flaw, line: self.window.line(), encoding: self.encoding };
                    read.take(&self.element, self.each.as_mut(), options, filling);
                    self.window.advance(bytes);
                    return Ok(());
                }
                Ok(_) => break reasons::too_long(&options.limits),
                Err(Fault::Incomplete) if piece.len() > bytes_max => break reasons::too_long(&options.limits),
                Err(Fault::Incomplete) if last => return Err(Halt::CutOff),
                Err(Fault::Incomplete) => last = !self.window.more()?,
                Err(Fault::TooDeep) => break reasons::too_deep(),
                Err(Fault::Syntax { at, expected }) => return Err(document::wrong(&self.window, at, expected)),
            }
        };
        // It is only counted once its end was found.
        let line = self.window.line();
        let held = self.window.held();
        let kept = held[..held.len().min(options.limits.bad_row_bytes_max + 1)].to_vec();
        document::skip(&mut self.window, Skipper::default())?;
        filling.record += 1;
        // The cells that were read are gone with what was held; the record's head is left.
        let none = filling.batch.columns().iter().map(|_| None);
        filling.bad(line, reason, reasons::cells(none, &kept, options.limits.bad_row_bytes_max));
        Ok(())
    }

    /// Takes the next line that is not blank.
    fn line(&mut self, options: &JsonOptions, filling: &mut Filling) -> Result<bool, Halt> {
        loop {
            let (bytes, ended) = match self.find_line(options.limits.row_bytes_max)? {
                Line::End => return Ok(false),
                Line::TooLong => {
                    self.skip_line(options, filling)?;
                    return Ok(true);
                }
                Line::Held { bytes, ended } => (bytes, ended),
            };
            let line = &self.window.held()[..bytes];
            let blanks = line.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let record = &line[blanks..];
            if !record.is_empty() {
                let outcome = match self.element.read(record, true) {
                    Ok((used, flaw)) => match record[used..].iter().position(|byte| !byte.is_ascii_whitespace()) {
                        None => Ok((used, flaw)),
                        Some(after) => Err(Fault::Syntax { at: used + after, expected: "the end of the line" }),
                    },
                    Err(fault) => Err(fault),
                };
                match outcome {
                    Err(Fault::Incomplete) if !ended => return Err(Halt::CutOff),
                    Ok((used, flaw)) => {
                        filling.record += 1;
                        let (line, encoding) = (self.window.line(), self.encoding);
                        let read = Read { bytes: &record[..used], flaw, line, encoding };
                        read.take(&self.element, self.each.as_mut(), options, filling);
                    }
                    Err(fault) => {
                        filling.record += 1;
                        let cells = self.element.cells(record).take(filling.batch.columns().len());
                        let cells = reasons::cells(cells, record, options.limits.bad_row_bytes_max);
                        filling.bad(self.window.line(), reasons::of_fault(fault, record), cells);
                    }
                }
                self.window.advance_line(bytes + usize::from(ended));
                return Ok(true);
            }
            self.window.advance_line(bytes + usize::from(ended));
        }
    }

    fn find_line(&mut self, bytes_max: usize) -> io::Result<Line> {
        let mut looked = 0;
        loop {
            let held = self.window.held();
            match memchr::memchr(b'\n', &held[looked..]) {
                Some(found) if looked + found <= bytes_max => {
                    return Ok(Line::Held { bytes: looked + found, ended: true });
                }
                Some(_) => return Ok(Line::TooLong),
                None => looked = held.len(),
            }
            if looked > bytes_max {
                return Ok(Line::TooLong);
            }
            if !self.window.more()? {
                return Ok(if looked == 0 { Line::End } else { Line::Held { bytes: looked, ended: false } });
            }
        }
    }

    #[cold]
    fn skip_line(&mut self, options: &JsonOptions, filling: &mut Filling) -> io::Result<()> {
        filling.record += 1;
        let none = filling.batch.columns().iter().map(|_| None);
        let cells = reasons::cells(none, self.window.held(), options.limits.bad_row_bytes_max);
        filling.bad(self.window.line(), reasons::too_long(&options.limits), cells);
        loop {
            if let Some(bytes) = skipper::next_line(self.window.held()) {
                self.window.advance_line(bytes);
                return Ok(());
            }
            self.window.advance(self.window.held().len());
            if !self.window.more()? {
                return Ok(());
            }
        }
    }
}

/// A record that was read.
struct Read<'a> {
    bytes: &'a [u8],
    flaw: Option<Flaw>,
    line: u64,
    encoding: &'static str,
}

impl Read<'_> {
    /// Adds it, as a row (or as its rows) if nothing is wrong with it.
    #[inline]
    fn take(self, element: &Element, each: Option<&mut Each>, options: &JsonOptions, filling: &mut Filling) {
        let Self { bytes, flaw, line, encoding } = self;
        let limits = &options.limits;
        let reason = match (std::str::from_utf8(bytes), flaw) {
            (_, Some(flaw)) => reasons::of_flaw(&flaw, bytes),
            (Err(error), None) => {
                let transcoded = encoding != encoding_rs::UTF_8.name();
                reasons::of_encoding(error.valid_up_to(), bytes, encoding, transcoded)
            }
            (Ok(text), None) => {
                if let Some((column, bytes)) = element.too_long(limits.field_bytes_max) {
                    source::reasons::of_length(column, bytes, filling.batch.columns(), limits)
                } else if element.cells_bytes() > BYTES_MAX {
                    reasons::too_long(limits)
                } else if let Some(each) = each {
                    match each.push(element, text, line, filling) {
                        Ok(()) => return,
                        Err(reason) => reason,
                    }
                } else if let Some(cells) = element.texts(text) {
                    filling.batch.push(filling.record, line, cells);
                    return;
                } else {
                    // Not to be: what was made of a valid text is valid.
                    "a text can't be decoded".to_owned()
                }
            }
        };
        let cells = element.cells(bytes).take(filling.batch.columns().len());
        filling.bad(line, reason, reasons::cells(cells, bytes, limits.bad_row_bytes_max));
    }
}
