//! Why a rejects file could not be written or read.

use std::path::{Path, PathBuf};

use crate::ledger::WriteFailure;

/// Why a rejects file could not be written or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RejectsError {
    /// The write did not happen; what was flushed before is there.
    #[error("can't write the rejects file {}: {failure} ({detail})", path.display())]
    CannotWrite {
        /// The file.
        path: PathBuf,
        /// Which kind of failure.
        failure: WriteFailure,
        /// The system's words.
        detail: String,
    },
    /// The file could not be read.
    #[error("can't read the rejects file {}: {detail}", path.display())]
    CannotRead {
        /// The file.
        path: PathBuf,
        /// The system's words.
        detail: String,
    },
    /// A line is not what the program writes. Lines after it can be read.
    #[error("{}:{line}: no line of a rejects file: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        detail: String,
    },
    /// The run was killed before the first line was complete: the file holds nothing.
    #[error("the rejects file {} holds nothing: its run was killed while it was made", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer version of this program.
    #[error("the rejects file {} has format {found}, this program knows formats up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The file's format.
        found: u32,
        /// The newest format that is known.
        known: u32,
    },
    /// The export's output could not be written.
    #[error("can't write the export: {detail}")]
    Output {
        /// The system's words.
        detail: String,
    },
}

impl RejectsError {
    pub(super) fn cannot_write(path: &Path, error: &std::io::Error) -> Self {
        Self::CannotWrite { path: path.to_owned(), failure: WriteFailure::of(error), detail: error.to_string() }
    }

    pub(super) fn cannot_read(path: &Path, error: &std::io::Error) -> Self {
        Self::CannotRead { path: path.to_owned(), detail: error.to_string() }
    }
}
