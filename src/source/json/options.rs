//! How JSON is to be read.

use std::fmt;

use super::super::encoding;
use super::super::error::SourceError;
use super::super::limits::Limits;
use super::super::options::BYTES_MAX;

/// Where the records of a JSON text are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonForm {
    /// Each line is one (NDJSON, JSON Lines). A line that is none is a bad row, and reading goes on
    /// with the next. Blank lines are skipped.
    Lines,
    /// One after the other, each over as many lines as it likes, as `jq` writes them.
    Values,
    /// Items of one array: the text itself, or one in the object that the text is.
    Array,
}

impl fmt::Display for JsonForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lines => "a record on each line",
            Self::Values => "records one after the other",
            Self::Array => "array",
        })
    }
}

/// How to read JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonOptions {
    /// Where the records are. Default: found out; see [`open_json`](super::open_json).
    pub form: Option<JsonForm>,
    /// The array that holds the records, where the text is an object: its key, or keys with dots
    /// between them (`data.customers`). Default: the only one that holds objects.
    pub array: Option<String>,
    /// Name or path of an object or array in each record, to make one row for each of its entries:
    /// the column [`EACH_KEY`](super::EACH_KEY) is the entry's key (its position from 0 in an array),
    /// [`EACH_VALUE`](super::EACH_VALUE) its value. A record without it makes no row; one where it is
    /// something else is a bad row. Default: one row for each record.
    pub each: Option<String>,
    /// Label of the encoding (`utf-16le`). Default: detected, see
    /// [`EncodingFrom`](crate::source::EncodingFrom).
    pub encoding: Option<String>,
    /// What is taken at most; [`Limits::row_bytes_max`] is the most for a record as it is written.
    pub limits: Limits,
    /// Most rows in a batch. Default 256.
    pub batch_rows: usize,
    /// A batch is closed when its cells have this many bytes. Default 128 KiB.
    pub batch_text_bytes: usize,
}

impl Default for JsonOptions {
    fn default() -> Self {
        Self {
            form: None,
            array: None,
            each: None,
            encoding: None,
            limits: Limits::default(),
            batch_rows: 256,
            batch_text_bytes: 128 << 10,
        }
    }
}

impl JsonOptions {
    /// Whether the options can be, as far as that shows without an input.
    pub(super) fn check(&self, wanted: &[String]) -> Result<(), SourceError> {
        let wrong = match (&self.array, self.form) {
            (Some(array), _) if array.is_empty() => "the name of the array is empty".to_owned(),
            (Some(_), Some(form @ (JsonForm::Lines | JsonForm::Values))) => {
                format!("an array is named, and the form is said to be: {form}")
            }
            _ if self.limits.row_bytes_max > BYTES_MAX || self.batch_text_bytes > BYTES_MAX => {
                format!("a row or a batch can't have more than {BYTES_MAX} bytes")
            }
            _ if wanted.len() > self.limits.columns_max => {
                format!("{} values are wanted of each record, more than {}", wanted.len(), self.limits.columns_max)
            }
            _ => match self.encoding.as_deref().map(encoding::labelled) {
                Some(Err(problem)) => problem.to_string(),
                _ => return Ok(()),
            },
        };
        Err(SourceError::Options(wrong))
    }
}
