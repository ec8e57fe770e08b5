//! Raw events: each counts once, whatever happens to its request.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use stigg_import::batch::Outcome;
use stigg_import::clock::FixedClock;
use stigg_import::entity::Entity;
use stigg_import::ledger::{Ledger, Scope};
use stigg_import::pipeline::RESEND_EVENTS_WITHIN;
use stigg_import::sandbox::{Fault, FaultKind, Faults, Settings, UsageBatch};

use super::data::{self, Data};
use super::world::{NOW, World, accounts, rejects_text, settings};

/// `n` events of two customers; those in `bad` are of one that does not exist.
fn events(n: usize, bad: &[usize]) -> Data {
    let mut csv = String::from("customer,region,number,at,bytes\n");
    for i in 0..n {
        let customer = if bad.contains(&i) { "nobody".to_owned() } else { format!("cus-{}", i % 2) };
        let _ = writeln!(csv, "{customer},eu,{i},{},{i}", 1_780_000_000 + i);
    }
    Data::new("events", data::EVENTS, csv)
}

/// A world with two customers.
async fn world(settings: Settings) -> World {
    let world = World::new(settings);
    world.run(&[data::customers(2, &[])]).await;
    world
}

/// How often each event was counted, by its number; `n` of them.
fn counted(world: &World) -> Vec<(usize, u32)> {
    let number = |key: &str| key.split('/').next_back().expect("a number").parse().expect("a number");
    let mut counted: Vec<(usize, u32)> =
        world.snapshot().events.iter().map(|event| (number(&event.key.idempotency_key), event.counted)).collect();
    counted.sort_unstable();
    counted
}

/// How many random worlds; `STIGG_IMPORT_FAULT_CASES` asks for more.
fn seeds() -> u64 {
    std::env::var("STIGG_IMPORT_FAULT_CASES").ok().map_or(60, |text| text.parse().expect("a number"))
}

fn once(n: usize) -> Vec<(usize, u32)> {
    (0..n).map(|i| (i, 1)).collect()
}

#[tokio::test(start_paused = true)]
async fn events_go_out_a_thousand_a_second_and_arrive_once() {
    // Given: an API that takes 1000 events in any second.
    let world = world(settings()).await;
    // When
    let finished = world.run(&[events(3500, &[])]).await;
    // Then: four requests, a second apart, none refused.
    assert_eq!(accounts(&finished), [[3500, 0, 0, 0, 3500, 0, 0]]);
    assert_eq!((world.arrived("reportEvent"), world.rate_limited()), (4, 0));
    assert!((3.03..3.1).contains(&finished.summary.steps[0].duration_s), "{}", finished.summary.steps[0].duration_s);
    assert_eq!(counted(&world), once(3500));
    assert_eq!(world.snapshot().events[0].dimensions, Some(serde_json::json!({ "bytes": 0, "region": "eu" })));
    // And a second run sends nothing.
    let again = world.run(&[events(3500, &[])]).await;
    assert_eq!(accounts(&again), [[3500, 0, 0, 3500, 0, 0, 0]]);
    assert_eq!(world.arrived("reportEvent"), 4);
}

