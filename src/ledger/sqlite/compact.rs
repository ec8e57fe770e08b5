//! Merging settled batches into segments that hold each record once.
//!
//! Only batches before the first one that is open are merged, so that every merged batch is older
//! than every other, and replaying segments first keeps the order of openings. Refusals of the
//! latest run stop the merge in the same way: `why` still finds them.

use std::collections::HashMap;

use sqlx::Row as _;

use super::reader::BATCHES;
use super::writer::Writer;
use crate::ledger::segment::{SegmentBuilder, State, unpack, unpack_segment};
use crate::ledger::{Compacted, Compaction, Index, LedgerError, Scope};
use crate::record::Fingerprint;

/// Number of batches below which merging is not worth it, however small they are.
const BATCHES_FREE: i64 = 20_000;

/// Mean number of records of a batch from which merging is not worth it: its own row then takes little space and time
/// beside them. Many runs with few changes each make small batches, an import makes large ones.
const RECORDS_LARGE: i64 = 20;

/// Number of superseded records below which their share does not matter.
const GARBAGE_FREE: i64 = 10_000;

/// Batches that are held at once while they are read, 2 MB at most.
const PAGE: i64 = 100;

/// Place of a record whose outcome was never known.
const NEVER_KNOWN: u32 = u32::MAX;

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
        latest.clear();
        let mut place = 0u32;
        self.replay(scope, limit, segment_last, |_, records| {
            place += 1;
            let records: Vec<_> = records.collect();
            latest.approach(records.iter().map(|(hash, ..)| *hash));
            for (hash, fingerprint, state) in records {
                match state {
                    State::Accepted => latest.put(hash, fingerprint, place),
                    State::NeverKnown => latest.put(hash, Fingerprint(0), NEVER_KNOWN),
                    State::Failed | State::Open => {}
                }
            }
            None
        })
        .await?;

        let (mut segment, mut kept, mut place) = (SegmentBuilder::default(), Vec::new(), 0u32);
        let mut kept_records = 0;
        self.replay(scope, limit, segment_last, |batch, records| {
            place += 1;
            segment.begin_batch(batch);
            let records: Vec<_> = records.collect();
            latest.approach(records.iter().map(|(hash, ..)| *hash));
            for (hash, fingerprint, state) in records {
                if state == State::Accepted && latest.place(hash) == Some(place) {
                    segment.push(hash, fingerprint);
                    kept_records += 1;
                }
            }
            if segment.end_batch() {
                kept.push(batch);
            }
            if segment.is_full() { segment.finish() } else { None }
        })
        .await?;
        if let Some(last) = segment.finish() {
            self.insert_segment(scope, last).await?;
        }
        let kept = serde_json::to_string(&kept).expect("numbers are JSON");
        self.change("DELETE FROM segment WHERE scope = ?1 AND id <= ?2", scope, segment_last, None).await?;
        for sql in [
            "DELETE FROM outcome WHERE batch IN (SELECT id FROM batch WHERE scope = ?1 AND id < ?2
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
                let mut records = unpack(stored.items)
                    .enumerate()
                    .map(|(position, (hash, print))| (hash, print, stored.state(position)));
                let written = visit(stored.id, &mut records);
                drop(records);
                if let Some(segment) = written {
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

/// Whether merging gains more than it costs: there are many small batches, or most records have been superseded since.
fn is_worth_it(batches: i64, records: i64, known: Option<usize>) -> bool {
    let small = batches > BATCHES_FREE && records < batches * RECORDS_LARGE;
    let garbage = known.is_some_and(|known| known > 0 && records - GARBAGE_FREE > 2 * known as i64);
    small || garbage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_batches_and_much_garbage_are_worth_merging_but_not_an_import() {
        assert!(!is_worth_it(10_000, 1_000_000, Some(1_000_000)), "a million usage records, imported");
        assert!(!is_worth_it(100_000, 10_000_000, Some(10_000_000)), "ten millions");
        assert!(!is_worth_it(20_000, 20_000, Some(15_000)), "small batches, but not many");
        assert!(is_worth_it(20_001, 300_000, Some(250_000)), "years of small changes");
        assert!(is_worth_it(30_000, 3_000_000, Some(1_000_000)), "every record was delivered three times");
        assert!(!is_worth_it(8, 9_000, Some(1_000)), "little garbage, whatever its share");
        assert!(!is_worth_it(10_000, 1_000_000, None), "the index was never loaded");
    }
}
