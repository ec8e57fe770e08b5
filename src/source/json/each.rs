//! One row for each entry of an object or array that a record holds.

use super::cursor::{Cursor, DEPTH_MAX, Fault, Skip};
use super::element::Element;
use super::text;
use super::{EACH_KEY, EACH_VALUE};
use crate::source::error::cut;
use crate::source::feed::Filling;

/// Most bytes of cells that one record may become, so that a batch stays bounded: 16 MiB.
const CELLS_BYTES_MAX: usize = 16 << 20;

/// Which entries, and the columns that they fill.
pub(super) struct Each {
    path: String,
    /// How many columns rows have; the one behind them holds the entries.
    columns: usize,
    keys: Vec<usize>,
    values: Vec<usize>,
    text: Vec<u8>,
}

/// An entry's key and value in [`Each::text`].
struct Entry {
    key: (usize, usize),
    value: Option<(usize, usize)>,
}

impl Each {
    pub(super) fn new(path: &str, wanted: &[String]) -> Self {
        let of = |name: &str| (0..wanted.len()).filter(|column| wanted[*column] == name).collect();
        Self {
            path: path.to_owned(),
            columns: wanted.len(),
            keys: of(EACH_KEY),
            values: of(EACH_VALUE),
            text: Vec::new(),
        }
    }

    /// Adds the rows of the record that was just read from `record`.
    ///
    /// # Errors
    ///
    /// What is wrong with the record. Nothing was added.
    pub(super) fn push(
        &mut self,
        element: &Element,
        record: &str,
        line: u64,
        filling: &mut Filling,
    ) -> Result<(), String> {
        let wrong = |what: &str| format!("`{}` {what}", cut(&self.path));
        let json = element.json(self.columns).map_err(|()| wrong("is neither an object nor an array"))?;
        let Some(json) = json else { return Ok(()) };
        self.text.clear();
        // It was written by us, so it holds; but a bug must not lose entries.
        let entries = entries(json, &mut self.text).map_err(|_| wrong("can't be taken apart"))?;
        let bytes = entries.len().saturating_mul(element.cells_bytes() - json.len()).saturating_add(json.len());
        if bytes > CELLS_BYTES_MAX {
            return Err(wrong(&format!("has so many entries that its rows have more than {CELLS_BYTES_MAX} bytes")));
        }
        let text = std::str::from_utf8(&self.text).map_err(|_| wrong("can't be decoded"))?;
        let cells: Option<Vec<Option<&str>>> = element.texts(record).map(|cells| cells.take(self.columns).collect());
        let cells = cells.ok_or_else(|| wrong("can't be decoded"))?;
        for Entry { key, value } in entries {
            filling.batch.push(
                filling.record,
                line,
                cells.iter().enumerate().map(|(column, cell)| {
                    if self.keys.contains(&column) {
                        Some(&text[key.0..key.1])
                    } else if self.values.contains(&column) {
                        value.map(|value| &text[value.0..value.1])
                    } else {
                        *cell
                    }
                }),
            );
        }
        Ok(())
    }
}

/// The entries of `json`; their text is appended to `text`.
fn entries(json: &[u8], text: &mut Vec<u8>) -> Result<Vec<Entry>, Fault> {
    let mut entries = Vec::new();
    let mut cursor = Cursor::new(json, true);
    let in_object = cursor.peek()? == b'{';
    cursor.at += 1;
    if matches!(cursor.peek()?, b'}' | b']') {
        return Ok(entries);
    }
    loop {
        let from = text.len();
        if in_object {
            let key = cursor.key()?;
            text::unescape(&json[key.start..key.end], text).map_err(|_| Fault::Incomplete)?;
        } else {
            text.extend_from_slice(entries.len().to_string().as_bytes());
        }
        let key = (from, text.len());
        let start = cursor.at;
        let first = cursor.peek()?;
        cursor.walk(DEPTH_MAX, &mut Skip)?;
        let raw = &json[start..cursor.at];
        match first {
            b'"' => text::unescape(&raw[1..raw.len() - 1], text).map_err(|_| Fault::Incomplete)?,
            b'-' | b'0'..=b'9' if text::plain(raw, text) => {}
            _ => text.extend_from_slice(raw),
        }
        let value = (first != b'n').then_some((key.1, text.len()));
        entries.push(Entry { key, value });
        if cursor.peek()? != b',' {
            return Ok(entries);
        }
        cursor.at += 1;
    }
}
