//! Events that an earlier run sent with an unknown outcome, too long ago to be sent again.
//!
//! Customers, subscriptions and usage may be sent again at any time, because an import replaces. An event adds: sent
//! again it is harmless only as long as the API knows that it has it. How long that is, nobody says. So an event is
//! sent again while a run is at work and for some hours after, and then held: it counts as open, nothing is sent for it,
//! and a person says what became of it (`stigg-import settle`).

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use crate::entity::Entity;
use crate::ledger::{Ledger, LedgerError, OpenBatch, Scope, UNKNOWN_EVENTS};
use crate::record::KeyHash;

/// How long after it was first sent an event is sent again: 12 hours. The API's documents say by what a repeat is known
/// and not for how long. The only time that they give for any idempotency is 24 hours (header `Idempotency-Key`, REST
/// reference, 2026); half of it leaves room for a run that takes hours.
pub const RESEND_EVENTS_WITHIN: SignedDuration = SignedDuration::from_hours(12);

/// Whether the records of an open batch must not be sent again.
pub(super) fn is_held(entity: Entity, batch: &OpenBatch, now: Timestamp) -> bool {
    match entity {
        Entity::Customer | Entity::Subscription | Entity::Usage => false,
        // A clock that was set back says nothing: then it is held too.
        Entity::Event => {
            let age = now.duration_since(batch.opened_at);
            age >= RESEND_EVENTS_WITHIN || age.is_negative()
        }
    }
}

/// The records of a scope that must not be sent again.
#[derive(Debug, Default)]
pub(super) struct Held {
    keys: HashSet<KeyHash>,
    /// Whether those that the ledger does not know are among them: a repair lost what it knew of some.
    unknown: bool,
}

impl Held {
    /// What a ledger says.
    pub(super) async fn of(ledger: &dyn Ledger, scope: &Scope, now: Timestamp) -> Result<Self, LedgerError> {
        if scope.entity != Entity::Event {
            return Ok(Self::default());
        }
        let unknown = ledger.mark(scope, UNKNOWN_EVENTS).await?.is_some();
        let open = ledger.open_batches(scope).await?;
        // When one was sent is no more sure after a repair than the rest.
        let held = open.iter().filter(|batch| unknown || is_held(scope.entity, batch, now));
        Ok(Self { keys: held.flat_map(|batch| batch.items.iter().map(|item| item.hash)).collect(), unknown })
    }

    /// Whether this record is one of them, whatever is known of it.
    pub(super) fn holds(&self, hash: KeyHash) -> bool {
        self.keys.contains(&hash)
    }

    /// Whether a record that nothing is known of is one of them.
    pub(super) fn holds_unknown(&self) -> bool {
        self.unknown
    }
}
