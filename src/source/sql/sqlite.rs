//! SQLite: every value is as it's stored, whatever its column says.

use std::str::FromStr;
use std::time::Duration;

use futures::stream::BoxStream;
use secrecy::ExposeSecret;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow, SqliteValueRef};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection, Decode, Executor, Row, SqlSafeStr, Statement as _,
    TypeInfo, ValueRef,
};

use super::cells::Cells;
use super::driver::{Column, Driver, Order, Session, Statement, Value};
use super::failure::Failure;
use crate::source::error::OpenProblem;

/// How long a writer that locks the file is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Most rows that SQLite's thread is ahead: what is bought with more is little.
const ROWS_AHEAD_MAX: usize = 1_024;

/// SQLite's page cache, 512 KB instead of 2 MB: rows are read in order, and a page that was read isn't read again.
const PAGE_CACHE: &str = "-512";

pub(super) struct Sqlite {
    connection: SqliteConnection,
}

impl Driver for Sqlite {
    type Kind = ();
    type Row = SqliteRow;

    const QUOTE: char = '"';
    const TUPLES: bool = true;
    const BY_COLUMN: bool = false;

    async fn connect(session: &Session) -> Result<Self, Failure> {
        let options = SqliteConnectOptions::from_str(session.url.expose_secret())?
            .read_only(true)
            .create_if_missing(false)
            .busy_timeout(BUSY_TIMEOUT)
            .row_buffer_size(session.rows_ahead.clamp(1, ROWS_AHEAD_MAX))
            .pragma("cache_size", PAGE_CACHE)
            .disable_statement_logging();
        let file = options.get_filename();
        match std::fs::metadata(file) {
            Err(error) => return Err(Failure::Data(OpenProblem::io(error))),
            Ok(about) if about.is_dir() => {
                let problem = "it's a directory, not a database's file".to_owned();
                return Err(Failure::Data(OpenProblem::Unreachable(problem)));
            }
            Ok(_) => {}
        }
        Ok(Self { connection: options.connect().await? })
    }

    async fn describe(&mut self, sql: &str) -> Result<Vec<Column<()>>, Failure> {
        let statement = (&mut self.connection).prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await?;
        let columns = statement
            .columns()
            .iter()
            .map(|column| Column {
                name: column.name().to_owned(),
                kind: match column.type_info().name() {
                    "BLOB" => {
                        Err("is of type blob, bytes that are no text; leave it out, or give it as text: hex(…)"
                            .to_owned())
                    }
                    _ => Ok(()),
                },
            })
            .collect();
        self.connection.clear_cached_statements().await?;
        Ok(columns)
    }

    async fn begin(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn rows(&mut self, statement: &Statement) -> BoxStream<'_, Result<SqliteRow, sqlx::Error>> {
        let mut query = sqlx::query(AssertSqlSafe(statement.sql.clone())).persistent(false);
        for value in &statement.values {
            query = match value {
                Value::Text(text) => query.bind(text.clone()),
                Value::Int(number) => query.bind(*number),
                // Not made by this driver: SQLite has no such integers.
                Value::Uint(number) => query.bind(number.to_string()),
                Value::Real(number) => query.bind(*number),
            };
        }
        query.fetch(&mut self.connection)
    }

    async fn end(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn is_one(row: &SqliteRow, column: usize) -> Result<bool, Failure> {
        Ok(bytes(row.try_get_raw(column)?)? == b"1")
    }

    fn read(row: &SqliteRow, kinds: &[()], cells: &mut Cells) -> Result<(), Failure> {
        for column in 0..kinds.len() {
            let value = row.try_get_raw(column)?;
            if value.is_null() {
                cells.null();
                continue;
            }
            match class(&value) {
                Class::Integer => cells.integer(integer(value)?),
                Class::Real => cells.real(real(value)?),
                Class::Text => cells.bytes(bytes(value)?),
                Class::Blob => cells.flawed("holds a blob, bytes that are no text"),
            }
        }
        Ok(())
    }

    fn value(row: &SqliteRow, (): &(), column: usize) -> Result<Option<Value>, Failure> {
        let value = row.try_get_raw(column)?;
        if value.is_null() {
            return Ok(None);
        }
        Ok(Some(match class(&value) {
            Class::Integer => Value::Int(integer(value)?),
            Class::Real => Value::Real(real(value)?),
            Class::Text => match std::str::from_utf8(bytes(value)?) {
                Ok(text) => Value::Text(text.to_owned()),
                Err(_) => return Err(unordered("a text that is not valid UTF-8")),
            },
            Class::Blob => return Err(unordered("a blob")),
        }))
    }

    fn value_of((): &(), text: &str, like: &Value) -> Value {
        let number = match like {
            Value::Text(_) => None,
            Value::Int(_) | Value::Uint(_) | Value::Real(_) => {
                text.parse().map(Value::Int).ok().or_else(|| text.parse().map(Value::Real).ok())
            }
        };
        number.unwrap_or_else(|| Value::Text(text.to_owned()))
    }

    fn order((): &()) -> Option<Order> {
        Some(Order::Any)
    }

    fn item(expression: &str, (): &()) -> String {
        expression.to_owned()
    }

    fn place(_: usize, (): &()) -> String {
        "?".to_owned()
    }
}

/// How a value is stored.
enum Class {
    Integer,
    Real,
    Text,
    Blob,
}

fn class(value: &SqliteValueRef<'_>) -> Class {
    match value.type_info().name() {
        "INTEGER" => Class::Integer,
        "REAL" => Class::Real,
        "TEXT" => Class::Text,
        _ => Class::Blob,
    }
}

fn unordered(what: &str) -> Failure {
    Failure::Data(OpenProblem::Query(format!("the `key` or `changed` column holds {what}; pages can't be read by it")))
}

fn integer(value: SqliteValueRef<'_>) -> Result<i64, Failure> {
    Ok(<i64 as Decode<sqlx::Sqlite>>::decode(value).map_err(sqlx::Error::Decode)?)
}

fn real(value: SqliteValueRef<'_>) -> Result<f64, Failure> {
    Ok(<f64 as Decode<sqlx::Sqlite>>::decode(value).map_err(sqlx::Error::Decode)?)
}

fn bytes(value: SqliteValueRef<'_>) -> Result<&[u8], Failure> {
    Ok(<&[u8] as Decode<sqlx::Sqlite>>::decode(value).map_err(sqlx::Error::Decode)?)
}
