//! From segments and batches, in the order in which they were opened, to what the API is known to have.

use super::Index;
use super::segment::{State, Stored, unpack, unpack_segment};
use crate::record::{Fingerprint, KeyHash};

/// Records that are collected before the index takes them in, 3 MB with the copy that it sorts.
const LEARNED_MAX: usize = 1 << 16;

/// Builds an index: first takes all segments, then all batches that are in none.
pub(super) struct Replay {
    index: Index,
    learned: Vec<(KeyHash, Fingerprint)>,
}

impl Replay {
    pub(super) fn with_room(records: usize) -> Self {
        Self { index: Index::with_room(records), learned: Vec::new() }
    }

    /// Takes a segment's batches that are `wanted`; `false` where its bytes are damaged.
    pub(super) fn segment(&mut self, items: &[u8], wanted: impl Fn(u64) -> bool) -> bool {
        let learned = &mut self.learned;
        let intact = unpack_segment(items, |batch, items| {
            if wanted(batch) {
                learned.extend(unpack(items));
            }
        });
        self.flush();
        intact
    }

    pub(super) fn batch(&mut self, stored: &Stored<'_>) {
        if stored.states.is_none() {
            self.learned.extend(unpack(stored.items));
        } else {
            self.flush(); // what came before has to be known before it is doubted
            for (hash, fingerprint, state) in stored.records() {
                match state {
                    State::Accepted => self.index.learn(hash, fingerprint),
                    State::Open | State::NeverKnown => self.index.doubt(hash),
                    State::Failed => {}
                }
            }
        }
        if self.learned.len() >= LEARNED_MAX {
            self.flush();
        }
    }

    pub(super) fn index(mut self) -> Index {
        self.flush();
        self.index
    }

    fn flush(&mut self) {
        self.index.learn_all(&self.learned);
        self.learned.clear();
    }
}
