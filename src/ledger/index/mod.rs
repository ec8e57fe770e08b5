//! What was delivered, by key, in memory: at most 32 bytes for each record, whatever their number.

mod table;

use crate::record::{Fingerprint, KeyHash};
use table::{Entry, PLACE, Table};

/// The first byte of a key's hash chooses its table.
const TABLES: usize = 256;

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
    tables: Vec<Table>,
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

    /// How many keys to [`Self::approach`] at once: their lines of 64 bytes are a part of the processor's first cache.
    pub const APPROACHED: usize = 64;

    /// An index that knows nothing.
    pub fn new() -> Self {
        Self { tables: (0..TABLES).map(|_| Table::default()).collect(), len: 0 }
    }

    /// An index that knows nothing, and takes so many records before it grows. Growing from nothing copies each record ten
    /// times.
    pub(super) fn with_room(records: usize) -> Self {
        Self { tables: (0..TABLES).map(|_| Table::with_room(records / TABLES)).collect(), len: 0 }
    }

    /// Forgets everything, and keeps the memory for what comes next.
    pub(super) fn clear(&mut self) {
        self.tables.iter_mut().for_each(Table::clear);
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
        let mut starts = [0usize; TABLES];
        records.iter().for_each(|(key, _)| starts[table_of(*key)] += 1);
        let mut sum = 0;
        for start in &mut starts {
            (*start, sum) = (sum, sum + *start);
        }
        let mut sorted = vec![(KeyHash([0; 3]), Fingerprint(0)); records.len()];
        for record in records {
            let at = &mut starts[table_of(record.0)];
            sorted[*at] = *record;
            *at += 1;
        }
        for near in sorted.chunks(Self::APPROACHED) {
            self.approach(near.iter().map(|(key, _)| *key));
            near.iter().for_each(|(key, fingerprint)| self.learn(*key, *fingerprint));
        }
    }

    /// Takes in that a later sending of a record has an unknown outcome: it is [`Seen::Changed`]
    /// whatever its content. A record that was never delivered stays [`Seen::New`].
    pub fn doubt(&mut self, key: KeyHash) {
        if let Ok(entry) = self.table(key).locate_mut(key) {
            entry[PLACE] = DOUBTED;
        }
    }

    /// Has what is known of some keys brought near, [`Self::APPROACHED`] of them at a time: looking each up would wait for
    /// memory each time, here the processor waits for many at once.
    pub fn approach(&self, keys: impl Iterator<Item = KeyHash> + Clone) {
        let homes = keys.clone().fold(0, |sum, key| sum ^ self.tables[table_of(key)].touch_home(key));
        let entries = keys.fold(0, |sum, key| sum ^ self.tables[table_of(key)].touch_entry(key));
        // Nothing depends on what was read: without this, reading would be left out.
        std::hint::black_box((homes, entries));
    }

    /// Compares a record of this run with what was delivered, and remembers it.
    ///
    /// `ordinal` numbers the rows of the run, from 1; see [`Self::ORDINAL_MAX`].
    pub fn see(&mut self, key: KeyHash, fingerprint: Fingerprint, ordinal: u32) -> Seen {
        let ordinal = ordinal.clamp(1, Self::ORDINAL_MAX);
        let table = &mut self.tables[table_of(key)];
        let entry = match table.locate_mut(key) {
            Ok(entry) => entry,
            Err(gap) => {
                table.insert(gap, entry_of(key, fingerprint, ordinal));
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
        let entries = self.tables.iter_mut().flat_map(Table::entries_mut);
        for entry in entries.filter(|entry| entry[PLACE] == KNOWN) {
            entry[PLACE] = DOUBTED;
        }
    }

    /// The content with which a record was delivered for certain, if it was and this run has not seen it.
    pub fn delivered(&self, key: KeyHash) -> Option<Fingerprint> {
        let entry = self.tables[table_of(key)].locate(key)?;
        (entry[PLACE] == KNOWN).then(|| fingerprint_of(entry))
    }

    /// Whether a record was delivered, for certain or not, or seen by this run.
    pub fn holds(&self, key: KeyHash) -> bool {
        self.tables[table_of(key)].locate(key).is_some()
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
        let tables: usize = self.tables.iter().map(Table::bytes).sum();
        tables + self.tables.capacity() * size_of::<Table>() + size_of::<Self>()
    }

    /// Keys of the records that were delivered and that this run has not seen, in no order.
    pub fn unseen(&self) -> impl Iterator<Item = KeyHash> + '_ {
        self.entries().filter(|entry| matches!(entry[PLACE], KNOWN | DOUBTED)).map(table::key_of)
    }

    /// Whether a record was delivered and this run has not seen it.
    pub fn is_unseen(&self, key: KeyHash) -> bool {
        let entry = self.tables[table_of(key)].locate(key);
        entry.is_some_and(|entry| matches!(entry[PLACE], KNOWN | DOUBTED))
    }

    /// Number of records that are delivered, not in doubt, and not seen.
    pub(super) fn known(&self) -> usize {
        self.entries().filter(|entry| entry[PLACE] == KNOWN).count()
    }

    /// What is delivered for certain.
    #[cfg(test)]
    pub(super) fn known_fingerprints(&self) -> std::collections::BTreeMap<KeyHash, Fingerprint> {
        let known = self.entries().filter(|entry| entry[PLACE] == KNOWN);
        known.map(|entry| (table::key_of(entry), fingerprint_of(entry))).collect()
    }

    /// Sets a record's content and place, whatever they were: a map for compaction.
    pub(super) fn put(&mut self, key: KeyHash, fingerprint: Fingerprint, place: u32) {
        let (table, entry) = (self.table(key), entry_of(key, fingerprint, place));
        match table.locate_mut(key) {
            Ok(known) => *known = entry,
            Err(gap) => {
                table.insert(gap, entry);
                self.len += 1;
            }
        }
    }

    /// A record's place, as it was set by [`Self::put`].
    pub(super) fn place(&self, key: KeyHash) -> Option<u32> {
        self.tables[table_of(key)].locate(key).map(|entry| entry[PLACE])
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.tables.iter().flat_map(Table::entries)
    }

    fn table(&mut self, key: KeyHash) -> &mut Table {
        &mut self.tables[table_of(key)]
    }
}

