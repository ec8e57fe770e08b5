//! The packed form of a batch's records, and what became of each.

use super::OpenItem;
use super::keys::{Keys, pack_keys};
use crate::batch::{Batch, Outcome};
use crate::record::{Fingerprint, KeyHash};

/// Bytes of one packed record: its key's hash and its fingerprint.
pub(super) const ITEM_BYTES: usize = KeyHash::BYTES + 8;

/// Bytes of the header of one batch's records in a merged segment: batch id and number of records.
const GROUP_HEADER_BYTES: usize = 12;

/// What became of a record, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    Open = 0,
    Accepted = 1,
    Failed = 2,
    NeverKnown = 3,
}

impl State {
    fn of_byte(byte: u8) -> Option<Self> {
        [Self::Open, Self::Accepted, Self::Failed, Self::NeverKnown].get(byte as usize).copied()
    }

    /// The states of a batch of `len` records; none where the bytes are damaged.
    pub(super) fn of_bytes(bytes: &[u8], len: u32) -> Option<Vec<Self>> {
        let states: Vec<Self> = bytes.iter().map(|byte| Self::of_byte(*byte)).collect::<Option<_>>()?;
        (states.len() == len as usize).then_some(states)
    }

    fn of_outcome(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Accepted => Self::Accepted,
            Outcome::Failed { .. } => Self::Failed,
            Outcome::Open { .. } => Self::Open,
        }
    }
}

/// Takes the news in `outcomes` into `states`; returns the positions and codes of new refusals.
pub(super) fn take_outcomes<'a>(states: &mut [State], outcomes: &'a [Outcome]) -> Vec<(u32, &'a str)> {
    let mut refusals = Vec::new();
    for (position, (state, outcome)) in (0u32..).zip(states.iter_mut().zip(outcomes)) {
        if *state != State::Open {
            continue; // what was settled first stays
        }
        *state = State::of_outcome(outcome);
        if let Outcome::Failed { code, .. } = outcome {
            refusals.push((position, code.as_str()));
        }
    }
    refusals
}

/// Appends a batch's records.
pub(super) fn pack(packed: &mut Vec<u8>, batch: &Batch) {
    packed.reserve(batch.items.len() * ITEM_BYTES);
    for item in &batch.items {
        push_item(packed, item.hash, item.fingerprint);
    }
}

fn push_item(packed: &mut Vec<u8>, hash: KeyHash, fingerprint: Fingerprint) {
    packed.extend_from_slice(&hash.to_bytes());
    packed.extend_from_slice(&fingerprint.0.to_le_bytes());
}

/// The records of a packed batch. Its length was checked to be a multiple of [`ITEM_BYTES`].
pub(super) fn unpack(packed: &[u8]) -> impl ExactSizeIterator<Item = (KeyHash, Fingerprint)> + '_ {
    packed.chunks_exact(ITEM_BYTES).map(|item| {
        let (hash, fingerprint) = item.split_first_chunk::<{ KeyHash::BYTES }>().expect("20 bytes have 12");
        let fingerprint = u64::from_le_bytes(fingerprint.try_into().expect("20 less 12 are 8"));
        (KeyHash::from_bytes(*hash), Fingerprint(fingerprint))
    })
}

/// Appends the key texts of a batch that is opened.
pub(super) fn pack_batch_keys(packed: &mut Vec<u8>, batch: &Batch) {
    pack_keys(packed, (0u32..).zip(&batch.items).map(|(position, item)| (position, batch.key_of(item))));
}

/// The open records of a batch, from their keys and all of its records; none where the bytes are damaged.
pub(super) fn open_items(keys: &[u8], items: &[u8], len: u32) -> Option<Vec<OpenItem>> {
    let records: Vec<_> = unpack(items).collect();
    if records.len() != len as usize || !items.len().is_multiple_of(ITEM_BYTES) {
        return None;
    }
    let item = |(position, key): (u32, &str)| {
        let (hash, fingerprint) = *records.get(position as usize)?;
        Some(OpenItem { position, key: key.to_owned(), hash, fingerprint })
    };
    Keys::unpack(keys, len)?.iter().map(item).collect()
}

/// A batch's packed records and what became of them; none means that all were accepted.
pub(super) struct Stored<'a> {
    pub(super) id: u64,
    pub(super) items: &'a [u8],
    pub(super) states: Option<Vec<State>>,
}

impl Stored<'_> {
    /// The state of the record at `position`.
    pub(super) fn state(&self, position: usize) -> State {
        self.states.as_ref().map_or(State::Accepted, |states| states[position])
    }

    /// Its records with their states.
    pub(super) fn records(&self) -> impl Iterator<Item = (KeyHash, Fingerprint, State)> + '_ {
        unpack(self.items).enumerate().map(|(position, (hash, print))| (hash, print, self.state(position)))
    }
}

/// Builds merged segments: for each batch, in order, the records whose latest content it delivered.
#[derive(Debug, Default)]
pub(super) struct SegmentBuilder {
    packed: Vec<u8>,
    /// Where the header of the batch that is being added stands.
    header_at: usize,
    items: u64,
}

impl SegmentBuilder {
    /// Size from which a segment is written out. A million records make about 20 of them.
    pub(super) const BYTES_TARGET: usize = 1 << 20;

    pub(super) fn begin_batch(&mut self, batch: u64) {
        self.header_at = self.packed.len();
        self.packed.extend_from_slice(&batch.to_le_bytes());
        self.packed.extend_from_slice(&0u32.to_le_bytes());
    }

    pub(super) fn push(&mut self, hash: KeyHash, fingerprint: Fingerprint) {
        push_item(&mut self.packed, hash, fingerprint);
        self.items += 1;
    }

    /// Ends the batch; returns whether it holds any record.
    pub(super) fn end_batch(&mut self) -> bool {
        let items_at = self.header_at + GROUP_HEADER_BYTES;
        let count = (self.packed.len() - items_at) / ITEM_BYTES;
        if count == 0 {
            self.packed.truncate(self.header_at);
            return false;
        }
        let count = u32::try_from(count).expect("a batch stays under 4 GiB");
        self.packed[self.header_at + 8..items_at].copy_from_slice(&count.to_le_bytes());
        true
    }

    pub(super) fn is_full(&self) -> bool {
        self.packed.len() >= Self::BYTES_TARGET
    }

    /// Hands out the segment with its number of records, and begins the next.
    pub(super) fn finish(&mut self) -> Option<(Vec<u8>, u64)> {
        (!self.packed.is_empty()).then(|| (std::mem::take(&mut self.packed), std::mem::take(&mut self.items)))
    }
}

/// Calls `visit` with each batch of a merged segment and its packed records; `false` where the
/// bytes are damaged.
pub(super) fn unpack_segment<'a>(mut packed: &'a [u8], mut visit: impl FnMut(u64, &'a [u8])) -> bool {
    while !packed.is_empty() {
        let Some((batch, rest)) = packed.split_first_chunk::<8>() else { return false };
        let Some((count, rest)) = rest.split_first_chunk::<4>() else { return false };
        let bytes = u32::from_le_bytes(*count) as usize * ITEM_BYTES;
        let Some((items, rest)) = rest.split_at_checked(bytes) else { return false };
        visit(u64::from_le_bytes(*batch), items);
        packed = rest;
    }
    true
}
