//! Merging settled batches into segments that hold each record once. See the twin for SQLite: only batches before the first
//! that is open are merged, and before the first that the latest run saw refused.
//!
//! Nothing is opened meanwhile, so that no batch is written among those that are being merged; whoever wants to waits.
//! Others may read, and settle.

use std::collections::HashMap;

use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::PostgresLedger;
use super::reader::{BATCHES, NEXT_SEGMENT, PAGE};
use crate::ledger::merge::{Merge, is_worth_it};
use crate::ledger::segment::{State, unpack, unpack_segment};
use crate::ledger::{Compacted, Compaction, Index, LedgerError, Scope};
use crate::record::{Fingerprint, KeyHash};

/// Other runs' openings end first; where one does not, there is another time.
const LOCK: &str = "
    SET LOCAL lock_timeout = '10s';
    SET LOCAL statement_timeout = '10min';
    LOCK TABLE stigg_import.batch IN SHARE ROW EXCLUSIVE MODE;";

/// What is merged of a scope: batches before `limit`, and segments up to `segment_last`.
#[derive(Clone, Copy)]
struct Part {
    scope: i32,
    limit: i64,
    segment_last: i64,
}

impl PostgresLedger {
    pub(super) async fn compact_all(&self, when: Compaction, mut scratch: Index) -> Result<Compacted, LedgerError> {
        let known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let mut total = Compacted::default();
        for (id, scope) in self.server.scopes().await? {
            let done = self.compact_scope(id, &scope, when, &mut scratch, &known).await?;
            total.batches += done.batches;
            total.records_dropped += done.records_dropped;
        }
        Ok(total)
    }

    async fn compact_scope(
        &self,
        id: i32,
        scope: &Scope,
        when: Compaction,
        scratch: &mut Index,
        known: &HashMap<Scope, usize>,
    ) -> Result<Compacted, LedgerError> {
        let fail = |error| self.server.error(error);
        // Without a lock first: mostly it's not worth it.
        let mut connection = self.server.pool.acquire().await.map_err(fail)?;
        let (_, batches, records) = self.extent(&mut connection, id).await?;
        drop(connection);
        let worth = match when {
            Compaction::WhenWorthIt => is_worth_it(batches, records, known.get(scope).copied()),
            Compaction::Now => batches > 0,
        };
        if !worth {
            return Ok(Compacted::default());
        }
        let mut transaction = self.begin().await?;
        sqlx::raw_sql(LOCK).execute(&mut *transaction).await.map_err(fail)?;
        let (part, batches, _) = self.extent(&mut transaction, id).await?;
        let (kept, records_dropped) = {
            let mut merge = Merge::with(scratch);
            self.replay(&mut transaction, part, |_, records| {
                merge.learn(records);
                None
            })
            .await?;
            merge.begin_again();
            self.replay(&mut transaction, part, |batch, records| merge.keep(batch, records)).await?;
            if let Some(last) = merge.last() {
                self.insert_segment(&mut transaction, id, last).await?;
            }
            let kept: Vec<i64> = merge.kept().iter().map(|batch| batch.cast_signed()).collect();
            (kept, merge.records_dropped())
        };
        sqlx::query("DELETE FROM stigg_import.segment WHERE scope = $1 AND id <= $2")
            .bind(id)
            .bind(part.segment_last)
            .execute(&mut *transaction)
            .await
            .map_err(fail)?;
        for sql in [
            "DELETE FROM stigg_import.outcome USING stigg_import.batch WHERE batch.id = outcome.batch
               AND batch.scope = $1 AND batch.id < $2 AND NOT EXISTS (SELECT FROM unnest($3::bigint[]) AS kept (id) WHERE kept.id = batch.id)",
            "DELETE FROM stigg_import.sketch USING stigg_import.batch WHERE batch.id = sketch.batch
               AND batch.scope = $1 AND batch.id < $2 AND NOT EXISTS (SELECT FROM unnest($3::bigint[]) AS kept (id) WHERE kept.id = batch.id)",
            "DELETE FROM stigg_import.batch WHERE scope = $1 AND id < $2
               AND NOT EXISTS (SELECT FROM unnest($3::bigint[]) AS kept (id) WHERE kept.id = batch.id)",
        ] {
            sqlx::query(sql).bind(id).bind(part.limit).bind(&kept).execute(&mut *transaction).await.map_err(fail)?;
        }
        for sql in [
            "UPDATE stigg_import.outcome SET states = NULL, refusals = NULL FROM stigg_import.batch
             WHERE batch.id = outcome.batch AND batch.scope = $1 AND batch.id < $2 AND outcome.states IS NOT NULL",
            "UPDATE stigg_import.batch SET items = NULL WHERE scope = $1 AND id < $2 AND items IS NOT NULL",
        ] {
            sqlx::query(sql).bind(id).bind(part.limit).execute(&mut *transaction).await.map_err(fail)?;
        }
        self.commit(transaction).await?;
        Ok(Compacted { batches: batches.cast_unsigned(), records_dropped })
    }

