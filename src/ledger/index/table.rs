//! One table of the index: entries by key, in little more memory than they take.
//!
//! A general hash map doubles when it is full: just before and just after, it holds two to three times what it needs.
//! This one grows by a fifth, and is a list of blocks of one size which are given back one by one while they are copied: what
//! growing gives back is what it takes next.
//!
//! All tables of an index fill up at the same pace. Did they grow at the same time, the index would take a fifth more just then;
//! but each has sizes of its own, that lie by a part of a step above those of the table before. So at any time some of them have
//! just grown and some are about to, and the index takes nearly the same for each record.
//!
//! An entry is in the block that its hash says, its home, or in the next one that has a free slot: a block with a free slot
//! ends a search. Homes are in the order of the hash, so growing reads block after block and writes block after block.

use super::approach::Hint;
use super::block::{Block, Entry, KeyRest, SLOTS, home_of, tag_of};
use super::pool::Pool;
use crate::record::KeyHash;

/// Share of the slots that is used when a table grows, in hundredths. With [`GROWTH`] it decides the memory: a slot takes 23.4
/// bytes, × 1.2 / 0.95 are 29.6 just after growing, and 24.7 just before.
const LOAD_MAX_PERCENT: usize = 95;

/// A table grows by one block in so many. So each entry is copied some five times; with one in four it were four times, and
/// half a byte more for each record.
const GROWTH: u64 = 5;

/// Position of a block with a free slot, or of one that is still to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap(usize);

/// Entries of keys that share the first byte of their hash.
#[derive(Debug)]
pub(super) struct Table {
    /// That byte.
    number: u8,
    /// Numbers of the homes, and of what the last of them could not hold.
    blocks: Vec<u32>,
    homes: usize,
    /// Entries that it takes before it grows.
    room: usize,
}

impl Table {
    pub(super) fn new(number: u8) -> Self {
        Self { number, blocks: Vec::new(), homes: 0, room: 0 }
    }

    /// A table that takes so many entries before it grows.
    pub(super) fn with_room(number: u8, entries: usize, pool: &mut Pool) -> Self {
        let mut table = Self::new(number);
        table.homes = (entries * 100).div_ceil(SLOTS * LOAD_MAX_PERCENT);
        table.room = room_of(table.homes);
        table.blocks.reserve_exact(table.homes + 1);
        table.add_blocks(table.homes, pool);
        table
    }

    /// The entry of a key.
    pub(super) fn locate<'a>(&self, key: KeyHash, pool: &'a Pool) -> Option<&'a Entry> {
        let (number, slot) = self.find(key, pool).ok()?;
        Some(pool.block(number).entry(slot))
    }

    /// The entry of a key, or where it would be inserted.
    pub(super) fn locate_mut<'a>(
        &self,
        key: KeyHash,
        hint: Option<Hint>,
        pool: &'a mut Pool,
    ) -> Result<&'a mut Entry, Gap> {
        let found = match hint.and_then(|hint| self.find_there(key, hint, pool)) {
            Some(found) => found,
            None => self.find(key, pool),
        };
        let (number, slot) = found?;
        Ok(pool.block_mut(number).entry_mut(slot))
    }

    /// What [`Self::find`] would find, where a hint still says it. While the table has not grown, no key has moved; and where
    /// the slot that was free is the first free one still, no key was added that would be found before it.
    fn find_there(&self, key: KeyHash, hint: Hint, pool: &Pool) -> Option<Result<(u32, usize), Gap>> {
        if hint.homes != self.homes() {
            return None;
        }
        let (block, slot) = (pool.block(hint.number), hint.slot as usize);
        if block.is_in(slot, tag_of(key), KeyRest::of(key)) {
            return Some(Ok((hint.number, slot)));
        }
        block.is_next(slot).then_some(Err(Gap(hint.at as usize)))
    }

    /// The number of the block, and the slot.
    fn find(&self, key: KeyHash, pool: &Pool) -> Result<(u32, usize), Gap> {
        let (tag, rest) = (tag_of(key), KeyRest::of(key));
        for (at, number) in self.blocks.iter().enumerate().skip(self.home(home_of(key))) {
            let block = pool.block(*number);
            if let Some(slot) = block.find(tag, rest) {
                return Ok((*number, slot));
            }
            if !block.is_full() {
                return Err(Gap(at));
            }
        }
        Err(Gap(self.blocks.len()))
    }

    /// Inserts a key that is not there; `gap` is where [`Self::locate_mut`] wants it. A table that is full makes room for about as many
    /// as are `coming`, or grows by its usual step.
    pub(super) fn insert(&mut self, mut gap: Gap, key: KeyHash, entry: Entry, coming: usize, pool: &mut Pool) {
        if self.room == 0 {
            // Not all tables at the same time: from three to five fourths of what is to come.
            let coming = coming - coming / 4 + coming * usize::from(self.number) / 512;
            self.spread(larger(self.homes, self.number).max(self.homes_for(coming)), pool);
            gap = Gap(self.home(home_of(key)));
        }
        self.put(gap, tag_of(key), &entry, pool);
        self.room -= 1;
    }

    /// Homes that take so many entries more than there are.
    fn homes_for(&self, more: usize) -> usize {
        let held = room_of(self.homes) - self.room;
        (held + more).saturating_mul(100).div_ceil(SLOTS * LOAD_MAX_PERCENT)
    }

    /// Makes room for so many entries more, if there is less.
    pub(super) fn reserve(&mut self, entries: usize, pool: &mut Pool) {
        if self.room < entries {
            self.spread(self.homes_for(entries), pool);
        }
    }

    /// Forgets how many there are, where all blocks have been emptied.
    pub(super) fn clear(&mut self) {
        self.room = room_of(self.homes);
    }

    pub(super) fn entries<'a>(&'a self, pool: &'a Pool) -> impl Iterator<Item = (KeyHash, &'a Entry)> {
        self.blocks.iter().flat_map(|number| pool.block(*number).keyed(self.number))
    }

    /// Allocated size without its own and that of its blocks, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<u32>()
    }

    /// How many homes it has, in 32 bits as blocks have numbers of 32 bits.
    pub(super) fn homes(&self) -> u32 {
        self.homes as u32
    }

    /// Position of the block where the search for a key begins, by the part of the key that decides it.
    pub(super) fn home(&self, part: u32) -> usize {
        ((u64::from(part) * self.homes as u64) >> 32) as usize
    }

    /// The block at a position, after its number.
    pub(super) fn block<'a>(&self, at: usize, pool: &'a Pool) -> Option<(u32, &'a Block)> {
        self.blocks.get(at).map(|number| (*number, pool.block(*number)))
    }

    /// Puts an entry into the first block with a free slot, from a position on.
    fn put(&mut self, Gap(mut at): Gap, tag: u8, entry: &Entry, pool: &mut Pool) {
        loop {
            let number = match self.blocks.get(at) {
                Some(number) => *number,
                None => {
                    self.add_blocks(at + 1, pool);
                    self.blocks[at]
                }
            };
            if pool.block_mut(number).push(tag, entry) {
                return;
            }
            at += 1;
        }
    }

    /// Spreads the entries over more homes. An old block's entries go into few new ones, which follow those of the block before;
    /// each old block is given back before the next is read.
    fn spread(&mut self, homes: usize, pool: &mut Pool) {
        self.room += room_of(homes) - room_of(self.homes);
        self.homes = homes;
        for number in std::mem::replace(&mut self.blocks, Vec::with_capacity(homes + 1)) {
            for (tag, entry) in pool.give_back(number).tagged() {
                self.put(Gap(self.home(entry.home())), tag, entry, pool);
            }
        }
        self.add_blocks(homes, pool);
    }

    /// Adds empty blocks until there are so many.
    #[cold]
    fn add_blocks(&mut self, blocks: usize, pool: &mut Pool) {
        while self.blocks.len() < blocks {
            self.blocks.push(pool.take());
        }
    }
}

