//! Which open records later batches have replaced.

use std::collections::{HashMap, HashSet};

use super::OpenBatch;
use super::segment::{State, Stored, unpack};
use crate::batch::BatchId;
use crate::record::KeyHash;

/// Takes every batch that was opened after the first one that is open, in order, and says what of the open ones is settled
/// by them.
pub(super) struct Superseded {
    open: Vec<OpenBatch>,
    wanted: HashSet<KeyHash>,
    /// The last batch in which each was settled.
    settled: HashMap<KeyHash, u64>,
}

impl Superseded {
    /// Looks for what replaces these.
    pub(super) fn of(open: Vec<OpenBatch>) -> Self {
        let wanted = open.iter().flat_map(|batch| &batch.items).map(|item| item.hash).collect();
        Self { open, wanted, settled: HashMap::new() }
    }

    pub(super) fn see(&mut self, stored: &Stored<'_>) {
        for (position, (hash, _)) in unpack(stored.items).enumerate() {
            if stored.state(position) != State::Open && self.wanted.contains(&hash) {
                self.settled.insert(hash, stored.id);
            }
        }
    }

    /// For each open batch, the positions whose keys were settled in a batch opened later, and whether nothing else of it
    /// is open.
    pub(super) fn found(&self) -> Vec<(BatchId, Vec<u32>, bool)> {
        let later = |batch: &OpenBatch, hash| self.settled.get(hash).is_some_and(|settled| *settled > batch.id.0);
        self.open
            .iter()
            .map(|batch| {
                let gone = batch.items.iter().filter(|item| later(batch, &item.hash));
                let gone: Vec<u32> = gone.map(|item| item.position).collect();
                let closes = gone.len() == batch.items.len();
                (batch.id, gone, closes)
            })
            .filter(|(_, gone, _)| !gone.is_empty())
            .collect()
    }
}
