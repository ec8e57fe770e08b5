//! Some records at random, of a source of any length.

use std::collections::BinaryHeap;

use crate::batch::{Batch, BatchLimits, Builder};
use crate::entity::Entity;
use crate::record::{Fingerprint, KeyHash, Origin};
use crate::sink::READ_IDS_MAX;

/// How many records of each step are read back, and what chooses them: the same seed chooses the same records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleSize {
    /// How many, at least one.
    pub records: usize,
    /// What chooses them.
    pub seed: u64,
}

/// Keeps so many records, each with the same chance, in one pass: those whose hash with the seed is smallest.
pub(in crate::pipeline) struct Sampler {
    size: SampleSize,
    kept: BinaryHeap<Kept>,
    /// How many it was shown.
    pub shown: u64,
}

struct Kept {
    rank: u64,
    hash: KeyHash,
    fingerprint: Fingerprint,
    key: String,
    json: Vec<u8>,
    origin: Origin,
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Kept {}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Kept {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl Sampler {
    pub(in crate::pipeline) fn new(size: SampleSize) -> Self {
        Self { size, kept: BinaryHeap::new(), shown: 0 }
    }

    /// Shows it the records of a batch.
    pub(in crate::pipeline) fn show(&mut self, batch: &Batch) {
        for item in &batch.items {
            self.shown += 1;
            let rank = xxhash_rust::xxh3::xxh3_64_with_seed(&item.hash.to_bytes(), self.size.seed);
            if self.kept.len() >= self.size.records && self.kept.peek().is_some_and(|last| last.rank <= rank) {
                continue;
            }
            self.kept.push(Kept {
                rank,
                hash: item.hash,
                fingerprint: item.fingerprint,
                key: batch.key_of(item).to_owned(),
                json: batch.json_of(item).to_owned(),
                origin: batch.origin_of(item),
            });
            if self.kept.len() > self.size.records {
                self.kept.pop();
            }
        }
    }

    /// What it kept, in pages to read.
    pub(in crate::pipeline) fn into_batches(self, entity: Entity) -> Vec<Batch> {
        let limits = BatchLimits { records_max: READ_IDS_MAX, ..BatchLimits::of(entity) };
        let mut builder = Builder::new(entity, limits);
        let mut batches = Vec::new();
        for kept in self.kept.into_sorted_vec() {
            // It came out of a batch of the same limits.
            if let Ok(closed) = builder.push(&kept.json, &kept.key, kept.hash, kept.fingerprint, kept.origin) {
                batches.extend(closed);
            }
        }
        batches.extend(builder.finish());
        batches
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::record::RowBatch;

    fn batches(records: usize) -> Vec<Batch> {
        let mut rows = RowBatch::new("a.csv".into(), Arc::from([Box::from("id")]));
        (0..records).for_each(|n| rows.push(n as u64 + 1, 0, [Some("x")]));
        let rows = Arc::new(rows);
        let mut builder = Builder::new(Entity::Customer, BatchLimits::of(Entity::Customer));
        let mut batches = Vec::new();
        for n in 0..records {
            let key = format!("cus_{n}");
            let json = format!("{{\"customerId\":\"{key}\"}}");
            let origin = Origin::Row { rows: rows.clone(), index: n as u32 };
            let fingerprint = Fingerprint::of(json.as_bytes());
            let closed = builder.push(json.as_bytes(), &key, KeyHash::of(&key), fingerprint, origin);
            batches.extend(closed.expect("it is small"));
        }
        batches.extend(builder.finish());
        batches
    }

    fn sampled(batches: &[Batch], records: usize, seed: u64) -> Vec<String> {
        let mut sampler = Sampler::new(SampleSize { records, seed });
        batches.iter().for_each(|batch| sampler.show(batch));
        let pages = sampler.into_batches(Entity::Customer);
        pages.iter().flat_map(|page| page.items.iter().map(|item| page.key_of(item).to_owned())).collect()
    }

    #[test]
    fn a_sample_has_its_size_and_its_seed_chooses_it() {
        let all = batches(5000);
        assert_eq!(sampled(&all, 250, 1).len(), 250);
        assert_eq!(sampled(&all, 250, 1), sampled(&all, 250, 1));
        assert_ne!(sampled(&all, 250, 1), sampled(&all, 250, 2));
        assert_eq!(sampled(&all[..1], 5000, 1).len(), all[0].items.len(), "no more than there are");
    }

    #[test]
    fn every_record_has_the_same_chance() {
        let all = batches(40);
        let mut times = BTreeMap::<String, u32>::new();
        for seed in 0..2000 {
            sampled(&all, 10, seed).into_iter().for_each(|key| *times.entry(key).or_default() += 1);
        }
        // 500 each on average, with a deviation of 19.
        assert_eq!(times.len(), 40);
        assert!(times.values().all(|times| (400..600).contains(times)), "{times:?}");
    }
}
