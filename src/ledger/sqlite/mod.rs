//! The ledger in one SQLite file.
//!
//! One row for each batch, its records packed in a blob (20 bytes each): a row for each record
//! would cost more than everything else that the program does together. See `format_1.sql`.

#[cfg(test)]
mod changed;
mod compact;
#[cfg(test)]
mod crash;
mod database;
mod estimate;
mod examine;
mod log;
mod opening;
mod prune;
mod reader;
mod repair;
mod replacements;
mod runs;
mod scopes;
mod seal;
mod settle;
mod sketches;
mod sum;
mod writer;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

pub use database::Access;
use database::Database;
use opening::{Opening, Packed};
pub use repair::{Repaired, repair};
use writer::{Op, Reply, Traces, Writer};

use super::superseded::Superseded;
use super::verdict::Verdict;
use super::{
    Compacted, Compaction, Counts, Event, Index, Ledger, LedgerError, OpenBatch, RunFinish, RunId, RunInfo, RunStart,
    Scope, Sketch, StepMark, WriteFailure,
};
use crate::batch::{Batch, BatchId, Outcome};
use crate::clock::Clock;
use crate::record::KeyHash;

/// Writes that wait while a commit goes on; more callers wait for their turn.
const INBOX: usize = 1024;

/// What an opened batch survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The end of the process, however it ends, and the failing of the machine's power. Costs a
    /// wait for the disk in each commit that opens batches (about 1 ms on an SSD, shared by all
    /// batches that are opened meanwhile), and keeps commits 1 ms apart.
    #[default]
    PowerLoss,
    /// The end of the process, however it ends. After a power failure, batches that were sent in
    /// the last seconds may be unknown: their records are sent again, unless the source has by then
    /// gone back to the content before.
    ProcessEnd,
}

/// The ledger in one SQLite file. Needs a running tokio runtime.
pub struct SqliteLedger {
    database: Database,
    /// None where the ledger was opened only to read.
    writer: Option<mpsc::Sender<Op>>,
    reader: tokio::sync::Mutex<Option<SqliteConnection>>,
    clock: Arc<dyn Clock>,
    traces: Traces,
    /// Records known when the index was last loaded: compaction estimates the garbage by it.
    known: Mutex<HashMap<Scope, usize>>,
}

impl std::fmt::Debug for SqliteLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SqliteLedger({})", self.database.path.display())
    }
}

impl SqliteLedger {
    /// Where the ledger is unless the user says otherwise, relative to the folder one stands in.
    pub const DEFAULT_PATH: &str = database::DEFAULT_PATH;

