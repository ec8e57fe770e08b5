//! Goes over a value of any size that is not kept, piece by piece, in no memory: only its texts and
//! brackets are looked at.

use memchr::{memchr, memchr2};

/// Levels whose brackets are told apart; deeper ones are only counted.
const KINDS_MAX: u64 = 64;

/// What a piece held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skipped {
    /// The value ends after so many bytes of the piece.
    End(usize),
    /// It goes on in the next piece.
    More,
    /// A bracket closes what was not opened, after so many bytes.
    Mismatch(usize),
}

/// The state between two pieces.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Skipper {
    depth: u64,
    /// Whether each of the open levels is an object, the innermost lowest.
    objects: u64,
    in_text: bool,
    escaped: bool,
    in_scalar: bool,
}

impl Skipper {
    /// For what is left of an array whose opening bracket is gone.
    pub(super) fn in_array() -> Self {
        Self { depth: 1, ..Self::default() }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) -> Skipped {
        let mut at = 0;
        while at < bytes.len() {
            if self.in_text {
                if std::mem::take(&mut self.escaped) {
                    at += 1;
                    continue;
                }
                let Some(found) = memchr2(b'"', b'\\', &bytes[at..]) else { return Skipped::More };
                at += found + 1;
                if bytes[at - 1] == b'\\' {
                    self.escaped = true;
                } else {
                    self.in_text = false;
                    if self.depth == 0 {
                        return Skipped::End(at);
                    }
                }
                continue;
            }
            match bytes[at] {
                b'"' => self.in_text = true,
                bracket @ (b'{' | b'[') => {
                    // Beyond those told apart the kind is not kept.
                    if self.depth < KINDS_MAX {
                        self.objects = self.objects << 1 | u64::from(bracket == b'{');
                    }
                    self.depth += 1;
                }
                b'}' | b']' if self.depth == 0 => {
                    return if self.in_scalar { Skipped::End(at) } else { Skipped::Mismatch(at) };
                }
                bracket @ (b'}' | b']') => {
                    if self.depth <= KINDS_MAX {
                        if (self.objects & 1 == 1) != (bracket == b'}') {
                            return Skipped::Mismatch(at);
                        }
                        self.objects >>= 1;
                    }
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Skipped::End(at + 1);
                    }
                }
                b',' | b' ' | b'\n' | b'\r' | b'\t' if self.depth == 0 && self.in_scalar => return Skipped::End(at),
                _ => self.in_scalar = self.depth == 0,
            }
            at += 1;
        }
        Skipped::More
    }
}

/// Where the next line starts in `bytes`.
pub(super) fn next_line(bytes: &[u8]) -> Option<usize> {
    memchr(b'\n', bytes).map(|at| at + 1)
}
