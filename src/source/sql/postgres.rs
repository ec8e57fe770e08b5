//! Postgres: all but the simplest types are asked for as the text that the server prints.

use std::borrow::Cow;
use std::str::FromStr;

use futures::stream::BoxStream;
use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgTypeInfo, PgTypeKind, PgValueRef};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection, Executor, Row, SqlSafeStr, Statement as _, TypeInfo,
    ValueRef,
};

use super::cells::Cells;
use super::driver::{Column, Driver, Order, Session, Statement, Value};
use super::failure::Failure;

pub(super) struct Postgres {
    connection: PgConnection,
    begin: String,
}

#[derive(Debug, Clone)]
pub(super) struct Kind {
    read: Read,
    /// How it's ordered, and the type that a text becomes to be compared with it.
    order: Option<(Order, Cow<'static, str>)>,
}

/// How a column is asked for and read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// As it is: its binary form is its text.
    Text,
    Int,
    Bool,
    /// As text.
    Printed,
    /// As text, and a zone after it.
    Zoned,
    /// As a JSON array.
    Array,
    /// As a number: its text depends on the server's language.
    Money,
}

impl Kind {
    fn of(info: &PgTypeInfo) -> Result<Self, String> {
        let ordered = |read, order, cast: &'static str| Ok(Self { read, order: Some((order, Cow::Borrowed(cast))) });
        let plain = |read| Ok(Self { read, order: None });
        match info.name() {
            "BOOL" => plain(Read::Bool),
            "INT2" => ordered(Read::Int, Order::Number, "smallint"),
            "INT4" => ordered(Read::Int, Order::Number, "integer"),
            "INT8" => ordered(Read::Int, Order::Number, "bigint"),
            "NUMERIC" => ordered(Read::Printed, Order::Number, "numeric"),
            "TEXT" => ordered(Read::Text, Order::Text, "text"),
            "VARCHAR" => ordered(Read::Text, Order::Text, "varchar"),
            // Its padding is no part of it.
            "CHAR" => ordered(Read::Printed, Order::Text, "bpchar"),
            "UUID" => ordered(Read::Printed, Order::Text, "uuid"),
            "DATE" => ordered(Read::Printed, Order::Time, "date"),
            "TIMESTAMP" => ordered(Read::Printed, Order::Time, "timestamp"),
            "TIMESTAMPTZ" => ordered(Read::Zoned, Order::Time, "timestamptz"),
            "MONEY" => plain(Read::Money),
            "BYTEA" | "BYTEA[]" => Err(format!(
                "is of type {}, bytes that are no text; leave it out, or give it as text: encode(…, 'hex')",
                info.name().to_ascii_lowercase()
            )),
            "RECORD" | "RECORD[]" => Err("is a row in a row; give its parts as columns of their own".to_owned()),
            "citext" => Ok(Self { read: Read::Printed, order: Some((Order::Text, Cow::Borrowed("citext"))) }),
            _ => match info.kind() {
                PgTypeKind::Array(_) => plain(Read::Array),
                _ => plain(Read::Printed),
            },
        }
    }
}

impl Driver for Postgres {
    type Kind = Kind;
    type Row = PgRow;

    const QUOTE: char = '"';
    const TUPLES: bool = true;
    const BY_COLUMN: bool = true;

    async fn connect(session: &Session) -> Result<Self, Failure> {
        let mut options = PgConnectOptions::from_str(session.url.expose_secret())?.disable_statement_logging();
        if options.get_application_name().is_none() {
            options = options.application_name(env!("CARGO_PKG_NAME"));
        }
        let connection = options.connect().await?;
        // Not settings of the session: they would stay in a pooler's connection.
        let mut begin = "BEGIN READ ONLY".to_owned();
        if session.paged {
            begin += &format!("; SET LOCAL statement_timeout = {}", session.statement_timeout.as_millis());
        }
        Ok(Self { connection, begin })
    }

    async fn describe(&mut self, sql: &str) -> Result<Vec<Column<Kind>>, Failure> {
        self.begin().await?;
        let statement = (&mut self.connection).prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await?;
        let columns = statement
            .columns()
            .iter()
            .map(|column| Column { name: column.name().to_owned(), kind: Kind::of(column.type_info()) })
            .collect();
        self.connection.clear_cached_statements().await?;
        self.end().await?;
        Ok(columns)
    }

