//! Why the ledger could not do what it was asked.

use crate::batch::BatchId;

use super::{Holder, LedgerPlace, RunId};

/// Why a write did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteFailure {
    /// No space is left on the device, or in the quota.
    #[error("no space is left")]
    Full,
    /// The file or its file system is read-only.
    #[error("it is read-only")]
    ReadOnly,
    /// The user may not.
    #[error("permission denied")]
    Denied,
    /// The operating system gave another reason.
    #[error("the disk reported an error")]
    Io,
}

impl WriteFailure {
    pub(crate) fn of(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull
            | std::io::ErrorKind::QuotaExceeded
            | std::io::ErrorKind::FileTooLarge
            | std::io::ErrorKind::WriteZero => Self::Full,
            std::io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            std::io::ErrorKind::PermissionDenied => Self::Denied,
            _ => Self::Io,
        }
    }
}

/// Why the ledger has no answer. Whatever the variant, what was written before is as it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// The write did not happen.
    #[error("can't write the ledger {ledger}: {failure} ({detail})")]
    CannotWrite {
        /// Which ledger.
        ledger: LedgerPlace,
        /// Which kind of failure.
        failure: WriteFailure,
        /// The system's words.
        detail: String,
    },
    /// The file is no ledger, or is damaged. It was not changed.
    #[error("the ledger {ledger} is damaged, or is no ledger: {detail}")]
    Corrupt {
        /// Which ledger.
        ledger: LedgerPlace,
        /// What is wrong with it.
        detail: String,
    },
    /// The file was written by a newer version of this program. It was not changed.
    #[error("the ledger {ledger} has format {found}, this program knows formats up to {known}")]
    Newer {
        /// Which ledger.
        ledger: LedgerPlace,
        /// The file's format.
        found: i64,
        /// The newest format that is known.
        known: i64,
    },
    /// A damaged ledger has, or may have had, paid subscriptions, whose stages can't be believed and must not be guessed.
    /// Nothing was written.
    #[error(
        "the ledger {ledger} is damaged, and has or may have had paid subscriptions: which of their originals were cancelled can't be proved"
    )]
    PaidInDoubt {
        /// Which ledger.
        ledger: LedgerPlace,
    },
    /// There is no such file, and nothing was to be written.
    #[error("there is no ledger {ledger}")]
    Missing {
        /// Which ledger.
        ledger: LedgerPlace,
    },
    /// Another run holds the ledger. Nothing was written.
    #[error("another run holds the ledger {ledger}: {by}")]
    Held {
        /// Which ledger.
        ledger: LedgerPlace,
        /// Who.
        by: Box<Holder>,
    },
    /// Another process kept the file locked for longer than the ledger waits. Nothing was written.
    #[error("the ledger {ledger} is kept busy by another process")]
    Busy {
        /// Which ledger.
        ledger: LedgerPlace,
    },
    /// The database's address can't be used. Nothing was written.
    #[error("the ledger's address {ledger} can't be used: {problem}")]
    Address {
        /// Which ledger.
        ledger: LedgerPlace,
        /// What is wrong with it.
        problem: String,
    },
    /// The database was not reached, or the connection was lost. A write may have happened, and may be repeated.
    #[error("can't reach the ledger {ledger}: {detail}")]
    Unreachable {
        /// Which ledger.
        ledger: LedgerPlace,
        /// The system's words.
        detail: String,
    },
    /// The database did not let the user in. Nothing was written.
    #[error("the ledger {ledger} refused the login: {detail}")]
    Login {
        /// Which ledger.
        ledger: LedgerPlace,
        /// The database's words.
        detail: String,
    },
    /// The database's user lacks a right. Nothing was written.
    #[error("the user of the ledger {ledger} lacks a right: {detail}")]
    NoRight {
        /// Which ledger.
        ledger: LedgerPlace,
        /// The database's words.
        detail: String,
    },
    /// Another run has taken the ledger over: this one could not renew its lease in time. Nothing was written.
    #[error("the lease on the ledger {ledger} was over, and another run has taken it")]
    LeaseLost {
        /// Which ledger.
        ledger: LedgerPlace,
    },
    /// No batch has that id. Nothing was written.
    #[error("the ledger has no batch {0}")]
    NoSuchBatch(BatchId),
    /// No run has that id. Nothing was written.
    #[error("the ledger has no run {0}")]
    NoSuchRun(RunId),
    /// There were not as many outcomes as the batch has records. Nothing was written.
    #[error("batch {batch} has {expected} records, and {found} outcomes were given")]
    OutcomesMismatch {
        /// The batch.
        batch: BatchId,
        /// Its records.
        expected: u32,
        /// The outcomes.
        found: usize,
    },
    /// A paid subscription can't take that step from where it is. Nothing was written.
    #[error("the paid subscription {subscription} can't become {to} from {from}")]
    StepRefused {
        /// Its id.
        subscription: String,
        /// Where it is.
        from: &'static str,
        /// The step.
        to: &'static str,
    },
    /// Another paid subscription replaces the original already. Nothing was written.
    #[error("the original {original} is replaced by {by} already")]
    OriginalTaken {
        /// The original's id.
        original: String,
        /// The subscription that replaces it.
        by: String,
    },
    /// The ledger was closed. Nothing was written.
    #[error("the ledger is closed")]
    Closed,
    /// The database refused a statement: a mistake in this program. Nothing was written.
    #[error("the ledger {ledger} refused a statement: {detail}")]
    Refused {
        /// Which ledger.
        ledger: LedgerPlace,
        /// The database's words.
        detail: String,
    },
}

