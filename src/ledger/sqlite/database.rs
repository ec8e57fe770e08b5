//! The file: opening it, its format version, and what its errors mean.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

use super::log;
use super::seal::{self, Seal};
use super::sum::{SUMMED, Summed};
use crate::ledger::file_lock::{make_folder_of, private};
use crate::ledger::{LedgerError, LedgerPlace, WriteFailure};

/// Marks the file as ours ("STIG"), so that no other program's database is ever changed.
const APPLICATION_ID: i32 = 0x5354_4947;

/// What brings a file from each format version to the next. The newest version is their number.
pub(super) const MIGRATIONS: [&str; 6] = [
    include_str!("format_1.sql"),
    include_str!("format_2.sql"),
    include_str!("format_3.sql"),
    include_str!("format_4.sql"),
    include_str!("format_5.sql"),
    include_str!("format_6.sql"),
];

/// The format from which on each row has a sum.
pub(super) const SUMS_SINCE: i64 = 5;

/// Pages of the log (of 4 KB) from which it is taken into the file, four times the usual number: a page that was written several
/// times since is copied once, and the disk is waited for less often.
const AUTOCHECKPOINT: &str = "PRAGMA wal_autocheckpoint = 4000";

/// Page cache of each connection, 512 KB instead of 2 MB: batches are appended, read once and in their order. The larger one filled up
/// with the number of records, for nothing.
const PAGE_CACHE: &str = "-512";

/// How long a statement waits for another process, such as a backup or a person's `sqlite3` shell.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How a ledger is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To read and write; made where it is missing.
    Write,
    /// Only to read, also while a run writes.
    Read,
}

/// A ledger's file.
#[derive(Debug, Clone)]
pub(super) struct Database {
    pub(super) path: PathBuf,
}

impl Database {
    /// Opens the file, makes or migrates it where `access` allows that, and checks that it is ours.
    pub(super) async fn open(&self, access: Access) -> Result<SqliteConnection, LedgerError> {
        self.prepare_file(access)?;
        let seal = seal::of(&self.path);
        if seal == Seal::Broken {
            return Err(self.corrupt("bits of it have changed since it was closed"));
        }
        if log::lost(&self.path).is_some() {
            return Err(self.corrupt("bits of its log have changed, and what was written after them could not be read"));
        }
        let mut connection = self.connect().await?;
        match self.make_ready(&mut connection, access, seal).await {
            Ok(()) => Ok(connection),
            Err(error) => {
                // Not left to be closed later, when another file may be in its place.
                let _ = self.close(connection).await;
                Err(error)
            }
        }
    }

    async fn make_ready(
        &self,
        connection: &mut SqliteConnection,
        access: Access,
        seal: Seal,
    ) -> Result<(), LedgerError> {
        let version = self.check(connection).await?;
        if seal::is_cut_off(&self.path) {
            return Err(self.corrupt("its end is missing"));
        }
        if seal == Seal::Silent && version > 0 {
            self.examine(connection, version).await?;
        }
        match access {
            Access::Write => {
                // Journal and checks are set only now: until here nothing of the file was changed.
                self.run(connection, "PRAGMA journal_mode = WAL").await?;
                if (version as usize) < MIGRATIONS.len() {
                    self.migrate(connection).await?;
                }
                self.run(connection, AUTOCHECKPOINT).await?;
                // Statements of many rows copy the pages that they change first: into a file, unless it says so.
                self.run(connection, "PRAGMA temp_store = MEMORY").await?;
                // Keys of settled batches are overwritten, not only unlinked: they may be personal.
                self.run(connection, "PRAGMA secure_delete = ON").await?;
                self.run(connection, "PRAGMA synchronous = NORMAL").await?;
            }
            // A file that was made and not filled: its run was killed in between.
            Access::Read if version == 0 => return Err(LedgerError::Missing { ledger: self.place() }),
            Access::Read => self.read_as_newest(connection, version).await?,
        }
        Ok(())
    }

    /// Has tables that were written without sums, in a file that is only read, look as if theirs were not known.
    async fn read_as_newest(&self, connection: &mut SqliteConnection, version: i64) -> Result<(), LedgerError> {
        if version >= SUMS_SINCE {
            return Ok(());
        }
        self.run(connection, "PRAGMA temp_store = MEMORY").await?;
        for Summed { table, .. } in &SUMMED {
            let exists: Option<i64> = sqlx::query_scalar("SELECT 1 FROM sqlite_schema WHERE name = ?")
                .bind(table)
                .fetch_optional(&mut *connection)
                .await
                .map_err(|error| self.error(error))?;
            if exists.is_some() {
                let sql = format!("CREATE TEMP VIEW {table} AS SELECT *, NULL AS sum FROM main.{table}");
                connection.execute(AssertSqlSafe(sql)).await.map_err(|error| self.error(error))?;
            }
        }
        Ok(())
    }

