//! A rate that several share.

use super::*;
use crate::pacer::conformance;

#[tokio::test]
async fn the_rate_of_a_shared_ledger_keeps_every_promise() {
    if left_out() {
        return;
    }
    let database = Database::new();
    conformance::suite(&database.open().await.pace(), &database.open().await.pace()).await;
}
