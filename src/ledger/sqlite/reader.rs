//! What is read from the file: rows into records of the ledger.

use futures::TryStreamExt as _;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::database::Database;
use super::settle::accepted_sum;
use super::sum::{BATCH, MARK, OPEN_BATCH, OUTCOME, RUN, SCOPE, SEGMENT};
use crate::batch::BatchId;
use crate::entity::Entity;
use crate::ledger::replay::Replay;
use crate::ledger::segment::{ITEM_BYTES, State, Stored, open_items, unpack, unpack_segment};
use crate::ledger::{Event, Fate, Index, LedgerError, OpenBatch, RunFinish, RunId, RunInfo, RunStart, Scope, StepMark};
use crate::record::KeyHash;

/// Reads batches with a state for each record: those that have no outcome yet are open as a whole.
pub(super) const BATCHES: &str = "SELECT batch.id, scope, run, step, opened_ms, len, items, batch.sum,
            outcome.batch, settled_ms, refusals, states, outcome.sum, open_batch.batch IS NOT NULL
     FROM batch LEFT JOIN open_batch ON open_batch.batch = batch.id LEFT JOIN outcome ON outcome.batch = batch.id
     WHERE scope = ?1 AND batch.id > ?2 AND batch.id < ?3 AND items IS NOT NULL ORDER BY batch.id LIMIT ?4";

/// Reads the segment of a scope behind another.
pub(super) const NEXT_SEGMENT: &str =
    "SELECT id, scope, records, items, sum FROM segment WHERE scope = ? AND id > ? ORDER BY id LIMIT 1";

impl Database {
    pub(super) fn states(&self, bytes: &[u8], len: u32) -> Result<Vec<State>, LedgerError> {
        State::of_bytes(bytes, len).ok_or_else(|| self.corrupt("the states of a batch are damaged"))
    }

    pub(super) fn refusals(&self, text: &str) -> Result<Vec<(u32, String)>, LedgerError> {
        serde_json::from_str(text).map_err(|_| self.corrupt("the refusals of a batch are damaged"))
    }

