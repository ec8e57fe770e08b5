//! Rows into batches, and batches to whoever listens.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use super::cells::Cells;
use super::driver::Driver;
use super::failure::Failure;
use super::options::SqlOptions;
use crate::record::{BadRow, Place, RowBatch};
use crate::source::error::{OpenProblem, SourceError};
use crate::source::{Message, Progress};

/// What is known once the first rows are there, or it's known that there are none.
pub(super) struct Ready {
    pub(super) columns: Arc<[Box<str>]>,
    pub(super) progress: Arc<Progress>,
}

/// Fills batches; keeps those of a page until the page is whole.
pub(super) struct Fill<'a> {
    options: &'a SqlOptions,
    messages: &'a mpsc::Sender<Message>,
    progress: Arc<Progress>,
    /// Taken once the first rows are handed out.
    ready: Option<oneshot::Sender<Result<Ready, SourceError>>>,
    batch: RowBatch,
    bad_bytes: usize,
    cells: Cells,
    /// Position of the key column, and its last value.
    key: Option<usize>,
    key_last: Option<String>,
    /// Position of the changed column.
    changed: Option<usize>,
    /// Changes on or after this day are no mark: a row from the far future would hide all others.
    day_after: String,
    state: State,
    page: Option<Page>,
}

/// Why a column is no key: between two pages, rows would be lost.
const NOT_UNIQUE: &str = "has the same value in two rows; a key's values are unique";

/// How far reading has come.
#[derive(Clone, Default)]
struct State {
    record: u64,
    mark: Option<String>,
    /// The mark when the last batch was closed.
    mark_before: Option<String>,
}

/// A page that isn't whole yet.
struct Page {
    batches: Vec<RowBatch>,
    text_bytes: usize,
    before: State,
}

impl<'a> Fill<'a> {
    pub(super) fn new(
        source: Arc<str>,
        columns: Arc<[Box<str>]>,
        options: &'a SqlOptions,
        messages: &'a mpsc::Sender<Message>,
        ready: oneshot::Sender<Result<Ready, SourceError>>,
        day_after: String,
    ) -> Self {
        let at = |name: &Option<String>| {
            let name = name.as_deref()?;
            columns.iter().position(|column| &**column == name)
        };
        Self {
            options,
            messages,
            progress: Arc::default(),
            ready: Some(ready),
            key: at(&options.key),
            key_last: None,
            changed: at(&options.changed),
            batch: RowBatch::new(source, columns),
            bad_bytes: 0,
            cells: Cells::default(),
            day_after,
            state: State::default(),
            page: None,
        }
    }

    /// Rows read so far.
    pub(super) fn record(&self) -> u64 {
        self.state.record
    }

    /// From here on, batches wait until [`Self::end_page`].
    pub(super) fn begin_page(&mut self) {
        self.page = Some(Page { batches: Vec::new(), text_bytes: 0, before: self.state.clone() });
    }

    /// Forgets the page's rows: it will be read again.
    pub(super) fn drop_page(&mut self) {
        if let Some(page) = self.page.take() {
            self.state = page.before;
            self.batch = self.next_batch();
            self.bad_bytes = 0;
            self.key_last = None;
        }
    }

    /// Hands the page out.
    pub(super) async fn end_page(&mut self) -> Result<(), Failure> {
        self.flush().await?;
        if let Some(page) = self.page.take() {
            for batch in page.batches {
                self.send(batch).await?;
            }
        }
        Ok(())
    }

    /// The row at the position came a second time.
    pub(super) fn twice(&self) -> Failure {
        self.wrong_key(self.key.expect("only pages have positions, and only keys have pages"), NOT_UNIQUE)
    }

    /// Whether the page has all the text it may have.
    pub(super) fn page_is_full(&self) -> bool {
        self.page.as_ref().is_some_and(|page| page.text_bytes >= self.options.page_text_bytes)
    }

    /// Whether the batch is to be flushed.
    pub(super) fn is_full(&self) -> bool {
        self.batch.len() + self.batch.bad().len() >= self.options.batch_rows
            || self.batch.text_bytes() + self.bad_bytes >= self.options.batch_text_bytes
    }

    /// Takes one row.
    pub(super) fn row<D: Driver>(&mut self, row: &D::Row, kinds: &[D::Kind]) -> Result<(), Failure> {
        self.cells.clear();
        D::read(row, kinds, &mut self.cells)?;
        debug_assert_eq!(self.cells.len(), kinds.len());
        if let Some(key) = self.key {
            match (self.cells.get(key), &mut self.key_last) {
                (None, _) => return Err(self.wrong_key(key, "is NULL in a row; a key has a value in every row")),
                (Some(value), Some(last)) if value == last => return Err(self.wrong_key(key, NOT_UNIQUE)),
                (Some(value), Some(last)) => {
                    last.clear();
                    last.push_str(value);
                }
                (Some(value), last @ None) => *last = Some(value.to_owned()),
            }
        }
        self.state.record += 1;
        if let Some(value) = self.changed.and_then(|changed| self.cells.get(changed)) {
            let far = is_day(value) && value >= &*self.day_after;
            if !far && value != "infinity" {
                let mark = self.state.mark.get_or_insert_default();
                mark.clear();
                mark.push_str(value);
            }
        }
        match self.flaw() {
            None => self.batch.push(self.state.record, 0, self.cells.iter()),
            Some(reason) => self.bad(reason),
        }
        Ok(())
    }

