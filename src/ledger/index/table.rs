//! One table of the index: entries by key, in little more memory than they take.
//!
//! A general hash map doubles when it is full: just before and just after, it holds two to three times what it needs.
//! This one grows by a tenth, and is a list of blocks of one size which are given back one by one while it is copied: what
//! growing gives back is what it takes next, so that no holes are left behind in the heap.
//!
//! An entry is in the block that its hash says, its home, or in the next one that has a free slot. Slots fill from the
//! first on and are never given back, so a block with a free slot ends a search. Each block has a byte of hash for each slot,
//! side by side: a look-up compares those at once, and touches an entry only where the byte is right.

use crate::record::KeyHash;

/// An entry: three words of key, two of fingerprint (high, low), one of place.
pub(super) type Entry = [u32; 6];

/// Where an entry keeps its place.
pub(super) const PLACE: usize = 5;

/// Slots of a block.
const SLOTS: usize = 64;

/// Share of the slots that is used when a table grows, in hundredths. With [`GROWTH`] it decides the memory: 25.4 bytes a slot
/// × 11/10 / 0.95 are 29.4 just after growing, and 26.7 just before, so that what grows from one size to another stays under 32.
const LOAD_MAX_PERCENT: usize = 95;

/// A table grows by one block in so many. With less each entry is copied more often, with more there is more air.
const GROWTH: usize = 10;

/// Tag of a free slot.
const FREE: u8 = 0;

#[derive(Debug)]
struct Block {
    /// Slots that are used.
    len: u32,
    tags: [u8; SLOTS],
    entries: [Entry; SLOTS],
}

/// A free slot: block and position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap(usize, usize);

/// Entries of keys that share the first byte of their hash.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The homes, and what the last of them could not hold.
    // In one piece they would be the allocation that this is to avoid.
    #[expect(clippy::vec_box)]
    blocks: Vec<Box<Block>>,
    homes: usize,
    used: usize,
}

impl Table {
    /// A table that takes so many entries before it grows.
    pub(super) fn with_room(entries: usize) -> Self {
        let mut table = Self { homes: (entries * 100).div_ceil(SLOTS * LOAD_MAX_PERCENT), ..Self::default() };
        table.blocks.reserve_exact(table.homes + 1);
        table.add_blocks(table.homes);
        table
    }

    /// The entry of a key.
    pub(super) fn locate(&self, key: KeyHash) -> Option<&Entry> {
        let (block, slot) = self.find(key).ok()?;
        Some(&self.blocks[block].entries[slot])
    }

    /// The entry of a key, or where it would be inserted.
    pub(super) fn locate_mut(&mut self, key: KeyHash) -> Result<&mut Entry, Gap> {
        let (block, slot) = self.find(key)?;
        Ok(&mut self.blocks[block].entries[slot])
    }

    fn find(&self, key: KeyHash) -> Result<(usize, usize), Gap> {
        let (home, tag) = (self.home(key), tag_of(key));
        for (at, block) in self.blocks.iter().enumerate().skip(home) {
            for slot in memchr::memchr_iter(tag, &block.tags) {
                if block.entries[slot][..3] == key.0 {
                    return Ok((at, slot));
                }
            }
            if !block.is_full() {
                return Err(Gap(at, block.len as usize));
            }
        }
        Err(Gap(self.blocks.len(), 0))
    }

    /// Inserts an entry whose key is not there; `gap` is where [`Self::locate_mut`] wants it.
    pub(super) fn insert(&mut self, mut gap: Gap, entry: Entry) {
        if (self.used + 1) * 100 > self.homes * SLOTS * LOAD_MAX_PERCENT {
            self.grow();
            gap = self.gap(key_of(&entry));
        }
        self.put(gap, entry);
        self.used += 1;
    }

    /// Reads where the search for a key begins.
    pub(super) fn touch_home(&self, key: KeyHash) -> u8 {
        self.blocks.get(self.home(key)).map_or(0, |block| block.len as u8 ^ block.tags[SLOTS - 1])
    }

