//! Two hundred scheduled runs in virtual time, over a source that changes and an API that fails: whenever a run comes to its
//! end, Stigg has what the source had when it began.
//!
//! `STIGG_IMPORT_SCHEDULE_SEED=S` runs one seed again, `STIGG_IMPORT_SCHEDULE_RUNS=N` so many runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use stigg_import::clock::Clock;
use stigg_import::ledger::{Access, Durability, Ledger, SqliteLedger};
use stigg_import::pipeline::{Finished, Job, Stop, Stopped, run};
use stigg_import::sandbox::{Fault, FaultKind, Faults, Pace, Settings, Snapshot};
use stigg_import::schedule::{self, Backoff, End, Happened, Outcome, Watcher, When};

use super::data::{self, Data};
use super::ledger::hold_time;
use super::world::{NOW, World, clock, settings};

/// Runs of a normal run of the tests.
const RUNS: u64 = 200;

/// The machine's clock: it follows tokio's.
struct Wall(tokio::time::Instant);

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        let start: Timestamp = NOW.parse().expect("an instant");
        start + SignedDuration::try_from(self.0.elapsed()).expect("it fits")
    }
}

/// What a company's billing system has: versions of its records.
#[derive(Debug, Clone, Default)]
struct Billing {
    customers: BTreeMap<usize, u32>,
    subscriptions: BTreeMap<usize, (usize, u32)>,
    usage: BTreeMap<usize, u32>,
}

impl Billing {
    /// A quarter of an hour passes.
    fn live_on(&mut self, rng: &mut Rng) {
        for _ in 0..rng.usize(0..=3) {
            let id = self.customers.len();
            self.customers.insert(id, 0);
            if rng.bool() {
                self.subscriptions.insert(id, (id, 0));
            }
        }
        for _ in 0..rng.usize(0..=4).min(self.customers.len()) {
            // Corrections come and go: content that was there before comes back.
            *self.customers.entry(rng.usize(..self.customers.len())).or_default() = rng.u32(..3);
        }
        for (_, note) in self.subscriptions.values_mut() {
            if rng.usize(..20) == 0 {
                *note = rng.u32(..3);
            }
        }
        for _ in 0..rng.usize(0..=5).min(self.customers.len()) {
            // Usage is a total, and may come down again by a correction.
            let customer = rng.usize(..self.customers.len());
            *self.usage.entry(customer).or_default() = rng.u32(..3);
        }
    }

    fn steps(&self) -> Vec<Data> {
        let mut customers = String::from("id,name,email\n");
        for (id, version) in &self.customers {
            let _ = writeln!(customers, "cus-{id},Customer {id}.{version},c{id}@example.com");
        }
        let mut subscriptions = String::from("id,customer,plan,note\n");
        for (id, (customer, note)) in &self.subscriptions {
            let _ = writeln!(subscriptions, "sub-{id},cus-{customer},plan-free,{note}");
        }
        let mut usage = String::from("customer,feature,value\n");
        for (customer, value) in &self.usage {
            let _ = writeln!(usage, "cus-{customer},feature-calls,{value}");
        }
        vec![
            Data::new("customers", data::CUSTOMERS, customers),
            Data::new("subscriptions", data::SUBSCRIPTIONS, subscriptions),
            Data::new("usage", data::USAGE, usage),
        ]
    }

    /// In what the API differs from it.
    fn missed_by(&self, api: &Snapshot) -> Vec<String> {
        let mut missed = Vec::new();
        for (id, version) in &self.customers {
            let found = api.customers.get(&format!("cus-{id}")).and_then(|customer| customer.name.clone());
            if found != Some(format!("Customer {id}.{version}")) {
                missed.push(format!("customer {id} is {found:?}, not {version}"));
            }
        }
        for (id, (_, note)) in &self.subscriptions {
            let found = api.subscriptions.get(&format!("sub-{id}"));
            let found = found.and_then(|subscription| serde_json::to_value(&subscription.metadata).ok());
            if found.as_ref().is_none_or(|metadata| metadata["note"].as_str() != Some(&note.to_string())) {
                missed.push(format!("subscription {id} is {found:?}, not {note}"));
            }
        }
        for (customer, value) in &self.usage {
            let features = api.usage.get(&format!("cus-{customer}"));
            let found = features.and_then(|features| features.get("feature-calls")?.get("").copied());
            if found != Some(f64::from(*value)) {
                missed.push(format!("usage of customer {customer} is {found:?}, not {value}"));
            }
        }
        missed
    }
}

/// Counts what happens.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    missed: AtomicU64,
}

impl Watcher for Log {
    fn happened(&self, what: Happened) {
        match what {
            Happened::Missed { times, .. } => drop(self.missed.fetch_add(times.into(), Ordering::Relaxed)),
            Happened::Ended { outcome, took, .. } => {
                self.lines.lock().expect("no panic").push(format!("{outcome:?} after {took:?}"));
            }
            Happened::Waits { .. } | Happened::Begins | Happened::HeldBack { .. } | Happened::ClockWentBack { .. } => {}
        }
    }
}

impl Log {
    fn count(&self, word: &str) -> usize {
        self.lines.lock().expect("no panic").iter().filter(|line| line.starts_with(word)).count()
    }
}

/// An API that is slow, fails now and then, and is away now and then.
fn failing(seed: u64) -> Settings {
    let faults = FaultKind::ALL.into_iter().filter(|kind| *kind != FaultKind::Unauthenticated);
    let faults =
        faults.fold("slow-ms=2000".parse::<Faults>().expect("a setting"), |faults, kind| faults.with(kind, 0.004));
    Settings {
        faults,
        latency: Duration::from_millis(200),
        latency_jitter: Duration::from_millis(200),
        import_pace: Pace { start_delay: Duration::from_secs(2), step: Duration::from_millis(500), rows_per_step: 10 },
        usage_needs_subscription: Some(false),
        seed,
        ..settings()
    }
}

