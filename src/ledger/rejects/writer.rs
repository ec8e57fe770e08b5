//! Writing a rejects file. Made when there is something to write.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{RejectsError, VERSION, folder};
use crate::entity::Schema;
use crate::ledger::RunId;
use crate::ledger::file_lock::{make_folder_of, private};
use crate::record::{Origin, Place, Reject};

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 64 * 1024;

/// Files of one run and step that are told apart by a number, when a ledger was made anew.
const NAMES_MAX: u32 = 1000;

/// Most characters of a step's name in its file's name.
const STEP_CHARS_MAX: usize = 100;

#[derive(Serialize)]
struct HeaderLine<'a> {
    version: u32,
    run: u64,
    step: &'a str,
    entity: &'a str,
    mapping: &'a str,
    columns: &'a [Box<str>],
}

#[derive(Serialize)]
struct Line<'a> {
    kind: &'a str,
    source: &'a str,
    record: u64,
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<&'a [Box<str>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row_count: Option<u64>,
    rows: &'a [Vec<Option<&'a str>>],
}

/// Writes the rejects file of one step of a run.
///
/// Lines are collected; [`Self::flush`] makes them last. Calls block for as long as the disk takes.
/// When a write fails, what was collected is kept, and the next try begins by cutting the file back
/// to whole lines.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    run: RunId,
    step: String,
    entity: Schema,
    mapping: String,
    open: Option<Open>,
    entries: u64,
}

#[derive(Debug)]
struct Open {
    file: File,
    columns: Arc<[Box<str>]>,
    /// Bytes of the file that are whole lines.
    written_bytes: u64,
    /// Whether a write failed, so that part of a line may follow.
    is_torn: bool,
    buffer: Vec<u8>,
}

impl Writer {
    /// A writer beside the ledger at `ledger_path`. Makes no file yet.
    pub fn new(ledger_path: &Path, run: RunId, step: &str, entity: Schema, mapping: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
        let name: String = step.chars().take(STEP_CHARS_MAX).map(plain).collect();
        Self {
            path: folder(ledger_path).join(format!("{run}-{name}.jsonl")),
            run,
            step: step.to_owned(),
            entity,
            mapping: mapping.to_owned(),
            open: None,
            entries: 0,
        }
    }

    /// The file; none while there was nothing to write.
    pub fn path(&self) -> Option<&Path> {
        self.open.as_ref().map(|_| self.path.as_path())
    }

    /// Entries taken so far.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Adds a row or record that does not fit.
    ///
    /// # Errors
    ///
    /// [`RejectsError::CannotWrite`].
    pub fn rejected(&mut self, reject: &Reject) -> Result<(), RejectsError> {
        let rows: Vec<Vec<Option<&str>>> =
            reject.rows.iter().map(|row| row.iter().map(Option::as_deref).collect()).collect();
        let line = Line {
            field: reject.field.as_deref(),
            value: reject.value.as_deref(),
            reason: Some(&reject.reason),
            ..Line::at("rejected", &reject.place, &rows)
        };
        self.add(&reject.columns, line)
    }

    /// Adds a record that the API refused. `json` is the record as it was sent; it is kept where the
    /// rows are not held any more.
    ///
    /// # Errors
    ///
    /// [`RejectsError::CannotWrite`].
    pub fn failed(
        &mut self,
        origin: &Origin,
        key: &str,
        code: &str,
        message: &str,
        json: &[u8],
    ) -> Result<(), RejectsError> {
        let held = origin.rows();
        let rows: Vec<Vec<Option<&str>>> = held.iter().map(|row| row.cells().collect()).collect();
        let columns = match origin {
            Origin::Row { rows, .. } => rows.columns().clone(),
            Origin::Group(members) => members.first().map_or_else(|| Arc::from([]), |(rows, _)| rows.columns().clone()),
            Origin::Total(_) => Arc::from([]),
        };
        let place = origin.place();
        let line = Line {
            key: Some(key),
            code: Some(code),
            message: Some(message),
            json: if rows.is_empty() { serde_json::from_slice(json).ok() } else { None },
            row_count: (origin.row_count() != rows.len() as u64).then(|| origin.row_count()),
            ..Line::at("failed", &place, &rows)
        };
        self.add(&columns, line)
    }

