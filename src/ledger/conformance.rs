//! What every ledger does. Each implementation runs this suite.

pub(crate) mod replacements;
mod sketches;

use std::future::Future;
use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::batch::{BatchLimits, Builder};
use crate::record::{Origin, Place};

pub(crate) fn scope() -> Scope {
    Scope { target: "https://api.example/graphql".to_owned(), entity: Entity::Customer }
}

/// A batch of records, each a key and its content. They have no fields.
pub(crate) fn batch(records: &[(&str, u64)]) -> Batch {
    batch_of(records, |_, _| "{}".to_owned())
}

/// The same, with a field for the key and one for the content.
pub(crate) fn batch_with_fields(records: &[(&str, u64)]) -> Batch {
    batch_of(records, |key, content| format!("{{\"customerId\":\"{key}\",\"name\":\"{content}\"}}"))
}

/// The sketches of some keys; asks also for one that nobody knows.
pub(crate) async fn sketches(ledger: &dyn Ledger, keys: &[&str]) -> HashMap<KeyHash, Sketch> {
    let wanted = keys.iter().chain(&["nobody"]).map(|key| KeyHash::of(key)).collect();
    ledger.sketches(&scope(), &wanted).await.unwrap()
}

fn batch_of(records: &[(&str, u64)], json_of: impl Fn(&str, u64) -> String) -> Batch {
    let limits = BatchLimits { records_max: records.len() + 1, body_bytes_max: usize::MAX };
    let mut builder = Builder::new(Entity::Customer, limits);
    for (key, content) in records {
        let json = json_of(key, *content);
        let origin = Origin::total(Place { source: "a".into(), record: 1, line: 1 }, 1, vec![1]);
        builder.push(json.as_bytes(), key, KeyHash::of(key), Fingerprint(*content), origin).expect("fits");
    }
    builder.finish().expect("has records")
}

pub(crate) fn start() -> RunStart {
    let started_at = "2026-05-01T12:00:00.123Z".parse().expect("an instant");
    RunStart { identity: "pipeline.toml".to_owned(), started_at, arguments_json: "[\"run\"]".to_owned() }
}

/// Tells `tests/reliability.sh`, which asks for it, how often something was done.
pub(crate) fn counted(times: u32, what: &str) {
    if std::env::var_os("STIGG_IMPORT_COUNTED").is_some() {
        let _ = writeln!(std::io::stderr(), "counted: {times} {what}");
    }
}

fn failed(code: &str) -> Outcome {
    Outcome::Failed { code: code.to_owned(), message: "no plan for ada@example.com".to_owned() }
}

fn unknown() -> Outcome {
    Outcome::Open { reason: "timed out".to_owned() }
}

/// Runs every promise against ledgers of `empty`; each store is opened as often as the promise needs.
pub(crate) async fn suite<S, F, Fut>(empty: impl Fn() -> S, open: F)
where
    F: Fn(&S) -> Fut,
    Fut: Future<Output = Box<dyn Ledger>>,
{
    macro_rules! promises {
        ($($promise:ident),* $(,)?) => {$(
            let store = empty();
            $promise(async || open(&store).await).await;
        )*};
    }
    promises!(
        only_accepted_content_is_known,
        an_open_batch_is_known_to_the_next_run_with_its_keys,
        a_partly_settled_batch_keeps_the_rest_open,
        what_was_settled_first_stays,
        the_batch_opened_last_decides,
        an_outcome_that_is_never_known_takes_away_what_was_known,
        a_batch_whose_records_were_sent_again_closes,
        a_killed_run_stays_unfinished,
        old_runs_are_forgotten_and_what_they_delivered_is_not,
        scopes_do_not_see_each_other,
        a_key_has_a_history,
        mistakes_are_named_and_change_nothing,
        a_mark_belongs_to_its_scope_and_step_and_the_last_stays,
        overlapping_calls_each_get_their_own_batches,
    );
    sketches::suite(empty, open).await;
}

