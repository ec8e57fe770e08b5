//! How many batches may be on their way at once.

use crate::batch::Batch;

/// Batches that may be written and not yet settled, whatever is in flight: asynchronous imports are followed while others
/// are sent, and each batch waits for two of the ledger's commits. At 160, those that only waited for the second kept a fast
/// target waiting.
const UNSETTLED_BATCHES: usize = 320;

/// Where more than that may be in flight, batches that are written while they wait for their slot.
const WAITING_FOR_SLOT: usize = 16;

/// Most bytes of batches that are written and have no answer yet, or that something is to be told of. This bounds memory, whatever
/// the concurrency and however small the records: a batch also holds the rows it came from, which are about twice its JSON, and
/// while it is sent its body. It is this small so that a short run reaches it, too, and memory then grows only with what is known.
const HELD_BYTES_MAX: usize = 4 << 20;

/// Batches that may be held however large they are (1 MB each at most): as many as a slow API takes at the published rates.
const HELD_LARGE_BATCHES: usize = 6;

/// What was taken and is not settled yet.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    batches: usize,
    /// Those of them that are still held, and their bytes.
    held: usize,
    bytes: usize,
}

impl Unsettled {
    pub(super) fn is_empty(&self) -> bool {
        self.batches == 0
    }

    /// Whether there is room for one more, where so many may be in flight.
    pub(super) fn has_room(&self, in_flight_max: usize) -> bool {
        self.batches < UNSETTLED_BATCHES.max(in_flight_max + WAITING_FOR_SLOT)
            && (self.bytes < HELD_BYTES_MAX || self.held < HELD_LARGE_BATCHES)
    }

    /// Takes a batch, for which there is room, and those that `next` has behind it, as far as there is.
    pub(super) fn take(
        &mut self,
        first: Batch,
        mut next: impl FnMut() -> Option<Batch>,
        in_flight_max: usize,
    ) -> Vec<Batch> {
        let (mut taken, mut more) = (Vec::new(), Some(first));
        while let Some(batch) = more {
            self.batches += 1;
            self.held += 1;
            self.bytes += batch.bytes();
            taken.push(batch);
            more = if self.has_room(in_flight_max) { next() } else { None };
        }
        taken
    }

    /// Gives back the bytes of a batch of which only what became of it is kept until it is settled; none: all of it is.
    pub(super) fn let_go(&mut self, bytes: usize) {
        self.held -= usize::from(bytes > 0);
        self.bytes -= bytes;
    }

    /// Gives back the room of a batch, of which so many bytes were held until now.
    pub(super) fn done(&mut self, bytes: usize) {
        self.batches -= 1;
        self.let_go(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchLimits, Builder};
    use crate::entity::Entity;
    use crate::record::{Fingerprint, KeyHash, Origin, Place};

    /// So many batches of one record each, with the numbers from 0 on as their keys.
    fn batches(count: usize, json_bytes: usize) -> std::vec::IntoIter<Batch> {
        let mut builder = Builder::new(Entity::Usage, BatchLimits { records_max: 1, body_bytes_max: usize::MAX });
        let first = Place { source: "a".into(), record: 1, line: 1 };
        let mut batches = Vec::new();
        for number in 0..count {
            let (key, origin) = (format!("{number:03}"), Origin::total(first.clone(), 1, Vec::new()));
            let json = vec![b' '; json_bytes];
            batches.extend(builder.push(&json, &key, KeyHash::of(&key), Fingerprint(0), origin).expect("fits"));
        }
        batches.extend(builder.finish());
        batches.into_iter()
    }

    /// Takes what there is room for; returns the number of the first and how many they are.
    fn take(unsettled: &mut Unsettled, from: &mut std::vec::IntoIter<Batch>, in_flight_max: usize) -> (usize, usize) {
        assert!(unsettled.has_room(in_flight_max));
        let first = from.next().expect("there are more");
        let taken = unsettled.take(first, || from.next(), in_flight_max);
        let numbers: Vec<usize> = taken.iter().map(|batch| batch.keys.parse().expect("a number")).collect();
        assert!(numbers.is_sorted());
        (numbers[0], numbers.len())
    }

    #[test]
    fn what_is_there_is_taken_together_and_no_more_than_there_is_room_for() {
        let (mut unsettled, mut from) = (Unsettled::default(), batches(500, 2));
        let bytes = from.as_slice()[0].bytes();
        assert_eq!(take(&mut unsettled, &mut from, 1), (0, 320));
        assert!(!unsettled.has_room(1));
        (0..3).for_each(|_| unsettled.done(bytes));
        assert_eq!(take(&mut unsettled, &mut from, 1), (320, 3));
        assert!(!unsettled.has_room(304));
        assert_eq!(take(&mut unsettled, &mut from, 400), (323, 96), "16 wait for a slot");
        (0..416).for_each(|_| unsettled.done(bytes));
        assert!(unsettled.is_empty());
        assert_eq!(take(&mut unsettled, &mut from, 400), (419, 81), "there are no more");
    }

    #[test]
    fn bytes_are_bounded_but_for_a_few_large_batches() {
        let (mut unsettled, mut from) = (Unsettled::default(), batches(100, 64 << 10));
        assert_eq!(take(&mut unsettled, &mut from, 64), (0, 64));
        assert!(!unsettled.has_room(64));
        // Those that have their answer are still unsettled, and hold nothing.
        let bytes = from.as_slice()[0].bytes();
        (0..3).for_each(|_| unsettled.let_go(bytes));
        assert_eq!(take(&mut unsettled, &mut from, 64), (64, 3));
        assert!(!unsettled.has_room(64));
        (0..64).for_each(|_| unsettled.done(bytes));
        (0..3).for_each(|_| unsettled.done(0));
        assert!(unsettled.is_empty());
        let (mut unsettled, mut from) = (Unsettled::default(), batches(10, 1 << 20));
        let bytes = from.as_slice()[0].bytes();
        assert_eq!(take(&mut unsettled, &mut from, 64), (0, 6));
        unsettled.done(bytes);
        assert_eq!(take(&mut unsettled, &mut from, 64), (6, 1));
        assert!(!unsettled.has_room(64));
        // And those that hold nothing are none of them.
        (0..2).for_each(|_| unsettled.let_go(bytes));
        assert_eq!(take(&mut unsettled, &mut from, 64), (7, 2));
    }
}
