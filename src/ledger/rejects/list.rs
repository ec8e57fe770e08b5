//! What was rejected, grouped by what is wrong.

use std::path::Path;

use super::groups::{Group, Groups, Sample, kind_of};
use super::{Header, Reader, RejectsError, Why};

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

/// Reads a rejects file and groups its entries, in memory bounded by the number of kinds.
///
/// # Errors
///
/// [`RejectsError`] of opening and reading. A damaged line is only counted.
pub fn list(path: &Path) -> Result<Listing, RejectsError> {
    let mut reader = Reader::open(path)?;
    let (mut groups, mut lines_damaged) = (Groups::default(), 0);
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
            Why::Rejected { field, value, reason } => (false, field, kind_of(&reason, value.as_deref()), value),
            Why::Failed { key, code, .. } => (true, None, code, Some(key)),
        };
        groups.add(failed, field, reason, Sample { place: entry.place, value, reason: full_reason });
    }
    let (groups, others) = groups.into_sorted();
    Ok(Listing { header: reader.header().clone(), groups, others, lines_damaged, torn: reader.is_torn() })
}