/// An index that another run has filled: nothing of it may stay.
fn used_index() -> Index {
    let mut index = Index::new();
    for id in ["ada", "bob", "of another run"] {
        index.put(KeyHash::of(id), Fingerprint(1), 1);
    }
    index
}

async fn fingerprint(ledger: &dyn Ledger, key: &str) -> Option<u64> {
    ledger.load_index(&scope()).await.unwrap().known_fingerprints().get(&KeyHash::of(key)).map(|print| print.0)
}

async fn open_one(ledger: &dyn Ledger, run: RunId, records: &[(&str, u64)]) -> BatchId {
    ledger.open(run, "customers", &scope(), &[&batch(records)]).await.unwrap()[0]
}

async fn only_accepted_content_is_known(reopen: impl AsyncFn() -> Box<dyn Ledger>) {
    let ledger = reopen().await;
    let run = ledger.begin_run(start()).await.unwrap();
    let id = open_one(&*ledger, run, &[("ada", 1), ("bob", 2), ("eve", 3)]).await;
    assert_eq!(fingerprint(&*ledger, "ada").await, None, "sent is not delivered");

    ledger.settle(id, &[Outcome::Accepted, failed("PlanNotFound"), Outcome::Accepted]).await.unwrap();

    ledger.close().await.unwrap();
    let ledger = reopen().await;
    assert_eq!(fingerprint(&*ledger, "ada").await, Some(1));
    assert_eq!(fingerprint(&*ledger, "bob").await, None, "a refused record is sent again");
    let counts = Counts { known_records: 2, open_batches: 0, open_records: 0 };
    assert_eq!(ledger.counts(&scope()).await.unwrap(), counts);
}

async fn an_open_batch_is_known_to_the_next_run_with_its_keys(reopen: impl AsyncFn() -> Box<dyn Ledger>) {
    let ledger = reopen().await;
    let run = ledger.begin_run(start()).await.unwrap();
    let first = open_one(&*ledger, run, &[("ada", 1)]).await;
    ledger.settle(first, &[Outcome::Accepted]).await.unwrap();
    let id = open_one(&*ledger, run, &[("ada", 2), ("zoë\u{1f}x", 3)]).await;
    ledger.note_task(id, "task-1").await.unwrap();
    drop(ledger); // not closed: killed

    let ledger = reopen().await;
    let open = ledger.open_batches(&scope()).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].id, open[0].run, open[0].step.as_str(), open[0].len), (id, run, "customers", 2));
    assert_eq!(open[0].task.as_deref(), Some("task-1"));
    let item = |position, key: &str, content| OpenItem {
        position,
        key: key.to_owned(),
        hash: KeyHash::of(key),
        fingerprint: Fingerprint(content),
    };
    assert_eq!(open[0].items, [item(0, "ada", 2), item(1, "zoë\u{1f}x", 3)]);
    let mut index = ledger.load_index(&scope()).await.unwrap();
    assert_eq!(index.see(KeyHash::of("ada"), Fingerprint(1), 1), Seen::Changed, "either content may be there");
    assert_eq!(index.see(KeyHash::of("zoë\u{1f}x"), Fingerprint(3), 2), Seen::New);
}

async fn a_mark_belongs_to_its_scope_and_step_and_the_last_stays(reopen: impl AsyncFn() -> Box<dyn Ledger>) {
    let mark = |identity: &str, value: &str| StepMark { identity: identity.to_owned(), value: value.to_owned() };
    let ledger = reopen().await;
    assert_eq!(ledger.mark(&scope(), "customers").await.unwrap(), None);

    ledger.set_mark(&scope(), "customers", Some(&mark("a", "2026-05-01"))).await.unwrap();
    ledger.set_mark(&scope(), "customers", Some(&mark("b", "2026-04-01"))).await.unwrap();
    drop(ledger); // not closed: killed

    let ledger = reopen().await;
    assert_eq!(ledger.mark(&scope(), "customers").await.unwrap(), Some(mark("b", "2026-04-01")));
    assert_eq!(ledger.mark(&scope(), "others").await.unwrap(), None);
    let elsewhere = Scope { target: "https://other.example/graphql".to_owned(), ..scope() };
    assert_eq!(ledger.mark(&elsewhere, "customers").await.unwrap(), None);
    ledger.set_mark(&scope(), "customers", None).await.unwrap();
    assert_eq!(ledger.mark(&scope(), "customers").await.unwrap(), None);
}

