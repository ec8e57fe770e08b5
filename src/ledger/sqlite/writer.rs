//! The one connection that writes. Writes that arrive while it is busy share the next commit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use super::Durability;
use super::database::Database;
use super::settle::{Open, Verdict};
use crate::batch::BatchId;
use crate::ledger::{Compacted, Compaction, LedgerError, RunFinish, RunId, RunStart, Scope};

/// Most writes in one commit: bounds what a commit holds in memory.
const GROUP_MAX: usize = 256;

/// Most rows in one INSERT. Statements of 1, 2, 4, … rows are prepared once each.
const INSERT_ROWS_MAX: usize = 16;

pub(super) type Reply<T> = oneshot::Sender<Result<T, LedgerError>>;

/// How often a batch was sent, and the last request's id.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace {
    pub(super) attempts: u32,
    pub(super) request_id: Option<String>,
}

pub(super) type Traces = Arc<Mutex<HashMap<u64, Trace>>>;

/// A batch, packed by its caller so that the writer only writes.
pub(super) struct Packed {
    pub(super) len: u32,
    pub(super) items: Vec<u8>,
    pub(super) keys: Vec<u8>,
}

pub(super) enum Op {
    Open { run: RunId, step: String, scope: Scope, opened_ms: i64, batches: Vec<Packed>, reply: Reply<Vec<BatchId>> },
    Task { batch: BatchId, task: String, reply: Reply<()> },
    Settle { batch: BatchId, verdict: Verdict, settled_ms: i64, reply: Reply<()> },
    BeginRun { start: RunStart, reply: Reply<RunId> },
    FinishRun { run: RunId, finish: RunFinish, reply: Reply<()> },
    Compact { when: Compaction, known: HashMap<Scope, usize>, reply: Reply<Compacted> },
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
    next_batch: u64,
    scopes: HashMap<Scope, i64>,
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
        let last: Option<i64> = sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'batch'")
            .fetch_optional(&mut connection)
            .await
            .map_err(|error| database.error(error))?;
        Ok(Self {
            database,
            connection,
            durability,
            waits: false,
            next_batch: last.unwrap_or(0).cast_unsigned() + 1,
            scopes: HashMap::new(),
            open: HashMap::new(),
            traces,
        })
    }

    /// Writes until the ledger is closed or dropped.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Op>) {
        let mut arrived = Vec::with_capacity(GROUP_MAX);
        while inbox.recv_many(&mut arrived, GROUP_MAX).await > 0 {
            let mut group = Vec::with_capacity(arrived.len());
            for op in arrived.drain(..) {
                match op {
                    Op::Open { .. } | Op::Task { .. } | Op::Settle { .. } => {
                        group.push(op);
                        continue;
                    }
                    Op::BeginRun { .. } | Op::FinishRun { .. } | Op::Compact { .. } | Op::Close { .. } => {}
                }
                self.commit(std::mem::take(&mut group)).await;
                match op {
                    Op::BeginRun { start, reply } => drop(reply.send(self.begin_run(start).await)),
                    Op::FinishRun { run, finish, reply } => drop(reply.send(self.finish_run(run, finish).await)),
                    Op::Compact { when, known, reply } => {
                        let compacted = self.compact(when, &known).await;
                        if compacted.is_err() {
                            self.roll_back().await;
                        }
                        drop(reply.send(compacted));
                    }
                    Op::Close { reply } => {
                        inbox.close();
                        drop(reply.send(self.database.close(self.connection).await));
                        return;
                    }
                    Op::Open { .. } | Op::Task { .. } | Op::Settle { .. } => unreachable!("went into the group"),
                }
            }
            self.commit(group).await;
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
                Op::Open { run, step, scope, opened_ms, batches, reply } => {
                    opens_at.push(due.len());
                    due.push(Due::Opened(reply, Vec::new()));
                    opens.push((run, step, scope, opened_ms, batches));
                }
                Op::Task { batch, task, reply } => {
                    due.push(Due::Done(reply, Ok(())));
                    tasks.push((due.len() - 1, batch, task));
                }
                Op::Settle { batch, verdict, settled_ms, reply } => {
                    due.push(Due::Done(reply, Ok(())));
                    settles.push((due.len() - 1, batch, verdict, settled_ms));
                }
                Op::BeginRun { .. } | Op::FinishRun { .. } | Op::Compact { .. } | Op::Close { .. } => {
                    unreachable!("is not part of a group")
                }
            }
        }
        self.wait_for_disk(!opens.is_empty()).await?;
        self.database.run(&mut self.connection, "BEGIN IMMEDIATE").await?;
        for (at, opened) in opens_at.into_iter().zip(self.insert_batches(opens).await?) {
            if let Due::Opened(_, ids) = &mut due[at] {
                *ids = opened;
            }
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
        self.settle_accepted(&accepted).await?;
        self.database.run(&mut self.connection, "COMMIT").await
    }

    /// A commit that opens batches waits for the disk, one that only settles does not: when the
    /// power fails just after a settlement, the batch is open again and is sent again, which is
    /// harmless. A lost opening would not be: the API may have content that nobody knows of.
    async fn wait_for_disk(&mut self, opens: bool) -> Result<(), LedgerError> {
        let wait = opens && self.durability == Durability::PowerLoss;
        if wait != self.waits {
            let sql = if wait { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" };
            self.database.run(&mut self.connection, sql).await?;
            self.waits = wait;
        }
        Ok(())
    }

    async fn insert_batches(
        &mut self,
        opens: Vec<(RunId, String, Scope, i64, Vec<Packed>)>,
    ) -> Result<Vec<Vec<BatchId>>, LedgerError> {
        let (mut opened, mut rows) = (Vec::with_capacity(opens.len()), Vec::new());
        for (run, step, scope, opened_ms, batches) in opens {
            let scope = self.scope_id(&scope).await?;
            let mut ids = Vec::with_capacity(batches.len());
            for packed in batches {
                let id = self.next_batch;
                self.next_batch += 1;
                self.open.insert(id, Open { len: packed.len, states: None, refusals: Vec::new(), closed: false });
                ids.push(BatchId(id));
                rows.push((id, scope, run, step.clone(), opened_ms, packed));
            }
            opened.push(ids);
        }
        while !rows.is_empty() {
            let count = INSERT_ROWS_MAX.min(1 << rows.len().ilog2());
            let mut batch = sqlx::query(insert("batch", "(?, ?, ?, ?, ?, ?, ?)", count));
            let mut open = sqlx::query(insert("open_batch", "(?, NULL, ?)", count));
            for (id, scope, run, step, opened_ms, packed) in rows.drain(..count) {
                let id = id.cast_signed();
                batch = batch.bind(id).bind(scope).bind(run.0.cast_signed()).bind(step).bind(opened_ms);
                batch = batch.bind(packed.len).bind(packed.items);
                open = open.bind(id).bind(packed.keys);
            }
            batch.execute(&mut self.connection).await.map_err(|error| self.database.error(error))?;
            open.execute(&mut self.connection).await.map_err(|error| self.database.error(error))?;
        }
        Ok(opened)
    }

    async fn scope_id(&mut self, scope: &Scope) -> Result<i64, LedgerError> {
        if let Some(id) = self.scopes.get(scope) {
            return Ok(*id);
        }
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO scope (target, entity) VALUES (?, ?) ON CONFLICT DO UPDATE SET target = target RETURNING id",
        )
        .bind(&scope.target)
        .bind(scope.entity.name())
        .fetch_one(&mut self.connection)
        .await
        .map_err(|error| self.database.error(error))?;
        self.scopes.insert(scope.clone(), id);
        Ok(id)
    }

    async fn begin_run(&mut self, start: RunStart) -> Result<RunId, LedgerError> {
        sqlx::query_scalar("INSERT INTO run (identity, started_ms, arguments) VALUES (?, ?, ?) RETURNING id")
            .bind(start.identity)
            .bind(start.started_at.as_millisecond())
            .bind(start.arguments_json)
            .fetch_one(&mut self.connection)
            .await
            .map(|id: i64| RunId(id.cast_unsigned()))
            .map_err(|error| self.database.error(error))
    }

    async fn finish_run(&mut self, run: RunId, finish: RunFinish) -> Result<(), LedgerError> {
        let changed = sqlx::query("UPDATE run SET finished_ms = ?2, exit = ?3, summary = ?4 WHERE id = ?1")
            .bind(run.0.cast_signed())
            .bind(finish.finished_at.as_millisecond())
            .bind(finish.exit)
            .bind(finish.summary_json)
            .execute(&mut self.connection)
            .await
            .map_err(|error| self.database.error(error))?;
        if changed.rows_affected() == 0 { Err(LedgerError::NoSuchRun(run)) } else { Ok(()) }
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

/// An INSERT of several rows. Both texts are this module's own.
fn insert(table: &str, row: &str, count: usize) -> AssertSqlSafe<String> {
    let more = format!(", {row}").repeat(count - 1);
    AssertSqlSafe(format!("INSERT INTO {table} VALUES {row}{more}"))
}
