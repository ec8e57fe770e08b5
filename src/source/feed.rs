//! Reading inputs and filling batches, on a thread of its own; the same for every text format.
//!
//! The thread is the source's own, not one of the runtime's: reading from a terminal or a pipe
//! can't be broken off, and must not keep the runtime from shutting down.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::error::{BrokeProblem, OpenProblem, SourceError};
use super::flow::RawBytes;
use super::input::{Bytes, Named};
use super::sniff::Described;
use super::{BATCHES_AHEAD_MAX, Message, Progress, Rows, header, stopped};
use crate::record::{BadRow, Place, RowBatch};

/// How one format is opened and read.
pub(super) trait Format: Send + 'static {
    /// Name of the reading thread.
    const THREAD: &'static str;

    /// What an opened input is read from.
    type Table;

    /// Opens `input` up to its first record. `known`: what was found when it was opened before.
    /// `guard` wraps its bytes as they are.
    fn open(
        &self,
        input: &mut Named,
        known: Option<&Described>,
        guard: &dyn Fn(Bytes) -> Bytes,
    ) -> Result<Opened<Self::Table>, OpenProblem>;

    /// Reads the next record into `filling`, as a row or as a bad row; `false` at the end.
    /// `order`: see [`header::order`].
    fn next(&self, table: &mut Self::Table, order: Option<&[usize]>, filling: &mut Filling) -> Result<bool, Broken>;

    /// Bytes of the text that the records until now came out of.
    fn text_bytes(&self, table: &Self::Table) -> u64;

    /// A batch is closed at this many rows, or at this many bytes of text.
    fn batch_max(&self) -> (usize, usize);
}

/// An opened input.
pub(super) struct Opened<T> {
    pub(super) table: T,
    pub(super) columns: Vec<Box<str>>,
    pub(super) described: Described,
    pub(super) raw_bytes: RawBytes,
    /// Whether it can be opened again.
    pub(super) again: bool,
    pub(super) bytes_total: Option<u64>,
}

/// What stops the reading of an input, and the line that was reached.
pub(super) struct Broken {
    pub(super) problem: BrokeProblem,
    pub(super) line: u64,
}

/// The batch that is being filled, and how many records its input has given.
pub(super) struct Filling {
    pub(super) batch: RowBatch,
    pub(super) record: u64,
    bad_bytes: usize,
}

impl Filling {
    pub(super) fn new(source: Arc<str>, columns: Arc<[Box<str>]>) -> Self {
        Self { batch: RowBatch::new(source, columns), record: 0, bad_bytes: 0 }
    }

    /// Adds a row that can't be read, as the record that was just counted.
    #[cold]
    pub(super) fn bad(&mut self, line: u64, reason: String, cells: Vec<String>) {
        self.bad_bytes += reason.len() + cells.iter().map(String::len).sum::<usize>();
        let place = Place { source: self.batch.source().clone(), record: self.record, line };
        self.batch.push_bad(BadRow { place, reason, cells });
    }
}

/// What the thread reports once all inputs are open.
struct Ready {
    columns: Arc<[Box<str>]>,
    names: Vec<Arc<str>>,
    described: Vec<Described>,
    progress: Arc<Progress>,
}

/// Opens all inputs on a new thread, and lets it read them.
pub(super) async fn start<F: Format>(
    inputs: impl FnOnce() -> Result<Vec<Named>, SourceError> + Send + 'static,
    format: F,
) -> Result<Rows, SourceError> {
    let (batches, messages) = mpsc::channel(BATCHES_AHEAD_MAX);
    let (ready, opened) = oneshot::channel();
    thread::Builder::new()
        .name(F::THREAD.to_owned())
        .spawn(move || {
            let plan = match inputs().and_then(|inputs| Plan::open(inputs, format, batches)) {
                Ok(plan) => plan,
                // Nobody waits any more if this can't be sent.
                Err(error) => return drop(ready.send(Err(error))),
            };
            if ready.send(Ok(plan.ready())).is_ok() {
                plan.read();
            }
        })
        .map_err(|error| SourceError::open("the reading thread", OpenProblem::Io(error)))?;
    let Ready { columns, names, described, progress } = opened.await.map_err(|_| stopped())??;
    Ok(Rows { columns, names, described, progress, messages, done: false })
}

/// All inputs, checked.
struct Plan<F: Format> {
    format: F,
    columns: Arc<[Box<str>]>,
    inputs: Vec<Planned<F::Table>>,
    progress: Arc<Progress>,
    batches: mpsc::Sender<Message>,
}

struct Planned<T> {
    input: Named,
    described: Described,
    columns: Vec<Box<str>>,
    /// Where each column of the first input stands in this one, if not in the same place.
    order: Option<Box<[usize]>>,
    /// Kept open if it's the first, or can't be opened again.
    open: Option<Opened<T>>,
}

impl<F: Format> Plan<F> {
    fn open(named: Vec<Named>, format: F, batches: mpsc::Sender<Message>) -> Result<Self, SourceError> {
        let mut columns: Option<Arc<[Box<str>]>> = None;
        let mut inputs: Vec<Planned<F::Table>> = Vec::with_capacity(named.len());
        let mut bytes_total = Some(0);
        for mut input in named {
            let opened = format
                .open(&mut input, None, &|bytes| Guarded::over(bytes, &batches))
                .map_err(|problem| SourceError::open(&input.name, problem))?;
            let columns = columns.get_or_insert_with(|| opened.columns.iter().cloned().collect());
            let first = inputs.first().map_or(&input.name, |first| &first.input.name);
            let order = header::order(first, columns, &opened.columns)
                .map_err(|problem| SourceError::open(&input.name, problem))?;
            bytes_total = bytes_total.zip(opened.bytes_total).map(|(sum, bytes)| sum + bytes);
            let (described, columns) = (opened.described.clone(), opened.columns.clone());
            let open = (inputs.is_empty() || !opened.again).then_some(opened);
            inputs.push(Planned { input, described, columns, order, open });
        }
        let columns = columns.ok_or_else(|| SourceError::Options("no input is named".to_owned()))?;
        let progress = Arc::new(Progress { bytes_read: AtomicU64::new(0), bytes_total });
        Ok(Self { format, columns, inputs, progress, batches })
    }