    #[cold]
    fn wrong_key(&self, key: usize, problem: &str) -> Failure {
        let name = self.batch.columns()[key].to_string();
        Failure::Data(OpenProblem::Column { name, problem: problem.to_owned() })
    }

    fn flaw(&self) -> Option<String> {
        let limits = &self.options.limits;
        let name = |cell: usize| crate::source::error::cut(&self.batch.columns()[cell]);
        if let Some((cell, why)) = self.cells.flaw() {
            return Some(format!("column `{}` {why}", name(cell)));
        }
        if self.cells.text_bytes() <= limits.field_bytes_max.min(limits.row_bytes_max) {
            return None;
        }
        let long = self.cells.iter().position(|cell| cell.is_some_and(|text| text.len() > limits.field_bytes_max));
        if let Some(cell) = long {
            return Some(format!(
                "column `{}` has more than {} bytes, the limit of a field",
                name(cell),
                limits.field_bytes_max
            ));
        }
        (self.cells.text_bytes() > limits.row_bytes_max)
            .then(|| format!("the row has more than {} bytes, the limit of a row", limits.row_bytes_max))
    }

    #[cold]
    fn bad(&mut self, reason: String) {
        let mut room = self.options.limits.bad_row_bytes_max;
        let cells: Vec<String> = self
            .cells
            .iter()
            .map(|cell| {
                let text = cell.unwrap_or_default();
                let mut end = text.len().min(room);
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                room -= end;
                text[..end].to_owned()
            })
            .collect();
        self.bad_bytes += reason.len() + cells.iter().map(String::len).sum::<usize>();
        let place = Place { source: self.batch.source().clone(), record: self.state.record, line: 0 };
        self.batch.push_bad(BadRow { place, reason, cells });
    }

    fn next_batch(&self) -> RowBatch {
        let mut next = RowBatch::new(self.batch.source().clone(), self.batch.columns().clone());
        // The next is taken to be about as large.
        next.reserve(self.batch.len(), self.batch.text_bytes() + self.batch.text_bytes() / 8);
        next
    }

    /// Closes the batch; hands it out unless it waits for its page.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let next = self.next_batch();
        let mut full = std::mem::replace(&mut self.batch, next);
        if let Some(mark) = &self.state.mark_before {
            full.set_mark_before(mark);
        }
        if let Some(mark) = &self.state.mark {
            full.set_mark(mark);
            self.state.mark_before.clone_from(&self.state.mark);
        }
        let text_bytes = full.text_bytes() + std::mem::take(&mut self.bad_bytes);
        match &mut self.page {
            Some(page) => {
                page.text_bytes += text_bytes;
                page.batches.push(full);
                Ok(())
            }
            None => self.send(full).await,
        }
    }

    async fn send(&mut self, batch: RowBatch) -> Result<(), Failure> {
        self.progress.bytes_read.fetch_add(batch.text_bytes() as u64, Ordering::Relaxed);
        self.say_ready()?;
        self.messages.send(Message::Batch(Arc::new(batch))).await.map_err(|_| Failure::Dropped)
    }

    fn say_ready(&mut self) -> Result<(), Failure> {
        let Some(ready) = self.ready.take() else { return Ok(()) };
        let said = Ready { columns: self.batch.columns().clone(), progress: self.progress.clone() };
        ready.send(Ok(said)).map_err(|_| Failure::Dropped)
    }

    /// All rows were read.
    pub(super) async fn finish(mut self) -> Result<(), Failure> {
        self.end_page().await?;
        self.say_ready()?;
        self.messages.send(Message::End).await.map_err(|_| Failure::Dropped)
    }

    /// Reading stops here. Gives the way to say so if nothing was handed out, and nothing will be;
    /// else hands out what there is.
    pub(super) async fn stop(&mut self) -> Option<oneshot::Sender<Result<Ready, SourceError>>> {
        let unheard = self.ready.take();
        if unheard.is_none() {
            // If nobody listens any more, there's nobody to tell.
            let _ = self.end_page().await;
        }
        unheard
    }
}

/// Whether a text starts with a day, as `2026-01-31`.
fn is_day(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10
        && bytes[..10].iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}
