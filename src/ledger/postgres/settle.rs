//! What a settlement writes. The row of an open batch is locked by whoever settles it, so that two that settle the same one
//! come one after the other.

use std::sync::PoisonError;

use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::server::Server;
use super::{PostgresLedger, Trace};
use crate::batch::BatchId;
use crate::ledger::LedgerError;
use crate::ledger::segment::State;
use crate::ledger::verdict::{Verdict, keys_left};

/// Settles a batch of `$2` records that was accepted as a whole, of which nothing is settled yet.
const ACCEPT: &str = "
    WITH closed AS (
      DELETE FROM stigg_import.open_batch USING stigg_import.batch
      WHERE open_batch.batch = $1 AND batch.id = $1 AND batch.len = $2 AND open_batch.states IS NULL
      RETURNING open_batch.batch, open_batch.task)
    INSERT INTO stigg_import.outcome (batch, settled_ms, task, attempts, request_id)
    SELECT batch, $3, task, $4, $5 FROM closed";

const LOCK: &str = "
    SELECT batch.len, open_batch.keys, open_batch.states, open_batch.refusals
    FROM stigg_import.open_batch JOIN stigg_import.batch ON batch.id = open_batch.batch
    WHERE open_batch.batch = $1 FOR UPDATE OF open_batch";

const CLOSE: &str = "
    WITH closed AS (DELETE FROM stigg_import.open_batch WHERE batch = $1 RETURNING batch, task)
    INSERT INTO stigg_import.outcome (batch, settled_ms, task, attempts, request_id, refusals, states)
    SELECT batch, $2, task, $3, $4, $5, $6 FROM closed";

const NOTE: &str = "
    UPDATE stigg_import.open_batch SET attempts = $2, request_id = $3, refusals = $4, states = $5, keys = $6
    WHERE batch = $1";

impl Server {
    pub(super) async fn has_batch(&self, connection: &mut PgConnection, batch: BatchId) -> Result<bool, LedgerError> {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM stigg_import.batch WHERE id = $1)")
            .bind(batch.0.cast_signed())
            .fetch_one(connection)
            .await
            .map_err(|error| self.error(error))
    }
}

impl PostgresLedger {
    pub(super) async fn try_settle(
        &self,
        batch: BatchId,
        verdict: &Verdict,
        settled_ms: i64,
    ) -> Result<(), LedgerError> {
        let trace = self.traces.lock().unwrap_or_else(PoisonError::into_inner).get(&batch.0).cloned();
        let trace = trace.unwrap_or_default();
        let mut transaction = self.begin().await?;
        let closed = match verdict {
            Verdict::AllAccepted(len) if self.accept(&mut transaction, batch, *len, &trace, settled_ms).await? => true,
            Verdict::AllAccepted(_) | Verdict::Outcomes(_) | Verdict::NeverKnown(_) => {
                self.settle_some(&mut transaction, batch, verdict, &trace, settled_ms).await?
            }
        };
        self.commit(transaction).await?;
        if closed {
            self.traces.lock().unwrap_or_else(PoisonError::into_inner).remove(&batch.0);
        }
        Ok(())
    }

    async fn accept(
        &self,
        connection: &mut PgConnection,
        batch: BatchId,
        len: usize,
        trace: &Trace,
        settled_ms: i64,
    ) -> Result<bool, LedgerError> {
        let done = sqlx::query(ACCEPT)
            .bind(batch.0.cast_signed())
            .bind(i64::try_from(len).unwrap_or(i64::MAX))
            .bind(settled_ms)
            .bind(i64::from(trace.attempts))
            .bind(&trace.request_id)
            .execute(connection)
            .await
            .map_err(|error| self.server.error(error))?;
        Ok(done.rows_affected() == 1)
    }

    /// Returns whether the batch is closed.
    async fn settle_some(
        &self,
        connection: &mut PgConnection,
        batch: BatchId,
        verdict: &Verdict,
        trace: &Trace,
        settled_ms: i64,
    ) -> Result<bool, LedgerError> {
        let fail = |error| self.server.error(error);
        let row = sqlx::query(LOCK).bind(batch.0.cast_signed()).fetch_optional(&mut *connection).await.map_err(fail)?;
        let Some(row) = row else {
            let settled = self.server.has_batch(connection, batch).await?;
            return if settled { Ok(true) } else { Err(LedgerError::NoSuchBatch(batch)) };
        };
        let len = self.server.len(row.try_get(0).map_err(fail)?)?;
        let found = verdict.len(len);
        if found != len as usize {
            return Err(LedgerError::OutcomesMismatch { batch, expected: len, found });
        }
        let keys: &[u8] = row.try_get(1).map_err(fail)?;
        let mut states = match row.try_get(2).map_err(fail)? {
            Some(bytes) => self.server.states(bytes, len)?,
            None => vec![State::Open; len as usize],
        };
        let refusals: Option<&str> = row.try_get(3).map_err(fail)?;
        let mut refusals = refusals.map_or(Ok(Vec::new()), |text| self.server.refusals(text))?;
        if !verdict.apply(&mut states, &mut refusals) {
            return Ok(false);
        }
        let bytes: Vec<u8> = states.iter().map(|state| *state as u8).collect();
        let refusals =
            (!refusals.is_empty()).then(|| serde_json::to_string(&refusals).expect("numbers and texts are JSON"));
        let closes = !states.contains(&State::Open);
        let attempts = i64::from(trace.attempts);
        let query = if closes {
            sqlx::query(CLOSE)
                .bind(batch.0.cast_signed())
                .bind(settled_ms)
                .bind(attempts)
                .bind(&trace.request_id)
                .bind(refusals)
                .bind(bytes)
        } else {
            let left =
                keys_left(keys, &states).ok_or_else(|| self.server.corrupt("the keys of a batch are damaged"))?;
            sqlx::query(NOTE)
                .bind(batch.0.cast_signed())
                .bind(attempts)
                .bind(&trace.request_id)
                .bind(refusals)
                .bind(bytes)
                .bind(left)
        };
        query.execute(connection).await.map_err(fail)?;
        Ok(closes)
    }
}