fn table_of(key: KeyHash) -> usize {
    (key.0[0] >> 24) as usize
}

fn entry_of(key: KeyHash, fingerprint: Fingerprint, place: u32) -> Entry {
    let [a, b, c] = key.0;
    [a, b, c, (fingerprint.0 >> 32) as u32, fingerprint.0 as u32, place]
}

fn fingerprint_of(entry: &Entry) -> Fingerprint {
    Fingerprint((u64::from(entry[3]) << 32) | u64::from(entry[4]))
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
    fn an_index_with_room_takes_no_more_memory_than_one_that_grew() {
        let records: Vec<_> = (0..200_000).map(|number| (key(number), Fingerprint(number))).collect();
        let (mut grown, mut roomy) = (Index::new(), Index::with_room(records.len()));
        let before = roomy.bytes();
        grown.learn_all(&records);
        roomy.learn_all(&records);
        assert_eq!(roomy.known_fingerprints(), grown.known_fingerprints());
        assert!(before > grown.bytes() * 8 / 10, "{before} bytes were made ready");
        assert!(roomy.bytes() <= 31 * records.len(), "{} bytes", roomy.bytes());
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
        assert!((0..10).all(|number| index.is_unseen(key(number)) == unseen.contains(&key(number))));
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
        fn it_says_what_a_plain_map_says(steps in prop::collection::vec((0u8..3, 0u64..400, 0u64..3), 0..1500)) {
            // Keys that all fall into one table, half of them into its last home, which they more than fill.
            let crowded = |number: u64| KeyHash([0, ((number as u32 % 2) << 31) | 0x7fff_ffff, (number as u32) << 22]);
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
