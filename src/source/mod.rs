//! Rows in: every row with its position.
//!
//! A source is opened (all that can be wrong with it as a whole is found then, before anything is
//! sent), and gives [`Rows`]: batches of rows, read ahead on a thread of its own in bounded memory.
//! Today: CSV ([`open_csv`]), JSON ([`open_json`]), databases ([`open_sql`]) and Stripe's lists ([`open_stripe`]). What comes later gives the
//! same [`Rows`].
//!
//! A row that can't be read as a row is a [`BadRow`](crate::record::BadRow) in its batch, never a
//! stop and never silently mended.

mod compression;
mod csv;
mod encoding;
mod error;
mod feed;
mod flow;
mod header;
mod input;
mod json;
mod limits;
mod options;
mod pattern;
mod reasons;
mod sniff;
mod split;
mod sql;
mod stripe;
mod table;
mod text;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

pub use self::compression::Compression;
pub use self::csv::{open_csv, open_csv_reader};
pub use self::encoding::{EVIDENT_INVALID_MIN, EncodingFrom};
pub use self::error::{BrokeProblem, OpenProblem, SourceError};
pub use self::input::Input;
pub use self::json::{EACH_KEY, EACH_VALUE, JsonForm, JsonOptions, WHOLE_ROW, open_json, open_json_reader};
pub use self::limits::Limits;
pub use self::options::{CsvOptions, Quote};
pub use self::sniff::{DELIMITERS, Described, LineEnd, SAMPLE_BYTES, Written};
pub use self::sql::{Mark, SqlOptions, SqlQuery, open_sql};
pub use self::stripe::{StripeList, StripeOptions, open_stripe};
use crate::record::{Place, RowBatch};

/// Batches that are read ahead, at most.
pub const BATCHES_AHEAD_MAX: usize = 4;

/// A stream of row batches, whatever the source. Dropping it stops the reading.
#[derive(Debug)]
pub struct Rows {
    columns: Arc<[Box<str>]>,
    names: Vec<Arc<str>>,
    described: Vec<Described>,
    progress: Arc<Progress>,
    messages: mpsc::Receiver<Message>,
    done: bool,
}

/// What the reading thread says. Its end has to be said, so that a thread that dies is not taken
/// for the end of the rows.
enum Message {
    Batch(Arc<RowBatch>),
    Failed(SourceError),
    End,
}

#[derive(Debug, Default)]
struct Progress {
    bytes_read: AtomicU64,
    bytes_total: Option<u64>,
}

impl Rows {
    /// Rows that are in memory already, given without a thread; `broke` comes after them. For programs that have
    /// rows of their own, and for tests with paused time: to them a thread is nobody to wait for.
    pub fn in_memory(columns: Arc<[Box<str>]>, batches: Vec<Arc<RowBatch>>, broke: Option<SourceError>) -> Self {
        let mut names: Vec<Arc<str>> = Vec::new();
        for batch in &batches {
            if names.last() != Some(batch.source()) {
                names.push(batch.source().clone());
            }
        }
        let (sender, messages) = mpsc::channel(batches.len() + 1);
        let last = broke.map_or(Message::End, Message::Failed);
        for message in batches.into_iter().map(Message::Batch).chain([last]) {
            // The channel has room for all, and its receiver is here.
            let _ = sender.try_send(message);
        }
        Self { columns, names, described: Vec::new(), progress: Arc::default(), messages, done: false }
    }

    /// Column names, in the order of every row's cells: that of the first input. Known before the
    /// first row.
    pub fn columns(&self) -> &Arc<[Box<str>]> {
        &self.columns
    }

    /// The inputs' names, in reading order: as the user named them, patterns expanded.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// What was found out about each input, in reading order; nothing about databases.
    pub fn described(&self) -> &[Described] {
        &self.described
    }

    /// Bytes of the inputs, as they are (compressed), that the rows read so far came out of: up to [`BATCHES_AHEAD_MAX`]
    /// batches ahead of what [`Self::next`] has given, and all of them once it has given the end.
    pub fn bytes_read(&self) -> u64 {
        self.progress.bytes_read.load(Ordering::Relaxed)
    }

    /// Size of all inputs together, in bytes; `None` where one of them has no size, as a pipe.
    pub fn bytes_total(&self) -> Option<u64> {
        self.progress.bytes_total
    }

    /// The next batch, of one input, in reading order; never an empty one. `None` is the end.
    ///
    /// Cancel safe: no batch is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// [`SourceError::Broke`], once, after all rows before its place; then comes `None`.
    pub async fn next(&mut self) -> Result<Option<Arc<RowBatch>>, SourceError> {
        if self.done {
            return Ok(None);
        }
        match self.messages.recv().await {
            Some(Message::Batch(batch)) => Ok(Some(batch)),
            Some(Message::Failed(error)) => {
                self.done = true;
                Err(error)
            }
            Some(Message::End) => {
                self.done = true;
                Ok(None)
            }
            None => {
                self.done = true;
                Err(stopped())
            }
        }
    }
}

/// The reading thread is gone and has not said why.
fn stopped() -> SourceError {
    let place = Place { source: "-".into(), record: 0, line: 0 };
    SourceError::Broke { place, problem: BrokeProblem::Stopped }
}
