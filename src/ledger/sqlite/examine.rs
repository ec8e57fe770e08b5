//! Looking through the whole file: for what no row can say of itself, such as that another is missing.
//!
//! Done where the seal says nothing: after a kill, or a copy. It reads everything twice.

use std::collections::BTreeSet;

use futures::TryStreamExt as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};

use super::database::{Database, MIGRATIONS, SUMS_SINCE};
use super::sum::{SEGMENT, SUMMED, Summed};
use crate::ledger::LedgerError;

/// What the tables are: their own lines, and one for each column.
const SHAPE: &str = "
    SELECT type, name, tbl_name, '' FROM sqlite_schema
    UNION ALL
    SELECT 'column', list.name, about.name, about.type || about.\"notnull\" || about.pk
      FROM sqlite_schema AS list JOIN pragma_table_xinfo(list.name, 'main') AS about WHERE list.type = 'table'";

/// Numbers that may be given again though rows have them: none, but where the list of what was given is damaged.
const GIVEN_AGAIN: &str = "
    SELECT count(*) FROM (SELECT 'batch' AS name, max(id) AS last FROM batch UNION ALL SELECT 'run', max(id) FROM run) AS used
    WHERE last > coalesce((SELECT seq FROM sqlite_sequence WHERE sqlite_sequence.name = used.name), 0)";

/// Name, table and kind of a line of [`SHAPE`].
type Shape = BTreeSet<(String, String, String, String)>;

impl Database {
    /// Looks through a file of a format.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Corrupt`] where it does not hold together, or bits of a row have changed; those of reading.
    pub(super) async fn examine(&self, connection: &mut SqliteConnection, version: i64) -> Result<(), LedgerError> {
        let examined = match self.has_its_shape(connection, version).await {
            Ok(()) => self.holds_together(connection, version).await,
            error => error,
        };
        match examined {
            // A sound statement that is refused: the tables are not what they are in a sound file.
            Err(LedgerError::Refused { detail, .. }) => Err(self.corrupt(detail)),
            other => other,
        }
    }

    async fn holds_together(&self, connection: &mut SqliteConnection, version: i64) -> Result<(), LedgerError> {
        let fail = |error| self.error(error);
        let found: Vec<String> =
            sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_all(&mut *connection).await.map_err(fail)?;
        if found != ["ok"] {
            // The words go over several lines.
            return Err(self.corrupt(found.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")));
        }
        let given_again: i64 = sqlx::query_scalar(GIVEN_AGAIN).fetch_one(&mut *connection).await.map_err(fail)?;
        if given_again > 0 {
            return Err(self.corrupt("numbers of its rows would be given again"));
        }
        if version >= SUMS_SINCE {
            for summed in &SUMMED {
                self.check_sums(connection, summed).await?;
            }
        }
        Ok(())
    }

    /// Whether the tables are those of the format.
    async fn has_its_shape(&self, connection: &mut SqliteConnection, version: i64) -> Result<(), LedgerError> {
        let known = self.shape_of_format(MIGRATIONS.len()).await?;
        let known: BTreeSet<&str> = known.iter().map(|(_, name, ..)| name.as_str()).collect();
        let expected = self.shape_of_format(usize::try_from(version).unwrap_or(0)).await?;
        let mut found = self.shape(connection).await?;
        // A table that somebody added is no concern of ours.
        found.retain(|(_, name, ..)| known.contains(name.as_str()));
        if found == expected { Ok(()) } else { Err(self.corrupt("its tables are not those of its format")) }
    }

    async fn shape_of_format(&self, version: usize) -> Result<Shape, LedgerError> {
        let fail = |error| self.error(error);
        let mut model = SqliteConnectOptions::new().in_memory(true).connect().await.map_err(fail)?;
        for sql in &MIGRATIONS[..version] {
            self.run(&mut model, sql).await?;
        }
        let shape = self.shape(&mut model).await;
        model.close().await.map_err(fail)?;
        shape
    }

    async fn shape(&self, connection: &mut SqliteConnection) -> Result<Shape, LedgerError> {
        let rows = sqlx::query_as(SHAPE).fetch_all(connection).await.map_err(|error| self.error(error))?;
        Ok(rows.into_iter().collect())
    }

    async fn check_sums(&self, connection: &mut SqliteConnection, summed: &Summed) -> Result<(), LedgerError> {
        let fail = |error| self.error(error);
        let all = format!("SELECT {}, sum FROM {}", summed.list(), summed.table);
        if summed.table != SEGMENT.table {
            let mut rows = sqlx::query(AssertSqlSafe(all)).fetch(connection);
            while let Some(row) = rows.try_next().await.map_err(fail)? {
                self.check_sum(&row, 0, summed)?;
            }
            return Ok(());
        }
        // They are large: one at a time, a stream would hold fifty of them ready.
        let (next, mut after) = (format!("{all} WHERE id > ? ORDER BY id LIMIT 1"), i64::MIN);
        loop {
            let row = sqlx::query(AssertSqlSafe(next.clone())).bind(after).fetch_optional(&mut *connection);
            let Some(row) = row.await.map_err(fail)? else { return Ok(()) };
            self.check_sum(&row, 0, summed)?;
            after = row.try_get(0).map_err(fail)?;
        }
    }
}
