//! Random trouble: whatever happens, the runs together end where one undisturbed run ends.
//!
//! Each case is made from one seed: data with defects, an API with random behaviour and faults, and runs that are
//! killed or interrupted at random moments and started again until they are done. `STIGG_IMPORT_FAULT_CASES=N` runs
//! more cases (10,000 take some minutes of a `--release` build; `-- --nocapture` counts them meanwhile),
//! `STIGG_IMPORT_FAULT_FIRST=S` those from seed S on, `STIGG_IMPORT_FAULT_THREADS=N` on so many threads,
//! `STIGG_IMPORT_FAULT_SEED=S` one of them again.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use stigg_import::ledger::{Access, Durability, Ledger, SqliteLedger};
use stigg_import::pipeline::{Finished, Stopped, run};
use stigg_import::sandbox::{EventContent, FaultKind, Faults, LimiterKind, Pace, Settings, Snapshot, Unknowns};

use super::data::{self, BAD_EMAIL, Data};
use super::ledger::hold_time;
use super::many;
use super::unknowns::SWITCHES;
use super::world::{World, clock, in_memory, rejects_text, settings};

/// Cases of a normal run of the tests: some ten seconds.
const CASES: u64 = 60;

/// Virtual time after which a case counts as one that hangs; the longest that was seen took hours.
const VIRTUAL_MAX: Duration = Duration::from_secs(30 * 86_400);

/// Runs that are killed or interrupted, at most; after them only the API's faults go on.
const DISTURBED_RUNS_MAX: usize = 6;

/// Runs after which a case counts as one that never ends.
const RUNS_MAX: usize = 80;

/// What happens to a run.
#[derive(Debug, Clone)]
enum Fate {
    /// Nothing.
    Lives,
    /// No call of ledger or network returns after this many.
    KilledAfterCalls(i64),
    /// Killed after this time.
    KilledAfter(Duration),
    /// Interrupted after this time.
    InterruptedAfter(Duration),
    /// Interrupted at this call of ledger or network.
    InterruptedAtCall(i64),
}

#[derive(Debug)]
struct Case {
    seed: u64,
    customers: usize,
    subscriptions: usize,
    usage: usize,
    events: usize,
    batch_records_max: Option<usize>,
    sqlite: bool,
    unknowns: Vec<String>,
    faults: Vec<(FaultKind, f64)>,
    limiter: LimiterKind,
    latency: Duration,
    jitter: Duration,
    pace: Pace,
    usage_needs_subscription: bool,
    fates: Vec<Fate>,
    /// Which version of the data each disturbed run has; the others have version 0.
    versions: Vec<u8>,
    rest: Duration,
}

fn millis(rng: &mut Rng, most: u64) -> Duration {
    // As often short as long.
    Duration::from_millis(rng.u64(0..=rng.clone().u64(0..=most)))
}