    /// Writes what was collected, and waits until the disk has it.
    ///
    /// # Errors
    ///
    /// [`RejectsError::CannotWrite`]; it may be tried again.
    pub fn flush(&mut self) -> Result<(), RejectsError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.write_out()
            .and_then(|()| open.file.sync_data())
            .map_err(|error| RejectsError::cannot_write(&self.path, &error))
    }

    /// Puts another file in the place of the one that is written.
    #[cfg(test)]
    pub(super) fn put_file(&mut self, file: File) -> File {
        std::mem::replace(&mut self.open.as_mut().expect("has a file").file, file)
    }

    fn add(&mut self, columns: &Arc<[Box<str>]>, line: Line<'_>) -> Result<(), RejectsError> {
        if self.open.is_none() {
            self.open = Some(self.create(columns)?);
        }
        let open = self.open.as_mut().expect("was just made");
        let own_columns = (**columns != *open.columns).then_some(&**columns);
        push_line(&mut open.buffer, &Line { columns: own_columns, ..line });
        self.entries += 1;
        if open.buffer.len() < BUFFER_BYTES {
            return Ok(());
        }
        open.write_out().map_err(|error| RejectsError::cannot_write(&self.path, &error))
    }

    fn create(&mut self, columns: &Arc<[Box<str>]>) -> Result<Open, RejectsError> {
        let cannot_write = |path: &Path, error| RejectsError::cannot_write(path, &error);
        make_folder_of(&self.path).map_err(|error| cannot_write(&self.path, error))?;
        let first = self.path.clone();
        let mut number = 1;
        let file = loop {
            match private(OpenOptions::new().write(true).create_new(true)).open(&self.path) {
                Ok(file) => break file,
                // From a ledger that is gone, whose runs had the same numbers: never written over.
                Err(error) if error.kind() == ErrorKind::AlreadyExists && number < NAMES_MAX => {
                    number += 1;
                    self.path = first.with_extension(format!("{number}.jsonl"));
                }
                Err(error) => return Err(cannot_write(&self.path, error)),
            }
        };
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        push_line(
            &mut buffer,
            &HeaderLine {
                version: VERSION,
                run: self.run.0,
                step: &self.step,
                entity: self.entity.name(),
                mapping: &self.mapping,
                columns,
            },
        );
        Ok(Open { file, columns: columns.clone(), written_bytes: 0, is_torn: false, buffer })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(open) = &mut self.open
            && let Err(error) = open.write_out()
        {
            tracing::warn!(path = %self.path.display(), %error, "the last rejects could not be written");
        }
    }
}

impl Open {
    fn write_out(&mut self) -> std::io::Result<()> {
        if self.is_torn {
            // A later line must not follow half a line.
            self.file.set_len(self.written_bytes)?;
            self.file.seek(SeekFrom::Start(self.written_bytes))?;
        }
        self.is_torn = true;
        self.file.write_all(&self.buffer)?;
        self.is_torn = false;
        self.written_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl<'a> Line<'a> {
    fn at(kind: &'a str, place: &'a Place, rows: &'a [Vec<Option<&'a str>>]) -> Self {
        Self {
            kind,
            source: &place.source,
            record: place.record,
            line: place.line,
            field: None,
            value: None,
            reason: None,
            key: None,
            code: None,
            message: None,
            json: None,
            columns: None,
            row_count: None,
            rows,
        }
    }
}

fn push_line(buffer: &mut Vec<u8>, line: &impl Serialize) {
    serde_json::to_writer(&mut *buffer, line).expect("texts and numbers are JSON, and a Vec takes them");
    buffer.push(b'\n');
}
