//! The sums of what was copied: they are checked before anything is believed, and made anew for what came of it.

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteRow;

use super::Rebuilding;
use crate::ledger::LedgerError;
use crate::ledger::sqlite::sum::{BATCH, OPEN_BATCH, OUTCOME, RUN, SCOPE, SEGMENT, Summed};

/// What is copied. The first column of each is its number.
pub(super) const COPIED: [Summed; 6] = [RUN, SCOPE, OPEN_BATCH, BATCH, OUTCOME, SEGMENT];

impl Rebuilding<'_> {
    /// Takes rows whose bits have changed for rows that could not be read.
    pub(super) async fn drop_changed(&mut self, table: &str) -> Result<(), LedgerError> {
        let summed = COPIED.iter().find(|summed| summed.table == table).expect("is among them");
        for number in self.numbers_of(summed).await? {
            match self.new.check_sum(&self.row_of(summed, number).await?, 0, summed) {
                Ok(()) => {}
                Err(LedgerError::Corrupt { .. }) => {
                    self.repaired.lost += 1;
                    let sql = format!("DELETE FROM main.{table} WHERE {} = ?", summed.columns[0]);
                    let done = sqlx::query(AssertSqlSafe(sql)).bind(number).execute(&mut self.connection).await;
                    done.map_err(|error| self.fail(error))?;
                }
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// Writes the sums of all rows.
    pub(super) async fn write_sums(&mut self) -> Result<(), LedgerError> {
        for summed in &COPIED {
            for number in self.numbers_of(summed).await? {
                let row = self.row_of(summed, number).await?;
                let sum = summed.of(&row, 0).map_err(|error| self.fail(error))?.stored();
                let sql = format!("UPDATE main.{} SET sum = ?2 WHERE {} = ?1", summed.table, summed.columns[0]);
                let done = sqlx::query(AssertSqlSafe(sql)).bind(number).bind(sum).execute(&mut self.connection).await;
                done.map_err(|error| self.fail(error))?;
            }
        }
        Ok(())
    }

    async fn numbers_of(&mut self, summed: &Summed) -> Result<Vec<i64>, LedgerError> {
        let sql = format!("SELECT {} FROM main.{}", summed.columns[0], summed.table);
        let numbers = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await;
        numbers.map_err(|error| self.fail(error))
    }

    async fn row_of(&mut self, summed: &Summed, number: i64) -> Result<SqliteRow, LedgerError> {
        let (columns, table, key) = (summed.list(), summed.table, summed.columns[0]);
        let sql = format!("SELECT {columns}, sum FROM main.{table} WHERE {key} = ?");
        let row = sqlx::query(AssertSqlSafe(sql)).bind(number).fetch_one(&mut self.connection).await;
        row.map_err(|error| self.fail(error))
    }
}
