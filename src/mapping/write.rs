//! Records as JSON, written straight into the batch's buffer.

use jiff::Timestamp;

use super::fault::Fault;
use super::json;
use super::json_text::within;
use super::json_value;
use super::plan::{At, EntryPlan, FieldPlan, Node, Shape, SpanEnd, ValuePlan};
use super::rule::Text;

/// Writes one record of `members` (one row, or the rows of a group) and its key.
///
/// # Errors
///
/// The first value that doesn't fit. The buffers then hold a part of the record: cut them.
pub(super) fn record(shape: &Shape, members: &[At<'_>], out: &mut Vec<u8>, key: &mut String) -> Result<(), Box<Fault>> {
    let first = members[0];
    let mut key_parts = 0;
    let mut started = None;
    out.push(b'{');
    for field in &shape.fields {
        if field.key {
            if key_parts > 0 {
                key.push(crate::entity::KEY_SEPARATOR);
            }
            key_parts += 1;
        }
        let start = out.len();
        let lead_end = lead(field, out);
        let written = match &field.node {
            Node::Value(plan) => match plan.text(first) {
                Ok(Some(ref text)) => {
                    if field.key {
                        key.push_str(text.as_str());
                    }
                    scalar(plan, text, out);
                    true
                }
                Ok(None) => false,
                Err(fault) => return Err(fault),
            },
            Node::List(entries) => list(entries, members, out)?,
            node => self::node(node, field, first, out)?,
        };
        if !written {
            out.truncate(start);
            if field.required {
                return Err(empty(field));
            }
        }
        match field.span {
            Some(SpanEnd::Start) if written => started = Some(lead_end..out.len()),
            Some(SpanEnd::End) if written => {
                if let Some(started) = started.take() {
                    in_order(field, &out[started], &out[lead_end..])?;
                }
            }
            Some(SpanEnd::Start | SpanEnd::End) | None => {}
        }
        if members.len() > 1 && !matches!(field.node, Node::List(_)) {
            let written = if written { &out[lead_end..] } else { &[] };
            agree(field, members, written)?;
        }
    }
    out.push(b'}');
    Ok(())
}

/// Nothing ends before it starts. What the API does with such a record is not documented; it skips silently what it
/// finds invalid, so nobody would hear of it.
fn in_order(field: &FieldPlan, start: &[u8], end: &[u8]) -> Result<(), Box<Fault>> {
    // Our own form of times, which is nearly all of them: their order is that of their characters.
    if start.len() == end.len() && start.ends_with(b"Z\"") && end.ends_with(b"Z\"") && start <= end {
        return Ok(());
    }
    let time = |json| serde_json::from_slice::<&str>(json).ok()?.parse::<Timestamp>().ok();
    match (time(start), time(end)) {
        (Some(starts), Some(ends)) if ends < starts => {
            let end = String::from_utf8_lossy(end);
            let start = String::from_utf8_lossy(start);
            let reason = format!("is before the start, {}", start.trim_matches('"'));
            Err(Fault::of_value(end.trim_matches('"'), reason).at(&field.path))
        }
        _ => Ok(()),
    }
}

/// All rows of a group say the same of everything but lists.
fn agree(field: &FieldPlan, members: &[At<'_>], written: &[u8]) -> Result<(), Box<Fault>> {
    let mut other = Vec::new();
    for member in &members[1..] {
        other.clear();
        if !node(&field.node, field, *member, &mut other)? {
            other.clear();
        }
        if other != written {
            return Err(Fault::of_value(
                &String::from_utf8_lossy(&other),
                format!(
                    "differs within the group: record {} says {}, record {} says {}",
                    members[0].row.record(),
                    brief(written),
                    member.row.record(),
                    brief(&other)
                ),
            )
            .at(&field.path));
        }
    }
    Ok(())
}

fn brief(json: &[u8]) -> String {
    const CHARS_MAX: usize = 60;
    if json.is_empty() {
        return "nothing".to_owned();
    }
    String::from_utf8_lossy(json).chars().take(CHARS_MAX).collect()
}

/// Writes a field's name, after a comma unless it is the object's first.
#[inline]
fn lead(field: &FieldPlan, out: &mut Vec<u8>) -> usize {
    let lead = if out.last() == Some(&b'{') { &field.lead[1..] } else { &field.lead };
    json::append(out, lead);
    out.len()
}

#[inline]
fn scalar(plan: &ValuePlan, text: &Text<'_>, out: &mut Vec<u8>) {
    if plan.rule.raw {
        json::append(out, text.as_bytes());
    } else if plan.rule.verbatim {
        out.push(b'"');
        json::append(out, text.as_bytes());
        out.push(b'"');
    } else {
        json::string(out, text.as_str());
    }
}

fn empty(field: &FieldPlan) -> Box<Fault> {
    match &field.node {
        Node::Value(plan) | Node::Json { value: plan, .. } => plan.empty(),
        _ => Fault::new("is empty, and is needed").at(&field.path),
    }
}

/// Writes what a field is given, without its name. `false`: nothing, and nothing was written.
fn node(node: &Node, field: &FieldPlan, at: At<'_>, out: &mut Vec<u8>) -> Result<bool, Box<Fault>> {
    match node {
        Node::Missing => Ok(false),
        Node::Fixed(json) => {
            out.extend_from_slice(json);
            Ok(true)
        }
        Node::Value(plan) => match plan.text(at) {
            Ok(Some(ref text)) => {
                scalar(plan, text, out);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(fault) => Err(fault),
        },
        Node::Json { value, kind } => match value.text(at)? {
            Some(text) => json_value::write(kind, text.as_str(), out).map_err(|fault| within(fault, &value.path)),
            None => Ok(false),
        },
        Node::Object(fields) => {
            let start = out.len();
            out.push(b'{');
            let (any, missing) = parts(fields, at, out)?;
            match missing {
                // Nothing was said about it at all.
                Some(_) | None if !any && !field.required => {
                    out.truncate(start);
                    Ok(false)
                }
                Some(fault) => Err(fault),
                None => {
                    out.push(b'}');
                    Ok(any)
                }
            }
        }
        Node::Texts(values) => texts(values, at, out),
        Node::List(entries) => list(entries, &[at], out),
    }
}

/// Writes the fields of an object: whether there are any, and the first that is needed and empty.
fn parts(fields: &[FieldPlan], at: At<'_>, out: &mut Vec<u8>) -> Result<(bool, Option<Box<Fault>>), Box<Fault>> {
    let (mut any, mut missing) = (false, None);
    for field in fields {
        let start = out.len();
        lead(field, out);
        if node(&field.node, field, at, out)? {
            any = true;
        } else {
            out.truncate(start);
            if field.required && missing.is_none() {
                missing = Some(empty(field));
            }
        }
    }
    Ok((any, missing))
}

fn list(entries: &[EntryPlan], members: &[At<'_>], out: &mut Vec<u8>) -> Result<bool, Box<Fault>> {
    let start = out.len();
    out.push(b'[');
    for at in members {
        for entry in entries {
            if let Some(when) = &entry.when
                && !at.test(when)?
            {
                continue;
            }
            json::comma(out);
            out.push(b'{');
            let (_, missing) = parts(&entry.fields, *at, out)?;
            if let Some(fault) = missing {
                return Err(fault);
            }
            out.push(b'}');
        }
    }
    if out.last() == Some(&b'[') {
        out.truncate(start);
        return Ok(false);
    }
    out.push(b']');
    Ok(true)
}

fn texts(values: &[ValuePlan], at: At<'_>, out: &mut Vec<u8>) -> Result<bool, Box<Fault>> {
    let start = out.len();
    out.push(b'[');
    for plan in values {
        let Some(text) = plan.text(at)? else {
            if plan.required {
                return Err(plan.empty());
            }
            continue;
        };
        match &plan.split {
            Some(separator) => {
                for part in text.as_str().split(&**separator).map(str::trim).filter(|part| !part.is_empty()) {
                    json::comma(out);
                    json::string(out, part);
                }
            }
            None => {
                json::comma(out);
                json::string(out, text.as_str());
            }
        }
    }
    if out.last() == Some(&b'[') {
        out.truncate(start);
        return Ok(false);
    }
    out.push(b']');
    Ok(true)
}