impl Case {
    fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let mut unknowns = Vec::new();
        for (switch, choices) in SWITCHES {
            if rng.f64() < 0.3 {
                let choice = match *switch {
                    "read-delay-ms" => rng.u64(0..8000).to_string(),
                    _ => choices[rng.usize(..choices.len())].to_owned(),
                };
                unknowns.push(format!("{switch}={choice}"));
            }
        }
        let mut faults = Vec::new();
        let worst = [0.0, 0.02, 0.1, 0.3][rng.usize(..4)];
        if worst > 0.0 {
            for kind in FaultKind::ALL {
                if rng.f64() < 0.4 {
                    let share = if kind == FaultKind::Unauthenticated { 0.1 } else { 0.5 };
                    faults.push((kind, worst * share * rng.f64()));
                }
            }
        }
        let limiters = [
            LimiterKind::FixedWindow,
            LimiterKind::SlidingLog,
            LimiterKind::SlidingCounter,
            // A process that starts anew begins with a permit, so that room is needed for one of each start.
            LimiterKind::TokenBucket { capacity: 20 },
        ];
        let mut fates: Vec<Fate> = (0..rng.usize(0..=DISTURBED_RUNS_MAX))
            .map(|_| match rng.usize(..6) {
                0 => Fate::Lives,
                5 => Fate::InterruptedAtCall(rng.i64(1..=rng.clone().i64(2..=120))),
                1 | 2 => Fate::KilledAfterCalls(rng.i64(1..=rng.clone().i64(2..=120))),
                3 => Fate::KilledAfter(millis(rng, 120_000)),
                _ => Fate::InterruptedAfter(millis(rng, 60_000)),
            })
            .collect();
        let changing = rng.bool();
        let mut versions: Vec<u8> = fates.iter().map(|_| if changing { rng.u8(..2) } else { 0 }).collect();
        if changing && fates.len() > 1 && rng.bool() {
            // The hardest for the ledger: one version is delivered, another is under way, and the first comes back.
            fates[0] = Fate::Lives;
            (versions[0], versions[1]) = (0, 1);
        }
        Self {
            seed,
            customers: rng.usize(1..40),
            subscriptions: rng.usize(0..30),
            usage: rng.usize(0..60),
            events: if rng.bool() { rng.usize(1..40) } else { 0 },
            batch_records_max: [None, Some(1 + rng.usize(..4)), Some(1 + rng.usize(..20))][rng.usize(..3)],
            sqlite: rng.f64() < 0.2,
            unknowns,
            faults,
            limiter: limiters[rng.usize(..limiters.len())],
            latency: millis(rng, 3000),
            jitter: millis(rng, 1000),
            pace: Pace {
                start_delay: millis(rng, 8000),
                step: Duration::from_millis(1) + millis(rng, 2000),
                rows_per_step: 1 + rng.usize(..20),
            },
            usage_needs_subscription: rng.f64() < 0.3,
            fates,
            versions,
            rest: millis(rng, 90_000),
        }
    }

    /// Four exports with defects of every kind: refused by us, refused by the API, repeated, contradicting. Version 1
    /// has other content in about half of the rows.
    fn steps(&self, version: u8) -> Vec<Data> {
        let mut changed = Rng::with_seed(self.seed ^ 0xc4a6);
        let mut changes = move || if changed.bool() { version } else { 0 };
        let mut rng = Rng::with_seed(self.seed ^ 0xda7a);
        let rng = &mut rng;
        let mut customers = String::from("id,name,email\n");
        for i in 0..self.customers {
            let email = match rng.usize(..12) {
                0 => BAD_EMAIL.to_owned(),
                1 => "none".to_owned(),
                _ => format!("c{i}@example.com"),
            };
            let row = format!("cus-{i},Customer {i}.{},{email}\n", changes());
            customers.push_str(&row);
            match rng.usize(..15) {
                0 => customers.push_str(&row),
                1 => customers.push_str(&row.replace("Customer", "Another")),
                _ => {}
            }
        }
        let mut subscriptions = String::from("id,customer,plan,note\n");
        for i in 0..self.subscriptions {
            let plan = if rng.usize(..10) == 0 { "plan-unknown" } else { "plan-free" };
            // Some belong to customers that do not exist.
            let customer = rng.usize(..self.customers + 2);
            let _ = writeln!(subscriptions, "sub-{i},cus-{customer},{plan},{}.{}", rng.u8(..), changes());
        }
        let mut usage = String::from("customer,feature,value\n");
        for _ in 0..self.usage {
            let feature = ["feature-calls", "feature-calls", "feature-seats", "feature-unknown"]
                [if rng.usize(..15) == 0 { 3 } else { rng.usize(..3) }];
            let customer = rng.usize(..self.customers + 1);
            let _ = writeln!(usage, "cus-{customer},{feature},{}.{}", rng.u32(..1000), changes());
        }
        // What happened does not change: events are the same in both versions.
        let mut events = String::from("customer,region,number,at,bytes\n");
        for i in 0..self.events {
            let row = format!("cus-{},eu,{i},{},{i}\n", rng.usize(..self.customers + 1), 1_780_000_000 + i);
            events.push_str(&row);
            if rng.usize(..15) == 0 {
                events.push_str(&row);
            }
        }
        vec![
            Data::new("customers", data::CUSTOMERS, customers),
            Data::new("subscriptions", data::SUBSCRIPTIONS, subscriptions),
            Data::new("usage", data::USAGE, usage),
            Data::new("events", data::EVENTS, events),
        ]
    }

    fn settings(&self) -> Settings {
        let mut unknowns = Unknowns::default();
        for setting in &self.unknowns {
            unknowns.set(setting).expect("a choice");
        }
        let mut faults: Faults = "slow-ms=2000".parse().expect("a fault setting");
        for (kind, probability) in &self.faults {
            faults = faults.with(*kind, *probability);
        }
        Settings {
            unknowns,
            faults,
            limiter: self.limiter,
            latency: self.latency,
            latency_jitter: self.jitter,
            import_pace: self.pace,
            usage_needs_subscription: Some(self.usage_needs_subscription),
            seed: self.seed,
            ..settings()
        }
    }

    /// The end state of one run without trouble, and the keys of what the API refuses.
    async fn undisturbed(&self) -> (Snapshot, BTreeSet<String>) {
        let calm = Settings {
            faults: Faults::default(),
            latency: Duration::ZERO,
            latency_jitter: Duration::ZERO,
            ..self.settings()
        };
        let world = World::new(calm);
        let finished = world.run(&self.steps(0)).await;
        assert!(is_done(&finished), "an undisturbed run is done: {finished:#?}");
        (world.snapshot(), failed_keys(&finished))
    }

    async fn world(&self, folder: &Path) -> World {
        let mut world = match self.sqlite {
            true => World::over(self.settings(), sqlite(folder).await, true),
            false => World::new(self.settings()),
        };
        world.batch_records_max = self.batch_records_max;
        world
    }

    async fn check(&self, tally: &Tally) {
        let folder = in_memory();
        let (expected, refused) = self.undisturbed().await;
        let world = self.world(folder.path()).await;
        let steps = self.steps(0);
        let mut last = None;
        for number in 0..RUNS_MAX {
            let fate = self.fates.get(number).unwrap_or(&Fate::Lives);
            let version = self.versions.get(number).copied().unwrap_or(0);
            let finished = live(&world, &self.steps(version), fate).await;
            tally.run(fate, finished.as_ref());
            if let Some(finished) = finished
                && is_done(&finished)
                && self.versions[number.min(self.versions.len())..].iter().all(|version| *version == 0)
            {
                last = Some(finished);
                break;
            }
            if self.sqlite {
                let held = hold_time();
                world.ledger.close().await.expect("the ledger closes");
                drop(held);
                world.ledger.reopen(sqlite(folder.path()).await);
            }
            tokio::time::sleep(self.rest).await;
            if self.versions.get(number + 1).copied().unwrap_or(0) != version {
                // An import whose task was not noted before a kill can't be outlasted: the API gets time for it.
                tokio::time::sleep(Duration::from_secs(300)).await;
            }
        }
        let last = last.expect("it is done some day");
        // Nothing is lost, nothing is done twice: also when what a killed run began has ended.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let differ = differences(&world.snapshot(), &expected);
        assert!(differ.is_empty(), "not the state of one undisturbed run: {differ:#?}");
        assert_eq!(failed_keys(&last), refused, "only what the API refuses has failed");
        // An accepted record is not sent again.
        let again = loop {
            if let Some(again) = live(&world, &steps, &Fate::Lives).await {
                break again;
            }
        };
        for (step, before) in again.summary.steps.iter().zip(&last.summary.steps) {
            assert_eq!(step.unchanged, before.unchanged + before.accepted, "sent again: {step:#?} after {before:#?}");
            assert_eq!(step.accepted, 0, "{step:#?}");
        }
        // Nothing left outside of the budget.
        if !self.unknowns.iter().any(|setting| setting == "bulk-entity-limit=counted") {
            assert_eq!(world.rate_limited(), 0, "the API's own limiter refused a request");
        }
        let stats = world.sandbox.stats();
        tally.requests.fetch_add(stats.requests, Ordering::Relaxed);
        tally.faults.fetch_add(stats.faults.values().sum(), Ordering::Relaxed);
    }
}