    async fn begin(&mut self) -> Result<(), Failure> {
        sqlx::raw_sql(AssertSqlSafe(self.begin.clone())).execute(&mut self.connection).await?;
        Ok(())
    }

    fn rows(&mut self, statement: &Statement) -> BoxStream<'_, Result<PgRow, sqlx::Error>> {
        // Never prepared under a name: poolers don't know it.
        let mut query = sqlx::query(AssertSqlSafe(statement.sql.clone())).persistent(false);
        for value in &statement.values {
            query = query.bind(match value {
                Value::Text(text) => text.clone(),
                Value::Int(number) => number.to_string(),
                Value::Uint(number) => number.to_string(),
                Value::Real(number) => number.to_string(),
            });
        }
        query.fetch(&mut self.connection)
    }

    async fn end(&mut self) -> Result<(), Failure> {
        sqlx::raw_sql("COMMIT").execute(&mut self.connection).await?;
        Ok(())
    }

    fn is_one(row: &PgRow, column: usize) -> Result<bool, Failure> {
        Ok(bytes(&row.try_get_raw(column)?)? == b"1")
    }

    fn read(row: &PgRow, kinds: &[Kind], cells: &mut Cells) -> Result<(), Failure> {
        for (column, kind) in kinds.iter().enumerate() {
            let value = row.try_get_raw(column)?;
            if value.is_null() {
                cells.null();
                continue;
            }
            let bytes = bytes(&value)?;
            match kind.read {
                Read::Text | Read::Printed | Read::Array | Read::Money => cells.bytes(bytes),
                Read::Int => match integer(bytes) {
                    Some(number) => cells.integer(number),
                    None => cells.flawed("is no integer in a form that is known"),
                },
                Read::Bool => cells.str(if bytes == [0] { "false" } else { "true" }),
                // The session is in UTC. What ends otherwise (BC, infinity) stays as it is printed.
                Read::Zoned => match (bytes.strip_suffix(b"+00"), bytes.get(10)) {
                    (Some(time), Some(b' ')) => {
                        let text = cells.open();
                        for (at, byte) in time.iter().enumerate() {
                            text.push(if at == 10 { 'T' } else { char::from(*byte) });
                        }
                        text.push('Z');
                        cells.end();
                    }
                    _ => cells.bytes(bytes),
                },
            }
        }
        Ok(())
    }

    fn value(row: &PgRow, kind: &Kind, column: usize) -> Result<Option<Value>, Failure> {
        let value = row.try_get_raw(column)?;
        if value.is_null() {
            return Ok(None);
        }
        let bytes = bytes(&value)?;
        let number = if kind.read == Read::Int { integer(bytes) } else { None };
        Ok(Some(Value::Text(match number {
            Some(number) => number.to_string(),
            None => String::from_utf8_lossy(bytes).into_owned(),
        })))
    }

    fn value_of(_: &Kind, text: &str, _: &Value) -> Value {
        Value::Text(text.to_owned())
    }

    fn order(kind: &Kind) -> Option<Order> {
        kind.order.as_ref().map(|(order, _)| *order)
    }

    fn item(expression: &str, kind: &Kind) -> String {
        match kind.read {
            Read::Text | Read::Int | Read::Bool => expression.to_owned(),
            Read::Printed | Read::Zoned => format!("CAST({expression} AS text)"),
            Read::Array => format!("CAST(array_to_json({expression}) AS text)"),
            Read::Money => format!("CAST(CAST({expression} AS numeric) AS text)"),
        }
    }

    fn place(number: usize, kind: &Kind) -> String {
        let cast = kind.order.as_ref().map_or("text", |(_, cast)| cast);
        format!("CAST(${number} AS {cast})")
    }
}

fn bytes<'r>(value: &PgValueRef<'r>) -> Result<&'r [u8], Failure> {
    value.as_bytes().map_err(|error| Failure::Database(sqlx::Error::Decode(error)))
}

fn integer(bytes: &[u8]) -> Option<i64> {
    match *bytes {
        [a, b] => Some(i16::from_be_bytes([a, b]).into()),
        [a, b, c, d] => Some(i32::from_be_bytes([a, b, c, d]).into()),
        [a, b, c, d, e, f, g, h] => Some(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
        _ => None,
    }
}
