//! The ledger for a million records: `cargo bench --bench ledger`.
//!
//! Goal: a third of a microsecond a record to open and settle, well under a second to load.

use std::path::Path;
use std::sync::Arc;

use divan::counter::ItemsCount;
use futures::StreamExt as _;
use stigg_import::batch::{Batch, BatchLimits, Builder, Outcome};
use stigg_import::clock::SystemClock;
use stigg_import::entity::Entity;
use stigg_import::ledger::{Access, Compaction, Durability, Index, Ledger, RunId, Scope, SqliteLedger};
use stigg_import::record::{Fingerprint, KeyHash, Origin, Place};

const RECORDS: u64 = 1_000_000;

/// Requests in flight: as many callers share a commit.
const IN_FLIGHT: usize = 32;

fn main() {
    divan::main();
}

fn scope() -> Scope {
    Scope { target: "bench".to_owned(), entity: Entity::Usage }
}

fn key(number: u64) -> String {
    format!("customer-{number}\u{1f}feature-api-calls\u{1f}")
}

fn batches(records_max: usize) -> Vec<Batch> {
    let mut builder = Builder::new(Entity::Usage, BatchLimits { records_max, body_bytes_max: usize::MAX });
    let first = Place { source: "bench".into(), record: 1, line: 1 };
    let mut batches = Vec::new();
    for number in 0..RECORDS {
        let origin = Origin::total(first.clone(), 1, Vec::new());
        let key = key(number);
        let closed = builder.push(b"{}", &key, KeyHash::of(&key), Fingerprint(number), origin);
        batches.extend(closed.expect("fits"));
    }
    batches
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("threads start")
}

async fn open(folder: &Path, durability: Durability) -> SqliteLedger {
    let path = folder.join("ledger.db");
    SqliteLedger::open(&path, Access::Write, durability, Arc::new(SystemClock)).await.expect("opens")
}

async fn deliver(ledger: &SqliteLedger, batches: &[Batch]) {
    let scope = scope();
    let one = async |batch: &Batch| {
        let ids = ledger.open(RunId(1), "usage", &scope, &[batch]).await.expect("opened");
        ledger.settle(ids[0], &vec![Outcome::Accepted; batch.items.len()]).await.expect("settled");
    };
    futures::stream::iter(batches).map(one).buffer_unordered(IN_FLIGHT).collect::<()>().await;
}

#[divan::bench(sample_count = 3, sample_size = 1, args = [
    (100, Durability::ProcessEnd), (100, Durability::PowerLoss),
    (1000, Durability::ProcessEnd), (1000, Durability::PowerLoss),
])]
fn open_and_settle(bencher: divan::Bencher<'_, '_>, (records_max, durability): (usize, Durability)) {
    let (batches, runtime) = (batches(records_max), runtime());
    let ledger = || {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = runtime.block_on(open(folder.path(), durability));
        (folder, ledger)
    };
    bencher.counter(ItemsCount::new(RECORDS)).with_inputs(ledger).bench_refs(|(_, ledger)| {
        runtime.block_on(deliver(ledger, &batches));
    });
}

#[divan::bench(sample_count = 5, sample_size = 1, args = [false, true])]
fn load_index(bencher: divan::Bencher<'_, '_>, compacted: bool) {
    let (folder, runtime) = (tempfile::tempdir().expect("a folder"), runtime());
    let ledger = runtime.block_on(async {
        let ledger = open(folder.path(), Durability::ProcessEnd).await;
        deliver(&ledger, &batches(100)).await;
        if compacted {
            ledger.compact(Compaction::Now, Index::new()).await.expect("compacted");
        }
        ledger
    });
    bencher
        .counter(ItemsCount::new(RECORDS))
        .bench_local(|| runtime.block_on(ledger.load_index(&scope())).expect("loaded").len());
}

/// What a run that was killed leaves, read by the next one: no more than a few batches, and here all.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn read_open_batches(bencher: divan::Bencher<'_, '_>) {
    let (folder, runtime) = (tempfile::tempdir().expect("a folder"), runtime());
    let (scope, batches) = (scope(), batches(100));
    let ledger = runtime.block_on(async {
        let ledger = open(folder.path(), Durability::ProcessEnd).await;
        let open = async |batch: &Batch| drop(ledger.open(RunId(1), "usage", &scope, &[batch]).await.expect("opened"));
        futures::stream::iter(&batches).map(open).buffer_unordered(IN_FLIGHT).collect::<()>().await;
        ledger
    });
    bencher
        .counter(ItemsCount::new(RECORDS))
        .bench_local(|| runtime.block_on(ledger.open_batches(&scope)).expect("read").len());
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn compact(bencher: divan::Bencher<'_, '_>) {
    let (batches, runtime) = (batches(100), runtime());
    let ledger = || {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = runtime.block_on(async {
            let ledger = open(folder.path(), Durability::ProcessEnd).await;
            deliver(&ledger, &batches).await;
            ledger
        });
        (folder, ledger)
    };
    bencher
        .counter(ItemsCount::new(RECORDS))
        .with_inputs(ledger)
        .bench_refs(|(_, ledger)| runtime.block_on(ledger.compact(Compaction::Now, Index::new())).expect("compacted"));
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn see_what_is_unchanged(bencher: divan::Bencher<'_, '_>) {
    let hashes: Vec<KeyHash> = (0..RECORDS).map(|number| KeyHash::of(&key(number))).collect();
    let learned = || {
        let mut index = Index::new();
        for (number, hash) in (0..).zip(&hashes) {
            index.learn(*hash, Fingerprint(number));
        }
        index
    };
    bencher.counter(ItemsCount::new(RECORDS)).with_inputs(learned).bench_local_refs(|index| {
        for (number, hash) in (0u32..).zip(&hashes) {
            divan::black_box(index.see(*hash, Fingerprint(u64::from(number)), number + 1));
        }
    });
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn see_what_is_new(bencher: divan::Bencher<'_, '_>) {
    let hashes: Vec<KeyHash> = (0..RECORDS).map(|number| KeyHash::of(&key(number))).collect();
    bencher.counter(ItemsCount::new(RECORDS)).with_inputs(Index::new).bench_local_refs(|index| {
        for (number, hash) in (0u32..).zip(&hashes) {
            divan::black_box(index.see(*hash, Fingerprint(u64::from(number)), number + 1));
        }
    });
}
