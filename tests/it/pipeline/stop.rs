//! Runs that end before their source does, and the runs after them.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use stigg_import::mapping;
use stigg_import::pipeline::{MaxRejects, OpenStep, Stopped, run};
use stigg_import::sandbox::{Fault, FaultKind, Settings};
use stigg_import::source::{CsvOptions, open_csv_reader};

use super::data::{self, Data};
use super::world::{World, accounts, clock, rejects_text, settings};

const IMPORT: &str = "importCustomersBulk";

#[tokio::test(start_paused = true)]
async fn refused_key_stops_the_run_and_leaves_the_rest_open() {
    // Given: forty batches, and a key that is refused from the fourth request on.
    let world = World::new(Settings { latency: Duration::from_millis(500), ..settings() }).batches_of(2);
    world.sandbox.inject(Fault::once(FaultKind::Unauthenticated).on(IMPORT).after(3).times(30));
    let steps = [data::customers(80, &[])];
    // When
    let finished = world.run(&steps).await;
    // Then: those in flight were still answered, and no other left.
    assert!(matches!(finished.stopped, Some(Stopped::CredentialsRefused(_))), "{:?}", finished.stopped);
    let step = &finished.summary.steps[0];
    assert_eq!((step.accepted, step.failed), (6, 0));
    assert_eq!(step.open, step.records - 6);
    assert!(world.arrived(IMPORT) <= 3 + 4, "{} requests with a refused key", world.arrived(IMPORT) - 3);
    // And when the key holds again, a next run finishes.
    for _ in 0..40 {
        if world.run(&steps).await.stopped.is_none() {
            break;
        }
    }
    assert_eq!(world.snapshot().customers.len(), 80);
}

#[tokio::test(start_paused = true)]
async fn key_refused_at_once_sends_nothing() {
    let world = World::new(settings());
    world.sandbox.inject(Fault::once(FaultKind::Unauthenticated).times(1000));
    let job = world.job(&[data::customers(3, &[])]).await;
    let error = world.finish(job).await.expect_err("a refused key");
    assert!(error.is_credentials());
    assert_eq!((world.arrived(IMPORT), world.ledger.opened()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn interrupt_drains_and_the_next_run_finishes() {
    // Given: a hundred batches, half a second each, interrupted after five seconds.
    let world = World::new(Settings { latency: Duration::from_millis(500), ..settings() }).batches_of(1);
    let steps = [data::customers(100, &[]), data::usage(100, &[])];
    let job = world.job(&steps).await;
    let stop = job.stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.raise(Stopped::Interrupted);
    });
    // When
    let finished = world.finish(job).await.expect("the run begins");
    // Then: what was in flight is settled, what was not sent is open, and the next step did not begin.
    assert_eq!(finished.stopped, Some(Stopped::Interrupted));
    let step = &finished.summary.steps[0];
    assert_eq!(finished.summary.steps.len(), 1);
    assert!(step.accepted >= 15 && step.open > 0, "{:?}", accounts(&finished));
    assert_eq!(step.accepted as usize, world.snapshot().customers.len(), "nothing was sent and not settled");
    assert!(finished.summary.duration_s < 6.5, "{} s", finished.summary.duration_s);
    // And
    let again = world.run(&steps).await;
    assert_eq!(accounts(&again), [[100, 0, 0, step.accepted, 100 - step.accepted, 0, 0], [100, 0, 0, 0, 100, 0, 0]]);
}

#[tokio::test(start_paused = true)]
async fn interrupt_does_not_wait_for_the_end_of_a_long_pause() {
    // Given: the API asks for a quarter of an hour.
    let world = World::new(settings()).batches_of(2);
    let pause = Duration::from_secs(900);
    world.sandbox.inject(Fault::once(FaultKind::RateLimited).on(IMPORT).delay(pause));
    let job = world.job(&[data::customers(20, &[])]).await;
    let stop = job.stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.raise(Stopped::Interrupted);
    });
    // When
    let finished = world.finish(job).await.expect("the run begins");
    // Then
    assert_eq!((finished.summary.total(|step| step.accepted), world.arrived(IMPORT)), (0, 1));
    assert!(finished.summary.duration_s < 6.0, "{} s", finished.summary.duration_s);
}

