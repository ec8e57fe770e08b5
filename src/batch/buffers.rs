//! What a batch is written into, and what is left of it when it is done with.

use std::ops::Range;
use std::vec::Drain;

use super::{Batch, Item};
use crate::entity::Entity;
use crate::record::{Fingerprint, KeyHash, OriginId, Origins, Record, RecordBatch};

/// The buffers of a batch that is still open.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) json: Vec<u8>,
    pub(super) keys: String,
    pub(super) items: Vec<Item>,
    pub(super) origins: Origins,
}

impl Buffers {
    /// The buffers of a batch, emptied; none where somebody else still has its JSON. Nothing is copied.
    pub(super) fn of(batch: Batch) -> Option<Self> {
        let Batch { entity: _, json, mut keys, mut items, mut origins } = batch;
        let mut json = json.try_into_mut().ok()?;
        // Before it becomes a `Vec`, which would move the content to the start of its memory.
        json.clear();
        keys.clear();
        items.clear();
        origins.clear();
        Some(Self { json: json.into(), keys, items, origins })
    }

    /// Bytes that they take.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.json.capacity() + self.keys.capacity() + self.items.capacity() * size_of::<Item>()
    }

    pub(super) fn push(&mut self, json: &[u8], key: &str, hash: KeyHash, fingerprint: Fingerprint, origin: OriginId) {
        if !self.json.is_empty() {
            self.json.push(b',');
        }
        let json_start = end(self.json.len());
        self.json.extend_from_slice(json);
        let key_start = end(self.keys.len());
        self.keys.push_str(key);
        self.items.push(Item {
            json: json_start..end(self.json.len()),
            key: key_start..end(self.keys.len()),
            hash,
            fingerprint,
            origin,
        });
    }

    /// Adds the first `count` of some records of `made`, which lie side by side in it.
    pub(super) fn extend(&mut self, made: &RecordBatch, records: &mut Drain<'_, Record>, count: usize) {
        let run = &records.as_slice()[..count];
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return };
        let (json, key) = (first.json.start..last.json.end, first.key.start..last.key.end);
        if !self.json.is_empty() {
            self.json.push(b',');
        }
        // Both are in 32 bits, and where a record lies moves by as much as the first one does.
        let json_by = end(self.json.len()).wrapping_sub(json.start);
        let key_by = end(self.keys.len()).wrapping_sub(key.start);
        self.json.extend_from_slice(&made.json[json.start as usize..json.end as usize]);
        self.keys.push_str(&made.keys[key.start as usize..key.end as usize]);
        assert!(self.json.len().max(self.keys.len()) <= u32::MAX as usize, "a batch stays under 4 GiB");
        let moved = |range: Range<u32>, by: u32| range.start.wrapping_add(by)..range.end.wrapping_add(by);
        let origins = &mut self.origins;
        self.items.extend(records.take(count).map(|record| Item {
            json: moved(record.json, json_by),
            key: moved(record.key, key_by),
            hash: record.hash,
            fingerprint: record.fingerprint,
            origin: origins.add_of(&made.origins, record.origin),
        }));
    }

    /// The batch. The buffers become its own: nothing is copied.
    pub(super) fn close(self, entity: Entity) -> Batch {
        Batch { entity, json: self.json.into(), keys: self.keys, items: self.items, origins: self.origins }
    }
}

fn end(len: usize) -> u32 {
    u32::try_from(len).expect("a batch stays under 4 GiB")
}
