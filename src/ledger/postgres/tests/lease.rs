//! One holder at a time, whatever becomes of it.

use std::time::Duration;

use super::*;
use crate::ledger::conformance::{batch, scope, start};
use crate::ledger::{Holder, LeaseTerms, LedgerPlace, Part, RunLock};

const SHORT: Duration = Duration::from_millis(600);

impl Database {
    async fn lock(&self, part: Part, length: Duration) -> Result<RunLock, LedgerError> {
        let place = LedgerPlace::Postgres(self.address.clone());
        RunLock::acquire(&place, LeaseTerms { part, length }, Timestamp::UNIX_EPOCH).await
    }

    async fn open_with(&self, lock: &RunLock) -> PostgresLedger {
        PostgresLedger::open(&self.address, Access::Write, lock.fence(), clock()).await.unwrap()
    }

    /// Makes a lease over, as time would; it is long enough that it is not renewed meanwhile.
    fn end_lease(&self) {
        self.client("UPDATE stigg_import.lease SET until_at = clock_timestamp() - interval '1 ms'");
    }
}

fn part(index: u32, count: u32) -> Part {
    Part { index, count }
}

fn held(result: Result<RunLock, LedgerError>) -> Holder {
    match result {
        Err(LedgerError::Held { by, .. }) => *by,
        other => panic!("{other:?}"),
    }
}

