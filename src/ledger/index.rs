//! What was delivered, by key, in memory: at most 31 bytes for each record, whatever their number.
//!
//! A general hash map doubles when it is full: just before and just after, it holds two to three
//! times what it needs. Here the records are spread over 256 tables by their hash (which is
//! uniform already), and a full table alone grows by a tenth. A table is a list of blocks of one
//! size, which are given back one by one while it is copied: what growing gives back is what it takes
//! next, so that no holes are left behind in the heap.
//!
//! Each table is open addressing with linear probing, its entries in the order of their hash. That
//! keeps look-ups short (a few neighbouring entries, also for what is not there) although the
//! tables are more than 80 % full, and makes growing one pass without a look-up.

use crate::record::{Fingerprint, KeyHash};

const SHARDS: usize = 256;

/// Share of a table's homes that is used when it grows: nine tenths.
const LOAD_MAX: (usize, usize) = (9, 10);

/// Slots of a block.
const BLOCK: usize = 64;

/// Slots at a table's end that are nobody's home, for what the last homes can't hold.
const TAIL_SLOTS: usize = 8;

/// An entry: three words of key, two of fingerprint (high, low), one of place.
type Entry = [u32; 6];

/// Where an entry keeps its place.
const PLACE: usize = 5;

/// Place of a slot that is not used.
const EMPTY: u32 = 0;
/// Place of a record that was delivered and not seen in this run.
const KNOWN: u32 = u32::MAX;
/// Place of a record that was delivered, and then sent again with unknown outcome.
const DOUBTED: u32 = u32::MAX - 1;

/// What a record is, compared with what was delivered and what this run has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Never delivered.
    New,
    /// Delivered with this content.
    Unchanged,
    /// Delivered with other content, or nobody knows with which.
    Changed,
    /// This run has seen it before, with the same content.
    SameAgain {
        /// Ordinal of the first sight.
        first: u32,
    },
    /// This run has seen it before, with other content.
    ConflictsWith {
        /// Ordinal of the first sight.
        first: u32,
    },
}

/// The latest delivered fingerprint of each record, and which records this run has seen.
#[derive(Debug)]
pub struct Index {
    shards: Vec<Shard>,
    len: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}

impl Index {
    /// Largest ordinal that is told apart; later rows count as this one.
    pub const ORDINAL_MAX: u32 = DOUBTED - 1;

