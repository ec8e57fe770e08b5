//! A rate that is shared by all who share a ledger.

use std::time::Duration;

use super::PostgresLedger;
use super::server::Server;
use crate::pacer::{NoMoment, Shared};
use futures::future::BoxFuture;

/// Takes moments, one after the other: the row's lock is the order. What nobody took in time is gone, so that a time of rest
/// makes no burst.
const TAKE: &str = "
    INSERT INTO stigg_import.pace AS pace (name, next_at)
    VALUES ($1, clock_timestamp() + make_interval(secs => $2 + $3))
    ON CONFLICT (name) DO UPDATE
      SET next_at = greatest(pace.next_at, clock_timestamp() + make_interval(secs => $3)) + make_interval(secs => $2)
    RETURNING extract(epoch FROM next_at - make_interval(secs => $2) - clock_timestamp())::float8";

/// The rates of all who share a ledger in Postgres.
#[derive(Debug, Clone)]
pub struct PostgresPace {
    server: Server,
}

impl PostgresLedger {
    /// The rates that are shared by all who share this ledger. Asking for a moment is one short statement.
    pub fn pace(&self) -> PostgresPace {
        PostgresPace { server: self.server.clone() }
    }
}

impl Shared for PostgresPace {
    fn take<'a>(
        &'a self,
        name: &'a str,
        interval: Duration,
        moments: u32,
        pause: Duration,
    ) -> BoxFuture<'a, Result<Duration, NoMoment>> {
        Box::pin(async move {
            let wait_s: f64 = sqlx::query_scalar(TAKE)
                .bind(name)
                .bind(interval.as_secs_f64() * f64::from(moments))
                .bind(pause.as_secs_f64())
                .fetch_one(&self.server.pool)
                .await
                .map_err(|error| self.server.error(error))?;
            Ok(Duration::try_from_secs_f64(wait_s.max(0.0)).unwrap_or(Duration::MAX))
        })
    }
}
