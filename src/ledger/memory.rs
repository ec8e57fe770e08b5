//! The ledger in memory: for `plan`, the demo and tests. Clones share what they hold.

mod replacements;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::{BoxFuture, ready};
use jiff::Timestamp;

use super::latest::Latest;
use super::segment::{State, take_outcomes};
use super::{
    Compacted, Compaction, Counts, Event, Fate, Index, Ledger, LedgerError, OpenBatch, OpenItem, Replacement,
    RunFinish, RunId, RunInfo, RunStart, Scope, Sketch, StepMark,
};
use crate::batch::{Batch, BatchId, Outcome};
use crate::clock::{Clock, SystemClock};
use crate::record::{Fingerprint, KeyHash};

/// The ledger in memory. It is as lasting as its last clone.
#[derive(Clone)]
pub struct MemoryLedger {
    held: Arc<Mutex<Held>>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Held {
    runs: Vec<RunInfo>,
    batches: BTreeMap<BatchId, Kept>,
    batches_opened: u64,
    marks: BTreeMap<(Scope, String), StepMark>,
    /// By target and subscription.
    replacements: BTreeMap<(String, String), Replacement>,
}

struct Kept {
    scope: Scope,
    run: RunId,
    step: String,
    opened_at: Timestamp,
    settled_at: Option<Timestamp>,
    task: Option<String>,
    attempts: u32,
    request_id: Option<String>,
    items: Vec<KeptItem>,
}

struct KeptItem {
    /// Empty once it is settled.
    key: String,
    hash: KeyHash,
    fingerprint: Fingerprint,
    sketch: Option<Sketch>,
    state: State,
    code: String,
}

impl Default for MemoryLedger {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl std::fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryLedger({} batches)", self.held().batches.len())
    }
}

impl MemoryLedger {
    /// An empty ledger that dates its batches by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { held: Arc::default(), clock }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the states of a batch by `change` and closes it when none is open.
    fn change(
        &self,
        batch: BatchId,
        change: impl FnOnce(&mut Kept) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let now = self.clock.now();
        let mut held = self.held();
        let kept = held.batches.get_mut(&batch).ok_or(LedgerError::NoSuchBatch(batch))?;
        if kept.settled_at.is_none() {
            change(kept)?;
            for item in kept.items.iter_mut().filter(|item| item.state != State::Open) {
                item.key = String::new();
            }
            if !kept.is_open() {
                kept.settled_at = Some(now);
            }
        }
        Ok(())
    }
}

impl Held {
    fn of_scope<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = (&'a BatchId, &'a Kept)> {
        self.batches.iter().filter(move |(_, kept)| kept.scope == *scope)
    }

    fn index(&self, scope: &Scope, since: RunId) -> Index {
        let mut index = Index::new();
        let batches = self.of_scope(scope).filter(|(_, kept)| kept.run >= since);
        for item in batches.flat_map(|(_, kept)| &kept.items) {
            match item.state {
                State::Accepted => index.learn(item.hash, item.fingerprint),
                State::Open | State::NeverKnown => index.doubt(item.hash),
                State::Failed => {}
            }
        }
        index
    }

    fn open(&self, scope: &Scope) -> Vec<OpenBatch> {
        let open = self.of_scope(scope).filter(|(_, kept)| kept.settled_at.is_none());
        open.map(|(id, kept)| OpenBatch {
            id: *id,
            run: kept.run,
            step: kept.step.clone(),
            opened_at: kept.opened_at,
            task: kept.task.clone(),
            len: kept.items.len() as u32,
            items: kept.open_items(),
        })
        .collect()
    }

    /// The open items of each batch that a later batch has settled.
    fn superseded(&self, scope: &Scope) -> Vec<(BatchId, BTreeSet<usize>)> {
        let settled_later = |id: BatchId, hash: KeyHash| {
            let later = self.batches.range(id..).skip(1).filter(|(_, kept)| kept.scope == *scope);
            later.flat_map(|(_, kept)| &kept.items).any(|item| item.hash == hash && item.state != State::Open)
        };
        let open = self.of_scope(scope).filter(|(_, kept)| kept.settled_at.is_none());
        open.map(|(id, kept)| {
            let items = kept.items.iter().enumerate();
            let gone = items.filter(|(_, item)| item.state == State::Open && settled_later(*id, item.hash));
            (*id, gone.map(|(position, _)| position).collect())
        })
        .collect()
    }
}

impl Kept {
    fn is_open(&self) -> bool {
        self.items.iter().any(|item| item.state == State::Open)
    }

    fn open_items(&self) -> Vec<OpenItem> {
        let items = (0u32..).zip(&self.items).filter(|(_, item)| item.state == State::Open);
        items
            .map(|(position, item)| OpenItem {
                position,
                key: item.key.clone(),
                hash: item.hash,
                fingerprint: item.fingerprint,
            })
            .collect()
    }
}

fn done<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(ready(value))
}