    /// An index that knows nothing.
    pub fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect(), len: 0 }
    }

    /// Forgets everything, and keeps the memory for what comes next.
    pub(super) fn clear(&mut self) {
        for shard in &mut self.shards {
            shard.slots.blocks.iter_mut().for_each(|block| block.fill([0; 6]));
            shard.used = 0;
        }
        self.len = 0;
    }

    /// Takes in that a record was delivered with this content. The latest word counts, and ends a
    /// doubt.
    pub fn learn(&mut self, key: KeyHash, fingerprint: Fingerprint) {
        self.put(key, fingerprint, KNOWN);
    }

    /// [`Self::learn`] for many records, in their order; much faster from some ten thousand on.
    ///
    /// Learning one by one waits for memory at each record. Here the records of one table follow on
    /// each other, while the processor's cache holds it.
    pub fn learn_all(&mut self, records: &[(KeyHash, Fingerprint)]) {
        // A stable counting sort by table: of two records of one key, the later still comes later.
        let mut starts = [0usize; SHARDS];
        records.iter().for_each(|(key, _)| starts[shard_of(*key)] += 1);
        let mut sum = 0;
        for start in &mut starts {
            (*start, sum) = (sum, sum + *start);
        }
        let mut sorted = vec![(KeyHash([0; 3]), Fingerprint(0)); records.len()];
        for record in records {
            let at = &mut starts[shard_of(record.0)];
            sorted[*at] = *record;
            *at += 1;
        }
        sorted.into_iter().for_each(|(key, fingerprint)| self.learn(key, fingerprint));
    }

    /// Takes in that a later sending of a record has an unknown outcome: it is [`Seen::Changed`]
    /// whatever its content. A record that was never delivered stays [`Seen::New`].
    pub fn doubt(&mut self, key: KeyHash) {
        if let Some(entry) = self.shard(key).find_mut(key) {
            entry[PLACE] = DOUBTED;
        }
    }

    /// Compares a record of this run with what was delivered, and remembers it.
    ///
    /// `ordinal` numbers the rows of the run, from 1; see [`Self::ORDINAL_MAX`].
    pub fn see(&mut self, key: KeyHash, fingerprint: Fingerprint, ordinal: u32) -> Seen {
        let ordinal = ordinal.clamp(1, Self::ORDINAL_MAX);
        let shard = self.shard(key);
        let entry = match shard.locate(key) {
            Ok(at) => &mut shard.slots[at],
            Err(at) => {
                shard.insert(at, entry_of(key, fingerprint, ordinal));
                self.len += 1;
                return Seen::New;
            }
        };
        let same = fingerprint_of(entry) == fingerprint;
        match entry[PLACE] {
            KNOWN if same => {
                entry[PLACE] = ordinal;
                Seen::Unchanged
            }
            KNOWN | DOUBTED => {
                *entry = entry_of(key, fingerprint, ordinal);
                Seen::Changed
            }
            first if same => Seen::SameAgain { first },
            first => Seen::ConflictsWith { first },
        }
    }

    /// [`Self::doubt`] for every record that was delivered.
    pub fn doubt_all(&mut self) {
        let slots = self.shards.iter_mut().flat_map(|shard| &mut shard.slots.blocks).flat_map(|block| block.iter_mut());
        for entry in slots.filter(|entry| entry[PLACE] == KNOWN) {
            entry[PLACE] = DOUBTED;
        }
    }

    /// The content with which a record was delivered for certain, if it was and this run has not seen it.
    pub fn delivered(&self, key: KeyHash) -> Option<Fingerprint> {
        let shard = &self.shards[shard_of(key)];
        let entry = &shard.slots[shard.locate(key).ok()?];
        (entry[PLACE] == KNOWN).then(|| fingerprint_of(entry))
    }

    /// Number of records, delivered or seen.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Allocated size, in bytes.
    pub fn bytes(&self) -> usize {
        let blocks = |shard: &Shard| {
            shard.slots.blocks.capacity() * size_of::<Box<Block>>() + shard.slots.blocks.len() * size_of::<Block>()
        };
        let tables: usize = self.shards.iter().map(blocks).sum();
        tables + self.shards.capacity() * size_of::<Shard>() + size_of::<Self>()
    }

    /// Keys of the records that were delivered and that this run has not seen, in no order.
    pub fn unseen(&self) -> impl Iterator<Item = KeyHash> + '_ {
        self.entries().filter(|entry| matches!(entry[PLACE], KNOWN | DOUBTED)).map(key_of)
    }

    /// Number of records that are delivered, not in doubt, and not seen.
    pub(super) fn known(&self) -> usize {
        self.entries().filter(|entry| entry[PLACE] == KNOWN).count()
    }

    /// What is delivered for certain.
    #[cfg(test)]
    pub(super) fn known_fingerprints(&self) -> std::collections::BTreeMap<KeyHash, Fingerprint> {
        let known = self.entries().filter(|entry| entry[PLACE] == KNOWN);
        known.map(|entry| (key_of(entry), fingerprint_of(entry))).collect()
    }

    /// Sets a record's content and place, whatever they were: a map for compaction.
    pub(super) fn put(&mut self, key: KeyHash, fingerprint: Fingerprint, place: u32) {
        let (shard, entry) = (self.shard(key), entry_of(key, fingerprint, place));
        match shard.locate(key) {
            Ok(at) => shard.slots[at] = entry,
            Err(at) => {
                shard.insert(at, entry);
                self.len += 1;
            }
        }
    }

    /// A record's place, as it was set by [`Self::put`].
    pub(super) fn place(&self, key: KeyHash) -> Option<u32> {
        let shard = &self.shards[shard_of(key)];
        shard.locate(key).ok().map(|at| shard.slots[at][PLACE])
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        let slots = self.shards.iter().flat_map(|shard| &shard.slots.blocks).flat_map(|block| block.iter());
        slots.filter(|entry| entry[PLACE] != EMPTY)
    }

    fn shard(&mut self, key: KeyHash) -> &mut Shard {
        &mut self.shards[shard_of(key)]
    }
}

