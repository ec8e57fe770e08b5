//! Reading a rejects file, line by line.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Entry, Header, RejectsError, VERSION, Why};
use crate::entity::{Entity, Schema};
use crate::ledger::RunId;
use crate::record::Place;

/// Most bytes of one line. A line holds one record's rows; no program of ours writes a longer one.
const LINE_BYTES_MAX: u64 = 256 * 1024 * 1024;

#[derive(Deserialize)]
struct VersionLine {
    version: u32,
}

#[derive(Deserialize)]
struct HeaderLine {
    run: u64,
    step: String,
    entity: String,
    mapping: String,
    columns: Vec<Box<str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Rejected,
    Failed,
}

#[derive(Deserialize)]
struct Line {
    kind: Kind,
    source: String,
    record: u64,
    line: u64,
    field: Option<String>,
    value: Option<String>,
    reason: Option<String>,
    key: Option<String>,
    code: Option<String>,
    message: Option<String>,
    json: Option<Box<RawValue>>,
    columns: Option<Vec<Box<str>>>,
    row_count: Option<u64>,
    rows: Vec<Vec<Option<String>>>,
}

/// Reads a rejects file entry by entry, in constant memory.
///
/// A damaged line is an error of its own, and the next call goes on after it. A last line that is
/// not complete (its run was killed while it was written) is left out: see [`Self::is_torn`].
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    input: BufReader<File>,
    header: Header,
    source: Arc<str>,
    line: u64,
    torn: bool,
    ended: bool,
}

impl Reader {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    ///
    /// [`RejectsError::CannotRead`], [`RejectsError::Damaged`] (no rejects file),
    /// [`RejectsError::Newer`], [`RejectsError::Empty`].
    pub fn open(path: &Path) -> Result<Self, RejectsError> {
        let file = File::open(path).map_err(|error| RejectsError::cannot_read(path, &error))?;
        let header = Header {
            run: RunId(0),
            step: String::new(),
            entity: Schema::Import(Entity::Customer),
            mapping: String::new(),
            columns: Arc::from([]),
        };
        let mut reader = Self {
            path: path.to_owned(),
            input: BufReader::new(file),
            header,
            source: Arc::from(""),
            line: 0,
            torn: false,
            ended: false,
        };
        let Some(line) = reader.next_line()? else { return Err(RejectsError::Empty { path: path.to_owned() }) };
        reader.header = reader.parse_header(&line)?;
        Ok(reader)
    }

    /// What all lines share.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether the last line was not complete and was left out. Known at the end.
    pub fn is_torn(&self) -> bool {
        self.torn
    }

    fn next_line(&mut self) -> Result<Option<Vec<u8>>, RejectsError> {
        let mut line = Vec::new();
        self.input
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .map_err(|error| RejectsError::cannot_read(&self.path, &error))?;
        if line.last() == Some(&b'\n') {
            self.line += 1;
            return Ok(Some(line));
        }
        self.ended = true;
        if line.len() as u64 == LINE_BYTES_MAX {
            self.line += 1;
            return Err(self.damaged("the line is too long"));
        }
        self.torn = !line.is_empty();
        Ok(None)
    }

    fn parse_header(&self, line: &[u8]) -> Result<Header, RejectsError> {
        let version: VersionLine = serde_json::from_slice(line).map_err(|error| self.damaged(error))?;
        if version.version > VERSION {
            let (path, found) = (self.path.clone(), version.version);
            return Err(RejectsError::Newer { path, found, known: VERSION });
        }
        let header: HeaderLine = serde_json::from_slice(line).map_err(|error| self.damaged(error))?;
        let entity = Schema::of_name(&header.entity).ok_or_else(|| self.damaged("the entity is unknown"))?;
        Ok(Header {
            run: RunId(header.run),
            step: header.step,
            entity,
            mapping: header.mapping,
            columns: header.columns.into(),
        })
    }

    fn parse_entry(&mut self, line: &[u8]) -> Result<Entry, RejectsError> {
        let line: Line = serde_json::from_slice(line).map_err(|error| self.damaged(error))?;
        if *line.source != *self.source {
            self.source = line.source.into();
        }
        let why = match line.kind {
            Kind::Rejected => Why::Rejected {
                field: line.field,
                value: line.value,
                reason: line.reason.ok_or_else(|| self.damaged("`reason` is missing"))?,
            },
            Kind::Failed => Why::Failed {
                key: line.key.ok_or_else(|| self.damaged("`key` is missing"))?,
                code: line.code.ok_or_else(|| self.damaged("`code` is missing"))?,
                message: line.message.unwrap_or_default(),
                json: line.json.map(|json| json.get().to_owned()),
            },
        };
        Ok(Entry {
            place: Place { source: self.source.clone(), record: line.record, line: line.line },
            why,
            columns: line.columns.map_or_else(|| self.header.columns.clone(), Arc::from),
            row_count: line.row_count.unwrap_or(line.rows.len() as u64),
            rows: line.rows,
        })
    }

    /// `detail` says what is wrong by position only: serde's words never quote a file's values,
    /// except for a number or a text of a wrong type, which are cut off here.
    fn damaged(&self, detail: impl ToString) -> RejectsError {
        let detail = detail.to_string().split(": string").next().unwrap_or_default().to_owned();
        RejectsError::Damaged { path: self.path.clone(), line: self.line, detail }
    }
}

impl Iterator for Reader {
    type Item = Result<Entry, RejectsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.next_line() {
            Ok(None) => None,
            Ok(Some(line)) => Some(self.parse_entry(&line)),
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }
}
