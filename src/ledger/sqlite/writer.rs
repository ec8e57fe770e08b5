//! The one connection that writes. Writes that arrive while it is busy share the next commit.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::Durability;
use super::database::Database;
use super::settle::Open;
use super::sum::{BATCH, OPEN_BATCH, SKETCH};
use crate::batch::BatchId;
use crate::ledger::verdict::Verdict;
use crate::ledger::{
    Compacted, Compaction, Index, LedgerError, Replacement, RunFinish, RunId, RunStart, Scope, StepMark,
};

/// Most writes in one commit: bounds what a commit holds in memory.
const GROUP_MAX: usize = 256;

/// Where commits wait for the disk, the least time from the end of one to the next one's begin. A commit costs that wait and
/// about ten pages, whatever is in it; back to back, a fast target would get many commits of a few writes each.
const GAP: Duration = Duration::from_millis(3);

/// Opens batches: `$1` lists them, `$2` and `$3` hold their items and keys one after the other. Any number of them in one
/// text that is prepared once. `jsonb_each` gives each list as it was parsed; `json_each` would write it as text, to be parsed
/// again.
const OPEN: &str = "
    INSERT INTO batch
      SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
             substr($2, value ->> 6, value ->> 7), value ->> 8
      FROM jsonb_each($1);
    INSERT INTO open_batch
      SELECT value ->> 0, NULL, substr($3, value ->> 9, value ->> 10), value ->> 11 FROM jsonb_each($1);";

/// Opens what goes with those that have sketches, for which [`OPEN`] has no room: usage has none, and this costs it nothing.
/// `$6` lists them, `$7` holds them one after the other.
const OPEN_SKETCHES: &str = "
    INSERT INTO sketch SELECT value ->> 0, substr($7, value ->> 1, value ->> 2), value ->> 3 FROM jsonb_each($6);";

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
    pub(super) sketches: Option<Vec<u8>>,
}

pub(super) enum Op {
    Open { run: RunId, step: String, scope: Scope, opened_ms: i64, batches: Vec<Packed>, reply: Reply<Vec<BatchId>> },
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
    next_batch: u64,
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
            && opens.iter().all(|(_, _, scope, _, _)| self.scopes.contains_key(scope))
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

    async fn open_batches(
        &mut self,
        opens: Vec<(RunId, String, Scope, i64, Vec<Packed>)>,
        script: &mut Script,
    ) -> Result<Vec<Vec<BatchId>>, LedgerError> {
        let mut opened = Vec::with_capacity(opens.len());
        let packed = || opens.iter().flat_map(|(_, _, _, _, batches)| batches);
        script.items.reserve(packed().map(|packed| packed.items.len()).sum());
        script.keys.reserve(packed().map(|packed| packed.keys.len()).sum());
        for (run, step, scope, opened_ms, batches) in opens {
            let scope = self.scope_id(&scope).await?;
            let step_json = serde_json::to_string(&step).expect("a text is JSON");
            let mut ids = Vec::with_capacity(batches.len());
            for Packed { len, items, keys, sketches } in batches {
                let id = self.next_batch;
                self.next_batch += 1;
                let head = BATCH.begin().number(id.cast_signed()).number(scope).number(run.0.cast_signed()).text(&step);
                let sum = head.number(opened_ms).number(len.into()).bytes(&items).stored();
                let with_keys = OPEN_BATCH.begin().number(id.cast_signed()).bytes(&keys);
                let open_sum = with_keys.nothing().stored();
                self.open.insert(id, Open { len, with_keys, states: None, refusals: Vec::new(), closed: false });
                ids.push(BatchId(id));
                // SQLite counts bytes from one.
                let (items_at, keys_at) = (script.items.len() + 1, script.keys.len() + 1);
                let (items_len, keys_len) = (items.len(), keys.len());
                let run = run.0;
                write!(
                    script.opened,
                    "{}[{id},{scope},{run},{step_json},{opened_ms},{len},{items_at},{items_len},{sum},{keys_at},{keys_len},\
                     {open_sum}]",
                    if script.opened.is_empty() { '[' } else { ',' }
                )
                .expect("a String takes it");
                script.items.extend_from_slice(&items);
                script.keys.extend_from_slice(&keys);
                if let Some(sketches) = sketches {
                    let (before, at) = (if script.sketched.is_empty() { '[' } else { ',' }, script.sketches.len() + 1);
                    let sum = SKETCH.begin().number(id.cast_signed()).bytes(&sketches).stored();
                    write!(script.sketched, "{before}[{id},{at},{},{sum}]", sketches.len()).expect("a String takes it");
                    script.sketches.extend_from_slice(&sketches);
                }
            }
            opened.push(ids);
        }
        if !script.opened.is_empty() {
            script.opened.push(']');
            script.sql.push_str(OPEN);
        }
        if !script.sketched.is_empty() {
            script.sketched.push(']');
            script.sql.push_str(OPEN_SKETCHES);
        }
        Ok(opened)
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
    /// `$1`: a JSON list of what [`OPEN`] inserts.
    opened: String,
    /// `$2`
    items: Vec<u8>,
    /// `$3`
    keys: Vec<u8>,
    /// `$4`: a JSON list of the batches that were accepted as a whole.
    pub(super) accepted: String,
    /// `$5`: a JSON list of their ids.
    pub(super) closed: String,
    /// `$6`: a JSON list of what [`OPEN_SKETCHES`] inserts.
    sketched: String,
    /// `$7`
    sketches: Vec<u8>,
}