async fn is_lost_within(lock: &RunLock, time: Duration) -> bool {
    tokio::time::timeout(time, lock.lost()).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_holds_it_for_as_long_as_it_goes_on() {
    if left_out() {
        return;
    }
    let database = Database::new();
    let lock = database.lock(Part::ALL, SHORT).await.unwrap();
    let begin = std::time::Instant::now();
    while begin.elapsed() < 3 * SHORT {
        let by = held(database.lock(Part::ALL, SHORT).await);
        assert_eq!((by.pid, by.part), (Some(std::process::id()), None));
        assert!(by.host.is_some() && by.until > by.since, "{by:?}");
        tokio::time::sleep(SHORT / 5).await;
    }
    assert!(!is_lost_within(&lock, Duration::ZERO).await);

    lock.release().await;

    // Nor does one that is only dropped leave others waiting.
    drop(database.lock(Part::ALL, Duration::from_secs(600)).await.unwrap());
    database.lock(Part::ALL, SHORT).await.unwrap().release().await;
    assert_eq!(database.client("SELECT count(*) FROM stigg_import.lease"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_held_by_one_run_each_and_not_beside_parts_of_another_count() {
    if left_out() {
        return;
    }
    let database = Database::new();
    let long = Duration::from_secs(60);
    let first = database.lock(part(0, 2), long).await.unwrap();
    let second = database.lock(part(1, 2), long).await.unwrap();
    assert_eq!(held(database.lock(part(1, 2), long).await).part, Some(part(1, 2)));
    assert!(held(database.lock(Part::ALL, long).await).part.is_some());
    assert!(held(database.lock(part(2, 3), long).await).part.is_some());

    first.release().await;
    assert_eq!(held(database.lock(Part::ALL, long).await).part, Some(part(1, 2)));
    second.release().await;
    let all = database.lock(Part::ALL, long).await.unwrap();
    assert_eq!(held(database.lock(part(0, 2), long).await).part, None);
    all.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_want_it_at_once_one_gets_it() {
    if left_out() {
        return;
    }
    let database = Database::new();
    for round in 0..4 {
        // First there is none, then one that is over.
        let all = (0..6).map(|_| database.lock(Part::ALL, Duration::from_secs(60)));
        let results = futures::future::join_all(all).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "round {round}");
        assert!(results.iter().flat_map(|result| result.as_ref().err()).all(|error| error.hint().is_some()));
        database.end_lease();
        results.into_iter().flatten().for_each(std::mem::forget);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lost_it_can_not_write_and_is_told() {
    if left_out() {
        return;
    }
    let database = Database::new();
    let old = database.lock(Part::ALL, Duration::from_secs(12)).await.unwrap();
    let ledger = database.open_with(&old).await;
    let run = ledger.begin_run(start()).await.unwrap();
    let scope = scope();
    let id = ledger.open(run, "s", &scope, &[&batch(&[("ada", 1)])]).await.unwrap()[0];

    // When: another takes it, just when it is over.
    database.end_lease();
    let new = database.lock(Part::ALL, Duration::from_secs(12)).await.unwrap();
    let other = database.open_with(&new).await;
    let (runs, open) = (other.runs(9).await.unwrap(), other.open_batches(&scope).await.unwrap());

    // Then: no kind of write changes anything.
    let finish = RunFinish { finished_at: start().started_at, exit: 0, summary_json: String::new() };
    let mark = StepMark { identity: String::new(), value: String::new() };
    let step = crate::ledger::conformance::replacements::planned("ada");
    let lost = |result: Result<(), LedgerError>| {
        assert!(matches!(result, Err(LedgerError::LeaseLost { .. })), "{result:?}");
    };
    lost(ledger.begin_run(start()).await.map(drop));
    lost(ledger.finish_run(run, finish).await);
    lost(ledger.open(run, "s", &scope, &[&batch(&[("bob", 1)])]).await.map(drop));
    lost(ledger.note_task(id, "t").await);
    lost(ledger.settle(id, &[Outcome::Accepted]).await);
    lost(ledger.settle(id, &[Outcome::Failed { code: "X".to_owned(), message: String::new() }]).await);
    lost(ledger.forget(id).await);
    lost(ledger.set_mark(&scope, "s", Some(&mark)).await);
    lost(crate::ledger::Replacements::write_step(&ledger, "t", &step).await);
    assert_eq!(other.runs(9).await.unwrap(), runs);
    assert_eq!(other.open_batches(&scope).await.unwrap(), open);
    assert!(is_lost_within(&old, Duration::from_secs(6)).await);
    assert!(!is_lost_within(&new, Duration::ZERO).await);

    other.settle(id, &[Outcome::Accepted]).await.unwrap();
    lost(ledger.compact(Compaction::Now, Index::new()).await.map(drop));
    old.release().await;
    assert!(
        matches!(database.lock(Part::ALL, SHORT).await, Err(LedgerError::Held { .. })),
        "the old one's end is no end"
    );
    new.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_taken_in_the_middle_of_a_write() {
    if left_out() {
        return;
    }
    let database = Database::new();
    let old = database.lock(Part::ALL, Duration::from_secs(60)).await.unwrap();
    let ledger = database.open_with(&old).await;
    let run = ledger.begin_run(start()).await.unwrap();

    // Given: a write that has checked its lease, which is over a moment later.
    let mut write = ledger.begin().await.unwrap();
    database.end_lease();
    let taking = tokio::spawn({
        let database = database.clone();
        async move { database.lock(Part::ALL, Duration::from_secs(60)).await }
    });
    database.wait_for_lock().await;
    assert!(!taking.is_finished(), "it was taken although its owner writes");
    sqlx::query("UPDATE stigg_import.run SET exit = 7").execute(&mut *write).await.unwrap();
    ledger.commit(write).await.unwrap();

    // Then: whoever takes it sees that write, and no other comes after.
    let new = taking.await.unwrap().unwrap();
    let exit: i32 =
        sqlx::query_scalar("SELECT exit FROM stigg_import.run").fetch_one(&ledger.server.pool).await.unwrap();
    assert_eq!(exit, 7);
    assert!(matches!(ledger.forget(BatchId(run.0)).await, Err(LedgerError::LeaseLost { .. })));
    std::mem::forget(old);
    new.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_are_made_again_and_a_server_that_is_gone_is_noticed_in_time() {
    if left_out() {
        return;
    }
    let server = Server::start(Engine::Postgres);
    let database = Database::on(&server);
    let length = Duration::from_secs(2);
    let lock = database.lock(Part::ALL, length).await.unwrap();
    for _ in 0..10 {
        server.run_sql(
            &database.name,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL",
        );
        assert!(!is_lost_within(&lock, length / 5).await);
    }

    server.kill();

    let begin = std::time::Instant::now();
    assert!(is_lost_within(&lock, 2 * length).await);
    assert!(begin.elapsed() <= length + Duration::from_millis(100), "{:?}", begin.elapsed());
}