/// Whether every step ran, and settled everything.
fn is_done(finished: &Finished) -> bool {
    finished.stopped.is_none() && finished.summary.steps.len() == 4 && finished.summary.total(|step| step.open) == 0
}

/// The records in which two states differ.
fn differences(was: &Snapshot, wanted: &Snapshot) -> Vec<String> {
    let [found, expected] = [was, wanted].map(|state| serde_json::to_value(state).expect("a snapshot is JSON"));
    let mut differ = Vec::new();
    for kind in ["customers", "subscriptions", "usage"] {
        let ids =
            |state: &serde_json::Value| state[kind].as_object().map(|all| all.keys().cloned().collect::<Vec<_>>());
        let ids: BTreeSet<String> = [&found, &expected].into_iter().flat_map(ids).flatten().collect();
        for id in ids {
            let (found, expected) = (&found[kind][&id], &expected[kind][&id]);
            if found != expected {
                differ.push(format!("{kind} {id} is {found}, not {expected}"));
            }
        }
    }
    let events = |state: &Snapshot| {
        let told =
            |event: &EventContent| format!("event {} counted {} times", event.key.idempotency_key, event.counted);
        state.events.iter().map(told).collect::<BTreeSet<_>>()
    };
    let (found, expected) = (events(was), events(wanted));
    differ.extend(found.symmetric_difference(&expected).cloned());
    differ
}

