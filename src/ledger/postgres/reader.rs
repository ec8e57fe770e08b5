//! What is read: rows into records of the ledger. What needs several statements reads one state of it.

use std::collections::HashSet;

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use super::server::Server;
use crate::batch::BatchId;
use crate::entity::Entity;
use crate::ledger::replay::Replay;
use crate::ledger::segment::{ITEM_BYTES, State, Stored, open_items, unpack, unpack_segment};
use crate::ledger::superseded::Superseded;
use crate::ledger::{Event, Fate, Index, LedgerError, OpenBatch, RunFinish, RunId, RunInfo, RunStart, Scope, StepMark};
use crate::record::KeyHash;

/// Batches that are read with one statement, 2 MB at most.
pub(super) const PAGE: i64 = 100;

/// Reads batches that are in no segment, with a state for each record: those that are open and have no states are open as a
/// whole.
pub(super) const BATCHES: &str = "
    SELECT batch.id, batch.len, open_batch.batch IS NOT NULL, coalesce(open_batch.states, outcome.states), batch.items
    FROM stigg_import.batch
    LEFT JOIN stigg_import.open_batch ON open_batch.batch = batch.id
    LEFT JOIN stigg_import.outcome ON outcome.batch = batch.id
    WHERE batch.scope = $1 AND batch.id > $2 AND batch.id < $3 AND batch.run >= $4 AND batch.items IS NOT NULL
    ORDER BY batch.id LIMIT $5";

/// Reads one segment after another.
pub(super) const NEXT_SEGMENT: &str = "
    SELECT id, items FROM stigg_import.segment WHERE scope = $1 AND id > $2 AND id <= $3 ORDER BY id LIMIT 1";

/// A key that one batch held, and where in it.
struct Held {
    batch: u64,
    position: usize,
    fingerprint: crate::record::Fingerprint,
    state: State,
}

impl Server {
    pub(super) fn len(&self, len: i32) -> Result<u32, LedgerError> {
        u32::try_from(len).map_err(|_| self.corrupt("the length of a batch is damaged"))
    }

    pub(super) fn states(&self, bytes: &[u8], len: u32) -> Result<Vec<State>, LedgerError> {
        State::of_bytes(bytes, len).ok_or_else(|| self.corrupt("the states of a batch are damaged"))
    }

    pub(super) fn refusals(&self, text: &str) -> Result<Vec<(u32, String)>, LedgerError> {
        serde_json::from_str(text).map_err(|_| self.corrupt("the refusals of a batch are damaged"))
    }

    fn instant(&self, milliseconds: i64) -> Result<Timestamp, LedgerError> {
        Timestamp::from_millisecond(milliseconds).map_err(|_| self.corrupt("an instant is out of range"))
    }

