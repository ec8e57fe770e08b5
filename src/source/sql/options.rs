//! Which database, which rows, and how they are to be read.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

use crate::source::error::SourceError;
use crate::source::limits::Limits;

/// Which rows are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqlQuery {
    /// A statement that gives rows (`select …`, `with … select …`), without parameters. It is run
    /// as a sub-select where there are pages, so its own `order by` counts only without
    /// [`SqlOptions::key`] and [`SqlOptions::changed`].
    Query(String),
    /// All columns of a table or view, by its exact name; a dot stands between schema and table.
    Table(String),
}

/// A value of the [`changed`](SqlOptions::changed) column up to which all rows were handed out, as
/// text in the form of the cells.
///
/// What a run leaves behind for the next: see [`RowBatch::mark`](crate::record::RowBatch::mark).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(pub String);

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How to read a database.
///
/// With a [`key`](Self::key) the rows come in pages, each a short statement of its own: nothing is
/// held in the database while the API throttles, and a connection that is lost between two pages is
/// made again. Without, one statement gives all rows, and stays open as long as the run takes.
#[derive(Debug, Clone)]
pub struct SqlOptions {
    /// Where the database is, in the form of each driver: `postgres://`, `postgresql://`,
    /// `mysql://`, `mariadb://` or `sqlite:PATH`. What it says of TLS is followed (`sslmode`,
    /// `sslrootcert`, … and `ssl-mode`, `ssl-ca`, …); an unknown parameter is refused.
    pub url: SecretString,
    /// What is read.
    pub query: SqlQuery,
    /// A column whose values are unique and never NULL, by which pages are read, in its order: an
    /// integer, decimal, text, uuid, date or timestamp, best one with an index.
    pub key: Option<String>,
    /// A column that grows with each change of a row (`updated_at`): rows come in its order, rows
    /// where it's NULL first, and batches have marks. An index on it (best on it and the key) makes
    /// a small run quick.
    pub changed: Option<String>,
    /// Leaves out rows that were changed before this mark, less the margin. Rows where the column
    /// is NULL are read each time, as nothing says that they are as they were.
    pub since: Option<Mark>,
    /// How far before [`since`](Self::since) rows are read again, for clocks that differ and for
    /// transactions that end later than others that began after them: in seconds for dates and
    /// times, in the column's own unit for numbers, nothing for other texts. Default 60.
    pub changed_margin: u32,
    /// Most rows in a page. Default 10,000.
    pub page_rows: usize,
    /// A page ends early when its cells have this many bytes; the rest comes with the next. Default
    /// 8 MiB.
    pub page_text_bytes: usize,
    /// Most rows in a batch. Default 256.
    pub batch_rows: usize,
    /// A batch is closed when its cells have this many bytes. Default 128 KiB.
    pub batch_text_bytes: usize,
    /// What is taken at most.
    pub limits: Limits,
    /// Longest that connecting and logging in may take. Default 10 s.
    pub connect_timeout: Duration,
    /// Longest that the database may take for the next rows; in pages also the limit of a whole
    /// statement that the database is told. Default 300 s.
    pub statement_timeout: Duration,
    /// How often a lost connection is made again for one page, after 0 s, 1 s, 2 s, … Default 3.
    pub reconnects_max: u32,
}

impl SqlOptions {
    /// Reads `query` from the database at `url`, with every default.
    pub fn new(url: SecretString, query: SqlQuery) -> Self {
        Self {
            url,
            query,
            key: None,
            changed: None,
            since: None,
            changed_margin: 60,
            page_rows: 10_000,
            page_text_bytes: 8 << 20,
            batch_rows: 256,
            batch_text_bytes: 128 << 10,
            limits: Limits::default(),
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(300),
            reconnects_max: 3,
        }
    }

    /// Names what is read: the address without its password, the query and the `changed` column.
    /// Marks of one identity mean nothing to another.
    pub fn identity(&self) -> String {
        let (kind, text) = match &self.query {
            SqlQuery::Query(_) => ("query", text_of(&self.query)),
            SqlQuery::Table(_) => ("table", text_of(&self.query)),
        };
        let changed = self.changed.as_deref().unwrap_or_default();
        format!("{}\0{kind}\0{text}\0{changed}", super::address::without_password(&self.url))
    }

    pub(super) fn check(&self) -> Result<(), SourceError> {
        /// A batch's positions are kept in 32 bits, and a page has one row more than it's asked for.
        const MAX: usize = 1 << 30;
        let wrong = if self.since.is_some() && self.changed.is_none() {
            "a mark to start at needs the `changed` column that it's a value of"
        } else if self.key.is_some() && self.key == self.changed {
            "`key` and `changed` name the same column; a key stays as it is when a row changes"
        } else if self.page_rows == 0 || self.batch_rows == 0 || self.page_text_bytes == 0 || self.batch_text_bytes == 0
        {
            "pages and batches need room for a row"
        } else if self.page_rows > MAX
            || self.page_text_bytes > MAX
            || self.batch_text_bytes > MAX
            || self.limits.row_bytes_max > MAX
        {
            "pages, batches and rows have at most 1 GiB, and pages at most 2^30 rows"
        } else if self.connect_timeout.is_zero() || self.statement_timeout.is_zero() {
            "a timeout of nothing lets nothing happen"
        } else if text_of(&self.query).is_empty() {
            "there is no query and no table"
        } else {
            return Ok(());
        };
        Err(SourceError::Options(wrong.to_owned()))
    }
}

/// The query without what a sub-select can't have at its end; the table's name.
pub(super) fn text_of(query: &SqlQuery) -> &str {
    match query {
        SqlQuery::Query(text) => text.trim().trim_end_matches(|c: char| c == ';' || c.is_whitespace()),
        SqlQuery::Table(name) => name.trim(),
    }
}
