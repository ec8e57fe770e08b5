//! The database: connections, transactions, and what its errors mean.

use std::future::Future;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Postgres, Transaction};

use super::PostgresAddress;
use crate::ledger::{LedgerError, LedgerPlace, WriteFailure};

/// Most connections of one run: each write is a few short statements, so that they share the waits for the disk.
const CONNECTIONS_MAX: u32 = 4;

/// How long a connection is waited for, also while the server is started again.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How long the server's answer to a write is waited for: a little longer than the server lets a statement take.
const ANSWER_WITHIN: Duration = Duration::from_secs(130);

/// How long an idle connection is kept: what stands between (a balancer, a firewall) may forget it without a word after a few
/// minutes.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Settings of each connection. A statement waits for a compaction of another run; a run that was stopped in the middle of
/// a transaction keeps its locks no longer than half of a lease. Where commits don't wait for the disk, ours do.
const SESSION: &str = "
    SET statement_timeout = '120s';
    SET idle_in_transaction_session_timeout = '15s';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';";

/// A Postgres database that holds a ledger.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) address: PostgresAddress,
    pub(super) pool: PgPool,
    pub(super) answer_within: Duration,
}

impl Server {
    /// Connects once, so that what is wrong is told at once and not after a while.
    pub(super) async fn connect(address: &PostgresAddress) -> Result<Self, LedgerError> {
        let options = options(address)?;
        let first = connect(address, &options).await?;
        // It may fail only by a lost connection, and that is what is done here.
        drop(first.close().await);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(CONNECT_WITHIN)
            .idle_timeout(IDLE_MAX)
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute(sqlx::raw_sql(SESSION)).await.map(drop) })
            })
            .connect_lazy_with(options);
        Ok(Self { address: address.clone(), pool, answer_within: ANSWER_WITHIN })
    }

    /// A transaction that sees one state of the ledger, however many statements it has.
    pub(super) async fn snapshot(&self) -> Result<Transaction<'static, Postgres>, LedgerError> {
        self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(|error| self.error(error))
    }

    /// Writes what is harmless to repeat, once more where the connection was lost. A server that says nothing, because what
    /// stands between has forgotten the connection, is one that can't be reached.
    pub(super) async fn written<T, F>(&self, work: impl Fn() -> F) -> Result<T, LedgerError>
    where
        F: Future<Output = Result<T, LedgerError>>,
    {
        once_more(|| async {
            match tokio::time::timeout(self.answer_within, work()).await {
                Ok(written) => written,
                Err(_) => {
                    let detail = format!("no answer within {:?}", self.answer_within);
                    Err(LedgerError::Unreachable { ledger: self.place(), detail })
                }
            }
        })
        .await
    }

    pub(super) fn place(&self) -> LedgerPlace {
        LedgerPlace::Postgres(self.address.clone())
    }

    pub(super) fn corrupt(&self, detail: impl Into<String>) -> LedgerError {
        LedgerError::Corrupt { ledger: self.place(), detail: detail.into() }
    }

    pub(super) fn error(&self, error: sqlx::Error) -> LedgerError {
        meaning(&self.address, error)
    }
}

/// Does what is harmless to repeat once more, where the connection was lost.
pub(super) async fn once_more<T, F>(work: impl Fn() -> F) -> Result<T, LedgerError>
where
    F: Future<Output = Result<T, LedgerError>>,
{
    let begin = Instant::now();
    match work().await {
        // Whoever waited in vain for a connection has waited long enough.
        Err(LedgerError::Unreachable { detail, .. }) if begin.elapsed() < CONNECT_WITHIN => {
            tracing::warn!(detail, "the connection to the ledger was lost; once more");
            work().await
        }
        other => other,
    }
}

pub(super) fn options(address: &PostgresAddress) -> Result<PgConnectOptions, LedgerError> {
    address.options().map_err(|problem| {
        let problem = address.clean(&problem);
        LedgerError::Address { ledger: LedgerPlace::Postgres(address.clone()), problem }
    })
}

/// A connection of its own, with the settings of the others.
pub(super) async fn connect(
    address: &PostgresAddress,
    options: &PgConnectOptions,
) -> Result<PgConnection, LedgerError> {
    let connecting = async {
        let mut connection = options.connect().await?;
        connection.execute(sqlx::raw_sql(SESSION)).await?;
        Ok(connection)
    };
    match tokio::time::timeout(CONNECT_WITHIN, connecting).await {
        Ok(connected) => connected.map_err(|error| meaning(address, error)),
        Err(_) => Err(LedgerError::Unreachable {
            ledger: LedgerPlace::Postgres(address.clone()),
            detail: format!("no answer within {CONNECT_WITHIN:?}"),
        }),
    }
}

/// What a database error says of the ledger. Codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub(super) fn meaning(address: &PostgresAddress, error: sqlx::Error) -> LedgerError {
    let ledger = LedgerPlace::Postgres(address.clone());
    let words = |text: &str| address.clean(text);
    let error = match error {
        sqlx::Error::PoolClosed => return LedgerError::Closed,
        sqlx::Error::Database(error) => error,
        sqlx::Error::Io(error) => return LedgerError::Unreachable { ledger, detail: words(&error.to_string()) },
        sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => {
            return LedgerError::Unreachable { ledger, detail: words(&error.to_string()) };
        }
        sqlx::Error::Configuration(error) => {
            return LedgerError::Address { ledger, problem: words(&error.to_string()) };
        }
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::Decode(_)
        | sqlx::Error::RowNotFound => {
            return LedgerError::Corrupt { ledger, detail: words(&error.to_string()) };
        }
        other => return LedgerError::Refused { ledger, detail: words(&other.to_string()) },
    };
    let code = error.code().unwrap_or_default().into_owned();
    let detail = words(&format!("{} ({code})", error.message()));
    match code.as_str() {
        "42501" => LedgerError::NoRight { ledger, detail },
        "53100" => LedgerError::CannotWrite { ledger, failure: WriteFailure::Full, detail },
        "25006" => LedgerError::CannotWrite { ledger, failure: WriteFailure::ReadOnly, detail },
        // A statement or a lock took too long; locks in a circle.
        "57014" | "55P03" | "40P01" => LedgerError::Busy { ledger },
        // The server stops, crashed, starts; too many connections; no such database; a transaction idled too long.
        "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "3D000" | "25P03" => {
            LedgerError::Unreachable { ledger, detail }
        }
        // A table or a column is missing, or stands where ours should be.
        "42P01" | "42703" | "42P07" => LedgerError::Corrupt { ledger, detail },
        code if code.starts_with("28") => LedgerError::Login { ledger, detail },
        code if code.starts_with("08") => LedgerError::Unreachable { ledger, detail },
        code if code.starts_with("XX") => LedgerError::Corrupt { ledger, detail },
        _ => LedgerError::Refused { ledger, detail },
    }
}
