//! Forgetting old runs.

use super::PostgresLedger;
use crate::ledger::LedgerError;

/// Rows of runs that ended before $1, but for the last of all. Space is given back by the server's own vacuum.
const FORGET: &str = "
    DELETE FROM stigg_import.run WHERE coalesce(finished_ms, started_ms) < $1 AND id < (SELECT max(id) FROM stigg_import.run)
      AND NOT EXISTS (SELECT FROM stigg_import.batch WHERE run = stigg_import.run.id)";

/// What `why` tells of a record names its run, so a run stays as long as a batch of it does; without what it said.
const EMPTY: &str = "
    UPDATE stigg_import.run SET arguments = '{}', summary = CASE WHEN summary IS NOT NULL THEN '{}' END
    WHERE coalesce(finished_ms, started_ms) < $1 AND id < (SELECT max(id) FROM stigg_import.run) AND arguments <> '{}'";

impl PostgresLedger {
    pub(super) async fn try_prune(&self, before_ms: i64) -> Result<u64, LedgerError> {
        let mut transaction = self.begin().await?;
        let failed = |error| self.server.error(error);
        let forgotten = sqlx::query(FORGET).bind(before_ms).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::query(EMPTY).bind(before_ms).execute(&mut *transaction).await.map_err(failed)?;
        self.commit(transaction).await?;
        Ok(forgotten.rows_affected())
    }
}
