//! What was rejected, grouped by what is wrong.

use std::collections::HashMap;
use std::path::Path;

use super::{Header, Reader, RejectsError, Why};
use crate::record::Place;

/// Most groups that are told apart; further kinds are counted together.
const GROUPS_MAX: usize = 1000;

/// Most samples of a group.
const SAMPLES_MAX: usize = 3;

/// A rejects file in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// What all lines share.
    pub header: Header,
    /// Entries by what is wrong, the largest group first.
    pub groups: Vec<Group>,
    /// Entries of kinds beyond the first thousand.
    pub others: u64,
    /// Lines that could not be read.
    pub lines_damaged: u64,
    /// Whether the last line was not complete.
    pub torn: bool,
}

/// Entries with the same kind of reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Whether the API refused them (or they did not fit).
    pub failed: bool,
    /// The target field.
    pub field: Option<String>,
    /// The reason with numbers and quoted texts replaced by `…`; the API's code where it refused.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// The first few.
    pub samples: Vec<Sample>,
}

/// One entry of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Where it is.
    pub place: Place,
    /// The offending value, or the refused record's key.
    pub value: Option<String>,
    /// The reason as it was written.
    pub reason: String,
}

/// Reads a rejects file and groups its entries, in memory bounded by the number of kinds.
///
/// # Errors
///
/// [`RejectsError`] of opening and reading. A damaged line is only counted.
pub fn list(path: &Path) -> Result<Listing, RejectsError> {
    let mut reader = Reader::open(path)?;
    let mut groups: HashMap<(bool, Option<String>, String), Group> = HashMap::new();
    let (mut others, mut lines_damaged) = (0, 0);
    for entry in &mut reader {
        let entry = match entry {
            Ok(entry) => entry,
            Err(RejectsError::Damaged { .. }) => {
                lines_damaged += 1;
                continue;
            }
            Err(error) => return Err(error),
        };
        let full_reason = entry.why.reason();
        let (failed, field, reason, value) = match entry.why {
            Why::Rejected { field, value, reason } => (false, field, kind_of(&reason), value),
            Why::Failed { key, code, .. } => (true, None, code, Some(key)),
        };
        let kind = (failed, field, reason);
        if groups.len() >= GROUPS_MAX && !groups.contains_key(&kind) {
            others += 1;
            continue;
        }
        let group = groups.entry(kind).or_insert_with_key(|(failed, field, reason)| Group {
            failed: *failed,
            field: field.clone(),
            reason: reason.clone(),
            count: 0,
            samples: Vec::new(),
        });
        group.count += 1;
        if group.samples.len() < SAMPLES_MAX {
            group.samples.push(Sample { place: entry.place, value, reason: full_reason });
        }
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by(|a, b| {
        b.count.cmp(&a.count).then_with(|| (a.failed, &a.field, &a.reason).cmp(&(b.failed, &b.field, &b.reason)))
    });
    Ok(Listing { header: reader.header().clone(), groups, others, lines_damaged, torn: reader.is_torn() })
}

/// A reason without what differs from row to row: numbers, and texts in backticks or quotes.
fn kind_of(reason: &str) -> String {
    let mut kind = String::with_capacity(reason.len());
    let mut rest = reason;
    while let Some(first) = rest.chars().next() {
        if matches!(first, '`' | '"')
            && let Some(end) = rest[1..].find(first)
        {
            kind.extend([first, '…', first]);
            rest = &rest[end + 2..];
        } else if first.is_ascii_digit() {
            kind.push('…');
            rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        } else {
            kind.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    kind
}
