//! The suite of every ledger, and random lives.

use proptest::prelude::*;

use super::*;
use crate::ledger::{CutoverLedger, MemoryLedger, conformance};

#[tokio::test]
async fn the_postgres_ledger_keeps_every_promise() {
    if left_out() {
        return;
    }
    let open = |database: &Database| {
        let database = database.clone();
        async move {
            let ledger: Box<dyn Ledger> = Box::new(database.open().await);
            ledger
        }
    };
    conformance::suite(Database::new, open).await;
    let open = async |database: &Database| {
        let ledger: Box<dyn CutoverLedger> = Box::new(database.open().await);
        ledger
    };
    conformance::replacements::suite(Database::new, open).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn it_knows_what_the_memory_ledger_knows(steps in conformance::steps()) {
        if left_out() {
            return Ok(());
        }
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let database = Database::new();
            let reopen = || {
                let database = database.clone();
                async move {
                    let ledger: Box<dyn Ledger> = Box::new(database.open().await);
                    ledger
                }
            };
            conformance::same_life(steps, MemoryLedger::new(clock()), reopen).await;
        });
    }
}
