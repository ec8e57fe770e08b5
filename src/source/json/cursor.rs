//! Goes over the JSON of one record, which is whole in memory: tokens, and values as a whole.
//!
//! The grammar is RFC 8259, to the letter. Two kinds of faults are told apart: a [`Fault`] ends the
//! record, as nothing is known of what comes after it; a [`Flaw`] spoils the record, but not where
//! it ends.

/// Levels of objects and arrays, one inside the other, in one record; itself is the first.
pub(super) const DEPTH_MAX: u32 = 64;

/// Where the record stops to be JSON. `at` counts bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes end inside it.
    Incomplete,
    /// Something else is there.
    Syntax { at: usize, expected: &'static str },
    /// It has more than [`DEPTH_MAX`] levels.
    TooDeep,
}

/// What is wrong with a record whose end is known. `at` counts bytes from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is something else than an object.
    NotAnObject(&'static str),
    /// A text holds a control character as it is, as a line end or a tab.
    Control { at: usize },
    /// A text has a backslash with something after it that can't be there.
    Escape { at: usize },
    /// Half of a surrogate pair, which is no character.
    Surrogate,
    /// A key that is read is there twice in its object.
    Twice(String),
}

/// A text between quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quoted {
    /// Without the quotes.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether it has a backslash.
    pub(super) escaped: bool,
}

/// What is done with the parts of a value while going over it.
pub(super) trait Visit {
    fn open(&mut self, _bracket: u8) {}
    fn close(&mut self, _bracket: u8) {}
    fn comma(&mut self) {}
    fn key(&mut self, _raw: &[u8], _escaped: bool) {}
    fn text(&mut self, _raw: &[u8], _escaped: bool) {}
    /// A number, `true`, `false` or `null`.
    fn token(&mut self, _raw: &[u8]) {}
}

/// Nothing.
pub(super) struct Skip;

impl Visit for Skip {}

