//! A batch of customers, whatever happens to its request.

use std::error::Error as _;
use std::time::Duration;

use stigg_import::sandbox::{
    CustomerBatch, CustomerError, Fault, FaultKind, RateLimitStatus, RetryHeader, Settings, Snapshot,
};

use super::data::{self, Data};
use super::world::{World, account, accounts, rejects_text, settings};

const IMPORT: &str = "importCustomersBulk";

/// What a world without trouble ends in.
async fn undisturbed(steps: &[Data]) -> Snapshot {
    let world = World::new(settings());
    world.run(steps).await;
    world.snapshot()
}

#[tokio::test(start_paused = true)]
async fn lost_answer_is_resent_and_applied_once() {
    // Given: the answer to the first request is lost, its work done.
    let world = World::new(settings());
    world.sandbox.inject(Fault::once(FaultKind::LostAnswer).on(IMPORT));
    // When
    let steps = [data::customers(10, &[])];
    let finished = world.run(&steps).await;
    // Then: one resend, and the state of one delivery.
    assert_eq!(accounts(&finished), [[10, 0, 0, 0, 10, 0, 0]]);
    let step = &finished.summary.steps[0];
    assert_eq!((step.requests, step.retries, step.throttled, step.batches), (2, 1, 0, 1));
    assert_eq!(world.arrived(IMPORT), 2);
    let key = world.sandbox.stats().keys["customer:cus-0"];
    assert_eq!((key.applied, key.changed), (2, 0), "the second time changed nothing");
    assert_eq!(world.snapshot(), undisturbed(&steps).await);
}

#[tokio::test(start_paused = true)]
async fn a_proxys_page_in_the_place_of_an_answer_is_taken_for_no_answer() {
    // Given: for a while somebody's page comes back, with the work done behind it.
    let world = World::new(settings());
    let steps = [data::customers(10, &[])];
    world.wire.replace_answers(2, "ImportCustomerBulk");
    // When
    let finished = world.run(&steps).await;
    // Then
    assert_eq!(accounts(&finished), [[10, 0, 0, 0, 10, 0, 0]]);
    assert_eq!(finished.summary.steps[0].retries, 2);
    assert_eq!(world.snapshot(), undisturbed(&steps).await);

    // Given: the page stays.
    let world = World::new(settings());
    world.wire.replace_answers(usize::MAX, "ImportCustomerBulk");
    let finished = world.run(&steps).await;
    // Then: nothing counts as accepted, and the next run settles it.
    assert_eq!(accounts(&finished), [[10, 0, 0, 0, 0, 0, 10]]);
    assert_eq!(world.heard.count("LeftOpen"), 1, "{:?}", world.heard.all());
    world.wire.replace_answers(0, "");
    let finished = world.run(&steps).await;
    assert_eq!(accounts(&finished), [[10, 0, 0, 0, 10, 0, 0]]);
    assert_eq!(world.snapshot(), undisturbed(&steps).await);
}

#[tokio::test(start_paused = true)]
async fn a_page_in_the_place_of_the_first_answer_is_not_the_api() {
    let world = World::new(settings());
    world.wire.replace_answers(1, "CurrentEnvironment");
    let job = world.job(&[data::customers(10, &[])]).await;
    let error = world.finish(job).await.expect_err("there is no API");
    assert!(error.source().unwrap().to_string().ends_with("it gave a web page"), "{error:?}");
    assert_eq!((world.wire.posted().len(), world.snapshot().customers.len()), (1, 0), "it is not asked again");
}

