//! A part of the records, for one of several workers that share the work.
//!
//! Each worker reads the whole source and keeps the records of its customers: a subscription or a usage record comes after
//! its customer because one worker has both. What is not its own counts as filtered. The workers share a ledger, and each
//! sees of its open batches only those that are its own to settle.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::Deserialize;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::batch::{Batch, BatchId, Outcome};
use crate::ledger::{
    Compacted, Compaction, Counts, Event, Index, Ledger, LedgerError, OpenBatch, Part, RunFinish, RunId, RunInfo,
    RunStart, Scope, Sketch, StepMark,
};
use crate::record::{KeyHash, RecordBatch, Reject};

/// The key in a run's arguments that says which part it had.
const ARGUMENT: &str = "part";

/// Leaves out what other parts have. Returns how many records and rejects that were.
pub(super) fn keep(part: Part, out: &mut RecordBatch) -> u64 {
    if part == Part::ALL {
        return 0;
    }
    let before = out.records.len() + out.rejects.len();
    let mut records = std::mem::take(&mut out.records);
    records.retain(|record| {
        let owner =
            owner_of(out.json_of(record)).map_or_else(|| xxh3_64(out.key_of(record).as_bytes()), |id| hash(&id));
        is_of(part, owner)
    });
    out.records = records;
    // What does not fit has no customer that we know of. By its content, and not by its place: two workers that ask a
    // database may get its rows in different orders.
    out.rejects.retain(|reject| is_of(part, hash_of_reject(reject)));
    (before - out.records.len() - out.rejects.len()) as u64
}

fn is_of(part: Part, hash: u64) -> bool {
    hash % u64::from(part.count) == u64::from(part.index)
}

fn hash(customer_id: &str) -> u64 {
    xxh3_64(customer_id.as_bytes())
}

/// The customer of a record: each entity that is imported has one.
fn owner_of(json: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Owned<'a> {
        #[serde(borrow)]
        customer_id: Cow<'a, str>,
    }
    serde_json::from_slice(json).map(|owned: Owned<'_>| owned.customer_id).ok()
}

fn hash_of_reject(reject: &Reject) -> u64 {
    let mut hasher = Xxh3::new();
    for cell in reject.rows.iter().flatten() {
        hasher.update(cell.as_deref().unwrap_or("\0").as_bytes());
        hasher.update(b"\x1f");
    }
    if reject.rows.is_empty() {
        hasher.update(&reject.place.record.to_le_bytes());
    }
    hasher.digest()
}

/// A shared ledger as one of its workers sees it.
pub(super) struct PartLedger {
    inner: Arc<dyn Ledger>,
    part: Part,
    /// Which part the runs had that left something open; none: all records.
    parts: Mutex<HashMap<RunId, Option<Part>>>,
}

impl PartLedger {
    /// The whole ledger for who has all records.
    pub(super) fn of(inner: Arc<dyn Ledger>, part: Part) -> Arc<dyn Ledger> {
        if part == Part::ALL { inner } else { Arc::new(Self { inner, part, parts: Mutex::default() }) }
    }

    /// Whether a batch that was left open is this worker's to settle: that of an earlier run of the same part; and of those
    /// of other divisions, of which no run can be going on now, every so many.
    async fn is_ours(&self, batch: &OpenBatch) -> Result<bool, LedgerError> {
        let known = self.parts.lock().unwrap_or_else(PoisonError::into_inner).get(&batch.run).copied();
        let had = match known {
            Some(had) => had,
            None => {
                let had = self.inner.run(batch.run).await?.as_ref().and_then(part_of);
                self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(batch.run, had);
                had
            }
        };
        Ok(match had {
            Some(had) if had.count == self.part.count => had == self.part,
            Some(_) | None => batch.id.0 % u64::from(self.part.count) == u64::from(self.part.index),
        })
    }

    /// A step's mark says how far this part has come; that of another is none.
    fn step(&self, step: &str) -> String {
        format!("{step} {}", self.part)
    }

    /// Work on the whole ledger is the first worker's.
    fn is_first(&self) -> bool {
        self.part.index == 0
    }
}

fn part_of(run: &RunInfo) -> Option<Part> {
    let arguments: serde_json::Value = serde_json::from_str(&run.start.arguments_json).ok()?;
    Part::parse(arguments.get(ARGUMENT)?.as_str()?)
}