    /// What of a scope can be merged: the part, its batches that are in no segment, and all of its records.
    async fn extent(&self, connection: &mut PgConnection, scope: i32) -> Result<(Part, i64, i64), LedgerError> {
        let fail = |error| self.server.error(error);
        let limit: i64 = sqlx::query_scalar(
            "SELECT coalesce(min(id), 9223372036854775807) FROM (
               SELECT batch.id FROM stigg_import.open_batch JOIN stigg_import.batch ON batch.id = open_batch.batch
               WHERE batch.scope = $1
               UNION ALL
               SELECT batch.id FROM stigg_import.outcome JOIN stigg_import.batch ON batch.id = outcome.batch
               WHERE batch.scope = $1 AND outcome.refusals IS NOT NULL
                 AND batch.run = (SELECT max(run) FROM stigg_import.batch WHERE scope = $1)) AS stops",
        )
        .bind(scope)
        .fetch_one(&mut *connection)
        .await
        .map_err(fail)?;
        let (batches, in_batches): (i64, i64) = sqlx::query_as(
            "SELECT count(*), coalesce(sum(len), 0) FROM stigg_import.batch
             WHERE scope = $1 AND items IS NOT NULL AND id < $2",
        )
        .bind(scope)
        .bind(limit)
        .fetch_one(&mut *connection)
        .await
        .map_err(fail)?;
        let (in_segments, segment_last): (i64, i64) = sqlx::query_as(
            "SELECT coalesce(sum(records), 0)::bigint, coalesce(max(id), 0) FROM stigg_import.segment WHERE scope = $1",
        )
        .bind(scope)
        .fetch_one(connection)
        .await
        .map_err(fail)?;
        Ok((Part { scope, limit, segment_last }, batches, in_batches + in_segments))
    }

    /// Visits the records of every merged or settled batch of a part, in the order of openings. A segment that `visit`
    /// returns is written.
    async fn replay<V>(&self, connection: &mut PgConnection, part: Part, mut visit: V) -> Result<(), LedgerError>
    where
        V: FnMut(u64, &mut dyn Iterator<Item = (KeyHash, Fingerprint, State)>) -> Option<(Vec<u8>, u64)> + Send,
    {
        let fail = |error| self.server.error(error);
        let mut after = 0i64;
        loop {
            let next: Option<(i64, Vec<u8>)> = sqlx::query_as(NEXT_SEGMENT)
                .bind(part.scope)
                .bind(after)
                .bind(part.segment_last)
                .fetch_optional(&mut *connection)
                .await
                .map_err(fail)?;
            let Some((id, items)) = next else { break };
            let mut written = Vec::new();
            let intact = unpack_segment(&items, |batch, items| {
                let mut records = unpack(items).map(|(hash, print)| (hash, print, State::Accepted));
                written.extend(visit(batch, &mut records));
            });
            if !intact {
                return Err(self.server.corrupt("a segment is damaged"));
            }
            for segment in written {
                self.insert_segment(connection, part.scope, segment).await?;
            }
            after = id;
        }
        let mut after = 0i64;
        loop {
            let page = sqlx::query(BATCHES)
                .bind(part.scope)
                .bind(after)
                .bind(part.limit)
                .bind(0i64)
                .bind(PAGE)
                .fetch_all(&mut *connection)
                .await
                .map_err(fail)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.try_get(0).map_err(fail)?;
            let mut written = Vec::new();
            for row in &page {
                let stored = self.server.stored(row)?;
                written.extend(visit(stored.id, &mut stored.records()));
            }
            for segment in written {
                self.insert_segment(connection, part.scope, segment).await?;
            }
        }
    }

    async fn insert_segment(
        &self,
        connection: &mut PgConnection,
        scope: i32,
        (items, records): (Vec<u8>, u64),
    ) -> Result<(), LedgerError> {
        sqlx::query("INSERT INTO stigg_import.segment (scope, records, items) VALUES ($1, $2, $3)")
            .bind(scope)
            .bind(records.cast_signed())
            .bind(items)
            .execute(connection)
            .await
            .map(drop)
            .map_err(|error| self.server.error(error))
    }
}
