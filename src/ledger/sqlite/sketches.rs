//! What was delivered of each field.

use std::collections::{HashMap, HashSet};

use futures::TryStreamExt as _;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::database::Database;
use super::reader::BATCHES;
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
        let mut after = 0i64;
        loop {
            let next = sqlx::query("SELECT id, items FROM segment WHERE scope = ? AND id > ? ORDER BY id LIMIT 1")
                .bind(scope)
                .bind(after)
                .fetch_optional(&mut *connection)
                .await
                .map_err(|error| self.error(error))?;
            let Some(row) = next else { break };
            after = row.try_get(0).map_err(|error| self.error(error))?;
            if !latest.segment(row.try_get(1).map_err(|error| self.error(error))?) {
                return Err(self.corrupt("a segment is damaged"));
            }
        }
        let mut batches =
            sqlx::query(BATCHES).bind(scope).bind(0i64).bind(i64::MAX).bind(-1i64).fetch(&mut *connection);
        while let Some(row) = batches.try_next().await.map_err(|error| self.error(error))? {
            latest.batch(&self.stored(&row)?);
        }
        drop(batches);
        let mut found = HashMap::new();
        for (batch, keys) in latest.by_batch() {
            let packed: Option<Vec<u8>> = sqlx::query_scalar("SELECT fields FROM sketch WHERE batch = ?")
                .bind(batch.cast_signed())
                .fetch_optional(&mut *connection)
                .await
                .map_err(|error| self.error(error))?;
            found.extend(packed.map(|packed| unpack_sketches(&packed, &keys)).unwrap_or_default());
        }
        Ok(found)
    }
}
