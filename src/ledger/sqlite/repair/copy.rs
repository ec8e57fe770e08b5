//! Copies what can still be read of a damaged file, row by row where it must be.

use super::Rebuilding;
use crate::ledger::LedgerError;

/// A table with a number as its key.
struct Numbered {
    name: &'static str,
    /// The last number of so many rows from a number on.
    last: &'static str,
    /// Copies the rows between two numbers.
    copy: &'static str,
}

macro_rules! numbered {
    ($name:literal, $number:literal, $wanted:literal) => {
        Numbered {
            name: $name,
            last: concat!(
                "SELECT max(number) FROM (SELECT ",
                $number,
                " AS number FROM damaged.",
                $name,
                " NOT INDEXED WHERE ",
                $number,
                " BETWEEN ?1 AND ?2 AND ",
                $wanted,
                " ORDER BY ",
                $number,
                " LIMIT ?3)"
            ),
            copy: concat!(
                "INSERT OR REPLACE INTO main.",
                $name,
                " SELECT * FROM damaged.",
                $name,
                " NOT INDEXED WHERE ",
                $number,
                " BETWEEN ?1 AND ?2 AND ",
                $wanted
            ),
        }
    };
}

/// In the order in which they are copied: what is wanted of the later ones is seen from the earlier ones.
const NUMBERED: [Numbered; 6] = [
    numbered!("run", "id", "1"),
    numbered!("scope", "id", "1"),
    numbered!("open_batch", "batch", "1"),
    numbered!(
        "batch",
        "id",
        "(id IN (SELECT batch FROM main.open_batch) OR scope IN (SELECT id FROM main.scope WHERE entity = 'event'))"
    ),
    numbered!("outcome", "batch", "batch IN (SELECT id FROM main.batch)"),
    numbered!("segment", "id", "scope IN (SELECT id FROM main.scope WHERE entity = 'event')"),
];

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
            self.copy_table(table).await?;
            // Which records were whose must be sure; the index over the scopes is a second copy of them.
            if table.name == "scope" && (self.repaired.lost > before || self.scopes_are_damaged().await) {
                return Err(self.new.corrupt("not even what it is about can be read"));
            }
        }
        self.copy_numbers_given().await
    }

    async fn copy_table(&mut self, table: &Numbered) -> Result<(), LedgerError> {
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

    async fn copy_rows(&mut self, table: &Numbered, from: i64, rows: i64) -> Result<Copied, LedgerError> {
        let last: Result<Option<i64>, _> =
            sqlx::query_scalar(table.last).bind(from).bind(NUMBER_MAX).bind(rows).fetch_one(&mut self.connection).await;
        let last = match last.map_err(|error| self.fail(error)) {
            Ok(None) => return Ok(Copied::All),
            // Rows that are out of order come before where they were looked for.
            Ok(Some(last)) if last < from => return Ok(Copied::No),
            Ok(Some(last)) => last,
            Err(error) => return unreadable(error),
        };
        let done = sqlx::query(table.copy).bind(from).bind(last).execute(&mut self.connection).await;
        match done.map_err(|error| self.fail(error)) {
            Ok(_) => Ok(Copied::UpTo(last)),
            Err(error) => unreadable(error),
        }
    }

    /// The first number behind `from` from which a row can be read again: steps that double, and back by halves.
    async fn next_readable(&mut self, table: &Numbered, from: i64) -> Result<Option<i64>, LedgerError> {
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

    async fn can_read(&mut self, table: &Numbered, from: i64) -> Result<bool, LedgerError> {
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