#[tokio::test(start_paused = true)]
async fn interrupted_import_task_gets_a_last_look() {
    let pace = stigg_import::sandbox::Pace { start_delay: Duration::from_secs(600), ..Default::default() };
    let world = World::new(Settings { import_pace: pace, ..settings() });
    world.run(&[data::customers(5, &[])]).await;
    let job = world.job(&[data::subscriptions(5, &[])]).await;
    let stop = job.stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.raise(Stopped::Interrupted);
    });
    let finished = world.finish(job).await.expect("the run begins");
    assert_eq!(accounts(&finished), [[5, 0, 0, 0, 0, 0, 5]]);
    assert!(finished.summary.duration_s < 6.5, "{} s", finished.summary.duration_s);
}

#[tokio::test(start_paused = true)]
async fn too_many_rejects_stop_the_run() {
    // Given: ten rows with an address that is none, among a hundred.
    let mut world = World::new(settings());
    world.max_rejects = Some(MaxRejects::Number(5));
    let mut customers = data::customers(100, &[]);
    for i in 0..10 {
        customers = customers.replace(&format!("c{i}@example.com"), "none");
    }
    // When
    let finished = world.run(&[customers]).await;
    // Then: nothing was sent, as nothing was before the sixth.
    assert!(matches!(finished.stopped, Some(Stopped::TooManyRejects(_))));
    let step = &finished.summary.steps[0];
    assert_eq!((step.rejected, step.accepted), (10, 0));
    assert_eq!(world.arrived(IMPORT), 0);
    assert_eq!(rejects_text(&finished).matches(r#""kind":"rejected""#).count(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_the_source_broke_is_settled() {
    // Given: a source that breaks after forty rows, and an answer that gets lost.
    let world = World::new(settings()).batches_of(15);
    world.sandbox.inject(Fault::once(FaultKind::LostAnswer).on(IMPORT).after(2));
    let customers = data::customers(40, &[]);
    // When
    let finished = world.run(&[customers.clone().breaking(), data::usage(3, &[])]).await;
    // Then: every one of them is delivered, and the next step does not begin.
    assert!(matches!(finished.stopped, Some(Stopped::SourceBroke(_))));
    assert_eq!(accounts(&finished), [[40, 0, 0, 0, 40, 0, 0]]);
    assert_eq!(world.snapshot().customers.len(), 40);
    // And the mended source sends nothing again.
    assert_eq!(accounts(&world.run(&[customers]).await), [[40, 0, 0, 40, 0, 0, 0]]);
}

#[tokio::test(start_paused = true)]
async fn interrupt_ends_the_settling_after_a_broken_source() {
    let world = World::new(settings());
    let fault = Fault::once(FaultKind::RateLimited).on(IMPORT).delay(Duration::from_secs(900));
    world.sandbox.inject(fault);
    let job = world.job(&[data::customers(5, &[]).breaking()]).await;
    let stop = job.stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.raise(Stopped::Interrupted);
    });
    let finished = world.finish(job).await.expect("the run begins");
    assert_eq!(accounts(&finished), [[5, 0, 0, 0, 0, 0, 5]]);
    assert!(finished.summary.duration_s < 6.0, "{} s", finished.summary.duration_s);
}