    /// Decodes a row of [`BATCHES`].
    pub(super) fn stored<'r>(&self, row: &'r PgRow) -> Result<Stored<'r>, LedgerError> {
        let decode = |error| self.error(error);
        let id: i64 = row.try_get(0).map_err(decode)?;
        let len = self.len(row.try_get(1).map_err(decode)?)?;
        let is_open: bool = row.try_get(2).map_err(decode)?;
        let states: Option<&[u8]> = row.try_get(3).map_err(decode)?;
        let items: &[u8] = row.try_get(4).map_err(decode)?;
        if items.len() != len as usize * ITEM_BYTES {
            return Err(self.corrupt("the records of a batch are damaged"));
        }
        let states = match states {
            Some(bytes) => Some(self.states(bytes, len)?),
            None if is_open => Some(vec![State::Open; len as usize]),
            None => None,
        };
        Ok(Stored { id: id.cast_unsigned(), items, states })
    }

    /// Visits the segments of a scope, in their order; `visit` says whether one's bytes were intact.
    pub(super) async fn visit_segments(
        &self,
        connection: &mut PgConnection,
        scope: i32,
        mut visit: impl FnMut(&[u8]) -> bool + Send,
    ) -> Result<(), LedgerError> {
        let mut after = 0i64;
        loop {
            let next = sqlx::query(NEXT_SEGMENT)
                .bind(scope)
                .bind(after)
                .bind(i64::MAX)
                .fetch_optional(&mut *connection)
                .await
                .map_err(|error| self.error(error))?;
            let Some(row) = next else { return Ok(()) };
            after = row.try_get(0).map_err(|error| self.error(error))?;
            if !visit(row.try_get(1).map_err(|error| self.error(error))?) {
                return Err(self.corrupt("a segment is damaged"));
            }
        }
    }

    /// Visits the batches of a scope that are in no segment, from after `after` and from run `run` on.
    pub(super) async fn visit_batches(
        &self,
        connection: &mut PgConnection,
        scope: i32,
        after: i64,
        run: i64,
        mut visit: impl FnMut(&Stored<'_>) + Send,
    ) -> Result<(), LedgerError> {
        let mut after = after;
        loop {
            let page = sqlx::query(BATCHES)
                .bind(scope)
                .bind(after)
                .bind(i64::MAX)
                .bind(run)
                .bind(PAGE)
                .fetch_all(&mut *connection)
                .await
                .map_err(|error| self.error(error))?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.try_get(0).map_err(|error| self.error(error))?;
            for row in &page {
                visit(&self.stored(row)?);
            }
        }
    }

    pub(super) async fn scope_of(
        &self,
        connection: &mut PgConnection,
        scope: &Scope,
    ) -> Result<Option<i32>, LedgerError> {
        sqlx::query_scalar("SELECT id FROM stigg_import.scope WHERE target = $1 AND entity = $2")
            .bind(&scope.target)
            .bind(scope.entity.name())
            .fetch_optional(connection)
            .await
            .map_err(|error| self.error(error))
    }

    pub(super) async fn scopes(&self) -> Result<Vec<(i32, Scope)>, LedgerError> {
        let rows: Vec<(i32, String, String)> = sqlx::query_as("SELECT id, target, entity FROM stigg_import.scope")
            .fetch_all(&self.pool)
            .await
            .map_err(|error| self.error(error))?;
        let scope = |(id, target, entity): (i32, String, String)| {
            let entity = Entity::of_name(&entity).ok_or_else(|| self.corrupt("an entity is unknown"))?;
            Ok((id, Scope { target, entity }))
        };
        rows.into_iter().map(scope).collect()
    }

    /// How many records are surely known, to make room for them. Of those of batches every second may be superseded: with
    /// more of them, they would have been merged.
    async fn known_at_least(
        &self,
        connection: &mut PgConnection,
        scope: i32,
        since: Option<RunId>,
    ) -> Result<usize, LedgerError> {
        let records: i64 = sqlx::query_scalar(
            "SELECT (coalesce((SELECT sum(records) FROM stigg_import.segment WHERE scope = $1 AND $2 = 0), 0)
                   + coalesce((SELECT sum(len) FROM stigg_import.batch
                               WHERE scope = $1 AND run >= $2 AND items IS NOT NULL), 0) / 2)::bigint",
        )
        .bind(scope)
        .bind(since.map_or(0, |run| run.0.cast_signed()))
        .fetch_one(connection)
        .await
        .map_err(|error| self.error(error))?;
        Ok(usize::try_from(records).unwrap_or(0))
    }

    /// Replays what is known from the batches of all runs, or of `since` and later ones, in the order of their openings.
    pub(super) async fn load_index(&self, scope: &Scope, since: Option<RunId>) -> Result<Index, LedgerError> {
        let mut snapshot = self.snapshot().await?;
        let Some(scope) = self.scope_of(&mut snapshot, scope).await? else { return Ok(Index::new()) };
        // Runs may go on at the same time, so that the batches of one are no range.
        let merged: Option<HashSet<u64>> = match since {
            None => None,
            Some(run) => {
                let ids: Vec<i64> = sqlx::query_scalar(
                    "SELECT id FROM stigg_import.batch WHERE scope = $1 AND run >= $2 AND items IS NULL",
                )
                .bind(scope)
                .bind(run.0.cast_signed())
                .fetch_all(&mut *snapshot)
                .await
                .map_err(|error| self.error(error))?;
                Some(ids.into_iter().map(i64::cast_unsigned).collect())
            }
        };
        let mut replay = Replay::with_room(self.known_at_least(&mut snapshot, scope, since).await?);
        // With none of its batches in a segment, no segment has to be read.
        if merged.as_ref().is_none_or(|merged| !merged.is_empty()) {
            let wanted = |batch| merged.as_ref().is_none_or(|merged| merged.contains(&batch));
            self.visit_segments(&mut snapshot, scope, |items| replay.segment(items, wanted)).await?;
        }
        let run = since.map_or(0, |run| run.0.cast_signed());
        self.visit_batches(&mut snapshot, scope, 0, run, |stored| replay.batch(stored)).await?;
        Ok(replay.index())
    }

    pub(super) async fn open_batches(&self, scope: &Scope) -> Result<Vec<OpenBatch>, LedgerError> {
        let rows = sqlx::query(
            "SELECT batch.id, batch.run, batch.step, batch.opened_ms, batch.len, open_batch.task, open_batch.keys, batch.items
             FROM stigg_import.open_batch JOIN stigg_import.batch ON batch.id = open_batch.batch
             JOIN stigg_import.scope ON scope.id = batch.scope
             WHERE scope.target = $1 AND scope.entity = $2 ORDER BY batch.id",
        )
        .bind(&scope.target)
        .bind(scope.entity.name())
        .fetch_all(&self.pool)
        .await
        .map_err(|error| self.error(error))?;
        rows.iter().map(|row| self.open_batch(row)).collect()
    }

    fn open_batch(&self, row: &PgRow) -> Result<OpenBatch, LedgerError> {
        let decode = |error| self.error(error);
        let (keys, items): (&[u8], &[u8]) = (row.try_get(6).map_err(decode)?, row.try_get(7).map_err(decode)?);
        let len = self.len(row.try_get(4).map_err(decode)?)?;
        Ok(OpenBatch {
            id: BatchId(row.try_get::<i64, _>(0).map_err(decode)?.cast_unsigned()),
            run: RunId(row.try_get::<i64, _>(1).map_err(decode)?.cast_unsigned()),
            step: row.try_get(2).map_err(decode)?,
            opened_at: self.instant(row.try_get(3).map_err(decode)?)?,
            task: row.try_get(5).map_err(decode)?,
            len,
            items: open_items(keys, items, len)
                .ok_or_else(|| self.corrupt("the records of an open batch are damaged"))?,
        })
    }

    /// For each open batch, the positions whose keys were settled in a batch opened later.
    pub(super) async fn superseded(&self, scope: &Scope) -> Result<Vec<(BatchId, Vec<u32>, bool)>, LedgerError> {
        let open = self.open_batches(scope).await?;
        let Some(first) = open.first().map(|batch| batch.id.0) else { return Ok(Vec::new()) };
        let mut snapshot = self.snapshot().await?;
        let Some(scope) = self.scope_of(&mut snapshot, scope).await? else { return Ok(Vec::new()) };
        let mut superseded = Superseded::of(open);
        self.visit_batches(&mut snapshot, scope, first.cast_signed(), 0, |stored| superseded.see(stored)).await?;
        Ok(superseded.found())
    }

    pub(super) async fn runs(&self, limit: u32) -> Result<Vec<RunInfo>, LedgerError> {
        let rows = sqlx::query("SELECT * FROM stigg_import.run ORDER BY id DESC LIMIT $1")
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(|error| self.error(error))?;
        rows.iter().map(|row| self.run_info(row)).collect()
    }

    pub(super) async fn run(&self, run: RunId) -> Result<Option<RunInfo>, LedgerError> {
        let row = sqlx::query("SELECT * FROM stigg_import.run WHERE id = $1")
            .bind(run.0.cast_signed())
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| self.error(error))?;
        row.map(|row| self.run_info(&row)).transpose()
    }

    fn run_info(&self, row: &PgRow) -> Result<RunInfo, LedgerError> {
        let decode = |error| self.error(error);
        let finished_ms: Option<i64> = row.try_get("finished_ms").map_err(decode)?;
        let finish = match finished_ms {
            None => None,
            Some(at) => Some(RunFinish {
                finished_at: self.instant(at)?,
                exit: row.try_get("exit").map_err(decode)?,
                summary_json: row.try_get("summary").map_err(decode)?,
            }),
        };
        Ok(RunInfo {
            id: RunId(row.try_get::<i64, _>("id").map_err(decode)?.cast_unsigned()),
            start: RunStart {
                identity: row.try_get("identity").map_err(decode)?,
                started_at: self.instant(row.try_get("started_ms").map_err(decode)?)?,
                arguments_json: row.try_get("arguments").map_err(decode)?,
            },
            finish,
        })
    }

    pub(super) async fn mark(&self, scope: &Scope, step: &str) -> Result<Option<StepMark>, LedgerError> {
        let row: Option<(String, String)> = sqlx::query_as(
            "SELECT identity, value FROM stigg_import.mark JOIN stigg_import.scope ON scope.id = mark.scope
             WHERE target = $1 AND entity = $2 AND step = $3",
        )
        .bind(&scope.target)
        .bind(scope.entity.name())
        .bind(step)
        .fetch_optional(&self.pool)
        .await
        .map_err(|error| self.error(error))?;
        Ok(row.map(|(identity, value)| StepMark { identity, value }))
    }

    pub(super) async fn history(&self, scope: &Scope, key: KeyHash) -> Result<Vec<Event>, LedgerError> {
        let mut snapshot = self.snapshot().await?;
        let Some(scope) = self.scope_of(&mut snapshot, scope).await? else { return Ok(Vec::new()) };
        let mut events = Vec::new();
        for held in self.held(&mut snapshot, scope, key).await? {
            events.push(self.event(&mut snapshot, held).await?);
        }
        Ok(events)
    }

    /// The batches that held a key. The server leaves out what surely has not; a hash may also be met where none begins.
    async fn held(&self, connection: &mut PgConnection, scope: i32, key: KeyHash) -> Result<Vec<Held>, LedgerError> {
        let mut all = Vec::new();
        let segments = sqlx::query(
            "SELECT items FROM stigg_import.segment WHERE scope = $1 AND position($2::bytea IN items) > 0 ORDER BY id",
        )
        .bind(scope)
        .bind(&key.to_bytes()[..])
        .fetch_all(&mut *connection)
        .await
        .map_err(|error| self.error(error))?;
        for row in &segments {
            let items: &[u8] = row.try_get(0).map_err(|error| self.error(error))?;
            unpack_segment(items, |batch, items| {
                let found = unpack(items).find(|(hash, _)| *hash == key);
                let state = State::Accepted;
                all.extend(found.map(|(_, fingerprint)| Held { batch, position: 0, fingerprint, state }));
            });
        }
        let batches: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM stigg_import.batch WHERE scope = $1 AND items IS NOT NULL
               AND position($2::bytea IN items) > 0 ORDER BY id",
        )
        .bind(scope)
        .bind(&key.to_bytes()[..])
        .fetch_all(&mut *connection)
        .await
        .map_err(|error| self.error(error))?;
        for id in batches {
            let row = sqlx::query(BATCHES)
                .bind(scope)
                .bind(id - 1)
                .bind(id + 1)
                .bind(0i64)
                .bind(1i64)
                .fetch_one(&mut *connection)
                .await
                .map_err(|error| self.error(error))?;
            let stored = self.stored(&row)?;
            let found = stored.records().enumerate().find(|(_, (hash, ..))| *hash == key);
            all.extend(found.map(|(position, (_, fingerprint, state))| Held {
                batch: stored.id,
                position,
                fingerprint,
                state,
            }));
        }
        Ok(all)
    }

    async fn event(&self, connection: &mut PgConnection, held: Held) -> Result<Event, LedgerError> {
        let decode = |error| self.error(error);
        let row = sqlx::query(
            "SELECT run, step, opened_ms, settled_ms, coalesce(outcome.task, open_batch.task),
                    coalesce(outcome.attempts, open_batch.attempts, 0),
                    coalesce(outcome.request_id, open_batch.request_id),
                    coalesce(outcome.refusals, open_batch.refusals)
             FROM stigg_import.batch LEFT JOIN stigg_import.open_batch ON open_batch.batch = batch.id
             LEFT JOIN stigg_import.outcome ON outcome.batch = batch.id WHERE batch.id = $1",
        )
        .bind(held.batch.cast_signed())
        .fetch_one(connection)
        .await
        .map_err(decode)?;
        let refusals: Option<&str> = row.try_get(7).map_err(decode)?;
        let fate = match held.state {
            State::Open => Fate::Open,
            State::Accepted => Fate::Accepted,
            State::NeverKnown => Fate::NeverKnown,
            State::Failed => {
                let refusals = refusals.map_or(Ok(Vec::new()), |text| self.refusals(text))?;
                let code = refusals.into_iter().find(|(at, _)| *at as usize == held.position).map(|(_, code)| code);
                Fate::Failed { code: code.unwrap_or_default() }
            }
        };
        let settled_ms: Option<i64> = row.try_get(3).map_err(decode)?;
        Ok(Event {
            batch: BatchId(held.batch),
            run: RunId(row.try_get::<i64, _>(0).map_err(decode)?.cast_unsigned()),
            step: row.try_get(1).map_err(decode)?,
            opened_at: self.instant(row.try_get(2).map_err(decode)?)?,
            settled_at: settled_ms.map(|at| self.instant(at)).transpose()?,
            fingerprint: held.fingerprint,
            fate,
            task: row.try_get(4).map_err(decode)?,
            attempts: u32::try_from(row.try_get::<i32, _>(5).map_err(decode)?).unwrap_or(0),
            request_id: row.try_get(6).map_err(decode)?,
        })
    }
}
