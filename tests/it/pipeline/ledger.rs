//! A ledger that is looked over its shoulder, and that fails on demand.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use futures::future::BoxFuture;
use jiff::Timestamp;
use stigg_import::batch::{Batch, BatchId, Outcome};
use stigg_import::ledger::{
    Compacted, Compaction, Counts, Event, Index, Ledger, LedgerError, LedgerPlace, OpenBatch, RunFinish, RunId,
    RunInfo, RunStart, Scope, Sketch, StepMark, WriteFailure,
};
use stigg_import::record::{Fingerprint, KeyHash};
use tokio::sync::watch;

use super::world::Fuse;

/// A ledger, and what the present run has open in it.
pub(super) struct Watched {
    inner: Mutex<Arc<dyn Ledger>>,
    fuse: Arc<Fuse>,
    open: Mutex<HashMap<BatchId, Vec<Option<Fingerprint>>>>,
    opened: Mutex<Vec<BatchId>>,
    /// Batches that can be opened, and calls of `settle` that succeed, before all fail.
    opens_left: AtomicU32,
    settles_left: AtomicU32,
    /// Whether settlements wait until somebody lets them go on.
    settles_wait: watch::Sender<bool>,
    /// Whether the ledger works on threads of its own, which tokio's paused clock does not wait for.
    threaded: bool,
    /// Whether the process dies before a task is noted: the call never returns.
    dies_at_task: AtomicBool,
}

/// Time stands still while this is held: tokio's paused clock only moves when no blocking task runs.
pub(super) fn hold_time() -> mpsc::Sender<()> {
    let (held, release) = mpsc::channel();
    tokio::task::spawn_blocking(move || {
        let _: Result<(), mpsc::RecvError> = release.recv();
    });
    held
}

impl Watched {
    pub(super) fn new(inner: Arc<dyn Ledger>, threaded: bool, fuse: Arc<Fuse>) -> Self {
        Self {
            inner: Mutex::new(inner),
            fuse,
            open: Mutex::default(),
            opened: Mutex::default(),
            opens_left: AtomicU32::new(u32::MAX),
            settles_left: AtomicU32::new(u32::MAX),
            settles_wait: watch::Sender::new(false),
            threaded,
            dies_at_task: AtomicBool::new(false),
        }
    }

    /// Whether the process is to die, from now on, before it notes a task.
    pub(super) fn die_at_task(&self, dies: bool) {
        self.dies_at_task.store(dies, Ordering::Relaxed);
    }

    /// Whether a record of this content is open in a batch of the present run.
    pub(super) fn is_open(&self, content: Fingerprint) -> bool {
        self.open.lock().unwrap().values().flatten().any(|open| *open == Some(content))
    }

    /// How many batches were opened so far.
    pub(super) fn opened(&self) -> usize {
        self.opened.lock().unwrap().len()
    }

    /// Opening fails once there would be more than `n` further batches; a call opens all of its batches or none.
    pub(super) fn fail_open_after(&self, n: u32) {
        self.opens_left.store(n, Ordering::Relaxed);
    }

    /// Every `settle` after the next `n` fails.
    pub(super) fn fail_settle_after(&self, n: u32) {
        self.settles_left.store(n, Ordering::Relaxed);
    }

    /// Whether, from now on, no `settle` comes to its end.
    pub(super) fn hold_settlements(&self, hold: bool) {
        self.settles_wait.send_replace(hold);
    }

    /// Works from now on over another handle of the same ledger, as a new process would.
    pub(super) fn reopen(&self, inner: Arc<dyn Ledger>) {
        *self.inner.lock().unwrap() = inner;
        self.open.lock().unwrap().clear();
    }

    fn inner(&self) -> Arc<dyn Ledger> {
        self.inner.lock().unwrap().clone()
    }

    fn hold(&self) -> Option<mpsc::Sender<()>> {
        self.threaded.then(hold_time)
    }

    fn spend(left: &AtomicU32, n: usize) -> Result<(), LedgerError> {
        let n = u32::try_from(n).unwrap();
        let before = left.update(Ordering::Relaxed, Ordering::Relaxed, |left| match left {
            u32::MAX => u32::MAX,
            left => left.saturating_sub(n),
        });
        if before >= n {
            return Ok(());
        }
        Err(LedgerError::CannotWrite {
            ledger: LedgerPlace::of("ledger.db"),
            failure: WriteFailure::Full,
            detail: "disk full".to_owned(),
        })
    }
}

