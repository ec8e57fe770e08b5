//! The ledger in a Postgres database, in a schema of its own: for machines whose disk does not last, and for several that
//! work together.
//!
//! As in SQLite there is one row for each batch, its records packed (20 bytes each). Each write is a transaction of its own;
//! those that overlap share the server's waits for its disk. A write that holds a lease checks in its transaction that the
//! lease is still its own ([`Fence`]). See `format_1.sql`.

mod address;
mod compact;
mod fence;
mod lease;
mod pace;
mod prune;
mod reader;
mod replacements;
mod schema;
mod server;
mod settle;
mod sketches;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use jiff::Timestamp;
use sqlx::{Postgres, Transaction};

pub use address::PostgresAddress;
pub use fence::Fence;
pub use lease::Lease;
pub use pace::PostgresPace;
use server::{Server, once_more};

use super::verdict::Verdict;
use super::{
    Access, Compacted, Compaction, Counts, Event, Index, Ledger, LedgerError, OpenBatch, RunFinish, RunId, RunInfo,
    RunStart, Scope, Sketch, StepMark, WriteFailure,
};
use crate::batch::{Batch, BatchId, Outcome};
use crate::clock::Clock;
use crate::record::KeyHash;

/// How often a batch was sent, and the last request's id.
#[derive(Debug, Clone, Default)]
struct Trace {
    attempts: u32,
    request_id: Option<String>,
}

/// The ledger in a Postgres database. Needs a running tokio runtime.
pub struct PostgresLedger {
    server: Server,
    access: Access,
    fence: Option<Fence>,
    clock: Arc<dyn Clock>,
    traces: Mutex<HashMap<u64, Trace>>,
    scopes: Mutex<HashMap<Scope, i32>>,
    /// Records known when the index was last loaded: compaction estimates the garbage by it.
    known: Mutex<HashMap<Scope, usize>>,
}

impl std::fmt::Debug for PostgresLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PostgresLedger({})", self.server.address)
    }
}

impl PostgresLedger {
    /// Opens the ledger; with [`Access::Write`], makes its tables where they are missing. With a fence, nothing is written
    /// once another has the lease.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Address`], [`LedgerError::Unreachable`], [`LedgerError::Login`], [`LedgerError::NoRight`],
    /// [`LedgerError::Missing`], [`LedgerError::Newer`], [`LedgerError::Corrupt`]. The ledger is as it was.
    pub async fn open(
        address: &PostgresAddress,
        access: Access,
        fence: Option<Fence>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LedgerError> {
        let server = Server::connect(address).await?;
        server.prepare(access).await?;
        Ok(Self {
            server,
            access,
            fence,
            clock,
            traces: Mutex::default(),
            scopes: Mutex::default(),
            known: Mutex::default(),
        })
    }

    fn may_write(&self) -> Result<(), LedgerError> {
        match self.access {
            Access::Write => Ok(()),
            Access::Read => Err(LedgerError::CannotWrite {
                ledger: self.server.place(),
                failure: WriteFailure::ReadOnly,
                detail: "it was opened only to read".to_owned(),
            }),
        }
    }

    /// Begins a write. What it does is done when it is committed, and only if the lease is this ledger's.
    async fn begin(&self) -> Result<Transaction<'static, Postgres>, LedgerError> {
        self.may_write()?;
        let mut transaction = self.server.pool.begin().await.map_err(|error| self.server.error(error))?;
        if let Some(fence) = &self.fence {
            fence.hold(&self.server, &mut transaction).await?;
        }
        Ok(transaction)
    }

    async fn commit(&self, transaction: Transaction<'static, Postgres>) -> Result<(), LedgerError> {
        transaction.commit().await.map_err(|error| self.server.error(error))
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    async fn settle_as(&self, batch: BatchId, verdict: &Verdict) -> Result<(), LedgerError> {
        let settled_ms = self.now_ms();
        self.server.written(|| self.try_settle(batch, verdict, settled_ms)).await
    }
}

impl Ledger for PostgresLedger {
    fn begin_run(&self, start: RunStart) -> BoxFuture<'_, Result<RunId, LedgerError>> {
        Box::pin(async move {
            let id = self.next_ids("SELECT nextval('stigg_import.run_id') FROM generate_series(1, $1)", 1).await?[0];
            self.server.written(|| self.try_begin_run(id, &start)).await?;
            Ok(RunId(id.cast_unsigned()))
        })
    }