#[tokio::test(start_paused = true)]
async fn lost_answers_are_resent_and_count_once() {
    for kind in [FaultKind::LostAnswer, FaultKind::ServerErrorAfter, FaultKind::SilentAfter, FaultKind::Truncated] {
        let world = world(settings()).await;
        world.sandbox.inject(Fault::once(kind).on("reportEvent"));
        let finished = world.run(&[events(10, &[])]).await;
        assert_eq!(accounts(&finished), [[10, 0, 0, 0, 10, 0, 0]], "{kind:?}");
        assert_eq!(world.arrived("reportEvent"), 2);
        assert_eq!(counted(&world), once(10), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_unknown_customers_are_found_and_the_others_count_once() {
    for batch in [UsageBatch::AllOrNothing, UsageBatch::BeforeBadKept, UsageBatch::GoodKept] {
        let mut settings = settings();
        settings.unknowns.usage_batch = batch;
        let world = world(settings).await;
        let finished = world.run(&[events(100, &[3, 70])]).await;
        assert_eq!(accounts(&finished), [[100, 0, 0, 0, 98, 2, 0]], "{batch:?}");
        assert_eq!(rejects_text(&finished).matches("CustomerNotFound").count(), 2);
        assert_eq!(counted(&world).iter().map(|(_, times)| times).sum::<u32>(), 98, "{batch:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_with_other_content_than_before_is_a_reject_and_not_sent() {
    let world = world(settings()).await;
    world.run(&[events(3, &[])]).await;
    let changed = events(3, &[]).replace(",eu,1,1780000001,1", ",eu,1,1780000001,99");
    let finished = world.run(&[changed]).await;
    assert_eq!(accounts(&finished), [[3, 0, 1, 2, 0, 0, 0]]);
    assert!(rejects_text(&finished).contains("keeps an event as it came first"));
    assert_eq!(world.arrived("reportEvent"), 1);
}

/// A world in which ten events arrived and no answer came, and where the API forgets after a day.
async fn unanswered() -> World {
    let mut settings = settings();
    settings.unknowns.set("event-repeats=for-a-day").expect("a choice");
    let world = world(settings).await;
    // Burnt between the work and the answer: one call of the ledger, one of the wire.
    for calls in 1.. {
        world.fuse.light(calls);
        let job = world.job(&[events(10, &[])]).await;
        let ended = tokio::select! {
            biased;
            () = world.fuse.burnt() => None,
            ended = world.finish(job) => Some(ended.map(|_| ())),
        };
        assert!(ended.is_none(), "killed before the end");
        tokio::time::sleep(Duration::from_secs(1)).await;
        if !world.snapshot().events.is_empty() {
            break;
        }
    }
    world.fuse.put_out();
    world
}

async fn scope(world: &World) -> Scope {
    let scopes = world.ledger.scopes().await.expect("scopes");
    scopes.into_iter().find(|scope| scope.entity == Entity::Event).expect("events were sent")
}

fn later(by: jiff::SignedDuration) -> Arc<FixedClock> {
    Arc::new(FixedClock::at(NOW.parse::<jiff::Timestamp>().expect("a time") + by))
}

#[tokio::test(start_paused = true)]
async fn unanswered_events_are_sent_again_within_twelve_hours() {
    let world = unanswered().await;
    let mut job = world.job(&[events(12, &[])]).await;
    job.clock = later(RESEND_EVENTS_WITHIN - jiff::SignedDuration::from_millis(1));
    let finished = world.finish(job).await.expect("it begins");
    assert_eq!(accounts(&finished), [[12, 0, 0, 0, 12, 0, 0]]);
    assert_eq!(counted(&world), once(12));
}

#[tokio::test(start_paused = true)]
async fn unanswered_events_are_held_after_twelve_hours_and_settled_by_a_word() {
    // Given: two days have passed, and the API would count a repeat again.
    let world = unanswered().await;
    tokio::time::sleep(Duration::from_secs(2 * 86_400)).await;
    let run = async || {
        let mut job = world.job(&[events(12, &[])]).await;
        job.clock = later(jiff::SignedDuration::from_hours(48));
        world.finish(job).await.expect("it begins")
    };
    // When, then: only the two new ones are sent, the others stay open, run after run.
    assert_eq!(accounts(&run().await), [[12, 0, 0, 0, 2, 0, 10]]);
    assert_eq!(accounts(&run().await), [[12, 0, 0, 2, 0, 0, 10]]);
    assert_eq!(world.heard.count("Held { records: 10 }"), 2);
    assert_eq!(counted(&world), once(12));
    // And gone from the source they stay open: nobody forgets them by the way.
    let mut job = world.job(&[events(0, &[])]).await;
    job.clock = later(jiff::SignedDuration::from_hours(48));
    world.finish(job).await.expect("it begins");
    let scope = scope(&world).await;
    let open = world.ledger.open_batches(&scope).await.expect("open batches");
    let keys: BTreeSet<&str> = open.iter().flat_map(|batch| &batch.items).map(|item| item.key.as_str()).collect();
    assert_eq!(keys.len(), 10);
    // When a person says that they were delivered, then nothing is open, and nothing is sent.
    for batch in &open {
        world.ledger.settle(batch.id, &batch.outcomes(|_| Outcome::Accepted)).await.expect("settled");
    }
    assert_eq!(accounts(&run().await), [[12, 0, 0, 12, 0, 0, 0]]);
    assert_eq!(counted(&world), once(12));
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_no_event_is_lost_and_none_counts_twice() {
    for seed in 0..seeds() {
        // Given: an API with random faults that forgets repeats after a day, and runs that are killed.
        let mut rng = Rng::with_seed(seed);
        let mut faults: Faults = "slow-ms=2000".parse().expect("a fault setting");
        for kind in FaultKind::ALL {
            if kind != FaultKind::Unauthenticated && rng.bool() {
                faults = faults.with(kind, rng.f64() * 0.15);
            }
        }
        let mut settings = Settings { faults, seed, ..settings() };
        settings.unknowns.set("event-repeats=for-a-day").expect("a choice");
        let n = rng.usize(1..300);
        let world = World::new(settings).batches_of(rng.usize(1..100));
        let steps = [data::customers(2, &[]), events(n, &[])];
        // When
        let mut done = false;
        for _ in 0..30 {
            world.fuse.light(if rng.bool() { rng.i64(1..60) } else { i64::MAX });
            let job = world.job(&steps).await;
            let finished = tokio::select! {
                biased;
                () = world.fuse.burnt() => None,
                finished = world.finish(job) => finished.ok(),
            };
            done = finished.is_some_and(|finished| {
                finished.stopped.is_none()
                    && finished.summary.steps.len() == 2
                    && finished.summary.total(|step| step.open) == 0
            });
            if done {
                break;
            }
            tokio::time::sleep(Duration::from_secs(rng.u64(0..600))).await;
        }
        // Then
        assert!(done, "seed {seed}: it is done some day");
        assert_eq!(counted(&world), once(n), "seed {seed}");
    }
}
