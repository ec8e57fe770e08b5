//! From segments and batches, in the order in which they were opened, to what the API is known to have.

use super::Index;
use super::segment::{State, Stored, unpack, unpack_segment};
use crate::record::{Fingerprint, KeyHash};

/// Most records that are collected before the index takes them in, 3 MB with the copy that it sorts.
const LEARNED_MAX: usize = 1 << 16;

/// Where the index is small it is in the processor's cache anyway, and fewer are collected, 200 KB: a schedule's ledger takes no
/// more memory when the records of later runs lie over those of the first.
const LEARNED_MIN: usize = 1 << 12;

/// Builds an index: first takes all segments, then all batches that are in none.
pub(super) struct Replay {
    index: Index,
    learned: Vec<(KeyHash, Fingerprint)>,
    /// Number of collected records from which the index takes them in.
    learned_max: usize,
}

impl Replay {
    pub(super) fn with_room(records: usize) -> Self {
        let learned_max = (records / 8).clamp(LEARNED_MIN, LEARNED_MAX);
        Self { index: Index::with_room(records), learned: Vec::new(), learned_max }
    }

    /// Takes a segment's batches that are `wanted`; `false` where its bytes are damaged.
    pub(super) fn segment(&mut self, items: &[u8], wanted: impl Fn(u64) -> bool) -> bool {
        let intact = unpack_segment(items, |batch, items| {
            if wanted(batch) {
                self.collect(items);
            }
        });
        self.flush();
        intact
    }

    pub(super) fn batch(&mut self, stored: &Stored<'_>) {
        if stored.states.is_none() {
            self.collect(stored.items);
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
    }

    pub(super) fn index(mut self) -> Index {
        self.flush();
        self.index
    }

    fn collect(&mut self, items: &[u8]) {
        self.learned.extend(unpack(items));
        if self.learned.len() >= self.learned_max {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.index.learn_all(&self.learned);
        self.learned.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given a schedule's ledger, a thousand records of which later runs change a part, then the index is right and room for
    /// what is collected stays that of the first run.
    #[test]
    fn what_lies_over_the_first_run_takes_no_more_memory() {
        let record = |key: u64, content: u64| {
            let mut packed = KeyHash::of(&key.to_string()).to_bytes().to_vec();
            packed.extend_from_slice(&content.to_le_bytes());
            packed
        };
        let mut replay = Replay::with_room(10_000);
        let mut collect = |keys: std::ops::Range<u64>, content: u64| {
            let items: Vec<u8> = keys.flat_map(|key| record(key, content)).collect();
            replay.batch(&Stored { id: content, items: &items, states: None });
            replay.learned.capacity()
        };
        for part in 0..10 {
            collect(part * 1_000..(part + 1) * 1_000, 1);
        }
        let first = collect(0..100, 2);
        let last = (3..1_000).map(|run| collect(run * 10..run * 10 + 10, run)).max();
        assert!(first <= 2 * (LEARNED_MIN + 1_000), "{first} records");
        assert_eq!(last, Some(first));

        let known = replay.index().known_fingerprints();
        assert_eq!(known.len(), 10_000);
        let content = |key: u64| known[&KeyHash::of(&key.to_string())].0;
        assert_eq!([0, 29, 30, 9_999].map(content), [2, 2, 3, 999]);
    }
}