/// What was done to the cases, and survived.
#[derive(Default)]
struct Tally {
    cases: AtomicU64,
    runs: AtomicU64,
    kills: AtomicU64,
    interrupts: AtomicU64,
    requests: AtomicU64,
    faults: AtomicU64,
}

impl Tally {
    fn run(&self, fate: &Fate, finished: Option<&Finished>) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let hit = match (fate, finished) {
            (Fate::KilledAfterCalls(_) | Fate::KilledAfter(_), None) => &self.kills,
            (_, Some(finished)) if finished.stopped == Some(Stopped::Interrupted) => &self.interrupts,
            (Fate::Lives | Fate::InterruptedAfter(_) | Fate::InterruptedAtCall(_), None) | (_, Some(_)) => return,
        };
        hit.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether everything happened that is meant to happen.
    fn is_full(&self) -> bool {
        [&self.kills, &self.interrupts, &self.faults].iter().all(|count| count.load(Ordering::Relaxed) > 0)
    }

    fn told(&self) -> String {
        let counts = [
            (&self.cases, "schedules"),
            (&self.runs, "runs"),
            (&self.kills, "runs killed"),
            (&self.interrupts, "runs interrupted"),
            (&self.requests, "requests"),
            (&self.faults, "faults of the API"),
        ];
        let line = |(count, what): (&AtomicU64, &str)| format!("counted: {} {what}\n", count.load(Ordering::Relaxed));
        counts.map(line).concat()
    }
}

/// The keys of the records that the API refused.
fn failed_keys(finished: &Finished) -> BTreeSet<String> {
    let text = rejects_text(finished);
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line of JSON"));
    lines
        .filter(|line| line["kind"] == "failed")
        .map(|line| line["key"].as_str().unwrap_or_default().to_owned())
        .collect()
}

async fn sqlite(folder: &Path) -> Arc<dyn Ledger> {
    let held = hold_time();
    let path = folder.join("ledger.db");
    // Commits that wait for the disk are kept apart by the clock, which stands still while this ledger works.
    let ledger = SqliteLedger::open(&path, Access::Write, Durability::ProcessEnd, Arc::new(clock())).await;
    drop(held);
    Arc::new(ledger.expect("the ledger opens"))
}

/// One run; none where it was killed, or could not begin.
async fn live(world: &World, steps: &[Data], fate: &Fate) -> Option<Finished> {
    let job = world.job(steps).await;
    let stop = job.stop.clone();
    let forever = Duration::from_secs(1 << 30);
    let (kill, interrupt) = match fate {
        Fate::Lives => (forever, forever),
        Fate::KilledAfterCalls(calls) => {
            world.fuse.light(*calls);
            (forever, forever)
        }
        Fate::KilledAfter(time) => (*time, forever),
        Fate::InterruptedAfter(time) => (forever, *time),
        Fate::InterruptedAtCall(calls) => {
            world.fuse.interrupt_after(*calls);
            (forever, forever)
        }
    };
    let interrupting = async {
        tokio::select! {
            () = tokio::time::sleep(interrupt) => {}
            () = world.fuse.interrupted() => {}
        }
        stop.raise(Stopped::Interrupted);
        std::future::pending::<()>().await;
    };
    let finished = tokio::select! {
        biased;
        () = world.fuse.burnt() => None,
        () = tokio::time::sleep(kill) => None,
        () = interrupting => None,
        // A refused key or an outage at the start is nothing but a later start.
        finished = run(job) => finished.ok(),
    };
    world.fuse.put_out();
    let broken = world.wire.broken();
    assert!(broken.is_empty(), "{broken:#?}");
    if let Some(finished) = &finished {
        assert_eq!(finished.summary.unbalanced(), Vec::<&str>::new(), "{:#?}", finished.summary);
    }
    finished
}