#[tokio::test(start_paused = true)]
async fn no_incomplete_total_and_no_incomplete_group_is_sent() {
    const TOTALS: &str = "entity = \"usage\"\naggregate = \"sum\"\n[fields]\ncustomerId = \"customer\"\nfeatureId = \"feature\"\nvalue = \"value\"\n";
    const GROUPS: &str = "entity = \"subscription\"\ngroup = \"id\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"customer\"\nplanId = \"plan\"\n[[fields.addons]]\naddonId = \"addon\"\n";
    let world = World::new(Settings { catalog: None, ..settings() });
    world.run(&[data::customers(3, &[])]).await;
    // When: totals break in the middle
    let totals = Data::new("usage", TOTALS, "customer,feature,value\ncus-0,feature-calls,1\ncus-1,feature-calls,2\n");
    let finished = world.run(&[totals.breaking()]).await;
    assert_eq!(accounts(&finished), [[0; 7]]);
    // And groups do: the first was complete, of the second there might be more.
    let rows =
        "id,customer,plan,addon\nsub-0,cus-0,plan-a,addon-1\nsub-0,cus-0,plan-a,addon-2\nsub-1,cus-1,plan-a,addon-1\n";
    let finished = world.run(&[Data::new("subscriptions", GROUPS, rows).breaking()]).await;
    assert_eq!(accounts(&finished), [[1, 0, 0, 0, 1, 0, 0]]);
    // Then
    let snapshot = world.snapshot();
    assert!(snapshot.usage.is_empty());
    assert_eq!(snapshot.subscriptions.keys().collect::<Vec<_>>(), ["sub-0"]);
    assert_eq!(snapshot.subscriptions["sub-0"].addons.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn ledger_that_cannot_open_a_batch_sends_nothing_more() {
    // Given: a disk that is full after the first batch.
    let world = World::new(settings()).batches_of(5);
    world.ledger.fail_open_after(1);
    let steps = [data::customers(20, &[])];
    // When
    let finished = world.run(&steps).await;
    // Then
    assert!(matches!(finished.stopped, Some(Stopped::LedgerCannotWrite(_))));
    let step = &finished.summary.steps[0];
    assert!(step.accepted <= 5 && world.snapshot().customers.len() <= 5, "{:?}", accounts(&finished));
    assert_eq!(step.open, step.records - step.accepted);
    // And with room again the next run finishes.
    world.ledger.fail_open_after(u32::MAX);
    let again = world.run(&steps).await;
    assert_eq!(again.summary.total(|step| step.accepted + step.unchanged), 20);
    assert_eq!(world.snapshot().customers.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn of_batches_that_cannot_be_opened_together_none_is_sent() {
    // Given: three batches that come together, on a disk that has room for two, and others behind them.
    let world = World::new(settings()).batches_of(5);
    world.ledger.fail_open_after(2);
    let steps = [data::customers(22, &[])];
    // When
    let finished = world.run(&steps).await;
    // Then: nothing has left, and every record is accounted for.
    assert!(matches!(finished.stopped, Some(Stopped::LedgerCannotWrite(_))));
    assert_eq!((world.ledger.opened(), world.snapshot().customers.len()), (0, 0));
    let step = &finished.summary.steps[0];
    assert_eq!((step.records, step.accepted, step.open, step.batches), (22, 0, 22, 0));
    // And with room again the next run sends all of them.
    world.ledger.fail_open_after(u32::MAX);
    assert_eq!(world.run(&steps).await.summary.total(|step| step.accepted), 22);
    assert_eq!(world.snapshot().customers.len(), 22);
}

#[tokio::test(start_paused = true)]
async fn outcome_that_cannot_be_settled_stays_open() {
    // Given: a disk that is full when the second batch is to be settled.
    let world = World::new(settings()).batches_of(5);
    world.ledger.fail_settle_after(1);
    let steps = [data::customers(20, &[])];
    // When
    let finished = world.run(&steps).await;
    // Then: the API has it, the ledger does not know it, so nobody calls it accepted.
    assert!(matches!(finished.stopped, Some(Stopped::LedgerCannotWrite(_))));
    let step = &finished.summary.steps[0];
    assert_eq!(step.accepted, 5, "{:?}", accounts(&finished));
    assert_eq!(step.open, step.records - 5);
    // And
    world.ledger.fail_settle_after(u32::MAX);
    assert_eq!(accounts(&world.run(&steps).await), [[20, 0, 0, 5, 15, 0, 0]]);
    assert_eq!(accounts(&world.run(&steps).await), [[20, 0, 0, 20, 0, 0, 0]]);
}

/// Gives a header and a row, and then blank lines, one after the other, for ever.
struct Endless(usize);

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        const TEXT: &[u8] = b"id,name,email\ncus-1,Ada,\n";
        let byte = TEXT.get(self.0).copied().unwrap_or(b'\n');
        // The first look at the source takes 64 KiB at least; from then on it takes its time.
        if self.0 > 1 << 20 {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.0 += 1;
        out[0] = byte;
        Ok(1)
    }
}

#[tokio::test]
async fn run_that_is_dropped_stops_reading() {
    // Given: a run whose source never ends.
    let world = World::new(settings());
    let options = CsvOptions { delimiter: Some(b','), ..CsvOptions::default() };
    let mut job = world.job(&[]).await;
    let mapping = mapping::parse("m.toml", data::CUSTOMERS, std::path::Path::new("")).expect("the mapping holds");
    let rows = open_csv_reader("endless.csv", Endless(0), &options).await.expect("the source opens");
    job.steps = vec![OpenStep::new("customers", &mapping, rows, &clock()).expect("the mapping fits")];
    let stop = Arc::downgrade(&job.stop);
    // When
    let cut = tokio::time::timeout(Duration::from_millis(200), run(job)).await;
    assert!(cut.is_err(), "the source never ends");
    tokio::time::sleep(Duration::from_millis(50)).await;
    // Then: nobody holds any part of it any more.
    assert!(stop.upgrade().is_none());
}