    fn ready(&self) -> Ready {
        Ready {
            columns: self.columns.clone(),
            names: self.inputs.iter().map(|planned| planned.input.name.clone()).collect(),
            described: self.inputs.iter().map(|planned| planned.described.clone()).collect(),
            progress: self.progress.clone(),
        }
    }

    /// Reads all inputs. Sending fails only when nobody listens any more; then there is no more
    /// to do.
    fn read(self) {
        let Self { format, columns, inputs, progress, batches } = self;
        for planned in inputs {
            let source = planned.input.name.clone();
            let mut reading = Reading {
                format: &format,
                batches: &batches,
                progress: &progress,
                before_bytes: progress.bytes_read.load(Ordering::Relaxed),
                filling: Filling::new(source.clone(), columns.clone()),
            };
            match reading.input(planned) {
                Ok(()) => {}
                Err(Stop::Dropped) => return,
                Err(Stop::Broke(Broken { problem, line })) => {
                    let place = Place { source, record: reading.filling.record, line };
                    if reading.flush().is_ok() {
                        let _ = batches.blocking_send(Message::Failed(SourceError::Broke { place, problem }));
                    }
                    return;
                }
            }
        }
        let _ = batches.blocking_send(Message::End);
    }
}

/// Why reading stops before the end.
enum Stop {
    /// Nobody listens any more.
    Dropped,
    Broke(Broken),
}

/// One input being read.
struct Reading<'a, F> {
    format: &'a F,
    batches: &'a mpsc::Sender<Message>,
    progress: &'a Progress,
    before_bytes: u64,
    filling: Filling,
}

impl<F: Format> Reading<'_, F> {
    fn input(&mut self, mut planned: Planned<F::Table>) -> Result<(), Stop> {
        let Opened { mut table, raw_bytes, .. } = match planned.open.take() {
            Some(opened) => opened,
            None => self.open_again(&mut planned)?,
        };
        let order = planned.order.as_deref();
        let (batch_rows, batch_text_bytes) = self.format.batch_max();
        loop {
            match self.format.next(&mut table, order, &mut self.filling) {
                Ok(true) => {}
                Ok(false) => break,
                Err(broken) => {
                    self.tell_progress(raw_bytes.of_text(self.format.text_bytes(&table)));
                    return Err(Stop::Broke(broken));
                }
            }
            let Filling { batch, bad_bytes, .. } = &self.filling;
            if batch.len() + batch.bad().len() >= batch_rows || batch.text_bytes() + bad_bytes >= batch_text_bytes {
                // Not what was read: as much as the buffers hold is on its way still.
                self.tell_progress(raw_bytes.of_text(self.format.text_bytes(&table)));
                self.flush()?;
            }
        }
        self.tell_progress(raw_bytes.all());
        self.flush()
    }

    fn open_again(&mut self, planned: &mut Planned<F::Table>) -> Result<Opened<F::Table>, Stop> {
        let broke = |problem| Stop::Broke(Broken { problem, line: 0 });
        let guard = |bytes| Guarded::over(bytes, self.batches);
        let opened = self
            .format
            .open(&mut planned.input, Some(&planned.described), &guard)
            .map_err(|problem| broke(BrokeProblem::Gone(problem)))?;
        if opened.columns != planned.columns || opened.described != planned.described {
            return Err(broke(BrokeProblem::Changed));
        }
        Ok(opened)
    }

    /// `raw_bytes`: of this input. What was told already stays told where a proportion changes.
    fn tell_progress(&self, raw_bytes: u64) {
        self.progress.bytes_read.fetch_max(self.before_bytes + raw_bytes, Ordering::Relaxed);
    }

    fn flush(&mut self) -> Result<(), Stop> {
        let Filling { batch, bad_bytes, .. } = &mut self.filling;
        if batch.is_empty() {
            return Ok(());
        }
        let mut next = RowBatch::new(batch.source().clone(), batch.columns().clone());
        // The next is taken to be about as large.
        next.reserve(batch.len(), batch.text_bytes() + batch.text_bytes() / 8);
        let mut full = std::mem::replace(batch, next);
        full.set_bytes_read(self.progress.bytes_read.load(Ordering::Relaxed));
        *bad_bytes = 0;
        self.batches.blocking_send(Message::Batch(Arc::new(full))).map_err(|_| Stop::Dropped)
    }
}

/// Stops reading when nobody listens any more, also in the middle of an endless row.
struct Guarded {
    inner: Bytes,
    batches: mpsc::Sender<Message>,
}

impl Guarded {
    fn over(inner: Bytes, batches: &mpsc::Sender<Message>) -> Bytes {
        Box::new(Self { inner, batches: batches.clone() })
    }
}

impl Read for Guarded {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.batches.is_closed() {
            return Err(io::Error::other("nobody listens any more"));
        }
        self.inner.read(out)
    }
}