    /// Decodes a row of [`BATCHES`].
    pub(super) fn stored<'r>(&self, row: &'r SqliteRow) -> Result<Stored<'r>, LedgerError> {
        let decode = |error| self.error(error);
        self.check_sum(row, 0, &BATCH)?;
        self.check_sum(row, 8, &OUTCOME)?;
        let id: i64 = row.try_get(0).map_err(decode)?;
        let len: u32 = row.try_get(5).map_err(decode)?;
        let items: &[u8] = row.try_get(6).map_err(decode)?;
        if items.len() != len as usize * ITEM_BYTES {
            return Err(self.corrupt("the records of a batch are damaged"));
        }
        let settled_ms: Option<i64> = row.try_get(9).map_err(decode)?;
        let states: Option<&[u8]> = row.try_get(11).map_err(decode)?;
        let is_open: bool = row.try_get(13).map_err(decode)?;
        if is_open == settled_ms.is_some() {
            let detail = if is_open { "a batch is settled and open" } else { "a batch has no outcome and is not open" };
            return Err(self.corrupt(detail));
        }
        let states = match states {
            Some(bytes) => Some(self.states(bytes, len)?),
            None => is_open.then(|| vec![State::Open; len as usize]),
        };
        Ok(Stored { id: id.cast_unsigned(), items, states })
    }

    /// Of a row of [`BATCHES`], the batch and the sums that its row and that of its outcome have when it is merged.
    pub(super) fn merged_sums(&self, row: &SqliteRow) -> Result<(i64, i64, i64), LedgerError> {
        let number = |at: usize| row.try_get::<i64, _>(at).map_err(|error| self.error(error));
        let step: &str = row.try_get(3).map_err(|error| self.error(error))?;
        let (id, settled_ms) = (number(0)?, number(9)?);
        let head = BATCH.begin().number(id).number(number(1)?).number(number(2)?).text(step);
        let sum = head.number(number(4)?).number(number(5)?).nothing();
        Ok((id, sum.stored(), accepted_sum(id, settled_ms).stored()))
    }

    pub(super) async fn scope_id(
        &self,
        connection: &mut SqliteConnection,
        scope: &Scope,
    ) -> Result<Option<i64>, LedgerError> {
        let row = sqlx::query("SELECT id, target, entity, sum FROM scope WHERE target = ? AND entity = ?")
            .bind(&scope.target)
            .bind(scope.entity.name())
            .fetch_optional(connection)
            .await
            .map_err(|error| self.error(error))?;
        let Some(row) = row else { return Ok(None) };
        self.check_sum(&row, 0, &SCOPE)?;
        row.try_get(0).map(Some).map_err(|error| self.error(error))
    }

    pub(super) async fn scopes(&self, connection: &mut SqliteConnection) -> Result<Vec<(i64, Scope)>, LedgerError> {
        let rows = sqlx::query("SELECT id, target, entity, sum FROM scope ORDER BY target")
            .fetch_all(connection)
            .await
            .map_err(|error| self.error(error))?;
        let decode = |error| self.error(error);
        let scope = |row: &SqliteRow| {
            self.check_sum(row, 0, &SCOPE)?;
            let entity: &str = row.try_get(2).map_err(decode)?;
            let entity = Entity::of_name(entity).ok_or_else(|| self.corrupt("an entity is unknown"))?;
            let target = row.try_get(1).map_err(decode)?;
            Ok((row.try_get(0).map_err(decode)?, Scope { target, entity }))
        };
        rows.iter().map(scope).collect()
    }

    /// How many records are surely known, to make room for them. Those of segments are different records, and so are those of one
    /// step of a run. Of all that are in batches every second may be superseded: with more of them, they would have been merged.
    async fn known_at_least(
        &self,
        connection: &mut SqliteConnection,
        scope: i64,
        first: i64,
    ) -> Result<usize, LedgerError> {
        let in_segments: i64 =
            sqlx::query_scalar("SELECT coalesce(sum(records), 0) FROM segment WHERE scope = ?1 AND ?2 = 0")
                .bind(scope)
                .bind(first)
                .fetch_one(&mut *connection)
                .await
                .map_err(|error| self.error(error))?;
        let in_batches = self.estimate(connection, scope, first, i64::MAX).await?;
        let known = (in_segments + in_batches.records / 2).max(in_batches.different);
        Ok(usize::try_from(known).unwrap_or(0))
    }

    /// Replays what is known from the batches of `since` and later runs, in the order in which they were opened.
    pub(super) async fn load_index(
        &self,
        connection: &mut SqliteConnection,
        scope: &Scope,
        since: Option<RunId>,
    ) -> Result<Index, LedgerError> {
        let Some(scope) = self.scope_id(connection, scope).await? else { return Ok(Index::new()) };
        let first = match since {
            None => Some(0),
            // Batches are numbered in the order of their runs.
            Some(run) => sqlx::query_scalar::<_, Option<i64>>("SELECT min(id) FROM batch WHERE run >= ?")
                .bind(run.0.cast_signed())
                .fetch_one(&mut *connection)
                .await
                .map_err(|error| self.error(error))?,
        };
        let Some(first) = first else { return Ok(Index::new()) };
        let mut replay = Replay::with_room(self.known_at_least(connection, scope, first).await?);
        let wanted = |batch| batch >= first.cast_unsigned();
        self.visit_segments(connection, scope, |items| replay.segment(items, wanted)).await?;
        self.visit_batches(connection, scope, first - 1, |stored| replay.batch(stored)).await?;
        Ok(replay.index())
    }

    /// Visits the segments of a scope, in their order; `visit` says whether one's bytes were intact.
    pub(super) async fn visit_segments(
        &self,
        connection: &mut SqliteConnection,
        scope: i64,
        mut visit: impl FnMut(&[u8]) -> bool + Send,
    ) -> Result<(), LedgerError> {
        // One at a time: a stream would hold fifty of them ready.
        let mut after = 0i64;
        loop {
            let next = sqlx::query(NEXT_SEGMENT)
                .bind(scope)
                .bind(after)
                .fetch_optional(&mut *connection)
                .await
                .map_err(|error| self.error(error))?;
            let Some(row) = next else { return Ok(()) };
            self.check_sum(&row, 0, &SEGMENT)?;
            after = row.try_get(0).map_err(|error| self.error(error))?;
            if !visit(row.try_get(3).map_err(|error| self.error(error))?) {
                return Err(self.corrupt("a segment is damaged"));
            }
        }
    }

    /// Visits the batches of a scope that are in no segment, from after `after` on.
    pub(super) async fn visit_batches(
        &self,
        connection: &mut SqliteConnection,
        scope: i64,
        after: i64,
        mut visit: impl FnMut(&Stored<'_>) + Send,
    ) -> Result<(), LedgerError> {
        let mut batches = sqlx::query(BATCHES).bind(scope).bind(after).bind(i64::MAX).bind(-1i64).fetch(connection);
        while let Some(row) = batches.try_next().await.map_err(|error| self.error(error))? {
            visit(&self.stored(&row)?);
        }
        Ok(())
    }

    pub(super) async fn open_batches(
        &self,
        connection: &mut SqliteConnection,
        scope: &Scope,
    ) -> Result<Vec<OpenBatch>, LedgerError> {
        let Some(scope) = self.scope_id(connection, scope).await? else { return Ok(Vec::new()) };
        // `CROSS JOIN` keeps the order: the open ones are few, and a pass over the batches reads the whole file.
        let rows = sqlx::query(
            "SELECT id, scope, run, step, opened_ms, len, items, batch.sum, batch, keys, task, open_batch.sum FROM open_batch
             CROSS JOIN batch ON batch.id = open_batch.batch WHERE scope = ? ORDER BY open_batch.batch",
        )
        .bind(scope)
        .fetch_all(connection)
        .await
        .map_err(|error| self.error(error))?;
        rows.iter().map(|row| self.open_batch(row)).collect()
    }

    fn open_batch(&self, row: &SqliteRow) -> Result<OpenBatch, LedgerError> {
        let decode = |error| self.error(error);
        self.check_sum(row, 0, &BATCH)?;
        self.check_sum(row, 8, &OPEN_BATCH)?;
        let (items, keys): (&[u8], &[u8]) = (row.try_get(6).map_err(decode)?, row.try_get(9).map_err(decode)?);
        let len: u32 = row.try_get(5).map_err(decode)?;
        let open = open_items(keys, items, len);
        Ok(OpenBatch {
            id: BatchId(row.try_get::<i64, _>(0).map_err(decode)?.cast_unsigned()),
            run: RunId(row.try_get::<i64, _>(2).map_err(decode)?.cast_unsigned()),
            step: row.try_get(3).map_err(decode)?,
            opened_at: self.instant(row.try_get(4).map_err(decode)?)?,
            task: row.try_get(10).map_err(decode)?,
            len,
            items: open.ok_or_else(|| self.corrupt("the records of an open batch are damaged"))?,
        })
    }

    /// The runs for a query of `run`'s columns in their order.
    pub(super) fn run_info(&self, row: &SqliteRow) -> Result<RunInfo, LedgerError> {
        let decode = |error| self.error(error);
        self.check_sum(row, 0, &RUN)?;
        let finished_ms: Option<i64> = row.try_get(4).map_err(decode)?;
        let finish = match finished_ms {
            None => None,
            Some(at) => Some(RunFinish {
                finished_at: self.instant(at)?,
                exit: row.try_get(5).map_err(decode)?,
                summary_json: row.try_get(6).map_err(decode)?,
            }),
        };
        Ok(RunInfo {
            id: RunId(row.try_get::<i64, _>(0).map_err(decode)?.cast_unsigned()),
            start: RunStart {
                identity: row.try_get(1).map_err(decode)?,
                started_at: self.instant(row.try_get(2).map_err(decode)?)?,
                arguments_json: row.try_get(3).map_err(decode)?,
            },
            finish,
        })
    }

    pub(super) async fn history(
        &self,
        connection: &mut SqliteConnection,
        scope: &Scope,
        key: KeyHash,
    ) -> Result<Vec<Event>, LedgerError> {
        let Some(scope) = self.scope_id(connection, scope).await? else { return Ok(Vec::new()) };
        // First where the key is, which reads every blob once; then the few batches that held it.
        let mut held = Vec::new();
        let find = |items: &[u8]| {
            unpack_segment(items, |batch, items| {
                let found = unpack(items).find(|(hash, _)| *hash == key);
                held.extend(found.map(|(_, fingerprint)| (batch, 0, fingerprint, State::Accepted)));
            })
        };
        self.visit_segments(connection, scope, find).await?;
        let mut batches =
            sqlx::query(BATCHES).bind(scope).bind(0i64).bind(i64::MAX).bind(-1i64).fetch(&mut *connection);
        while let Some(row) = batches.try_next().await.map_err(|error| self.error(error))? {
            let stored = self.stored(&row)?;
            let found = unpack(stored.items).enumerate().find(|(_, (hash, _))| *hash == key);
            held.extend(found.map(|(position, (_, print))| (stored.id, position, print, stored.state(position))));
        }
        drop(batches);
        let mut events = Vec::with_capacity(held.len());
        for (batch, position, fingerprint, state) in held {
            let row = sqlx::query(
                "SELECT id, scope, run, step, opened_ms, len, items, batch.sum,
                        outcome.batch, settled_ms, refusals, states, outcome.sum,
                        coalesce(outcome.task, open_batch.task), attempts, request_id FROM batch LEFT JOIN open_batch ON open_batch.batch = batch.id
                 LEFT JOIN outcome ON outcome.batch = batch.id WHERE batch.id = ?",
            )
            .bind(batch.cast_signed())
            .fetch_one(&mut *connection)
            .await
            .map_err(|error| self.error(error))?;
            let decode = |error| self.error(error);
            self.check_sum(&row, 0, &BATCH)?;
            self.check_sum(&row, 8, &OUTCOME)?;
            let refusals: Option<String> = row.try_get(10).map_err(decode)?;
            let fate = match state {
                State::Open => Fate::Open,
                State::Accepted => Fate::Accepted,
                State::NeverKnown => Fate::NeverKnown,
                State::Failed => {
                    let refusals = refusals.map_or(Ok(Vec::new()), |text| self.refusals(&text))?;
                    let code = refusals.into_iter().find(|(at, _)| *at as usize == position).map(|(_, code)| code);
                    Fate::Failed { code: code.unwrap_or_default() }
                }
            };
            let settled_ms: Option<i64> = row.try_get(9).map_err(decode)?;
            events.push(Event {
                batch: BatchId(batch),
                run: RunId(row.try_get::<i64, _>(2).map_err(decode)?.cast_unsigned()),
                step: row.try_get(3).map_err(decode)?,
                opened_at: self.instant(row.try_get(4).map_err(decode)?)?,
                settled_at: settled_ms.map(|at| self.instant(at)).transpose()?,
                fingerprint,
                fate,
                task: row.try_get(13).map_err(decode)?,
                attempts: row.try_get::<Option<u32>, _>(14).map_err(decode)?.unwrap_or(0),
                request_id: row.try_get(15).map_err(decode)?,
            });
        }
        Ok(events)
    }

    /// The mark of a step. A file of format 1, opened only to read, has none.
    pub(super) async fn mark(
        &self,
        connection: &mut SqliteConnection,
        scope: &Scope,
        step: &str,
    ) -> Result<Option<StepMark>, LedgerError> {
        let marks: Option<i64> = sqlx::query_scalar("SELECT 1 FROM sqlite_schema WHERE name = 'mark'")
            .fetch_optional(&mut *connection)
            .await
            .map_err(|error| self.error(error))?;
        let (Some(_), Some(scope)) = (marks, self.scope_id(connection, scope).await?) else { return Ok(None) };
        let row = sqlx::query("SELECT scope, step, identity, value, sum FROM mark WHERE scope = ? AND step = ?")
            .bind(scope)
            .bind(step)
            .fetch_optional(connection)
            .await
            .map_err(|error| self.error(error))?;
        let Some(row) = row else { return Ok(None) };
        self.check_sum(&row, 0, &MARK)?;
        let decode = |error| self.error(error);
        Ok(Some(StepMark { identity: row.try_get(2).map_err(decode)?, value: row.try_get(3).map_err(decode)? }))
    }

    fn instant(&self, milliseconds: i64) -> Result<Timestamp, LedgerError> {
        Timestamp::from_millisecond(milliseconds).map_err(|_| self.corrupt("an instant is out of range"))
    }
}
