//! Paid subscriptions in the database: a row for each, written one at a time.

use futures::future::BoxFuture;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::{PgExecutor, PgRow};

use super::PostgresLedger;
use super::server::{Server, once_more};
use crate::ledger::replacement::counted;
use crate::ledger::{LedgerError, OriginalRef, ParkReason, Parked, Replacement, Replacements, Stage, StageCount};
use crate::record::Fingerprint;

const BY_ID: &str = "SELECT * FROM stigg_import.replacement WHERE target = $1 AND subscription_id = $2";
const BY_ORIGINAL: &str =
    "SELECT * FROM stigg_import.replacement WHERE target = $1 AND provider = $2 AND original_id = $3";
const BY_BILLING: &str = "SELECT * FROM stigg_import.replacement WHERE target = $1 AND billing_id = $2";
/// In the order of bytes, as everywhere, whatever the database's language is.
const BY_CUSTOMER: &str = "SELECT * FROM stigg_import.replacement WHERE target = $1 AND customer_id = $2
    ORDER BY subscription_id COLLATE \"C\"";
const PAGE: &str = "SELECT * FROM stigg_import.replacement WHERE target = $1 AND subscription_id COLLATE \"C\" > $2
    ORDER BY subscription_id COLLATE \"C\" LIMIT $3";
const COUNTS: &str =
    "SELECT stage, reason, count(*) FROM stigg_import.replacement WHERE target = $1 GROUP BY stage, reason";

/// Whoever writes a step of a target has it alone: two must not find the same place free.
const ALONE: &str = "SELECT pg_advisory_xact_lock(hashtextextended('stigg_import.replacement ' || $1, 0))";

