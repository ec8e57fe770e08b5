//! Copies what can still be read of a damaged file, row by row where it must be.

use sqlx::AssertSqlSafe;

use super::{Rebuilding, unreadable as unreadable_schema};
use crate::ledger::LedgerError;

/// A table with a number as its key.
struct Numbered {
    name: &'static str,
    /// The column of the number.
    number: &'static str,
    /// Which rows are wanted.
    wanted: &'static str,
}

/// In the order in which they are copied: what is wanted of the later ones is seen from the earlier ones.
const NUMBERED: [Numbered; 6] = [
    Numbered { name: "run", number: "id", wanted: "1" },
    Numbered { name: "scope", number: "id", wanted: "1" },
    Numbered { name: "open_batch", number: "batch", wanted: "1" },
    Numbered {
        name: "batch",
        number: "id",
        wanted: "(id IN (SELECT batch FROM main.open_batch)
                  OR scope IN (SELECT id FROM main.scope WHERE entity = 'event'))",
    },
    Numbered { name: "outcome", number: "batch", wanted: "batch IN (SELECT id FROM main.batch)" },
    Numbered { name: "segment", number: "id", wanted: "scope IN (SELECT id FROM main.scope WHERE entity = 'event')" },
];

/// What copies a table.
struct Statements {
    /// The last number of so many rows from a number on.
    last: String,
    /// Copies the rows between two numbers.
    copy: String,
}

impl Numbered {
    fn statements(&self, columns: &str) -> Statements {
        let Self { name, number, wanted } = self;
        let rows = format!("FROM damaged.{name} NOT INDEXED WHERE {number} BETWEEN ?1 AND ?2 AND {wanted}");
        Statements {
            last: format!("SELECT max(number) FROM (SELECT {number} AS number {rows} ORDER BY {number} LIMIT ?3)"),
            copy: format!("INSERT OR REPLACE INTO main.{name} ({columns}) SELECT {columns} {rows}"),
        }
    }
}

/// Rows that are copied at once, while nothing is wrong with them.
const ROWS_AT_ONCE: i64 = 256;

/// The largest number of a row that is looked for.
const NUMBER_MAX: i64 = 1 << 40;

/// What became of copying some rows.
enum Copied {
    /// Those up to this number.
    UpTo(i64),
    /// There are no more.
    All,
    /// One of them can't be read.
    No,
}

impl Rebuilding<'_> {
    pub(super) async fn copy_all(&mut self) -> Result<(), LedgerError> {
        for table in &NUMBERED {
            let before = self.repaired.lost;
            let statements = table.statements(&self.columns(table.name).await?);
            self.copy_table(&statements).await?;
            self.drop_changed(table.name).await?;
            // Which records were whose must be sure; the index over the scopes is a second copy of them.
            if table.name == "scope" && (self.repaired.lost > before || self.scopes_are_damaged().await) {
                return Err(self.new.corrupt("not even what it is about can be read"));
            }
        }
        self.copy_numbers_given().await
    }

    /// The columns of a table that both files have: older formats have no sums.
    async fn columns(&mut self, table: &str) -> Result<String, LedgerError> {
        let names: Result<String, _> = sqlx::query_scalar(
            "SELECT group_concat(name, ', ') FROM pragma_table_info(?1, 'main') WHERE name <> 'sum'
               OR EXISTS (SELECT 1 FROM pragma_table_info(?1, 'damaged') AS theirs WHERE theirs.name = 'sum')",
        )
        .bind(table)
        .fetch_one(&mut self.connection)
        .await;
        names.map_err(|error| unreadable_schema(self.new, self.fail(error)))
    }

    async fn copy_table(&mut self, table: &Statements) -> Result<(), LedgerError> {
        let (mut from, mut rows) = (0, ROWS_AT_ONCE);
        loop {
            match self.copy_rows(table, from, rows).await? {
                Copied::All => return Ok(()),
                Copied::UpTo(last) => {
                    from = last + 1;
                    rows = (rows * 2).min(ROWS_AT_ONCE);
                }
                Copied::No if rows > 1 => rows /= 2,
                Copied::No => {
                    self.repaired.lost += 1;
                    let Some(readable) = self.next_readable(table, from).await? else { return Ok(()) };
                    from = readable;
                }
            }
        }
    }

    async fn copy_rows(&mut self, table: &Statements, from: i64, rows: i64) -> Result<Copied, LedgerError> {
        let last: Result<Option<i64>, _> = sqlx::query_scalar(AssertSqlSafe(table.last.clone()))
            .bind(from)
            .bind(NUMBER_MAX)
            .bind(rows)
            .fetch_one(&mut self.connection)
            .await;
        let last = match last.map_err(|error| self.fail(error)) {
            Ok(None) => return Ok(Copied::All),
            // Rows that are out of order come before where they were looked for.
            Ok(Some(last)) if last < from => return Ok(Copied::No),
            Ok(Some(last)) => last,
            Err(error) => return unreadable(error),
        };
        let done =
            sqlx::query(AssertSqlSafe(table.copy.clone())).bind(from).bind(last).execute(&mut self.connection).await;
        match done.map_err(|error| self.fail(error)) {
            Ok(_) => Ok(Copied::UpTo(last)),
            Err(error) => unreadable(error),
        }
    }

    /// The first number behind `from` from which a row can be read again: steps that double, and back by halves.
    async fn next_readable(&mut self, table: &Statements, from: i64) -> Result<Option<i64>, LedgerError> {
        let (mut bad, mut step) = (from, 1);
        let mut good = loop {
            let probe = from + step;
            if probe > NUMBER_MAX {
                return Ok(None);
            }
            if self.can_read(table, probe).await? {
                break probe;
            }
            (bad, step) = (probe, step * 2);
        };
        while good - bad > 1 {
            let middle = bad + (good - bad) / 2;
            if self.can_read(table, middle).await? { good = middle } else { bad = middle }
        }
        Ok(Some(good))
    }

    async fn can_read(&mut self, table: &Statements, from: i64) -> Result<bool, LedgerError> {
        Ok(match self.copy_rows(table, from, 1).await? {
            Copied::All | Copied::UpTo(_) => true,
            Copied::No => false,
        })
    }

    async fn scopes_are_damaged(&mut self) -> bool {
        let sql = "SELECT count(*) FROM pragma_integrity_check('scope', 'damaged') WHERE integrity_check <> 'ok'";
        !matches!(self.number(sql).await, Ok(0))
    }

    /// Numbers that were given once are not given again: rejects files are named by them.
    async fn copy_numbers_given(&mut self) -> Result<(), LedgerError> {
        let given: Result<Vec<(String, i64)>, _> =
            sqlx::query_as("SELECT name, seq FROM damaged.sqlite_sequence").fetch_all(&mut self.connection).await;
        for (table, last) in given.unwrap_or_default() {
            let done = sqlx::query("UPDATE main.sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1 AND ?2 < ?3")
                .bind(table)
                .bind(last)
                .bind(NUMBER_MAX)
                .execute(&mut self.connection)
                .await;
            done.map_err(|error| self.fail(error))?;
        }
        Ok(())
    }
}

/// Damaged, or against the rules of its table.
fn unreadable(error: LedgerError) -> Result<Copied, LedgerError> {
    match error {
        LedgerError::Corrupt { .. } | LedgerError::Refused { .. } => Ok(Copied::No),
        other => Err(other),
    }
}
