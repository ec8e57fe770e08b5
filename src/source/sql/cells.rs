//! One row being decoded: its cells as text, back to back.

use std::fmt::{self, Write as _};

/// The cells of one row. Its buffers are used again for the next.
#[derive(Debug, Default)]
pub(super) struct Cells {
    text: String,
    /// Where each cell ends, and whether it's NULL.
    ends: Vec<(usize, bool)>,
    /// The first cell that can't be text, and why.
    flaw: Option<(usize, String)>,
}

impl Cells {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.flaw = None;
    }

    pub(super) fn null(&mut self) {
        self.ends.push((self.text.len(), true));
    }

    pub(super) fn str(&mut self, cell: &str) {
        self.text.push_str(cell);
        self.end();
    }

    pub(super) fn integer(&mut self, value: impl itoa::Integer) {
        self.str(itoa::Buffer::new().format(value));
    }

    pub(super) fn bytes(&mut self, cell: &[u8]) {
        match std::str::from_utf8(cell) {
            Ok(text) => self.str(text),
            Err(_) => {
                self.text.push_str(&String::from_utf8_lossy(cell));
                self.flawed("is not valid UTF-8");
            }
        }
    }

    pub(super) fn format(&mut self, arguments: fmt::Arguments<'_>) {
        self.text.write_fmt(arguments).expect("a string takes all");
        self.end();
    }

    /// The shortest text that gives the same number again; an exponent where there would be many
    /// zeros.
    pub(super) fn real(&mut self, value: f64) {
        match value.abs() {
            _ if value.is_nan() => self.str("NaN"),
            f64::INFINITY => self.str(if value > 0.0 { "Infinity" } else { "-Infinity" }),
            0.0 | 1e-5..1e15 => self.format(format_args!("{value}")),
            _ => self.format(format_args!("{value:e}")),
        }
    }

    /// As [`Self::real`], of a number with half the digits.
    pub(super) fn real32(&mut self, value: f32) {
        match value.abs() {
            0.0 | 1e-5..1e15 => self.format(format_args!("{value}")),
            finite if finite.is_finite() => self.format(format_args!("{value:e}")),
            _ => self.real(f64::from(value)),
        }
    }

    /// Ends the cell; its row can't be taken.
    pub(super) fn flawed(&mut self, why: &str) {
        if self.flaw.is_none() {
            self.flaw = Some((self.ends.len(), why.to_owned()));
        }
        self.end();
    }

    /// Where the next cell starts, to write it piece by piece; [`Self::end`] ends it.
    pub(super) fn open(&mut self) -> &mut String {
        &mut self.text
    }

    pub(super) fn end(&mut self) {
        self.ends.push((self.text.len(), false));
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    pub(super) fn flaw(&self) -> Option<(usize, &str)> {
        self.flaw.as_ref().map(|(cell, why)| (*cell, why.as_str()))
    }

    pub(super) fn get(&self, cell: usize) -> Option<&str> {
        let (end, null) = self.ends[cell];
        let start = if cell == 0 { 0 } else { self.ends[cell - 1].0 };
        (!null).then(|| &self.text[start..end])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        let mut start = 0;
        self.ends.iter().map(move |(end, null)| {
            let cell = &self.text[std::mem::replace(&mut start, *end)..*end];
            (!null).then_some(cell)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn real(value: f64) -> String {
        let mut cells = Cells::default();
        cells.real(value);
        cells.get(0).expect("not NULL").to_owned()
    }

    #[test]
    fn a_real_is_its_shortest_text() {
        for (value, text) in [
            (0.1, "0.1"),
            (2.0, "2"),
            (-0.0, "-0"),
            (1e300, "1e300"),
            (5e-324, "5e-324"),
            (123_456_789.125, "123456789.125"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(real(value), text);
        }
        let mut cells = Cells::default();
        cells.real32(0.1);
        assert_eq!(cells.get(0), Some("0.1"));
    }

    #[test]
    fn null_is_not_empty() {
        let mut cells = Cells::default();
        cells.str("");
        cells.null();
        cells.bytes(b"x\xff");
        assert_eq!(cells.iter().collect::<Vec<_>>(), [Some(""), None, Some("x\u{fffd}")]);
        assert_eq!(cells.flaw(), Some((2, "is not valid UTF-8")));
    }
}
