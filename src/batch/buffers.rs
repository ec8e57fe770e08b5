//! What a batch is written into, and what is left of it when it is done with.

use super::{Batch, Item};
use crate::entity::Entity;
use crate::record::{Fingerprint, KeyHash, Origin};

/// The buffers of a batch that is still open.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) json: Vec<u8>,
    pub(super) keys: String,
    pub(super) items: Vec<Item>,
}

impl Buffers {
    /// The buffers of a batch, emptied; none where somebody else still has its JSON. Nothing is copied.
    pub(super) fn of(batch: Batch) -> Option<Self> {
        let Batch { entity: _, json, mut keys, mut items } = batch;
        let mut json = json.try_into_mut().ok()?;
        // Before it becomes a `Vec`, which would move the content to the start of its memory.
        json.clear();
        keys.clear();
        items.clear();
        Some(Self { json: json.into(), keys, items })
    }

    /// Bytes that they take.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.json.capacity() + self.keys.capacity() + self.items.capacity() * size_of::<Item>()
    }

    pub(super) fn push(&mut self, json: &[u8], key: &str, hash: KeyHash, fingerprint: Fingerprint, origin: Origin) {
        let end = |len: usize| u32::try_from(len).expect("a batch stays under 4 GiB");
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

    /// The batch. The buffers become its own: nothing is copied.
    pub(super) fn close(self, entity: Entity) -> Batch {
        Batch { entity, json: self.json.into(), keys: self.keys, items: self.items }
    }
}
