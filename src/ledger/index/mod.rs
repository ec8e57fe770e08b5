//! What was delivered, by key, in memory: at most 32 bytes for each record, whatever their number.

mod approach;
mod block;
mod pool;
mod table;

use crate::record::{Fingerprint, KeyHash};
use approach::Near;
use block::{Block, Entry, table_of};
use pool::Pool;
use table::Table;

/// What a record takes in a table that is full, rounded up.
const BYTES_EACH: usize = 25;

/// Memory that is made ready for each record that there is, where more are expected: what 32 bytes leave beside its own and what
/// growing costs.
const AHEAD_BYTES_EACH: usize = 4;

/// The first byte of a key's hash chooses its table.
const TABLES: usize = u8::MAX as usize + 1;

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
    pool: Pool,
    len: usize,
    near: Box<Near>,
    /// Number of the next table that [`Self::expect`] makes room in.
    expects: usize,
    /// Records that are expected in each table, as far as room is made for them.
    coming: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}

impl Index {
    /// Most memory that is made ready for records that may not come. A program that may take 64 MiB besides what is known takes half
    /// of it otherwise.
    pub const AHEAD_BYTES_MAX: usize = 24 << 20;

    /// Largest ordinal that is told apart; later rows count as this one.
    pub const ORDINAL_MAX: u32 = DOUBTED - 1;

    /// An index that knows nothing.
    pub fn new() -> Self {
        Self {
            tables: (0..=u8::MAX).map(Table::new).collect(),
            pool: Pool::default(),
            len: 0,
            near: Box::default(),
            expects: 0,
            coming: 0,
        }
    }

    /// An index that knows nothing, and takes so many records before it grows. Growing from nothing copies each record five
    /// times.
    pub(super) fn with_room(records: usize) -> Self {
        // Tables don't get equally many. Of a hundred, two get more than this, and grow.
        let mean = records / TABLES;
        let most = mean + 2 * mean.isqrt();
        let mut pool = Pool::default();
        let tables = (0..=u8::MAX).map(|number| Table::with_room(number, most, &mut pool)).collect();
        Self { tables, pool, len: 0, near: Box::default(), expects: 0, coming: 0 }
    }

    /// Tables that are made ready at once.
    const EXPECTED_AT_ONCE: usize = 4;

    /// Makes room for about so many records that are to come, so that they need not be copied as they get more: that is a quarter
    /// of what taking in new ones costs. Where they do not come, at most [`Self::AHEAD_BYTES_MAX`] were made ready for nothing, and
    /// 4 bytes for each that there is.
    ///
    /// To be called now and then, with what is still to come. A few tables are made ready each time, because all of them together
    /// take longer than others want to wait; once all are, what is told last is what they grow by.
    pub fn expect(&mut self, records: usize) {
        let ahead_bytes = Self::AHEAD_BYTES_MAX + AHEAD_BYTES_EACH * self.len;
        let mean = records.min(ahead_bytes / BYTES_EACH) / TABLES;
        let most = mean + 2 * mean.isqrt();
        let next = self.tables.iter_mut().skip(self.expects).take(Self::EXPECTED_AT_ONCE);
        next.for_each(|table| table.reserve(most, &mut self.pool));
        self.expects = TABLES.min(self.expects + Self::EXPECTED_AT_ONCE);
        if self.expects == TABLES {
            self.coming = most;
        }
    }

    /// Forgets everything, and keeps the memory for what comes next.
    pub(super) fn clear(&mut self) {
        self.pool.blocks_mut().for_each(Block::clear);
        self.tables.iter_mut().for_each(Table::clear);
        // A key that lay behind a full block may now be put into it.
        self.near.forget();
        (self.len, self.expects, self.coming) = (0, 0, 0);
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
        if let Ok(entry) = self.tables[table_of(key)].locate_mut(key, self.near.hint(key), &mut self.pool) {
            entry.place = DOUBTED;
        }
    }

