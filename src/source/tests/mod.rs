//! The CSV source as a whole: bytes in, rows and bad rows out.

mod bad_rows;
mod breaks;
mod inputs;
mod progress;
mod properties;
mod rows;
mod told;

use std::fs;
use std::io::{self, Cursor, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::record::BadRow;

/// All that a source gave.
#[derive(Debug, Default)]
struct Outcome {
    columns: Vec<String>,
    described: Vec<Described>,
    rows: Vec<(u64, u64, Vec<String>)>,
    sources: Vec<String>,
    bad: Vec<BadRow>,
    error: Option<SourceError>,
}

impl Outcome {
    /// Cells of all rows, joined by `|`.
    fn joined(&self) -> Vec<String> {
        self.rows.iter().map(|(_, _, cells)| cells.join("|")).collect()
    }

    fn lines(&self) -> Vec<u64> {
        self.rows.iter().map(|(_, line, _)| *line).collect()
    }

    /// Record, line and reason of each bad row.
    fn reasons(&self) -> Vec<(u64, u64, &str)> {
        self.bad.iter().map(|bad| (bad.place.record, bad.place.line, bad.reason.as_str())).collect()
    }

    fn error(&self) -> String {
        self.error.as_ref().map(SourceError::to_string).unwrap_or_default()
    }
}

async fn collect(opened: Result<Rows, SourceError>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rows = match opened {
        Ok(rows) => rows,
        Err(error) => {
            assert!(error.before_reading() || matches!(error, SourceError::Broke { .. }));
            return Outcome { error: Some(error), ..outcome };
        }
    };
    outcome.columns = rows.columns().iter().map(|name| name.to_string()).collect();
    outcome.described = rows.described().to_vec();
    loop {
        match rows.next().await {
            Ok(Some(batch)) => {
                assert!(!batch.is_empty());
                outcome.sources.push(batch.source().to_string());
                for row in batch.rows() {
                    let cells = row.cells().map(|cell| cell.expect("CSV has no NULL").to_owned()).collect();
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

fn read_with(bytes: impl AsRef<[u8]>, options: &CsvOptions) -> Outcome {
    let reader = Cursor::new(bytes.as_ref().to_vec());
    block_on(async { collect(open_csv_reader("-", reader, options).await).await })
}

fn read(bytes: impl AsRef<[u8]>) -> Outcome {
    read_with(bytes, &CsvOptions::default())
}

fn read_files(folder: &Path, names: &[&str]) -> Outcome {
    let inputs: Vec<Input> =
        names.iter().map(|name| folder.join(name).to_str().expect("UTF-8").parse().expect("infallible")).collect();
    block_on(async { collect(open_csv(&inputs, &CsvOptions::default()).await).await })
}

fn delimiter_and_quote(outcome: &Outcome) -> (u8, Option<u8>) {
    match outcome.described[0].written {
        Written::Csv { delimiter, quote, .. } => (delimiter, quote),
        Written::Json { .. } => panic!("it is CSV"),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 1).expect("memory")
}

fn utf16(text: &str, little: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
}

/// Gives its bytes one at a time.
struct Dripping(Cursor<Vec<u8>>);

impl Read for Dripping {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = out.len().min(1);
        self.0.read(&mut out[..count])
    }
}

fn small() -> CsvOptions {
    let limits =
        Limits { field_bytes_max: 20, row_bytes_max: 60, columns_max: 5, bad_row_bytes_max: 16, ..Limits::default() };
    CsvOptions { limits, ..CsvOptions::default() }
}

fn lines_of(text: &str) -> u64 {
    let (cr, lf, both) = (text.matches('\r').count(), text.matches('\n').count(), text.matches("\r\n").count());
    (cr + lf - both) as u64
}
