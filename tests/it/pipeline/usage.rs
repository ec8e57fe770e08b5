//! Usage: refused batches, unknown customers, and subscriptions that are not there yet.

use std::fmt::Write as _;
use std::time::Duration;

use stigg_import::pipeline::{Finished, Stopped};
use stigg_import::sandbox::{Settings, Snapshot, UsageBatch};

use super::data::{self, Data};
use super::world::{World, accounts, rejects_text, settings};

const REPORT: &str = "ReportUsageBulk";

/// A world that has these many customers.
async fn with_customers(settings: Settings, n: usize) -> World {
    let world = World::new(settings);
    world.run(&[data::customers(n, &[])]).await;
    world
}

#[tokio::test(start_paused = true)]
async fn unknown_customers_are_read_back_and_the_others_get_through() {
    for batch in [UsageBatch::AllOrNothing, UsageBatch::BeforeBadKept, UsageBatch::GoodKept] {
        // Given: 250 records in three requests; three are of customers that do not exist.
        let mut settings = settings();
        settings.unknowns.usage_batch = batch;
        let world = with_customers(settings, 250).await;
        // When
        let finished = world.run(&[data::usage(250, &[5, 17, 150])]).await;
        // Then: two requests are refused; one read each finds all the unknown ones, one request each sends the rest.
        assert_eq!(accounts(&finished), [[250, 0, 0, 0, 247, 3, 0]], "{batch:?}");
        assert_eq!((world.wire.count(REPORT), world.wire.count("Customers")), (5, 2), "{batch:?}");
        let snapshot = world.snapshot();
        assert_eq!(snapshot.usage.len(), 247);
        assert_eq!(snapshot.usage["cus-249"]["feature-calls"][""], 2491.0);
        let rejects = rejects_text(&finished);
        assert_eq!(rejects.matches("CustomerNotFound").count(), 3, "{rejects}");
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_feature_is_found_by_its_name() {
    for batch in [UsageBatch::AllOrNothing, UsageBatch::BeforeBadKept, UsageBatch::GoodKept] {
        let mut settings = settings();
        settings.unknowns.usage_batch = batch;
        let world = with_customers(settings, 64).await;
        let usage = data::usage(64, &[]).replace("cus-40,feature-calls,", "cus-40,feature-none,");
        let finished = world.run(&[usage]).await;
        assert_eq!(accounts(&finished), [[64, 0, 0, 0, 63, 1, 0]], "{batch:?}");
        assert_eq!(world.wire.count(REPORT), 3, "all, all but the named one, the named one");
        assert!(rejects_text(&finished).contains("Feature feature-none not found"));
    }
}

#[tokio::test(start_paused = true)]
async fn usage_of_a_subscription_that_is_not_there_yet_is_sent_once_more() {
    // Given: customers without subscriptions, which come just after the first report was refused.
    let world = with_customers(Settings { usage_needs_subscription: Some(true), ..settings() }, 3).await;
    let mut later: Snapshot = world.snapshot();
    let row: serde_json::Value = serde_json::json!({
        "customers": later.customers.clone(),
        "subscriptions": {
            "sub-0": {"customerId": "cus-0", "planId": "plan-free", "pricingType": "FREE"},
            "sub-1": {"customerId": "cus-1", "planId": "plan-free", "pricingType": "FREE"},
            "sub-2": {"customerId": "cus-2", "planId": "plan-free", "pricingType": "FREE"},
        },
    });
    later = serde_json::from_value(row).expect("a snapshot");
    let (sandbox, wire) = (world.sandbox.clone(), world.wire.clone());
    tokio::spawn(async move {
        while wire.count(REPORT) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // The request is under way when it is counted; the answer comes at once.
        tokio::time::sleep(Duration::from_millis(10)).await;
        sandbox.load(&later);
    });
    // When
    let finished = world.run(&[data::usage(3, &[])]).await;
    // Then
    assert_eq!(accounts(&finished), [[3, 0, 0, 0, 3, 0, 0]]);
    assert_eq!(world.wire.count(REPORT), 2);
}

#[tokio::test(start_paused = true)]
async fn usage_without_a_subscription_fails_without_long_waiting() {
    // Given: sixteen customers, none with a subscription.
    let world = with_customers(Settings { usage_needs_subscription: Some(true), ..settings() }, 16).await;
    // When
    let finished = world.run(&[data::usage(16, &[])]).await;
    // Then: the batch waits once, not each part of it.
    assert_eq!(accounts(&finished), [[16, 0, 0, 0, 0, 16, 0]]);
    assert!(finished.summary.steps[0].duration_s < 10.0, "{} s", finished.summary.steps[0].duration_s);
    assert_eq!(rejects_text(&finished).matches("NoActiveSubscriptionForCustomer").count(), 16);
}

#[tokio::test(start_paused = true)]
async fn totals_are_sent_once_and_exact() {
    const TOTALS: &str = "entity = \"usage\"\naggregate = \"sum\"\n[fields]\ncustomerId = \"customer\"\nfeatureId = \"feature\"\nvalue = \"value\"\n";
    let world = with_customers(settings(), 4).await;
    let mut csv = String::from("customer,feature,value\n");
    for n in 0..400 {
        csv.push_str(&format!("cus-{},feature-calls,0.1\n", n % 4));
    }
    let steps = [Data::new("usage", TOTALS, csv)];
    let finished = world.run(&steps).await;
    assert_eq!(accounts(&finished), [[4, 0, 0, 0, 4, 0, 0]]);
    assert_eq!(world.snapshot().usage["cus-3"]["feature-calls"][""], 10.0);
    assert_eq!(accounts(&world.run(&steps).await), [[4, 0, 0, 4, 0, 0, 0]]);
}

/// Runs a step while no settlement comes to its end; returns how many requests were sent until then, and how the run ended.
async fn run_unsettled(world: &World, data: Data) -> (usize, Finished) {
    world.ledger.hold_settlements(true);
    let job = world.job(&[data]).await;
    let look = async {
        let (mut before, mut sent) = (usize::MAX, 0);
        while before != sent {
            tokio::time::sleep(Duration::from_secs(60)).await;
            (before, sent) = (sent, world.wire.count(REPORT));
        }
        world.ledger.hold_settlements(false);
        sent
    };
    let (sent, finished) = tokio::join!(look, world.finish(job));
    (sent, finished.expect("the run begins"))
}

/// Given settlements that do not come, when there is more than may wait for its answer, then all of it is sent: what has its answer
/// holds nothing.
#[tokio::test(start_paused = true)]
async fn what_has_its_answer_does_not_keep_others_waiting_until_it_is_settled() {
    let world = with_customers(settings(), 400).await.batches_of(4);
    let mapping = format!("{}dimensions.note = \"note\"\n", data::USAGE);
    let mut csv = String::from("customer,feature,value,note\n");
    for number in 0..400 {
        let _ = writeln!(csv, "cus-{number},feature-calls,{number},{}", "n".repeat(20_000));
    }
    // When: 8 MB in 100 requests.
    let (sent, finished) = run_unsettled(&world, Data::new("usage", &mapping, csv)).await;
    // Then
    assert_eq!((sent, accounts(&finished)), (100, vec![[400, 0, 0, 0, 400, 0, 0]]));
}

#[tokio::test(start_paused = true)]
async fn no_more_than_320_batches_are_unsettled() {
    let world = with_customers(settings(), 700).await.batches_of(2);
    let (sent, finished) = run_unsettled(&world, data::usage(700, &[])).await;
    assert_eq!((sent, accounts(&finished)), (320, vec![[700, 0, 0, 0, 700, 0, 0]]));
    assert_eq!(world.wire.count(REPORT), 350);
}

/// Given a disk that is full when a batch is to be settled that holds nothing any more, then its records are open, and are sent again.
#[tokio::test(start_paused = true)]
async fn usage_whose_outcome_can_not_be_settled_stays_open() {
    let world = with_customers(settings(), 20).await.batches_of(5);
    world.ledger.fail_settle_after(1);
    let usage = data::usage(20, &[]);
    let finished = world.run(std::slice::from_ref(&usage)).await;
    assert!(matches!(finished.stopped, Some(Stopped::LedgerCannotWrite(_))));
    let step = &finished.summary.steps[0];
    assert_eq!((step.accepted, step.open), (5, step.records - 5), "{:?}", accounts(&finished));
    world.ledger.fail_settle_after(u32::MAX);
    assert_eq!(accounts(&world.run(&[usage]).await), [[20, 0, 0, 5, 15, 0, 0]]);
}
