//! What is looked at of a source: its columns, and what stands in them in its first rows.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::RowBatch;

/// Different values of a column that are counted; with more it is no list of words.
const DISTINCT_MAX: usize = 200;

/// The first rows of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// Its columns, in order.
    pub columns: Vec<ColumnSample>,
    /// Rows that were looked at.
    pub rows: u64,
    /// Whether they are JSON records, whose columns are names and paths.
    pub is_json: bool,
}

/// One column, and its cells in the sample.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnSample {
    /// Its name.
    pub name: String,
    /// Its cells that are neither NULL nor blank nor words for nothing, in order.
    pub cells: Vec<String>,
    /// Words for nothing that stand in it, each once: `-`, `N/A`.
    pub nothings: BTreeSet<String>,
}

/// Whether a cell says that there is nothing. Words that could be a value (`none` may be a plan) are not among them.
fn is_nothing(cell: &str) -> bool {
    const WORDS: [&str; 10] =
        ["-", "--", "—", "n/a", "#n/a", "null", "nil", "\\n", "0000-00-00", "0000-00-00 00:00:00"];
    WORDS.contains(&cell.to_ascii_lowercase().as_str())
}

impl Sample {
    /// A sample of no rows yet.
    pub fn new(columns: &[Box<str>]) -> Self {
        let columns = columns.iter().map(|name| ColumnSample { name: name.to_string(), ..ColumnSample::default() });
        Self { columns: columns.collect(), rows: 0, is_json: false }
    }

    /// Takes rows in, `rows_max` in all.
    pub fn add(&mut self, rows: &RowBatch, rows_max: u64) {
        for row in rows.rows().take(usize::try_from(rows_max - self.rows.min(rows_max)).unwrap_or(usize::MAX)) {
            self.rows += 1;
            for (column, cell) in self.columns.iter_mut().zip(row.cells()) {
                cell.into_iter().for_each(|cell| column.add(cell));
            }
        }
    }

    /// The column of a name.
    pub fn column(&self, name: &str) -> Option<&ColumnSample> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl ColumnSample {
    /// Takes a cell in.
    pub fn add(&mut self, cell: &str) {
        match cell.trim() {
            "" => {}
            nothing if is_nothing(nothing) => drop(self.nothings.insert(nothing.to_owned())),
            _ => self.cells.push(cell.to_owned()),
        }
    }

    /// The first two different values, cut to a length for a comment.
    pub fn shown(&self) -> Vec<String> {
        const CHARS_MAX: usize = 40;
        let mut shown: Vec<String> = Vec::new();
        for cell in &self.cells {
            let cut: String =
                cell.trim().chars().take(CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
            if !shown.contains(&cut) {
                shown.push(cut);
            }
            if shown.len() == 2 {
                break;
            }
        }
        shown
    }

    /// Its different values with their numbers, the most frequent first; none where there are too many.
    pub fn distinct(&self) -> Option<Vec<(&str, u64)>> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for cell in &self.cells {
            *counts.entry(cell.trim()).or_default() += 1;
            if counts.len() > DISTINCT_MAX {
                return None;
            }
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then(a.cmp(b)));
        Some(counts)
    }

    /// Whether its cells are objects or arrays.
    pub fn is_json(&self) -> bool {
        self.mostly(|cell| cell.starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(cell).is_ok())
    }

    /// Whether there are cells, and at least nine in ten of them fit; of a few three in four, since one of them may be dirty.
    pub fn mostly(&self, fits: impl Fn(&str) -> bool) -> bool {
        const A_FEW: usize = 20;
        let (fitting, all) = (self.cells.iter().filter(|cell| fits(cell.trim())).count(), self.cells.len());
        fitting > 0 && (fitting * 10 >= all * 9 || (all < A_FEW && fitting * 4 >= all * 3))
    }
}
