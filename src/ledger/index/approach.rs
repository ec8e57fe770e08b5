//! Memory of the index that is read before it is needed, and what was found there.

use super::Index;
use super::block::{KeyRest, home_of, table_of, tag_of};
use crate::record::KeyHash;

/// Where a look-up of a key ended when it was approached. Only a hint: whoever uses it looks whether it still holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hint {
    /// Homes that the table had.
    pub homes: u32,
    /// Position of the block in the table.
    pub at: u32,
    /// The block's number.
    pub number: u32,
    /// The slot that may hold the key, or else the first that was free.
    pub slot: u32,
}

impl Hint {
    /// Homes that no table has.
    const NO_TABLE: u32 = u32::MAX;
}

/// Keys that were approached, and are asked for in that order; not all of them need be.
#[derive(Debug)]
pub(super) struct Near {
    keys: [(KeyHash, Hint); Index::APPROACHED],
    len: usize,
    next: usize,
}

impl Default for Near {
    fn default() -> Self {
        let none = Hint { homes: Hint::NO_TABLE, at: 0, number: 0, slot: 0 };
        Self { keys: [(KeyHash([0; 3]), none); Index::APPROACHED], len: 0, next: 0 }
    }
}

impl Near {
    /// Gives up all hints.
    pub(super) fn forget(&mut self) {
        self.len = 0;
    }

    /// What is known of a key; none where it was not approached, or is asked for out of order.
    #[inline]
    pub(super) fn hint(&mut self, key: KeyHash) -> Option<Hint> {
        while self.next < self.len {
            let (known, hint) = self.keys[self.next];
            self.next += 1;
            if known == key {
                return Some(hint);
            }
        }
        None
    }
}

impl Index {
    /// How many keys to [`Self::approach`] at once: their lines of 64 bytes are a part of the processor's first cache.
    pub const APPROACHED: usize = 64;

    /// Has what is known of some keys brought near, [`Self::APPROACHED`] of them at a time: looking each up would wait for
    /// memory each time, here the processor waits for many at once. Whoever asks for the last of them next, in that order, does
    /// not search again.
    pub fn approach(&mut self, mut keys: impl Iterator<Item = KeyHash>) {
        let mut near = std::mem::take(&mut self.near);
        loop {
            let mut wanted = [(0, 0); Self::APPROACHED];
            let mut len = 0;
            for ((near, wanted), key) in near.keys.iter_mut().zip(&mut wanted).zip(&mut keys) {
                let table = &self.tables[table_of(key)];
                *near = (key, Hint { homes: table.homes(), at: 0, number: 0, slot: 0 });
                *wanted = (len, table.home(home_of(key)));
                len += 1;
            }
            if len == 0 {
                break;
            }
            (near.len, near.next) = (len, 0);
            while len > 0 {
                len = self.approach_blocks(&mut near, &mut wanted[..len]);
            }
        }
        self.near = near;
    }

    /// Reads of each wanted key, by its place in `near`, and block what a look-up would. Where it would go on in another block, that
    /// is wanted next: those come first afterwards, so many.
    ///
    /// Steps by themselves, that each do nothing but find or nothing but read: the processor looks some hundred instructions
    /// ahead, and waits for the memory of as many keys at once as fit in there.
    fn approach_blocks(&self, near: &mut Near, wanted: &mut [(usize, usize)]) -> usize {
        let mut blocks = [None; Self::APPROACHED];
        for (block, (key, at)) in blocks.iter_mut().zip(&*wanted) {
            *block = self.tables[table_of(near.keys[*key].0)].block(*at, &self.pool);
        }
        let lines = blocks.iter().flatten().fold(0, |sum, (_, block)| sum ^ block.touch());

        let (mut slots, mut entries) = ([0; Self::APPROACHED], [None; Self::APPROACHED]);
        for (((slots, entry), block), (key, _)) in slots.iter_mut().zip(&mut entries).zip(&blocks).zip(&*wanted) {
            let Some((_, block)) = block else { continue };
            *slots = block.slots_with(tag_of(near.keys[*key].0));
            *entry = block.likely(*slots);
        }
        let entries = entries.iter().flatten().fold(0, |sum, entry| sum ^ entry.touch());
        // Nothing depends on what was read: without this, reading would be left out.
        std::hint::black_box((lines, entries));

        let mut further = 0;
        for place in 0..wanted.len() {
            let (key, at) = wanted[place];
            let (hash, hint) = &mut near.keys[key];
            let Some((number, block)) = blocks[place] else {
                // A look-up ends behind the last block, and there is nothing to be read.
                hint.homes = Hint::NO_TABLE;
                continue;
            };
            match block.slot_of(slots[place], KeyRest::of(*hash)) {
                Some(slot) => (hint.at, hint.number, hint.slot) = (at as u32, number, slot as u32),
                None => {
                    wanted[further] = (key, at + 1);
                    further += 1;
                }
            }
        }
        further
    }
}
