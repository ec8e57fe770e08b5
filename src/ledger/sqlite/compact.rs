//! Merging settled batches into segments that hold each record once.
//!
//! Only batches before the first one that is open are merged, so that every merged batch is older
//! than every other, and replaying segments first keeps the order of openings. Refusals of the
//! latest run stop the merge in the same way: `why` still finds them.

use std::collections::HashMap;

use sqlx::Row as _;

use super::estimate::Estimate;
use super::reader::{BATCHES, NEXT_SEGMENT};
use super::sum::SEGMENT;
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
        // `CROSS JOIN` keeps the order: a pass over the batches' rows, which hold their items, would read the whole file.
        let limit: i64 = sqlx::query_scalar(
            "SELECT coalesce(min(batch), 9223372036854775807) FROM (
               SELECT batch FROM open_batch CROSS JOIN batch ON batch.id = open_batch.batch WHERE scope = ?1
               UNION ALL
               SELECT batch FROM outcome CROSS JOIN batch ON batch.id = outcome.batch WHERE refusals IS NOT NULL AND scope = ?1
                 AND run = (SELECT run FROM batch WHERE scope = ?1 ORDER BY id DESC LIMIT 1))",
        )
        .bind(scope)
        .fetch_one(&mut self.connection)
        .await
        .map_err(|error| self.database.error(error))?;
        let (in_segments, segment_last): (i64, i64) =
            sqlx::query_as("SELECT coalesce(sum(records), 0), coalesce(max(id), 0) FROM segment WHERE scope = ?")
                .bind(scope)
                .fetch_one(&mut self.connection)
                .await
                .map_err(|error| self.database.error(error))?;
        let worth = match when {
            Compaction::WhenWorthIt => {
                let Estimate { batches, records, different: _ } =
                    self.database.estimate(&mut self.connection, scope, 0, limit).await?;
                is_worth_it(batches, records + in_segments, known)
            }
            Compaction::Now => sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM batch WHERE scope = ? AND items IS NOT NULL AND id < ?)",
            )
            .bind(scope)
            .bind(limit)
            .fetch_one(&mut self.connection)
            .await
            .map_err(|error| self.database.error(error))?,
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
        let emptied = self.replay(scope, limit, segment_last, |batch, records| merge.keep(batch, records)).await?;
        if let Some(last) = merge.last() {
            self.insert_segment(scope, last).await?;
        }
        let (kept, records_dropped) = (merge.kept(), merge.records_dropped());
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
        let merged_batches = emptied.len();
        let emptied = serde_json::to_string(&emptied).expect("numbers are JSON");
        for sql in [
            "UPDATE outcome SET states = NULL, refusals = NULL, sum = list.value ->> 2
             FROM json_each(?3) AS list WHERE outcome.batch = list.value ->> 0",
            "UPDATE batch SET items = NULL, sum = list.value ->> 1
             FROM json_each(?3) AS list WHERE scope = ?1 AND batch.id = list.value ->> 0 AND batch.id < ?2",
        ] {
            self.change(sql, scope, limit, Some(&emptied)).await?;
        }
        Ok(Compacted { batches: merged_batches as u64, records_dropped })
    }

    /// Visits the records of every merged or settled batch before `limit`, in the order of openings.
    /// A segment that `visit` returns is written. Returns the settled batches, with the sums that their rows and those of
    /// their outcomes have when they are merged.
    async fn replay<V>(
        &mut self,
        scope: i64,
        limit: i64,
        segment_last: i64,
        mut visit: V,
    ) -> Result<Vec<(i64, i64, i64)>, LedgerError>
    where
        V: FnMut(u64, &mut dyn Iterator<Item = (crate::record::KeyHash, Fingerprint, State)>) -> Option<(Vec<u8>, u64)>,
    {
        let mut after = 0i64;
        loop {
            let next = sqlx::query(NEXT_SEGMENT)
                .bind(scope)
                .bind(after)
                .fetch_optional(&mut self.connection)
                .await
                .map_err(|error| self.database.error(error))?;
            let Some(row) = next else { break };
            let decode = |error| self.database.error(error);
            after = row.try_get(0).map_err(decode)?;
            if after > segment_last {
                break;
            }
            self.database.check_sum(&row, 0, &SEGMENT)?;
            let mut written = Vec::new();
            let intact = unpack_segment(row.try_get(3).map_err(decode)?, |batch, items| {
                let mut records = unpack(items).map(|(hash, print)| (hash, print, State::Accepted));
                written.extend(visit(batch, &mut records));
            });
            if !intact {
                return Err(self.database.corrupt("a segment is damaged"));
            }
            for segment in written {
                self.insert_segment(scope, segment).await?;
            }
        }
        let (mut after, mut merged) = (0i64, Vec::new());
        loop {
            let page = sqlx::query(BATCHES)
                .bind(scope)
                .bind(after)
                .bind(limit)
                .bind(PAGE)
                .fetch_all(&mut self.connection)
                .await
                .map_err(|error| self.database.error(error))?;
            let Some(last) = page.last() else { return Ok(merged) };
            after = last.try_get(0).map_err(|error| self.database.error(error))?;
            for row in &page {
                let stored = self.database.stored(row)?;
                let segment = visit(stored.id, &mut stored.records());
                merged.push(self.database.merged_sums(row)?);
                if let Some(segment) = segment {
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
        let id = self.number("SELECT coalesce(max(id), 0) + 1 FROM segment").await?;
        let sum = SEGMENT.begin().number(id).number(scope).number(records.cast_signed()).bytes(&items);
        sqlx::query("INSERT INTO segment (id, scope, records, items, sum) VALUES (?, ?, ?, ?, ?)")
            .bind(id)
            .bind(scope)
            .bind(records.cast_signed())
            .bind(items)
            .bind(sum.stored())
            .execute(&mut self.connection)
            .await
            .map(drop)
            .map_err(|error| self.database.error(error))
    }
}
