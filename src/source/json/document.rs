//! Where the records are in a text that starts with an object: what it holds, and the way to one
//! of its arrays. In bounded memory, whatever the size of what is passed over.

use std::io::{self, Read};

use super::cursor::{Cursor, Fault};
use super::skipper::{Skipped, Skipper};
use super::text;
use super::wanted::Wanted;
use super::window::Window;

/// Most bytes of a key that is looked at; a longer one is nobody's.
const KEY_BYTES_MAX: usize = 64 << 10;

/// Most arrays that are remembered.
const ARRAYS_MAX: usize = 100;

/// Why moving on ends.
#[derive(Debug)]
pub(super) enum Halt {
    Io(io::Error),
    /// The text ends in the middle.
    CutOff,
    /// Something else is there, or nothing is wrong with it but the meaning.
    Wrong {
        line: u64,
        column: u64,
        what: String,
    },
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What was expected and what is there, in words.
pub(super) fn expected(expected: &str, found: Option<u8>) -> String {
    match found {
        Some(byte) if byte.is_ascii() => format!("expected {expected}, found `{}`", char::from(byte).escape_default()),
        Some(_) => format!("expected {expected}, found a character that is not ASCII"),
        None => format!("expected {expected}, found the end"),
    }
}

/// `held` is wrong at `offset`.
pub(super) fn wrong<R: Read>(window: &Window<R>, offset: usize, what: &str) -> Halt {
    let (line, column) = window.place(offset);
    Halt::Wrong { line, column, what: expected(what, window.held().get(offset).copied()) }
}

/// The next byte that is no blank.
pub(super) fn token<R: Read>(window: &mut Window<R>) -> Result<u8, Halt> {
    window.token()?.ok_or(Halt::CutOff)
}

/// The key that comes next, with its colon; `None`: it is too long, or no text.
pub(super) fn key<R: Read>(window: &mut Window<R>) -> Result<Option<String>, Halt> {
    if token(window)? != b'"' {
        return Err(wrong(window, 0, "a key in double quotes"));
    }
    let key = loop {
        let held = window.held();
        let mut cursor = Cursor::new(&held[..held.len().min(KEY_BYTES_MAX)], false);
        match cursor.text() {
            Ok(quoted) => {
                let mut key = Vec::new();
                let read = text::unescape(&held[quoted.start..quoted.end], &mut key);
                let end = cursor.at;
                window.advance(end);
                break read.ok().and_then(|()| String::from_utf8(key).ok());
            }
            Err(Fault::Incomplete) if held.len() < KEY_BYTES_MAX => {
                if !window.more()? {
                    return Err(Halt::CutOff);
                }
            }
            Err(_) => {
                skip(window, Skipper::default())?;
                break None;
            }
        }
    };
    if token(window)? != b':' {
        return Err(wrong(window, 0, "`:`"));
    }
    window.advance(1);
    Ok(key)
}

/// Goes over the rest of a value.
pub(super) fn skip<R: Read>(window: &mut Window<R>, mut skipper: Skipper) -> Result<(), Halt> {
    loop {
        let held = window.held().len();
        match skipper.feed(window.held()) {
            Skipped::End(bytes) => {
                window.advance(bytes);
                return Ok(());
            }
            Skipped::More => {
                window.advance(held);
                if !window.more()? {
                    return Err(Halt::CutOff);
                }
            }
            Skipped::Mismatch(at) => return Err(wrong(window, at, "the bracket that closes what is open")),
        }
    }
}

/// What comes after the first value of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Nothing,
    Something,
    /// The text, or what there is of it, ends inside the value.
    CutOff,
    /// It isn't JSON.
    Broken,
}

/// What the object holds with which a text starts.
#[derive(Debug)]
pub(super) struct Survey {
    /// Its arrays of objects, and those without an item.
    pub(super) arrays: Vec<String>,
    /// Whether it has a key that is wanted of a record.
    pub(super) has_wanted: bool,
    /// Whether it goes over several lines.
    pub(super) spans_lines: bool,
    pub(super) after: After,
}

/// Looks at the object with which a text starts.
pub(super) fn survey<R: Read>(window: &mut Window<R>, wanted: &Wanted) -> Survey {
    let mut survey = Survey { arrays: Vec::new(), has_wanted: false, spans_lines: false, after: After::Nothing };
    let line = window.line();
    let outcome = survey_object(window, wanted, &mut survey).and_then(|()| {
        survey.spans_lines = window.line() > line;
        Ok(window.token()?)
    });
    survey.after = match outcome {
        Ok(None) => After::Nothing,
        Ok(Some(_)) => After::Something,
        // Errors come again when it is read; then the place is known.
        Err(Halt::CutOff | Halt::Io(_)) => After::CutOff,
        Err(Halt::Wrong { .. }) => After::Broken,
    };
    survey
}

