//! The JSON source as a whole: bytes in, rows and bad rows out.

mod bulk;
mod faults;
mod forms;
mod inputs;
mod properties;
mod values;

use std::io::{self, Cursor, Read};
use std::path::Path;

use super::*;
use crate::record::BadRow;
use crate::source::{Described, Limits, Written};

/// All that a source gave.
#[derive(Debug, Default)]
struct Outcome {
    described: Vec<Described>,
    rows: Vec<(u64, u64, Vec<Option<String>>)>,
    bad: Vec<BadRow>,
    error: Option<SourceError>,
}

impl Outcome {
    /// Cells of all rows, joined by `|`; NULL is `~`.
    fn joined(&self) -> Vec<String> {
        let cell = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "~".to_owned());
        self.rows.iter().map(|(_, _, cells)| cells.iter().map(cell).collect::<Vec<_>>().join("|")).collect()
    }

    /// Record and line of each row.
    fn places(&self) -> Vec<(u64, u64)> {
        self.rows.iter().map(|(record, line, _)| (*record, *line)).collect()
    }

    /// Record, line and reason of each bad row.
    fn reasons(&self) -> Vec<(u64, u64, &str)> {
        self.bad.iter().map(|bad| (bad.place.record, bad.place.line, bad.reason.as_str())).collect()
    }

    fn error(&self) -> String {
        self.error.as_ref().map(SourceError::to_string).unwrap_or_default()
    }

    fn written(&self) -> (JsonForm, Option<&str>) {
        match &self.described[0].written {
            Written::Json { form, array } => (*form, array.as_deref()),
            Written::Csv { .. } => panic!("it is JSON"),
        }
    }
}

async fn collect(opened: Result<Rows, SourceError>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rows = match opened {
        Ok(rows) => rows,
        Err(error) => {
            assert!(error.before_reading());
            return Outcome { error: Some(error), ..outcome };
        }
    };
    outcome.described = rows.described().to_vec();
    loop {
        match rows.next().await {
            Ok(Some(batch)) => {
                assert!(!batch.is_empty());
                for row in batch.rows() {
                    let cells = row.cells().map(|cell| cell.map(str::to_owned)).collect();
                    outcome.rows.push((row.place().record, row.place().line, cells));
                }
                outcome.bad.extend(batch.bad().iter().cloned());
            }
            Ok(None) => return outcome,
            Err(error) => {
                outcome.error = Some(error);
                assert!(rows.next().await.expect("nothing comes after an error").is_none());
                return outcome;
            }
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(future)
}

fn names(wanted: &[&str]) -> Vec<String> {
    wanted.iter().map(|name| (*name).to_owned()).collect()
}

fn read_from(reader: impl Read + Send + 'static, options: &JsonOptions, wanted: &[&str]) -> Outcome {
    block_on(async { collect(open_json_reader("-", reader, options, &names(wanted)).await).await })
}

fn read_with(bytes: impl AsRef<[u8]>, options: &JsonOptions, wanted: &[&str]) -> Outcome {
    read_from(Cursor::new(bytes.as_ref().to_vec()), options, wanted)
}

fn read(bytes: impl AsRef<[u8]>, wanted: &[&str]) -> Outcome {
    read_with(bytes, &JsonOptions::default(), wanted)
}

fn read_files(folder: &Path, files: &[&str], options: &JsonOptions, wanted: &[&str]) -> Outcome {
    let inputs: Vec<Input> =
        files.iter().map(|name| folder.join(name).to_str().expect("UTF-8").parse().expect("infallible")).collect();
    block_on(async { collect(open_json(&inputs, options, &names(wanted)).await).await })
}

fn array(name: &str) -> JsonOptions {
    JsonOptions { array: Some(name.to_owned()), ..JsonOptions::default() }
}

fn form(form: JsonForm) -> JsonOptions {
    JsonOptions { form: Some(form), ..JsonOptions::default() }
}

fn row_bytes_max(bytes: usize) -> JsonOptions {
    JsonOptions { limits: Limits { row_bytes_max: bytes, ..Limits::default() }, ..JsonOptions::default() }
}

/// Gives its bytes in pieces of these lengths, again and again.
struct Pieces {
    bytes: Cursor<Vec<u8>>,
    lengths: Vec<usize>,
    next: usize,
}

impl Pieces {
    fn of(bytes: impl AsRef<[u8]>, lengths: &[usize]) -> Self {
        Self { bytes: Cursor::new(bytes.as_ref().to_vec()), lengths: lengths.to_vec(), next: 0 }
    }
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.lengths[self.next % self.lengths.len()].clamp(1, out.len());
        self.next += 1;
        self.bytes.read(&mut out[..count])
    }
}