impl LedgerError {
    /// What to do about it, for people.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::CannotWrite { failure: WriteFailure::Full, .. } => {
                Some("make room and run the same command again; it goes on where it stopped")
            }
            Self::CannotWrite { ledger: LedgerPlace::Postgres(_), .. } => {
                Some("a standby, and a database that is set read-only, take no writes: name the primary")
            }
            Self::CannotWrite { .. } => Some("make the folder writable, or name another place with `--ledger PATH`"),
            Self::Corrupt { ledger: LedgerPlace::File(_), .. } => Some(
                "`stigg-import ledger repair` keeps what can be proved; the next run sends the rest again, events only on your word",
            ),
            Self::PaidInDoubt { .. } => Some(
                "restore it from a backup; the audit file of the cutover, cutover-audit.jsonl, says how far each of them was",
            ),
            Self::Corrupt { .. } => Some(
                "restore it from a backup, or move it aside and run again: everything is then sent again, which the API makes harmless",
            ),
            Self::Address { .. } => Some(
                "put an address like postgres://user:password@host:5432/database?sslmode=verify-full into STIGG_IMPORT_LEDGER",
            ),
            Self::Unreachable { .. } => Some(
                "check that the server runs and lets this machine in, then run the same command again; nothing is lost",
            ),
            Self::Login { .. } => Some(
                "put the address with the right user and password into STIGG_IMPORT_LEDGER, or the password into PGPASSWORD",
            ),
            Self::NoRight { .. } => Some("docs/ledgers.md lists the rights that it needs, as statements to run"),
            Self::LeaseLost { .. } => Some("the other run goes on where this one stopped; `status` shows it"),
            Self::Newer { .. } => Some("use the newer version of stigg-import, or another ledger with `--ledger PATH`"),
            Self::Missing { .. } => Some("`run` makes one; or name its place with `--ledger PATH`"),
            Self::Held { ledger: LedgerPlace::Postgres(_), .. } => Some(
                "wait until it is done; one that was killed holds it until then. Two runs over one ledger would count things twice",
            ),
            Self::Held { .. } => Some("wait until it is done; two runs over one ledger would count things twice"),
            Self::Busy { ledger: LedgerPlace::Postgres(_) } => {
                Some("see in pg_stat_activity who holds locks in the schema stigg_import, then run again")
            }
            Self::Busy { .. } => Some("close the program that has the file open, then run again"),
            Self::NoSuchBatch(_)
            | Self::Closed
            | Self::Refused { .. }
            | Self::OutcomesMismatch { .. }
            | Self::StepRefused { .. }
            | Self::OriginalTaken { .. } => None,
            Self::NoSuchRun(_) => Some("`status` lists the runs"),
        }
    }
}
