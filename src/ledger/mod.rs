//! What is known to have happened: runs, batches, and the content that the API has of each record.
//!
//! A batch is written as open before it is sent, and settled when its outcome is known. Between
//! the two, a crash leaves it open, and the next run either finds out (by reading back) or sends
//! the records again, which the API makes harmless. Three rules make that safe:
//!
//! 1. [`Ledger::open`] returns when the batch is durable, so nothing leaves that the ledger does
//!    not know of.
//! 2. A [`Fingerprint`] counts as delivered only when its item was settled as
//!    [`Outcome::Accepted`]. A refused one is sent again by the next run.
//! 3. An item whose outcome was never found out takes away what was known of its key: the API may
//!    have either content, so the next run sends the record whatever its fingerprint.
//!
//! The order in which batches were opened decides which content is the latest.

#[cfg(test)]
mod conformance;
mod error;
mod file_lock;
mod index;
mod keys;
mod latest;
mod memory;
mod merge;
mod place;
mod postgres;
pub mod rejects;
mod replacement;
mod replay;
mod run_lock;
mod segment;
mod sketch;
mod sqlite;
mod superseded;
mod verdict;

use std::collections::{HashMap, HashSet};

use futures::future::BoxFuture;
use jiff::Timestamp;

pub use error::{LedgerError, WriteFailure};
pub use file_lock::FileLock;
pub use index::{Index, Seen};
pub use memory::MemoryLedger;
pub use place::LedgerPlace;
pub use postgres::{Fence, Lease, PostgresAddress, PostgresLedger, PostgresPace};
pub use replacement::{CutoverLedger, OriginalRef, ParkReason, Parked, Replacement, Replacements, Stage, StageCount};
pub use run_lock::{Holder, LeaseTerms, Part, RunLock};
pub use sketch::{FieldName, Sketch};
pub use sqlite::{Access, Durability, Repaired, SqliteLedger, repair};

use crate::batch::{Batch, BatchId, Outcome};
use crate::entity::Entity;
use crate::record::{Fingerprint, KeyHash};

/// Within what a [`KeyHash`] names a record: one entity of one target environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// Names the target environment; the same string is the same environment. No secret in it.
    pub target: String,
    /// The entity.
    pub entity: Entity,
}

/// Names a run in its ledger. Unique there, rising.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What is known of a run when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStart {
    /// What is run: the pipeline file's path, or the mapping's.
    pub identity: String,
    /// When it began.
    pub started_at: Timestamp,
    /// The arguments as JSON, so that `rejects retry` can run the same again. No secret in it.
    pub arguments_json: String,
}

/// What is known of a run when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFinish {
    /// When it ended.
    pub finished_at: Timestamp,
    /// Its exit code.
    pub exit: i32,
    /// The summary object.
    pub summary_json: String,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInfo {
    /// Its name.
    pub id: RunId,
    /// How it began.
    pub start: RunStart,
    /// How it ended; none while it is going on, and for ever when it was killed.
    pub finish: Option<RunFinish>,
}

/// A batch whose outcome is not known for every record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenBatch {
    /// Its name.
    pub id: BatchId,
    /// The run that opened it.
    pub run: RunId,
    /// The run's step.
    pub step: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// The API's id of the asynchronous import task, where one was noted.
    pub task: Option<String>,
    /// How many records it had when it was opened.
    pub len: u32,
    /// Those that are still open, in the batch's order.
    pub items: Vec<OpenItem>,
}

impl OpenBatch {
    /// The outcomes for [`Ledger::settle`], from an outcome for each open item.
    pub fn outcomes(&self, mut outcome_of: impl FnMut(&OpenItem) -> Outcome) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Open { reason: String::new() }; self.len as usize];
        for item in &self.items {
            outcomes[item.position as usize] = outcome_of(item);
        }
        outcomes
    }
}

