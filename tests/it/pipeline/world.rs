//! One embedded API, one ledger, and runs over them in virtual time.

use std::future::pending;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use stigg_import::clock::FixedClock;
use stigg_import::ledger::{Ledger, MemoryLedger, Part};
use stigg_import::pipeline::{
    Event, Finished, Job, Journal, Known, MaxRejects, Observer, RetryPolicy, StartError, StepSummary, Stop, run,
};
use stigg_import::sandbox::{Catalog, LimiterKind, Sandbox, Settings, Snapshot};
use stigg_import::sink::stigg::StiggSink;
use stigg_import::sink::{BudgetSettings, Budgets, Operation};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::data::Data;
use super::ledger::Watched;
use super::wire::Wire;

/// When the embedded API's clock starts.
pub(super) const NOW: &str = "2026-06-30T12:00:00Z";

/// Ends a process in the middle: after so many calls of ledger and network, no call returns.
#[derive(Debug)]
pub(super) struct Fuse {
    left: AtomicI64,
    burnt: Mutex<CancellationToken>,
    /// Calls until somebody interrupts; nothing else comes of it.
    until_interrupt: AtomicI64,
    interrupted: Mutex<CancellationToken>,
}

impl Default for Fuse {
    fn default() -> Self {
        Self {
            left: AtomicI64::new(i64::MAX),
            burnt: Mutex::default(),
            until_interrupt: AtomicI64::new(i64::MAX),
            interrupted: Mutex::default(),
        }
    }
}

impl Fuse {
    /// Burns down after `calls` more.
    pub(super) fn light(&self, calls: i64) {
        self.left.store(calls, Ordering::Relaxed);
        *self.burnt.lock().unwrap() = CancellationToken::new();
    }

    /// Lasts for ever, and nobody interrupts.
    pub(super) fn put_out(&self) {
        self.light(i64::MAX);
        self.interrupt_after(i64::MAX);
    }

    /// Has somebody interrupt after `calls` more.
    pub(super) fn interrupt_after(&self, calls: i64) {
        self.until_interrupt.store(calls, Ordering::Relaxed);
        *self.interrupted.lock().unwrap() = CancellationToken::new();
    }

    /// Waits until somebody interrupts.
    pub(super) async fn interrupted(&self) {
        let interrupted = self.interrupted.lock().unwrap().clone();
        interrupted.cancelled().await;
    }

    /// One call. Never returns from the one with which it burnt down.
    pub(super) async fn burn(&self) {
        if self.until_interrupt.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.interrupted.lock().unwrap().cancel();
            // Whoever hears of it may be first.
            tokio::task::yield_now().await;
        }
        if self.left.fetch_sub(1, Ordering::Relaxed) <= 1 {
            self.burnt.lock().unwrap().cancel();
            pending::<()>().await;
        }
    }

    /// Waits until it burnt down.
    pub(super) async fn burnt(&self) {
        let burnt = self.burnt.lock().unwrap().clone();
        burnt.cancelled().await;
    }
}

/// What a run told, in words.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Vec<String>>);

impl Heard {
    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn count(&self, word: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|event| event.starts_with(word)).count()
    }
}

impl Observer for Heard {
    fn event(&self, event: &Event) {
        if !matches!(event, Event::StepStarted { .. } | Event::StepFinished(_)) {
            self.0.lock().unwrap().push(format!("{event:?}"));
        }
    }
}

/// Everything that runs share.
pub(super) struct World {
    pub sandbox: Sandbox,
    pub wire: Arc<Wire>,
    pub ledger: Arc<Watched>,
    pub fuse: Arc<Fuse>,
    pub heard: Arc<Heard>,
    pub rates: BudgetSettings,
    pub batch_records_max: Option<usize>,
    pub max_rejects: Option<MaxRejects>,
    folder: TempDir,
}

/// A folder that is no disk where the system has one: what is written there outlives a run as well, and waits for nothing.
pub(super) fn in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// A catalog with a free plan, a custom one and two metered features.
pub(super) fn catalog() -> Catalog {
    serde_json::from_str(
        r#"{"plans": [{"id": "plan-free", "kind": "free"}, {"id": "plan-custom", "kind": "custom"}],
            "features": [{"id": "feature-calls", "meter": "Incremental"}, {"id": "feature-seats"}]}"#,
    )
    .expect("a catalog")
}

/// Settings of an API with a catalog and the published limits, counted in the strictest way.
pub(super) fn settings() -> Settings {
    Settings {
        catalog: Some(catalog()),
        usage_needs_subscription: Some(false),
        rate_scale: Some(1.0),
        limiter: LimiterKind::SlidingLog,
        started_at: NOW.parse().ok(),
        ..Settings::default()
    }
}

impl World {
    /// A world with nothing in it, over a ledger in memory.
    pub(super) fn new(settings: Settings) -> Self {
        let ledger = MemoryLedger::new(Arc::new(clock()));
        Self::over(settings, Arc::new(ledger), false)
    }