fn shard_of(key: KeyHash) -> usize {
    (key.0[0] >> 24) as usize
}

fn entry_of(key: KeyHash, fingerprint: Fingerprint, place: u32) -> Entry {
    let [a, b, c] = key.0;
    [a, b, c, (fingerprint.0 >> 32) as u32, fingerprint.0 as u32, place]
}

fn key_of(entry: &Entry) -> KeyHash {
    KeyHash([entry[0], entry[1], entry[2]])
}

fn fingerprint_of(entry: &Entry) -> Fingerprint {
    Fingerprint((u64::from(entry[3]) << 32) | u64::from(entry[4]))
}

/// Slots, one after the other, in blocks of one size.
#[derive(Debug, Default)]
struct Slots {
    // In one piece they would be the allocation that this is to avoid.
    #[expect(clippy::vec_box)]
    blocks: Vec<Box<Block>>,
}

type Block = [Entry; BLOCK];

impl Slots {
    fn len(&self) -> usize {
        self.blocks.len() * BLOCK
    }

    /// Adds empty blocks until there are so many.
    fn add_blocks(&mut self, blocks: usize) {
        while self.blocks.len() < blocks {
            self.blocks.push(Box::new([[0; 6]; BLOCK]));
        }
    }

    /// Moves the entries from `at` on by one slot, up to the empty slot `to`.
    fn shift(&mut self, at: usize, mut to: usize) {
        while to / BLOCK > at / BLOCK {
            let (block, before) = (to / BLOCK, self[to / BLOCK * BLOCK - 1]);
            self.blocks[block].copy_within(..to % BLOCK, 1);
            self.blocks[block][0] = before;
            to = block * BLOCK - 1;
        }
        self.blocks[at / BLOCK].copy_within(at % BLOCK..to % BLOCK, at % BLOCK + 1);
    }
}

impl std::ops::Index<usize> for Slots {
    type Output = Entry;

    fn index(&self, at: usize) -> &Entry {
        &self.blocks[at / BLOCK][at % BLOCK]
    }
}

impl std::ops::IndexMut<usize> for Slots {
    fn index_mut(&mut self, at: usize) -> &mut Entry {
        &mut self.blocks[at / BLOCK][at % BLOCK]
    }
}

/// One table: its entries stand in the order of their second word (the first one chose the table),
/// each at its home or as little after it as the order allows, with empty slots between.
#[derive(Debug, Default)]
struct Shard {
    /// The homes, and a tail for what the last of them can't hold.
    slots: Slots,
    homes: usize,
    used: usize,
}

impl Shard {
    fn home(&self, word: u32) -> usize {
        ((u64::from(word) * self.homes as u64) >> 32) as usize
    }

    /// The slot of a key, or the one into which it would be inserted.
    fn locate(&self, key: KeyHash) -> Result<usize, usize> {
        let [a, b, c] = key.0;
        let mut at = self.home(b);
        while at < self.slots.len() {
            let entry = &self.slots[at];
            if entry[PLACE] == EMPTY || entry[1] > b {
                return Err(at);
            }
            if entry[..3] == [a, b, c] {
                return Ok(at);
            }
            at += 1;
        }
        Err(at)
    }

    fn find_mut(&mut self, key: KeyHash) -> Option<&mut Entry> {
        self.locate(key).ok().map(|at| &mut self.slots[at])
    }

