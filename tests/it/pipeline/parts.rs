//! Several workers that share the work, a ledger and a rate.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use stigg_import::ledger::{MemoryLedger, Part};
use stigg_import::pacer::{InProcess, SharedRate};
use stigg_import::pipeline::{Finished, Job, run};
use stigg_import::sandbox::{LimiterKind, Settings};

use super::data::{self, Data};
use super::world::{World, clock, rejects_text, settings};

const CUSTOMERS: usize = 600;

/// Customers, of which some have no e-mail address that holds, and what belongs to them.
fn steps(version: u32) -> Vec<Data> {
    let (mut customers, mut subscriptions, mut usage) = (
        String::from("id,name,email\n"),
        String::from("id,customer,plan,note\n"),
        String::from("customer,feature,value\n"),
    );
    for id in 0..CUSTOMERS {
        let email = if id % 50 == 7 { "none" } else { "c@example.com" };
        let _ = writeln!(customers, "cus-{id},Customer {id}.{version},{email}");
        if id % 50 != 7 {
            let _ = writeln!(subscriptions, "sub-of-{id},cus-{id},plan-free,{version}");
            let _ = writeln!(usage, "cus-{id},feature-calls,{version}{id}\ncus-{id},feature-seats,{id}");
        }
    }
    vec![
        Data::new("customers", data::CUSTOMERS, customers),
        Data::new("subscriptions", data::SUBSCRIPTIONS, subscriptions),
        Data::new("usage", data::USAGE, usage),
    ]
}

const REJECTED: u64 = CUSTOMERS as u64 / 50;
/// Customers, a subscription and two usage records of each.
const ACCEPTED: u64 = (CUSTOMERS as u64 - REJECTED) * 4;

/// An API, and workers over one ledger and one rate.
struct Fleet {
    first: World,
    ledger: MemoryLedger,
    rate: InProcess,
}

impl Fleet {
    fn new() -> Self {
        let ledger = MemoryLedger::new(Arc::new(clock()));
        let settings = Settings {
            limiter: LimiterKind::SlidingLog,
            latency: Duration::from_millis(150),
            latency_jitter: Duration::from_millis(50),
            ..settings()
        };
        let first = World::over(settings, Arc::new(ledger.clone()), false).batches_of(10);
        Self { first, ledger, rate: InProcess::default() }
    }

    /// One worker's run; none where it dies after so many calls.
    async fn work(&self, part: Part, version: u32, calls_before_death: Option<i64>) -> Option<Finished> {
        let mut world = self.first.beside(Arc::new(self.ledger.clone()));
        let rate = SharedRate { from: Arc::new(self.rate.clone()), name: "https://api.example".to_owned() };
        world.rates = world.rates.clone().shared(rate);
        if let Some(calls) = calls_before_death {
            world.fuse.light(calls);
        }
        let job = Job { part, ..world.job(&steps(version)).await };
        let finished = tokio::select! {
            biased;
            () = world.fuse.burnt() => None,
            finished = run(job) => Some(finished.expect("it begins")),
        };
        assert_eq!(world.wire.broken(), Vec::<String>::new());
        if let Some(finished) = &finished {
            assert_eq!(finished.summary.unbalanced(), Vec::<&str>::new(), "{:#?}", finished.summary);
            assert_eq!(finished.summary.total(|step| step.failed + step.open), 0, "{:#?}", finished.summary);
            let records = rejects_text(finished).lines().filter(|line| line.contains("\"rejected\"")).count() as u64;
            assert_eq!(records, finished.summary.total(|step| step.rejected));
        }
        finished
    }

    /// All workers of `count` at once.
    async fn work_all(&self, count: u32, version: u32) -> Vec<Finished> {
        let parts = (0..count).map(|index| self.work(Part { index, count }, version, None));
        join_all(parts).await.into_iter().map(|finished| finished.expect("none dies")).collect()
    }

    #[track_caller]
    fn has_all(&self, version: u32) {
        let snapshot = self.first.snapshot();
        assert_eq!(snapshot.customers.len() as u64, CUSTOMERS as u64 - REJECTED);
        assert_eq!(snapshot.subscriptions.len(), snapshot.customers.len());
        let of = |id: &str| snapshot.usage[id]["feature-calls"][""];
        assert_eq!(of("cus-12"), format!("{version}12").parse::<f64>().expect("a number"));
        assert_eq!(self.first.rate_limited(), 0, "the API's own limiter refused a request");
    }

