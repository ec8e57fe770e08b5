//! Several that write at once.

use super::*;
use crate::ledger::conformance::{batch, scope, start};

#[tokio::test(flavor = "multi_thread")]
async fn writers_at_once_get_ids_of_their_own_and_settle_a_batch_once() {
    if left_out() {
        return;
    }
    // Given: no tables yet, and several that find that out at the same time, often enough that they are really at once.
    for _ in 0..5 {
        let database = Database::new();
        futures::future::join_all((0..8).map(|_| database.open())).await;
    }
    let database = Database::new();
    let ledgers = futures::future::join_all((0..4).map(|_| database.open())).await;
    let runs = futures::future::join_all(ledgers.iter().map(|ledger| ledger.begin_run(start()))).await;
    let mut runs: Vec<RunId> = runs.into_iter().map(Result::unwrap).collect();
    let scope = scope();
    let opening = ledgers.iter().zip(&runs).flat_map(|(ledger, run)| {
        let scope = &scope;
        (0..20).map(move |round| async move {
            let batch = batch(&[(&format!("{run}-{round}"), round), (&format!("{run}-{round}b"), round)]);
            ledger.open(*run, "s", scope, &[&batch]).await.unwrap()[0]
        })
    });
    let ids = futures::future::join_all(opening).await;
    runs.sort_unstable();
    runs.dedup();
    assert_eq!(runs.len(), 4);
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 80);

    // When: all settle all batches, with outcomes that contradict each other, while two compact.
    let refused = Outcome::Failed { code: "X".to_owned(), message: String::new() };
    let unknown = Outcome::Open { reason: String::new() };
    let words = [
        [Outcome::Accepted, Outcome::Accepted],
        [refused.clone(), Outcome::Accepted],
        [unknown.clone(), refused.clone()],
        [refused, unknown],
    ];
    let settling = ledgers.iter().zip(&words).flat_map(|(ledger, outcomes)| {
        ids.iter().map(move |id| async move { ledger.settle(*id, outcomes).await.unwrap() })
    });
    let compacting = ledgers[..2].iter().map(|ledger| async {
        for _ in 0..3 {
            ledger.compact(Compaction::Now, Index::new()).await.unwrap();
        }
    });
    tokio::join!(futures::future::join_all(settling), futures::future::join_all(compacting));

    // Then: every record has one outcome.
    assert!(ledgers[0].open_batches(&scope).await.unwrap().is_empty());
    let known = known(&ledgers[0]).await;
    for (id, number) in ids.iter().zip(0..) {
        let (run, round) = (runs[number / 20], number % 20);
        for key in [format!("{run}-{round}"), format!("{run}-{round}b")] {
            let events = ledgers[1].history(&scope, KeyHash::of(&key)).await.unwrap();
            let accepted = events.iter().any(|event| event.fate == crate::ledger::Fate::Accepted);
            assert_eq!(known.contains_key(&KeyHash::of(&key)), accepted, "{key} in {id}");
            assert!(events.len() <= 1, "{events:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_settle_a_half_each_settle_the_whole() {
    if left_out() {
        return;
    }
    let database = Database::new();
    let (one, other) = (database.open().await, database.open().await);
    let run = one.begin_run(start()).await.unwrap();
    let unknown = || Outcome::Open { reason: String::new() };
    let (first, second) = ([Outcome::Accepted, unknown()], [unknown(), Outcome::Accepted]);
    for round in 0..60 {
        let (a, b) = (format!("{round}-a"), format!("{round}-b"));
        let id = one.open(run, "s", &scope(), &[&batch(&[(&a, 1), (&b, 1)])]).await.unwrap()[0];
        let (settled, also) = tokio::join!(one.settle(id, &first), other.settle(id, &second));
        settled.and(also).unwrap();
    }
    assert_eq!(one.open_batches(&scope()).await.unwrap(), []);
    assert_eq!(known(&one).await.len(), 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_just_being_opened_is_not_merged_away() {
    if left_out() {
        return;
    }
    // Given: a batch that is in the middle of being opened, and others around it that are settled.
    let database = Database::new();
    let ledger = Arc::new(database.open().await);
    let run = ledger.begin_run(start()).await.unwrap();
    let settle = async |key: &str| {
        let id = ledger.open(run, "s", &scope(), &[&batch(&[(key, 1)])]).await.unwrap()[0];
        ledger.settle(id, &[Outcome::Accepted]).await.unwrap();
    };
    settle("ada").await;
    let mut opening = ledger.begin().await.unwrap();
    let written = batch(&[("bob", 1)]);
    let (mut items, mut keys) = (Vec::new(), Vec::new());
    crate::ledger::segment::pack(&mut items, &written);
    crate::ledger::segment::pack_batch_keys(&mut keys, &written);
    sqlx::query(
        "WITH new AS (INSERT INTO stigg_import.batch SELECT nextval('stigg_import.batch_id'), scope, run, step, opened_ms, 1, $1
                      FROM stigg_import.batch RETURNING id)
         INSERT INTO stigg_import.open_batch (batch, keys) SELECT id, $2 FROM new",
    )
    .bind(items)
    .bind(keys)
    .execute(&mut *opening)
    .await
    .unwrap();
    settle("eve").await;

    // When
    let compacting = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.compact(Compaction::Now, Index::new()).await.unwrap() }
    });
    database.wait_for_lock().await;
    ledger.commit(opening).await.unwrap();

    // Then: what was opened is open, and only what came before it is merged.
    assert_eq!(compacting.await.unwrap().batches, 1);
    let open = ledger.open_batches(&scope()).await.unwrap();
    assert_eq!(open.iter().map(|batch| batch.items[0].key.as_str()).collect::<Vec<_>>(), ["bob"]);
    assert_eq!(known(&ledger).await.len(), 2);
}
