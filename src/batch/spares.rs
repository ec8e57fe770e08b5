//! Buffers of batches that are done with, for those that come: what is written into them next is in the processor's cache still,
//! and the thread that fills batches and the one that is done with them do not meet in the allocator.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Batch, Buffers};

/// Most bytes that are kept. As many batches as are on their way at once would be 3 MB; those that come soon are enough.
const BYTES_MAX: usize = 512 << 10;

/// A place for them. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Spares(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    buffers: Vec<Buffers>,
    bytes: usize,
}

impl Spares {
    /// Keeps the buffers of a batch, and nothing of what it held. They are let go where there are enough, and where a request
    /// still reads the JSON.
    pub fn give(&self, batch: Batch) {
        let Some(buffers) = Buffers::of(batch) else { return };
        let bytes = buffers.capacity_bytes();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes + bytes <= BYTES_MAX {
            kept.bytes += bytes;
            kept.buffers.push(buffers);
        }
    }

    /// The buffers that were given last.
    pub(super) fn take(&self) -> Option<Buffers> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let buffers = kept.buffers.pop()?;
        kept.bytes -= buffers.capacity_bytes();
        Some(buffers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Entity;
    use crate::record::Origins;

    fn batch(json_bytes: usize) -> Batch {
        let json = vec![b' '; json_bytes].into();
        Batch { entity: Entity::Usage, json, keys: "a".to_owned(), items: Vec::new(), origins: Origins::default() }
    }

    #[test]
    fn buffers_come_back_empty_and_the_last_first() {
        let spares = Spares::default();
        spares.give(batch(10));
        spares.clone().give(batch(1_000));
        for capacity in [1_000, 10] {
            let taken = spares.take().expect("it was given");
            assert_eq!((taken.json.len(), taken.keys.len(), taken.items.len()), (0, 0, 0));
            assert_eq!(taken.json.capacity(), capacity);
        }
        assert!(spares.take().is_none());
    }

    #[test]
    fn no_more_is_kept_than_the_bound() {
        let spares = Spares::default();
        for _ in 0..100 {
            spares.give(batch(BYTES_MAX / 10));
        }
        spares.give(batch(BYTES_MAX + 1));
        let kept = std::iter::from_fn(|| spares.take()).count();
        assert_eq!(kept, 9, "nine and their keys are just under ten tenths");
        spares.give(batch(BYTES_MAX / 2));
        assert!(spares.take().is_some(), "what was taken leaves room");
    }
}