async fn a_partly_settled_batch_keeps_the_rest_open(reopen: impl AsyncFn() -> Box<dyn Ledger>) {
    let ledger = reopen().await;
    let run = ledger.begin_run(start()).await.unwrap();
    let id = open_one(&*ledger, run, &[("ada", 1), ("bob", 2), ("eve", 3), ("fay", 4)]).await;
    ledger.settle(id, &[Outcome::Accepted, unknown(), failed("A"), unknown()]).await.unwrap();
    drop(ledger);

    let ledger = reopen().await;
    let open = ledger.open_batches(&scope()).await.unwrap();
    assert_eq!(open[0].items.iter().map(|item| item.key.as_str()).collect::<Vec<_>>(), ["bob", "fay"]);
    assert_eq!(fingerprint(&*ledger, "ada").await, Some(1));

    let outcomes = open[0].outcomes(|item| if item.key == "bob" { Outcome::Accepted } else { failed("B") });
    ledger.settle(id, &outcomes).await.unwrap();
    assert!(ledger.open_batches(&scope()).await.unwrap().is_empty());
    assert_eq!(fingerprint(&*ledger, "bob").await, Some(2));
    for (key, code) in [("eve", "A"), ("fay", "B")] {
        let events = ledger.history(&scope(), KeyHash::of(key)).await.unwrap();
        assert_eq!(events[0].fate, Fate::Failed { code: code.to_owned() });
    }
}

async fn what_was_settled_first_stays(reopen: impl AsyncFn() -> Box<dyn Ledger>) {
    let ledger = reopen().await;
    let run = ledger.begin_run(start()).await.unwrap();
    let id = open_one(&*ledger, run, &[("ada", 1), ("bob", 2)]).await;
    ledger.settle(id, &[failed("A"), unknown()]).await.unwrap();
    ledger.settle(id, &[Outcome::Accepted, Outcome::Accepted]).await.unwrap();
    ledger.settle(id, &[Outcome::Accepted, failed("B")]).await.unwrap();
    assert_eq!(fingerprint(&*ledger, "ada").await, None);
    assert_eq!(fingerprint(&*ledger, "bob").await, Some(2));
}

async fn the_batch_opened_last_decides(reopen: impl AsyncFn() -> Box<dyn Ledger>) {
    let ledger = reopen().await;
    let run = ledger.begin_run(start()).await.unwrap();
    let old = open_one(&*ledger, run, &[("ada", 1), ("bob", 1)]).await;
    let new = open_one(&*ledger, run, &[("ada", 2), ("bob", 2)]).await;
    ledger.settle(new, &[Outcome::Accepted, failed("A")]).await.unwrap();
    assert_eq!(fingerprint(&*ledger, "ada").await, Some(2), "the older open batch is no doubt");
    ledger.settle(old, &[Outcome::Accepted, Outcome::Accepted]).await.unwrap();
    for _ in 0..2 {
        assert_eq!(fingerprint(&*ledger, "ada").await, Some(2));
        assert_eq!(fingerprint(&*ledger, "bob").await, Some(1), "a refusal changes nothing");
        ledger.compact(Compaction::Now, used_index()).await.unwrap();
    }
}

