//! Subscriptions: imported by a task, settled by reading back.

use std::time::Duration;

use stigg_import::pipeline::Stopped;
use stigg_import::sandbox::{
    ConcurrentImports, Fault, FaultKind, Pace, Settings, Snapshot, TaskErrorId, TaskId, TaskRead,
};

use super::data::{self, Data};
use super::world::{World, accounts, rejects_text, settings};

const IMPORT: &str = "ImportSubscriptionsBulk";

async fn with_customers(settings: Settings, n: usize) -> World {
    let world = World::new(settings);
    world.run(&[data::customers(n, &[])]).await;
    world
}

#[tokio::test(start_paused = true)]
async fn task_is_followed_and_every_record_read_back() {
    // Given: an import that takes 11 s.
    let pace = Pace { start_delay: Duration::from_secs(1), step: Duration::from_secs(1), rows_per_step: 15 };
    let world = with_customers(Settings { import_pace: pace, ..settings() }, 150).await;
    // When
    let finished = world.run(&[data::subscriptions(150, &[])]).await;
    // Then: some looks at the task, and 150 ids in two reads when it is done.
    assert_eq!(accounts(&finished), [[150, 0, 0, 0, 150, 0, 0]]);
    assert_eq!((world.wire.count(IMPORT), world.wire.count("GetSubscriptions")), (1, 2));
    assert!((3..=8).contains(&world.wire.count("ImportTask")), "{}", world.wire.count("ImportTask"));
    assert_eq!(world.snapshot().subscriptions.len(), 150);
}

