//! MySQL and MariaDB: values in the protocol's binary form, where decimals are texts.

use std::str::FromStr;

use futures::stream::BoxStream;
use secrecy::ExposeSecret;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlTypeInfo};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection, Decode, Executor, Row, SqlSafeStr, Statement as _, Type,
    TypeInfo, ValueRef,
};

use super::cells::Cells;
use super::driver::{Column, Driver, Order, Session, Statement, Value};
use super::failure::Failure;

/// How long the server waits for a reader that the API throttles, where one statement gives all
/// rows, in seconds: a week. Its default is one minute.
const NET_WRITE_TIMEOUT_S: u32 = 7 * 24 * 60 * 60;

pub(super) struct MySql {
    connection: MySqlConnection,
}

/// How a column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Uint,
    Float,
    Double,
    Decimal,
    Text,
    Date,
    DateTime,
    /// A `timestamp`: the session's zone is UTC.
    Zoned,
    Time,
    Year,
    Bit,
    Null,
    /// As [`Kind::Text`], not to be ordered by.
    Json,
}

impl Kind {
    fn of(info: &MySqlTypeInfo) -> Result<Self, String> {
        Ok(match info.name() {
            "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => Self::Int,
            name if name.ends_with("UNSIGNED") => Self::Uint,
            "FLOAT" => Self::Float,
            "DOUBLE" => Self::Double,
            "DECIMAL" => Self::Decimal,
            "DATE" => Self::Date,
            "DATETIME" => Self::DateTime,
            "TIMESTAMP" => Self::Zoned,
            "TIME" => Self::Time,
            "YEAR" => Self::Year,
            "BIT" => Self::Bit,
            "NULL" => Self::Null,
            "JSON" => Self::Json,
            // Names of texts with a binary collation are those of bytes; the collation tells.
            "ENUM" | "SET" => Self::Json,
            _ if <str as Type<sqlx::MySql>>::compatible(info) => Self::Text,
            name => {
                return Err(format!(
                    "is of type {}, bytes that are no text; leave it out, or give it as text: hex(…)",
                    name.to_ascii_lowercase()
                ));
            }
        })
    }
}

impl Driver for MySql {
    type Kind = Kind;
    type Row = MySqlRow;

    const QUOTE: char = '`';
    // Understood, but not read by an index.
    const TUPLES: bool = false;
    const BY_COLUMN: bool = false;

    async fn connect(session: &Session) -> Result<Self, Failure> {
        // The user's query means what it means in the server's own client; only the zone is ours.
        let options = MySqlConnectOptions::from_str(session.url.expose_secret())?
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .timezone(Some("+00:00".to_owned()))
            .disable_statement_logging();
        let mut connection = options.connect().await?;
        let version: (String,) =
            sqlx::query_as("SELECT VERSION()").persistent(false).fetch_one(&mut connection).await?;
        let limit = match session.paged {
            true if version.0.contains("MariaDB") => {
                format!(", SESSION max_statement_time = {}", session.statement_timeout.as_secs_f64())
            }
            true => format!(", SESSION max_execution_time = {}", session.statement_timeout.as_millis()),
            false => String::new(),
        };
        let set = format!("SET SESSION net_write_timeout = {NET_WRITE_TIMEOUT_S}{limit}");
        sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut connection).await?;
        sqlx::raw_sql("SET SESSION TRANSACTION READ ONLY").execute(&mut connection).await?;
        Ok(Self { connection })
    }

    async fn describe(&mut self, sql: &str) -> Result<Vec<Column<Kind>>, Failure> {
        let statement = (&mut self.connection).prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await?;
        let columns = statement
            .columns()
            .iter()
            .map(|column| Column { name: column.name().to_owned(), kind: Kind::of(column.type_info()) })
            .collect();
        self.connection.clear_cached_statements().await?;
        Ok(columns)
    }

    async fn begin(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn rows(&mut self, statement: &Statement) -> BoxStream<'_, Result<MySqlRow, sqlx::Error>> {
        let mut query = sqlx::query(AssertSqlSafe(statement.sql.clone())).persistent(false);
        for value in &statement.values {
            query = match value {
                Value::Text(text) => query.bind(text.clone()),
                Value::Int(number) => query.bind(*number),
                Value::Uint(number) => query.bind(*number),
                Value::Real(number) => query.bind(*number),
            };
        }
        query.fetch(&mut self.connection)
    }

    async fn end(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn is_one(row: &MySqlRow, column: usize) -> Result<bool, Failure> {
        Ok(bytes(row, column)? == Some(b"1"))
    }

    fn read(row: &MySqlRow, kinds: &[Kind], cells: &mut Cells) -> Result<(), Failure> {
        for (column, kind) in kinds.iter().enumerate() {
            match bytes(row, column)? {
                None => cells.null(),
                Some(bytes) => read(*kind, bytes, cells),
            }
        }
        Ok(())
    }

    fn value(row: &MySqlRow, kind: &Kind, column: usize) -> Result<Option<Value>, Failure> {
        let Some(bytes) = bytes(row, column)? else { return Ok(None) };
        let mut cells = Cells::default();
        read(*kind, bytes, &mut cells);
        Ok(cells.get(0).map(|text| value_of(*kind, text)))
    }

    fn value_of(kind: &Kind, text: &str, _: &Value) -> Value {
        value_of(*kind, text)
    }

    fn order(kind: &Kind) -> Option<Order> {
        match kind {
            Kind::Int | Kind::Uint | Kind::Decimal | Kind::Year => Some(Order::Number),
            Kind::Date | Kind::DateTime | Kind::Zoned => Some(Order::Time),
            Kind::Text => Some(Order::Text),
            Kind::Float | Kind::Double | Kind::Time | Kind::Bit | Kind::Null | Kind::Json => None,
        }
    }

    fn item(expression: &str, _: &Kind) -> String {
        expression.to_owned()
    }

    fn place(_: usize, kind: &Kind) -> String {
        match kind {
            // As a text it would be compared as a double. 65 digits, 30 of them decimals: the most.
            Kind::Decimal => "CAST(? AS DECIMAL(65,30))".to_owned(),
            _ => "?".to_owned(),
        }
    }
}