/// A record in an [`OpenBatch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenItem {
    /// Its position in the batch as it was opened, from 0.
    pub position: u32,
    /// The key's text, to read the record back by. Not kept once it is settled.
    pub key: String,
    /// Hash of the key.
    pub hash: KeyHash,
    /// Fingerprint of the content that was sent.
    pub fingerprint: Fingerprint,
}

/// One batch that held a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The batch.
    pub batch: BatchId,
    /// The run that opened it.
    pub run: RunId,
    /// The run's step.
    pub step: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When its last record was settled; none while it is open.
    pub settled_at: Option<Timestamp>,
    /// Fingerprint of the content.
    pub fingerprint: Fingerprint,
    /// What became of the record.
    pub fate: Fate,
    /// The API's id of the import task.
    pub task: Option<String>,
    /// How many attempts were noted.
    pub attempts: u32,
    /// The last request id that was noted.
    pub request_id: Option<String>,
}

/// What became of a record in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Not known yet.
    Open,
    /// The API has it.
    Accepted,
    /// The API refused it.
    Failed {
        /// The code of the refusal. Its message may name customers and is only in the rejects file.
        code: String,
    },
    /// It was never found out: sent again in a later batch, or given up.
    NeverKnown,
}

/// How far a step that reads changes only has come: everything before it is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepMark {
    /// Names what was read and how it was mapped. Under another identity the mark means nothing.
    pub identity: String,
    /// A value of the source's `changed` column.
    pub value: String,
}

/// The step under whose name a scope of events has a mark while events that the ledger does not know must not be sent:
/// some that it knew were lost with a damaged file. A user's step of that name would only lose its own mark.
pub const UNKNOWN_EVENTS: &str = "(unknown events)";

/// How much a ledger knows within a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Records whose latest content the API is known to have.
    pub known_records: u64,
    /// Batches that are open.
    pub open_batches: u64,
    /// Records in them that are open.
    pub open_records: u64,
}

/// Whether [`Ledger::compact`] may decide that there is too little to gain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compaction {
    /// Only a scope in which there are many batches, or more garbage than knowledge.
    WhenWorthIt,
    /// Every scope.
    Now,
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// Batches whose records were merged into segments.
    pub batches: u64,
    /// Records that had been superseded, or were never known, and are gone.
    pub records_dropped: u64,
}

/// Remembers runs, batches and delivered content.
///
/// Calls may overlap. Dropping a future leaves open whether its write happened; both are safe: a
/// batch that was opened and not sent is sent again, and so is one that was not settled.
/// One process writes at a time ([`RunLock`]); others may read.
pub trait Ledger: Send + Sync {
    /// Writes down that a run begins.
    fn begin_run(&self, start: RunStart) -> BoxFuture<'_, Result<RunId, LedgerError>>;

    /// Writes down that a run ended. A run that was killed stays without an end.
    ///
    /// # Errors
    ///
    /// [`LedgerError::NoSuchRun`], or the write failed.
    fn finish_run(&self, run: RunId, finish: RunFinish) -> BoxFuture<'_, Result<(), LedgerError>>;

    /// The latest `limit` runs, newest first.
    fn runs(&self, limit: u32) -> BoxFuture<'_, Result<Vec<RunInfo>, LedgerError>>;

    /// One run; none where there is no such.
    fn run(&self, run: RunId) -> BoxFuture<'_, Result<Option<RunInfo>, LedgerError>>;

    /// The scopes in which a batch was ever opened or a mark was kept, in order.
    fn scopes(&self) -> BoxFuture<'_, Result<Vec<Scope>, LedgerError>>;

    /// What the API is known to have, by key; keys of open batches are in doubt already.
    ///
    /// Load it after the open batches of earlier runs were settled as far as possible.
    fn load_index<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Index, LedgerError>>;

    /// What was delivered by this run or a later one, by key: [`Self::load_index`] of their batches alone.
    fn delivered_since<'a>(&'a self, scope: &'a Scope, run: RunId) -> BoxFuture<'a, Result<Index, LedgerError>>;

    /// The batches that are open, oldest first.
    fn open_batches<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<OpenBatch>, LedgerError>>;

