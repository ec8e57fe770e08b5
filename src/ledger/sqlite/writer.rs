//! The one connection that writes. Writes that arrive while it is busy share the next commit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::Durability;
use super::database::Database;
use super::opening::Opening;
use super::settle::Open;
use crate::batch::BatchId;
use crate::ledger::verdict::Verdict;
use crate::ledger::{
    Compacted, Compaction, Index, LedgerError, Replacement, RunFinish, RunId, RunStart, Scope, StepMark,
};

/// Most writes in one commit: bounds what a commit holds in memory.
const GROUP_MAX: usize = 256;

/// Where commits wait for the disk, the least time from the end of one to the next one's begin. A commit costs that wait and
/// about ten pages, whatever is in it; back to back, a fast target would get many commits of a few writes each. With 3 ms, a fast
/// target waits for them.
const GAP: Duration = Duration::from_millis(1);

pub(super) type Reply<T> = oneshot::Sender<Result<T, LedgerError>>;

/// How often a batch was sent, and the last request's id.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace {
    pub(super) attempts: u32,
    pub(super) request_id: Option<String>,
}

pub(super) type Traces = Arc<Mutex<HashMap<u64, Trace>>>;

pub(super) enum Op {
    Open { opening: Opening, reply: Reply<Vec<BatchId>> },
    Task { batch: BatchId, task: String, reply: Reply<()> },
    Settle { batch: BatchId, verdict: Verdict, settled_ms: i64, reply: Reply<()> },
    BeginRun { start: RunStart, reply: Reply<RunId> },
    FinishRun { run: RunId, finish: RunFinish, reply: Reply<()> },
    Mark { scope: Scope, step: String, mark: Option<StepMark>, reply: Reply<()> },
    Step { target: String, next: Box<Replacement>, reply: Reply<()> },
    Compact { when: Compaction, scratch: Index, known: HashMap<Scope, usize>, reply: Reply<Compacted> },
    Prune { before_ms: i64, reply: Reply<u64> },
    Close { reply: Reply<()> },
}

/// A reply that is due when the group is committed.
enum Due {
    Opened(Reply<Vec<BatchId>>, Vec<BatchId>),
    Done(Reply<()>, Result<(), LedgerError>),
}

pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) connection: SqliteConnection,
    durability: Durability,
    /// Whether commits wait for the disk at the moment.
    waits: bool,
    pub(super) next_batch: u64,
    pub(super) scopes: HashMap<Scope, i64>,
    pub(super) open: HashMap<u64, Open>,
    pub(super) traces: Traces,
}