#[tokio::test(start_paused = true)]
async fn records_are_read_back_where_the_task_cannot_be_seen() {
    for (read, id) in [(TaskRead::Refused, TaskId::Listed), (TaskRead::Readable, TaskId::Unlisted)] {
        let pace = Pace { start_delay: Duration::from_secs(4), ..Pace::default() };
        let mut settings = Settings { import_pace: pace, ..settings() };
        (settings.unknowns.task_read, settings.unknowns.task_id) = (read, id);
        let world = with_customers(settings, 20).await;
        let finished = world.run(&[data::subscriptions(20, &[])]).await;
        assert_eq!(accounts(&finished), [[20, 0, 0, 0, 20, 0, 0]], "{read:?} {id:?}");
        assert!(finished.summary.steps[0].duration_s < 15.0);
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_are_invisible_for_a_while_are_waited_for() {
    let mut settings = settings();
    settings.unknowns.read_delay = Duration::from_secs(12);
    let world = with_customers(settings, 20).await;
    let finished = world.run(&[data::subscriptions(20, &[])]).await;
    assert_eq!(accounts(&finished), [[20, 0, 0, 0, 20, 0, 0]]);
}

#[tokio::test(start_paused = true)]
async fn unknown_plan_fails_with_the_tasks_words() {
    for (id, least_s, most_s) in [(TaskErrorId::Subscription, 0.0, 3.0), (TaskErrorId::Opaque, 30.0, 45.0)] {
        let mut settings = settings();
        settings.unknowns.task_error_id = id;
        let world = with_customers(settings, 20).await;
        let finished = world.run(&[data::subscriptions(20, &[3])]).await;
        assert_eq!(accounts(&finished), [[20, 0, 0, 0, 19, 1, 0]], "{id:?}");
        let rejects = rejects_text(&finished);
        assert!(rejects.contains(r#""key":"sub-3""#) && rejects.contains("Plan plan-unknown not found"), "{rejects}");
        // A record that the task names is not waited for; one that only lacks may still appear.
        let took = finished.summary.steps[0].duration_s;
        assert!((least_s..most_s).contains(&took), "{id:?} took {took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_in_the_words_about_another_record_fails_nothing() {
    // Given: subscription `7` shows late, and the task says of subscription `8` that customer `7` does not exist.
    let mut settings = settings();
    settings.unknowns.read_delay = Duration::from_secs(12);
    let world = with_customers(settings, 2).await;
    let rows = "id,customer,plan,note\n7,cus-1,plan-free,x\n8,7,plan-free,x\n";
    // When
    let finished = world.run(&[Data::new("subscriptions", data::SUBSCRIPTIONS, rows)]).await;
    // Then
    assert_eq!(accounts(&finished), [[2, 0, 0, 0, 1, 1, 0]]);
    let rejects = rejects_text(&finished);
    assert!(rejects.contains(r#""key":"8""#) && rejects.contains("Customer 7 not found"), "{rejects}");
}

#[tokio::test(start_paused = true)]
async fn task_that_never_ends_is_left_open() {
    // Given: an import whose first step takes a day.
    let pace = Pace { step: Duration::from_secs(86_400), ..Pace::default() };
    let world = with_customers(Settings { import_pace: pace, ..settings() }, 5).await;
    // When
    let finished = world.run(&[data::subscriptions(5, &[]), data::usage(5, &[])]).await;
    // Then: it may still come, so nobody says that it failed; usage waits for the next run.
    assert_eq!(accounts(&finished), [[5, 0, 0, 0, 0, 0, 5]]);
    assert!((120.0..140.0).contains(&finished.summary.steps[0].duration_s));
    assert_eq!(world.heard.count("LeftOpen"), 1, "{:?}", world.heard.all());
    // And when it came meanwhile, the next run finishes.
    tokio::time::sleep(Duration::from_secs(90_000)).await;
    let pace_again = world.run(&[data::subscriptions(5, &[]), data::usage(5, &[])]).await;
    assert_eq!(pace_again.summary.steps[0].open, 0, "{:?}", accounts(&pace_again));
}

#[tokio::test(start_paused = true)]
async fn missing_records_of_a_task_that_cannot_be_seen_fail_in_the_end() {
    let mut settings = settings();
    settings.unknowns.task_read = TaskRead::Refused;
    let world = with_customers(settings, 5).await;
    let finished = world.run(&[data::subscriptions(5, &[1])]).await;
    assert_eq!(accounts(&finished), [[5, 0, 0, 0, 4, 1, 0]]);
    assert!((120.0..140.0).contains(&finished.summary.steps[0].duration_s));
}

#[tokio::test(start_paused = true)]
async fn an_import_in_progress_is_waited_for() {
    // Given: one import at a time, each of which takes a minute, and twelve batches.
    let pace = Pace { start_delay: Duration::from_secs(60), ..Pace::default() };
    let mut settings = Settings { import_pace: pace, ..settings() };
    settings.unknowns.concurrent_imports = ConcurrentImports::Refused;
    let world = with_customers(settings, 60).await.batches_of(5);
    // When
    let finished = world.run(&[data::subscriptions(60, &[])]).await;
    // Then: one after the other, without much idle time between.
    assert_eq!(accounts(&finished), [[60, 0, 0, 0, 60, 0, 0]]);
    let took = finished.summary.steps[0].duration_s;
    assert!((720.0..900.0).contains(&took), "{took} s");
}

#[tokio::test(start_paused = true)]
async fn older_subscription_than_the_apis_is_no_error() {
    const MAPPING: &str = "entity = \"subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"customer\"\nplanId = \"plan\"\nadditionalMetaData.note = \"note\"\nupdatedAt = \"updated\"\n";
    for read in [TaskRead::Readable, TaskRead::Refused] {
        // Given: the API has a newer subscription.
        let mut settings = settings();
        settings.unknowns.task_read = read;
        let world = World::new(settings);
        let newer: Snapshot = serde_json::from_str(
            r#"{"customers": {"cus-0": {}}, "subscriptions": {"sub-0":
                {"customerId": "cus-0", "planId": "plan-free", "pricingType": "FREE", "metadata": {"note": "newer"}}}}"#,
        )
        .expect("a snapshot");
        world.sandbox.load(&newer);
        let rows = "id,customer,plan,note,updated\nsub-0,cus-0,plan-free,older,2020-01-01T00:00:00Z\n";
        let steps = [Data::new("subscriptions", MAPPING, rows)];
        // When
        let finished = world.run(&steps).await;
        // Then: the API keeps its own, as the mapping asked for, and it is not sent again.
        assert_eq!(accounts(&finished), [[1, 0, 0, 0, 1, 0, 0]], "{read:?}");
        assert_eq!(world.snapshot(), newer);
        assert_eq!(accounts(&world.run(&steps).await), [[1, 0, 0, 1, 0, 0, 0]]);
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_cannot_be_read_back_are_left_open_not_failed() {
    // Given: every read of subscriptions fails.
    let world = with_customers(settings(), 5).await;
    world.sandbox.inject(Fault::once(FaultKind::ServerErrorBefore).on("subscriptions").times(u32::MAX));
    // When
    let finished = world.run(&[data::subscriptions(5, &[])]).await;
    // Then: they are there, and nobody could see it.
    assert_eq!(accounts(&finished), [[5, 0, 0, 0, 0, 0, 5]]);
    assert_eq!(world.snapshot().subscriptions.len(), 5);
    assert!(finished.summary.steps[0].duration_s < 600.0);
}

#[tokio::test(start_paused = true)]
async fn an_import_whose_task_nobody_wrote_down_does_not_come_over_newer_content() {
    for read in [TaskRead::Readable, TaskRead::Refused] {
        // Given: a process that is killed between the API's answer to an import of a hundred rows, one a second, and
        // the note of its task.
        let pace = Pace { step: Duration::from_secs(1), rows_per_step: 1, ..Pace::default() };
        let mut settings = Settings { import_pace: pace, ..settings() };
        settings.unknowns.task_read = read;
        let mut world = with_customers(settings, 100).await;
        let old = data::subscriptions(100, &[]);
        world.ledger.die_at_task(true);
        let killed = tokio::time::timeout(Duration::from_secs(5), world.run(std::slice::from_ref(&old))).await;
        assert!(killed.is_err() && world.wire.count(IMPORT) == 1, "{read:?}");
        world.ledger.die_at_task(false);
        // When: the next run has other content for the last row, and sends it in a small import of its own.
        world.batch_records_max = Some(10);
        let began = tokio::time::Instant::now();
        let finished = world.run(&[old.replace("note 99\n", "newer\n")]).await;
        // Then: it is there, and stays; and the wait was bounded.
        assert_eq!(finished.summary.total(|step| step.open + step.failed), 0, "{read:?}");
        assert!(began.elapsed() < Duration::from_secs(300), "{read:?}: {:?}", began.elapsed());
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(world.snapshot().subscriptions["sub-99"].metadata["note"], "newer", "{read:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn import_of_an_earlier_run_does_not_come_over_newer_content() {
    // Given: a run that is interrupted while the API imports a hundred rows, one a second.
    let pace = Pace { step: Duration::from_secs(1), rows_per_step: 1, ..Pace::default() };
    let mut world = with_customers(Settings { import_pace: pace, ..settings() }, 100).await;
    let old = data::subscriptions(100, &[]);
    let job = world.job(std::slice::from_ref(&old)).await;
    let stop = job.stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.raise(Stopped::Interrupted);
    });
    assert!(world.finish(job).await.expect("the run begins").summary.total(|step| step.open) > 0);
    // When: the next run has other content for the last row, and sends it in a small import of its own.
    world.batch_records_max = Some(10);
    let new = old.replace("note 99\n", "newer\n");
    let finished = world.run(&[new]).await;
    // Then: it is there, and stays.
    assert_eq!(finished.summary.total(|step| step.open + step.failed), 0);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(world.snapshot().subscriptions["sub-99"].metadata["note"], "newer");
}
