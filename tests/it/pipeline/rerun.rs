//! The same command again.

use super::data::{self, Data};
use super::world::{World, accounts, rejects_text, settings};

fn three(n: usize) -> [Data; 3] {
    [data::customers(n, &[]), data::subscriptions(n, &[]), data::usage(n, &[])]
}

#[tokio::test(start_paused = true)]
async fn second_run_sends_nothing() {
    // Given
    let world = World::new(settings()).batches_of(10);
    let steps = three(30);
    assert_eq!(accounts(&world.run(&steps).await), [[30, 0, 0, 0, 30, 0, 0]; 3]);
    let (snapshot, sent) = (world.snapshot(), world.wire.posted().len());
    // When
    let finished = world.run(&steps).await;
    // Then: it asks for the environment, and that is all.
    assert_eq!(accounts(&finished), [[30, 0, 0, 30, 0, 0, 0]; 3]);
    assert_eq!(world.wire.posted().len(), sent + 1);
    assert_eq!(finished.summary.total(|step| step.requests + step.reads + step.batches), 0);
    assert_eq!(world.snapshot(), snapshot);
}

#[tokio::test(start_paused = true)]
async fn one_changed_row_sends_one_record() {
    let world = World::new(settings()).batches_of(10);
    let [customers, subscriptions, usage] = three(30);
    world.run(&[customers.clone(), subscriptions.clone(), usage.clone()]).await;
    let sent = world.wire.posted().len();
    // When
    let changed = [
        customers.replace("Customer 7,", "Someone Else,"),
        subscriptions.replace("note 8\n", "another note\n"),
        usage.replace("feature-calls,91\n", "feature-calls,92\n"),
    ];
    let finished = world.run(&changed).await;
    // Then
    assert_eq!(accounts(&finished), [[30, 0, 0, 29, 1, 0, 0]; 3]);
    assert!(finished.summary.steps.iter().all(|step| step.changed == 1 && step.created == 0));
    assert_eq!(world.wire.posted()[sent..].iter().map(|posted| posted.records).sum::<usize>(), 3);
    let snapshot = world.snapshot();
    assert_eq!(snapshot.customers["cus-7"].name.as_deref(), Some("Someone Else"));
    assert_eq!(snapshot.subscriptions["sub-8"].metadata["note"], "another note");
    assert_eq!(snapshot.usage["cus-9"]["feature-calls"][""], 92.0);
}

#[tokio::test(start_paused = true)]
async fn failed_record_is_sent_again() {
    // Given: a run with a record that the API refuses.
    let world = World::new(settings());
    let bad = data::customers(8, &[2]);
    assert_eq!(accounts(&world.run(std::slice::from_ref(&bad)).await), [[8, 0, 0, 0, 7, 1, 0]]);
    // When: it comes again as it was, and mended.
    assert_eq!(accounts(&world.run(std::slice::from_ref(&bad)).await), [[8, 0, 0, 7, 0, 1, 0]]);
    let mended = bad.replace(data::BAD_EMAIL, "c2@example.com");
    assert_eq!(accounts(&world.run(&[mended]).await), [[8, 0, 0, 7, 1, 0, 0]]);
    // Then
    assert_eq!(world.snapshot().customers.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn the_same_row_twice_is_sent_once_and_another_of_its_key_names_both() {
    let world = World::new(settings());
    let rows = "id,name,email\ncus-1,Ada,\ncus-2,Bob,\ncus-1,Ada,\ncus-2,Robert,\n";
    let finished = world.run(&[Data::new("customers", data::CUSTOMERS, rows)]).await;
    assert_eq!(accounts(&finished), [[4, 0, 1, 1, 2, 0, 0]]);
    assert_eq!(world.snapshot().customers["cus-2"].name.as_deref(), Some("Bob"));
    let rejects = rejects_text(&finished);
    assert!(rejects.contains(r#""record":4"#) && rejects.contains("customers.csv, record 2"), "{rejects}");
}

#[tokio::test(start_paused = true)]
async fn another_environment_gets_everything() {
    let world = World::new(settings());
    let steps = [data::customers(5, &[])];
    world.run(&steps).await;
    let mut job = world.job(&steps).await;
    job.target = "https://other.example/graphql".to_owned();
    let finished = world.finish(job).await.expect("the run begins");
    assert_eq!(accounts(&finished), [[5, 0, 0, 0, 5, 0, 0]]);
}