impl Ledger for Watched {
    fn begin_run(&self, start: RunStart) -> BoxFuture<'_, Result<RunId, LedgerError>> {
        Box::pin(async move {
            self.open.lock().unwrap().clear();
            self.fuse.burn().await;
            let _held = self.hold();
            self.inner().begin_run(start).await
        })
    }

    fn finish_run(&self, run: RunId, finish: RunFinish) -> BoxFuture<'_, Result<(), LedgerError>> {
        Box::pin(async move {
            let _held = self.hold();
            self.inner().finish_run(run, finish).await
        })
    }

    fn runs(&self, limit: u32) -> BoxFuture<'_, Result<Vec<RunInfo>, LedgerError>> {
        Box::pin(async move {
            let _held = self.hold();
            self.inner().runs(limit).await
        })
    }

    fn run(&self, run: RunId) -> BoxFuture<'_, Result<Option<RunInfo>, LedgerError>> {
        Box::pin(async move {
            let _held = self.hold();
            self.inner().run(run).await
        })
    }

    fn scopes(&self) -> BoxFuture<'_, Result<Vec<Scope>, LedgerError>> {
        Box::pin(async move {
            let _held = self.hold();
            self.inner().scopes().await
        })
    }

    fn load_index<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Index, LedgerError>> {
        Box::pin(async move {
            self.fuse.burn().await;
            let _held = self.hold();
            self.inner().load_index(scope).await
        })
    }

    fn delivered_since<'a>(&'a self, scope: &'a Scope, run: RunId) -> BoxFuture<'a, Result<Index, LedgerError>> {
        Box::pin(async move {
            self.fuse.burn().await;
            let _held = self.hold();
            self.inner().delivered_since(scope, run).await
        })
    }

    fn open_batches<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<OpenBatch>, LedgerError>> {
        Box::pin(async move {
            self.fuse.burn().await;
            let _held = self.hold();
            self.inner().open_batches(scope).await
        })
    }

    fn open<'a>(
        &'a self,
        run: RunId,
        step: &'a str,
        scope: &'a Scope,
        batches: &'a [&'a Batch],
    ) -> BoxFuture<'a, Result<Vec<BatchId>, LedgerError>> {
        Box::pin(async move {
            self.fuse.burn().await;
            Self::spend(&self.opens_left, batches.len())?;
            let ids = {
                let _held = self.hold();
                self.inner().open(run, step, scope, batches).await?
            };
            for (id, batch) in ids.iter().zip(batches) {
                let contents = batch.items.iter().map(|item| Some(item.fingerprint)).collect();
                self.open.lock().unwrap().insert(*id, contents);
                self.opened.lock().unwrap().push(*id);
            }
            self.fuse.burn().await;
            Ok(ids)
        })
    }

    fn note_task<'a>(&'a self, batch: BatchId, task: &'a str) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(async move {
            if self.dies_at_task.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            self.fuse.burn().await;
            let _held = self.hold();
            self.inner().note_task(batch, task).await
        })
    }

    fn note_attempt(&self, batch: BatchId, request_id: Option<&str>) {
        self.inner().note_attempt(batch, request_id);
    }

    fn settle<'a>(&'a self, batch: BatchId, outcomes: &'a [Outcome]) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(async move {
            self.fuse.burn().await;
            let _ = self.settles_wait.subscribe().wait_for(|wait| !wait).await;
            Self::spend(&self.settles_left, 1)?;
            // Before the write: whoever sends a record while it is being settled is wrong already.
            if let Some(contents) = self.open.lock().unwrap().get_mut(&batch) {
                for (content, outcome) in contents.iter_mut().zip(outcomes) {
                    if !matches!(outcome, Outcome::Open { .. }) {
                        *content = None;
                    }
                }
            }
            {
                let _held = self.hold();
                self.inner().settle(batch, outcomes).await?;
            }
            self.fuse.burn().await;
            Ok(())
        })
    }

    fn forget(&self, batch: BatchId) -> BoxFuture<'_, Result<(), LedgerError>> {
        Box::pin(async move {
            self.fuse.burn().await;
            let _held = self.hold();
            self.inner().forget(batch).await
        })
    }

    fn close_superseded<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<u64, LedgerError>> {
        Box::pin(async move {
            self.fuse.burn().await;
            let _held = self.hold();
            self.inner().close_superseded(scope).await
        })
    }

    fn mark<'a>(&'a self, scope: &'a Scope, step: &'a str) -> BoxFuture<'a, Result<Option<StepMark>, LedgerError>> {
        Box::pin(async move {
            let _held = self.hold();
            self.inner().mark(scope, step).await
        })
    }

    fn set_mark<'a>(
        &'a self,
        scope: &'a Scope,
        step: &'a str,
        mark: Option<&'a StepMark>,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(async move {
            self.fuse.burn().await;
            let _held = self.hold();
            self.inner().set_mark(scope, step, mark).await
        })
    }

    fn history<'a>(&'a self, scope: &'a Scope, key: KeyHash) -> BoxFuture<'a, Result<Vec<Event>, LedgerError>> {
        Box::pin(async move {
            let _held = self.hold();
            self.inner().history(scope, key).await
        })
    }

    fn sketches<'a>(
        &'a self,
        scope: &'a Scope,
        keys: &'a HashSet<KeyHash>,
    ) -> BoxFuture<'a, Result<HashMap<KeyHash, Sketch>, LedgerError>> {
        Box::pin(async move {
            let _held = self.hold();
            self.inner().sketches(scope, keys).await
        })
    }

    fn counts<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Counts, LedgerError>> {
        Box::pin(async move {
            let _held = self.hold();
            self.inner().counts(scope).await
        })
    }

    fn compact(&self, when: Compaction, scratch: Index) -> BoxFuture<'_, Result<Compacted, LedgerError>> {
        Box::pin(async move {
            self.fuse.burn().await;
            let _held = self.hold();
            self.inner().compact(when, scratch).await
        })
    }

    fn prune(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, LedgerError>> {
        Box::pin(async move {
            let _held = self.hold();
            self.inner().prune(before).await
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), LedgerError>> {
        Box::pin(async move {
            let _held = self.hold();
            self.inner().close().await
        })
    }
}
