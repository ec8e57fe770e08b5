//! Forgetting old runs, and giving the file's free space back.

use super::writer::Writer;
use crate::ledger::LedgerError;

/// Free pages below which the file is not made smaller: they are used again.
const FREE_PAGES_MIN: i64 = 4096;

impl Writer {
    pub(super) async fn prune(&mut self, before_ms: i64) -> Result<u64, LedgerError> {
        let database = self.database.clone();
        // What `why` tells of a record names its run, so a run stays as long as a batch of it does; without what it said.
        let forgotten = sqlx::query(
            "DELETE FROM run WHERE coalesce(finished_ms, started_ms) < ?1 AND id < (SELECT max(id) FROM run)
               AND id NOT IN (SELECT run FROM batch)",
        );
        let forgotten =
            forgotten.bind(before_ms).execute(&mut self.connection).await.map_err(|error| database.error(error))?;
        self.empty_runs(before_ms).await?;
        let (free, all): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT freelist_count FROM pragma_freelist_count), (SELECT page_count FROM pragma_page_count)",
        )
        .fetch_one(&mut self.connection)
        .await
        .map_err(|error| database.error(error))?;
        if is_worth_a_copy(free, all) {
            database.run(&mut self.connection, "VACUUM").await?;
            // The log took a copy of everything; give its space back. A reader may prevent that.
            database.run(&mut self.connection, "PRAGMA wal_checkpoint(TRUNCATE)").await?;
        }
        Ok(forgotten.rows_affected())
    }
}

/// Whether so many free pages, of all, are worth that the file is written anew.
fn is_worth_a_copy(free: i64, all: i64) -> bool {
    free >= FREE_PAGES_MIN && free * 2 >= all
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::ledger::conformance::{batch, scope, start};
    use crate::ledger::{Access, Compaction, Durability, Index, Ledger, RunFinish, SqliteLedger};

    #[test]
    fn a_file_is_copied_when_half_of_it_is_free_and_that_is_much() {
        assert!(!is_worth_a_copy(4095, 4100), "16 MiB of a small file");
        assert!(!is_worth_a_copy(5000, 10_001), "less than half");
        assert!(is_worth_a_copy(5000, 10_000));
    }

    #[tokio::test]
    async fn space_that_became_free_is_given_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        let ledger = SqliteLedger::open(&path, Access::Write, Durability::ProcessEnd, Arc::new(SystemClock));
        let (ledger, scope) = (ledger.await.expect("open"), scope());
        let run = ledger.begin_run(start()).await.expect("begun");
        let keys: Vec<String> = (0..80_000).map(|number| format!("customer-{number}")).collect();
        for content in 0..12 {
            let records: Vec<_> = keys.iter().map(|key| (key.as_str(), content)).collect();
            let id = ledger.open(run, "s", &scope, &[&batch(&records)]).await.expect("opened")[0];
            ledger.settle(id, &vec![crate::batch::Outcome::Accepted; records.len()]).await.expect("settled");
        }
        ledger.compact(Compaction::Now, Index::new()).await.expect("compacted");
        let bytes = || std::fs::metadata(&path).expect("there").len();
        let before = bytes();
        ledger.prune(jiff::Timestamp::UNIX_EPOCH).await.expect("pruned");
        let after = bytes();
        assert!(before > 19_000_000 && after < 2_000_000, "{before} and {after} bytes");
        assert_eq!(ledger.load_index(&scope).await.expect("an index").known(), 80_000);
    }

    /// Five years of a run every night that changes a tenth of ten thousand records.
    #[tokio::test]
    async fn the_file_stays_bounded_however_long_runs_go_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        let open = async || {
            SqliteLedger::open(&path, Access::Write, Durability::ProcessEnd, Arc::new(SystemClock)).await.expect("open")
        };
        let scope = scope();
        let keys: Vec<String> = (0..10_000).map(|number| format!("customer-{number}")).collect();
        let mut sizes = Vec::new();
        let mut ledger = open().await;
        for night in 0..1_825_u64 {
            let at = |hour: i64| {
                jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(24 * night.cast_signed() + hour)
            };
            let run = ledger
                .begin_run(crate::ledger::RunStart { started_at: at(0), arguments_json: "x".repeat(700), ..start() })
                .await
                .expect("begun");
            // Each night's tenth is one batch, but for one in a thousand nights: those change everything.
            let changed: Vec<_> = match night % 1_000 {
                0 => keys.iter().map(|key| (key.as_str(), night)).collect(),
                _ => keys.iter().skip(night as usize % 10).step_by(10).map(|key| (key.as_str(), night)).collect(),
            };
            let batch = batch(&changed);
            let id = ledger.open(run, "s", &scope, &[&batch]).await.expect("opened")[0];
            let accepted = vec![crate::batch::Outcome::Accepted; changed.len()];
            ledger.settle(id, &accepted).await.expect("settled");
            if night % 100 == 99 {
                let index = ledger.load_index(&scope).await.expect("an index");
                assert_eq!(index.known(), 10_000);
                ledger.compact(Compaction::WhenWorthIt, Index::new()).await.expect("compacted");
            }
            let finish = RunFinish { finished_at: at(1), exit: 0, summary_json: "y".repeat(900) };
            ledger.finish_run(run, finish).await.expect("finished");
            ledger.prune(at(1) - jiff::SignedDuration::from_hours(24 * 90)).await.expect("pruned");
            if night % 365 == 364 {
                ledger.close().await.expect("closed");
                sizes.push(std::fs::metadata(&path).expect("there").len());
                ledger = open().await;
            }
        }
        let (second, last) = (sizes[1], sizes[sizes.len() - 1]);
        assert!(last < second * 3 / 2, "{sizes:?}");
        assert!(last < 8 << 20, "{sizes:?}");
        // The last three months and what batches name.
        let runs = ledger.runs(u32::MAX).await.expect("runs");
        assert!(runs.len() < 90 + 300, "{} runs", runs.len());
        let full = runs.iter().filter(|run| run.start.arguments_json != "{}").count();
        assert_eq!(full, 91);
    }
}
