//! CSV: opening inputs and filling batches, on a thread of its own.
//!
//! The thread is the source's own, not one of the runtime's: reading from a terminal or a pipe
//! can't be broken off, and must not keep the runtime from shutting down.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::error::{BrokeProblem, OpenProblem, SourceError};
use super::input::{self, Bytes, Input, Named, Origin};
use super::options::CsvOptions;
use super::split::{Flaw, Split};
use super::table::{self, Table};
use super::{BATCHES_AHEAD_MAX, Message, Progress, Rows, header, reasons, stopped};
use crate::record::{BadRow, Place, RowBatch};

/// Opens CSV inputs, reads all their headers, and starts to read their rows, in order.
///
/// Files are told by content: gzip and zstd are decompressed, encodings decoded. All inputs must
/// have the same columns; where their order differs, cells are put in the order of the first
/// input. Blank lines are skipped and are no records. Files are opened again when their turn
/// comes, so any number of them can be named.
///
/// # Errors
///
/// All that is wrong before the first row; [`SourceError::before_reading`] is true of it.
pub async fn open_csv(inputs: &[Input], options: &CsvOptions) -> Result<Rows, SourceError> {
    let inputs = inputs.to_vec();
    start(move || input::resolve(&inputs), options).await
}

/// As [`open_csv`], of one reader, for what is no file; `name` stands in messages.
///
/// # Errors
///
/// As [`open_csv`].
pub async fn open_csv_reader(
    name: &str,
    reader: impl Read + Send + 'static,
    options: &CsvOptions,
) -> Result<Rows, SourceError> {
    let input = Named { name: name.into(), origin: Origin::Reader(Some(Box::new(reader))) };
    start(move || Ok(vec![input]), options).await
}

/// What the thread reports once all inputs are open.
struct Ready {
    columns: Arc<[Box<str>]>,
    names: Vec<Arc<str>>,
    described: Vec<super::Described>,
    progress: Arc<Progress>,
}

