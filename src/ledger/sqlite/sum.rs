//! The sum in each row of what it says. SQLite has no check for a bit that flips within a row; where a row's sum does not fit,
//! it is not believed.
//!
//! A row's number is part of its sum, so that no row stands for another. A row that is missing has none: that is found by
//! looking through the whole file (see `examine.rs`).

use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Decode, Row as _, TypeInfo as _, ValueRef as _};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::database::Database;
use crate::ledger::LedgerError;

/// A table whose rows have sums.
pub(super) struct Summed {
    pub(super) table: &'static str,
    /// What the sum is of, in this order.
    pub(super) columns: &'static [&'static str],
    /// Another for each table.
    seed: u64,
}

pub(super) const RUN: Summed = Summed {
    table: "run",
    columns: &["id", "identity", "started_ms", "arguments", "finished_ms", "exit", "summary"],
    seed: 1,
};
pub(super) const SCOPE: Summed = Summed { table: "scope", columns: &["id", "target", "entity"], seed: 2 };
pub(super) const BATCH: Summed =
    Summed { table: "batch", columns: &["id", "scope", "run", "step", "opened_ms", "len", "items"], seed: 3 };
pub(super) const OPEN_BATCH: Summed = Summed { table: "open_batch", columns: &["batch", "keys", "task"], seed: 4 };
/// How a batch was sent is not part of it: it is only told.
pub(super) const OUTCOME: Summed =
    Summed { table: "outcome", columns: &["batch", "settled_ms", "refusals", "states"], seed: 5 };
pub(super) const SEGMENT: Summed = Summed { table: "segment", columns: &["id", "scope", "records", "items"], seed: 6 };
pub(super) const MARK: Summed = Summed { table: "mark", columns: &["scope", "step", "identity", "value"], seed: 7 };
pub(super) const REPLACEMENT: Summed = Summed {
    table: "replacement",
    columns: &[
        "target",
        "subscription_id",
        "customer_id",
        "payer_id",
        "resource_id",
        "plan_id",
        "provider",
        "original_id",
        "content",
        "stage",
        "reason",
        "detail",
        "billing_id",
        "attempts",
        "changed_ms",
    ],
    seed: 8,
};
pub(super) const SKETCH: Summed = Summed { table: "sketch", columns: &["batch", "fields"], seed: 9 };

/// All of them.
pub(super) const SUMMED: [Summed; 9] = [RUN, SCOPE, BATCH, OPEN_BATCH, OUTCOME, SEGMENT, MARK, REPLACEMENT, SKETCH];

/// Tells a number, and nothing, from bytes.
const NUMBER: u64 = 1 << 32;
const NOTHING: u64 = 1 << 33;

/// A sum, of as many columns as were taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum(u64);

impl Sum {
    pub(super) fn number(self, number: i64) -> Self {
        Self(xxh3_64_with_seed(&number.to_le_bytes(), self.0 ^ NUMBER))
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        Self(xxh3_64_with_seed(bytes, self.0))
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(super) fn maybe_number(self, number: Option<i64>) -> Self {
        number.map_or_else(|| self.nothing(), |number| self.number(number))
    }

    pub(super) fn maybe_text(self, text: Option<&str>) -> Self {
        text.map_or_else(|| self.nothing(), |text| self.text(text))
    }

    /// A column that is null.
    pub(super) fn nothing(self) -> Self {
        Self(xxh3_64_with_seed(&[], self.0 ^ NOTHING))
    }

    /// As it stands in the row.
    pub(super) fn stored(self) -> i64 {
        self.0.cast_signed()
    }
}

impl Summed {
    /// The sum of no column yet.
    pub(super) fn begin(&self) -> Sum {
        Sum(self.seed)
    }

    /// The columns as a query lists them.
    pub(super) fn list(&self) -> String {
        self.columns.join(", ")
    }

    /// The sum of a row whose columns stand in it from `first` on.
    pub(super) fn of(&self, row: &SqliteRow, first: usize) -> Result<Sum, sqlx::Error> {
        let decode = |error| sqlx::Error::Decode(error);
        let mut sum = self.begin();
        for at in first..first + self.columns.len() {
            let value = row.try_get_raw(at)?;
            sum = if value.is_null() {
                sum.nothing()
            } else if value.type_info().name() == "INTEGER" {
                sum.number(<i64 as Decode<Sqlite>>::decode(value).map_err(decode)?)
            } else {
                sum.bytes(<&[u8] as Decode<Sqlite>>::decode(value).map_err(decode)?)
            };
        }
        Ok(sum)
    }
}

impl Database {
    /// Checks a row whose columns stand in it from `first` on, and behind them its sum.
    pub(super) fn check_sum(&self, row: &SqliteRow, first: usize, summed: &Summed) -> Result<(), LedgerError> {
        let stored: Option<i64> = row.try_get(first + summed.columns.len()).map_err(|error| self.error(error))?;
        let Some(stored) = stored else { return Ok(()) };
        if summed.of(row, first).map_err(|error| self.error(error))?.stored() == stored {
            Ok(())
        } else {
            Err(self.corrupt(format!("bits of a row in its table `{}` have changed", summed.table)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_sum_tells_apart_what_columns_may_hold() {
        let begin = BATCH.begin();
        let sums = [
            begin,
            SEGMENT.begin(),
            begin.nothing(),
            begin.text(""),
            begin.text("\0"),
            begin.number(0),
            begin.bytes(&0i64.to_le_bytes()),
            begin.number(1),
            begin.text("a").text("b"),
            begin.text("ab").text(""),
            begin.text("").text("ab"),
            begin.text("ab"),
            begin.nothing().nothing(),
        ];
        assert_eq!(sums.iter().map(|sum| sum.stored()).collect::<HashSet<_>>().len(), sums.len());
    }

    #[test]
    fn a_sum_is_the_same_in_every_version() {
        let sum = BATCH.begin().number(7).number(-1).text("customers").nothing().bytes(&[0xff; 300]);
        assert_eq!(sum.stored(), 4_328_972_709_896_177_954);
    }
}