    /// Compares a record of this run with what was delivered, and remembers it.
    ///
    /// `ordinal` numbers the rows of the run, from 1; see [`Self::ORDINAL_MAX`].
    pub fn see(&mut self, key: KeyHash, fingerprint: Fingerprint, ordinal: u32) -> Seen {
        let ordinal = ordinal.clamp(1, Self::ORDINAL_MAX);
        let table = &mut self.tables[table_of(key)];
        let entry = match table.locate_mut(key, self.near.hint(key), &mut self.pool) {
            Ok(entry) => entry,
            Err(gap) => {
                table.insert(gap, key, Entry::new(key, fingerprint, ordinal), self.coming, &mut self.pool);
                self.len += 1;
                return Seen::New;
            }
        };
        let (same, place) = (entry.fingerprint() == fingerprint, entry.place);
        match place {
            KNOWN if same => {
                entry.place = ordinal;
                Seen::Unchanged
            }
            KNOWN | DOUBTED => {
                entry.set(fingerprint, ordinal);
                Seen::Changed
            }
            first if same => Seen::SameAgain { first },
            first => Seen::ConflictsWith { first },
        }
    }

    /// [`Self::doubt`] for every record that was delivered.
    pub fn doubt_all(&mut self) {
        let entries = self.pool.blocks_mut().flat_map(Block::entries_mut);
        for entry in entries.filter(|entry| entry.place == KNOWN) {
            entry.place = DOUBTED;
        }
    }

    /// The content with which a record was delivered for certain, if it was and this run has not seen it.
    pub fn delivered(&self, key: KeyHash) -> Option<Fingerprint> {
        let entry = self.locate(key)?;
        (entry.place == KNOWN).then(|| entry.fingerprint())
    }

    /// Whether a record was delivered, for certain or not, or seen by this run.
    pub fn holds(&self, key: KeyHash) -> bool {
        self.locate(key).is_some()
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
        self.pool.bytes() + tables + self.tables.capacity() * size_of::<Table>() + size_of::<Self>() + size_of::<Near>()
    }