async fn start(
    inputs: impl FnOnce() -> Result<Vec<Named>, SourceError> + Send + 'static,
    options: &CsvOptions,
) -> Result<Rows, SourceError> {
    options.check()?;
    let options = options.clone();
    let (batches, messages) = mpsc::channel(BATCHES_AHEAD_MAX);
    let (ready, opened) = oneshot::channel();
    thread::Builder::new()
        .name("csv".to_owned())
        .spawn(move || {
            let plan = match inputs().and_then(|inputs| Plan::open(inputs, options, batches)) {
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
struct Plan {
    options: CsvOptions,
    columns: Arc<[Box<str>]>,
    inputs: Vec<Planned>,
    progress: Arc<Progress>,
    batches: mpsc::Sender<Message>,
}

struct Planned {
    input: Named,
    described: super::Described,
    names: Vec<Box<str>>,
    /// Where each column of the first input stands in this one, if not in the same place.
    order: Option<Box<[usize]>>,
    /// Kept open if it's the first, or can't be opened again.
    open: Option<Table>,
}

impl Plan {
    fn open(named: Vec<Named>, options: CsvOptions, batches: mpsc::Sender<Message>) -> Result<Self, SourceError> {
        let mut columns: Option<Arc<[Box<str>]>> = None;
        let mut inputs: Vec<Planned> = Vec::with_capacity(named.len());
        let mut bytes_total = Some(0);
        for mut input in named {
            let table = table::open(&mut input, &options, |bytes| Guarded::over(bytes, &batches))
                .map_err(|problem| SourceError::open(&input.name, problem))?;
            let columns = columns.get_or_insert_with(|| table.names.iter().cloned().collect());
            let first = inputs.first().map_or(&input.name, |first| &first.input.name);
            let order = header::order(first, columns, &table.names)
                .map_err(|problem| SourceError::open(&input.name, problem))?;
            bytes_total = bytes_total.zip(table.bytes_total).map(|(sum, bytes)| sum + bytes);
            let (described, names) = (table.described.clone(), table.names.clone());
            let open = (inputs.is_empty() || !table.again).then_some(table);
            inputs.push(Planned { input, described, names, order, open });
        }
        let columns = columns.ok_or_else(|| SourceError::Options("no input is named".to_owned()))?;
        let progress = Arc::new(Progress { bytes_read: AtomicU64::new(0), bytes_total });
        Ok(Self { options, columns, inputs, progress, batches })
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
        let Self { options, columns, inputs, progress, batches } = self;
        for planned in inputs {
            let source = planned.input.name.clone();
            let mut reading = Reading {
                options: &options,
                batches: &batches,
                progress: &progress,
                before_bytes: progress.bytes_read.load(Ordering::Relaxed),
                batch: RowBatch::new(source.clone(), columns.clone()),
                bad_bytes: 0,
                record: 0,
            };
            match reading.input(planned) {
                Ok(()) => {}
                Err(Stop::Dropped) => return,
                Err(Stop::Broke { problem, line }) => {
                    let place = Place { source, record: reading.record, line };
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
    Broke {
        problem: BrokeProblem,
        line: u64,
    },
}

/// One input being read.
struct Reading<'a> {
    options: &'a CsvOptions,
    batches: &'a mpsc::Sender<Message>,
    progress: &'a Progress,
    before_bytes: u64,
    batch: RowBatch,
    bad_bytes: usize,
    record: u64,
}

impl Reading<'_> {
    fn input(&mut self, mut planned: Planned) -> Result<(), Stop> {
        let mut table = match planned.open.take() {
            Some(table) => table,
            None => self.open_again(&mut planned)?,
        };
        let order = planned.order.as_deref();
        loop {
            let split = match table.splitter.next() {
                Ok(split) => split,
                Err(error) => {
                    let problem = BrokeProblem::from_io(error);
                    return Err(Stop::Broke { problem, line: table.splitter.line_reached() });
                }
            };
            match split {
                Split::Record => {
                    self.record += 1;
                    self.row(&table, order);
                }
                Split::Flawed(flaw) => {
                    self.record += 1;
                    self.flawed(&table, order, flaw);
                }
                Split::End => break,
            }
            let rows = self.batch.len() + self.batch.bad().len();
            if rows >= self.options.batch_rows
                || self.batch.text_bytes() + self.bad_bytes >= self.options.batch_text_bytes
            {
                self.tell_progress(&table);
                self.flush()?;
            }
        }
        self.tell_progress(&table);
        self.flush()
    }

    fn open_again(&mut self, planned: &mut Planned) -> Result<Table, Stop> {
        let broke = |problem| Stop::Broke { problem, line: 0 };
        let table = table::open(&mut planned.input, self.options, |bytes| Guarded::over(bytes, self.batches))
            .map_err(|problem| broke(BrokeProblem::Gone(problem)))?;
        if table.names != planned.names || table.described != planned.described {
            return Err(broke(BrokeProblem::Changed));
        }
        Ok(table)
    }

    /// Takes the record that was just split off.
    #[inline]
    fn row(&mut self, table: &Table, order: Option<&[usize]>) {
        let splitter = &table.splitter;
        let (bytes, ends) = (splitter.text(), splitter.ends());
        if ends.len() != table.names.len() {
            return self.bad(table, order, reasons::of_width(ends.len(), &table.names));
        }
        let field_bytes_max = self.options.limits.field_bytes_max;
        if bytes.len() > field_bytes_max
            && let Some((cell, bytes)) = widths(ends).enumerate().find(|(_, bytes)| *bytes > field_bytes_max)
        {
            let reason = reasons::of_length(cell, bytes, &table.names, &self.options.limits);
            return self.bad(table, order, reason);
        }
        // Valid as a whole, and every cell whole characters: then each cell is valid.
        match std::str::from_utf8(bytes) {
            Ok(text) if ends.iter().all(|end| text.is_char_boundary(*end)) => match order {
                None => self.batch.push_joined(self.record, splitter.line(), text, ends),
                Some(order) => self.batch.push(
                    self.record,
                    splitter.line(),
                    order.iter().map(|cell| {
                        let start = if *cell == 0 { 0 } else { ends[*cell - 1] };
                        Some(&text[start..ends[*cell]])
                    }),
                ),
            },
            _ => {
                let encoding = table.described.encoding;
                let transcoded = encoding != encoding_rs::UTF_8.name();
                let reason = reasons::of_encoding(bytes, ends, &table.names, encoding, transcoded)
                    .expect("a text that is not valid has a cell that is not");
                self.bad(table, order, reason);
            }
        }
    }

    #[cold]
    fn flawed(&mut self, table: &Table, order: Option<&[usize]>, flaw: Flaw) {
        self.bad(table, order, reasons::of_flaw(flaw, &table.names, &self.options.limits));
    }

    #[cold]
    fn bad(&mut self, table: &Table, order: Option<&[usize]>, reason: String) {
        let splitter = &table.splitter;
        let cells = reasons::cells(splitter.text(), splitter.ends(), order, self.options.limits.bad_row_bytes_max);
        self.bad_bytes += reason.len() + cells.iter().map(String::len).sum::<usize>();
        let place = Place { source: self.batch.source().clone(), record: self.record, line: splitter.line() };
        self.batch.push_bad(BadRow { place, reason, cells });
    }

    fn tell_progress(&self, table: &Table) {
        let bytes = self.before_bytes + table.raw_bytes.load(Ordering::Relaxed);
        self.progress.bytes_read.store(bytes, Ordering::Relaxed);
    }

    fn flush(&mut self) -> Result<(), Stop> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let mut next = RowBatch::new(self.batch.source().clone(), self.batch.columns().clone());
        // The next is taken to be about as large.
        next.reserve(self.batch.len(), self.batch.text_bytes() + self.batch.text_bytes() / 8);
        let full = std::mem::replace(&mut self.batch, next);
        self.bad_bytes = 0;
        self.batches.blocking_send(Message::Batch(Arc::new(full))).map_err(|_| Stop::Dropped)
    }
}

/// Lengths of cells that end at `ends`.
fn widths(ends: &[usize]) -> impl Iterator<Item = usize> {
    ends.iter().scan(0, |start, end| Some(end - std::mem::replace(start, *end)))
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