const WRITE: &str = "
    INSERT INTO stigg_import.replacement (target, subscription_id, customer_id, payer_id, resource_id, plan_id, provider,
      original_id, content, stage, reason, detail, billing_id, attempts, changed_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
    ON CONFLICT (target, subscription_id) DO UPDATE SET customer_id = excluded.customer_id, payer_id = excluded.payer_id,
      resource_id = excluded.resource_id, plan_id = excluded.plan_id, provider = excluded.provider,
      original_id = excluded.original_id, content = excluded.content, stage = excluded.stage, reason = excluded.reason,
      detail = excluded.detail, billing_id = excluded.billing_id, attempts = excluded.attempts,
      changed_ms = excluded.changed_ms";

impl Server {
    fn replacement(&self, row: &PgRow) -> Result<Replacement, LedgerError> {
        let text = |column: &str| row.try_get::<String, _>(column).map_err(|error| self.error(error));
        let optional = |column: &str| row.try_get::<Option<String>, _>(column).map_err(|error| self.error(error));
        let number = |column: &str| row.try_get::<i64, _>(column).map_err(|error| self.error(error));
        let damaged = || self.corrupt("a paid subscription is damaged");
        let changed_at = Timestamp::from_millisecond(number("changed_ms")?).map_err(|_| damaged())?;
        Ok(Replacement {
            subscription_id: text("subscription_id")?,
            customer_id: text("customer_id")?,
            payer_id: text("payer_id")?,
            resource_id: optional("resource_id")?,
            plan_id: text("plan_id")?,
            original: OriginalRef { provider: text("provider")?, id: text("original_id")? },
            content: Fingerprint(number("content")?.cast_unsigned()),
            stage: stage(&text("stage")?, optional("reason")?, optional("detail")?).ok_or_else(damaged)?,
            billing_id: optional("billing_id")?,
            attempts: u32::try_from(number("attempts")?).map_err(|_| damaged())?,
            changed_at,
        })
    }

    async fn select(
        &self,
        executor: impl PgExecutor<'_>,
        sql: &'static str,
        binds: &[&str],
    ) -> Result<Vec<Replacement>, LedgerError> {
        let mut query = sqlx::query(sql);
        for bind in binds {
            query = query.bind(*bind);
        }
        let rows = query.fetch_all(executor).await.map_err(|error| self.error(error))?;
        rows.iter().map(|row| self.replacement(row)).collect()
    }

    async fn page(&self, target: &str, after: Option<&str>, limit: u32) -> Result<Vec<Replacement>, LedgerError> {
        let rows = sqlx::query(PAGE)
            .bind(target)
            .bind(after.unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(|error| self.error(error))?;
        rows.iter().map(|row| self.replacement(row)).collect()
    }

    async fn counts(&self, target: &str) -> Result<Vec<StageCount>, LedgerError> {
        let rows: Vec<(String, Option<String>, i64)> =
            sqlx::query_as(COUNTS).bind(target).fetch_all(&self.pool).await.map_err(|error| self.error(error))?;
        let mut counts = Vec::with_capacity(rows.len());
        for (name, reason, count) in rows {
            let stage = stage(&name, reason, None)
                .ok_or_else(|| self.corrupt("the stage of a paid subscription is unknown"))?;
            let one = counted(std::iter::once(&stage));
            counts.extend(one.into_iter().map(|one| StageCount { count: count.cast_unsigned(), ..one }));
        }
        counts.sort_by_key(|count| (Stage::NAMES.iter().position(|name| *name == count.stage), count.reason));
        Ok(counts)
    }

    async fn targets(&self) -> Result<Vec<String>, LedgerError> {
        let mut targets: Vec<String> = sqlx::query_scalar("SELECT DISTINCT target FROM stigg_import.replacement")
            .fetch_all(&self.pool)
            .await
            .map_err(|error| self.error(error))?;
        targets.sort_unstable();
        Ok(targets)
    }
}

fn stage(name: &str, reason: Option<String>, detail: Option<String>) -> Option<Stage> {
    let parked = match reason {
        Some(reason) => Some(Parked { reason: ParkReason::of_name(&reason)?, detail: detail.unwrap_or_default() }),
        None => None,
    };
    Stage::of_name(name, parked)
}

impl PostgresLedger {
    async fn find(&self, sql: &'static str, binds: &[&str]) -> Result<Vec<Replacement>, LedgerError> {
        once_more(|| self.server.select(&self.server.pool, sql, binds)).await
    }

    async fn try_write_step(&self, target: &str, next: &Replacement, again: bool) -> Result<(), LedgerError> {
        let fail = |error| self.server.error(error);
        let mut transaction = self.begin().await?;
        sqlx::query(ALONE).bind(target).execute(&mut *transaction).await.map_err(fail)?;
        let before = self.server.select(&mut *transaction, BY_ID, &[target, &next.subscription_id]).await?.pop();
        if again && before.as_ref() == Some(next) {
            return Ok(()); // written by the attempt whose answer was lost
        }
        if let Some(refused) = Replacement::refuses(before.as_ref(), next) {
            return Err(refused);
        }
        let OriginalRef { provider, id } = &next.original;
        let of_original = self.server.select(&mut *transaction, BY_ORIGINAL, &[target, provider, id]).await?.pop();
        if let Some(other) = of_original.filter(|other| other.subscription_id != next.subscription_id) {
            return Err(LedgerError::OriginalTaken { original: id.clone(), by: other.subscription_id });
        }
        let parked = next.stage.parked();
        sqlx::query(WRITE)
            .bind(target)
            .bind(&next.subscription_id)
            .bind(&next.customer_id)
            .bind(&next.payer_id)
            .bind(&next.resource_id)
            .bind(&next.plan_id)
            .bind(provider)
            .bind(id)
            .bind(next.content.0.cast_signed())
            .bind(next.stage.name())
            .bind(parked.map(|parked| parked.reason.name()))
            .bind(parked.map(|parked| parked.detail.as_str()))
            .bind(&next.billing_id)
            .bind(i64::from(next.attempts))
            .bind(next.changed_at.as_millisecond())
            .execute(&mut *transaction)
            .await
            .map_err(fail)?;
        self.commit(transaction).await
    }
}

impl Replacements for PostgresLedger {
    fn replacement<'a>(
        &'a self,
        target: &'a str,
        subscription_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Replacement>, LedgerError>> {
        Box::pin(async move { Ok(self.find(BY_ID, &[target, subscription_id]).await?.pop()) })
    }

    fn replacement_of<'a>(
        &'a self,
        target: &'a str,
        original: &'a OriginalRef,
    ) -> BoxFuture<'a, Result<Option<Replacement>, LedgerError>> {
        Box::pin(async move { Ok(self.find(BY_ORIGINAL, &[target, &original.provider, &original.id]).await?.pop()) })
    }

    fn replacement_billed_as<'a>(
        &'a self,
        target: &'a str,
        billing_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Replacement>, LedgerError>> {
        Box::pin(async move { Ok(self.find(BY_BILLING, &[target, billing_id]).await?.pop()) })
    }

    fn replacements_of_customer<'a>(
        &'a self,
        target: &'a str,
        customer_id: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Replacement>, LedgerError>> {
        Box::pin(async move { self.find(BY_CUSTOMER, &[target, customer_id]).await })
    }

    fn replacements<'a>(
        &'a self,
        target: &'a str,
        after: Option<&'a str>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Replacement>, LedgerError>> {
        Box::pin(async move { once_more(|| self.server.page(target, after, limit)).await })
    }

    fn write_step<'a>(&'a self, target: &'a str, next: &'a Replacement) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(async move {
            let again = std::sync::atomic::AtomicBool::new(false);
            self.server
                .written(|| {
                    let again = again.swap(true, std::sync::atomic::Ordering::Relaxed);
                    self.try_write_step(target, next, again)
                })
                .await
        })
    }

    fn stage_counts<'a>(&'a self, target: &'a str) -> BoxFuture<'a, Result<Vec<StageCount>, LedgerError>> {
        Box::pin(async move { once_more(|| self.server.counts(target)).await })
    }

    fn replacement_targets(&self) -> BoxFuture<'_, Result<Vec<String>, LedgerError>> {
        Box::pin(async move { once_more(|| self.server.targets()).await })
    }
}