async fn an_outcome_that_is_never_known_takes_away_what_was_known(reopen: impl AsyncFn() -> Box<dyn Ledger>) {
    let ledger = reopen().await;
    let run = ledger.begin_run(start()).await.unwrap();
    let first = open_one(&*ledger, run, &[("ada", 1), ("bob", 1)]).await;
    ledger.settle(first, &[Outcome::Accepted, Outcome::Accepted]).await.unwrap();
    let lost = open_one(&*ledger, run, &[("ada", 2)]).await;
    ledger.forget(lost).await.unwrap();
    for _ in 0..2 {
        assert!(ledger.open_batches(&scope()).await.unwrap().is_empty());
        assert_eq!(fingerprint(&*ledger, "ada").await, None);
        assert_eq!(fingerprint(&*ledger, "bob").await, Some(1));
        ledger.compact(Compaction::Now, used_index()).await.unwrap();
    }
}

async fn a_batch_whose_records_were_sent_again_closes(reopen: impl AsyncFn() -> Box<dyn Ledger>) {
    let ledger = reopen().await;
    let run = ledger.begin_run(start()).await.unwrap();
    let lost = open_one(&*ledger, run, &[("ada", 1), ("bob", 1)]).await;
    let gone = open_one(&*ledger, run, &[("eve", 1), ("fay", 1)]).await;
    let again = open_one(&*ledger, run, &[("ada", 1), ("bob", 2), ("eve", 2)]).await;
    assert_eq!(ledger.close_superseded(&scope()).await.unwrap(), 0, "nothing of the new batch is settled");
    ledger.settle(again, &[Outcome::Accepted, failed("A"), Outcome::Accepted]).await.unwrap();

    assert_eq!(ledger.close_superseded(&scope()).await.unwrap(), 1);

    drop(ledger);
    let ledger = reopen().await;
    let open = ledger.open_batches(&scope()).await.unwrap();
    assert_eq!(open.iter().map(|batch| batch.id).collect::<Vec<_>>(), [gone], "{lost} is closed");
    assert_eq!(open[0].items.iter().map(|item| item.key.as_str()).collect::<Vec<_>>(), ["fay"]);
    assert_eq!(fingerprint(&*ledger, "ada").await, Some(1));
    assert_eq!(fingerprint(&*ledger, "bob").await, None);
    assert_eq!(fingerprint(&*ledger, "eve").await, Some(2));
}

async fn a_killed_run_stays_unfinished(reopen: impl AsyncFn() -> Box<dyn Ledger>) {
    let ledger = reopen().await;
    let killed = ledger.begin_run(start()).await.unwrap();
    drop(ledger);
    let ledger = reopen().await;
    let run = ledger.begin_run(start()).await.unwrap();
    let finished_at = "2026-05-01T12:00:09.5Z".parse().unwrap();
    let finish = RunFinish { finished_at, exit: 3, summary_json: "{\"ok\":true}".to_owned() };
    ledger.finish_run(run, finish.clone()).await.unwrap();

    let runs = ledger.runs(10).await.unwrap();
    let expected = [
        RunInfo { id: run, start: start(), finish: Some(finish) },
        RunInfo { id: killed, start: start(), finish: None },
    ];
    assert_eq!(runs, expected);
    assert_eq!(ledger.runs(1).await.unwrap(), expected[..1]);
    assert_eq!(ledger.run(killed).await.unwrap().as_ref(), Some(&expected[1]));
    assert_eq!(ledger.run(RunId(99)).await.unwrap(), None);
}