impl Writer {
    pub(super) async fn new(
        database: Database,
        mut connection: SqliteConnection,
        durability: Durability,
        traces: Traces,
    ) -> Result<Self, LedgerError> {
        let last: i64 = sqlx::query_scalar(
            "SELECT max(coalesce((SELECT max(id) FROM batch), 0),
                        coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'batch'), 0))",
        )
        .fetch_one(&mut connection)
        .await
        .map_err(|error| database.error(error))?;
        Ok(Self {
            database,
            connection,
            durability,
            waits: false,
            next_batch: last.cast_unsigned() + 1,
            scopes: HashMap::new(),
            open: HashMap::new(),
            traces,
        })
    }

    /// Writes until the ledger is closed or dropped.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Op>) {
        let mut arrived = Vec::with_capacity(GROUP_MAX);
        let mut not_before = Instant::now();
        while inbox.recv_many(&mut arrived, GROUP_MAX).await > 0 {
            if self.durability == Durability::PowerLoss && not_before > Instant::now() {
                sleep_until(not_before).await;
                while arrived.len() < GROUP_MAX
                    && let Ok(op) = inbox.try_recv()
                {
                    arrived.push(op);
                }
            }
            let mut group = Vec::with_capacity(arrived.len());
            for op in arrived.drain(..) {
                match op {
                    Op::Open { .. } | Op::Task { .. } | Op::Settle { .. } => {
                        group.push(op);
                        continue;
                    }
                    Op::BeginRun { .. }
                    | Op::FinishRun { .. }
                    | Op::Mark { .. }
                    | Op::Step { .. }
                    | Op::Compact { .. }
                    | Op::Prune { .. }
                    | Op::Close { .. } => {}
                }
                self.commit(std::mem::take(&mut group)).await;
                match op {
                    Op::BeginRun { start, reply } => drop(reply.send(self.begin_run(start).await)),
                    Op::FinishRun { run, finish, reply } => drop(reply.send(self.finish_run(run, finish).await)),
                    Op::Mark { scope, step, mark, reply } => {
                        drop(reply.send(self.set_mark(&scope, step, mark).await));
                    }
                    Op::Step { target, next, reply } => {
                        let written = self.write_step(&target, &next).await;
                        if written.is_err() {
                            self.roll_back().await;
                        }
                        drop(reply.send(written));
                    }
                    Op::Compact { when, scratch, known, reply } => {
                        let compacted = self.compact(when, scratch, &known).await;
                        if compacted.is_err() {
                            self.roll_back().await;
                        }
                        drop(reply.send(compacted));
                    }
                    Op::Prune { before_ms, reply } => drop(reply.send(self.prune(before_ms).await)),
                    Op::Close { reply } => {
                        inbox.close();
                        drop(reply.send(self.database.close(self.connection).await));
                        return;
                    }
                    Op::Open { .. } | Op::Task { .. } | Op::Settle { .. } => unreachable!("went into the group"),
                }
            }
            self.commit(group).await;
            not_before = Instant::now() + GAP;
        }
        if let Err(error) = self.database.close(self.connection).await {
            tracing::warn!(%error, "the ledger was dropped and could not be closed; nothing is lost");
        }
    }

    /// Writes a group in one transaction, and answers each of its callers.
    async fn commit(&mut self, group: Vec<Op>) {
        if group.is_empty() {
            return;
        }
        let mut due = Vec::with_capacity(group.len());
        match self.write_group(group, &mut due).await {
            Ok(()) => {
                self.open.retain(|_, open| !open.closed);
                for due in due {
                    match due {
                        Due::Opened(reply, ids) => drop(reply.send(Ok(ids))),
                        Due::Done(reply, result) => drop(reply.send(result)),
                    }
                }
            }
            Err(error) => {
                self.roll_back().await;
                for due in due {
                    match due {
                        Due::Opened(reply, _) => drop(reply.send(Err(error.clone()))),
                        Due::Done(reply, _) => drop(reply.send(Err(error.clone()))),
                    }
                }
            }
        }
    }

    /// Takes back what was begun, and forgets what was remembered of it.
    async fn roll_back(&mut self) {
        self.open.clear();
        self.scopes.clear();
        if let Err(error) = self.database.run(&mut self.connection, "ROLLBACK").await {
            // After some errors SQLite has rolled back by itself.
            tracing::debug!(%error, "nothing to roll back");
        }
    }

    async fn write_group(&mut self, group: Vec<Op>, due: &mut Vec<Due>) -> Result<(), LedgerError> {
        // Every caller gets an answer, whatever fails: replies are kept before anything is tried.
        let (mut opens, mut tasks, mut settles, mut opens_at) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for op in group {
            match op {
                Op::Open { opening, reply } => {
                    opens_at.push(due.len());
                    due.push(Due::Opened(reply, Vec::new()));
                    opens.push(opening);
                }
                Op::Task { batch, task, reply } => {
                    due.push(Due::Done(reply, Ok(())));
                    tasks.push((due.len() - 1, batch, task));
                }
                Op::Settle { batch, verdict, settled_ms, reply } => {
                    due.push(Due::Done(reply, Ok(())));
                    settles.push((due.len() - 1, batch, verdict, settled_ms));
                }
                Op::BeginRun { .. }
                | Op::FinishRun { .. }
                | Op::Mark { .. }
                | Op::Step { .. }
                | Op::Compact { .. }
                | Op::Prune { .. }
                | Op::Close { .. } => {
                    unreachable!("is not part of a group")
                }
            }
        }
        self.wait_for_disk(!opens.is_empty()).await?;
        // Each call of the connection is a way to its thread and back, so a usual group is one call.
        let mut script = Script::default();
        if tasks.is_empty()
            && opens.iter().all(|opening| self.scopes.contains_key(&opening.scope))
            && settles.iter().all(|(_, batch, verdict, _)| self.closes_at_once(*batch, verdict))
        {
            script.sql.push_str("BEGIN IMMEDIATE;");
        } else {
            self.database.run(&mut self.connection, "BEGIN IMMEDIATE").await?;
        }
        for (at, batch, task) in tasks {
            let result = self.write_task(batch, task).await?;
            due[at].set(result);
        }
        let mut accepted = Vec::new();
        for (at, batch, verdict, settled_ms) in settles {
            let result = self.settle(batch, verdict, settled_ms, &mut accepted).await?;
            due[at].set(result);
        }
        self.settle_accepted(&accepted, &mut script);
        // Last, and so into the pages that the keys of settled batches give back: those are then not overwritten twice. None
        // of the others is about a batch of this group, whose id nobody knows yet.
        for (at, opened) in opens_at.into_iter().zip(self.open_batches(opens, &mut script).await?) {
            if let Due::Opened(_, ids) = &mut due[at] {
                *ids = opened;
            }
        }
        script.sql.push_str("COMMIT");
        self.execute(script).await
    }

    async fn execute(&mut self, script: Script) -> Result<(), LedgerError> {
        let Script { sql, opened, items, keys, accepted, closed, sketched, sketches } = script;
        // Constants of this module and of `settle`.
        sqlx::query(AssertSqlSafe(sql))
            .bind(opened)
            .bind(items)
            .bind(keys)
            .bind(accepted)
            .bind(closed)
            .bind(sketched)
            .bind(sketches)
            .execute(&mut self.connection)
            .await
            .map(drop)
            .map_err(|error| self.database.error(error))
    }

    /// A commit that opens batches waits for the disk, one that only settles does not: when the
    /// power fails just after a settlement, the batch is open again and is sent again, which is
    /// harmless. A lost opening would not be: the API may have content that nobody knows of.
    pub(super) async fn wait_for_disk(&mut self, opens: bool) -> Result<(), LedgerError> {
        let wait = opens && self.durability == Durability::PowerLoss;
        if wait != self.waits {
            let sql = if wait { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" };
            self.database.run(&mut self.connection, sql).await?;
            self.waits = wait;
        }
        Ok(())
    }

    pub(super) async fn number(&mut self, sql: &'static str) -> Result<i64, LedgerError> {
        sqlx::query_scalar(sql).fetch_one(&mut self.connection).await.map_err(|error| self.database.error(error))
    }
}

impl Due {
    fn set(&mut self, new: Result<(), LedgerError>) {
        match self {
            Self::Done(_, result) => *result = new,
            Self::Opened(..) => unreachable!("an opening is set by its ids"),
        }
    }
}

/// Statements that are executed together, and what they are about. Parameters have names (`$1`), not numbers: sqlx counts
/// numbers that a statement leaves out as its own.
#[derive(Default)]
pub(super) struct Script {
    pub(super) sql: String,
    /// `$1`: a JSON list of the batches that are opened.
    pub(super) opened: String,
    /// `$2`: their items.
    pub(super) items: Vec<u8>,
    /// `$3`: their keys.
    pub(super) keys: Vec<u8>,
    /// `$4`: a JSON list of the batches that were accepted as a whole.
    pub(super) accepted: String,
    /// `$5`: a JSON list of their ids.
    pub(super) closed: String,
    /// `$6`: a JSON list of those that have sketches.
    pub(super) sketched: String,
    /// `$7`: their sketches.
    pub(super) sketches: Vec<u8>,
}
