//! Column names: what they have to be, and how those of several inputs fit each other.

use std::collections::HashMap;

use super::error::OpenProblem;
use super::limits::Limits;

/// Names of a header, checked: each there, each once.
pub(super) fn names(text: &[u8], ends: &[usize], limits: &Limits) -> Result<Vec<Box<str>>, OpenProblem> {
    if ends.len() > limits.columns_max {
        return Err(too_wide(limits));
    }
    let mut names: Vec<Box<str>> = Vec::with_capacity(ends.len());
    let mut start = 0;
    for (index, end) in ends.iter().enumerate() {
        let name = std::str::from_utf8(&text[start..*end]).map_err(|_| {
            OpenProblem::Header(format!("the name of column {} is not valid in the file's encoding", index + 1))
        })?;
        if name.chars().count() > limits.name_chars_max {
            let message =
                format!("the name of column {} has more than {} characters", index + 1, limits.name_chars_max);
            return Err(OpenProblem::Header(message));
        }
        names.push(name.into());
        start = *end;
    }
    let unnamed: Vec<usize> =
        names.iter().enumerate().filter(|(_, name)| name.trim().is_empty()).map(|(index, _)| index + 1).collect();
    if !unnamed.is_empty() {
        return Err(OpenProblem::NoName(unnamed));
    }
    let mut positions: HashMap<&str, Vec<usize>> = HashMap::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        positions.entry(name).or_default().push(index + 1);
    }
    // The first of them, so that the same file gives the same message.
    match names.iter().find(|name| positions[&***name].len() > 1) {
        Some(name) => Err(OpenProblem::Duplicate { name: name.to_string(), positions: positions[&**name].clone() }),
        None => Ok(names),
    }
}

pub(super) fn too_wide(limits: &Limits) -> OpenProblem {
    OpenProblem::Header(format!("it has more than {} columns", limits.columns_max))
}

/// Where each column of the first input stands in this one; `None` if all stand where they stood.
pub(super) fn order(
    first: &str,
    columns: &[Box<str>],
    these: &[Box<str>],
) -> Result<Option<Box<[usize]>>, OpenProblem> {
    if columns == these {
        return Ok(None);
    }
    let places: HashMap<&str, usize> = these.iter().enumerate().map(|(index, name)| (&**name, index)).collect();
    let order: Option<Box<[usize]>> = columns.iter().map(|name| places.get(&**name).copied()).collect();
    match order {
        Some(order) if columns.len() == these.len() => Ok(Some(order)),
        _ => {
            let lacking = |from: &[Box<str>], of: &[Box<str>]| {
                of.iter().filter(|name| !from.contains(name)).map(|name| name.to_string()).collect()
            };
            Err(OpenProblem::Columns {
                first: first.to_owned(),
                missing: lacking(these, columns),
                extra: lacking(columns, these),
            })
        }
    }
}
