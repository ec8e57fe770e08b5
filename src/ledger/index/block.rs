//! A block: some entries of one table, and a line by which to find one among them.
//!
//! The line has a byte of hash for each slot, its tag. A look-up compares those at once, and touches an entry only where the tag
//! is right: one line of the processor's cache, then the one or two that the entry lies in. Slots fill from the first on and
//! are never given back, so that a number says which are used; what lies beyond is left over and means nothing.

use crate::record::{Fingerprint, KeyHash};

/// Entries of a block: as many as leave one byte of the line for their number. Together they take 23 lines of 64 bytes.
pub(super) const SLOTS: usize = LEN;

/// Where the line has the number of used slots.
const LEN: usize = 63;

const _: () = assert!(size_of::<Block>() == 23 * 64, "a block begins with a line of the processor's cache");

/// A key but for two of its bytes: one is the number of its table, the other the tag of its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, packed(2))]
pub(super) struct KeyRest(u64, u16);

impl KeyRest {
    pub(super) fn of(key: KeyHash) -> Self {
        let [a, b, c] = key.0;
        Self((u64::from(b) << 32) | u64::from(a << 8) | u64::from((c >> 16) as u8), c as u16)
    }

    /// [`home_of`] the key.
    pub(super) fn home(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn key(self, table: u8, tag: u8) -> KeyHash {
        let low = self.0 as u32;
        let c = (u32::from(tag) << 24) | ((low & 0xff) << 16) | u32::from(self.1);
        KeyHash([(u32::from(table) << 24) | (low >> 8), self.home(), c])
    }
}

/// The part of a key that chooses its table.
pub(super) fn table_of(key: KeyHash) -> usize {
    (key.0[0] >> 24) as usize
}

/// The part of a key that chooses its home in the table.
pub(super) fn home_of(key: KeyHash) -> u32 {
    key.0[1]
}

/// A part of a key that chooses neither its table nor its home.
pub(super) fn tag_of(key: KeyHash) -> u8 {
    (key.0[2] >> 24) as u8
}

/// What is kept of a record, in 22 bytes.
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(2))]
pub(super) struct Entry {
    rest: KeyRest,
    fingerprint: Fingerprint,
    pub(super) place: u32,
}

impl Entry {
    pub(super) fn new(key: KeyHash, fingerprint: Fingerprint, place: u32) -> Self {
        Self { rest: KeyRest::of(key), fingerprint, place }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(super) fn set(&mut self, fingerprint: Fingerprint, place: u32) {
        (self.fingerprint, self.place) = (fingerprint, place);
    }

    /// [`home_of`] its key.
    pub(super) fn home(&self) -> u32 {
        self.rest.home()
    }

    /// Reads its first and its last byte, and with them all lines of the processor's cache that it lies in.
    pub(super) fn touch(&self) -> u32 {
        self.home() ^ self.place
    }
}

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Block {
    /// The tags, where [`tag_at`] says, and the number of used slots.
    line: [u8; LEN + 1],
    entries: [Entry; SLOTS],
}

impl Block {
    pub(super) const EMPTY: Self = {
        let nothing = Entry { rest: KeyRest(0, 0), fingerprint: Fingerprint(0), place: 0 };
        Self { line: [0; LEN + 1], entries: [nothing; SLOTS] }
    };

    /// Used slots.
    fn len(&self) -> usize {
        // The compiler can't know that it is never more, and would check each use.
        usize::from(self.line[LEN]) & LEN
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() == SLOTS
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries[..self.len()]
    }

    pub(super) fn entries_mut(&mut self) -> &mut [Entry] {
        let len = self.len();
        &mut self.entries[..len]
    }

    /// The entries, each with its tag.
    pub(super) fn tagged(&self) -> impl Iterator<Item = (u8, &Entry)> {
        self.entries().iter().enumerate().map(|(slot, entry)| (self.line[tag_at(slot)], entry))
    }

    /// The entries, each with its key, in a block of this table.
    pub(super) fn keyed(&self, table: u8) -> impl Iterator<Item = (KeyHash, &Entry)> {
        self.tagged().map(move |(tag, entry)| (entry.rest.key(table, tag), entry))
    }

    pub(super) fn entry(&self, slot: usize) -> &Entry {
        &self.entries[slot]
    }

    pub(super) fn entry_mut(&mut self, slot: usize) -> &mut Entry {
        &mut self.entries[slot]
    }

    /// The slot of a key.
    pub(super) fn find(&self, tag: u8, rest: KeyRest) -> Option<usize> {
        self.among(self.slots_with(tag), rest)
    }

    /// The slot of a key, which is among these if it is in this block; else the first that is free, if there is one.
    pub(super) fn slot_of(&self, slots: u64, rest: KeyRest) -> Option<usize> {
        self.among(slots, rest).or_else(|| Some(self.len()).filter(|len| *len < SLOTS))
    }

