//! Paid subscriptions in the file: a row for each, written one at a time. They are few (the API takes 250 a minute), and
//! each step waits for the disk, because money follows.

use futures::future::BoxFuture;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::SqliteLedger;
use super::database::Database;
use super::sum::REPLACEMENT;
use super::writer::{Op, Writer};
use crate::ledger::replacement::counted;
use crate::ledger::{LedgerError, OriginalRef, ParkReason, Parked, Replacement, Replacements, Stage, StageCount};
use crate::record::Fingerprint;

const BY_ID: &str = "SELECT * FROM replacement WHERE target = ? AND subscription_id = ?";
const BY_ORIGINAL: &str = "SELECT * FROM replacement WHERE target = ? AND provider = ? AND original_id = ?";
const BY_BILLING: &str = "SELECT * FROM replacement WHERE target = ? AND billing_id = ?";
const BY_CUSTOMER: &str = "SELECT * FROM replacement WHERE target = ? AND customer_id = ? ORDER BY subscription_id";
const PAGE: &str =
    "SELECT * FROM replacement WHERE target = ?1 AND subscription_id > ?2 ORDER BY subscription_id LIMIT ?3";
const COUNTS: &str = "SELECT stage, reason, count(*) AS count FROM replacement WHERE target = ? GROUP BY stage, reason";

impl Database {
    fn replacement(&self, row: &SqliteRow) -> Result<Replacement, LedgerError> {
        let text = |column: &str| row.try_get::<String, _>(column).map_err(|error| self.error(error));
        let optional = |column: &str| row.try_get::<Option<String>, _>(column).map_err(|error| self.error(error));
        let number = |column: &str| row.try_get::<i64, _>(column).map_err(|error| self.error(error));
        let damaged = || self.corrupt("a paid subscription is damaged");
        self.check_sum(row, 0, &REPLACEMENT)?;
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

    /// Whether the file has any: an older format does not, where it was opened only to read.
    async fn has_replacements(&self, connection: &mut SqliteConnection) -> Result<bool, LedgerError> {
        let table: Option<i64> = sqlx::query_scalar("SELECT 1 FROM sqlite_schema WHERE name = 'replacement'")
            .fetch_optional(connection)
            .await
            .map_err(|error| self.error(error))?;
        Ok(table.is_some())
    }

    /// Reads all of them, to see whether they can be read.
    pub(super) async fn every_replacement(&self, connection: &mut SqliteConnection) -> Result<(), LedgerError> {
        if self.has_replacements(connection).await? {
            self.all(connection, "SELECT * FROM replacement", &[]).await?;
        }
        Ok(())
    }

    async fn one(
        &self,
        connection: &mut SqliteConnection,
        sql: &'static str,
        binds: &[&str],
    ) -> Result<Option<Replacement>, LedgerError> {
        Ok(self.all(connection, sql, binds).await?.pop())
    }

    async fn all(
        &self,
        connection: &mut SqliteConnection,
        sql: &'static str,
        binds: &[&str],
    ) -> Result<Vec<Replacement>, LedgerError> {
        let mut query = sqlx::query(sql);
        for bind in binds {
            query = query.bind(*bind);
        }
        let rows = query.fetch_all(connection).await.map_err(|error| self.error(error))?;
        rows.iter().map(|row| self.replacement(row)).collect()
    }
}

fn stage(name: &str, reason: Option<String>, detail: Option<String>) -> Option<Stage> {
    let parked = match reason {
        Some(reason) => Some(Parked { reason: ParkReason::of_name(&reason)?, detail: detail.unwrap_or_default() }),
        None => None,
    };
    Stage::of_name(name, parked)
}

impl Writer {
    /// Writes a step in a commit of its own.
    pub(super) async fn write_step(&mut self, target: &str, next: &Replacement) -> Result<(), LedgerError> {
        self.wait_for_disk(true).await?;
        self.database.run(&mut self.connection, "BEGIN IMMEDIATE").await?;
        let written = self.try_write_step(target, next).await;
        match written {
            Ok(()) => self.database.run(&mut self.connection, "COMMIT").await,
            Err(error) => Err(error),
        }
    }