fn value_of(kind: Kind, text: &str) -> Value {
    let number = match kind {
        Kind::Int | Kind::Year => text.parse().ok().map(Value::Int),
        Kind::Uint => text.parse().ok().map(Value::Uint),
        // The server takes neither letter.
        Kind::Zoned | Kind::DateTime => Some(Value::Text(text.strip_suffix('Z').unwrap_or(text).replacen('T', " ", 1))),
        _ => None,
    };
    number.unwrap_or_else(|| Value::Text(text.to_owned()))
}

fn bytes(row: &MySqlRow, column: usize) -> Result<Option<&[u8]>, Failure> {
    let value = row.try_get_raw(column)?;
    if value.is_null() {
        return Ok(None);
    }
    let bytes = <&[u8] as Decode<sqlx::MySql>>::decode(value).map_err(sqlx::Error::Decode)?;
    Ok(Some(bytes))
}

fn read(kind: Kind, bytes: &[u8], cells: &mut Cells) {
    match kind {
        Kind::Text | Kind::Decimal | Kind::Json | Kind::Null => cells.bytes(bytes),
        Kind::Int => match *bytes {
            [a] => cells.integer(i8::from_le_bytes([a])),
            [a, b] => cells.integer(i16::from_le_bytes([a, b])),
            [a, b, c, d] => cells.integer(i32::from_le_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => cells.integer(i64::from_le_bytes([a, b, c, d, e, f, g, h])),
            _ => cells.flawed("is no integer in a form that is known"),
        },
        Kind::Uint => match *bytes {
            [a] => cells.integer(a),
            [a, b] => cells.integer(u16::from_le_bytes([a, b])),
            [a, b, c, d] => cells.integer(u32::from_le_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => cells.integer(u64::from_le_bytes([a, b, c, d, e, f, g, h])),
            _ => cells.flawed("is no integer in a form that is known"),
        },
        Kind::Float => match *bytes {
            [a, b, c, d] => cells.real32(f32::from_le_bytes([a, b, c, d])),
            _ => cells.flawed("is no float in a form that is known"),
        },
        Kind::Double => match *bytes {
            [a, b, c, d, e, f, g, h] => cells.real(f64::from_le_bytes([a, b, c, d, e, f, g, h])),
            _ => cells.flawed("is no double in a form that is known"),
        },
        Kind::Year => match *bytes {
            [a, b] => cells.format(format_args!("{:04}", u16::from_le_bytes([a, b]))),
            _ => cells.flawed("is no year in a form that is known"),
        },
        Kind::Bit if bytes.len() <= 8 => {
            cells.integer(bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte)));
        }
        Kind::Bit => cells.flawed("has more than 64 bits"),
        Kind::Date | Kind::DateTime | Kind::Zoned => day(kind, bytes, cells),
        Kind::Time => time_of_day(bytes, cells),
    }
}

