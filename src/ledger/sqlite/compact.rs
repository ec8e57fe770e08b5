//! Merging settled batches into segments that hold each record once.
//!
//! Only batches before the first one that is open are merged, so that every merged batch is older
//! than every other, and replaying segments first keeps the order of openings. Refusals of the
//! latest run stop the merge in the same way: `why` still finds them.

use std::collections::HashMap;

use sqlx::Row as _;

use super::reader::BATCHES;
use super::writer::Writer;
use crate::ledger::merge::{Merge, is_worth_it};
use crate::ledger::segment::{State, unpack, unpack_segment};
use crate::ledger::{Compacted, Compaction, Index, LedgerError, Scope};
use crate::record::Fingerprint;

/// Batches that are held at once while they are read, 2 MB at most.
const PAGE: i64 = 100;

impl Writer {
    pub(super) async fn compact(
        &mut self,
        when: Compaction,
        mut latest: Index,
        known: &HashMap<Scope, usize>,
    ) -> Result<Compacted, LedgerError> {
        let mut total = Compacted::default();
        for (id, scope) in self.database.clone().scopes(&mut self.connection).await? {
            self.database.run(&mut self.connection, "BEGIN IMMEDIATE").await?;
            let done = self.compact_scope(id, when, &mut latest, known.get(&scope).copied()).await?;
            self.database.run(&mut self.connection, "COMMIT").await?;
            total.batches += done.batches;
            total.records_dropped += done.records_dropped;
        }
        if total.batches > 0 {
            // The log took a copy of everything; give its space back. A reader may prevent that.
            self.database.run(&mut self.connection, "PRAGMA wal_checkpoint(TRUNCATE)").await?;
        }
        Ok(total)
    }

