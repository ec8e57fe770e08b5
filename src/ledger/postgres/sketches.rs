//! What was delivered of each field.

use std::collections::{HashMap, HashSet};

use sqlx::Row as _;

use super::server::Server;
use crate::ledger::latest::Latest;
use crate::ledger::sketch::unpack_sketches;
use crate::ledger::{LedgerError, Scope, Sketch};
use crate::record::KeyHash;

/// Batches whose sketches are read with one statement, 3 MB where records have five fields.
const PAGE: usize = 100;

/// Tables of format 1, opened only to read, have none. Who may read the tables that were there before may not yet read this.
const CAN_READ: &str = "
    SELECT EXISTS (SELECT FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
                   WHERE nspname = 'stigg_import' AND relname = 'sketch'
                     AND pg_catalog.has_table_privilege(pg_class.oid, 'SELECT'))";

impl Server {
    /// The sketches of some keys.
    pub(super) async fn sketches(
        &self,
        scope: &Scope,
        keys: &HashSet<KeyHash>,
    ) -> Result<HashMap<KeyHash, Sketch>, LedgerError> {
        let fail = |error| self.error(error);
        let mut snapshot = self.snapshot().await?;
        let can_read: bool = sqlx::query_scalar(CAN_READ).fetch_one(&mut *snapshot).await.map_err(fail)?;
        let (true, Some(scope)) = (can_read, self.scope_of(&mut snapshot, scope).await?) else {
            return Ok(HashMap::new());
        };
        let mut latest = Latest::of(keys);
        self.visit_segments(&mut snapshot, scope, |items| latest.segment(items)).await?;
        self.visit_batches(&mut snapshot, scope, 0, 0, |stored| latest.batch(stored)).await?;
        let by_batch = latest.by_batch();
        let batches: Vec<i64> = by_batch.keys().map(|batch| batch.cast_signed()).collect();
        let mut found = HashMap::new();
        for page in batches.chunks(PAGE) {
            let rows = sqlx::query("SELECT batch, fields FROM stigg_import.sketch WHERE batch = ANY($1)")
                .bind(page)
                .fetch_all(&mut *snapshot)
                .await
                .map_err(fail)?;
            for row in &rows {
                let batch: i64 = row.try_get(0).map_err(fail)?;
                let keys = by_batch.get(&batch.cast_unsigned()).map(Vec::as_slice).unwrap_or_default();
                found.extend(unpack_sketches(row.try_get(1).map_err(fail)?, keys));
            }
        }
        Ok(found)
    }
}
