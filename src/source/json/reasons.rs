//! What is wrong with a record, in words, and what is kept of it.

use super::super::limits::Limits;
use super::cursor::{DEPTH_MAX, Fault, Flaw};
use super::document::expected;
use crate::source::error::cut;

pub(super) fn of_flaw(flaw: &Flaw, bytes: &[u8]) -> String {
    match flaw {
        Flaw::NotAnObject(kind) => format!("the record is {kind}, not an object"),
        Flaw::Control { at } => {
            let byte = bytes.get(*at).copied().unwrap_or_default();
            format!(
                "a text holds the control character 0x{byte:02x} as it is, at character {} of the record",
                character(bytes, *at)
            )
        }
        Flaw::Escape { at } => {
            format!("a text holds a wrong escape, at character {} of the record", character(bytes, *at))
        }
        Flaw::Surrogate => "a text holds half of a surrogate pair, which is no character".to_owned(),
        Flaw::Twice(key) => format!("the key `{}` is there twice", cut(key)),
    }
}

/// Of a line that is not one record.
pub(super) fn of_fault(fault: Fault, bytes: &[u8]) -> String {
    match fault {
        Fault::Incomplete => "the line ends in the middle of its JSON".to_owned(),
        Fault::Syntax { at, expected: what } => {
            let what = expected(what, bytes.get(at).copied());
            format!("the line is not JSON at its character {}: {what}", character(bytes, at))
        }
        Fault::TooDeep => too_deep(),
    }
}

pub(super) fn too_deep() -> String {
    format!("the record has more than {DEPTH_MAX} levels of objects and arrays")
}

pub(super) fn too_long(limits: &Limits) -> String {
    format!("the record has more than {} bytes", limits.row_bytes_max)
}

/// `transcoded`: the text was decoded from another encoding, so that its bytes aren't the file's.
pub(super) fn of_encoding(valid: usize, bytes: &[u8], encoding: &str, transcoded: bool) -> String {
    if transcoded {
        format!("the record is not valid {encoding} after its first {} characters", character(bytes, valid) - 1)
    } else {
        format!("the record is not valid {encoding} at its byte {} (0x{:02x})", valid + 1, bytes[valid])
    }
}

/// Which character stands at the byte `at`, from 1.
fn character(bytes: &[u8], at: usize) -> usize {
    String::from_utf8_lossy(&bytes[..at.min(bytes.len())]).chars().count() + 1
}

/// What a bad row keeps: a cell for each column, as far as it was read, then the record as it is
/// written. At most `bytes_max` bytes, half of them for the cells; what is cut ends in `…`.
pub(super) fn cells<'a>(cells: impl Iterator<Item = Option<&'a [u8]>>, record: &[u8], bytes_max: usize) -> Vec<String> {
    let mut room = bytes_max / 2;
    let mut kept: Vec<String> = cells.map(|cell| take(cell.unwrap_or_default(), &mut room)).collect();
    room += bytes_max - bytes_max / 2;
    kept.push(take(record, &mut room));
    kept
}

fn take(bytes: &[u8], room: &mut usize) -> String {
    let held = bytes.len().min(*room);
    *room -= held;
    let mut text = String::from_utf8_lossy(&bytes[..held]).into_owned();
    if held < bytes.len() {
        text.push('…');
    }
    text
}
