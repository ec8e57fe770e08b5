//! `json = true`: a cell's JSON against the kind of its field, written as the API takes it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::entity::{Field, Kind};
use crate::problem::did_you_mean;

use super::fault::Fault;
use super::json;
use super::json_text::{Part, compact, cut, of_key, part, whole, within};
use super::number::NumberForm;
use super::rule::Rule;

/// Furthest that an exponent moves the point of a number; the API takes none that is further off.
const EXPONENT_MAX: u8 = 64;

/// Writes the JSON of a cell. `false`: it is empty, and nothing was written.
///
/// # Errors
///
/// The first value that doesn't fit; the fault's field is its path inside the cell, if any. `out`
/// then holds a part of it: cut it.
pub(super) fn write(kind: &Kind, text: &str, out: &mut Vec<u8>) -> Result<bool, Box<Fault>> {
    match whole(text)? {
        Some(raw) => value(kind, raw, out),
        None => Ok(false),
    }
}

fn value(kind: &Kind, raw: &RawValue, out: &mut Vec<u8>) -> Result<bool, Box<Fault>> {
    let part = part(raw)?;
    match kind {
        _ if matches!(part, Part::Null) => Ok(false),
        Kind::TextMap => map(part, raw, out, text_of_map),
        Kind::ScalarMap => map(part, raw, out, scalar_of_map),
        Kind::TextList => texts(part, raw, out),
        Kind::Object(fields) => {
            let start = out.len();
            let given = object(fields, &part, raw, out)?;
            if given.names.is_empty() {
                // An object of which every part is empty is left out, as everywhere.
                out.truncate(start);
                return Ok(false);
            }
            given.complete().map(|()| true)
        }
        Kind::List { fields, exactly_one } => list(fields, *exactly_one, part, raw, out),
        Kind::Id { .. }
        | Kind::Text { .. }
        | Kind::Email
        | Kind::Time
        | Kind::Number { .. }
        | Kind::Bool
        | Kind::Enum(_)
        | Kind::Fixed(_) => scalar(kind, part, raw, out),
    }
}

/// One value, checked in its text form: `5` and `"5"` are the same.
fn scalar(kind: &Kind, part: Part<'_>, raw: &RawValue, out: &mut Vec<u8>) -> Result<bool, Box<Fault>> {
    let text = match part {
        Part::Null => return Ok(false),
        Part::Bool(word) => Cow::Borrowed(word),
        Part::Number(digits) if matches!(kind, Kind::Number { .. }) => without_exponent(digits),
        Part::Number(digits) => Cow::Borrowed(digits),
        Part::Text(text) => text,
        Part::List(_) | Part::Object(_) => return Err(part.instead_of("a single value", raw)),
    };
    let rule = Rule::of(*kind);
    let Some(fits) = rule.finish(&text, &text)? else { return Ok(false) };
    if rule.raw {
        out.extend_from_slice(fits.as_str().as_bytes());
    } else {
        json::string(out, fits.as_str());
    }
    Ok(true)
}

/// `1.5e3` is `1500`: JSON may write numbers so. What is too far off stays, and is a misfit.
fn without_exponent(digits: &str) -> Cow<'_, str> {
    let Some((mantissa, exponent)) = digits.split_once(['e', 'E']) else { return Cow::Borrowed(digits) };
    let scale = exponent.parse::<i8>().ok().filter(|exponent| exponent.unsigned_abs() <= EXPONENT_MAX);
    let plain = scale.and_then(|scale| NumberForm { scale, ..NumberForm::default() }.plain(mantissa));
    plain.map_or(Cow::Borrowed(digits), Cow::Owned)
}

