//! The one connection that writes. Writes that arrive while it is busy share the next commit.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use super::Durability;
use super::database::Database;
use crate::batch::{BatchId, Outcome};
use crate::ledger::segment::{State, pack_keys, take_outcomes, unpack_keys};
use crate::ledger::{Compacted, Compaction, LedgerError, RunFinish, RunId, RunStart, Scope};

/// Most writes in one commit: bounds what a commit holds in memory.
const GROUP_MAX: usize = 256;

/// Most rows in one INSERT. Statements of 1, 2, 4, … rows are prepared once each.
const INSERT_ROWS_MAX: usize = 16;

/// Most characters of a refusal's code that are kept.
const CODE_CHARS_MAX: usize = 64;

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

/// What became of a batch's records.
pub(super) enum Verdict {
    /// All of so many were accepted.
    AllAccepted(usize),
    /// One outcome for each.
    Outcomes(Vec<Outcome>),
    /// The open ones at these positions, or all that are open, will never be known.
    NeverKnown(Option<Vec<u32>>),
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

/// What the writer knows of an open batch.
struct Open {
    len: u32,
    /// None: nothing is settled yet.
    states: Option<Vec<State>>,
    refusals: Vec<(u32, String)>,
    /// Settled in the group that is being written.
    closed: bool,
}

enum Found {
    Open,
    Settled,
    No,
}

pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) connection: SqliteConnection,
    durability: Durability,
    /// Whether commits wait for the disk at the moment.
    waits: bool,
    next_batch: u64,
    scopes: HashMap<Scope, i64>,
    open: HashMap<u64, Open>,
    traces: Traces,
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
            let values = |row: &str| {
                AssertSqlSafe(format!("{row}{}", format!(", {}", &row[row.len() - width(row)..]).repeat(count - 1)))
            };
            let mut batch = sqlx::query(values("INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?, ?)"));
            let mut open = sqlx::query(values("INSERT INTO open_batch VALUES (?, NULL, ?)"));
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

    async fn write_task(&mut self, batch: BatchId, task: String) -> Result<Result<(), LedgerError>, LedgerError> {
        if let Found::No = self.find(batch).await? {
            return Ok(Err(LedgerError::NoSuchBatch(batch)));
        }
        sqlx::query("UPDATE open_batch SET task = ? WHERE batch = ?")
            .bind(task)
            .bind(batch.0.cast_signed())
            .execute(&mut self.connection)
            .await
            .map(|_| Ok(()))
            .map_err(|error| self.database.error(error))
    }

    /// Makes sure that an open batch is in `self.open`.
    async fn find(&mut self, batch: BatchId) -> Result<Found, LedgerError> {
        if let Some(open) = self.open.get(&batch.0) {
            return Ok(if open.closed { Found::Settled } else { Found::Open });
        }
        type Row = (u32, bool, Option<Vec<u8>>, Option<String>);
        let row: Option<Row> = sqlx::query_as(
            "SELECT batch.len, open_batch.batch IS NOT NULL, outcome.states, outcome.refusals FROM batch
             LEFT JOIN open_batch ON open_batch.batch = batch.id LEFT JOIN outcome ON outcome.batch = batch.id
             WHERE batch.id = ?",
        )
        .bind(batch.0.cast_signed())
        .fetch_optional(&mut self.connection)
        .await
        .map_err(|error| self.database.error(error))?;
        let Some((len, is_open, states, refusals)) = row else { return Ok(Found::No) };
        if !is_open {
            return Ok(Found::Settled);
        }
        let states = states.map(|states| self.database.states(&states, len)).transpose()?;
        let refusals = refusals.map_or(Ok(Vec::new()), |text| self.database.refusals(&text))?;
        self.open.insert(batch.0, Open { len, states, refusals, closed: false });
        Ok(Found::Open)
    }

    /// Settles one batch, or puts it on the list of those that were accepted as a whole.
    async fn settle(
        &mut self,
        batch: BatchId,
        verdict: Verdict,
        settled_ms: i64,
        accepted: &mut Vec<(u64, i64)>,
    ) -> Result<Result<(), LedgerError>, LedgerError> {
        match self.find(batch).await? {
            Found::Open => {}
            Found::Settled => return Ok(Ok(())),
            Found::No => return Ok(Err(LedgerError::NoSuchBatch(batch))),
        }
        let open = self.open.get_mut(&batch.0).expect("was found");
        let found = match &verdict {
            Verdict::AllAccepted(found) => *found,
            Verdict::Outcomes(outcomes) => outcomes.len(),
            Verdict::NeverKnown(_) => open.len as usize,
        };
        if found != open.len as usize {
            return Ok(Err(LedgerError::OutcomesMismatch { batch, expected: open.len, found }));
        }
        if let (Verdict::AllAccepted(_), None) = (&verdict, &open.states) {
            open.closed = true;
            accepted.push((batch.0, settled_ms));
            return Ok(Ok(()));
        }
        let mut states = open.states.take().unwrap_or_else(|| vec![State::Open; open.len as usize]);
        let before = states.clone();
        match verdict {
            Verdict::AllAccepted(_) => {
                states.iter_mut().filter(|state| **state == State::Open).for_each(|state| *state = State::Accepted);
            }
            Verdict::Outcomes(outcomes) => {
                let refusals = take_outcomes(&mut states, &outcomes);
                let cut = |code: &str| code.chars().take(CODE_CHARS_MAX).collect();
                open.refusals.extend(refusals.into_iter().map(|(position, code)| (position, cut(code))));
            }
            Verdict::NeverKnown(positions) => {
                for (position, state) in (0u32..).zip(&mut states) {
                    let meant = positions.as_ref().is_none_or(|positions| positions.contains(&position));
                    if *state == State::Open && meant {
                        *state = State::NeverKnown;
                    }
                }
            }
        }
        let news = states != before;
        open.closed = !states.contains(&State::Open);
        open.states = Some(states);
        if news {
            self.write_states(batch.0, settled_ms).await?;
        }
        Ok(Ok(()))
    }

    async fn write_states(&mut self, batch: u64, settled_ms: i64) -> Result<(), LedgerError> {
        let trace = self.trace(batch);
        let open = &self.open[&batch];
        let states = open.states.as_ref().expect("were just set");
        let refusals = (!open.refusals.is_empty())
            .then(|| serde_json::to_string(&open.refusals).expect("numbers and texts are JSON"));
        sqlx::query(
            "INSERT OR REPLACE INTO outcome (batch, settled_ms, task, attempts, request_id, refusals, states)
             SELECT batch, ?2, task, ?3, ?4, ?5, ?6 FROM open_batch WHERE batch = ?1",
        )
        .bind(batch.cast_signed())
        .bind(open.closed.then_some(settled_ms))
        .bind(trace.attempts)
        .bind(trace.request_id)
        .bind(refusals)
        .bind(states.iter().map(|state| *state as u8).collect::<Vec<u8>>())
        .execute(&mut self.connection)
        .await
        .map_err(|error| self.database.error(error))?;
        let rest = if open.closed {
            sqlx::query("DELETE FROM open_batch WHERE batch = ?1").bind(batch.cast_signed())
        } else {
            let keys: Vec<u8> = sqlx::query_scalar("SELECT keys FROM open_batch WHERE batch = ?")
                .bind(batch.cast_signed())
                .fetch_one(&mut self.connection)
                .await
                .map_err(|error| self.database.error(error))?;
            let texts = unpack_keys(&keys).ok_or_else(|| self.database.corrupt("the keys of a batch are damaged"))?;
            let still_open = |position: &u32| states.get(*position as usize) == Some(&State::Open);
            let left = pack_keys(texts.into_iter().filter(|(position, _)| still_open(position)), keys.len());
            sqlx::query("UPDATE open_batch SET keys = ?2 WHERE batch = ?1").bind(batch.cast_signed()).bind(left)
        };
        rest.execute(&mut self.connection).await.map(drop).map_err(|error| self.database.error(error))
    }

    /// Settles batches that were accepted as a whole, all in two statements.
    async fn settle_accepted(&mut self, accepted: &[(u64, i64)]) -> Result<(), LedgerError> {
        if accepted.is_empty() {
            return Ok(());
        }
        let mut list = String::from("[");
        for (index, (batch, settled_ms)) in accepted.iter().enumerate() {
            let trace = self.trace(*batch);
            let request_id = serde_json::to_string(&trace.request_id).expect("a text is JSON");
            let comma = if index == 0 { "" } else { "," };
            write!(list, "{comma}[{batch},{settled_ms},{},{request_id}]", trace.attempts).expect("a String takes it");
        }
        list.push(']');
        for sql in [
            "INSERT INTO outcome (batch, settled_ms, task, attempts, request_id)
             SELECT open_batch.batch, list.value ->> 1, task, list.value ->> 2, list.value ->> 3
             FROM json_each(?1) AS list JOIN open_batch ON open_batch.batch = list.value ->> 0",
            "DELETE FROM open_batch WHERE batch IN (SELECT value ->> 0 FROM json_each(?1))",
        ] {
            sqlx::query(sql)
                .bind(&list)
                .execute(&mut self.connection)
                .await
                .map_err(|error| self.database.error(error))?;
        }
        Ok(())
    }

    /// The attempts of a batch; forgotten when it closes.
    fn trace(&self, batch: u64) -> Trace {
        let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = self.open.get(&batch).is_none_or(|open| open.closed);
        if closed { traces.remove(&batch) } else { traces.get(&batch).cloned() }.unwrap_or_default()
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

/// Length of the `(?, …)` at the end of an INSERT.
fn width(insert: &str) -> usize {
    insert.len() - insert.rfind('(').expect("an INSERT has values")
}
