//! A damaged file made whole: what can still be read is copied into a new one, and what that leaves unproved is forgotten,
//! or held.
//!
//! Rows have sums, and one whose sum does not fit is taken for one that can't be read. But nothing says that no row is missing,
//! and rows that an older version wrote have none. So only that is believed which is no lie whatever has changed:
//!
//! - What the API has of customers, subscriptions and usage is forgotten. The next run sends them again, which replaces.
//! - Events add up, and are never sent again on a guess. Those of batches that were accepted as a whole stay delivered: a
//!   hash whose bits have changed names no other event. Those of all other batches are open, until a person says what
//!   became of them. Those that the ledger does not know may have been lost with the file, and are held, too
//!   ([`UNKNOWN_EVENTS`]).
//! - Other batches that were open stay open, so that the next run outlasts the imports which they may have started.
//! - Paid subscriptions are not repaired: which original was cancelled must not be guessed.

mod copy;
mod doubts;
mod sums;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;

use super::database::{Access, Database};
use super::log::{self, Lost};
use super::seal;
use super::sum::MARK;
use crate::ledger::file_lock::private;
use crate::ledger::{LedgerError, RunLock, UNKNOWN_EVENTS, WriteFailure};

/// What a repair found and did. Counts of batches are of what the new file has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Repaired {
    /// Where the damaged file is kept, as it was.
    pub kept_at: PathBuf,
    /// What was wrong, in SQLite's words or ours.
    pub found: String,
    /// Runs that are still known.
    pub runs: u64,
    /// Batches of events that stay delivered.
    pub batches_proved: u64,
    /// Batches of events that are open now.
    pub batches_opened: u64,
    /// Places that could not be read: rows, or stretches of them.
    pub lost: u64,
    /// Whether events that the ledger does not know are held from now on.
    pub holds_unknown_events: bool,
}

/// Whether the whole file can be read and holds together: none, or what is wrong with it.
///
/// # Errors
///
/// What is no damage: it is missing, newer, busy, or can't be read.
async fn wrong_with(database: &Database) -> Result<Option<String>, LedgerError> {
    let mut connection = match database.open(Access::Read).await {
        Ok(connection) => connection,
        Err(LedgerError::Corrupt { detail, .. }) => return Ok(Some(detail)), // also by its seal
        Err(other) => return Err(other),
    };
    let found = look_through(database, &mut connection).await;
    // Not left to be closed later, when another file may be in its place.
    let closed = database.close(connection).await;
    match found.and(closed) {
        Ok(()) => Ok(None),
        Err(LedgerError::Corrupt { detail, .. }) => Ok(Some(detail)),
        Err(other) => Err(other),
    }
}

async fn look_through(database: &Database, connection: &mut SqliteConnection) -> Result<(), LedgerError> {
    let version = database.check(connection).await?;
    database.examine(connection, version).await?;
    for (_, scope) in database.scopes(connection).await? {
        database.load_index(connection, &scope, None).await?;
        database.open_batches(connection, &scope).await?;
    }
    let runs = sqlx::query("SELECT * FROM run").fetch_all(&mut *connection).await;
    for row in &runs.map_err(|error| database.error(error))? {
        database.run_info(row)?;
    }
    database.every_replacement(connection).await
}

/// Makes a damaged ledger whole; none where nothing is wrong with it. The damaged file stays, under another name.
///
/// # Errors
///
/// [`LedgerError::Corrupt`] where not even what it is about can be read, [`LedgerError::PaidInDoubt`], those of opening and
/// writing. The file is as it was.
pub async fn repair(path: &Path, now: Timestamp, _lock: &RunLock) -> Result<Option<Repaired>, LedgerError> {
    let database = Database::from(path);
    let Some(found) = wrong_with(&database).await? else { return Ok(None) };
    let cannot_write = |error: io::Error| LedgerError::CannotWrite {
        ledger: database.place(),
        failure: WriteFailure::of(&error),
        detail: error.to_string(),
    };
    // SQLite writes into what it reads: neither the file nor what is kept of it is to be touched.
    let (work, new) = (beside(path, ".repair-source"), beside(path, ".repaired"));
    let prepare = || {
        remove(&work)?;
        remove(&new)?;
        copy_with_log(path, &work)
    };
    prepare().map_err(cannot_write)?;
    let rebuilt = rebuild(&work, log::lost(path), &Database { path: new.clone() }, now).await;
    let kept_at = beside(path, &format!(".damaged-{}", now.strftime("%Y%m%dT%H%M%SZ")));
    let placed = match rebuilt {
        Ok(repaired) => place(path, &new, &kept_at).map(|()| repaired).map_err(cannot_write),
        // About the file that people know, not about its copies.
        Err(LedgerError::Corrupt { detail, .. }) => Err(database.corrupt(detail)),
        Err(LedgerError::PaidInDoubt { .. }) => Err(LedgerError::PaidInDoubt { ledger: database.place() }),
        Err(other) => Err(other),
    };
    let _ = (remove(&work), remove(&new));
    placed.map(|repaired| Some(Repaired { kept_at, found, ..repaired }))
}