/// Writes one value of a free map.
type OfMap = fn(Part<'_>, &RawValue, &mut Vec<u8>) -> Result<bool, Box<Fault>>;

/// Keys are sorted, so that the same content has the same fingerprint.
fn map(part: Part<'_>, raw: &RawValue, out: &mut Vec<u8>, of_map: OfMap) -> Result<bool, Box<Fault>> {
    let Part::Object(mut entries) = part else { return Err(part.instead_of("an object", raw)) };
    entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let start = out.len();
    out.push(b'{');
    for (key, raw) in entries {
        if key.trim().is_empty() {
            return Err(Fault::of_value(raw.get(), "has no key: its key is empty or blank"));
        }
        let before = out.len();
        json::comma(out);
        json::string(out, &key);
        out.push(b':');
        let written = self::part(raw).and_then(|part| of_map(part, raw, out));
        if !written.map_err(|fault| within(fault, &of_key(&key)))? {
            out.truncate(before);
        }
    }
    Ok(closed(out, start, b'}'))
}

fn text_of_map(part: Part<'_>, raw: &RawValue, out: &mut Vec<u8>) -> Result<bool, Box<Fault>> {
    match part {
        Part::Null => return Ok(false),
        Part::Bool(text) | Part::Number(text) => json::string(out, text),
        Part::Text(text) => json::string(out, &text),
        Part::List(_) | Part::Object(_) => {
            let mut inner = Vec::with_capacity(raw.get().len());
            compact(raw, &mut inner)?;
            json::string(out, &String::from_utf8_lossy(&inner));
        }
    }
    Ok(true)
}

fn scalar_of_map(part: Part<'_>, raw: &RawValue, out: &mut Vec<u8>) -> Result<bool, Box<Fault>> {
    const ANY_NUMBER: Kind = Kind::Number { min: None, max: None, whole: false };
    match part {
        Part::Null => return Ok(false),
        Part::Bool(word) => out.extend_from_slice(word.as_bytes()),
        Part::Number(_) => return scalar(&ANY_NUMBER, part, raw, out),
        Part::Text(text) => json::string(out, &text),
        Part::List(_) | Part::Object(_) => {
            return Err(part.instead_of("a text, a number, or true or false", raw));
        }
    }
    Ok(true)
}

fn texts(part: Part<'_>, raw: &RawValue, out: &mut Vec<u8>) -> Result<bool, Box<Fault>> {
    let Part::List(entries) = part else { return Err(part.instead_of("a list of texts", raw)) };
    let start = out.len();
    out.push(b'[');
    for (index, raw) in entries.into_iter().enumerate() {
        let part = self::part(raw).map_err(|fault| within(fault, &format!("[{index}]")))?;
        let text = match &part {
            Part::Null => continue,
            Part::Bool(text) | Part::Number(text) => text,
            Part::Text(text) => &**text,
            Part::List(_) | Part::Object(_) => {
                return Err(within(part.instead_of("a text", raw), &format!("[{index}]")));
            }
        };
        if text.is_empty() {
            continue;
        }
        json::comma(out);
        json::string(out, text);
    }
    Ok(closed(out, start, b']'))
}

fn list(
    fields: &'static [Field],
    exactly_one: bool,
    part: Part<'_>,
    raw: &RawValue,
    out: &mut Vec<u8>,
) -> Result<bool, Box<Fault>> {
    let Part::List(entries) = part else { return Err(part.instead_of("a list of objects", raw)) };
    let start = out.len();
    out.push(b'[');
    for (index, raw) in entries.into_iter().enumerate() {
        entry(fields, exactly_one, raw, out).map_err(|fault| within(fault, &format!("[{index}]")))?;
    }
    Ok(closed(out, start, b']'))
}

fn entry(fields: &'static [Field], exactly_one: bool, raw: &RawValue, out: &mut Vec<u8>) -> Result<(), Box<Fault>> {
    let part = part(raw)?;
    if matches!(part, Part::Null) {
        return Ok(());
    }
    json::comma(out);
    let given = object(fields, &part, raw, out)?;
    if exactly_one && given.names.len() != 1 {
        let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
        let found = if given.names.is_empty() { "none".to_owned() } else { given.names.join(" and ") };
        let reason = format!("needs exactly one of {}, and has {found}", names.join(" or "));
        return Err(Fault::of_value(raw.get(), reason));
    }
    given.complete()
}

/// What an object had.
struct Given {
    names: Vec<&'static str>,
    missing: Option<&'static str>,
}

impl Given {
    fn complete(&self) -> Result<(), Box<Fault>> {
        match self.missing {
            Some(name) => Err(within(Fault::new("is empty, and is needed"), &of_key(name))),
            None => Ok(()),
        }
    }
}

/// Writes an object in the order of its table, whatever the order of its keys.
fn object(fields: &'static [Field], part: &Part<'_>, raw: &RawValue, out: &mut Vec<u8>) -> Result<Given, Box<Fault>> {
    let Part::Object(entries) = part else { return Err(part.instead_of("an object", raw)) };
    let unknown = entries.iter().find(|(key, _)| !fields.iter().any(|field| field.name == key));
    if let Some((key, raw)) = unknown {
        let names = fields.iter().map(|field| field.name);
        let hint = match did_you_mean(&cut(key), names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the fields here are {}", names.collect::<Vec<_>>().join(", ")),
        };
        return Err(within(Fault::of_value(raw.get(), format!("is no field of the API ({hint})")), &of_key(key)));
    }
    let mut given = Given { names: Vec::new(), missing: None };
    out.push(b'{');
    for field in fields {
        let before = out.len();
        let written = match entries.iter().find(|(key, _)| key == field.name) {
            Some((_, raw)) => {
                json::comma(out);
                json::string(out, field.name);
                out.push(b':');
                value(&field.kind, raw, out).map_err(|fault| within(fault, &of_key(field.name)))?
            }
            None => false,
        };
        if written {
            given.names.push(field.name);
        } else {
            out.truncate(before);
            if field.required && given.missing.is_none() {
                given.missing = Some(field.name);
            }
        }
    }
    out.push(b'}');
    Ok(given)
}

/// Closes what was opened at `start`. `false`: it is empty, and is taken back.
fn closed(out: &mut Vec<u8>, start: usize, end: u8) -> bool {
    if out.len() == start + 1 {
        out.truncate(start);
        return false;
    }
    out.push(end);
    true
}
