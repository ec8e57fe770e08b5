//! The blocks of all tables of an index, by number.
//!
//! A block that a table gives back is what it takes next, so that growing leaves no holes in the heap, and asks it for nothing
//! but what the index is larger by.

use super::block::Block;

/// Blocks that are allocated at once, 23 KiB: each alone would take a line of 64 bytes more to begin with a line, and more would
/// be much for an index of few records.
const PAGE: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Pool {
    pages: Vec<Box<[Block; PAGE]>>,
    free: Vec<u32>,
}

impl Pool {
    /// The number of an empty block that is nobody else's.
    pub(super) fn take(&mut self) -> u32 {
        if self.free.is_empty() {
            let first = (self.pages.len() * PAGE) as u32;
            self.pages.push(vec![Block::EMPTY; PAGE].try_into().expect("has this length"));
            self.free.extend((first..first + PAGE as u32).rev());
        }
        self.free.pop().expect("a page has some")
    }

    /// Takes a block back, and returns what it held.
    pub(super) fn give_back(&mut self, number: u32) -> Block {
        let block = self.block_mut(number);
        let held = *block;
        block.clear();
        self.free.push(number);
        held
    }

    pub(super) fn block(&self, number: u32) -> &Block {
        &self.pages[number as usize / PAGE][number as usize % PAGE]
    }

    pub(super) fn block_mut(&mut self, number: u32) -> &mut Block {
        &mut self.pages[number as usize / PAGE][number as usize % PAGE]
    }

    /// All blocks; those that nobody has are empty.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.pages.iter().flat_map(|page| page.iter())
    }

    /// All blocks; those that nobody has are empty.
    pub(super) fn blocks_mut(&mut self) -> impl Iterator<Item = &mut Block> {
        self.pages.iter_mut().flat_map(|page| page.iter_mut())
    }

    /// Allocated size without its own, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.pages.len() * size_of::<[Block; PAGE]>()
            + self.pages.capacity() * size_of::<Box<[Block; PAGE]>>()
            + self.free.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::index::block::Entry;
    use crate::record::{Fingerprint, KeyHash};

    #[test]
    fn a_block_that_was_given_back_is_the_next_to_be_taken_and_is_empty() {
        let mut pool = Pool::default();
        let taken: Vec<_> = (0..40).map(|_| pool.take()).collect();
        assert_eq!(taken, (0..40).collect::<Vec<_>>());
        let bytes = pool.bytes();

        assert!(pool.block_mut(17).push(3, &Entry::new(KeyHash([1; 3]), Fingerprint(2), 5)));
        let held = pool.give_back(17);
        assert_eq!(held.tagged().map(|(tag, entry)| (tag, entry.place)).collect::<Vec<_>>(), [(3, 5)]);
        assert_eq!(pool.blocks().map(|block| block.entries().len()).sum::<usize>(), 0);
        assert_eq!((pool.take(), pool.take()), (17, 40));
        assert_eq!(pool.bytes(), bytes);
    }
}