fn survey_object<R: Read>(window: &mut Window<R>, wanted: &Wanted, survey: &mut Survey) -> Result<(), Halt> {
    token(window)?;
    window.advance(1);
    if token(window)? == b'}' {
        window.advance(1);
        return Ok(());
    }
    loop {
        let key = key(window)?;
        survey.has_wanted |= key.as_deref().is_some_and(|key| wanted.has_key(key));
        let mut skipper = Skipper::default();
        if token(window)? == b'[' {
            window.advance(1);
            skipper = Skipper::in_array();
            if matches!(token(window)?, b'{' | b']') && survey.arrays.len() < ARRAYS_MAX {
                survey.arrays.extend(key);
            }
        }
        skip(window, skipper)?;
        match token(window)? {
            b',' => window.advance(1),
            b'}' => {
                window.advance(1);
                return Ok(());
            }
            _ => return Err(wrong(window, 0, "`,` or `}`")),
        }
    }
}

/// What the way to an array led to.
pub(super) enum Entered {
    /// Into it, right behind its bracket; the keys on the way, its own last.
    Array(Vec<String>),
    /// To something else.
    Other,
    /// Nowhere. These arrays are there.
    Nowhere(Vec<String>),
}

/// Goes into the array `path`: a key, or keys with dots between them. `is_key`: it is one key,
/// whatever it looks like.
pub(super) fn enter<R: Read>(window: &mut Window<R>, path: &str, is_key: bool) -> Result<Entered, Halt> {
    let (mut levels, mut arrays): (Vec<(String, &str)>, _) = (Vec::new(), Vec::new());
    let mut rest = path;
    if token(window)? != b'{' {
        return Err(wrong(window, 0, "`{`"));
    }
    window.advance(1);
    let mut first = true;
    loop {
        match token(window)? {
            b'}' => {
                window.advance(1);
                let Some((_, before)) = levels.pop() else { return Ok(Entered::Nowhere(arrays)) };
                (rest, first) = (before, false);
                continue;
            }
            _ if first => first = false,
            b',' => window.advance(1),
            _ => return Err(wrong(window, 0, "`,` or `}`")),
        }
        let key = key(window)?;
        let value = token(window)?;
        let Some(key) = key else {
            skip(window, Skipper::default())?;
            continue;
        };
        if key == rest {
            if value != b'[' {
                return Ok(Entered::Other);
            }
            window.advance(1);
            let mut levels: Vec<String> = levels.into_iter().map(|(key, _)| key).collect();
            levels.push(key);
            return Ok(Entered::Array(levels));
        }
        let below = rest.strip_prefix(&*key).and_then(|rest| rest.strip_prefix('.'));
        if let (Some(below), b'{', false) = (below, value, is_key) {
            window.advance(1);
            levels.push((key, rest));
            (rest, first) = (below, true);
            continue;
        }
        if value == b'[' && levels.is_empty() && arrays.len() < ARRAYS_MAX {
            arrays.push(key);
        }
        skip(window, Skipper::default())?;
    }
}

/// Goes on behind the array to the end of the text. `levels`: as [`enter`] gave them; with `alone`
/// no other array of objects may come.
pub(super) fn leave<R: Read>(window: &mut Window<R>, levels: &[String], alone: bool) -> Result<(), Halt> {
    for (level, own) in levels.iter().enumerate().rev() {
        loop {
            match token(window)? {
                b',' => window.advance(1),
                b'}' => {
                    window.advance(1);
                    break;
                }
                _ => return Err(wrong(window, 0, "`,` or `}`")),
            }
            let key = key(window)?;
            let (line, column) = window.place(0);
            let stop = |what| Err(Halt::Wrong { line, column, what });
            if key.as_ref() == Some(own) {
                return stop(format!("`{}` is there twice", super::super::error::cut(own)));
            }
            let mut skipper = Skipper::default();
            if token(window)? == b'[' && alone && level == 0 {
                window.advance(1);
                skipper = Skipper::in_array();
                if matches!(token(window)?, b'{' | b']') {
                    let key = key.unwrap_or_default();
                    let key = super::super::error::cut(&key);
                    return stop(format!("`{key}` is an array, too; say which one holds the records"));
                }
            }
            skip(window, skipper)?;
        }
    }
    match window.token()? {
        None => Ok(()),
        Some(_) => Err(wrong(window, 0, "the end of the text")),
    }
}