impl Ledger for PartLedger {
    fn begin_run(&self, start: RunStart) -> BoxFuture<'_, Result<RunId, LedgerError>> {
        let mut arguments = serde_json::from_str(&start.arguments_json).unwrap_or_default();
        if let serde_json::Value::Object(arguments) = &mut arguments {
            arguments.insert(ARGUMENT.to_owned(), self.part.to_string().into());
        }
        self.inner.begin_run(RunStart { arguments_json: arguments.to_string(), ..start })
    }

    fn finish_run(&self, run: RunId, finish: RunFinish) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.inner.finish_run(run, finish)
    }

    fn runs(&self, limit: u32) -> BoxFuture<'_, Result<Vec<RunInfo>, LedgerError>> {
        self.inner.runs(limit)
    }

    fn run(&self, run: RunId) -> BoxFuture<'_, Result<Option<RunInfo>, LedgerError>> {
        self.inner.run(run)
    }

    fn scopes(&self) -> BoxFuture<'_, Result<Vec<Scope>, LedgerError>> {
        self.inner.scopes()
    }

    fn load_index<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Index, LedgerError>> {
        self.inner.load_index(scope)
    }

    fn delivered_since<'a>(&'a self, scope: &'a Scope, run: RunId) -> BoxFuture<'a, Result<Index, LedgerError>> {
        self.inner.delivered_since(scope, run)
    }

    fn open_batches<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<OpenBatch>, LedgerError>> {
        Box::pin(async move {
            let mut ours = Vec::new();
            for batch in self.inner.open_batches(scope).await? {
                if self.is_ours(&batch).await? {
                    ours.push(batch);
                }
            }
            Ok(ours)
        })
    }

    fn open<'a>(
        &'a self,
        run: RunId,
        step: &'a str,
        scope: &'a Scope,
        batches: &'a [&'a Batch],
    ) -> BoxFuture<'a, Result<Vec<BatchId>, LedgerError>> {
        self.inner.open(run, step, scope, batches)
    }

    fn note_task<'a>(&'a self, batch: BatchId, task: &'a str) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.inner.note_task(batch, task)
    }

    fn note_attempt(&self, batch: BatchId, request_id: Option<&str>) {
        self.inner.note_attempt(batch, request_id);
    }

    fn settle<'a>(&'a self, batch: BatchId, outcomes: &'a [Outcome]) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.inner.settle(batch, outcomes)
    }

    fn forget(&self, batch: BatchId) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.inner.forget(batch)
    }

    /// Of all parts: what a later batch has settled is settled, whoever looks.
    fn close_superseded<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<u64, LedgerError>> {
        self.inner.close_superseded(scope)
    }

    fn mark<'a>(&'a self, scope: &'a Scope, step: &'a str) -> BoxFuture<'a, Result<Option<StepMark>, LedgerError>> {
        Box::pin(async move { self.inner.mark(scope, &self.step(step)).await })
    }

    fn set_mark<'a>(
        &'a self,
        scope: &'a Scope,
        step: &'a str,
        mark: Option<&'a StepMark>,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(async move { self.inner.set_mark(scope, &self.step(step), mark).await })
    }

    fn history<'a>(&'a self, scope: &'a Scope, key: KeyHash) -> BoxFuture<'a, Result<Vec<Event>, LedgerError>> {
        self.inner.history(scope, key)
    }

    fn sketches<'a>(
        &'a self,
        scope: &'a Scope,
        keys: &'a HashSet<KeyHash>,
    ) -> BoxFuture<'a, Result<HashMap<KeyHash, Sketch>, LedgerError>> {
        self.inner.sketches(scope, keys)
    }

    fn counts<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Counts, LedgerError>> {
        self.inner.counts(scope)
    }

    fn compact(&self, when: Compaction, scratch: Index) -> BoxFuture<'_, Result<Compacted, LedgerError>> {
        if self.is_first() {
            return self.inner.compact(when, scratch);
        }
        Box::pin(std::future::ready(Ok(Compacted::default())))
    }

    fn prune(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, LedgerError>> {
        if self.is_first() {
            return self.inner.prune(before);
        }
        Box::pin(std::future::ready(Ok(0)))
    }

    fn close(&self) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.inner.close()
    }
}