async fn old_runs_are_forgotten_and_what_they_delivered_is_not(reopen: impl AsyncFn() -> Box<dyn Ledger>) {
    let ledger = reopen().await;
    let at = |hour: i64| start().started_at + jiff::SignedDuration::from_hours(hour);
    let run = async |hour: i64, ended: Option<i64>| {
        let run = ledger.begin_run(RunStart { started_at: at(hour), ..start() }).await.unwrap();
        if let Some(ended) = ended {
            let finish = RunFinish { finished_at: at(ended), exit: 3, summary_json: "{\"ok\":true}".to_owned() };
            ledger.finish_run(run, finish).await.unwrap();
        }
        run
    };
    // Given: an old run that delivered something and left something open, one that did nothing, one that was killed, one
    // that began early and ended late, and the last.
    let delivered = run(0, Some(1)).await;
    let known = open_one(&*ledger, delivered, &[("ada", 1), ("bob", 1)]).await;
    ledger.settle(known, &[Outcome::Accepted, unknown()]).await.unwrap();
    let idle = run(2, Some(3)).await;
    let killed = run(4, None).await;
    let long = run(5, Some(30)).await;
    let last = run(6, Some(7)).await;
    // When
    assert_eq!(ledger.prune(at(1)).await.unwrap(), 0, "none ended before");
    assert_eq!(ledger.prune(at(24)).await.unwrap(), 2);
    // Then
    let ledger = reopen().await;
    let runs = ledger.runs(10).await.unwrap();
    assert_eq!(
        runs.iter().map(|run| run.id).collect::<Vec<_>>(),
        [last, long, delivered],
        "{idle} and {killed} are gone"
    );
    let emptied = &runs[2];
    assert_eq!(emptied.start.arguments_json, "{}");
    let finish = RunFinish { finished_at: at(1), exit: 3, summary_json: "{}".to_owned() };
    assert_eq!(emptied.finish.as_ref(), Some(&finish));
    assert_eq!(runs[1].start.arguments_json, start().arguments_json);
    assert_eq!(fingerprint(&*ledger, "ada").await, Some(1));
    assert_eq!(ledger.open_batches(&scope()).await.unwrap().len(), 1);
    assert_eq!(ledger.prune(at(1_000)).await.unwrap(), 1, "all but the last, and the one that has a batch");
    assert_eq!(ledger.begin_run(start()).await.unwrap(), RunId(last.0 + 1), "numbers are not used again");
}

async fn scopes_do_not_see_each_other(reopen: impl AsyncFn() -> Box<dyn Ledger>) {
    let ledger = reopen().await;
    let run = ledger.begin_run(start()).await.unwrap();
    let other = Scope { target: "https://other.example".to_owned(), entity: Entity::Customer };
    let id = ledger.open(run, "customers", &other, &[&batch(&[("ada", 1)])]).await.unwrap()[0];
    open_one(&*ledger, run, &[("bob", 1)]).await;
    ledger.settle(id, &[Outcome::Accepted]).await.unwrap();
    assert_eq!(fingerprint(&*ledger, "ada").await, None);
    assert!(ledger.open_batches(&other).await.unwrap().is_empty());
    assert_eq!(ledger.scopes().await.unwrap(), [scope(), other.clone()]);
    let nothing = Scope { entity: Entity::Usage, ..other };
    assert_eq!(ledger.counts(&nothing).await.unwrap(), Counts::default());
}

async fn a_key_has_a_history(reopen: impl AsyncFn() -> Box<dyn Ledger>) {
    let ledger = reopen().await;
    let run = ledger.begin_run(start()).await.unwrap();
    let first = open_one(&*ledger, run, &[("ada", 1), ("bob", 1)]).await;
    ledger.note_attempt(first, Some("request-1"));
    ledger.note_attempt(first, None);
    ledger.note_task(first, "task-1").await.unwrap();
    ledger.settle(first, &[Outcome::Accepted, Outcome::Accepted]).await.unwrap();
    let second = open_one(&*ledger, run, &[("bob", 2), ("ada", 2)]).await;
    ledger.settle(second, &[Outcome::Accepted, failed("PlanNotFound")]).await.unwrap();
    let third = open_one(&*ledger, run, &[("ada", 3)]).await;

    let events = ledger.history(&scope(), KeyHash::of("ada")).await.unwrap();
    assert_eq!(events.iter().map(|event| event.batch).collect::<Vec<_>>(), [first, second, third]);
    assert_eq!(events.iter().map(|event| event.fingerprint.0).collect::<Vec<_>>(), [1, 2, 3]);
    let fates: Vec<_> = events.iter().map(|event| event.fate.clone()).collect();
    assert_eq!(fates, [Fate::Accepted, Fate::Failed { code: "PlanNotFound".to_owned() }, Fate::Open]);
    assert_eq!((events[0].attempts, events[0].request_id.as_deref()), (2, Some("request-1")));
    assert_eq!(events[0].task.as_deref(), Some("task-1"));
    assert!(events[0].settled_at.is_some() && events[2].settled_at.is_none());

    ledger.settle(third, &[Outcome::Accepted]).await.unwrap();
    let next_run = ledger.begin_run(start()).await.unwrap();
    let fourth = open_one(&*ledger, next_run, &[("eve", 1)]).await;
    ledger.settle(fourth, &[Outcome::Accepted]).await.unwrap();
    ledger.compact(Compaction::Now, used_index()).await.unwrap();
    let events = ledger.history(&scope(), KeyHash::of("ada")).await.unwrap();
    let last = events.last().unwrap();
    assert_eq!((last.batch, last.run, last.fate.clone()), (third, run, Fate::Accepted), "survives compaction");
}