    /// Keys of the records that were delivered and that this run has not seen, in no order.
    pub fn unseen(&self) -> impl Iterator<Item = KeyHash> + '_ {
        self.entries().filter(|(_, entry)| matches!(entry.place, KNOWN | DOUBTED)).map(|(key, _)| key)
    }

    /// Whether a record was delivered and this run has not seen it.
    pub fn is_unseen(&self, key: KeyHash) -> bool {
        let entry = self.locate(key);
        entry.is_some_and(|entry| matches!(entry.place, KNOWN | DOUBTED))
    }

    /// Number of records that are delivered, not in doubt, and not seen.
    pub(super) fn known(&self) -> usize {
        self.pool.blocks().flat_map(Block::entries).filter(|entry| entry.place == KNOWN).count()
    }

    /// What is delivered for certain.
    #[cfg(test)]
    pub(super) fn known_fingerprints(&self) -> std::collections::BTreeMap<KeyHash, Fingerprint> {
        let known = self.entries().filter(|(_, entry)| entry.place == KNOWN);
        known.map(|(key, entry)| (key, entry.fingerprint())).collect()
    }

    /// Sets a record's content and place, whatever they were: a map for compaction.
    pub(super) fn put(&mut self, key: KeyHash, fingerprint: Fingerprint, place: u32) {
        let table = &mut self.tables[table_of(key)];
        match table.locate_mut(key, self.near.hint(key), &mut self.pool) {
            Ok(entry) => entry.set(fingerprint, place),
            Err(gap) => {
                table.insert(gap, key, Entry::new(key, fingerprint, place), self.coming, &mut self.pool);
                self.len += 1;
            }
        }
    }

    /// A record's place, as it was set by [`Self::put`].
    pub(super) fn place(&self, key: KeyHash) -> Option<u32> {
        self.locate(key).map(|entry| entry.place)
    }

    fn locate(&self, key: KeyHash) -> Option<&Entry> {
        self.tables[table_of(key)].locate(key, &self.pool)
    }

    fn entries(&self) -> impl Iterator<Item = (KeyHash, &Entry)> {
        self.tables.iter().flat_map(|table| table.entries(&self.pool))
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

    /// Did all tables grow at the same time, it were 29.6 just then.
    #[test]
    fn an_entry_takes_nearly_the_same_at_every_size() {
        let (mut index, mut sizes) = (Index::new(), Vec::new());
        let records: Vec<_> = (0..1_000_000).map(|number| (key(number), Fingerprint(number))).collect();
        for records in records.chunks(10_000) {
            index.learn_all(records);
            sizes.push(index.bytes() as f64 / index.len() as f64);
        }
        let large = &sizes[9..];
        let (mean, most) = (large.iter().sum::<f64>() / large.len() as f64, large.iter().copied().fold(0.0, f64::max));
        assert_eq!((large.len(), index.len()), (91, 1_000_000));
        assert!(mean <= 27.5, "{mean} bytes for a record on average");
        assert!(most <= 28.5, "{most} bytes for a record");
    }

    #[test]
    fn an_index_of_few_records_is_small() {
        let mut index = Index::new();
        assert!(index.bytes() < 16_000, "{} bytes without a record", index.bytes());
        (0..10).for_each(|number| index.learn(key(number), Fingerprint(number)));
        assert!(index.bytes() < 40_000, "{} bytes with ten", index.bytes());
        (10..10_000).for_each(|number| index.learn(key(number), Fingerprint(number)));
        assert!(index.bytes() < 450_000, "{} bytes with ten thousand", index.bytes());
    }

    #[test]
    fn an_index_with_room_takes_no_more_memory_than_one_that_grew() {
        // So many fill 13.97 blocks of each table, on average: room for the average would be too little for half of the tables.
        let records: Vec<_> = (0..214_000).map(|number| (key(number), Fingerprint(number))).collect();
        let (mut grown, mut roomy) = (Index::new(), Index::with_room(records.len()));
        let before = roomy.bytes();
        grown.learn_all(&records);
        roomy.learn_all(&records);
        assert_eq!(roomy.known_fingerprints(), grown.known_fingerprints());
        assert!(before > grown.bytes() * 8 / 10, "{before} bytes were made ready");
        assert!(roomy.bytes() <= before * 102 / 100, "hardly a table had to grow: {before}, {} bytes", roomy.bytes());
        // What is known of 64 keys takes its 1.8 KB in an index of any size.
        assert!(roomy.bytes() - size_of::<Near>() <= 27 * records.len(), "{} bytes", roomy.bytes());
    }

    /// Given an index of a few records, when many are expected and come, then hardly any table grows; and where ever so many are
    /// expected and none comes, no more is made ready than the bound.
    #[test]
    fn what_is_expected_is_made_ready_within_its_bound() {
        let mut index = Index::new();
        (0..4_000).for_each(|number| index.learn(key(number), Fingerprint(number)));
        let expect =
            |index: &mut Index, records| (0..TABLES / Index::EXPECTED_AT_ONCE).for_each(|_| index.expect(records));
        expect(&mut index, 210_000);
        let before = index.bytes();
        (4_000..214_000).for_each(|number| index.learn(key(number), Fingerprint(number)));
        assert!(index.bytes() <= before * 102 / 100, "hardly a table had to grow: {before}, {} bytes", index.bytes());
        assert!(index.bytes() <= 28 * index.len(), "{} bytes", index.bytes());
        assert!((0..214_000).all(|number| index.delivered(key(number)) == Some(Fingerprint(number))));

        let before = index.bytes();
        index.expect(usize::MAX);
        assert_eq!(index.bytes(), before, "each table is made ready once");
        index.expects = 0;
        expect(&mut index, 0);
        assert_eq!(index.bytes(), before);
        index.expects = 0;
        expect(&mut index, usize::MAX);
        let ahead = index.bytes() - before;
        let most = (Index::AHEAD_BYTES_MAX + AHEAD_BYTES_EACH * index.len()) * 102 / 100;
        assert!((20 << 20..=most).contains(&ahead), "{ahead} bytes");
        assert!((0..214_000).all(|number| index.holds(key(number))));
    }

    /// Given more to come than room is made for, when it is told again and again what is still to come, then tables grow by that and
    /// not by their usual step, within the bound at each moment, and in the end hardly any room is left over.
    #[test]
    fn tables_grow_by_what_is_still_to_come() {
        const RECORDS: u64 = 2_000_000;
        let (mut index, mut most_at_once) = (Index::new(), 0);
        let records: Vec<_> = (0..RECORDS).map(|number| (key(number), Fingerprint(number))).collect();
        for records in records.chunks(5_000) {
            let before = index.bytes();
            index.learn_all(records);
            index.expect(RECORDS as usize - index.len());
            most_at_once = most_at_once.max(index.bytes() - before);
            let most = (Index::AHEAD_BYTES_MAX + AHEAD_BYTES_EACH * index.len()) * 102 / 100 + 28 * index.len();
            assert!(index.bytes() <= most, "{} bytes of {} records", index.bytes(), index.len());
        }
        assert!(index.bytes() as u64 <= 27 * RECORDS, "{} bytes", index.bytes());
        assert!(most_at_once <= 6 << 20, "by and by: {most_at_once} bytes");
        assert!((0..RECORDS).step_by(997).all(|number| index.delivered(key(number)) == Some(Fingerprint(number))));
    }

    #[test]
    fn a_cleared_index_knows_nothing_and_takes_no_more_memory_for_the_same() {
        let mut index = Index::new();
        (0..50_000).for_each(|number| index.learn(key(number), Fingerprint(number)));
        let bytes = index.bytes();
        index.clear();
        assert_eq!((index.len(), index.known(), index.unseen().count(), index.delivered(key(7))), (0, 0, 0, None));
        assert!((0..50_000).all(|number| !index.holds(key(number))));
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

    /// Given keys that differ from each other in one or two of their 96 bits, one of them all zero, then each is a record of its
    /// own and comes back as it was.
    #[test]
    fn keys_are_compared_and_kept_whole() {
        for base in [KeyHash([0; 3]), KeyHash([u32::MAX; 3]), KeyHash([0x1234_5678, 0x9abc_def0, 0x0fed_cba9])] {
            let flipped = |bit: usize| {
                let mut words = base.0;
                words[bit / 32] ^= 1 << (bit % 32);
                KeyHash(words)
            };
            let keys: Vec<_> = std::iter::once(base).chain((0..96).map(flipped)).collect();
            let contents: BTreeMap<_, _> = keys.iter().copied().zip((0..).map(Fingerprint)).collect();
            let (mut learned, mut seen) = (Index::new(), Index::new());
            for (ordinal, key) in (1..).zip(&keys) {
                assert!(!learned.holds(*key), "{key:?}");
                learned.learn(*key, contents[key]);
                assert_eq!(seen.see(*key, contents[key], ordinal), Seen::New, "{key:?}");
            }
            assert_eq!((learned.len(), learned.known()), (97, 97));
            assert_eq!(learned.known_fingerprints(), contents);
            assert_eq!(learned.unseen().collect::<BTreeSet<_>>(), keys.iter().copied().collect());
            for (first, key) in (1..).zip(&keys) {
                assert_eq!(seen.see(*key, contents[key], 98), Seen::SameAgain { first });
                assert_eq!(learned.see(*key, contents[key], first), Seen::Unchanged);
            }
        }
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

    /// Given a home that is full, and a key that would go behind it, when all is forgotten, then the key goes to its home.
    #[test]
    fn what_was_approached_before_all_was_forgotten_is_not_believed() {
        let crowded = |number: u32| KeyHash([0, 0x7fff_ffff, number << 22]);
        let mut index = Index::new();
        (0..63).for_each(|number| index.learn(crowded(number), Fingerprint(1)));
        index.approach([crowded(63)].into_iter());
        index.clear();
        assert_eq!(index.see(crowded(63), Fingerprint(1), 1), Seen::New);
        assert!(index.holds(crowded(63)));
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
        fn it_says_what_a_plain_map_says(steps in prop::collection::vec((0u8..200, 0u64..400, 0u64..3), 0..1500)) {
            // Keys that all fall into one table, half of them into its last home, which they more than fill.
            let crowded = |number: u64| KeyHash([0, ((number as u32 % 2) << 31) | 0x7fff_ffff, (number as u32) << 22]);
            let (mut index, mut model) = (Index::new(), BTreeMap::new());
            for (at, (what, number, content)) in steps.iter().copied().enumerate() {
                let (key, print, ordinal) = (crowded(number), Fingerprint(content), at as u32 + 1);
                // What comes next, of which some is not asked for; or something else, now and then.
                match what % 20 {
                    0 => index.approach((number..number + 100).map(crowded)),
                    1 => index.approach(steps[at..].iter().step_by(2).map(|(_, number, _)| crowded(*number))),
                    2..=6 => index.approach(steps[at..].iter().take(64).map(|(_, number, _)| crowded(*number))),
                    _ => {}
                }
                match what % 3 {
                    _ if what == 198 => index.expect(number as usize * 1_000),
                    _ if what == 199 => {
                        index.clear();
                        model.clear();
                    }
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
