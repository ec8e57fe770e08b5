//! What is written of scopes: their numbers, and how far their steps have come.

use super::sum::{MARK, SCOPE};
use super::writer::Writer;
use crate::ledger::{LedgerError, Scope, StepMark};

impl Writer {
    pub(super) async fn scope_id(&mut self, scope: &Scope) -> Result<i64, LedgerError> {
        if let Some(id) = self.scopes.get(scope) {
            return Ok(*id);
        }
        let known = self.database.scope_id(&mut self.connection, scope).await?;
        let id = if let Some(id) = known { id } else { self.insert_scope(scope).await? };
        self.scopes.insert(scope.clone(), id);
        Ok(id)
    }

    async fn insert_scope(&mut self, scope: &Scope) -> Result<i64, LedgerError> {
        let id = self.number("SELECT coalesce(max(id), 0) + 1 FROM scope").await?;
        let sum = SCOPE.begin().number(id).text(&scope.target).text(scope.entity.name());
        sqlx::query("INSERT INTO scope (id, target, entity, sum) VALUES (?, ?, ?, ?)")
            .bind(id)
            .bind(&scope.target)
            .bind(scope.entity.name())
            .bind(sum.stored())
            .execute(&mut self.connection)
            .await
            .map(|_| id)
            .map_err(|error| self.database.error(error))
    }

    /// In the log it stands after the settlements before it, so that none of them is lost without it.
    pub(super) async fn set_mark(
        &mut self,
        scope: &Scope,
        step: String,
        mark: Option<StepMark>,
    ) -> Result<(), LedgerError> {
        let scope = self.scope_id(scope).await?;
        let query = match mark {
            Some(StepMark { identity, value }) => {
                let sum = MARK.begin().number(scope).text(&step).text(&identity).text(&value);
                sqlx::query("INSERT OR REPLACE INTO mark (scope, step, identity, value, sum) VALUES (?, ?, ?, ?, ?)")
                    .bind(scope)
                    .bind(step)
                    .bind(identity)
                    .bind(value)
                    .bind(sum.stored())
            }
            None => sqlx::query("DELETE FROM mark WHERE scope = ? AND step = ?").bind(scope).bind(step),
        };
        query.execute(&mut self.connection).await.map(drop).map_err(|error| self.database.error(error))
    }
}
