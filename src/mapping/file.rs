//! Reading a mapping file.

use std::path::Path;
use std::sync::Arc;

use crate::entity::Schema;
use crate::problem::{Problem, Problems};
use crate::record::Fingerprint;

use super::expr::Expr;
use super::read::Reader;
use super::spec::{AggregateSpec, CheckSpec, ExampleSpec, Named, RejectSpec, ShapeSpec, Span};

/// Most bytes of a mapping file: 4 MiB. Larger lookups belong into a CSV file.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Why a mapping file gives no mapping.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file can't be read.
    #[error("can't read mapping {file}")]
    Io {
        /// The file as the user named it.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It was read and doesn't hold.
    #[error("{0}")]
    Problems(#[from] Problems),
}

/// A mapping as it was written; all that can be checked without a source's columns holds.
#[derive(Debug)]
pub struct MappingFile {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) fingerprint: Fingerprint,
    pub(super) schema: Schema,
    pub(super) description: Option<String>,
    pub(super) filter: Option<Arc<Expr>>,
    pub(super) group: Option<Named>,
    pub(super) aggregate: Option<AggregateSpec>,
    pub(super) shapes: Vec<ShapeSpec>,
    pub(super) checks: Vec<CheckSpec>,
    pub(super) rejects: Vec<RejectSpec>,
    pub(super) csv: CsvHints,
    pub(super) examples: Vec<ExampleSpec>,
}

/// How the mapping's CSV files are written, where the mapping says so. `None`: to be detected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CsvHints {
    /// What stands between cells.
    pub delimiter: Option<char>,
    /// What stands around cells.
    pub quote: Option<char>,
    /// The encoding's name (`utf-8`, `utf-16le`, `windows-1252`).
    pub encoding: Option<String>,
}

/// A column that a mapping reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ColumnUse {
    /// Its name.
    pub name: String,
    /// Whether a source may lack it.
    pub optional: bool,
}

/// Reads and checks a mapping file.
///
/// # Errors
///
/// [`LoadError`]: the file can't be read, or all its problems.
pub fn load(path: &Path) -> Result<MappingFile, LoadError> {
    let file = path.display().to_string();
    let io = |source| LoadError::Io { file: file.clone(), source };
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > FILE_BYTES_MAX {
        let reason = format!("it is larger than {} MiB", FILE_BYTES_MAX >> 20);
        return Err(io(std::io::Error::new(std::io::ErrorKind::InvalidData, reason)));
    }
    let text = std::fs::read_to_string(path).map_err(io)?;
    Ok(parse(&file, &text, path.parent().unwrap_or(Path::new("")))?)
}

/// Checks a mapping's text. `name` is what problems call the file; lookups' files are found from
/// `base_dir`.
///
/// # Errors
///
/// Every problem of the file, in the order of their places.
pub fn parse(name: &str, text: &str, base_dir: &Path) -> Result<MappingFile, Problems> {
    Reader::new(name, text, base_dir).read()
}

impl MappingFile {
    /// The file as the user named it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says about itself.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// What its records are.
    pub fn schema(&self) -> Schema {
        self.schema
    }

    /// Of the file's text and of the files of its lookups: what maps in the same way has the same.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether one record may come of several rows, so that a part of the rows would make others.
    pub fn joins_rows(&self) -> bool {
        self.group.is_some() || self.aggregate.is_some()
    }

    /// Whether records are totals, which only come out when all rows are read.
    pub fn is_aggregate(&self) -> bool {
        self.aggregate.is_some()
    }

    /// How its CSV files are written.
    pub fn csv(&self) -> &CsvHints {
        &self.csv
    }

    /// How many examples it has.
    pub fn examples(&self) -> usize {
        self.examples.len()
    }

    /// Every column that it names, once each, by name. A column that is optional in one place and
    /// not in another is not.
    pub fn columns_used(&self) -> Vec<ColumnUse> {
        let mut uses = Vec::new();
        self.each_column(&mut |column, optional| {
            uses.push(ColumnUse { name: column.text.clone(), optional });
        });
        uses.sort();
        uses.dedup_by(|next, kept| next.name == kept.name);
        uses
    }

    pub(super) fn problem(&self, span: Span, message: impl Into<String>) -> Problem {
        Problem::at(&self.name, &self.text, span, message)
    }
}