async fn mistakes_are_named_and_change_nothing(reopen: impl AsyncFn() -> Box<dyn Ledger>) {
    let ledger = reopen().await;
    let run = ledger.begin_run(start()).await.unwrap();
    let id = open_one(&*ledger, run, &[("ada", 1), ("bob", 1)]).await;
    let none = BatchId(99);
    assert!(matches!(ledger.settle(none, &[]).await, Err(LedgerError::NoSuchBatch(batch)) if batch == none));
    assert!(matches!(ledger.note_task(none, "t").await, Err(LedgerError::NoSuchBatch(_))));
    assert!(matches!(ledger.forget(none).await, Err(LedgerError::NoSuchBatch(_))));
    let error = ledger.settle(id, &[Outcome::Accepted]).await.unwrap_err();
    assert!(matches!(error, LedgerError::OutcomesMismatch { expected: 2, found: 1, .. }), "{error}");
    let finish = RunFinish { finished_at: start().started_at, exit: 0, summary_json: String::new() };
    assert!(matches!(ledger.finish_run(RunId(99), finish).await, Err(LedgerError::NoSuchRun(_))));
    assert_eq!(ledger.open_batches(&scope()).await.unwrap()[0].items.len(), 2);
}

async fn overlapping_calls_each_get_their_own_batches(reopen: impl AsyncFn() -> Box<dyn Ledger>) {
    let ledger = reopen().await;
    let run = ledger.begin_run(start()).await.unwrap();
    let scope = scope();
    let one = async |number: u64| {
        let key = number.to_string();
        let (a, b) = (batch(&[(&key, number)]), batch(&[(&format!("{key}b"), number)]));
        let ids = ledger.open(run, "customers", &scope, &[&a, &b]).await.unwrap();
        assert!(ids[0] < ids[1]);
        ledger.settle(ids[0], &[Outcome::Accepted]).await.unwrap();
        if number.is_multiple_of(2) {
            ledger.settle(ids[1], &[Outcome::Accepted]).await.unwrap();
        }
    };
    futures::future::join_all((0..70).map(one)).await;

    let known = ledger.load_index(&scope).await.unwrap().known_fingerprints();
    assert_eq!(known.len(), 70 + 35);
    assert!((0..70).all(|number| known[&KeyHash::of(&number.to_string())] == Fingerprint(number)));
    let open = ledger.open_batches(&scope).await.unwrap();
    let expected: Vec<String> = (0..70).filter(|number| number % 2 == 1).map(|number| format!("{number}b")).collect();
    let mut keys: Vec<&str> = open.iter().map(|batch| batch.items[0].key.as_str()).collect();
    keys.sort_by_key(|key| key.len() * 100 + key[..key.len() - 1].parse::<usize>().unwrap());
    assert_eq!(keys, expected);
}