    async fn try_write_step(&mut self, target: &str, next: &Replacement) -> Result<(), LedgerError> {
        let before = self.database.one(&mut self.connection, BY_ID, &[target, &next.subscription_id]).await?;
        if let Some(refused) = Replacement::refuses(before.as_ref(), next) {
            return Err(refused);
        }
        let OriginalRef { provider, id } = &next.original;
        let of_original = self.database.one(&mut self.connection, BY_ORIGINAL, &[target, provider, id]).await?;
        if let Some(other) = of_original.filter(|other| other.subscription_id != next.subscription_id) {
            return Err(LedgerError::OriginalTaken { original: id.clone(), by: other.subscription_id });
        }
        let parked = next.stage.parked();
        let sum = REPLACEMENT
            .begin()
            .text(target)
            .text(&next.subscription_id)
            .text(&next.customer_id)
            .text(&next.payer_id)
            .maybe_text(next.resource_id.as_deref())
            .text(&next.plan_id)
            .text(provider)
            .text(id)
            .number(next.content.0.cast_signed())
            .text(next.stage.name())
            .maybe_text(parked.map(|parked| parked.reason.name()))
            .maybe_text(parked.map(|parked| parked.detail.as_str()))
            .maybe_text(next.billing_id.as_deref())
            .number(next.attempts.into())
            .number(next.changed_at.as_millisecond());
        sqlx::query(
            "INSERT OR REPLACE INTO replacement (target, subscription_id, customer_id, payer_id, resource_id, plan_id, provider,
                 original_id, content, stage, reason, detail, billing_id, attempts, changed_ms, sum)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
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
        .bind(next.attempts)
        .bind(next.changed_at.as_millisecond())
        .bind(sum.stored())
        .execute(&mut self.connection)
        .await
        .map(drop)
        .map_err(|error| self.database.error(error))
    }
}

impl SqliteLedger {
    async fn select(&self, sql: &'static str, binds: &[&str]) -> Result<Vec<Replacement>, LedgerError> {
        let mut guard = self.reader.lock().await;
        let connection = guard.as_mut().ok_or(LedgerError::Closed)?;
        if !self.database.has_replacements(connection).await? {
            return Ok(Vec::new());
        }
        self.database.all(connection, sql, binds).await
    }
}

impl Replacements for SqliteLedger {
    fn replacement<'a>(
        &'a self,
        target: &'a str,
        subscription_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Replacement>, LedgerError>> {
        Box::pin(async move { Ok(self.select(BY_ID, &[target, subscription_id]).await?.pop()) })
    }

    fn replacement_of<'a>(
        &'a self,
        target: &'a str,
        original: &'a OriginalRef,
    ) -> BoxFuture<'a, Result<Option<Replacement>, LedgerError>> {
        Box::pin(async move { Ok(self.select(BY_ORIGINAL, &[target, &original.provider, &original.id]).await?.pop()) })
    }

    fn replacement_billed_as<'a>(
        &'a self,
        target: &'a str,
        billing_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Replacement>, LedgerError>> {
        Box::pin(async move { Ok(self.select(BY_BILLING, &[target, billing_id]).await?.pop()) })
    }

    fn replacements_of_customer<'a>(
        &'a self,
        target: &'a str,
        customer_id: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Replacement>, LedgerError>> {
        Box::pin(async move { self.select(BY_CUSTOMER, &[target, customer_id]).await })
    }

    fn replacements<'a>(
        &'a self,
        target: &'a str,
        after: Option<&'a str>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Replacement>, LedgerError>> {
        Box::pin(async move {
            let mut guard = self.reader.lock().await;
            let connection = guard.as_mut().ok_or(LedgerError::Closed)?;
            if !self.database.has_replacements(connection).await? {
                return Ok(Vec::new());
            }
            let rows = sqlx::query(PAGE)
                .bind(target)
                .bind(after.unwrap_or_default())
                .bind(limit)
                .fetch_all(connection)
                .await
                .map_err(|error| self.database.error(error))?;
            rows.iter().map(|row| self.database.replacement(row)).collect()
        })
    }

    fn write_step<'a>(&'a self, target: &'a str, next: &'a Replacement) -> BoxFuture<'a, Result<(), LedgerError>> {
        let (target, next) = (target.to_owned(), Box::new(next.clone()));
        Box::pin(self.write(move |reply| Op::Step { target, next, reply }))
    }

    fn stage_counts<'a>(&'a self, target: &'a str) -> BoxFuture<'a, Result<Vec<StageCount>, LedgerError>> {
        Box::pin(async move {
            let mut guard = self.reader.lock().await;
            let connection = guard.as_mut().ok_or(LedgerError::Closed)?;
            if !self.database.has_replacements(connection).await? {
                return Ok(Vec::new());
            }
            let rows: Vec<(String, Option<String>, i64)> = sqlx::query_as(COUNTS)
                .bind(target)
                .fetch_all(connection)
                .await
                .map_err(|error| self.database.error(error))?;
            let mut counts = Vec::with_capacity(rows.len());
            for (name, reason, count) in rows {
                let stage = stage(&name, reason, None)
                    .ok_or_else(|| self.database.corrupt("the stage of a paid subscription is unknown"))?;
                let one = counted(std::iter::once(&stage));
                counts.extend(one.into_iter().map(|one| StageCount { count: count.cast_unsigned(), ..one }));
            }
            counts.sort_by_key(|count| (Stage::NAMES.iter().position(|name| *name == count.stage), count.reason));
            Ok(counts)
        })
    }

    fn replacement_targets(&self) -> BoxFuture<'_, Result<Vec<String>, LedgerError>> {
        Box::pin(async move {
            let mut guard = self.reader.lock().await;
            let connection = guard.as_mut().ok_or(LedgerError::Closed)?;
            if !self.database.has_replacements(connection).await? {
                return Ok(Vec::new());
            }
            sqlx::query_scalar("SELECT DISTINCT target FROM replacement ORDER BY target")
                .fetch_all(connection)
                .await
                .map_err(|error| self.database.error(error))
        })
    }
}