    /// Opens the ledger at `path`; with [`Access::Write`], makes it (mode 0600, its folder 0700)
    /// where it is missing and brings an older format up. A writer holds a [`super::RunLock`].
    ///
    /// # Errors
    ///
    /// [`LedgerError::Missing`], [`LedgerError::Corrupt`], [`LedgerError::Newer`],
    /// [`LedgerError::CannotWrite`], [`LedgerError::Busy`]. The file is as it was.
    pub async fn open(
        path: &Path,
        access: Access,
        durability: Durability,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LedgerError> {
        let database = Database::from(path);
        let connection = database.open(access).await?;
        Self::over(database, connection, access, durability, clock).await
    }

    async fn over(
        database: Database,
        connection: SqliteConnection,
        access: Access,
        durability: Durability,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LedgerError> {
        let traces = Traces::default();
        let (writer, reader) = match access {
            Access::Read => (None, connection),
            Access::Write => {
                let writer = Writer::new(database.clone(), connection, durability, traces.clone()).await?;
                let reader = database.open_reader().await?;
                let (sender, inbox) = mpsc::channel(INBOX);
                tokio::spawn(writer.run(inbox));
                (Some(sender), reader)
            }
        };
        let reader = tokio::sync::Mutex::new(Some(reader));
        Ok(Self { database, writer, reader, clock, traces, known: Mutex::default() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.database.path
    }

    async fn write<T>(&self, op: impl FnOnce(Reply<T>) -> Op) -> Result<T, LedgerError> {
        let Some(writer) = &self.writer else {
            return Err(LedgerError::CannotWrite {
                ledger: self.database.place(),
                failure: WriteFailure::ReadOnly,
                detail: "it was opened only to read".to_owned(),
            });
        };
        let (reply, answer) = oneshot::channel();
        writer.send(op(reply)).await.map_err(|_| LedgerError::Closed)?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    /// For each open batch, the positions whose keys were settled in a batch opened later.
    async fn superseded(&self, scope: &Scope) -> Result<Vec<(BatchId, Vec<u32>, bool)>, LedgerError> {
        let mut guard = self.reader.lock().await;
        let connection = guard.as_mut().ok_or(LedgerError::Closed)?;
        let open = self.database.open_batches(connection, scope).await?;
        let Some(first) = open.first().map(|batch| batch.id.0) else { return Ok(Vec::new()) };
        let Some(scope) = self.database.scope_id(connection, scope).await? else { return Ok(Vec::new()) };
        let mut superseded = Superseded::of(open);
        self.database.visit_batches(connection, scope, first.cast_signed(), |stored| superseded.see(stored)).await?;
        Ok(superseded.found())
    }
}

impl SqliteLedger {
    /// What was delivered, by all runs or from one on.
    fn replay<'a>(&'a self, scope: &'a Scope, since: Option<RunId>) -> BoxFuture<'a, Result<Index, LedgerError>> {
        Box::pin(async move {
            let mut guard = self.reader.lock().await;
            let connection = guard.as_mut().ok_or(LedgerError::Closed)?;
            // One state of the file, also when another process compacts it meanwhile.
            self.database.run(connection, "BEGIN").await?;
            let index = self.database.load_index(connection, scope, since).await;
            self.database.run(connection, "COMMIT").await?;
            let index = index?;
            if since.is_none() {
                self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(scope.clone(), index.len());
            }
            Ok(index)
        })
    }
}

impl Ledger for SqliteLedger {
    fn begin_run(&self, start: RunStart) -> BoxFuture<'_, Result<RunId, LedgerError>> {
        Box::pin(self.write(|reply| Op::BeginRun { start, reply }))
    }

    fn finish_run(&self, run: RunId, finish: RunFinish) -> BoxFuture<'_, Result<(), LedgerError>> {
        Box::pin(self.write(move |reply| Op::FinishRun { run, finish, reply }))
    }

    fn runs(&self, limit: u32) -> BoxFuture<'_, Result<Vec<RunInfo>, LedgerError>> {
        Box::pin(async move {
            let mut guard = self.reader.lock().await;
            let rows = sqlx::query("SELECT * FROM run ORDER BY id DESC LIMIT ?")
                .bind(limit)
                .fetch_all(guard.as_mut().ok_or(LedgerError::Closed)?)
                .await
                .map_err(|error| self.database.error(error))?;
            rows.iter().map(|row| self.database.run_info(row)).collect()
        })
    }

    fn run(&self, run: RunId) -> BoxFuture<'_, Result<Option<RunInfo>, LedgerError>> {
        Box::pin(async move {
            let mut guard = self.reader.lock().await;
            let row = sqlx::query("SELECT * FROM run WHERE id = ?")
                .bind(run.0.cast_signed())
                .fetch_optional(guard.as_mut().ok_or(LedgerError::Closed)?)
                .await
                .map_err(|error| self.database.error(error))?;
            row.map(|row| self.database.run_info(&row)).transpose()
        })
    }

    fn scopes(&self) -> BoxFuture<'_, Result<Vec<Scope>, LedgerError>> {
        Box::pin(async move {
            let mut guard = self.reader.lock().await;
            let scopes = self.database.scopes(guard.as_mut().ok_or(LedgerError::Closed)?).await?;
            let mut scopes: Vec<Scope> = scopes.into_iter().map(|(_, scope)| scope).collect();
            scopes.sort();
            Ok(scopes)
        })
    }

    fn load_index<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Index, LedgerError>> {
        self.replay(scope, None)
    }

    fn delivered_since<'a>(&'a self, scope: &'a Scope, run: RunId) -> BoxFuture<'a, Result<Index, LedgerError>> {
        self.replay(scope, Some(run))
    }

    fn open_batches<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<OpenBatch>, LedgerError>> {
        Box::pin(async move {
            let mut guard = self.reader.lock().await;
            self.database.open_batches(guard.as_mut().ok_or(LedgerError::Closed)?, scope).await
        })
    }