/// Puts the new file in the place of the damaged one, which is kept. A failure in between leaves a ledger that is damaged,
/// and all of it in `kept_at`.
fn place(path: &Path, new: &Path, kept_at: &Path) -> io::Result<()> {
    copy_with_log(path, kept_at).inspect_err(|_| drop(remove(kept_at)))?;
    File::open(new)?.sync_all()?;
    // A log that is left over would be taken for the new file's.
    for log in ["-wal", "-shm"] {
        remove_one(&beside(path, log))?;
    }
    fs::rename(new, path)?;
    if let Err(error) = seal::put(path) {
        tracing::debug!(%error, "the ledger could not be sealed");
    }
    Ok(())
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

fn copy_with_log(from: &Path, to: &Path) -> io::Result<()> {
    for end in ["", "-wal"] {
        let mut source = match File::open(beside(from, end)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !end.is_empty() => continue,
            opened => opened?,
        };
        let mut target = private(OpenOptions::new().write(true).create(true).truncate(true)).open(beside(to, end))?;
        io::copy(&mut source, &mut target)?;
        target.sync_all()?;
    }
    Ok(())
}

/// Removes a database with what SQLite puts beside it.
fn remove(path: &Path) -> io::Result<()> {
    ["", "-wal", "-shm"].iter().try_for_each(|end| remove_one(&beside(path, end)))
}

fn remove_one(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A new file that is being filled from a damaged one, which is attached as `damaged`.
struct Rebuilding<'a> {
    new: &'a Database,
    connection: SqliteConnection,
    repaired: Repaired,
}

/// Fills a new file from a damaged one, and settles what is in doubt.
/// `lost` are those of its log that can't be read.
async fn rebuild(damaged: &Path, lost: Option<Lost>, new: &Database, now: Timestamp) -> Result<Repaired, LedgerError> {
    let mut connection = new.open(Access::Write).await?;
    sqlx::query("ATTACH DATABASE ? AS damaged")
        .bind(damaged.to_string_lossy().into_owned())
        .execute(&mut connection)
        .await
        .map_err(|error| unreadable(new, new.error(error)))?;
    let mut rebuilding = Rebuilding { new, connection, repaired: Repaired::default() };
    rebuilding.refuse_paid(lost).await?;
    // Each statement by itself: within a transaction SQLite takes no more writes once it has met damage.
    rebuilding.copy_all().await?;
    new.run(&mut rebuilding.connection, "DETACH DATABASE damaged").await?;
    new.run(&mut rebuilding.connection, "BEGIN IMMEDIATE").await?;
    rebuilding.settle_doubts(now).await?;
    rebuilding.hold_unknown_events().await?;
    rebuilding.write_sums().await?;
    new.run(&mut rebuilding.connection, "COMMIT").await?;
    let Rebuilding { mut connection, repaired, .. } = rebuilding;
    new.run(&mut connection, "PRAGMA wal_checkpoint(TRUNCATE)").await?;
    new.close(connection).await?;
    match wrong_with(new).await? {
        None => Ok(repaired),
        Some(found) => Err(new.corrupt(found)),
    }
}

/// Where what is refused is what the damaged file makes of a sound statement.
fn unreadable(new: &Database, error: LedgerError) -> LedgerError {
    match error {
        LedgerError::Refused { detail, .. } => new.corrupt(detail),
        other => other,
    }
}

impl Rebuilding<'_> {
    fn fail(&self, error: sqlx::Error) -> LedgerError {
        self.new.error(error)
    }

    /// Runs a statement with a number in it; returns how many rows it changed.
    async fn change(&mut self, sql: &'static str, number: i64) -> Result<u64, LedgerError> {
        let done = sqlx::query(sql).bind(number).execute(&mut self.connection).await;
        done.map(|done| done.rows_affected()).map_err(|error| self.fail(error))
    }

    async fn number(&mut self, sql: &'static str) -> Result<i64, LedgerError> {
        sqlx::query_scalar(sql).fetch_one(&mut self.connection).await.map_err(|error| self.fail(error))
    }

    async fn numbers(&mut self, sql: &'static str) -> Result<Vec<i64>, LedgerError> {
        sqlx::query_scalar(sql).fetch_all(&mut self.connection).await.map_err(|error| self.fail(error))
    }

    /// Money follows from their stages: none of them is believed, and none is forgotten.
    async fn refuse_paid(&mut self, lost: Option<Lost>) -> Result<(), LedgerError> {
        // Older formats have no such table.
        let version = self.number("PRAGMA damaged.user_version").await;
        let tables = self.number("SELECT count(*) FROM damaged.sqlite_schema WHERE name = 'replacement'").await;
        let (version, tables) =
            version.and_then(|version| Ok((version, tables?))).map_err(|e| unreadable(self.new, e))?;
        let place = self.new.place();
        let in_doubt = || Err(LedgerError::PaidInDoubt { ledger: place.clone() });
        if version < 3 && tables == 0 {
            return if lost.is_none() { Ok(()) } else { in_doubt() };
        }
        // The first of them changes the first page of their table.
        let sql = "SELECT coalesce(max(rootpage), 0) FROM damaged.sqlite_schema WHERE name = 'replacement'";
        let first_page = self.number(sql).await.map_err(|error| unreadable(self.new, error))?;
        match self.number("SELECT count(*) FROM damaged.replacement NOT INDEXED").await {
            Ok(0) if lost.is_none_or(|lost| !lost.may_have(first_page)) => Ok(()),
            Ok(_) | Err(LedgerError::Corrupt { .. } | LedgerError::Refused { .. }) => in_doubt(),
            Err(other) => Err(other),
        }
    }

    async fn hold_unknown_events(&mut self) -> Result<(), LedgerError> {
        for scope in self.numbers("SELECT id FROM main.scope WHERE entity = 'event'").await? {
            let (identity, value) = ("a repair", "");
            let sum = MARK.begin().number(scope).text(UNKNOWN_EVENTS).text(identity).text(value);
            let done = sqlx::query("INSERT INTO main.mark (scope, step, identity, value, sum) VALUES (?, ?, ?, ?, ?)")
                .bind(scope)
                .bind(UNKNOWN_EVENTS)
                .bind(identity)
                .bind(value)
                .bind(sum.stored())
                .execute(&mut self.connection)
                .await;
            done.map_err(|error| self.fail(error))?;
            self.repaired.holds_unknown_events = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
