//! The file's promises: the suite, random lives, and crashes.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::clock::FixedClock;
use crate::ledger::MemoryLedger;
use crate::ledger::conformance;

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::at(Timestamp::from_millisecond(1_777_000_000_000).unwrap()))
}

async fn open(path: &Path) -> SqliteLedger {
    SqliteLedger::open(path, Access::Write, Durability::ProcessEnd, clock()).await.unwrap()
}

async fn boxed(path: std::path::PathBuf) -> Box<dyn Ledger> {
    Box::new(open(&path).await)
}

#[tokio::test]
async fn the_sqlite_ledger_keeps_every_promise() {
    let folder = || tempfile::tempdir().unwrap();
    conformance::suite(folder, |folder: &tempfile::TempDir| boxed(folder.path().join("ledger.db"))).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn it_knows_what_the_memory_ledger_knows(steps in conformance::steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let model = MemoryLedger::new(clock());
            conformance::same_life(steps, model, || boxed(folder.path().join("ledger.db"))).await;
        });
    }
}