    async fn compact_scope(
        &mut self,
        scope: i64,
        when: Compaction,
        latest: &mut Index,
        known: Option<usize>,
    ) -> Result<Compacted, LedgerError> {
        let limit: i64 = sqlx::query_scalar(
            "SELECT coalesce(min(batch), 9223372036854775807) FROM (
               SELECT batch FROM open_batch JOIN batch ON batch.id = open_batch.batch WHERE scope = ?1
               UNION ALL
               SELECT batch FROM outcome JOIN batch ON batch.id = outcome.batch WHERE scope = ?1
                 AND refusals IS NOT NULL AND run = (SELECT max(run) FROM batch WHERE scope = ?1))",
        )
        .bind(scope)
        .fetch_one(&mut self.connection)
        .await
        .map_err(|error| self.database.error(error))?;
        // In one pass: the batches' rows hold their items, so that each pass reads the whole file.
        let (batches, in_batches): (i64, i64) = sqlx::query_as(
            "SELECT count(*), coalesce(sum(len), 0) FROM batch WHERE scope = ? AND items IS NOT NULL AND id < ?",
        )
        .bind(scope)
        .bind(limit)
        .fetch_one(&mut self.connection)
        .await
        .map_err(|error| self.database.error(error))?;
        let (in_segments, segment_last): (i64, i64) =
            sqlx::query_as("SELECT coalesce(sum(records), 0), coalesce(max(id), 0) FROM segment WHERE scope = ?")
                .bind(scope)
                .fetch_one(&mut self.connection)
                .await
                .map_err(|error| self.database.error(error))?;
        let records = in_batches + in_segments;
        let worth = match when {
            Compaction::WhenWorthIt => is_worth_it(batches, records, known),
            Compaction::Now => batches > 0,
        };
        if !worth {
            return Ok(Compacted::default());
        }
        let mut merge = Merge::with(latest);
        self.replay(scope, limit, segment_last, |_, records| {
            merge.learn(records);
            None
        })
        .await?;
        merge.begin_again();
        self.replay(scope, limit, segment_last, |batch, records| merge.keep(batch, records)).await?;
        if let Some(last) = merge.last() {
            self.insert_segment(scope, last).await?;
        }
        let (kept, kept_records) = (merge.kept(), merge.kept_records());
        let kept = serde_json::to_string(kept).expect("numbers are JSON");
        self.change("DELETE FROM segment WHERE scope = ?1 AND id <= ?2", scope, segment_last, None).await?;
        for sql in [
            "DELETE FROM outcome WHERE batch IN (SELECT id FROM batch WHERE scope = ?1 AND id < ?2
               AND id NOT IN (SELECT value FROM json_each(?3)))",
            "DELETE FROM sketch WHERE batch IN (SELECT id FROM batch WHERE scope = ?1 AND id < ?2
               AND id NOT IN (SELECT value FROM json_each(?3)))",
            "DELETE FROM batch WHERE scope = ?1 AND id < ?2 AND id NOT IN (SELECT value FROM json_each(?3))",
        ] {
            self.change(sql, scope, limit, Some(&kept)).await?;
        }
        for sql in [
            "UPDATE outcome SET states = NULL, refusals = NULL WHERE states IS NOT NULL
               AND batch IN (SELECT id FROM batch WHERE scope = ?1 AND id < ?2)",
            "UPDATE batch SET items = NULL WHERE scope = ?1 AND id < ?2 AND items IS NOT NULL",
        ] {
            self.change(sql, scope, limit, None).await?;
        }
        Ok(Compacted {
            batches: batches.cast_unsigned(),
            records_dropped: records.cast_unsigned().saturating_sub(kept_records),
        })
    }

    /// Visits the records of every merged or settled batch before `limit`, in the order of openings.
    /// A segment that `visit` returns is written.
    async fn replay<V>(&mut self, scope: i64, limit: i64, segment_last: i64, mut visit: V) -> Result<(), LedgerError>
    where
        V: FnMut(u64, &mut dyn Iterator<Item = (crate::record::KeyHash, Fingerprint, State)>) -> Option<(Vec<u8>, u64)>,
    {
        let mut after = 0i64;
        loop {
            let next: Option<(i64, Vec<u8>)> =
                sqlx::query_as("SELECT id, items FROM segment WHERE scope = ? AND id > ? AND id <= ? ORDER BY id")
                    .bind(scope)
                    .bind(after)
                    .bind(segment_last)
                    .fetch_optional(&mut self.connection)
                    .await
                    .map_err(|error| self.database.error(error))?;
            let Some((id, items)) = next else { break };
            let mut written = Vec::new();
            let intact = unpack_segment(&items, |batch, items| {
                let mut records = unpack(items).map(|(hash, print)| (hash, print, State::Accepted));
                written.extend(visit(batch, &mut records));
            });
            if !intact {
                return Err(self.database.corrupt("a segment is damaged"));
            }
            for segment in written {
                self.insert_segment(scope, segment).await?;
            }
            after = id;
        }
        let mut after = 0i64;
        loop {
            let page = sqlx::query(BATCHES)
                .bind(scope)
                .bind(after)
                .bind(limit)
                .bind(PAGE)
                .fetch_all(&mut self.connection)
                .await
                .map_err(|error| self.database.error(error))?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.try_get(0).map_err(|error| self.database.error(error))?;
            for row in &page {
                let stored = self.database.stored(row)?;
                if let Some(segment) = visit(stored.id, &mut stored.records()) {
                    self.insert_segment(scope, segment).await?;
                }
            }
        }
    }

    async fn change(
        &mut self,
        sql: &'static str,
        scope: i64,
        limit: i64,
        kept: Option<&str>,
    ) -> Result<(), LedgerError> {
        let query = sqlx::query(sql).bind(scope).bind(limit);
        let query = if let Some(kept) = kept { query.bind(kept) } else { query };
        query.execute(&mut self.connection).await.map(drop).map_err(|error| self.database.error(error))
    }

    async fn insert_segment(&mut self, scope: i64, (items, records): (Vec<u8>, u64)) -> Result<(), LedgerError> {
        sqlx::query("INSERT INTO segment (scope, records, items) VALUES (?, ?, ?)")
            .bind(scope)
            .bind(records.cast_signed())
            .bind(items)
            .execute(&mut self.connection)
            .await
            .map(drop)
            .map_err(|error| self.database.error(error))
    }
}
