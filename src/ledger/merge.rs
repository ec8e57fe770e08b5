//! Which records of settled batches are the latest, and the segments that hold each of them once.

use super::Index;
use super::segment::{SegmentBuilder, State};
use crate::record::{Fingerprint, KeyHash};

/// Number of batches below which merging is not worth it, however small they are.
const BATCHES_FREE: i64 = 20_000;

/// Mean number of records of a batch from which merging is not worth it: its own row then takes little space and time
/// beside them. Many runs with few changes each make small batches, an import makes large ones.
const RECORDS_LARGE: i64 = 20;

/// Number of superseded records below which their share does not matter.
const GARBAGE_FREE: i64 = 10_000;

/// Place of a record whose outcome was never known.
const NEVER_KNOWN: u32 = u32::MAX;

type Record = (KeyHash, Fingerprint, State);

/// Sees all batches twice, in the order in which they were opened: first to find out where the latest content of each
/// record is, then to keep just that.
pub(super) struct Merge<'a> {
    latest: &'a mut Index,
    place: u32,
    segment: SegmentBuilder,
    kept: Vec<u64>,
    records: u64,
    kept_records: u64,
}

impl<'a> Merge<'a> {
    /// `scratch` is an index whose content is no longer needed.
    pub(super) fn with(scratch: &'a mut Index) -> Self {
        scratch.clear();
        Self {
            latest: scratch,
            place: 0,
            segment: SegmentBuilder::default(),
            kept: Vec::new(),
            records: 0,
            kept_records: 0,
        }
    }

    pub(super) fn learn(&mut self, records: &mut dyn Iterator<Item = Record>) {
        self.place += 1;
        let records: Vec<_> = records.collect();
        self.records += records.len() as u64;
        self.latest.approach(records.iter().map(|(hash, ..)| *hash));
        for (hash, fingerprint, state) in records {
            match state {
                State::Accepted => self.latest.put(hash, fingerprint, self.place),
                State::NeverKnown => self.latest.put(hash, Fingerprint(0), NEVER_KNOWN),
                State::Failed | State::Open => {}
            }
        }
    }

    /// All batches have been seen once.
    pub(super) fn begin_again(&mut self) {
        self.place = 0;
    }

    /// Returns a segment, with its number of records, where one is full.
    pub(super) fn keep(&mut self, batch: u64, records: &mut dyn Iterator<Item = Record>) -> Option<(Vec<u8>, u64)> {
        self.place += 1;
        self.segment.begin_batch(batch);
        let records: Vec<_> = records.collect();
        self.latest.approach(records.iter().map(|(hash, ..)| *hash));
        for (hash, fingerprint, state) in records {
            if state == State::Accepted && self.latest.place(hash) == Some(self.place) {
                self.segment.push(hash, fingerprint);
                self.kept_records += 1;
            }
        }
        if self.segment.end_batch() {
            self.kept.push(batch);
        }
        if self.segment.is_full() { self.segment.finish() } else { None }
    }

    /// The last segment.
    pub(super) fn last(&mut self) -> Option<(Vec<u8>, u64)> {
        self.segment.finish()
    }

    /// The batches of which a record was kept.
    pub(super) fn kept(&self) -> &[u64] {
        &self.kept
    }

    /// Records of which none was kept, or a later one.
    pub(super) fn records_dropped(&self) -> u64 {
        self.records - self.kept_records
    }
}

/// Whether merging gains more than it costs: there are many small batches, or most records have been superseded since.
pub(super) fn is_worth_it(batches: i64, records: i64, known: Option<usize>) -> bool {
    let small = batches > BATCHES_FREE && records < batches * RECORDS_LARGE;
    let garbage = known.is_some_and(|known| known > 0 && records - GARBAGE_FREE > 2 * known as i64);
    small || garbage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_batches_and_much_garbage_are_worth_merging_but_not_an_import() {
        assert!(!is_worth_it(10_000, 1_000_000, Some(1_000_000)), "a million usage records, imported");
        assert!(!is_worth_it(100_000, 10_000_000, Some(10_000_000)), "ten millions");
        assert!(!is_worth_it(20_000, 20_000, Some(15_000)), "small batches, but not many");
        assert!(is_worth_it(20_001, 300_000, Some(250_000)), "years of small changes");
        assert!(is_worth_it(30_000, 3_000_000, Some(1_000_000)), "every record was delivered three times");
        assert!(!is_worth_it(8, 9_000, Some(1_000)), "little garbage, whatever its share");
        assert!(!is_worth_it(10_000, 1_000_000, None), "the index was never loaded");
    }
}
