//! Which records have to go out: those that the ledger does not know with this content.

use std::sync::Arc;

use super::held::Held;
use super::selection::Selection;
use super::summary::Progress;
use crate::batch::{Batch, Builder};
use crate::entity::Entity;
use crate::ledger::{Index, Seen};
use crate::record::{KeyHash, Origin, Place, Record, RecordBatch, Reject};

/// Compares records with what was delivered, and collects the others into batches.
pub(super) struct Diff {
    index: Index,
    builder: Builder,
    /// Records that must not be sent: they stay open.
    held: Held,
    ordinals: Ordinals,
    /// Content that is not replaced.
    kept: Option<Index>,
    selection: Selection,
    on_changed: Option<OnChanged>,
}

/// A record that would replace what was delivered.
pub(super) struct ChangedRecord<'a> {
    pub json: &'a [u8],
    pub key: &'a str,
    pub hash: KeyHash,
    pub place: Place,
}

/// Is told of each of them.
pub(super) type OnChanged = Box<dyn FnMut(ChangedRecord<'_>) + Send>;

/// What came of some records.
#[derive(Default)]
pub(super) struct Sorted {
    /// Batches that are full.
    pub batches: Vec<Batch>,
    /// Records that can't go out.
    pub rejects: Vec<Reject>,
    /// A record that would have to be sent, and that the plan does not have.
    pub moved: Option<Place>,
}

impl Diff {
    pub(super) fn new(index: Index, builder: Builder) -> Self {
        Self {
            index,
            builder,
            held: Held::default(),
            ordinals: Ordinals::default(),
            kept: None,
            selection: Selection::All,
            on_changed: None,
        }
    }

    /// The same, but rejects what would replace `kept`.
    #[must_use]
    pub(super) fn keeping(self, kept: Option<Index>) -> Self {
        Self { kept, ..self }
    }

    /// The same, where these records must not be sent.
    #[must_use]
    pub(super) fn holding(mut self, held: Held) -> Self {
        self.held = held;
        self
    }

    /// The same, where only these may be sent.
    #[must_use]
    pub(super) fn choosing(self, selection: Selection) -> Self {
        Self { selection, ..self }
    }

    /// The same, which tells of each record that would replace what was delivered.
    #[must_use]
    pub(super) fn telling(self, on_changed: Option<OnChanged>) -> Self {
        Self { on_changed, ..self }
    }

    /// Whether most of what comes is left out.
    pub(super) fn is_canary(&self) -> bool {
        self.selection.is_canary()
    }

    /// Sorts the records of `mapped`, and takes them out of it; counts what goes no further.
    pub(super) fn sort(&mut self, mapped: &mut RecordBatch, progress: &Progress, sorted: &mut Sorted) {
        let mut records = std::mem::take(&mut mapped.records);
        let mut coming = records.drain(..);
        while !coming.as_slice().is_empty() {
            let next = coming.as_slice().len().min(Index::APPROACHED);
            self.index.approach(coming.as_slice()[..next].iter().map(|record| record.hash));
            for record in coming.by_ref().take(next) {
                self.sort_one(mapped, record, progress, sorted);
            }
        }
        drop(coming);
        // For its memory.
        mapped.records = records;
    }

    fn sort_one(&mut self, mapped: &RecordBatch, record: Record, progress: &Progress, sorted: &mut Sorted) {
        if self.selection.leaves_out(record.hash) {
            return progress.filtered.add(1);
        }
        let ordinal = self.ordinals.of(&record.origin);
        if self.held.holds(record.hash) {
            return progress.open.add(1);
        }
        match self.index.see(record.hash, record.fingerprint, ordinal) {
            Seen::Unchanged | Seen::SameAgain { .. } => progress.unchanged.add(1),
            Seen::ConflictsWith { first } => {
                let reason = format!(
                    "another record of this key with other content was read before, at {}; only one can be true",
                    self.ordinals.describe(first)
                );
                reject(mapped, &record, reason, progress, sorted);
            }
            Seen::Changed if is_final(self.builder.entity()) => {
                let reason = "was sent before with other content; the API keeps an event as it came first".to_owned();
                reject(mapped, &record, reason, progress, sorted);
            }
            Seen::New | Seen::Changed if self.would_replace(&record) => {
                let reason =
                    "a record of this key with other content was delivered already, and only one can be true; \
                              correct the key, or say --replace if this one is right"
                        .to_owned();
                reject(mapped, &record, reason, progress, sorted);
            }
            Seen::New if self.held.holds_unknown() => progress.open.add(1),
            seen @ (Seen::New | Seen::Changed) => self.send(mapped, record, seen, progress, sorted),
        }
    }

    fn would_replace(&self, record: &Record) -> bool {
        let stays = self.kept.as_ref().and_then(|kept| kept.delivered(record.hash));
        stays.is_some_and(|content| content != record.fingerprint)
    }

    fn send(&mut self, mapped: &RecordBatch, record: Record, seen: Seen, progress: &Progress, sorted: &mut Sorted) {
        if self.selection.forbids(record.hash, record.fingerprint) {
            progress.open.add(1);
            sorted.moved.get_or_insert_with(|| record.origin.place());
            return;
        }
        let (json, key) = (mapped.json_of(&record), mapped.key_of(&record));
        let told = self.on_changed.as_mut().filter(|_| seen == Seen::Changed).map(|tell| (tell, record.origin.place()));
        match self.builder.push(json, key, record.hash, record.fingerprint, record.origin) {
            Ok(closed) => {
                if let Some((tell, place)) = told {
                    tell(ChangedRecord { json, key, hash: record.hash, place });
                }
                if seen == Seen::New { &progress.created } else { &progress.changed }.add(1);
                sorted.batches.extend(closed);
            }
            Err((oversize, origin)) => {
                progress.rejected.add(1);
                sorted.rejects.push(Reject::of_origin(&origin, None, None, oversize.to_string()));
            }
        }
    }

    /// How many records the ledger knows that did not come.
    pub(super) fn unseen(&self) -> u64 {
        self.index.unseen().count() as u64
    }

    /// The index, with all that came.
    pub(super) fn into_index(self) -> Index {
        self.index
    }

    /// The last, partial batch.
    pub(super) fn finish(&mut self) -> Option<Batch> {
        self.builder.finish()
    }
}

fn reject(records: &RecordBatch, record: &Record, reason: String, progress: &Progress, sorted: &mut Sorted) {
    progress.rejected.add(1);
    let key = records.key_of(record).replace(crate::entity::KEY_SEPARATOR, " ");
    sorted.rejects.push(Reject::of_origin(&record.origin, Some("key"), Some(key.trim_end()), reason));
}

/// Whether what was delivered can't be changed any more, and is never sent again.
pub(super) fn is_final(entity: Entity) -> bool {
    match entity {
        Entity::Customer | Entity::Subscription | Entity::Usage => false,
        Entity::Event => true,
    }
}

/// Numbers the rows of a run over all its sources, so that the index can name a row in 32 bits.
#[derive(Default)]
struct Ordinals {
    /// Each source with the ordinal before its first record.
    bases: Vec<(Arc<str>, u32)>,
    last: u32,
}

impl Ordinals {
    fn of(&mut self, origin: &Origin) -> u32 {
        let (source, record) = match origin {
            Origin::Row { rows, index } => (rows.source(), rows.row(*index as usize).record()),
            Origin::Group(members) => {
                let (rows, index) = members.first().expect("a group has a row");
                (rows.source(), rows.row(*index as usize).record())
            }
            Origin::Total(total) => (&total.first.source, total.first.record),
        };
        let base = match self.bases.last() {
            Some((last, base)) if Arc::ptr_eq(last, source) => *base,
            _ => match self.bases.iter().rev().find(|(known, _)| known == source) {
                Some((_, base)) => *base,
                None => {
                    self.bases.push((source.clone(), self.last));
                    self.last
                }
            },
        };
        // Past 4 billion rows places are no longer told apart; nothing else depends on them.
        let ordinal = base.saturating_add(u32::try_from(record).unwrap_or(u32::MAX));
        self.last = self.last.max(ordinal);
        ordinal
    }

    fn describe(&self, ordinal: u32) -> String {
        match self.bases.iter().rev().find(|(_, base)| *base < ordinal) {
            Some((source, base)) => format!("{source}, record {}", ordinal - base),
            None => format!("record {ordinal}"),
        }
    }
}
