//! JSON, written straight into a buffer.

use crate::entity::Constant;

/// Appends bytes, of which there are few most often: two moves of a fixed size, which may overlap, take half as long as the call
/// that copies any number of them.
// Always: as a call of its own it takes as long as the call that it is there to save.
#[inline(always)]
pub(super) fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    let appended = match bytes.len() {
        16..=32 => from_both_ends::<16>(out, bytes),
        8..=15 => from_both_ends::<8>(out, bytes),
        4..=7 => from_both_ends::<4>(out, bytes),
        1 => from_both_ends::<1>(out, bytes),
        _ => None,
    };
    if appended.is_none() {
        out.extend_from_slice(bytes);
    }
}

/// Appends what has at least `N` bytes and at most twice as many.
#[inline(always)]
fn from_both_ends<const N: usize>(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    let (first, last) = (bytes.first_chunk::<N>()?, bytes.last_chunk::<N>()?);
    let end = out.len() + bytes.len();
    out.extend_from_slice(first);
    out.truncate(end - N);
    out.extend_from_slice(last);
    Some(())
}

/// Appends `text` as a JSON string.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.push(b'"');
    // Without a way out in between, so that many bytes are looked at in one step.
    if !bytes.iter().fold(false, |any, &byte| any | needs_escape(byte)) {
        append(out, bytes);
        out.push(b'"');
        return;
    }
    let mut start = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !needs_escape(byte) {
            continue;
        }
        out.extend_from_slice(&bytes[start..at]);
        start = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[(control >> 4) as usize]);
                out.push(HEX[(control & 15) as usize]);
            }
        }
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

/// Appends a constant.
pub(super) fn constant(out: &mut Vec<u8>, constant: Constant) {
    match constant {
        Constant::Word(word) => string(out, word),
        Constant::True => out.extend_from_slice(b"true"),
    }
}

/// `,"name":`, ready to be written; without the comma for the first in an object.
pub(super) fn lead(name: &str) -> Box<[u8]> {
    let mut lead = vec![b','];
    string(&mut lead, name);
    lead.push(b':');
    lead.into()
}

/// Appends a comma, unless an object or a list was just opened.
pub(super) fn comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'{' | b'[')) {
        out.push(b',');
    }
}

const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_of_any_number_are_appended_as_they_are(
            before in proptest::collection::vec(any::<u8>(), 0..40), bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut out = before.clone();
            super::append(&mut out, &bytes);
            prop_assert_eq!(out, [before, bytes].concat());
        }

        #[test]
        fn any_text_survives(text in any::<String>()) {
            let mut out = Vec::new();
            super::string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn controls_survive(bytes in proptest::collection::vec(0u8..0x80, 0..40)) {
            let text = String::from_utf8(bytes).unwrap();
            let mut out = Vec::new();
            super::string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
