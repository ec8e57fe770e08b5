//! The tables: making them on first use, and their format's version.

use sqlx::postgres::PgConnection;
use sqlx::{Acquire as _, Executor as _};

use super::server::{Server, once_more};
use crate::ledger::{Access, LedgerError};

/// What brings the tables from each format version to the next. The newest version is their number.
const MIGRATIONS: [&str; 3] =
    [include_str!("format_1.sql"), include_str!("format_2.sql"), include_str!("format_3.sql")];

/// Two runs that find no tables don't both make them: the lock is this number's.
const MAKING: &str = "SELECT pg_advisory_xact_lock(6001229364101943879)";

/// Read from the catalog, not by `to_regclass`: that remembers, until its transaction ends, that there was none.
const HAS_FORMAT: &str = "
    SELECT EXISTS (SELECT FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
                   WHERE nspname = 'stigg_import' AND relname = 'format')";
const HAS_SCHEMA: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'stigg_import')";

impl Server {
    /// Checks that the tables are there and known; makes them, or brings them up, where `access` allows that.
    pub(super) async fn prepare(&self, access: Access) -> Result<(), LedgerError> {
        let known = MIGRATIONS.len() as i64;
        once_more(|| async {
            let mut connection = self.pool.acquire().await.map_err(|error| self.error(error))?;
            match (self.format(&mut connection).await?, access) {
                (Some(found), _) if found > known => Err(LedgerError::Newer { ledger: self.place(), found, known }),
                (Some(found), _) if found == known => Ok(()),
                (None, Access::Read) => Err(LedgerError::Missing { ledger: self.place() }),
                (Some(_), Access::Read) => Ok(()),
                (None | Some(_), Access::Write) => self.bring_up(&mut connection).await,
            }
        })
        .await
    }

    /// The format of the tables; none where there are none.
    async fn format(&self, connection: &mut PgConnection) -> Result<Option<i64>, LedgerError> {
        let is_there: bool =
            sqlx::query_scalar(HAS_FORMAT).fetch_one(&mut *connection).await.map_err(|error| self.error(error))?;
        if !is_there {
            return Ok(None);
        }
        let versions: Vec<i32> = sqlx::query_scalar("SELECT version FROM stigg_import.format")
            .fetch_all(connection)
            .await
            .map_err(|error| self.error(error))?;
        match versions.as_slice() {
            [version] => Ok(Some(i64::from(*version))),
            _ => Err(self.corrupt("its format is not in one row")),
        }
    }

    async fn bring_up(&self, connection: &mut PgConnection) -> Result<(), LedgerError> {
        let fail = |error| self.error(error);
        let mut transaction = connection.begin().await.map_err(fail)?;
        sqlx::query(MAKING).execute(&mut *transaction).await.map_err(fail)?;
        // Again, now that nobody else makes them.
        let found = self.format(&mut transaction).await?.unwrap_or(0);
        let schema: bool = sqlx::query_scalar(HAS_SCHEMA).fetch_one(&mut *transaction).await.map_err(fail)?;
        // Not `IF NOT EXISTS`, which needs the right to make one even where it is there.
        if !schema {
            sqlx::query("CREATE SCHEMA stigg_import").execute(&mut *transaction).await.map_err(fail)?;
        }
        for sql in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
            transaction.execute(sqlx::raw_sql(*sql)).await.map_err(fail)?;
        }
        transaction.commit().await.map_err(fail)
    }
}