    /// Writes batches down as open, each under a new id, in order. They are durable when it returns.
    ///
    /// Calls that overlap share one commit.
    ///
    /// # Errors
    ///
    /// Nothing was written: don't send them.
    ///
    /// # Panics
    ///
    /// Where a batch is of another entity than the scope.
    fn open<'a>(
        &'a self,
        run: RunId,
        step: &'a str,
        scope: &'a Scope,
        batches: &'a [&'a Batch],
    ) -> BoxFuture<'a, Result<Vec<BatchId>, LedgerError>>;

    /// Writes down the API's id of the asynchronous task that imports an open batch. On a settled
    /// batch it does nothing.
    fn note_task<'a>(&'a self, batch: BatchId, task: &'a str) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// Remembers that a batch was sent (again), and the request's id. Costs nothing: it is written
    /// when the batch is next settled, and lost in a crash.
    fn note_attempt(&self, batch: BatchId, request_id: Option<&str>);

    /// Writes down what became of a batch, an outcome for each of its records in order.
    ///
    /// [`Outcome::Open`] says nothing new. The first outcome of a record that is another stays, so
    /// the call may be repeated. When the last record is settled, the keys' texts are deleted.
    ///
    /// # Errors
    ///
    /// [`LedgerError::NoSuchBatch`], [`LedgerError::OutcomesMismatch`], or the write failed. Nothing
    /// was settled.
    fn settle<'a>(&'a self, batch: BatchId, outcomes: &'a [Outcome]) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// Gives up the open records of a batch: their outcome stays unknown for ever. What was known of
    /// their keys is forgotten, so the next run that has the record sends it.
    fn forget(&self, batch: BatchId) -> BoxFuture<'_, Result<(), LedgerError>>;

    /// Closes what later batches have replaced: each open record whose key was settled in a batch
    /// that was opened later. Returns how many batches no longer are open.
    fn close_superseded<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<u64, LedgerError>>;

    /// The mark of a step; none where it never had one.
    fn mark<'a>(&'a self, scope: &'a Scope, step: &'a str) -> BoxFuture<'a, Result<Option<StepMark>, LedgerError>>;

    /// Replaces a step's mark, or forgets it. It never outlives a settlement that came before it: a crash loses
    /// the mark first, and then rows are only read again.
    fn set_mark<'a>(
        &'a self,
        scope: &'a Scope,
        step: &'a str,
        mark: Option<&'a StepMark>,
    ) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// The batches that held a key, oldest first. Compaction leaves the one that delivered the
    /// present content, and refusals of the latest run.
    fn history<'a>(&'a self, scope: &'a Scope, key: KeyHash) -> BoxFuture<'a, Result<Vec<Event>, LedgerError>>;

    /// What was delivered of each field of some records, by key, of the content that was accepted last. A key that is in
    /// doubt has none, and so has what an older version of the program delivered, and what a repair has lost. Takes as long
    /// as [`Self::load_index`].
    fn sketches<'a>(
        &'a self,
        scope: &'a Scope,
        keys: &'a HashSet<KeyHash>,
    ) -> BoxFuture<'a, Result<HashMap<KeyHash, Sketch>, LedgerError>>;

    /// How much is known. Takes as long as [`Self::load_index`].
    fn counts<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Counts, LedgerError>>;

    /// Merges settled batches and drops what was superseded. It needs an index as large as a run's: `scratch` is an
    /// index whose content is no longer needed, and whose memory is used again.
    fn compact(&self, when: Compaction, scratch: Index) -> BoxFuture<'_, Result<Compacted, LedgerError>>;

    /// Forgets runs that ended before this instant, but for the last of all; what they delivered stays known. A run that a
    /// batch is still kept of stays with its times and its exit code, without arguments and summary. Returns how many are
    /// gone. Space that has become free is given back when it is much.
    fn prune(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, LedgerError>>;

    /// Writes out everything and closes. Every later call fails with [`LedgerError::Closed`].
    fn close(&self) -> BoxFuture<'_, Result<(), LedgerError>>;
}