/// A length in bytes, then year, month, day; then hour, minute, second; then microseconds. Zeros
/// at the end are left out.
fn day(kind: Kind, bytes: &[u8], cells: &mut Cells) {
    let mut part = [0u8; 11];
    match bytes {
        [length, rest @ ..] if usize::from(*length) == rest.len() && rest.len() <= part.len() => {
            part[..rest.len()].copy_from_slice(rest);
        }
        _ => return cells.flawed("is no date in a form that is known"),
    }
    let [y0, y1, month, day, hour, minute, second, m0, m1, m2, m3] = part;
    let zero = part == [0; 11];
    let text = cells.open();
    digits(text, u32::from(u16::from_le_bytes([y0, y1])), 4);
    text.push('-');
    digits(text, u32::from(month), 2);
    text.push('-');
    digits(text, u32::from(day), 2);
    if kind != Kind::Date {
        // The zero date is in no zone; it stays as it's printed.
        let zoned = kind == Kind::Zoned && !zero;
        text.push(if zoned { 'T' } else { ' ' });
        clock(text, [hour, minute, second], u32::from_le_bytes([m0, m1, m2, m3]));
        if zoned {
            text.push('Z');
        }
    }
    cells.end();
}

/// A length in bytes, then the sign, days, hour, minute, second; then microseconds.
fn time_of_day(bytes: &[u8], cells: &mut Cells) {
    let mut part = [0u8; 12];
    match bytes {
        [length, rest @ ..] if usize::from(*length) == rest.len() && rest.len() <= part.len() => {
            part[..rest.len()].copy_from_slice(rest);
        }
        _ => return cells.flawed("is no time in a form that is known"),
    }
    let [negative, d0, d1, d2, d3, hour, minute, second, m0, m1, m2, m3] = part;
    let hours = u64::from(u32::from_le_bytes([d0, d1, d2, d3])) * 24 + u64::from(hour);
    let text = cells.open();
    if negative != 0 {
        text.push('-');
    }
    if hours < 100 {
        clock(text, [hours as u8, minute, second], u32::from_le_bytes([m0, m1, m2, m3]));
    } else {
        text.push_str(&hours.to_string());
        let from = text.len();
        clock(text, [0, minute, second], u32::from_le_bytes([m0, m1, m2, m3]));
        text.replace_range(from..from + 2, "");
    }
    cells.end();
}

/// `HH:MM:SS`, and a fraction without zeros at its end where there's one.
fn clock(text: &mut String, [hour, minute, second]: [u8; 3], micros: u32) {
    digits(text, u32::from(hour), 2);
    text.push(':');
    digits(text, u32::from(minute), 2);
    text.push(':');
    digits(text, u32::from(second), 2);
    if micros != 0 {
        text.push('.');
        digits(text, micros, 6);
        text.truncate(text.trim_end_matches('0').len());
    }
}

fn digits(text: &mut String, number: u32, width: u32) {
    for place in (0..width).rev() {
        text.push(char::from(b'0' + (number / 10u32.pow(place) % 10) as u8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(kind: Kind, bytes: &[u8]) -> String {
        let mut cells = Cells::default();
        read(kind, bytes, &mut cells);
        cells.flaw().map_or_else(|| cells.get(0).expect("not NULL").to_owned(), |(_, why)| format!("! {why}"))
    }

    #[test]
    fn dates_and_times_have_only_the_parts_that_they_need() {
        assert_eq!(cell(Kind::DateTime, &[0]), "0000-00-00 00:00:00");
        assert_eq!(cell(Kind::Zoned, &[0]), "0000-00-00 00:00:00");
        assert_eq!(cell(Kind::Zoned, &[4, 0xea, 7, 1, 31]), "2026-01-31T00:00:00Z");
        assert_eq!(cell(Kind::DateTime, &[7, 0xea, 7, 1, 31, 9, 8, 7]), "2026-01-31 09:08:07");
        assert_eq!(cell(Kind::DateTime, &[11, 0xea, 7, 1, 31, 9, 8, 7, 0x20, 0xa1, 7, 0]), "2026-01-31 09:08:07.5");
        assert_eq!(cell(Kind::Time, &[8, 1, 34, 0, 0, 0, 22, 59, 59]), "-838:59:59");
        assert_eq!(cell(Kind::Time, &[0]), "00:00:00");
    }

    #[test]
    fn broken_bytes_are_a_flaw_and_no_panic() {
        for kind in [Kind::Int, Kind::Uint, Kind::Float, Kind::Double, Kind::Year, Kind::DateTime, Kind::Time] {
            for bytes in [&[] as &[u8], &[200, 1], &[1, 2, 3], &[0; 13]] {
                let _ = cell(kind, bytes);
            }
        }
        assert_eq!(cell(Kind::Date, &[9, 1]), "! is no date in a form that is known");
    }
}
