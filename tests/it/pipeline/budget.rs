//! How much of the budget a whole run uses, at limiters of every kind and at every latency: real budgets, concurrency,
//! delivery and requests, in virtual time.

use std::fmt::Write as _;
use std::time::Duration;

use stigg_import::pipeline::StepSummary;
use stigg_import::sandbox::{LimiterKind, Settings, Snapshot};
use stigg_import::sink::BudgetSettings;

use super::data;
use super::world::{World, settings};

/// The published limit of usage, requests a minute.
const PER_MINUTE: f64 = 600.0;

const LIMITERS: [LimiterKind; 6] = [
    LimiterKind::FixedWindow,
    LimiterKind::SlidingLog,
    LimiterKind::SlidingCounter,
    LimiterKind::TokenBucket { capacity: 600 },
    LimiterKind::TokenBucket { capacity: 60 },
    LimiterKind::TokenBucket { capacity: 10 },
];

/// An API that has `n` customers, answers after `latency` with jitter on both ways, and takes the published limits
/// times `scale`. Every request has one record.
fn world(n: usize, limiter: LimiterKind, latency: Duration, scale: f64) -> World {
    let half = latency / 2;
    // The way back takes half to one and a half of its mean, as the way there does.
    let settings = Settings { limiter, latency: half / 2, latency_jitter: half, rate_scale: Some(scale), ..settings() };
    let mut world = World::new(settings).batches_of(1);
    world.rates = BudgetSettings::default().scale(scale);
    world.wire.stretch(half);
    let mut customers = String::from(r#"{"customers": {"#);
    for i in 0..n {
        let _ = write!(customers, r#"{}"cus-{i}": {{"name": "x"}}"#, if i == 0 { "" } else { "," });
    }
    customers.push_str("}}");
    let customers: Snapshot = serde_json::from_str(&customers).expect("a snapshot");
    world.sandbox.load(&customers);
    world
}

/// How early a permit may be given, in seconds: where the one before came late, and as far as what was asked before the first is
/// made up for.
const EARLY_S: f64 = 0.005 + 0.25;

/// A run of `n` requests that all pass; and the seconds between the first and the last that left.
async fn deliver(world: &World, n: usize) -> (StepSummary, f64) {
    let finished = world.run(&[data::usage(n, &[])]).await;
    let step = finished.summary.steps[0].clone();
    assert_eq!((step.accepted, step.requests, step.throttled, world.rate_limited()), (n as u64, n as u64, 0, 0));
    let posted = world.wire.posted();
    let mut reports = posted.iter().filter(|posted| posted.operation == "ReportUsageBulk");
    let first = reports.next().expect("a report").at;
    let last = reports.next_back().expect("another").at;
    (step, (last - first).as_secs_f64())
}

#[tokio::test(start_paused = true)]
async fn whole_runs_use_the_budget_at_any_limiter_and_latency_and_are_never_refused() {
    const REQUESTS: usize = 1500;
    for limiter in LIMITERS {
        for latency_ms in [20, 120, 500] {
            let world = world(REQUESTS, limiter, Duration::from_millis(latency_ms), 1.0);
            // When: two and a half minutes' worth.
            let (step, seconds) = deliver(&world, REQUESTS).await;
            // Then: every request left at the moment that its permit was due, the first a little late at most.
            let due = (REQUESTS - 1) as f64 * 60.0 / (PER_MINUTE * 0.99);
            let on_time = due - EARLY_S..due + 0.001;
            assert!(on_time.contains(&seconds), "{limiter:?} at {latency_ms} ms: {seconds} s, due {due} s");
            let share = step.budget_share.expect("a rate");
            assert!(share >= 0.985, "{limiter:?} at {latency_ms} ms: {share} with the last answer");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_second_of_latency_costs_a_short_fast_job_nothing() {
    // Given: a hundred requests a second for half a minute.
    const REQUESTS: usize = 3000;
    let mut took = Vec::new();
    for latency_ms in [20, 50, 120, 500] {
        let world = world(REQUESTS, LimiterKind::SlidingLog, Duration::from_millis(latency_ms), 10.0);
        took.push(deliver(&world, REQUESTS).await.1);
    }
    // Then: it starts with more slots than it needs at any of them.
    let due = (REQUESTS - 1) as f64 / 99.0;
    for seconds in &took {
        assert!((due - EARLY_S..due + 0.001).contains(seconds), "{took:?}, due {due} s");
    }
}

#[tokio::test(start_paused = true)]
async fn latency_of_seconds_costs_a_short_job_a_few_rounds() {
    // Given: 64 slots at the start where 198 are needed.
    const REQUESTS: usize = 3000;
    let world = world(REQUESTS, LimiterKind::SlidingLog, Duration::from_secs(2), 10.0);
    // When
    let (_, seconds) = deliver(&world, REQUESTS).await;
    // Then: 30.3 s at the pace, and what two rounds lack: (198 - 64 + 198 - 128) / 99 s.
    let due = (REQUESTS - 1) as f64 / 99.0;
    assert!((due + 2.0..due + 4.0).contains(&seconds), "{seconds} s, due {due} s");
}

#[tokio::test(start_paused = true)]
async fn customers_and_subscriptions_have_budgets_of_their_own() {
    // When: the budget of customers is in use to the step's end.
    let world = World::new(settings()).batches_of(1);
    world.run(&[data::customers(20, &[]), data::subscriptions(20, &[])]).await;
    // Then: the first subscription does not wait for a permit of theirs.
    let posted = world.wire.posted();
    let of = |operation: &str| -> Vec<_> {
        posted.iter().filter(|posted| posted.operation == operation).map(|posted| posted.at).collect()
    };
    let (customers, subscriptions) = (of("ImportCustomerBulk"), of("ImportSubscriptionsBulk"));
    assert_eq!((customers.len(), subscriptions.len()), (20, 20));
    assert_eq!(subscriptions[0], customers[19]);
    // And each keeps its pace.
    let due = 19.0 * 60.0 / (250.0 * 0.99);
    for sent in [customers, subscriptions] {
        let took = (sent[19] - sent[0]).as_secs_f64();
        assert!((due - EARLY_S..due + 0.001).contains(&took), "{took} s, due {due} s");
    }
}
