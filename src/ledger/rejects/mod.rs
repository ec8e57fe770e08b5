//! What did not go through: one file for each step of a run, in a form to be corrected and run again.
//!
//! JSON lines, mode 0600, beside the ledger in `rejects/<run>-<step>.jsonl`. The first line is a
//! header; each other line is a row that does not fit (`rejected`, ours, nothing was sent) or a
//! record that the API refused (`failed`), with its place, the reason, and the row as it was.
//! The file holds customers' data; the ledger does not.

mod contested;
mod error;
mod export;
mod groups;
mod list;
mod prune;
mod reader;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use contested::contested;
pub use error::RejectsError;
pub use export::{Exported, OUR_COLUMNS, export, is_our_column, neutralise, restore};
pub use groups::{Group, Groups, Sample};
pub use list::{Listing, list};
pub use prune::{PruneError, prune};
pub use reader::Reader;
pub use writer::Writer;

use super::RunId;
use crate::entity::Schema;
use crate::record::Place;

/// The format that is written. A file of a newer one is not read.
const VERSION: u32 = 1;

/// What all lines of a file share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The run.
    pub run: RunId,
    /// Its step.
    pub step: String,
    /// What was imported.
    pub entity: Schema,
    /// The mapping file, as it was named.
    pub mapping: String,
    /// The source's columns: those of the first line.
    pub columns: Arc<[Box<str>]>,
}

/// A row that did not fit, or a record that the API refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where its (first) row is.
    pub place: Place,
    /// Why it went no further.
    pub why: Why,
    /// The columns of its rows.
    pub columns: Arc<[Box<str>]>,
    /// The rows as they were; none for a total, whose rows were not held.
    pub rows: Vec<Vec<Option<String>>>,
    /// How many rows made it.
    pub row_count: u64,
}

/// Why an entry went no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It does not fit. Nothing was sent.
    Rejected {
        /// The target field, or for an unreadable row none.
        field: Option<String>,
        /// The offending value.
        value: Option<String>,
        /// What is wrong.
        reason: String,
    },
    /// The API refused it.
    Failed {
        /// The record's key.
        key: String,
        /// The API's code.
        code: String,
        /// Its message.
        message: String,
        /// The record as it was sent, where its rows were not held.
        json: Option<String>,
    },
}

impl Why {
    /// The reason for people: what is wrong, or the API's code and message.
    pub fn reason(&self) -> String {
        match self {
            Self::Rejected { reason, .. } => reason.clone(),
            Self::Failed { code, message, .. } => format!("{code}: {message}"),
        }
    }
}

/// The folder of the rejects files of a ledger.
pub fn folder(ledger_path: &Path) -> PathBuf {
    ledger_path.parent().unwrap_or(Path::new("")).join("rejects")
}

/// The rejects files of a ledger, of one run or of all, oldest run first.
///
/// # Errors
///
/// [`RejectsError::CannotRead`]. A missing folder is no error: nothing was ever rejected.
pub fn files(ledger_path: &Path, run: Option<RunId>) -> Result<Vec<PathBuf>, RejectsError> {
    let found = by_run(ledger_path)?.into_iter();
    Ok(found.filter(|(of_run, _)| run.is_none_or(|run| run == *of_run)).map(|(_, path)| path).collect())
}

/// All files and whose they are, oldest run first.
fn by_run(ledger_path: &Path) -> Result<Vec<(RunId, PathBuf)>, RejectsError> {
    let folder = folder(ledger_path);
    let cannot_read = |error: std::io::Error| RejectsError::cannot_read(&folder, &error);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(cannot_read(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(cannot_read)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let of_run = name.split_once('-').and_then(|(run, _)| run.parse().ok()).map(RunId);
        if let Some(of_run) = of_run
            && name.ends_with(".jsonl")
        {
            found.push((of_run, path));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests;
