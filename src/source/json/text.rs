//! What texts and numbers say: escapes undone and written again, values written compactly.

use super::cursor::{Flaw, Visit};

/// Most characters of a number that is written out from its exponent form.
const PLAIN_CHARS_MAX: usize = 64;

/// Appends the text that `raw`, the inside of quotes, stands for. Wrong escapes are left out: the
/// record that holds one is refused anyway.
///
/// # Errors
///
/// [`Flaw::Surrogate`].
pub(super) fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Flaw> {
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &raw[at..]) {
        out.extend_from_slice(&raw[at..at + found]);
        at += found + 2;
        out.push(match raw.get(at - 1) {
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
            Some(b'u') => {
                let Some(mut unit) = unit(raw, at) else { continue };
                at += 4;
                if let 0xd800..=0xdbff = unit {
                    let low = raw[at..].starts_with(b"\\u").then(|| self::unit(raw, at + 2)).flatten();
                    let Some(low @ 0xdc00..=0xdfff) = low else { return Err(Flaw::Surrogate) };
                    at += 6;
                    unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                }
                let char = char::from_u32(unit).ok_or(Flaw::Surrogate)?;
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            _ => continue,
        });
    }
    out.extend_from_slice(&raw[at.min(raw.len())..]);
    Ok(())
}

/// The four hexadecimal digits at `at`.
fn unit(raw: &[u8], at: usize) -> Option<u32> {
    let digits = raw.get(at..at + 4)?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

/// Appends `text` between quotes, with the escapes that it needs and no others.
fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        let short = match byte {
            b'"' | b'\\' => *byte,
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..=0x1f => {
                out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                continue;
            }
            _ => {
                out.push(*byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.push(b'"');
}

/// Writes a value without blanks, texts in one way only, numbers as they are; and finds keys that
/// are there twice.
pub(super) struct Compact<'a> {
    out: &'a mut Vec<u8>,
    buffer: Vec<u8>,
    /// Where the keys of all open objects are in `out`, and where those of each begin here.
    keys: Vec<(usize, usize)>,
    open: Vec<usize>,
    pub(super) flaw: Option<Flaw>,
}

impl<'a> Compact<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, buffer: Vec::new(), keys: Vec::new(), open: Vec::new(), flaw: None }
    }
}

impl Visit for Compact<'_> {
    fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.open.push(self.keys.len());
    }

    fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        let from = self.open.pop().unwrap_or(0);
        let (out, keys) = (&*self.out, &mut self.keys[from..]);
        let name = |key: &(usize, usize)| &out[key.0..key.1];
        if keys.len() > 1 {
            keys.sort_unstable_by(|a, b| name(a).cmp(name(b)));
            if let Some(pair) = keys.windows(2).find(|pair| name(&pair[0]) == name(&pair[1])) {
                let key = name(&pair[0]);
                let key = String::from_utf8_lossy(&key[1..key.len() - 1]).into_owned();
                self.flaw.get_or_insert(Flaw::Twice(key));
            }
        }
        self.keys.truncate(from);
    }

    fn comma(&mut self) {
        self.out.push(b',');
    }

    fn key(&mut self, raw: &[u8], escaped: bool) {
        let start = self.out.len();
        self.text(raw, escaped);
        self.keys.push((start, self.out.len()));
        self.out.push(b':');
    }

    fn text(&mut self, raw: &[u8], escaped: bool) {
        if escaped {
            self.buffer.clear();
            if let Err(flaw) = unescape(raw, &mut self.buffer) {
                self.flaw.get_or_insert(flaw);
            }
            quote(&self.buffer, self.out);
        } else {
            self.out.push(b'"');
            self.out.extend_from_slice(raw);
            self.out.push(b'"');
        }
    }

    fn token(&mut self, raw: &[u8]) {
        self.out.extend_from_slice(raw);
    }
}

/// Appends a number with an exponent as plain decimal, exactly; `false`, and nothing appended,
/// where that would have more than [`PLAIN_CHARS_MAX`] characters.
pub(super) fn plain(number: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(split) = number.iter().position(|byte| matches!(byte, b'e' | b'E')) else { return false };
    let (mantissa, exponent) = (&number[..split], &number[split + 1..]);
    let Some(exponent) = std::str::from_utf8(exponent).ok().and_then(|text| text.parse::<i32>().ok()) else {
        return false;
    };
    let (sign, mantissa) = match mantissa.strip_prefix(b"-") {
        Some(rest) => (&b"-"[..], rest),
        None => (&b""[..], mantissa),
    };
    let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
    let digits: Vec<u8> = mantissa.iter().copied().filter(|byte| *byte != b'.').collect();
    // The point stands before the digit of this number.
    let place = i64::from(exponent) + point as i64;
    let chars = sign.len() as i64 + 2 + (digits.len() as i64 - place.min(0)).max(place);
    if chars > PLAIN_CHARS_MAX as i64 {
        return false;
    }
    // Both are small now: their sum is below the limit.
    let digit = |at: i64| usize::try_from(at).ok().and_then(|at| digits.get(at)).copied().unwrap_or(b'0');
    out.extend_from_slice(sign);
    let first = (0..place).find(|at| digit(*at) != b'0');
    match first {
        Some(first) => out.extend((first..place).map(digit)),
        None => out.push(b'0'),
    }
    if place < digits.len() as i64 {
        out.push(b'.');
        out.extend((place..digits.len() as i64).map(digit));
    }
    true
}
