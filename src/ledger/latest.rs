//! Which batch delivered the present content of some keys.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::segment::{State, Stored, unpack, unpack_segment};
use crate::record::KeyHash;

/// Takes all segments, then all batches that are in none, in the order in which they were opened.
pub(super) struct Latest<'a> {
    wanted: &'a HashSet<KeyHash>,
    batch_of: HashMap<KeyHash, u64>,
}

impl<'a> Latest<'a> {
    /// Looks for these.
    pub(super) fn of(wanted: &'a HashSet<KeyHash>) -> Self {
        Self { wanted, batch_of: HashMap::new() }
    }

    /// `false` where its bytes are damaged.
    pub(super) fn segment(&mut self, items: &[u8]) -> bool {
        unpack_segment(items, |batch, items| {
            for (key, _) in unpack(items) {
                self.see(key, batch, State::Accepted);
            }
        })
    }

    pub(super) fn batch(&mut self, stored: &Stored<'_>) {
        for (key, _, state) in stored.records() {
            self.see(key, stored.id, state);
        }
    }

    pub(super) fn see(&mut self, key: KeyHash, batch: u64, state: State) {
        if !self.wanted.contains(&key) {
            return;
        }
        match state {
            State::Accepted => drop(self.batch_of.insert(key, batch)),
            // The API may have either content.
            State::Open | State::NeverKnown => drop(self.batch_of.remove(&key)),
            State::Failed => {}
        }
    }

    /// The keys whose content is known, by the batch that delivered it.
    pub(super) fn by_batch(self) -> BTreeMap<u64, Vec<KeyHash>> {
        let mut by_batch: BTreeMap<u64, Vec<KeyHash>> = BTreeMap::new();
        for (key, batch) in self.batch_of {
            by_batch.entry(batch).or_default().push(key);
        }
        by_batch
    }
}