    /// The same over another ledger; see [`Watched`] for `threaded`.
    pub(super) fn over(settings: Settings, ledger: Arc<dyn Ledger>, threaded: bool) -> Self {
        // The waits between tries are drawn on this thread.
        fastrand::seed(settings.seed);
        let sandbox = Sandbox::new(settings);
        let fuse = Arc::new(Fuse::default());
        let ledger = Arc::new(Watched::new(ledger, threaded, fuse.clone()));
        Self {
            wire: Arc::new(Wire::new(sandbox.clone(), ledger.clone(), fuse.clone())),
            sandbox,
            ledger,
            fuse,
            heard: Arc::default(),
            rates: BudgetSettings::default(),
            batch_records_max: None,
            max_rejects: None,
            folder: in_memory(),
        }
    }

    /// Another process beside this one: the same API, and a handle of its own of the same ledger.
    pub(super) fn beside(&self, ledger: Arc<dyn Ledger>) -> Self {
        let fuse = Arc::new(Fuse::default());
        let ledger = Arc::new(Watched::new(ledger, false, fuse.clone()));
        Self {
            wire: Arc::new(Wire::new(self.sandbox.clone(), ledger.clone(), fuse.clone())),
            sandbox: self.sandbox.clone(),
            ledger,
            fuse,
            heard: Arc::default(),
            rates: self.rates.clone(),
            batch_records_max: self.batch_records_max,
            max_rejects: self.max_rejects,
            folder: in_memory(),
        }
    }

    /// A world where each request has at most so many records.
    #[must_use]
    pub(super) fn batches_of(mut self, records: usize) -> Self {
        self.batch_records_max = Some(records);
        self
    }

    /// Everything for a run of `steps`.
    pub(super) async fn job(&self, steps: &[Data]) -> Job {
        let mut open = Vec::with_capacity(steps.len());
        for step in steps {
            open.push(step.open(&clock()).await);
        }
        Job {
            steps: open,
            sink: Arc::new(StiggSink::new(self.wire.clone())),
            target: "https://api.example/graphql".to_owned(),
            budgets: Arc::new(Budgets::new(&self.rates)),
            ledger: self.ledger.clone(),
            journal: Journal {
                ledger_path: self.folder.path().join("ledger.db"),
                spill_dir: self.folder.path().to_owned(),
                identity: "test".to_owned(),
                arguments_json: "{}".to_owned(),
            },
            observer: self.heard.clone(),
            clock: Arc::new(clock()),
            stop: Arc::new(Stop::default()),
            retry: RetryPolicy::default(),
            max_rejects: self.max_rejects,
            full: false,
            batch_records_max: self.batch_records_max,
            map_on: tokio::runtime::Handle::current(),
            prepare_on: tokio::runtime::Handle::current(),
            known: Known::default(),
            part: Part::ALL,
        }
    }

    /// Runs `steps` to the end, and holds the run against the promises.
    pub(super) async fn run(&self, steps: &[Data]) -> Finished {
        let job = self.job(steps).await;
        self.finish(job).await.expect("the run begins")
    }

    /// Runs a job to its end, and holds the run against the promises.
    pub(super) async fn finish(&self, job: Job) -> Result<Finished, StartError> {
        let budgets = job.budgets.clone();
        let before = self.wire.posted().len();
        let finished = run(job).await;
        for operation in Operation::ALL {
            let sent =
                self.wire.posted()[before..].iter().filter(|posted| posted.operation == operation.name()).count();
            assert!(sent as u64 <= budgets.spent(operation), "{operation}: {sent} requests without so many permits");
        }
        let broken = self.wire.broken();
        assert!(broken.is_empty(), "{broken:#?}");
        if let Ok(finished) = &finished {
            let unbalanced = finished.summary.unbalanced();
            assert!(unbalanced.is_empty(), "unbalanced: {unbalanced:?} of {:#?}", finished.summary);
        }
        finished
    }

    /// What the API has.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.sandbox.snapshot()
    }

    /// Write requests of an operation that arrived at the API.
    pub(super) fn arrived(&self, root_field: &str) -> u64 {
        self.sandbox.stats().operations.get(root_field).map_or(0, |operation| operation.requests)
    }

    /// How often the API's own limiter refused.
    pub(super) fn rate_limited(&self) -> u64 {
        self.sandbox.stats().operations.values().map(|operation| operation.rate_limited).sum()
    }
}

/// The day of every run.
pub(super) fn clock() -> FixedClock {
    FixedClock::at(NOW.parse().expect("a time"))
}

/// `records filtered rejected unchanged accepted failed open` of a step, to compare at a glance.
pub(super) fn account(step: &StepSummary) -> [u64; 7] {
    [step.records, step.filtered, step.rejected, step.unchanged, step.accepted, step.failed, step.open]
}

/// The accounts of all steps.
pub(super) fn accounts(finished: &Finished) -> Vec<[u64; 7]> {
    finished.summary.steps.iter().map(account).collect()
}

/// The text of the rejects files that a run wrote.
pub(super) fn rejects_text(finished: &Finished) -> String {
    let texts = finished.rejects.iter().map(|path| std::fs::read_to_string(path).expect("a rejects file"));
    texts.collect::<Vec<_>>().concat()
}
