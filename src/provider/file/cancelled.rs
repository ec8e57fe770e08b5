//! The list that comes back: all of it holds, or nothing of it is taken.

use std::io::Read;

use jiff::Timestamp;

use crate::provider::{NotAProvider, NotAnId, OriginalId, ProviderName};
use crate::spreadsheet::restore;

/// An original that somebody cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancelled {
    /// Where it was.
    pub provider: ProviderName,
    /// Its id there.
    pub id: OriginalId,
    /// When it ended, as that person says.
    pub at: Timestamp,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CancelledList {
    /// Originals with a moment, in the file's order.
    pub cancelled: Vec<Cancelled>,
    /// Rows without one: still to be cancelled.
    pub open: u64,
}

/// Something that is wrong with the list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct CancelledProblem {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong there.
    pub fault: CancelledFault,
}

/// What can be wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CancelledFault {
    /// It can't be read as CSV in UTF-8, or not with as many cells as the header.
    #[error("the row can't be read as CSV")]
    Unreadable,
    /// A column is missing from the header.
    #[error("the header has no column `{0}`")]
    NoColumn(&'static str),
    /// The provider is none.
    #[error("the provider {0}")]
    Provider(NotAProvider),
    /// The id is none.
    #[error("the original's id {0}")]
    Id(NotAnId),
    /// The moment is none.
    #[error("`cancelled_at` is no time; write 2026-11-26T15:00:00Z, or nothing while it is open")]
    Time,
    /// The moment is yet to come.
    #[error("`cancelled_at` is in the future")]
    Future,
    /// An original is named twice.
    #[error("the original stands in line {0} already")]
    Twice(u64),
}

/// Reads a list as [`Originals`](super::Originals) writes it, `cancelled_at` filled in; of the columns only `provider`,
/// `original_id` and `cancelled_at` are needed, in any order. Excel's byte order mark is passed over.
///
/// # Errors
///
/// Everything that is wrong with it. Then nothing of it is to be taken: a list with a slipped column closes the wrong ones.
pub fn read_cancelled(input: impl Read, now: Timestamp) -> Result<CancelledList, Vec<CancelledProblem>> {
    let problem = |line, fault| CancelledProblem { line, fault };
    let mut reader = csv::Reader::from_reader(input);
    let header = reader.headers().map_err(|_| vec![problem(1, CancelledFault::Unreadable)])?.clone();
    let column = |name: &'static str| {
        let at = header.iter().position(|other| other.trim_start_matches('\u{feff}').trim() == name);
        at.ok_or_else(|| problem(1, CancelledFault::NoColumn(name)))
    };
    let (provider, id, at) = match (column("provider"), column("original_id"), column("cancelled_at")) {
        (Ok(provider), Ok(id), Ok(at)) => (provider, id, at),
        (provider, id, at) => return Err([provider, id, at].into_iter().filter_map(Result::err).collect()),
    };
    let (mut list, mut problems) = (CancelledList::default(), Vec::new());
    let mut lines = std::collections::HashMap::new();
    for record in reader.into_records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                problems.push(problem(line, CancelledFault::Unreadable));
                // Of a file that the system does not give there is no next row.
                if error.is_io_error() {
                    break;
                }
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |at: usize| restore(record.get(at).unwrap_or_default());
        let (provider, id, at) = (cell(provider), cell(id), cell(at));
        let read = read_row(provider.trim(), id.trim(), at.trim(), now).and_then(|(provider, id, at)| {
            match lines.insert((provider, id.clone()), line) {
                Some(first) => Err(CancelledFault::Twice(first)),
                None => Ok((provider, id, at)),
            }
        });
        match read {
            Ok((provider, id, Some(at))) => list.cancelled.push(Cancelled { provider, id, at }),
            Ok((_, _, None)) => list.open += 1,
            Err(fault) => problems.push(problem(line, fault)),
        }
    }
    if problems.is_empty() { Ok(list) } else { Err(problems) }
}

fn read_row(
    provider: &str,
    id: &str,
    at: &str,
    now: Timestamp,
) -> Result<(ProviderName, OriginalId, Option<Timestamp>), CancelledFault> {
    let provider = provider.parse().map_err(CancelledFault::Provider)?;
    let id = OriginalId::parse(id).map_err(CancelledFault::Id)?;
    if at.is_empty() {
        return Ok((provider, id, None));
    }
    let at: Timestamp = at.parse().map_err(|_| CancelledFault::Time)?;
    if at > now { Err(CancelledFault::Future) } else { Ok((provider, id, Some(at))) }
}
