//! Which records have to go out: those that the ledger does not know with this content.

use std::sync::Arc;

use super::held::Held;
use super::selection::Selection;
use super::summary::Progress;
use crate::batch::{Batch, Builder};
use crate::entity::Entity;
use crate::ledger::{Index, Seen};
use crate::record::{KeyHash, Place, Record, RecordBatch, Reject};

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

/// What some records came to. Added to the run's progress together: that is written by other threads, too, and each addition
/// of one would wait for the last of theirs.
#[derive(Default)]
struct Counts {
    created: u64,
    changed: u64,
    unchanged: u64,
    filtered: u64,
    open: u64,
    rejected: u64,
}

impl Counts {
    fn add_to(self, progress: &Progress) {
        let Self { created, changed, unchanged, filtered, open, rejected } = self;
        progress.created.add(created);
        progress.changed.add(changed);
        progress.unchanged.add(unchanged);
        progress.filtered.add(filtered);
        progress.open.add(open);
        progress.rejected.add(rejected);
    }
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
        let mut counts = Counts::default();
        let mut records = std::mem::take(&mut mapped.records);
        let mut coming = records.drain(..);
        // So many of the first that are still here go out: a batch takes over all at once that are side by side.
        let mut going = 0;
        while going < coming.as_slice().len() {
            let near = &coming.as_slice()[going..];
            let near = near.len().min(Index::APPROACHED);
            self.index.approach(coming.as_slice()[going..][..near].iter().map(|record| record.hash));
            for _ in 0..near {
                if self.goes_out(mapped, &coming.as_slice()[going], &mut counts, sorted) {
                    going += 1;
                } else {
                    self.builder.take(mapped, &mut coming, going, &mut sorted.batches);
                    coming.next();
                    going = 0;
                }
            }
        }
        self.builder.take(mapped, &mut coming, going, &mut sorted.batches);
        drop(coming);
        // For its memory.
        mapped.records = records;
        counts.add_to(progress);
    }

    /// Whether a record has to be sent; counts it.
    fn goes_out(&mut self, mapped: &RecordBatch, record: &Record, counts: &mut Counts, sorted: &mut Sorted) -> bool {
        if self.selection.leaves_out(record.hash) {
            counts.filtered += 1;
            return false;
        }
        let ordinal = self.ordinals.of(mapped.origins.first_record(record.origin));
        if self.held.holds(record.hash) {
            counts.open += 1;
            return false;
        }
        let reason = match self.index.see(record.hash, record.fingerprint, ordinal) {
            Seen::Unchanged | Seen::SameAgain { .. } => {
                counts.unchanged += 1;
                return false;
            }
            Seen::ConflictsWith { first } => format!(
                "another record of this key with other content was read before, at {}; only one can be true",
                self.ordinals.describe(first)
            ),
            Seen::Changed if is_final(self.builder.entity()) => {
                "was sent before with other content; the API keeps an event as it came first".to_owned()
            }
            Seen::New | Seen::Changed if self.would_replace(record) => {
                "a record of this key with other content was delivered already, and only one can be true; \
                 correct the key, or say --replace if this one is right"
                    .to_owned()
            }
            Seen::New if self.held.holds_unknown() => {
                counts.open += 1;
                return false;
            }
            seen @ (Seen::New | Seen::Changed) => return self.is_sent(mapped, record, seen, counts, sorted),
        };
        reject(mapped, record, reason, counts, sorted);
        false
    }

    fn would_replace(&self, record: &Record) -> bool {
        let stays = self.kept.as_ref().and_then(|kept| kept.delivered(record.hash));
        stays.is_some_and(|content| content != record.fingerprint)
    }

    fn is_sent(
        &mut self,
        mapped: &RecordBatch,
        record: &Record,
        seen: Seen,
        counts: &mut Counts,
        sorted: &mut Sorted,
    ) -> bool {
        if self.selection.forbids(record.hash, record.fingerprint) {
            counts.open += 1;
            sorted.moved.get_or_insert_with(|| mapped.origin_of(record).place());
            return false;
        }
        if let Err(oversize) = self.builder.fits(record.json.len()) {
            counts.rejected += 1;
            sorted.rejects.push(Reject::of_origin(&mapped.origin_of(record), None, None, oversize.to_string()));
            return false;
        }
        if seen == Seen::Changed
            && let Some(tell) = &mut self.on_changed
        {
            let (json, key) = (mapped.json_of(record), mapped.key_of(record));
            tell(ChangedRecord { json, key, hash: record.hash, place: mapped.origin_of(record).place() });
        }
        *if seen == Seen::New { &mut counts.created } else { &mut counts.changed } += 1;
        true
    }

    /// Makes room for about so many records that the ledger does not know.
    pub(super) fn expect(&mut self, records: usize) {
        self.index.expect(records);
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

fn reject(records: &RecordBatch, record: &Record, reason: String, counts: &mut Counts, sorted: &mut Sorted) {
    counts.rejected += 1;
    let key = records.key_of(record).replace(crate::entity::KEY_SEPARATOR, " ");
    sorted.rejects.push(Reject::of_origin(&records.origin_of(record), Some("key"), Some(key.trim_end()), reason));
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
    fn of(&mut self, (source, record): (&Arc<str>, u64)) -> u32 {
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
