//! What was delivered of each field.

use std::collections::{HashMap, HashSet};

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::database::Database;
use super::sum::SKETCH;
use crate::ledger::latest::Latest;
use crate::ledger::sketch::unpack_sketches;
use crate::ledger::{LedgerError, Scope, Sketch};
use crate::record::KeyHash;

impl Database {
    /// The sketches of some keys. A file of format 3 or older, opened only to read, has none.
    pub(super) async fn sketches(
        &self,
        connection: &mut SqliteConnection,
        scope: &Scope,
        keys: &HashSet<KeyHash>,
    ) -> Result<HashMap<KeyHash, Sketch>, LedgerError> {
        let table: Option<i64> = sqlx::query_scalar("SELECT 1 FROM sqlite_schema WHERE name = 'sketch'")
            .fetch_optional(&mut *connection)
            .await
            .map_err(|error| self.error(error))?;
        let (Some(_), Some(scope)) = (table, self.scope_id(connection, scope).await?) else {
            return Ok(HashMap::new());
        };
        let mut latest = Latest::of(keys);
        self.visit_segments(connection, scope, |items| latest.segment(items)).await?;
        self.visit_batches(connection, scope, 0, |stored| latest.batch(stored)).await?;
        let mut found = HashMap::new();
        for (batch, keys) in latest.by_batch() {
            let row = sqlx::query("SELECT batch, fields, sum FROM sketch WHERE batch = ?")
                .bind(batch.cast_signed())
                .fetch_optional(&mut *connection)
                .await
                .map_err(|error| self.error(error))?;
            let Some(row) = row else { continue };
            self.check_sum(&row, 0, &SKETCH)?;
            found.extend(unpack_sketches(row.try_get(1).map_err(|error| self.error(error))?, &keys));
        }
        Ok(found)
    }
}
