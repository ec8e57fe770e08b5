//! Memory of the index that is read before it is needed.

use super::Index;
use super::block::{home_of, table_of, tag_of};
use crate::record::KeyHash;

impl Index {
    /// How many keys to [`Self::approach`] at once: their lines of 64 bytes are a part of the processor's first cache.
    pub const APPROACHED: usize = 64;

    /// Has what is known of some keys brought near, [`Self::APPROACHED`] of them at a time: looking each up would wait for
    /// memory each time, here the processor waits for many at once.
    pub fn approach(&self, mut keys: impl Iterator<Item = KeyHash>) {
        let mut wanted = [(KeyHash([0; 3]), 0); Self::APPROACHED];
        loop {
            let mut len = 0;
            for (wanted, key) in wanted.iter_mut().zip(&mut keys) {
                *wanted = (key, self.tables[table_of(key)].home(home_of(key)));
                len += 1;
            }
            if len == 0 {
                return;
            }
            while len > 0 {
                len = self.approach_blocks(&mut wanted[..len]);
            }
        }
    }

    /// Reads of each wanted block and key what a look-up would. Where it would go on in another block, that is wanted next: those
    /// come first afterwards, so many.
    ///
    /// Steps by themselves, that each do nothing but find or nothing but read: the processor looks some hundred instructions
    /// ahead, and waits for the memory of as many keys at once as fit in there.
    fn approach_blocks(&self, wanted: &mut [(KeyHash, usize)]) -> usize {
        let mut blocks = [None; Self::APPROACHED];
        for (block, (key, at)) in blocks.iter_mut().zip(&*wanted) {
            *block = self.tables[table_of(*key)].block(*at, &self.pool);
        }
        let lines = blocks.iter().flatten().fold(0, |sum, block| sum ^ block.touch());

        let (mut entries, mut further) = ([None; Self::APPROACHED], 0);
        for (at, block) in blocks.iter().enumerate().take(wanted.len()) {
            let (Some(block), (key, place)) = (block, wanted[at]) else { continue };
            entries[at] = block.likely(tag_of(key));
            if entries[at].is_none() {
                wanted[further] = (key, place + 1);
                further += 1;
            }
        }
        let entries = entries.iter().flatten().fold(0, |sum, entry| sum ^ entry.touch());

        // Nothing depends on what was read: without this, reading would be left out.
        std::hint::black_box((lines, entries));
        further
    }
}