    /// Reads the entry at which the search for a key looks first, or else where it would be inserted.
    pub(super) fn touch_entry(&self, key: KeyHash) -> u32 {
        let Some(block) = self.blocks.get(self.home(key)) else { return 0 };
        let slot = memchr::memchr(tag_of(key), &block.tags).unwrap_or(block.len as usize % SLOTS);
        block.entries[slot][0] ^ block.entries[slot][PLACE]
    }

    /// Forgets everything, and keeps the memory for what comes next.
    pub(super) fn clear(&mut self) {
        self.blocks.iter_mut().for_each(|block| (block.len, block.tags) = (0, [FREE; SLOTS]));
        self.used = 0;
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.blocks.iter().flat_map(|block| block.used())
    }

    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.blocks.iter_mut().flat_map(|block| &mut block.entries[..block.len as usize])
    }

    /// Allocated size without its own, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Box<Block>>() + self.blocks.len() * size_of::<Block>()
    }

    /// The block where the search for a key begins: homes are in the order of the second word of the hash.
    fn home(&self, key: KeyHash) -> usize {
        ((u64::from(key.0[1]) * self.homes as u64) >> 32) as usize
    }

    /// The first free slot for a key that is not there.
    fn gap(&self, key: KeyHash) -> Gap {
        let mut at = self.home(key);
        while self.blocks.get(at).is_some_and(|block| block.is_full()) {
            at += 1;
        }
        Gap(at, self.blocks.get(at).map_or(0, |block| block.len as usize))
    }

    fn put(&mut self, Gap(at, slot): Gap, entry: Entry) {
        self.add_blocks(at + 1);
        let block = &mut self.blocks[at];
        block.len += 1;
        block.tags[slot] = tag_of(key_of(&entry));
        block.entries[slot] = entry;
    }

    /// Spreads the entries over a tenth more homes, by one at least. An old block's entries go into few new ones, which follow
    /// those of the block before; each old block is given back before the next is read.
    fn grow(&mut self) {
        let homes = self.homes + (self.homes / GROWTH).max(1);
        let old = std::mem::take(&mut self.blocks);
        self.homes = homes;
        self.blocks.reserve_exact(homes + 1);
        for block in old {
            for entry in block.used() {
                let gap = self.gap(key_of(entry));
                self.put(gap, *entry);
            }
        }
        self.add_blocks(homes);
    }

    /// Adds empty blocks until there are so many.
    fn add_blocks(&mut self, blocks: usize) {
        while self.blocks.len() < blocks {
            self.blocks.push(Box::new(Block { len: 0, tags: [FREE; SLOTS], entries: [[0; 6]; SLOTS] }));
        }
    }
}

impl Block {
    fn is_full(&self) -> bool {
        self.len as usize == SLOTS
    }

    fn used(&self) -> &[Entry] {
        &self.entries[..self.len as usize]
    }
}

/// A byte of a key's hash that chooses neither its table nor its home.
fn tag_of(key: KeyHash) -> u8 {
    ((key.0[2] >> 24) as u8).max(FREE + 1)
}

pub(super) fn key_of(entry: &Entry) -> KeyHash {
    KeyHash([entry[0], entry[1], entry[2]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_up_ends_near_its_home() {
        let (mut table, mut steps_max, mut fullest) = (Table::default(), 0.0_f64, 0);
        for number in 0..40_000_u64 {
            let hash = KeyHash::of(&number.to_string()).0;
            let key = KeyHash([0, hash[1], hash[2]]);
            let gap = table.locate_mut(key).expect_err("is new");
            table.insert(gap, [key.0[0], key.0[1], key.0[2], 0, 0, 0]);
            if number > 2_000 && (table.used + 1) * 100 > table.homes * SLOTS * LOAD_MAX_PERCENT {
                fullest += 1;
                let steps: usize = table.entries().map(|entry| steps_of(&table, key_of(entry))).sum();
                steps_max = steps_max.max(steps as f64 / table.used as f64);
            }
        }
        assert!(fullest > 10, "was full {fullest} times");
        assert!(steps_max < 1.6, "{steps_max} blocks for each look-up just before growing");
    }

    /// Blocks that are looked at for a key that is there.
    fn steps_of(table: &Table, key: KeyHash) -> usize {
        let (block, _) = table.find(key).expect("is there");
        block - table.home(key) + 1
    }
}