    /// Inserts an entry whose key is not there; `at` is where [`Self::locate`] wants it.
    fn insert(&mut self, mut at: usize, entry: Entry) {
        if (self.used + 1) * LOAD_MAX.1 > self.homes * LOAD_MAX.0 {
            self.grow();
            at = self.locate(key_of(&entry)).unwrap_or_else(|at| at);
        }
        let empty = (at..self.slots.len()).find(|at| self.slots[*at][PLACE] == EMPTY).unwrap_or_else(|| {
            self.slots.add_blocks(self.slots.blocks.len() + 1);
            self.slots.len() - BLOCK
        });
        self.slots.shift(at, empty);
        self.slots[at] = entry;
        self.used += 1;
    }

    /// Spreads the entries over a tenth more homes, by a block at least. They are in order, so each goes after the
    /// last, and a block that was read is given back.
    fn grow(&mut self) {
        let blocks = (self.homes + TAIL_SLOTS).div_ceil(BLOCK);
        let blocks = blocks + (blocks / 10).max(1);
        self.homes = blocks * BLOCK - TAIL_SLOTS;
        let old = std::mem::take(&mut self.slots);
        self.slots.blocks.reserve_exact(blocks);
        let mut next = 0;
        for block in old.blocks {
            for entry in block.iter().filter(|entry| entry[PLACE] != EMPTY) {
                let at = self.home(entry[1]).max(next);
                self.slots.add_blocks(at / BLOCK + 1);
                self.slots[at] = *entry;
                next = at + 1;
            }
        }
        self.slots.add_blocks(blocks);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn key(number: u64) -> KeyHash {
        KeyHash::of(&number.to_string())
    }

    #[test]
    fn an_entry_takes_at_most_31_bytes_at_every_size() {
        let mut index = Index::new();
        let mut worst: f64 = 0.0;
        for number in 1..=1_000_000u64 {
            index.learn(key(number), Fingerprint(number));
            if number >= 100_000 && number % 10_000 == 0 {
                worst = worst.max(index.bytes() as f64 / number as f64);
            }
        }
        assert!(worst <= 31.0, "{worst} bytes for a record");
        assert_eq!(index.len(), 1_000_000);
    }

    #[test]
    fn a_cleared_index_knows_nothing_and_takes_no_more_memory_for_the_same() {
        let mut index = Index::new();
        (0..50_000).for_each(|number| index.learn(key(number), Fingerprint(number)));
        let bytes = index.bytes();
        index.clear();
        assert_eq!((index.len(), index.unseen().count(), index.delivered(key(7))), (0, 0, None));
        (0..50_000).for_each(|number| index.learn(key(number), Fingerprint(number + 1)));
        assert_eq!((index.len(), index.delivered(key(7))), (50_000, Some(Fingerprint(8))));
        assert_eq!(index.bytes(), bytes);
    }

    #[test]
    fn a_look_up_stays_near_its_home() {
        let mut index = Index::new();
        for number in 0..200_000 {
            index.learn(key(number), Fingerprint(number));
        }
        let mut total = 0;
        for shard in &index.shards {
            total += (0..shard.slots.len())
                .filter(|at| shard.slots[*at][PLACE] != EMPTY)
                .map(|at| at - shard.home(shard.slots[at][1]))
                .sum::<usize>();
        }
        assert!(total < 200_000 * 6, "{total} steps for 200,000 look-ups");
    }

    #[test]
    fn a_record_is_compared_with_what_was_delivered_and_then_with_its_first_sight() {
        let mut index = Index::new();
        index.learn(key(1), Fingerprint(10));
        index.learn(key(2), Fingerprint(20));

        assert_eq!(index.see(key(1), Fingerprint(10), 1), Seen::Unchanged);
        assert_eq!(index.see(key(2), Fingerprint(21), 2), Seen::Changed);
        assert_eq!(index.see(key(3), Fingerprint(30), 3), Seen::New);

        assert_eq!(index.see(key(1), Fingerprint(10), 4), Seen::SameAgain { first: 1 });
        assert_eq!(
            index.see(key(2), Fingerprint(20), 5),
            Seen::ConflictsWith { first: 2 },
            "the delivered one is past"
        );
        assert_eq!(index.see(key(2), Fingerprint(21), 6), Seen::SameAgain { first: 2 });
        assert_eq!(index.see(key(3), Fingerprint(31), 7), Seen::ConflictsWith { first: 3 });
    }

    #[test]
    fn a_doubted_record_is_sent_whatever_its_content() {
        let mut index = Index::new();
        index.learn(key(1), Fingerprint(10));
        index.doubt(key(1));
        index.doubt(key(2));
        assert_eq!((index.len(), index.known()), (1, 0));
        assert_eq!(index.see(key(1), Fingerprint(10), 1), Seen::Changed);
        assert_eq!(index.see(key(2), Fingerprint(20), 2), Seen::New);

        index.doubt(key(1));
        index.learn(key(1), Fingerprint(11));
        assert_eq!(index.see(key(1), Fingerprint(11), 3), Seen::Unchanged, "a later delivery ends the doubt");
    }

    #[test]
    fn what_was_not_seen_is_listed() {
        let mut index = Index::new();
        (1..=4).for_each(|number| index.learn(key(number), Fingerprint(number)));
        index.doubt(key(4));
        index.see(key(2), Fingerprint(2), 1);
        index.see(key(9), Fingerprint(9), 2);
        let unseen: BTreeSet<_> = index.unseen().collect();
        assert_eq!(unseen, [1, 3, 4].map(key).into());
    }

    #[test]
    fn learning_at_once_is_learning_one_by_one() {
        let records: Vec<_> = (0..5000).map(|number| (key(number % 3000), Fingerprint(number))).collect();
        let (mut one_by_one, mut at_once) = (Index::new(), Index::new());
        records.iter().for_each(|(key, print)| one_by_one.learn(*key, *print));
        records.chunks(1700).for_each(|records| at_once.learn_all(records));
        assert_eq!(at_once.known_fingerprints(), one_by_one.known_fingerprints());
        assert_eq!(at_once.len(), 3000);
    }

    #[test]
    fn ordinals_past_the_last_do_not_look_like_a_mark() {
        let mut index = Index::new();
        index.see(key(1), Fingerprint(1), u32::MAX);
        index.see(key(2), Fingerprint(2), 0);
        assert_eq!(index.see(key(1), Fingerprint(1), 5), Seen::SameAgain { first: Index::ORDINAL_MAX });
        assert_eq!(index.see(key(2), Fingerprint(2), 5), Seen::SameAgain { first: 1 });
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn it_says_what_a_plain_map_says(steps in prop::collection::vec((0u8..3, 0u64..60, 0u64..3), 0..300)) {
            // Keys that all fall into one table, with few homes: long clusters, and wrapping round.
            let crowded = |number: u64| KeyHash([0, ((number as u32 % 7) << 29) | 0x1fff_ffff, number as u32]);
            let (mut index, mut model) = (Index::new(), BTreeMap::new());
            for (ordinal, (what, number, content)) in (1u32..).zip(steps) {
                let (key, print) = (crowded(number), Fingerprint(content));
                match what {
                    0 => {
                        index.learn(key, print);
                        model.insert(number, (Some(content), None));
                    }
                    1 => {
                        index.doubt(key);
                        if let Some(entry) = model.get_mut(&number) {
                            *entry = (None, None);
                        }
                    }
                    _ => {
                        let expected = match model.get(&number).copied() {
                            None => Seen::New,
                            Some((delivered, None)) if delivered == Some(content) => Seen::Unchanged,
                            Some((_, None)) => Seen::Changed,
                            Some((seen, Some(first))) if seen == Some(content) => Seen::SameAgain { first },
                            Some((_, Some(first))) => Seen::ConflictsWith { first },
                        };
                        prop_assert_eq!(index.see(key, print, ordinal), expected);
                        if matches!(expected, Seen::New | Seen::Unchanged | Seen::Changed) {
                            model.insert(number, (Some(content), Some(ordinal)));
                        }
                    }
                }
                prop_assert_eq!(index.len(), model.len());
            }
        }
    }
}
