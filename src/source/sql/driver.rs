//! What a driver does for the reader: a session, the query's columns, a statement's rows.

use std::future::Future;
use std::time::Duration;

use futures::stream::BoxStream;
use secrecy::SecretString;

use super::cells::Cells;
use super::failure::Failure;

/// A value that a statement is given.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Int(i64),
    Uint(u64),
    Real(f64),
}

/// A statement with the values of its places, in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Statement {
    pub(super) fn plain(sql: String) -> Self {
        Self { sql, values: Vec::new() }
    }
}

/// How values of a column are ordered, where rows can be read in that order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Number,
    Time,
    Text,
    /// As each value is (SQLite).
    Any,
}

/// A column of the query.
#[derive(Debug, Clone)]
pub(super) struct Column<K> {
    pub(super) name: String,
    /// How it's read; else why it can't be.
    pub(super) kind: Result<K, String>,
}

/// What a session needs to know.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) url: SecretString,
    pub(super) statement_timeout: Duration,
    /// Whether statements are pages: short, and limited by the database, too.
    pub(super) paged: bool,
    /// Most rows of one statement that are on their way at a time, where the driver has a say.
    pub(super) rows_ahead: usize,
}

/// One connection of one kind of database. Its session reads only, and in UTC.
pub(super) trait Driver: Sized + Send + 'static {
    /// How a column is read.
    type Kind: Clone + Send + Sync + 'static;
    type Row: Send;

    /// What stands around names.
    const QUOTE: char;
    /// Whether `(a, b) >= (x, y)` is understood, and quick.
    const TUPLES: bool;
    /// Whether a query is always asked column by column, as a sub-select.
    const BY_COLUMN: bool;

    fn connect(session: &Session) -> impl Future<Output = Result<Self, Failure>> + Send;

    /// The columns that `sql` would give; it isn't run.
    fn describe(&mut self, sql: &str) -> impl Future<Output = Result<Vec<Column<Self::Kind>>, Failure>> + Send;

    /// What comes before a statement.
    fn begin(&mut self) -> impl Future<Output = Result<(), Failure>> + Send;

    fn rows(&mut self, statement: &Statement) -> BoxStream<'_, Result<Self::Row, sqlx::Error>>;

    /// What comes after a statement that was read to its end.
    fn end(&mut self) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Whether the cell at `column`, which is a text, is `1`.
    fn is_one(row: &Self::Row, column: usize) -> Result<bool, Failure>;

    /// Puts the row's cells, as many as `kinds`, into `cells`.
    fn read(row: &Self::Row, kinds: &[Self::Kind], cells: &mut Cells) -> Result<(), Failure>;

    /// The row's value at `column`, to go on after it; `None` is NULL.
    fn value(row: &Self::Row, kind: &Self::Kind, column: usize) -> Result<Option<Value>, Failure>;

    /// The value that a cell's `text` stands for; `like` is another value of the same column.
    fn value_of(kind: &Self::Kind, text: &str, like: &Value) -> Value;

    fn order(kind: &Self::Kind) -> Option<Order>;

    /// The expression in the form in which it's read.
    fn item(expression: &str, kind: &Self::Kind) -> String;

    /// The place of the `number`th value, from 1, which is compared with a column of `kind`.
    fn place(number: usize, kind: &Self::Kind) -> String;
}