    fn most_applied(&self) -> u64 {
        self.first.sandbox.stats().keys.values().map(|key| u64::from(key.applied)).max().unwrap_or_default()
    }
}

fn total(finished: &[Finished], count: impl Fn(&stigg_import::pipeline::StepSummary) -> u64 + Copy) -> u64 {
    finished.iter().map(|finished| finished.summary.total(count)).sum()
}

#[tokio::test(start_paused = true)]
async fn workers_share_the_records_and_each_is_accepted_once() {
    let fleet = Fleet::new();
    let finished = fleet.work_all(4, 1).await;
    fleet.has_all(1);
    assert_eq!(total(&finished, |step| step.accepted), ACCEPTED);
    assert_eq!(total(&finished, |step| step.rejected), REJECTED, "what does not fit is one worker's, too");
    assert_eq!(fleet.most_applied(), 1);
    for worker in &finished {
        let share = worker.summary.total(|step| step.accepted) as f64 / ACCEPTED as f64;
        assert!((0.15..0.35).contains(&share), "{share} of the records for one of four");
    }
    // The next night each sends only what has changed of its own.
    let finished = fleet.work_all(4, 1).await;
    assert_eq!(total(&finished, |step| step.accepted), 0);
    assert_eq!(total(&finished, |step| step.unchanged), ACCEPTED);
    // And another number of workers finds the same.
    let finished = fleet.work_all(3, 1).await;
    assert_eq!(total(&finished, |step| step.accepted), 0);
    let finished = fleet.work_all(1, 2).await;
    assert_eq!(total(&finished, |step| step.accepted), ACCEPTED - (CUSTOMERS as u64 - REJECTED), "seats are the same");
    fleet.has_all(2);
}

#[tokio::test(start_paused = true)]
async fn workers_that_die_half_way_are_replaced_by_others_that_finish() {
    for calls in [5, 23, 61, 97, 140] {
        let fleet = Fleet::new();
        let part = |index| Part { index, count: 4 };
        let (one, two, dead, too) = tokio::join!(
            fleet.work(part(0), 1, None),
            fleet.work(part(1), 1, None),
            fleet.work(part(2), 1, Some(calls)),
            fleet.work(part(3), 1, Some(calls + 7)),
        );
        assert!(dead.is_none() && too.is_none(), "they were to die");
        let (three, four) = tokio::join!(fleet.work(part(2), 1, None), fleet.work(part(3), 1, None));
        fleet.has_all(1);
        let finished: Vec<Finished> = [one, two, three, four].into_iter().flatten().collect();
        let sum = total(&finished, |step| step.accepted + step.unchanged);
        // What was settled before a death is counted as unchanged by who came after.
        assert_eq!(sum, ACCEPTED, "after {calls} calls");
        assert_eq!(total(&finished, |step| step.rejected), REJECTED);
        // A subscription has twice where the one that died had sent it; never more.
        assert!(fleet.most_applied() <= 2, "{}", fleet.most_applied());
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_left_open_is_settled_by_another_number_of_workers() {
    for (calls, count) in [(31, 1), (31, 3), (88, 2), (123, 5)] {
        let fleet = Fleet::new();
        for index in 0..4 {
            assert!(fleet.work(Part { index, count: 4 }, 1, Some(calls)).await.is_none());
        }
        // When: everything has other content meanwhile, and the division is another.
        fleet.work_all(count, 2).await;
        // Then
        fleet.has_all(2);
        let scopes = stigg_import::ledger::Ledger::scopes(&fleet.ledger).await.expect("scopes");
        for scope in scopes {
            let open = stigg_import::ledger::Ledger::open_batches(&fleet.ledger, &scope).await.expect("batches");
            assert_eq!(open, [], "after {calls} calls, {count} workers");
        }
        let finished = fleet.work_all(2, 2).await;
        assert_eq!(total(&finished, |step| step.accepted), 0, "nothing is sent again");
    }
}
