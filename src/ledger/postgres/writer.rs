//! What is written: runs, openings, tasks, marks. Each may be repeated after a lost connection.

use std::sync::PoisonError;

use super::PostgresLedger;
use crate::batch::{Batch, BatchId};
use crate::ledger::segment::{pack, pack_batch_keys};
use crate::ledger::sketch::pack_sketches;
use crate::ledger::{LedgerError, RunFinish, RunId, RunStart, Scope, StepMark};

/// Writes batches under ids that were taken before: those that an attempt without an answer has written are left.
const OPEN: &str = "
    WITH new AS (SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bytea[], $4::bytea[]) AS new (id, len, items, keys)),
         batches AS (
           INSERT INTO stigg_import.batch (id, scope, run, step, opened_ms, len, items)
           SELECT id, $5, $6, $7, $8, len, items FROM new ON CONFLICT (id) DO NOTHING)
    INSERT INTO stigg_import.open_batch (batch, keys) SELECT id, keys FROM new ON CONFLICT (batch) DO NOTHING";

/// Writes what goes with those that have sketches, in the same transaction; what has none does not wait for it.
const OPEN_SKETCHES: &str = "
    INSERT INTO stigg_import.sketch (batch, fields) SELECT * FROM unnest($1::bigint[], $2::bytea[])
    ON CONFLICT (batch) DO NOTHING";

/// Batches, packed.
#[derive(Default)]
struct Packed {
    ids: Vec<i64>,
    lens: Vec<i32>,
    items: Vec<Vec<u8>>,
    keys: Vec<Vec<u8>>,
    /// The ids of those that have sketches.
    sketched: Vec<i64>,
    sketches: Vec<Vec<u8>>,
}

impl PostgresLedger {
    /// Takes ids from a sequence, rising. Some may never be used.
    pub(super) async fn next_ids(&self, sql: &'static str, count: usize) -> Result<Vec<i64>, LedgerError> {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        self.may_write()?;
        self.server
            .written(|| async {
                let mut ids: Vec<i64> = sqlx::query_scalar(sql)
                    .bind(count)
                    .fetch_all(&self.server.pool)
                    .await
                    .map_err(|error| self.server.error(error))?;
                ids.sort_unstable();
                Ok(ids)
            })
            .await
    }

    pub(super) async fn open_all(
        &self,
        run: RunId,
        step: &str,
        scope: &Scope,
        batches: &[&Batch],
    ) -> Result<Vec<BatchId>, LedgerError> {
        if batches.is_empty() {
            return Ok(Vec::new());
        }
        let opened_ms = self.now_ms();
        let scope = self.server.written(|| self.scope_id(scope)).await?;
        let taking = "SELECT nextval('stigg_import.batch_id') FROM generate_series(1, $1)";
        let mut packed = Packed { ids: self.next_ids(taking, batches.len()).await?, ..Packed::default() };
        for (at, batch) in batches.iter().enumerate() {
            if let Some(sketches) = pack_sketches(batch) {
                packed.sketched.push(packed.ids[at]);
                packed.sketches.push(sketches);
            }
            packed.lens.push(i32::try_from(batch.items.len()).expect("a batch stays under 4 GiB"));
            let (mut items, mut keys) = (Vec::new(), Vec::new());
            pack(&mut items, batch);
            pack_batch_keys(&mut keys, batch);
            packed.items.push(items);
            packed.keys.push(keys);
        }
        self.server.written(|| self.try_open(run, step, scope, opened_ms, &packed)).await?;
        Ok(packed.ids.iter().map(|id| BatchId(id.cast_unsigned())).collect())
    }

    async fn try_open(
        &self,
        run: RunId,
        step: &str,
        scope: i32,
        opened_ms: i64,
        packed: &Packed,
    ) -> Result<(), LedgerError> {
        let mut transaction = self.begin().await?;
        sqlx::query(OPEN)
            .bind(&packed.ids)
            .bind(&packed.lens)
            .bind(&packed.items)
            .bind(&packed.keys)
            .bind(scope)
            .bind(run.0.cast_signed())
            .bind(step)
            .bind(opened_ms)
            .execute(&mut *transaction)
            .await
            .map_err(|error| self.server.error(error))?;
        if !packed.sketched.is_empty() {
            sqlx::query(OPEN_SKETCHES)
                .bind(&packed.sketched)
                .bind(&packed.sketches)
                .execute(&mut *transaction)
                .await
                .map_err(|error| self.server.error(error))?;
        }
        self.commit(transaction).await
    }

