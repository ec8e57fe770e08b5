//! How many batches and records there are, without reading them all: a batch's row holds its items, so that counting rows reads
//! nearly the whole file.

use sqlx::sqlite::SqliteConnection;

use super::database::Database;
use crate::ledger::LedgerError;

/// Batches that are looked at. Up to so many are counted; of more, as many at equal distances stand for all.
const SAMPLES: i64 = 256;

/// Batches of a scope that hold records, and the records that were opened with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Estimate {
    pub(super) batches: i64,
    pub(super) records: i64,
    /// Of these, at least so many are different and were accepted: a step of a run sends no record twice, so that it is those of
    /// the largest one.
    pub(super) different: i64,
}

impl Database {
    /// Counts or estimates the batches of a scope from `first` on and before `end`. Those that are merged are none of them.
    pub(super) async fn estimate(
        &self,
        connection: &mut SqliteConnection,
        scope: i64,
        first: i64,
        end: i64,
    ) -> Result<Estimate, LedgerError> {
        // Each in a statement of its own is one look-up; together they would be a pass over all rows.
        let (first, last): (Option<i64>, Option<i64>) = sqlx::query_as(
            "SELECT (SELECT min(id) FROM batch WHERE id >= ?1 AND id < ?2),
                    (SELECT max(id) FROM batch WHERE id >= ?1 AND id < ?2)",
        )
        .bind(first)
        .bind(end)
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| self.error(error))?;
        let (Some(first), Some(last)) = (first, last) else { return Ok(Estimate::default()) };
        let span = last - first + 1;
        let samples = span.min(SAMPLES);
        let scaled =
            |found: i64| i64::try_from(i128::from(found) * i128::from(span) / i128::from(samples)).unwrap_or(i64::MAX);
        let ids: Vec<i64> = (0..samples).map(|sample| first + scaled(sample)).collect();
        // Of each step of a run: its batches, their records, and of these the ones in batches that were accepted as a whole.
        let steps: Vec<(i64, i64, i64)> = sqlx::query_as(
            "SELECT count(*), sum(len), sum(iif(outcome.batch IS NOT NULL AND states IS NULL, len, 0))
             FROM json_each(?2) AS list CROSS JOIN batch ON batch.id = list.value LEFT JOIN outcome ON outcome.batch = batch.id
             WHERE scope = ?1 AND items IS NOT NULL GROUP BY run, step",
        )
        .bind(scope)
        .bind(serde_json::to_string(&ids).expect("numbers are JSON"))
        .fetch_all(connection)
        .await
        .map_err(|error| self.error(error))?;
        // What stands for others may be one too many of its step.
        let surely = |(batches, _, accepted): &(i64, i64, i64)| match samples < span {
            true => accepted * (batches - 1) / batches,
            false => *accepted,
        };
        Ok(Estimate {
            batches: scaled(steps.iter().map(|step| step.0).sum()),
            records: scaled(steps.iter().map(|step| step.1).sum()),
            different: scaled(steps.iter().map(surely).max().unwrap_or(0)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::sqlite::Access;

    /// A file with so many batches in each of two scopes, one after the other in turn, of 1 to 99 records, every tenth merged.
    async fn file(batches: i64) -> (tempfile::TempDir, Database, SqliteConnection) {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::from(folder.path().join("ledger.db").as_path());
        let mut connection = database.open(Access::Write).await.expect("opens");
        sqlx::query(
            "WITH RECURSIVE number (id) AS (SELECT 1000 UNION ALL SELECT id + 1 FROM number WHERE id < 999 + 2 * ?1)
             INSERT INTO batch (id, scope, run, step, opened_ms, len, items)
             SELECT id, 1 + id % 2, 1, 's', 0, 1 + id * 7 % 99, iif(id / 2 % 10 = 0, NULL, x'00') FROM number",
        )
        .bind(batches)
        .execute(&mut connection)
        .await
        .expect("rows are written");
        (folder, database, connection)
    }

    #[tokio::test]
    async fn few_batches_are_counted() {
        let (_folder, database, mut connection) = file(100).await;
        let exact: (i64, i64) = sqlx::query_as(
            "SELECT count(*), sum(len) FROM batch WHERE scope = 1 AND items IS NOT NULL AND id >= 1010 AND id < 1150",
        )
        .fetch_one(&mut connection)
        .await
        .expect("counted");
        let estimate = database.estimate(&mut connection, 1, 1010, 1150).await.expect("estimated");
        assert_eq!((estimate.batches, estimate.records), exact);
        assert_eq!(exact.0, 63);
        for (first, end) in [(0, 1000), (1200, i64::MAX), (1100, 1100)] {
            let nothing = database.estimate(&mut connection, 1, first, end).await.expect("estimated");
            assert_eq!(nothing, Estimate::default());
        }
    }

    /// Given an import of half the batches, many runs of a few, a step of many batches that were refused in part, and one that is
    /// open, then the records of the import are what is surely different; of a few batches exactly, of many at most.
    #[tokio::test]
    async fn the_largest_step_of_a_run_says_how_many_records_are_different() {
        for batches in [100, 20_000] {
            let (_folder, database, mut connection) = file(batches / 2).await;
            let (half, most) = (batches / 2, batches * 8 / 10);
            for sql in [
                "UPDATE batch SET scope = 1, len = 10, items = x'00', run = iif(id - 1000 < ?1, 1, 2 + id % (?2 / 4))",
                "UPDATE batch SET run = 1, step = 'other' WHERE id - 1000 >= ?2 AND ?1 > 0",
                "INSERT INTO outcome (batch, settled_ms, attempts, states)
                 SELECT id, 0, 1, iif(step = 'other', x'02', NULL) FROM batch WHERE id - 1000 < ?2 + (?1 + 5) / 10",
            ] {
                sqlx::query(sql).bind(half).bind(most).execute(&mut connection).await.expect("rows are written");
            }
            let estimate = database.estimate(&mut connection, 1, 0, i64::MAX).await.expect("estimated");
            assert!((estimate.records - batches * 10).abs() * 50 <= batches * 10, "{estimate:?}");
            let exact = half * 10;
            let range = if batches > SAMPLES { exact * 98 / 100..=exact } else { exact..=exact };
            assert!(range.contains(&estimate.different), "{estimate:?} of {exact}");
        }
    }

    #[tokio::test]
    async fn many_batches_are_estimated_within_a_tenth() {
        let (_folder, database, mut connection) = file(20_000).await;
        let (batches, records): (i64, i64) =
            sqlx::query_as("SELECT count(*), sum(len) FROM batch WHERE scope = 2 AND items IS NOT NULL")
                .fetch_one(&mut connection)
                .await
                .expect("counted");
        let estimate = database.estimate(&mut connection, 2, 0, i64::MAX).await.expect("estimated");
        let is_near = |estimated: i64, exact: i64| (estimated - exact).abs() * 10 <= exact;
        assert!(is_near(estimate.batches, batches), "{estimate:?} of {batches}");
        assert!(is_near(estimate.records, records), "{estimate:?} of {records}");
    }
}