/// A place in the bytes of a record.
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    /// Whether nothing can follow the bytes, so that a number at their end is whole.
    last: bool,
    /// The first that was found.
    pub(super) flaw: Option<Flaw>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], last: bool) -> Self {
        Self { bytes, at: 0, last, flaw: None }
    }

    pub(super) fn flawed(&mut self, flaw: Flaw) {
        self.flaw.get_or_insert(flaw);
    }

    #[inline]
    pub(super) fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    #[inline]
    pub(super) fn peek(&self) -> Result<u8, Fault> {
        self.bytes.get(self.at).copied().ok_or(Fault::Incomplete)
    }

    #[inline]
    pub(super) fn syntax(&self, expected: &'static str) -> Fault {
        Fault::Syntax { at: self.at, expected }
    }

    /// A text, from its opening quote.
    #[inline]
    pub(super) fn text(&mut self) -> Result<Quoted, Fault> {
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            let Some(found) = special(self.bytes, at) else { return Err(Fault::Incomplete) };
            at = found;
            match self.bytes[at] {
                b'"' => {
                    self.at = at + 1;
                    return Ok(Quoted { start, end: at, escaped });
                }
                b'\\' => {
                    escaped = true;
                    at = self.escape(at)?;
                }
                _ => {
                    self.flawed(Flaw::Control { at });
                    at += 1;
                }
            }
        }
    }

    /// Goes over the escape at `at`.
    fn escape(&mut self, at: usize) -> Result<usize, Fault> {
        match self.bytes.get(at + 1) {
            None => Err(Fault::Incomplete),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
            Some(b'u') => match self.bytes.get(at + 2..at + 6) {
                None => Err(Fault::Incomplete),
                Some(digits) => {
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        self.flawed(Flaw::Escape { at });
                    }
                    Ok(at + 2)
                }
            },
            Some(_) => {
                self.flawed(Flaw::Escape { at });
                // What follows may be a character of several bytes; none of them means anything.
                Ok(at + 2)
            }
        }
    }

    /// A key with the colon behind it, up to its value.
    #[inline]
    pub(super) fn key(&mut self) -> Result<Quoted, Fault> {
        if self.peek()? != b'"' {
            return Err(self.syntax("a key in double quotes"));
        }
        let key = self.text()?;
        self.blanks();
        if self.peek()? != b':' {
            return Err(self.syntax("`:`"));
        }
        self.at += 1;
        self.blanks();
        Ok(key)
    }

    /// A number, from its first byte; the token as it is written.
    #[inline]
    pub(super) fn number(&mut self) -> Result<&'a [u8], Fault> {
        let start = self.at;
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        match self.peek()? {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits(),
            _ => return Err(self.syntax("a digit")),
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let b'+' | b'-' = self.peek()? {
                self.at += 1;
            }
            self.some_digits()?;
        }
        if self.at == self.bytes.len() && !self.last { Err(Fault::Incomplete) } else { Ok(&self.bytes[start..self.at]) }
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), Fault> {
        if !self.peek()?.is_ascii_digit() {
            return Err(self.syntax("a digit"));
        }
        self.digits();
        Ok(())
    }

    /// `true`, `false` or `null`.
    pub(super) fn word(&mut self) -> Result<&'static [u8], Fault> {
        let word: &'static [u8] = match self.peek()? {
            b't' => b"true",
            b'f' => b"false",
            b'n' => b"null",
            _ => return Err(self.syntax("a value")),
        };
        let rest = &self.bytes[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            Ok(word)
        } else if word.starts_with(rest) {
            Err(Fault::Incomplete)
        } else {
            Err(self.syntax("a value"))
        }
    }

    /// Goes over a value, from its first byte, which may have `depth_left` levels. No recursion:
    /// the open brackets are bits of a number.
    pub(super) fn walk(&mut self, depth_left: u32, visit: &mut impl Visit) -> Result<(), Fault> {
        let (mut objects, mut depth) = (0_u64, 0_u32);
        loop {
            match self.peek()? {
                b'"' => {
                    let text = self.text()?;
                    visit.text(&self.bytes[text.start..text.end], text.escaped);
                }
                bracket @ (b'{' | b'[') => {
                    if depth == depth_left {
                        return Err(Fault::TooDeep);
                    }
                    visit.open(bracket);
                    depth += 1;
                    objects = objects << 1 | u64::from(bracket == b'{');
                    self.at += 1;
                    self.blanks();
                    match self.peek()? {
                        b'}' if bracket == b'{' => {}
                        b']' if bracket == b'[' => {}
                        _ if bracket == b'{' => {
                            self.visit_key(visit)?;
                            continue;
                        }
                        _ => continue,
                    }
                }
                b'-' | b'0'..=b'9' => visit.token(self.number()?),
                _ => visit.token(self.word()?),
            }
            loop {
                if depth == 0 {
                    return Ok(());
                }
                self.blanks();
                let in_object = objects & 1 == 1;
                match self.peek()? {
                    b',' => {
                        visit.comma();
                        self.at += 1;
                        self.blanks();
                        if in_object {
                            self.visit_key(visit)?;
                        }
                        break;
                    }
                    bracket @ (b'}' | b']') if in_object == (bracket == b'}') => {
                        visit.close(bracket);
                        self.at += 1;
                        objects >>= 1;
                        depth -= 1;
                    }
                    _ => return Err(self.syntax(if in_object { "`,` or `}`" } else { "`,` or `]`" })),
                }
            }
        }
    }

    fn visit_key(&mut self, visit: &mut impl Visit) -> Result<(), Fault> {
        let key = self.key()?;
        visit.key(&self.bytes[key.start..key.end], key.escaped);
        Ok(())
    }
}

const ONES: u64 = u64::MAX / 255;
const HIGHS: u64 = ONES << 7;

/// The first quote, backslash or control character from `at` on. Eight bytes at a time: texts are
/// too short for a vector search to pay.
#[inline]
fn special(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(chunk) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
        // A byte's high bit is set where it is below 0x20, or equal; a borrow can spoil only
        // higher bytes than the first hit.
        let equals = |byte: u8| {
            let differs = word ^ (ONES * u64::from(byte));
            differs.wrapping_sub(ONES) & !differs
        };
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let hits = (equals(b'"') | equals(b'\\') | control) & HIGHS;
        if hits != 0 {
            return Some(at + hits.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let tail = bytes.get(at..)?;
    tail.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).map(|found| at + found)
}