/// Entries that so many homes hold before a table grows.
fn room_of(homes: usize) -> usize {
    homes * SLOTS * LOAD_MAX_PERCENT / 100
}

/// The least number of homes above this one that is a size of the table with this number.
fn larger(homes: usize, number: u8) -> usize {
    const ONE: u64 = 1 << 16;
    let mut size = ONE + ONE / GROWTH * u64::from(number) / 256;
    while size / ONE <= homes as u64 {
        size += size / GROWTH;
    }
    (size / ONE) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Fingerprint;

    #[test]
    fn a_look_up_ends_near_its_home() {
        let mut pool = Pool::default();
        let (mut table, mut steps_max, mut fullest) = (Table::new(0), 0.0_f64, 0);
        for number in 0..40_000_u64 {
            let hash = KeyHash::of(&number.to_string()).0;
            let key = KeyHash([0, hash[1], hash[2]]);
            let gap = table.locate_mut(key, None, &mut pool).expect_err("is new");
            table.insert(gap, key, Entry::new(key, Fingerprint(0), 0), 0, &mut pool);
            if number > 2_000 && table.room == 0 {
                fullest += 1;
                let steps: usize = table.entries(&pool).map(|(key, _)| steps_of(&table, key, &pool)).sum();
                steps_max = steps_max.max(steps as f64 / (number + 1) as f64);
            }
        }
        assert!(fullest > 10, "was full {fullest} times");
        assert!(steps_max < 1.6, "{steps_max} blocks for each look-up just before growing");
    }

    /// Blocks that are looked at for a key that is there.
    fn steps_of(table: &Table, key: KeyHash, pool: &Pool) -> usize {
        let (number, _) = table.find(key, pool).expect("is there");
        let at = table.blocks.iter().position(|block| *block == number).expect("is one of the table's");
        at - table.home(home_of(key)) + 1
    }

    #[test]
    fn sizes_of_a_table_are_a_fifth_apart_and_between_those_of_the_others() {
        let sizes = |number| std::iter::successors(Some(larger(0, number)), move |homes| Some(larger(*homes, number)));
        let above_1000 = |number| sizes(number).filter(|size| *size > 1000).take(2).collect::<Vec<_>>();
        assert_eq!(
            sizes(0).take(12).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18],
            "by one block at least"
        );
        assert_eq!(above_1000(0), [1020, 1224]);
        assert_eq!(above_1000(64), [1071, 1285]);
        assert_eq!(above_1000(128), [1122, 1347]);
        assert_eq!(above_1000(192), [1173, 1408]);
        assert_eq!(above_1000(255), [1019, 1223]);
    }
}
