//! What goes out in one request, and what became of each record in it.

mod buffers;
mod builder;
mod spares;

use std::borrow::Cow;
use std::ops::Range;

use buffers::Buffers;
use bytes::Bytes;

pub use builder::{BatchLimits, Builder, Oversize};
pub use spares::Spares;

use crate::entity::Entity;
use crate::record::{Fingerprint, KeyHash, Origin, OriginId, Origins};

/// Names a batch in its ledger. Unique there, rising.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u64);

impl std::fmt::Display for BatchId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A record in a batch.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its JSON in [`Batch::json`].
    pub json: Range<u32>,
    /// Its key in [`Batch::keys`].
    pub key: Range<u32>,
    /// Hash of the key.
    pub hash: KeyHash,
    /// Fingerprint of the JSON.
    pub fingerprint: Fingerprint,
    /// The rows it came from, in [`Batch::origins`].
    pub origin: OriginId,
}

/// Records of one entity that go out together.
#[derive(Debug, Clone)]
pub struct Batch {
    /// What they are.
    pub entity: Entity,
    /// The records' JSON objects, joined by commas: the content of the request's list. A clone of it shares the bytes, so that
    /// they go out as they are.
    pub json: Bytes,
    /// Their key texts, back to back.
    pub keys: String,
    /// The records. Never empty, and never two of one key.
    pub items: Vec<Item>,
    /// Where they came from.
    pub origins: Origins,
}

impl Batch {
    /// Bytes that it holds, the rows of its origins not counted.
    pub fn bytes(&self) -> usize {
        self.json.len() + self.keys.len() + self.items.len() * size_of::<Item>()
    }

    /// An item's JSON.
    pub fn json_of(&self, item: &Item) -> &[u8] {
        &self.json[item.json.start as usize..item.json.end as usize]
    }

    /// Where an item came from.
    pub fn origin_of(&self, item: &Item) -> Origin {
        self.origins.get(item.origin)
    }

    /// An item's key.
    pub fn key_of(&self, item: &Item) -> &str {
        &self.keys[item.key.start as usize..item.key.end as usize]
    }

    /// A batch of the items at `indices`, in that order.
    #[must_use]
    pub fn subset(&self, indices: &[usize]) -> Self {
        let mut part = Buffers { items: Vec::with_capacity(indices.len()), ..Buffers::default() };
        for &index in indices {
            let item = &self.items[index];
            let origin = part.origins.add_of(&self.origins, item.origin);
            part.push(self.json_of(item), self.key_of(item), item.hash, item.fingerprint, origin);
        }
        part.close(self.entity)
    }
}

/// What became of one record. There is no "other": a record that is none of these is still open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The API has it.
    Accepted,
    /// The API refused it, in its own words. Sent again unchanged, it is refused again.
    Failed {
        /// The API's error code (`PlanNotFound`), or ours where it gave none.
        code: String,
        /// Its message.
        message: String,
    },
    /// Nobody knows yet; the ledger keeps it open and the next run settles it.
    Open {
        /// Why it could not be settled.
        reason: String,
    },
}

/// Outcomes of a batch's records, in their order. Where all were accepted, as is usual, they take no memory.
pub type Outcomes = Cow<'static, [Outcome]>;

impl Outcome {
    /// The outcomes of so many records, all of which were accepted.
    pub fn all_accepted(records: usize) -> Outcomes {
        /// As many as the largest batch has; see [`BatchLimits`].
        static ACCEPTED: [Outcome; 1_000] = [const { Outcome::Accepted }; 1_000];
        match ACCEPTED.get(..records) {
            Some(accepted) => Cow::Borrowed(accepted),
            None => Cow::Owned(vec![Self::Accepted; records]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_all_were_accepted_there_is_an_outcome_for_each() {
        for records in [0, 1, 100, 1_000, 1_001] {
            let mut outcomes = Outcome::all_accepted(records);
            assert_eq!(outcomes.len(), records);
            assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Accepted));
            // They are one's own once they are changed.
            outcomes.to_mut().fill(Outcome::Open { reason: "none".to_owned() });
            assert!(Outcome::all_accepted(records).iter().all(|outcome| *outcome == Outcome::Accepted));
        }
    }
}