#[tokio::test(start_paused = true)]
async fn every_fault_before_and_after_the_work_is_survived_by_one_resend() {
    let steps = [data::customers(10, &[])];
    let expected = undisturbed(&steps).await;
    for kind in FaultKind::ALL {
        if matches!(kind, FaultKind::Slow | FaultKind::RateLimited | FaultKind::Unauthenticated) {
            continue;
        }
        // Given
        let world = World::new(settings());
        world.sandbox.inject(Fault::once(kind).on(IMPORT));
        // When
        let finished = world.run(&steps).await;
        // Then
        assert_eq!(accounts(&finished), [[10, 0, 0, 0, 10, 0, 0]], "{kind:?}");
        let step = &finished.summary.steps[0];
        assert_eq!((step.requests, step.retries), (2, 1), "{kind:?}");
        assert_eq!(world.snapshot(), expected, "{kind:?}");
        let waited = if matches!(kind, FaultKind::Silent | FaultKind::SilentAfter) { 60.0 } else { 0.0 };
        assert!((waited..waited + 0.51).contains(&step.duration_s), "{kind:?} took {} s", step.duration_s);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_answer_is_waited_for() {
    let world = World::new(settings());
    world.sandbox.inject(Fault::once(FaultKind::Slow).on(IMPORT).delay(Duration::from_secs(50)));
    let finished = world.run(&[data::customers(3, &[])]).await;
    assert_eq!(accounts(&finished), [[3, 0, 0, 0, 3, 0, 0]]);
    assert_eq!(finished.summary.steps[0].requests, 1);
}

/// The times between the first request of an import and the others, in milliseconds.
fn gaps_ms(world: &World) -> Vec<u128> {
    let posted = world.wire.posted();
    let mut imports = posted.iter().filter(|posted| posted.operation == "ImportCustomerBulk");
    let first = imports.next().expect("an import").at;
    imports.map(|posted| (posted.at - first).as_millis()).collect()
}

#[tokio::test(start_paused = true)]
async fn slow_down_pauses_everybody_for_as_long_as_it_says() {
    for (header, pause_s) in [(RetryHeader::RetryAfter, 7), (RetryHeader::RetryAfterMs, 7)] {
        // Given: the first of eight requests is told to come again in 7 s.
        let mut settings = settings();
        settings.unknowns.retry_header = header;
        let world = World::new(settings).batches_of(2);
        let fault = Fault::once(FaultKind::RateLimited).on(IMPORT).delay(Duration::from_secs(pause_s));
        world.sandbox.inject(fault);
        // When
        let finished = world.run(&[data::customers(16, &[])]).await;
        // Then: nobody comes earlier, and it is counted.
        assert_eq!(accounts(&finished), [[16, 0, 0, 0, 16, 0, 0]], "{header:?}");
        let step = &finished.summary.steps[0];
        assert_eq!((step.requests, step.throttled), (9, 1));
        let gaps = gaps_ms(&world);
        assert!(gaps.iter().all(|gap| (7000..10_000).contains(gap)), "{header:?} {gaps:?}");
        assert_eq!(world.heard.count("Throttled"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_down_without_a_time_pauses_by_our_own_patience() {
    for status in [RateLimitStatus::TooMany, RateLimitStatus::Ok] {
        let mut settings = settings();
        settings.unknowns.retry_header = RetryHeader::Absent;
        settings.unknowns.rate_limit_status = status;
        let world = World::new(settings);
        world.sandbox.inject(Fault::once(FaultKind::RateLimited).on(IMPORT).times(2));
        let finished = world.run(&[data::customers(4, &[])]).await;
        assert_eq!(accounts(&finished), [[4, 0, 0, 0, 4, 0, 0]], "{status:?}");
        assert_eq!(finished.summary.steps[0].throttled, 2);
        // Half fixed, half random: of 1 s, then of 2 s.
        let gaps = gaps_ms(&world);
        assert!((500..=1000).contains(&gaps[0]) && (1000..=2000).contains(&(gaps[1] - gaps[0])), "{gaps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_bad_row_is_found_and_the_others_get_through() {
    for batch in [CustomerBatch::AllOrNothing, CustomerBatch::GoodKept] {
        for (error, requests) in [(CustomerError::NamesRows, 3), (CustomerError::Anonymous, 9)] {
            // Given: sixteen customers in one request, one with an address that the API refuses.
            let mut settings = settings();
            settings.unknowns.customer_batch = batch;
            settings.unknowns.customer_error = error;
            let world = World::new(settings);
            // When
            let finished = world.run(&[data::customers(16, &[5])]).await;
            // Then: halving takes two requests for each of four halvings; a name takes two in all.
            assert_eq!(accounts(&finished), [[16, 0, 0, 0, 15, 1, 0]], "{batch:?} {error:?}");
            assert_eq!(finished.summary.steps[0].requests, requests, "{batch:?} {error:?}");
            let snapshot = world.snapshot();
            assert_eq!(snapshot.customers.len(), 15);
            assert!(!snapshot.customers.contains_key("cus-5"));
            let rejects = rejects_text(&finished);
            assert_eq!(rejects.matches(r#""kind":"failed""#).count(), 1, "{rejects}");
            assert!(rejects.contains(r#""key":"cus-5""#) && rejects.contains("email must be an email"), "{rejects}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn batch_that_the_api_fails_on_again_and_again_is_sent_in_parts() {
    // Given: the API fails three times in a row, as on a record that it can't digest.
    let world = World::new(settings());
    world.sandbox.inject(Fault::once(FaultKind::ServerErrorBefore).on(IMPORT).times(3));
    // When
    let finished = world.run(&[data::customers(8, &[])]).await;
    // Then: the fourth and fifth request are its halves.
    assert_eq!(accounts(&finished), [[8, 0, 0, 0, 8, 0, 0]]);
    let records: Vec<usize> = world.wire.posted().iter().skip(1).map(|posted| posted.records).collect();
    assert_eq!(records, [8, 8, 8, 4, 4]);
    assert_eq!(world.heard.count("Splitting"), 1);
}

#[tokio::test(start_paused = true)]
async fn outage_leaves_everything_to_the_next_run_in_minutes() {
    for kind in [FaultKind::ServerErrorBefore, FaultKind::BadGateway, FaultKind::ResetBefore, FaultKind::Silent] {
        // Given: forty batches, and an API that fails at everything after the first few.
        let world = World::new(settings()).batches_of(10);
        world.sandbox.inject(Fault::once(kind).on(IMPORT).after(5).times(u32::MAX));
        // When
        let finished = world.run(&[data::customers(400, &[])]).await;
        // Then: it ends soon, with everything accounted for.
        let step = &finished.summary.steps[0];
        assert_eq!(account(step)[..4], [400 - unread(step), 0, 0, 0], "{kind:?}");
        assert_eq!((step.accepted, step.failed), (50, 0), "{kind:?}");
        assert!(step.open > 0, "{kind:?}");
        assert!(step.duration_s < 1200.0, "{kind:?} took {} s", step.duration_s);
    }
}

/// Records that were never read, because the run stopped before.
fn unread(step: &stigg_import::pipeline::StepSummary) -> u64 {
    400 - step.records
}

/// A share of the budget that is used when each answer takes `latency`.
async fn share_at(latency: Duration, requests: usize) -> f64 {
    let world = World::new(Settings { latency, ..settings() }).batches_of(1);
    let finished = world.run(&[data::customers(requests, &[])]).await;
    assert_eq!(finished.summary.steps[0].accepted, requests as u64);
    assert_eq!(world.rate_limited(), 0, "the API's own limiter refused a request");
    finished.summary.steps[0].budget_share.expect("a rate")
}

#[tokio::test(start_paused = true)]
async fn the_budget_is_used_whatever_the_latency() {
    // 250 a minute and 500 ms: the pace is 0.99 of the rate, the rest is the last answer.
    let share = share_at(Duration::from_millis(500), 400).await;
    assert!(share >= 0.985, "{share}");
    // 4 s: seventeen have to be in flight, and it starts with four.
    let share = share_at(Duration::from_secs(4), 600).await;
    assert!(share >= 0.80, "{share}");
}

#[tokio::test(start_paused = true)]
async fn older_record_than_the_apis_is_taken_and_not_sent_again() {
    const MAPPING: &str =
        "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nname = \"name\"\nupdatedAt = \"updated\"\n";
    // Given: the API has a newer customer.
    let world = World::new(settings());
    let newer: Snapshot = serde_json::from_str(r#"{"customers": {"cus-0": {"name": "Newer"}}}"#).expect("a snapshot");
    world.sandbox.load(&newer);
    let steps = [Data::new("customers", MAPPING, "id,name,updated\ncus-0,Older,2020-01-01T00:00:00Z\n")];
    // When
    let finished = world.run(&steps).await;
    // Then: that is what `updatedAt` is for, and no error.
    assert_eq!(accounts(&finished), [[1, 0, 0, 0, 1, 0, 0]]);
    assert_eq!(finished.summary.steps[0].kept, Some(1), "it is told, though");
    assert_eq!(world.snapshot(), newer);
    assert_eq!(accounts(&world.run(&steps).await), [[1, 0, 0, 1, 0, 0, 0]]);
}

#[tokio::test(start_paused = true)]
async fn records_that_the_api_has_newer_are_told_apart_where_reading_back_is_cheap() {
    const MAPPING: &str =
        "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nname = \"name\"\nupdatedAt = \"updated\"\n";
    let rows = |updated: &str, count: usize| {
        let rows = (0..count).map(|number| format!("cus-{number},Name {updated},{updated}\n"));
        vec![Data::new("customers", MAPPING, format!("id,name,updated\n{}", rows.collect::<String>()))]
    };
    let world = World::new(settings());
    // Given: customers of which the source knows the last change; the API's own clock stands at June.
    let finished = world.run(&rows("2026-07-01T00:00:00Z", 100)).await;
    assert_eq!(finished.summary.steps[0].kept, Some(0));
    // When: an older export comes, and then a newer one.
    let finished = world.run(&rows("2026-06-01T00:00:00Z", 100)).await;
    assert_eq!((finished.summary.steps[0].kept, finished.summary.steps[0].accepted), (Some(100), 100));
    assert_eq!(world.snapshot().customers["cus-7"].name.as_deref(), Some("Name 2026-07-01T00:00:00Z"));
    let finished = world.run(&rows("2026-08-01T00:00:00Z", 100)).await;
    assert_eq!(finished.summary.steps[0].kept, Some(0));
    // New ones, whose last change is long ago: what the API wrote just now is newer than that, and it is ours.
    let world = World::new(settings());
    let finished = world.run(&rows("2026-05-01T00:00:00Z", 100)).await;
    assert_eq!((finished.summary.steps[0].kept, world.snapshot().customers.len()), (Some(0), 100));
    // So many that reading them back would take longer than sending them.
    let world = World::new(settings());
    let finished = world.run(&rows("2026-06-02T00:00:00Z", 101)).await;
    assert_eq!((finished.summary.steps[0].kept, finished.summary.steps[0].accepted), (None, 101));
}