    fn among(&self, mut slots: u64, rest: KeyRest) -> Option<usize> {
        while slots != 0 {
            let slot = slots.trailing_zeros() as usize;
            if self.entries[slot].rest == rest {
                return Some(slot);
            }
            slots &= slots - 1;
        }
        None
    }

    /// Where a key is looked for first that may be in these slots, or else would be pushed; none where there are none, and the
    /// search goes on in another block.
    pub(super) fn likely(&self, slots: u64) -> Option<&Entry> {
        self.entries.get(if slots == 0 { self.len() } else { slots.trailing_zeros() as usize })
    }

    /// Whether a slot is used, and by this key.
    pub(super) fn is_in(&self, slot: usize, tag: u8, rest: KeyRest) -> bool {
        slot < self.len() && self.line[tag_at(slot)] == tag && self.entries[slot].rest == rest
    }

    /// Whether this is the first free slot.
    pub(super) fn is_next(&self, slot: usize) -> bool {
        slot == self.len() && slot < SLOTS
    }

    /// Takes in an entry, and says whether there was room for it.
    pub(super) fn push(&mut self, tag: u8, entry: &Entry) -> bool {
        let slot = self.len();
        let Some(free) = self.entries.get_mut(slot) else { return false };
        *free = *entry;
        self.line[tag_at(slot)] = tag;
        self.line[LEN] = slot as u8 + 1;
        true
    }

    pub(super) fn clear(&mut self) {
        self.line[LEN] = 0;
    }

    /// Reads its line.
    pub(super) fn touch(&self) -> u8 {
        self.line[LEN]
    }

    /// The used slots with this tag: a bit for each, the lowest for the first.
    ///
    /// Without a branch, and with the bytes side by side, the compiler makes some 40 instructions of it. An iterator of `memchr`
    /// is a call for each find, and one more.
    pub(super) fn slots_with(&self, tag: u8) -> u64 {
        let same = self.line.map(|other| u8::from(other == tag));
        let eights = same.as_chunks::<8>().0.iter().enumerate();
        let slots = eights.fold(0, |slots, (bit, eight)| slots | (u64::from_le_bytes(*eight) << bit));
        slots & ((1 << self.len()) - 1)
    }
}

/// Where the line has a slot's tag: the tags of eight slots that follow on each other are eight bytes apart, so that
/// [`Block::slots_with`] gets their bits side by side. The place of the number is that of the slot that there is not.
fn tag_at(slot: usize) -> usize {
    ((slot & 7) << 3) | (slot >> 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key of one table and one home.
    fn key(tag: u8, rest: u32) -> KeyHash {
        KeyHash([7, 8, (u32::from(tag) << 24) | rest])
    }

    #[test]
    fn a_block_finds_what_was_pushed_and_nothing_that_is_left_over() {
        let mut block = Block::EMPTY;
        let find = |block: &Block, key| block.find(tag_of(key), KeyRest::of(key));
        // Every tag three times, the number of used slots among them.
        let keys: Vec<_> = (0..SLOTS as u8).map(|number| key(number / 3 + 43, u32::from(number))).collect();
        for (slot, key) in keys.iter().enumerate() {
            assert_eq!((find(&block, *key), block.is_full()), (None, false));
            assert!(block.push(tag_of(*key), &Entry::new(*key, Fingerprint(0), slot as u32)));
            assert!((0..=slot).all(|slot| find(&block, keys[slot]) == Some(slot)), "with {slot}");
        }
        assert!(block.is_full());
        assert!(!block.push(0, &Entry::new(key(0, 0), Fingerprint(0), 0)), "has no room");
        assert_eq!(block.entries().len(), 63);
        assert!(block.keyed(0).map(|(key, _)| key).eq(keys.iter().copied()));

        block.clear();
        assert!(keys.iter().all(|key| find(&block, *key).is_none()));
        assert_eq!(block.keyed(0).count(), 0);
    }

    #[test]
    fn it_is_known_where_a_look_up_will_read() {
        let mut block = Block::EMPTY;
        let place = |block: &Block, tag| block.likely(block.slots_with(tag)).map(|entry| entry.place);
        for number in 0..SLOTS as u32 {
            let key = key(number as u8 % 60, number);
            assert!(block.push(tag_of(key), &Entry::new(key, Fingerprint(0), number + 1)));
        }
        assert_eq!([0, 59].map(|tag| place(&block, tag)), [Some(1), Some(60)], "the first with the tag");
        assert_eq!(place(&block, 60), None, "in another block");
        block.line[LEN] = 40;
        assert_eq!(
            [39, 40, 60].map(|tag| place(&block, tag)),
            [Some(40), Some(41), Some(41)],
            "where it would be pushed"
        );
    }
}