    fn open<'a>(
        &'a self,
        run: RunId,
        step: &'a str,
        scope: &'a Scope,
        batches: &'a [&'a Batch],
    ) -> BoxFuture<'a, Result<Vec<BatchId>, LedgerError>> {
        let batches = Packed::of(batches, scope.entity);
        let opening = Opening { run, step: step.to_owned(), scope: scope.clone(), opened_ms: self.now_ms(), batches };
        Box::pin(self.write(move |reply| Op::Open { opening, reply }))
    }

    fn note_task<'a>(&'a self, batch: BatchId, task: &'a str) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(self.write(move |reply| Op::Task { batch, task: task.to_owned(), reply }))
    }

    fn note_attempt(&self, batch: BatchId, request_id: Option<&str>) {
        let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        let trace = traces.entry(batch.0).or_default();
        trace.attempts = trace.attempts.saturating_add(1);
        if let Some(request_id) = request_id {
            trace.request_id = Some(request_id.to_owned());
        }
    }

    fn settle<'a>(&'a self, batch: BatchId, outcomes: &'a [Outcome]) -> BoxFuture<'a, Result<(), LedgerError>> {
        let verdict = Verdict::of(outcomes);
        let settled_ms = self.now_ms();
        Box::pin(self.write(move |reply| Op::Settle { batch, verdict, settled_ms, reply }))
    }

    fn forget(&self, batch: BatchId) -> BoxFuture<'_, Result<(), LedgerError>> {
        let settled_ms = self.now_ms();
        Box::pin(self.write(move |reply| Op::Settle { batch, verdict: Verdict::NeverKnown(None), settled_ms, reply }))
    }

    fn close_superseded<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<u64, LedgerError>> {
        Box::pin(async move {
            let mut closed = 0;
            for (batch, positions, closes) in self.superseded(scope).await? {
                let (verdict, settled_ms) = (Verdict::NeverKnown(Some(positions)), self.now_ms());
                self.write(|reply| Op::Settle { batch, verdict, settled_ms, reply }).await?;
                closed += u64::from(closes);
            }
            Ok(closed)
        })
    }

    fn mark<'a>(&'a self, scope: &'a Scope, step: &'a str) -> BoxFuture<'a, Result<Option<StepMark>, LedgerError>> {
        Box::pin(async move {
            let mut guard = self.reader.lock().await;
            self.database.mark(guard.as_mut().ok_or(LedgerError::Closed)?, scope, step).await
        })
    }

    fn set_mark<'a>(
        &'a self,
        scope: &'a Scope,
        step: &'a str,
        mark: Option<&'a StepMark>,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        let (scope, step, mark) = (scope.clone(), step.to_owned(), mark.cloned());
        Box::pin(self.write(move |reply| Op::Mark { scope, step, mark, reply }))
    }

    fn history<'a>(&'a self, scope: &'a Scope, key: KeyHash) -> BoxFuture<'a, Result<Vec<Event>, LedgerError>> {
        Box::pin(async move {
            let mut guard = self.reader.lock().await;
            let connection = guard.as_mut().ok_or(LedgerError::Closed)?;
            self.database.run(connection, "BEGIN").await?;
            let events = self.database.history(connection, scope, key).await;
            self.database.run(connection, "COMMIT").await?;
            events
        })
    }

    fn sketches<'a>(
        &'a self,
        scope: &'a Scope,
        keys: &'a HashSet<KeyHash>,
    ) -> BoxFuture<'a, Result<HashMap<KeyHash, Sketch>, LedgerError>> {
        Box::pin(async move {
            let mut guard = self.reader.lock().await;
            let connection = guard.as_mut().ok_or(LedgerError::Closed)?;
            self.database.run(connection, "BEGIN").await?;
            let sketches = self.database.sketches(connection, scope, keys).await;
            self.database.run(connection, "COMMIT").await?;
            sketches
        })
    }

    fn counts<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Counts, LedgerError>> {
        Box::pin(async move {
            let open = self.open_batches(scope).await?;
            Ok(Counts {
                known_records: self.load_index(scope).await?.known() as u64,
                open_batches: open.len() as u64,
                open_records: open.iter().map(|batch| batch.items.len() as u64).sum(),
            })
        })
    }

    fn compact(&self, when: Compaction, scratch: Index) -> BoxFuture<'_, Result<Compacted, LedgerError>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(self.write(move |reply| Op::Compact { when, scratch, known, reply }))
    }

    fn prune(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, LedgerError>> {
        Box::pin(self.write(move |reply| Op::Prune { before_ms: before.as_millisecond(), reply }))
    }

    fn close(&self) -> BoxFuture<'_, Result<(), LedgerError>> {
        Box::pin(async move {
            // The reader first: the last connection to close takes the log into the file.
            let reader = self.reader.lock().await.take().ok_or(LedgerError::Closed)?;
            self.database.close(reader).await?;
            if self.writer.is_some() {
                self.write(|reply| Op::Close { reply }).await?;
                if let Err(error) = seal::put(&self.database.path) {
                    // Nothing is lost with it but the notice of a bit that flips.
                    tracing::debug!(%error, "the ledger could not be sealed");
                }
            }
            Ok(())
        })
    }
}