fn replay(seed: u64) -> String {
    format!("\n\nreplay it with\n  STIGG_IMPORT_FAULT_SEED={seed} cargo test --test it faults:: -- --nocapture\n")
}

fn run_case(seed: u64, tally: &Tally) {
    let case = Case::of(seed);
    let checked = catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        // Whoever waits for what never comes waits until this is over: virtual time passes at once.
        let ended =
            runtime.expect("a runtime").block_on(async { tokio::time::timeout(VIRTUAL_MAX, case.check(tally)).await });
        assert!(ended.is_ok(), "no end after {VIRTUAL_MAX:?} of virtual time");
    }));
    assert!(checked.is_ok(), "a case failed, see above: {case:#?}{}", replay(seed));
    tally.cases.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn random_trouble_ends_where_an_undisturbed_run_ends() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let tally = Arc::new(Tally::default());
    if let Some(seed) = number("STIGG_IMPORT_FAULT_SEED") {
        run_case(seed, &tally);
        return eprint!("{}", tally.told());
    }
    let count = number("STIGG_IMPORT_FAULT_CASES").unwrap_or(CASES);
    let first = number("STIGG_IMPORT_FAULT_FIRST").unwrap_or_else(|| fastrand::u64(..1 << 40));
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let threads = number("STIGG_IMPORT_FAULT_THREADS").unwrap_or(cores);
    let counting = tally.clone();
    many::cases(first, count, threads, move |seed| run_case(seed, &counting), replay);
    eprint!("{}", tally.told());
    assert!(count < CASES || tally.is_full(), "{}", tally.told());
}

/// Not left to chance: each call of ledger and network is once the last one, and once the one at which somebody interrupts.
#[tokio::test(start_paused = true)]
async fn a_kill_and_an_interrupt_at_each_call_end_as_an_undisturbed_run() {
    let mut events = String::from("customer,region,number,at,bytes\n");
    (0..5).for_each(|i| writeln!(events, "cus-{i},eu,{i},{},{i}", 1_780_000_000 + i).expect("text"));
    let steps = [
        data::customers(5, &[1]),
        data::subscriptions(4, &[2]),
        data::usage(5, &[3]),
        Data::new("events", data::EVENTS, events),
    ];
    let world = || World::new(settings()).batches_of(2);
    let calm = world();
    let done = calm.run(&steps).await;
    let (expected, refused) = (calm.snapshot(), failed_keys(&done));
    for fate in [Fate::KilledAfterCalls, Fate::InterruptedAtCall] {
        let mut calls = 0;
        let calls = loop {
            calls += 1;
            let (world, fate) = (world(), fate(calls));
            let mut last = live(&world, &steps, &fate).await.filter(is_done);
            if last.is_some() {
                break calls;
            }
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(60)).await;
                last = live(&world, &steps, &Fate::Lives).await.filter(is_done);
                if last.is_some() {
                    break;
                }
            }
            let last = last.unwrap_or_else(|| panic!("{fate:?}: it is done some day"));
            let differ = differences(&world.snapshot(), &expected);
            assert!(differ.is_empty(), "{fate:?}: {differ:#?}");
            assert_eq!(failed_keys(&last), refused, "{fate:?}");
            assert_eq!(world.rate_limited(), 0, "{fate:?}");
        };
        eprintln!("counted: {} calls at which a run was killed or interrupted", calls - 1);
        assert!(calls > 30, "after {calls} calls nothing came of it");
    }
}
