//! What every ledger knows of the fields that were delivered.

use super::*;

/// Runs every promise against ledgers of `empty`; each store is opened as often as the promise needs.
pub(super) async fn suite<S, F, Fut>(empty: impl Fn() -> S, open: F)
where
    F: Fn(&S) -> Fut,
    Fut: Future<Output = Box<dyn Ledger>>,
{
    let store = empty();
    the_content_that_was_accepted_last_has_a_sketch(async || open(&store).await).await;
    let store = empty();
    a_key_in_doubt_has_none(async || open(&store).await).await;
    let store = empty();
    usage_has_none(async || open(&store).await).await;
}

async fn open_fields(ledger: &dyn Ledger, run: RunId, records: &[(&str, u64)]) -> BatchId {
    ledger.open(run, "customers", &scope(), &[&batch_with_fields(records)]).await.unwrap()[0]
}

/// The contents that some keys are known to have; none for those without a sketch.
async fn contents(ledger: &dyn Ledger, keys: &[&str]) -> Vec<Option<u64>> {
    let found = sketches(ledger, keys).await;
    let content = |key: &&str| {
        let sketch = found.get(&KeyHash::of(key))?;
        let of =
            |content| Sketch::of(format!("{{\"customerId\":\"{key}\",\"name\":\"{content}\"}}").as_bytes()).unwrap();
        Some((0..9).find(|content| of(*content) == *sketch).expect("was delivered"))
    };
    let contents = keys.iter().map(content).collect();
    assert!(found.keys().all(|found| keys.iter().any(|key| KeyHash::of(key) == *found)), "nothing else was asked for");
    contents
}

async fn the_content_that_was_accepted_last_has_a_sketch(reopen: impl AsyncFn() -> Box<dyn Ledger>) {
    let ledger = reopen().await;
    let run = ledger.begin_run(start()).await.unwrap();
    let first = open_fields(&*ledger, run, &[("ada", 1), ("bob", 1), ("eve", 1), ("fay", 1)]).await;
    assert_eq!(contents(&*ledger, &["ada", "bob"]).await, [None, None], "sent is not delivered");
    ledger.settle(first, &vec![Outcome::Accepted; 4]).await.unwrap();
    let second = open_fields(&*ledger, run, &[("bob", 2), ("ada", 2), ("gus", 2)]).await;
    ledger.settle(second, &[failed("A"), Outcome::Accepted, failed("A")]).await.unwrap();
    let run = ledger.begin_run(start()).await.unwrap();
    let third = open_fields(&*ledger, run, &[("eve", 3)]).await;
    ledger.settle(third, &[Outcome::Accepted]).await.unwrap();
    // One that has no fields, after one that had.
    let bare = open_one(&*ledger, run, &[("fay", 4)]).await;
    ledger.settle(bare, &[Outcome::Accepted]).await.unwrap();
    let keys = ["ada", "bob", "eve", "fay", "gus"];
    let expected = [Some(2), Some(1), Some(3), None, None];
    for round in 0..3 {
        assert_eq!(contents(&*ledger, &keys).await, expected, "round {round}");
        assert_eq!(contents(&*ledger, &["eve"]).await, [Some(3)]);
        ledger.compact(Compaction::Now, used_index()).await.unwrap();
    }
    ledger.close().await.unwrap();
    let ledger = reopen().await;
    assert_eq!(contents(&*ledger, &keys).await, expected);
    // After segments come batches.
    let run = ledger.begin_run(start()).await.unwrap();
    let fourth = open_fields(&*ledger, run, &[("ada", 5)]).await;
    ledger.settle(fourth, &[Outcome::Accepted]).await.unwrap();
    assert_eq!(contents(&*ledger, &keys).await[..2], [Some(5), Some(1)]);
    let other = Scope { target: "https://other.example".to_owned(), ..scope() };
    let found = ledger.sketches(&other, &[KeyHash::of("ada")].into()).await.unwrap();
    assert!(found.is_empty(), "of another target");
}

async fn a_key_in_doubt_has_none(reopen: impl AsyncFn() -> Box<dyn Ledger>) {
    let ledger = reopen().await;
    let run = ledger.begin_run(start()).await.unwrap();
    let first = open_fields(&*ledger, run, &[("ada", 1), ("bob", 1), ("eve", 1)]).await;
    ledger.settle(first, &vec![Outcome::Accepted; 3]).await.unwrap();
    let lost = open_fields(&*ledger, run, &[("ada", 2), ("bob", 2)]).await;
    ledger.settle(lost, &[Outcome::Accepted, unknown()]).await.unwrap();
    drop(ledger); // not closed: killed
    let ledger = reopen().await;
    assert_eq!(contents(&*ledger, &["ada", "bob", "eve"]).await, [Some(2), None, Some(1)]);
    ledger.forget(lost).await.unwrap();
    for _ in 0..2 {
        assert_eq!(contents(&*ledger, &["ada", "bob", "eve"]).await, [Some(2), None, Some(1)]);
        ledger.compact(Compaction::Now, used_index()).await.unwrap();
    }
    let again = open_fields(&*ledger, run, &[("bob", 3)]).await;
    ledger.settle(again, &[Outcome::Accepted]).await.unwrap();
    assert_eq!(contents(&*ledger, &["bob"]).await, [Some(3)], "the doubt has an end");
}

async fn usage_has_none(reopen: impl AsyncFn() -> Box<dyn Ledger>) {
    let ledger = reopen().await;
    let run = ledger.begin_run(start()).await.unwrap();
    let scope = Scope { entity: Entity::Usage, ..scope() };
    let batch = Batch { entity: Entity::Usage, ..batch_with_fields(&[("ada", 1)]) };
    let id = ledger.open(run, "usage", &scope, &[&batch]).await.unwrap()[0];
    ledger.settle(id, &[Outcome::Accepted]).await.unwrap();
    assert_eq!(ledger.load_index(&scope).await.unwrap().known(), 1);
    assert!(ledger.sketches(&scope, &[KeyHash::of("ada")].into()).await.unwrap().is_empty());
}
