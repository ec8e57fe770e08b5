//! What every [`Provider`] has to do, as a suite that runs against any of them.
//!
//! For whoever writes a provider: run [`check`] in a test. It panics at the first thing that does not hold.

use super::{Cancelling, Original, OriginalId, OriginalStatus, Provider, Reading};

/// What the provider has to hold before [`check`] runs.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// An active subscription. The suite cancels it.
    pub active: OriginalId,
    /// Another active one. The suite leaves it alone.
    pub untouched: OriginalId,
    /// An id that the provider does not know.
    pub missing: OriginalId,
}

/// Runs the whole suite.
///
/// # Panics
///
/// At the first thing that does not hold.
pub async fn check(provider: &dyn Provider, fixture: &Fixture) {
    let before = found(provider, &fixture.active).await;
    assert_eq!(before.id, fixture.active);
    assert_eq!(before.status, OriginalStatus::Active, "it begins active");
    assert_eq!(before.ended_at, None, "what runs has no end");
    let other = found(provider, &fixture.untouched).await;

    let reading = provider.read(&fixture.missing).await.expect("an answer");
    assert_eq!(reading, Reading::NotFound, "what is not there is not found");
    let cancelling = provider.cancel(&fixture.missing).await.expect("an answer");
    assert_eq!(cancelling, Cancelling::NotFound, "what is not there can't be cancelled");

    let cancelling = provider.cancel(&fixture.active).await.expect("an answer");
    assert!(matches!(cancelling, Cancelling::Cancelled { .. }), "the first cancellation: {cancelling:?}");
    let after = found(provider, &fixture.active).await;
    assert_eq!(after.status, OriginalStatus::Canceled, "a cancelled one is still found");
    assert_eq!(after.customer_id, before.customer_id);
    assert_eq!(after.pending_items, before.pending_items, "cancelling prorates nothing");

    let cancelling = provider.cancel(&fixture.active).await.expect("an answer");
    assert_eq!(cancelling, Cancelling::AlreadyCancelled, "the second cancellation");
    assert_eq!(found(provider, &fixture.active).await, after, "the second cancellation changes nothing");
    assert_eq!(found(provider, &fixture.untouched).await, other, "the other one is left alone");
}

async fn found(provider: &dyn Provider, id: &OriginalId) -> Original {
    match provider.read(id).await.expect("an answer") {
        Reading::Found(original) => *original,
        Reading::NotFound => panic!("{id} is not found"),
    }
}