    /// The scope's number, which it gets where it has none.
    async fn scope_id(&self, scope: &Scope) -> Result<i32, LedgerError> {
        if let Some(id) = self.scopes.lock().unwrap_or_else(PoisonError::into_inner).get(scope) {
            return Ok(*id);
        }
        let mut transaction = self.begin().await?;
        let id: i32 = sqlx::query_scalar(
            "INSERT INTO stigg_import.scope (target, entity) VALUES ($1, $2)
             ON CONFLICT (target, entity) DO UPDATE SET target = excluded.target RETURNING id",
        )
        .bind(&scope.target)
        .bind(scope.entity.name())
        .fetch_one(&mut *transaction)
        .await
        .map_err(|error| self.server.error(error))?;
        self.commit(transaction).await?;
        self.scopes.lock().unwrap_or_else(PoisonError::into_inner).insert(scope.clone(), id);
        Ok(id)
    }

    pub(super) async fn try_begin_run(&self, id: i64, start: &RunStart) -> Result<(), LedgerError> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "INSERT INTO stigg_import.run (id, identity, started_ms, arguments) VALUES ($1, $2, $3, $4)
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(id)
        .bind(&start.identity)
        .bind(start.started_at.as_millisecond())
        .bind(&start.arguments_json)
        .execute(&mut *transaction)
        .await
        .map_err(|error| self.server.error(error))?;
        self.commit(transaction).await
    }

    pub(super) async fn try_finish_run(&self, run: RunId, finish: &RunFinish) -> Result<(), LedgerError> {
        let mut transaction = self.begin().await?;
        let changed =
            sqlx::query("UPDATE stigg_import.run SET finished_ms = $2, exit = $3, summary = $4 WHERE id = $1")
                .bind(run.0.cast_signed())
                .bind(finish.finished_at.as_millisecond())
                .bind(finish.exit)
                .bind(&finish.summary_json)
                .execute(&mut *transaction)
                .await
                .map_err(|error| self.server.error(error))?;
        self.commit(transaction).await?;
        if changed.rows_affected() == 0 { Err(LedgerError::NoSuchRun(run)) } else { Ok(()) }
    }

    pub(super) async fn try_note_task(&self, batch: BatchId, task: &str) -> Result<(), LedgerError> {
        let mut transaction = self.begin().await?;
        let changed = sqlx::query("UPDATE stigg_import.open_batch SET task = $2 WHERE batch = $1")
            .bind(batch.0.cast_signed())
            .bind(task)
            .execute(&mut *transaction)
            .await
            .map_err(|error| self.server.error(error))?;
        if changed.rows_affected() == 0 && !self.server.has_batch(&mut transaction, batch).await? {
            return Err(LedgerError::NoSuchBatch(batch));
        }
        self.commit(transaction).await
    }

    /// Each settlement before it was durable before it returned.
    pub(super) async fn try_set_mark(
        &self,
        scope: &Scope,
        step: &str,
        mark: Option<&StepMark>,
    ) -> Result<(), LedgerError> {
        let scope = self.scope_id(scope).await?;
        let mut transaction = self.begin().await?;
        let query = match mark {
            Some(mark) => sqlx::query(
                "INSERT INTO stigg_import.mark (scope, step, identity, value) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (scope, step) DO UPDATE SET identity = excluded.identity, value = excluded.value",
            )
            .bind(scope)
            .bind(step)
            .bind(&mark.identity)
            .bind(&mark.value),
            None => sqlx::query("DELETE FROM stigg_import.mark WHERE scope = $1 AND step = $2").bind(scope).bind(step),
        };
        query.execute(&mut *transaction).await.map_err(|error| self.server.error(error))?;
        self.commit(transaction).await
    }
}