    /// A second connection to a file that was opened; it only reads.
    pub(super) async fn open_reader(&self) -> Result<SqliteConnection, LedgerError> {
        let mut connection = self.connect().await?;
        self.run(&mut connection, "PRAGMA query_only = ON").await?;
        Ok(connection)
    }

    fn prepare_file(&self, access: Access) -> Result<(), LedgerError> {
        match (access, self.path.exists()) {
            (Access::Read, false) => Err(LedgerError::Missing { ledger: self.place() }),
            (_, true) => Ok(()),
            // SQLite would make it readable for all. Its journal files take the file's mode.
            (Access::Write, false) => make_folder_of(&self.path)
                .and_then(|()| private(OpenOptions::new().write(true).create(true).truncate(false)).open(&self.path))
                .map(drop)
                .map_err(|error| self.cannot_write(&error)),
        }
    }

    async fn connect(&self) -> Result<SqliteConnection, LedgerError> {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(false)
            .pragma("cache_size", PAGE_CACHE)
            .disable_statement_logging()
            .connect()
            .await
            .map_err(|error| self.error(error))
    }

    /// Returns the file's format version; 0 for an empty file.
    pub(super) async fn check(&self, connection: &mut SqliteConnection) -> Result<i64, LedgerError> {
        let (application, version, tables): (i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT application_id FROM pragma_application_id),
                    (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)",
        )
        .fetch_one(connection)
        .await
        .map_err(|error| self.error(error))?;
        let known = MIGRATIONS.len() as i64;
        if (application, version, tables) == (0, 0, 0) {
            Ok(0)
        } else if application != i64::from(APPLICATION_ID) {
            Err(self.corrupt("it is another program's database"))
        } else if version > known {
            Err(LedgerError::Newer { ledger: self.place(), found: version, known })
        } else if version < 1 {
            Err(self.corrupt("its format is unknown"))
        } else {
            Ok(version)
        }
    }

    async fn migrate(&self, connection: &mut SqliteConnection) -> Result<(), LedgerError> {
        self.run(connection, "BEGIN IMMEDIATE").await?;
        // Again, now that nobody else can migrate it.
        let version = self.check(connection).await?;
        for (step, sql) in (version + 1..).zip(&MIGRATIONS[version as usize..]) {
            // What a sound file takes is refused: this one is not what it says.
            self.run(connection, sql).await.map_err(|error| match error {
                LedgerError::Refused { detail, .. } => self.corrupt(detail),
                other => other,
            })?;
            tracing::debug!(version = step, "the ledger's format was brought up");
        }
        self.run(connection, "COMMIT").await
    }

    pub(super) async fn run(&self, connection: &mut SqliteConnection, sql: &'static str) -> Result<(), LedgerError> {
        connection.execute(sqlx::raw_sql(sql)).await.map(drop).map_err(|error| self.error(error))
    }

    pub(super) async fn close(&self, connection: SqliteConnection) -> Result<(), LedgerError> {
        connection.close().await.map_err(|error| self.error(error))
    }

    pub(super) fn place(&self) -> LedgerPlace {
        LedgerPlace::File(self.path.clone())
    }

    pub(super) fn corrupt(&self, detail: impl Into<String>) -> LedgerError {
        LedgerError::Corrupt { ledger: self.place(), detail: detail.into() }
    }

    fn cannot_write(&self, error: &std::io::Error) -> LedgerError {
        LedgerError::CannotWrite { ledger: self.place(), failure: WriteFailure::of(error), detail: error.to_string() }
    }

    /// What a database error says of the file. Codes: <https://www.sqlite.org/rescode.html>.
    pub(super) fn error(&self, error: sqlx::Error) -> LedgerError {
        let ledger = self.place();
        let error = match error {
            sqlx::Error::Database(error) => error,
            sqlx::Error::Io(error) => return self.cannot_write(&error),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::RowNotFound => {
                return self.corrupt(error.to_string());
            }
            other => return LedgerError::Refused { ledger, detail: other.to_string() },
        };
        let code: i32 = error.code().and_then(|code| code.parse().ok()).unwrap_or(1);
        let detail = error.message().to_owned();
        let cannot_write = |failure, detail| LedgerError::CannotWrite { ledger: self.place(), failure, detail };
        // The low byte is the kind; the rest says more.
        match (code & 0xff, code) {
            (11 | 26, _) | (10, 522 | 8202 | 8458) => LedgerError::Corrupt { ledger, detail },
            (13, _) => cannot_write(WriteFailure::Full, detail),
            (8, _) => cannot_write(WriteFailure::ReadOnly, detail),
            (3 | 14 | 23, _) => cannot_write(WriteFailure::Denied, detail),
            (10, _) => cannot_write(WriteFailure::Io, detail),
            (5 | 6, _) => LedgerError::Busy { ledger },
            _ => LedgerError::Refused { ledger, detail },
        }
    }
}

/// Where a ledger is unless the user says otherwise, relative to the folder one stands in.
pub(super) const DEFAULT_PATH: &str = ".stigg-import/ledger.db";

impl From<&Path> for Database {
    fn from(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}
