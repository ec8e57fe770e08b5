//! Rejects as CSV, for a person to correct in a spreadsheet and to run again.

use std::io::Write;
use std::path::Path;

use super::{Reader, RejectsError, Why};
pub use crate::spreadsheet::{neutralise, restore};

/// The columns that an export adds after the source's own: place, field, value, reason, and the
/// cells that a row had too many (only where one had). None of them is a name that a source gives to columns of its own:
/// JSON entries have `_key` and `_value`, whole records `_json`.
pub const OUR_COLUMNS: [&str; 7] = ["_source", "_record", "_line", "_field", "_found", "_reason", "_extra"];

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exported {
    /// Rows written.
    pub rows: u64,
    /// Entries that they belong to.
    pub entries: u64,
    /// Entries that are totals, whose rows were not held: to be corrected in the source itself.
    pub entries_without_rows: u64,
    /// Lines of the file that could not be read and were left out.
    pub lines_damaged: u64,
    /// Whether the last line was not complete.
    pub torn: bool,
}

/// Whether a column was added by an export. Such columns are left out when the file is run again,
/// and their presence says that the cells are to be [restored](restore).
pub fn is_our_column(name: &str) -> bool {
    OUR_COLUMNS.contains(&name)
}

/// Writes the rows of a rejects file as CSV: the source's columns, then [`OUR_COLUMNS`].
///
/// Rows that were short are filled up with empty cells; NULL is written as an empty cell. Where
/// entries have different columns, each cell is under its column's name. The file is read twice.
///
/// # Errors
///
/// [`RejectsError`] of opening and reading, and [`RejectsError::Output`]. A damaged line is only
/// counted.
pub fn export(path: &Path, out: impl Write) -> Result<Exported, RejectsError> {
    let mut columns: Vec<Box<str>> = Vec::new();
    let mut too_long = false;
    for entry in Reader::open(path)? {
        let entry = match entry {
            Ok(entry) => entry,
            Err(RejectsError::Damaged { .. }) => continue,
            Err(error) => return Err(error),
        };
        too_long |= entry.rows.iter().any(|row| row.len() > entry.columns.len());
        if *columns != *entry.columns {
            let own = entry.columns.iter().filter(|name| !is_our_column(name));
            for name in own {
                if !columns.contains(name) {
                    columns.push(name.clone());
                }
            }
        }
    }
    let ours = &OUR_COLUMNS[..OUR_COLUMNS.len() - usize::from(!too_long)];
    let mut csv = csv::Writer::from_writer(out);
    let output = |error: csv::Error| RejectsError::Output { detail: error.to_string() };
    let names = columns.iter().map(|name| &**name).chain(ours.iter().copied());
    csv.write_record(names.map(|name| neutralise(name).into_owned())).map_err(output)?;

    let mut exported = Exported::default();
    let mut reader = Reader::open(path)?;
    for entry in &mut reader {
        let entry = match entry {
            Ok(entry) => entry,
            Err(RejectsError::Damaged { .. }) => {
                exported.lines_damaged += 1;
                continue;
            }
            Err(error) => return Err(error),
        };
        if entry.rows.is_empty() {
            exported.entries_without_rows += 1;
            continue;
        }
        let (field, value) = match &entry.why {
            Why::Rejected { field, value, .. } => (field.as_deref(), value.as_deref()),
            Why::Failed { key, .. } => (None, Some(key.as_str())),
        };
        let (record, line) = (entry.place.record.to_string(), entry.place.line.to_string());
        let reason = entry.why.reason();
        let places: Vec<Option<usize>> =
            columns.iter().map(|name| entry.columns.iter().position(|own| own == name)).collect();
        for row in &entry.rows {
            let cell = |at: &Option<usize>| at.and_then(|at| row.get(at)).and_then(Option::as_deref).unwrap_or("");
            let extra: Vec<&str> =
                row.iter().skip(entry.columns.len()).map(|cell| cell.as_deref().unwrap_or("")).collect();
            let extra = extra.join(",");
            let about =
                [&*entry.place.source, &record, &line, field.unwrap_or(""), value.unwrap_or(""), &reason, &extra];
            let cells = places.iter().map(cell).chain(about.into_iter().take(ours.len()));
            csv.write_record(cells.map(|cell| neutralise(cell).into_owned())).map_err(output)?;
            exported.rows += 1;
        }
        exported.entries += 1;
    }
    exported.torn = reader.is_torn();
    csv.flush().map_err(|error| RejectsError::Output { detail: error.to_string() })?;
    Ok(exported)
}