impl Ledger for MemoryLedger {
    fn begin_run(&self, start: RunStart) -> BoxFuture<'_, Result<RunId, LedgerError>> {
        let mut held = self.held();
        let id = RunId(held.runs.last().map_or(0, |last| last.id.0) + 1);
        held.runs.push(RunInfo { id, start, finish: None });
        done(Ok(id))
    }

    fn finish_run(&self, run: RunId, finish: RunFinish) -> BoxFuture<'_, Result<(), LedgerError>> {
        let mut held = self.held();
        done(match held.runs.iter_mut().find(|info| info.id == run) {
            Some(info) => {
                info.finish = Some(finish);
                Ok(())
            }
            None => Err(LedgerError::NoSuchRun(run)),
        })
    }

    fn runs(&self, limit: u32) -> BoxFuture<'_, Result<Vec<RunInfo>, LedgerError>> {
        done(Ok(self.held().runs.iter().rev().take(limit as usize).cloned().collect()))
    }

    fn run(&self, run: RunId) -> BoxFuture<'_, Result<Option<RunInfo>, LedgerError>> {
        done(Ok(self.held().runs.iter().find(|info| info.id == run).cloned()))
    }

    fn scopes(&self) -> BoxFuture<'_, Result<Vec<Scope>, LedgerError>> {
        let held = self.held();
        let scopes = held.batches.values().map(|kept| &kept.scope).chain(held.marks.keys().map(|(scope, _)| scope));
        let scopes: BTreeSet<Scope> = scopes.cloned().collect();
        done(Ok(scopes.into_iter().collect()))
    }

    fn load_index<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Index, LedgerError>> {
        done(Ok(self.held().index(scope, RunId(0))))
    }

    fn delivered_since<'a>(&'a self, scope: &'a Scope, run: RunId) -> BoxFuture<'a, Result<Index, LedgerError>> {
        done(Ok(self.held().index(scope, run)))
    }

    fn open_batches<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<OpenBatch>, LedgerError>> {
        done(Ok(self.held().open(scope)))
    }

    fn open<'a>(
        &'a self,
        run: RunId,
        step: &'a str,
        scope: &'a Scope,
        batches: &'a [&'a Batch],
    ) -> BoxFuture<'a, Result<Vec<BatchId>, LedgerError>> {
        let opened_at = self.clock.now();
        let mut held = self.held();
        let open = |batch: &&Batch| {
            assert_eq!(batch.entity, scope.entity, "a batch belongs to its scope");
            let items = batch.items.iter().map(|item| KeptItem {
                key: batch.key_of(item).to_owned(),
                hash: item.hash,
                fingerprint: item.fingerprint,
                sketch: Sketch::is_kept_of(batch.entity).then(|| Sketch::of(batch.json_of(item))).flatten(),
                state: State::Open,
                code: String::new(),
            });
            held.batches_opened += 1;
            let id = BatchId(held.batches_opened);
            let kept = Kept {
                scope: scope.clone(),
                run,
                step: step.to_owned(),
                opened_at,
                settled_at: None,
                task: None,
                attempts: 0,
                request_id: None,
                items: items.collect(),
            };
            held.batches.insert(id, kept);
            id
        };
        done(Ok(batches.iter().map(open).collect()))
    }

    fn note_task<'a>(&'a self, batch: BatchId, task: &'a str) -> BoxFuture<'a, Result<(), LedgerError>> {
        done(self.change(batch, |kept| {
            kept.task = Some(task.to_owned());
            Ok(())
        }))
    }

    fn note_attempt(&self, batch: BatchId, request_id: Option<&str>) {
        if let Some(kept) = self.held().batches.get_mut(&batch) {
            kept.attempts += 1;
            if let Some(request_id) = request_id {
                kept.request_id = Some(request_id.to_owned());
            }
        }
    }

    fn settle<'a>(&'a self, batch: BatchId, outcomes: &'a [Outcome]) -> BoxFuture<'a, Result<(), LedgerError>> {
        done(self.change(batch, |kept| {
            if outcomes.len() != kept.items.len() {
                let (expected, found) = (kept.items.len() as u32, outcomes.len());
                return Err(LedgerError::OutcomesMismatch { batch, expected, found });
            }
            let mut states: Vec<State> = kept.items.iter().map(|item| item.state).collect();
            for (position, code) in take_outcomes(&mut states, outcomes) {
                kept.items[position as usize].code = code.to_owned();
            }
            kept.items.iter_mut().zip(states).for_each(|(item, state)| item.state = state);
            Ok(())
        }))
    }

    fn forget(&self, batch: BatchId) -> BoxFuture<'_, Result<(), LedgerError>> {
        done(self.change(batch, |kept| {
            let open = kept.items.iter_mut().filter(|item| item.state == State::Open);
            open.for_each(|item| item.state = State::NeverKnown);
            Ok(())
        }))
    }

    fn close_superseded<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<u64, LedgerError>> {
        let superseded = self.held().superseded(scope);
        let mut closed = 0;
        for (batch, positions) in superseded {
            let changed = self.change(batch, |kept| {
                positions.iter().for_each(|position| kept.items[*position].state = State::NeverKnown);
                closed += u64::from(!kept.is_open());
                Ok(())
            });
            if let Err(error) = changed {
                return done(Err(error));
            }
        }
        done(Ok(closed))
    }

    fn mark<'a>(&'a self, scope: &'a Scope, step: &'a str) -> BoxFuture<'a, Result<Option<StepMark>, LedgerError>> {
        done(Ok(self.held().marks.get(&(scope.clone(), step.to_owned())).cloned()))
    }

    fn set_mark<'a>(
        &'a self,
        scope: &'a Scope,
        step: &'a str,
        mark: Option<&'a StepMark>,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        let (step, mut held) = ((scope.clone(), step.to_owned()), self.held());
        match mark {
            Some(mark) => drop(held.marks.insert(step, mark.clone())),
            None => drop(held.marks.remove(&step)),
        }
        done(Ok(()))
    }

    fn history<'a>(&'a self, scope: &'a Scope, key: KeyHash) -> BoxFuture<'a, Result<Vec<Event>, LedgerError>> {
        let held = self.held();
        let event = |(id, kept): (&BatchId, &Kept)| {
            let item = kept.items.iter().find(|item| item.hash == key)?;
            Some(Event {
                batch: *id,
                run: kept.run,
                step: kept.step.clone(),
                opened_at: kept.opened_at,
                settled_at: kept.settled_at,
                fingerprint: item.fingerprint,
                fate: match item.state {
                    State::Open => Fate::Open,
                    State::Accepted => Fate::Accepted,
                    State::Failed => Fate::Failed { code: item.code.clone() },
                    State::NeverKnown => Fate::NeverKnown,
                },
                task: kept.task.clone(),
                attempts: kept.attempts,
                request_id: kept.request_id.clone(),
            })
        };
        done(Ok(held.of_scope(scope).filter_map(event).collect()))
    }

    fn sketches<'a>(
        &'a self,
        scope: &'a Scope,
        keys: &'a HashSet<KeyHash>,
    ) -> BoxFuture<'a, Result<HashMap<KeyHash, Sketch>, LedgerError>> {
        let (held, mut latest) = (self.held(), Latest::of(keys));
        for (id, kept) in held.of_scope(scope) {
            kept.items.iter().for_each(|item| latest.see(item.hash, id.0, item.state));
        }
        let sketch = |(batch, key): (u64, KeyHash)| {
            let item = held.batches[&BatchId(batch)].items.iter().find(|item| item.hash == key)?;
            Some((key, item.sketch.clone()?))
        };
        let of_batch = |(batch, keys): (u64, Vec<KeyHash>)| keys.into_iter().map(move |key| (batch, key));
        done(Ok(latest.by_batch().into_iter().flat_map(of_batch).filter_map(sketch).collect()))
    }

    fn counts<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Counts, LedgerError>> {
        let held = self.held();
        let open = held.open(scope);
        done(Ok(Counts {
            known_records: held.index(scope, RunId(0)).known() as u64,
            open_batches: open.len() as u64,
            open_records: open.iter().map(|batch| batch.items.len() as u64).sum(),
        }))
    }

    /// Does nothing: memory holds what was written, for as long as it lasts.
    fn compact(&self, _when: Compaction, _scratch: Index) -> BoxFuture<'_, Result<Compacted, LedgerError>> {
        done(Ok(Compacted::default()))
    }

    /// Does nothing: a clone may still be used.
    fn prune(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, LedgerError>> {
        let mut held = self.held();
        let named: BTreeSet<RunId> = held.batches.values().map(|kept| kept.run).collect();
        let (all, last) = (held.runs.len(), held.runs.last().map(|run| run.id));
        let is_old = |run: &RunInfo| {
            let ended = run.finish.as_ref().map_or(run.start.started_at, |finish| finish.finished_at);
            ended < before && Some(run.id) != last
        };
        held.runs.retain(|run| !is_old(run) || named.contains(&run.id));
        for run in held.runs.iter_mut().filter(|run| is_old(run)) {
            run.start.arguments_json = "{}".to_owned();
            if let Some(finish) = &mut run.finish {
                finish.summary_json = "{}".to_owned();
            }
        }
        done(Ok((all - held.runs.len()) as u64))
    }

    fn close(&self) -> BoxFuture<'_, Result<(), LedgerError>> {
        done(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CutoverLedger, conformance};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_memory_ledger_keeps_every_promise() {
        let open = |store: &MemoryLedger| {
            let ledger: Box<dyn Ledger> = Box::new(store.clone());
            ready(ledger)
        };
        conformance::suite(MemoryLedger::default, open).await;
        let open = async |store: &MemoryLedger| {
            let ledger: Box<dyn CutoverLedger> = Box::new(store.clone());
            ledger
        };
        conformance::replacements::suite(MemoryLedger::default, open).await;
    }
}