    fn finish_run(&self, run: RunId, finish: RunFinish) -> BoxFuture<'_, Result<(), LedgerError>> {
        Box::pin(async move { self.server.written(|| self.try_finish_run(run, &finish)).await })
    }

    fn runs(&self, limit: u32) -> BoxFuture<'_, Result<Vec<RunInfo>, LedgerError>> {
        Box::pin(async move { once_more(|| self.server.runs(limit)).await })
    }

    fn run(&self, run: RunId) -> BoxFuture<'_, Result<Option<RunInfo>, LedgerError>> {
        Box::pin(async move { once_more(|| self.server.run(run)).await })
    }

    fn scopes(&self) -> BoxFuture<'_, Result<Vec<Scope>, LedgerError>> {
        Box::pin(async move {
            let mut scopes: Vec<Scope> =
                once_more(|| self.server.scopes()).await?.into_iter().map(|(_, scope)| scope).collect();
            scopes.sort();
            Ok(scopes)
        })
    }

    fn load_index<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Index, LedgerError>> {
        Box::pin(async move {
            let index = once_more(|| self.server.load_index(scope, None)).await?;
            self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(scope.clone(), index.len());
            Ok(index)
        })
    }

    fn delivered_since<'a>(&'a self, scope: &'a Scope, run: RunId) -> BoxFuture<'a, Result<Index, LedgerError>> {
        Box::pin(async move { once_more(|| self.server.load_index(scope, Some(run))).await })
    }

    fn open_batches<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<OpenBatch>, LedgerError>> {
        Box::pin(async move { once_more(|| self.server.open_batches(scope)).await })
    }

    fn open<'a>(
        &'a self,
        run: RunId,
        step: &'a str,
        scope: &'a Scope,
        batches: &'a [&'a Batch],
    ) -> BoxFuture<'a, Result<Vec<BatchId>, LedgerError>> {
        for batch in batches {
            assert_eq!(batch.entity, scope.entity, "a batch belongs to its scope");
        }
        Box::pin(self.open_all(run, step, scope, batches))
    }

    fn note_task<'a>(&'a self, batch: BatchId, task: &'a str) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(async move { self.server.written(|| self.try_note_task(batch, task)).await })
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
        Box::pin(async move { self.settle_as(batch, &Verdict::of(outcomes)).await })
    }

    fn forget(&self, batch: BatchId) -> BoxFuture<'_, Result<(), LedgerError>> {
        Box::pin(async move { self.settle_as(batch, &Verdict::NeverKnown(None)).await })
    }

    fn close_superseded<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<u64, LedgerError>> {
        Box::pin(async move {
            let mut closed = 0;
            for (batch, positions, closes) in once_more(|| self.server.superseded(scope)).await? {
                self.settle_as(batch, &Verdict::NeverKnown(Some(positions))).await?;
                closed += u64::from(closes);
            }
            Ok(closed)
        })
    }

    fn mark<'a>(&'a self, scope: &'a Scope, step: &'a str) -> BoxFuture<'a, Result<Option<StepMark>, LedgerError>> {
        Box::pin(async move { once_more(|| self.server.mark(scope, step)).await })
    }

    fn set_mark<'a>(
        &'a self,
        scope: &'a Scope,
        step: &'a str,
        mark: Option<&'a StepMark>,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(async move { self.server.written(|| self.try_set_mark(scope, step, mark)).await })
    }

    fn history<'a>(&'a self, scope: &'a Scope, key: KeyHash) -> BoxFuture<'a, Result<Vec<Event>, LedgerError>> {
        Box::pin(async move { once_more(|| self.server.history(scope, key)).await })
    }

    fn sketches<'a>(
        &'a self,
        scope: &'a Scope,
        keys: &'a HashSet<KeyHash>,
    ) -> BoxFuture<'a, Result<HashMap<KeyHash, Sketch>, LedgerError>> {
        Box::pin(async move { once_more(|| self.server.sketches(scope, keys)).await })
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
        Box::pin(self.compact_all(when, scratch))
    }

    fn prune(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, LedgerError>> {
        Box::pin(async move { self.server.written(|| self.try_prune(before.as_millisecond())).await })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), LedgerError>> {
        Box::pin(async move {
            if self.server.pool.is_closed() {
                return Err(LedgerError::Closed);
            }
            self.server.pool.close().await;
            Ok(())
        })
    }
}