async fn sqlite(folder: &Path) -> Arc<dyn Ledger> {
    let held = hold_time();
    let path = folder.join("ledger.db");
    let ledger = SqliteLedger::open(&path, Access::Write, Durability::ProcessEnd, Arc::new(clock())).await;
    drop(held);
    Arc::new(ledger.expect("the ledger opens"))
}

/// A run that may be killed on its way; none then.
async fn live(world: &World, steps: &[Data], stop: &Arc<Stop>, calls_before_kill: Option<i64>) -> Option<Finished> {
    if let Some(calls) = calls_before_kill {
        world.fuse.light(calls);
    }
    let job = Job { stop: stop.clone(), ..world.job(steps).await };
    let finished = tokio::select! {
        biased;
        () = world.fuse.burnt() => None,
        finished = run(job) => finished.ok(),
    };
    world.fuse.put_out();
    assert_eq!(world.wire.broken(), Vec::<String>::new());
    if let Some(finished) = &finished {
        assert_eq!(finished.summary.unbalanced(), Vec::<&str>::new(), "{:#?}", finished.summary);
    }
    finished
}

async fn check(seed: u64, runs: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut rng = Rng::with_seed(seed);
    let world = World::over(failing(seed), sqlite(folder.path()).await, true).batches_of(20);
    let (wall, log) = (Wall(tokio::time::Instant::now()), Log::default());
    let settings = schedule::Settings {
        when: When::cron("*/15 * * * *", TimeZone::UTC).expect("a pattern"),
        jitter: Duration::from_secs(60),
        backoff: Backoff::default(),
        failures_max: None,
        at_once: true,
    };
    let (whole, mut random) = (Stop::default(), Rng::with_seed(seed));
    let (mut billing, mut number, mut accepted) = (Billing::default(), 0, 0);
    let work = async || {
        number += 1;
        if number > runs {
            whole.raise(Stopped::Interrupted);
            return Outcome::Held;
        }
        let before = billing.clone();
        billing.live_on(&mut rng);
        // One time in twenty the API is away for some runs, one in ten the process dies on its way.
        if rng.usize(..20) == 0 {
            world.sandbox.inject(Fault::once(FaultKind::BadGateway).times(rng.u32(4..20)));
        }
        let calls = (rng.usize(..10) == 0).then(|| rng.i64(1..60));
        let finished = live(&world, &billing.steps(), &Arc::default(), calls).await;
        let is_done = finished.as_ref().is_some_and(|finished| {
            finished.stopped.is_none()
                && finished.summary.steps.len() == 3
                && finished.summary.total(|step| step.open) == 0
        });
        if let Some(finished) = &finished {
            accepted += finished.summary.total(|step| step.accepted);
            assert_eq!(finished.summary.total(|step| step.rejected + step.failed), 0, "{:#?}", finished.summary);
        }
        if finished.is_none() {
            if calls.is_some() && rng.bool() {
                // What was being sent is taken back: the hardest for a ledger, which knows the content before as delivered.
                billing = before;
            }
            // Another process begins.
            let held = hold_time();
            world.ledger.close().await.expect("the ledger closes");
            drop(held);
            world.ledger.reopen(sqlite(folder.path()).await);
        }
        if is_done {
            assert_eq!(finished.map(|finished| finished.open_batches), Some(0), "run {number}");
            let missed = billing.missed_by(&world.snapshot());
            assert!(missed.is_empty(), "run {number} came to its end, and {missed:#?}");
            return Outcome::Done;
        }
        Outcome::Failed
    };
    let end = schedule::run(&settings, &wall, &whole, &log, &mut random, work).await;
    // Then
    assert_eq!(end, End::Stopped);
    let (done, failed) = (log.count("Done"), log.count("Failed"));
    eprintln!("counted: {done} scheduled runs that came to their end\ncounted: {failed} scheduled runs that did not");
    assert_eq!((done + failed) as u64, runs);
    let finished = loop {
        let finished = live(&world, &billing.steps(), &Arc::default(), None).await.filter(|finished| {
            finished.stopped.is_none()
                && finished.summary.steps.len() == 3
                && finished.summary.total(|step| step.open) == 0
        });
        if let Some(finished) = finished {
            break finished;
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    };
    assert_eq!(billing.missed_by(&world.snapshot()), Vec::<String>::new());
    assert_eq!(world.rate_limited(), 0, "the API's own limiter refused a request");
    // It is a sync, and not the same import again and again; and there was trouble.
    let records = finished.summary.total(|step| step.records);
    assert!(runs < RUNS || (done > 120 && failed > 10), "{done} done, {failed} failed");
    assert!(accepted < runs * records / 8, "{accepted} records accepted in {runs} runs over {records}");
}

#[test]
fn two_hundred_runs_over_a_source_that_changes_always_converge() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seed = number("STIGG_IMPORT_SCHEDULE_SEED").unwrap_or_else(|| fastrand::u64(..1 << 40));
    let runs = number("STIGG_IMPORT_SCHEDULE_RUNS").unwrap_or(RUNS);
    let checked = catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(check(seed, runs));
    }));
    assert!(
        checked.is_ok(),
        "it failed, see above; replay it with\n  STIGG_IMPORT_SCHEDULE_SEED={seed} STIGG_IMPORT_SCHEDULE_RUNS={runs} cargo \
         test --test it scheduled:: -- --nocapture\n"
    );
}
