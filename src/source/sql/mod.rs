//! Databases: Postgres, MySQL and MariaDB, SQLite, one decoder each.
//!
//! Every value becomes the text that the database itself prints for it, so that nothing is rounded
//! on the way; `docs/sources.md` lists the few differences. A session reads only.

mod address;
mod cells;
mod driver;
mod failure;
mod fill;
mod margin;
mod mysql;
mod options;
mod postgres;
mod reader;
mod sqlite;
mod wanted;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use self::address::Kind;
use self::fill::Ready;
use self::mysql::MySql;
pub use self::options::{Mark, SqlOptions, SqlQuery};
use self::postgres::Postgres;
use self::sqlite::Sqlite;
use super::error::SourceError;
use super::{BATCHES_AHEAD_MAX, Rows, stopped};

/// Opens a database and starts to read its rows; `name` stands in messages and places.
///
/// Ends once the first rows are there, so that most errors of a query are found here. Rows have no
/// line, and are numbered in the order in which they come.
///
/// # Errors
///
/// All that is wrong before the first row; [`SourceError::before_reading`] is true of it.
pub async fn open_sql(name: &str, options: &SqlOptions) -> Result<Rows, SourceError> {
    options.check()?;
    let (kind, words) = address::read(&options.url).map_err(|problem| SourceError::open(name, problem))?;
    let name: Arc<str> = name.into();
    let (batches, messages) = mpsc::channel(BATCHES_AHEAD_MAX);
    let (ready, opened) = oneshot::channel();
    let (source, options) = (name.clone(), options.clone());
    tokio::spawn(async move {
        let listener = batches.clone();
        tokio::select! {
            // Also in the middle of a long statement.
            () = listener.closed() => {}
            () = async {
                match kind {
                    Kind::Postgres => reader::read::<Postgres>(source, options, words, batches, ready).await,
                    Kind::MySql => reader::read::<MySql>(source, options, words, batches, ready).await,
                    Kind::Sqlite => reader::read::<Sqlite>(source, options, words, batches, ready).await,
                }
            } => {}
        }
    });
    let Ready { columns, progress } = opened.await.map_err(|_| stopped())??;
    Ok(Rows { columns, names: vec![name], described: Vec::new(), progress, messages, done: false })
}
