//! JSON in a cell, taken apart one level at a time: keys in their order, numbers as they are written.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fault::Fault;
use super::json;

/// Most levels of objects and lists in a cell.
const DEPTH_MAX: usize = 16;

/// Most entries of a list in a cell.
const ENTRIES_MAX: usize = 1_000;

/// Most characters of a key that a path shows.
const KEY_CHARS_MAX: usize = 60;

/// What stands at one place of a JSON text.
#[derive(Debug)]
pub(super) enum Part<'a> {
    Null,
    Bool(&'a str),
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<&'a RawValue>),
    Object(Vec<(Cow<'a, str>, &'a RawValue)>),
}

impl Part<'_> {
    /// What it is, for people.
    fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// The fault of something that is not what its place needs.
    pub fn instead_of(&self, needed: &str, raw: &RawValue) -> Box<Fault> {
        Fault::of_value(raw.get(), format!("is {}, and has to be {needed}", self.name()))
    }
}

/// The JSON of a cell. `None`: it has nothing but blanks.
///
/// # Errors
///
/// It is not JSON, or too deep.
pub(super) fn whole(text: &str) -> Result<Option<&RawValue>, Box<Fault>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if is_deeper(text, DEPTH_MAX) {
        return Err(Fault::of_value(text, format!("goes more than {DEPTH_MAX} levels deep")));
    }
    serde_json::from_str(text).map(Some).map_err(|error| no_json(text, &error))
}

/// Takes one level apart.
///
/// # Errors
///
/// A text with half a surrogate pair, a key that is there twice, a list that is too long.
pub(super) fn part(raw: &RawValue) -> Result<Part<'_>, Box<Fault>> {
    let text = raw.get();
    let no_json = |error| no_json(text, &error);
    Ok(match text.as_bytes().first() {
        Some(b'n') => Part::Null,
        Some(b't' | b'f') => Part::Bool(text),
        Some(b'"') => Part::Text(serde_json::from_str::<Word<'_>>(text).map_err(no_json)?.0),
        Some(b'[') => {
            let entries: Vec<&RawValue> = serde_json::from_str(text).map_err(no_json)?;
            if entries.len() > ENTRIES_MAX {
                let reason = format!("has {} entries, and may have {ENTRIES_MAX}", entries.len());
                return Err(Fault::of_value(text, reason));
            }
            Part::List(entries)
        }
        Some(b'{') => {
            let entries = serde_json::from_str::<Entries<'_>>(text).map_err(no_json)?.0;
            let mut keys: Vec<&str> = entries.iter().map(|(key, _)| &**key).collect();
            keys.sort_unstable();
            if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(within(Fault::new("is there twice"), &of_key(twice[0])));
            }
            Part::Object(entries)
        }
        _ => Part::Number(text),
    })
}

/// Appends it without blanks: keys in their order, numbers as they are written.
///
/// # Errors
///
/// As [`part`], at any level.
pub(super) fn compact(raw: &RawValue, out: &mut Vec<u8>) -> Result<(), Box<Fault>> {
    match part(raw)? {
        Part::Null | Part::Bool(_) | Part::Number(_) => out.extend_from_slice(raw.get().as_bytes()),
        Part::Text(text) => json::string(out, &text),
        Part::List(entries) => {
            out.push(b'[');
            for (index, entry) in entries.into_iter().enumerate() {
                json::comma(out);
                compact(entry, out).map_err(|fault| within(fault, &format!("[{index}]")))?;
            }
            out.push(b']');
        }
        Part::Object(entries) => {
            out.push(b'{');
            for (key, entry) in entries {
                json::comma(out);
                json::string(out, &key);
                out.push(b':');
                compact(entry, out).map_err(|fault| within(fault, &of_key(&key)))?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// Names where a fault is, from the outside: paths grow to the left.
pub(super) fn within(mut fault: Box<Fault>, outer: &str) -> Box<Fault> {
    let inner = fault.field.take().unwrap_or_default();
    fault.field = Some(format!("{outer}{inner}").into());
    fault
}

/// A key's part of a path.
pub(super) fn of_key(key: &str) -> String {
    format!(".{}", cut(key))
}

/// A key as far as it is shown.
pub(super) fn cut(key: &str) -> String {
    key.chars().take(KEY_CHARS_MAX).collect()
}

fn no_json(text: &str, error: &serde_json::Error) -> Box<Fault> {
    Fault::of_value(text, format!("is not JSON: {error}"))
}

/// Looked at before anything reads it: what comes after may go down level by level.
fn is_deeper(text: &str, depth_max: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                if depth > depth_max {
                    return true;
                }
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// A text that borrows where it has no escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Word<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object's entries in their order, equal keys too, which a map of serde_json's would merge.
struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((Word(key), value)) = map.next_entry()? {
                    entries.push((key, value));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(All)
    }
}
