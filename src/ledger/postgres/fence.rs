//! Keeps whoever lost the lease from writing.

use sqlx::postgres::PgConnection;

use super::server::Server;
use crate::ledger::LedgerError;

/// Of which lease a ledger's writes have to be the owner's.
#[derive(Debug, Clone)]
pub struct Fence {
    pub(super) name: String,
    pub(super) owner: String,
}

impl Fence {
    /// Keeps the lease with its owner until the transaction ends: who takes it waits for that. Renewing it does not.
    pub(super) async fn hold(&self, server: &Server, transaction: &mut PgConnection) -> Result<(), LedgerError> {
        let is_ours: Option<i32> =
            sqlx::query_scalar("SELECT 1 FROM stigg_import.lease WHERE name = $1 AND owner = $2 FOR KEY SHARE")
                .bind(&self.name)
                .bind(&self.owner)
                .fetch_optional(transaction)
                .await
                .map_err(|error| server.error(error))?;
        is_ours.map(drop).ok_or_else(|| LedgerError::LeaseLost { ledger: server.place() })
    }
}