/// A step of a random life of a ledger.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Opens a batch of these keys with this content.
    Open(Vec<u8>, u64),
    /// Settles an open batch: per record 0 open, 1 accepted, 2 failed.
    Settle(prop::sample::Index, Vec<u8>),
    Forget(prop::sample::Index),
    CloseSuperseded,
    NextRun,
    Compact,
    Reopen,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (prop::collection::btree_set(0u8..12, 1..6), 0u64..3)
            .prop_map(|(keys, content)| Step::Open(keys.into_iter().collect(), content)),
        6 => (any::<prop::sample::Index>(), prop::collection::vec(0u8..3, 6)).prop_map(|(at, fates)| Step::Settle(at, fates)),
        3 => any::<prop::sample::Index>().prop_map(|at| Step::Settle(at, vec![1; 6])),
        1 => any::<prop::sample::Index>().prop_map(Step::Forget),
        1 => Just(Step::CloseSuperseded),
        1 => Just(Step::NextRun),
        2 => Just(Step::Compact),
        2 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..40)
}

/// Takes both ledgers through the same life; they know the same at every moment.
pub(crate) async fn same_life<Fut>(steps: Vec<Step>, model: MemoryLedger, reopen: impl Fn() -> Fut)
where
    Fut: Future<Output = Box<dyn Ledger>>,
{
    let (mut ledger, scope) = (reopen().await, scope());
    let mut run = model.begin_run(start()).await.unwrap();
    assert_eq!(ledger.begin_run(start()).await.unwrap(), run);
    for step in steps {
        let open = model.open_batches(&scope).await.unwrap();
        match step {
            Step::Open(keys, content) => {
                let names: Vec<String> = keys.iter().map(u8::to_string).collect();
                let batch = batch_with_fields(&names.iter().map(|name| (name.as_str(), content)).collect::<Vec<_>>());
                let ids = model.open(run, "s", &scope, &[&batch]).await.unwrap();
                assert_eq!(ledger.open(run, "s", &scope, &[&batch]).await.unwrap(), ids);
            }
            Step::Settle(at, fates) if !open.is_empty() => {
                let batch = at.get(&open);
                let outcomes: Vec<Outcome> = (0..batch.len as usize)
                    .map(|position| match fates[position] {
                        0 => unknown(),
                        1 => Outcome::Accepted,
                        _ => failed("A"),
                    })
                    .collect();
                model.settle(batch.id, &outcomes).await.unwrap();
                ledger.settle(batch.id, &outcomes).await.unwrap();
            }
            Step::Forget(at) if !open.is_empty() => {
                let batch = at.get(&open);
                model.forget(batch.id).await.unwrap();
                ledger.forget(batch.id).await.unwrap();
            }
            Step::Settle(..) | Step::Forget(_) => {}
            Step::CloseSuperseded => {
                let closed = model.close_superseded(&scope).await.unwrap();
                assert_eq!(ledger.close_superseded(&scope).await.unwrap(), closed);
            }
            Step::NextRun => {
                run = model.begin_run(start()).await.unwrap();
                assert_eq!(ledger.begin_run(start()).await.unwrap(), run);
            }
            Step::Compact => drop(ledger.compact(Compaction::Now, used_index()).await.unwrap()),
            Step::Reopen => {
                drop(ledger);
                ledger = reopen().await;
            }
        }
        let known = model.load_index(&scope).await.unwrap().known_fingerprints();
        assert_eq!(ledger.load_index(&scope).await.unwrap().known_fingerprints(), known);
        let keys: HashSet<KeyHash> = (0u8..12).map(|key| KeyHash::of(&key.to_string())).collect();
        let sketches = ledger.sketches(&scope, &keys).await.unwrap();
        assert_eq!(sketches, model.sketches(&scope, &keys).await.unwrap());
        assert_eq!(sketches.len(), known.len(), "of all that is known, and of nothing else");
        for since in [RunId(1), run, RunId(run.0 + 1)] {
            let known = model.delivered_since(&scope, since).await.unwrap().known_fingerprints();
            assert_eq!(ledger.delivered_since(&scope, since).await.unwrap().known_fingerprints(), known);
        }
        assert_eq!(ledger.open_batches(&scope).await.unwrap(), model.open_batches(&scope).await.unwrap());
        assert_eq!(ledger.counts(&scope).await.unwrap(), model.counts(&scope).await.unwrap());
    }
}
