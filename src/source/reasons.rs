//! What is wrong with a row, in words, and what is kept of it.

use super::error::cut;
use super::limits::Limits;
use super::split::Flaw;

/// A column as messages name it; `cell` counts from 0.
fn column(names: &[Box<str>], cell: usize) -> String {
    match names.get(cell) {
        Some(name) => format!("column `{}`", cut(name)),
        None => format!("cell {}", cell + 1),
    }
}

pub(super) fn of_flaw(flaw: Flaw, names: &[Box<str>], limits: &Limits) -> String {
    match flaw {
        Flaw::TooLong { opened_line: None, .. } => {
            format!("the row has more than {} bytes", limits.row_bytes_max)
        }
        Flaw::TooLong { cell, opened_line: Some(line) } => format!(
            "the row has more than {} bytes; the quote that opens {} on line {line} may lack its closing one",
            limits.row_bytes_max,
            column(names, cell)
        ),
        Flaw::TooWide => format!("the row has more than {} cells, the header has {}", limits.columns_max, names.len()),
        Flaw::Unclosed { cell, opened_line } => format!(
            "the quote that opens {} on line {opened_line} is never closed; all text up to the end of the file fell into this row",
            column(names, cell)
        ),
        Flaw::AfterQuote { cell, opened_line } => format!(
            "text follows the closing quote of {}, which opens on line {opened_line}; a quote inside quotes has to be written twice",
            column(names, cell)
        ),
    }
}

pub(super) fn of_width(cells: usize, names: &[Box<str>]) -> String {
    format!("the row has {cells} {}, the header has {}", if cells == 1 { "cell" } else { "cells" }, names.len())
}

pub(super) fn of_length(cell: usize, bytes: usize, names: &[Box<str>], limits: &Limits) -> String {
    format!("{} has {bytes} bytes, more than the {} allowed", column(names, cell), limits.field_bytes_max)
}

/// `transcoded`: the text was decoded from another encoding, so that its bytes aren't the file's.
pub(super) fn of_encoding(
    text: &[u8],
    ends: &[usize],
    names: &[Box<str>],
    encoding: &str,
    transcoded: bool,
) -> Option<String> {
    let mut start = 0;
    for (cell, end) in ends.iter().enumerate() {
        let bytes = &text[start..*end];
        if let Err(error) = std::str::from_utf8(bytes) {
            let (column, at) = (column(names, cell), error.valid_up_to());
            return Some(if transcoded {
                let characters = std::str::from_utf8(&bytes[..at]).map_or(at, |text| text.chars().count());
                format!("{column} is not valid {encoding} after its first {characters} characters")
            } else {
                format!("{column} is not valid {encoding} at its byte {} (0x{:02x})", at + 1, bytes[at])
            });
        }
        start = *end;
    }
    None
}

/// The cells of a bad row in `order`, lossily decoded, with at most `bytes_max` of their bytes;
/// what is cut ends in `…`.
///
/// In a row with too few cells the lacking ones are left out at the end, or empty where columns
/// had to be put in order; cells beyond the header come last.
pub(super) fn cells(text: &[u8], ends: &[usize], order: Option<&[usize]>, bytes_max: usize) -> Vec<String> {
    let cell = |index: usize| {
        let start = if index == 0 { 0 } else { *ends.get(index - 1)? };
        Some(&text[start..*ends.get(index)?])
    };
    let mut room = bytes_max;
    let mut kept = Vec::new();
    let mut keep = |bytes: &[u8]| {
        if room == 0 && !bytes.is_empty() {
            return false;
        }
        let whole = bytes.len() <= room;
        let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(room)]).into_owned();
        if !whole {
            text.push('…');
        }
        room -= bytes.len().min(room);
        kept.push(text);
        whole
    };
    match order {
        None => {
            // What was read of an unfinished cell comes after the last end.
            let rest = &text[ends.last().map_or(0, |end| *end)..];
            let _ = (0..ends.len()).filter_map(cell).all(&mut keep) && (rest.is_empty() || keep(rest));
        }
        Some(order) => {
            let extra = (order.len()..ends.len()).filter_map(cell);
            let _ = order.iter().map(|index| cell(*index).unwrap_or_default()).chain(extra).all(&mut keep);
        }
    }
    kept
}
